"""xip_core.pricing.calibrate_cost: what a block would take in a process that knows nothing of its market"""

from __future__ import annotations

import math
from types import SimpleNamespace

import msgspec
import pytest

from xip_core.model.market import Snapshot, decode_snapshot
from xip_core.model.scenario import ScenarioSet, decode_scenarios
from xip_core.pricing import calibrate
from xip_core.pricing.calibrate_cost import remake_s
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.samples import load

MARKET = decode_snapshot(load("cross-asset").market)
SCENARIOS = ScenarioSet(scenarios=decode_scenarios(load("cross-asset").scenarios).scenarios[:4])
OTHERS = ScenarioSet(scenarios=SCENARIOS.scenarios)


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the next spans that are measured: of a base market, then of a block."""
    spans: list[float] = []
    clock_s, is_open = 0.0, False

    def thread_time() -> float:
        nonlocal clock_s, is_open
        clock_s += spans.pop(0) if is_open else 0.0
        is_open = not is_open
        return clock_s

    monkeypatch.setattr(calibrate, "time", SimpleNamespace(thread_time=thread_time))
    return spans


def calibrated(layout: SnapshotLayout, market: Snapshot = MARKET) -> None:
    calibrate.calibrate_tile(market, layout, SCENARIOS, 0, 4)


def cost_s(layout: SnapshotLayout, market: Snapshot = MARKET, scenarios: ScenarioSet = SCENARIOS) -> float:
    return remake_s(market, layout, scenarios, 0, 4, (), tile_count=10)


def moved() -> Snapshot:
    spot = float(MARKET.quotes["FX/RATE/EUR/USD"])
    return msgspec.structs.replace(MARKET, quotes={**MARKET.quotes, "FX/RATE/EUR/USD": spot * 1.01})


def test_a_block_costs_its_own_time_and_its_part_of_the_base(takes: list[float]) -> None:
    layout = SnapshotLayout(MARKET)
    takes += [5.0, 0.25]
    calibrated(layout)
    assert cost_s(layout) == 0.25 + 5.0 / 10


def test_nobody_knows_the_cost_of_what_was_never_calibrated_here(takes: list[float]) -> None:
    layout = SnapshotLayout(MARKET)
    assert cost_s(layout) == math.inf
    takes += [5.0, 0.25]
    calibrated(layout)
    assert cost_s(layout, scenarios=OTHERS) == math.inf


def test_going_on_from_an_earlier_market_does_not_make_a_block_cheaper_for_others(takes: list[float]) -> None:
    layout, after = SnapshotLayout(MARKET), moved()
    takes += [5.0, 0.25, 0.5, 0.125]
    calibrated(layout)
    calibrated(layout, after)
    assert cost_s(layout, after) == 0.25 + 5.0 / 10
    takes += [1.0, 2.0]
    calibrated(layout, moved())
    assert cost_s(layout) == 2.0 + 5.0 / 10, "the longest that was seen"
