"""Whose turn it is: the one place that chooses between runs.

Runs take turns, a lease each (round robin in order of submission). First in, first out would end the earlier run
sooner, but a desk's small run would wait behind somebody's 10 million tiles; with turns it waits for one lease per
other run, and since leases are about equally long (50 ms to 2 s of work) every run gets about an equal share of the
slots.

Only runs that may have something to grant are in the queue: a run leaves when it has nothing ready and comes back when
one of its tiles is recorded or returned. So a turn costs O(1), however many runs wait for their inputs.

Weights between tenants and priorities inside one will be decided here: `turn` is asked before every grant.
"""

from __future__ import annotations

from collections import OrderedDict

from xip_scheduler.core.run_state import LiveRun
from xip_scheduler.core.words import RunId


class RunQueue:
    """
    Attributes:
        runs: those that may have something to grant, the next to be served first; for others to read only.
    """

    __slots__ = ("runs",)

    def __init__(self) -> None:
        self.runs: OrderedDict[RunId, LiveRun] = OrderedDict()

    def enter(self, run: LiveRun) -> None:
        """The run may have something to grant; without effect when it is queued already."""
        if not run.is_queued:
            run.is_queued = True
            self.runs[run.run_id] = run

    def leave(self, run: LiveRun) -> None:
        if run.is_queued:
            run.is_queued = False
            del self.runs[run.run_id]

    def has_retries(self) -> bool:
        return any(run.retries for run in self.runs.values())

    def turn(self) -> LiveRun:
        """The run to be served now; it goes to the end of the queue, which must not be empty."""
        runs = self.runs
        run = next(iter(runs.values()))
        if len(runs) > 1:
            runs.move_to_end(run.run_id)
        return run

    def keep_turn(self, run: LiveRun) -> None:
        """The run was asked but not served: it is the next one again."""
        self.runs.move_to_end(run.run_id, last=False)
