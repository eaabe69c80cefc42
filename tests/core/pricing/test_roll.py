"""xip_core.pricing.roll: the next business day's market; what keeps its tenor, what its date, which fixings appear."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import numpy as np
import pytest

from tests.core.pricing.test_inflation import an_inflation_market
from tests.core.small_market import AS_OF, a_snapshot
from xip_core import samples
from xip_core.errors import RequestError
from xip_core.model.market import CommodityVolatility, decode_snapshot
from xip_core.model.market_instruments import FxIndex, Pillar
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import decode_rows, json_value, resolve_rows
from xip_core.pricing.roll import rolled_snapshot
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values

MONDAY = dt.date(2016, 2, 8)


def test_a_friday_rolls_to_monday_and_quotes_stay() -> None:
    snapshot = a_snapshot()
    rolled = rolled_snapshot(snapshot)
    assert (AS_OF.weekday(), rolled.as_of) == (4, MONDAY)
    assert rolled.quotes == snapshot.quotes
    assert rolled.curves == snapshot.curves


def test_the_eve_of_a_holiday_of_the_base_currency_rolls_over_it() -> None:
    assert rolled_snapshot(a_snapshot(as_of=dt.date(2016, 3, 24))).as_of == dt.date(2016, 3, 29)  # Easter


def test_a_base_currency_without_calendar_is_refused() -> None:
    spot = msgspec.structs.replace(a_snapshot().fx_spots[0], domestic_currency="XYZ", foreign_currency="USD")
    snapshot = a_snapshot(base_currency="XYZ", fx_spots=(spot,))
    with pytest.raises(RequestError, match="theta needs a calendar of the base currency, there is none for 'XYZ'"):
        rolled_snapshot(snapshot)


def test_fixings_in_between_are_what_todays_market_forecasts_for_them() -> None:
    pair = FxIndex(name="ECB-EUR-USD", foreign_currency="EUR", domestic_currency="USD", calendar="TARGET")
    snapshot = a_snapshot(fx_indices=(pair,))
    fixings = rolled_snapshot(snapshot).fixings
    assert fixings["EUR-EURIBOR-6M"] == {AS_OF: 0.0005}  # published, and nothing on the weekend
    assert fixings["EUR-EONIA"] == {AS_OF: pytest.approx(-0.001, abs=1e-12)}  # the overnight deposit of the curve
    assert fixings["ECB-EUR-USD"][AS_OF] == pytest.approx(1.13)
    assert set(fixings["OIL"]) == {AS_OF, dt.date(2016, 2, 6), dt.date(2016, 2, 7)}


def test_a_curve_that_failed_forecasts_nothing() -> None:
    fixings = rolled_snapshot(a_snapshot({"USD.SWAP.5Y": "n/a"})).fixings
    assert "USD-LIBOR-3M" not in fixings
    assert "USD-FedFunds" in fixings


def test_what_is_dated_keeps_its_date_and_drops_out_when_it_has_passed() -> None:
    oil = msgspec.structs.replace(
        a_snapshot().commodities[0],
        forwards=(Pillar("2016-02-08", "OIL"), Pillar("2016-02-09", "OIL"), Pillar("1Y", "OIL.1Y")),
    )
    surface = CommodityVolatility(
        name="OIL",
        expiries=("2016-02-08", "1Y"),
        strikes=(30.0, 40.0),
        quotes=("A", "B", "OIL.VOL.1Y.30", "OIL.VOL.1Y.40"),
    )
    rolled = rolled_snapshot(a_snapshot(commodities=(oil,), commodity_volatilities=(surface,)))
    assert [pillar.tenor for pillar in rolled.commodities[0].forwards] == ["2016-02-09", "1Y"]
    assert rolled.commodity_volatilities[0].expiries == ("1Y",)
    assert rolled.commodity_volatilities[0].quotes == ("OIL.VOL.1Y.30", "OIL.VOL.1Y.40")


def test_a_new_base_month_of_inflation_has_the_level_of_todays_curve() -> None:
    snapshot = an_inflation_market()
    eve = msgspec.structs.replace(snapshot, as_of=dt.date(2016, 2, 29))
    (name,) = {item.name for item in snapshot.inflations}
    before = set(eve.fixings.get(name, {}))
    rolled = rolled_snapshot(eve)
    layout = SnapshotLayout(rolled)
    _, failures = calibrator_of(rolled, layout).base_market()
    assert not failures
    assert all(level > 0.0 for day, level in rolled.fixings[name].items() if day not in before)


@pytest.mark.long
def test_every_trade_of_the_sample_has_a_theta() -> None:
    """A trade of each type: no row fails on the rolled day that did not today, and most lose or gain something."""
    sample = samples.load("cross-asset")
    lines = sample.book.strip().split(b"\n")
    first_of_type = {json.loads(line)["type"]: line for line in reversed(lines)}
    chosen = list(first_of_type.values())
    values = []
    today = decode_snapshot(sample.market)
    for snapshot in (today, rolled_snapshot(today)):
        layout = SnapshotLayout(snapshot)
        columns = resolve_rows(decode_rows(chosen), MarketView(layout))
        assert json_value(columns["failures"]) == []
        values.append(row_values(columns, calibrator_of(snapshot, layout).base_market()[0][:, None])[:, 0])
    theta = values[1] - values[0]
    assert np.isfinite(theta).all()
    assert np.count_nonzero(theta) > len(chosen) // 2
