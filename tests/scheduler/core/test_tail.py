"""`xip_scheduler.core.tail` and `costs` at the end of a run, in virtual time; the rules one by one are in ../golden."""

from __future__ import annotations

import msgspec
import pytest

from tests.scheduler.core.builders import a_probe_plan, a_submission, an_attachment
from tests.scheduler.core.tail_model import SCENARIOS, Grid, Scenario
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import LeaseKept, TilesReported
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import Epoch, WorkerId

WAIT_MAX = 2.0
"""Median partition times that a slot may wait in the last 5 % of the work while another computes."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_no_slot_waits_long_in_the_tail(scenario: Scenario) -> None:
    figures = Grid(scenario).run()
    assert figures.wait_in_medians <= WAIT_MAX, figures
    assert figures.elapsed_s <= 1.1 * figures.ideal_s, figures


def test_without_trims_a_worker_that_becomes_slow_holds_up_the_run() -> None:
    """The model can see what the scheduler is to prevent."""
    slowed = next(scenario for scenario in SCENARIOS if scenario.change is not None)
    without = msgspec.structs.replace(Limits(), trim_gain_s_min=float("inf"))
    assert Grid(slowed, without).run().wait_in_medians > 10 * WAIT_MAX


def test_leases_last_equally_long_on_fast_and_slow_workers() -> None:
    grid = Grid(Scenario("two workers, one 10x slower", (1.0, 0.1), 0.001, 30_000))
    grid.run()
    fast, slow = grid.core.workers()
    assert fast.speed / slow.speed == pytest.approx(10.0, rel=0.1)
    assert fast.tiles_done / slow.tiles_done == pytest.approx(10.0, rel=0.1)


def test_a_tenant_does_not_pay_twice_for_what_was_trimmed() -> None:
    core, w1 = Core(), WorkerId("w1")
    core.handle(an_attachment("w1"), 0.0)
    core.handle(a_submission("r1", a_probe_plan(100, 100, 0.01)), 0.0)
    core.handle(TilesReported(w1, Epoch(1), 0, 10, 10, (), 100_000_000), 0.1)
    (share,) = {run.share for run in core._state.runs.values()}
    before_s = share.unsettled_s
    core.handle(LeaseKept(w1, Epoch(1), 60), 0.1)
    assert share.unsettled_s - before_s + share.charged_s == pytest.approx(0.60)
