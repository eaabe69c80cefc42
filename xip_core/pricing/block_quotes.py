"""The quotes of a block of scenarios, as the builders of market objects read them: rows of a matrix.

A block changes some quotes of the snapshot (`model.scenario.QuoteMatrix`, one row each); all others are the snapshot's
in every scenario. A builder asks for the quotes of one object in some scenarios and gets them as an array; only where a
quote cannot be used are they looked at one by one, for the sentence that says why.

To everything else a block is a sequence of mappings, quote to value, one a scenario.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from xip_core.errors import CellError, Failure, FailureReason
from xip_core.model.market import usable_quote
from xip_core.model.scenario import QuoteMatrix

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Quotes = Mapping[str, float | str]

DOMAINS = {"positive": np.greater, "not negative": np.greater_equal, "above -1": np.greater}
"""How a quote is compared with the lower bound of its domain; "finite" has none."""

_BOUNDS = {"positive": 0.0, "not negative": 0.0, "above -1": -1.0}


def matrix_of(changed: Sequence[Mapping[str, float]], base: Quotes) -> QuoteMatrix:
    """The same quotes from one mapping a scenario; those that the snapshot has no number for included."""
    names = tuple(dict.fromkeys(name for quotes in changed for name in quotes))
    of_base = np.array([_number(base.get(name)) for name in names], dtype=np.float64)
    values = np.repeat(of_base[:, None], len(changed), axis=1)
    row_of = {name: row for row, name in enumerate(names)}
    for column, quotes in enumerate(changed):
        for name, value in quotes.items():
            values[row_of[name], column] = value
    return QuoteMatrix(names, of_base, values)


def _number(value: float | str | None) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


class BlockQuotes(Sequence[Quotes]):
    """The quotes of K scenarios.

    Args:
        base: the snapshot's.
        matrix: those that change, over some scenarios.
        columns: (K,) scenarios of the matrix; all without.
    """

    def __init__(self, base: Quotes, matrix: QuoteMatrix, columns: Ints | None = None) -> None:
        self._base = base
        self._matrix = matrix
        self._rows: dict[str, int] | None = None
        self._columns = np.arange(matrix.values.shape[1]) if columns is None else columns

    def chosen(self, positions: Ints) -> BlockQuotes:
        """The scenarios at *positions* of this block."""
        found = BlockQuotes.__new__(BlockQuotes)
        found._base, found._matrix, found._rows = self._base, self._matrix, self._row_of
        found._columns = self._columns[positions]
        return found

    @property
    def _row_of(self) -> dict[str, int]:
        """Rows by name, made at the first question: most blocks ask none."""
        if self._rows is None:
            self._rows = {name: row for row, name in enumerate(self._matrix.quotes)}
        return self._rows

    def __len__(self) -> int:
        return len(self._columns)

    def __getitem__(self, position: int) -> Quotes:  # type: ignore[override] # a slice of it is `chosen`
        own = dict(zip(self._matrix.quotes, self._matrix.values[:, self._columns[position]].tolist(), strict=True))
        for name in [name for name, value in own.items() if value != value]:
            if not isinstance(self._base.get(name), float):
                del own[name]  # changed in other scenarios of the block alone
        return {**self._base, **own}

    def changed_rows(self, names: Iterable[str]) -> list[int]:
        """Rows of the matrix of those names that it has."""
        return [row for name in names if (row := self._row_of.get(name)) is not None]

    def numbers(self, names: Sequence[str]) -> Floats:
        """Values (n, K) of n quotes; NaN where one is missing or no number."""
        found = np.empty((len(names), len(self)))
        rows = [self._row_of.get(name, -1) for name in names]
        of_base = [place for place, row in enumerate(rows) if row < 0]
        if len(of_base) < len(rows):
            found[:] = self._matrix.values[np.array(rows)[:, None], self._columns]  # row -1 is overwritten
        for place in of_base:
            found[place] = _number(self._base.get(names[place]))
        return found


def quote_matrix(
    quotes: Sequence[Quotes], names: Sequence[str], must_be: str = "finite"
) -> tuple[Floats, dict[int, Failure]]:
    """Values (n, K) of n quotes in K scenarios, and failures by column; a failed column holds ones.

    Args:
        must_be: "finite", "positive", "not negative" or "above -1".
    """
    if isinstance(quotes, BlockQuotes):
        matrix = quotes.numbers(names)
    else:
        matrix = np.array([[_number(values.get(name)) for values in quotes] for name in names]).reshape(
            len(names), len(quotes)
        )
    is_good = np.isfinite(matrix)
    if must_be in DOMAINS:
        is_good &= DOMAINS[must_be](matrix, _BOUNDS[must_be])
    failures: dict[int, Failure] = {}
    if not is_good.all():
        for column in np.flatnonzero(~is_good.all(axis=0)).tolist():
            failures[column] = _first_bad_quote(quotes[column], names, must_be)
            matrix[:, column] = 1.0
    return matrix, failures


def _first_bad_quote(values: Quotes, names: Sequence[str], must_be: str) -> Failure:
    """Why a column cannot be used."""
    for name in names:
        try:
            number = usable_quote(values, name)
        except CellError as error:
            return error.failure
        if must_be in DOMAINS and not DOMAINS[must_be](number, _BOUNDS[must_be]):
            return Failure(FailureReason.BAD_QUOTE, f"quote {name} must be {must_be}, got {number!r}")
    raise AssertionError(f"one of {names} must be bad in {must_be!r}")
