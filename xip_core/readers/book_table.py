"""Books in our own formats: one trade a line as JSON, or a table of flat products as CSV; both also as .gz.

A book in memory is what is uploaded: JSON lines, line i being row i. A reader's errors (`InputError`) are about the
file: it is not there, not gzip, not text, its header makes no table. What is wrong with one line stays one line, so
that the row is quarantined with its reason and every other row keeps its number.

JSON lines are taken as they are. `xip_core.model.trade` says what a trade looks like.

CSV has a header naming fields of trades, `type` and `id` among them; an empty cell is a field that is not given. Any
product without legs fits (forwards, options, FRAs)::

    type,id,value_date,bought_currency,bought_amount,sold_currency,sold_amount
    fx_forward,F1,2017-02-07,EUR,1000000,USD,1130000

Labels have columns too: `desk`, `book`, `counterparty`, and `tag.NAME` for a tag of any name.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import typing
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from xip_core.errors import InputError
from xip_core.model import trade

BOOK_SIZE_BYTES_MAX = 1 << 32
"""Ten million swaps of 430 bytes; also what a small .gz may unpack to."""

TAG_PREFIX = "tag."
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_book(path: str | Path) -> bytes:
    """
    The book in *path* as JSON lines: .jsonl or .csv, or a portfolio of ORE, .xml; each also with .gz.

    Raises:
        InputError: with path and, where one is at fault, line.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        return _csv_to_lines(_content(path), str(path))
    if name.endswith((".jsonl", ".ndjson")):
        return _content(path).removeprefix(_BYTE_ORDER_MARK)
    if name.endswith(".xml"):
        from xip_core.readers.ore_directory import read_portfolio_book

        return read_portfolio_book(path)
    raise InputError("a book must be .jsonl, .ndjson, .csv or .xml, each also with .gz", str(path))


def write_book(path: str | Path, trades: list[trade.Trade]) -> None:
    """Write *trades* as JSON lines; a .gz is the same bytes whenever it is written."""
    path = Path(path)
    lines = b"".join(trade.encode_trade(one) + b"\n" for one in trades)
    path.write_bytes(gzip.compress(lines, mtime=0) if path.name.endswith(".gz") else lines)


def _content(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            content = file.read(BOOK_SIZE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from None
    if len(content) > BOOK_SIZE_BYTES_MAX:
        raise InputError(f"a book must have at most {BOOK_SIZE_BYTES_MAX} bytes", str(path))
    return content


def _csv_to_lines(content: bytes, path: str) -> bytes:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"must be UTF-8: {error.reason}", path, line) from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = _header(next(rows, []), path)
        return b"".join(msgspec.json.encode(_fields(header, cells)) + b"\n" for cells in rows)
    except csv.Error as error:
        raise InputError(f"must be CSV: {error}", path, rows.line_num) from None


def _header(cells: list[str], path: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    for required in ("type", "id"):
        if required not in header:
            raise InputError(f"the first line must name the columns, {required!r} among them, got {header}", path, 1)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise InputError(f"a column must occur once, {repeated[0]!r} is there twice", path, 1)
    return header


def _fields(header: list[str], cells: list[str]) -> dict[str, str | float | dict[str, str]]:
    """A trade's fields; what is no number where one belongs stays text, and pricing says so of that row."""
    named = [*header, *(f"column {at + 1}" for at in range(len(header), len(cells)))]
    given = {name: cell.strip() for name, cell in zip(named, cells, strict=False) if cell.strip()}
    numbers = _number_fields(given.get("type", ""))
    tags = {name.removeprefix(TAG_PREFIX): cell for name, cell in given.items() if name.startswith(TAG_PREFIX)}
    fields: dict[str, str | float | dict[str, str]] = {
        name: _number(cell) if name in numbers else cell
        for name, cell in given.items()
        if not name.startswith(TAG_PREFIX)
    }
    return fields | {"tags": tags} if tags else fields


def _number(cell: str) -> str | float:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return number if math.isfinite(number) else cell  # JSON has no NaN


def _number_fields(trade_type: str) -> frozenset[str]:
    return _NUMBER_FIELDS.get(trade_type, frozenset())


def _number_fields_by_type() -> Iterator[tuple[str, frozenset[str]]]:
    for struct in typing.get_args(trade.Trade):
        numbers = (field.name for field in msgspec.structs.fields(struct) if field.type in (float, float | None))
        yield struct.__struct_config__.tag, frozenset(numbers)


_NUMBER_FIELDS = dict(_number_fields_by_type())
