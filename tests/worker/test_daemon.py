"""`xip_worker.daemon` and `xip_worker.connection` against a scripted scheduler over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.worker.builders import (
    ScriptedEvaluator,
    a_daemon,
    a_plan,
    a_value,
    a_wire_lease,
    until_cancelled,
)
from tests.worker.scripted_scheduler import ScriptedScheduler
from xip_core.errors import CellError, FailureReason
from xip_core.graph.plan import InputRef, NodeKind
from xip_core.pricing.tile import QuarantinedCells, TileData, TileValue
from xip_core.wire.convert import decode_block, encode_block
from xip_core.wire.v1 import worker_pb2
from xip_worker.executor import TILE_BYTES_MAX


@pytest.fixture
async def scheduler() -> AsyncIterator[ScriptedScheduler]:
    async with ScriptedScheduler() as scripted:
        yield scripted


async def begun(evaluator: ScriptedEvaluator) -> None:
    """Wait until one more tile has begun."""
    assert await asyncio.to_thread(evaluator.begun.acquire, timeout=PATIENCE_S)


async def ended(running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await running


async def test_greeting_says_who_the_worker_is(scheduler: ScriptedScheduler) -> None:
    async with a_daemon(scheduler.address, slot_count=3):
        _, hello = await scheduler.attached()
    assert (hello.worker_id, hello.slot_count, hello.cpu_level) == ("worker-1", 3, "v3")
    assert (hello.host, hello.pid) == ("here", 7)
    assert {kernel.name: kernel.version for kernel in hello.kernels} == {"black.european": "1", "fx.european": "2"}
    assert list(hello.held) == []


async def test_pricing_is_imported_after_the_first_welcome(scheduler: ScriptedScheduler) -> None:
    evaluator = ScriptedEvaluator()
    async with a_daemon(scheduler.address, evaluator):
        await scheduler.attached()
        assert await asyncio.to_thread(evaluator.warmed_up.wait, PATIENCE_S)


async def test_each_tile_of_a_lease_is_answered_with_its_blocks(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 2, 5))
        results, failures = await stream.results(3)
    assert failures == []
    assert [(r.epoch, r.tile_begin, r.tile_end) for r in results] == [(7, 2, 3), (7, 3, 4), (7, 4, 5)]
    assert decode_block(results[1].output)["sum"].tolist() == [3.0]
    assert decode_block(results[1].detail)["pv"].tolist() == [3.0, 3.0, 3.0]
    assert results[1].cell_count == 3
    assert results[1].elapsed_ns > 0


async def test_a_finished_tile_leaves_while_its_lease_still_runs(scheduler: ScriptedScheduler) -> None:
    def first_tile_only(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        return a_value(tile) if tile == 0 else until_cancelled(tile, data, is_cancelled)  # type: ignore[arg-type]  # a Behaviour's callable

    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address, ScriptedEvaluator(first_tile_only)):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 9))
        message = await stream.next("results")
        assert [result.tile_begin for result in message.results] == [0]
        await stream.revoke(7)


async def test_a_noop_lease_is_one_result_whatever_its_length(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_plan(a_plan(NodeKind.PROBE, "probe.noop", tile_count=1_000_000))
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 1_000_000))
        message = await stream.next("results")
    (result,) = message.results
    assert (result.epoch, result.tile_begin, result.tile_end, result.cell_count) == (7, 0, 1_000_000, 1_000_000)


async def test_many_one_tile_leases_share_messages(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_plan(a_plan(NodeKind.PROBE, "probe.noop", tile_count=5_000))
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(1, digest, 0, 1))
        await stream.results(1)
        await stream.lease(*[a_wire_lease(epoch, digest, epoch, epoch + 1) for epoch in range(2, 2_002)])
        done = message_count = 0
        while done < 2_000:
            message = await stream.next("results")
            done += len(message.results)
            message_count += 1
        assert message_count < 200


async def test_a_poisonous_tile_fails_alone_with_its_sentence(scheduler: ScriptedScheduler) -> None:
    def poisonous(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        if tile == 1:
            raise ZeroDivisionError("float division by zero")
        if tile == 2:
            raise CellError(FailureReason.MISSING_DATA, "curve EUR-OIS is not in the snapshot")
        return a_value(tile)

    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address, ScriptedEvaluator(poisonous)):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 4))
        results, failures = await stream.results(4)
    assert [result.tile_begin for result in results] == [0, 3]
    assert [(failure.epoch, failure.tile, failure.reason, failure.message) for failure in failures] == [
        (7, 1, FailureReason.EVALUATION_FAILED, "ZeroDivisionError: float division by zero"),
        (7, 2, FailureReason.MISSING_DATA, "curve EUR-OIS is not in the snapshot"),
    ]


async def test_a_lease_whose_plan_is_unknown_fails_every_tile_and_says_why(scheduler: ScriptedScheduler) -> None:
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, bytes(32), 0, 2))
        _, failures = await stream.results(2)
    assert [failure.tile for failure in failures] == [0, 1]
    assert "is not here" in failures[0].message


async def test_quarantined_cells_travel_with_their_tile(scheduler: ScriptedScheduler) -> None:
    cells = QuarantinedCells(4, 0, 251, "T4", FailureReason.EXPIRED, "no cash flow left")

    def quarantining(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        return TileValue({"sum": np.zeros(1)}, {}, 251, (cells,))

    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address, ScriptedEvaluator(quarantining)):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest))
        results, _ = await stream.results(1)
    (sent,) = results[0].quarantine
    assert (sent.row, sent.scenario_begin, sent.scenario_end, sent.trade_id, sent.reason, sent.message) == (
        4,
        0,
        251,
        "T4",
        FailureReason.EXPIRED,
        "no cash flow left",
    )


async def test_a_revoked_lease_stops_inside_its_tile_and_the_next_one_runs(scheduler: ScriptedScheduler) -> None:
    def slow_first(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        return until_cancelled(tile, data, is_cancelled) if tile == 0 else a_value(tile)  # type: ignore[arg-type]  # a Behaviour's callable

    digest = scheduler.put_plan(a_plan())
    evaluator = ScriptedEvaluator(slow_first)
    async with a_daemon(scheduler.address, evaluator):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 3), a_wire_lease(8, digest, 5, 6))
        await begun(evaluator)
        await stream.revoke(7)
        results, _ = await stream.results(1)
    assert [(result.epoch, result.tile_begin) for result in results] == [(8, 5)]


async def test_heartbeats_carry_progress_at_the_interval_of_the_welcome(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_plan(a_plan())
    evaluator = ScriptedEvaluator(until_cancelled)
    async with a_daemon(scheduler.address, evaluator):
        stream, _ = await scheduler.attached(heartbeat_interval_s=0.01)
        await stream.lease(a_wire_lease(7, digest, 0, 3), a_wire_lease(8, digest, 3, 6))
        await begun(evaluator)
        heartbeat = await stream.next("heartbeat")
        while not heartbeat.leases:
            heartbeat = await stream.next("heartbeat")
        assert [(progress.epoch, progress.tiles_done) for progress in heartbeat.leases] == [(7, 0), (8, 0)]
        assert heartbeat.memory_bytes > 10_000_000
        await stream.revoke(7, 8)


async def test_after_a_scheduler_restart_held_leases_are_presented_and_results_offered_again(
    scheduler: ScriptedScheduler,
) -> None:
    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 2))
        first = await stream.next("results")
        await scheduler.stop()  # nothing was acknowledged
        await scheduler.start()
        stream, hello = await scheduler.attached()
        assert [(lease.epoch, lease.tile_begin, lease.tile_end) for lease in hello.held] == [(7, 0, 2)]
        results, _ = await stream.results(2)
    assert sorted(result.tile_begin for result in results) == [0, 1]
    assert first.results[0].SerializeToString() in [result.SerializeToString() for result in results]


async def test_evaluation_goes_on_while_the_scheduler_is_away(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_plan(a_plan())
    evaluator = ScriptedEvaluator()
    async with a_daemon(scheduler.address, evaluator):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 1))
        await stream.results(1)
        await stream.lease(*[a_wire_lease(epoch, digest, epoch, epoch + 1) for epoch in range(8, 12)])
        await begun(evaluator)
        await begun(evaluator)
        await scheduler.stop()
        for _ in range(3):
            await begun(evaluator)
        await scheduler.start()
        stream, hello = await scheduler.attached()
        results, _ = await stream.results(4)
    assert [lease.epoch for lease in hello.held] == [8, 9, 10, 11]
    assert [result.epoch for result in results] == [8, 9, 10, 11]


async def test_drain_hands_back_what_has_not_begun_and_leaves_after_the_last_acknowledgement(
    scheduler: ScriptedScheduler,
) -> None:
    digest = scheduler.put_plan(a_plan())
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def gated(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(PATIENCE_S)
        return a_value(tile)

    evaluator = ScriptedEvaluator(gated)
    async with a_daemon(scheduler.address, evaluator) as (daemon, running):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 1), a_wire_lease(8, digest, 1, 2))
        await begun(evaluator)
        daemon.drain("test")
        assert (await stream.next("drain")).reason == "test"
        returned = await stream.next("results")
        assert list(returned.returned_epochs) == [8]
        gate.set()
        last = await stream.next("results")
        assert [result.epoch for result in last.results] == [7]
        assert not running.done()
        await stream.acknowledge(last.sequence)
        assert await stream.said_goodbye()
        stream.close()
        await ended(running)


async def test_a_drain_whose_grace_is_over_stops_the_running_lease_and_hands_it_back(
    scheduler: ScriptedScheduler,
) -> None:
    digest = scheduler.put_plan(a_plan())
    evaluator = ScriptedEvaluator(until_cancelled)
    async with a_daemon(scheduler.address, evaluator, drain_grace_s=0.05) as (daemon, running):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 9))
        await begun(evaluator)
        daemon.drain("test")
        await stream.next("drain")
        returned = await stream.next("results")
        assert list(returned.returned_epochs) == [7]
        await stream.acknowledge(returned.sequence)
        assert await stream.said_goodbye()
        stream.close()
        await ended(running)


async def test_an_idle_worker_without_a_scheduler_leaves_at_once_when_drained() -> None:
    scheduler = ScriptedScheduler()
    async with scheduler:
        pass  # its port is closed again
    async with a_daemon(scheduler.address) as (daemon, running):
        daemon.drain("test")
        await ended(running)


async def test_a_blob_two_slots_need_at_once_is_downloaded_once(scheduler: ScriptedScheduler) -> None:
    book = scheduler.put_blob(b"a book").hex()

    def reading(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        assert data.blob(book) == b"a book"
        return a_value(tile)

    digest = scheduler.put_plan(a_plan())
    evaluator = ScriptedEvaluator(reading)
    async with a_daemon(scheduler.address, evaluator, slot_count=2):
        stream, _ = await scheduler.attached()
        scheduler.download_gate.clear()
        await stream.lease(a_wire_lease(7, digest, 0, 1), a_wire_lease(8, digest, 1, 2))
        async with asyncio.timeout(PATIENCE_S):
            await scheduler.download_started.wait()
        scheduler.download_gate.set()
        await stream.results(2)
    assert scheduler.downloads == {book: 1, digest.hex(): 1}


async def test_a_reduce_tile_fetches_all_its_inputs_in_one_stream(scheduler: ScriptedScheduler) -> None:
    def adding(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        total = sum(data.output(0, index)["sum"] for index in range(40))
        return TileValue({"sum": np.asarray(total)}, {}, 1)

    for tile in range(40):
        scheduler.outputs["run-1", 0, tile] = encode_block({"sum": np.array([float(tile)])})
    digest = scheduler.put_plan(a_plan(NodeKind.REDUCE, inputs=(InputRef(0),), input_tile_count=40))
    async with a_daemon(scheduler.address, ScriptedEvaluator(adding)):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest))
        results, _ = await stream.results(1)
    assert decode_block(results[0].output)["sum"].tolist() == [780.0]
    assert scheduler.ranges == [("run-1", 0, 0, 40)]


async def test_what_a_worker_computed_itself_it_does_not_download(scheduler: ScriptedScheduler) -> None:
    def by_node(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        return a_value(tile)

    digest = scheduler.put_plan(a_plan(tile_count=3))
    evaluator = ScriptedEvaluator(by_node)
    async with a_daemon(scheduler.address, evaluator):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 3))
        await stream.results(3)
        evaluator._behaviour = lambda tile, data, is_cancelled: TileValue(data.output(1, 2), {}, 1)
        await stream.lease(worker_pb2.Lease(epoch=8, run_id="run-1", node_id=2, tile_end=1, plan_digest=digest))
        results, _ = await stream.results(1)
    assert decode_block(results[0].output)["sum"].tolist() == [2.0]
    assert scheduler.ranges == []


async def test_a_download_outlives_an_outage(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_plan(a_plan())
    scheduler.download_errors = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN]
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest))
        results, failures = await stream.results(1)
    assert (len(results), failures) == (1, [])
    assert scheduler.downloads == {digest.hex(): 3}


@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_restart_in_the_middle_of_a_download_fails_no_tile(
    scheduler: ScriptedScheduler, is_killed: bool
) -> None:
    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        scheduler.download_gate.clear()
        await stream.lease(a_wire_lease(7, digest))
        async with asyncio.timeout(PATIENCE_S):
            await scheduler.download_started.wait()
        if is_killed:
            await scheduler.stop()
            await scheduler.start()
        else:
            stream.close()  # the stream ends while the download goes on
        stream, hello = await scheduler.attached()
        scheduler.download_gate.set()
        results, failures = await stream.results(1)
    assert [lease.epoch for lease in hello.held] == [7]
    assert (len(results), failures) == (1, [])


async def test_bytes_with_another_digest_are_refused(scheduler: ScriptedScheduler) -> None:
    digest = scheduler.put_plan(a_plan())
    scheduler.blobs[digest.hex()] = a_plan(tile_count=1).encode()
    async with a_daemon(scheduler.address):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest))
        _, failures = await stream.results(1)
    assert f"blob {digest.hex()}" in failures[0].message
    assert "have digest" in failures[0].message


@pytest.mark.parametrize(("extra_bytes", "is_sent"), [(-200, True), (1, False)])
async def test_a_tile_as_large_as_a_message_travels_alone_and_a_larger_one_is_refused_with_its_size(
    scheduler: ScriptedScheduler, extra_bytes: int, is_sent: bool
) -> None:
    def heavy(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        return TileValue({"pv": np.zeros(TILE_BYTES_MAX + extra_bytes, np.uint8) if tile == 0 else np.zeros(1)}, {}, 1)

    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address, ScriptedEvaluator(heavy)):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, tile_end=2))
        results, failures = await stream.results(2)
    if is_sent:
        assert [len(result.output) > TILE_BYTES_MAX - 200 for result in results] == [True, False]
    else:
        assert f"must have at most {TILE_BYTES_MAX} bytes together, got 41" in failures[0].message
        assert [result.tile_begin for result in results] == [1]


async def test_a_slot_that_ends_by_a_bug_ends_the_worker_so_that_its_leases_go_elsewhere(
    scheduler: ScriptedScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("a bug of the worker's own")

    monkeypatch.setattr("xip_worker.executor._SlotRun.evaluate", broken)
    digest = scheduler.put_plan(a_plan())
    async with a_daemon(scheduler.address) as (_, running):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, digest, 0, 2))
        with pytest.raises(RuntimeError, match="a slot ended by LookupError"):
            await ended(running)
