"""xip_core.model.market_objects"""

from __future__ import annotations

import pytest

from tests.core.small_market import AS_OF, a_snapshot
from xip_core.errors import RequestError
from xip_core.model.market_instruments import CurveDefinition, Pillar, ZeroSpreads
from xip_core.model.market_objects import build_order, market_objects, maturity_years


def test_objects_are_named_by_kind_and_name():
    """One object per definition; FX spots by the currency that is not the base."""
    assert list(market_objects(a_snapshot())) == [
        "curve/EUR1D",
        "curve/EUR6M",
        "curve/USD1D",
        "curve/USD3M",
        "curve/USD6M",
        "curve/USD-IN-EUR",
        "curve/LENDING",
        "fx/USD",
        "equity/ACME",
        "equity/INDX",
        "commodity/OIL",
        "hazard/BANK",
        "fx_volatility/EURUSD",
        "equity_volatility/ACME",
        "commodity_volatility/OIL",
        "swaption_volatility/EUR",
        "cap_volatility/EUR-EURIBOR-6M",
    ]


def test_parents_are_the_curves_an_object_is_built_on():
    """Discounting, forecasts, the other currency's curve."""
    objects = market_objects(a_snapshot())
    assert objects["curve/EUR1D"].parents == ()
    assert objects["curve/EUR6M"].parents == ("curve/EUR1D",)
    assert objects["curve/USD6M"].parents == ("curve/USD1D", "curve/USD3M")
    assert objects["curve/USD-IN-EUR"].parents == ("curve/EUR1D", "curve/EUR6M", "curve/USD6M")
    assert objects["cap_volatility/EUR-EURIBOR-6M"].parents == ("curve/EUR1D", "curve/EUR6M")


def test_maturity_of_an_fra_includes_its_length():
    """6M into an index of 6M ends in a year."""
    uses = {use.quote: use for use in market_objects(a_snapshot())["curve/EUR6M"].quotes}
    assert uses["EUR.FRA.6M"].maturity_years == pytest.approx(1.0)
    assert uses["EUR.DEPO.6M"].maturity_years == pytest.approx(0.5)


def test_roles_tell_rates_from_spreads_points_and_spots():
    """A parallel shift of a currency's rates must leave basis and points alone."""
    uses = {use.quote: use.role for item in market_objects(a_snapshot()).values() for use in item.quotes}
    assert [uses[name] for name in ("EUR.SWAP.2Y", "USD.BASIS.2Y", "EURUSD.3M", "OIL", "OIL.1Y", "INDX.YIELD")] == [
        "rate",
        "spread",
        "points",
        "spot",
        "price",
        "yield",
    ]


@pytest.mark.parametrize(
    ("tenor", "years"), [("1Y3M", 1.25), ("2W", 14 / 365), ("18M", 1.5), ("2017-02-05", 366 / 365)]
)
def test_maturity_years_of_tenors_and_dates(tenor, years):
    """2016 has a leap day."""
    assert maturity_years(tenor, AS_OF) == pytest.approx(years)


@pytest.mark.parametrize("tenor", ["", "1X", "Y1", "1Y-", "2016-13-01"])
def test_text_that_is_no_tenor_is_refused(tenor):
    """The message shows what was got."""
    with pytest.raises(RequestError, match="a tenor must look like") as caught:
        maturity_years(tenor, AS_OF)
    assert caught.value.reason == "BAD_TENOR"


def _spread_curve(name: str, reference: str) -> CurveDefinition:
    segment = ZeroSpreads(pillars=(Pillar("5Y", f"{name}.5Y"),), reference_curve=reference)
    return CurveDefinition(name=name, currency="EUR", segments=(segment,))


def test_build_order_puts_parents_first():
    """Whatever the order of the definitions."""
    curves = a_snapshot().curves
    order = build_order(market_objects(a_snapshot(curves=tuple(reversed(curves)))))
    assert order.index("curve/EUR1D") < order.index("curve/EUR6M") < order.index("curve/USD-IN-EUR")
    assert set(order) == set(market_objects(a_snapshot()))


def test_curves_that_need_each_other_are_refused():
    """The message shows the circle."""
    circle = (_spread_curve("A", "B"), _spread_curve("B", "A"))
    with pytest.raises(RequestError, match="curve/A -> curve/B -> curve/A"):
        build_order(market_objects(a_snapshot(curves=(*a_snapshot().curves, *circle))))


def test_curve_on_an_undefined_curve_is_refused():
    """The message names both."""
    lost = (_spread_curve("A", "NOWHERE"),)
    with pytest.raises(RequestError, match="curve/A needs curve/NOWHERE, which is not defined"):
        build_order(market_objects(a_snapshot(curves=(*a_snapshot().curves, *lost))))
