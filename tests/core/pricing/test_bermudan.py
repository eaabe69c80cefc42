"""Rights on several days: against what they must be, a finer grid, and the loop of the kernel in NumPy."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS
from tests.core.pricing.flat_market import a_snapshot
from xip_core.errors import FailureReason
from xip_core.kernels.level import load_module
from xip_core.model.market import Snapshot
from xip_core.model.market_lgm import LinearGaussModel
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import BermudanSwaption, FixedLeg, FloatingLeg, Schedule, Swaption, Trade
from xip_core.pricing import Calculation, calculate
from xip_core.pricing.bermudan import GRID_DEVIATIONS, GRID_POINTS, convolution_weights, level_of, rolled_back
from xip_core.pricing.resolve_bermudan import shares_by_count

EXERCISES = tuple(dt.date(year, 1, 15) for year in range(2026, 2030))


def a_market(reversion: float = 0.0, with_model: bool = True) -> Snapshot:
    """The flat market; swaps against 3 months, as its only index is."""
    snapshot = a_snapshot()
    model = LinearGaussModel(
        index="EUR-EURIBOR-3M", fixed_frequency_months=12, fixed_day_count="30/360", convention="modified_following",
        calendar="TARGET", reversion=reversion,
    )  # fmt: skip
    surfaces = tuple(
        msgspec.structs.replace(surface, lgm=model if with_model else None)
        for surface in snapshot.swaption_volatilities
    )
    return msgspec.structs.replace(snapshot, swaption_volatilities=surfaces)


def a_right(exercises: tuple[dt.date, ...] = EXERCISES, receives: bool = True, **changes: Any) -> BermudanSwaption:
    shared: dict[str, Any] = {"currency": "EUR", "notionals": (1e6,)}
    dates: dict[str, Any] = {"start": dt.date(2026, 1, 15), "end": dt.date(2031, 1, 15), "calendar": "TARGET"}
    fixed = FixedLeg(
        payer=not receives, day_count="30/360", rates=(0.031,), schedule=Schedule(tenor="1Y", **dates), **shared
    )
    floating = FloatingLeg(
        payer=receives, day_count="A360", index="EUR-EURIBOR-3M", schedule=Schedule(tenor="3M", **dates), **shared
    )
    fields: dict[str, Any] = {"id": "B", "legs": (fixed, floating), "expiries": exercises, "position": "long"}
    return BermudanSwaption(**fields | changes)


def priced(trade: Trade, snapshot: Snapshot | None = None, **more: Any) -> Calculation:
    return calculate([trade], snapshot or a_market(), **more)


def value(trade: Trade, snapshot: Snapshot | None = None) -> float:
    result = priced(trade, snapshot)
    assert result.status[0, 0] == 0, result.failures
    return float(result.pv[0, 0])


def european(trade: BermudanSwaption) -> float:
    """The swaption of the first exercise alone, by the Bachelier formula."""
    return value(
        Swaption(id="E", legs=trade.legs, expiry=trade.expiries[0], position="long", settlement="physical")
    )


# ---- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reversion", [0.0, 0.03, -0.02])
@pytest.mark.parametrize("receives", [True, False])
def test_one_exercise_is_the_european_swaption_the_model_is_fitted_to(receives: bool, reversion: float) -> None:
    # the fitted swap begins two days later; the coarse grid adds some 1e-4 of the notional's time value
    right = a_right(EXERCISES[:1], receives)
    assert value(right, a_market(reversion)) == pytest.approx(european(right), rel=4e-3)


def test_more_exercises_are_worth_more_and_less_than_all_their_rights_together() -> None:
    alone = [value(a_right((day,))) for day in EXERCISES]
    together = value(a_right())
    assert max(alone) < together < sum(alone)
    assert value(a_right(EXERCISES[:2])) < together


def test_a_written_right_is_worth_the_opposite_and_a_notional_scales() -> None:
    assert value(a_right(position="short")) == -value(a_right())
    fixed, floating = a_right().legs
    doubled = tuple(msgspec.structs.replace(leg, notionals=(2e6,)) for leg in (fixed, floating))
    assert value(a_right(legs=doubled)) == pytest.approx(2.0 * value(a_right()), rel=1e-12)


def test_reversion_makes_later_exercises_worth_more() -> None:
    # every European is fitted either way; the less their rates move together, the more the choice is worth
    assert value(a_right(), a_market(0.05)) > value(a_right(), a_market(0.0)) > value(a_right(), a_market(-0.05))


def test_vega_is_the_change_for_a_basis_point_of_volatility() -> None:
    up = Shift(target="swaption_volatility", name="EUR", shift_absolute=1e-4)
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="up", shifts=(up,))))
    result = priced(a_right(), scenarios=scenarios)
    assert result.measures["vega"][0] == pytest.approx(result.pv[0, 1] - result.pv[0, 0], rel=1e-9)
    assert result.measures["vega"][0] > 0.0


def test_scenarios_do_not_touch_each_other() -> None:
    shifts = [Shift(target="currency", name="EUR", shift_bps=size) for size in (-50.0, 1.0, 25.0)]
    listed = [Scenario(name=f"{number}", shifts=(shift,)) for number, shift in enumerate(shifts)]
    whole = priced(a_right(), scenarios=ScenarioSet(scenarios=(Scenario(name="base"), *listed)))
    for number, scenario in enumerate(listed, start=1):
        alone = priced(a_right(), scenarios=ScenarioSet(scenarios=(Scenario(name="base"), scenario)))
        assert alone.pv[0, 1].tobytes() == whole.pv[0, number].tobytes()


def test_past_exercises_are_gone_and_the_last_one_ends_the_right() -> None:
    past = (dt.date(2023, 1, 15), *EXERCISES)
    assert value(a_right(past)) == value(a_right())
    assert priced(a_right(past[:1])).failures["B"].reason == FailureReason.EXPIRED


@pytest.mark.parametrize(
    ("right", "snapshot", "reason"),
    [
        (a_right(), a_market(with_model=False), FailureReason.MISSING_DATA),
        (a_right((dt.date(2031, 6, 1),)), a_market(), FailureReason.BAD_TRADE),
    ],
)
def test_a_right_that_cannot_be_valued_says_why(
    right: BermudanSwaption, snapshot: Snapshot, reason: FailureReason
) -> None:
    assert priced(right, snapshot).failures["B"].reason == reason


def test_a_spread_is_unsupported() -> None:
    fixed, floating = a_right().legs
    assert isinstance(floating, FloatingLeg)
    spread = a_right(legs=(fixed, msgspec.structs.replace(floating, spreads=(0.001,))))
    assert priced(spread).failures["B"].reason == FailureReason.UNSUPPORTED


def test_prices_no_variance_gives_are_no_number() -> None:
    # nine times the volatility until the first exercise: the later ones would need a negative variance in between
    quotes: dict[str, float | str] = {"early": 0.05, "late": 0.001}
    snapshot = a_market()
    surface = msgspec.structs.replace(
        snapshot.swaption_volatilities[0], expiries=("2Y", "3Y"), swap_tenors=("10Y",), quotes=("early", "late")
    )
    snapshot = msgspec.structs.replace(
        snapshot, quotes=snapshot.quotes | quotes, swaption_volatilities=(surface,)
    )
    assert priced(a_right(), snapshot).failures["B"].reason == FailureReason.NUMERICAL


# ---- the grid -------------------------------------------------------------------------------------------------------


def grid_steps(grid_points: int = GRID_POINTS) -> np.ndarray:
    half = GRID_DEVIATIONS * grid_points
    return (np.arange(2 * half + 1) - half) / grid_points


def test_weights_are_those_of_a_normal_variable() -> None:
    steps = grid_steps()
    weights = convolution_weights(steps)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (weights * steps).sum() == pytest.approx(0.0, abs=1e-12)
    assert (weights * steps**2).sum() == pytest.approx(1.0, rel=3e-4)  # linear between points is above a parabola
    assert (weights >= 0.0).all()


def test_a_finer_grid_tends_to_the_price_of_a_bond_option() -> None:
    """Right to a payment of 2 at level 3 for one of 1 at level 0: a lognormal exchange, by Margrabe's formula."""
    deviation = np.array([[0.1]])
    flows, levels, squares = np.array([[-1.0], [1.1]]), np.array([0.0, 3.0]), np.array([0.0, 9.0])
    first = np.zeros(2, dtype=np.int32)
    total = 0.3
    d = math.log(1.1) / total + 0.5 * total

    def cumulative(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2.0))

    exact = 1.1 * cumulative(d) - cumulative(d - total)
    errors = [
        abs(rolled_back(deviation, flows, levels, squares, first, first, grid_points)[0] - exact)
        for grid_points in (30, 60, 120)
    ]
    assert errors[0] < 2e-4
    assert errors[1] < errors[0] / 3.0
    assert errors[2] < errors[1] / 3.0


def rolled_slowly(
    values: np.ndarray, deviation: float, earlier: float, steps: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    spread = math.sqrt(deviation**2 - earlier**2)
    places = steps[:, None] * earlier + steps[None, :] * spread
    return np.interp(places, steps * deviation, values) @ weights


@pytest.mark.parametrize("level", LEVELS)
def test_rolling_back_has_the_values_of_the_slow_twin_and_the_same_bytes_everywhere(level: str) -> None:
    random, steps = np.random.default_rng(4), grid_steps()
    weights = convolution_weights(steps)
    deviation = random.uniform(0.02, 0.2, 70)
    earlier = deviation * random.uniform(0.0, 0.99, 70)
    values = random.normal(size=(2, len(steps), 70))
    roll = load_module("rollback", level).roll
    rolled = roll(values, deviation, earlier, steps, weights, len(steps))
    for scenario in (0, 69):
        for item in range(2):
            expected = rolled_slowly(
                values[item, :, scenario], deviation[scenario], earlier[scenario], steps, weights
            )
            np.testing.assert_allclose(rolled[item, :, scenario], expected, atol=1e-13)
    one = roll(np.ascontiguousarray(values[:, :, 5:6]), deviation[5:6], earlier[5:6], steps, weights, len(steps))
    assert one[:, :, 0].tobytes() == np.ascontiguousarray(rolled[:, :, 5]).tobytes()
    base = load_module("rollback").roll(values, deviation, earlier, steps, weights, len(steps))
    assert rolled.tobytes() == base.tobytes()


def test_a_variance_that_falls_is_nan_in_its_scenario_alone() -> None:
    steps = grid_steps()
    values = np.ones((1, len(steps), 3))
    deviation, earlier = np.array([0.1, 0.1, np.nan]), np.array([0.05, 0.2, 0.05])
    rolled = load_module("rollback").roll(values, deviation, earlier, steps, convolution_weights(steps), 2)
    assert np.isnan(rolled[0, :, 1:]).all()
    assert rolled[0, :, 0] == pytest.approx(1.0, abs=1e-12)


def test_wrong_lengths_are_refused() -> None:
    steps = grid_steps()
    roll, weights = load_module("rollback").roll, convolution_weights(steps)
    values, one = np.ones((1, len(steps), 1)), np.ones(1)
    with pytest.raises(ValueError, match="steps and weights must have the 301 points"):
        roll(values, one, one, steps[1:].copy(), weights, 1)
    with pytest.raises(ValueError, match="must have the 1 scenarios"):
        roll(values, np.ones(2), one, steps, weights, 1)
    with pytest.raises(ValueError, match="state_count must be in"):
        roll(values, one, one, steps, weights, 0)


def test_shares_of_floating_payments_are_counted_in_their_fixed_period() -> None:
    rights = np.array([1, 2, 2, 3, 3, 3, 3])  # ends of fixed periods: a stub, a half-yearly and a quarterly one
    assert shares_by_count(rights).tolist() == [1.0, 0.5, 1.0, 0.25, 0.5, 0.75, 1.0]


def test_levels_of_the_model_are_continuous_in_the_reversion() -> None:
    assert level_of(0.0, 7.0) == 7.0
    assert level_of(1e-9, 7.0) == pytest.approx(7.0, rel=1e-8)
    assert level_of(0.1, 7.0) == pytest.approx((1.0 - math.exp(-0.7)) / 0.1)
