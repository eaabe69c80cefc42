"""Terms of instruments as they are written: amount * exp(exponent . market), with the exponents by number.

A base market of 23 curves has 26,000 terms over 4,000 exponents. An exponent is a tuple of factors and weights, so its
hash takes as long as all else that is done with a term: it is looked up once, where it is made, and numbers are added
up from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.pricing.layout import Refs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Term(msgspec.Struct, frozen=True):
    """amount * exp(exponent . market), multiplied by the instrument's quote where `is_quoted`."""

    amount: float
    exponent: Refs
    is_quoted: bool


class Exponents:
    """Numbers of exponents, in the order they were first met; equal ones have one number."""

    def __init__(self) -> None:
        self._numbers: dict[Refs, int] = {}

    def number(self, exponent: Refs) -> int:
        return self._numbers.setdefault(exponent, len(self._numbers))

    def listed(self) -> list[Refs]:
        """By number."""
        return list(self._numbers)


class TermList:
    """Terms of one instrument; those of one exponent are added up, in the order they come.

    Attributes:
        amounts: by twice the number of the exponent, one more for what is multiplied by the quote.
    """

    def __init__(self, exponents: Exponents) -> None:
        self.exponents = exponents
        self.amounts: dict[int, float] = {}

    def add(self, amount: float, exponent: int, is_quoted: bool = False) -> None:
        """amount * exp(exponent . market), times the quote where `is_quoted`; the exponent by its number."""
        key = 2 * exponent + is_quoted
        self.amounts[key] = self.amounts.get(key, 0.0) + amount

    def add_quoted(self, amounts: Iterable[float], exponents: Iterable[int]) -> None:
        """Each amount * exp(its exponent . market) times the quote."""
        known = self.amounts
        for amount, exponent in zip(amounts, exponents, strict=True):
            key = 2 * exponent + 1
            known[key] = known.get(key, 0.0) + amount

    def add_differences(self, sign: float, pairs: Iterable[tuple[int, int]]) -> None:
        """Of each pair of exponents, sign times the first less the second."""
        amounts = self.amounts
        for first, second in pairs:
            amounts[2 * first] = amounts.get(2 * first, 0.0) + sign
            amounts[2 * second] = amounts.get(2 * second, 0.0) - sign

    def terms(self) -> list[Term]:
        """In the order they were first met; what cancelled is left out."""
        exponents = self.exponents.listed()
        return [Term(amount, exponents[key >> 1], bool(key & 1)) for key, amount in self.amounts.items() if amount]


class Cells(msgspec.Struct, frozen=True):
    """All terms of a system, one cell for an instrument and exponent.

    Attributes:
        exponents: those in use, in the order the instruments use them.
        rows, sources: (c,) instrument and exponent of a cell, by instrument, and as its terms were first met.
        plain, quoted: (c,) amounts without and with the quote.
    """

    exponents: list[Refs]
    rows: Ints
    sources: Ints
    plain: Floats
    quoted: Floats


def cells_of(lists: Sequence[TermList]) -> Cells:
    """The cells of instruments whose exponents are numbered alike; what cancelled is left out."""
    counts = [len(one.amounts) for one in lists]
    keys = np.fromiter(chain.from_iterable(one.amounts for one in lists), np.int64, sum(counts))
    amounts = np.fromiter(chain.from_iterable(one.amounts.values() for one in lists), np.float64, sum(counts))
    kept = amounts != 0.0
    rows, keys, amounts = np.repeat(np.arange(len(lists)), counts)[kept], keys[kept], amounts[kept]
    used = dict.fromkeys((keys >> 1).tolist())
    listed = lists[0].exponents.listed() if used else []
    place = np.empty(len(listed), dtype=np.int64)
    place[list(used)] = np.arange(len(used))
    sources, is_quoted = place[keys >> 1], (keys & 1).astype(np.bool_)
    names = rows * len(used) + sources
    order = np.argsort(names, kind="stable")
    is_second = np.zeros(len(names), dtype=np.bool_)  # of the two terms of a cell, which then stand side by side
    is_second[order[1:]] = names[order[1:]] == names[order[:-1]]
    numbers = np.cumsum(~is_second) - 1
    places = np.flatnonzero(is_second[order])
    numbers[order[places]] = numbers[order[places - 1]]
    plain, quoted = np.zeros(len(names) - len(places)), np.zeros(len(names) - len(places))
    plain[numbers[~is_quoted]] = amounts[~is_quoted]  # each once
    quoted[numbers[is_quoted]] = amounts[is_quoted]
    return Cells([listed[number] for number in used], rows[~is_second], sources[~is_second], plain, quoted)
