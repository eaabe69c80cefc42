"""The worst scenarios of a group, and which children drive them."""

from __future__ import annotations

import msgspec
import numpy as np

from xip_core.errors import ArgumentError
from xip_core.risk.contributions import total_of
from xip_core.risk.measures import Floats


class Driver(msgspec.Struct, frozen=True):
    """A child's P&L in a scenario."""

    child: int
    pnl: float


class WorstScenario(msgspec.Struct, frozen=True):
    """One scenario of a group.

    Attributes:
        scenario: column of the P&Ls given.
        pnl: of the group.
        drivers: the children that lose most in it, the worst first; children without a loss are none.
        other_pnl: of all other children together, so that drivers and others add up to *pnl* (to rounding).
    """

    scenario: int
    pnl: float
    drivers: tuple[Driver, ...]
    other_pnl: float


def worst_scenarios(children: Floats, count: int, driver_count: int = 5) -> tuple[WorstScenario, ...]:
    """
    The *count* lowest P&Ls of the sum of *children*, the lowest first; of equal ones the lower scenario number first.

    Args:
        children: P&Ls, float64 (C, S), finite, without the base.
        count: at least 1; all scenarios where there are fewer.
        driver_count: at most so many drivers a scenario.

    Raises:
        ArgumentError: BAD_PNL, BAD_COUNT.
    """
    if count < 1 or driver_count < 0:
        sentence = f"count must be at least 1 and driver_count at least 0, got {count} and {driver_count}"
        raise ArgumentError("BAD_COUNT", sentence)
    total = total_of(children)
    if not np.isfinite(total).all():
        scenario = int(np.flatnonzero(~np.isfinite(total))[0])
        raise ArgumentError("BAD_PNL", f"pnl must be finite, got {total[scenario]} in scenario {scenario}")
    order = np.argsort(total, kind="stable")[:count]
    return tuple(_scenario(children[:, at], at, float(total[at]), driver_count) for at in order.tolist())


def _scenario(pnl: Floats, scenario: int, total: float, driver_count: int) -> WorstScenario:
    order = [child for child in np.argsort(pnl, kind="stable")[:driver_count].tolist() if pnl[child] < 0.0]
    drivers = tuple(Driver(child, float(pnl[child])) for child in order)
    others = np.delete(pnl, order)
    return WorstScenario(scenario, total, drivers, float(np.add.accumulate(others)[-1]) if len(others) else 0.0)
