"""Golden stories of the worker's core: commands and the orders they lead to, readable by a person.

    attach
    lease 1=n0[0,3) 2=n0[3,4)
    ----
    Hello
    Evaluate slot=0 1=n0[0,3)

A block is commands, `----`, the orders they must give, and a blank line; `#` starts a comment. The invariants are
checked after every command.

Commands (times in seconds):
    worker [slots=] [limit=BYTES]      a new worker; limit is of unacknowledged results
    connect | welcome | attach         attach is both; the heartbeat interval is 1 s
    lose                               the connection breaks
    lease EPOCH=NODE[BEGIN,END) ... [patience=] [work=]        of run r1; what each of them may wait and takes
    revoke EPOCH ...
    trim EPOCH=END ...                 the scheduler asks for the tails
    bound EPOCH=END                    the slot's answer
    done EPOCH[BEGIN,END) [took=]      tiles finished, as one result, so long in their slot
    fail EPOCH[TILE]                   a tile that raised
    free SLOT [busy=]                  the slot's batch is over
    written                            the results message left
    acknowledge SEQUENCE
    drain [grace=]
    advance SECONDS                    with a Tick at every deadline on the way
"""

from __future__ import annotations

import re

from xip_worker.core import WorkerCore
from xip_worker.events import (
    Action,
    Connected,
    ConnectionLost,
    DrainRequested,
    Epoch,
    EvaluateLeases,
    Event,
    FailedTile,
    FinishedTiles,
    Lease,
    LeaseBound,
    LeasesReceived,
    LeasesRevoked,
    LeasesTrimmed,
    Leave,
    Outcome,
    ResultsAcknowledged,
    ResultsWritten,
    RevokeRunning,
    SendDrain,
    SendHeartbeat,
    SendHello,
    SendResults,
    SlotFreed,
    SlotIndex,
    Ticked,
    TrimRunning,
    Welcomed,
    WorkReported,
)

LEASE = re.compile(r"(\d+)=n(\d+)\[(\d+),(\d+)\)")
RANGE = re.compile(r"(\d+)\[(\d+),(\d+)\)")
BOUND = re.compile(r"(\d+)=(\d+)")
TILE = re.compile(r"(\d+)\[(\d+)\]")


def describe(action: Action) -> str:
    """One order as one line."""
    match action:
        case EvaluateLeases():
            return f"Evaluate slot={action.slot} {_leases(action.leases)}"
        case RevokeRunning():
            return f"Revoke slot={action.slot} {' '.join(map(str, action.epochs))}"
        case TrimRunning():
            return f"Trim slot={action.slot} {_bounds(action.bounds)}"
        case SendHello():
            return f"Hello {_leases(action.held)}".rstrip()
        case SendResults():
            returned = f" returned={','.join(map(str, action.returned_epochs))}" if action.returned_epochs else ""
            kept = f" kept={_bounds(action.kept).replace('=', ':')}" if action.kept else ""
            return f"Results #{action.sequence} {' '.join(map(_outcome, action.outcomes))}".rstrip() + returned + kept
        case SendHeartbeat():
            progress = " ".join(f"{lease.epoch}:{lease.tiles_done}" for lease in action.progress)
            return f"Heartbeat {progress}".rstrip()
        case SendDrain():
            return f"Drain {action.reason}"
        case Leave():
            return f"Leave lost={action.results_lost}"


def _leases(leases: tuple[Lease, ...]) -> str:
    return " ".join(f"{lease.epoch}=n{lease.node_id}[{lease.tile_begin},{lease.tile_end})" for lease in leases)


def _bounds(bounds: tuple[LeaseBound, ...]) -> str:
    return " ".join(f"{bound.epoch}={bound.tile_end}" for bound in bounds)


def _outcome(outcome: Outcome) -> str:
    if isinstance(outcome, FailedTile):
        return f"{outcome.epoch}[{outcome.tile}]!"
    return f"{outcome.epoch}[{outcome.tile_begin},{outcome.tile_end})"


class Story:
    """Plays commands against a core."""

    def __init__(self) -> None:
        self.core = WorkerCore(1)
        self.now_s = 0.0

    def play(self, command: str) -> list[str]:
        word, _, rest = command.partition(" ")
        options = dict(re.findall(r"(\w+)=([\d.]+)(?!\S)", rest))
        if word == "worker":
            limit = {"retained_bytes_max": int(options["limit"])} if "limit" in options else {}
            self.core = WorkerCore(int(options.get("slots", 1)), **limit)
            return []
        if word == "advance":
            return self._advance(float(rest))
        if word == "attach":
            return [*self.play("connect"), *self.play("welcome")]
        return self._handle(_event(word, rest, options))

    def _handle(self, event: Event) -> list[str]:
        actions = self.core.handle(event, self.now_s)
        self.core.check_invariants()
        return [describe(action) for action in actions]

    def _advance(self, duration_s: float) -> list[str]:
        end_s, lines = self.now_s + duration_s, []
        while (deadline_s := self.core.next_deadline_s()) is not None and deadline_s <= end_s:
            self.now_s = max(self.now_s, deadline_s)
            lines += self._handle(Ticked())
        self.now_s = end_s
        return lines


def _event(word: str, rest: str, options: dict[str, str]) -> Event:
    match word:
        case "connect":
            return Connected()
        case "welcome":
            return Welcomed(term=1, heartbeat_interval_s=1.0, lease_duration_s=15.0)
        case "lose":
            return ConnectionLost()
        case "lease":
            said = (False, float(options.get("patience", "0")), float(options.get("work", "0")))
            numbers = [tuple(map(int, found)) for found in LEASE.findall(rest)]
            leases = [Lease(Epoch(e), "r1", node, b, end, b"", *said) for e, node, b, end in numbers]
            return LeasesReceived(tuple(leases))
        case "revoke":
            return LeasesRevoked(tuple(Epoch(int(epoch)) for epoch in rest.split()))
        case "trim":
            return LeasesTrimmed(tuple(LeaseBound(Epoch(int(e)), int(end)) for e, end in BOUND.findall(rest)))
        case "bound":
            ((epoch, end),) = BOUND.findall(rest)
            return WorkReported((LeaseBound(Epoch(int(epoch)), int(end)),))
        case "done":
            epoch, begin, end = map(int, RANGE.findall(rest)[0])
            took_ns = round(float(options.get("took", "1e-6")) * 1e9)
            return WorkReported((FinishedTiles(Epoch(epoch), begin, end, end - begin, took_ns),))
        case "fail":
            epoch, tile = map(int, TILE.findall(rest)[0])
            return WorkReported((FailedTile(Epoch(epoch), tile, 9, "it broke"),))
        case "free":
            busy_ns = round(float(options.get("busy", "1")) * 1e9)
            return WorkReported((SlotFreed(SlotIndex(int(rest.split()[0])), busy_ns),))
        case "written":
            return ResultsWritten()
        case "acknowledge":
            return ResultsAcknowledged(int(rest))
        case "drain":
            return DrainRequested("SIGTERM", float(options.get("grace", "20")))
        case _:
            raise ValueError(f"a command must be one of those at the head of story.py, got {word!r}")


def retell(text: str) -> str:
    """The story with the orders its commands give today."""
    story = Story()
    blocks = []
    for block in text.strip().split("\n\n"):
        commands = block.partition("\n----")[0].splitlines()
        orders = [order for line in commands if not line.startswith("#") for order in story.play(line)]
        blocks.append("\n".join([*commands, "----", *orders]))
    return "\n\n".join(blocks) + "\n"
