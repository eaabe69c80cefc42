"""Golden scenarios: stories of commands and the orders they lead to, readable by a person.

    submit run=r1 tiles=2
    attach worker=w1 slots=1
    ----
    PersistRun r1
    ReserveEpochs until=10001
    GrantLease r1/0[0,1) -> w1#1 epoch=1
    ====

A block is commands, `----`, the orders they must give, and a blank line or `====` before the next block; `#` starts a
comment. After every command the invariants are checked and the orders are committed to a store in memory, which must
then agree with the core (S19).

Commands (times in seconds):
    submit run= [tiles=] [per_lease=] [kernels=NAME@VERSION,...] | submit run= rows= scenarios= [per_lease=]
        [tenant=] [priority=BATCH|INTERACTIVE] [deadline=] [cost=] [retry_of= taken=B-E,...]
    weights TENANT=W ...                        (before anything else: the scheduler's settings)
    attach worker= [slots=] [connection=] [kernels=] [held=EPOCH:RUN/NODE[B,E),...]
    detach worker= [connection=] [orderly]      drain worker=
    report worker= epoch= tiles=B[-E] [cells=] [quarantined=] [took= seconds | ms= per tile, 10 ms unless told]
    keep worker= epoch= end=                    the answer to a TrimLease
    fail worker= epoch= tile= [reason=] [message=]
    return worker= epoch=                       heartbeat worker= [epochs=1,2] [stalled=EPOCH:SECONDS,...]
    pause run= [who=]                           resume run= [who=]
    cancel run= [reason=]                       advance SECONDS (a Tick at every deadline on the way)
    restart                                     a new core from the store
    show run= [eta] | show worker=              the view of a run or of a worker, as an order
"""

from __future__ import annotations

import re

import msgspec

from tests.scheduler.core.builders import MemoryStore, a_book_plan, a_probe_plan, a_submission
from xip_core.errors import FailureReason
from xip_core.kernel_versions import Versions
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
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import (
    Event,
    HeartbeatReceived,
    HeldLease,
    LeaseKept,
    LeaseReturned,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunSubmitted,
    TakenOver,
    Tick,
    TileFailed,
    TilesReported,
    WorkerAttached,
    WorkerDetached,
    WorkerDraining,
)
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import ConnectionId, Epoch, Priority, RunId, WorkerId

HELD = re.compile(r"(\d+):(\w+)/(\d+)\[(\d+),(\d+)\)")


def describe(action: Action) -> str:
    """One order as one line."""
    match action:
        case PersistRun():
            return f"PersistRun {action.run_id}"
        case ReserveEpochs():
            return f"ReserveEpochs until={action.epoch_end}"
        case RecordTiles():
            quarantined = f" quarantined={action.quarantined_count}" if action.quarantined_count else ""
            return f"RecordTiles {_tiles(action)} epoch={action.epoch} cells={action.cell_count}{quarantined}"
        case RecordFailedTiles():
            return (
                f"RecordFailedTiles {_tiles(action)} cells={action.cell_count} {action.reason.name}: {action.message}"
            )
        case RecordPaused():
            return f"RecordPaused {action.run_id} {action.is_paused} {action.who}".rstrip()
        case RecordAttempt():
            word = FailureReason(action.reason).name if action.reason else "WITHDRAWN"
            where = f"{action.run_id}/{action.node_id}[{action.tile}]#{action.attempt}"
            return f"RecordAttempt {where} {word}{' suspect' if action.is_suspect else ''}: {action.message}"
        case RecordRunState():
            return f"RecordRunState {action.run_id} {action.state.name} {action.message}".rstrip()
        case GrantLease():
            isolated = " isolated" if action.is_isolated else ""
            to = f"{action.worker_id}#{action.connection_id}"
            return f"GrantLease {_tiles(action)} -> {to} epoch={action.epoch}{isolated}"
        case RevokeLease():
            return f"RevokeLease {action.worker_id}#{action.connection_id} epoch={action.epoch}"
        case TrimLease():
            return f"TrimLease {action.worker_id}#{action.connection_id} epoch={action.epoch} end={action.tile_end}"
        case DrainWorker():
            return f"DrainWorker {action.worker_id}#{action.connection_id} {action.reason}: {action.evidence}"
        case KernelJudged():
            return f"KernelJudged {action.kernel}@{action.version} {action.state}: {action.reason}"
        case RunChanged():
            return f"RunChanged {action.run_id}"


def _tiles(action: RecordTiles | RecordFailedTiles | GrantLease) -> str:
    return f"{action.run_id}/{action.node_id}[{action.tile_begin},{action.tile_end})"


class Story:
    """Plays commands against a core and its store."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.core = Core()
        self.now_s = 0.0
        self.connections: dict[str, int] = {}

    def play(self, command: str) -> list[str]:
        word, *rest = command.split(maxsplit=1)
        options = dict(re.findall(r"(\w+)=(\"[^\"]*\"|\S+)", rest[0])) if rest else {}
        if word == "advance":
            return self._advance(float(rest[0]))
        if word == "restart":
            self.core = self.store.restart(self.now_s)
            self.core.check_invariants()
            return []
        if word == "weights":
            weights = {tenant: float(weight) for tenant, weight in options.items()}
            self.core = Core(Limits(tenant_weights=weights))
            return []
        if word == "show":
            if rest == ["breakers"]:
                return [f"{view.kernel}@{view.version} {view.state}: {view.summary}" for view in self.core.breakers()]
            if "run" not in options:
                return self._show_worker(options["worker"])
            return self._show(options["run"], with_eta="eta" in rest[0].split())
        if word == "attach" and "connection" not in options:
            self.connections[options["worker"]] = self.connections.get(options["worker"], 0) + 1
        return self._handle(self._event(word, options, is_orderly="orderly" in command))

    def _handle(self, event: Event) -> list[str]:
        actions = self.core.handle(event, self.now_s)
        self.store.commit(actions)
        self.core.check_invariants()
        assert self.core.durable_runs() == self.store.live_runs()
        return [describe(action) for action in actions]

    def _advance(self, duration_s: float) -> list[str]:
        end_s, lines = self.now_s + duration_s, []
        while (deadline_s := self.core.next_deadline_s()) is not None and deadline_s <= end_s:
            self.now_s = max(self.now_s, deadline_s)
            lines += self._handle(Tick())
        self.now_s = end_s
        return lines

    def _show(self, run_id: str, *, with_eta: bool) -> list[str]:
        view = self.core.run(RunId(run_id))
        assert view is not None
        nodes = " ".join(
            f"{node.node_id}:{node.tiles_done}+{node.tiles_leased}/{node.tile_count}" for node in view.nodes
        )
        cells = f"cells={view.cells_done}/{view.cell_count} quarantined={view.cells_quarantined}"
        waiting = f" {view.message}" if view.message.startswith(("waits", "will miss", "has missed")) else ""
        paused = " paused" if view.is_paused else ""
        eta = f" eta={view.eta_s:.3g}s" if with_eta else ""
        return [f"{view.run_id} {view.state.name}{paused} {cells} nodes {nodes}{eta}{waiting}"]

    def _show_worker(self, worker_id: str) -> list[str]:
        (view,) = [view for view in self.core.workers() if view.worker_id == worker_id]
        return [f"{view.worker_id} leases={view.lease_count} tiles={view.tiles_done} speed={view.speed:.2f}"]

    def _event(self, word: str, options: dict[str, str], *, is_orderly: bool) -> Event:
        worker = WorkerId(options.get("worker", ""))
        epoch = Epoch(int(options.get("epoch", 0)))
        connection = ConnectionId(int(options.get("connection", self.connections.get(worker, 1))))
        if word == "submit":
            return _submission(options)
        if word == "attach":
            held = tuple(
                HeldLease(Epoch(int(epoch)), RunId(run), int(node), int(begin), int(end))
                for epoch, run, node, begin, end in HELD.findall(options.get("held", ""))
            )
            return WorkerAttached(worker, connection, int(options.get("slots", 1)), held, _versions(options))
        if word == "detach":
            return WorkerDetached(worker, connection, is_orderly)
        if word == "report":
            begin, _, end = options["tiles"].partition("-")
            span = (int(begin), int(end or int(begin) + 1))
            cells = int(options.get("cells", 1))
            quarantined = ((1, 2),) * int(options.get("quarantined", 0))  # a cell each: one scenario, not the base
            ms = float(options["took"]) * 1e3 if "took" in options else float(options.get("ms", 10.0))
            elapsed_ns = round((span[1] - span[0]) * ms * 1e6)
            return TilesReported(worker, epoch, *span, cells, quarantined, elapsed_ns)
        if word == "fail":
            reason = FailureReason[options.get("reason", "EVALUATION_FAILED")]
            return TileFailed(worker, epoch, int(options["tile"]), reason, options.get("message", "boom").strip('"'))
        if word == "heartbeat":
            epochs = options.get("epochs", "")
            progress = tuple((Epoch(int(text)), 0) for text in epochs.split(",") if text)
            pairs = (text.split(":") for text in options.get("stalled", "").split(",") if text)
            stalled = tuple((Epoch(int(epoch)), float(stalled_s)) for epoch, stalled_s in pairs)
            return HeartbeatReceived(worker, progress, 0, stalled)
        match word:
            case "drain":
                return WorkerDraining(worker)
            case "return":
                return LeaseReturned(worker, epoch)
            case "keep":
                return LeaseKept(worker, epoch, int(options["end"]))
            case "cancel":
                return RunCancelled(RunId(options["run"]), options.get("reason", ""))
            case "pause":
                return RunPaused(RunId(options["run"]), options.get("who", ""))
            case "resume":
                return RunResumed(RunId(options["run"]), options.get("who", ""))
        raise ValueError(f"unknown command {word!r}")


def _submission(options: dict[str, str]) -> RunSubmitted:
    per_lease = int(options.get("per_lease", 1))
    if "rows" in options:
        plan = a_book_plan(int(options["rows"]), int(options["scenarios"]), per_lease)
    else:
        tile_count, cost_s = int(options.get("tiles", 2)), float(options.get("cost", 0.01))
        plan = a_probe_plan(tile_count, per_lease, cost_s, _versions(options))
    submission = a_submission(
        options["run"],
        plan,
        options.get("tenant", "desk"),
        Priority[options.get("priority", "INTERACTIVE")],
        float(options.get("deadline", 0.0)),
    )
    if "retry_of" not in options:
        return submission
    spans = [text.split("-") for text in options["taken"].split(",")]
    done = tuple((int(begin), int(end)) for begin, end in spans)
    taken_over = TakenOver((done,), sum(end - begin for begin, end in done), 0)
    return msgspec.structs.replace(submission, retry_of=options["retry_of"], taken_over=taken_over)


def _versions(options: dict[str, str]) -> Versions:
    pairs = (text.partition("@") for text in options.get("kernels", "").split(",") if text)
    return tuple((name, version) for name, _, version in pairs)


def retell(text: str) -> str:
    """The story with the orders as they are now."""
    story, lines, is_answer = Story(), [], False
    answers: list[str] = []
    for line in text.splitlines():
        command = line.strip()
        if command == "----":
            lines += [line, *answers]
            answers, is_answer = [], True
        elif not command:
            lines.append(line)
            is_answer = False
        elif command.startswith("#"):
            lines.append(line)
        elif not is_answer:
            lines.append(line)
            answers += story.play(command)
    assert not answers, f"orders without a '----' to stand under: {answers}"
    return "\n".join(lines) + "\n"
