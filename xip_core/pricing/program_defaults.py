"""The part of a row program that is default: CDS under the ISDA standard model.

Where a row of the tile has such a part, N steps [a, b] between P points, days on a pair of curves; what a step is worth
per unit of the row's own currency is in kernels.default_steps::

    default_discount_ptr, _factor, _weight   per point, log of the discount factor; default_survival_.. of survival
    default_begin, default_end i4 (N)        points of a step
    default_ptr i4 (R + 1), default_step i4, default_amount, default_growth f8   steps of a row and what multiplies them

Contracts on one name that share dates share points and steps.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from xip_core.pricing.tile import Columns

if TYPE_CHECKING:
    from xip_core.pricing.program import PointArrays


class DefaultItem(msgspec.Struct, frozen=True):
    """Default in one step: *amount* per unit of its protection integral, *growth* per unit of its accrual integral.

    Attributes:
        begin, end: log discount factor and log survival, a use of a point each (program.py).
    """

    begin: tuple[int, int]
    end: tuple[int, int]
    amount: float
    growth: float


def default_columns(defaults_per_row: list[list[DefaultItem]], points: PointArrays) -> Columns:
    """The columns above; none where no row has a default."""
    listed = list(chain.from_iterable(defaults_per_row))
    if not listed:
        return {}
    places: dict[tuple[int, int], int] = {}
    steps: dict[tuple[int, int], int] = {}
    numbers = []
    for item in listed:
        ends = (places.setdefault(item.begin, len(places)), places.setdefault(item.end, len(places)))
        numbers.append(steps.setdefault(ends, len(steps)))
    sizes = [0, *(len(items) for items in defaults_per_row)]
    columns: Columns = {
        "default_begin": np.array([begin for begin, _ in steps], dtype=np.int32),
        "default_end": np.array([end for _, end in steps], dtype=np.int32),
        "default_ptr": np.cumsum(sizes, dtype=np.int32),
        "default_step": np.array(numbers, dtype=np.int32),
        "default_amount": np.array([item.amount for item in listed], dtype=np.float64),
        "default_growth": np.array([item.growth for item in listed], dtype=np.float64),
    }
    for position, curve in enumerate(("discount", "survival")):
        sparse = points.flatten([(place[position],) for place in places])
        columns[f"default_{curve}_ptr"] = sparse.ptr
        columns[f"default_{curve}_factor"] = sparse.factor
        columns[f"default_{curve}_weight"] = sparse.weight
    return columns
