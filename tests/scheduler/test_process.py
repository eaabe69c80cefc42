"""xip_scheduler.main: the scheduler as a process, killed, stopped and refused"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import grpc.aio
import pytest

from tests.patience import PATIENCE_S
from tests.scheduler.rpc.conftest import probe_request
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.serving import OpenChannel
from xip_core import __version__
from xip_core.wire.v1 import run_pb2, run_pb2_grpc

REPOSITORY = Path(__file__).resolve().parents[2]


class SchedulerProcess:
    """`python -m xip_scheduler` on a free port, known to serve when constructed; none outlives its test."""

    started: ClassVar[list[SchedulerProcess]] = []

    def __init__(self, data_dir: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, *command("--listen", "127.0.0.1:0", "--data-dir", str(data_dir), *arguments)],
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            env=os.environ | {"XIP_SCHEDULER_GATHERING_S": "0"},  # no worker of an earlier life comes back here
        )
        self.started.append(self)
        assert self.process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stderr, selectors.EVENT_READ)
            assert selector.select(PATIENCE_S), "no log line in time"
        line = self.process.stderr.readline().decode()
        assert '"event": "serving"' in line, line
        self.port = int(line.split('"address": "127.0.0.1:')[1].split('"')[0])
        self.address = f"127.0.0.1:{self.port}"

    def end(self, kind: signal.Signals) -> int:
        self.process.send_signal(kind)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    for scheduler in SchedulerProcess.started:
        if scheduler.process.poll() is None:
            scheduler.process.kill()
            scheduler.wait()
    SchedulerProcess.started.clear()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "xip_scheduler", *arguments]


def refused(*arguments: str) -> tuple[int, str]:
    """Exit code and error text of a scheduler that cannot start."""
    ended = subprocess.run(command(*arguments), capture_output=True, timeout=PATIENCE_S, cwd=REPOSITORY, check=False)
    return ended.returncode, ended.stderr.decode()


async def test_kill_nine_and_a_restart_lose_nothing_acknowledged_and_finish_the_run(
    tmp_path: Path, open_channel: OpenChannel
) -> None:
    tile_count, life_count = 60, 4
    acknowledged: set[int] = set()
    run_ids = set()
    for life in range(life_count):
        scheduler = SchedulerProcess(tmp_path)
        channel = open_channel(scheduler.address)
        stub = run_pb2_grpc.RunServiceStub(channel)
        run = (await stub.SubmitRun(probe_request(tile_count))).run
        run_ids.add(run.run_id)
        # of each life that was killed, one result was on its way and may or may not have been recorded
        assert len(acknowledged) <= run.cells_done <= len(acknowledged) + life
        async with ProtocolWorker(channel, f"w{life}") as worker:
            if life == life_count - 1:
                await worker.work_off(tile_count - run.cells_done, detail=True)
                break
            for _ in range(12):
                lease = await worker.lease()
                assert lease.tile_begin not in acknowledged, "computed again although acknowledged"
                await worker.until_acknowledged(await worker.report(a_result(lease, detail=True)))
                acknowledged.add(lease.tile_begin)
            await worker.report(a_result(await worker.lease(), detail=True))
            assert scheduler.end(signal.SIGKILL) == -signal.SIGKILL
    (run_id,) = run_ids
    done = (await stub.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run
    assert (done.state, done.cells_done) == (run_pb2.RUN_STATE_COMPLETED, tile_count)
    request = run_pb2.StreamResultsRequest(run_id=run_id)
    responses = [response async for response in stub.StreamResults(request)]
    assert len(responses) == tile_count
    assert {response.tile: response.block for response in responses} == {
        tile: b"detail %d" % tile for tile in range(tile_count)
    }
    assert scheduler.end(signal.SIGTERM) == 0


async def test_sigterm_closes_everything_and_exits_with_zero(
    tmp_path: Path, open_channel: OpenChannel
) -> None:
    scheduler = SchedulerProcess(tmp_path)
    async with ProtocolWorker(open_channel(scheduler.address)):
        assert scheduler.end(signal.SIGTERM) == 0
    again = SchedulerProcess(tmp_path)
    assert again.end(signal.SIGINT) == 0


async def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path, open_channel: OpenChannel) -> None:
    scheduler = SchedulerProcess(tmp_path)  # its standard error is a pipe of 64 kB, of which one line was read
    stub = run_pb2_grpc.RunServiceStub(open_channel(scheduler.address))
    run_count = 200  # 160 kB of log; three commits each, and other tests may keep the disk busy
    async with asyncio.timeout(3 * PATIENCE_S):
        for number in range(run_count):
            request = probe_request(1, f"{number}", tiles_per_lease=0)
            request.spec.name = "n" * 128
            await stub.SubmitRun(request)
            await stub.CancelRun(run_pb2.CancelRunRequest(run_id=(await stub.SubmitRun(request)).run.run_id))
    assert scheduler.end(signal.SIGTERM) == 0


def test_a_taken_port_ends_the_second_scheduler_with_a_sentence(tmp_path: Path) -> None:
    scheduler = SchedulerProcess(tmp_path / "one")
    code, text = refused("--listen", f"127.0.0.1:{scheduler.port}", "--data-dir", str(tmp_path / "two"))
    assert (code, "Traceback" in text) == (2, False)
    assert f"cannot listen on 127.0.0.1:{scheduler.port}" in text
    scheduler.end(signal.SIGKILL)


def test_a_locked_data_directory_names_its_holder(tmp_path: Path) -> None:
    scheduler = SchedulerProcess(tmp_path)
    code, text = refused("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path))
    assert (code, "Traceback" in text) == (1, False)
    assert f"pid {scheduler.process.pid}" in text
    scheduler.end(signal.SIGKILL)


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    """Also where gRPC or the system has something to say: a port in use, a directory that cannot be made."""
    (tmp_path / "file").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refusals = [
            refused("--listen", f"127.0.0.1:{port}", "--data-dir", str(tmp_path / "data")),
            refused("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "file" / "data")),
        ]
    assert [code for code, _ in refusals] == [2, 1]
    assert [text.count("\n") for _, text in refusals] == [1, 1]
    assert "must be a directory this process may write: Not a directory" in refusals[1][1]


def test_the_version_is_known_without_an_installed_package() -> None:
    ended = subprocess.run(command("--version"), capture_output=True, timeout=PATIENCE_S, cwd=REPOSITORY, text=True)
    assert (ended.returncode, ended.stdout) == (0, f"xip-scheduler, version {__version__}\n")


@pytest.mark.parametrize("path", ["file/data", "/proc/data"])
def test_a_data_directory_that_cannot_be_made_is_refused_with_a_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    code, text = refused("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / path))
    assert (code, "Traceback" in text) == (1, False)
    assert "must be a directory this process may write" in text


@pytest.mark.parametrize("size_limit_bytes", [0, 4096, 20_000])
def test_a_disk_without_space_at_the_start_is_refused_with_a_sentence(tmp_path: Path, size_limit_bytes: int) -> None:
    ended = subprocess.run(
        ["prlimit", f"--fsize={size_limit_bytes}", *command("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path))],
        capture_output=True, timeout=PATIENCE_S, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert b"Traceback" not in ended.stderr
    assert b"cannot be " in ended.stderr
    again = SchedulerProcess(tmp_path)  # with space it starts on what was left behind
    assert again.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("url", "exit_code", "sentence"),
    [
        ("postgresql://xip:secret@127.0.0.1:1/xip", 2, "must not carry a password"),
        ("postgresql://xip@127.0.0.1:1/xip", 1, "the database must be reachable at the start"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_with_one_line_and_without_its_password(
    tmp_path: Path, url: str, exit_code: int, sentence: str
) -> None:
    code, text = refused("--listen", "127.0.0.1:0", "--data-dir", str(tmp_path), "--store", url)
    assert (code, text.count("\n"), sentence in text, "secret" in text) == (exit_code, 1, True, False)


def test_a_port_file_that_cannot_be_written_ends_the_scheduler_with_a_sentence(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path / "data"), "--port-file", str(tmp_path / "absent" / "port"))
    code, text = refused("--listen", "127.0.0.1:0", *options)
    assert (code, "Traceback" in text) == (1, False)
    assert "must be writable" in text


def test_an_address_other_machines_reach_needs_to_be_asked_for(tmp_path: Path) -> None:
    code, text = refused("--listen", "0.0.0.0:0", "--data-dir", str(tmp_path))
    assert (code, "--insecure" in text) == (2, True)


async def test_a_disk_that_refuses_a_commit_ends_the_process_and_the_restart_has_all_that_was_said(
    tmp_path: Path, open_channel: OpenChannel
) -> None:
    limit = ("prlimit", f"--fsize={400_000}")  # the journal cannot grow beyond; writes fail with EFBIG
    scheduler = SchedulerProcess(tmp_path, prefix=limit)
    channel = open_channel(scheduler.address)
    await run_pb2_grpc.RunServiceStub(channel).SubmitRun(probe_request(100))
    acknowledged = 0
    async with ProtocolWorker(channel) as worker:
        with contextlib.suppress(grpc.aio.AioRpcError):
            while acknowledged < 100:
                result = a_result(await worker.lease())
                result.output = os.urandom(50_000)
                await worker.until_acknowledged(await worker.report(result))
                acknowledged += 1
    assert scheduler.wait() == 1
    assert 0 < acknowledged < 100
    again = SchedulerProcess(tmp_path)
    run = (await run_pb2_grpc.RunServiceStub(open_channel(again.address)).SubmitRun(probe_request(100))).run
    assert run.cells_done == acknowledged
    assert again.end(signal.SIGTERM) == 0


def test_the_port_file_and_the_metrics_endpoint_serve_those_who_wait(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    metrics_port = _free_port()
    scheduler = SchedulerProcess(
        tmp_path / "data", "--port-file", str(port_file), "--metrics-port", str(metrics_port)
    )
    assert int(port_file.read_text()) == scheduler.port
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
    for name in ("xip_scheduler_runs_live 0.0", "xip_scheduler_tiles_recorded_total 0.0", "xip_scheduler_term 1.0"):
        assert name in text
    assert "process_resident_memory_bytes" in text
    assert scheduler.end(signal.SIGTERM) == 0


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
