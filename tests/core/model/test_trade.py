"""Trades on a line: what is read, what is refused, and how it is said."""

from __future__ import annotations

import pytest

from tests.core.pricing.test_bermudan import a_right
from tests.core.pricing.test_properties import every_product
from xip_core.errors import CellError, FailureReason
from xip_core.model.trade import (
    ASSET_CLASS_OF,
    PROGRAM_OF,
    Trade,
    TradeHead,
    decode_head,
    decode_trade,
    encode_trade,
)

LEG = (
    '{"type":"fixed","payer":true,"currency":"EUR","notionals":[1e6],"day_count":"A360",'
    '"schedule":{"start":"2024-03-20","end":"2025-03-20","tenor":"3M"},"rates":[0.03]}'
)
FX = '"bought_currency":"EUR","bought_amount":1,"sold_currency":"USD","sold_amount":1'


def swap_with(old: str, new: str) -> str:
    """A swap whose leg says *new* instead of *old*."""
    assert old in LEG
    return f'{{"id":"T1","type":"swap","legs":[{LEG.replace(old, new)}]}}'


def fx_forward_with(date: str, old: str = "", new: str = "") -> str:
    return f'{{"id":"T1","type":"fx_forward",{date}{FX.replace(old, new)}}}'


def refusal(line: str) -> tuple[FailureReason, str]:
    with pytest.raises(CellError) as refused:
        decode_trade(line.encode())
    return refused.value.failure.reason, refused.value.failure.message


@pytest.mark.parametrize("trade", [*every_product(), a_right()], ids=lambda trade: trade.id)
def test_a_trade_survives_its_line(trade: Trade) -> None:
    line = encode_trade(trade)
    assert b"\n" not in line
    assert decode_trade(line) == trade
    assert encode_trade(decode_trade(line)) == line


def test_every_type_has_a_program_and_an_asset_class() -> None:
    types = {decode_head(encode_trade(trade)).type for trade in [*every_product(), a_right()]}
    assert types == set(PROGRAM_OF) == set(ASSET_CLASS_OF)


def test_a_head_reads_id_and_type_whatever_else_the_line_holds() -> None:
    assert decode_head(b'{"colour":"red","type":"tulip","id":"T1","legs":[{}]}') == TradeHead("T1", "tulip")


@pytest.mark.parametrize("line", [b"", b"[1, 2]", b'{"id":"T1"}', b'{"id":7,"type":"swap"}', b'{"id":"T1","type":"sw'])
def test_a_line_without_id_and_type_is_no_trade(line: bytes) -> None:
    with pytest.raises(CellError) as refused:
        decode_head(line)
    assert refused.value.failure.reason == FailureReason.BAD_TRADE
    assert refused.value.failure.message.startswith("not a trade: ")


@pytest.mark.parametrize(
    "line", [b'{"id":"\xff","type":"swap"}', b"\xff\xfe", b'{"id":"T","type":"swap","x":' + b"[" * 100_000]
)
def test_hostile_bytes_are_refused_like_any_other_line(line: bytes) -> None:
    for decode in (decode_head, decode_trade):
        with pytest.raises(CellError) as refused:
            decode(line)
        assert refused.value.failure.reason == FailureReason.BAD_TRADE


def test_unknown_type_is_unsupported_and_the_known_ones_are_named() -> None:
    reason, message = refusal('{"id":"T1","type":"autocallable"}')
    assert reason == FailureReason.UNSUPPORTED
    assert message.startswith("trade T1: type 'autocallable' is not supported; known are swap, fra,")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (swap_with('"rates":[0.03]}', '"rates":[0.03],"colour":"red"}'), "unknown field `colour` - at `$.legs[0]`"),
        (swap_with("rates", "rate"), "unknown field `rate` - at `$.legs[0]`"),
        (swap_with("A360", "A361"), "enum value 'A361' - at `$.legs[0].day"),
        (swap_with("2024-03-20", "2026-03-20"), "must be before its end"),
        (swap_with('"tenor":"3M"', '"rule":"zero"'), "start, end and tenor"),
        (swap_with("[1e6]", "[]"), "at least one notional"),
        (swap_with("1e6", "1e999"), "number out of range"),
        (swap_with("1e6", "NaN"), "malformed"),
        ('{"id":"T1","type":"swap","legs":[]}', "at least one leg"),
        (fx_forward_with(""), "missing required field `value_date`"),
        (fx_forward_with('"value_date":"2024-02-30",'), "date - at `$.value_date`"),
        (fx_forward_with('"value_date":"2024-02-29",', "USD", "EUR"), "must differ"),
        (fx_forward_with('"value_date":"2024-02-29",', ":1", ":-1"), "must be > 0"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named_with_its_place(line: str, sentence: str) -> None:
    reason, message = refusal(line)
    assert reason == FailureReason.BAD_TRADE
    assert sentence.lower() in message.lower()


def test_explicit_dates_and_a_rule_exclude_each_other() -> None:
    _, message = refusal(swap_with('"tenor":"3M"', '"tenor":"3M","dates":["2024-03-20","2025-03-20"]'))
    assert "either dates or start, end and tenor, got both" in message
