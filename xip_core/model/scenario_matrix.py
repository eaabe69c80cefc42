"""A block of scenarios as arrays: the values of the quotes it changes, and the shifts of curves that come after.

A tile of a run applies the scenarios [begin, end) of a set. Named shifts are applied one after the other to the column
of their scenario, tables to all columns at once; both see what came before them, so the order is that of the set. The
value of a quote in a scenario is a function of that scenario alone, so blocks may be cut anywhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.model.market_objects import maturity_years
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


class _ShiftGroup(msgspec.Struct, frozen=True):
    """Shifts of the same quotes, each the one at *place* among those of its scenario: all at once.

    Attributes:
        rows: of the quotes. leaders: (place in *rows*, rows of what follows it).
        is_factor: sizes multiply; else they are added.
        positions, sizes: of each shift.
    """

    place: int
    rows: Ints
    leaders: list[tuple[int, Ints]]
    is_factor: bool
    positions: list[int]
    sizes: list[float]

    def apply(self, values: Floats) -> None:
        columns, sizes = np.array(self.positions), np.array(self.sizes)
        at = (self.rows[:, None], columns)
        before = values[at]
        after = before * sizes if self.is_factor else before + sizes
        values[at] = after
        for leader, followers in self.leaders:
            moved = np.flatnonzero(before[leader] != 0.0)  # nothing is a multiple of a spot of zero
            values[followers[:, None], columns[moved]] *= after[leader, moved] / before[leader, moved]


class QuoteBlock:
    """Collects the shifts of a block, then applies them in order: to the quotes it was made for, or to others."""

    def __init__(
        self,
        quotes: Mapping[str, float | str],
        followers: Mapping[str, tuple[str, ...]],
        begin: int,
        end: int,
    ) -> None:
        self._quotes = quotes
        self._followers = followers
        self._begin, self._end = begin, end
        self._row_of: dict[str, int] = {}
        self._base: list[float] = []
        self._no_numbers: set[str] = set()
        self._has_bounds = False
        self._rows_of_names: dict[tuple[str, ...], Ints] = {}
        self._leaders_of_names: dict[tuple[str, ...], list[tuple[int, Ints]]] = {}
        self._shift_counts = [0] * (end - begin)
        self._shifts: dict[tuple[object, ...], _ShiftGroup] = {}
        self._steps: list[Callable[[Floats], None]] = []

    def add_shift(self, position: int, shift: Shift, quotes: tuple[str, ...]) -> None:
        """The next named shift of the scenario begin + position, of *quotes*."""
        self._has_bounds = self._has_bounds or (shift.is_narrow and shift.has_strikes)
        rows = self._rows(quotes)
        if not len(rows):
            return
        is_factor, size = shift.step
        place = self._shift_counts[position]
        self._shift_counts[position] += 1
        key = (place, quotes, is_factor, shift.target == "quote")
        group = self._shifts.get(key)
        if group is None:
            leaders = [] if shift.target == "quote" else self._leaders_of(quotes)
            group = self._shifts[key] = _ShiftGroup(place, rows, leaders, is_factor, [], [])
        group.positions.append(position)
        group.sizes.append(size)

    def add_table(self, table: ShiftTable, keeps: Callable[[str], bool] | None) -> None:
        """Those columns of a table of quotes that are in the block."""
        if table.target != "quote" or table.last <= self._begin or table.first >= self._end:
            return
        sizes = table.columns(self._begin, self._end)
        is_kept = (sizes != table.neutral).any(axis=1)
        is_kept &= [self._is_number(name) for name in table.names]
        if keeps is not None:
            is_kept &= [keeps(name) for name in table.names]
        names = tuple(name for name, kept in zip(table.names, is_kept.tolist(), strict=True) if kept)
        rows, kept_sizes = self._rows(names), sizes[is_kept]
        leaders = self._leaders(names, set(table.names)) if table.moves_followers else []

        def apply(values: Floats) -> None:
            before = values[rows]
            moved = kept_sizes != table.neutral
            after = np.where(moved, table.applied(before, kept_sizes), before)
            values[rows] = after
            for place, followers in leaders:
                is_multiple = moved[place] & (before[place] != 0.0)
                ratio = np.ones(len(is_multiple))
                np.divide(after[place], before[place], where=is_multiple, out=ratio)
                values[followers] *= ratio

        if len(rows):
            self._steps.append(apply)

    def matrix(self) -> QuoteMatrix:
        """What the shifts make of the quotes, those left alone left out."""
        return self._applied_to(np.array(self._base, dtype=np.float64))

    def matrix_of(self, quotes: Mapping[str, float | str]) -> QuoteMatrix | None:
        """
        What the same shifts make of the quotes of another snapshot with the same definitions, without a look at any;
        None where they may mean other quotes there: one is a number in one of the two alone, or a shift is bounded by
        strike or moneyness.
        """
        base = [quotes.get(name) for name in self._row_of]
        if (
            self._has_bounds
            or not all(isinstance(value, float) for value in base)
            or any(isinstance(quotes.get(name), float) for name in self._no_numbers)
        ):
            return None
        return self._applied_to(np.array(base, dtype=np.float64))

    def _applied_to(self, base: Floats) -> QuoteMatrix:
        values = np.repeat(base[:, None], self._end - self._begin, axis=1)
        for group in sorted(self._shifts.values(), key=lambda group: group.place):
            group.apply(values)
        for step in self._steps:
            step(values)
        is_moved = (values != base[:, None]).any(axis=1)
        names = tuple(name for name, moved in zip(self._row_of, is_moved.tolist(), strict=True) if moved)
        return QuoteMatrix(names, base[is_moved], values[is_moved])

    def _is_number(self, name: str) -> bool:
        if isinstance(self._quotes.get(name), float):
            return True
        self._no_numbers.add(name)
        return False

    def _rows(self, names: tuple[str, ...]) -> Ints:
        """Rows of those names that are numbers."""
        rows = self._rows_of_names.get(names)
        if rows is None:
            found = [self._row(name) for name in names if self._is_number(name)]
            rows = self._rows_of_names[names] = np.array(found, dtype=np.int64)
        return rows

    def _row(self, name: str) -> int:
        row = self._row_of.get(name)
        if row is None:
            row = self._row_of[name] = len(self._base)
            value = self._quotes[name]
            assert isinstance(value, float), name
            self._base.append(value)
        return row

    def _leaders_of(self, names: tuple[str, ...]) -> list[tuple[int, Ints]]:
        """Those of a shift, looked up once: the scenarios of a block name the same quotes again and again."""
        found = self._leaders_of_names.get(names)
        if found is None:
            found = self._leaders_of_names[names] = self._leaders(names)
        return found

    def _leaders(self, names: tuple[str, ...], but: set[str] | None = None) -> list[tuple[int, Ints]]:
        """(place among the rows of *names*, rows of what follows it), of those that have followers."""
        numbers = [name for name in names if self._is_number(name)]
        found = []
        for place, name in enumerate(numbers):
            followers = tuple(f for f in self._followers.get(name, ()) if but is None or f not in but)
            if followers:
                found.append((place, self._rows(followers)))
        return found


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
