"""The covariance of a ladder's factors from a file: what `xipctl run --covariance` reads.

CSV, the names of the factors in the first line and the first column, lines in any order::

    ,zero_rate curve/EUR1D 5Y,fx fx/USD spot
    zero_rate curve/EUR1D 5Y,25.0,-1.2
    fx fx/USD spot,-1.2,0.36

or JSON, as `model.covariance` encodes it or with rows of numbers::

    {"factors": ["zero_rate curve/EUR1D 5Y", "fx fx/USD spot"], "matrix": [[25.0, -1.2], [-1.2, 0.36]]}

In units of the ladders squared, over the horizon of the VaR. ORE's files have factors of its own names:
`readers.ore_covariance`.
"""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import numpy as np

from xip_core.errors import InputError, RequestError
from xip_core.model.covariance import FACTOR_COUNT_MAX, covariance_of, decode_covariance, encode_covariance
from xip_core.model.unreadable import UNREADABLE, fault_of
from xip_core.readers.ore_files import read_bytes, read_lines


class _Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """JSON as people write it."""

    factors: tuple[str, ...]
    matrix: list[list[float]]


def read_covariance(path: Path) -> bytes:
    """
    The blob of the covariance in *path*; whether its numbers are those of a covariance the planner says.

    Raises:
        InputError: with path and line.
        RequestError: BAD_COVARIANCE, TOO_LARGE.
    """
    content = read_bytes(path)
    is_json = content.lstrip().startswith(b"{")  # whatever its name: a saved graph names blobs by their digest
    encoded = _from_json(content, path) if is_json else _from_csv(path)
    decode_covariance(encoded)
    return encoded


def _from_json(content: bytes, path: Path) -> bytes:
    if b'"matrix"' not in content:
        return content
    try:
        rows = msgspec.json.decode(content, type=_Rows)
    except UNREADABLE as error:
        raise InputError(f"does not decode: {fault_of(content, error)}", str(path)) from None
    for number, row in enumerate(rows.matrix):
        if len(row) != len(rows.factors):
            sentence = f"a row must have {len(rows.factors)} numbers like factors, got {len(row)} in row {number}"
            raise InputError(sentence, str(path))
    return encode_covariance(covariance_of(rows.factors, np.array(rows.matrix)))


def _from_csv(path: Path) -> bytes:
    lines = read_lines(path)
    number, header = next(lines, (1, ""))
    names = [cell.strip() for cell in next(csv.reader([header]), [])][1:]
    if not names:
        raise InputError(f"the first line must name the factors, got {header[:80]!r}", str(path), number)
    if len(names) > FACTOR_COUNT_MAX:
        raise RequestError("TOO_LARGE", f"a covariance must have at most {FACTOR_COUNT_MAX} factors, got {len(names)}")
    matrix = np.full((len(names), len(names)), np.nan)
    found: dict[str, int] = {}
    for number, line in lines:
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if len(cells) != len(names) + 1:
            sentence = f"a line must have {len(names) + 1} cells like the first, got {len(cells)}"
            raise InputError(sentence, str(path), number)
        if cells[0] not in names or cells[0] in found:
            what = "is there twice" if cells[0] in found else "is none of the first line"
            raise InputError(f"a line must begin with a factor of its own, {cells[0]!r} {what}", str(path), number)
        found[cells[0]] = number
        matrix[names.index(cells[0])] = [_number(cell, path, number) for cell in cells[1:]]
    lost = [name for name in names if name not in found]
    if lost:
        raise InputError(f"every factor of the first line must have a line, {lost[0]!r} has none", str(path))
    return encode_covariance(covariance_of(names, matrix))


def _number(cell: str, path: Path, number: int) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"a covariance must be a number, got {cell[:60]!r}", str(path), number) from None
