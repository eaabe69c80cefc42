"""Bugs planted on purpose: the only honest measure of a simulator.

A mutation is a few words of one function replaced by others while a schedule runs: the function's code object is
exchanged, so every module that imported it sees the bug. When the words are not there any more the mutation does not
apply, and says so: a table of bugs that were not planted would be worse than none.

    python -m tests.simulation.mutations [--seeds N] [NAME ...]

prints for each bug how many seeds it took until a checker objected, and what it said.
"""

# ruff: noqa: E501 - a mutation reads best in one line: where, what was, what becomes
from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import statistics
import sys
import textwrap
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import msgspec

from tests.simulation.ticking import TICKING_FIRST, TICKING_ONE_IN
from tests.simulation.world import run_seed

SEEDS_MAX = 400


class Mutation(msgspec.Struct, frozen=True):
    """In *target* ("module:Class.function") the words *old* become *new*.

    Attributes:
        first_seed: where to begin to look, for bugs that show rarely.
        step: seeds tried are so far apart: those of desks that submit again and again (`ticking`) show what others
            cannot.
    """

    name: str
    target: str
    old: str
    new: str
    first_seed: int = 0
    step: int = 1


STATE = "xip_scheduler.core.state:SchedulerState."
INTERVALS = "xip_scheduler.core.intervals:"
RESULTS = "xip_scheduler.core.results:"
WORKERS = "xip_scheduler.core.workers:"
POISON = "xip_scheduler.core.poison:"
RETRIES = "xip_scheduler.core.retries:"
RUNS = "xip_scheduler.core.runs:"
RUN_STATE = "xip_scheduler.core.run_state:"
GRANTING = "xip_scheduler.core.granting:"
DRIVER = "xip_scheduler.driver:Driver."
JOURNAL = "xip_scheduler.journal:"
RESTORE = "xip_scheduler.restore:"
WORKER = "xip_worker.core:WorkerCore."
DISK = "tests.simulation.disk:"
FAIRNESS = "xip_scheduler.core.fairness:"
RETRYING = "xip_scheduler.rpc.retrying:"
TAIL = "xip_scheduler.core.tail:"
CURSOR = "xip_worker.cursor:"
LEADERSHIP = "xip_scheduler.core.leadership:"
SEAT = "tests.simulation.seats:Seat."
REUSING = "xip_scheduler.rpc.reusing:"
REUSE = "xip_core.graph.reuse:"
COMPARING = REUSE + "_Comparing."
REMAINDER = "xip_scheduler.core.remainder:"
NODE = "tests.simulation.scheduler_node:SchedulerNode."



def of_ticking(name: str, target: str, old: str, new: str, first: int = 0) -> Mutation:
    """*first*: the number of the schedule of such desks to begin with."""
    return Mutation(name, target, old, new, TICKING_FIRST + first * TICKING_ONE_IN, TICKING_ONE_IN)


MUTATIONS = (
    # epochs and leases
    Mutation("epoch never bumped", STATE + "new_epoch", "self.epoch_next = epoch + 1", "pass"),
    Mutation("epochs not reserved", STATE + "new_epoch", "actions.append(ReserveEpochs(Epoch(self.epoch_end)))", "pass"),
    Mutation("reserved epochs not persisted", JOURNAL + "Journal.sort", "batch.epoch_end = action.epoch_end", "pass"),
    Mutation("epochs start anew after a restart", RESTORE + "restore_core", "max(1, store.epoch_end)", "1"),
    Mutation("lost lease keeps its tiles", STATE + "lose_lease", "if not ranges:", "if True:"),
    Mutation("fence of lost leases forgotten", STATE + "lose_lease", "put_back(begin, end, lease.epoch)", "put_back(begin, end, 0)", first_seed=360),
    Mutation("closed lease stays accepted", STATE + "close_lease", "del self.leases[lease.epoch]", "pass"),
    Mutation("leased tiles stay pending", GRANTING + "_carve", "node.pending.take_ready(begin, end)", "pass"),
    Mutation("detach forgets to give back", WORKERS + "_lose", "state.lose_lease(lease, actions)", "state.close_lease(lease)"),
    Mutation("leases never expire", WORKERS + "expire", "if lease.deadline_s > now_s:", "if True:"),
    Mutation("returned lease stays lost", WORKERS + "lease_returned", "state.lose_lease(lease, actions)", "state.close_lease(lease)"),
    Mutation("detach of an old connection counts", WORKERS + "detached", "or worker.connection_id != event.connection_id", "", first_seed=60),
    Mutation("silent worker stays silent", STATE + "hear", "if worker.is_silent:", "if False:"),
    # adoption
    Mutation("adopt without looking at the tiles", INTERVALS + "PendingTiles.may_take", "return found == end - begin", "return True"),
    Mutation("adopt without the fence", INTERVALS + "PendingTiles.may_take", "self._fences[piece] > epoch", "False", first_seed=360),
    Mutation("adopt of a final run", WORKERS + "attached", "elif not _adopt(state, worker, held, now_s, actions):", "elif not _adopt(state, worker, held, now_s, actions) and held.run_id in state.runs:"),
    Mutation("leases not presented are kept", WORKERS + "attached", "state.lose_lease(lease, actions)", "pass"),
    # recording
    Mutation("tile recorded twice", INTERVALS + "IntervalSet.add_new", "return False", "return True"),
    Mutation("left neighbour lost in a merge", INTERVALS + "IntervalSet.add_new", "ends[position] = ends[after]", "pass"),
    Mutation("last gap overlooked", INTERVALS + "IntervalSet.gaps", "if position == len(self.begins) or self.begins[position] >= end:\n            gaps.append((begin, end))\n            break", "if position == len(self.begins) or self.begins[position] >= end:\n            break"),
    Mutation("cells counted twice", RESULTS + "tiles_reported", "run.cells_done += event.cell_count", "run.cells_done += 2 * event.cell_count"),
    Mutation("run final one tile early", RESULTS + "tiles_reported", "if run.open_count == 0:", "if run.open_count <= 1:"),
    Mutation("run never final", RESULTS + "tiles_reported", "if run.open_count == 0:", "if False:"),
    Mutation("failed tile may be reported as well", "xip_scheduler.core.leases:Lease.is_open", "self.failed is None or", "True or"),
    Mutation("quarantine not told", RESULTS + "finish_run", "run.cells_quarantined or run.tiles_failed or run.plan.quarantine", "False"),
    # cancel
    Mutation("cancel not persisted", RESULTS + "close_run", "actions.append(RecordRunState(run.run_id, final, message, who))", "final == 5 or actions.append(RecordRunState(run.run_id, final, message, who))"),
    Mutation("cancelled run keeps its leases", RUNS + "cancelled", "if lease.run is run", "if False"),
    Mutation("cancel of a final run counts", RUNS + "cancelled", "return", "from xip_scheduler.core.actions import RecordRunState; event.run_id in state.finished and actions.append(RecordRunState(event.run_id, RunState.CANCELLED, '')); return"),
    # dependencies
    Mutation("inputs ignored", RUN_STATE + "NodeState.ready_until", "for need in self.needs:", "for need in ():"),
    Mutation("a sum does not wait for all", RUN_STATE + "Need.met_until", "self._is_span_done(tile // self.stride)", "True"),
    Mutation("input divisor ignored", RUN_STATE + "Need.met_until", "quotient = tile // divisor", "quotient = tile"),
    Mutation("given-up inputs do not spread", RESULTS + "give_up", "while decided:", "while False:"),
    # failures
    Mutation("attempts not counted", RETRIES + "standing", "found.append(attempt)", "found = [attempt]"),
    Mutation("deaths blame nobody", WORKERS + "_lose", "if is_suspicious:", "if False:"),
    Mutation("failed tile forgotten", STATE + "keep_retry", "run.retries[retry.node.node_id, retry.tile] = retry", "pass"),
    Mutation("whoever failed may never try again", GRANTING + "_may_try", ">= state.fleets.count(", "> state.fleets.count("),
    Mutation("attempts not persisted", JOURNAL + "Journal.sort", "batch.attempts.append", "bool"),
    Mutation("withdrawal not recorded", POISON + "acquit", "_record(state, retry, withdrawal, actions)", "retry.add((withdrawal,), state.limits.attempts_max)"),
    Mutation("suspects are not isolated", POISON + "hand_over", "lease.is_isolated = retry.is_isolated", "pass"),
    Mutation("run leaves the queue too early", GRANTING + "_next_lease", "if is_blocked and not run.retries:", "if True:"),
    Mutation("run does not come back to the queue", RESULTS + "tiles_reported", "elif node.dependents and not run.is_queued:", "elif False:"),
    # driver and journal
    Mutation("sends before the commit", DRIVER + "run", "if not orders.batch.is_empty:", "self._send(orders)\n        orders.grants, orders.revokes = [], []\n        if not orders.batch.is_empty:"),
    Mutation("acknowledges before the commit", DRIVER + "run", "if not orders.batch.is_empty:", "for delivery in deliveries:\n            if delivery.on_committed is not None:\n                delivery.on_committed()\n        deliveries = []\n        if not orders.batch.is_empty:"),
    Mutation("never acknowledges", DRIVER + "run", "delivery.on_committed()", "pass"),
    Mutation("goes on after a failed commit", DRIVER + "_commit", "raise", "pass"),
    Mutation("commits only batches with records", DRIVER + "run", "if not orders.batch.is_empty:", "if orders.batch.records:"),
    Mutation("drops a delivery of a full batch", DRIVER + "_drain", "deliveries.append(delivery)", "deliveries or deliveries.append(delivery)"),
    Mutation("output not stored", JOURNAL + "_keep_payload", "if payload.output:", "if False:"),
    Mutation("output stored under the wrong tile", JOURNAL + "_keep_payload", "action.tile_begin)", "action.tile_begin // 2)"),
    Mutation("given-up tiles stored as results", JOURNAL + "Journal._give_up", "action.tile_end,\n            0,", "action.tile_end,\n            1,"),
    Mutation("given-up tiles not stored", JOURNAL + "Journal._give_up", "batch.records.append(", "list().append("),
    Mutation("final states not stored", JOURNAL + "Journal.sort", "self._finish(batch, action, wall_clock_s)", "pass"),
    # restore and store
    Mutation("restore forgets what failed", RESTORE + "_restored_run", "if interval.is_failed:", "if False:"),
    Mutation("restore forgets an interval", RESTORE + "_restored_run", "of_node.append((begin, end))", "of_node or of_node.append((begin, end))"),
    Mutation("term not raised", DISK + "ModelStore.open_term", "tables.term + 1)", "max(1, tables.term))"),
    Mutation("commit without a sync", DISK + "ModelStore.sync", "self.disk.sync()", "pass"),
    Mutation("commit returns before it writes", NODE + "_commit", "store.write(entry)", "world.loop.call_later(0.05, lambda: store.write(entry))"),
    Mutation("torn commit: records without the end", DISK + "Tables.apply", "for finished in batch.finished:", "for finished in () if batch.records else batch.finished:"),
    Mutation("torn commit: records without outputs", DISK + "Tables.apply", "for run_id, node_id, tile, block in batch.outputs:", "for run_id, node_id, tile, block in batch.outputs[1:]:"),
    Mutation("store forgets requests of final runs", DISK + "ModelStore.find_request", "return None if run_id is None else", "return None if run_id is None or run_id in self.disk.tables.finished else"),
    # two schedulers on one store
    Mutation("fence does not compare the term", DISK + "Disk.begin", "if entry.term != self.tables.term:", "if False:", first_seed=40),
    Mutation("fence is a plain read", DISK + "Disk.claim", "self.open_transaction, None", "self.open_transaction, self.open_transaction", first_seed=90),
    Mutation("takeover compares nothing", DISK + "Disk.claim", "return False", "pass"),
    Mutation("transaction ended by the server is committed", DISK + "Disk.end", "if self.open_transaction is not entry:", "if False:", first_seed=30),
    Mutation("standby loses patience", LEADERSHIP + "Candidate.observe", ">= self._times.silence_s:", ">= 0.5:"),
    Mutation("standby sees no beat", LEADERSHIP + "Candidate.observe", "(observation.term, observation.beat) != (last.term, last.beat)", "observation.term != last.term"),
    Mutation("standby trusts the hint at once", LEADERSHIP + "Candidate.observe", "is_settled and now_s - self._seen_s >= self._times.gone_s", "now_s - self._seen_s >= self._times.gone_s"),
    Mutation("standby never claims", LEADERSHIP + "Candidate.observe", "now_s - self._changed_s >= self._times.silence_s", "False"),
    Mutation("leader forgets to renew", SEAT + "renew", "self.later(TIMES.renewal_s, self.beat)", "pass"),
    # kernels and tenants
    Mutation("kernels not asked", GRANTING + "_next_lease", "if node.kernels and not worker.can(node.kernels):", "if False:"),
    Mutation("whoever comes goes last", FAIRNESS + "RunQueue.enter", "share.start = max(share.start, self._virtual)", "share.start = self._order[-1][0] + 9.0 if self._order else 0.0"),
    Mutation("no room is ever too small", "xip_scheduler.rpc.admission:Admission._refusal", "live_count + planning_count >= self._live_runs_max", "False", first_seed=170),
    Mutation("a tenant may take all the room", "xip_scheduler.rpc.admission:Admission._refusal", "own_count >= self._tenant_live_runs_max", "False"),
    # pause, resume, retry
    Mutation("paused run is granted", RUNS + "paused", "state.queue.leave(run)", "pass"),
    Mutation("pause not persisted", JOURNAL + "Journal.sort", "batch.paused.append", "bool"),
    Mutation("restore forgets the pause", RUNS + "restore_run", "run.is_paused = restored.is_paused", "pass"),
    Mutation("retry keeps sums over what was missing", "xip_scheduler.core.remainder:remainder_of", "candidates if is_free else _ready_parts(node, candidates)", "candidates"),
    Mutation("cells taken over are not counted", RUNS + "submitted", "run.cells_done = event.taken_over.cells_done", "pass"),
    Mutation("takeover not persisted", JOURNAL + "Journal._accept", "batch.takeovers.append", "bool"),
    Mutation("takeover forgets the outputs", DISK + "Tables._take_over", "origins[key] = before.get(key, source)", "pass"),
    # tiles of an earlier run
    of_ticking("a tile too many is taken over", REUSE + "intervals_of", "(int(begin), int(end))", "(int(begin), int(end) + 1)"),
    of_ticking("tiles are taken over one off", REUSE + "intervals_of", "(int(begin), int(end))", "(int(begin) + 1, int(end) + 1)"),
    of_ticking("a stranger's run may be named", REUSING + "find_earlier", "named.tenant != spec.tenant", "False"),
    of_ticking("strangers' runs are looked at", DISK + "ModelStore.final_runs_of", "and run.tenant == tenant", ""),
    of_ticking("a run that still runs is taken over", REUSING + "check_usable", "run.finished_at_s and not", "not"),
    of_ticking("a pruned run is taken over", REUSING + "check_usable", "and not run.pruned_at_s", "", 370),
    of_ticking("retention does not ask who is at a run", "xip_scheduler.retention:Retention._step", "or run_id in self._held", ""),
    of_ticking("no-reuse is not read", REUSING + "find_earlier", "spec.no_reuse or", ""),
    of_ticking("what is built on a changed object stays", "xip_core.model.scenario:ScenarioMarket.reached_by", "any(parent in touched for parent in self._objects[name].parents)", "False"),
    of_ticking("what rows read is not looked at", COMPARING + "_drop_reached", "not reached.isdisjoint(needed)", "False"),
    of_ticking("rows that nobody told of read nothing", COMPARING + "_drop_reached", "needed is None", "False"),
    of_ticking("shifts find the strikes of before", REUSE + "_market_change", "if aims:", "if False:"),
    of_ticking("other definitions change nothing", COMPARING + "_compare_of_source", "if change.definitions:", "if False:"),
    of_ticking("other scenarios change nothing", COMPARING + "_compare_of_source", "(before.scenarios, before.shifting) != (", "(after.scenarios, after.shifting) != ("),
    of_ticking("other measures change nothing", COMPARING + "_compare_of_source", "(before.valuing, _groups(self._old)) != (", "(after.valuing, _groups(self._new)) != ("),
    of_ticking("lines are compared by number", COMPARING + "_row_blocks", "before.book == after.book or", "True or"),
    of_ticking("the last rows may be gone", COMPARING + "_row_blocks", "np.array_equal(theirs[was], ours[now])", "np.array_equal(theirs[was][: len(ours[now])], ours[now])"),
    of_ticking("versions of kernels do not matter", REUSE + "_shape", "if name not in _NOT_OF_THE_SHAPE", "if name not in _NOT_OF_THE_SHAPE and name != 'kernels'"),
    of_ticking("quarantine is left behind", REMAINDER + "remainder_of", "kept.append(position)", "pass"),
    of_ticking("a refused row stays refused", REMAINDER + "remainder_of", "if reason in CURABLE:", "if False:"),
    of_ticking("outputs go though others read them", DISK + "Tables._erase", "and not self.is_read_by_others(run_id)", ""),
    of_ticking("origins are forgotten on the way", DISK + "Tables._take_over", "before.get(key, source)", "source"),
    # poison
    Mutation("restart forgives attempts", POISON + "restore_attempts", "if retry.tried:", "if False:"),
    Mutation("attempts are numbered anew", POISON + "_record", "number = len(retry.attempts)", "number = 0"),
    Mutation("given-up tiles not audited", "xip_scheduler.store.audit:entries_of", "yield from _given_up(batch)", "pass"),
    Mutation("nobody knows who cancelled", RUNS + "cancelled", "actions, event.who)", "actions)"),
    # trim and duplicates
    Mutation("trimmed tail is lost", STATE + "shorten_lease", "lease.node.pending.put_back(begin, end, lease.epoch)", "pass"),
    Mutation("trimmed lease keeps its length", STATE + "shorten_lease", "lease.tile_end = tile_end", "pass"),
    Mutation("answer to a trim is not read", TAIL + "lease_kept", "state.shorten_lease(lease, event.tile_end, actions)", "pass"),
    Mutation("slot does not hear of the trim", CURSOR + "TileCursor.trim", "self.tile_end = min(self.tile_end, max(tile_end, self._next_tile))\n        report(LeaseBound(self.epoch, self.tile_end))", "report(LeaseBound(self.epoch, min(self.tile_end, max(tile_end, self._next_tile))))"),
    Mutation("trim of a queued lease is agreed to and forgotten", WORKER + "_shorten", "held.lease = msgspec.structs.replace(lease, tile_end=tile_end)", "pass"),
    # backups and damage
    Mutation("restored epochs go on where they were", DISK + "ModelStore.open_term", "RESTORED_EPOCHS_MIN + disk.chance.randrange(RESTORED_EPOCHS)", "0"),
    Mutation("leases of the past are adopted", WORKERS + "_adopt", "if held.epoch < state.epoch_floor:", "if False:"),
    Mutation("forgotten commits go unnoticed", DISK + "ModelStore.open_term", "elif len(disk.entries) < disk.acknowledged_count:", "elif False:"),
    Mutation("gathering never ends", GRANTING + "grant", "now_s < state.gathering_until_s", "state.gathering_until_s"),
    # the worker
    Mutation("unacknowledged outcomes lost", WORKER + "_connection_lost", "self._pending.extendleft(reversed(message.outcomes))", "pass"),
    Mutation("one acknowledgement for all", WORKER + "_results_acknowledged", "self._unacknowledged[0].sequence <= event.sequence", "True"),
    Mutation("slot never free again", WORKER + "_slot_freed", "self._slots[report.slot] = None", "pass"),
    Mutation("hello names nothing", WORKER + "_connected", "for epoch in self._epochs_in_order()", "for epoch in ()"),
    Mutation("writing never ends", WORKER + "_connection_lost", "self._is_writing = False", "pass"),
    Mutation("heartbeat names no lease", WORKER + "_ticked", "in self._held.items()", "in ()"),
    Mutation("revoked lease stays queued", WORKER + "_revoke", "if epoch not in queued", "if True"),
)  # fmt: skip

CANARY = Mutation(
    "hash order decides whose turn it is",
    "xip_scheduler.core.fairness:Share.first",
    "next(iter(self._ranks[self._keys[0]].values()))",
    "min(self._ranks[self._keys[0]].values(), key=lambda run: hash(run.run_id))",
)
"""No checker objects to it, for every turn is a fair one; only a second execution under another hash seed can."""


def find(name: str) -> Mutation | None:
    """The mutation of this name; None for "".

    Raises:
        ValueError: there is none.
    """
    if not name:
        return None
    for mutation in (*MUTATIONS, CANARY):
        if mutation.name == name:
            return mutation
    raise ValueError(f"no mutation is called {name!r}")


def resolve(target: str) -> FunctionType:
    module_name, _, path = target.partition(":")
    found: Any = importlib.import_module(module_name)
    for name in path.split("."):
        found = getattr(found, name)
    assert isinstance(found, FunctionType), f"{target} must be a function, got {found!r}"
    return found


@contextlib.contextmanager
def planted(mutation: Mutation | None) -> Iterator[None]:
    """The bug is there inside the block; None plants nothing.

    Raises:
        ValueError: the words to replace are not in the function (any more).
    """
    if mutation is None:
        yield
        return
    function = resolve(mutation.target)
    source = textwrap.dedent(inspect.getsource(function))
    old = mutation.old
    if old not in source:
        raise ValueError(f"mutation {mutation.name!r}: {mutation.target} must contain {old!r}")
    namespace: dict[str, Any] = {}
    exec(compile(source.replace(old, mutation.new), f"<{mutation.name}>", "exec"), function.__globals__, namespace)
    original = function.__code__
    function.__code__ = namespace[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = original


def seeds_until_caught(mutation: Mutation, seeds_max: int, first: int = 0) -> tuple[int | None, str]:
    """Seeds run until a checker objected, and its words; None when none did."""
    with planted(mutation):
        for count in range(1, seeds_max + 1):
            outcome = run_seed(first + mutation.step * (count - 1))
            if outcome.violation:
                return count, outcome.violation
    return None, ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations")
    parser.add_argument("names", nargs="*", help="mutations to run, all without a name")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="give up after so many (%(default)s)")
    options = parser.parse_args()
    chosen = [mutation for mutation in MUTATIONS if not options.names or mutation.name in options.names]
    counts: list[int] = []
    for mutation in chosen:
        count, words = seeds_until_caught(mutation, options.seeds, mutation.first_seed)
        if count is not None:
            counts.append(count)
        print(f"{mutation.name:40} {'never' if count is None else count:>6}  {words[:110]}", flush=True)
    median = statistics.median(counts) if counts else 0
    print(f"caught {len(counts)} of {len(chosen)}, median {median:g} seeds, most {max(counts, default=0)}")
    return 0 if len(counts) == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
