"""kill -9 of a whole scheduler within the commit of several results that came in one message.

Workers keep results for company (`xip_worker.patience`), so what a scheduler commits is mostly such a message: records,
outputs, details and quarantined cells of several tiles in one transaction. A story here computes runs of which the
first result comes alone and all others come together, and dies at a chosen call of the store's thread, counted from the
first such message on. Afterwards

* what was acknowledged is there, under the epoch it was acknowledged with,
* of the message there is everything or nothing, in every table, and the run has ended or has not accordingly,
* the worker offers the same message again, twice: each tile is there once, as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

import grpc.aio
import msgspec

from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.storefaults.grid import ENDED, TILE_COUNT, Book, Desk, Place, channel_to, look, settings_of
from tests.storefaults.kill import MEMORY
from tests.storefaults.script import State, state_of
from tests.storefaults.served import ServedScheduler
from tests.storefaults.tracing import CHANGES, FORKING, calls
from xip_core.wire.v1 import common_pb2, run_pb2, worker_pb2
from xip_scheduler.store.sqlite import SqliteStore

ROUNDS = 3
"""Runs of a story. Places are counted in the first; the others are there to be killed in if a count was too high."""

CHECKPOINT_PAGES = 12
"""The WAL goes into the file at so many, so that the commit of a message ends with a checkpoint."""

BLOCK_BYTES = (40, 900, 9_000)
"""Details of the tiles in turn: within a page, beside others on it, over several."""


class Message(msgspec.Struct):
    """Results of one run: what came alone, what came together, and whether it was acknowledged."""

    run_id: str
    leases: list[worker_pb2.Lease]
    results: list[worker_pb2.TileResult]
    is_acknowledged: bool = False


class Traced(msgspec.Struct):
    """A story that is killed at *place*, or only written down in *log*; what it has said so far."""

    place: Place | None = None
    log: Path = Path("/dev/null")
    book: Book = msgspec.field(default_factory=Book)
    messages: list[Message] = []

    def expressions(self) -> tuple[str, ...]:
        if self.place is None:
            return (f"trace={','.join(CHANGES)}",)
        return f"trace={self.place.call}", f"inject={self.place.call}:signal=SIGKILL:when={self.place.number}"

    async def play(self, scheduler: ServedScheduler, channel: grpc.aio.Channel) -> None:
        """
        Raises:
            ENDED: the scheduler was killed.
        """
        desk = Desk(channel, self.book)
        released = asyncio.create_task(asyncio.to_thread(scheduler.release))  # it says who it is at its first commit
        for number in range(ROUNDS if self.place else 1):
            run_id = (await desk.submit(f"together {number}")).run.run_id
            async with ProtocolWorker(channel, slot_count=TILE_COUNT) as worker:
                leases = [await worker.lease() for _ in range(TILE_COUNT)]
                first, *others = map(_result, leases)
                self.messages.append(Message(run_id, leases[1:], others))
                await worker.until_acknowledged(await worker.report(first))
                self.book.tiles[run_id, first.tile_begin] = first.epoch
                if number == 0:
                    await released
                    await asyncio.to_thread(scheduler.trace, *self.expressions(), log=self.log)
                await worker.until_acknowledged(await worker.report(*others))
            self.messages[-1].is_acknowledged = True
            self.book.tiles |= {(run_id, result.tile_begin): result.epoch for result in others}


def _result(lease: worker_pb2.Lease) -> worker_pb2.TileResult:
    result = a_result(lease, detail=True)
    result.detail = b"%d" % lease.tile_begin * BLOCK_BYTES[lease.tile_begin % len(BLOCK_BYTES)]
    if lease.tile_begin == TILE_COUNT - 1:
        reason = common_pb2.FAILURE_REASON_NUMERICAL
        result.quarantine.add(row=lease.tile_begin, scenario_end=1, reason=reason, trade_id="T", message="no root")
    return result


async def places() -> list[Place]:
    """Before every call by which the store's thread commits one message."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        traced = Traced(log=Path(name) / "log")
        with ServedScheduler(settings_of(Path(name) / "data"), True, "", CHECKPOINT_PAGES) as scheduler:
            async with channel_to(scheduler) as channel:
                await traced.play(scheduler, channel)
            scheduler.untrace()
        counts: dict[str, int] = {}
        for call in calls(traced.log):
            counts[call.name] = counts.get(call.name, 0) + 1
    return [Place(call, number) for call, count in counts.items() for number in range(1, count + 1)]


async def check(place: Place, flaw: str = "") -> list[str]:
    """Kill there, look at the store, start again, offer the messages again: what was wrong."""
    traced = Traced(place)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name) / "data"
        with ServedScheduler(settings_of(directory), True, flaw, CHECKPOINT_PAGES) as scheduler:
            async with channel_to(scheduler) as channel:
                with contextlib.suppress(*ENDED):
                    await traced.play(scheduler, channel)
                    scheduler.stop()
            code = await asyncio.to_thread(scheduler.exit_code)
        if code != -9:
            return [f"{place}: not reached, exit code {code}"]
        with FORKING, contextlib.closing(SqliteStore(directory)) as store:
            complaints = _torn(state_of(store), traced)
        try:
            complaints += await _offered_again(directory, traced)
        except (AssertionError, *ENDED) as error:
            complaints.append(f"going on fails: {error}")
        with FORKING:
            complaints += look(directory, traced.book)
            with contextlib.closing(SqliteStore(directory)) as store:
                complaints += _torn(state_of(store), traced)
        return [f"{place}: {complaint}" for complaint in complaints]


def _torn(state: State, traced: Traced) -> list[str]:
    """What is wrong with each run: a message that is there in part, or is not though it was acknowledged."""
    complaints = []
    for message in traced.messages:
        come = {result.tile_begin: result for result in message.results}
        first = {tile for run_id, tile in traced.book.tiles if run_id == message.run_id} - come.keys()
        found = _kept(state, message.run_id)
        whole, absent = _expected(first, come), _expected(first, {})
        if found not in ((whole,) if message.is_acknowledged else (whole, absent)):
            what = "it was acknowledged" if message.is_acknowledged else "it must be there or not"
            complaints.append(f"of the message of run {message.run_id} there is {found}; {what}")
    return complaints


def _kept(state: State, run_id: str) -> dict[str, object]:
    """What every table has of a run of one node."""
    finished_at_s = state.runs[run_id][9]
    return {
        "records": sorted(tile for run, _, tile in state.tiles if run == run_id),
        "outputs": sorted(tile for run, _, tile in state.outputs if run == run_id),
        "details": sorted(tile for _, tile, _ in state.details.get(run_id, [])),
        "quarantine": [cells[0] for cells in state.quarantine.get(run_id, [])],
        "counts": state.tallies.get((run_id, 0)),
        "final": finished_at_s > 0.0,
    }


def _expected(first: set[int], come: dict[int, worker_pb2.TileResult]) -> dict[str, object]:
    tiles = sorted(first | come.keys())
    quarantine = [cells.row for tile in sorted(come) for cells in come[tile].quarantine]
    return {
        "records": tiles,
        "outputs": tiles,
        "details": tiles,
        "quarantine": quarantine,
        "counts": (len(tiles), len(tiles), len(quarantine)) if tiles else None,
        "final": len(tiles) == TILE_COUNT,
    }


async def _offered_again(directory: Path, traced: Traced) -> list[str]:
    """The worker comes back to the next scheduler with the leases it held, and offers each message twice."""
    complaints = []
    with ServedScheduler(settings_of(directory)) as scheduler:
        async with channel_to(scheduler) as channel:
            desk = Desk(channel, traced.book)
            for message in traced.messages:
                worker = ProtocolWorker(channel, slot_count=TILE_COUNT)
                async with await worker.attach_and_report(message.leases, *message.results):
                    await worker.until_acknowledged(1)
                    await worker.until_acknowledged(await worker.report(*message.results))
                tiles = {(message.run_id, result.tile_begin): result.epoch for result in message.results}
                traced.book.tiles |= tiles
                message.is_acknowledged = True
                run = await desk.run(message.run_id)
                if run.state != run_pb2.RUN_STATE_COMPLETED_WITH_QUARANTINE or run.cells_done != TILE_COUNT:
                    complaints.append(f"run {message.run_id} must be complete, has {run.cells_done} cells")
        scheduler.stop()
        code = await asyncio.to_thread(scheduler.exit_code)
    return complaints + ([f"the next scheduler ended with {code}"] if code else [])
