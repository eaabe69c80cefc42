"""Orders of one batch, sorted by who carries them out: the store, the workers' streams, the watchers.

The core speaks of runs, tiles and leases; the store takes rows. Here one becomes the other, 30,000 times a second, in
one pass over the actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from xip_core.graph.plan import Plan
from xip_core.model.account import RunAccount
from xip_scheduler.core.actions import (
    Action,
    DrainWorker,
    GrantLease,
    KernelJudged,
    PersistRun,
    RecordAttempt,
    RecordFailedTiles,
    RecordPaused,
    RecordRunState,
    RecordTiles,
    ReserveEpochs,
    RevokeLease,
    RunChanged,
    TrimLease,
)
from xip_scheduler.core.failures import failed_cells
from xip_scheduler.core.views import RunView
from xip_scheduler.core.words import RunId, RunState
from xip_scheduler.store.protocol import Batch, FinishedRun, NewRun, QuarantinedCells, Takeover, WorkerFacts

ACCOUNT_INTERVAL_S = 0.25
ACCOUNTS_PER_BATCH_MAX = 4
"""Accounts of live runs are stored with batches that have results anyway, so often and so many at once: 0.04 ms, 5 kB
for 30 nodes."""

INTRODUCED_MAX = 65_536
"""Workers that attached and computed nothing, kept in memory: 10 MB. Beyond it the oldest stay without their facts."""


class TilePayload(msgspec.Struct, frozen=True, gc=False):
    """What a tile result carries beside its counts; results without any of it have no payload at all.

    Attributes:
        output, detail: serialized blocks, b"" for none.
        quarantine: (row, scenario_begin, scenario_end, reason, message, trade_id).
        objects: names of the market objects that the rows of a resolve tile need, one a line.
    """

    output: bytes
    detail: bytes
    quarantine: tuple[tuple[int, int, int, int, str, str], ...] = ()
    objects: str = ""


class Orders(msgspec.Struct):
    """
    Attributes:
        batch: to be committed before anything else of this is carried out.
        grants: but for those revoked again in the same batch, of which nobody need hear.
        changed: runs whose watchers are to be woken, in order, each once.
    """

    batch: Batch
    grants: list[GrantLease] = []
    revokes: list[RevokeLease] = []
    trims: list[TrimLease] = []
    drains: list[DrainWorker] = []
    judged: list[KernelJudged] = []
    changed: dict[str, None] = {}


class Journal:
    """Sorts orders. Remembers the plans of live runs: given-up tiles are quarantined row by row, leases name plans;
    and what newly attached workers said of themselves, until the store has it."""

    def __init__(self, view: Callable[[RunId], RunView | None] = lambda run_id: None) -> None:
        """*view* is the core's view of a run, asked for the last figures of a final one."""
        self.view = view
        self.account: Callable[[RunId], RunAccount | None] = lambda run_id: None  # the core's, of a live one
        self.plans: dict[str, Plan] = {}
        self.plan_digests: dict[str, bytes] = {}
        self.heirs: set[str] = set()
        self._introduced: dict[str, WorkerFacts] = {}
        self._unaccounted: dict[str, None] = {}  # runs that went on since their account was stored, in order
        self._accounted_at_s = 0.0

    def remember(self, run_id: str, plan: Plan, plan_digest: str, is_heir: bool = False) -> None:
        """A run is live. An heir began with tiles of other runs."""
        self.plans[run_id] = plan
        self.plan_digests[run_id] = bytes.fromhex(plan_digest)
        if is_heir:
            self.heirs.add(run_id)

    def introduce(self, worker_id: str, cpu_level: str, version: str) -> None:
        """A worker attached; written down with the first tiles that it computes."""
        if len(self._introduced) >= INTRODUCED_MAX:
            del self._introduced[next(iter(self._introduced))]
        self._introduced[worker_id] = (worker_id, cpu_level, version)

    def sort(self, actions: Iterable[Action], wall_clock_s: float) -> Orders:
        """
        Args:
            wall_clock_s: seconds since the Unix epoch, written as the time runs finished.
        """
        batch = Batch(at_s=wall_clock_s)
        orders = Orders(batch)
        records, grants, changed = batch.records, orders.grants, orders.changed
        for action in actions:
            match action:
                case RecordTiles():
                    run_id = action.run_id
                    records.append(
                        (
                            run_id,
                            action.node_id,
                            action.tile_begin,
                            action.tile_end,
                            action.epoch,
                            action.worker_id,
                            action.cell_count,
                            action.quarantined_count,
                        )
                    )
                    changed[run_id] = None
                    if action.payload is not None:
                        _keep_payload(batch, action)
                case GrantLease():
                    grants.append(action)
                    changed[action.run_id] = None
                case RevokeLease():
                    orders.revokes.append(action)
                case TrimLease():
                    orders.trims.append(action)
                case DrainWorker():
                    orders.drains.append(action)
                case KernelJudged():
                    orders.judged.append(action)
                case RunChanged():
                    changed[action.run_id] = None
                case ReserveEpochs():
                    batch.epoch_end = action.epoch_end
                case RecordFailedTiles():
                    self._give_up(batch, action)
                    changed[action.run_id] = None
                case RecordAttempt():
                    batch.attempts.append(msgspec.structs.astuple(action))
                case PersistRun():
                    self._accept(batch, action)
                    changed[action.run_id] = None
                case RecordPaused():
                    batch.paused.append((action.run_id, action.is_paused, action.who))
                    changed[action.run_id] = None
                case RecordRunState():
                    self._finish(batch, action, wall_clock_s)
                    del self.plans[action.run_id], self.plan_digests[action.run_id]
                    self.heirs.discard(action.run_id)
                    self._unaccounted.pop(action.run_id, None)
                    changed[action.run_id] = None
        if self._introduced and records:
            for worker_id in dict.fromkeys([record[5] for record in records]):
                if worker_id in self._introduced:
                    batch.workers.append(self._introduced.pop(worker_id))
        if records:
            self._keep_accounts(batch, changed)
        if orders.revokes and grants:
            _drop_void(orders)
        return orders

    def _keep_accounts(self, batch: Batch, changed: Iterable[str]) -> None:
        """Once in a while: where the time of live runs went so far, for a restart to go on from."""
        self._unaccounted.update(dict.fromkeys(changed))
        if 0.0 <= batch.at_s - self._accounted_at_s < ACCOUNT_INTERVAL_S:
            return
        self._accounted_at_s = batch.at_s
        for run_id in list(self._unaccounted)[:ACCOUNTS_PER_BATCH_MAX]:
            self._keep_account(batch, run_id)

    def _keep_account(self, batch: Batch, run_id: str) -> None:
        del self._unaccounted[run_id]
        account = self.account(RunId(run_id)) if run_id in self.plans else None
        if account is not None:
            batch.notes.append((run_id, "account", msgspec.json.encode(account).decode()))

    def last_words(self, wall_clock_s: float) -> Batch:
        """What an orderly end still has to store: accounts of live runs."""
        batch = Batch(at_s=wall_clock_s)
        for run_id in list(self._unaccounted):
            self._keep_account(batch, run_id)
        return batch

    def _finish(self, batch: Batch, action: RecordRunState, wall_clock_s: float) -> None:
        view = self.view(action.run_id)
        if view is not None and view.account is not None:
            batch.notes.append((action.run_id, "account", msgspec.json.encode(view.account).decode()))
        finished = FinishedRun(
            run_id=action.run_id,
            state=int(action.state),
            message=action.message,
            who=action.who,
            finished_at_s=wall_clock_s,
            epoch_last=view.epoch_last if view else 0,
            first_lease_after_s=view.first_lease_after_s if view else 0.0,
        )
        batch.finished.append(finished)

    def _accept(self, batch: Batch, action: PersistRun) -> None:
        self.remember(action.run_id, action.plan, action.plan_digest, bool(action.retry_of or action.reuse_of))
        assert isinstance(action.payload, bytes), "the payload of a run is its serialized spec"
        batch.runs.append(
            NewRun(
                run_id=action.run_id,
                tenant=action.tenant,
                request_id=action.request_id,
                payload_hash=action.payload_hash,
                name=action.name,
                spec=action.payload,
                plan_digest=action.plan_digest,
                state=int(RunState.RUNNING),
                submitted_at_s=action.submitted_at_s,
                priority=int(action.priority),
                deadline_after_s=action.deadline_after_s,
                retry_of=action.retry_of,
                reuse_of=action.reuse_of,
            )
        )
        if action.reuse_note:
            batch.notes.append((action.run_id, "reuse", action.reuse_note))
        if action.taken_over is not None:
            spans = [
                (node_id, begin, end)
                for node_id, intervals in enumerate(action.taken_over.done)
                for begin, end in intervals
            ]
            batch.takeovers.append(Takeover(action.run_id, action.retry_of or action.reuse_of, tuple(spans)))
            quarantine = action.taken_over.payload
            assert isinstance(quarantine, tuple), "the payload of what is taken over is its quarantine"
            batch.quarantine.extend((action.run_id, *cells) for cells in quarantine)
        scenario_count = max((node.scenario_count for node in action.plan.nodes), default=0)
        batch.quarantine.extend(
            (action.run_id, row.row, 0, scenario_count, int(row.reason), row.message, row.trade_id)
            for row in action.plan.quarantine
        )

    def _give_up(self, batch: Batch, action: RecordFailedTiles) -> None:
        run_id, reason = action.run_id, int(action.reason)
        batch.records.append(
            (
                run_id,
                action.node_id,
                action.tile_begin,
                action.tile_end,
                0,
                "",
                action.cell_count,
                action.cell_count,
            )
        )
        node = self.plans[run_id].nodes[action.node_id]
        batch.quarantine.extend(
            (run_id, row, scenario_begin, scenario_end, reason, action.message, "")
            for row, scenario_begin, scenario_end in failed_cells(node, action.tile_begin, action.tile_end)
        )


def _drop_void(orders: Orders) -> None:
    """Forget leases that were granted and revoked in one batch, and revoke them nowhere."""
    granted = {grant.epoch for grant in orders.grants}
    void = {revoke.epoch for revoke in orders.revokes if revoke.epoch in granted}
    if void:
        orders.grants = [grant for grant in orders.grants if grant.epoch not in void]
        orders.revokes = [revoke for revoke in orders.revokes if revoke.epoch not in void]


def _keep_payload(batch: Batch, action: RecordTiles) -> None:
    payload = action.payload
    assert isinstance(payload, TilePayload), payload
    tile = (action.run_id, action.node_id, action.tile_begin)
    if payload.output:
        batch.outputs.append((*tile, payload.output))
    if payload.detail:
        batch.details.append((*tile, payload.detail))
    if payload.objects:
        batch.objects.append((*tile, payload.objects))
    rows: list[QuarantinedCells] = [(action.run_id, *cells) for cells in payload.quarantine]
    batch.quarantine.extend(rows)
