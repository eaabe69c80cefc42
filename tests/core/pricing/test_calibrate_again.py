"""xip_core.pricing.calibrate_again: what is copied from the market before is what would come out"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from xip_core.model.market import decode_snapshot
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift, decode_scenarios
from xip_core.pricing import calibrate_program
from xip_core.pricing.calibrate import calibrate_tile, calibrator_of
from xip_core.pricing.calibrate_again import changed_quotes, known_blocks_of, reached_since
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


def test_nobody_can_write_to_a_block_that_the_next_market_begins_with() -> None:
    """Its array is the output of the tile, too, and what the worker keeps of that."""
    layout = SnapshotLayout(MARKET)
    market = calibrated(layout, {})["market"]
    known = known_blocks_of(layout).find(SCENARIOS, 0, COUNT, (), MARKET.quotes)
    assert known is not None
    assert known.market is market
    with pytest.raises(ValueError, match="read-only"):
        market[0, 0] = 0.0


@pytest.mark.parametrize("seed", range(2))
def test_shifts_that_no_spot_decides_are_applied_to_the_quotes_of_the_next_market(seed: int) -> None:
    """Without the shift by moneyness; a quote that is no number any more, and then again, has them read anew."""
    scenarios, chance = ScenarioSet(scenarios=SCENARIOS.scenarios[:-1]), random.Random(seed)
    layout = SnapshotLayout(MARKET)
    names = sorted(name for name, value in MARKET.quotes.items() if isinstance(value, float))
    spots = [name for name in names if name.startswith(("FX/RATE", "EQUITY/PRICE"))]
    for number in range(3):
        ticks: dict[str, float | str] = {
            name: float(MARKET.quotes[name]) * 1.02 for name in (*chance.sample(names, 3), *chance.sample(spots, 1))
        }
        if seed % 2 and number % 2:
            ticks[chance.choice(spots)] = "none"
        snapshot = msgspec.structs.replace(MARKET, quotes={**MARKET.quotes, **ticks})
        ours = calibrate_tile(snapshot, layout, scenarios, 0, COUNT - 1)
        assert_equal_bytes(ours, calibrate_tile(snapshot, SnapshotLayout(MARKET), scenarios, 0, COUNT - 1))


def test_the_same_shifts_of_other_quotes_are_those_of_the_other_market() -> None:
    scenarios = ScenarioSet(scenarios=SCENARIOS.scenarios[:-1])
    block = ScenarioMarket(MARKET).quote_block(scenarios, 0, COUNT - 1)
    name = next(name for name in sorted(MARKET.quotes) if name.startswith("FX/RATE"))
    for value in (float(MARKET.quotes[name]) * 1.5, 0.0, -0.0, float("nan")):
        ticked = msgspec.structs.replace(MARKET, quotes={**MARKET.quotes, name: value})
        ours, theirs = block.matrix_of(ticked.quotes), ScenarioMarket(ticked).quote_matrix(scenarios, 0, COUNT - 1)
        assert ours is not None
        assert ours.quotes == theirs.quotes
        assert (ours.base.tobytes(), ours.values.tobytes()) == (theirs.base.tobytes(), theirs.values.tobytes())


def test_shifts_that_may_mean_other_quotes_are_read_anew() -> None:
    name = next(name for name in sorted(MARKET.quotes) if name.startswith("FX/RATE"))
    texts = {**MARKET.quotes, name: "none"}
    scenarios = ScenarioSet(scenarios=SCENARIOS.scenarios[:-1])
    numbers = ScenarioMarket(MARKET).quote_block(scenarios, 0, COUNT - 1)
    assert numbers.matrix_of(MARKET.quotes) is not None
    assert numbers.matrix_of(texts) is None
    assert numbers.matrix_of({key: value for key, value in MARKET.quotes.items() if key != name}) is None
    text = ScenarioMarket(msgspec.structs.replace(MARKET, quotes=texts)).quote_block(scenarios, 0, COUNT - 1)
    assert text.matrix_of(texts) is not None
    assert text.matrix_of(MARKET.quotes) is None
    assert ScenarioMarket(MARKET).quote_block(SCENARIOS, 0, COUNT).matrix_of(MARKET.quotes) is None, "by moneyness"


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ({"A": 1.0, "B": 2.0}, {"A": 1.0, "B": 3.0}, {"B"}),
        ({"A": 0.0}, {"A": -0.0}, {"A"}),
        ({"A": float("nan")}, {"A": float("nan")}, set()),
        ({"A": 1.0, "B": "x"}, {"A": "1.0", "B": "x"}, {"A"}),
        ({"A": 1.0, "B": 1.0}, {"B": 1.0, "C": 1.0}, {"A", "C"}),
    ],
)
def test_quotes_that_changed_are_those_with_other_bits(
    before: dict[str, float | str], after: dict[str, float | str], names: set[str]
) -> None:
    for _ in range(2):
        found = changed_quotes(before, after)
        assert found == names
        found.add("what a caller does with it")
    assert changed_quotes(after, before) == names


def test_a_spot_that_moves_a_shift_to_other_strikes_reaches_the_volatilities(layout: SnapshotLayout) -> None:
    spot = next(item for item in MARKET.commodities if item.name == "COMDTY_WTI_USD").forwards[0].quote
    ticks = {spot: float(MARKET.quotes[spot]) * 3.0}
    assert_equal_bytes(calibrated(layout, ticks), calibrated(SnapshotLayout(MARKET), ticks))


def test_a_block_begins_with_the_nearest_of_those_before_whether_ticks_follow_each_other_or_not() -> None:
    layout = SnapshotLayout(MARKET)
    years = [f"IR_SWAP/RATE/CHF/2D/6M/{count}Y" for count in (6, 7, 8, 9)]

    def begun_with(ticks: dict[str, float | str]) -> object:
        """The quotes of the block that this tick begins with; then it is calibrated."""
        known = known_blocks_of(layout).find(SCENARIOS, 0, COUNT, (), {**MARKET.quotes, **ticks})
        calibrated(layout, ticks)
        return None if known is None else known.quotes

    assert begun_with({}) is None
    up = {name: float(MARKET.quotes[name]) + 1e-4 for name in years}
    for name in years:
        assert begun_with({name: up[name]}) == MARKET.quotes, "each a tick of the same market"
    for count in range(2, 5):
        before = {name: up[name] for name in years[:1] + years[2:count]}
        calibrated(layout, before)
        assert begun_with(before | {years[1]: up[years[1]]}) == {**MARKET.quotes, **before}, "each of the last"


def test_only_what_a_tick_reaches_is_solved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen where no object is left to the compiled program, which builds as the caller does."""
    monkeypatch.setattr(calibrate_program, "_recipe", lambda *_: calibrate_program.OTHER)
    layout = SnapshotLayout(MARKET)
    calibrated(layout, {})
    known = known_blocks_of(layout).find(SCENARIOS, 0, COUNT, (), {})
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
