"""xip_core.client.local: real daemons for one run, gone when it ends, however it ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from xip_core.client import connect
from xip_core.client.local import PORT_TRIES_MAX, LocalCluster
from xip_core.errors import UnavailableError
from xip_core.model.result import RunState
from xip_core.model.run_spec import ProbeWork, RunSpec

REPOSITORY = Path(__file__).resolve().parents[3]
PROBE = RunSpec("probe", ProbeWork("probe.noop", 100))


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)  # `python -m xip_worker` finds the package under test there


def pids(cluster: LocalCluster) -> dict[str, int]:
    return {name: process.pid for name, process in cluster._processes.items()}


def has_ended(pid: int) -> bool:
    """Whether *pid* is gone, or goes within `PATIENCE_S`."""
    try:
        pid_fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pid_fd], [], [], PATIENCE_S)[0])
    finally:
        os.close(pid_fd)


async def test_a_run_is_computed_by_daemons_that_leave_nothing_behind():
    with LocalCluster(slot_count=1) as cluster:
        directory, daemons = cluster._directory, pids(cluster)
        async with connect(await cluster.address()) as client:
            run = await client.wait((await client.submit_spec(PROBE)).run_id, timeout_s=PATIENCE_S)
            (worker,) = await client.workers()
    assert (run.state, run.cells_done) == (RunState.COMPLETED, 100)
    assert (worker.pid, worker.slot_count) == (daemons["worker"], 1)
    assert run.epoch_last > 0
    assert not directory.exists()
    assert all(has_ended(pid) for pid in daemons.values())


async def test_a_worker_that_dies_is_replaced_and_the_run_is_completed():
    slow = RunSpec("probe", ProbeWork("probe.spin", 40, tile_duration_s=0.01, tiles_per_lease=1))
    with LocalCluster(slot_count=1) as cluster:
        async with connect(await cluster.address()) as client:
            guard = asyncio.create_task(cluster.watch())
            submitted = await client.submit_spec(slow)
            async for seen in client.watch(submitted.run_id):
                if seen.cells_done:
                    os.kill(pids(cluster)["worker"], signal.SIGKILL)
                    break
            run = await client.wait(submitted.run_id, timeout_s=PATIENCE_S)
            guard.cancel()
    assert run.state is RunState.COMPLETED


async def test_a_scheduler_that_dies_is_told_at_once():
    with LocalCluster() as cluster:
        await cluster.address()
        guard = asyncio.create_task(cluster.watch())
        os.kill(pids(cluster)["scheduler"], signal.SIGKILL)
        with pytest.raises(UnavailableError, match="the local scheduler ended with signal 9"):
            await asyncio.wait_for(guard, PATIENCE_S)


async def test_a_scheduler_that_cannot_start_shows_its_log(monkeypatch):
    monkeypatch.setenv("XIP_SCHEDULER_LIVE_RUNS_MAX", "many")
    starts = []
    start = LocalCluster._start
    monkeypatch.setattr(LocalCluster, "_start", lambda self: (starts.append(1), start(self)))
    with LocalCluster() as cluster, pytest.raises(UnavailableError, match="XIP_SCHEDULER_LIVE_RUNS_MAX"):
        await asyncio.wait_for(cluster.address(), PATIENCE_S)
    assert len(starts) == PORT_TRIES_MAX


def test_daemons_die_with_a_caller_that_is_killed():
    script = (
        "from xip_core.client.local import LocalCluster; c = LocalCluster()\n"
        "print(c._directory, *(p.pid for p in c._processes.values()), flush=True); input()"
    )
    with subprocess.Popen(
        (sys.executable, "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        directory, *daemons = caller.stdout.readline().split()
        caller.kill()
    assert all(has_ended(int(pid)) for pid in daemons)
    subprocess.run(("rm", "-r", directory), check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_daemons_and_directory_go_when_xipctl_is_stopped(tmp_path, number):
    command = (sys.executable, "-m", "xip_core.cli", "run", "--local", "--slots=1")
    (tmp_path / "book.jsonl").write_bytes(b'{"type":"swap","id":"S1"}')
    os.mkfifo(tmp_path / "market.json")  # reading it waits for us, when the daemons have been started
    files = (f"--book={tmp_path / 'book.jsonl'}", f"--market={tmp_path / 'market.json'}")
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with (
        subprocess.Popen((*command, *files), env=environment, stderr=subprocess.PIPE, text=True) as caller,
        (tmp_path / "market.json").open("wb"),  # opened by both: the caller is in the middle of its command
    ):
        assert len(list(tmp_path.glob("xip-*"))) == 1
        caller.send_signal(number)
        _, error = caller.communicate(timeout=PATIENCE_S)
    assert caller.returncode == 128 + number
    assert error.strip() == ""  # click ends the line of ^C
    assert list(tmp_path.glob("xip-*")) == []


def test_the_daemons_are_those_of_the_installation_not_of_the_current_directory(tmp_path):
    for name in ("xip_core", "xip_scheduler", "xip_worker"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('{name} of the current directory was run')")
    program = (
        "import asyncio\n"
        "from xip_core.client.local import LocalCluster\n"
        "with LocalCluster() as cluster:\n"
        "    print(asyncio.run(cluster.address()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("127.0.0.1:")
