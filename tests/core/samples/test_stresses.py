"""xip_core.samples.stresses and .needed, on the shipped market: single moves, joint moves, and nothing superfluous."""

from __future__ import annotations

import pytest

from tests.core.pricing.smile_market import FX_QUOTES, equity_smile, fx_smile
from tests.core.small_market import a_snapshot
from xip_core import samples
from xip_core.errors import CellError
from xip_core.model.market import Snapshot, decode_snapshot
from xip_core.model.scenario import ScenarioMarket, ScenarioSet
from xip_core.model.trade import FxForward, decode_trade
from xip_core.samples.needed import snapshot_for
from xip_core.samples.stresses import stresses


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return decode_snapshot(samples.load("cross-asset").market)


@pytest.fixture(scope="module")
def scenarios(snapshot) -> ScenarioSet:
    return stresses(snapshot, 251)


def a_forward(currency: str = "USD") -> FxForward:
    line = (
        b'{"type":"fx_forward","id":"F","value_date":"2017-02-07","bought_currency":"EUR","bought_amount":1e6,'
        b'"sold_currency":"%s","sold_amount":1.1e6}' % currency.encode()
    )
    trade = decode_trade(line)
    assert isinstance(trade, FxForward)
    return trade


def test_there_are_as_many_as_asked_for_and_the_base_comes_first(scenarios):
    assert len(scenarios.scenarios) == 251
    assert scenarios.scenarios[0].name == "base"


def test_every_scenario_changes_a_quote(snapshot, scenarios):
    market = ScenarioMarket(snapshot)
    assert all(market.changed_quotes(scenario) for scenario in scenarios.scenarios[1:])


def test_every_curve_spot_and_surface_moves_in_some_scenario(snapshot, scenarios):
    market = ScenarioMarket(snapshot)
    singles = [scenario for scenario in scenarios.scenarios[1:] if not scenario.name.startswith("joint")]
    touched = set().union(*(market.touched_objects(scenario) for scenario in singles))
    kinds = {name.split("/")[0] for name in touched}
    assert {"curve", "fx", "equity", "commodity", "hazard", "swaption_volatility", "cap_volatility"} <= kinds
    assert {f"curve/{curve.name}" for curve in snapshot.curves} <= touched


def test_too_few_scenarios_for_every_single_move_are_refused(snapshot):
    with pytest.raises(ValueError, match=r"count must be at least \d+, the base and every single move, got 10"):
        stresses(snapshot, 10)


def test_a_snapshot_for_one_trade_keeps_what_it_is_built_from_and_no_more(snapshot):
    smaller = snapshot_for([a_forward()], snapshot)
    assert {curve.name for curve in smaller.curves} >= {"EUR1D", "USD-IN-EUR"}
    assert [spot.domestic_currency for spot in smaller.fx_spots] == ["USD"]
    assert smaller.equities == smaller.commodities == smaller.hazards == smaller.fx_volatilities == ()
    assert set(smaller.quotes) < set(snapshot.quotes)
    assert snapshot_for([a_forward()], smaller) == smaller


def test_a_snapshot_for_one_option_keeps_its_smile_and_no_other():
    smiles = (fx_smile(), equity_smile())
    market = a_snapshot(dict(FX_QUOTES), smiles=smiles, fx_volatilities=(), equity_volatilities=())
    line = (
        b'{"type":"fx_option","id":"O","expiry":"2017-02-07","option_type":"call","position":"long",'
        b'"bought_currency":"EUR","bought_amount":1e6,"sold_currency":"USD","sold_amount":1.1e6}'
    )
    smaller = snapshot_for([decode_trade(line)], market)
    assert smaller.volatility_smiles == (fx_smile(),)
    assert set(FX_QUOTES) < set(smaller.quotes)
    assert smaller.equities == ()


def test_a_trade_that_does_not_resolve_is_named(snapshot):
    with pytest.raises(CellError, match=r"row 0: trade F: .*XXX"):
        snapshot_for([a_forward("XXX")], snapshot)
