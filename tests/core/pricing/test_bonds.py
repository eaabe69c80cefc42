"""Bond analytics: hand values, stubs, ex-coupon, yields there and back, derivatives, spreads, refusals."""

from __future__ import annotations

import datetime as dt
import math

import mpmath as mp
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.pricing.flat_market import AS_OF, a_floating_leg, a_schedule, a_snapshot, discount, value
from tests.core.pricing.some_bonds import a_bond
from xip_core.errors import CellError, FailureReason, RequestError
from xip_core.model.dates import day_number
from xip_core.model.market import HazardDefinition, Security, decode_snapshot, encode_snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.model.quasi_coupons import coupon_periods, icma_fraction
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import Schedule, decode_trade, encode_trade
from xip_core.pricing import calculate, requirements
from xip_core.pricing.bonds import (
    STREET,
    YieldConvention,
    accrued_interest,
    bond_flows,
    equivalent_rate,
    from_clean_price,
    from_yield,
    price_on_curve,
    z_spread,
)
from xip_core.pricing.bonds import (
    discount as discount_at,
)

FIVE_YEARS = a_bond(dt.date(2024, 1, 15), dt.date(2029, 1, 15))
CONVENTIONS = [
    STREET,
    YieldConvention("ACT/ACT ICMA", "compounded", 1),
    YieldConvention("A365F", "continuous", 1),
    YieldConvention("A365F", "simple", 1),
    YieldConvention("30/360", "simple_then_compounded", 2),
]


# ---- accrued interest ------------------------------------------------------------------------------------------------


def test_par_bond_on_a_coupon_date_yields_its_coupon() -> None:
    found = from_clean_price(bond_flows(FIVE_YEARS), dt.date(2024, 7, 15), 100.0)
    assert found.yield_rate == pytest.approx(0.05, abs=1e-14)
    assert found.accrued == 0.0


def test_accrued_interest_is_the_share_of_days() -> None:
    """92 of 182 days between 15 January and 15 July 2024."""
    assert accrued_interest(bond_flows(FIVE_YEARS), dt.date(2024, 4, 16)) == pytest.approx(2.5 * 92 / 182, rel=1e-15)


def test_accrued_interest_of_thirty_360_counts_months_of_30_days() -> None:
    bond = a_bond(dt.date(2024, 1, 15), dt.date(2029, 1, 15), day_count="30/360")
    assert accrued_interest(bond_flows(bond), dt.date(2024, 4, 16)) == pytest.approx(5.0 * 91 / 360, rel=1e-15)


def a_period(start: str, end: str, rule: str, position: int = 0, **fields: object):
    schedule = Schedule(
        start=dt.date.fromisoformat(start), end=dt.date.fromisoformat(end), tenor="6M", convention="unadjusted",
        rule=rule, **fields,
    )  # type: ignore[arg-type] # fmt: skip
    return coupon_periods(schedule)[position]


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        # ISDA's examples of 1998: a short first period, a long first period, a short last one, a long last one.
        (a_period("1999-02-01", "2000-07-01", "backward", first_date=dt.date(1999, 7, 1)), 150 / 181 / 2),
        (a_period("2002-08-15", "2004-07-15", "backward", first_date=dt.date(2003, 7, 15)), 0.5 + 153 / 184 / 2),
        (a_period("1999-07-30", "2000-06-30", "forward", -1, end_of_month=False), 152 / 182 / 2),
        (a_period("1999-05-31", "2000-04-30", "forward", -1, last_date=dt.date(1999, 11, 30)), 152 / 182 / 2),
    ],
)
def test_stubs_are_parts_of_the_coupons_that_would_have_been(period, expected: float) -> None:
    found = icma_fraction(period, period.begin, period.end)
    assert found == pytest.approx(expected, rel=1e-14)


def test_regular_coupons_are_equal_however_holidays_move_them() -> None:
    bond = a_bond(
        dt.date(2023, 1, 15), dt.date(2030, 1, 15), schedule={"convention": "following", "calendar": "TARGET"}
    )
    flows = bond_flows(bond)
    assert len({coupon.end - coupon.begin for coupon in flows.coupons}) > 3
    assert {coupon.accrual for coupon in flows.coupons} == {0.5}


@given(share=st.integers(0, 182))
def test_fractions_of_a_coupon_add_up(share: int) -> None:
    period = coupon_periods(FIVE_YEARS.leg.schedule)[0]
    middle = period.begin + share
    parts = icma_fraction(period, period.begin, middle) + icma_fraction(period, middle, period.end)
    assert parts == pytest.approx(0.5, rel=1e-15)


def test_in_the_ex_coupon_period_accrued_is_what_is_missing() -> None:
    bond = a_bond(dt.date(2024, 1, 15), dt.date(2029, 1, 15), ex_coupon_days=7)
    flows = bond_flows(bond)
    cum, ex = dt.date(2024, 7, 7), dt.date(2024, 7, 8)
    assert accrued_interest(flows, cum) == pytest.approx(2.5 * 174 / 182)
    assert accrued_interest(flows, ex) == pytest.approx(-2.5 * 7 / 182)
    jump = from_yield(flows, cum, 0.05).dirty_price - from_yield(flows, ex, 0.05).dirty_price
    assert jump == pytest.approx(2.5, abs=0.02)
    assert from_yield(flows, cum, 0.05).clean_price == pytest.approx(from_yield(flows, ex, 0.05).clean_price, abs=3e-3)


# ---- price and yield -------------------------------------------------------------------------------------------------


def test_zero_coupon_bond_is_its_discount_factor() -> None:
    zero = a_bond(dt.date(2024, 1, 15), dt.date(2029, 1, 15), rates=(0.0,))
    found = from_clean_price(bond_flows(zero), dt.date(2024, 1, 15), 80.0)
    assert found.yield_rate == pytest.approx(2.0 * (0.8 ** (-1 / 10) - 1.0), rel=1e-14)
    assert found.macaulay_duration == pytest.approx(5.0, rel=1e-14)


def test_amortising_bond_is_quoted_on_what_is_outstanding() -> None:
    """Half repaid after two years: per 100 of what is left it is a three-year bond, and a mixture before."""
    notionals = (100.0,) * 4 + (50.0,) * 6
    bond = bond_flows(a_bond(dt.date(2024, 1, 15), dt.date(2029, 1, 15), notionals=notionals))
    rest = bond_flows(a_bond(dt.date(2026, 1, 15), dt.date(2029, 1, 15)))
    day = dt.date(2026, 3, 15)
    assert from_yield(bond, day, 0.07) == from_yield(rest, day, 0.07)
    assert bond.repayments == ((day_number(dt.date(2026, 1, 15)), 50.0), (day_number(dt.date(2029, 1, 15)), 50.0))
    assert from_yield(bond, dt.date(2024, 1, 15), 0.05).clean_price == pytest.approx(100.0, rel=1e-14)


def test_floating_bond_needs_its_rates_and_is_worth_what_they_say() -> None:
    leg = a_floating_leg(schedule=a_schedule(convention="unadjusted"), payment_convention="unadjusted")
    floater = a_bond(dt.date(2024, 3, 20), dt.date(2029, 3, 20), leg=leg)
    with pytest.raises(ValueError, match="needs rates"):
        bond_flows(floater)
    flows = bond_flows(floater, rates=(0.03, 0.04))
    assert [coupon.rate for coupon in flows.coupons[:3]] == [0.03, 0.04, 0.04]


@pytest.mark.parametrize("convention", CONVENTIONS)
@settings(max_examples=25)
@given(rate=st.floats(-0.02, 1.5), months=st.integers(0, 59))
def test_yield_from_price_is_the_inverse_of_price_from_yield(
    convention: YieldConvention, rate: float, months: int
) -> None:
    flows = bond_flows(FIVE_YEARS)
    settlement = dt.date(2024 + months // 12, months % 12 + 1, 20)
    if settlement >= dt.date(2029, 1, 15):
        return
    priced = from_yield(flows, settlement, rate, convention)
    if priced.dirty_price <= 0.0:
        return
    again = from_clean_price(flows, settlement, priced.clean_price, convention)
    assert again.yield_rate == pytest.approx(rate, abs=1e-10)


@settings(max_examples=25)
@given(rate=st.floats(-0.02, 0.5), step=st.floats(1e-4, 0.2))
def test_price_falls_with_the_yield_and_is_convex(rate: float, step: float) -> None:
    flows, day = bond_flows(FIVE_YEARS), dt.date(2024, 5, 20)
    low, middle, high = (from_yield(flows, day, rate + i * step).dirty_price for i in range(3))
    assert low > middle > high
    assert low + high > 2.0 * middle


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_durations_and_convexity_are_derivatives_of_the_price(convention: YieldConvention) -> None:
    """Against derivatives of the discount factors in 40 digits."""
    flows, day, rate = bond_flows(FIVE_YEARS), dt.date(2024, 5, 20), 0.043
    found = from_yield(flows, day, rate, convention)

    def exact(time: float, y: mp.mpf) -> mp.mpf:
        f = convention.frequency
        if convention.compounding == "continuous":
            return mp.exp(-y * time)
        if convention.compounding == "simple" or (convention.compounding != "compounded" and time <= 1 / f):
            return 1 / (1 + y * time)
        return (1 + y / f) ** (-f * time)

    with mp.workdps(40):
        for time in (0.25, 0.5, 3.7):
            numbers = discount_at(rate, time, convention)
            for order, number in enumerate(numbers):
                truth = mp.diff(lambda y, time=time: exact(time, y), mp.mpf(rate), order)
                assert number == pytest.approx(float(truth), rel=1e-14), (time, order)
    step = 1e-5
    up, down = (from_yield(flows, day, rate + s, convention).dirty_price for s in (step, -step))
    assert found.modified_duration == pytest.approx((down - up) / (2 * step) / found.dirty_price, rel=1e-8)
    assert found.bpv == pytest.approx(-found.modified_duration * found.dirty_price * 1e-4, rel=1e-14)


def test_macaulay_is_modified_duration_with_continuous_compounding() -> None:
    found = from_yield(bond_flows(FIVE_YEARS), dt.date(2024, 5, 20), 0.04, YieldConvention("A365F", "continuous", 1))
    assert found.macaulay_duration == pytest.approx(found.modified_duration, rel=1e-14)


@settings(max_examples=25)
@given(rate=st.floats(-0.2, 1.0), time=st.floats(0.01, 30.0))
@pytest.mark.parametrize("other", CONVENTIONS)
def test_converted_rates_discount_alike(other: YieldConvention, rate: float, time: float) -> None:
    given_rate = YieldConvention("A365F", "continuous", 1)
    converted = equivalent_rate(rate, given_rate, time, other)
    assert discount_at(converted, time, other)[0] == pytest.approx(math.exp(-rate * time), rel=1e-12)


# ---- curves ----------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(spread=st.floats(-0.05, 0.5))
def test_z_spread_is_the_spread_a_price_was_made_with(spread: float) -> None:
    flows, day = bond_flows(FIVE_YEARS), dt.date(2024, 5, 20)
    price = price_on_curve(flows, day, discount, spread)
    assert z_spread(flows, day, price, discount) == pytest.approx(spread, abs=1e-12)


def test_z_spread_over_a_flat_curve_is_the_difference_of_continuous_yields() -> None:
    flows, day = bond_flows(FIVE_YEARS), dt.date(2024, 5, 20)
    rate = from_clean_price(flows, day, 97.0, YieldConvention("A365F", "continuous", 1)).yield_rate
    assert z_spread(flows, day, 97.0, discount) == pytest.approx(rate - 0.02, abs=1e-12)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [-10.0, math.nan, math.inf])
def test_price_without_a_yield_is_refused(price: float) -> None:
    flows, day = bond_flows(FIVE_YEARS), dt.date(2024, 5, 20)
    for solve in (lambda: from_clean_price(flows, day, price), lambda: z_spread(flows, day, price, discount)):
        with pytest.raises(CellError, match="dirty price") as refused:
            solve()
        assert refused.value.failure.reason == FailureReason.NUMERICAL


@pytest.mark.parametrize("rate", [-2.0, -3.0, math.nan, math.inf])
def test_yield_of_minus_100_percent_a_period_is_refused(rate: float) -> None:
    with pytest.raises(CellError, match="above -100 %"):
        from_yield(bond_flows(FIVE_YEARS), dt.date(2024, 5, 20), rate)


def test_bond_that_is_repaid_has_expired() -> None:
    with pytest.raises(CellError) as refused:
        from_yield(bond_flows(FIVE_YEARS), dt.date(2029, 1, 15), 0.05)
    assert refused.value.failure.reason == FailureReason.EXPIRED


# ---- in a book -------------------------------------------------------------------------------------------------------


def test_coupon_a_buyer_does_not_get_is_not_in_the_value_of_the_trade() -> None:
    """Six days before a coupon, settlement in one: ex with seven days, with the coupon at four."""
    bonds = [
        a_bond(dt.date(2023, 7, 21), dt.date(2029, 1, 21), ex_coupon_days=days, notionals=(1e6,)) for days in (0, 4, 7)
    ]
    plain, cum, ex = (value(bond) for bond in bonds)
    assert plain == cum
    coupon_day = dt.date(2024, 1, 21)
    assert (coupon_day - AS_OF).days == 6
    assert cum - ex == pytest.approx(25_000.0 * discount(coupon_day), rel=1e-12)


def test_recovery_is_the_trades_own_then_its_securitys_then_its_curves() -> None:
    hazard = HazardDefinition(
        name="ACME", currency="EUR", recovery_rate=0.4, hazard_rates=(Pillar("10Y", "ACME hazard"),)
    )
    snapshot = a_snapshot(hazards=(hazard,), securities=(Security(name="SEC", recovery_rate=0.9),))
    fields = {"credit_curve": "ACME", "notionals": (1e6,)}
    start, end = dt.date(2024, 1, 15), dt.date(2029, 1, 15)
    of_curve = value(a_bond(start, end, **fields), snapshot)
    of_security = value(a_bond(start, end, security="SEC", **fields), snapshot)
    unknown = value(a_bond(start, end, security="OTHER", **fields), snapshot)
    own = value(a_bond(start, end, security="SEC", recovery_rate=0.4, **fields), snapshot)
    assert of_curve == unknown == own
    assert of_security - of_curve == pytest.approx(1e6 * 0.5 * (1 - math.exp(-0.015 * 5)), rel=0.05)


def test_flows_of_a_security_are_discounted_by_its_spread_too() -> None:
    """Continuous, by days of 365: coupons, repayment and what is recovered, whatever the coupons are."""
    start, end = dt.date(2024, 1, 15), dt.date(2029, 1, 15)
    spread = 0.0125
    securities = (Security(name="SEC", spread_quote="SEC SPREAD"),)
    snapshot = a_snapshot({"SEC SPREAD": spread}, securities=securities)
    higher = a_snapshot({"EUR1D": 0.02 + spread})  # the flat curve that discounts, and nothing else here
    floating = a_floating_leg(schedule=a_schedule(start=dt.date(2024, 3, 15), end=end))
    for changes in ({}, {"credit_curve": "ACME"}, {"leg": floating}, {"leg": floating, "credit_curve": "ACME"}):
        bond = a_bond(start, end, security="SEC")
        bond = msgspec.structs.replace(bond, **changes)
        found = value(bond, snapshot)
        assert found == pytest.approx(value(bond, higher), rel=1e-12)
        assert found < value(bond)
        assert value(msgspec.structs.replace(bond, security="OTHER"), snapshot) == value(bond)


def test_a_spread_is_a_market_object_that_shifts_name_and_trades_need() -> None:
    start, end = dt.date(2024, 1, 15), dt.date(2029, 1, 15)
    snapshot = a_snapshot({"SEC SPREAD": 0.01}, securities=(Security(name="SEC", spread_quote="SEC SPREAD"),))
    bond = a_bond(start, end, security="SEC")
    up = Scenario(name="up", shifts=(Shift(target="security", name="S*", shift_bps=50),))
    result = calculate([bond], snapshot, ScenarioSet(scenarios=(Scenario(name="base"), up)))
    wider = a_snapshot({"SEC SPREAD": 0.015}, securities=snapshot.known_securities)
    assert result.pv[0, 1] == pytest.approx(value(bond, wider), rel=1e-14)
    assert requirements([bond], snapshot)[0].market_objects == ("curve/EUR1D", "security/SEC")
    broken = a_snapshot({"SEC SPREAD": "n/a"}, securities=snapshot.known_securities)
    failure = calculate([bond, a_bond(start, end, id="other")], broken).failures
    assert list(failure) == [bond.id]
    assert "SEC SPREAD must be a finite number" in failure[bond.id].message


def test_markets_and_trades_without_the_new_fields_keep_their_bytes() -> None:
    assert b"securities" not in encode_snapshot(a_snapshot())
    with_security = a_snapshot(securities=(Security(name="SEC", recovery_rate=0.5),))
    assert decode_snapshot(encode_snapshot(with_security)) == with_security
    assert b"ex_coupon" not in encode_trade(FIVE_YEARS)
    ex = a_bond(dt.date(2024, 1, 15), dt.date(2029, 1, 15), ex_coupon_days=7, ex_coupon_calendar="UK")
    assert decode_trade(encode_trade(ex)) == ex


def test_security_has_one_recovery_rate_below_one() -> None:
    with pytest.raises(RequestError, match="defined twice"):
        a_snapshot(securities=(Security(name="SEC", recovery_rate=0.5),) * 2)
    with pytest.raises(RequestError, match="recovery rate must be in"):
        a_snapshot(securities=(Security(name="SEC", recovery_rate=1.0),))


def test_days_before_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="must be >= 0"):
        a_bond(dt.date(2024, 1, 15), dt.date(2029, 1, 15), ex_coupon_days=-1)
