"""Rows of a book: which group each belongs to, and which have no number before anything is priced.

A book is one trade a line; line i, counted from 0, is row i for good, whatever its line holds. A **group** is the rows
of one row program and asset class. Only heads are read (id and type, 1 to 2 us a trade); whether the rest of a trade
is sound is found by the worker that resolves it. Quarantined here are lines that are no trade, unknown types, and every
repetition of an id.

Repetitions are found by sorting 64-bit hashes and comparing the ids behind equal ones: 8 bytes a row where a dict would
take 150. Hashes are salted per process, but which ids are equal is not. The rest is numpy, so a book of 10^8 rows is
read in some minutes and 2 GB beside itself.
"""

from __future__ import annotations

import io
from array import array

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason, RequestError
from xip_core.graph import cost
from xip_core.graph.plan import PlannedQuarantine
from xip_core.model.trade import ASSET_CLASS_OF, PROGRAM_OF, TradeHead, decode_head
from xip_core.model.unread import UNREAD, decode_unread

ROW_COUNT_MAX = 100_000_000
"""Row numbers are int32, and a plan holds each twice, 800 MB at the most."""

TRADE_SIZE_BYTES_MAX = 1 << 20
"""A longer line is no trade: the longest real ones, with a thousand explicit dates, are 20 kB."""

TRADE_ID_LENGTH_MAX = 256
"""Ids travel in every message about a row."""

QUARANTINE_COUNT_MAX = 100_000
"""Rows refused one by one, 200 bytes each in the plan; a book with more of them is the wrong file."""

GROUPS: tuple[tuple[str, str], ...] = tuple(
    sorted(
        {(PROGRAM_OF[trade_type], ASSET_CLASS_OF[trade_type]) for trade_type in PROGRAM_OF},
        key=lambda group: (cost.COST_CLASSES[group].resolve_s_per_row, group),
    )
)
"""Every (row program, asset class), cheapest to resolve first: so a first block of numbers is out early."""

_GROUP_OF_TYPE = {
    trade_type: GROUPS.index((PROGRAM_OF[trade_type], ASSET_CLASS_OF[trade_type])) for trade_type in PROGRAM_OF
}
_NO_GROUP = 255


class BookRows(msgspec.Struct, frozen=True):
    """What planning needs of a book.

    Attributes:
        group_rows: int32 rows of each of GROUPS, ascending; together with the quarantined ones, each row once.
        quarantine: by row.
    """

    row_count: int
    group_rows: tuple[np.ndarray, ...]
    quarantine: tuple[PlannedQuarantine, ...]


def read_rows(book: bytes) -> BookRows:
    """
    Group the rows of *book*, JSON lines.

    Raises:
        RequestError: EMPTY_BOOK, TOO_LARGE or TOO_MANY_BAD_TRADES.
    """
    if not book.strip():
        raise RequestError("EMPTY_BOOK", f"a book must have at least one trade, got {len(book)} bytes without any")
    row_count = book.count(b"\n") + (not book.endswith(b"\n"))
    if row_count > ROW_COUNT_MAX:
        raise RequestError("TOO_LARGE", f"a book must have at most {ROW_COUNT_MAX} rows, got {row_count}")
    groups = bytearray([_NO_GROUP]) * row_count
    id_hashes, id_rows = array("q"), array("i")
    quarantine: dict[int, PlannedQuarantine] = {}
    for row, line in enumerate(io.BytesIO(book)):
        try:
            head = _read_head(line)
        except CellError as error:
            _refuse(quarantine, row, "", "", error)
            continue
        id_hashes.append(hash(head.id))
        id_rows.append(row)
        group = _GROUP_OF_TYPE.get(head.type)
        if group is None:
            _refuse(quarantine, row, head.id, "", decode_unread(line) if head.type == UNREAD else _unknown_type(head))
        else:
            groups[row] = group
    for row, head, first_row in _repetitions(book, np.frombuffer(id_hashes, "i8"), np.frombuffer(id_rows, "i4")):
        groups[row] = _NO_GROUP
        sentence = f"trade {head.id}: an id must occur once in a book, line {first_row + 1} has it already"
        asset_class = ASSET_CLASS_OF.get(head.type, "")
        _refuse(quarantine, row, head.id, asset_class, CellError(FailureReason.DUPLICATE_TRADE, sentence))
    codes = np.frombuffer(groups, "u1")
    group_rows = tuple(np.flatnonzero(codes == group).astype("<i4") for group in range(len(GROUPS)))
    return BookRows(row_count, group_rows, tuple(quarantine[row] for row in sorted(quarantine)))


def _read_head(line: bytes) -> TradeHead:
    if len(line) > TRADE_SIZE_BYTES_MAX:
        sentence = f"not a trade: a line must have at most {TRADE_SIZE_BYTES_MAX} bytes, got {len(line)}"
        raise CellError(FailureReason.BAD_TRADE, sentence)
    head = decode_head(line)
    if not 0 < len(head.id) <= TRADE_ID_LENGTH_MAX:
        sentence = f"a trade's id must have 1 to {TRADE_ID_LENGTH_MAX} characters, got {len(head.id)}"
        raise CellError(FailureReason.BAD_TRADE, sentence)
    return head


def _unknown_type(head: TradeHead) -> CellError:
    known = ", ".join(PROGRAM_OF)
    return CellError(
        FailureReason.UNSUPPORTED, f"trade {head.id}: type must be one of {known}, got {head.type[:64]!r}"
    )


def _refuse(
    quarantine: dict[int, PlannedQuarantine], row: int, trade_id: str, asset_class: str, error: CellError
) -> None:
    """Quarantine *row*; a row refused twice keeps the last reason."""
    failure = error.failure
    quarantine[row] = PlannedQuarantine(
        row, trade_id, failure.reason, f"line {row + 1}: {failure.message}", asset_class
    )
    if len(quarantine) > QUARANTINE_COUNT_MAX:
        sentence = f"a book must have at most {QUARANTINE_COUNT_MAX} lines that are no trade, {quarantine[row].message}"
        raise RequestError("TOO_MANY_BAD_TRADES", sentence)


def _repetitions(book: bytes, id_hashes: np.ndarray, id_rows: np.ndarray) -> list[tuple[int, TradeHead, int]]:
    """(row, head, first row with that id) of every row whose id an earlier row has."""
    order = np.argsort(id_hashes, kind="stable")
    equal = np.flatnonzero(id_hashes[order][1:] == id_hashes[order][:-1])
    if not len(equal):
        return []
    suspects = np.unique(id_rows[order[np.concatenate([equal, equal + 1])]])
    lines = book.split(b"\n")
    first_row_of: dict[str, int] = {}
    repetitions = []
    for row in suspects.tolist():
        head = decode_head(lines[row])
        first_row = first_row_of.setdefault(head.id, row)
        if first_row != row:
            repetitions.append((row, head, first_row))
    return repetitions
