"""xip_scheduler.store.blobs"""

from __future__ import annotations

import errno
import hashlib
import time
from pathlib import Path

import pytest

from xip_core.errors import IntegrityError, NotFoundError, RequestError, StoreError
from xip_core.graph.plan import digest_of
from xip_scheduler.store.blobs import CHUNK_SIZE_BYTES, HASHED_FOR_S, FileBlobs

ABSENT = digest_of(b"absent")


def test_a_blob_is_found_by_the_digest_of_its_content(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    digest = blobs.put(b"content")
    assert digest == digest_of(b"content")
    assert FileBlobs(tmp_path).get(digest) == b"content"
    assert blobs.size_bytes(digest) == 7
    assert blobs.put(b"content") == digest


def test_an_absent_blob_is_not_found(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    assert not blobs.has(ABSENT)
    for read in (blobs.get, blobs.size_bytes, lambda digest: next(blobs.chunks(digest))):
        with pytest.raises(NotFoundError, match=ABSENT):
            read(ABSENT)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 31 + "/."])
def test_what_is_not_a_digest_never_becomes_a_path(tmp_path: Path, digest: str) -> None:
    with pytest.raises(RequestError, match="64 hex digits"):
        FileBlobs(tmp_path).get(digest)


def test_chunks_are_bounded_and_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192 + b"tail"
    blobs = FileBlobs(tmp_path)
    chunks = list(blobs.chunks(blobs.put(content)))
    assert [len(chunk) for chunk in chunks] == [CHUNK_SIZE_BYTES] * 4 + [4]
    assert b"".join(chunks) == content


def test_an_upload_with_another_digest_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    with blobs.writer(ABSENT, 4) as writer:
        writer.write(b"else")
        with pytest.raises(IntegrityError, match="content has digest"):
            writer.commit()
    assert not blobs.has(ABSENT)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_an_upload_larger_than_announced_is_refused_at_once(tmp_path: Path) -> None:
    with FileBlobs(tmp_path).writer(digest_of(b"four"), 3) as writer, pytest.raises(IntegrityError, match="3 bytes"):
        writer.write(b"four")


def test_an_upload_smaller_than_announced_is_refused(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    digest = digest_of(b"four")
    with blobs.writer(digest, 5) as writer:
        writer.write(b"four")
        with pytest.raises(IntegrityError, match="must have 5 bytes"):
            writer.commit()
    assert not blobs.has(digest)


def test_an_upload_cut_off_by_a_crash_is_cleared_at_the_next_start(tmp_path: Path) -> None:
    FileBlobs(tmp_path).writer(ABSENT, 10).write(b"half")
    FileBlobs(tmp_path)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_blob_damaged_on_disk_is_refused(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    digest = blobs.put(b"content")
    (tmp_path / digest[:2] / digest).write_bytes(b"c0ntent")
    with pytest.raises(IntegrityError, match=digest):
        blobs.get(digest)


def test_a_full_disk_is_a_refusal_of_the_store_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FileBlobs(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr("xip_scheduler.store.blobs.os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot be kept: No space left on device$"):
        blobs.put(b"content")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def count_of_hashed_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what is hashed in one piece from now on."""
    sizes: list[int] = []
    real = hashlib.blake2b

    def counting(content: bytes = b"", *, digest_size: int) -> hashlib.blake2b:
        if content:
            sizes.append(len(content))
        return real(content, digest_size=digest_size)

    monkeypatch.setattr("xip_scheduler.store.blobs.hashlib.blake2b", counting)
    return sizes


def test_what_this_process_has_hashed_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, digest = FileBlobs(tmp_path), digest_of(b"content")
    with blobs.writer(digest, 7) as writer:
        writer.write(b"content")
        writer.commit()
    sizes = count_of_hashed_bytes(monkeypatch)
    assert blobs.has(digest), "sets the times of the file"
    assert blobs.get(digest) == b"content"
    assert sizes == []
    another = FileBlobs(tmp_path)
    assert [another.get(digest), another.get(digest)] == [b"content"] * 2
    assert sizes == [7], "another process trusts nobody, and itself from then on"


def test_what_was_hashed_long_ago_is_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FileBlobs(tmp_path)
    digest = blobs.put(b"content")
    now_s = time.monotonic()
    sizes = count_of_hashed_bytes(monkeypatch)
    monkeypatch.setattr("xip_scheduler.store.blobs.time.monotonic", lambda: now_s + HASHED_FOR_S + 1.0)
    assert blobs.get(digest) == b"content"
    assert sizes == [7]


def test_damage_of_a_blob_in_use_is_noticed_also_after_it_was_asked_for(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    digest = blobs.put(b"content")
    (tmp_path / digest[:2] / digest).write_bytes(b"c0ntent")
    assert blobs.has(digest)
    with pytest.raises(IntegrityError, match=digest):
        blobs.get(digest)
