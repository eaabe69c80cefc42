"""xip_core.scenarios.joined"""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.small_market import a_snapshot
from xip_core.errors import RequestError
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift, base_only
from xip_core.model.scenario_table import shift_table
from xip_core.scenarios.grids import grid, parse_axis
from xip_core.scenarios.joined import joined


def drawn(name: str, *sizes: float) -> ScenarioSet:
    """A set of one table: oil by factors."""
    scenarios = (Scenario(name="base"), *(Scenario(name=f"{name} {place}") for place in range(len(sizes))))
    return ScenarioSet(scenarios=scenarios, tables=(shift_table("factor", ("OIL",), np.array([sizes])),))


def test_joined_sets_do_what_each_did():
    """One base, the others in order, tables where their scenarios are now."""
    named = Scenario(name="crash", shifts=(Shift(target="quote", name="OIL", shift_relative=-0.5),))
    sets = [drawn("a", 1.1, 1.2), ScenarioSet(scenarios=(Scenario(name="base"), named)), drawn("b", 0.9)]
    market = ScenarioMarket(a_snapshot())
    whole = joined(sets)
    assert [scenario.name for scenario in whole.scenarios] == ["base", "a 0", "a 1", "crash", "b 0"]
    each = [market.quote_matrix(one, 0, len(one.scenarios)).changed()[1:] for one in sets]
    assert market.quote_matrix(whole, 0, 5).changed() == [{}, *each[0], *each[1], *each[2]]


def test_join_of_one_is_itself():
    """With its bytes."""
    assert joined([drawn("a", 1.1)]) == drawn("a", 1.1)
    assert joined([base_only(), base_only()]) == base_only()


def test_sets_that_cannot_be_told_apart_are_refused():
    """By name, or because what one refuses the other lets pass."""
    with pytest.raises(RequestError, match="scenario names must be distinct, 'a 0' is there twice"):
        joined([drawn("a", 1.1), drawn("a", 1.2)])
    with pytest.raises(RequestError, match="must all be exclusive, or none"):
        joined([drawn("a", 1.1), grid((parse_axis("equity ACME relative 0.1,0.2"),))])
    with pytest.raises(RequestError, match="must be at least one"):
        joined([])


def test_prefixes_tell_sets_of_equal_names_apart():
    whole = joined([drawn("a", 1.1), drawn("a", 1.2)], ["", "stress "])
    assert [scenario.name for scenario in whole.scenarios] == ["base", "a 0", "stress a 0"]
    with pytest.raises(RequestError, match="prefixes must be one a set, got 1 for 2 sets"):
        joined([drawn("a", 1.1), drawn("b", 1.2)], ["x"])
