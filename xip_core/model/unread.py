"""A line of a book that stands for a trade some reader could not take over.

It keeps the trade's place and says why there is no number, so that the planner quarantines it with the reader's own
sentence and whoever sees the run sees the whole book::

    {"type": "unread", "id": "CPI_Swap", "reason": 1, "message": "trade CPI_Swap: a leg of type 'CPI' is not supported"}
"""

from __future__ import annotations

import msgspec

from xip_core.errors import CellError, FailureReason
from xip_core.model.unreadable import UNREADABLE

UNREAD = "unread"


class UnreadTrade(msgspec.Struct, frozen=True, tag=UNREAD, tag_field="type"):
    """See the head of this module."""

    id: str
    reason: FailureReason
    message: str


_decoder = msgspec.json.Decoder(UnreadTrade)
_encoder = msgspec.json.Encoder()


def encode_unread(trade: UnreadTrade) -> bytes:
    """The line of *trade*, without a line end."""
    return _encoder.encode(trade)


def decode_unread(line: bytes) -> CellError:
    """Why the trade of a line of type `UNREAD` has no number."""
    try:
        unread = _decoder.decode(line)
    except UNREADABLE as error:
        return CellError(FailureReason.BAD_TRADE, f"not a trade: {error}")
    return CellError(unread.reason, unread.message)
