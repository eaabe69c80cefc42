"""xip_core.pricing.calibrate_again: what is copied from the market before is what would come out"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from xip_core.model.market import decode_snapshot
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, decode_scenarios
from xip_core.pricing.calibrate import calibrate_tile, calibrator_of
from xip_core.pricing.calibrate_again import known_blocks_of, reached_since
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.tile import Columns
from xip_core.samples import load

MARKET = decode_snapshot(load("cross-asset").market)
_ALL = decode_scenarios(load("cross-asset").scenarios).scenarios
MONEYNESS = Shift(target="commodity_volatility", name="COMDTY_WTI_USD", shift_absolute=0.01, moneyness_until=1.0)
SCENARIOS = ScenarioSet(scenarios=(*_ALL[:2], *_ALL[40:240:20], Scenario(name="low strikes", shifts=(MONEYNESS,))))
COUNT = len(SCENARIOS.scenarios)


def calibrated(layout: SnapshotLayout, changes: dict[str, float | str]) -> Columns:
    snapshot = msgspec.structs.replace(MARKET, quotes={**MARKET.quotes, **changes})
    return calibrate_tile(snapshot, layout, SCENARIOS, 0, COUNT)


def assert_equal_bytes(ours: Columns, theirs: Columns) -> None:
    for name in ("market", "dv01_shift", "failures"):
        assert ours[name].tobytes() == theirs[name].tobytes(), name


@pytest.fixture(scope="module")
def layout() -> SnapshotLayout:
    """Of ticks that follow each other."""
    layout = SnapshotLayout(MARKET)
    calibrated(layout, {})
    return layout


@pytest.mark.parametrize("seed", range(5))
def test_a_market_after_a_tick_has_the_bytes_of_one_calibrated_from_nothing(layout: SnapshotLayout, seed: int) -> None:
    chance = random.Random(seed)
    names = sorted(name for name, value in MARKET.quotes.items() if isinstance(value, float))
    spots = [name for name in names if name.startswith(("FX/RATE", "EQUITY/PRICE", "COMMODITY/PRICE"))]
    ticks = {name: float(MARKET.quotes[name]) * 1.02 for name in chance.sample(spots if seed % 2 else names, 2)}
    if seed == 4:
        ticks[chance.choice(names)] = "none"  # a quote that cannot be used, and then can again
    assert_equal_bytes(calibrated(layout, ticks), calibrated(SnapshotLayout(MARKET), ticks))
    assert_equal_bytes(calibrated(layout, {}), calibrated(SnapshotLayout(MARKET), {}))


def test_a_spot_that_moves_a_shift_to_other_strikes_reaches_the_volatilities(layout: SnapshotLayout) -> None:
    spot = next(item for item in MARKET.commodities if item.name == "COMDTY_WTI_USD").forwards[0].quote
    ticks = {spot: float(MARKET.quotes[spot]) * 3.0}
    assert_equal_bytes(calibrated(layout, ticks), calibrated(SnapshotLayout(MARKET), ticks))


def test_only_what_a_tick_reaches_is_solved_again(layout: SnapshotLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrated(layout, {})
    known = known_blocks_of(layout).find(SCENARIOS, 0, COUNT, ())
    assert known is not None
    name = "IR_SWAP/RATE/CHF/2D/6M/6Y"
    snapshot = msgspec.structs.replace(MARKET, quotes={**MARKET.quotes, name: float(MARKET.quotes[name]) + 1e-4})
    calibrator = calibrator_of(snapshot, layout)
    calibrator.base_market()
    changed = calibrator.scenario_market.quote_matrix(SCENARIOS, 0, COUNT)
    assert reached_since(known, snapshot.quotes, changed, calibrator.scenario_market) == {"curve/CHF6M"}
    built: list[str] = []
    build = calibrator._build

    def noted(name: str, *rest: Any) -> Any:
        built.append(name)
        return build(name, *rest)

    monkeypatch.setattr(calibrator, "_build", noted)
    calibrator.calibrate_block(changed, known)
    assert set(built) <= {"curve/CHF6M"}
    calibrator.calibrate_block(changed)
    assert len(set(built)) > 10
