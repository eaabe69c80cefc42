"""What evaluating one tile takes and gives; the seam between the worker's executor and pricing.

`evaluate_tile(plan, node_id, tile, data, is_cancelled)` in `xip_core.pricing.evaluate` is a pure function of the plan
and the bytes it names: the same tile gives the same bytes on any worker, any number of times.
"""

from __future__ import annotations

import math
from typing import Protocol

import msgspec
import numpy as np

Columns = dict[str, np.ndarray]
"""Named arrays, C order, little-endian; the order of insertion is the order on the wire."""


class TileData(Protocol):
    """Where an evaluation finds its inputs. Both calls may block on the network and are cached by the worker."""

    def blob(self, digest: str) -> bytes:
        """Content of an uploaded blob."""

    def output(self, node_id: int, tile: int) -> Columns:
        """Output columns of a finished tile of an earlier node."""

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        """Process-wide bounded memo for what is derived from blobs (a decoded book, a layout); make() once per key."""


class Maker(Protocol):
    def __call__(self) -> object: ...


class QuarantinedCells(msgspec.Struct, frozen=True):
    """Scenarios [scenario_begin, scenario_end) of book row *row* have no number, and why."""

    row: int
    scenario_begin: int
    scenario_end: int
    trade_id: str
    reason: int
    message: str


class TileValue(msgspec.Struct, frozen=True):
    """Result of one tile.

    Attributes:
        output: what downstream nodes read.
        detail: what clients stream; empty for resolve and calibrate.
        cell_count: cells of the tile that are now decided, quarantined ones included.
        quarantine: the cells among them without a number.
        pruned_cells: the cells among them that were not computed, because their scenario leaves their row alone.
        objects: names of the market objects that the rows of a resolve tile need, sorted.
        remake_s: of one core, what *output* takes where only blobs are at hand; infinite where nobody knows, or where
            it takes outputs of other tiles.
    """

    output: Columns
    detail: Columns
    cell_count: int
    quarantine: tuple[QuarantinedCells, ...] = ()
    pruned_cells: int = 0
    objects: tuple[str, ...] = ()
    remake_s: float = math.inf


class TileCancelledError(Exception):
    """The lease was revoked while the tile was evaluated; nothing is reported."""
