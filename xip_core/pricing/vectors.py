"""Vectors: P&L of every leaf group under every scenario, and the sums of the base, as reduce nodes put them out.

    pnl             f8 (G, S), sum of pv(s) - pv(base) over the rows used
    rows_used       i4 (G, S)
    rows_expected   i4 (G,), whatever the scenario
    base            f8 (G, 1 + M), pv and the measures beside it; on the block of the base only

A block is some scenarios of all groups. `read_vector` puts a whole vector together again; 500 scenarios of 1,000 leaf
groups are 6 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import XipError

if TYPE_CHECKING:
    from xip_core.graph.plan import Node
    from xip_core.pricing.tile import Columns, TileData

Floats = npt.NDArray[np.float64]


class Vector(msgspec.Struct, frozen=True, eq=False):
    """G leaf groups, S scenarios, M measures beside pv.

    Attributes:
        pnl: (G, S); column 0, the base, is 0.
        rows_used, rows_expected: (G, S) and (G,) int32.
        base: (G, 1 + M).
    """

    pnl: Floats
    rows_used: npt.NDArray[np.int32]
    rows_expected: npt.NDArray[np.int32]
    base: Floats


def read_vector(node: Node, data: TileData) -> Vector:
    """
    The vector that *node* puts out, from all its tiles.

    Raises:
        XipError: one of them was given up.
    """
    blocks = [vector_block(node, tile, data) for tile in range(node.tile_count)]
    first = blocks[0]
    return Vector(
        pnl=np.concatenate([block["pnl"] for block in blocks], axis=1),
        rows_used=np.concatenate([block["rows_used"] for block in blocks], axis=1),
        rows_expected=first["rows_expected"],
        base=first["base"],
    )


def vector_block(node: Node, tile: int, data: TileData) -> Columns:
    """
    Raises:
        XipError: the tile was given up.
    """
    block = data.output(node.node_id, tile)
    if not block:
        raise XipError(f"tile {tile} of node {node.name!r} must have a result, it was given up")
    return block
