"""What calibrated scenarios would take to make again, so that a worker can tell whether sending them is worth it.

Processor time is measured where a block is made, by the thread that makes it, and kept with what is known of the market
(`calibrate_again`): a process that goes on from an earlier market is faster than one that has none, and says what that
one would take. It decides what travels, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from xip_core.model.market import Snapshot
from xip_core.model.scenario import ScenarioSet
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.calibrate_again import known_blocks_of
from xip_core.pricing.market_layout import SnapshotLayout


def remake_s(
    snapshot: Snapshot,
    layout: SnapshotLayout,
    scenarios: ScenarioSet,
    scenario_begin: int,
    scenario_end: int,
    risk_classes: Collection[str],
    tile_count: int,
) -> float:
    """
    Seconds of one core that the tile just calibrated takes where nothing is known of its market.

    Args:
        tile_count: tiles that share the base market, each of which is charged its part.

    Returns:
        As measured here, also where this process has gone on from an earlier market; infinite where it has not
        calibrated the scenarios, or has forgotten them.
    """
    block = (scenarios, scenario_begin, scenario_end, risk_classes)
    known = known_blocks_of(layout).find(*block, snapshot.quotes)
    if known is None:
        return math.inf
    return known.made_s + calibrator_of(snapshot, layout).base_made_s / tile_count
