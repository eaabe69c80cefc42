"""A table of numbers as a blob: what `KernelWork` evaluates row by row.

MessagePack, a map from column name to {"dtype": "<f8", "data": bytes}; the numbers are float64, little-endian. A column
has a value for every row, or one value that stands for all of them. Decoded columns are read-only views of the blob, so
a tile that reads a hundred rows of a table of 200 MB costs some microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from xip_core.errors import RequestError

if TYPE_CHECKING:  # numpy costs 0.1 s at import; a scheduler that never sees a table does without it
    import numpy as np
    import numpy.typing as npt

    Columns = dict[str, np.ndarray]

DTYPE = "<f8"
ITEM_SIZE_BYTES = 8

TABLE_SIZE_BYTES_MAX = 256 << 20
"""Every worker keeps the tables it works on in its blob cache, 512 MiB unless it was told otherwise."""

COLUMN_COUNT_MAX = 64


class _Column(msgspec.Struct, frozen=True):
    dtype: str
    data: memoryview


_decoder = msgspec.msgpack.Decoder(dict[str, _Column])


def encode_table(columns: Mapping[str, npt.ArrayLike]) -> bytes:
    """
    The blob of *columns*: numbers, or vectors of one length.

    Raises:
        RequestError: BAD_COLUMN, a column is no number and no vector of numbers; BAD_SHAPE, lengths differ.
    """
    import numpy as np

    encoded: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for name, values in columns.items():
        try:
            array = np.asarray(values)
        except ValueError as error:  # rows of different lengths
            raise RequestError("BAD_COLUMN", f"column {name} must be one vector of real numbers: {error}") from None
        if array.dtype.kind not in "fiub" or array.ndim > 1:
            got = f"{array.dtype} of shape {array.shape}"
            raise RequestError("BAD_COLUMN", f"column {name} must be a vector of real numbers, got {got}")
        lengths[name] = array.size
        encoded[name] = {"dtype": DTYPE, "data": np.ascontiguousarray(array, DTYPE).tobytes()}
    row_count_of(lengths)
    return msgspec.msgpack.encode(encoded)


def decode_table(content: bytes) -> Columns:
    """
    Read-only vectors by name, each of one value or of as many as the table has rows.

    Raises:
        RequestError: BAD_TABLE, the blob is none; TOO_LARGE; BAD_COLUMN, a dtype or a size is wrong; EMPTY_TABLE;
            BAD_SHAPE, lengths differ.
    """
    import numpy as np

    check_table_size(content)
    try:
        decoded = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        sentence = f"a table must be a MessagePack map of columns, got {len(content)} bytes: {error}"
        raise RequestError("BAD_TABLE", sentence) from None
    if len(decoded) > COLUMN_COUNT_MAX:
        raise RequestError("TOO_LARGE", f"a table must have at most {COLUMN_COUNT_MAX} columns, got {len(decoded)}")
    columns: Columns = {}
    for name, column in decoded.items():
        if column.dtype != DTYPE or len(column.data) % ITEM_SIZE_BYTES:
            got = f"{column.dtype!r:.20} and {len(column.data)} bytes"
            raise RequestError("BAD_COLUMN", f"column {name[:100]} must be whole numbers of dtype {DTYPE}, got {got}")
        columns[name] = np.frombuffer(column.data, DTYPE)
    row_count_of({name: len(values) for name, values in columns.items()})
    return columns


def check_table_size(content: bytes) -> None:
    """
    Raises:
        RequestError: TOO_LARGE.
    """
    if len(content) > TABLE_SIZE_BYTES_MAX:
        sentence = f"a table must have at most {TABLE_SIZE_BYTES_MAX} bytes, got {len(content)}; cut it into several"
        raise RequestError("TOO_LARGE", sentence)


def row_count_of(lengths: Mapping[str, int]) -> int:
    """
    Rows of columns of these lengths.

    Raises:
        RequestError: EMPTY_TABLE; BAD_SHAPE, two columns have different lengths, neither of them 1.
    """
    if not lengths or not all(lengths.values()):
        empty = next((name for name, length in lengths.items() if not length), None)
        got = "no column" if empty is None else f"none in column {empty[:100]}"
        raise RequestError("EMPTY_TABLE", f"a table must have at least one row, got {got}")
    row_count = max(lengths.values())
    for name, length in lengths.items():
        if length not in (1, row_count):
            sentence = f"columns must have {row_count} values like the longest, or one, {name[:100]} has {length}"
            raise RequestError("BAD_SHAPE", sentence)
    return row_count
