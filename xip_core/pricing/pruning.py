"""Which scenarios of a tile can be seen by its rows; the others have the base's numbers, and nobody computes them.

A cell is a function of its row and of its column of the market alone (pricing.value), and of a column it reads the
factors that its row's program names. So where a scenario's column equals the base's, bit for bit, in every factor that
any row of the tile names, the numbers of the base are the tile's numbers: the bytes are the same with pruning and
without it. A factor that failed to calibrate is NaN and so differs; zeros of two signs differ as well.

Of several scenarios that are alike in these factors (corners of cross gammas, a rate this tile does not know beside one
it does) the first is computed and the others copy it.

What is left is evaluated on a market of its own: the base in front, then the scenarios that differ; factors nobody
names are NaN there, so that a name forgotten here would show as a cell without a number.

Cost: reading the named factors of all scenarios once, some 60 rows of the market for a tile of swaps in one currency,
against as many multiplications for each of its rows. Planners put rows of one currency and underlying next to each
other, which keeps the factors of a tile few.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.pricing.program import Floats
from xip_core.pricing.tile import Columns
from xip_core.pricing.value import row_values

Flags = npt.NDArray[np.bool_]

_NOT_OF_THE_MARKET = "cash_factor"
"""The one list of factors that are places in another matrix (program.py)."""


class PrunedValues(msgspec.Struct, frozen=True):
    """PVs of the rows of a tile.

    Attributes:
        values: float64 (R, 1 + S) with the base in front, or (R, S) where the scenarios begin with the base.
        pruned_count: scenarios among the S that were copied, from the base or from their like.
    """

    values: Floats
    pruned_count: int


def used_factors(columns: Columns, factor_count: int) -> npt.NDArray[np.int64]:
    """Factors that any row of a resolve tile names, ascending: rows of the market."""
    is_used = np.zeros(factor_count, dtype=np.bool_)
    for name, column in columns.items():
        if name.endswith("_factor") and name != _NOT_OF_THE_MARKET:
            is_used[column] = True
    widths = np.unique(columns["smile_width"]) if len(columns["smile_begin"]) else ()
    for width in widths:
        begins = columns["smile_begin"][columns["smile_width"] == width]
        is_used[begins[:, None] + np.arange(width)] = True
    return np.flatnonzero(is_used)


def differing_scenarios(market: Floats, base: Floats, factors: npt.NDArray[np.int64]) -> Flags:
    """
    Whether each scenario differs from the base in any of *factors*, in any bit; (S,).

    Args:
        market: float64 (F, S). base: float64 (F, 1).
    """
    own, of_base = np.ascontiguousarray(market).view(np.int64), np.ascontiguousarray(base).view(np.int64)
    differs: Flags = (own[factors] != of_base[factors]).any(axis=0)
    return differs


def pruned_values(columns: Columns, market: Floats, base: Floats, has_base: bool) -> PrunedValues:
    """
    PVs of every row under the base and every scenario, computed where they may differ from the base's.

    Args:
        columns: of a resolve tile (program.py).
        market: float64 (F, S), the scenarios. base: float64 (F, 1).
        has_base: whether the first scenario is the base.
    """
    factors = used_factors(columns, len(market))
    differs = differing_scenarios(market, base, factors)
    if has_base:
        differs[0] = True
    chosen = np.flatnonzero(differs)
    first = 1 if has_base else 0  # of the chosen ones that stand behind the base
    seen = market[factors[:, None], chosen[first:]]
    kept, same_as = distinct_scenarios(seen)
    narrowed = np.full((len(market), 1 + len(kept)), np.nan)
    narrowed[factors, 0] = base[factors, 0]
    narrowed[factors, 1:] = seen[:, kept]
    found = row_values(columns, narrowed)
    if len(kept) == len(differs) - first:
        return PrunedValues(found, 0)
    values = np.empty((len(found), len(differs) + 1 - first))
    values[:] = found[:, :1]
    values[:, chosen[first:] + 1 - first] = found[:, 1 + same_as]
    return PrunedValues(values, len(differs) - first - len(kept))


def distinct_scenarios(seen: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """
    Scenarios that differ in any bit from all before them, and for each scenario the place of its like among these.

    Args:
        seen: float64 (used factors, S).
    """
    places: dict[bytes, int] = {}
    kept, same_as = [], []
    for at, column in enumerate(np.ascontiguousarray(seen.T)):
        key = column.tobytes()
        place = places.setdefault(key, len(places))
        if place == len(kept):
            kept.append(at)
        same_as.append(place)
    return np.array(kept, dtype=np.int64), np.array(same_as, dtype=np.int64)
