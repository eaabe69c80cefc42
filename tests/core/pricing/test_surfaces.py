"""xip_core.pricing.surfaces"""

from __future__ import annotations

import datetime as dt

import pytest

from tests.core.small_market import AS_OF, INDICES, a_snapshot
from xip_core.model.dates import date_of, day_number
from xip_core.model.market import CapVolatility, EquityVolatility, SwaptionVolatility
from xip_core.model.market_instruments import Pillar
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.surfaces import (
    VolatilityGrid,
    VolatilityTerm,
    bracket,
    caplet_days,
    flat_weights,
    last_fixing_day,
)

EURIBOR_6M = INDICES[1]
AS_OF_DAY = day_number(AS_OF)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, (0, 0, 0.0)), (1.0, (0, 0, 0.0)), (1.5, (0, 1, 0.5)), (2.0, (0, 1, 1.0)), (9.0, (2, 2, 0.0))],
)
def test_bracket_is_linear_inside_and_flat_outside(value, expected):
    """Knots 1, 2, 4."""
    assert bracket((1.0, 2.0, 4.0), value) == expected


def test_flat_weights_without_knots_are_nothing():
    """An equity without dividends has no yield."""
    assert flat_weights((), 3, 100) == ()


TERM = VolatilityTerm(begin=10, knot_days=(200, 300))


@pytest.mark.parametrize(
    ("day", "refs"),
    [
        (150, ((10, 0.5),)),
        (200, ((10, 1.0),)),
        (275, ((10, 0.25), (11, 0.75))),
        (300, ((11, 1.0),)),
        (500, ((11, 2.0),)),
    ],
)
def test_total_variance_is_linear_in_time_and_volatility_flat_outside(day, refs):
    """As of day 100: at half the first expiry half the variance, at twice the last twice as much."""
    found = TERM.at(100, day)
    assert found.refs == refs
    assert (found.is_total_variance, found.is_normal, found.time_years) == (True, False, (day - 100) / 365)


def test_expiry_in_the_past_has_no_variance():
    """Not a negative one."""
    assert TERM.at(100, 90).refs == ((10, 0.0),)


GRID = VolatilityGrid(begin=20, row_days=(200, 300), columns=(1.0, 5.0, 10.0), is_normal=True, is_total_variance=False)


@pytest.mark.parametrize(
    ("day", "column", "refs"),
    [
        (200, 1.0, {20: 1.0}),
        (250, 3.0, {20: 0.25, 21: 0.25, 23: 0.25, 24: 0.25}),
        (150, 20.0, {22: 1.0}),
        (400, 7.5, {24: 0.5, 25: 0.5}),
    ],
)
def test_grid_is_bilinear_inside_and_flat_outside(day, column, refs):
    """Row-major from factor 20."""
    found = GRID.at(100, day, column)
    assert dict(found.refs) == refs
    assert (found.is_total_variance, found.is_normal) == (False, True)


def test_grid_of_total_variance_keeps_volatility_flat_outside():
    """Commodity surfaces: variance grows with time past the last expiry."""
    grid = VolatilityGrid(begin=0, row_days=(200,), columns=(30.0, 40.0), is_normal=False, is_total_variance=True)
    assert grid.at(100, 300, 35.0).refs == ((0, 1.0), (1, 1.0))
    assert grid.at(100, 150, 50.0).refs == ((1, 0.5),)


def test_caplets_of_a_cap_leave_out_the_first():
    """A 2-year cap on six months has three caplets with unknown rates."""
    fixings, starts, ends = caplet_days(EURIBOR_6M, AS_OF_DAY, "2Y")
    assert [date_of(day).isoformat() for day in fixings] == ["2016-08-05", "2017-02-07", "2017-08-07"]
    assert [date_of(day).isoformat() for day in starts] == ["2016-08-09", "2017-02-09", "2017-08-09"]
    assert [date_of(day).isoformat() for day in ends] == ["2017-02-09", "2017-08-09", "2018-02-09"]
    assert last_fixing_day(EURIBOR_6M, AS_OF_DAY, "2Y") == fixings[-1]


@pytest.mark.parametrize(
    ("fields", "name", "message"),
    [
        (
            {"equity_volatilities": (EquityVolatility(name="ACME", pillars=()),)},
            "equity_volatility/ACME",
            "must have an expiry, got none",
        ),
        (
            {"equity_volatilities": (EquityVolatility(name="ACME", pillars=(Pillar("2016-02-05", "ACME.VOL"),)),)},
            "equity_volatility/ACME",
            "expiries must ascend from the as-of date",
        ),
        (
            {
                "swaption_volatilities": (
                    SwaptionVolatility(
                        currency="EUR", is_normal=True, expiries=("1Y",), swap_tenors=("5Y", "5Y"), quotes=("A", "B")
                    ),
                )
            },
            "swaption_volatility/EUR",
            "strikes or tenors must ascend",
        ),
        (
            {
                "cap_volatilities": (
                    CapVolatility(
                        index="EUR-EURIBOR-6M", discount_curve="EUR1D", tenors=("6M",), strikes=(0.0,), quotes=("A",)
                    ),
                )
            },
            "cap_volatility/EUR-EURIBOR-6M",
            "a cap on EUR-EURIBOR-6M must be longer than 6M, got 6M",
        ),
    ],
)
def test_surface_that_cannot_be_laid_out_is_broken(fields, name, message):
    """With its reason; the other objects keep their factors."""
    layout = SnapshotLayout(a_snapshot(**fields))
    assert list(layout.broken) == [name]
    assert message in layout.broken[name]


def test_swaption_expiry_is_rolled():
    """1Y from 2016-02-05 is a Sunday."""
    layout = SnapshotLayout(a_snapshot())
    row = layout.grids["swaption_volatility/EUR"].row_days[0]
    assert date_of(row) == dt.date(2017, 2, 6)
