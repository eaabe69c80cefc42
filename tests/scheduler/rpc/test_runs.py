"""xip_scheduler.rpc: the life of a run over the wire"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.patience import PATIENCE_S
from tests.scheduler.rpc.conftest import Serve, Served, probe_request
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from xip_core.wire.status import reason_of
from xip_core.wire.v1 import blob_pb2, common_pb2, run_pb2, worker_pb2
from xip_scheduler.daemon import Scheduler
from xip_scheduler.rpc import run_service
from xip_scheduler.settings import Settings
from xip_scheduler.store.protocol import Batch, NewRun


async def refusal(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call  # type: ignore[misc]  # the stubs type calls loosely
    return refused.value.code(), reason_of(refused.value.trailing_metadata())


async def rest_of(stream: Any) -> list[Any]:
    """Responses until the server ends the stream, after some were read."""
    responses = []
    async with asyncio.timeout(PATIENCE_S):
        while (response := await stream.read()) is not grpc.aio.EOF:
            responses.append(response)
    return responses


async def test_a_run_lives_from_submission_to_completion(served: Served) -> None:
    run = await served.submit(tile_count=5)
    assert (run.state, run.cell_count, run.nodes[0].tile_count) == (run_pb2.RUN_STATE_RUNNING, 5, 5)
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(5)
    done = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))).run
    assert (done.state, done.cells_done, done.nodes[0].tiles_done) == (run_pb2.RUN_STATE_COMPLETED, 5, 5)
    assert done.finished_at_s >= done.submitted_at_s > 0
    assert done.epoch_last >= 5
    assert done.plan_digest == run.plan_digest


async def test_the_same_request_again_answers_the_same_run(served: Served) -> None:
    first = await served.runs.SubmitRun(probe_request())
    again = await served.runs.SubmitRun(probe_request())
    assert (first.created, again.created) == (True, False)
    assert first.run.run_id == again.run.run_id


async def test_crossing_repeats_of_a_request_make_one_run(served: Served) -> None:
    answers = await asyncio.gather(*(served.runs.SubmitRun(probe_request()) for _ in range(5)))
    assert sorted(answer.created for answer in answers) == [False] * 4 + [True]
    assert len({answer.run.run_id for answer in answers}) == 1


async def test_a_request_id_with_another_content_is_refused(served: Served) -> None:
    await served.submit(tile_count=4)
    code, reason = await refusal(served.runs.SubmitRun(probe_request(tile_count=5)))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (probe_request(tile_count=0), "BAD_TILE_COUNT"),
        (probe_request(kernel="probe.unknown"), "UNKNOWN_KERNEL"),
        (probe_request(request_id=""), "BAD_REQUEST_ID"),
        (probe_request(request_id="x" * 129), "BAD_REQUEST_ID"),
        (probe_request(request_id="line\nbreak"), "BAD_REQUEST_ID"),
        (run_pb2.SubmitRunRequest(request_id="q"), "EMPTY_REQUEST"),
    ],
)
async def test_a_bad_request_is_refused_before_anything_is_stored(
    served: Served, request_: run_pb2.SubmitRunRequest, reason: str
) -> None:
    assert await refusal(served.runs.SubmitRun(request_)) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert list((await served.runs.ListRuns(run_pb2.ListRunsRequest())).runs) == []


async def test_more_live_runs_than_allowed_are_refused(serve: Serve, settings: Settings) -> None:
    served = serve(Settings(listen="127.0.0.1:0", data_dir=settings.data_dir, live_runs_max=1, log_level="error"))
    await served.submit(request_id="one")
    refused = await refusal(served.runs.SubmitRun(probe_request(request_id="two")))
    assert refused == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_RUNS")


async def test_an_unknown_run_is_not_found_by_any_call(served: Served) -> None:
    for call in (
        served.runs.GetRun(run_pb2.GetRunRequest(run_id="r-0")),
        served.runs.CancelRun(run_pb2.CancelRunRequest(run_id="r-0")),
        served.runs.WatchRun(run_pb2.WatchRunRequest(run_id="r-0")).read(),
        served.runs.StreamResults(run_pb2.StreamResultsRequest(run_id="r-0")).read(),
        served.blobs.DownloadOutputs(blob_pb2.DownloadOutputsRequest(run_id="r-0", tile_end=1)).read(),
    ):
        assert await refusal(call) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_cancel_revokes_leases_and_refuses_their_results(served: Served) -> None:
    run = await served.submit(tile_count=3)
    async with ProtocolWorker(served.channel) as worker:
        lease = await worker.lease()
        request = run_pb2.CancelRunRequest(run_id=run.run_id, reason="desk closed")
        cancelled = (await served.runs.CancelRun(request)).run
        assert (cancelled.state, cancelled.message) == (run_pb2.RUN_STATE_CANCELLED, "desk closed")
        await worker.until_revoked(lease.epoch)
        await worker.until_acknowledged(await worker.report(a_result(lease)))
    after = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))).run
    assert (after.state, after.cells_done, after.nodes[0].tiles_done) == (run_pb2.RUN_STATE_CANCELLED, 0, 0)
    again = (await served.runs.CancelRun(request)).run
    assert again == after


async def test_watch_shows_the_state_now_and_ends_with_the_final_one(served: Served) -> None:
    run = await served.submit(tile_count=3)
    watch = served.runs.WatchRun(run_pb2.WatchRunRequest(run_id=run.run_id))
    first = await watch.read()
    assert first.run.state == run_pb2.RUN_STATE_RUNNING
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(3)
    states = [response.run for response in await rest_of(watch)]
    assert states[-1].state == run_pb2.RUN_STATE_COMPLETED
    assert states[-1].cells_done == 3


async def test_a_watch_that_sees_many_changes_sends_few_states(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_service, "WATCH_INTERVAL_S", 3600.0)
    run = await served.submit(tile_count=50)
    watch = served.runs.WatchRun(run_pb2.WatchRunRequest(run_id=run.run_id))
    await watch.read()
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(50)
    assert [response.run.cells_done for response in await rest_of(watch)] == [50]


async def test_results_stream_while_the_run_goes_on_and_resume_at_a_cursor(served: Served) -> None:
    run = await served.submit(tile_count=4)
    stream = served.runs.StreamResults(run_pb2.StreamResultsRequest(run_id=run.run_id))
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(2, detail=True)
        first = await stream.read()
        assert first.block == b"detail %d" % first.tile
        stream.cancel()
        await worker.work_off(2, detail=True)
    request = run_pb2.StreamResultsRequest(run_id=run.run_id, cursor=first.cursor)
    rest = [response async for response in served.runs.StreamResults(request)]
    assert sorted([first.tile, *(response.tile for response in rest)]) == [0, 1, 2, 3]
    assert all(response.block == b"detail %d" % response.tile for response in rest)


async def test_outputs_are_downloaded_in_tile_order_and_long_ones_in_pieces(served: Served) -> None:
    run = await served.submit(tile_count=2)
    long = b"x" * (2 << 20)
    async with ProtocolWorker(served.channel) as worker:
        leases = [await worker.lease(), await worker.lease()]
        results = [a_result(lease) for lease in leases]
        results[1].output = long
        for result in results:
            sequence = await worker.report(result)
        await worker.until_acknowledged(sequence)
    request = blob_pb2.DownloadOutputsRequest(run_id=run.run_id, node_id=0, tile_begin=0, tile_end=2)
    pieces = [response async for response in served.blobs.DownloadOutputs(request)]
    assert [(piece.tile, piece.last_chunk) for piece in pieces] == [(0, True), (1, False), (1, True)]
    assert b"".join(piece.chunk for piece in pieces) == long
    assert max(len(piece.chunk) for piece in pieces) <= 1 << 20


async def test_outputs_of_several_tiles_come_in_one_message_where_asked_for(served: Served) -> None:
    run = await served.submit(tile_count=4)
    outputs = [b"a", b"", b"x" * (600 << 10), b"y" * (600 << 10)]
    async with ProtocolWorker(served.channel) as worker:
        for _ in outputs:
            lease = await worker.lease()
            result = a_result(lease)
            result.output = outputs[lease.tile_begin]
            sequence = await worker.report(result)
        await worker.until_acknowledged(sequence)
    request = blob_pb2.DownloadOutputsRequest(run_id=run.run_id, node_id=0, tile_begin=0, tile_end=4, packs=True)
    messages = [response async for response in served.blobs.DownloadOutputs(request)]
    assert [(message.tile, list(message.blocks), message.last_chunk) for message in messages] == [
        (0, outputs[:3], False),
        (3, [], True),  # with it the first would be above 1 MiB
    ]
    assert messages[1].chunk == outputs[3]


async def test_quarantined_cells_are_told_with_their_reason(served: Served) -> None:
    run = await served.submit(tile_count=1)
    async with ProtocolWorker(served.channel) as worker:
        result = a_result(await worker.lease())
        result.quarantine.add(
            row=3, scenario_begin=0, scenario_end=1, reason=common_pb2.FAILURE_REASON_MISSING_DATA, trade_id="T3"
        )
        await worker.until_acknowledged(await worker.report(result))
    answer = await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id, with_quarantine=True))
    assert answer.run.state == run_pb2.RUN_STATE_COMPLETED_WITH_QUARANTINE
    assert answer.run.cells_quarantined == 1
    assert [(cells.row, cells.trade_id, cells.reason) for cells in answer.quarantine] == [
        (3, "T3", common_pb2.FAILURE_REASON_MISSING_DATA)
    ]


async def test_a_quarantine_list_too_long_for_a_message_is_cut_and_the_count_tells(served: Served) -> None:
    run = await served.submit(tile_count=3)
    async with ProtocolWorker(served.channel) as worker:
        for _ in range(3):
            result = a_result(await worker.lease())
            result.cell_count = 800
            for row in range(800):
                result.quarantine.add(row=row, scenario_end=1, reason=common_pb2.FAILURE_REASON_NUMERICAL)
                result.quarantine[-1].message = "m" * 2000
            await worker.until_acknowledged(await worker.report(result))
    answer = await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id, with_quarantine=True))
    assert 1000 < len(answer.quarantine) < 2400
    assert answer.run.cells_quarantined == 2400


async def test_runs_are_listed_newest_first_in_pages(served: Served) -> None:
    run_ids = [(await served.submit(request_id=f"q{number}")).run_id for number in range(5)]
    listed: list[str] = []
    token = ""
    while True:
        page = await served.runs.ListRuns(run_pb2.ListRunsRequest(page_size=2, page_token=token))
        listed += [run.run_id for run in page.runs]
        token = page.next_page_token
        if not token:
            break
    assert listed == run_ids[::-1]


@pytest.mark.parametrize("token", ["nonsense", "cnVuOng=", "\u00e9"])
async def test_a_page_token_of_ones_own_making_is_refused(served: Served, token: str) -> None:
    refused = await refusal(served.runs.ListRuns(run_pb2.ListRunsRequest(page_token=token)))
    assert refused == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_PAGE_TOKEN")


async def test_a_restart_resumes_the_run_where_it_was(serve: Serve, settings: Settings) -> None:
    served = serve(settings)
    run = await served.submit(tile_count=6)
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(2, detail=True)
    await served.close()
    served = serve(settings)
    resumed = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))).run
    assert (resumed.state, resumed.cells_done) == (run_pb2.RUN_STATE_RUNNING, 2)
    assert (await served.runs.SubmitRun(probe_request(tile_count=6))).created is False
    async with ProtocolWorker(served.channel) as worker:
        assert worker.welcome.term == 2
        await worker.work_off(4, detail=True)
    request = run_pb2.StreamResultsRequest(run_id=run.run_id)
    tiles = [response.tile async for response in served.runs.StreamResults(request)]
    assert sorted(tiles) == list(range(6))


async def test_what_is_restored_is_what_the_core_held_durable(serve: Serve, settings: Settings) -> None:
    served = serve(settings)
    run_id = (await served.submit(tile_count=30, request_id="one", tiles_per_lease=3)).run_id
    await served.submit(tile_count=2, request_id="two")
    async with ProtocolWorker(served.channel) as worker:
        for _ in range(3):  # the tile fails at every attempt and is given up
            lease = await worker.lease()
            while (lease.run_id, lease.tile_begin) != (run_id, 0):
                lease = await worker.lease()
            failure = worker_pb2.TileFailure(
                epoch=lease.epoch, tile=0, reason=common_pb2.FAILURE_REASON_EVALUATION_FAILED, message="no"
            )
            tiles = [a_result(lease, tile) for tile in range(1, lease.tile_end)]
            await worker.until_acknowledged(await worker.report(*tiles, failures=[failure]))
        held = served.scheduler.core.durable_runs()
    assert (held[0].done, held[0].failed) == ((((0, 3),),), (((0, 1),),))
    await served.close()
    served = serve(settings)
    assert served.scheduler.core.durable_runs() == held


async def test_a_scheduler_that_stops_blames_no_worker_for_its_end(serve: Serve, settings: Settings) -> None:
    served = serve(settings)
    run_id = (await served.submit(tile_count=1)).run_id
    async with ProtocolWorker(served.channel) as worker:
        for _ in range(2):
            failure = worker_pb2.TileFailure(
                epoch=(await worker.lease()).epoch, tile=0, reason=common_pb2.FAILURE_REASON_EVALUATION_FAILED
            )
            await worker.report(failures=[failure])
        await worker.lease()  # the last attempt is under way when the scheduler ends the stream
        await served.close()
    served = serve(settings)
    run = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run
    assert (run.state, run.cells_done) == (run_pb2.RUN_STATE_RUNNING, 0)


async def test_a_finished_run_is_the_same_before_and_after_a_restart(serve: Serve, settings: Settings) -> None:
    served = serve(settings)
    run_id = (await served.submit(tile_count=2)).run_id
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(2)
    before = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run
    await served.close()
    served = serve(settings)
    after = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run
    for run in (before, after):  # those attached when asked
        run.ClearField("worker_count")
        run.ClearField("slot_count")
    assert before == after
    assert before.epoch_last > 0


async def test_a_second_scheduler_on_the_same_directory_is_refused(served: Served, settings: Settings) -> None:
    with pytest.raises(Exception, match="must belong to one scheduler"):
        Scheduler(settings)


async def test_workers_are_listed_with_what_they_said(served: Served) -> None:
    async with ProtocolWorker(served.channel, "w7", slot_count=3) as worker:
        await worker.send(heartbeat=worker_pb2.Heartbeat(memory_bytes=12345))
        await worker.until_acknowledged(await worker.report())
        (listed,) = (await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())).workers
    assert (listed.worker_id, listed.host, listed.pid, listed.slot_count) == ("w7", "here", 7, 3)
    assert listed.memory_bytes == 12345
    assert 0 <= listed.heartbeat_age_s <= listed.attached_s


async def test_a_scheduler_that_was_replaced_does_not_answer_for_runs_it_never_heard_of(served: Served) -> None:
    known = await served.submit()
    (stored,) = await served.scheduler._store.runs(1, None)
    fields = {name: getattr(stored, name) for name in NewRun.__struct_fields__}
    fields |= {"run_id": "r-other", "request_id": "other"}
    await served.scheduler._store.commit(Batch(runs=[NewRun(**fields)]))  # as another leader of a shared store would
    cancel = served.runs.CancelRun(run_pb2.CancelRunRequest(run_id="r-other"))
    assert (await refusal(cancel))[0] is grpc.StatusCode.UNAVAILABLE
    pause = served.runs.PauseRun(run_pb2.PauseRunRequest(run_id="r-other"))
    assert (await refusal(pause))[0] is grpc.StatusCode.UNAVAILABLE
    assert (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=known.run_id))).run.run_id == known.run_id


async def test_a_pruned_run_is_not_found_and_its_request_id_is_never_free_again(served: Served) -> None:
    run = await served.submit(tile_count=1)
    async with ProtocolWorker(served.channel) as worker:
        await worker.work_off(1)
    await served.scheduler._store.commit(Batch(at_s=9e9, pruned=[run.run_id]))
    named = run_pb2.GetRunRequest(run_id=run.run_id)
    assert (await refusal(served.runs.GetRun(named)))[0] == grpc.StatusCode.NOT_FOUND
    again = served.runs.SubmitRun(probe_request(tile_count=1))
    assert (await refusal(again))[0] == grpc.StatusCode.NOT_FOUND
    retry = served.runs.RetryRun(run_pb2.RetryRunRequest(run_id=run.run_id, request_id="retry"))
    assert (await refusal(retry))[0] == grpc.StatusCode.NOT_FOUND
    assert list((await served.runs.ListRuns(run_pb2.ListRunsRequest())).runs) == []
    code, reason = await refusal(served.runs.SubmitRun(probe_request(tile_count=2)))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")


async def test_the_audit_says_who_paused_resumed_and_cancelled(served: Served) -> None:
    run = await served.submit()
    await served.runs.PauseRun(run_pb2.PauseRunRequest(run_id=run.run_id))
    await served.runs.ResumeRun(run_pb2.ResumeRunRequest(run_id=run.run_id))
    await served.runs.CancelRun(run_pb2.CancelRunRequest(run_id=run.run_id, reason="enough"))
    store = served.scheduler._store._store
    rows = [(row.event, row.who) for row in await asyncio.to_thread(store.audit_rows, 0, 99) if row.run_key]
    here = "127.0.0.1"
    assert rows == [("accepted", "desk"), ("paused", here), ("resumed", here), ("cancelled", here)]
