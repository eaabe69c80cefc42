"""Which scenarios of a block see a different object than the base, and which of them see the same one.

A scenario of a ladder moves one quote of some thousand; most objects of most scenarios are the base's. So each changed
quote is looked up once, by the objects it goes into, and an object nobody changed costs one look at its parents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.pricing.market_layout import SnapshotLayout

Ints = npt.NDArray[np.int64]

Own = tuple[tuple[str, float], ...]
"""The changed quotes of one object in one scenario, by name."""


class Versions(msgspec.Struct, frozen=True):
    """Of one object in a block.

    Attributes:
        columns: (V,) scenarios of the block to build it for, one per distinct version.
        version_of: (S,) for each scenario its position in `columns`, -1 for the base.
    """

    columns: Ints
    version_of: Ints


def users_of_quotes(layout: SnapshotLayout) -> dict[str, tuple[str, ...]]:
    """Quote -> objects that are made from it directly."""
    users: dict[str, dict[str, None]] = {}
    for name, item in layout.objects.items():
        for use in item.quotes:
            users.setdefault(use.quote, {})[name] = None
    return {quote: tuple(names) for quote, names in users.items()}


class BlockVersions:
    """Ask for objects in building order: parents first."""

    def __init__(
        self, layout: SnapshotLayout, users: Mapping[str, tuple[str, ...]], changed: Sequence[Mapping[str, float]]
    ) -> None:
        """
        Args:
            changed: per scenario of the block its quotes that are not the snapshot's.
        """
        self._layout = layout
        self._count = len(changed)
        self._base = Versions(np.empty(0, dtype=np.int64), np.full(len(changed), -1, dtype=np.int64))
        self._own: dict[str, dict[int, Own]] = {}
        for column, quotes in enumerate(changed):
            found: dict[str, list[tuple[str, float]]] = {}
            for quote in sorted(quotes):
                for name in users.get(quote, ()):
                    found.setdefault(name, []).append((quote, quotes[quote]))
            for name, own in found.items():
                self._own.setdefault(name, {})[column] = tuple(own)
        self._known: dict[str, Versions] = {}

    def of(self, name: str) -> Versions:
        """The versions of one object."""
        own = self._own.get(name, {})
        parents = [self._known[parent].version_of for parent in self._layout.objects[name].parents]
        parents = [keys for keys in parents if keys is not self._base.version_of]
        touched = sorted({*own, *(int(column) for keys in parents for column in np.flatnonzero(keys >= 0))})
        if not touched:
            self._known[name] = self._base
            return self._base
        version_of = np.full(self._count, -1, dtype=np.int64)
        seen: dict[tuple[object, ...], int] = {}
        columns: list[int] = []
        for column in touched:
            key = (own.get(column, ()), *(int(keys[column]) for keys in parents))
            version = seen.setdefault(key, len(columns))
            if version == len(columns):
                columns.append(column)
            version_of[column] = version
        found = self._known[name] = Versions(np.array(columns, dtype=np.int64), version_of)
        return found
