"""Bermudan swaptions on flat curves: against European ones, the parts of a swap, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.core.pricing.flat_market import (
    AS_OF,
    a_fixed_leg,
    a_floating_leg,
    a_schedule,
    a_snapshot,
    an_overnight_leg,
    book,
    value,
)
from xip_core.errors import FailureReason
from xip_core.model.market import SwaptionVolatility
from xip_core.model.trade import BermudanSwaption, Premium, Swaption

EXPIRIES = (dt.date(2025, 3, 18), dt.date(2026, 3, 18), dt.date(2027, 3, 18))
LATER = a_schedule(start=dt.date(2025, 3, 20), end=dt.date(2030, 3, 20))


def a_bermudan(**changes: Any) -> BermudanSwaption:
    """Right to pay 3 % on a million for what is left of five years."""
    fields = {
        "id": "bermudan",
        "legs": (a_fixed_leg(payer=True, schedule=LATER), a_floating_leg(schedule=LATER)),
        "expiries": EXPIRIES,
        "position": "long",
    }
    return BermudanSwaption(**fields | changes)


def european(expiry: dt.date, **changes: Any) -> Swaption:
    """The right of one date alone: the periods that begin then or later."""
    start = dt.date(expiry.year, 3, 20)
    schedule = a_schedule(start=start, end=dt.date(2030, 3, 20))
    legs = (a_fixed_leg(payer=True, schedule=schedule), a_floating_leg(schedule=schedule))
    return Swaption(
        **{"id": "european", "legs": legs, "expiry": expiry, "position": "long", "settlement": "physical"} | changes
    )


def reverting(reversion: float) -> Any:
    surface = a_snapshot().swaption_volatilities[0]
    assert isinstance(surface, SwaptionVolatility)
    fields = {name: getattr(surface, name) for name in surface.__struct_fields__}
    return a_snapshot(swaption_volatilities=(SwaptionVolatility(**fields | {"mean_reversion": reversion}),))


@pytest.mark.parametrize("expiry", EXPIRIES)
def test_with_one_date_it_is_the_european_swaption(expiry: dt.date) -> None:
    assert value(a_bermudan(expiries=(expiry,))) == pytest.approx(value(european(expiry)), abs=0.02)


def test_it_is_worth_more_than_the_best_european_and_less_than_all() -> None:
    europeans = [value(european(expiry)) for expiry in EXPIRIES]
    assert max(europeans) < value(a_bermudan()) < sum(europeans)
    assert value(a_bermudan(expiries=EXPIRIES[:2])) < value(a_bermudan())


def test_holding_and_writing_it_cancel_and_premiums_are_paid() -> None:
    assert value(a_bermudan(position="short")) == -value(a_bermudan())
    premium = Premium(amount=1000.0, currency="EUR", pay_date=AS_OF + dt.timedelta(1))
    paid = value(a_bermudan(premiums=(premium,)))
    assert paid == pytest.approx(value(a_bermudan()) - 1000.0, rel=1e-4)


def test_mean_reversion_makes_rates_of_other_dates_independent_and_the_choice_dearer() -> None:
    # European prices are held, so reversion only lowers the correlation between the dates.
    values = [value(a_bermudan(), reverting(reversion)) for reversion in (0.0, 0.05, 0.2)]
    assert values == sorted(values)
    assert values[2] > values[0] + 10.0


def test_vega_and_dv01_are_the_changes_they_are_said_to_be() -> None:
    measures = book(a_bermudan()).measures
    normal = float(a_snapshot().quotes["normal"])
    bumped = value(a_bermudan(), a_snapshot({"normal": normal + 1e-4})) - value(a_bermudan())
    assert measures["vega"][0] == pytest.approx(bumped, rel=1e-6)
    assert measures["vega"][0] > 0.0
    assert measures["dv01"][0] > 0.0
    assert measures["delta"][0] == 0.0


def test_dates_that_are_past_are_left_out() -> None:
    past = a_bermudan(expiries=(dt.date(2023, 3, 20), *EXPIRIES))
    assert value(past) == value(a_bermudan())


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        ({"expiries": (dt.date(2022, 1, 3), AS_OF)}, FailureReason.EXPIRED, "expired on 2024-01-15"),
        ({"expiries": (EXPIRIES[0], dt.date(2030, 1, 3))}, FailureReason.BAD_TRADE, "no period of the swap starts"),
        ({"legs": (a_fixed_leg(schedule=LATER), a_floating_leg(schedule=LATER))}, FailureReason.BAD_TRADE, "be paid"),
        (
            {"legs": (a_fixed_leg(payer=True, schedule=LATER), an_overnight_leg(schedule=LATER, averaged=True))},
            FailureReason.UNSUPPORTED,
            "averaged or earlier overnight fixings",
        ),
        (
            {"legs": (a_fixed_leg(payer=True, schedule=LATER, rates=(0.03, 0.04)), a_floating_leg(schedule=LATER))},
            FailureReason.UNSUPPORTED,
            "steps in rates",
        ),
    ],
)
def test_what_cannot_be_priced_says_why(changes: dict[str, Any], reason: FailureReason, sentence: str) -> None:
    failure = book(a_bermudan(**changes)).failures["bermudan"]
    assert failure.reason is reason
    assert sentence in failure.message


def test_dates_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="expiries, ascending"):
        a_bermudan(expiries=EXPIRIES[::-1])


def test_an_overnight_swap_is_a_swap_too() -> None:
    legs = (a_fixed_leg(payer=True, schedule=LATER), an_overnight_leg(schedule=LATER))
    assert value(a_bermudan(legs=legs, expiries=EXPIRIES[:1])) == pytest.approx(
        value(european(EXPIRIES[0], legs=legs)), abs=0.02
    )
