"""xip_core.model.scenario_shift and scenario_aim: factors, strikes, moneyness, swap tenors, risk classes"""

from __future__ import annotations

import msgspec
import pytest

from tests.core.pricing.smile_market import equity_smile, fx_smile, snapshot_with
from tests.core.small_market import QUOTES, a_snapshot
from xip_core.errors import RequestError
from xip_core.model.market import Snapshot, SwaptionVolatility
from xip_core.model.market_smiles import DeltaQuotes
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift, decode_scenarios, encode_scenarios


def moved_by(shift: Shift, snapshot: Snapshot | None = None) -> set[str]:
    """Names of the quotes that a shift changes directly."""
    return set(ScenarioMarket(snapshot or a_snapshot()).quotes_of(shift))


def test_factor_multiplies():
    """2 doubles; a factor of one changes nothing."""
    market = ScenarioMarket(a_snapshot())
    double = Shift(target="quote", name="OIL", shift_factor=2.0)
    one = Shift(target="quote", name="OIL", shift_factor=1.0)
    assert market.changed_quotes(Scenario(name="s", shifts=(double,))) == {"OIL": 60.0}
    assert market.changed_quotes(Scenario(name="s", shifts=(one,))) == {}


def test_shift_without_the_later_fields_keeps_its_bytes():
    """Digests of sets made before there were factors and strikes stay what they were."""
    shift = Shift(target="fx", name="EURUSD", shift_relative=0.1)
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="up", shifts=(shift,))))
    assert encode_scenarios(scenarios) == (
        b'{"scenarios":[{"name":"base","shifts":[]},{"name":"up","shifts":[{"target":"fx","name":"EURUSD","after":"",'
        b'"until":"","shift_bps":null,"shift_relative":0.1,"shift_absolute":null}]}]}'
    )


def test_shift_with_all_fields_survives_encoding():
    """Unset bounds stay unset."""
    shift = Shift(
        target="swaption_volatility", name="*", shift_factor=1.1, tenor_after="1Y", strike_from=-0.01, strike_until=1.0
    )
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="up", shifts=(shift,))), exclusive=True)
    assert decode_scenarios(encode_scenarios(scenarios)) == scenarios


def test_strikes_bound_a_surface_quoted_by_price():
    """The range is closed at both ends."""
    shift = Shift(target="commodity_volatility", name="OIL", shift_relative=0.1, strike_from=40.0)
    assert moved_by(shift) == {"OIL.VOL.1Y.40"}
    assert moved_by(msgspec.structs.replace(shift, strike_until=30.0, strike_from=0.0)) == {"OIL.VOL.1Y.30"}


def test_moneyness_of_a_price_is_against_the_spot():
    """Oil stands at 30: the strike 40 is at 4 / 3."""
    around = Shift(target="commodity_volatility", name="*", shift_bps=1.0, moneyness_from=0.9, moneyness_until=1.1)
    assert moved_by(around) == {"OIL.VOL.1Y.30"}
    above = Shift(target="commodity_volatility", name="*", shift_bps=1.0, moneyness_from=40.0 / 30.0)
    assert moved_by(above) == {"OIL.VOL.1Y.40"}


def test_moneyness_of_a_surface_quoted_so_is_the_quotes_own():
    """The lower wing of an equity smile quoted as fractions of the forward, whatever the spot."""
    smile = equity_smile("spline", strikes=(0.8, 0.9, 1.0, 1.2), is_moneyness=True)
    quotes = {f"ACME.VOL.1Y.{place}": 0.3 for place in range(4)}
    wing = Shift(target="equity_volatility", name="ACME", shift_bps=1.0, moneyness_until=0.9)
    assert moved_by(wing, snapshot_with(smile, quotes)) == {"ACME.VOL.1Y.0", "ACME.VOL.1Y.1"}


def test_at_the_money_volatilities_are_at_moneyness_one():
    """So a shift around the money finds surfaces without strikes, one of the wings does not."""
    market = ScenarioMarket(a_snapshot())
    around = Shift(target="fx_volatility", name="*", shift_bps=1.0, moneyness_from=0.95, moneyness_until=1.05)
    assert market.quotes_of(around) == ("EURUSD.VOL.1Y", "EURUSD.VOL.2Y")
    with pytest.raises(RequestError, match="names nothing"):
        market.quotes_of(Shift(target="fx_volatility", name="*", shift_bps=1.0, moneyness_until=0.8))


def test_swap_tenor_is_told_from_the_expiry():
    """1Y into 10Y is a long swap of a short option."""
    grid = SwaptionVolatility(
        currency="EUR",
        is_normal=True,
        expiries=("1Y", "5Y"),
        swap_tenors=("2Y", "10Y"),
        quotes=("a", "b", "c", "d"),
    )
    snapshot = a_snapshot({"a": 0.006, "b": 0.007, "c": 0.008, "d": 0.009}, swaption_volatilities=(grid,))
    long_swaps = Shift(target="swaption_volatility", name="EUR", shift_bps=1.0, tenor_after="2Y")
    assert moved_by(long_swaps, snapshot) == {"b", "d"}
    corner = Shift(target="swaption_volatility", name="EUR", shift_bps=1.0, until="1Y", tenor_until="2Y")
    assert moved_by(corner, snapshot) == {"a"}


def test_deltas_bound_risk_reversals():
    """The 10-delta reversals alone."""
    smile = fx_smile(expiries=("1Y", "2Y"))
    quotes = smile.quotes
    assert isinstance(quotes, DeltaQuotes)
    names = (*quotes.at_the_money, *quotes.risk_reversals, *quotes.butterflies)
    shift = Shift(target="risk_reversal", name="EURUSD", shift_bps=1.0, strike_until=0.10)
    moved = moved_by(shift, snapshot_with(smile, dict.fromkeys(names, 0.01)))
    assert moved == {"EURUSD.RR10.1Y", "EURUSD.RR10.2Y"}


@pytest.mark.parametrize(
    ("risk_class", "expected"),
    [
        ("FX", {"EURUSD"}),
        ("EQUITY", {"ACME", "INDX"}),
        ("COMMODITY", {"OIL", "OIL.1Y"}),
        ("CREDIT", {"BANK.1Y", "BANK.5Y"}),
        ("VOLATILITY", {name for name in QUOTES if ".VOL" in name or ".SWPT." in name or ".CAP." in name}),
        (
            "INTEREST_RATE",
            {
                name
                for name in QUOTES
                if name.split(".")[0] in ("EUR", "USD") and name.split(".")[1] not in ("BASIS", "SWPT", "CAP")
            },
        ),
    ],
)
def test_shift_of_a_risk_class_moves_its_levels(risk_class, expected):
    """Outright rates, spots, prices, volatilities; not basis spreads or points on top of them."""
    assert moved_by(Shift(target="risk_class", name=risk_class, shift_relative=0.01)) == expected


def test_shift_of_the_class_fx_takes_the_points_along():
    """As a shift of target fx does."""
    shift = Shift(target="risk_class", name="FX", shift_relative=0.10)
    moved = ScenarioMarket(a_snapshot()).changed_quotes(Scenario(name="s", shifts=(shift,)))
    assert moved == pytest.approx({"EURUSD": 1.13 * 1.1, "EURUSD.3M": 33.0, "EURUSD.1Y": 154.0})


@pytest.mark.parametrize(
    ("quote", "risk_class"),
    [
        ("EUR.OIS.5Y", "INTEREST_RATE"),
        ("XCCY.2Y", "INTEREST_RATE"),
        ("EURUSD.3M", "INTEREST_RATE"),
        ("EURUSD", "FX"),
        ("ACME.1Y", "EQUITY"),
        ("BANK.5Y", "CREDIT"),
        ("EUR.CAP.1Y.0", "VOLATILITY"),
        ("nowhere", None),
    ],
)
def test_every_quote_has_the_class_of_what_is_made_from_it(quote, risk_class):
    """The spot of an FX forward curve is FX all the same."""
    assert ScenarioMarket(a_snapshot()).risk_class_of(quote) == risk_class


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": "curve", "strike_from": 1.0}, "must be of volatilities to be bounded by strike"),
        ({"target": "fx_volatility", "strike_from": 2.0, "strike_until": 1.0}, "from low to high, got 2.0 to 1.0"),
        ({"target": "zero_rate", "tenor_after": "1Y"}, "must be bounded by maturity alone"),
        ({"target": "risk_class", "name": "WEATHER"}, "must name one of INTEREST_RATE, FX"),
        ({"target": "fx", "shift_factor": 2.0}, "must have one size of .*, got shift_bps and shift_factor"),
    ],
)
def test_shift_that_cannot_be_meant_is_refused(fields, message):
    """Before any market is seen."""
    with pytest.raises(RequestError, match=message) as caught:
        Shift(**{"name": "*", "shift_bps": 1.0, **fields})
    assert caught.value.reason == "BAD_SCENARIO"
