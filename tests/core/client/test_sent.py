"""xip_core.client.sent: the digest of a blob sent before"""

from __future__ import annotations

import pytest

from xip_core.client import sent
from xip_core.client.sent import BLOBS_KEPT_MAX, SentBlobs
from xip_core.graph.plan import digest_of


def test_the_digest_of_the_object_that_was_sent_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, book = SentBlobs(), b"book " * 100
    blobs.keep(digest_of(book), book)
    monkeypatch.setattr(sent, "digest_of", lambda blob: "computed")
    assert blobs.digest_of(book) == digest_of(book)
    same_bytes = bytes(bytearray(book))
    assert blobs.digest_of(same_bytes) == "computed"


def test_the_digest_of_what_may_change_is_always_computed() -> None:
    blobs, book = SentBlobs(), bytearray(b"book")
    blobs.keep(digest_of(book), book)  # type: ignore[arg-type]  # what untyped callers may do
    book += b"s"
    assert blobs.digest_of(book) == digest_of(b"books")  # type: ignore[arg-type]  # likewise


def test_an_object_sent_long_ago_is_forgotten() -> None:
    blobs, book = SentBlobs(), bytes(bytearray(b"book"))
    blobs.keep(digest_of(book), book)
    for number in range(BLOBS_KEPT_MAX):
        other = b"other %d" % number
        blobs.keep(digest_of(other), other)
    assert blobs.find(digest_of(book)) is None
    assert blobs.digest_of(book) == digest_of(book)
