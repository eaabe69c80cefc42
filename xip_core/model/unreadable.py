"""What decoding JSON that others wrote can raise.

msgspec names most faults itself; text that is not UTF-8 and brackets nested thousands deep come as Python's own errors.
All three are faults of the input, so whoever decodes it catches `UNREADABLE` and says whose input it was.
"""

from __future__ import annotations

import re

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_EXCERPT_BYTES = 40
_LINE_END = b"\n"


def fault_of(encoded: bytes, error: Exception) -> str:
    """What *error*, one of UNREADABLE, says of *encoded*: if it names a byte, with the line and what stands there."""
    place = re.search(r"\(byte (\d+)\)", str(error))
    if place is None:
        return str(error)
    at = int(place[1])
    excerpt = encoded[max(0, at - _EXCERPT_BYTES) : at + _EXCERPT_BYTES // 2].decode("utf-8", "replace")
    sentence = f"{error}, line {encoded.count(_LINE_END, 0, at) + 1}, near {excerpt!r}"
    if encoded[at : at + 3] in (b"NaN", b"Inf"):
        sentence += '; JSON has no such number, a quote that is none is written as text, "NaN"'
    return sentence
