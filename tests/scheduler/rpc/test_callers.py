"""xip_scheduler.rpc.callers: what one caller may have under way, and what a message that is none is answered."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest

from tests.patience import PATIENCE_S
from tests.scheduler.rpc.conftest import Serve, Served, probe_request
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.serving import OpenChannel, listening
from xip_core.errors import OverloadedError
from xip_core.wire.status import error_of, reason_of
from xip_core.wire.v1 import run_pb2, run_pb2_grpc, worker_pb2
from xip_scheduler.rpc import callers
from xip_scheduler.rpc.callers import Caller, identify
from xip_scheduler.rpc.server import SERVER_OPTIONS
from xip_scheduler.settings import Settings


@pytest.fixture
async def narrow(serve: Serve, settings: Settings) -> Served:
    """A scheduler that allows a peer three calls and two workers."""
    return serve(msgspec.structs.replace(settings, peer_calls_max=3, peer_workers_max=2))


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def _code(call: Any) -> grpc.StatusCode:
    await asyncio.wait((asyncio.ensure_future(call.wait_for_connection()),))
    return await call.code()


async def open_watches(served: Served, run_id: str, count: int) -> list[Any]:
    watches = [served.runs.WatchRun(run_pb2.WatchRunRequest(run_id=run_id)) for _ in range(count)]
    for watch in watches:
        await watch.read()
    return watches


async def test_a_peer_with_too_many_calls_is_refused_with_a_hint_until_one_ends(narrow: Served) -> None:
    run = await narrow.submit()
    watches = await open_watches(narrow, run.run_id, 3)
    refused = await refusal(narrow.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id)))
    assert (refused.code(), reason_of(refused.trailing_metadata())) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_CALLS",
    )
    error = error_of(refused.code(), refused.details() or "", refused.trailing_metadata())
    assert isinstance(error, OverloadedError)
    assert error.retry_after_s == callers.AGAIN_AFTER_S
    async with asyncio.timeout(PATIENCE_S):
        watches[0].cancel()
        while await _code(narrow.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))) is not grpc.StatusCode.OK:
            pass  # the server hears of the end a moment later


async def test_a_peer_at_its_limit_of_calls_cannot_keep_workers_away(narrow: Served) -> None:
    run = await narrow.submit(tile_count=1)
    watches = await open_watches(narrow, run.run_id, 3)
    async with ProtocolWorker(narrow.channel) as worker:
        await worker.work_off(1)
    async with asyncio.timeout(PATIENCE_S):
        while (await watches[0].read()).run.state != run_pb2.RUN_STATE_COMPLETED:
            pass


async def test_worker_streams_of_a_peer_are_limited(narrow: Served) -> None:
    async with ProtocolWorker(narrow.channel, "w1"), ProtocolWorker(narrow.channel, "w2"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ProtocolWorker(narrow.channel, "w3").attach()
        assert reason_of(caught.value.trailing_metadata()) == "TOO_MANY_WORKERS"


async def test_a_stream_refused_before_it_is_read_leaves_nothing_behind(
    narrow: Served, recwarn: pytest.WarningsRecorder
) -> None:
    async with ProtocolWorker(narrow.channel, "w1"), ProtocolWorker(narrow.channel, "w2"):
        await refusal(ProtocolWorker(narrow.channel, "w3").attach())
        await narrow.runs.ListRuns(run_pb2.ListRunsRequest())  # by now the handler has ended
        gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


async def test_a_call_without_a_deadline_ends_all_the_same(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(callers, "UNARY_DURATION_S", 0.05)
    monkeypatch.setattr(served.scheduler._store, "runs", never)
    ended = await refusal(served.runs.ListRuns(run_pb2.ListRunsRequest()))
    assert ended.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_ends_with_its_time_and_says_open_it_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "STREAM_DURATION_S", 0.1)
    run = await served.submit()
    watch = served.runs.WatchRun(run_pb2.WatchRunRequest(run_id=run.run_id))
    ended = await refusal(_drained(watch))
    assert ended.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "open it again" in (ended.details() or "")


async def test_a_workers_stream_does_not_end_by_age(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await served.submit(tile_count=1)
    for name in ("UNARY_DURATION_S", "STREAM_DURATION_S", "UPLOAD_DURATION_S"):
        monkeypatch.setattr(callers, name, 0.05)
    async with ProtocolWorker(served.channel) as worker:
        watch = served.runs.WatchRun(run_pb2.WatchRunRequest(run_id=run.run_id))
        await refusal(_drained(watch))  # longer than any duration above
        await worker.work_off(1)


async def _drained(call: Any) -> None:
    async for _ in call:
        pass


async def ended_or_next(call: Any) -> Any:
    """The next response; None when the call has ended, well or not."""
    try:
        response = await call.read()
    except grpc.aio.AioRpcError:
        return None
    return None if response is grpc.aio.EOF else response


async def test_a_reader_that_stops_is_dropped_and_resumes_at_its_cursor_without_loss(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "STALL_PATIENCE_S", 0.2)
    tile_count = 24
    run = await served.submit(tile_count=tile_count)
    blocks = {}
    async with ProtocolWorker(served.channel) as worker:
        for _ in range(tile_count):
            result = a_result(await worker.lease())
            blocks[result.tile_begin] = result.detail = os.urandom(1 << 20)
            await worker.until_acknowledged(await worker.report(result))
    received = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.scheduler.port}") as slow:
        stub = run_pb2_grpc.RunServiceStub(slow)
        stalled = stub.StreamResults(run_pb2.StreamResultsRequest(run_id=run.run_id))
        first = await stalled.read()  # and no more: the server fills what gRPC takes and waits
        received[first.tile], cursor = first.block, first.cursor
        async with asyncio.timeout(PATIENCE_S):
            while served.scheduler._changes._flags:  # subscribed as long as its handler lives
                await served.runs.ListRuns(run_pb2.ListRunsRequest())
        while (response := await ended_or_next(stalled)) is not None:  # what was on its way still comes
            received[response.tile], cursor = response.block, response.cursor
        assert await stalled.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert len(received) < tile_count
        monkeypatch.undo()
        again = run_pb2.StreamResultsRequest(run_id=run.run_id, cursor=cursor)
        received |= {response.tile: response.block async for response in stub.StreamResults(again)}
    assert received == blocks


@pytest.mark.parametrize("body", [b"\xff" * 20, b"\x0a\x04\xff\xfe\xfd\xfc", b"\x0a\x7f"])
async def test_a_message_that_is_none_is_refused_as_such(served: Served, body: bytes) -> None:
    submit = served.channel.unary_unary("/xip.v1.RunService/SubmitRun", request_serializer=bytes)
    watch = served.channel.unary_stream("/xip.v1.RunService/WatchRun", request_serializer=bytes)
    attach = served.channel.stream_stream("/xip.v1.WorkerService/Attach", request_serializer=bytes)
    stream: Any = attach()
    await stream.write(body)
    for call in (submit(body), _drained(watch(body)), stream.read()):
        refused = await refusal(call)
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT, refused
        assert reason_of(refused.trailing_metadata()) == "MALFORMED_MESSAGE"


async def test_a_worker_that_sends_noise_after_its_hello_is_detached(served: Served) -> None:
    attach = served.channel.stream_stream("/xip.v1.WorkerService/Attach", request_serializer=bytes)
    stream: Any = attach()
    hello = worker_pb2.AttachRequest(hello=worker_pb2.Hello(worker_id="w1", slot_count=1))
    await stream.write(hello.SerializeToString())
    await stream.read()
    await stream.write(b"\xff" * 20)
    assert reason_of((await refusal(stream.read())).trailing_metadata()) == "MALFORMED_MESSAGE"
    workers = await served.workers.ListWorkers(worker_pb2.ListWorkersRequest())
    assert list(workers.workers) == []


class _Peer:
    def __init__(self, text: str) -> None:
        self._text = text

    def peer(self) -> str:
        return self._text


@pytest.mark.parametrize(
    ("text", "peer"),
    [("ipv4:10.0.0.7:4321", "10.0.0.7"), ("ipv6:[::1]:4321", "[::1]"), ("unix:", "unix")],
)
def test_a_caller_is_the_address_it_calls_from_and_the_tenant_it_claims(text: str, peer: str) -> None:
    assert identify(probe_request(), _Peer(text)) == Caller(peer, "desk")  # type: ignore[arg-type]  # all it looks at
    assert identify(iter(()), _Peer(text)) == Caller(peer, "")  # type: ignore[arg-type]  # all it looks at


# ---- options whose effect would take long to show


def echo_server(**changed: int) -> grpc.aio.Server:
    """A server with our options but for *changed* ones, that answers once and holds a stream open."""
    options = dict(SERVER_OPTIONS)
    replaced = {f"grpc.{name}": value for name, value in changed.items()}
    assert set(replaced) <= set(options), "only what the scheduler sets is tried here"

    async def answer(request: bytes, context: object) -> bytes:
        return request

    async def hold(request: bytes, context: object) -> AsyncIterator[bytes]:
        yield request
        await asyncio.Event().wait()

    server = grpc.aio.server(options=tuple((options | replaced).items()))
    handlers = {
        "Answer": grpc.unary_unary_rpc_method_handler(answer),  # type: ignore[arg-type]  # typed for threads
        "Hold": grpc.unary_stream_rpc_method_handler(hold),  # type: ignore[arg-type]  # typed for threads
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t", handlers),))
    return server


async def test_a_connection_beyond_the_limit_is_closed_and_the_others_stay(open_channel: OpenChannel) -> None:
    async with listening(echo_server(max_allowed_incoming_connections=2)) as address:
        channels = [open_channel(address, use_local_subchannel_pool=1) for _ in range(3)]
        for channel in channels[:2]:
            assert await channel.unary_unary("/t/Answer")(b"1") == b"1"
        refused = await refusal(channels[2].unary_unary("/t/Answer")(b"2", timeout=1.0))
        assert refused.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert await channels[0].unary_unary("/t/Answer")(b"3") == b"3"


async def test_an_old_connection_takes_no_new_call_but_keeps_its_streams() -> None:
    async with (
        listening(echo_server(max_connection_age_ms=150)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        held: Any = channel.unary_stream("/t/Hold")(b"held")
        await held.read()
        async with asyncio.timeout(PATIENCE_S):  # until the server has said goodbye to the connection
            while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
                await channel.wait_for_state_change(state)
        assert await channel.unary_unary("/t/Answer")(b"new") == b"new"
        assert not held.done(), "a stream under way must stay"
        held.cancel()
