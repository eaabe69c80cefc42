"""xip_scheduler.rpc: what is refused, how, and what it may cost"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tests.patience import PATIENCE_S
from tests.scheduler.rpc.conftest import Served, probe_request, with_port
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.scheduler.rpc.test_runs import refusal
from xip_core.errors import UnavailableError
from xip_core.graph.plan import digest_of
from xip_core.wire.v1 import blob_pb2, common_pb2, run_pb2, worker_pb2
from xip_scheduler.daemon import Scheduler
from xip_scheduler.rpc import blob_service, run_service, worker_service
from xip_scheduler.rpc.blob_service import MESSAGE_CHUNKS
from xip_scheduler.rpc.server import MESSAGE_SIZE_LIMIT_BYTES, SERVER_OPTIONS
from xip_scheduler.settings import Settings
from xip_scheduler.store.blobs import CHUNK_SIZE_BYTES
from xip_scheduler.store.sqlite import SqliteStore


async def test_an_exception_in_a_handler_tells_an_incident_and_nothing_else(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("secret of the house")

    monkeypatch.setattr(run_service, "run_key_of", fail)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.runs.ListRuns(run_pb2.ListRunsRequest())
    details = refused.value.details() or ""
    assert refused.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in details
    incident_id = details.split("incident ")[1].split(";")[0]
    captured = capsys.readouterr()
    log = captured.out + captured.err
    assert incident_id in log
    assert "secret of the house" in log


async def test_an_oversized_message_is_refused_as_such(served: Served) -> None:
    request = probe_request(request_id="x" * (MESSAGE_SIZE_LIMIT_BYTES + 1))
    code, _ = await refusal(served.runs.SubmitRun(request))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await served.runs.SubmitRun(probe_request())).created


async def test_a_metadata_bomb_is_refused(served: Served) -> None:
    call = served.runs.ListRuns(run_pb2.ListRunsRequest(), metadata=(("bomb", "x" * 40_000),))
    assert (await refusal(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_socket_that_says_nothing_is_closed(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.scheduler.port)
    async with asyncio.timeout(PATIENCE_S):
        while await reader.read(1024):  # the server's own settings frame may come first
            pass
    writer.close()


def test_every_server_option_is_one_the_library_knows() -> None:
    from grpc._cython import cygrpc

    library = Path(cygrpc.__file__).read_bytes()
    unknown = [name for name, _ in SERVER_OPTIONS if name.encode() + b"\0" not in library]
    assert unknown == []
    assert b"grpc.http2.min_ping_interval_without_data_s\0" not in library, "the search would find anything"


async def test_an_unknown_method_is_unimplemented(served: Served) -> None:
    call = served.channel.unary_unary("/xip.v1.RunService/NoSuchCall")(b"")
    assert (await refusal(call))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_a_taken_port_is_refused_with_a_sentence(served: Served, settings: Settings) -> None:
    other = Settings(listen="127.0.0.1:0", data_dir=settings.data_dir + "-other")
    with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{served.scheduler.port}"):
        Scheduler(with_port(other, served.scheduler.port))


async def test_the_service_is_reported_healthy(served: Served) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    answer = await health_pb2_grpc.HealthStub(served.channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


# ---- worker streams


async def test_a_result_under_a_stale_epoch_is_acknowledged_and_changes_nothing(served: Served) -> None:
    run = await served.submit(tile_count=1)
    async with ProtocolWorker(served.channel, "late") as late:
        lease = await late.lease()
        late.call.cancel()
        async with ProtocolWorker(served.channel, "other") as other:
            regranted = await other.lease()
            assert regranted.epoch > lease.epoch
            async with ProtocolWorker(served.channel, "late") as returned:
                stale = a_result(lease)
                stale.detail = b"stale"
                await returned.until_acknowledged(await returned.report(stale))
            await other.until_acknowledged(await other.report(a_result(regranted, detail=True)))
    request = run_pb2.StreamResultsRequest(run_id=run.run_id)
    blocks = [response.block async for response in served.runs.StreamResults(request)]
    assert blocks == [b"detail 0"]


async def test_a_worker_that_comes_back_keeps_the_lease_nobody_else_has(served: Served) -> None:
    run = await served.submit(tile_count=1)
    worker = ProtocolWorker(served.channel)
    await worker.attach()
    lease = await worker.lease()
    worker.call.cancel()
    await worker.attach(held=[lease])
    await worker.until_acknowledged(await worker.report(a_result(lease)))
    worker.call.cancel()
    done = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))).run
    assert done.state == run_pb2.RUN_STATE_COMPLETED


async def test_a_lease_of_a_run_that_is_gone_is_revoked_on_attach(served: Served) -> None:
    worker = ProtocolWorker(served.channel)
    await worker.attach(held=[worker_pb2.Lease(epoch=77, run_id="r-gone", tile_end=1)])
    await worker.until_revoked(77)
    worker.call.cancel()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (worker_pb2.AttachRequest(), "HELLO_MISSING"),
        (worker_pb2.AttachRequest(heartbeat=worker_pb2.Heartbeat()), "HELLO_MISSING"),
        (worker_pb2.AttachRequest(hello=worker_pb2.Hello(slot_count=1)), "BAD_HELLO"),
        (worker_pb2.AttachRequest(hello=worker_pb2.Hello(worker_id="w")), "BAD_HELLO"),
        (
            worker_pb2.AttachRequest(
                hello=worker_pb2.Hello(
                    worker_id="w", slot_count=1, kernel_signatures=[common_pb2.KernelSignature(name="desk.twice")]
                )
            ),
            "BAD_SIGNATURE",
        ),
        (worker_pb2.AttachRequest(hello=worker_pb2.Hello(worker_id="w" * 201, slot_count=1)), "BAD_HELLO"),
    ],
)
async def test_a_stream_must_begin_with_a_sound_hello(
    served: Served, first: worker_pb2.AttachRequest, reason: str
) -> None:
    call = served.workers.Attach()
    await call.write(first)
    assert await refusal(call.read()) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_a_stream_that_never_says_hello_is_ended(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_service, "HELLO_PATIENCE_S", 0.01)
    call = served.workers.Attach()
    assert await refusal(call.read()) == (grpc.StatusCode.INVALID_ARGUMENT, "HELLO_MISSING")


async def test_a_second_hello_ends_the_stream_and_detaches_the_worker(served: Served) -> None:
    async with ProtocolWorker(served.channel) as worker:
        await worker.send(hello=worker_pb2.Hello(worker_id="w2", slot_count=1))
        code, reason = await refusal(worker.call.read())
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNEXPECTED_MESSAGE")
    assert list((await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())).workers) == []


async def test_a_result_with_output_for_many_tiles_is_refused(served: Served) -> None:
    await served.submit(tile_count=2, tiles_per_lease=2)
    async with ProtocolWorker(served.channel) as worker:
        result = a_result(await worker.lease(), detail=True)
        result.tile_end += 1
        await worker.report(result)
        assert (await refusal(worker.call.read()))[1] == "BAD_TILE_RANGE"


async def test_numbers_no_honest_worker_sends_do_not_reach_the_store(served: Served) -> None:
    run = await served.submit(tile_count=2)
    largest = (1 << 64) - 1
    async with ProtocolWorker(served.channel) as worker:
        lease = await worker.lease()
        lies = [
            worker_pb2.TileResult(epoch=largest, tile_begin=largest, tile_end=largest, cell_count=largest),
            worker_pb2.TileResult(epoch=lease.epoch, tile_begin=0, tile_end=largest),
            worker_pb2.TileResult(epoch=lease.epoch, tile_begin=1, tile_end=0),
        ]
        await worker.until_acknowledged(await worker.report(*lies, returned_epochs=[largest]))
        honest = a_result(lease)
        honest.elapsed_ns = honest.cell_count = largest
        honest.quarantine.add(row=4_000_000_000, scenario_end=4_000_000_000, reason=99)  # type: ignore[arg-type]  # a reason of a newer worker
        await worker.until_acknowledged(await worker.report(honest))
        await worker.work_off(1)
    done = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))).run
    assert done.state == run_pb2.RUN_STATE_COMPLETED_WITH_QUARANTINE


async def test_a_draining_worker_gets_no_more_leases_and_what_it_returns_goes_elsewhere(served: Served) -> None:
    run = await served.submit(tile_count=2)
    async with ProtocolWorker(served.channel, "leaving") as leaving:
        held = [await leaving.lease(), await leaving.lease()]
        await leaving.send(drain=worker_pb2.Drain(reason="test"))
        epochs = [lease.epoch for lease in held]
        await leaving.until_acknowledged(await leaving.report(returned_epochs=epochs))
        (listed,) = (await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())).workers
        assert listed.draining
        async with ProtocolWorker(served.channel, "staying") as staying:
            await staying.work_off(2)
    done = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))).run
    assert done.state == run_pb2.RUN_STATE_COMPLETED


# ---- blobs


async def upload(served: Served, *requests: blob_pb2.UploadRequest) -> blob_pb2.UploadResponse:
    answer: blob_pb2.UploadResponse = await served.blobs.Upload(iter(requests))
    return answer


def wire_digest(content: bytes) -> bytes:
    return bytes.fromhex(digest_of(content))


async def test_a_blob_goes_up_and_comes_down_in_chunks(served: Served) -> None:
    content = json.dumps(list(range(400_000))).encode()
    digest = wire_digest(content)
    missing = await served.blobs.FindMissing(blob_pb2.FindMissingRequest(digests=[digest, wire_digest(b"no")]))
    assert list(missing.digests) == [digest, wire_digest(b"no")]
    pieces = [content[begin : begin + (1 << 20)] for begin in range(0, len(content), 1 << 20)]
    head = blob_pb2.UploadRequest(digest=digest, size_bytes=len(content), chunk=pieces[0])
    await upload(served, head, *(blob_pb2.UploadRequest(chunk=piece) for piece in pieces[1:]))
    missing = await served.blobs.FindMissing(blob_pb2.FindMissingRequest(digests=[digest]))
    assert list(missing.digests) == []
    chunks = [answer.chunk async for answer in served.blobs.Download(blob_pb2.DownloadRequest(digest=digest))]
    assert b"".join(chunks) == content
    assert max(len(chunk) for chunk in chunks) == MESSAGE_CHUNKS * CHUNK_SIZE_BYTES


async def test_many_downloads_at_a_time_have_small_messages(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_service, "WIDE_DOWNLOADS_MAX", 1)
    content = bytes(5 * CHUNK_SIZE_BYTES)
    digest = wire_digest(content)
    head = blob_pb2.UploadRequest(digest=digest, size_bytes=len(content), chunk=content[: 1 << 20])
    await upload(served, head, *(blob_pb2.UploadRequest(chunk=bytes(1 << 19)) for _ in range(3)))

    async def sizes() -> list[int]:
        answers = served.blobs.Download(blob_pb2.DownloadRequest(digest=digest))
        return [len(answer.chunk) // CHUNK_SIZE_BYTES async for answer in answers]

    assert await sizes() == [2, 2, 1]
    absent = served.blobs.Download(blob_pb2.DownloadRequest(digest=wire_digest(b"no")))
    assert await refusal(anext(aiter(absent))) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert await sizes() == [2, 2, 1], "those that ended, well or not, count no more"
    monkeypatch.setattr(blob_service, "WIDE_DOWNLOADS_MAX", 0)
    assert await sizes() == [1, 1, 1, 1, 1]


async def test_bad_uploads_are_refused_and_leave_nothing(served: Served, settings: Settings) -> None:
    digest = wire_digest(b"content")
    request = blob_pb2.UploadRequest
    cases = [
        ([request(digest=digest, size_bytes=4, chunk=b"else")], grpc.StatusCode.DATA_LOSS, "INTEGRITY"),
        ([request(digest=digest, size_bytes=7, chunk=b"cont")], grpc.StatusCode.DATA_LOSS, "INTEGRITY"),
        ([request(digest=digest, size_bytes=2, chunk=b"content")], grpc.StatusCode.DATA_LOSS, "INTEGRITY"),
        ([request(digest=b"short", chunk=b"content")], grpc.StatusCode.INVALID_ARGUMENT, "BAD_DIGEST"),
        ([], grpc.StatusCode.INVALID_ARGUMENT, "BAD_DIGEST"),
        ([request(digest=digest, size_bytes=1 << 60)], grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"),
    ]
    for requests, code, reason in cases:
        assert await refusal(upload(served, *requests)) == (code, reason)
    missing = await served.blobs.FindMissing(blob_pb2.FindMissingRequest(digests=[digest]))
    assert list(missing.digests) == [digest]


async def test_an_upload_that_stalls_is_ended(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_service, "UPLOAD_PATIENCE_S", 0.01)
    call = served.blobs.Upload()

    async def begin_and_wait() -> None:
        await call.write(blob_pb2.UploadRequest(digest=wire_digest(b"content"), size_bytes=7, chunk=b"con"))
        await call

    assert await refusal(begin_and_wait()) == (grpc.StatusCode.INVALID_ARGUMENT, "UPLOAD_STALLED")


async def test_an_absent_blob_is_not_found(served: Served) -> None:
    call = served.blobs.Download(blob_pb2.DownloadRequest(digest=wire_digest(b"no")))
    assert await refusal(call.read()) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_a_request_with_a_blob_that_is_not_here_is_refused(served: Served) -> None:
    risk = run_pb2.RiskWork(
        book_digest=wire_digest(b"book"),
        market_digest=wire_digest(b"market"),
        scenarios_digest=wire_digest(b"scenarios"),
        measures=["pv"],
        base_currency="EUR",
        as_of="2016-02-05",
    )
    request = run_pb2.SubmitRunRequest(request_id="q", spec=run_pb2.RunSpec(risk=risk))
    assert await refusal(served.runs.SubmitRun(request)) == (grpc.StatusCode.INVALID_ARGUMENT, "BLOB_MISSING")


# ---- slow readers


async def test_a_client_that_stops_reading_costs_little_and_disturbs_nobody(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = 0
    details = SqliteStore.details

    def counted(store: SqliteStore, run_id: str, after_cursor: int, size_limit_bytes: int) -> object:
        nonlocal read_bytes
        answer = details(store, run_id, after_cursor, size_limit_bytes)
        read_bytes += sum(len(detail.block) for detail in answer)
        return answer

    monkeypatch.setattr(SqliteStore, "details", counted)
    tile_count, block = 30, b"x" * (1 << 20)
    run = await served.submit(tile_count=tile_count)
    async with ProtocolWorker(served.channel) as worker:
        for _ in range(tile_count):
            result = a_result(await worker.lease())
            result.detail = block
            await worker.until_acknowledged(await worker.report(result))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.scheduler.port}") as slow:
        from xip_core.wire.v1 import run_pb2_grpc

        stalled = run_pb2_grpc.RunServiceStub(slow).StreamResults(run_pb2.StreamResultsRequest(run_id=run.run_id))
        await stalled.read()
        for number in range(20):
            async with asyncio.timeout(PATIENCE_S):
                await served.submit(request_id=f"other{number}")
        assert read_bytes < tile_count * len(block) / 2
        stalled.cancel()
    request = run_pb2.StreamResultsRequest(run_id=run.run_id)
    assert len([response.tile async for response in served.runs.StreamResults(request)]) == tile_count
