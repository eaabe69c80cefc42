"""Rows of a book: which group each belongs to, and which have no number before anything is priced.

A book is one trade a line; line i, counted from 0, is row i for good, whatever its line holds. A **group** is the rows
of one row program and asset class. Only labels are read (id, type and what `model.trade_labels` names, 2 us a trade);
whether the rest of a trade is sound is found by the worker that resolves it. Quarantined here are lines that are no
trade, unknown types, and every repetition of an id.

Rows of a group are ordered by what they lean on in the market, then by row: the tiles cut from them need few curves
each, which is what pruning scenarios and taking over tiles live on.

A **leaf** is the rows that agree in asset class and in every hierarchy key that the run's aggregates go by: no sum of
the run is finer. A row that lacks a key which a sum goes by would be missing from it without a word, so such a book is
refused; rows that have no number anyway count as "unclassified" there.

Repetitions are found by sorting 64-bit hashes and comparing the ids behind equal ones: 8 bytes a row where a dict would
take 150. Hashes are salted per process, but which ids are equal is not. The rest is numpy, so a book of 10^8 rows is
read in some minutes and 2 GB beside itself.
"""

from __future__ import annotations

import io
from array import array
from typing import Generic, TypeVar

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason, RequestError
from xip_core.graph import cost
from xip_core.graph.plan import UNCLASSIFIED, PlannedQuarantine
from xip_core.model.trade import ASSET_CLASS_OF, PROGRAM_OF, TradeHead, decode_head
from xip_core.model.trade_labels import (
    ASSET_CLASS,
    FIXED_KEYS,
    MarketNames,
    TradeLabels,
    decode_labels,
    dependency_of,
    label_of,
)
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

Value = TypeVar("Value")

ROWS_NAMED_MAX = 3
"""Of the rows that lack a hierarchy key, so many are named."""


class BookRows(msgspec.Struct, frozen=True):
    """What planning needs of a book.

    Attributes:
        group_rows: int32 rows of each of GROUPS, ordered by dependency and row; together with the quarantined ones,
            each row once.
        leaves: labels of each leaf, in the order of the keys asked for; in order of first occurrence.
        leaf_of_row: (row_count,) int32 positions in *leaves*.
        quarantine: by row.
    """

    row_count: int
    group_rows: tuple[np.ndarray, ...]
    leaves: tuple[tuple[str, ...], ...]
    leaf_of_row: np.ndarray
    quarantine: tuple[PlannedQuarantine, ...]


class _Codes(Generic[Value]):
    """A small number for each distinct value, in order of first occurrence, and the number of each row."""

    def __init__(self, row_count: int) -> None:
        self.of_value: dict[Value, int] = {}
        self.of_row = array("i", bytes(4 * row_count))

    def add(self, row: int, value: Value) -> None:
        self.of_row[row] = self.of_value.setdefault(value, len(self.of_value))

    def rows(self) -> np.ndarray:
        return np.frombuffer(self.of_row, "<i4")


def read_rows(book: bytes, keys: tuple[str, ...] = (ASSET_CLASS,)) -> BookRows:
    """
    Group the rows of *book*, JSON lines.

    Args:
        keys: hierarchy keys of the leaves.

    Raises:
        RequestError: EMPTY_BOOK, TOO_LARGE, TOO_MANY_BAD_TRADES or MISSING_HIERARCHY_KEY.
    """
    if not book.strip():
        raise RequestError("EMPTY_BOOK", f"a book must have at least one trade, got {len(book)} bytes without any")
    row_count = book.count(b"\n") + (not book.endswith(b"\n"))
    if row_count > ROW_COUNT_MAX:
        raise RequestError("TOO_LARGE", f"a book must have at most {ROW_COUNT_MAX} rows, got {row_count}")
    groups = bytearray([_NO_GROUP]) * row_count
    id_hashes, id_rows = array("q"), array("i")
    quarantine: dict[int, PlannedQuarantine] = {}
    dependencies: _Codes[MarketNames | None] = _Codes(row_count)
    dependencies.add(0, None)  # of rows without a group
    leaves: _Codes[tuple[str, ...]] = _Codes(row_count)
    missing = _MissingLabels(keys)
    for row, line in enumerate(io.BytesIO(book)):
        try:
            labels = _read_labels(line)
        except CellError as error:
            _refuse(quarantine, row, "", "", error)
            leaves.add(row, (UNCLASSIFIED,) * len(keys))
            continue
        id_hashes.append(hash(labels.id))
        id_rows.append(row)
        group = _GROUP_OF_TYPE.get(labels.type)
        values = tuple([label_of(labels, key) for key in keys])
        if group is None:
            unread = decode_unread(line) if labels.type == UNREAD else _unknown_type(labels)
            _refuse(quarantine, row, labels.id, "", unread)
        else:
            groups[row] = group
            dependencies.add(row, labels.market_names)
            if "" in values and labels.is_readable:
                missing.note(row, labels, values)
        leaves.add(row, tuple([value or UNCLASSIFIED for value in values]) if "" in values else values)
    missing.refuse()
    for row, head, first_row in _repetitions(book, np.frombuffer(id_hashes, "i8"), np.frombuffer(id_rows, "i4")):
        groups[row] = _NO_GROUP
        sentence = f"trade {head.id}: an id must occur once in a book, line {first_row + 1} has it already"
        asset_class = ASSET_CLASS_OF.get(head.type, "")
        _refuse(quarantine, row, head.id, asset_class, CellError(FailureReason.DUPLICATE_TRADE, sentence))
    return BookRows(
        row_count,
        _ordered(np.frombuffer(groups, "u1"), dependencies),
        tuple(leaves.of_value),
        leaves.rows(),
        tuple(quarantine[row] for row in sorted(quarantine)),
    )


def _ordered(groups: np.ndarray, dependencies: _Codes[MarketNames | None]) -> tuple[np.ndarray, ...]:
    """Rows of each group, by dependency and row."""
    texts = ["" if names is None else dependency_of(names) for names in dependencies.of_value]
    rank_of = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    ranks = np.array([rank_of[text] for text in texts], "<i4")[dependencies.rows()]
    found = []
    for group in range(len(GROUPS)):
        rows = np.flatnonzero(groups == group).astype("<i4")
        found.append(rows[np.argsort(ranks[rows], kind="stable")])
    return tuple(found)


class _MissingLabels:
    """Rows that lack a label which sums go by."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._rows: dict[str, list[str]] = {}
        self._count: dict[str, int] = {}

    def note(self, row: int, labels: TradeLabels, values: tuple[str, ...]) -> None:
        for key, value in zip(self._keys, values, strict=True):
            if not value:
                self._count[key] = self._count.get(key, 0) + 1
                named = self._rows.setdefault(key, [])
                if len(named) < ROWS_NAMED_MAX:
                    named.append(f"line {row + 1} (trade {labels.id})")

    def refuse(self) -> None:
        """
        Raises:
            RequestError: MISSING_HIERARCHY_KEY.
        """
        for key, named in self._rows.items():
            what = f"{key!r}" if key in FIXED_KEYS else f"the tag {key!r}"
            count = self._count[key]
            rest = f" and {count - len(named)} more" if count > len(named) else ""
            sentence = f"every trade must have {what}, which an aggregate goes by; missing in {', '.join(named)}{rest}"
            raise RequestError("MISSING_HIERARCHY_KEY", sentence)


def _read_labels(line: bytes) -> TradeLabels:
    if len(line) > TRADE_SIZE_BYTES_MAX:
        sentence = f"not a trade: a line must have at most {TRADE_SIZE_BYTES_MAX} bytes, got {len(line)}"
        raise CellError(FailureReason.BAD_TRADE, sentence)
    labels = decode_labels(line)
    if not 0 < len(labels.id) <= TRADE_ID_LENGTH_MAX:
        sentence = f"a trade's id must have 1 to {TRADE_ID_LENGTH_MAX} characters, got {len(labels.id)}"
        raise CellError(FailureReason.BAD_TRADE, sentence)
    return labels


def _unknown_type(head: TradeLabels) -> CellError:
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
