"""xip_core.pricing.market_layout"""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from tests.core.small_market import AS_OF, a_snapshot, curves
from xip_core.errors import CellError, FailureReason
from xip_core.model import market_instruments as instruments
from xip_core.model.dates import date_of
from xip_core.model.market_instruments import CurveDefinition, Pillar
from xip_core.pricing.layout import MarketLayout
from xip_core.pricing.layout_slots import combine_refs, forward_weights
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.surfaces import log_linear_weights


def a_layout(**fields: object) -> SnapshotLayout:
    return SnapshotLayout(a_snapshot(**fields))


def test_layout_keeps_the_protocol():
    """What resolve and evaluate are written against."""
    layout: MarketLayout = a_layout()
    assert (layout.as_of, layout.base_currency) == (AS_OF, "EUR")
    assert layout.time_years(dt.date(2017, 2, 5)) == 366 / 365


def test_factors_follow_each_other_without_gaps():
    """Every factor belongs to one object."""
    layout = a_layout()
    ranges = list(layout.ranges.values())
    assert [begin for begin, _ in ranges] == [0, *(end for _, end in ranges[:-1])]
    assert ranges[-1][1] == layout.factor_count
    assert set(layout.ranges) == set(layout.objects)


def test_layout_does_not_depend_on_quotes():
    """Resolve and calibrate build it independently, a scenario apart."""
    changed = a_snapshot({"EURUSD": 2.0, "EUR.SWAP.2Y": "nan", "OIL": None})
    assert SnapshotLayout(changed).ranges == a_layout().ranges


@pytest.mark.parametrize(
    ("day", "refs"),
    [
        (100, ()),
        (90, ()),
        (110, ((5, 1.0),)),
        (105, ((5, 0.5),)),
        (115, ((5, 0.75), (6, 0.25))),
        (130, ((6, 1.0),)),
        (140, ((6, 0.5), (7, 0.5))),
        (150, ((7, 1.0),)),
        (160, ((6, -0.5), (7, 1.5))),
    ],
)
def test_forward_rates_are_constant_between_knots_and_continue(day, refs):
    """As of day 100, knots at 110, 130, 150: linear in the log discount factor, from 0 and beyond the last."""
    assert forward_weights((110, 130, 150), 5, 100, day) == refs


def test_one_knot_is_a_flat_curve():
    """Before and after the knot."""
    assert forward_weights((110,), 5, 100, 120) == ((5, 2.0),)


def test_combined_refs_are_sorted_and_cancel():
    """What cancels is not a dependency."""
    assert combine_refs((1.0, ((3, 2.0), (7, 1.0))), (-1.0, ((3, 2.0),)), (2.0, ((1, 1.0),))) == ((1, 2.0), (7, 1.0))


def test_log_discount_is_the_knot_at_a_pillar():
    """EUR1D's 1Y swap is paid on 2017-02-10."""
    layout = a_layout()
    begin = layout.curves["EUR1D"].begin
    assert layout.log_discount("EUR1D", dt.date(2017, 2, 10)) == ((begin + 1, 1.0),)
    assert layout.log_discount("EUR1D", AS_OF) == ()


def test_spread_curve_is_its_reference_less_time_times_spread():
    """Both objects are dependencies."""
    layout = a_layout()
    date = dt.date(2018, 2, 5)
    refs = dict(layout.log_discount("LENDING", date))
    spread_factor = layout.curves["LENDING"].begin
    assert refs.pop(spread_factor) == pytest.approx(-731 / 365)
    assert tuple(sorted(refs.items())) == layout.log_discount("EUR1D", date)
    assert layout.objects_of(layout.log_discount("LENDING", date)) == ("curve/EUR1D", "curve/LENDING")


def test_log_linear_dividends_go_on_beyond_the_last_pillar():
    """Halfway between pillars the mean of rate times years; a year behind the last as much more as between the two."""
    knots = (365, 1095)
    weights = {day: dict(log_linear_weights(knots, 0, 7, day)) for day in (0, 73, 365, 730, 1095, 1460)}
    assert weights[0] == {}
    assert weights[73] == {7: 0.2}
    assert weights[365] == {7: 1.0}
    assert weights[730] == {7: 0.5, 8: 1.5}
    assert weights[1095] == {8: 3.0}
    assert weights[1460] == {7: -0.5, 8: 4.5}


def test_equity_forward_is_spot_curve_and_yield():
    """log F = log S - log DF - t q, q flat after its last pillar."""
    layout = a_layout()
    date = dt.date(2017, 2, 10)
    begin = layout.equities["INDX"].begin
    refs = dict(layout.log_equity_forward("INDX", date))
    assert refs.pop(begin) == 1.0
    assert refs.pop(begin + 1) == pytest.approx(-371 / 365)
    assert refs == {factor: -weight for factor, weight in layout.log_discount("USD1D", date)}


def test_equity_pillars_stand_on_business_days_of_their_calendar():
    """A year from 5 February 2016 is a Sunday."""
    snapshot = a_snapshot()
    rolled = msgspec.structs.replace(snapshot.equities[1], calendar="WeekendsOnly")
    layout = a_layout(equities=(rolled,))
    assert [date_of(day) for day in a_layout().equities["INDX"].knot_days] == [dt.date(2017, 2, 5)]
    assert [date_of(day) for day in layout.equities["INDX"].knot_days] == [dt.date(2017, 2, 6)]
    unknown = msgspec.structs.replace(rolled, calendar="the moon's")
    assert "the moon's" in a_layout(equities=(unknown,)).broken["equity/INDX"]


def test_commodity_forward_is_linear_in_price_and_flat_after():
    """The spot stands at the as-of date."""
    layout = a_layout()
    begin = layout.commodities["OIL"].begin
    half = dict(layout.commodity_forward("OIL", dt.date(2016, 8, 6)))
    assert half == pytest.approx({begin: 0.5, begin + 1: 0.5})
    assert layout.commodity_forward("OIL", dt.date(2030, 1, 1)) == ((begin + 1, 1.0),)


def test_fx_is_a_factor_or_nothing():
    """The base currency is worth one of itself."""
    layout = a_layout()
    assert layout.log_fx("EUR") == ()
    assert layout.log_fx("USD") == ((layout.spots["USD"], 1.0),)


def test_volatility_of_a_pair_is_that_of_its_inverse():
    """USD per EUR and EUR per USD move together."""
    layout = a_layout()
    expiry = dt.date(2017, 6, 1)
    assert layout.fx_volatility("USD", "EUR", expiry) == layout.fx_volatility("EUR", "USD", expiry)


def test_names_lead_to_curves():
    """Discounting under the collateral, forecasting of an index."""
    layout = a_layout()
    assert layout.discount_curve("USD") == "USD-IN-EUR"
    assert layout.index_curve("EUR-EURIBOR-6M") == "EUR6M"
    assert layout.recovery_rate("BANK") == 0.4


def test_fixing_is_published_or_none():
    """A missing fixing is for the trade that needs it to report."""
    layout = a_layout()
    assert layout.fixing("EUR-EURIBOR-6M", AS_OF) == 0.0005
    assert layout.fixing("EUR-EURIBOR-6M", dt.date(2016, 2, 4)) is None
    assert layout.fixing("EUR-EURIBOR-3M", AS_OF) is None


DATE = dt.date(2017, 2, 10)


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (lambda layout: layout.discount_curve("GBP"), "no discount curve for GBP in the snapshot"),
        (lambda layout: layout.index_curve("X"), "no rate index X in the snapshot"),
        (lambda layout: layout.log_discount("X", DATE), "no curve X in the snapshot"),
        (lambda layout: layout.log_survival("X", DATE), "no hazard X in the snapshot"),
        (lambda layout: layout.recovery_rate("X"), "no hazard X in the snapshot"),
        (lambda layout: layout.log_fx("GBP"), "no fx GBP in the snapshot"),
        (lambda layout: layout.log_equity_spot("X"), "no equity X in the snapshot"),
        (lambda layout: layout.log_equity_forward("X", DATE), "no equity X in the snapshot"),
        (lambda layout: layout.commodity_forward("X", DATE), "no commodity X in the snapshot"),
        (lambda layout: layout.fx_volatility("GBP", "JPY", DATE), "no fx volatility GBPJPY in the snapshot"),
        (lambda layout: layout.equity_volatility("X", DATE, 1.0), "no equity volatility X in the snapshot"),
        (lambda layout: layout.commodity_volatility("X", DATE, 1.0), "no commodity volatility X in the snapshot"),
        (lambda layout: layout.swaption_volatility("GBP", DATE, 5.0), "no swaption volatility GBP in the snapshot"),
        (lambda layout: layout.caplet_volatility("X", DATE, 0.01), "no cap volatility X in the snapshot"),
    ],
)
def test_what_is_not_there_is_a_cell_error_that_names_it(ask, missing):
    """The trade that asks is quarantined, its neighbours are computed."""
    with pytest.raises(CellError, match=missing) as caught:
        ask(a_layout())
    assert caught.value.failure.reason == FailureReason.MISSING_DATA


def test_curve_that_cannot_be_laid_out_is_broken_and_the_rest_stands():
    """Two instruments with one pillar: the curve has no factors, its children neither."""
    twice = instruments.ZeroRates(pillars=(Pillar("12M", "A"), Pillar("1Y", "B")))
    child = instruments.ZeroSpreads(pillars=(Pillar("5Y", "C"),), reference_curve="TWICE")
    layout = a_layout(
        curves=(
            *curves(),
            CurveDefinition(name="TWICE", currency="EUR", segments=(twice,)),
            CurveDefinition(name="CHILD", currency="EUR", segments=(child,)),
        )
    )
    assert set(layout.broken) == {"curve/TWICE", "curve/CHILD"}
    with pytest.raises(CellError, match="curve/TWICE is broken: B: pillar must be later than that of A") as caught:
        layout.log_discount("TWICE", DATE)
    assert caught.value.failure.reason == FailureReason.CALIBRATION_FAILED
    with pytest.raises(CellError, match="curve/CHILD is broken: needs curve/TWICE, which is broken"):
        layout.log_discount("CHILD", DATE)
    assert layout.log_discount("EUR1D", DATE) == a_layout().log_discount("EUR1D", DATE)
