"""Which market objects the rows of a resolve tile read: what tells another run whether a changed quote concerns them.

Two lists are joined, so that neither can forget one. The objects that rows name (`object_names`, those whose failure
fails a row); and those behind every factor that stands in a column of factors, whatever program wrote it: a value tile
reads the market vector nowhere else.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xip_core.kernels import tile_cells
from xip_core.pricing.layout import Refs
from xip_core.pricing.tile import Columns


class FactorRanges(Protocol):
    """What is asked of a layout."""

    @property
    def factor_count(self) -> int: ...

    def objects_of(self, refs: Refs) -> tuple[str, ...]: ...


FACTOR_SUFFIX = "_factor"
"""Columns of positions in the market vector end so (`pricing.program`)."""

NO_FACTORS = frozenset({"cash_factor"})
"""But for this one, which holds positions of options."""


def needed_objects(resolved: Columns, named: list[str], layout: FactorRanges) -> tuple[str, ...]:
    """
    Names, sorted.

    Args:
        named: the decoded `object_names`.
    """
    is_read = np.zeros(layout.factor_count, dtype=np.bool_)
    for name, column in resolved.items():
        if name.endswith(FACTOR_SUFFIX) and name not in NO_FACTORS:
            tile_cells.mark(is_read, column)
    for begin, width in zip(resolved.get("smile_begin", ()), resolved.get("smile_width", ()), strict=True):
        is_read[begin : begin + width] = True
    factors = np.flatnonzero(is_read).tolist()
    behind = layout.objects_of(tuple((factor, 1.0) for factor in factors))
    return tuple(sorted({*named, *behind}))
