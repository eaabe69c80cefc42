"""The ISDA standard model in markets and trades: what is bootstrapped reprices, limits, symmetry, refusals."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.pricing.isda_market import isda_snapshot, standard_cds
from xip_core.errors import FailureReason, RequestError
from xip_core.model.dates import date_of, day_number
from xip_core.model.market import FxSpot, IsdaModel, Snapshot, decode_snapshot, encode_snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import Cds
from xip_core.pricing import calculate
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.curves_pillars import cds_maturity
from xip_core.pricing.isda import accrued_days, isda_legs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.program import check_program
from xip_core.pricing.reference import reference_values
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values

MARKET = {
    "trade_date": "2024-01-16",
    "deposits": {"1M": 0.031, "6M": 0.032},
    "swaps": {"2Y": 0.028, "5Y": 0.027, "10Y": 0.029},
    "swaps_fixed_freq": "Annual",
}
TRADED = dt.date(2024, 1, 16)
TENORS = ("1Y", "3Y", "5Y", "10Y")
SPREADS = dict(zip(TENORS, (0.004, 0.008, 0.011, 0.014), strict=True))


def snapshot_of(spreads: dict[str, float | str] | None = None, **hazard: Any) -> Snapshot:
    quotes = spreads if spreads is not None else dict(SPREADS)
    return isda_snapshot(MARKET, cds_spreads=tuple(Pillar(tenor, tenor) for tenor in quotes), quotes=quotes, **hazard)


def upfront_snapshot(upfronts: dict[str, float], coupon: float = 0.01) -> Snapshot:
    isda = IsdaModel(upfronts=tuple(Pillar(tenor, tenor) for tenor in upfronts), coupon=coupon)
    return isda_snapshot(MARKET, isda=isda, quotes=upfronts)


def pv(snapshot: Snapshot, *trades: Cds) -> np.ndarray:
    result = calculate(trades, snapshot, measures=("pv",))
    assert result.failures == {}
    return result.pv[:, 0]


@pytest.mark.parametrize("formula", ["half_day", "exact", "markit"])
def test_contracts_a_curve_was_built_from_are_worth_nothing(formula: str) -> None:
    """At their own spread, accrued premium given back; so quotes, schedule and legs are the same in both places."""
    snapshot = snapshot_of(isda=IsdaModel(accrual_on_default=formula))  # type: ignore[arg-type] # one of the literals
    trades = [standard_cds(TRADED, cds_maturity(TRADED, tenor), SPREADS[tenor], id=tenor) for tenor in TENORS]
    assert np.abs(pv(snapshot, *trades)).max() < 1e-5


@given(upfront=st.floats(-0.03, 0.6), coupon=st.sampled_from([0.01, 0.05]))
@settings(max_examples=15, deadline=None)
def test_contract_bought_for_its_quoted_upfront_is_worth_nothing(upfront: float, coupon: float) -> None:
    snapshot = upfront_snapshot({"5Y": upfront}, coupon)
    bought = standard_cds(
        TRADED, cds_maturity(TRADED, "5Y"), coupon, upfront_fee=upfront, upfront_date=dt.date(2024, 1, 19)
    )
    assert pv(snapshot, bought)[0] == pytest.approx(0.0, abs=1e-4)


def test_accrual_formulas_differ_by_what_they_say() -> None:
    """Half a day of accrual more than exact; Markit's counts less, because it forgets what had accrued at a node."""
    seasoned = standard_cds(dt.date(2023, 12, 20), cds_maturity(TRADED, "5Y"), 0.05)
    rates = {"hazard_rates": (Pillar("10Y", "H"),), "quotes": {"H": 0.02}}
    half_day, exact, markit = (
        pv(isda_snapshot(MARKET, isda=IsdaModel(accrual_on_default=formula), **rates), seasoned)[0]  # type: ignore[arg-type] # one of the literals
        for formula in ("half_day", "exact", "markit")
    )
    discounted_probability = 0.93 * (1.0 - np.exp(-0.02 * 4.93))  # to 20 December 2028, at 3 %
    assert exact - half_day == pytest.approx(1e7 * 0.05 * 0.5 / 360.0 * discounted_probability, rel=0.02)
    assert markit > exact


def test_sold_protection_is_bought_protection_with_the_sign_changed() -> None:
    bought = standard_cds(TRADED, cds_maturity(TRADED, "5Y"), 0.01)
    sold = msgspec.structs.replace(bought, id="sold", leg=msgspec.structs.replace(bought.leg, payer=False))
    values = pv(snapshot_of(), bought, sold)
    assert values[0] == -values[1] != 0.0


def test_value_is_proportional_to_notional_and_linear_in_the_coupon() -> None:
    end = cds_maturity(TRADED, "5Y")
    free, one, three, double = pv(
        snapshot_of(),
        *(
            standard_cds(TRADED, end, coupon, n, id=f"{coupon} {n}")
            for coupon, n in ((0, 1e7), (0.01, 1e7), (0.03, 1e7))
        ),
        standard_cds(TRADED, end, 0.01, 2e7),
    )
    assert double == pytest.approx(2.0 * one, rel=1e-14)
    assert three - free == pytest.approx(3.0 * (one - free), rel=1e-12)


def test_protection_rises_with_the_spread_and_falls_with_the_recovery_of_the_trade() -> None:
    trade = standard_cds(TRADED, cds_maturity(TRADED, "5Y"), 0.01)
    values = [pv(snapshot_of({"5Y": spread}), trade)[0] for spread in (0.0, 0.005, 0.01, 0.05, 0.5)]
    assert values == sorted(values)
    assert abs(values[2]) < 1e-5
    recovered = [
        pv(snapshot_of(), msgspec.structs.replace(trade, recovery_rate=recovery))[0] for recovery in (0.0, 0.4, 0.9)
    ]
    assert recovered == sorted(recovered, reverse=True)


def test_name_without_default_risk_pays_the_discounted_premium() -> None:
    """Spread 0: hazard exactly 0, no step is worth anything, the premium is an annuity."""
    snapshot = snapshot_of({"5Y": 0.0})
    end = cds_maturity(TRADED, "5Y")
    layout = SnapshotLayout(snapshot)
    market, failures = calibrator_of(snapshot, layout).calibrate([{}])
    begin, _ = layout.ranges["hazard/NAME"]
    assert not failures
    assert market[begin, 0] == 0.0
    value = pv(snapshot, standard_cds(TRADED, end, 0.01))[0]
    assert -1e7 * 0.01 * 5.2 < value < -1e7 * 0.01 * 4.2


@pytest.mark.parametrize("hazard", [0.0, 0.02, 2.0])
def test_value_agrees_with_the_twin_that_integrates_by_quadrature(hazard: float) -> None:
    """In dollars, seen from a book in euros; curve states around the base."""
    curves = {"hazard_rates": (Pillar("1Y", "H"), Pillar("10Y", "H")), "quotes": {"H": hazard, "FX": 1.1}}
    spot = FxSpot(foreign_currency="EUR", domestic_currency="USD", quote="FX")
    snapshot = msgspec.structs.replace(isda_snapshot(MARKET, **curves), base_currency="EUR", fx_spots=(spot,))
    trades = [standard_cds(TRADED, cds_maturity(TRADED, tenor), 0.03, id=tenor) for tenor in TENORS]
    layout = SnapshotLayout(snapshot)
    columns = resolve_rows(trades, MarketView(layout))
    check_program(columns)
    base, failures = calibrator_of(snapshot, layout).calibrate([{}])
    assert not failures
    market = np.ascontiguousarray(base * np.array([1.0, 0.7, 1.2]))
    assert np.allclose(row_values(columns, market), reference_values(columns, market), rtol=1e-12, atol=1e-6)


def test_a_scenario_has_the_bytes_it_has_alone() -> None:
    """Bootstrap and legs under 20 spreads at once, in a tile of one and of many."""
    shifts = [Shift(target="hazard", name="NAME", shift_bps=float(bps)) for bps in range(1, 20)]
    scenarios = [Scenario(name="base"), *(Scenario(name=str(i), shifts=(s,)) for i, s in enumerate(shifts))]
    trade = standard_cds(TRADED, cds_maturity(TRADED, "5Y"), 0.01)
    together = calculate([trade], snapshot_of(), ScenarioSet(scenarios=tuple(scenarios))).pv
    alone = calculate([trade], snapshot_of(), ScenarioSet(scenarios=(scenarios[0], scenarios[7]))).pv
    assert alone[0, 1].tobytes() == together[0, 7].tobytes()
    assert np.all(np.diff(together[0]) > 0.0)


@pytest.mark.parametrize("upfront", [0.9, -0.5])
def test_upfront_that_no_hazard_rate_explains_is_refused_with_its_quote(upfront: float) -> None:
    """More than the loss given default, or so negative that only a negative probability of default explains it."""
    trade = standard_cds(TRADED, cds_maturity(TRADED, "5Y"), 0.01)
    failure = calculate([trade], upfront_snapshot({"5Y": upfront})).failures["cds"]
    assert failure.reason == FailureReason.CALIBRATION_FAILED
    assert "5Y" in failure.message


def test_protection_that_waits_for_the_end_of_its_period_is_no_standard_contract() -> None:
    trade = msgspec.structs.replace(standard_cds(TRADED, cds_maturity(TRADED, "5Y"), 0.01), pays_at_default=False)
    failure = calculate([trade], snapshot_of()).failures["cds"]
    assert (failure.reason, "paid at default" in failure.message) == (FailureReason.UNSUPPORTED, True)


def test_last_period_counts_its_last_day_and_step_in_is_tomorrow() -> None:
    days = [day_number(dt.date(2023, 12, 20)), day_number(dt.date(2024, 3, 20)), day_number(dt.date(2024, 6, 20))]
    as_of = day_number(TRADED)
    legs = isda_legs(days, days[1:], "A360", as_of, as_of, (days[1] - 30,), "half_day")
    assert [coupon.accrual * 360.0 for coupon in legs.coupons] == pytest.approx([91.0, 93.0])
    assert [coupon.survival_day for coupon in legs.coupons] == [days[1] - 1, days[2]]
    assert [(step.begin_day, step.end_day) for step in legs.steps] == [
        (as_of, days[1] - 30), (days[1] - 30, days[1] - 1), (days[1] - 1, days[2]),
    ]  # fmt: skip
    assert legs.steps[0].elapsed * 360.0 == pytest.approx(as_of - days[0] + 1 + 0.5)
    assert accrued_days(days, as_of) == (days[0], as_of + 1)


def test_period_that_ends_with_step_in_belongs_to_the_one_before() -> None:
    days = [day_number(dt.date(2023, 12, 20)), day_number(dt.date(2024, 3, 20)), day_number(dt.date(2024, 6, 20))]
    legs = isda_legs(days, days[1:], "A360", days[1] - 1, days[1] - 1, (), "half_day")
    assert [coupon.period for coupon in legs.coupons] == [1]
    assert accrued_days(days, days[1] - 1) == (days[1], days[1])


def test_protection_in_the_future_begins_on_its_eve() -> None:
    days = [day_number(dt.date(2024, 3, 20)), day_number(dt.date(2024, 6, 20))]
    start = days[0] + 10
    legs = isda_legs(days, days[1:], "A360", days[0] - 50, start, (), "exact")
    assert [(step.begin_day, step.end_day) for step in legs.steps] == [(start - 1, days[1])]
    assert date_of(legs.coupons[0].survival_day) == dt.date(2024, 6, 20)


def test_markets_without_the_model_keep_their_bytes() -> None:
    """A hazard curve of mid-points is encoded as before the model was there, and one of the model reads back."""
    plain = snapshot_of(isda=msgspec.UNSET)
    assert b"isda" not in encode_snapshot(plain)
    assert decode_snapshot(encode_snapshot(plain)) == plain
    assert decode_snapshot(encode_snapshot(snapshot_of())) == snapshot_of()


def test_curve_has_one_kind_of_quotes() -> None:
    with pytest.raises(RequestError, match="either CDS spreads or hazard rates"):
        snapshot_of(isda=IsdaModel(upfronts=(Pillar("5Y", "5Y"),)))
