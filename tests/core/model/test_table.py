"""Tables as blobs: what goes in comes out, what is no table is refused with a reason."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from xip_core.errors import RequestError
from xip_core.model import table
from xip_core.model.table import decode_table, encode_table


def test_columns_come_back_as_float64_of_the_length_they_had() -> None:
    columns = {"spot": [1.0, 2.0, 3.0], "rate": 0.5, "count": np.array([1, 2, 3]), "is_call": [True, False, True]}
    decoded = decode_table(encode_table(columns))
    assert {name: values.tolist() for name, values in decoded.items()} == {
        "spot": [1.0, 2.0, 3.0],
        "rate": [0.5],
        "count": [1.0, 2.0, 3.0],
        "is_call": [1.0, 0.0, 1.0],
    }
    assert all(values.dtype == "<f8" and not values.flags.writeable for values in decoded.values())


def test_no_bit_of_a_number_changes() -> None:
    bits = np.array([0.1, -0.0, 5e-324, np.inf, np.nan, -np.nan])
    assert decode_table(encode_table({"x": bits}))["x"].tobytes() == bits.tobytes()


@pytest.mark.parametrize(
    ("columns", "reason", "sentence"),
    [
        ({"x": ["a", "b"]}, "BAD_COLUMN", "column x must be a vector of real numbers, got <U1"),
        ({"x": [[1.0, 2.0]]}, "BAD_COLUMN", r"of shape \(1, 2\)"),
        ({"x": [1, [2, 3]]}, "BAD_COLUMN", "column x must be one vector"),
        ({"x": 1j}, "BAD_COLUMN", "complex128"),
        ({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0]}, "BAD_SHAPE", "must have 3 values like the longest, or one, y has 2"),
        ({"x": []}, "EMPTY_TABLE", "must have at least one row, got none in column x"),
        ({"x": 1.0, "y": []}, "EMPTY_TABLE", "none in column y"),
        ({}, "EMPTY_TABLE", "got no column"),
    ],
)
def test_columns_that_make_no_table_are_refused(columns: dict[str, Any], reason: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        encode_table(columns)
    assert caught.value.reason == reason


def blob(**columns: object) -> bytes:
    return msgspec.msgpack.encode(columns)


@pytest.mark.parametrize(
    ("content", "reason", "sentence"),
    [
        (b"", "BAD_TABLE", "must be a MessagePack map of columns, got 0 bytes"),
        (b"spot,strike\n1,2\n", "BAD_TABLE", "got 16 bytes"),
        (blob(x=[1.0]), "BAD_TABLE", "Expected `object`, got `array`"),
        (blob(x={"dtype": "<f8"}), "BAD_TABLE", "data"),
        (blob(x={"dtype": "<f4", "data": bytes(8)}), "BAD_COLUMN", "of dtype <f8, got '<f4' and 8 bytes"),
        (blob(x={"dtype": "<f8", "data": bytes(9)}), "BAD_COLUMN", "got '<f8' and 9 bytes"),
        (blob(**{f"c{i}": {"dtype": "<f8", "data": bytes(8)} for i in range(65)}), "TOO_LARGE", "64 columns, got 65"),
    ],
)
def test_a_blob_that_is_no_table_is_refused(content: bytes, reason: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        decode_table(content)
    assert caught.value.reason == reason


def test_a_table_beyond_what_a_worker_keeps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "TABLE_SIZE_BYTES_MAX", 1000)
    assert len(decode_table(encode_table({"x": np.zeros(100)}))["x"]) == 100
    with pytest.raises(RequestError, match=r"at most 1000 bytes, got 1[0-9]{3}; cut it into several"):
        decode_table(encode_table({"x": np.zeros(125)}))
