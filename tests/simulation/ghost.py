"""The checkers: what must hold, judged from the outside with books of their own.

Every grant that leaves the scheduler gets a **serial**, which the code under test never sees: it rides on the lease
object to the worker and comes back inside the bytes of the result. A core that never raised an epoch would satisfy
every check that believes in epochs; it does not satisfy this one.

A tile's **current** serial is the one it was last sent out under, or adopted under, by the scheduler that lives now.
Adoption after a restart is first come, first served, so the books of currents end with their scheduler; what is
recorded, final, acknowledged or granted as an epoch is kept for ever.

    sent(grant)      S3 epochs grow   S8 none after a final state   S10 inputs durable   S2 none of a decided tile
    durable(batch)   S1 one record    S2 current serial, right tile, right worker   S8 S9   S11 right bytes
    acknowledged     S5 durable at the time of the acknowledgement
    restarted        S5 still there   S6 one run per request   S19 memory equals the store
"""

from __future__ import annotations

from collections import Counter

import msgspec

from tests.simulation.disk import Disk, Entry, Tables
from tests.simulation.memory import Memory
from tests.simulation.takeovers import Takeovers
from tests.simulation.workload import SERIAL_BYTES, TENANTS, Request, Tile, cells_of_tile, tiles_needed
from xip_core.graph.plan import Node, NodeKind
from xip_scheduler.core.actions import Action, GrantLease, PersistRun, RecordPaused, RecordRunState
from xip_scheduler.core.core import Core
from xip_scheduler.core.words import RunState
from xip_scheduler.store import audit
from xip_scheduler.store.protocol import Batch, FinishedRun, TileRecord

CRASHES_MAX = 3
"""S16: workers that one poison tile may kill, ever."""

DEATH_NOTICED_S = 90.0
"""A scheduler that lives for so long after the death of a worker has written it down: silences and stops end before."""


DESK = "a desk"
"""Who cancels, pauses and resumes."""

NO_SEAL = audit.Seal("", 0, 0, 0, 0)


class Violation(Exception):  # noqa: N818 - the word of the invariants
    """An invariant does not hold."""


class Grant(msgspec.Struct):
    """A lease as it was sent, by its serial."""

    serial: int
    worker_id: str
    epoch: int
    run_id: str
    node_id: int
    tile_begin: int
    tile_end: int
    term: int
    era: int

    def tiles(self) -> list[Tile]:
        return [(self.run_id, self.node_id, tile) for tile in range(self.tile_begin, self.tile_end)]


class Ghost:
    """
    Attributes:
        requests: every run that may exist, by run id.
        decided: recorded tiles; the serial of the result, 0 for tiles given up.
        current: serial by tile, of the living scheduler.
        crashes: workers killed by each poison tile: when, and who.
        attested: (kernel, version) pairs each worker said it has.
    """

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.requests: dict[str, Request] = {}
        self.tenants = TENANTS
        self.grants: dict[int, Grant] = {}
        self.serials: dict[tuple[str, int], int] = {}
        self.current: dict[Tile, int] = {}
        self.epoch_of: dict[Tile, int] = {}
        self.epochs: set[int] = set()
        self.decided: dict[Tile, int] = {}
        self.final: dict[str, int] = {}
        self.runs: set[str] = set()
        self.acknowledged_runs: set[str] = set()
        self.acknowledged_ends: set[str] = set()
        self.takeovers = Takeovers(self)
        self.memory = Memory(self)
        self.crashes: dict[Tile, list[tuple[float, str]]] = {}
        self.attested: dict[str, frozenset[tuple[str, str]]] = {}
        self.term = 0
        self.terms: set[int] = set()
        self.era = 0
        self.was_put_back = False
        self.arrivals: dict[str, int] = {}
        self.served: set[str] = set()  # tenants that were granted a lease by this term
        self.live: dict[str, str] = {}
        self.live_runs_max = self.tenant_live_runs_max = 0
        self.attempt_counts: Counter[tuple[str, int, int]] = Counter()
        self.paused: set[str] = set()
        self.just_paused: set[str] = set()
        self.ordered: dict[str, set[tuple[int, int]]] = {}
        self.probes: Counter[str] = Counter()

    def demand(self, holds: bool, invariant: str, sentence: str) -> None:
        if not holds:
            raise Violation(f"{invariant}: {sentence}")

    # ---- grants

    def sent(self, order: GrantLease, is_live: bool, term: int) -> int:
        """A lease leaves for a worker; its serial. One lost again in its own batch is sent as well, and is void.

        So is what a deposed scheduler sends before it knows: nobody will record anything that comes of it, unless its
        successor adopts it.
        """
        serial = len(self.grants) + 1
        grant = Grant(
            serial=serial,
            worker_id=order.worker_id,
            epoch=order.epoch,
            run_id=order.run_id,
            node_id=order.node_id,
            tile_begin=order.tile_begin,
            tile_end=order.tile_end,
            term=term,
            era=self.era,
        )
        self.grants[serial] = grant
        self.serials[order.worker_id, order.epoch] = serial
        self.demand(order.epoch not in self.epochs, "S3", f"epoch {order.epoch} was granted before: {order}")
        self.demand(order.epoch < self.disk.tables.epoch_end, "S3", f"epoch is not reserved in the store: {order}")
        self.epochs.add(order.epoch)
        self.demand(order.run_id in self.runs, "S5", f"a lease of a run that is not durable: {order}")
        if term != self.term:
            self.probes["lease sent by a deposed leader"] += 1
            return serial
        self.demand(order.run_id not in self.final, "S8", f"a lease of a run that is final: {order}")
        if not is_live:
            self.probes["void lease sent"] += 1
            return serial
        is_paused = order.run_id in self.paused and order.run_id not in self.just_paused
        self.demand(not is_paused, "S8", f"a lease of a run that is paused: {order}")
        request = self.requests[order.run_id]
        node = request.plan.nodes[order.node_id]
        self._check_isolation(order)
        has = self.attested.get(order.worker_id, frozenset())
        self.demand(has.issuperset(node.kernels), "S14", f"{order.worker_id} has {set(has)}, {node.kernels} are needed")
        for tile in grant.tiles():
            self.demand(tile not in self.decided, "S1", f"{tile} is decided and granted again: {order}")
            self.demand(order.epoch > self.epoch_of.get(tile, 0), "S3", f"{tile}: epochs must grow: {order}")
            self.epoch_of[tile] = order.epoch
            self.current[tile] = serial
            for needed in tiles_needed(request.plan, node, tile[2]):
                source = self.decided.get((order.run_id, *needed))
                is_met = source is not None and (source > 0 or node.kind is NodeKind.REDUCE)
                self.demand(is_met, "S10", f"{tile} is granted before its input {needed} is recorded")
        return serial

    def _check_isolation(self, order: GrantLease) -> None:
        """S16: a tile that a worker may have died of is leased alone, for a child process, by whatever scheduler."""
        standing: dict[int, int] = {}
        for _, node_id, tile, _, _, reason, _, is_suspect in self.disk.tables.attempts.get(order.run_id, ()):
            if node_id == order.node_id and order.tile_begin <= tile < order.tile_end:
                standing[tile] = max(0, standing.get(tile, 0) + (is_suspect if reason else -1))
        if any(standing.values()):
            is_alone = order.is_isolated and order.tile_end - order.tile_begin == 1
            self.demand(is_alone, "S16", f"suspects {standing} are not isolated: {order}")

    def _count_turn(self, tenant: str) -> None:
        """L2: who comes with work that every worker can do waits for one grant of each other tenant at most.

        Counted for a tenant that was granted nothing before: another may owe the others what it had ahead of them.
        """
        self.served.add(tenant)
        if self.arrivals.pop(tenant, None) is not None and self.arrivals:
            self.probes["two tenants waited for their first turn"] += 1
        for waiting in self.arrivals:
            self.arrivals[waiting] += 1
            sentence = f"{waiting} came and {self.arrivals[waiting]} grants went to others"
            self.demand(self.arrivals[waiting] <= len(self.tenants), "L2", sentence)

    def decided_orders(self, actions: list[Action]) -> None:
        """What the core orders, before it is committed: turns are counted here, for not every grant is sent."""
        for action in actions:
            if type(action) is GrantLease:
                self._count_turn(self.requests[action.run_id].tenant)
                self._note_order(action)
            elif type(action) is PersistRun:
                is_idle = action.tenant not in self.live.values()
                self.live[action.run_id] = action.tenant
                is_new = is_idle and action.tenant not in self.served
                if is_new and not action.retry_of and self.requests[action.run_id].is_quick:
                    self.arrivals[action.tenant] = 0
                    self.probes["tenant came"] += 1
            elif type(action) is RecordRunState:
                self.demand(action.run_id in self.live, "S9", f"the end of a run that is not live: {action}")
                self.arrivals.pop(self.live.pop(action.run_id), None)
            elif type(action) is RecordPaused:
                self.arrivals.pop(self.live[action.run_id], None)

    def _note_order(self, grant: GrantLease) -> None:
        """Is all calibrated when the first values are granted?"""
        request, ordered = self.requests[grant.run_id], self.ordered.setdefault(grant.run_id, set())
        kinds = [node.kind for node in request.plan.nodes]
        is_first = not any(kinds[node_id] is NodeKind.VALUE for node_id, _ in ordered)
        if kinds[grant.node_id] is NodeKind.VALUE and is_first:
            calibrate = request.plan.nodes[kinds.index(NodeKind.CALIBRATE)]
            tiles = [(calibrate.node_id, tile) for tile in range(calibrate.tile_count)]
            if not all(tile in ordered or (grant.run_id, *tile) in self.decided for tile in tiles):
                self.probes["values before all is calibrated"] += 1
            elif request.is_of_sums and calibrate.tile_count > 1:
                self.probes["sums calibrated first"] += 1
        ordered.update((grant.node_id, tile) for tile in range(grant.tile_begin, grant.tile_end))

    def adopted(self, worker_id: str, epoch: int, tile_end: int) -> None:
        """The scheduler let a worker keep what it presented, which may be less than it was granted."""
        serial = self.serials.get((worker_id, epoch))
        self.demand(serial is not None, "S2", f"worker {worker_id} may keep epoch {epoch}, which it was never granted")
        assert serial is not None
        grant = self.grants[serial]
        self.demand(grant.run_id not in self.final, "S8", f"a lease of a run that is final is kept: {grant}")
        self.demand(grant.era == self.era, "S3", f"a lease of before the backup was put back is kept: {grant}")
        if grant.term != self.term:
            self.probes["adopted after a restart"] += 1
        self.demand(grant.tile_begin < tile_end <= grant.tile_end, "S2", f"{grant} is kept up to {tile_end}")
        for tile in grant.tiles():
            # A newer grant may come back after an older one came back and was lost again; never the other way round.
            if tile[2] < tile_end and tile not in self.decided and serial > self.current.get(tile, -1):
                self.current[tile] = serial

    # ---- what becomes durable

    def durable(self, entry: Entry) -> None:
        """A log entry that no crash can take back."""
        if entry.is_checked:
            return
        entry.is_checked = True
        batch = entry.batch
        self.demand(entry.term == self.term, "S4", f"written under term {entry.term}, term {self.term} rules: {batch}")
        for kept in entry.kept:
            self.adopted(*kept)
        for run in batch.runs:
            self.demand(run.run_id not in self.runs, "S6", f"run {run.run_id} is stored twice")
            self.runs.add(run.run_id)
        for takeover in batch.takeovers:
            self.takeovers.take(takeover)
        for run_id in batch.pruned:
            self.takeovers.prune(run_id)
        self._check_attempts(batch)
        self._check_audit(batch)
        self.just_paused.clear()
        for run_id, is_paused, _ in batch.paused:
            if is_paused:
                self.paused.add(run_id)
                self.just_paused.add(run_id)
                self._probe_held(run_id)
            else:
                self.paused.discard(run_id)
        outputs = {(run_id, node_id, tile): block for run_id, node_id, tile, block in batch.outputs}
        self._check_texts(batch)
        for record in batch.records:
            self._recorded(record, outputs)
        for finished in batch.finished:
            self._finished(finished)
        for run in batch.runs:
            self._check_room(run.tenant)

    def _check_room(self, tenant: str) -> None:
        """S15: no more runs are live than there is room for."""
        live = [self.requests[run_id].tenant for run_id in self.runs - self.final.keys()]
        self.demand(len(live) <= self.live_runs_max, "S15", f"{len(live)} runs are live")
        own_count = live.count(tenant)
        self.demand(own_count <= self.tenant_live_runs_max, "S15", f"{own_count} runs of {tenant} are live")

    def _check_attempts(self, batch: Batch) -> None:
        """S16 rests on attempts that are all there: numbered from 0, none twice, none of a tile that is decided."""
        for attempt in batch.attempts:
            tile = attempt[:3]
            number = self.attempt_counts[tile]
            self.demand(attempt[3] == number, "S16", f"attempt {number} of {tile} is recorded as {attempt}")
            self.demand(tile not in self.decided, "S16", f"an attempt at a tile that is decided: {attempt}")
            self.attempt_counts[tile] += 1

    def _check_audit(self, batch: Batch) -> None:
        """S17: one row for each transition, of the run it is about and with who asked for it."""
        expected = [("retried" if run.retry_of else "accepted", run.run_id, run.tenant) for run in batch.runs]
        expected += [
            ("tiles failed", key[0], "scheduler") for key in {(row[0], row[1], row[4]) for row in batch.attempts}
        ]
        given_up = {row[:2] for row in batch.records if row[4] == 0}
        expected += [("tiles given up", run_id, "scheduler") for run_id, _ in given_up]
        expected += [("paused" if is_paused else "resumed", run_id, DESK) for run_id, is_paused, _ in batch.paused]
        expected += [("pruned", run_id, "scheduler") for run_id in batch.pruned]
        for run in batch.finished:
            is_cancelled = run.state == RunState.CANCELLED
            event, who = ("cancelled", DESK) if is_cancelled else ("finished", "scheduler")
            expected.append((event, run.run_id, who))
        written = [(entry.event, entry.run_id, entry.who) for entry in audit.entries_of(batch, lambda _: NO_SEAL)]
        self.demand(sorted(written) == sorted(expected), "S17", f"audit says {written}, {expected} happened")

    def _probe_held(self, run_id: str) -> None:
        if any(tile[0] == run_id and tile not in self.decided for tile in self.current):
            self.probes["paused while leased"] += 1

    def _check_texts(self, batch: Batch) -> None:
        """S13: what is written about a run names nothing of another tenant's."""
        told = [(row[0], row[6]) for row in batch.attempts] + [(run.run_id, run.message) for run in batch.finished]
        told += [(row[0], row[5]) for row in batch.quarantine]
        for run_id, text in told:
            tenant = self.requests[run_id].tenant
            strangers = [other for other in self.tenants if other != tenant and other in text]
            self.demand(not strangers, "S13", f"{tenant} is told of {strangers}: {text!r}")

    def crashed(self, tile: Tile, worker_id: str, now_s: float) -> None:
        """S16: a tile has killed a worker, and may have killed so many that somebody could count."""
        deaths = self.crashes.setdefault(tile, [])
        deaths.append((now_s, worker_id))
        self.demand(len(deaths) <= CRASHES_MAX, "S16", f"poison {tile} killed {[who for _, who in deaths]}")

    def _excuse(self, now_s: float) -> None:
        """A death that no scheduler lived to write down counts for no tile."""
        known = {(*row[:3], row[4]) for rows in self.disk.tables.attempts.values() for row in rows}
        for tile, deaths in self.crashes.items():
            self.crashes[tile] = [
                death for death in deaths if death[0] < now_s - DEATH_NOTICED_S or (*tile, death[1]) in known
            ]

    def _recorded(self, record: TileRecord, outputs: dict[Tile, bytes]) -> None:
        run_id, node_id, begin, end, epoch, worker_id, cell_count, quarantined_count = record
        self.demand(run_id in self.runs, "S5", f"record of an unknown run: {record}")
        state = self.final.get(run_id)
        invariant = "S8" if state == RunState.CANCELLED else "S9"
        self.demand(state is None, invariant, f"record of a run that is final: {record}")
        request = self.requests[run_id]
        node = request.plan.nodes[node_id]
        self.demand(0 <= begin < end <= node.tile_count, "S1", f"no such tiles: {record}")
        expected_cells = sum(cells_of_tile(request.plan, node, tile) for tile in range(begin, end))
        self.demand(cell_count == expected_cells, "S12", f"{expected_cells} cells are decided, recorded: {record}")
        quarantined = self._quarantined_cells(request, node, begin, end) if epoch else cell_count
        self.demand(quarantined_count == quarantined, "S12", f"{quarantined} cells are quarantined, recorded: {record}")
        for number in range(begin, end):
            tile = (run_id, node_id, number)
            self.demand(tile not in self.decided, "S1", f"{tile} is recorded twice: {record}")
            if epoch == 0:
                self.decided[tile] = 0
                continue
            block = outputs.get(tile)
            serial = int.from_bytes(block[:SERIAL_BYTES], "little") if block else self.serials.get((worker_id, epoch))
            self._check_fence(tile, serial, record)
            self.decided[tile] = serial or 0
            if block is not None or node.kind is not NodeKind.PROBE:
                self.check_value(request, tile, block or b"")

    def _quarantined_cells(self, request: Request, node: Node, begin: int, end: int) -> int:
        return sum(
            request.plan.cells_of_row(*cells[1:3])
            for tile in range(begin, end)
            for cells in request.quarantine_of(node, tile, self.takeovers.is_crippled(request, node.node_id, tile))
        )

    def _check_fence(self, tile: Tile, serial: int | None, record: TileRecord) -> None:
        grant = self.grants.get(serial or 0)
        self.demand(grant is not None, "S2", f"{tile} is recorded without a grant: {record}")
        assert grant is not None
        self.demand(grant.era == self.era, "S3", f"{tile} is recorded under a grant of before the backup: {grant}")
        self.demand(tile in grant.tiles(), "S2", f"{tile} is recorded under {grant}")
        self.demand(grant.worker_id == record[5], "S2", f"result of {grant} is recorded for {record[5]}")
        current = self.current.get(tile)
        sentence = f"{tile} is recorded under serial {serial}, current is {current}: {record}"
        self.demand(current == serial, "S2", sentence)

    def check_value(self, request: Request, tile: Tile, block: bytes) -> None:
        run_id, node_id, number = tile
        failed = frozenset(key[1:] for key, serial in self.decided.items() if not serial and key[0] == run_id)
        expected = self.takeovers.expected(request, node_id, number, failed)
        self.demand(block[SERIAL_BYTES:] == expected, "S11", f"{tile}: the recorded bytes are not the right ones")
        if failed and request.plan.nodes[node_id].kind is NodeKind.REDUCE:
            self.probes["sum over given-up tiles"] += 1

    def _finished(self, finished: FinishedRun) -> None:
        run_id = finished.run_id
        self.demand(run_id in self.runs and run_id not in self.final, "S9", f"{finished}: was {self.final.get(run_id)}")
        self.final[run_id] = finished.state
        if finished.state == RunState.CANCELLED:
            return
        plan = self.requests[run_id].plan
        missing = [
            (node.node_id, tile)
            for node in plan.nodes
            for tile in range(node.tile_count)
            if (run_id, node.node_id, tile) not in self.decided
        ]
        self.demand(not missing, "S1", f"{run_id} is final, these tiles have no record: {missing}")
        has_failed = any(not serial for tile, serial in self.decided.items() if tile[0] == run_id)
        is_lacking = has_failed or bool(self.disk.tables.quarantine.get(run_id))
        self.demand(
            (finished.state == RunState.COMPLETED) != is_lacking, "S12", f"{finished}, without a number: {is_lacking}"
        )
        self.takeovers.finished(self.requests[run_id])

    # ---- acknowledgements

    def acknowledged_submit(self, request: Request, run_id: str) -> None:
        self.demand(run_id == request.run_id, "S6", f"request {request.request_id} became run {run_id}")
        self.demand(run_id in self.disk.tables.runs, "S5", f"{run_id} is acknowledged and not stored")
        self.acknowledged_runs.add(run_id)

    def acknowledged_cancel(self, run_id: str) -> None:
        self.demand(run_id in self.disk.tables.finished, "S5", f"the end of {run_id} is acknowledged and not stored")
        self.acknowledged_ends.add(run_id)

    def acknowledged_results(self, recorded: list[Tile]) -> None:
        for tile in recorded:
            self.demand(tile in self.decided, "S5", f"the result of {tile} is acknowledged and not durable")

    # ---- restarts

    def put_back(self) -> None:
        """What the store has forgotten never happened."""
        tables = self.disk.tables
        self.era += 1
        self.was_put_back = True
        self.epoch_of.clear()
        self.probes["backup put back"] += 1
        self.runs &= tables.runs.keys()
        self.acknowledged_runs &= tables.runs.keys()
        self.acknowledged_ends &= tables.finished.keys()
        self.final = {run_id: state for run_id, state in self.final.items() if run_id in tables.finished}
        self.takeovers.put_back()
        stored = _recorded_tiles(tables)
        self.decided = {tile: serial for tile, serial in self.decided.items() if tile in stored}
        self.paused = {run_id for run_id, is_paused in tables.paused.items() if is_paused}
        self.crashes.clear()
        # Entries that no start has looked at yet are counted by the next one.
        checked = [entry for entry in self.disk.entries if entry.is_checked]
        self.attempt_counts = Counter(attempt[:3] for entry in checked for attempt in entry.batch.attempts)

    def lost(self, entries: list[Entry]) -> None:
        """Unsynced entries went with the power."""
        for entry in entries:
            self.demand(not entry.is_acknowledged, "S5", f"acknowledged and lost: {entry.batch}")

    def restarted(self, core: Core, term: int, now_s: float) -> None:
        self.demand(term > self.term or self.was_put_back, "S4", f"term {term} after {self.term}")
        self.demand(term not in self.terms, "S4", f"term {term} has been used before")
        self.terms.add(term)
        self.was_put_back = False
        for entry in self.disk.entries[: self.disk.synced_count]:
            self.durable(entry)
        self.term = term
        self.current.clear()
        self._excuse(now_s)
        self.arrivals.clear()
        self.served.clear()
        self.live = {run.run_id: run.tenant for run in self.disk.tables.runs.values() if run.run_id not in self.final}
        tables = self.disk.tables
        self.demand(self.acknowledged_runs <= tables.runs.keys(), "S5", "acknowledged runs are gone")
        self.demand(self.acknowledged_ends <= tables.finished.keys(), "S5", "acknowledged ends are gone")
        self.demand(_recorded_tiles(tables) == self.decided.keys(), "S5", "records are not those that were durable")
        self.memory.compare(core)


def _recorded_tiles(tables: Tables) -> set[Tile]:
    return {
        (record[0], record[1], tile)
        for run_id, rows in tables.records.items()
        for record in (() if run_id in tables.pruned else rows)
        for tile in range(record[2], record[3])
    }
