"""Which scenarios of a block see a different object than the base, and which of them see the same one.

A scenario of a ladder moves one quote of some thousand; most objects of most scenarios are the base's. A scenario sees
another object than the base where one of the object's quotes has other bits than in the snapshot, or where it sees
another parent; two see the same one where all of these are the same. An object nobody changed costs one look at its
quotes and parents.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.kernels import tile_cells
from xip_core.model.scenario import QuoteMatrix
from xip_core.pricing.market_layout import SnapshotLayout

Ints = npt.NDArray[np.int64]


class Versions(msgspec.Struct, frozen=True):
    """Of one object in a block.

    Attributes:
        columns: (V,) scenarios of the block to build it for, one per distinct version.
        version_of: (S,) for each scenario its position in `columns`, -1 for the base.
    """

    columns: Ints
    version_of: Ints


class BlockVersions:
    """Ask for objects in building order: parents first."""

    def __init__(self, layout: SnapshotLayout, changed: QuoteMatrix) -> None:
        self._layout = layout
        self._row_of = {quote: row for row, quote in enumerate(changed.quotes)}
        self._bits: Ints = np.ascontiguousarray(changed.values).view(np.int64)
        self._is_changed = self._bits != changed.base.view(np.int64)[:, None]
        count = changed.values.shape[1]
        self._base = Versions(np.empty(0, dtype=np.int64), np.full(count, -1, dtype=np.int64))
        self._known: dict[str, Versions] = {}

    def of(self, name: str) -> Versions:
        """The versions of one object."""
        item = self._layout.objects[name]
        rows = [row for row in (self._row_of.get(use.quote) for use in item.quotes) if row is not None]
        found = [self._known[parent].version_of for parent in item.parents]
        parents = [keys for keys in found if keys is not self._base.version_of]
        is_touched = self._is_changed[rows].any(axis=0)
        for keys in parents:
            is_touched |= keys >= 0
        touched = np.flatnonzero(is_touched)
        if not len(touched):
            self._known[name] = self._base
            return self._base
        keys = np.concatenate((self._bits[rows][:, touched], *(keys[None, touched] for keys in parents)))
        first, version_of = tile_cells.versions(keys.view(np.float64), None, np.arange(len(keys)))
        versions = np.full(len(is_touched), -1, dtype=np.int64)
        versions[touched] = version_of
        known = self._known[name] = Versions(touched[first], versions)
        return known


def of_columns(market: npt.NDArray[np.float64], columns: Ints) -> npt.NDArray[np.float64]:
    """The market of some columns, which ascend: itself where they are all. Not to be changed."""
    return market if len(columns) == market.shape[1] else market[:, columns]
