"""A time series of quotes as CSV, also .gz: what `xipctl scenarios historical` reads.

The first line is `date` and the names of the quotes; every other line a day, 2024-01-31, and a number for each quote.
An empty cell, and n/a, is a number that is not there; what to do about it the caller says. Lines that begin with # are
let pass.
"""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import numpy as np

from xip_core.errors import InputError
from xip_core.readers.ore_files import read_lines
from xip_core.scenarios.historical import History

ABSENT = frozenset({"", "n/a", "na", "nan", "null", "-"})
"""How a number that is not there is written, in lower case."""


def read_history(path: Path) -> History:
    """
    The history of *path*.

    Raises:
        InputError: with path and line.
        RequestError: BAD_HISTORY, dates that do not ascend or a name there twice.
    """
    lines = read_lines(path)
    number, text = next(lines, (1, ""))
    header = _cells(text)
    if len(header) < 2 or header[0].lower() != "date" or not all(header):
        raise InputError(f"the first line must be date and names of quotes, got {text[:80]!r}", str(path), number)
    dates: list[dt.date] = []
    rows: list[list[float]] = []
    for number, line in lines:
        cells = _cells(line)
        if len(cells) != len(header):
            sentence = f"a line must have {len(header)} cells like the first, got {len(cells)}"
            raise InputError(sentence, str(path), number)
        try:
            dates.append(dt.date.fromisoformat(cells[0]))
        except ValueError:
            raise InputError(f"a date must look like 2024-01-31, got {cells[0]!r}", str(path), number) from None
        rows.append([_number(cell, name, path, number) for cell, name in zip(cells[1:], header[1:], strict=True)])
    if not rows:
        raise InputError("a history must have a line of numbers, got none", str(path))
    return History(tuple(dates), tuple(header[1:]), np.array(rows))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line]), [])]


def _number(text: str, name: str, path: Path, number: int) -> float:
    if text.lower() in ABSENT:
        return float("nan")
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{name} must be a number, got {text!r}", str(path), number) from None
    if not np.isfinite(value):
        raise InputError(f"{name} must be finite, got {text!r}", str(path), number)
    return value
