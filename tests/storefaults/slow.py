"""Syncs that take longer than a lease, under a scheduler that goes on.

While the store's thread waits for the disk, the loop must answer and read on. A heartbeat counts from when it was
received, so a worker that speaks keeps its lease however long a commit takes, and one that is silent loses it. strace
delays each sync and writes down when it began and ended: whoever was answered must have asked before a sync began and
been answered after it ended.

What is said of speed is counted in syncs, of which a busy machine has as many as an idle one: a call may see two of
them, and probes are answered within most. One thing needs time itself: the machine must not stand still for a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.storefaults.grid import Book, Desk, channel_to, look, settings_of
from tests.storefaults.kill import MEMORY
from tests.storefaults.served import ServedScheduler
from tests.storefaults.tracing import FORKING
from xip_core.wire.v1 import worker_pb2

LEASES_PER_SYNC = 0.6
"""A lease lasts so much of a sync: a whole one passes, unrenewed, inside each commit."""

BEATS_PER_LEASE = 12

SYNCS_MAX = 2
"""Whole ones, within which a call is answered: of a commit that began after it was sent and before it was read, and its
own."""

WITHOUT_CHECKPOINT = 1000
"""Pages of the WAL, more than a story writes: a checkpoint has syncs of its own."""

PROBE_INTERVAL_S = 0.02


class Asked(msgspec.Struct, frozen=True):
    """A call that was answered; seconds of the wall clock, as strace's."""

    what: str
    sent_s: float
    answered_s: float


class Sync(msgspec.Struct, frozen=True):
    begin_s: float
    end_s: float

    def is_within(self, asked: Asked) -> bool:
        return asked.sent_s <= self.begin_s and self.end_s <= asked.answered_s


class Figures(msgspec.Struct):
    """Calls that changed something, calls that read a run, probes; what strace saw; heartbeats sent."""

    calls: list[Asked] = []
    reads: list[Asked] = []
    probes: list[Asked] = []
    syncs: list[Sync] = []
    heartbeats: int = 0
    complaints: list[str] = []


async def note(asked: list[Asked], what: str, call: Awaitable[Any]) -> Any:
    """The answer of *call*, which is written down."""
    sent_s = time.time()
    answer = await call
    asked.append(Asked(what, sent_s, time.time()))
    return answer


def longest_s(asked: list[Asked]) -> float:
    return max(each.answered_s - each.sent_s for each in asked)


async def check(delay_s: float, rounds: int, flaw: str = "") -> Figures:
    """Let a story pass in which each sync takes *delay_s*."""
    figures, book = Figures(), Book()
    lease_s = LEASES_PER_SYNC * delay_s
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        log, directory = Path(name) / "log", Path(name) / "data"
        settings = settings_of(directory, lease_duration_s=lease_s, heartbeat_interval_s=lease_s / BEATS_PER_LEASE)
        with ServedScheduler(settings, True, flaw, WITHOUT_CHECKPOINT) as scheduler:
            expressions = ("trace=fdatasync", f"inject=fdatasync:delay_enter={round(delay_s * 1e6)}")
            async with channel_to(scheduler) as channel, asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(scheduler.trace, *expressions, log=log, with_times=True))
                over = asyncio.Event()
                group.create_task(_probe(channel, figures, over))
                await _story(channel, book, figures, settings.heartbeat_interval_s, rounds)
                over.set()
            scheduler.untrace()
            scheduler.stop()
            code = await asyncio.to_thread(scheduler.exit_code)
        if code:
            figures.complaints.append(f"the scheduler ended with {code}")
        figures.syncs = _syncs(log)
        with FORKING:
            figures.complaints += look(directory, book)
    figures.complaints += [*_too_early(figures), *_too_late(figures)]
    return figures


async def _story(channel: grpc.aio.Channel, book: Book, figures: Figures, interval_s: float, rounds: int) -> None:
    """One worker computes one tile through it all and says so; another one takes a tile and falls silent."""
    desk = Desk(channel, book)
    run_id = (await note(figures.calls, "submit", desk.submit("slow"))).run.run_id
    async with ProtocolWorker(channel, "speaks") as speaks, _beating(speaks, interval_s, figures) as beat_of:
        held = await speaks.lease()
        beat_of.append(held.epoch)
        async with ProtocolWorker(channel, "silent") as silent:
            async with _beating(silent, interval_s, figures):
                lost = await silent.lease()
            for number in range(rounds):
                other = (await note(figures.calls, "submit", desk.submit(f"other {number}"))).run.run_id
                await note(figures.reads, "reading a run", desk.run(run_id))
                await note(figures.calls, "cancel", desk.cancel(other))
            await silent.until_revoked(lost.epoch)
        sequence = await speaks.report(a_result(held, detail=True))
        await note(figures.calls, "result", speaks.until_acknowledged(sequence))
        if held.epoch in speaks.revoked:
            figures.complaints.append("the lease of a worker that spoke was taken back")
        book.tiles[held.run_id, held.tile_begin] = held.epoch
    done = (await desk.run(run_id)).nodes[0].tiles_done
    if done != 1:
        figures.complaints.append(f"one tile was computed, under a lease that was renewed; the run has {done}")
    await note(figures.calls, "cancel", desk.cancel(run_id))


@contextlib.asynccontextmanager
async def _beating(worker: ProtocolWorker, interval_s: float, figures: Figures) -> AsyncIterator[list[int]]:
    """Heartbeats of *worker* as long as this lasts; the epochs it has progress of, to be added to."""
    epochs: list[int] = []

    async def beat() -> None:
        while not await _is_set_within(over, interval_s):
            progress = [worker_pb2.LeaseProgress(epoch=epoch) for epoch in epochs]
            await worker.send(heartbeat=worker_pb2.Heartbeat(leases=progress))
            figures.heartbeats += 1

    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(beat())
        yield epochs
        over.set()


async def _is_set_within(over: asyncio.Event, limit_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), limit_s)
    return over.is_set()


async def _probe(channel: grpc.aio.Channel, figures: Figures, over: asyncio.Event) -> None:
    """Ask for the health again and again: the loop must never stand still."""
    health = health_pb2_grpc.HealthStub(channel)
    while not await _is_set_within(over, PROBE_INTERVAL_S):
        await note(figures.probes, "health", health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True))


def _syncs(log: Path) -> list[Sync]:
    syncs = []
    for line in log.read_text().splitlines():
        head, _, tail = line.partition(" ")
        if tail.startswith("fdatasync("):
            begin_s = float(head)
            syncs.append(Sync(begin_s, begin_s + float(tail.rpartition("<")[2].rstrip(">"))))
    return syncs


def _too_early(figures: Figures) -> Iterator[str]:
    """Calls that were answered though no sync began after they were sent and ended before their answer."""
    for call in figures.calls:
        if not any(sync.is_within(call) for sync in figures.syncs):
            yield f"{call.what} was answered after {call.answered_s - call.sent_s:.3f} s, before it was durable"


def _too_late(figures: Figures) -> Iterator[str]:
    for call in (*figures.calls, *figures.reads):
        waited = sum(sync.is_within(call) for sync in figures.syncs)
        if waited > SYNCS_MAX:
            yield f"{call.what} waited for {waited} syncs, at most {SYNCS_MAX}"
    if len(figures.syncs) < len(figures.calls):
        yield f"{len(figures.calls)} calls must have been synced, {len(figures.syncs)} syncs were seen"
    silent = [
        sync for sync in figures.syncs
        if not any(sync.begin_s < probe.answered_s < sync.end_s for probe in figures.probes)
    ]  # fmt: skip
    if 2 * len(silent) > len(figures.syncs):
        yield f"in {len(silent)} of {len(figures.syncs)} syncs no probe was answered: the loop stands still"
