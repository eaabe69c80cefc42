"""What workers say of kernels that the scheduler does not have."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from xip_core.errors import RequestError
from xip_core.model.run_spec import KernelSignature
from xip_scheduler.rpc import kernel_signatures
from xip_scheduler.rpc.kernel_signatures import KernelSignatures

SIGNATURE = KernelSignature("desk.twice", "3+desk-kernels-1.0", ("x",), ("pv",), 1e-6)


def named(name: str) -> KernelSignature:
    return msgspec.structs.replace(SIGNATURE, name=name)


def test_the_last_word_about_a_name_counts() -> None:
    signatures = KernelSignatures()
    newer = msgspec.structs.replace(SIGNATURE, version="4+desk-kernels-2.0")
    signatures.learn([SIGNATURE, named("desk.other")])
    signatures.learn([newer])
    assert signatures.by_name() == {"desk.other": named("desk.other"), "desk.twice": newer}


def test_a_worker_that_says_nonsense_teaches_nothing() -> None:
    signatures = KernelSignatures()
    with pytest.raises(RequestError, match="1 to 64 outputs"):
        signatures.learn([SIGNATURE, msgspec.structs.replace(SIGNATURE, name="desk.b", outputs=())])
    assert signatures.by_name() == {}


def test_the_name_heard_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_signatures, "SIGNATURES_MAX", 2)
    signatures = KernelSignatures()
    for name in ("desk.a", "desk.b", "desk.a", "desk.c"):
        signatures.learn([named(name)])
    assert list(signatures.by_name()) == ["desk.a", "desk.c"]


def test_the_scheduler_and_its_planner_never_look_for_packages() -> None:
    code = (
        "import sys, xip_scheduler.daemon, xip_core.graph.planner; "
        "print([name for name in ('xip_core.kernels.installed', 'xip_core.kernels.contract') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
