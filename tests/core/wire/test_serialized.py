"""xip_core.wire.serialized"""

from __future__ import annotations

import pytest

from xip_core.wire.serialized import serialized_bytes
from xip_core.wire.v1 import blob_pb2


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 1 << 21])
def test_it_is_what_the_library_writes(size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    assert serialized_bytes(1, content) == blob_pb2.DownloadResponse(chunk=content).SerializeToString()
    assert serialized_bytes(1, content[:5], content[5:6], content[6:]) == serialized_bytes(1, content)
    assert serialized_bytes(2, content) == blob_pb2.DownloadResponse(base_digest=content).SerializeToString()


def test_a_field_number_may_need_two_bytes() -> None:
    assert serialized_bytes(16, b"x") == b"\x82\x01\x01x"


def test_an_empty_field_is_read_as_one_that_is_not_there() -> None:
    assert blob_pb2.DownloadResponse.FromString(serialized_bytes(1, b"")) == blob_pb2.DownloadResponse()
