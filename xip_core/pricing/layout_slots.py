"""Where the factors of market objects are, and how a day becomes weights on those of its curve."""

from __future__ import annotations

import bisect

import msgspec
import numpy as np

from xip_core.model.dates import DayNumbers
from xip_core.model.market_instruments import CurveDefinition
from xip_core.pricing.curves_interpolation import Interpolator
from xip_core.pricing.curves_pillars import Instrument
from xip_core.pricing.layout import RefArrays, Refs
from xip_core.pricing.monotone_convex import NodeGrid

YEAR_DAYS = 365.0


class CurveSlot(msgspec.Struct, frozen=True):
    """Where a curve's factors are.

    Attributes:
        knot_days: ascending, after the as-of date.
        instruments: in pillar order, one per knot.
        reference: the curve a zero-spread curve stands on, else "".
        interpolator: of another interpolation than log-linear.
    """

    definition: CurveDefinition
    begin: int
    knot_days: tuple[int, ...]
    instruments: tuple[Instrument, ...]
    reference: str
    interpolator: Interpolator | None = None

    @property
    def grid(self) -> NodeGrid | None:
        """Of a curve with other factors than its knots."""
        return self.interpolator if isinstance(self.interpolator, NodeGrid) else None


class PillarSlot(msgspec.Struct, frozen=True):
    """Factors at pillar days: an equity (whose spot comes first), a commodity, a hazard curve."""

    begin: int
    knot_days: tuple[int, ...]


def combine_refs(*parts: tuple[float, Refs]) -> Refs:
    """Sum of scale * refs, sorted by factor, zero weights dropped."""
    total: dict[int, float] = {}
    for scale, refs in parts:
        for factor, weight in refs:
            total[factor] = total.get(factor, 0.0) + scale * weight
    return tuple([pair for pair in sorted(total.items()) if pair[1] != 0.0])


def forward_weights(knot_days: tuple[int, ...], begin: int, as_of_day: int, day: int) -> Refs:
    """Log-linear interpolation with an implicit knot 0 at the as-of date, last slope continued."""
    if day <= as_of_day:
        return ()
    position = bisect.bisect_left(knot_days, day)
    if position < len(knot_days) and knot_days[position] == day:
        return ((begin + position, 1.0),)
    position = min(position, len(knot_days) - 1)
    if position == 0:
        return ((begin, (day - as_of_day) / (knot_days[0] - as_of_day)),)
    left, right = knot_days[position - 1], knot_days[position]
    weight = (day - left) / (right - left)
    return ((begin + position - 1, 1.0 - weight), (begin + position, weight))


def forward_weight_arrays(knot_days: tuple[int, ...], begin: int, as_of_day: int, days: DayNumbers) -> RefArrays:
    """`forward_weights` of many days at once: the same factors, the same weights to the bit."""
    knots = np.array(knot_days, dtype=np.int64)
    position = np.minimum(np.searchsorted(knots, days), len(knots) - 1)
    right = knots[position]
    left = np.where(position > 0, knots[position - 1], as_of_day)
    is_future = days > as_of_day
    is_knot = right == days
    is_between = is_future & ~is_knot & (position > 0)
    weight = np.where(is_knot, 1.0, (days - left) / (right - left))
    is_used = np.stack((is_between, is_future), axis=1)
    factors = np.stack((begin + position - 1, begin + position), axis=1)[is_used]
    weights = np.stack((1.0 - weight, weight), axis=1)[is_used]
    return RefArrays(is_used.sum(axis=1), factors, weights)
