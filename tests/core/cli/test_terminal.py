"""xipctl on a terminal: a live bar on stderr, and stdout is the result alone all the same."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

from xip_core.model.result import RunState

REPOSITORY = Path(__file__).resolve().parents[3]


def on_terminal(*arguments: str, scheduler: str) -> tuple[str, str]:
    """stdout of xipctl, and what its stderr wrote to a terminal, without colours."""
    master, terminal = pty.openpty()
    environment = os.environ | {"XIP_SCHEDULER": scheduler, "TERM": "xterm-256color", "COLUMNS": "140"}
    command = (sys.executable, "-m", "xip_core.cli", *arguments)
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while piece := os.read(master, 65536):
                shown += piece
        assert process.stdout is not None
        out = process.stdout.read().decode()
    os.close(master)
    return out, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_the_bar_shows_cells_rate_eta_and_workers(server, files):
    out, shown = on_terminal("run", *files, "--output", "json", scheduler=server.address)
    assert json.loads(out)["state"] == "completed with quarantine"
    assert "18/18 cells" in shown
    assert re.search(r"cells/s · ETA \S+ s? ?· 2 slots on 1 worker", shown), shown
    assert "run r1 running" not in shown


def test_ctrl_c_leaves_the_run_and_says_how_to_find_it(server, files):
    server.scheduler.state = RunState.RUNNING
    server.scheduler.hold_after = [10]
    environment = os.environ | {"XIP_SCHEDULER": server.address}
    command = (sys.executable, "-m", "xip_core.cli", "run", *files)
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("run r1 running")
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.strip() == "run r1 goes on: xipctl watch r1, xipctl cancel r1"


def test_watching_shows_the_same_bar(server, files):
    run_id, _ = on_terminal("run", *files, "--detach", scheduler=server.address)
    out, shown = on_terminal("watch", run_id.strip(), scheduler=server.address)
    assert out == "run r1 completed with quarantine: 18 of 18 cells (100%), 3 failed\n"
    assert "18/18 cells" in shown
