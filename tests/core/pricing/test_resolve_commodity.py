"""Commodity swaps, swaptions and average options on flat curves, against values written down by hand."""

from __future__ import annotations

import datetime as dt
from math import exp, log, sqrt
from typing import Any

import pytest
from msgspec.structs import replace

from tests.core.pricing.flat_market import AS_OF, a_schedule, a_snapshot, book, discount, value, years
from tests.core.pricing.oil_trades import (
    a_fixed_oil_leg,
    an_average_option,
    an_oil_leg,
    an_oil_swap,
    an_oil_swaption,
)
from xip_core.errors import FailureReason
from xip_core.model.market import CommodityDefinition
from xip_core.model.market_instruments import Pillar
from xip_core.model.trade import CommodityForward, CommodityOption, Premium, Trade
from xip_core.pricing.reference import black

OIL, VOLATILITY, EURUSD = (float(a_snapshot().quotes[name]) for name in ("OIL", "lognormal", "EURUSD"))
ENDS = [dt.date(2025, 4, 30), dt.date(2025, 7, 31), dt.date(2025, 10, 31), dt.date(2026, 1, 31)]
PAYS = [dt.date(2025, 5, 2), dt.date(2025, 8, 4), dt.date(2025, 11, 4), dt.date(2026, 2, 3)]


def dollars(day: dt.date) -> float:
    """EUR value of a dollar paid on *day*."""
    return discount(day, "USD1D") / EURUSD


def a_rising_market(**changes: Any) -> Any:
    """Forwards of 70 in a year and 90 in two, linear in between."""
    quotes = {"OIL": 70.0, "OIL.2Y": 90.0}
    pillars = (Pillar("1Y", "OIL"), Pillar("2Y", "OIL.2Y"))
    rising = CommodityDefinition(name="OIL", currency="USD", forwards=pillars)
    return a_snapshot(quotes, commodities=(rising,), **changes)


def rising(day: dt.date) -> float:
    begin, end = dt.date(2025, 1, 15), dt.date(2026, 1, 15)
    share = (day - begin).days / (end - begin).days
    return 70.0 + 20.0 * min(max(share, 0.0), 1.0)


def weekdays(after: dt.date, end: dt.date) -> list[dt.date]:
    days = [after + dt.timedelta(step) for step in range(1, (end - after).days + 1)]
    return [day for day in days if day.weekday() < 5]


def refusal(trade: Trade, snapshot: Any = None) -> tuple[FailureReason, str]:
    failure = book(trade, snapshot=snapshot).failures[trade.id]
    return FailureReason(failure.reason), failure.message


def test_swap_exchanges_the_price_of_each_periods_last_weekday_for_the_fixed_one() -> None:
    lasts = [*ENDS[:3], dt.date(2026, 1, 30)]  # the last end is a Saturday
    expected = sum(1000.0 * (rising(day) - 75.0) * dollars(pay) for day, pay in zip(lasts, PAYS, strict=True))
    assert value(an_oil_swap(), a_rising_market()) == pytest.approx(expected, rel=1e-12)


def test_averaged_leg_pays_the_mean_over_the_weekdays_of_the_period_its_first_day_in_the_first() -> None:
    begins = [dt.date(2025, 1, 30), *ENDS[:3]]  # the first period includes the 31st
    expected = 0.0
    for begin, end, pay in zip(begins, ENDS, PAYS, strict=True):
        days = weekdays(begin, end)
        expected += 1000.0 * sum(map(rising, days)) / len(days) * dollars(pay)
    assert value(an_oil_swap(an_oil_leg(averaged=True)), a_rising_market()) == pytest.approx(expected, rel=1e-12)


def test_gearing_spread_and_steps_of_quantity_and_price_apply_per_period() -> None:
    leg = an_oil_leg(gearings=(1.0, 2.0), spreads=(0.0, -3.0), quantities=(1000.0, 500.0))
    amounts = [1000.0 * OIL] + [500.0 * (2.0 * OIL - 3.0)] * 3
    expected = sum(amount * dollars(pay) for amount, pay in zip(amounts, PAYS, strict=True))
    assert value(an_oil_swap(leg)) == pytest.approx(expected, rel=1e-12)
    fixed = a_fixed_oil_leg(prices=(70.0, 80.0))
    expected = sum(1000.0 * price * dollars(pay) for price, pay in zip([70.0, 80.0, 80.0, 80.0], PAYS, strict=True))
    assert value(an_oil_swap(fixed)) == pytest.approx(expected, rel=1e-12)


def test_published_prices_replace_forwards_and_missing_ones_are_named() -> None:
    schedule = a_schedule(
        start=dt.date(2023, 12, 29), end=dt.date(2024, 1, 31), tenor="1M", calendar="WeekendsOnly", rule="zero"
    )
    leg = an_oil_leg(schedule=schedule, averaged=True)
    days = weekdays(dt.date(2023, 12, 28), dt.date(2024, 1, 31))
    known = [day for day in days if day < AS_OF]
    market = a_snapshot(fixings={"OIL": dict.fromkeys(known, 60.0)})
    mean = (60.0 * len(known) + OIL * (len(days) - len(known))) / len(days)
    assert value(an_oil_swap(leg), market) == pytest.approx(1000.0 * mean * dollars(dt.date(2024, 2, 2)), rel=1e-12)
    market = a_snapshot(fixings={"OIL": dict.fromkeys(known[1:], 60.0)})
    assert refusal(an_oil_swap(leg), market) == (
        FailureReason.MISSING_DATA,
        "trade oil swap: fixing of OIL for 2023-12-29 is missing from the snapshot",
    )


def test_payer_less_receiver_swaption_is_the_swap() -> None:
    receiver = (a_fixed_oil_leg(), an_oil_leg(payer=True))
    both = value(an_oil_swaption(), a_rising_market()) - value(an_oil_swaption(legs=receiver), a_rising_market())
    assert both == pytest.approx(value(an_oil_swap(), a_rising_market()), rel=1e-11)


def test_swaption_is_black_on_the_floating_leg_in_units_of_the_fixed_one() -> None:
    annuity = sum(1000.0 * dollars(pay) for pay in PAYS)
    total_volatility = VOLATILITY * sqrt(years(dt.date(2025, 1, 15)))
    expected = annuity * black(OIL, 75.0, total_volatility, 1.0)
    assert value(an_oil_swaption()) == pytest.approx(expected, rel=1e-12)
    premium = Premium(amount=100.0, currency="USD", pay_date=dt.date(2024, 6, 3))
    with_premium = value(an_oil_swaption(premiums=(premium,)))
    assert with_premium == pytest.approx(expected - 100.0 * dollars(dt.date(2024, 6, 3)), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        ({"expiry": dt.date(2025, 3, 3)}, FailureReason.BAD_TRADE, "must start at or after its expiry 2025-03-03"),
        ({"expiry": AS_OF}, FailureReason.EXPIRED, "expired on 2024-01-15"),
        ({"legs": (an_oil_leg(), an_oil_leg(payer=True))}, FailureReason.BAD_TRADE, "one fixed and one floating leg"),
        ({"legs": (a_fixed_oil_leg(), an_oil_leg())}, FailureReason.BAD_TRADE, "paid and the other received"),
        ({"legs": (a_fixed_oil_leg(currency="EUR"), an_oil_leg(payer=True))}, FailureReason.UNSUPPORTED, "in currency"),
        ({"legs": (a_fixed_oil_leg(prices=(-1.0,)), an_oil_leg(payer=True))}, FailureReason.BAD_TRADE, "must be > 0"),
        ({"legs": (a_fixed_oil_leg(), an_oil_leg(payer=True, name="GAS"))}, FailureReason.MISSING_DATA, "GAS"),
    ],
)
def test_swaptions_that_make_no_sense_are_refused(
    changes: dict[str, Any], reason: FailureReason, sentence: str
) -> None:
    refused, message = refusal(an_oil_swaption(**changes))
    assert refused is reason
    assert sentence in message


def average_price(known: float, known_count: int, days: list[dt.date], strike: float, sign: float) -> float:
    """Undiscounted, by the pair-by-pair second moment."""
    count = known_count + len(days)
    times = [years(day) for day in days]
    mean = OIL * len(days) / count
    pairs = [exp(VOLATILITY**2 * min(s, t)) for s in times for t in times]
    total_volatility = sqrt(log(sum(pairs) / len(pairs)))
    return black(mean, strike - known * known_count / count, total_volatility, sign)


@pytest.mark.parametrize(("option_type", "sign"), [("call", 1.0), ("put", -1.0)])
def test_average_option_is_black_with_the_volatility_of_the_average(option_type: str, sign: float) -> None:
    days = weekdays(dt.date(2024, 12, 31), dt.date(2025, 3, 31))
    expected = 10.0 * average_price(0.0, 0, days, 75.0, sign) * dollars(dt.date(2025, 3, 31))
    assert value(an_average_option(option_type=option_type)) == pytest.approx(expected, rel=1e-12)


def test_prices_already_known_lower_the_strike_of_what_is_left() -> None:
    trade = an_average_option(start=dt.date(2023, 12, 1), end=dt.date(2024, 2, 29))
    days = weekdays(dt.date(2023, 11, 30), dt.date(2024, 2, 29))
    known = [day for day in days if day < AS_OF]
    market = a_snapshot(fixings={"OIL": dict.fromkeys(known, 71.0)})
    expected = average_price(71.0, len(known), days[len(known) :], 75.0, 1.0) * dollars(dt.date(2024, 2, 29))
    assert value(trade, market) == pytest.approx(10.0 * expected, rel=1e-12)


def test_average_sure_to_end_above_the_strike_is_a_forward_for_the_call_and_nothing_for_the_put() -> None:
    call = an_average_option(start=dt.date(2023, 12, 1), end=dt.date(2024, 2, 29), strike=20.0)
    days = weekdays(dt.date(2023, 11, 30), dt.date(2024, 2, 29))
    known = [day for day in days if day < AS_OF]
    market = a_snapshot(fixings={"OIL": dict.fromkeys(known, 71.0)})
    mean = (71.0 * len(known) + OIL * (len(days) - len(known))) / len(days)
    assert value(call, market) == pytest.approx(10.0 * (mean - 20.0) * dollars(dt.date(2024, 2, 29)), rel=1e-12)
    assert value(replace(call, option_type="put"), market) == 0.0


@pytest.mark.parametrize(("option_type", "payoff"), [("call", 0.0), ("put", 4.0)])
def test_average_all_known_pays_what_it_pays(option_type: str, payoff: float) -> None:
    trade = an_average_option(
        start=dt.date(2023, 12, 1), end=dt.date(2023, 12, 29), option_type=option_type, payment_lag_days=20
    )
    market = a_snapshot(fixings={"OIL": dict.fromkeys(weekdays(dt.date(2023, 11, 30), trade.end), 71.0)})
    assert value(trade, market) == pytest.approx(10.0 * payoff * dollars(dt.date(2024, 1, 26)), abs=1e-12)


def test_average_of_one_day_is_the_plain_option_and_of_today_its_payoff() -> None:
    end = dt.date(2025, 3, 31)
    plain = CommodityOption(
        id="plain", name="OIL", currency="USD", expiry=end, option_type="call", position="long", strike=75.0,
        quantity=10.0,
    )  # fmt: skip
    start = end - dt.timedelta(2)  # a Saturday
    assert value(an_average_option(start=start, end=end)) == pytest.approx(value(plain), rel=1e-12)
    today = an_average_option(start=AS_OF - dt.timedelta(2), end=AS_OF, payment_lag_days=5, strike=OIL - 1.0)
    assert value(today) == pytest.approx(10.0 * dollars(dt.date(2024, 1, 22)), rel=1e-12)


def test_delta_and_vega_of_an_average_are_the_changes_they_are_said_to_be() -> None:
    for trade in (an_average_option(), an_oil_swaption(), an_oil_swap()):
        measures = book(trade).measures
        up, down = (value(trade, a_snapshot({"OIL": OIL * (1.0 + 1e-4 * sign)})) for sign in (1.0, -1.0))
        assert measures["delta"][0] == pytest.approx((up - down) / 2e-4 * 0.01, rel=1e-6), trade.id
        up, down = (value(trade, a_snapshot({"lognormal": VOLATILITY + 1e-4 * sign})) for sign in (1.0, -1.0))
        assert measures["vega"][0] == pytest.approx((up - down) / 2e-4 * 0.01, rel=1e-5, abs=1e-9), trade.id


def test_a_call_on_an_average_is_worth_less_than_on_its_last_price_and_without_volatility_its_payoff() -> None:
    plain = CommodityOption(
        id="plain", name="OIL", currency="USD", expiry=dt.date(2025, 3, 31), option_type="call", position="long",
        strike=75.0, quantity=10.0,
    )  # fmt: skip
    assert value(an_average_option()) < value(plain)
    still = a_snapshot({"lognormal": 0.0})
    call = an_average_option(strike=OIL - 2.0)
    forward = CommodityForward(
        id="forward", name="OIL", currency="USD", maturity=dt.date(2025, 3, 31), strike=OIL - 2.0, quantity=10.0,
        position="long",
    )  # fmt: skip
    assert value(call, still) == pytest.approx(value(forward, still), rel=1e-12)
    assert book(call, snapshot=still).measures["vega"][0] == pytest.approx(0.0, abs=1e-12)
    at_the_money = an_average_option(strike=OIL)
    assert book(at_the_money, snapshot=still).measures["vega"][0] > 0.0
