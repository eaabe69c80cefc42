"""The moves between two snapshots as scenarios: what a P&L explain values a book under.

    base        the beginning
    CLASS up    every quote of the class moved by *step* times what it moved, and CLASS down, by as much the other way
    joint up    all classes but VOLATILITY at once, and joint down

Differences of values along a direction are derivatives along it: (up - down) / 2 step is the first order of the whole
move of a class, whatever its hundred quotes did, and (up + down - 2 base) / 2 step^2 half the second, cross terms
inside it included. So an explain costs two scenarios a class, and needs no ladder.

Quotes are compared by name. One that is missing or text on either side cannot move: it is listed, and what it did is
residual. FX points and equity forward prices have moves of their own; they do not follow their spots here.
"""

from __future__ import annotations

import msgspec
import numpy as np

from xip_core.errors import RequestError
from xip_core.model.market import Snapshot
from xip_core.model.risk_class import RISK_CLASSES, RiskClass
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet
from xip_core.model.scenario_table import shift_table

STEP = 0.125
"""Of a move: the third order is a 64th of itself in the first, and rounding of values 1e-11 of them in the second."""

VOLATILITY: RiskClass = "VOLATILITY"
JOINT = "joint"


class Moves(msgspec.Struct, frozen=True):
    """What moved, and the scenarios of it.

    Attributes:
        scenarios: base, then up and down of each direction.
        directions: the classes that moved, in the order of RISK_CLASSES, and JOINT where any but VOLATILITY did.
        moved_count: quotes that moved.
        unmatched: quotes of the beginning's objects that the end does not have as a number, or the other way round.
    """

    scenarios: ScenarioSet
    directions: tuple[str, ...]
    moved_count: int
    unmatched: tuple[str, ...]
    step: float = STEP


def moves_between(begin: Snapshot, end: Snapshot, step: float = STEP) -> Moves:
    """
    Raises:
        RequestError: BAD_BASE_CURRENCY, the snapshots have different ones; BAD_STEP.
    """
    if begin.base_currency != end.base_currency:
        sentence = f"both snapshots must have one base currency, got {begin.base_currency} and {end.base_currency}"
        raise RequestError("BAD_BASE_CURRENCY", sentence)
    if not 0.0 < step <= 1.0:
        raise RequestError("BAD_STEP", f"step must be above 0 and at most 1, got {step}")
    market = ScenarioMarket(begin)
    sizes: dict[str, float] = {}
    classes: dict[str, RiskClass] = {}
    unmatched = []
    for quote in begin.quotes:
        risk_class = market.risk_class_of(quote)
        if risk_class is None:
            continue  # no object reads it
        before, after = begin.quotes[quote], end.quotes.get(quote)
        if isinstance(before, str) or after is None or isinstance(after, str):
            unmatched.append(quote)
        elif after != before:
            sizes[quote], classes[quote] = after - before, risk_class
    unmatched += [quote for quote in end.quotes if quote not in begin.quotes]
    return _moves(sizes, classes, tuple(unmatched), step)


def _moves(sizes: dict[str, float], classes: dict[str, RiskClass], unmatched: tuple[str, ...], step: float) -> Moves:
    """One table: a row a quote that moved, two columns a direction."""
    moved = [risk_class for risk_class in RISK_CLASSES if risk_class in classes.values()]
    directions: list[str] = [*moved]
    if any(risk_class != VOLATILITY for risk_class in moved):
        directions.append(JOINT)
    names = [Scenario(name="base")]
    names += [Scenario(name=f"{name} {way}") for name in directions for way in ("up", "down")]
    if not sizes:
        return Moves(ScenarioSet(scenarios=tuple(names)), (), 0, unmatched, step)
    matrix = np.zeros((len(sizes), 2 * len(directions)))
    for row, (quote, size) in enumerate(sizes.items()):
        for at, direction in enumerate(directions):
            if direction == classes[quote] or (direction == JOINT and classes[quote] != VOLATILITY):
                matrix[row, 2 * at : 2 * at + 2] = step * size, -step * size
    table = shift_table("absolute", tuple(sizes), matrix)
    return Moves(ScenarioSet(scenarios=tuple(names), tables=(table,)), tuple(directions), len(sizes), unmatched, step)
