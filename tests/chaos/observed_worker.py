"""`xip-worker` with an observer inside: `python -m tests.chaos.observed_worker --scheduler ... --slots ...`.

Everything is the daemon's own code; two things are added by wrapping calls of it:

* each evaluation that came to its end is noted, one line "run node tile_begin tile_end" appended to the file of
  XIP_CHAOS_NOTES with one write, so that many workers share it and kill -9 loses nothing;
* at the n-th passage of the failpoint XIP_CHAOS_FAILPOINT="name:n" the process kills itself with SIGKILL.

    leased        a message of leases has been read, nothing of it has begun
    evaluating    a tile is being evaluated, in another thread than the one that kills
    evaluated     a tile is evaluated and not yet reported
    before-send   results are about to be written to the stream
    after-send    results are written, their acknowledgement has not come
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from xip_worker import connection, daemon, messages
from xip_worker.events import FinishedTiles, LeasesReceived, ResultsWritten
from xip_worker.executor import Executor, _SlotRun

FAILPOINTS = ("leased", "evaluating", "evaluated", "before-send", "after-send")
EVALUATING_S = 0.0005
"""Into an evaluation of some milliseconds."""

_passages: Counter[str] = Counter()


def pass_by(failpoint: str, die: Callable[[], None] | None = None) -> None:
    """Die here if this is the passage that was asked for."""
    name, _, number = os.environ.get("XIP_CHAOS_FAILPOINT", "").partition(":")
    if failpoint == name:
        _passages[name] += 1
        if _passages[name] == int(number or 1):
            (die or kill)()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def observe() -> None:
    """Wrap the daemon's calls."""
    path = os.environ.get("XIP_CHAOS_NOTES")
    notes = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if path else -1
    leases: dict[int, tuple[str, int]] = {}
    evaluate, report = Executor.evaluate, Executor._report
    begin = _SlotRun.evaluate
    message, handle = messages.results_message, daemon.Daemon._handle

    def observed_evaluate(self: Executor, slot: Any, batch: Any, *more: Any) -> Any:
        leases.update((lease.epoch, (lease.run_id, lease.node_id)) for lease in batch)
        return evaluate(self, slot, batch, *more)

    def observed_begin(self: Any, *arguments: Any) -> Any:
        pass_by("evaluating", lambda: threading.Timer(EVALUATING_S, kill).start())
        return begin(self, *arguments)

    def observed_report(self: Executor, outcome: Any) -> Any:
        if isinstance(outcome, FinishedTiles):
            run_id, node_id = leases[outcome.epoch]
            if notes >= 0:
                os.write(notes, b"%s %d %d %d\n" % (run_id.encode(), node_id, outcome.tile_begin, outcome.tile_end))
            pass_by("evaluated")
        return report(self, outcome)

    def observed_message(action: Any) -> Any:
        pass_by("before-send")
        return message(action)

    def observed_event_of(response: Any) -> Any:
        event = messages.event_of(response)
        if isinstance(event, LeasesReceived):
            pass_by("leased")
        return event

    def observed_handle(self: Any, event: Any) -> None:
        if isinstance(event, ResultsWritten):
            pass_by("after-send")
        handle(self, event)

    for owner, name, wrapped in (
        (Executor, "evaluate", observed_evaluate),
        (Executor, "_report", observed_report),
        (_SlotRun, "evaluate", observed_begin),
        (daemon, "results_message", observed_message),
        (connection, "event_of", observed_event_of),
        (daemon.Daemon, "_handle", observed_handle),
    ):
        setattr(owner, name, wrapped)


if __name__ == "__main__":
    from xip_worker.main import main

    observe()
    main(prog_name="xip-worker")
