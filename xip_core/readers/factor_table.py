"""Factors and their correlation as CSV: what `xipctl scenarios montecarlo` reads.

Factors, a header and a line each::

    name,target,quotes,kind,volatility,mean,after,until
    oil,commodity,COMDTY_WTI_USD,log,0.35,0,,
    eur,currency,EUR,absolute,0.0080,,,

*mean*, *after* and *until* may be left out. The correlation has the factors' names in its first line and first column,
in any order::

    ,oil,eur
    oil,1,0.2
    eur,0.2,1
"""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import InputError
from xip_core.readers.ore_files import read_lines
from xip_core.scenarios.draws import Factor

REQUIRED = ("name", "target", "quotes", "kind", "volatility")
OPTIONAL = ("mean", "after", "until")


def read_factors(path: Path) -> tuple[Factor, ...]:
    """
    The factors of *path*.

    Raises:
        InputError: with path and line.
    """
    rows = _rows(path)
    number, header = rows[0]
    unknown = [name for name in header if name not in (*REQUIRED, *OPTIONAL)]
    lost = [name for name in REQUIRED if name not in header]
    if unknown or lost or len(set(header)) < len(header):
        sentence = f"the first line must be of {','.join((*REQUIRED, *OPTIONAL))}, got {','.join(header)}"
        raise InputError(sentence, str(path), number)
    factors = []
    for number, cells in rows[1:]:
        fields = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
        try:
            factors.append(msgspec.convert(fields, Factor, strict=False))
        except msgspec.ValidationError as error:
            raise InputError(str(error), str(path), number) from None
    if not factors:
        raise InputError("must have a factor, got none", str(path))
    return tuple(factors)


def read_correlation(path: Path, factors: tuple[Factor, ...]) -> npt.NDArray[np.float64]:
    """
    The correlation (n, n) in the order of *factors*.

    Raises:
        InputError: with path and line; its names must be those of the factors.
    """
    rows = _rows(path)
    number, header = rows[0]
    names = [factor.name for factor in factors]
    if sorted(header[1:]) != sorted(names) or sorted(cells[0] for _, cells in rows[1:]) != sorted(names):
        raise InputError(f"lines and columns must be named {', '.join(names)}", str(path), number)
    values: dict[tuple[str, str], float] = {}
    for number, cells in rows[1:]:
        for name, cell in zip(header[1:], cells[1:], strict=True):
            try:
                values[cells[0], name] = float(cell)
            except ValueError:
                raise InputError(f"{cells[0]}, {name} must be a number, got {cell!r}", str(path), number) from None
    return np.array([[values[row, column] for column in names] for row in names])


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Numbered lines in cells, all as many as in the first."""
    rows = [(number, [cell.strip() for cell in next(csv.reader([line]), [])]) for number, line in read_lines(path)]
    if not rows:
        raise InputError("must have a first line, got none", str(path))
    for number, cells in rows:
        if len(cells) != len(rows[0][1]):
            sentence = f"a line must have {len(rows[0][1])} cells like the first, got {len(cells)}"
            raise InputError(sentence, str(path), number)
    return rows
