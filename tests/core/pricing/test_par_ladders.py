"""Par ladders against bump-and-recalibrate, each kind of quote with a small market and a trade that feels it.

Where no second difference is asked for, a ladder moves factors by the derivatives of the calibration. Here the same
columns are calibrated again, quote by quote: every factor within 1e-6 of its object's largest move for a hundredth of a
basis point (whose square is nothing), and every bucket of the trade's ladder within 1e-6 of the largest for a whole
one, on smooth curves for a tenth of one.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core import small_market
from tests.core.pricing.test_bumps import expanded, market_of, recalibrated, slopes
from tests.core.pricing.test_inflation import an_inflation_market
from xip_core.model import market_instruments as instruments
from xip_core.model.market import HazardDefinition, Security, Snapshot
from xip_core.model.market_instruments import CurveDefinition, Pillar
from xip_core.model.sensitivity import Expansion, Ladder
from xip_core.model.sensitivity_kinds import Kind
from xip_core.model.trade import (
    Bond,
    Cds,
    CpiLeg,
    FixedLeg,
    FloatingLeg,
    FxForward,
    Schedule,
    Swap,
    Trade,
    YearOnYearLeg,
    encode_trade,
)
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import decode_rows, resolve_rows
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values
from xip_core.risk.ladder import combine

AS_OF = small_market.AS_OF


def schedule(tenor: str, calendar: str = "TARGET", start: dt.date = AS_OF, years: int = 7) -> Schedule:
    return Schedule(start=start, end=start + dt.timedelta(years * 365), tenor=tenor, calendar=calendar)


def a_floating_leg(index: str, tenor: str, **changes: Any) -> FloatingLeg:
    fields: dict[str, Any] = {
        "payer": False, "currency": index[:3], "notionals": (1e6,), "day_count": "A360", "schedule": schedule(tenor),
        "index": index,
    }  # fmt: skip
    return FloatingLeg(**fields | changes)


def a_fixed_leg(currency: str = "EUR", **changes: Any) -> FixedLeg:
    fields: dict[str, Any] = {
        "payer": True, "currency": currency, "notionals": (1e6,), "day_count": "A360", "schedule": schedule("1Y"),
        "rates": (0.01,),
    }  # fmt: skip
    return FixedLeg(**fields | changes)


# ---- markets and trades ---------------------------------------------------------------------------------------------


def two_swap_basis() -> tuple[Snapshot, Trade]:
    """A three-month curve from differences of par swap rates to six months; a swap on the three-month index."""
    quarterly = msgspec.structs.replace(small_market.INDICES[1], name="EUR-EURIBOR-3M", tenor="3M", curve="EUR3M")
    basis = instruments.TwoSwapBasis(
        pillars=small_market.pillars("EUR.2SB", "1Y", "5Y", "10Y"),
        long_index="EUR-EURIBOR-6M",
        short_index="EUR-EURIBOR-3M",
        fixed_frequency_months=12,
        fixed_calendar="TARGET",
        fixed_convention="modified_following",
        fixed_day_count="30/360",
    )
    curve = CurveDefinition(name="EUR3M", currency="EUR", segments=(basis,), discount_curve="EUR1D")
    snapshot = small_market.a_snapshot(
        {"EUR.2SB.1Y": 0.0008, "EUR.2SB.5Y": 0.0010, "EUR.2SB.10Y": 0.0013},
        curves=(*small_market.curves(), curve),
        indices=(*small_market.INDICES, quarterly),
        fixings={"EUR-EURIBOR-3M": {AS_OF - dt.timedelta(back): 0.0003 for back in range(5)}},
    )
    return snapshot, Swap(id="T", legs=(a_floating_leg("EUR-EURIBOR-3M", "3M"), a_fixed_leg()))


def fx_points() -> tuple[Snapshot, Trade]:
    """Dollars under euro collateral, from forward points and cross-currency swaps; a forward of nine months."""
    day = AS_OF + dt.timedelta(270)
    forward = FxForward(
        id="T", bought_currency="EUR", bought_amount=1e6, sold_currency="USD", sold_amount=1.14e6, value_date=day
    )
    return small_market.a_snapshot(), forward


def cross_currency() -> tuple[Snapshot, Trade]:
    """A resetting cross-currency swap market; dollar floating against euro floating with notionals exchanged."""
    exchanged = {"initial_exchange": True, "final_exchange": True}
    later = schedule("6M", "TARGET,US", AS_OF + dt.timedelta(30))
    dollars = a_floating_leg("USD-LIBOR-6M", "6M", notionals=(1.13e6,), schedule=later, **exchanged)
    euros = a_floating_leg("EUR-EURIBOR-6M", "6M", payer=True, schedule=later, **exchanged)
    return small_market.a_snapshot(), Swap(id="T", legs=(dollars, euros))


def given_rates(interpolation: str = "log_linear_discount") -> tuple[Snapshot, Trade]:
    """A curve of given zero rates and one of spreads over it; a bond on the spreads, of an issuer with given hazard."""
    zeros = instruments.ZeroRates(pillars=(Pillar("1Y", "Z.1Y"), Pillar("5Y", "Z.5Y"), Pillar("10Y", "Z.10Y")))
    spreads = instruments.ZeroSpreads(pillars=(Pillar("2Y", "S.2Y"), Pillar("8Y", "S.8Y")), reference_curve="GIVEN")
    given = (
        CurveDefinition(name="GIVEN", currency="EUR", segments=(zeros,), interpolation=interpolation),  # type: ignore[arg-type] # one of the literals
        CurveDefinition(name="SPREAD", currency="EUR", segments=(spreads,)),
    )
    hazard = HazardDefinition(
        name="H", currency="EUR", recovery_rate=0.4, hazard_rates=(Pillar("2Y", "H.2Y"), Pillar("9Y", "H.9Y"))
    )
    quotes: dict[str, float | str | None] = {
        "Z.1Y": 0.01, "Z.5Y": 0.02, "Z.10Y": 0.025, "S.2Y": 0.002, "S.8Y": 0.004, "H.2Y": 0.01, "H.9Y": 0.02,
    }  # fmt: skip
    bond = Bond(
        id="T", leg=a_fixed_leg(payer=False), issue_date=AS_OF, settlement_days=2, calendar="TARGET",
        reference_curve="SPREAD", credit_curve="H",
    )  # fmt: skip
    old = small_market.a_snapshot()
    return (
        small_market.a_snapshot(quotes, curves=(*small_market.curves(), *given), hazards=(*old.hazards, hazard)),
        bond,
    )


def given_rates_of_a_smooth_curve() -> tuple[Snapshot, Trade]:
    """Zero rates that are interpolated by the monotone convex method: factors at more days than there are quotes."""
    return given_rates("monotone_convex")


def security_spread() -> tuple[Snapshot, Trade]:
    """A bond of an issuer with given hazard, discounted by a spread of its own."""
    snapshot, bond = given_rates()
    securities = (Security(name="SEC", recovery_rate=0.3, spread_quote="SEC.SPREAD"),)
    quotes = {**snapshot.quotes, "SEC.SPREAD": 0.004}
    return msgspec.structs.replace(snapshot, quotes=quotes, securities=securities), msgspec.structs.replace(
        bond, security="SEC"
    )


def year_on_year(**changes: Any) -> tuple[Snapshot, Trade]:
    """Year-on-year swaps; a leg of yearly growth."""
    snapshot = an_inflation_market()
    yearly = msgspec.structs.replace(snapshot.year_on_years[0], **changes)
    leg = YearOnYearLeg(
        payer=False, currency="EUR", notionals=(1e6,), day_count="30/360", index="YOY", observation_lag="2M",
        schedule=schedule("1Y", start=snapshot.as_of, years=6),
    )  # fmt: skip
    return msgspec.structs.replace(snapshot, year_on_years=(yearly,)), Swap(id="T", legs=(leg,))


def given_growths() -> tuple[Snapshot, Trade]:
    """Growths that are given, as of a market reduced to a simulation's tenors."""
    return year_on_year(are_growths=True)


def zero_coupon_inflation() -> tuple[Snapshot, Trade]:
    """Zero-coupon swaps under seasons; a leg that pays the growth of the index."""
    seasons = {f"season {month}": 1.0 + 0.01 * math.sin(month) for month in range(12)}
    snapshot = an_inflation_market(dict(seasons), seasonality=tuple(seasons))
    leg = CpiLeg(
        payer=False, currency="EUR", notionals=(1e6,), day_count="1/1", index="RPI", observation_lag="2M",
        rates=(0.01,), final_exchange=True, schedule=schedule("1Y", "NullCalendar", snapshot.as_of, 6),
    )  # fmt: skip
    return snapshot, Swap(id="T", legs=(leg,))


def credit() -> tuple[Snapshot, Trade]:
    """Running spreads under their discounting; protection over the whole curve."""
    leg = a_fixed_leg(schedule=Schedule(start=AS_OF, end=dt.date(2020, 3, 20), tenor="3M", calendar="WeekendsOnly"))
    return small_market.a_snapshot(), Cds(id="T", leg=leg, credit_curve="BANK")


CASES: tuple[tuple[Kind, str, Callable[[], tuple[Snapshot, Trade]], tuple[str, ...]], ...] = (
    ("par_rate", "EUR3M", two_swap_basis, ("1Y", "5Y", "10Y")),
    ("par_rate", "EUR6M", two_swap_basis, ("6M", "6M+6M", "5Y", "10Y")),  # the basis has no quote at 2Y
    ("fx_points", "USD-IN-EUR", fx_points, ("3M", "1Y")),
    ("par_rate", "EUR1D", fx_points, ("1Y",)),
    ("par_rate", "USD-IN-EUR", cross_currency, ("2Y", "10Y")),
    ("fx_points", "*", cross_currency, ("1Y",)),
    ("par_rate", "GIVEN", given_rates, ("1Y", "5Y", "10Y")),
    ("par_rate", "SPREAD", given_rates, ("2Y", "8Y")),
    ("par_credit", "H", given_rates, ("2Y", "9Y")),
    ("security_spread", "SEC", security_spread, ("spread",)),
    ("par_rate", "GIVEN", security_spread, ("1Y", "5Y", "10Y")),
    ("par_rate", "GIVEN", given_rates_of_a_smooth_curve, ("1Y", "5Y", "10Y")),
    ("inflation", "YOY", year_on_year, ("1Y", "3Y", "7Y")),
    ("par_rate", "EUR1D", year_on_year, ("30Y",)),
    ("inflation", "YOY", given_growths, ("1Y", "3Y", "7Y")),
    ("inflation", "RPI", zero_coupon_inflation, ("1Y", "2Y", "5Y", "10Y")),
    ("par_credit", "BANK", credit, ("1Y", "5Y")),
    ("par_rate", "EUR1D", credit, ("1Y", "5Y")),
)

SMALLER_BUMPS = {given_rates_of_a_smooth_curve: 0.1}
"""In basis points. Forwards of the monotone convex method bend: the square of 1 bp shows as 3e-6, of 0.1 bp as 3e-8."""

each_case = pytest.mark.parametrize(
    ("kind", "name", "make", "felt"), CASES, ids=[f"{make.__name__}-{kind}-{name}" for kind, name, make, _ in CASES]
)


def ladder_of(trade: Trade, snapshot: Snapshot, expansion: Expansion, layout: SnapshotLayout) -> np.ndarray:
    """The trade's number in each bucket."""
    columns = resolve_rows(decode_rows([encode_trade(trade)]), MarketView(layout))
    assert columns["row_status"].tolist() == [0], bytes(columns["failures"])
    values = row_values(columns, market_of(snapshot, expansion, layout))
    found: np.ndarray = combine(expansion, values - values[:, :1])[0]
    return found


@each_case
def test_every_factor_moves_as_calibrating_again_would_move_it(
    kind: Kind, name: str, make: Callable[[], tuple[Snapshot, Trade]], felt: tuple[str, ...]
) -> None:
    snapshot, _ = make()
    layout = SnapshotLayout(snapshot)
    expansion = expanded(snapshot, Ladder(kind=kind, name=name, bump=0.01))
    assert {bump.bucket for bump in expansion.bumps} >= set(felt)
    found, expected = (slopes(market_of(snapshot, item, layout)) for item in (expansion, recalibrated(expansion)))
    assert (np.abs(expected).max(axis=0) > 1e-9).all()
    for begin, end in layout.ranges.values():
        scale = np.abs(expected[begin:end]).max()
        np.testing.assert_allclose(found[begin:end], expected[begin:end], rtol=0.0, atol=1e-6 * scale + 1e-14)


@each_case
def test_every_bucket_of_a_trade_is_that_of_calibrating_again(
    kind: Kind, name: str, make: Callable[[], tuple[Snapshot, Trade]], felt: tuple[str, ...]
) -> None:
    snapshot, trade = make()
    layout = SnapshotLayout(snapshot)
    expansion = expanded(snapshot, Ladder(kind=kind, name=name, bump=SMALLER_BUMPS.get(make, 1.0)))
    found, expected = (ladder_of(trade, snapshot, item, layout) for item in (expansion, recalibrated(expansion)))
    scale = np.abs(expected).max()
    moved = {bump.bucket for bump, number in zip(expansion.bumps, expected, strict=True) if abs(number) > 1e-4 * scale}
    assert moved >= set(felt)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-6 * scale)
