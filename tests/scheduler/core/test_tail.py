"""`xip_scheduler.core.tail` and `costs` at the end of a run, in virtual time; the rules one by one are in ../golden."""

from __future__ import annotations

import msgspec
import pytest

from tests.scheduler.core.tail_model import SCENARIOS, Grid, Scenario
from xip_scheduler.core.limits import Limits

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
