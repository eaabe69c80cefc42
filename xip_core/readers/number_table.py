"""Tables of numbers as CSV, also .gz: what `xipctl evaluate` reads.

The first line names the columns; every other line has a number for each. numpy reads them, 5 M numbers a second; only
when it refuses is the file read again, slowly, to name the line.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from xip_core.errors import InputError

TABLE_SIZE_BYTES_MAX = 1 << 30
"""Also what a small .gz may unpack to; as numbers it is a third of that, about what one run may have."""


def read_number_table(path: str | Path) -> dict[str, np.ndarray]:
    """
    Columns of *path* by name, float64, in the order of the file.

    Raises:
        InputError: with path and, where one is at fault, line.
    """
    text = _text(Path(path))
    head, _, body = text.partition("\n")
    names = [name.strip() for name in next(csv.reader([head]), [])]
    if not all(names) or len(set(names)) < len(names) or not names:
        raise InputError(f"the first line must name each column once, got {head[:200]!r}", str(path), 1)
    if not body.strip():
        raise InputError("a table must have at least one line of numbers, got none", str(path))
    try:
        values = np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2, comments=None)
    except ValueError:
        raise _fault(names, body, str(path)) from None
    if values.shape[1] != len(names):
        raise _fault(names, body, str(path))
    return {name: np.ascontiguousarray(values[:, position]) for position, name in enumerate(names)}


def _text(path: Path) -> str:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                content = file.read(TABLE_SIZE_BYTES_MAX + 1)
        else:
            content = path.read_bytes()
        if len(content) > TABLE_SIZE_BYTES_MAX:
            raise InputError(f"a table must have at most {TABLE_SIZE_BYTES_MAX} bytes; cut it into several", str(path))
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from None


def _fault(names: list[str], body: str, path: str) -> InputError:
    """The first line that is at fault."""
    for line, text in enumerate(body.split("\n"), 2):
        cells = text.split(",")
        if not text.strip():
            continue
        if len(cells) != len(names):
            return InputError(f"a line must have {len(names)} numbers like the first one, got {len(cells)}", path, line)
        for name, cell in zip(names, cells, strict=True):
            try:
                float(cell)
            except ValueError:
                return InputError(f"column {name} must be a number, got {cell[:60]!r}", path, line)
    return InputError("the lines must be numbers divided by commas", path)
