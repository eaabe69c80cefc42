"""xip_core.readers.book_table: files that are no book are refused, lines that are no trade stay lines."""

from __future__ import annotations

import datetime as dt
import gzip

import pytest

from xip_core.errors import CellError, FailureReason, InputError
from xip_core.graph.rows import read_rows
from xip_core.model.trade import EquityOption, FxForward, Trade, decode_trade
from xip_core.readers import book_table
from xip_core.readers.book_table import read_book, write_book


def an_fx_forward(trade_id: str = "F1") -> FxForward:
    return FxForward(
        id=trade_id,
        value_date=dt.date(2017, 2, 7),
        bought_currency="EUR",
        bought_amount=1e6,
        sold_currency="USD",
        sold_amount=1.13e6,
    )


def decoded(book: bytes) -> list[Trade]:
    return [decode_trade(line) for line in book.splitlines()]


@pytest.mark.parametrize("name", ["book.jsonl", "book.jsonl.gz", "book.ndjson"])
def test_a_written_book_reads_back(tmp_path, name):
    trades: list[Trade] = [an_fx_forward("F1"), an_fx_forward("F2")]
    write_book(tmp_path / name, trades)
    assert decoded(read_book(tmp_path / name)) == trades


def test_a_compressed_book_is_the_same_bytes_whenever_it_is_written(tmp_path):
    write_book(tmp_path / "a.jsonl.gz", [an_fx_forward()])
    content = (tmp_path / "a.jsonl.gz").read_bytes()
    assert content[4:8] == bytes(4)  # the time in the header of a gzip member
    assert gzip.decompress(content).count(b"\n") == 1


def test_lines_that_are_no_trade_stay_lines(tmp_path):
    content = b'{"type": "swap", "id": "A"}\nnonsense\n\n{"type": "swap", "id": "B"}\n'
    (tmp_path / "book.jsonl").write_bytes(b"\xef\xbb\xbf" + content)
    book = read_book(tmp_path / "book.jsonl")
    assert book == content
    assert [quarantined.row for quarantined in read_rows(book).quarantine] == [1, 2]


CSV = """\
type,id,value_date,bought_currency,bought_amount,sold_currency,sold_amount,name,currency,expiry,option_type,position,strike,quantity
fx_forward,F1,2017-02-07,EUR,1000000,USD,1130000,,,,,,,
equity_option,17,,,,,,SP5,USD,2018-03-01,call,long,2000,150
"""


def test_a_table_of_flat_products_becomes_trades(tmp_path):
    (tmp_path / "book.csv").write_text(CSV)
    forward, option = decoded(read_book(tmp_path / "book.csv"))
    assert forward == an_fx_forward()
    assert isinstance(option, EquityOption)
    assert (option.id, option.strike, option.quantity, option.expiry) == ("17", 2000.0, 150.0, dt.date(2018, 3, 1))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("fx_forward,F1,2017-02-07,EUR,many,USD,1130000", "bought_amount"),
        ("fx_forward,F1,2017-02-07,EUR,1000000,USD", "sold_amount"),
        ("fx_forward,F1,2017-02-07,EUR,1000000,USD,1130000,,,,,,,,surplus", "column 15"),
        ("fx_forward,F1,2017-02-07,EUR,nan,USD,1130000", "bought_amount"),
        ("swap,S1", "legs"),
        ("", "type"),
    ],
)
def test_a_row_of_a_table_that_is_no_trade_fails_alone_and_says_where(tmp_path, row, words):
    header, first, *_ = CSV.splitlines()
    (tmp_path / "book.csv").write_text("\n".join([header, first.replace("F1", "F0"), row, first.replace("F1", "F2")]))
    lines = read_book(tmp_path / "book.csv").splitlines()
    assert [decode_trade(lines[0]).id, decode_trade(lines[2]).id] == ["F0", "F2"]
    with pytest.raises(CellError, match=words) as failed:
        decode_trade(lines[1])
    assert failed.value.failure.reason == FailureReason.BAD_TRADE


@pytest.mark.parametrize(
    ("name", "content", "words", "line"),
    [
        ("book.xlsx", b"", "must be .jsonl, .ndjson, .csv or .xml", None),
        ("book.xml", b"<Portfolio>", "must be XML", 1),
        ("missing.jsonl", None, "cannot be read", None),
        ("book.jsonl.gz", b"no gzip", "cannot be read", None),
        ("book.jsonl.gz", gzip.compress(b"x" * 100)[:20], "cannot be read", None),
        ("book.csv", b"", "'type' among them", 1),
        ("book.csv", b"type,strike\n", "'id' among them", 1),
        ("book.csv", b"type,id,id\n", "'id' is there twice", 1),
        ("book.csv", b"type,id\nswap,\xff\n", "must be UTF-8", 2),
        ("book.csv", b'type,id\nswap,A\nswap,"B" C\n', "must be CSV", 3),
    ],
)
def test_a_file_that_is_no_book_is_refused_with_path_and_line(tmp_path, name, content, words, line):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        read_book(tmp_path / name)
    assert refused.value.path == str(tmp_path / name)
    assert refused.value.line == line


def test_a_small_file_does_not_unpack_without_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(book_table, "BOOK_SIZE_BYTES_MAX", 1000)
    (tmp_path / "book.jsonl.gz").write_bytes(gzip.compress(b" " * 10_000))
    with pytest.raises(InputError, match="at most 1000 bytes"):
        read_book(tmp_path / "book.jsonl.gz")


def test_a_portfolio_of_ore_is_a_book(tmp_path):
    path = tmp_path / "portfolio.xml"
    path.write_text("<Portfolio><Trade id='T'><TradeType>Weather</TradeType></Trade></Portfolio>")
    (line,) = read_book(path).split(b"\n")
    assert b'"T"' in line  # kept as a line that says why it is no trade
