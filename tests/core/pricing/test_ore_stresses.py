"""ORE's Example 15: stress tests of its trades under its simulation market, ours against ORE 1.8.17.

Within 1e-3 of the larger of the number and one currency unit. The market is the one of `test_ore_example15`, whose head
says what of it is ORE's own.
"""

from __future__ import annotations

import csv
import functools

from tests.core.ore_directory import needs_ore
from tests.core.pricing.test_ore_example15 import EXAMPLE, reduced, trades
from xip_core.pricing.book import calculate
from xip_core.readers.ore_stress import OreStresses, read_ore_stresses

pytestmark = needs_ore

RELATIVE = 1e-3


@functools.cache
def stresses() -> OreStresses:
    return read_ore_stresses(EXAMPLE / "input_stresstest.xml", reduced())


@functools.cache
def computed() -> dict[tuple[str, str], float]:
    """P&L in base currency by trade and stress."""
    result = calculate(trades(), reduced(), stresses().scenarios, ("pv",))
    names = [scenario.name for scenario in stresses().scenarios.scenarios]
    pnl = result.pv - result.pv[:, :1]
    return {
        (trade, name): float(pnl[row, column])
        for row, trade in enumerate(result.trade_ids)
        for column, name in enumerate(names)
        if column
    }


def expected() -> list[tuple[str, str, float]]:
    with (EXAMPLE / "ore1.8.17_stresstest.csv").open(newline="") as stream:
        return [(row["#TradeId"], row["ScenarioLabel"], float(row["Sensitivity"])) for row in csv.DictReader(stream)]


def test_stresses_are_those_of_the_file():
    """Two; everything they name is in the market but what the list of unread says."""
    assert [scenario.name for scenario in stresses().scenarios.scenarios] == ["base", "parallel_rates", "twist"]
    assert stresses().unread == ()


def test_stressed_values_move_as_ores_do():
    misses = {}
    rows = expected()
    assert len(rows) == 14
    for trade, stress, number in rows:
        ours = computed()[trade, stress]
        if not abs(ours - number) <= RELATIVE * max(abs(number), 1.0):
            misses[trade, stress] = (number, ours)
    assert misses == {}
