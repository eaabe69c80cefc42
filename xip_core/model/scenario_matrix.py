"""A block of scenarios as arrays: the values of the quotes it changes, and the shifts of curves that come after.

A tile of a run applies the scenarios [begin, end) of a set. Named shifts are applied one after the other to the column
of their scenario, tables to all columns at once; both see what came before them, so the order is that of the set. The
value of a quote in a scenario is a function of that scenario alone, so blocks may be cut anywhere.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.model.market_objects import maturity_years
from xip_core.model.scenario_index import BlockShifts
from xip_core.model.scenario_shift import Shift
from xip_core.model.scenario_table import Floats, ShiftTable, SizeKind

Ints = npt.NDArray[np.int64]


class QuoteMatrix(msgspec.Struct, frozen=True):
    """Quotes of a block of S scenarios.

    Attributes:
        quotes: names of the Q quotes that have another value than in the snapshot in any of them.
        base: (Q,) values in the snapshot.
        values: (Q, S) values in the scenarios.
    """

    quotes: tuple[str, ...]
    base: Floats
    values: Floats

    @property
    def is_changed(self) -> npt.NDArray[np.bool_]:
        """(Q, S): another value than in the snapshot."""
        return np.asarray(self.values != self.base[:, None])

    def changed(self) -> list[dict[str, float]]:
        """Per scenario the quotes with another value, by name."""
        found: list[dict[str, float]] = [{} for _ in range(self.values.shape[1])]
        columns, rows = np.nonzero(self.is_changed.T)
        values = self.values[rows, columns].tolist()
        for column, row, value in zip(columns.tolist(), rows.tolist(), values, strict=True):
            found[column][self.quotes[row]] = value
        return found


class ObjectShift(msgspec.Struct, frozen=True):
    """Shifts of one curve (or hazard curve) after calibration, in a block of S scenarios.

    Of a curve with discount factors D(t) and zero rates z(t) = -ln D(t) / t, and likewise of survival probabilities::

        absolute   z(t) + size(t)          relative   z(t) (1 + size(t))         factor   z(t) size(t)

    Attributes:
        market_object: "curve/EUR1D" or "hazard/BANK".
        tenors: ascending; the size is linear in time between them and flat outside. () for a bucket: a size that is
            the same for all t in (after_years, until_years] and changes nothing elsewhere.
        sizes: (T, S), of a bucket (1, S).
        is_of_factor: sizes are factors f on D at the tenors, so -ln(f) / t is what is added to z.
    """

    market_object: str
    kind: SizeKind
    tenors: tuple[str, ...]
    sizes: Floats
    after_years: float = -1e9
    until_years: float = 1e9
    is_of_factor: bool = False


class AimedQuotes(msgspec.Struct, frozen=True):
    """What the shifts of one aim change in a market.

    Attributes:
        rows: numbers of the quotes that are numbers.
        leaders: (place in *rows*, numbers of what follows it), of those that have followers.
        no_numbers: names of quotes that would be changed if they were numbers.
        is_by_strike: quotes were chosen by strike or moneyness, which spots decide.
    """

    rows: Ints
    leaders: list[tuple[int, Ints]]
    no_numbers: frozenset[str]
    is_by_strike: bool = False


NAMES_KEPT_MAX = 16
"""Sets of quotes that blocks of a market change; 20 kB each."""


class QuoteNumbers:
    """The quotes of a snapshot by number, and what follows which spot."""

    def __init__(self, quotes: Mapping[str, float | str], followers: Mapping[str, tuple[str, ...]]) -> None:
        self.names = tuple(quotes)
        self._number_of = {name: number for number, name in enumerate(self.names) if isinstance(quotes[name], float)}
        self.base = np.array([v if isinstance(v, float) else np.nan for v in quotes.values()], dtype=np.float64)
        self._followers = followers
        self._names_of: dict[bytes, tuple[str, ...]] = {}

    def names_of(self, numbers: Ints) -> tuple[str, ...]:
        """The names of those quotes; of the blocks of a run the same object, most have the same quotes."""
        key = numbers.data.tobytes()
        found = self._names_of.get(key)
        if found is None:
            found = tuple([self.names[number] for number in numbers.tolist()])
            if len(self._names_of) >= NAMES_KEPT_MAX:
                self._names_of.clear()
            self._names_of[key] = found
        return found

    def is_number(self, name: str) -> bool:
        return name in self._number_of

    def aimed(self, names: Sequence[str], shifted: Collection[str] | None = None, **fields: bool) -> AimedQuotes:
        """
        Args:
            names: of the quotes that are shifted.
            shifted: followers that do not follow, because they are shifted themselves; None where none follows at all.
        """
        no_numbers = {name for name in names if name not in self._number_of}
        numbers = [name for name in names if name in self._number_of]
        leaders = []
        for place, name in enumerate(numbers if shifted is not None else ()):
            followers = [other for other in self._followers.get(name, ()) if other not in (shifted or ())]
            no_numbers.update(other for other in followers if other not in self._number_of)
            if followers:
                leaders.append((place, self._rows(followers)))
        return AimedQuotes(self._rows(numbers), leaders, frozenset(no_numbers), **fields)

    def _rows(self, names: Sequence[str]) -> Ints:
        return np.array([self._number_of[name] for name in names if name in self._number_of], dtype=np.int64)


class QuoteBlock:
    """Collects the shifts of a block, then applies them in order: to the quotes it was made for, or to others."""

    def __init__(self, numbers: QuoteNumbers, begin: int, end: int) -> None:
        self._numbers = numbers
        self._begin, self._end = begin, end
        self._shifts: list[tuple[BlockShifts, AimedQuotes]] = []
        self._tables: list[tuple[ShiftTable, Floats, AimedQuotes]] = []

    def add_shifts(self, shifts: BlockShifts, aimed: AimedQuotes) -> None:
        """Named shifts: those of a scenario in their order."""
        self._shifts.append((shifts, aimed))

    def add_table(self, table: ShiftTable, keeps: Callable[[str], bool] | None) -> None:
        """Those columns of a table of quotes that are in the block."""
        if table.target != "quote" or table.last <= self._begin or table.first >= self._end:
            return
        sizes = table.columns(self._begin, self._end)
        is_moved = (sizes != table.neutral).any(axis=1)
        if keeps is not None:
            is_moved &= [keeps(name) for name in table.names]
        names = [name for name, moved in zip(table.names, is_moved.tolist(), strict=True) if moved]
        aimed = self._numbers.aimed(names, set(table.names) if table.moves_followers else None)
        is_kept = is_moved & [self._numbers.is_number(name) for name in table.names]
        self._tables.append((table, sizes[is_kept], aimed))

    def matrix(self) -> QuoteMatrix:
        """What the shifts make of the quotes, those left alone left out."""
        return self._applied_to(self._numbers.base[self._used])

    def matrix_of(self, quotes: Mapping[str, float | str]) -> QuoteMatrix | None:
        """
        What the same shifts make of the quotes of another snapshot with the same definitions, without a look at any;
        None where they may mean other quotes there: one is a number in one of the two alone, or a shift is bounded by
        strike or moneyness.
        """
        base = [quotes.get(name) for name in self._names]
        if (
            any(aimed.is_by_strike for aimed in self._aimed())
            or not all(isinstance(value, float) for value in base)
            or any(isinstance(quotes.get(name), float) for aimed in self._aimed() for name in aimed.no_numbers)
        ):
            return None
        return self._applied_to(np.array(base, dtype=np.float64))

    def _aimed(self) -> Iterator[AimedQuotes]:
        yield from (aimed for _, aimed in self._shifts)
        yield from (aimed for _, _, aimed in self._tables)

    @functools.cached_property
    def _used(self) -> Ints:
        """Numbers of the quotes that may change, ascending."""
        is_used = np.zeros(len(self._numbers.names), dtype=np.bool_)
        for aimed in self._aimed():
            is_used[aimed.rows] = True
            for _, followers in aimed.leaders:
                is_used[followers] = True
        return np.flatnonzero(is_used)

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        return self._numbers.names_of(self._used)

    @functools.cached_property
    def _steps(self) -> list[Callable[[Floats], None]]:
        """What is done to the values of `_used`."""
        steps: list[Callable[[Floats], None]] = []
        for shifts, aimed in self._shifts:
            if len(aimed.rows):
                steps.append(functools.partial(_shift, shifts, *self._places(aimed)))
        for table, sizes, aimed in self._tables:
            steps.append(functools.partial(_shift_by_table, table, sizes, *self._places(aimed)))
        return steps

    def _places(self, aimed: AimedQuotes) -> tuple[Ints, list[tuple[int, Ints]]]:
        """Rows and followers as places in `_used`."""
        return self._place_of[aimed.rows], [(place, self._place_of[rows]) for place, rows in aimed.leaders]

    @functools.cached_property
    def _place_of(self) -> Ints:
        """Of a used quote's number its place in `_used`."""
        places = np.zeros(len(self._numbers.names), dtype=np.int64)
        places[self._used] = np.arange(len(self._used))
        return places

    def _applied_to(self, base: Floats) -> QuoteMatrix:
        values = np.repeat(base[:, None], self._end - self._begin, axis=1)
        for step in self._steps:
            step(values)
        is_moved = (values != base[:, None]).any(axis=1)
        if is_moved.all():
            return QuoteMatrix(self._names, base, values)
        names = tuple(itertools.compress(self._names, is_moved.tolist()))
        return QuoteMatrix(names, base[is_moved], values[is_moved])


def _shift(shifts: BlockShifts, rows: Ints, leaders: list[tuple[int, Ints]], values: Floats) -> None:
    """Applies shifts of one aim to *values*."""
    from xip_core.kernels import tile_cells  # loaded where scenarios are applied, not where they are named

    follower_begin = np.zeros(len(leaders) + 1, dtype=np.int64)
    for number, (_, followers) in enumerate(leaders):
        follower_begin[number + 1] = follower_begin[number] + len(followers)
    tile_cells.shift(
        values,
        rows,
        shifts.positions,
        shifts.sizes,
        shifts.is_factor,
        np.array([place for place, _ in leaders], dtype=np.int64),
        follower_begin,
        np.concatenate([followers for _, followers in leaders]) if leaders else rows[:0],
    )


def _shift_by_table(
    table: ShiftTable, sizes: Floats, rows: Ints, leaders: list[tuple[int, Ints]], values: Floats
) -> None:
    before = values[rows]
    moved = sizes != table.neutral
    after = np.where(moved, table.applied(before, sizes), before)
    values[rows] = after
    for place, followers in leaders:
        is_multiple = moved[place] & (before[place] != 0.0)
        ratio = np.ones(len(is_multiple))
        np.divide(after[place], before[place], where=is_multiple, out=ratio)
        values[followers] *= ratio


def object_shifts(
    named: Sequence[tuple[int, Shift, tuple[str, ...]]],
    tables: Sequence[ShiftTable],
    begin: int,
    end: int,
    as_of: dt.date,
) -> list[ObjectShift]:
    """Shifts of curves and hazard curves in the scenarios [begin, end): the named ones, then those of tables.

    Args:
        named: position in the block, shift, and the market objects it means.
    """
    found: list[ObjectShift] = []
    for position, shift, names in named:
        found += _named_shifts(position, shift, names, end - begin, as_of)
    for table in tables:
        if table.target != "quote" and table.first < end and table.last > begin:
            found += _table_shifts(table, begin, end, as_of)
    return found


def _named_shifts(
    position: int, shift: Shift, names: tuple[str, ...], count: int, as_of: dt.date
) -> list[ObjectShift]:
    kind: SizeKind = "absolute"
    size = shift.shifted(0.0)
    if shift.shift_relative is not None:
        kind, size = "relative", shift.shift_relative
    elif isinstance(shift.shift_factor, float):
        kind, size = "factor", shift.shift_factor
    sizes = np.full((1, count), 1.0 if kind == "factor" else 0.0)
    sizes[0, position] = size
    after = maturity_years(shift.after, as_of) if shift.after else -1e9
    until = maturity_years(shift.until, as_of) if shift.until else 1e9
    return [ObjectShift(name, kind, (), sizes, after, until) for name in names]


def _table_shifts(table: ShiftTable, begin: int, end: int, as_of: dt.date) -> list[ObjectShift]:
    prefix = "curve" if table.target in ("zero_rate", "discount") else "hazard"
    sizes = table.columns(begin, end)
    is_of_factor = table.target in ("discount", "survival")
    if is_of_factor and table.kind == "relative":
        sizes = 1.0 + sizes
    years = np.array([maturity_years(tenor, as_of) for tenor in table.tenors])
    found = []
    for name in dict.fromkeys(table.names):
        rows = np.array([row for row, other in enumerate(table.names) if other == name])
        rows = rows[np.argsort(years[rows], kind="stable")]
        tenors = tuple(table.tenors[row] for row in rows.tolist())
        kind: SizeKind = "absolute" if is_of_factor else table.kind
        found.append(ObjectShift(f"{prefix}/{name}", kind, tenors, sizes[rows], is_of_factor=is_of_factor))
    return found
