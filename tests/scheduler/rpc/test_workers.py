"""The stream of a worker under what happens to streams: re-attached early, doubled, never read, cut half-way."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from tests.patience import PATIENCE_S
from tests.scheduler.rpc.conftest import Serve, Served
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from xip_core.kernel_versions import announced
from xip_core.wire.v1 import common_pb2, run_pb2, worker_pb2
from xip_scheduler.rpc import worker_service
from xip_scheduler.settings import Settings
from xip_scheduler.store.protocol import Batch


async def run_of(served: Served, run_id: str) -> run_pb2.Run:
    return (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run


async def worker_of(served: Served, worker_id: str) -> worker_pb2.Worker | None:
    response = await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())
    return next((worker for worker in response.workers if worker.worker_id == worker_id), None)


async def test_a_run_whose_kernel_nobody_has_waits_and_says_which(served: Served) -> None:
    old = announced() | {"probe.noop": "0"}
    async with ProtocolWorker(served.channel, "old", kernels=old):
        run = await served.submit(tile_count=1)
        waiting = await run_of(served, run.run_id)
        assert waiting.state == run_pb2.RUN_STATE_RUNNING
        assert "probe.noop@1" in waiting.message
        async with ProtocolWorker(served.channel, "new") as new:
            await new.work_off(1)
        finished = await run_of(served, run.run_id)
        assert (finished.state, finished.message) == (run_pb2.RUN_STATE_COMPLETED, "")
        assert dict(finished.nodes[0].kernels) == {"probe.noop": "1"}


async def test_cells_quarantined_after_a_reconnect_are_counted_whatever_is_handled_first(
    serve: Serve, settings: Settings
) -> None:
    """The results are on the wire before the scheduler has looked at the attachment they follow."""
    served = serve(settings)
    run = await served.submit(tile_count=1)
    async with ProtocolWorker(served.channel) as worker:
        lease = await worker.lease()
        result = a_result(lease)
        result.quarantine.add(row=0, scenario_begin=0, scenario_end=1, reason=common_pb2.FAILURE_REASON_NUMERICAL)
    await served.close()
    served = serve(settings)
    worker = ProtocolWorker(served.channel)
    async with await worker.attach_and_report([lease], result):
        await worker.until_acknowledged(1)
    finished = await run_of(served, run.run_id)
    assert (finished.state, finished.cells_done, finished.cells_quarantined) == (
        run_pb2.RUN_STATE_COMPLETED_WITH_QUARANTINE, 1, 1,
    )  # fmt: skip


async def test_a_result_cut_off_by_the_end_of_the_scheduler_is_recorded_once_when_offered_again(
    serve: Serve, settings: Settings
) -> None:
    served = serve(settings)
    run = await served.submit(tile_count=2)
    async with ProtocolWorker(served.channel) as worker:
        first = await worker.lease()
        second = await worker.lease()
        await worker.until_acknowledged(await worker.report(a_result(first, detail=True)))
        await worker.report(a_result(second, detail=True))  # whether it is recorded is not known here
        await served.close()
    served = serve(settings)
    worker = ProtocolWorker(served.channel)
    again = [a_result(lease, detail=True) for lease in (first, second)]
    async with await worker.attach_and_report([first, second], *again):
        await worker.until_acknowledged(1)
    request = run_pb2.StreamResultsRequest(run_id=run.run_id)
    assert sorted([response.tile async for response in served.runs.StreamResults(request)]) == [0, 1]
    assert (await run_of(served, run.run_id)).state == run_pb2.RUN_STATE_COMPLETED


async def test_a_tile_as_large_as_a_message_passes_every_hop(served: Served) -> None:
    run = await served.submit(tile_count=1)
    half = ((4 << 20) - (64 << 10)) // 2
    async with ProtocolWorker(served.channel) as worker:
        lease = await worker.lease()
        result = worker_pb2.TileResult(epoch=lease.epoch, tile_end=1, cell_count=1, detail=b"d" * (2 * half))
        await worker.until_acknowledged(await worker.report(result))
    request = run_pb2.StreamResultsRequest(run_id=run.run_id)
    assert [len(response.block) async for response in served.runs.StreamResults(request)] == [2 * half]


async def test_an_older_stream_of_a_worker_can_neither_drain_it_nor_speak_for_it(served: Served) -> None:
    """A half-open stream, or a second machine started from the same image."""
    async with ProtocolWorker(served.channel, "twin") as older, ProtocolWorker(served.channel, "twin") as newer:
        await older.send(drain=worker_pb2.Drain(reason="not me"))
        await older.send(heartbeat=worker_pb2.Heartbeat(memory_bytes=12345))
        await older.until_acknowledged(await older.report())  # so both have been read
        twin = await worker_of(served, "twin")
        assert twin is not None
        assert (twin.draining, twin.memory_bytes) == (False, 0)
        await served.submit(tile_count=1)
        await newer.work_off(1)


async def test_the_end_of_the_newest_stream_makes_an_older_one_attach_again(served: Served) -> None:
    async with ProtocolWorker(served.channel, "twin") as older:
        async with ProtocolWorker(served.channel, "twin"):
            pass
        assert await asyncio.wait_for(older.call.code(), PATIENCE_S) == grpc.StatusCode.UNAVAILABLE


async def test_a_stream_that_cannot_be_written_is_ended_so_that_the_worker_hears_of_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ProtocolWorker(served.channel) as worker:

        def broken(self: object) -> list[object]:
            raise ValueError("cannot be serialized")

        monkeypatch.setattr(worker_service.WorkerConnection, "_take", broken)
        await worker.report()
        assert await asyncio.wait_for(worker.call.code(), PATIENCE_S) == grpc.StatusCode.UNAVAILABLE


async def test_the_end_of_an_older_stream_takes_nothing_from_the_newer_one(served: Served) -> None:
    run = await served.submit(tile_count=1)
    async with ProtocolWorker(served.channel, "w") as older:
        lease = await older.lease()
        newer = ProtocolWorker(served.channel, "w")
        await newer.attach([lease])
        older.call.cancel()
        while len(served.scheduler._workers._connections) > 1:
            await asyncio.wait_for(asyncio.shield(asyncio.create_task(worker_of(served, "w"))), PATIENCE_S)
        await newer.until_acknowledged(await newer.report(a_result(lease)))
        assert (await run_of(served, run.run_id)).state == run_pb2.RUN_STATE_COMPLETED
        newer.call.cancel()


async def test_heartbeats_that_name_strange_leases_pile_nothing_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_service, "REVOKED_WAITING_MAX", 100)
    async with ProtocolWorker(served.channel, "odd") as worker:
        for begin in range(0, 1_000, 50):
            leases = [worker_pb2.LeaseProgress(epoch=1 << 40 | begin + number) for number in range(50)]
            await worker.send(heartbeat=worker_pb2.Heartbeat(leases=leases))
        await worker.until_acknowledged(await worker.report())
        [connection] = served.scheduler._workers._connections.values()
        assert len(connection._revoked) <= 100


async def test_a_cancel_that_comes_during_a_commit_keeps_what_was_before_it_and_refuses_the_rest(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await served.submit(tile_count=3)
    store, entered, go = served.scheduler._store, asyncio.Event(), asyncio.Event()
    commit = store.commit

    async def slow(batch: Batch) -> None:
        entered.set()
        await go.wait()
        await commit(batch)

    async with ProtocolWorker(served.channel) as worker:
        first, second = await worker.lease(), await worker.lease()
        monkeypatch.setattr(store, "commit", slow)
        await worker.report(a_result(first))
        await entered.wait()
        cancelling = asyncio.ensure_future(served.runs.CancelRun(run_pb2.CancelRunRequest(run_id=run.run_id)))
        while served.scheduler.driver._queries == [] and not cancelling.done():  # it waits until the commit is over
            await run_listed(served)
        assert not cancelling.done()
        go.set()
        cancelled = (await cancelling).run
        assert (cancelled.state, cancelled.cells_done) == (run_pb2.RUN_STATE_CANCELLED, 1)
        await worker.until_acknowledged(await worker.report(a_result(second)))
    after = await run_of(served, run.run_id)
    assert (after.state, after.cells_done, after.nodes[0].tiles_done) == (run_pb2.RUN_STATE_CANCELLED, 1, 1)


async def run_listed(served: Served) -> None:
    """A round trip that does not ask the core."""
    await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())


async def test_the_tail_of_a_lease_is_asked_back_and_leased_to_an_idle_worker(served: Served) -> None:
    slow_tiles = {"kernel": "probe.spin", "tile_duration_s": 0.05, "tiles_per_lease": 100}
    run = await served.submit(tile_count=100, **slow_tiles)
    async with ProtocolWorker(served.channel, "w1") as first:
        lease = await first.lease()
        begun = {"tile_begin": 0, "tile_end": 2, "cell_count": 2, "elapsed_ns": 100_000_000}
        await first.until_acknowledged(await first.report(worker_pb2.TileResult(epoch=lease.epoch, **begun)))
        async with ProtocolWorker(served.channel, "w2") as second:
            assert await first.until_trimmed(lease.epoch) == 51
            await first.report(kept=[worker_pb2.LeaseBound(epoch=lease.epoch, tile_end=60)])
            rest = await second.lease()
            assert (rest.tile_begin, rest.tile_end) == (60, 100)
            assert rest.epoch > lease.epoch
            assert [node.tiles_leased for node in (await run_of(served, run.run_id)).nodes] == [98]
            described = await worker_of(served, "w1")
            assert described is not None
            assert described.speed == pytest.approx(1.0)


async def test_a_kernel_that_workers_die_of_is_listed_with_counts_and_without_names(served: Served) -> None:
    run = await served.submit(tile_count=1000)
    assert not (await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())).breakers
    async with contextlib.AsyncExitStack() as dying:
        for name in ("a", "b", "c"):
            worker = await dying.enter_async_context(ProtocolWorker(served.channel, name))
            await worker.lease()
    async with asyncio.timeout(PATIENCE_S):
        while not (listed := (await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())).breakers):
            pass
    (breaker,) = listed
    assert (breaker.kernel, breaker.version, breaker.state) == ("probe.noop", "1", "guarded")
    assert breaker.reason == "3 workers died at tiles of it"
    (view,) = served.scheduler.core.breakers()
    assert run.run_id in view.reason, "the evidence names runs, so it is for operators"


async def test_many_results_are_acknowledged_before_their_time(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_service, "ACKNOWLEDGED_WITHIN_S", 1e9)
    monkeypatch.setattr(worker_service, "UNACKNOWLEDGED_BYTES_MAX", 20_000)
    await served.submit(tile_count=2)
    async with ProtocolWorker(served.channel) as worker:
        results = [a_result(await worker.lease()) for _ in range(2)]
        for result in results:
            result.detail = bytes(15_000)
        await worker.report(results[0])
        await worker.until_acknowledged(await worker.report(results[1]))


async def test_a_worker_that_drains_is_acknowledged_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_service, "ACKNOWLEDGED_WITHIN_S", 1e9)
    run = await served.submit(tile_count=1)
    async with ProtocolWorker(served.channel) as worker:
        sequence = await worker.report(a_result(await worker.lease()))
        while not (await run_of(served, run.run_id)).cells_done:
            pass  # when it says that it drains, all it sent is committed and nothing else is on its way to it
        await worker.send(drain=worker_pb2.Drain(reason="test"))
        await worker.until_acknowledged(sequence)
