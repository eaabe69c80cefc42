"""xip_core.client.sync: the same client without an event loop."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.core.client.server import BOOK, MARKET, PV, SCENARIOS, ScriptedScheduler, ServerThread
from xip_core.client import connect, connect_sync
from xip_core.client.sync import SyncClient
from xip_core.errors import NotFoundError, RequestError
from xip_core.model.result import RunState
from xip_core.model.run_spec import ProbeWork, RunSpec

REPOSITORY = Path(__file__).parents[3]


def test_a_run_goes_from_submission_to_numbers_without_a_loop():
    with ServerThread(ScriptedScheduler()) as server, connect(server.address) as client:
        run = client.submit(BOOK, MARKET, SCENARIOS, request_id="q")
        assert client.run(run.run_id) == run
        assert [state.state for state in client.watch(run.run_id)] == [RunState.RUNNING, run.state]
        assert [block.cursor for block in client.stream_results(run.run_id, cursor=20)] == [30, 40]
        assert np.array_equal(client.results(run.run_id).to_numpy().pv, PV, equal_nan=True)
        assert [one.run_id for one in client.runs()] == [run.run_id]
        assert [worker.worker_id for worker in client.workers()] == ["w1"]
        assert client.blob(client.upload(BOOK)[0]) == BOOK
        assert len(client.quarantine(run.run_id)) == 1
        assert client.wait(client.submit_spec(RunSpec("p", ProbeWork("probe.noop", 1))).run_id).name == "p"
        assert client.pause(run.run_id).is_paused
        assert not client.resume(run.run_id).is_paused
        assert client.cancel(run.run_id).state is RunState.CANCELLED
        assert client.retry(run.run_id).retry_of == run.run_id


def test_it_works_where_a_loop_already_runs():
    import asyncio

    async def notebook(address: str) -> int:
        with connect_sync(address) as client:
            return len(client.workers())

    with ServerThread(ScriptedScheduler()) as server:
        assert asyncio.run(notebook(server.address)) == 1


def test_a_stream_left_early_is_closed():
    with ServerThread(ScriptedScheduler()) as server, connect_sync(server.address) as client:
        run = client.submit_spec(RunSpec("p", ProbeWork("probe.noop", 1)))
        for block in client.stream_results(run.run_id):
            assert block.cursor == 10
            break
        assert client.run(run.run_id).run_id == run.run_id


def test_errors_are_those_of_the_asynchronous_client():
    with (
        ServerThread(ScriptedScheduler()) as server,
        connect_sync(server.address) as client,
        pytest.raises(NotFoundError, match="'r9'"),
    ):
        client.run("r9")


def test_closing_ends_its_thread():
    before = threading.active_count()
    with ServerThread(ScriptedScheduler()) as server:
        client = connect_sync(server.address)
        client.workers()
        client.close()
        client.close()
        assert "xip-client" not in [thread.name for thread in threading.enumerate()]
    assert threading.active_count() <= before + 1  # grpc keeps one poller thread for the process


CARELESS = """
import sys
from tests.core.client.server import BOOK, MARKET, SCENARIOS
from xip_core.client import connect, connect_sync

with connect(sys.argv[1]) as client:
    run = client.submit(BOOK, MARKET, SCENARIOS)
    for block in client.stream_results(run.run_id):
        break
    dropped = client.stream_results(run.run_id)
    next(dropped)
    del dropped
    outlives = client.stream_results(run.run_id)
    next(outlives)
    watched = client.watch(run.run_id)
    next(watched)
del outlives
never_closed = connect_sync(sys.argv[1])
held = never_closed.stream_results(run.run_id)
next(held)
print("end")
"""


def test_iterators_and_clients_left_anyhow_leave_no_noise():
    """Dropped, broken out of, alive after close, never closed: stderr stays empty, even in asyncio's debug mode."""
    with ServerThread(ScriptedScheduler()) as server:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", CARELESS, server.address],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=REPOSITORY,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_a_stream_held_by_the_server_ends_when_the_client_is_closed():
    script = ScriptedScheduler()
    script.hold_after = [10]
    with ServerThread(script) as server:
        client = connect_sync(server.address)
        run = client.submit_spec(RunSpec("p", ProbeWork("probe.noop", 1)))
        blocks = client.stream_results(run.run_id)
        assert next(blocks).cursor == 10
        client.close()
        with pytest.raises(RequestError, match="connect again") as refused:
            next(blocks)
    assert refused.value.reason == "CLIENT_CLOSED"


def test_ctrl_c_ends_a_waiting_iterator_and_the_client_goes_on():
    script = ScriptedScheduler()
    script.hold_after = [10]
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)  # the signal of the timer acts as Ctrl-C
    try:
        with ServerThread(script) as server, connect(server.address) as client:
            run = client.submit_spec(RunSpec("p", ProbeWork("probe.noop", 1)))
            blocks = client.stream_results(run.run_id)
            assert next(blocks).cursor == 10
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                next(blocks)
            assert list(blocks) == []
            assert client.run(run.run_id).run_id == run.run_id
    finally:
        signal.signal(signal.SIGALRM, before)


def test_every_call_is_documented():
    calls = [call for name, call in vars(SyncClient).items() if not name.startswith("_")]
    assert len(calls) > 10
    assert all(call.__doc__ for call in calls)


def test_a_call_after_closing_is_one_sentence():
    client = connect_sync("127.0.0.1:1")
    client.close()
    with pytest.raises(RequestError, match="before the client is closed"):
        client.workers()
