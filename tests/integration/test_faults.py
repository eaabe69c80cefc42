"""Workers die, join and leave, the scheduler is killed: the numbers of the sample stay the same to the byte.

The undisturbed run on one worker with one slot is the measure for all of them.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster import START_LIMIT_S
from tests.integration.cluster_run import (
    RUN_LIMIT_S,
    assert_same_bytes,
    has_done,
    kept,
    numbers_of,
    start_scheduler,
    start_sparing_worker,
    start_worker,
    submit_sample,
    watch_until,
)
from tests.postgres.cluster import SchedulerDaemon
from xip_core import samples
from xip_core.client import connect_sync
from xip_core.client.results import RunNumbers
from xip_core.model.result import RunState
from xip_core.model.run_spec import ProbeWork, RunSpec
from xip_scheduler.store.postgres_session import DatabaseAddress
from xip_scheduler.store.sqlite import SqliteStore


@pytest.fixture
def daemons() -> Iterator[contextlib.ExitStack]:
    """Whatever is started in a test is gone after it."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunNumbers:
    with contextlib.ExitStack() as stack:
        scheduler, address = start_scheduler(tmp_path_factory.mktemp("undisturbed"))
        kept(stack, scheduler)
        kept(stack, start_worker(address))
        with connect_sync(address) as client:
            run = submit_sample(client, "undisturbed")
        return numbers_of(address, run.run_id)


def test_the_sample_is_priced_whole(undisturbed: RunNumbers) -> None:
    assert len(undisturbed.trade_ids) == 2000
    assert undisturbed.pv.shape == (2000, 251)
    assert undisturbed.quarantine == ()
    assert undisturbed.totals is not None
    assert (undisturbed.totals.rows_used == undisturbed.totals.rows_expected).all()


def test_a_killed_worker_changes_no_number(
    tmp_path: Path, daemons: contextlib.ExitStack, undisturbed: RunNumbers
) -> None:
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    victim = kept(daemons, start_worker(address, slot_count=2))
    with connect_sync(address) as client:
        run = submit_sample(client, "kill-worker")
        watch_until(client, run.run_id, has_done(0.2))
        victim.kill()
        kept(daemons, start_worker(address, slot_count=2))
        assert client.wait(run.run_id, timeout_s=RUN_LIMIT_S).state is RunState.COMPLETED
    assert_same_bytes(numbers_of(address, run.run_id), undisturbed)


def test_blocks_that_were_not_sent_are_made_by_whoever_reads_them(
    tmp_path: Path, daemons: contextlib.ExitStack, undisturbed: RunNumbers
) -> None:
    """A second worker values other trades in the market that the first one calibrated and kept to itself."""
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    first = kept(daemons, start_sparing_worker(address))
    with connect_sync(address) as client:
        whole = submit_sample(client, "all trades")
        assert_same_bytes(numbers_of(address, whole.run_id), undisturbed)
        first.stop()
        kept(daemons, start_sparing_worker(address))
        sample = samples.load("cross-asset")
        book = b"\n".join(sample.book.splitlines()[:700:7])
        part = client.submit(book, sample.market, sample.scenarios, request_id="some trades")
        numbers = numbers_of(address, part.run_id)
        (calibrate,) = (node for node in client.run(part.run_id).nodes if node.name == "calibrate")
    assert numbers.pv.tobytes() == undisturbed.pv[:700:7].tobytes()
    assert calibrate.tiles_reused == calibrate.tile_count > 1, "nothing of it was leased in the second run"
    scheduler.stop()
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        for run in (whole, part):
            assert set(store.outputs(run.run_id, calibrate.node_id, 0, calibrate.tile_count, 1 << 20)) == {b""}


def test_a_killed_scheduler_resumes_the_run_from_its_data_directory(
    tmp_path: Path, daemons: contextlib.ExitStack, undisturbed: RunNumbers
) -> None:
    first, address = start_scheduler(tmp_path)
    kept(daemons, first)
    kept(daemons, start_worker(address, slot_count=2))
    with connect_sync(address) as client:
        run = submit_sample(client, "kill-scheduler")
        done_before = watch_until(client, run.run_id, has_done(0.2)).cells_done
    first.kill()
    second, _ = start_scheduler(tmp_path, port=int(address.rpartition(":")[2]))
    kept(daemons, second)
    with connect_sync(address) as client:
        assert client.run(run.run_id).cells_done >= done_before, "a finished tile was lost"
        assert submit_sample(client, "kill-scheduler").run_id == run.run_id, "the request id was forgotten"
        assert client.wait(run.run_id, timeout_s=RUN_LIMIT_S).state is RunState.COMPLETED
    assert_same_bytes(numbers_of(address, run.run_id), undisturbed)


def test_workers_join_and_leave_during_a_run(
    tmp_path: Path, daemons: contextlib.ExitStack, undisturbed: RunNumbers
) -> None:
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    leaver = kept(daemons, start_worker(address))
    with connect_sync(address) as client:
        run = submit_sample(client, "join-and-leave")
        watch_until(client, run.run_id, has_done(0.1))
        kept(daemons, start_worker(address))
        assert leaver.terminate() == 0, "\n".join(leaver.lines)
        kept(daemons, start_worker(address))
        assert client.wait(run.run_id, timeout_s=RUN_LIMIT_S).state is RunState.COMPLETED
    assert_same_bytes(numbers_of(address, run.run_id), undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("worker_count", [2, 8])
def test_the_number_of_workers_changes_no_number(
    worker_count: int, tmp_path: Path, daemons: contextlib.ExitStack, undisturbed: RunNumbers
) -> None:
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    for worker in [kept(daemons, start_worker(address)) for _ in range(worker_count)]:
        worker.wait_for_log("attached")
    with connect_sync(address) as client:
        run = submit_sample(client, f"on-{worker_count}")
        assert client.wait(run.run_id, timeout_s=RUN_LIMIT_S).state is RunState.COMPLETED
    assert_same_bytes(numbers_of(address, run.run_id), undisturbed)


def test_a_cancelled_run_stays_cancelled_and_frees_the_workers(tmp_path: Path, daemons: contextlib.ExitStack) -> None:
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    kept(daemons, start_worker(address))
    with connect_sync(address) as client:
        longer_than_any_test = ProbeWork("probe.spin", 1_000_000, tile_duration_s=0.01)
        cancelled = client.submit_spec(RunSpec("cancelled", longer_than_any_test))
        watch_until(client, cancelled.run_id, lambda run: run.cells_done > 0)
        assert client.cancel(cancelled.run_id, "not needed").state is RunState.CANCELLED
        after = submit_sample(client, "after")
        assert client.wait(after.run_id, timeout_s=RUN_LIMIT_S).state is RunState.COMPLETED
        assert client.run(cancelled.run_id).state is RunState.CANCELLED


def test_scheduler_and_worker_told_to_stop_in_the_same_moment_end_in_order_and_the_run_goes_on(
    tmp_path: Path, daemons: contextlib.ExitStack, undisturbed: RunNumbers
) -> None:
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    worker = kept(daemons, start_worker(address, slot_count=2))
    with connect_sync(address) as client:
        run = submit_sample(client, "both-stop")
        watch_until(client, run.run_id, has_done(0.2))
    for daemon in (scheduler, worker):
        daemon.process.send_signal(signal.SIGTERM)
    assert scheduler.process.wait(timeout=START_LIMIT_S) == 0
    assert worker.process.wait(timeout=START_LIMIT_S) == 0
    again, _ = start_scheduler(tmp_path, port=int(address.rpartition(":")[2]))
    kept(daemons, again)
    kept(daemons, start_worker(address))
    with connect_sync(address) as client:
        assert client.wait(run.run_id, timeout_s=RUN_LIMIT_S).state is RunState.COMPLETED
    assert_same_bytes(numbers_of(address, run.run_id), undisturbed)


@pytest.mark.long
def test_a_standby_that_takes_over_inside_a_run_changes_no_number(
    tmp_path: Path, daemons: contextlib.ExitStack, undisturbed: RunNumbers, database: DatabaseAddress
) -> None:
    """The leader stands still: its connections stay open and silent, which is worse than their end. Worker and client
    know both addresses, and nothing else is told to anybody."""
    leader = SchedulerDaemon(database, tmp_path / "leader")
    kept(daemons, leader)
    leader.until_serving()
    standby = SchedulerDaemon(database, tmp_path / "standby")
    kept(daemons, standby)
    addresses = f"{standby.address},{leader.address}"
    kept(daemons, start_worker(addresses))
    with connect_sync(addresses) as client:
        run = submit_sample(client, "takeover")
        watch_until(client, run.run_id, has_done(0.2))
        leader.process.send_signal(signal.SIGSTOP)
        finished = client.wait(run.run_id, timeout_s=RUN_LIMIT_S)
    assert finished.state is RunState.COMPLETED
    assert standby.until_serving() == 2
    leader.process.send_signal(signal.SIGCONT)
    assert leader.exit_code() == 1, "\n".join(leader.lines)
    assert_same_bytes(numbers_of(addresses, run.run_id), undisturbed)
