"""How long a worker may keep the results of a lease, so that many share a message and a commit.

A message costs the scheduler 1.5 ms and each result in it 20 us, so results that nobody waits for come together. Who
waits for them is known here, when the lease is granted; when the worker itself will miss the next lease it knows better
(`xip_worker.patience`), so nothing here guards against an idle slot of its own.

    isolated or tried before               at once: what ends a worker should take little with it
    tiles that others wait for one by one  at once while another worker has an idle slot, else 50 ms
    of a class that nobody has measured    50 ms: what the others' leases are sized by
    all others, and any for a grid of one  a fifth of a second
    of a run that shows more than sums,    at once: a person waits, and leases granted until then are few
        before its first numbers
    of a short run                         a twentieth of what it takes, from its first lease to its end; a tenth while
                                           one worker has a run of sums to itself (`ahead.is_alone`)

The end of a run waits for none of these: what a worker has of a run goes when its last lease of that run has ended.
"""

from __future__ import annotations

from xip_scheduler.core.ahead import is_alone
from xip_scheduler.core.leases import Lease
from xip_scheduler.core.rests import rest_of
from xip_scheduler.core.run_state import NodeState
from xip_scheduler.core.state import IDLE, SchedulerState

PATIENCE_MS_MAX = 200
"""Five messages a second and worker; what a worker that dies takes with it, and how late a progress bar is."""

AWAITED_MS_MAX = 50
"""With slots busy everywhere, before a tile that becomes ready, or a wrong estimate, is missed."""

SHARE_OF_RUN = 0.05
"""Of the time a run takes: a short one is watched as closely as a long one."""

SHARE_OF_RUN_ALONE = 0.1
"""Nothing is seen of such a run before its end but how far it is, and no other worker's leases depend on it."""

WORK_S_MIN = 0.001
"""Of smaller leases nothing is worked out: they come by the thousand."""

WORK_US_MAX = (1 << 32) - 1
"""What the wire takes: more than an hour."""

AT_ONCE = (0, 0)


def patience_of(state: SchedulerState, lease: Lease, now_s: float) -> tuple[int, int]:
    """Milliseconds for which nobody misses a finished tile of *lease*, just granted; microseconds it will take."""
    run, node = lease.run, lease.node
    work_us = min(int(lease.work_s * 1e6), WORK_US_MAX)
    if lease.is_isolated or lease.retry is not None or run.shows_nothing_yet:
        return 0, work_us
    longest_ms = PATIENCE_MS_MAX
    if state.active_count > 1:
        if is_awaited(node):
            idle = state.hungry[IDLE]
            longest_ms = AWAITED_MS_MAX if len(idle) == (lease.worker.worker_id in idle) else 0
        if not node.cost.is_measured:
            longest_ms = min(longest_ms, AWAITED_MS_MAX)
    begun_s = now_s if run.first_lease_s is None else run.first_lease_s
    takes_s = now_s - begun_s + rest_of(run, now_s).left_s / max(1, state.slot_count)
    share = SHARE_OF_RUN_ALONE if is_alone(state, run) else SHARE_OF_RUN
    run.patience_ms = min(longest_ms, int(share * 1_000.0 * takes_s))
    return run.patience_ms, work_us


def patience_of_tiny(state: SchedulerState, lease: Lease) -> tuple[int, int]:
    """
    The same of a lease below WORK_S_MIN. Leases by the thousand share messages anyway, but a few between others would
    each cut one short: of a run that is alone they say what was said last.
    """
    if lease.is_isolated or lease.retry is not None or not is_alone(state, lease.run):
        return AT_ONCE
    return lease.run.patience_ms, 0


def is_awaited(node: NodeState) -> bool:
    """Does a node of several tiles read it? A single tile, as of a reduction, waits for the last one anyway."""
    return any(dependent.tile_count > 1 for dependent, _ in node.dependents)
