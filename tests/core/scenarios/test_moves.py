"""xip_core.scenarios.moves"""

from __future__ import annotations

import pytest

from tests.core.pricing.flat_market import a_snapshot
from xip_core.errors import RequestError
from xip_core.model.scenario import ScenarioMarket
from xip_core.scenarios.moves import moves_between


def quote_of(name: str) -> float:
    value = a_snapshot().quotes[name]
    assert not isinstance(value, str)
    return value


def test_each_class_that_moved_has_two_scenarios_and_all_but_volatility_two_together() -> None:
    begin = a_snapshot()
    classes = {name: ScenarioMarket(begin).risk_class_of(name) for name in begin.quotes}
    rate = next(name for name, found in classes.items() if found == "INTEREST_RATE")
    volatility = next(name for name, found in classes.items() if found == "VOLATILITY")
    moved = {rate: quote_of(rate) + 8e-4, volatility: quote_of(volatility) + 0.04}
    moves = moves_between(begin, a_snapshot(begin.quotes | moved), step=0.5)
    assert (moves.directions, moves.moved_count, moves.unmatched) == (("INTEREST_RATE", "VOLATILITY", "joint"), 2, ())
    names = [one.name for one in moves.scenarios.scenarios]
    assert names == ["base", "INTEREST_RATE up", "INTEREST_RATE down", "VOLATILITY up", "VOLATILITY down",
                     "joint up", "joint down"]  # fmt: skip
    (table,) = moves.scenarios.shift_tables
    sizes = dict(zip(table.names, table.matrix(), strict=True))
    assert sizes[rate] == pytest.approx([4e-4, -4e-4, 0, 0, 4e-4, -4e-4], abs=1e-12)
    assert sizes[volatility] == pytest.approx([0, 0, 0.02, -0.02, 0, 0], abs=1e-12)


def test_a_quote_without_a_counterpart_is_listed_and_does_not_move() -> None:
    begin = a_snapshot()
    name = next(iter(begin.quotes))
    moves = moves_between(begin, a_snapshot(begin.quotes | {name: "NaN", "NEW": 1.0}))
    assert name in moves.unmatched
    assert "NEW" in moves.unmatched
    assert (moves.moved_count, moves.directions, moves.scenarios.shift_tables) == (0, (), ())


def test_steps_and_currencies_that_cannot_be_meant_are_refused() -> None:
    begin = a_snapshot()
    with pytest.raises(RequestError, match="above 0 and at most 1, got 0"):
        moves_between(begin, begin, step=0.0)
