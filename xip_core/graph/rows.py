"""Rows of a book: which group each belongs to, and which have no number before anything is priced.

A book is one trade a line; line i, counted from 0, is row i for good, whatever its line holds. A **group** is the rows
of one row program and asset class. Only labels are read (id, type and what `model.trade_labels` names);
whether the rest of a trade is sound is found by the worker that resolves it. Quarantined here are lines that are no
trade, unknown types, and every repetition of an id.

Rows of a group are ordered by what they lean on in the market, then by row: the tiles cut from them need few curves
each, which is what pruning scenarios and taking over tiles live on.

A **leaf** is the rows that agree in asset class and in every hierarchy key that the run's aggregates go by: no sum of
the run is finer. A row that lacks a key which a sum goes by would be missing from it without a word, so such a book is
refused; rows that have no number anyway count as "unclassified" there.

Lines that leave no doubt are read by a compiled twin of `model.trade_labels` (`graph.trade_lines`), 0.3 us a trade, the
others by Python, 3 us; tests compare the two over lines of every kind.

Repetitions are found by sorting 64-bit hashes and comparing the ids behind equal ones: 8 bytes a row where a dict would
take 150. The rest is numpy, so a book of 10^8 rows is read in a minute and 2 GB beside itself.

A book may come in pieces of whole lines, each read twice, and is in memory as a whole only where an id repeats. Pages
that a process has not used before cost it 0.6 ms a MiB, so 36 MiB read piece by piece are planned 20 ms sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason, RequestError
from xip_core.graph import cost
from xip_core.graph.plan import UNCLASSIFIED, PlannedQuarantine
from xip_core.graph.trade_lines import HIERARCHY_KEYS_MAX, PYTHON_LINE, LineReader, id_hash, line_count
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
_TYPES = tuple((trade_type, ASSET_CLASS_OF[trade_type], group) for trade_type, group in _GROUP_OF_TYPE.items())
_NO_GROUP = 255

LINES_PER_CALL = 1 << 16
"""Of the compiled reader, 20 ms of swaps."""

ROWS_NAMED_MAX = 3
"""Of the rows that lack a hierarchy key, so many are named."""


class BookRows(msgspec.Struct, frozen=True):
    """What planning needs of a book.

    Attributes:
        group_rows: int32 rows of each of GROUPS, ordered by dependency and row; together with the quarantined ones,
            each row once.
        group_breaks: positions in each of *group_rows* at which the dependency changes, ascending.
        leaves: labels of each leaf, in the order of the keys asked for; in order of first occurrence.
        leaf_of_row: (row_count,) int32 positions in *leaves*.
        quarantine: by row.
    """

    row_count: int
    group_rows: tuple[np.ndarray, ...]
    group_breaks: tuple[np.ndarray, ...]
    leaves: tuple[tuple[str, ...], ...]
    leaf_of_row: np.ndarray
    quarantine: tuple[PlannedQuarantine, ...]


def read_rows(book: bytes | Iterable[bytes], keys: tuple[str, ...] = (ASSET_CLASS,)) -> BookRows:
    """
    Group the rows of *book*, JSON lines.

    Args:
        book: whole, or in pieces that end where lines do; these are gone through more than once.
        keys: hierarchy keys of the leaves.

    Raises:
        RequestError: EMPTY_BOOK, TOO_LARGE, TOO_MANY_BAD_TRADES or MISSING_HIERARCHY_KEY.
    """
    pieces = (book,) if isinstance(book, bytes) else book
    row_count = size_bytes = 0
    is_empty = True
    for piece in pieces:
        row_count += line_count(piece)
        size_bytes += len(piece)
        is_empty = is_empty and (not piece or piece.isspace())
    if is_empty:
        raise RequestError("EMPTY_BOOK", f"a book must have at least one trade, got {size_bytes} bytes without any")
    if row_count > ROW_COUNT_MAX:
        raise RequestError("TOO_LARGE", f"a book must have at most {ROW_COUNT_MAX} rows, got {row_count}")
    reading = _Reading(pieces, keys, row_count)
    reading.read()
    return reading.rows()


class _Reading:
    """The rows of one book: what the compiled reader tells of plain lines, and what Python reads of the others.

    Leaves and dependencies are told by codes: 0, 1, ... by the compiled reader, -1, -2, ... by Python.
    """

    def __init__(self, pieces: Iterable[bytes], keys: tuple[str, ...], row_count: int) -> None:
        self._pieces, self._keys, self._row_count = pieces, keys, row_count
        plain_keys = keys if len(keys) <= HIERARCHY_KEYS_MAX else ()
        self._reader = LineReader(_TYPES, plain_keys, TRADE_SIZE_BYTES_MAX, TRADE_ID_LENGTH_MAX)
        self._is_python_alone = plain_keys != keys
        self._groups = np.empty(row_count, "u1")
        self._leaves, self._dependencies = np.empty(row_count, "<i4"), np.empty(row_count, "<i4")
        self._id_hashes, self._has_id = np.empty(row_count, "i8"), np.ones(row_count, np.bool_)
        self._own_leaves: dict[tuple[str, ...], int] = {}
        self._own_names: dict[MarketNames | None, int] = {}
        self._quarantine: dict[int, PlannedQuarantine] = {}
        self._missing = _MissingLabels(keys)

    def read(self) -> None:
        row, begins = 0, np.empty(LINES_PER_CALL + 1, "i8")
        for piece in self._pieces:
            at, row_end = 0, row + line_count(piece)
            while row < row_end:
                lines = slice(row, min(row + LINES_PER_CALL, row_end))
                at = self._read_lines(piece, at, lines, begins)
                row = lines.stop
        self._missing.refuse()
        self._refuse_repetitions()

    def _read_lines(self, piece: bytes, at: int, lines: slice, begins: np.ndarray) -> int:
        """Rows *lines*, which begin at *at* of a piece; where they end."""
        groups = self._groups[lines]
        arrays = self._leaves[lines], self._dependencies[lines], self._id_hashes[lines]
        at, _ = self._reader.read(piece, at, groups, *arrays, begins[: len(groups) + 1])
        if self._is_python_alone:
            groups[:] = PYTHON_LINE
        for position in np.flatnonzero(groups == PYTHON_LINE).tolist():
            self._read_line(lines.start + position, piece[begins[position] : begins[position + 1]])
        return at

    def _read_line(self, row: int, line: bytes) -> None:
        """A line that the compiled reader leaves to Python."""
        keys = self._keys
        try:
            labels = _read_labels(line)
        except CellError as error:
            self._has_id[row] = False
            self._tell(row, _NO_GROUP, (UNCLASSIFIED,) * len(keys), None)
            self._refuse(row, "", "", error)
            return
        self._id_hashes[row] = id_hash(labels.id.encode("utf-8", "surrogatepass"))
        group = _GROUP_OF_TYPE.get(labels.type)
        values = tuple([label_of(labels, key) for key in keys])
        leaf = tuple([value or UNCLASSIFIED for value in values])
        if group is None:
            self._tell(row, _NO_GROUP, leaf, None)
            unread = decode_unread(line) if labels.type == UNREAD else _unknown_type(labels)
            self._refuse(row, labels.id, "", unread)
            return
        self._tell(row, group, leaf, labels.market_names)
        if "" in values and labels.is_readable:
            self._missing.note(row, labels, values)

    def _tell(self, row: int, group: int, leaf: tuple[str, ...], names: MarketNames | None) -> None:
        self._groups[row] = group
        self._leaves[row] = ~self._own_leaves.setdefault(leaf, len(self._own_leaves))
        self._dependencies[row] = ~self._own_names.setdefault(names, len(self._own_names))

    def _refuse_repetitions(self) -> None:
        for row, head, first_row in _repetitions(self._pieces, self._id_hashes, self._has_id):
            self._groups[row] = _NO_GROUP
            sentence = f"trade {head.id}: an id must occur once in a book, line {first_row + 1} has it already"
            asset_class = ASSET_CLASS_OF.get(head.type, "")
            self._refuse(row, head.id, asset_class, CellError(FailureReason.DUPLICATE_TRADE, sentence))

    def _refuse(self, row: int, trade_id: str, asset_class: str, error: CellError) -> None:
        """Quarantine *row*; a row refused twice keeps the last reason."""
        failure, quarantine = error.failure, self._quarantine
        message = f"line {row + 1}: {failure.message}"
        quarantine[row] = PlannedQuarantine(row, trade_id, failure.reason, message, asset_class)
        if len(quarantine) > QUARANTINE_COUNT_MAX:
            sentence = f"a book must have at most {QUARANTINE_COUNT_MAX} lines that are no trade, {message}"
            raise RequestError("TOO_MANY_BAD_TRADES", sentence)

    def rows(self) -> BookRows:
        leaves, leaf_of_row = self._numbered_leaves()
        ranks = self._ranks()
        group_rows = _ordered(self._groups, ranks)
        return BookRows(
            self._row_count,
            group_rows,
            tuple(np.flatnonzero(np.diff(ranks[rows])) + 1 for rows in group_rows),
            leaves,
            leaf_of_row,
            tuple(self._quarantine[row] for row in sorted(self._quarantine)),
        )

    def _numbered_leaves(self) -> tuple[tuple[tuple[str, ...], ...], np.ndarray]:
        """The leaves in order of first occurrence, and the place of each row's."""
        plain = self._reader.leaves() if not self._is_python_alone else []
        code_of = {leaf: code for code, leaf in enumerate(plain)}
        own = [code_of.setdefault(leaf, len(code_of)) for leaf in self._own_leaves]
        codes = _looked_up(self._leaves, range(len(plain)), own)
        first_rows = np.full(len(code_of), self._row_count, "<i4")
        np.minimum.at(first_rows, codes, np.arange(self._row_count, dtype="<i4"))
        order = np.argsort(first_rows, kind="stable")
        place = np.empty(len(order), "<i4")
        place[order] = np.arange(len(order), dtype="<i4")
        leaves = tuple(code_of)
        return tuple(leaves[code] for code in order.tolist()), place[codes]

    def _ranks(self) -> np.ndarray:
        """Of each row, the place of what it leans on among all such texts, sorted."""
        texts = [dependency_of(names) for names in self._reader.market_names()]
        own = ["" if names is None else dependency_of(names) for names in self._own_names]
        rank_of = {text: rank for rank, text in enumerate(sorted({*texts, *own}))}
        return _looked_up(self._dependencies, *([rank_of[text] for text in of] for of in (texts, own)))


def _looked_up(codes: np.ndarray, plain: Sequence[int], own: Sequence[int]) -> np.ndarray:
    """What stands at each code: at 0, 1, ... in *plain*, at -1, -2, ... in *own*."""
    values = np.array([*plain, *reversed(own)], "<i4")
    return np.take(values, codes)  # a negative place counts from the end


def _ordered(groups: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows of each group, by dependency and row."""
    rank_count = int(ranks.max()) + 1
    places = np.minimum(groups, len(GROUPS)).astype("i8") * rank_count + ranks
    if (len(GROUPS) + 1) * rank_count <= 1 << 16:
        places = places.astype("u2")  # which numpy sorts by counting
    order = np.argsort(places, kind="stable").astype("<i4")
    ends = np.cumsum(np.bincount(groups, minlength=len(GROUPS))[: len(GROUPS)])
    return tuple(np.ascontiguousarray(rows) for rows in np.split(order[: ends[-1]], ends[:-1]))


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


def _repetitions(pieces: Iterable[bytes], hashes: np.ndarray, has_id: np.ndarray) -> list[tuple[int, TradeHead, int]]:
    """(row, head, first row with that id) of every row whose id an earlier row has."""
    id_rows = np.flatnonzero(has_id)
    id_hashes = hashes if len(id_rows) == len(hashes) else hashes[id_rows]
    in_order = np.sort(id_hashes)
    repeated = in_order[1:][in_order[1:] == in_order[:-1]]
    if not len(repeated):
        return []
    suspects = id_rows[np.isin(id_hashes, repeated)]
    lines = b"".join(pieces).split(b"\n")
    first_row_of: dict[str, int] = {}
    repetitions = []
    for row in suspects.tolist():
        head = decode_head(lines[row])
        first_row = first_row_of.setdefault(head.id, row)
        if first_row != row:
            repetitions.append((row, head, first_row))
    return repetitions
