"""xip_core.readers.ore_market: a small directory written here, and the reference market."""

from __future__ import annotations

import datetime as dt
import gzip
import re
from pathlib import Path

import msgspec
import pytest

from tests.core.ore_directory import ORE, needs_ore
from xip_core.errors import InputError
from xip_core.model import market_instruments as instruments
from xip_core.model.market import FxSpot, decode_snapshot, encode_snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.readers.ore_market import read_ore_market

QUOTES = """\
#date,id,value
2016-02-05,MM/RATE/EUR/0D/1D,-0.001
2016-02-05,IR_SWAP/RATE/EUR/2D/1D/1Y,-0.003
2016-02-05,FX/RATE/EUR/USD,1.13
2016-02-05,FX/RATE/GBP/USD,1.39
2016-02-05,EQUITY/PRICE/ACME/EUR,100
2016-02-05,EQUITY_FWD/PRICE/ACME/EUR/1Y,101
2016-02-05,UNUSED/QUOTE,1
2016-02-04,MM/RATE/EUR/0D/1D,-0.002
"""

FIXINGS = """\
2016-02-04 EUR-EONIA -0.0024
2016-02-08 EUR-EONIA -0.0025
2016-02-04 OTHER 1
"""

TODAYS_MARKET = """\
<TodaysMarket>
  <Configuration id="xois_eur"><DiscountingCurvesId>eur</DiscountingCurvesId></Configuration>
  <DiscountingCurves id="eur"><DiscountingCurve currency="EUR">Yield/EUR/EUR1D</DiscountingCurve></DiscountingCurves>
  <IndexForwardingCurves id="default"><Index name="EUR-EONIA">Yield/EUR/EUR1D</Index></IndexForwardingCurves>
  <FxSpots id="default">
    <FxSpot pair="EURUSD">FX/EUR/USD</FxSpot><FxSpot pair="GBPUSD">FX/GBP/USD</FxSpot>
  </FxSpots>
  <EquityCurves id="default"><EquityCurve name="ACME">Equity/EUR/ACME</EquityCurve></EquityCurves>
</TodaysMarket>
"""

CURVE_CONFIG = """\
<CurveConfiguration>
  <YieldCurves>
    <YieldCurve>
      <CurveId>EUR1D</CurveId><Currency>EUR</Currency><DiscountCurve>EUR1D</DiscountCurve>
      <Segments>
        <Simple>
          <Type>Deposit</Type><Quotes><Quote>MM/RATE/EUR/0D/1D</Quote></Quotes><Conventions>EONIA</Conventions>
        </Simple>
        <Simple>
          <Type>OIS</Type><Quotes><Quote>IR_SWAP/RATE/EUR/2D/1D/1Y</Quote></Quotes><Conventions>OIS</Conventions>
        </Simple>
      </Segments>
    </YieldCurve>
  </YieldCurves>
  <EquityCurves>
    <EquityCurve>
      <CurveId>ACME</CurveId><Currency>EUR</Currency><ForecastingCurve>EUR1D</ForecastingCurve>
      <Type>ForwardPrice</Type><SpotQuote>EQUITY/PRICE/ACME/EUR</SpotQuote>
      <Quotes><Quote>EQUITY_FWD/PRICE/ACME/EUR/1Y</Quote></Quotes>
    </EquityCurve>
  </EquityCurves>
</CurveConfiguration>
"""

CONVENTIONS = """\
<Conventions>
  <Deposit><Id>EONIA</Id><IndexBased>true</IndexBased><Index>EUR-EONIA</Index></Deposit>
  <OIS>
    <Id>OIS</Id><SpotLag>2</SpotLag><Index>EUR-EONIA</Index><FixedDayCounter>A360</FixedDayCounter>
    <PaymentLag>1</PaymentLag><FixedFrequency>Annual</FixedFrequency><FixedConvention>F</FixedConvention>
    <RateCutoff>1</RateCutoff>
  </OIS>
</Conventions>
"""

FILES = {
    "marketdata.csv": QUOTES,
    "fixings.txt": FIXINGS,
    "config/todaysmarket.xml": TODAYS_MARKET,
    "config/curveconfig.xml": CURVE_CONFIG,
    "config/conventions.xml": CONVENTIONS,
}


def a_directory(path: Path, **changes: str) -> Path:
    """The small directory; *changes* replaces files by name with dots and slashes as underscores."""
    (path / "config").mkdir()
    for name, content in FILES.items():
        key = name.replace("/", "_").replace(".", "_")
        (path / name).write_text(changes.get(key, content))
    return path


def test_directory_becomes_a_snapshot_of_its_last_date(tmp_path: Path):
    """Curve, index, equity; the cross rate and the unused quote are left out; later fixings are not known."""
    snapshot = read_ore_market(a_directory(tmp_path))
    assert snapshot.as_of == dt.date(2016, 2, 5)
    assert snapshot.quotes == {
        "EQUITY/PRICE/ACME/EUR": 100.0,
        "EQUITY_FWD/PRICE/ACME/EUR/1Y": 101.0,
        "FX/RATE/EUR/USD": 1.13,
        "IR_SWAP/RATE/EUR/2D/1D/1Y": -0.003,
        "MM/RATE/EUR/0D/1D": -0.001,
    }
    assert snapshot.fixings == {"EUR-EONIA": {dt.date(2016, 2, 4): -0.0024}}
    assert snapshot.discount_curves == {"EUR": "EUR1D"}
    assert snapshot.fx_spots == (FxSpot(foreign_currency="EUR", domestic_currency="USD", quote="FX/RATE/EUR/USD"),)
    assert [equity.name for equity in snapshot.equities] == ["ACME"]
    (curve,) = snapshot.curves
    assert curve.segments == (
        instruments.Deposits(
            pillars=(Pillar("1D", "MM/RATE/EUR/0D/1D"),),
            settlement_days=0,
            calendar="TARGET",
            convention="following",
            day_count="A360",
        ),
        instruments.OvernightSwaps(
            pillars=(Pillar("1Y", "IR_SWAP/RATE/EUR/2D/1D/1Y"),),
            index="EUR-EONIA",
            settlement_days=2,
            calendar="TARGET",
            fixed_frequency_months=12,
            fixed_convention="following",
            fixed_day_count="A360",
            payment_lag_days=1,
            rate_cutoff_days=1,
            repeats_early_fixing=True,
        ),
    )


def test_quotes_of_an_earlier_date_can_be_asked_for(tmp_path: Path):
    """And a date without quotes is refused with the dates there are."""
    directory = a_directory(tmp_path)
    assert read_ore_market(directory, as_of=dt.date(2016, 2, 4)).quotes == {"MM/RATE/EUR/0D/1D": -0.002}
    with pytest.raises(InputError, match="has no quote of 2016-02-03, only from 2016-02-04 to 2016-02-05"):
        read_ore_market(directory, as_of=dt.date(2016, 2, 3))


def test_quote_that_is_no_number_stays_text(tmp_path: Path):
    """Only what needs it will fail."""
    changed = QUOTES.replace("EUR/USD,1.13", "EUR/USD,nan")
    assert read_ore_market(a_directory(tmp_path, marketdata_csv=changed)).quotes["FX/RATE/EUR/USD"] == "nan"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"marketdata_csv": QUOTES + "2016-02-05,ALONE\n"}, r"marketdata.csv:10: a quote must have date, id and value"),
        ({"marketdata_csv": QUOTES + "5 Feb,A,1\n"}, r"marketdata.csv:10: a quote must have date, id and value"),
        ({"marketdata_csv": "05/02/2016,A,1\n"}, r"marketdata.csv:1: a date must look like 2016-02-05, got '05/02"),
        ({"marketdata_csv": "# nothing\n"}, "must hold a quote, got none"),
        ({"fixings_txt": "2016-02-04 EUR-EONIA\n"}, r"fixings.txt:1: a fixing must have date, index and value"),
        ({"config_todaysmarket_xml": "<TodaysMarket>\n</Todays>"}, r"todaysmarket.xml:2: malformed XML"),
        ({"config_todaysmarket_xml": "<TodaysMarket/>"}, "market configuration 'xois_eur' is not defined"),
        ({"config_conventions_xml": "<Conventions/>"}, "convention EONIA is not there"),
        ({"config_curveconfig_xml": "<CurveConfiguration/>"}, "yield curve EUR1D is not configured"),
    ],
)
def test_fault_in_a_file_is_an_input_error_with_its_place(tmp_path: Path, changes, message):
    """Path and line where the format has lines."""
    with pytest.raises(InputError, match=message):
        read_ore_market(a_directory(tmp_path, **changes))


def test_curve_of_unknown_instruments_is_left_out_with_what_stands_on_it(tmp_path: Path):
    """The equity that forecasts on it goes too; the rest is read."""
    changed = CURVE_CONFIG.replace("<Type>OIS</Type>", "<Type>BMA Basis Swap</Type>")
    snapshot = read_ore_market(a_directory(tmp_path, config_curveconfig_xml=changed))
    assert (snapshot.curves, snapshot.indices, snapshot.equities, snapshot.discount_curves) == ((), (), (), {})
    assert snapshot.fx_spots


def test_equity_forward_far_from_its_spot_is_left_out(tmp_path: Path):
    """The reference market quotes 12.75 for an index at 3,579."""
    changed = QUOTES.replace("ACME/EUR/1Y,101", "ACME/EUR/1Y,12")
    snapshot = read_ore_market(a_directory(tmp_path, marketdata_csv=changed))
    assert snapshot.equities == ()


@needs_ore
def test_reference_market_is_read_whole():
    """Every curve and surface the supported trades of the book need."""
    snapshot = read_ore_market(ORE)
    assert snapshot.as_of == dt.date(2016, 2, 5)
    assert {curve.name for curve in snapshot.curves} >= {
        *("EUR1D", "EUR1M", "EUR3M", "EUR6M", "EUR12M", "USD1D", "USD3M", "USD6M", "USD-IN-EUR", "BENCHMARK_EUR"),
        *("GBP1D", "GBP3M", "GBP6M", "GBP-IN-EUR", "CHF1D", "CHF3M", "CHF6M", "CHF-IN-EUR", "JPY1D", "JPY6M"),
    }
    assert snapshot.discount_curves == {
        "EUR": "EUR1D",
        "USD": "USD-IN-EUR",
        "GBP": "GBP-IN-EUR",
        "CHF": "CHF-IN-EUR",
        "JPY": "JPY6M",
    }
    assert [equity.name for equity in snapshot.equities] == ["SP5", "Lufthansa"]
    assert {hazard.name for hazard in snapshot.hazards} == {"BANK", "CPTY_A", "CPTY_B", "CPTY_C"}
    found = {item.name: (item.recovery_rate, item.spread_quote) for item in snapshot.known_securities}
    assert found == {
        "SECURITY_1": (0.5, "BOND/YIELD_SPREAD/SECURITY_1"),
        "SECURITY_2": (0.5, "BOND/YIELD_SPREAD/SECURITY_2"),
        "ISIN:XS0983610930": (msgspec.UNSET, "BOND/YIELD_SPREAD/ISIN:XS0983610930"),
    }
    assert {item.name for item in snapshot.cap_volatilities} == {"EUR-EURIBOR-6M", "USD-LIBOR-3M", "GBP-LIBOR-6M"}
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


@needs_ore
@pytest.mark.parametrize(
    ("method", "outside", "expected"),
    [
        ("BicubicSpline", "Linear", ("spline", "cubic")),
        ("BicubicSpline", "Flat", ("spline", msgspec.UNSET)),
        ("Bilinear", "Linear", (msgspec.UNSET, msgspec.UNSET)),
    ],
)
def test_cap_surfaces_interpolate_and_go_on_as_their_configuration_says(tmp_path: Path, method, outside, expected):
    for name in ("conventions.xml.gz", "curveconfig.xml.gz", "todaysmarket.xml.gz", "fixings_20160205.txt.gz"):
        (tmp_path / name).write_bytes((ORE / "config" / name).read_bytes())
    (tmp_path / "marketdata.csv.gz").write_bytes((ORE / "marketdata.csv.gz").read_bytes())
    config = gzip.decompress((ORE / "config" / "curveconfig.xml.gz").read_bytes()).decode()
    start, end = config.index("<CapFloorVolatilities>"), config.index("</CapFloorVolatilities>")
    caps = re.sub(r"(?<=<Extrapolation>)\w+", outside, config[start:end])
    caps = re.sub(r"(?<=<InterpolationMethod>)\w+", method, caps)
    (tmp_path / "curveconfig.xml.gz").write_bytes(gzip.compress((config[:start] + caps + config[end:]).encode()))
    surfaces = {item.index: item for item in read_ore_market(tmp_path).cap_volatilities}
    surface = surfaces["EUR-EURIBOR-6M"]  # the one whose configuration names its method
    assert (surface.interpolation, surface.extrapolation) == expected
