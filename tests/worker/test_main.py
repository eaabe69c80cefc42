"""`xip_worker.main`: the command, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.worker.builders import a_plan, a_wire_lease
from tests.worker.scripted_scheduler import ScriptedScheduler
from xip_core import __version__
from xip_core.graph.plan import NodeKind

NOBODY = "127.0.0.1:1"


@contextmanager
def a_worker(*options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", "xip_worker", *options], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def log_line(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """The next line of the log with this event; lines before it are skipped."""
    assert process.stderr is not None
    for line in process.stderr:
        entry: dict[str, Any] = json.loads(line)
        if entry["event"] == event:
            return entry
    raise AssertionError(f"the log ended without {event!r}")


def test_without_a_scheduler_it_keeps_trying_and_says_how_to_start_one() -> None:
    with a_worker("--scheduler", NOBODY) as process:
        started = log_line(process, "worker started")
        first, second = log_line(process, "no scheduler"), log_line(process, "no scheduler")
        assert process.poll() is None
    assert started["worker"].endswith(started["worker"].split("-")[-1])
    assert str(process.pid) in started["worker"].split("-")
    assert (first["address"], first["tries"], second["tries"]) == (NOBODY, 1, 2)
    assert first["hint"] == f"start one with: xip-scheduler --listen {NOBODY}"


def test_sigterm_ends_an_idle_worker_with_exit_code_0() -> None:
    with a_worker("--scheduler", NOBODY) as process:
        log_line(process, "worker started")
        process.send_signal(signal.SIGTERM)
        log_line(process, "leaving")
        assert process.wait(PATIENCE_S) == 0


async def test_a_second_sigterm_ends_it_at_once_even_inside_a_tile() -> None:
    async with ScriptedScheduler() as scheduler:
        digest = scheduler.put_plan(a_plan(NodeKind.PROBE, "probe.spin", tile_duration_s=60.0))
        with a_worker("--scheduler", scheduler.address, "--slots", "1") as process:
            stream, hello = await scheduler.attached(heartbeat_interval_s=0.01)
            assert (hello.slot_count, hello.pid, hello.cpu_level) == (1, process.pid, hello.cpu_level)
            assert hello.kernels
            await stream.lease(a_wire_lease(1, digest))
            heartbeat = await stream.next("heartbeat")
            while not heartbeat.leases:
                heartbeat = await stream.next("heartbeat")
            process.send_signal(signal.SIGTERM)
            await stream.next("drain")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 143


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--scheduler", "nowhere"), "a scheduler must be HOST:PORT"),
        (("--slots", "0"), "0 is not in the range"),
        (("--log-level", "loud"), "'loud' is not one of"),
    ],
)
def test_bad_options_are_refused_with_exit_code_2(options: tuple[str, str], sentence: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "xip_worker", *options], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, sentence in ended.stderr) == (2, True)


def test_a_cpu_level_this_machine_does_not_have_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "xip_worker"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=os.environ | {"XIP_CPU_LEVEL": "v9"},
    )
    assert (ended.returncode, "XIP_CPU_LEVEL must be one of" in ended.stderr) == (2, True)


def test_the_version_is_known_without_an_installed_package() -> None:
    command = [sys.executable, "-m", "xip_worker", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == f"xip-worker, version {__version__}\n"


def test_options_come_from_the_environment_as_well() -> None:
    environment = os.environ | {"XIP_WORKER_SCHEDULER": "127.0.0.1:2", "XIP_WORKER_SLOTS": "3"}
    process = subprocess.Popen([sys.executable, "-m", "xip_worker"], stderr=subprocess.PIPE, text=True, env=environment)
    started = log_line(process, "worker started")
    process.kill()
    process.communicate()
    assert (started["slots"], started["schedulers"]) == (3, ["127.0.0.1:2"])


def test_starting_imports_nothing_a_worker_does_not_need() -> None:
    program = (
        "import asyncio, sys, xip_worker.main, xip_worker.daemon, xip_worker.logs, xip_worker.pricing;"
        "import xip_core.kernels.catalogue;"
        "xip_worker.logs.configured_log('info');"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'scipy', 'sqlalchemy', 'rich', 'holidays'}),"
        " 'xip_core.pricing.evaluate' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert printed.stdout.strip() == "[] False"
