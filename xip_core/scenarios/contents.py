"""What a scenario set holds, and what it touches in a market."""

from __future__ import annotations

import msgspec

from xip_core.model.risk_class import RISK_CLASSES
from xip_core.model.scenario import ScenarioMarket, ScenarioSet

BLOCK_SCENARIOS = 256
"""Scenarios applied at once: the array of a block of 2,000 quotes is 4 MB."""


class Touched(msgspec.Struct, frozen=True):
    """Of one scenario in a market.

    Attributes:
        quotes: by risk class, in the order of RISK_CLASSES.
        curves: shifted after calibration.
        objects: that have other numbers than in the base, directly or through others.
    """

    name: str
    quotes: tuple[int, ...]
    curves: int
    objects: int

    @property
    def quote_count(self) -> int:
        return sum(self.quotes)


def touched(scenarios: ScenarioSet, market: ScenarioMarket) -> list[Touched]:
    """
    One entry a scenario, the base first.

    Raises:
        RequestError: the set does not fit the market.
    """
    market.check(scenarios)
    found: list[Touched] = []
    count = len(scenarios.scenarios)
    for begin in range(0, count, BLOCK_SCENARIOS):
        end = min(begin + BLOCK_SCENARIOS, count)
        changed = market.quote_matrix(scenarios, begin, end).changed()
        curves: list[set[str]] = [set() for _ in changed]
        for shift in market.object_shifts(scenarios, begin, end):
            neutral = 1.0 if shift.kind == "factor" or shift.is_of_factor else 0.0
            for position, moves in enumerate((shift.sizes != neutral).any(axis=0).tolist()):
                if moves:
                    curves[position].add(shift.market_object)
        for position, quotes in enumerate(changed):
            classes = [market.risk_class_of(quote) for quote in quotes]
            found.append(
                Touched(
                    scenarios.scenarios[begin + position].name,
                    tuple(classes.count(one) for one in RISK_CLASSES),
                    len(curves[position]),
                    len(market.reached_by(quotes) | curves[position]),
                )
            )
    return found
