"""xip_core.client: every call may be repeated, and is when the line is cut."""

from __future__ import annotations

import asyncio
import re
import socket

import grpc
import numpy as np
import pytest

from tests.core.client.server import BOOK, MARKET, PV, QUARANTINE, SCENARIOS, STATUS, ScriptedScheduler, serving
from tests.patience import PATIENCE_S
from xip_core.client import connect
from xip_core.client.client import Client
from xip_core.client.connection import Patience, parse_addresses
from xip_core.errors import (
    IntegrityError,
    NotFoundError,
    OverloadedError,
    RequestError,
    UnavailableError,
    XipError,
)
from xip_core.graph.plan import digest_of
from xip_core.model.result import Run, RunState
from xip_core.model.run_spec import ProbeWork, RunSpec

UNAVAILABLE, UNKNOWN = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN
SHORT = Patience(first_s=0.2, again_s=0.4, call_s=5.0)


async def submit(client: Client, request_id: str = "eod-1", book: bytes = BOOK) -> Run:
    return await client.submit(
        book,
        MARKET,
        SCENARIOS,
        ("pv", "delta"),
        request_id=request_id,
        name="n",
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_run_goes_from_submission_to_numbers():
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        run = await submit(client)
        numbers = (await client.results(run.run_id)).to_numpy()
    assert numbers.trade_ids == ("S1", "F1", "E1")
    assert numbers.scenarios == ("base", "rates up", "crash")
    assert np.array_equal(numbers.pv, PV, equal_nan=True)
    assert np.array_equal(numbers.status, STATUS)
    assert numbers.quarantine == QUARANTINE
    assert numbers.dv01[:2].tolist() == [-100.0, -50.0]
    assert numbers.totals is not None
    assert numbers.totals.asset_classes == ("rates", "fx", "equity")
    assert numbers.totals.pnl[1].tolist() == [0.0, 5.0, -30.0]


async def test_date_and_base_currency_are_the_snapshots_unless_given():
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, connect(address) as client:
        await client.submit(BOOK, MARKET, SCENARIOS, request_id="a")
        await client.submit(BOOK, MARKET, SCENARIOS, as_of="2016-02-06", base_currency="USD", request_id="b")
    works = [scheduler.specs[request_id][1].work for request_id in "ab"]
    assert [(work.as_of, work.base_currency) for work in works] == [("2016-02-05", "EUR"), ("2016-02-06", "USD")]


async def test_the_same_request_id_gives_the_same_run():
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, connect(address) as client:
        first, again, other = await submit(client), await submit(client), await submit(client, request_id="eod-2")
    assert (first.run_id, first.is_repeated, again.is_repeated) == (again.run_id, False, True)
    assert other.run_id != first.run_id
    assert len(scheduler.runs) == 2


async def test_a_request_id_used_for_another_book_is_refused():
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        await submit(client)
        with pytest.raises(RequestError, match="'eod-1' was used") as caught:
            await submit(client, book=BOOK + b"\n" + BOOK)
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_blob_the_scheduler_holds_is_not_sent_again():
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, connect(address) as client:
        await submit(client)
        await submit(client, request_id="eod-2")
    assert scheduler.calls.count("Upload") == 3


async def test_a_blob_of_several_chunks_comes_back_whole():
    blob = bytes(range(256)) * 10_000
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        (digest,) = await client.upload(blob)
        assert digest == digest_of(blob)
        assert await client.blob(digest) == blob


async def test_a_blob_that_arrives_changed_is_refused():
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, connect(address) as client:
        (digest,) = await client.upload(BOOK)
        scheduler.is_corrupt = True
        with pytest.raises(IntegrityError, match=f"blob {digest} arrived with {len(BOOK) - 1} bytes"):
            await client.blob(digest)


@pytest.mark.parametrize("method", ["FindMissing", "Upload", "SubmitRun"])
@pytest.mark.parametrize("code", [UNAVAILABLE, UNKNOWN, grpc.StatusCode.CANCELLED])
async def test_a_call_that_is_cut_is_made_again_and_submits_once(method, code):
    scheduler = ScriptedScheduler()
    scheduler.faults[method] = [code, code]
    async with serving(scheduler) as address, connect(address) as client:
        await submit(client, request_id="")
    assert len(scheduler.runs) == 1
    assert scheduler.calls.count(method) == (5 if method == "Upload" else 3)


async def test_every_call_carries_a_deadline():
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, connect(address) as client:
        run = await submit(client)
        await client.results(run.run_id)
        await client.wait(run.run_id)
        await client.workers()
        assert [run async for run in client.runs()]
        await client.cancel(run.run_id)
    assert len(scheduler.deadlines_s) == 10
    assert all(deadline_s is not None and deadline_s < 1000.0 for deadline_s in scheduler.deadlines_s.values())


async def test_a_cut_result_stream_goes_on_after_the_last_cursor():
    scheduler = ScriptedScheduler()
    scheduler.cut_after = [10, 30]
    async with serving(scheduler) as address, connect(address) as client:
        run = await submit(client)
        blocks = [block async for block in client.stream_results(run.run_id)]
    assert [block.cursor for block in blocks] == [10, 20, 30, 40]
    assert scheduler.cursors == [0, 10, 30]


async def test_results_resume_from_a_cursor_in_another_process():
    async with serving(ScriptedScheduler()) as address:
        async with connect(address) as client:
            run = await submit(client)
            stream = client.stream_results(run.run_id)
            first = await anext(stream)
            await stream.aclose()
        async with connect(address) as client:
            rest = [block.cursor async for block in client.stream_results(run.run_id, first.cursor)]
    assert rest == [20, 30, 40]


@pytest.mark.parametrize("cursor", [-1, 1 << 63])
async def test_a_cursor_no_block_came_with_is_refused(cursor):
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        with pytest.raises(RequestError, match=f"or 0, got {cursor}"):
            await anext(client.stream_results("r1", cursor))


async def test_a_digest_that_is_none_is_refused():
    async with connect("127.0.0.1:1") as client:
        with pytest.raises(RequestError, match="64 hexadecimal digits, got 'zz'"):
            await client.blob("zz")


async def test_one_measure_may_be_given_as_it_is():
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, connect(address) as client:
        await client.submit(BOOK, MARKET, SCENARIOS, "vega", request_id="q")
    assert scheduler.specs["q"][1].work.measures == ("vega",)


async def test_an_open_stream_survives_a_restart_of_the_scheduler():
    scheduler, port = ScriptedScheduler(), free_port()
    scheduler.hold_after = [20]
    async with connect(f"127.0.0.1:{port}") as client:
        async with serving(scheduler, port):
            run = await submit(client)
            stream = client.stream_results(run.run_id)
            cursors = [(await anext(stream)).cursor, (await anext(stream)).cursor]
            third = asyncio.create_task(anext(stream))  # waits for what the first scheduler will never send
        async with serving(scheduler, port):
            cursors += [(await third).cursor] + [block.cursor async for block in stream]
    assert cursors == [10, 20, 30, 40]
    assert scheduler.cursors == [0, 20]


async def test_leaving_a_stream_cancels_its_call():
    scheduler = ScriptedScheduler()
    scheduler.hold_after = [10]
    async with serving(scheduler) as address, connect(address) as client:
        run = await submit(client)
        stream = client.stream_results(run.run_id)
        await anext(stream)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.05)
        assert (await client.run(run.run_id)).run_id == run.run_id
    assert scheduler.cursors == [0]


async def test_a_standby_is_asked_when_the_first_address_is_dead():
    async with serving(ScriptedScheduler()) as address, connect(f"127.0.0.1:{free_port()},{address}") as client:
        assert (await submit(client)).run_id == "r1"


async def test_no_scheduler_says_address_tries_and_what_to_start():
    address = f"127.0.0.1:{free_port()}"
    async with connect(address, SHORT) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.run("r1")
    message = str(caught.value)
    assert f"no scheduler answers at {address}" in message
    assert re.search(r"\([1-9]\d* tries in \d+\.\d s; ", message)
    assert f"`xip-scheduler --listen {address}`" in message
    assert "--local" in message


async def test_a_handler_that_fails_every_time_is_told_not_waited_for():
    scheduler = ScriptedScheduler()
    scheduler.faults["GetRun"] = [UNKNOWN] * 9
    async with serving(scheduler) as address, connect(address) as client:
        with pytest.raises(XipError, match="the scheduler failed 5 times: as the test wants it"):
            await client.run("r1")
    assert scheduler.calls.count("GetRun") == 5


@pytest.mark.parametrize("method", ["run", "wait", "cancel", "results"])
async def test_an_unknown_run_is_not_found(method):
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        with pytest.raises(NotFoundError, match="run 'r9' is not known"):
            await getattr(client, method)("r9")


async def test_wait_ends_with_the_final_state_even_if_the_watch_ends_before():
    scheduler = ScriptedScheduler()
    scheduler.watch_ends_early = 2
    async with serving(scheduler) as address, connect(address) as client:
        run = await submit(client)
        assert (await client.wait(run.run_id, timeout_s=PATIENCE_S)).state is RunState.COMPLETED_WITH_QUARANTINE


async def test_wait_gives_up_after_its_time():
    scheduler = ScriptedScheduler()
    scheduler.state = RunState.RUNNING
    async with serving(scheduler) as address, connect(address) as client:
        run = await submit(client)
        with pytest.raises(UnavailableError, match=r"must be final within 0\.1 s"):
            await client.wait(run.run_id, timeout_s=0.1)


async def test_runs_are_listed_newest_first_across_pages(monkeypatch):
    monkeypatch.setattr("xip_core.client.client.RUNS_PER_PAGE", 2)
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address, connect(address) as client:
        for number in range(5):
            await submit(client, request_id=f"q{number}")
        assert [run.run_id async for run in client.runs()] == ["r5", "r4", "r3", "r2", "r1"]
        assert [run.run_id async for run in client.runs(limit=3)] == ["r5", "r4", "r3"]
    assert scheduler.calls.count("ListRuns") == 5


async def test_cancel_answers_the_cancelled_run():
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        run = await client.cancel((await submit(client)).run_id, reason="wrong book")
    assert (run.state, run.message) == (RunState.CANCELLED, "wrong book")


async def test_a_run_is_paused_resumed_and_retried():
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        first = await submit(client)
        assert (await client.pause(first.run_id, "make room")).is_paused
        assert not (await client.resume(first.run_id)).is_paused
        with pytest.raises(RequestError) as refused:
            await client.retry(first.run_id)
        assert refused.value.reason == "RUN_NOT_FINAL"
        await client.cancel(first.run_id)
        retries = [await client.retry(first.run_id, request_id="again") for _ in range(2)]
    assert [(run.run_id, run.retry_of, run.is_repeated) for run in retries] == [
        ("r2", first.run_id, False),
        ("r2", first.run_id, True),
    ]


EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_refusal_for_now_is_waited_out_as_long_as_the_scheduler_says():
    scheduler = ScriptedScheduler()
    scheduler.retry_after_ms = "1"
    scheduler.faults["SubmitRun"] = [EXHAUSTED] * 3
    async with serving(scheduler) as address, connect(address) as client:
        assert (await submit(client)).run_id == "r1"
    assert scheduler.calls.count("SubmitRun") == 4


async def test_a_refusal_for_now_is_told_when_patience_ends():
    scheduler = ScriptedScheduler()
    scheduler.retry_after_ms = "1"
    scheduler.faults["SubmitRun"] = [EXHAUSTED] * 99
    patience = Patience(again_s=0.0)
    async with serving(scheduler) as address, connect(address, patience=patience) as client:
        with pytest.raises(OverloadedError) as refused:
            await submit(client)
    assert refused.value.retry_after_s == 0.001
    assert scheduler.calls.count("SubmitRun") == 1


async def test_a_client_adds_a_tenth_to_an_overload_and_no_more():
    """50 calls while every second one is refused: ten tries again at first, then one for ten calls answered (L6)."""
    scheduler = ScriptedScheduler()
    scheduler.retry_after_ms = "1"
    refused_count = 0
    async with serving(scheduler) as address, connect(address) as client:
        run = await submit(client)
        before = len(scheduler.calls)
        for _ in range(50):
            scheduler.faults["GetRun"] = [EXHAUSTED] * 99
            try:
                await client.run(run.run_id)
            except OverloadedError:
                refused_count += 1
            scheduler.faults.clear()
            await client.run(run.run_id)
    tries_again = len(scheduler.calls) - before - 100
    assert refused_count == 50
    assert 10 <= tries_again <= 10 + 5


@pytest.mark.parametrize("hint", ["", "soon", "-5", "1e99"])
async def test_a_refusal_without_a_hint_that_makes_sense_is_told_at_once(hint):
    scheduler = ScriptedScheduler()
    scheduler.retry_after_ms = hint
    scheduler.faults["SubmitRun"] = [EXHAUSTED] * 2
    async with serving(scheduler) as address, connect(address) as client:
        with pytest.raises(RequestError, match="as the test wants it"):
            await submit(client)
    assert scheduler.calls.count("SubmitRun") == 1


async def test_a_probe_has_no_table_of_results():
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        run = await client.submit_spec(RunSpec("probe", ProbeWork("probe.noop", 10)))
        with pytest.raises(RequestError, match="it has no book"):
            await client.results(run.run_id)


async def test_attached_workers_are_listed():
    async with serving(ScriptedScheduler()) as address, connect(address) as client:
        (worker,) = await client.workers()
    assert (worker.worker_id, worker.slot_count, worker.cpu_level) == ("w1", 2, "v4")


@pytest.mark.parametrize("text", ["", "host", "host:", ":7780", "host:0", "host:65536", "host:http", "a:1,,b:2"])
def test_an_address_needs_host_and_port(text):
    with pytest.raises(RequestError, match="must be HOST:PORT"):
        parse_addresses(text)


def test_several_addresses_are_joined_by_commas():
    assert parse_addresses("a:1, b:2,[::1]:3") == ("a:1", "b:2", "[::1]:3")
