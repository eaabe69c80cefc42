"""xip_core.pricing.equity_dividends: escrowed forwards, options on them, scenarios, DV01, refusals."""

from __future__ import annotations

import datetime as dt
import math

import msgspec
import numpy as np
import pytest

from tests.core.pricing.flat_market import AS_OF, a_snapshot
from tests.core.pricing.test_quote_sensitivities import bumped
from xip_core import evaluate
from xip_core.errors import RequestError
from xip_core.model.market import Snapshot, decode_snapshot, encode_snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import EquityForward, EquityOption
from xip_core.pricing import calculate
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.quote_sensitivities import quote_jacobian

EX_DATES = (dt.date(2024, 5, 15), dt.date(2025, 1, 15), dt.date(2025, 5, 15))
AMOUNTS = (1.5, 0.8, 2.0)
RATE, YIELD, SPOT = 0.02, 0.01, 50.0
"""Of the flat market: ACME is financed at EUR 2 %, with a yield of 1 %."""


def dividend_market(amounts: tuple[float, ...] = AMOUNTS) -> Snapshot:
    snapshot = a_snapshot()
    (acme,) = (equity for equity in snapshot.equities if equity.name == "ACME")
    pillars = tuple(Pillar(date.isoformat(), f"ACME.DIV.{place}") for place, date in enumerate(EX_DATES))
    quotes = {f"ACME.DIV.{place}": amount for place, amount in enumerate(amounts)}
    return msgspec.structs.replace(
        snapshot,
        quotes={**snapshot.quotes, **quotes},
        equities=(msgspec.structs.replace(acme, cash_dividends=pillars),),
    )


def years(date: dt.date) -> float:
    return (date - AS_OF).days / 365.0


def forward(date: dt.date, rate: float = RATE, spot: float = SPOT, amounts: tuple[float, ...] = AMOUNTS) -> float:
    """By hand."""
    paid = sum(a * math.exp(-rate * years(ex)) for a, ex in zip(amounts, EX_DATES, strict=True) if ex <= date)
    return (spot - paid) * math.exp((rate - YIELD) * years(date))


def a_forward(maturity: dt.date) -> EquityForward:
    return EquityForward(
        id="f", name="ACME", currency="EUR", maturity=maturity, strike=0.0001, quantity=1.0, position="long"
    )


def an_option(expiry: dt.date) -> EquityOption:
    return EquityOption(
        id="o", name="ACME", currency="EUR", expiry=expiry, option_type="call", position="long", strike=48.0,
        quantity=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "maturity",
    [EX_DATES[0] - dt.timedelta(days=1), *EX_DATES, EX_DATES[1] + dt.timedelta(days=30), dt.date(2028, 1, 17)],
)
def test_forward_is_the_spot_less_the_dividends_that_went_ex_by_then(maturity: dt.date) -> None:
    pv = calculate([a_forward(maturity)], dividend_market()).pv[0, 0]
    expected = math.exp(-RATE * years(maturity)) * (forward(maturity) - 0.0001)
    assert pv == pytest.approx(expected, rel=1e-13)


def test_option_is_black_on_the_escrowed_forward() -> None:
    expiry = dt.date(2025, 3, 17)
    found = calculate([an_option(expiry)], dividend_market())
    expected = evaluate(
        "black.european", forward=forward(expiry), strike=48.0, time=years(expiry), volatility=0.2,
        discount=math.exp(-RATE * years(expiry)), is_call=1,
    )["pv"]  # fmt: skip
    assert found.pv[0, 0] == pytest.approx(expected, rel=1e-12)


def test_dividends_of_nothing_change_nothing() -> None:
    trades = [a_forward(dt.date(2028, 1, 17)), msgspec.structs.replace(an_option(dt.date(2028, 1, 17)), id="p")]
    none = calculate(trades, dividend_market((0.0, 0.0, 0.0))).pv
    assert none == pytest.approx(calculate(trades, a_snapshot()).pv, rel=1e-14)


def test_shifts_of_spot_rates_and_dividends_reach_the_forward() -> None:
    maturity = dt.date(2025, 3, 17)
    shifts = (
        Shift(target="dividend", name="ACME", shift_relative=0.5),
        Shift(target="dividend", name="ACME", after="6M", shift_absolute=1.0),
        Shift(target="equity", name="ACME", shift_relative=-0.1),
        Shift(target="curve", name="EUR1D", shift_bps=100.0),
    )
    scenarios = ScenarioSet(
        scenarios=(
            Scenario(name="base"),
            *(Scenario(name=f"s{place}", shifts=(shift,)) for place, shift in enumerate(shifts)),
        )
    )
    pv = calculate([a_forward(maturity)], dividend_market(), scenarios).pv[0]
    t = years(maturity)
    expected = [
        forward(maturity) * math.exp(-RATE * t),
        forward(maturity, amounts=(2.25, 1.2, 3.0)) * math.exp(-RATE * t),
        forward(maturity, amounts=(1.5, 1.8, 3.0)) * math.exp(-RATE * t),
        forward(maturity, spot=45.0) * math.exp(-RATE * t),
        forward(maturity, rate=0.03) * math.exp(-0.03 * t),
    ]
    assert pv == pytest.approx(expected, abs=1.1e-4)  # the strike of 0.0001


def test_dv01_moves_the_value_of_the_dividends_too() -> None:
    maturity = dt.date(2025, 6, 16)
    found = calculate([a_forward(maturity)], dividend_market())

    def pv(rate: float) -> float:
        return math.exp(-rate * years(maturity)) * (forward(maturity, rate) - 0.0001)

    assert found.measures["dv01"][0] == pytest.approx(pv(RATE + 1e-4) - pv(RATE), rel=1e-3)


def test_dividends_above_the_spot_are_refused() -> None:
    found = calculate([a_forward(dt.date(2025, 6, 16))], dividend_market((1.5, 60.0, 2.0)))
    assert np.isnan(found.pv).all()
    (failure,) = found.failures.values()
    assert "dividends up to 2025-01-15 must be worth less than the spot, -10.3" in failure.message


def test_forward_prices_exclude_cash_dividends() -> None:
    snapshot = dividend_market()
    acme = msgspec.structs.replace(snapshot.equities[0], dividend_yields=(), forwards=(Pillar("1Y", "ACME"),))
    with pytest.raises(RequestError, match="ACME must not have both forward prices and cash dividends"):
        msgspec.structs.replace(snapshot, equities=(acme,)).__post_init__()


def test_snapshot_with_dividends_is_read_back_and_one_without_keeps_its_bytes() -> None:
    snapshot = dividend_market()
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    assert b"cash_dividends" not in encode_snapshot(a_snapshot())


def test_quote_sensitivities_are_those_of_bumps() -> None:
    snapshot = dividend_market()
    layout = SnapshotLayout(snapshot)
    found = quote_jacobian(snapshot, layout)
    quotes = ["ACME", "ACME.DIV.0", "ACME.DIV.1", "EUR1D"]
    own = slice(*layout.ranges["equity/ACME"])
    computed = found.dense()[own][:, [found.quotes.index(quote) for quote in quotes]]
    assert computed == pytest.approx(bumped(snapshot, quotes, layout)[own], abs=1e-7)
