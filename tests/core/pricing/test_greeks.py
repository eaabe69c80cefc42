"""Gamma and theta as measures: against formulas, differences and each other; what has none; who computes them."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from tests.core.graph.builders import a_plan
from tests.core.pricing.flat_market import AS_OF, a_fixed_leg, a_floating_leg, a_snapshot, a_swap, book, value, years
from tests.core.pricing.oil_trades import an_average_option
from tests.core.pricing.test_bermudan import EXERCISES, a_market, a_right
from tests.core.pricing.test_bumps import expanded, market_of
from xip_core.graph.plan import NodeKind
from xip_core.model.market import Snapshot
from xip_core.model.run_spec import MEASURE_UNITS, MEASURES
from xip_core.model.sensitivity import Ladder
from xip_core.model.sensitivity_kinds import Kind
from xip_core.model.trade import (
    CapFloor,
    CommodityOption,
    EquityForward,
    EquityOption,
    FxForward,
    FxOption,
    Swaption,
    Trade,
    encode_trade,
)
from xip_core.pricing.book import Calculation, calculate
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.reference import black
from xip_core.pricing.resolve import decode_rows, resolve_rows
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_gamma, row_values
from xip_core.risk.ladder import combine

IN_A_YEAR = AS_OF + dt.timedelta(366)
DAY_YEARS = 1.0 / 365.0

FX = FxOption(
    id="T", bought_currency="USD", bought_amount=1e6, sold_currency="EUR", sold_amount=8.2e5, option_type="call",
    expiry=IN_A_YEAR, position="long",
)  # fmt: skip
EQUITY = EquityOption(
    id="T", currency="EUR", name="ACME", strike=52.0, quantity=1e4, option_type="put", expiry=IN_A_YEAR,
    position="short",
)  # fmt: skip
OIL = CommodityOption(
    id="T", currency="USD", name="OIL", strike=85.0, quantity=1e3, option_type="call", expiry=IN_A_YEAR,
    position="long",
)  # fmt: skip
AVERAGE = an_average_option(quantity=1e5)
CAP = CapFloor(id="T", leg=a_floating_leg(), caps=(0.03,), position="long")
SWAPTION = Swaption(
    id="T", legs=(a_fixed_leg(payer=True), a_floating_leg()), expiry=dt.date(2024, 3, 18), position="long",
    settlement="physical",
)  # fmt: skip


def measured(trade: Trade, snapshot: Snapshot | None = None) -> Calculation:
    result = calculate([trade], snapshot or a_snapshot(), measures=MEASURES)
    assert not result.failures, result.failures
    return result


def second_difference(trade: Trade, kind: Kind, name: str, bump: float) -> float:
    """Of the ladder that moves the underlying, per percent squared."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    columns = resolve_rows(decode_rows([encode_trade(trade)]), MarketView(layout))
    tenors = ("parallel",) if kind == "commodity" else ()
    expansion = expanded(snapshot, Ladder(kind=kind, name=name, bump=bump, is_gamma=True, tenors=tenors))
    values = row_values(columns, market_of(snapshot, expansion, layout))
    return float(combine(expansion, values - values[:, :1])[0, 1])


# ---- gamma ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trade", "kind", "name"),
    [(FX, "fx", "USD"), (EQUITY, "equity", "ACME"), (OIL, "commodity", "OIL"), (AVERAGE, "commodity", "OIL")],
)
def test_gamma_is_the_second_difference_of_the_ladder_that_moves_the_underlying(
    trade: Trade, kind: Kind, name: str
) -> None:
    expected = second_difference(trade, kind, name, 0.05)
    assert abs(expected) > 1.0
    assert measured(trade).measures["gamma"][0] == pytest.approx(expected, rel=1e-4)


def test_gamma_is_by_how_much_delta_changes_for_a_percent() -> None:
    up, down = (value_of_delta(50.0 * (1.0 + move)) for move in (1e-4, -1e-4))
    # delta is in percent of the spot, which itself has grown: d(S V') = S V'' + V'
    here = measured(EQUITY)
    by_spot = (up - down) / 2e-4 * 0.01
    assert here.measures["gamma"][0] == pytest.approx(by_spot - 0.01 * here.measures["delta"][0], rel=1e-5)


def value_of_delta(spot: float) -> float:
    return float(measured(EQUITY, a_snapshot({"ACME": spot})).measures["delta"][0])


@pytest.mark.parametrize(
    "trade",
    [
        a_swap(),
        FxForward(
            id="T", bought_currency="USD", bought_amount=1e6, sold_currency="EUR", sold_amount=8e5,
            value_date=IN_A_YEAR,
        ),
        EquityForward(
            id="T", currency="EUR", name="ACME", strike=52.0, quantity=1e4, maturity=IN_A_YEAR, position="long"
        ),
    ],
)  # fmt: skip
def test_what_is_linear_has_neither_gamma_nor_theta(trade: Trade) -> None:
    found = measured(trade).measures
    assert (found["gamma"][0], found["theta"][0]) == (0.0, 0.0)


def test_options_on_rates_have_no_underlying_of_their_own_and_time_value() -> None:
    for trade in (CAP, SWAPTION):
        found = measured(trade).measures
        assert found["gamma"][0] == 0.0
        assert found["theta"][0] < 0.0


# ---- theta ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trade", [FX, EQUITY, OIL])
def test_theta_is_half_the_variance_times_gamma(trade: Trade) -> None:
    """Black's equation with forwards and discount factors held: theta = -sigma^2 / 2 F^2 V''."""
    found = measured(trade).measures
    expected = -0.5 * 0.2**2 * found["gamma"][0] * 1e4 * DAY_YEARS
    assert found["theta"][0] == pytest.approx(expected, rel=1e-12)


def test_theta_of_an_equity_option_is_the_formula_a_day_later() -> None:
    time = years(IN_A_YEAR)
    discount = math.exp(-0.02 * time)
    forward = 50.0 * math.exp((0.02 - 0.01) * time)

    def price(left: float) -> float:
        return -1e4 * discount * black(forward, 52.0, 0.2 * math.sqrt(left), -1.0)

    assert measured(EQUITY).pv[0, 0] == pytest.approx(price(time), rel=1e-9)
    expected = (price(time - 1e-4) - price(time + 1e-4)) / 2e-4 * DAY_YEARS
    assert measured(EQUITY).measures["theta"][0] == pytest.approx(expected, rel=1e-6)


def test_theta_of_a_cap_is_that_of_its_caplets() -> None:
    """Each by Bachelier's formula with less time: columns say what the formula is given."""
    layout = SnapshotLayout(a_snapshot())
    columns = resolve_rows(decode_rows([encode_trade(CAP)]), MarketView(layout))
    market = market_of(a_snapshot(), expanded(a_snapshot(), Ladder(kind="fx")), layout)[:, :1].copy()
    sooner = {**columns, "option_time": np.maximum(columns["option_time"] - 1e-5, 0.0)}
    change = (row_values(sooner, market) - row_values(columns, market))[0, 0] / 1e-5
    assert measured(CAP).measures["theta"][0] == pytest.approx(change * DAY_YEARS, rel=1e-3)


def test_theta_of_a_right_on_several_days_is_near_that_of_its_swaption() -> None:
    european = Swaption(id="E", legs=a_right().legs, expiry=EXERCISES[0], position="long", settlement="physical")
    market = a_market()
    expected = measured(european, market).measures["theta"][0]
    assert measured(a_right(EXERCISES[:1]), market).measures["theta"][0] == pytest.approx(expected, rel=2e-2)
    assert measured(a_right(), market).measures["theta"][0] < 0.0


def test_without_volatility_there_is_no_time_value_to_lose() -> None:
    found = measured(EQUITY, a_snapshot({"lognormal": 0.0})).measures
    assert (found["gamma"][0], found["theta"][0]) == (0.0, 0.0)


# ---- as measures ----------------------------------------------------------------------------------------------------


def test_what_is_not_asked_for_is_not_computed() -> None:
    assert set(book(EQUITY).measures) == {"pv_trade_currency", "delta", "vega", "dv01"}
    alone = calculate([EQUITY], a_snapshot(), measures=("pv", "gamma"))
    assert set(alone.measures) == {"pv_trade_currency", "gamma"}
    assert alone.pv[0, 0] == value(EQUITY)


def test_workers_that_do_not_know_them_are_not_asked() -> None:
    for measures, needed in ((("pv", "theta"), True), (("pv", "delta", "vega", "dv01"), False)):
        plan = a_plan(measures=measures)
        valuing = [node for node in plan.nodes if node.kind is NodeKind.VALUE]
        assert valuing
        assert {("greeks", "1") in node.kernels for node in valuing} == {needed}


def test_every_measure_has_a_unit() -> None:
    assert tuple(MEASURE_UNITS) == MEASURES


def test_rows_without_options_are_zero_beside_rows_with_them() -> None:
    layout = SnapshotLayout(a_snapshot())
    columns = resolve_rows(decode_rows([encode_trade(a_swap()), encode_trade(EQUITY)]), MarketView(layout))
    market = market_of(a_snapshot(), expanded(a_snapshot(), Ladder(kind="fx")), layout)[:, :1].copy()
    found = row_gamma(columns, market)
    assert found[0] == 0.0
    assert found[1] == measured(EQUITY).measures["gamma"][0]
