"""xipctl as a process: quick help, one sentence for an error, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from xip_core.cli.main import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[3]


def xipctl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "xip_core.cli", *arguments),
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name != "XIP_SCHEDULER"} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_help_names_every_command_and_imports_nothing_heavy():
    show = "import sys; from xip_core.cli.main import run_command; run_command(['--help']); print(*sys.modules)"
    command = (sys.executable, "-c", show)
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    for name, sentence in COMMANDS.items():
        assert f"{name} " in done.stdout
        assert sentence in done.stdout
    imported = done.stdout.splitlines()[-1].split()
    assert not {"grpc", "numpy", "rich", "msgspec", "google", "asyncio", "sqlalchemy"} & set(imported)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    groups = {"store": ("store", "verify"), "scenarios": ("scenarios", "show")}
    done = xipctl(*groups.get(name, (name,)), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--output" in done.stdout


def test_every_command_is_in_the_document_about_them():
    told = (REPOSITORY / "docs" / "client.md").read_text()
    assert [name for name in COMMANDS if f"`xipctl {name}" not in told] == []


def test_an_unreachable_scheduler_is_one_sentence_with_what_to_start():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    done = xipctl("runs", "--scheduler", address)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"no scheduler answers at {address}" in done.stderr
    assert f"`xip-scheduler --listen {address}`" in done.stderr


def test_an_address_without_port_is_one_sentence():
    done = xipctl("workers", XIP_SCHEDULER="localhost")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "xipctl: a scheduler's address must be HOST:PORT, got 'localhost'\n"


@pytest.mark.parametrize("arguments", [("nothing",), ("runs", "--nothing"), ("watch",)])
def test_a_wrong_command_line_exits_with_2(arguments):
    done = xipctl(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr


def test_version_is_printed():
    assert xipctl("--version").stdout.startswith("xipctl, version ")


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m xip_core.cli kernels -o json | head -c 1"
    done = subprocess.run(("bash", "-c", command), cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.stdout, done.stderr) == ("[", "")
