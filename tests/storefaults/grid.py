"""A whole scheduler, fed over gRPC, while its disk fails: killed at a call of its store's thread, or slow in each sync.

What was answered is kept in a book: runs by request, tiles with the epoch under which they were acknowledged,
cancellations and pauses. A record never changes and a tile computed again has another epoch, so one look at the store
at the end shows whether anything that was acknowledged has ever been lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import grpc.aio
import msgspec

from tests.chaos.store_reader import check_store
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.storefaults.kill import MEMORY
from tests.storefaults.served import ServedScheduler
from tests.storefaults.tracing import CHANGES, FORKING, calls
from xip_core.wire.v1 import run_pb2, run_pb2_grpc
from xip_scheduler.settings import Settings
from xip_scheduler.store.sqlite import DATABASE_NAME
from xip_scheduler.store.verify import verify_store

TILE_COUNT = 4
ROUNDS = 4
"""Of the story; it has 26 commits and 3 checkpoints or so."""

CALL_LIMIT_S = 30.0

ENDED = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError)
"""What a call raises when the scheduler died under it."""


class Book:
    """What was asked, and what of it was answered."""

    def __init__(self) -> None:
        self.requests: dict[str, run_pb2.SubmitRunRequest] = {}
        self.runs: dict[str, str] = {}
        self.tiles: dict[tuple[str, int], int] = {}
        self.cancelled: set[str] = set()
        self.paused: dict[str, bool] = {}


class Place(msgspec.Struct, frozen=True):
    """Before call number *number* (1, 2, ...) of this name by the store's thread."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"scheduler, {self.call} {self.number}"


Check = Callable[[Place, str], Awaitable[list[str]]]
"""Kill a story there, with a planted flaw or none: what was wrong."""


def settings_of(directory: Path, **others: object) -> Settings:
    values: dict[str, object] = {"listen": "127.0.0.1:0", "data_dir": str(directory), "log_level": "critical"}
    return msgspec.convert(values | {"gathering_s": 0.0} | others, Settings)


@contextlib.asynccontextmanager
async def channel_to(scheduler: ServedScheduler) -> AsyncIterator[grpc.aio.Channel]:
    port = await asyncio.to_thread(scheduler.port)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


class Desk:
    """A client that writes into *book* what it asks and what it is answered."""

    def __init__(self, channel: grpc.aio.Channel, book: Book) -> None:
        self._stub = run_pb2_grpc.RunServiceStub(channel)
        self._book = book

    async def submit(self, request_id: str) -> run_pb2.SubmitRunResponse:
        probe = run_pb2.ProbeWork(kernel="probe.noop", tile_count=TILE_COUNT, tiles_per_lease=1)
        spec = run_pb2.RunSpec(name=request_id, tenant="desk", probe=probe)
        request = self._book.requests[request_id] = run_pb2.SubmitRunRequest(request_id=request_id, spec=spec)
        answer = await self._stub.SubmitRun(request, timeout=CALL_LIMIT_S, wait_for_ready=True)
        self._book.runs[request_id] = answer.run.run_id
        return answer

    async def cancel(self, run_id: str) -> None:
        await self._stub.CancelRun(run_pb2.CancelRunRequest(run_id=run_id), timeout=CALL_LIMIT_S)
        self._book.cancelled.add(run_id)

    async def pause(self, run_id: str) -> None:
        await self._stub.PauseRun(run_pb2.PauseRunRequest(run_id=run_id), timeout=CALL_LIMIT_S)
        self._book.paused[run_id] = True

    async def resume(self, run_id: str) -> None:
        self._book.paused.pop(run_id, None)  # from now on it may be either
        await self._stub.ResumeRun(run_pb2.ResumeRunRequest(run_id=run_id), timeout=CALL_LIMIT_S)
        self._book.paused[run_id] = False

    async def run(self, run_id: str) -> run_pb2.Run:
        answer = await self._stub.GetRun(run_pb2.GetRunRequest(run_id=run_id), timeout=CALL_LIMIT_S)
        return answer.run


async def work_off(worker: ProtocolWorker, book: Book, tile_count: int) -> None:
    """Report tile after tile, each acknowledged before the next, and note them. None of its leases may be revoked."""
    for _ in range(tile_count):
        lease = await worker.lease()
        await worker.until_acknowledged(await worker.report(a_result(lease, detail=True)))
        book.tiles[lease.run_id, lease.tile_begin] = lease.epoch


async def story(channel: grpc.aio.Channel, book: Book, rounds: int = ROUNDS) -> None:
    """Runs submitted, computed, paused, resumed and cancelled, one thing after the other."""
    desk = Desk(channel, book)
    for number in range(rounds):
        computed = (await desk.submit(f"computed {number}")).run.run_id
        await desk.pause(computed)  # before it is leased: a pause takes leases back, their results count for nothing
        await desk.resume(computed)
        async with ProtocolWorker(channel) as worker:
            await work_off(worker, book, TILE_COUNT)
        await desk.cancel((await desk.submit(f"cancelled {number}")).run.run_id)


# ---- kill -9


async def places() -> list[Place]:
    """Every place of the story."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        log = Path(name) / "log"
        with ServedScheduler(settings_of(Path(name) / "data"), is_held=True) as scheduler:
            async with channel_to(scheduler) as channel, asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(scheduler.trace, f"trace={','.join(CHANGES)}", log=log))
                await group.create_task(story(channel, Book()))
            scheduler.stop()
            await asyncio.to_thread(scheduler.exit_code)
        counts: dict[str, int] = {}
        for call in calls(log):
            counts[call.name] = counts.get(call.name, 0) + 1
    return [Place(call, number) for call, count in counts.items() for number in range(1, count + 1)]


async def check(place: Place, flaw: str = "") -> list[str]:
    """Kill there, start again on the same directory, go on to the end: what was wrong."""
    book = Book()
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name) / "data"
        with ServedScheduler(settings_of(directory), is_held=True, flaw=flaw) as scheduler:
            async with channel_to(scheduler) as channel:
                injected = f"inject={place.call}:signal=SIGKILL:when={place.number}"
                tracing = asyncio.create_task(asyncio.to_thread(scheduler.trace, f"trace={place.call}", injected))
                with contextlib.suppress(*ENDED):
                    # More rounds than were counted: heartbeats and wake-ups may share a commit or not.
                    await story(channel, book, rounds=2 * ROUNDS)
                    scheduler.stop()
                await tracing
            code = await asyncio.to_thread(scheduler.exit_code)
        if code != -9:
            return [f"{place}: not reached, exit code {code}"]
        try:
            complaints = await go_on(directory, book)
        except (AssertionError, *ENDED) as error:
            complaints = [f"going on fails: {error}"]
        with FORKING:
            complaints += look(directory, book)
        return [f"{place}: {complaint}" for complaint in complaints]


async def go_on(directory: Path, book: Book) -> list[str]:
    """Ask the next scheduler for all that was answered, ask again for what was not, and finish all runs."""
    complaints = []
    with ServedScheduler(settings_of(directory)) as scheduler:
        async with channel_to(scheduler) as channel:
            desk = Desk(channel, book)
            for request_id, run_id in list(book.runs.items()):
                answer = await desk.submit(request_id)
                if answer.created or answer.run.run_id != run_id:
                    complaints.append(f"{request_id!r} was answered as {run_id}, now as {answer.run.run_id}")
            for request_id in book.requests.keys() - book.runs.keys():
                await desk.submit(request_id)
            left = 0
            for run_id in book.runs.values():
                run = await desk.run(run_id)
                complaints += _differences(run, book)
                if run.paused:
                    await desk.resume(run_id)
                if run.state == run_pb2.RUN_STATE_RUNNING:
                    left += TILE_COUNT - run.nodes[0].tiles_done
            async with ProtocolWorker(channel) as worker:
                await work_off(worker, Book(), left)  # what is computed again must not hide what is gone
            for run_id in book.runs.values():
                run = await desk.run(run_id)
                if run.state not in (run_pb2.RUN_STATE_COMPLETED, run_pb2.RUN_STATE_CANCELLED):
                    complaints.append(f"run {run_id} must be final when all its tiles are done, is {run.state}")
        scheduler.stop()
        code = await asyncio.to_thread(scheduler.exit_code)
    return complaints + ([f"the next scheduler ended with {code}"] if code else [])


def _differences(run: run_pb2.Run, book: Book) -> Iterator[str]:
    if run.run_id in book.cancelled and run.state != run_pb2.RUN_STATE_CANCELLED:
        yield f"run {run.run_id} was cancelled, and now is {run.state}"
    if run.run_id in book.paused and run.paused != book.paused[run.run_id]:
        yield f"run {run.run_id}: paused must be {book.paused[run.run_id]}, is {run.paused}"
    acknowledged = sum(run_id == run.run_id for run_id, _ in book.tiles)
    if run.nodes[0].tiles_done < acknowledged:
        yield f"run {run.run_id}: {acknowledged} tiles were acknowledged, it has {run.nodes[0].tiles_done}"


def look(directory: Path, book: Book) -> list[str]:
    """What is wrong with the store of a scheduler that has ended."""
    complaints = [sentence for looked in verify_store(directory).checks for sentence in looked.complaints]
    try:
        check_store(directory, book.runs)
    except AssertionError as error:
        complaints.append(str(error))
    with contextlib.closing(sqlite3.connect(directory / DATABASE_NAME)) as connection:
        select = "SELECT run_id, tile_begin, tile_end, epoch FROM tile_record JOIN run USING (run_key)"
        kept = {
            (run_id, tile): epoch for run_id, begin, end, epoch in connection.execute(select)
            for tile in range(begin, end)
        }  # fmt: skip
    for tile, epoch in book.tiles.items():
        if kept.get(tile) != epoch:
            complaints.append(f"tile {tile} was acknowledged under epoch {epoch}, kept is {kept.get(tile)}")
    return complaints


def spread(found: list[Place], count: int) -> list[Place]:
    """About *count* of them at even distances, or all."""
    return found[:: max(1, len(found) // count)]


async def check_all(found: list[Place], jobs: int, flaw: str = "", check: Check = check) -> list[str]:
    """Complaints of all places, *jobs* at a time."""
    turns = asyncio.Semaphore(jobs)

    async def check_in_turn(place: Place) -> list[str]:
        async with turns:
            return await check(place, flaw)

    return [said for saids in await asyncio.gather(*map(check_in_turn, found)) for said in saids]
