"""What a slot and its child process say to each other, and how: frames of MessagePack over a socket pair.

    slot   EvaluateTile, EvaluateRows, Answer ──>  child
    slot   <──  Begun, NeedBlob, NeedOutput, RowsEnded, TileDone, Raised   child

The child works on one order at a time. It fetches nothing itself: what it reads it asks of the slot, which has the
caches and the connection. A frame is its length in 8 bytes, little-endian, and so many bytes.
"""

from __future__ import annotations

import socket

import msgspec

LENGTH_BYTES = 8
FRAME_BYTES_MAX = 64 << 20
"""From a child: a tile has at most `executor.TILE_BYTES_MAX`; what sends more is out of its mind."""

RefusedRow = tuple[int, int, str]
"""position in the tile, reason, sentence"""


class TileName(msgspec.Struct, frozen=True):
    """
    Attributes:
        plan: serialized; b"" when it is that of the order before.
        cpu_limit_s: processor time for each part of the order.
    """

    plan: bytes
    run_id: str
    node_id: int
    tile: int
    cpu_limit_s: float


class EvaluateTile(msgspec.Struct, frozen=True, tag=True):
    name: TileName
    refused: tuple[RefusedRow, ...] = ()


class EvaluateRows(msgspec.Struct, frozen=True, tag=True):
    """Evaluate ranges of rows one after the other, until one raises; nothing comes of it but whether they end."""

    name: TileName
    ranges: tuple[tuple[int, int], ...]


class Answer(msgspec.Struct, frozen=True, tag=True):
    """What was needed, or why it cannot be had."""

    content: bytes
    error: str = ""


class Begun(msgspec.Struct, frozen=True, tag=True):
    """The next part, a range of rows or the whole tile, is being evaluated."""

    row_count: int


class NeedBlob(msgspec.Struct, frozen=True, tag=True):
    digest: str


class NeedOutput(msgspec.Struct, frozen=True, tag=True):
    node_id: int
    tile: int


class RowsEnded(msgspec.Struct, frozen=True, tag=True):
    """A range is done. After the last one the order is."""


class TileDone(msgspec.Struct, frozen=True, tag=True):
    """
    Attributes:
        output, detail: serialized blocks, b"" for none.
        quarantine: (row, scenario_begin, scenario_end, trade_id, reason, message).
    """

    output: bytes
    detail: bytes
    cell_count: int
    quarantine: tuple[tuple[int, int, int, str, int, str], ...]


class Raised(msgspec.Struct, frozen=True, tag=True):
    """The part raised; the order is ended."""

    reason: int
    message: str


Order = EvaluateTile | EvaluateRows
ToChild = EvaluateTile | EvaluateRows | Answer
FromChild = Begun | NeedBlob | NeedOutput | RowsEnded | TileDone | Raised

_TO_CHILD: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_FROM_CHILD: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


def frame(message: ToChild | FromChild) -> bytes:
    content = msgspec.msgpack.encode(message)
    return len(content).to_bytes(LENGTH_BYTES, "little") + content


def from_child(content: bytes) -> FromChild:
    return _FROM_CHILD.decode(content)


def receive_order(line: socket.socket) -> ToChild | None:
    """The next message of the slot, in the child; None when the slot is gone."""
    header = _receive_exactly(line, LENGTH_BYTES)
    if header is None:
        return None
    content = _receive_exactly(line, int.from_bytes(header, "little"))
    return None if content is None else _TO_CHILD.decode(content)


def _receive_exactly(line: socket.socket, size_bytes: int) -> bytearray | None:
    content = bytearray()
    while len(content) < size_bytes:
        part = line.recv(min(size_bytes - len(content), 1 << 20))
        if not part:
            return None
        content += part
    return content
