"""xip_core.model.scenario"""

from __future__ import annotations

import msgspec
import pytest

from tests.core.small_market import QUOTES, a_snapshot
from xip_core.errors import RequestError
from xip_core.model.scenario import (
    Scenario,
    ScenarioMarket,
    ScenarioSet,
    Shift,
    base_only,
    decode_scenarios,
    encode_scenarios,
)


def changed(*shifts: Shift) -> dict[str, float]:
    """Quotes of the small market that a scenario of *shifts* changes."""
    return ScenarioMarket(a_snapshot()).changed_quotes(Scenario(name="s", shifts=shifts))


def test_scenarios_survive_encoding_and_decoding():
    """And give the same bytes again."""
    shift = Shift(target="currency", name="EUR", after="1Y", until="5Y", shift_bps=10.0)
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="up", shifts=(shift,))))
    encoded = encode_scenarios(scenarios)
    assert decode_scenarios(encoded) == scenarios
    assert encode_scenarios(decode_scenarios(encoded)) == encoded


def test_base_changes_nothing():
    """Scenario 0 is the snapshot."""
    market = ScenarioMarket(a_snapshot())
    assert market.changed_quotes(base_only().scenarios[0]) == {}
    assert market.touched_objects(base_only().scenarios[0]) == frozenset()


def test_currency_shift_moves_its_rates_and_nothing_else():
    """Basis spreads, FX points, and the other currency stand still."""
    moved = changed(Shift(target="currency", name="USD", shift_bps=10.0))
    assert moved == {
        name: QUOTES[name] + 0.001
        for name in ("USD.OIS.1Y", "USD.OIS.5Y", "USD.OIS.10Y", "USD.SWAP.1Y", "USD.SWAP.5Y", "USD.SWAP.10Y")
    }


def test_bucket_is_open_below_and_closed_above():
    """(1Y, 5Y] holds 2Y and 5Y; the 6x12 FRA ends in the year before it."""
    moved = changed(Shift(target="currency", name="EUR", after="1Y", until="5Y", shift_bps=1.0))
    assert set(moved) == {"EUR.OIS.2Y", "EUR.OIS.5Y", "EUR.SWAP.2Y", "EUR.SWAP.5Y"}


def test_curve_shift_moves_spreads_but_not_points():
    """FX points are no rates."""
    moved = changed(Shift(target="curve", name="USD-IN-EUR", shift_bps=1.0))
    assert moved == {name: QUOTES[name] + 1e-4 for name in ("XCCY.2Y", "XCCY.10Y")}


def test_fx_shift_takes_the_points_along():
    """So the ratio of forward to spot, and with it every curve, stands still."""
    moved = changed(Shift(target="fx", name="EURUSD", shift_relative=0.10))
    assert moved == pytest.approx({"EURUSD": 1.13 * 1.1, "EURUSD.3M": 33.0, "EURUSD.1Y": 154.0})


def test_equity_shift_takes_the_forward_prices_along():
    """So dividend yields stand still."""
    moved = changed(Shift(target="equity", name="ACME", shift_relative=-0.20))
    assert moved == pytest.approx({"ACME": 80.0, "ACME.1Y": 80.8, "ACME.2Y": 82.4})


def test_commodity_shift_moves_spot_and_forward_prices():
    """Each by its own size."""
    assert changed(Shift(target="commodity", name="OIL", shift_absolute=2.0)) == {"OIL": 32.0, "OIL.1Y": 42.0}


@pytest.mark.parametrize(
    ("target", "name", "quotes"),
    [
        ("hazard", "BANK", {"BANK.1Y", "BANK.5Y"}),
        ("fx_volatility", "EURUSD", {"EURUSD.VOL.1Y", "EURUSD.VOL.2Y"}),
        ("equity_volatility", "*", {"ACME.VOL"}),
        ("commodity_volatility", "OIL", {"OIL.VOL.1Y.30", "OIL.VOL.1Y.40"}),
        ("swaption_volatility", "EUR", {"EUR.SWPT.1Y.5Y", "EUR.SWPT.5Y.5Y"}),
        ("cap_volatility", "EUR-*", {"EUR.CAP.1Y.0", "EUR.CAP.1Y.2", "EUR.CAP.3Y.0", "EUR.CAP.3Y.2"}),
        ("quote", "EUR.SWAP.*", {"EUR.SWAP.2Y", "EUR.SWAP.5Y", "EUR.SWAP.10Y"}),
    ],
)
def test_target_names_its_quotes(target, name, quotes):
    """Patterns are allowed everywhere."""
    moved = changed(Shift(target=target, name=name, shift_relative=0.5))
    assert moved == pytest.approx({quote: QUOTES[quote] * 1.5 for quote in quotes})


def test_shifts_apply_one_after_the_other():
    """The second starts from the first's result."""
    double = Shift(target="quote", name="OIL", shift_relative=1.0)
    plus_one = Shift(target="quote", name="OIL", shift_absolute=1.0)
    assert changed(double, plus_one) == {"OIL": 61.0}
    assert changed(plus_one, double) == {"OIL": 62.0}


def test_touched_objects_are_users_and_all_that_is_built_on_them():
    """An OIS quote of EUR reaches all but the American curves; a volatility reaches its surface alone."""
    market = ScenarioMarket(a_snapshot())
    ois = Scenario(name="ois", shifts=(Shift(target="curve", name="EUR1D", shift_bps=1.0),))
    assert market.touched_objects(ois) == {
        "curve/EUR1D",
        "curve/EUR6M",
        "curve/USD-IN-EUR",
        "curve/LENDING",
        "equity/ACME",
        "hazard/BANK",
        "cap_volatility/EUR-EURIBOR-6M",
    }
    volatility = Scenario(name="vol", shifts=(Shift(target="equity_volatility", name="*", shift_bps=1.0),))
    assert market.touched_objects(volatility) == {"equity_volatility/ACME"}


@pytest.mark.parametrize(
    ("shift", "message"),
    [
        (
            Shift(target="curve", name="GBP1D", shift_bps=1.0),
            "shift of curve 'GBP1D' names nothing in the market: it has EUR1D, .* more",
        ),
        (
            Shift(target="currency", name="USD", after="30Y", shift_bps=1.0),
            "shift of currency 'USD' after 30Y until the end names nothing in the market: the name is there, but no",
        ),
        (
            Shift(target="quote", name="eur.ois.5y", shift_bps=1.0),
            "shift of quote 'eur.ois.5y' names nothing in the market: it has ",
        ),
        (Shift(target="fx", name="USDEUR", shift_relative=0.1), ".* names nothing in the market: it has EURUSD"),
        (Shift(target="hazard_rate", name="ACME", shift_bps=1.0), ".* names nothing in the market: it has BANK"),
        (Shift(target="butterfly", name="*", shift_bps=1.0), ".* in the market: the name is there, but no such quote"),
    ],
)
def test_shift_that_names_nothing_is_refused_with_its_scenario(shift, message):
    """A stress that does nothing is worse than none."""
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="odd", shifts=(shift,))))
    with pytest.raises(RequestError, match=f"scenario 1 'odd': {message}") as caught:
        ScenarioMarket(a_snapshot()).check(scenarios)
    assert caught.value.reason == "BAD_SCENARIO"


def test_a_target_that_is_none_is_refused_with_those_there_are():
    content = b'{"scenarios":[{"name":"base"},{"name":"a","shifts":[{"target":"equitty","name":"*","shift_bps":1}]}]}'
    with pytest.raises(RequestError, match=r"'equitty' .*; a target must be one of .*, equity, "):
        decode_scenarios(content)


def test_shift_of_a_bad_quote_leaves_it_bad():
    """Text plus ten basis points is still no number; calibration says so."""
    market = ScenarioMarket(a_snapshot({"EUR.SWAP.2Y": "n/a"}))
    moved = market.changed_quotes(Scenario(name="s", shifts=(Shift(target="quote", name="EUR.SWAP.2Y", shift_bps=1),)))
    assert moved == {}


@pytest.mark.parametrize("sizes", [{}, {"shift_bps": 1.0, "shift_relative": 0.1}])
def test_shift_must_have_one_size(sizes):
    """None is no shift, two are ambiguous."""
    with pytest.raises(RequestError, match="must have one size"):
        Shift(target="fx", name="EURUSD", **sizes)


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "scenario 0 must be the base"), (["base", "a", "a"], "scenario names must be distinct, 'a' is there twice")],
)
def test_scenario_set_must_start_with_the_base_and_have_distinct_names(names, message):
    """Names are how results are read."""
    with pytest.raises(RequestError, match=message):
        ScenarioSet(scenarios=tuple(Scenario(name=name) for name in names))


def test_first_scenario_must_not_shift():
    """P&L is against scenario 0."""
    shift = Shift(target="fx", name="EURUSD", shift_relative=0.1)
    with pytest.raises(RequestError, match="scenario 0 must be the base: present, and without shifts"):
        ScenarioSet(scenarios=(Scenario(name="base", shifts=(shift,)),))


@pytest.mark.parametrize("encoded", [b'{"scenarios":[{"name":"\xff"}]}', b"\xff\xfe", b'{"a":' + b"[" * 100_000])
def test_hostile_bytes_are_refused_like_any_other_scenario_set(encoded):
    """Text that is not UTF-8 and brackets nested without end are no errors of Python's own."""
    with pytest.raises(RequestError) as caught:
        decode_scenarios(encoded)
    assert caught.value.reason == "BAD_SCENARIO"


def test_decoding_error_names_the_path():
    """An unknown target is found by its place."""
    fields = {"scenarios": [{"name": "base"}, {"name": "x", "shifts": [{"target": "weather", "name": "*"}]}]}
    with pytest.raises(RequestError, match=r"scenarios\[1\].shifts\[0\].target") as caught:
        decode_scenarios(msgspec.json.encode(fields))
    assert caught.value.reason == "BAD_SCENARIO"
