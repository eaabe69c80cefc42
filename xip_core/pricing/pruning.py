"""Which scenarios of a tile can be seen by its rows; the others have the base's numbers, and nobody computes them.

A cell is a function of its row and of its column of the market alone (pricing.value), and of a column it reads the
factors that its row's program names. So where a scenario's column equals the base's, bit for bit, in every factor that
any row of the tile names, the numbers of the base are the tile's numbers: the bytes are the same with pruning and
without it. A factor that failed to calibrate is NaN and so differs; zeros of two signs differ as well.

Of several scenarios that are alike in these factors (corners of cross gammas, a rate this tile does not know beside one
it does) the first is computed and the others copy it.

What is left is evaluated on a market of its own, without the scenarios that are copied; factors nobody names are NaN
there, so that a name forgotten here would show as a cell without a number. The base stands apart: 65 columns would be
a block of 64 and one of a single column, which costs as much as the other.

Cost: reading the named factors of all scenarios once, some 60 rows of the market for a tile of swaps in one currency,
against as many multiplications for each of its rows. Planners put rows of one currency and underlying next to each
other, which keeps the factors of a tile few.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.kernels import tile_cells
from xip_core.pricing.program import Floats
from xip_core.pricing.tile import Columns
from xip_core.pricing.value import row_values

_NOT_OF_THE_MARKET = "cash_factor"
"""The one list of factors that are places in another matrix (program.py)."""


class PrunedValues(msgspec.Struct, frozen=True):
    """PVs of the rows of a tile.

    Attributes:
        values: float64 (R, S).
        base: float64 (R, 1).
        pruned_count: scenarios among the S that were copied, from the base or from their like.
    """

    values: Floats
    base: Floats
    pruned_count: int


def used_factors(columns: Columns, factor_count: int) -> npt.NDArray[np.int64]:
    """Factors that any row of a resolve tile names, ascending: rows of the market."""
    is_used = np.zeros(factor_count, dtype=np.bool_)
    for name, column in columns.items():
        if name.endswith("_factor") and name != _NOT_OF_THE_MARKET:
            tile_cells.mark(is_used, column)
    widths = np.unique(columns["smile_width"]) if len(columns["smile_begin"]) else ()
    for width in widths:
        begins = columns["smile_begin"][columns["smile_width"] == width]
        is_used[begins[:, None] + np.arange(width)] = True
    return np.flatnonzero(is_used)


def rows_at_base(columns: Columns, base: Floats) -> Columns:
    """
    What every block of scenarios needs of the same rows: the factors they name, and their values under the base.

    Args:
        columns: of a resolve tile (program.py). base: float64 (F, 1).

    Returns:
        `factors` i8 (n,), `values` f8 (R, 1), and `market`, *base* itself.
    """
    return {"factors": used_factors(columns, len(base)), "values": row_values(columns, base), "market": base}


def pruned_values(
    columns: Columns, market: Floats, base: Floats, has_base: bool, at_base: Columns | None = None
) -> PrunedValues:
    """
    PVs of every row under the base and every scenario, computed where they may differ from the base's.

    Args:
        columns: of a resolve tile (program.py).
        market: float64 (F, S), the scenarios. base: float64 (F, 1).
        has_base: whether the first scenario is the base.
        at_base: `rows_at_base` of the same rows, where it is known.
    """
    at_base = at_base or rows_at_base(columns, base)
    factors, of_base = at_base["factors"], at_base["values"]
    kept, version_of = tile_cells.versions(market, base, factors)
    if len(kept) == len(version_of):
        found = row_values(columns, market)
    else:
        found = np.repeat(of_base, len(version_of), axis=1)
        differing = np.flatnonzero(version_of >= 0)
        if len(differing):
            found[:, differing] = row_values(columns, _only(market, factors, kept))[:, version_of[differing]]
    pruned_count = len(version_of) - len(kept) - has_base  # the base is nobody's copy
    return PrunedValues(found, of_base, int(pruned_count))


def _only(market: Floats, factors: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]) -> Floats:
    """The market of the scenarios *chosen*, NaN but in *factors*."""
    narrowed = np.full((len(market), len(chosen)), np.nan)
    narrowed[factors] = market[factors[:, None], chosen]
    return narrowed
