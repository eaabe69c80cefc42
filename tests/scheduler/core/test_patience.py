"""xip_scheduler.core.patience: who waits for the results of a lease decides how long they may be kept."""

from __future__ import annotations

import msgspec
import pytest

from tests.scheduler.core.builders import a_book_plan, a_probe_plan, a_report, a_submission, an_attachment
from xip_core.errors import FailureReason
from xip_core.graph.plan import Plan, Source
from xip_core.model.run_spec import Detail
from xip_scheduler.core.actions import GrantLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import Event, TileFailed
from xip_scheduler.core.patience import AWAITED_MS_MAX, PATIENCE_MS_MAX
from xip_scheduler.core.words import Epoch, WorkerId


def granted(plan: Plan, *events: Event, slot_count: int = 1) -> list[GrantLease]:
    """Leases of a run of *plan* to worker w1, and those that *events* bring."""
    core = Core()
    actions = core.handle(a_submission(plan=plan), 0.0)
    for event in (an_attachment(slot_count=slot_count), *events):
        actions += core.handle(event, 1.0)
        core.check_invariants()
    return [action for action in actions if isinstance(action, GrantLease)]


def a_plan_that_shows(detail: Detail) -> Plan:
    return msgspec.structs.replace(a_book_plan(row_blocks=5_000, scenario_blocks=4), sources=(Source(detail=detail),))


def test_results_of_a_long_run_may_wait_a_fifth_of_a_second() -> None:
    lease, *_ = granted(a_probe_plan(tile_count=100_000, cost_s=0.01))
    assert lease.patience_ms == PATIENCE_MS_MAX


@pytest.mark.parametrize(("tile_count", "patience_ms"), [(1, 0), (40, 20), (100, 50)])
def test_results_of_a_short_run_may_wait_a_twentieth_of_it(tile_count: int, patience_ms: int) -> None:
    assert granted(a_probe_plan(tile_count=tile_count, cost_s=0.01))[0].patience_ms == patience_ms


def test_more_slots_end_a_run_sooner() -> None:
    first, second, *_ = granted(a_probe_plan(tile_count=100, cost_s=0.01), slot_count=2)
    assert first.patience_ms == second.patience_ms == 25


def test_a_run_is_as_long_in_its_middle_as_at_its_beginning() -> None:
    reports = [a_report("w1", epoch, 10 * (epoch - 1), 10 * epoch) for epoch in range(1, 5)]
    core = Core()
    core.handle(a_submission(plan=a_probe_plan(tile_count=100, tiles_per_lease=10, cost_s=0.01)), 0.0)
    actions = core.handle(an_attachment(slot_count=1), 0.0)
    for number, report in enumerate(reports, start=1):
        actions += core.handle(report, 0.1 * number)
    patience_ms = [action.patience_ms for action in actions if isinstance(action, GrantLease)]
    assert patience_ms == [50] * 5


def test_tiles_that_unlock_others_wait_less_where_another_worker_may_miss_them() -> None:
    alone, *_ = granted(a_plan_that_shows(Detail.NONE))
    assert (alone.node_id, alone.patience_ms) == (0, PATIENCE_MS_MAX)
    *_, last = granted(a_plan_that_shows(Detail.NONE), an_attachment("w2", 2))
    assert (last.node_id, last.patience_ms) == (1, AWAITED_MS_MAX)


def test_the_first_numbers_of_a_run_that_shows_more_than_sums_are_waited_for() -> None:
    first, *_ = granted(a_plan_that_shows(Detail.ALL))
    assert (first.node_id, first.patience_ms) == (0, 0)
    first, *_ = granted(a_plan_that_shows(Detail.NONE))
    assert (first.node_id, first.patience_ms) == (0, PATIENCE_MS_MAX)


def test_when_its_first_numbers_are_there_a_run_is_as_any_other() -> None:
    core = Core()
    core.handle(a_submission(plan=a_plan_that_shows(Detail.ALL)), 0.0)
    leases = [action for action in core.handle(an_attachment(slot_count=1), 0.0) if isinstance(action, GrantLease)]
    patience_ms = {}
    for number in range(20):
        lease = leases.pop(0)
        patience_ms[lease.node_id, number] = lease.patience_ms
        report = a_report("w1", lease.epoch, lease.tile_begin, lease.tile_end, cell_count=int(lease.node_id == 2))
        leases += [action for action in core.handle(report, 0.0) if isinstance(action, GrantLease)]
    assert set(list(patience_ms.values())[:3]) == {0}
    assert list(patience_ms.values())[-1] == PATIENCE_MS_MAX
    assert any(node_id == 2 for node_id, _ in patience_ms)


def test_what_nobody_has_measured_is_told_soon_where_others_wait_for_leases_of_it() -> None:
    measured = a_report("w1", 1, 0, 1)
    *_, before = granted(a_probe_plan(tile_count=100_000, cost_s=0.01), an_attachment("w2", 2))
    *_, after = granted(a_probe_plan(tile_count=100_000, cost_s=0.01), measured, an_attachment("w2", 2))
    assert (before.patience_ms, after.patience_ms) == (AWAITED_MS_MAX, PATIENCE_MS_MAX)


def test_tiles_that_unlock_others_wait_not_at_all_while_another_worker_is_idle() -> None:
    core = Core()
    core.handle(an_attachment("w1", 1), 0.0)
    core.handle(an_attachment("w2", 2), 0.0)
    actions = core.handle(a_submission(plan=a_plan_that_shows(Detail.NONE)), 0.0)
    first, second, *_ = [action for action in actions if isinstance(action, GrantLease)]
    assert first.patience_ms == 0, "w2 had nothing yet"
    assert second.patience_ms == AWAITED_MS_MAX


def test_a_tile_tried_again_is_reported_at_once() -> None:
    failed = TileFailed(WorkerId("w1"), Epoch(1), 0, FailureReason.EVALUATION_FAILED, "it broke")
    leases = granted(a_probe_plan(tile_count=100_000, cost_s=0.01), failed, an_attachment("w2", 2))
    again = [lease for lease in leases if lease.tile_begin == 0 and lease.epoch > 1]
    assert [lease.patience_ms for lease in again] == [0]


def test_a_lease_says_what_it_is_expected_to_take() -> None:
    leases = granted(a_probe_plan(tile_count=100_000, tiles_per_lease=10, cost_s=0.01), a_report("w1", 1, 0, 10))
    assert [lease.work_us for lease in leases] == [100_000, 100_000]
    (endless,) = granted(a_probe_plan(tile_count=1, cost_s=1e5))
    assert endless.work_us == (1 << 32) - 1
