"""Lines that compiled code reads itself: what it takes, it takes as model.trade does; the rest is Python's."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.pricing.plain_trades import drawn_trades
from tests.core.pricing.test_vanilla import sample_snapshot, view_of
from xip_core.model.trade import encode_trade
from xip_core.pricing.resolve import RefusedTrade, decode_rows, resolve_lines, resolve_rows_in_python
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.vanilla.program import PlainProgram

FX = (
    b'{"type":"fx_forward","id":"F","value_date":"2018-10-02","bought_currency":"USD","bought_amount":1100000.5,'
    b'"sold_currency":"EUR","sold_amount":1000000}'
)
SWAP = (
    b'{"type":"swap","id":"S","legs":[{"type":"fixed","payer":false,"currency":"EUR","notionals":[2500000.0],'
    b'"day_count":"30/360","schedule":{"start":"2016-07-11","end":"2022-07-11","tenor":"1Y","calendar":"TARGET"},'
    b'"rates":[0.00216]},{"type":"floating","payer":true,"currency":"EUR","notionals":[2500000.0],"day_count":"A360",'
    b'"schedule":{"start":"2016-07-11","end":"2022-07-11","tenor":"6M","calendar":"TARGET"},'
    b'"index":"EUR-EURIBOR-6M"}]}'
)


def check_lines(lines: Sequence[bytes], view: MarketView) -> None:
    found, wanted = resolve_lines(lines, view), resolve_rows_in_python(decode_rows(lines), view)
    assert list(found) == list(wanted)
    for name, column in wanted.items():
        assert (found[name].dtype, found[name].shape) == (column.dtype, column.shape), name
        assert found[name].tobytes() == column.tobytes(), (name, lines)


def left_lines(lines: Sequence[bytes]) -> list[int]:
    """Positions of those that compiled code leaves to Python, expired ones included."""
    program = PlainProgram(view_of("sample").plain, list(lines))
    program.read()
    program.prepare()
    program.resolve()
    return program.left()


def backwards(value: object) -> object:
    """The same JSON, the keys behind the type in the opposite order."""
    if isinstance(value, list):
        return [backwards(one) for one in value]
    if not isinstance(value, dict):
        return value
    rest = [key for key in reversed(value) if key != "type"]
    return {key: backwards(value[key]) for key in ("type", *rest) if key in value}


SAME: dict[str, Callable[[bytes], bytes]] = {
    "blanks": lambda line: line.replace(b",", b" ,\t").replace(b":", b" : ").replace(b"[", b" [ ").replace(b"{", b"{ "),
    "a carriage return at the end": lambda line: line + b"\r",
    "fields in another order": lambda line: json.dumps(backwards(json.loads(line))).encode(),
    "whole numbers": lambda line: line.replace(b"2500000.0", b"2500000"),
    "exponents": lambda line: line.replace(b"2500000.0", b"25e5").replace(b"0.00216", b"216E-5"),
    "many digits": lambda line: line.replace(b"0.00216", b"0.0021600000000000001375").replace(b".5", b".5000000000001"),
    "labels": lambda line: line.replace(b'"id"', '"desk":"Crédit 信用","tags":{"a":"b","c":""},"id"'.encode()),
    "nothing where nothing may stand": lambda line: line.replace(
        b'"tenor":"1Y"', b'"tenor":"1Y","first_date":null,"term_convention":null').replace(
        b'"index":"EUR-E', b'"fixing_days":null,"front_stub":null,"fx_reset":null,"index":"EUR-E'),
    "what is the default anyway": lambda line: line.replace(
        b'"payer":true', b'"payer":true,"compounding":"none","periods_per_payment":1,"caps":[],"payment_lag_days":0'),
}  # fmt: skip
"""Other ways to write the same trade, all of them read."""


@pytest.mark.parametrize("way", SAME)
def test_the_same_trade_written_otherwise_is_read_too(way: str):
    lines = [SAME[way](FX), SAME[way](SWAP)]
    assert lines != [FX, SWAP]
    assert not any(isinstance(row, RefusedTrade) for row in decode_rows(lines))
    assert left_lines(lines) == []
    check_lines(lines, view_of("sample"))


OTHERS = {
    "an escape": FX.replace(b'"F"', b'"\\u0046"'),
    "bytes that are no text": FX.replace(b'"F"', b'"\xc0\xaf"'),
    "half a character at the end": FX[:-1] + b',"desk":"\xe2\x82',
    "a control character": FX.replace(b'"F"', b'"\x01"'),
    "a zero with a sign": SWAP.replace(b"0.00216", b"-0.0"),
    "a number without an end": SWAP.replace(b"0.00216", b"0."),
    "a number with a zero in front": SWAP.replace(b"2500000.0", b"02500000.0"),
    "a number out of range": SWAP.replace(b"2500000.0", b"1e999"),
    "a number that is not a number": SWAP.replace(b"2500000.0", b"NaN"),
    "a whole number beyond doubles": SWAP.replace(b"2500000.0", b"123456789012345678901"),
    "a text for a number": SWAP.replace(b"0.00216", b'"0.00216"'),
    "an unknown key": FX.replace(b'"id"', b'"idd":1,"id"'),
    "a key twice": FX.replace(b'"id"', b'"sold_amount":5.0,"id"'),
    "a key too few": FX.replace(b'"sold_amount":1000000', b'"desk":""'),
    "a key of another type": FX.replace(b'"id"', b'"strike":1.0,"id"'),
    "a comma too many": SWAP.replace(b"[0.00216]", b"[0.00216,]"),
    "something behind the end": FX + b"{}",
    "no end": SWAP[:-1],
    "nothing": b"",
    "an array": b"[]",
    "one currency twice": FX.replace(b"USD", b"EUR"),
    "an amount below zero": FX.replace(b"1000000}", b"-1000000}"),
    "a date that is none": FX.replace(b"2018-10-02", b"2018-02-29"),
    "a date of another form": FX.replace(b"2018-10-02", b"20181002"),
    "a date beyond the tables": FX.replace(b"2018-10-02", b"2318-10-02"),
    "an unknown currency": FX.replace(b"USD", b"XXX"),
    "an unknown index": SWAP.replace(b"EURIBOR-6M", b"EURIBOR-7M"),
    "an unknown tenor": SWAP.replace(b"1Y", b"1Q"),
    "no tenor": SWAP.replace(b'"tenor":"1Y"', b'"tenor":""'),
    "dates and a tenor of no length": SWAP.replace(
        b'"start":"2016-07-11","end":"2022-07-11","tenor":"1Y"', b'"dates":["2016-07-11","2022-07-11"],"tenor":"0D"'),
    "dates that do not ascend": SWAP.replace(
        b'"start":"2016-07-11","end":"2022-07-11","tenor":"1Y"', b'"dates":["2022-07-11","2016-07-11"]'),
    "an unknown day count": SWAP.replace(b"30/360", b"30/365"),
    "no legs": SWAP[: SWAP.index(b"[") + 1] + b"]}",
    "no rates": SWAP.replace(b"[0.00216]", b"[]"),
    "two periods a payment": SWAP.replace(b'"payer":true', b'"payer":true,"periods_per_payment":2'),
    "a lag below zero": SWAP.replace(b'"payer":true', b'"payer":true,"payment_lag_days":-1'),
    "the type at the end": b'{"id":"F",' + FX[len(b'{"type":"fx_forward","id":"F",') : -1] + b',"type":"fx_forward"}',
}  # fmt: skip
"""Lines that compiled code must leave alone, trades or not."""


@pytest.mark.parametrize("case", OTHERS)
def test_what_compiled_code_does_not_read_is_judged_by_python(case: str):
    assert left_lines([FX, OTHERS[case], SWAP]) == [1]
    check_lines([FX, OTHERS[case], SWAP], view_of("sample"))


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False))
def test_lines_with_a_few_bytes_changed_have_the_columns_of_python(draw: random.Random):
    lines = []
    for trade in drawn_trades(draw, sample_snapshot(), 3):
        line = bytearray(encode_trade(trade))
        for _ in range(draw.choice((0, 1, 1, 2))):
            place = draw.randrange(len(line))
            put = draw.choices(b'0159.,-e"{}[]:Y\\nul \xc3', k=draw.choice((0, 1, 1, 2)))
            line[place : place + draw.choice((0, 1, 1, 4))] = bytes(put)
        lines.append(bytes(line).replace(b"\n", b" "))
    check_lines(lines, view_of("sample"))


@settings(max_examples=120, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["%r", "%.17g", "%.25e", "%.3f", "%.20g"]))
def test_numbers_are_read_as_python_reads_them(value: float, form: str):
    text = form % value
    line = SWAP.replace(b"0.00216", text.encode())
    check_lines([line], view_of("sample"))
    found = resolve_lines([line], view_of("sample"))
    if not found["row_status"][0]:  # and msgspec's number is Python's
        same = decode_rows([SWAP.replace(b"0.00216", json.dumps(float(text)).encode())])
        wanted = resolve_rows_in_python(same, view_of("sample"))
        assert found["terms_amount"].tobytes() == wanted["terms_amount"].tobytes()


def test_the_words_of_a_market_may_be_more_than_one_reading_can_note():
    """A hundred unknown currencies in one tile: each line is Python's, and the others are read."""
    lines = [FX.replace(b"USD", b"X%02d" % number) for number in range(100)] + [FX, SWAP]
    found = resolve_lines(lines, view_of("sample"))
    assert np.count_nonzero(found["row_status"]) == 100
    assert left_lines(lines) == list(range(100))
