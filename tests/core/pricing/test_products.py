"""Every product on flat curves against values written down by hand."""

from __future__ import annotations

import datetime as dt
import itertools
from math import exp, log, sqrt

import pytest

from tests.core.pricing.flat_market import (
    AS_OF,
    FX_EURUSD,
    a_fixed_leg,
    a_floating_leg,
    a_schedule,
    a_snapshot,
    a_swap,
    an_overnight_leg,
    book,
    discount,
    value,
    years,
)
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of
from xip_core.model.schedules import boundaries
from xip_core.model.trade import (
    Bond,
    CapFloor,
    Cds,
    CommodityForward,
    CommodityOption,
    EquityForward,
    EquityOption,
    Fra,
    FxForward,
    FxOption,
    Premium,
    Schedule,
    Swaption,
)
from xip_core.pricing.reference import bachelier, black

DATES = [date_of(day) for day in boundaries(a_schedule())]
PERIODS = list(itertools.pairwise(DATES))
IN_TWO_YEARS = dt.date(2026, 1, 15)


def accrual(begin: dt.date, end: dt.date) -> float:
    return (end - begin).days / 360.0


def annuity() -> float:
    return sum(accrual(begin, end) * discount(end) for begin, end in PERIODS)


def forward_rate(begin: dt.date, end: dt.date) -> float:
    return (discount(begin, "EUR3M") / discount(end, "EUR3M") - 1.0) / accrual(begin, end)


def test_fixed_leg_is_rate_times_annuity() -> None:
    assert value(a_swap(a_fixed_leg())) == pytest.approx(1e6 * 0.03 * annuity(), rel=1e-13)


def test_floating_leg_pays_forwards_of_the_index_curve_plus_spread() -> None:
    leg = a_floating_leg(spreads=(0.001,), gearings=(2.0,))
    expected = sum(1e6 * (2 * forward_rate(b, e) + 0.001) * accrual(b, e) * discount(e) for b, e in PERIODS)
    assert value(a_swap(leg)) == pytest.approx(expected, rel=1e-12)


def test_steps_of_notional_and_rate_apply_per_period_and_the_last_continues() -> None:
    leg = a_fixed_leg(notionals=(3e6, 2e6, 1e6), rates=(0.03, 0.04))
    amounts = [3e6 * 0.03, 2e6 * 0.04] + [1e6 * 0.04] * (len(PERIODS) - 2)
    expected = sum(a * accrual(b, e) * discount(e) for a, (b, e) in zip(amounts, PERIODS, strict=True))
    assert value(a_swap(leg)) == pytest.approx(expected, rel=1e-13)


def test_exchanged_notional_is_paid_at_start_reduced_on_the_way_and_returned() -> None:
    leg = a_fixed_leg(
        notionals=(3e6, 1e6), rates=(0.0,), initial_exchange=True, final_exchange=True, amortising_exchange=True
    )
    expected = -3e6 * discount(DATES[0]) + 2e6 * discount(DATES[1]) + 1e6 * discount(DATES[-1])
    assert value(a_swap(leg)) == pytest.approx(expected, rel=1e-12)


def test_payment_lag_moves_payments_by_business_days() -> None:
    schedule = Schedule(dates=(dt.date(2024, 3, 20), dt.date(2024, 6, 20)), calendar="TARGET")
    leg = a_fixed_leg(schedule=schedule, payment_lag_days=2)
    expected = 1e6 * 0.03 * accrual(dt.date(2024, 3, 20), dt.date(2024, 6, 20)) * discount(dt.date(2024, 6, 24))
    assert value(a_swap(leg)) == pytest.approx(expected, rel=1e-13)


def test_compounded_overnight_leg_on_its_own_curve_is_worth_the_difference_of_discount_factors() -> None:
    expected = 1e6 * (discount(DATES[0]) - discount(DATES[-1]))
    assert value(a_swap(an_overnight_leg())) == pytest.approx(expected, rel=1e-12)


def test_averaged_overnight_leg_pays_the_log_of_growth() -> None:
    expected = sum(1e6 * log(discount(b) / discount(e)) * discount(e) for b, e in PERIODS)
    assert value(a_swap(an_overnight_leg(averaged=True))) == pytest.approx(expected, rel=1e-12)


def test_running_overnight_coupon_compounds_published_fixings() -> None:
    days = [dt.date(2024, 1, day) for day in (10, 11, 12)]
    snapshot = a_snapshot(fixings={"EUR-ESTER": dict.fromkeys(days, 0.039)})
    schedule = Schedule(dates=(days[0], dt.date(2024, 4, 10)), calendar="TARGET", convention="following")
    grown = (1 + 0.039 / 360) ** 2 * (1 + 0.039 * 3 / 360)
    end = dt.date(2024, 4, 10)
    expected = 1e6 * (grown - discount(end))
    assert value(a_swap(an_overnight_leg(schedule=schedule)), snapshot) == pytest.approx(expected, rel=1e-10)


def test_running_averaged_coupon_sums_published_fixings() -> None:
    days = [dt.date(2024, 1, day) for day in (10, 11, 12)]
    snapshot = a_snapshot(fixings={"EUR-ESTER": dict.fromkeys(days, 0.039)})
    schedule = Schedule(dates=(days[0], dt.date(2024, 4, 10)), calendar="TARGET", convention="following")
    end = dt.date(2024, 4, 10)
    expected = 1e6 * (0.039 * 5 / 360 - log(discount(end))) * discount(end)
    leg = an_overnight_leg(schedule=schedule, averaged=True)
    assert value(a_swap(leg), snapshot) == pytest.approx(expected, rel=1e-10)


def test_published_fixing_replaces_the_forward() -> None:
    schedule = a_schedule(start=dt.date(2023, 12, 20), end=dt.date(2024, 3, 20))
    snapshot = a_snapshot(fixings={"EUR-EURIBOR-3M": {dt.date(2023, 12, 18): 0.039}})
    end = dt.date(2024, 3, 20)
    expected = 1e6 * 0.039 * accrual(dt.date(2023, 12, 20), end) * discount(end)
    assert value(a_swap(a_floating_leg(schedule=schedule)), snapshot) == pytest.approx(expected, rel=1e-13)


def test_fra_settles_the_discounted_difference_at_its_start() -> None:
    start, end = dt.date(2024, 6, 20), dt.date(2024, 9, 20)
    trade = Fra(
        id="fra", currency="EUR", index="EUR-EURIBOR-3M", start=start, end=end, strike=0.01, notional=1e6,
        position="long",
    )  # fmt: skip
    forward, tau = forward_rate(start, end), accrual(start, end)
    expected = 1e6 * (forward - 0.01) * tau / (1 + forward * tau) * discount(start)
    assert value(trade) == pytest.approx(expected, rel=1e-12)


def test_cap_is_a_sum_of_bachelier_caplets_expiring_at_their_fixings() -> None:
    trade = CapFloor(id="cap", leg=a_floating_leg(), position="short", caps=(0.035,))
    target = calendar("TARGET")
    expected = 0.0
    for begin, end in PERIODS:
        fixing = date_of(target.advance(boundaries(Schedule(dates=(begin, end), calendar="TARGET"))[:1], -2)[0])
        total = 0.008 * sqrt(years(fixing))
        expected -= 1e6 * accrual(begin, end) * discount(end) * bachelier(forward_rate(begin, end), 0.035, total, 1.0)
    assert value(trade) == pytest.approx(expected, rel=1e-9)


def test_collar_is_the_cap_held_less_the_floor_written() -> None:
    leg = a_floating_leg()
    cap = value(CapFloor(id="cap", leg=leg, position="long", caps=(0.04,)))
    floor = value(CapFloor(id="floor", leg=leg, position="long", floors=(0.02,)))
    collar = value(CapFloor(id="collar", leg=leg, position="long", caps=(0.04,), floors=(0.02,)))
    assert collar == pytest.approx(cap - floor, rel=1e-12)


def swaption(settlement: str = "physical", payer: bool = True, premiums: tuple[Premium, ...] = ()) -> Swaption:
    schedule = a_schedule(start=dt.date(2025, 1, 20), end=dt.date(2030, 1, 20), tenor="1Y")
    legs = (a_fixed_leg(payer=payer, schedule=schedule), a_floating_leg(payer=not payer, schedule=schedule))
    return Swaption(
        id="swaption", legs=legs, expiry=dt.date(2025, 1, 16), position="long", settlement=settlement,
        premiums=premiums,
    )  # fmt: skip


def swap_rate() -> tuple[float, float, list[tuple[dt.date, dt.date]]]:
    """Par rate and annuity of the swaption's swap, and its periods."""
    schedule = a_schedule(start=dt.date(2025, 1, 20), end=dt.date(2030, 1, 20), tenor="1Y")
    dates = [date_of(day) for day in boundaries(schedule)]
    periods = list(itertools.pairwise(dates))
    level = sum(accrual(b, e) * discount(e) for b, e in periods)
    floating = sum(forward_rate(b, e) * accrual(b, e) * discount(e) for b, e in periods)
    return floating / level, level, periods


def test_physical_swaption_is_bachelier_on_the_swap_rate() -> None:
    rate, level, _ = swap_rate()
    expected = 1e6 * level * bachelier(rate, 0.03, 0.008 * sqrt(years(dt.date(2025, 1, 16))), 1.0)
    assert value(swaption()) == pytest.approx(expected, rel=1e-11)


def test_cash_swaption_is_paid_on_the_par_yield_annuity() -> None:
    rate, _, periods = swap_rate()
    level, elapsed = 0.0, 0.0
    for begin, end in periods:
        elapsed += accrual(begin, end)
        level += accrual(begin, end) * (1 + rate) ** -elapsed
    level *= discount(periods[0][0])
    expected = 1e6 * level * bachelier(rate, 0.03, 0.008 * sqrt(years(dt.date(2025, 1, 16))), 1.0)
    assert value(swaption("cash")) == pytest.approx(expected, rel=1e-11)


def test_premium_is_paid_by_the_holder() -> None:
    day = dt.date(2024, 2, 15)
    premium = Premium(amount=5000.0, currency="USD", pay_date=day)
    paid = 5000.0 * discount(day, "USD1D") / FX_EURUSD
    assert value(swaption(premiums=(premium,))) == pytest.approx(value(swaption()) - paid, rel=1e-12)


def a_bond(**changes: object) -> Bond:
    fields = {
        "id": "bond", "leg": a_fixed_leg(schedule=a_schedule(tenor="1Y")), "issue_date": dt.date(2024, 3, 20),
        "settlement_days": 2, "calendar": "TARGET", "reference_curve": "EUR1D",
    }  # fmt: skip
    return Bond(**fields | changes)


def test_bond_is_coupons_and_redemption_on_its_reference_curve() -> None:
    dates = [date_of(day) for day in boundaries(a_schedule(tenor="1Y"))]
    coupons = sum(1e6 * 0.03 * accrual(b, e) * discount(e) for b, e in itertools.pairwise(dates))
    assert value(a_bond()) == pytest.approx(coupons + 1e6 * discount(dates[-1]), rel=1e-13)


def test_risky_bond_survives_or_recovers_in_the_middle_of_a_period() -> None:
    def survival(date: dt.date) -> float:
        return exp(-0.015 * years(date))

    dates = [date_of(day) for day in boundaries(a_schedule(tenor="1Y"))]
    expected = 1e6 * discount(dates[-1]) * survival(dates[-1])
    for begin, end in itertools.pairwise(dates):
        expected += 1e6 * 0.03 * accrual(begin, end) * discount(end) * survival(end)
        middle = begin + dt.timedelta(days=(end - begin).days // 2)
        expected += 0.4 * 1e6 * discount(middle) * (survival(begin) - survival(end))
    assert value(a_bond(credit_curve="ACME")) == pytest.approx(expected, rel=1e-12)


def test_floored_floater_is_the_floater_and_floors() -> None:
    plain = value(a_bond(leg=a_floating_leg()))
    floored = value(a_bond(leg=a_floating_leg(spreads=(0.01,), floors=(0.035,))))
    floors = value(CapFloor(id="floors", leg=a_floating_leg(), position="long", floors=(0.025,)))
    assert floored == pytest.approx(plain + 1e6 * 0.01 * annuity() + floors, rel=1e-12)


def test_cds_protection_and_premium_by_mid_points() -> None:
    schedule = Schedule(
        start=dt.date(2024, 3, 20), end=dt.date(2025, 3, 20), tenor="3M", calendar="WeekendsOnly",
        convention="following", rule="cds2015",
    )  # fmt: skip
    leg = a_fixed_leg(schedule=schedule, rates=(0.01,), payer=True, payment_convention="following")
    trade = Cds(id="cds", leg=leg, credit_curve="ACME", upfront_date=dt.date(2024, 3, 25))

    def survival(date: dt.date) -> float:
        return exp(-0.015 * years(date))

    dates = [date_of(day) for day in boundaries(schedule)]
    expected = 0.0
    for begin, end in itertools.pairwise(dates):
        extra = 1 if end == dates[-1] else 0
        middle = begin + dt.timedelta(days=(end - begin).days // 2)
        default = survival(begin) - survival(end)
        accrued = 0.01 * ((middle - begin).days + extra) / 360.0
        expected += 1e6 * (0.6 - accrued) * discount(middle) * default
        expected -= 1e6 * 0.01 * ((end - begin).days + extra) / 360.0 * discount(end) * survival(end)
    expected += 1e6 * 0.01 / 360.0 * discount(dt.date(2024, 3, 25))  # rebate: the first day of protection
    assert value(trade) == pytest.approx(expected, rel=1e-10)


def test_upfront_fee_is_paid_by_the_protection_buyer() -> None:
    leg = a_fixed_leg(payer=True)
    plain = Cds(id="cds", leg=leg, credit_curve="ACME", upfront_date=dt.date(2024, 1, 18))
    upfront = Cds(id="cds", leg=leg, credit_curve="ACME", upfront_date=dt.date(2024, 1, 18), upfront_fee=0.02)
    assert value(upfront) == pytest.approx(value(plain) - 0.02 * 1e6 * discount(dt.date(2024, 1, 18)), rel=1e-12)


def test_fx_forward_is_both_amounts_discounted_on_their_curves() -> None:
    trade = FxForward(
        id="fx", value_date=IN_TWO_YEARS, bought_currency="EUR", bought_amount=1e6, sold_currency="USD",
        sold_amount=1.3e6,
    )  # fmt: skip
    expected = 1e6 * discount(IN_TWO_YEARS) - 1.3e6 * discount(IN_TWO_YEARS, "USD1D") / FX_EURUSD
    assert value(trade) == pytest.approx(expected, rel=1e-12)


def test_fx_forward_delta_is_one_percent_of_the_bought_amount_discounted() -> None:
    trade = FxForward(
        id="fx", value_date=IN_TWO_YEARS, bought_currency="EUR", bought_amount=1e6, sold_currency="USD",
        sold_amount=1.3e6,
    )  # fmt: skip
    assert book(trade).measures["delta"][0] == pytest.approx(1e4 * discount(IN_TWO_YEARS), rel=1e-12)


def an_fx_option(option_type: str, position: str = "long") -> FxOption:
    return FxOption(
        id=option_type, expiry=IN_TWO_YEARS, option_type=option_type, position=position, bought_currency="EUR",
        bought_amount=1e6, sold_currency="USD", sold_amount=1.3e6,
    )  # fmt: skip


def test_fx_option_is_garman_kohlhagen() -> None:
    forward = FX_EURUSD * discount(IN_TWO_YEARS) / discount(IN_TWO_YEARS, "USD1D")
    price = black(forward, 1.3, 0.2 * sqrt(years(IN_TWO_YEARS)), 1.0)
    expected = 1e6 * price * discount(IN_TWO_YEARS, "USD1D") / FX_EURUSD
    assert value(an_fx_option("call")) == pytest.approx(expected, rel=1e-12)


def test_pv_in_trade_currency_of_an_fx_option_is_in_the_sold_currency() -> None:
    result = book(an_fx_option("call"))
    assert result.measures["pv_trade_currency"][0] == pytest.approx(result.pv[0, 0] * FX_EURUSD, rel=1e-14)


def test_equity_forward_and_option_use_the_forward_of_the_equity_curve() -> None:
    fields = {"name": "ACME", "currency": "EUR", "strike": 48.0, "quantity": 100.0, "position": "short"}
    forward = 50.0 * exp((0.02 - 0.01) * years(IN_TWO_YEARS))
    expected = -100.0 * (forward - 48.0) * discount(IN_TWO_YEARS)
    assert value(EquityForward(id="f", maturity=IN_TWO_YEARS, **fields)) == pytest.approx(expected, rel=1e-12)
    price = black(forward, 48.0, 0.2 * sqrt(years(IN_TWO_YEARS)), -1.0)
    option = EquityOption(id="o", expiry=IN_TWO_YEARS, option_type="put", **fields)
    assert value(option) == pytest.approx(-100.0 * price * discount(IN_TWO_YEARS), rel=1e-12)


def test_commodity_forward_and_option_are_paid_in_dollars() -> None:
    fields = {"name": "OIL", "currency": "USD", "strike": 75.0, "quantity": 1000.0, "position": "long"}
    paid = 1000.0 * discount(IN_TWO_YEARS, "USD1D") / FX_EURUSD
    forward = CommodityForward(id="f", maturity=IN_TWO_YEARS, **fields)
    assert value(forward) == pytest.approx(paid * 5.0, rel=1e-12)
    option = CommodityOption(id="o", expiry=IN_TWO_YEARS, option_type="call", **fields)
    price = black(80.0, 75.0, 0.2 * sqrt(years(IN_TWO_YEARS)), 1.0)
    assert value(option) == pytest.approx(paid * price, rel=1e-12)
    assert book(forward).measures["delta"][0] == pytest.approx(paid * 80.0 * 0.01, rel=1e-12)


def test_vega_is_the_change_for_one_volatility_point() -> None:
    bumped = a_snapshot(quotes={"lognormal": 0.2001})
    change = (value(an_fx_option("call"), bumped) - value(an_fx_option("call"))) / 0.0001 * 0.01
    assert book(an_fx_option("call")).measures["vega"][0] == pytest.approx(change, rel=1e-3)


def test_vega_of_a_swaption_is_the_change_for_one_normal_basis_point() -> None:
    change = value(swaption(), a_snapshot(quotes={"normal": 0.0081})) - value(swaption())
    assert book(swaption()).measures["vega"][0] == pytest.approx(change, rel=1e-2)


def test_dv01_is_the_change_when_every_zero_rate_rises_by_a_basis_point() -> None:
    shifted = a_snapshot(quotes={"EUR1D": 0.0201, "EUR3M": 0.0301, "USD1D": 0.0401})
    swap = a_swap()
    assert book(swap).measures["dv01"][0] == pytest.approx(value(swap, shifted) - value(swap), rel=1e-6)


def test_payments_on_the_as_of_date_have_been_made() -> None:
    schedule = Schedule(dates=(dt.date(2023, 10, 15), AS_OF, dt.date(2024, 4, 15)), calendar="TARGET")
    leg = a_fixed_leg(schedule=schedule)
    expected = 1e6 * 0.03 * accrual(AS_OF, dt.date(2024, 4, 15)) * discount(dt.date(2024, 4, 15))
    assert value(a_swap(leg)) == pytest.approx(expected, rel=1e-12)


def test_lookback_observes_days_earlier_and_weighs_them_by_the_days_they_accrue_for() -> None:
    schedule = Schedule(dates=(dt.date(2024, 3, 20), dt.date(2024, 4, 22)), calendar="TARGET")
    leg = an_overnight_leg(schedule=schedule, lookback_days=2)
    end = dt.date(2024, 4, 22)
    expected = 1e6 * (exp(0.02 * years(end) - 0.02 * years(dt.date(2024, 3, 20))) - 1.0) * discount(end)
    assert value(a_swap(leg)) == pytest.approx(expected, rel=1e-10)  # on a flat curve every day grows alike
