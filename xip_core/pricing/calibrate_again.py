"""A block of scenarios calibrated for one market, and what of it stands in the next one.

After a tick most objects of the market have, in every scenario of a block, the quotes they had, and so have all that
they are built on. Their factors are copied from the block before; only what the changed quotes reach is solved again.
Which quotes changed is seen in the numbers themselves, of the snapshots and of the scenarios' quote matrices, so no
theory of shifts is needed. A column of an object follows from its own quotes and its parents alone, and all columns of
an object are solved together or not at all: what is copied is what would come out, to the byte.

    kept: the latest blocks of a layout up to `BLOCKS_BYTES_MAX`, 0.9 MB each for 1,800 factors and 64 scenarios
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure
from xip_core.model.scenario import QuoteMatrix, ScenarioMarket, ScenarioSet
from xip_core.model.scenario_matrix import QuoteBlock
from xip_core.pricing.market_layout import SnapshotLayout

Floats = npt.NDArray[np.float64]
Failures = Mapping[tuple[str, int], Failure]

BLOCKS_BYTES_MAX = 64 << 20

BLOCKS_PER_KEY_MAX = 2
"""Ticks may follow each other, or each begin at the same market: whichever it is, the block to begin with is kept."""

COMPARED_MAX = 8
"""Pairs of snapshots whose difference is remembered: every block of a tick is held against the same few."""


class KnownBlock(msgspec.Struct, frozen=True):
    """
    Attributes:
        scenarios: kept, so that no other set is taken for it.
        market: (F, S), before curves are shifted.
        failures: by (object, column), in the order of the objects.
        shifts: what made *changed*, to be applied to other quotes.
        made_s: of one core, what it takes from the base alone.
    """

    scenarios: ScenarioSet
    quotes: Mapping[str, float | str]
    changed: QuoteMatrix
    market: Floats
    failures: Failures
    shifts: QuoteBlock | None = None
    made_s: float = 0.0


class KnownBase(msgspec.Struct, frozen=True):
    """
    The base market of a snapshot, (F,), and its failures by object.

    Attributes:
        made_s: of one core, what it takes from the quotes alone.
    """

    quotes: Mapping[str, float | str]
    market: Floats
    failures: Mapping[str, Failure]
    made_s: float


BlockKey = tuple[int, int, int, tuple[str, ...]]


class KnownBlocks:
    """The latest blocks of a layout; shared between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: OrderedDict[BlockKey, list[KnownBlock]] = OrderedDict()  # of each key, last used last
        self._size_bytes = 0

    def find(
        self,
        scenarios: ScenarioSet,
        begin: int,
        end: int,
        risk_classes: Collection[str],
        quotes: Mapping[str, float | str],
    ) -> KnownBlock | None:
        """Of the blocks of these scenarios the one from which fewest *quotes* differ."""
        key = (id(scenarios), begin, end, tuple(risk_classes))
        with self._lock:
            candidates = list(self._blocks.get(key, ()))
        if not candidates:
            return None
        nearest = min(reversed(candidates), key=lambda block: len(changed_quotes(block.quotes, quotes)))
        with self._lock:
            self._blocks.get(key, []).sort(key=lambda block: block is nearest)  # stable: it comes last
        return nearest

    def keep(self, block: KnownBlock, begin: int, end: int, risk_classes: Collection[str]) -> None:
        key = (id(block.scenarios), begin, end, tuple(risk_classes))
        with self._lock:
            of_key = self._blocks.pop(key, [])
            of_key.append(block)
            self._blocks[key] = of_key
            self._size_bytes += block.market.nbytes
            if len(of_key) > BLOCKS_PER_KEY_MAX:
                self._drop_oldest(of_key)
            while self._size_bytes > BLOCKS_BYTES_MAX:
                oldest = next(iter(self._blocks))
                self._drop_oldest(self._blocks[oldest])
                if not self._blocks[oldest]:
                    del self._blocks[oldest]

    def _drop_oldest(self, of_key: list[KnownBlock]) -> None:
        self._size_bytes -= of_key.pop(0).market.nbytes


def known_blocks_of(layout: SnapshotLayout) -> KnownBlocks:
    blocks = layout.derived.setdefault("known_blocks", KnownBlocks())
    assert isinstance(blocks, KnownBlocks), blocks
    return blocks


def reached_since(
    known: KnownBlock, quotes: Mapping[str, float | str], changed: QuoteMatrix, market: ScenarioMarket
) -> frozenset[str]:
    """Objects that are other than in *known*, in the base or in a scenario."""
    names = changed_quotes(known.quotes, quotes)
    rows = {name: row for row, name in enumerate(changed.quotes)}
    rows_before = {name: row for row, name in enumerate(known.changed.quotes)}
    names.update(rows.keys() ^ rows_before.keys())
    both = [name for name in changed.quotes if name in rows_before]
    if both:
        ours = changed.values[[rows[name] for name in both]]
        theirs = known.changed.values[[rows_before[name] for name in both]]
        is_same = (ours.view(np.int64) == theirs.view(np.int64)).all(axis=1)
        names.update(name for name, same in zip(both, is_same.tolist(), strict=True) if not same)
    return market.reached_by(names)


def shifted_quotes(
    known: KnownBlock | None, quotes: Mapping[str, float | str], make: Callable[[], QuoteBlock]
) -> tuple[QuoteBlock, QuoteMatrix]:
    """The shifts of a block and what they make of *quotes*: those of *known* where they mean the same quotes here."""
    if known is not None and known.shifts is not None:
        changed = known.shifts.matrix_of(quotes)
        if changed is not None:
            return known.shifts, changed
    shifts = make()
    return shifts, shifts.matrix()


def changed_quotes(before: Mapping[str, float | str], after: Mapping[str, float | str]) -> set[str]:
    """Names with another value, or in one of the snapshots alone. Mappings of snapshots do not change."""
    global _compared
    for known_before, known_after, names in _compared:
        if known_before is before and known_after is after:
            return set(names)
    changed = {name for name, value in after.items() if not _is_same(before.get(name), value)}
    names = frozenset(changed | (before.keys() - after.keys()))
    _compared = ((before, after, names), *_compared[: COMPARED_MAX - 1])
    return set(names)


_Quotes = Mapping[str, float | str]
_compared: tuple[tuple[_Quotes, _Quotes, frozenset[str]], ...] = ()
"""The last pairs compared; replaced as a whole, for threads read it meanwhile."""


def _is_same(before: float | str | None, after: float | str) -> bool:
    """Equal to the bit; two NaN are. Equal numbers but zeros have equal bits."""
    if before is after or (type(before) is type(after) and before == after and after):
        return True
    return type(before) is type(after) and repr(before) == repr(after)
