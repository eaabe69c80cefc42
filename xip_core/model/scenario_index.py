"""The named shifts of a set of scenarios as arrays: what each aims at, by number, and by how much.

Scenarios of a history say the same few aims ("currency EUR, up to 5Y") ten thousand times. The words are read once a
worker, in chunks of scenarios so that the first tile of a set of 100,000 does not wait for all of them; a block is a
slice of what was read, and what an aim means in a market is looked up once an aim.

    kept: the latest CHUNKS_KEPT_MAX chunks of all sets; a chunk of 20 shifts a scenario is 0.3 MB
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.model.scenario_shift import Shift

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CHUNK_SCENARIOS = 512
CHUNKS_KEPT_MAX = 32
KEPT_FROM_SCENARIOS = 8
"""Smaller sets are those of one question, not of a run: read, and forgotten."""


class Named(Protocol):
    """`scenario.Scenario`."""

    @property
    def shifts(self) -> tuple[Shift, ...]: ...


class ShiftArrays(msgspec.Struct, frozen=True):
    """Shifts of some scenarios, one scenario after the other.

    Attributes:
        aims: a shift of each aim. targets: of all of them.
        begin: (S + 1,) first shift of each scenario.
        aim: (n,) number of each shift's aim. place: (n,) among the shifts of its scenario.
        is_factor: (n,) whether its size multiplies a quote; else it is added. size: (n,).
    """

    aims: tuple[Shift, ...]
    targets: frozenset[str]
    begin: Ints
    aim: Ints
    place: Ints
    is_factor: npt.NDArray[np.bool_]
    size: Floats


def read_shifts(scenarios: Sequence[Named]) -> ShiftArrays:
    """The arrays of those scenarios."""
    number_of: dict[tuple[object, ...], int] = {}
    aims: list[Shift] = []
    numbers, steps = [], []
    for scenario in scenarios:
        for shift in scenario.shifts:
            aim = shift.aim
            number = number_of.get(aim)
            if number is None:
                number = number_of[aim] = len(aims)
                aims.append(shift)
            numbers.append(number)
            steps.append(shift.step)
    counts = np.array([len(scenario.shifts) for scenario in scenarios], dtype=np.int64)
    begin = np.concatenate(([0], np.cumsum(counts)))
    return ShiftArrays(
        tuple(aims),
        frozenset(aim.target for aim in aims),
        begin,
        np.array(numbers, dtype=np.int64),
        np.arange(begin[-1]) - np.repeat(begin[:-1], counts),
        np.array([is_factor for is_factor, _ in steps], dtype=np.bool_),
        np.array([size for _, size in steps], dtype=np.float64),
    )


class _Chunks:
    """The latest chunks of all sets; shared between threads. A chunk keeps its set, so no other one has that id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chunks: OrderedDict[tuple[int, int], tuple[Sequence[Named], ShiftArrays]] = OrderedDict()

    def of(self, scenarios: Sequence[Named], number: int) -> ShiftArrays:
        if len(scenarios) < KEPT_FROM_SCENARIOS:
            return read_shifts(scenarios)
        key = id(scenarios), number
        with self._lock:
            found = self._chunks.get(key)
            if found is not None:
                self._chunks.move_to_end(key)
                return found[1]
        first = number * CHUNK_SCENARIOS
        made = read_shifts(scenarios[first : first + CHUNK_SCENARIOS])
        with self._lock:
            self._chunks[key] = scenarios, made
            while len(self._chunks) > CHUNKS_KEPT_MAX:
                self._chunks.popitem(last=False)
        return made


_chunks = _Chunks()


class BlockShifts(msgspec.Struct, frozen=True):
    """Shifts of one aim and kind in a block, each the one at *place* among those of its scenario."""

    aim: Shift
    place: int
    is_factor: bool
    positions: Ints
    sizes: Floats


def shifts_of_block(scenarios: tuple[Named, ...], begin: int, end: int) -> list[BlockShifts]:
    """The shifts of the scenarios [begin, end), positions counted from *begin*, ascending by place.

    Args:
        scenarios: of the whole set; the same object again is not read again.
    """
    found: list[BlockShifts] = []
    for arrays, low, high, offset in _parts(scenarios, begin, end):
        found += _grouped(arrays, low, high, offset)
    return sorted(found, key=lambda group: group.place)


def has_target(scenarios: tuple[Named, ...], begin: int, end: int, targets: Collection[str]) -> bool:
    """Whether a shift in the chunks of the scenarios [begin, end) has one of *targets*."""
    return any(not arrays.targets.isdisjoint(targets) for arrays, *_ in _parts(scenarios, begin, end))


def _parts(scenarios: tuple[Named, ...], begin: int, end: int) -> Iterator[tuple[ShiftArrays, int, int, int]]:
    """The chunks that hold [begin, end), which of their scenarios, and the position of the first of these."""
    for number in range(begin // CHUNK_SCENARIOS, -(-end // CHUNK_SCENARIOS)):
        first = number * CHUNK_SCENARIOS
        low, high = max(begin, first), min(end, first + CHUNK_SCENARIOS)
        yield _chunks.of(scenarios, number), low - first, high - first, low - begin


def _grouped(arrays: ShiftArrays, low: int, high: int, offset: int) -> list[BlockShifts]:
    """Groups of the scenarios [low, high) of a chunk, whose first one has the position *offset*."""
    part = slice(int(arrays.begin[low]), int(arrays.begin[high]))
    positions = np.repeat(np.arange(high - low) + offset, np.diff(arrays.begin[low : high + 1]))
    aim, place, is_factor, size = arrays.aim[part], arrays.place[part], arrays.is_factor[part], arrays.size[part]
    keys = (place * len(arrays.aims) + aim) * 2 + is_factor
    order = np.argsort(keys, kind="stable")
    bounds = [0, *(np.flatnonzero(np.diff(keys[order])) + 1).tolist(), len(order)] if len(order) else []
    groups = [order[first:last] for first, last in itertools.pairwise(bounds)]
    return [
        BlockShifts(
            arrays.aims[aim[group[0]]], int(place[group[0]]), bool(is_factor[group[0]]), positions[group], size[group]
        )
        for group in groups
    ]
