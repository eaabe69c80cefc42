"""What one blob has of another: a market after a tick, a book with an amended trade, in some hundred bytes.

A delta is a list of splices over the bytes of its base: keep [begin, end) of it, then put some bytes. It knows nothing
of markets or books, so it is exact whatever they hold, and whoever applies it checks the digest of the whole.

Found in linear time: what begins and ends alike is kept, and where the middle parts have equally many pieces (lines of
a book, members of JSON) piece is compared with piece. That is small where values change in place, which is what ticks
and amendments do, and one splice where anything is inserted; a general comparison (Myers) would be quadratic.

MessagePack of [1, size of the whole, [[begin, end, bytes], ...]].
"""

from __future__ import annotations

import msgspec

from xip_core.errors import IntegrityError

DELTA_VERSION = 1
PIECES_SIZE_BYTES_MAX = 64 << 20
"""Larger middle parts are not cut into pieces, which take some times their memory."""

LINES_MIN = 16
"""Blobs with fewer lines are cut at commas."""


class _Delta(msgspec.Struct, frozen=True, array_like=True):
    version: int
    size_bytes: int
    splices: list[tuple[int, int, bytes]]


def make_delta(base: bytes, whole: bytes) -> bytes:
    """What makes *whole* of *base*; never more than some bytes longer than *whole*."""
    head = _common(base, whole)
    longest_tail = min(len(base), len(whole)) - head
    tail = _common(base[head:][::-1][:longest_tail], whole[head:][::-1][:longest_tail])
    middle, wanted = base[head : len(base) - tail], whole[head : len(whole) - tail]
    splices: list[tuple[int, int, bytes]] = []
    kept = 0
    for begin, end, piece in _changed_pieces(middle, wanted):
        splices.append((kept, head + begin, piece))
        kept = head + end
    splices.append((kept, len(base), b""))
    return msgspec.msgpack.encode(_Delta(DELTA_VERSION, len(whole), splices))


def apply_delta(base: bytes, delta: bytes, size_limit_bytes: int) -> bytes:
    """
    The whole.

    Raises:
        IntegrityError: not a delta this version reads, not one against *base*, or of a whole beyond the limit.
    """
    try:
        decoded = msgspec.msgpack.decode(delta, type=_Delta)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"a delta of {len(delta)} bytes cannot be read: {error}") from error
    if decoded.version != DELTA_VERSION or not 0 <= decoded.size_bytes <= size_limit_bytes:
        sentence = f"of version {DELTA_VERSION} and at most {size_limit_bytes} bytes"
        raise IntegrityError(f"a delta must be {sentence}, got {decoded.version}, {decoded.size_bytes}")
    view, parts, size_bytes = memoryview(base), [], 0
    for begin, end, piece in decoded.splices:
        if not 0 <= begin <= end <= len(base):
            raise IntegrityError(f"a delta keeps [{begin}, {end}) of a base of {len(base)} bytes")
        size_bytes += end - begin + len(piece)
        if size_bytes > decoded.size_bytes:  # before it is put together: splices may repeat without end
            break
        parts += [view[begin:end], memoryview(piece)]
    if size_bytes != decoded.size_bytes:
        raise IntegrityError(f"a delta must make {decoded.size_bytes} bytes as announced, got {size_bytes} at least")
    return b"".join(parts)


def _common(left: bytes, right: bytes) -> int:
    """Length of the common beginning; by halves, so that memcmp does the work."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _changed_pieces(base: bytes, wanted: bytes) -> list[tuple[int, int, bytes]]:
    """(begin, end, what stands there instead) over *base*, ascending."""
    if base == wanted:
        return []
    separator = b"\n" if wanted.count(b"\n") >= LINES_MIN else b","
    if max(len(base), len(wanted)) > PIECES_SIZE_BYTES_MAX or base.count(separator) != wanted.count(separator):
        return [(0, len(base), wanted)]
    changed: list[tuple[int, int, bytes]] = []
    begin = 0
    for old, new in zip(base.split(separator), wanted.split(separator), strict=True):
        end = begin + len(old)
        if old != new:
            changed.append((begin, end, new))
        begin = end + 1
    return changed
