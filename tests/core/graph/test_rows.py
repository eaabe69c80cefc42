"""xip_core.graph.rows: every row is grouped or quarantined, once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xip_core.errors import FailureReason, RequestError
from xip_core.graph import rows
from xip_core.graph.rows import GROUPS, BookRows, read_rows
from xip_core.model.trade import ASSET_CLASS_OF, PROGRAM_OF

from .builders import a_book, a_line


def rows_of(book: BookRows, program: str, asset_class: str) -> list[int]:
    found: list[int] = book.group_rows[GROUPS.index((program, asset_class))].tolist()
    return found


def test_rows_of_a_group_keep_the_order_of_the_book():
    lines = [a_line("A", "swap"), a_line("B", "fx_option"), a_line("C", "fra"), a_line("D", "equity_option")]
    book = read_rows(a_book(*lines))
    assert book.row_count == 4
    assert rows_of(book, "terms", "rates") == [0, 2]
    assert rows_of(book, "option", "fx") == [1]
    assert rows_of(book, "option", "equity") == [3]
    assert book.quarantine == ()


def test_every_trade_type_has_a_group():
    book = read_rows(a_book(*(a_line(f"T-{trade_type}", trade_type) for trade_type in PROGRAM_OF)))
    assert sum(map(len, book.group_rows)) == len(PROGRAM_OF)


def test_a_book_without_a_last_line_end_has_the_same_rows():
    assert read_rows(a_line("A") + b"\n" + a_line("B")).row_count == 2


def test_lines_may_end_as_on_windows():
    book = read_rows(a_line("A") + b"\r\n" + a_line("B", "cds") + b"\r\n")
    assert (book.row_count, book.quarantine) == (2, ())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "line 2: not a trade"),
        (b"{", "line 2: not a trade"),
        (b"[1, 2]", "expected `object`"),
        (b'{"id": "A"}', "`type`"),
        (b'{"type": "swap"}', "`id`"),
        (b'{"type": "swap", "id": 7}', "expected `str`"),
        (b'{"type": "swap", "id": ""}', "1 to 256 characters, got 0"),
        (b'{"type": "swap", "id": "' + b"x" * 300 + b'"}', "1 to 256 characters, got 300"),
        (b'{"type": "swap", "id": "\xff"}', "not a trade"),
        (b'{"type": "swap", "id": "A", "x": ' + b"[" * 100_000, "not a trade"),
        (b" " * (1 << 20) + b"{}", "at most 1048576 bytes"),
    ],
    ids=lambda value: value[:24].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_a_line_that_is_no_trade_is_quarantined_and_its_neighbours_stand(line, words):
    book = read_rows(a_book(a_line("before"), line, a_line("after")))
    assert rows_of(book, "terms", "rates") == [0, 2]
    (quarantined,) = book.quarantine
    assert (quarantined.row, quarantined.reason) == (1, FailureReason.BAD_TRADE)
    assert words in quarantined.message


def test_an_unknown_type_is_quarantined_with_the_known_ones():
    (quarantined,) = read_rows(a_book(a_line("A"), a_line("B", "autocallable"))).quarantine
    assert (quarantined.row, quarantined.trade_id, quarantined.reason) == (1, "B", FailureReason.UNSUPPORTED)
    assert quarantined.asset_class == ""
    assert "trade B: type must be one of swap, fra" in quarantined.message
    assert "got 'autocallable'" in quarantined.message


def test_each_repetition_of_an_id_is_quarantined_and_names_the_first_line():
    book = read_rows(a_book(a_line("A"), a_line("B"), a_line("A", "fx_option"), a_line("A")))
    assert [(q.row, q.trade_id, q.asset_class) for q in book.quarantine] == [(2, "A", "fx"), (3, "A", "rates")]
    assert {q.reason for q in book.quarantine} == {FailureReason.DUPLICATE_TRADE}
    assert all("line 1 has it already" in q.message for q in book.quarantine)
    assert rows_of(book, "terms", "rates") == [0, 1]


def test_ids_whose_hashes_collide_are_no_repetition(monkeypatch):
    monkeypatch.setattr(rows, "hash", lambda trade_id: 7, raising=False)
    book = read_rows(a_book(a_line("A"), a_line("B"), a_line("A"), a_line("C")))
    assert [q.row for q in book.quarantine] == [2]


@given(st.lists(st.sampled_from("ABCD{"), min_size=1, max_size=12), st.lists(st.integers(0, 11), max_size=4))
def test_a_book_in_pieces_has_the_rows_of_the_whole(ids, cuts):
    lines = [b"{" if trade_id == "{" else a_line(trade_id, "fx_option") for trade_id in ids]
    ends = sorted({*(cut for cut in cuts if 0 < cut < len(lines)), len(lines)})
    pieces = [a_book(*lines[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
    in_pieces, whole = read_rows(pieces), read_rows(a_book(*lines))
    assert in_pieces.quarantine == whole.quarantine
    assert (in_pieces.row_count, in_pieces.leaves) == (whole.row_count, whole.leaves)
    for arrays in ("group_rows", "group_breaks", "leaf_of_row"):
        for ours, theirs in zip(getattr(in_pieces, arrays), getattr(whole, arrays), strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("book", [(), (b"\n", b" \n")])
def test_an_empty_book_in_pieces_is_refused(book):
    with pytest.raises(RequestError) as refused:
        read_rows(book)
    assert refused.value.reason == "EMPTY_BOOK"


@pytest.mark.parametrize("book", [b"", b"\n", b"  \n\n"])
def test_an_empty_book_is_refused(book):
    with pytest.raises(RequestError) as refused:
        read_rows(book)
    assert refused.value.reason == "EMPTY_BOOK"


def test_a_book_of_too_many_rows_is_refused(monkeypatch):
    monkeypatch.setattr(rows, "ROW_COUNT_MAX", 2)
    with pytest.raises(RequestError, match="at most 2 rows, got 3") as refused:
        read_rows(a_book(a_line("A"), a_line("B"), a_line("C")))
    assert refused.value.reason == "TOO_LARGE"


def test_a_file_that_is_no_book_is_refused_as_a_whole(monkeypatch):
    monkeypatch.setattr(rows, "QUARANTINE_COUNT_MAX", 2)
    with pytest.raises(RequestError, match="at most 2 lines that are no trade") as refused:
        read_rows(b"no\ntrade\nat all\n")
    assert refused.value.reason == "TOO_MANY_BAD_TRADES"


@given(
    st.lists(
        st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from([*PROGRAM_OF, "autocallable", "{"])),
        min_size=1,
        max_size=30,
    )
)
def test_every_row_is_in_one_group_or_in_quarantine(trades):
    lines = [b"{" if trade_type == "{" else a_line(trade_id, trade_type) for trade_id, trade_type in trades]
    book = read_rows(a_book(*lines))
    grouped = np.concatenate(book.group_rows).tolist()
    quarantined = [q.row for q in book.quarantine]
    assert sorted(grouped + quarantined) == list(range(len(trades)))
    first_of_id: dict[str, int] = {}
    for row, (trade_id, trade_type) in enumerate(trades):
        if trade_type == "{":
            assert row in quarantined
        elif first_of_id.setdefault(trade_id, row) == row and trade_type in PROGRAM_OF:
            assert row in rows_of(book, PROGRAM_OF[trade_type], ASSET_CLASS_OF[trade_type])
        else:
            assert row in quarantined
