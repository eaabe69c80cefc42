"""xip_scheduler.rpc: runs paused, resumed and retried over the wire, on a real store."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tests.scheduler.rpc.conftest import Serve, Served, probe_request
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.scheduler.rpc.test_runs import refusal, rest_of
from xip_core.wire.v1 import common_pb2, run_pb2, worker_pb2
from xip_scheduler.settings import Settings

FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


async def state_of(served: Served, run_id: str) -> run_pb2.Run:
    return (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run


async def pause(served: Served, run_id: str) -> run_pb2.Run:
    return (await served.runs.PauseRun(run_pb2.PauseRunRequest(run_id=run_id, reason="room"))).run


async def resume(served: Served, run_id: str) -> run_pb2.Run:
    return (await served.runs.ResumeRun(run_pb2.ResumeRunRequest(run_id=run_id))).run


async def cancel(served: Served, run_id: str) -> run_pb2.Run:
    return (await served.runs.CancelRun(run_pb2.CancelRunRequest(run_id=run_id))).run


async def retry(served: Served, run_id: str, request_id: str = "again") -> run_pb2.RetryRunResponse:
    return await served.runs.RetryRun(run_pb2.RetryRunRequest(request_id=request_id, run_id=run_id))


async def test_a_paused_run_finishes_what_runs_and_gets_nothing_until_it_is_resumed(served: Served) -> None:
    run = await served.submit(tile_count=2)
    async with ProtocolWorker(served.channel) as worker:
        running = await worker.lease()
        queued = await worker.lease()
        assert (await pause(served, run.run_id)).paused
        assert (await pause(served, run.run_id)).paused
        await worker.until_revoked(queued.epoch)
        await worker.until_acknowledged(await worker.report(a_result(running)))
        paused = await state_of(served, run.run_id)
        assert (paused.state, paused.cells_done, paused.nodes[0].tiles_leased) == (run_pb2.RUN_STATE_RUNNING, 1, 0)
        assert not (await resume(served, run.run_id)).paused
        await worker.work_off(1)
    assert (await state_of(served, run.run_id)).state == run_pb2.RUN_STATE_COMPLETED


async def test_watchers_see_the_pause(served: Served) -> None:
    run = await served.submit()
    watch: Any = served.runs.WatchRun(run_pb2.WatchRunRequest(run_id=run.run_id))
    assert not (await watch.read()).run.paused
    await pause(served, run.run_id)
    assert (await watch.read()).run.paused
    await resume(served, run.run_id)
    assert not (await watch.read()).run.paused
    await cancel(served, run.run_id)
    assert [response.run.state for response in await rest_of(watch)][-1] == run_pb2.RUN_STATE_CANCELLED


async def test_a_pause_survives_the_scheduler(serve: Serve, settings: Settings) -> None:
    served = serve(settings)
    run = await served.submit(tile_count=2)
    await pause(served, run.run_id)
    await served.close()
    served = serve(settings)
    async with ProtocolWorker(served.channel) as worker:
        assert (await state_of(served, run.run_id)).paused
        await resume(served, run.run_id)
        await worker.work_off(2)


async def test_a_final_run_stays_what_it_is(served: Served) -> None:
    run = await served.submit()
    await cancel(served, run.run_id)
    for changed in (await pause(served, run.run_id), await resume(served, run.run_id)):
        assert (changed.state, changed.paused) == (run_pb2.RUN_STATE_CANCELLED, False)


async def test_a_retry_takes_over_what_a_cancelled_run_recorded(serve: Serve, settings: Settings) -> None:
    """And survives a restart between; its results are streamed whole, those of the old run are still there."""
    served = serve(settings)
    run = await served.submit(tile_count=5)
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(2, detail=True)
        await cancel(served, run.run_id)
        before = await state_of(served, run.run_id)
        answer = await retry(served, run.run_id)
    assert (answer.created, answer.run.retry_of, answer.run.cells_done) == (True, run.run_id, 2)
    await served.close()
    served = serve(settings)
    async with ProtocolWorker(served.channel, worker_id="w2") as worker:
        await worker.work_off(3, detail=True)
        done = await state_of(served, answer.run.run_id)
        assert (done.state, done.cells_done, done.retry_of) == (run_pb2.RUN_STATE_COMPLETED, 5, run.run_id)
        stream: Any = served.runs.StreamResults(run_pb2.StreamResultsRequest(run_id=answer.run.run_id))
        blocks = [(response.tile, response.block) for response in await rest_of(stream)]
        assert sorted(blocks) == [(tile, b"detail %d" % tile) for tile in range(5)]
    after = await state_of(served, run.run_id)
    assert (after.state, after.cells_done, after.finished_at_s) == (
        before.state,
        before.cells_done,
        before.finished_at_s,
    )


async def test_a_tile_that_was_given_up_is_computed_in_the_retry(served: Served) -> None:
    run = await served.submit(tile_count=2)
    async with ProtocolWorker(served.channel) as worker:
        failing = await worker.lease()
        while (await state_of(served, run.run_id)).state == run_pb2.RUN_STATE_RUNNING:
            lease, failing = failing, None
            if lease.tile_begin == 0:
                failed = worker_pb2.TileFailure(
                    epoch=lease.epoch,
                    tile=0,
                    reason=common_pb2.FAILURE_REASON_EVALUATION_FAILED,
                    message="boom",
                )
                await worker.until_acknowledged(await worker.report(failures=[failed]))
            else:
                await worker.until_acknowledged(await worker.report(a_result(lease)))
            if (await state_of(served, run.run_id)).state == run_pb2.RUN_STATE_RUNNING:
                failing = await worker.lease()
        old = await state_of(served, run.run_id)
        assert (old.state, old.cells_quarantined) == (run_pb2.RUN_STATE_COMPLETED_WITH_QUARANTINE, 1)
        answer = await retry(served, run.run_id)
        assert (answer.run.cells_done, answer.run.cells_quarantined) == (1, 0)
        await worker.work_off(1)
    assert (await state_of(served, answer.run.run_id)).state == run_pb2.RUN_STATE_COMPLETED


async def test_a_tile_that_was_poison_begins_isolated_in_the_retry_and_after_a_restart(
    serve: Serve, settings: Settings
) -> None:
    served = serve(settings)
    run = await served.submit(tile_count=1)
    for number in range(2):
        async with ProtocolWorker(served.channel, worker_id=f"w{number}") as worker:
            lease = await worker.lease()
            assert lease.isolated is (number > 0), "the worker before left at the tile"
    await cancel(served, run.run_id)
    again = (await retry(served, run.run_id)).run
    for worker_id in ("w2", "w3"):
        await served.close()
        served = serve(settings)
        async with ProtocolWorker(served.channel, worker_id=worker_id) as worker:
            lease = await worker.lease()
            assert (lease.run_id, lease.isolated) == (again.run_id, True)


async def test_crossing_repeats_of_a_retry_make_one_run(served: Served) -> None:
    run = await served.submit()
    await cancel(served, run.run_id)
    answers = await asyncio.gather(*(retry(served, run.run_id) for _ in range(4)))
    assert sorted(answer.created for answer in answers) == [False] * 3 + [True]
    assert len({answer.run.run_id for answer in answers}) == 1


async def test_a_request_id_of_a_retry_names_no_other_request(served: Served) -> None:
    one, two = await served.submit(request_id="one"), await served.submit(request_id="two")
    for run in (one, two):
        await cancel(served, run.run_id)
    await retry(served, one.run_id, "again")
    reused = (FAILED_PRECONDITION, "REQUEST_ID_REUSED")
    assert await refusal(retry(served, two.run_id, "again")) == reused
    assert await refusal(retry(served, two.run_id, "one")) == reused
    assert await refusal(served.runs.SubmitRun(probe_request(request_id="again"))) == reused


async def test_a_run_that_lives_or_has_every_number_is_not_retried(served: Served) -> None:
    run = await served.submit(tile_count=1)
    assert await refusal(retry(served, run.run_id)) == (FAILED_PRECONDITION, "RUN_NOT_FINAL")
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(1)
    assert await refusal(retry(served, run.run_id)) == (FAILED_PRECONDITION, "NOTHING_TO_RETRY")


async def test_an_unknown_run_is_not_found(served: Served) -> None:
    for call in (
        served.runs.PauseRun(run_pb2.PauseRunRequest(run_id="r-0")),
        served.runs.ResumeRun(run_pb2.ResumeRunRequest(run_id="r-0")),
        retry(served, "r-0"),
    ):
        assert await refusal(call) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_priority_and_deadline_are_kept_with_the_run(serve: Serve, settings: Settings) -> None:
    served = serve(settings)
    request = probe_request()
    request.spec.priority = run_pb2.PRIORITY_BATCH
    request.spec.deadline_after_s = 300.0
    run = (await served.runs.SubmitRun(request)).run
    await served.close()
    served = serve(settings)
    for seen in (run, await state_of(served, run.run_id), await cancel(served, run.run_id)):
        assert (seen.priority, seen.deadline_after_s) == (run_pb2.PRIORITY_BATCH, 300.0)
    retried = (await retry(served, run.run_id)).run
    assert (retried.priority, retried.deadline_after_s) == (run_pb2.PRIORITY_BATCH, 300.0)


@pytest.mark.parametrize("deadline_after_s", [-1.0, float("nan"), float("inf"), 1e9])
async def test_a_deadline_that_cannot_be_is_refused(served: Served, deadline_after_s: float) -> None:
    request = probe_request()
    request.spec.deadline_after_s = deadline_after_s
    refused = await refusal(served.runs.SubmitRun(request))
    assert refused == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_DEADLINE")


async def test_an_unknown_priority_is_refused(served: Served) -> None:
    request = probe_request()
    request.spec.priority = 7  # type: ignore[assignment]  # an open enumeration: a newer client may send it
    assert await refusal(served.runs.SubmitRun(request)) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_PRIORITY")
