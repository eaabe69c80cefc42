"""After a restart nothing is granted until the workers from before had time to say what they hold."""

from __future__ import annotations

from tests.scheduler.core.builders import MemoryStore, a_probe_plan, a_submission, an_attachment
from xip_scheduler.core.actions import GrantLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import HeldLease, Tick, WorkerAttached
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, WorkerId

LIMITS = Limits(gathering_s=2.5)
RUN_ID = RunId("r1")


def restarted(tile_count: int = 2) -> Core:
    """At second 10, after two workers got a tile each."""
    core, store = Core(LIMITS), MemoryStore()
    for event in (a_submission(plan=a_probe_plan(tile_count)), an_attachment("w1"), an_attachment("w2", 2)):
        store.commit(core.handle(event, 0.0))
    return Core.restore(store.live_runs(), 10_001, 2, 10.0, LIMITS)


def holding(worker_id: str, epoch: int, tile: int) -> WorkerAttached:
    held = HeldLease(Epoch(epoch), RUN_ID, 0, tile, tile + 1)
    return WorkerAttached(WorkerId(worker_id), ConnectionId(7), 1, (held,))


def grants(actions: list) -> list[tuple[str, int]]:
    return [(action.worker_id, action.tile_begin) for action in actions if isinstance(action, GrantLease)]


def test_what_a_slower_worker_holds_is_not_granted_to_a_faster_one() -> None:
    core = restarted()
    assert core.handle(an_attachment("idle", 5), 10.1) == []
    assert core.handle(holding("w2", 2, 1), 11.0) == []
    assert core.handle(holding("w1", 1, 0), 12.0) == []
    assert grants(core.handle(Tick(), 12.5)) == []
    assert core.lease_count() == 2


def test_what_nobody_brought_is_granted_when_the_time_is_over() -> None:
    core = restarted()
    assert core.handle(an_attachment("idle", 5), 10.1) == []
    assert core.next_deadline_s() == 12.5
    core.handle(holding("w2", 2, 1), 11.0)
    assert grants(core.handle(Tick(), 12.5)) == [("idle", 0)]
    assert core.next_deadline_s() != 12.5


def test_a_scheduler_without_live_runs_has_nothing_to_wait_for() -> None:
    core = Core.restore((), 10_001, 2, 10.0, LIMITS)
    core.handle(an_attachment("w1"), 10.0)
    assert grants(core.handle(a_submission(), 10.1)) == [("w1", 0)]
