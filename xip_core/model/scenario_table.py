"""Shifts of many quotes in many scenarios as one array: what generators make, and what travels.

A table has one row per quote (or per tenor of a curve) and one column per scenario, of sizes of one kind::

    absolute    quote + size         0 changes nothing
    relative    quote * (1 + size)   0 changes nothing
    factor      quote * size         1 changes nothing

Its columns are the scenarios [first, first + count) of the set it is in. The sizes are kept as little-endian float64,
row by row; JSON has them as base64, so 500 scenarios of 1,000 quotes are 5.4 MB where named shifts are 81 MB
(bench/bench_scenarios.py), and a tile reads its columns without looking at the others.

Beside quotes a table shifts curves after they are calibrated, row by row at a tenor of one object::

    zero_rate     continuous zero rate, Act/365F, of a curve
    discount      discount factor of a curve; by factor or relative
    hazard_rate   average hazard rate -ln(survival) / t of a hazard curve
    survival      survival probability of a hazard curve; by factor or relative

Between the tenors of one object a shift is linear in time, outside them flat; of discount factors and survival
probabilities that is said of -ln(factor) / t. Nothing is solved again: a curve built on a shifted one stands still.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.model.market_instruments import Record

Floats = npt.NDArray[np.float64]

SizeKind = Literal["absolute", "relative", "factor"]
ObjectTarget = Literal["zero_rate", "discount", "hazard_rate", "survival"]
TableTarget = Literal["quote", "zero_rate", "discount", "hazard_rate", "survival"]

OBJECT_TARGETS: tuple[str, ...] = get_args(ObjectTarget)

TABLE_CELL_COUNT_MAX = 50_000_000
"""400 MB of float64; beyond that a set is several runs."""


class ShiftTable(Record, frozen=True, kw_only=True, omit_defaults=True):
    """See the module's head.

    Attributes:
        names: of the quotes, or of the curves or hazard curves, one a row.
        tenors: one a row where *target* is an object's; none for quotes.
        first: scenario of the first column, at least 1: the base has no shifts.
        count: columns.
        sizes: float64, little-endian, rows x columns.
        moves_followers: a shifted spot takes along what is quoted relative to it (FX points, equity forward prices),
            as a shift of target "fx" or "equity" does; not those that have a row of their own.
    """

    kind: SizeKind
    names: tuple[str, ...]
    first: int
    count: int
    sizes: bytes
    target: TableTarget = "quote"
    tenors: tuple[str, ...] = ()
    moves_followers: bool = False

    def __post_init__(self) -> None:
        for fault in _faults(self):
            raise RequestError("BAD_SCENARIO", f"table of {self.target} shifts: {fault}")

    @property
    def last(self) -> int:
        """One after the scenario of the last column."""
        return self.first + self.count

    @property
    def neutral(self) -> float:
        """The size that changes nothing."""
        return 1.0 if self.kind == "factor" else 0.0

    def matrix(self) -> Floats:
        """Sizes (rows, columns), a read-only view."""
        return np.frombuffer(self.sizes, dtype="<f8").reshape(len(self.names), self.count)

    def columns(self, begin: int, end: int) -> Floats:
        """Sizes of the scenarios [begin, end): (rows, end - begin), neutral where the table has no column."""
        sizes = np.full((len(self.names), end - begin), self.neutral)
        low, high = max(begin, self.first), min(end, self.last)
        if low < high:
            sizes[:, low - begin : high - begin] = self.matrix()[:, low - self.first : high - self.first]
        return sizes

    def applied(self, values: Floats, sizes: Floats) -> Floats:
        """Values after shifts of the table's kind."""
        match self.kind:
            case "absolute":
                return values + sizes
            case "relative":
                return values * (1.0 + sizes)
            case "factor":
                return values * sizes


def shift_table(
    kind: SizeKind,
    names: tuple[str, ...],
    sizes: Floats,
    first: int = 1,
    target: TableTarget = "quote",
    tenors: tuple[str, ...] = (),
    moves_followers: bool = False,
) -> ShiftTable:
    """A table from an array (rows, columns).

    Raises:
        RequestError: BAD_SCENARIO, a size is not finite or the shape is not that of the names.
    """
    if sizes.ndim != 2 or len(sizes) != len(names):
        raise RequestError("BAD_SCENARIO", f"sizes must have {len(names)} rows like the names, got {sizes.shape}")
    return ShiftTable(
        kind=kind,
        names=names,
        first=first,
        count=sizes.shape[1],
        sizes=np.ascontiguousarray(sizes, dtype="<f8").tobytes(),
        target=target,
        tenors=tenors,
        moves_followers=moves_followers,
    )


def _faults(table: ShiftTable) -> Iterator[str]:
    """Sentences on what cannot be meant."""
    if not table.names or table.count < 1:
        yield f"must have a row and a column, got {len(table.names)} x {table.count}"
    if table.first < 1:
        yield f"first must be at least 1, because scenario 0 is the base, got {table.first}"
    cell_count = len(table.names) * table.count
    if cell_count > TABLE_CELL_COUNT_MAX:
        yield f"must have at most {TABLE_CELL_COUNT_MAX} cells, got {cell_count}"
    if len(table.sizes) != 8 * cell_count:
        yield f"sizes must have {8 * cell_count} bytes for {len(table.names)} x {table.count}, got {len(table.sizes)}"
    is_object = table.target in OBJECT_TARGETS
    if len(table.tenors) != (len(table.names) if is_object else 0):
        wanted = "a tenor a row" if is_object else "no tenors"
        yield f"must have {wanted}, got {len(table.tenors)} for {len(table.names)} rows"
    seen: set[tuple[str, str]] = set()
    for row, name in enumerate(table.names):
        key = (name, table.tenors[row] if is_object else "")
        if key in seen:
            yield f"must name {' '.join(key).strip()!r} once, it is there twice"
        seen.add(key)
    if table.target in ("discount", "survival") and table.kind == "absolute":
        yield "must be factors or relative, got absolute sizes"
    matrix = table.matrix()
    bad = ~np.isfinite(matrix)
    if table.target in ("discount", "survival"):
        bad |= matrix <= (0.0 if table.kind == "factor" else -1.0)
    if bad.any():
        row, column = (int(place) for place in np.argwhere(bad)[0])
        what = "finite" if not np.isfinite(matrix[row, column]) else "above what makes the factor zero"
        yield (
            f"size of {table.names[row]!r} in scenario {table.first + column} must be {what}, "
            f"got {float(matrix[row, column])!r}"
        )
