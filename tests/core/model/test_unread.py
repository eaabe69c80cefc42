"""xip_core.model.unread: why a trade was not taken over survives the book."""

from __future__ import annotations

from xip_core.errors import FailureReason
from xip_core.model.trade import decode_head
from xip_core.model.unread import UNREAD, UnreadTrade, decode_unread, encode_unread


def test_the_reason_and_the_sentence_survive_the_book():
    line = encode_unread(UnreadTrade("T1", FailureReason.UNSUPPORTED, "trade T1: type 'Cliquet' is not supported"))
    head = decode_head(line)
    error = decode_unread(line)
    assert (head.id, head.type) == ("T1", UNREAD)
    assert error.failure.reason is FailureReason.UNSUPPORTED
    assert error.failure.message == "trade T1: type 'Cliquet' is not supported"


def test_a_damaged_line_is_a_bad_trade():
    error = decode_unread(b'{"type":"unread","id":"T1","reason":99,"message":""}')
    assert error.failure.reason is FailureReason.BAD_TRADE
    assert "not a trade: " in error.failure.message


def test_hostile_bytes_are_a_bad_trade():
    for line in (b'{"type":"unread","id":"\xff"}', b'{"type":"unread","x":' + b"[" * 100_000):
        assert decode_unread(line).failure.reason is FailureReason.BAD_TRADE
