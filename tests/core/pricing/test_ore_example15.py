"""ORE's Example 15: sensitivities of 23 trades under its simulation market, ours against ORE 1.8.17.

Market, portfolio, simulation.xml and sensitivity.xml are ORE's; expected are the rows of the reference folder and, in
tests/reference/ore_example15.csv, those of our own run of the ORE wheel on the same files, which gives the reference
rows to every digit and the other trades as well. Deltas, gammas and cross gammas: within 1e-3 of the larger of the
number and one currency unit, and half of the last digit printed.

What ORE does that is no part of a ladder is done here:

* the example's Bermudan swaption has ORE's sensitivity template IR_FD: shifts of 10 bp, central;
* ORE measures the hazard rate of CPTY_C in Act/360, we in Act/365F.
"""

from __future__ import annotations

import csv
import functools

import msgspec
import numpy as np

from tests.core.ore_directory import ORE, REPOSITORY, needs_ore, ore_snapshot
from xip_core.model.market import Snapshot
from xip_core.model.sensitivity import Expansion, SensitivitySet, expand
from xip_core.model.trade import Trade
from xip_core.pricing.bumps import bump_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.pruning import pruned_values
from xip_core.pricing.resolve import json_value, resolve_rows
from xip_core.pricing.simulated_market import simulated_snapshot
from xip_core.pricing.tile_market import MarketView
from xip_core.readers.ore_portfolio import read_portfolio
from xip_core.readers.ore_simulation import read_sensitivities, read_simulation_grid
from xip_core.risk.ladder import LadderRow, combine, ladder_rows

pytestmark = needs_ore

EXAMPLE = ORE / "example15_expected"
OURS = REPOSITORY / "tests" / "reference"
TRADE_COUNT = 23  # the first of the book
RELATIVE, ROUNDING = 1e-3, 0.005
TEMPLATES = {"BERMUDAN_SWAPTION": "IR_FD"}
A360_HAZARD = {"hazard/CPTY_C": 365.0 / 360.0}

Key = tuple[str, str, str, str]
"""Trade, measure and the two factors, as ORE names them but for the number of the bucket."""


@functools.cache
def reduced() -> Snapshot:
    """The simulation market."""
    grid = read_simulation_grid(EXAMPLE / "input_simulation.xml")
    return simulated_snapshot(ore_snapshot(), grid)


@functools.cache
def trades() -> tuple[Trade, ...]:
    return tuple(read_portfolio(ORE / "portfolio.xml").trades[:TRADE_COUNT])


def wanted(template: str) -> SensitivitySet:
    """Under the template, only ladders that the one trade it is for depends on: euro rates and swaptions."""
    found = read_sensitivities(EXAMPLE / "input_sensitivity.xml", reduced(), template).wanted
    if not template:
        return found
    names = ("curve/EUR", "swaption_volatility/EUR")
    return msgspec.structs.replace(found, ladders=tuple(item for item in found.ladders if item.name.startswith(names)))


def values(expansion: Expansion, chosen: list[Trade]) -> np.ndarray:
    """(trades, sensitivities)."""
    layout = SnapshotLayout(reduced())
    market = bump_tile(reduced(), layout, expansion, 0, len(expansion.columns))["market"]
    base = np.ascontiguousarray(market[:, :1])
    found = []
    for trade in chosen:
        columns = resolve_rows([trade], MarketView(layout))
        assert json_value(columns["failures"]) == []
        found.append(pruned_values(columns, market, base, has_base=True).values)
    pv = np.concatenate(found)
    return combine(expansion, pv - pv[:, :1])


def factor_name(market_object: str, bucket: str) -> str:
    """As ORE calls it, without the number of the bucket."""
    kind, name = market_object.split("/", 1)
    match kind:
        case "curve":
            group = "DiscountCurve" if len(name) == 3 else "YieldCurve" if name == "BENCHMARK_EUR" else "IndexCurve"
            return f"{group}/{name}/{bucket}"
        case "fx":
            return f"FXSpot/{name}EUR/spot"
        case "fx_volatility":
            return f"FXVolatility/{name[3:]}{name[:3]}/{bucket}/ATM"
        case "cap_volatility":
            return f"OptionletVolatility/{name[:3]}/{bucket}"
        case _:
            groups = {
                "equity": ("EquitySpot", ""),
                "hazard": ("SurvivalProbability", ""),
                "security": ("SecuritySpread", ""),
                "inflation": ("ZeroInflationCurve", ""),
                "year_on_year": ("YoYInflationCurve", ""),
                "equity_volatility": ("EquityVolatility", "/ATM"),
                "swaption_volatility": ("SwaptionVolatility", "/ATM"),
            }
            group, end = groups[kind]
            return f"{group}/{name}/{bucket}{end}"


@functools.cache
def computed() -> dict[Key, float]:
    found: dict[Key, float] = {}
    for template in ("", *TEMPLATES.values()):
        chosen = [trade for trade in trades() if TEMPLATES.get(trade.id, "") == template]
        expansion = expand(wanted(template), reduced())
        for numbers, trade in zip(values(expansion, chosen), chosen, strict=True):
            for number, row in zip(numbers.tolist(), ladder_rows(expansion), strict=True):
                found[key_of(trade.id, row)] = number * scale_of(row)
    return found


def scale_of(row: LadderRow) -> float:
    scale = A360_HAZARD.get(row.object, 1.0)
    return scale * scale if row.measure == "gamma" else scale


def key_of(trade_id: str, row: LadderRow) -> Key:
    second = factor_name(row.object_2, row.bucket_2) if row.object_2 else ""
    return (trade_id, row.measure, *sorted((factor_name(row.object, row.bucket), second), reverse=True))  # type: ignore[return-value] # two names


def expected_of(trade: str, factor_1: str, factor_2: str, delta: str, gamma: str) -> list[tuple[Key, float]]:
    """Numbers of one line of ORE's report."""
    names = []
    for factor in (factor_1, factor_2):
        parts = factor.split("/")
        names.append("/".join((*parts[:2], *parts[3:])))
    first, second = sorted(names, reverse=True)
    if second:
        return [((trade, "cross_gamma", first, second), float(gamma))]
    return [((trade, "delta", first, ""), float(delta)), ((trade, "gamma", first, ""), float(gamma))]


def check(expected: list[tuple[Key, float]]) -> None:
    found = computed()
    offenders = []
    for key, number in expected:
        tolerance = RELATIVE * max(1.0, abs(number)) + ROUNDING
        if abs(found[key] - number) > tolerance:
            offenders.append((key, number, found[key]))
    assert offenders == []


def test_the_reference_rows_are_met() -> None:
    with (EXAMPLE / "ore1.8.17_sensitivity.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    expected = []
    for row in rows:
        names = (row["Factor_1"], row["Factor_2"], row["Delta"], row["Gamma"])
        expected += expected_of(row["#TradeId"], *names)
    assert len(expected) > 500
    check(expected)


def test_every_trade_of_the_example_is_met() -> None:
    with (OURS / "ore_example15.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["trade"] for row in rows}) == TRADE_COUNT
    check([pair for row in rows for pair in expected_of(*row.values())])


def test_nothing_the_example_asks_for_is_left_unread() -> None:
    assert read_sensitivities(EXAMPLE / "input_sensitivity.xml", reduced()).unread == ()
