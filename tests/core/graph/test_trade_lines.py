"""xip_core.graph.trade_lines: the compiled reader says of a line what the decoder in Python says, or nothing"""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.graph.builders import a_book, a_line
from tests.core.graph.line_readers import NothingTold
from xip_core.errors import CellError, RequestError
from xip_core.graph import rows
from xip_core.graph.rows import BookRows, read_rows
from xip_core.graph.trade_lines import HIERARCHY_KEYS_MAX, PYTHON_LINE, LineReader, id_hash, line_count
from xip_core.model.trade import ASSET_CLASS_OF, PROGRAM_OF, decode_trade, encode_trade
from xip_core.model.trade_labels import FIXED_KEYS, decode_labels, label_of
from xip_core.samples import load

KEYS = ("asset_class", "currency", "trade")
ALL_KEYS = (*FIXED_KEYS, "portfolio_2", "x")
SAMPLE = load("cross-asset").book.splitlines()


class Told:
    """What the compiled reader tells of the lines of a book."""

    def __init__(self, book: bytes, keys: tuple[str, ...] = KEYS) -> None:
        count = line_count(book)
        self.keys = keys
        self.reader = LineReader(rows._TYPES, keys, rows.TRADE_SIZE_BYTES_MAX, rows.TRADE_ID_LENGTH_MAX)
        self.groups = np.empty(count, "u1")
        self.leaves, self.dependencies = np.empty(count, "<i4"), np.empty(count, "<i4")
        self.hashes, self.begins = np.empty(count, "i8"), np.empty(count + 1, "i8")
        arrays = self.groups, self.leaves, self.dependencies, self.hashes, self.begins
        assert self.reader.read(book, 0, *arrays) == (len(book), count)
        self.lines = [book[self.begins[row] : self.begins[row + 1]] for row in range(count)]
        assert b"".join(self.lines) == book

    @property
    def plain_count(self) -> int:
        return int((self.groups != PYTHON_LINE).sum())

    def check(self) -> None:
        """Every line told about decodes, to what was told."""
        leaves, names = self.reader.leaves(), self.reader.market_names()
        for row in np.flatnonzero(self.groups != PYTHON_LINE).tolist():
            labels = decode_labels(self.lines[row])
            assert labels.is_readable
            assert len(self.lines[row]) <= rows.TRADE_SIZE_BYTES_MAX
            assert 0 < len(labels.id) <= rows.TRADE_ID_LENGTH_MAX
            assert rows.GROUPS[self.groups[row]] == (PROGRAM_OF[labels.type], ASSET_CLASS_OF[labels.type])
            assert leaves[self.leaves[row]] == tuple(label_of(labels, key) for key in self.keys)
            assert "" not in leaves[self.leaves[row]]
            assert names[self.dependencies[row]] == labels.market_names
            assert self.hashes[row] == id_hash(labels.id.encode())
        assert len(set(leaves)) == len(leaves)


def outcome(book: bytes, keys: tuple[str, ...]) -> object:
    """The rows of a book as plain values, or what was said against it."""
    try:
        return values_of(read_rows(book, keys))
    except RequestError as error:
        return error.reason, str(error)


def values_of(book: BookRows) -> object:
    groups = tuple(tuple(group.tolist()) for group in book.group_rows)
    assert {str(array.dtype) for array in (*book.group_rows, book.leaf_of_row)} == {"int32"}
    return book.row_count, groups, book.leaves, tuple(book.leaf_of_row.tolist()), book.quarantine


def check_book(book: bytes, *all_keys: tuple[str, ...]) -> None:
    """The rows are those that Python reads alone, whatever the keys."""
    for keys in all_keys or (("asset_class",), ("asset_class", "currency"), ("asset_class", "trade"), ALL_KEYS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows, "LineReader", NothingTold)
            alone = outcome(book, keys)
        assert outcome(book, keys) == alone


# ---- lines as they come -----------------------------------------------------------------------------------------


def test_every_line_of_the_sample_is_plain_and_read_as_in_python() -> None:
    told = Told(a_book(*SAMPLE))
    told.check()
    assert told.plain_count == len(SAMPLE)
    check_book(a_book(*SAMPLE))


def test_hierarchy_labels_and_tags_are_read_as_in_python() -> None:
    lines = []
    for row, line in enumerate(SAMPLE[::3]):
        decoded = json.loads(line)
        decoded |= {"desk": f"d{row % 3}", "book": f"b{row % 7}", "counterparty": f"C {row}"}
        decoded["tags"] = {"x": f"t{row % 2}", "portfolio_2": "p", "y": ""}
        lines.append(encode_trade(decode_trade(json.dumps(decoded).encode())))
    told = Told(a_book(*lines), ALL_KEYS)
    told.check()
    assert told.plain_count == len(lines)
    check_book(a_book(*lines))


def test_lines_that_were_put_in_any_order_and_spacing_are_plain() -> None:
    legs, other = b'[ { "index":"I" , "currency" :"EUR"},{}]', b'[1.5e-7,-0,[],{"a":null}]'
    told = Told(b'\t{ "legs" : %b, "x":%b,"type": "swap","id":"A" } \r' % (legs, other), ("currency",))
    told.check()
    assert told.plain_count == 1


# ---- lines that leave doubt ---------------------------------------------------------------------------------------

DOUBTFUL = [
    b"",
    b"{",
    b"{}",
    b"[1, 2]",
    b'{"id": "A"}',
    b'{"type": "swap"}',
    b'{"type": "swap", "id": 7}',
    b'{"type": "swap", "id": ""}',
    b'{"type": "swap", "id": "A"',
    b'{"type": "swap", "id": "A"} {}',
    b'{"type": "swap", "id": "A",}',
    b'{"type": "swap" "id": "A"}',
    b'{"type": "swap", "id": "A", "id": "B"}',
    b'{"type": "swap", "id": "A", " ": true}',
    b'{"type": "swap", "id": "A\\u0041"}',
    b'{"type": "swap", "id": "\xc3\xa9"}',
    b'{"type": "swap", "id": "\xff"}',
    b'{"type": "swap", "id": "A\x00"}',
    b'{"type": "swap", "id": "A\x1f"}',
    b'{"type": "swap", "id": "A"}\x00',
    b'{"type": "swap", "id": "A", "x": 01}',
    b'{"type": "swap", "id": "A", "x": 1.}',
    b'{"type": "swap", "id": "A", "x": .5}',
    b'{"type": "swap", "id": "A", "x": +1}',
    b'{"type": "swap", "id": "A", "x": 1e}',
    b'{"type": "swap", "id": "A", "x": 1e999}',
    b'{"type": "swap", "id": "A", "x": -}',
    b'{"type": "swap", "id": "A", "x": 1' + b"0" * 60 + b"}",
    b'{"type": "swap", "id": "A", "x": nul}',
    b'{"type": "swap", "id": "A", "x": NaN}',
    b'{"type": "swap", "id": "A", "x": [}]}',
    b'{"type": "swap", "id": "A", "x": [1 2]}',
    b'{"type": "swap", "id": "A", "x": ' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"type": "swap", "id": "A", "x": ' + b"[" * 100_000,
    b'{"type": "swap", "id": "A", "desk": null}',
    b'{"type": "swap", "id": "A", "legs": null}',
    b'{"type": "swap", "id": "A", "legs": [3]}',
    b'{"type": "swap", "id": "A", "legs": [{"index": 3}]}',
    b'{"type": "swap", "id": "A", "legs": [{"index": "a", "index": "b"}]}',
    b'{"type": "swap", "id": "A", "legs": [' + b",".join([b'{"index": "' + b"i" * 90 + b'"}'] * 50) + b"]}",
    b'{"type": "swap", "id": "A", "leg": []}',
    b'{"type": "swap", "id": "A", "tags": {"a": 1}}',
    b'{"type": "swap", "id": "' + b"i" * 257 + b'"}',
    b'{"type": "swaps", "id": "A"}',
    b'{"type": "unread", "id": "A", "reason": 1, "message": "m"}',
    b'{"type": "swap", "id": "A", "x": "' + b"x" * (1 << 20) + b'"}',
]


@pytest.mark.parametrize("line", DOUBTFUL, ids=range(len(DOUBTFUL)))
def test_lines_that_leave_doubt_are_left_to_python(line: bytes) -> None:
    book = a_book(a_line("first"), line, a_line("last", "cds"))
    told = Told(book, ("asset_class",))
    told.check()
    assert told.groups.tolist().count(PYTHON_LINE) == 1
    check_book(book, ("asset_class",), ("asset_class", "trade"))


def test_a_line_without_a_key_that_sums_go_by_is_named_as_ever() -> None:
    desk = b'{"type": "swap", "id": "A", "desk": "d"}'
    check_book(a_book(desk, a_line("B"), desk.replace(b"A", b"C"), a_line("D", "cds")), ("asset_class", "desk"))
    with pytest.raises(RequestError, match=r"'desk', which an aggregate goes by; missing in line 2 \(trade B\)"):
        read_rows(a_book(desk, a_line("B")), ("asset_class", "desk"))


def test_an_id_repeated_in_a_line_for_python_is_found() -> None:
    plain, escaped = a_line("A"), b'{"type": "fra", "id": "\\u0041"}'
    for lines in ((plain, escaped), (escaped, plain), (plain, plain), (escaped, escaped)):
        book = read_rows(a_book(*lines, a_line("B")))
        assert [(row.row, row.trade_id) for row in book.quarantine] == [(1, "A")]
        check_book(a_book(*lines, a_line("B")))


def test_a_book_longer_than_a_call_and_with_more_leaves_than_a_table_begins_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "LINES_PER_CALL", 7)
    types = list(PROGRAM_OF)
    lines = [a_line(f"T{row}", types[row % len(types)]) for row in range(1000)]
    lines[500:500] = [b"not a trade", a_line("T3"), b'{"type": "swap", "id": "\xc3\xa9"}']
    check_book(a_book(*lines), ("asset_class", "trade"))
    check_book(a_book(*lines)[:-1], ("trade", "asset_class"))


def test_more_keys_than_the_compiled_reader_takes_are_read_in_python() -> None:
    keys = tuple(f"k{number}" for number in range(HIERARCHY_KEYS_MAX + 1))
    lines = [json.dumps({"type": "swap", "id": f"A{i}", "tags": dict.fromkeys(keys, str(i % 2))}) for i in range(5)]
    book = a_book(*(line.encode() for line in lines))
    assert read_rows(book, keys).leaves == (("0",) * len(keys), ("1",) * len(keys))
    with pytest.raises(ValueError, match="at most 16 hierarchy keys"):
        LineReader(rows._TYPES, keys, 10, 10)
    check_book(book, keys, keys[:-1])


def test_arrays_that_do_not_fit_are_refused() -> None:
    reader = LineReader(rows._TYPES, KEYS, 100, 100)
    one, ints, longs = np.empty(1, "u1"), np.empty(1, "i4"), np.empty(2, "i8")
    with pytest.raises(ValueError, match="one entry a line"):
        reader.read(b"{}", 0, one, ints, ints, longs[:1], longs[:1])
    with pytest.raises(ValueError, match="lines begin at 0 to 2, got 3"):
        reader.read(b"{}", 3, one, ints, ints, longs[:1], longs)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 10_000])
def test_lines_are_counted_with_and_without_a_last_end(size: int) -> None:
    drawn = bytes(random.Random(size).choices(b"ab\n", k=size))
    assert line_count(drawn) == len(drawn.split(b"\n")) - (drawn[-1:] in (b"\n", b""))


# ---- drawn lines --------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["A", "EUR", "", "swap", "cds", "x y", "é", 'a"b', "\\", "\n", "long " * 9])
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
LEGS = st.dictionaries(st.sampled_from(["currency", "index", "name", "rates"]), TEXTS | ANYTHING, max_size=4)
LINES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*PROGRAM_OF, "unread", "no type"]) | TEXTS,
        "id": TEXTS,
        **dict.fromkeys(("desk", "book", "currency", "sold_currency", "name", "index", "credit_curve"), TEXTS),
        "tags": st.none() | st.dictionaries(st.sampled_from(["x", "portfolio_2", "y"]), TEXTS) | ANYTHING,
        "legs": st.lists(LEGS, max_size=3) | ANYTHING,
        "leg": LEGS | ANYTHING,
        "other": ANYTHING,
        " ": st.booleans(),
    },
)


@given(st.lists(LINES, min_size=1, max_size=6), st.booleans(), st.sampled_from([None, (", ", ": "), ("\t,\r", " :")]))
@settings(max_examples=60, deadline=None)
def test_drawn_lines_are_read_as_in_python(
    lines: list[dict[str, Any]], is_ascii: bool, separators: tuple[str, str] | None
) -> None:
    separated = separators or (",", ":")
    encoded = [json.dumps(line, ensure_ascii=is_ascii, separators=separated).encode() for line in lines]
    book = a_book(*encoded, a_line("the last"))
    Told(book, ("asset_class",)).check()
    Told(book, ALL_KEYS).check()
    check_book(book, ("asset_class",), ("asset_class", "x"), ("trade", "currency"))


def test_lines_with_bytes_changed_taken_out_and_doubled_are_read_as_in_python() -> None:
    draw = random.Random(1)
    lines = []
    for _ in range(3000):
        line = bytearray(draw.choice(SAMPLE))
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.randrange(len(line))
            what = draw.randrange(3)
            if what == 0:
                line[at] = draw.choice(b'"\\{}[]:, \t\r0123456789-+.eEntf\x00\x1f\x7f\x80\xff' + bytes(line))
            elif what == 1:
                del line[at : at + draw.choice((1, 2, 30))]
            else:
                line[at:at] = line[at : at + draw.choice((1, 5, 40))]
        lines.append(bytes(line).replace(b"\n", b" "))
    told = Told(a_book(*lines))
    told.check()
    assert 100 < told.plain_count < len(lines)
    refused = [line for line, group in zip(lines, told.groups, strict=True) if group == PYTHON_LINE]
    assert any(is_refused(line) for line in refused), "the story has its point"
    check_book(a_book(*lines), ("asset_class",))


def is_refused(line: bytes) -> bool:
    try:
        decode_labels(line)
    except CellError:
        return True
    return False
