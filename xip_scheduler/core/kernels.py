"""Who may evaluate what: a node goes only to a worker that announced every kernel version the plan names (S14).

Workers that announced the same are one **fleet**. A grid has one fleet nearly always and two or three during a rolling
upgrade, so questions about fleets are answered once and kept until a fleet comes or goes.

A run with a node that no active worker can evaluate **waits**: it says so in its message, leaves the queue once nothing
else of it can be granted, and comes back to it with the next fleet. With no worker at all nothing is said: the count of
workers says it.
"""

from __future__ import annotations

from xip_scheduler.core.actions import Action, RunChanged
from xip_scheduler.core.run_state import LiveRun
from xip_scheduler.core.state import SchedulerState


def fleets_changed(state: SchedulerState, actions: list[Action]) -> None:
    """A fleet came or went: look again at what every run waits for."""
    state.fleets.has_changed = False
    for run in state.runs.values():
        state.queue.enter(run)
        if look_again(state, run):
            actions.append(RunChanged(run.run_id))


def look_again(state: SchedulerState, run: LiveRun) -> bool:
    """Set what the run waits for; has it changed?"""
    before = run.waits_for
    run.waits_for = _missing(state, run)
    return run.waits_for != before


def _missing(state: SchedulerState, run: LiveRun) -> str:
    fleets = state.fleets
    unserved = [node for node in run.nodes if not node.is_done and not fleets.count(node.kernels)]
    if not unserved or not state.active_count:
        return ""
    needed: set[tuple[str, str]] = set().union(*(node.kernels for node in unserved))
    missing = sorted(needed - fleets.announced()) or sorted(needed)
    names = ", ".join(f"{name}@{version}" for name, version in missing)
    return f"waits for a worker that has {names}: no attached one does"
