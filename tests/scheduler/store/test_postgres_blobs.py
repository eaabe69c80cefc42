"""xip_scheduler.store.postgres_blobs: blobs in the database, with copies beside the scheduler"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.claims import database_name, lead
from tests.postgres.server import PrivateServer
from xip_core.errors import IntegrityError, NotFoundError, StoreError
from xip_scheduler.store.blobs import CHUNK_SIZE_BYTES
from xip_scheduler.store.postgres_blobs import SharedBlobs
from xip_scheduler.store.postgres_session import DatabaseAddress


@pytest.fixture
def blobs(database: DatabaseAddress, tmp_path: Path) -> Iterator[SharedBlobs]:
    blobs = SharedBlobs(tmp_path / "one", database)
    yield blobs
    blobs.close()


def test_a_blob_is_found_by_a_scheduler_on_another_disk(
    blobs: SharedBlobs, database: DatabaseAddress, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 8192 + b"tail"
    digest = blobs.put(content)
    assert blobs.put(content) == digest
    other = SharedBlobs(tmp_path / "two", database)
    assert other.has(digest)
    assert other.size_bytes(digest) == len(content)
    assert [len(chunk) for chunk in other.chunks(digest)] == [CHUNK_SIZE_BYTES] * 4 + [4]
    assert other.get(digest) == content
    other.close()


def test_an_absent_blob_is_not_found_even_where_a_copy_was_kept(blobs: SharedBlobs, postgres: PrivateServer) -> None:
    absent = hashlib.blake2b(b"absent", digest_size=32).hexdigest()
    assert not blobs.has(absent)
    for read in (blobs.get, blobs.size_bytes, lambda digest: next(blobs.chunks(digest))):
        with pytest.raises(NotFoundError, match=absent):
            read(absent)
    digest = blobs.put(b"content")
    with postgres.administrator(database_name(blobs._address)) as operator:
        operator.execute("DELETE FROM blob")
    assert not blobs.has(digest), "the database is the truth, the file a copy"
    assert blobs.put(b"content") == digest
    assert blobs.has(digest)


def test_a_blob_damaged_in_the_database_is_refused(
    blobs: SharedBlobs, database: DatabaseAddress, postgres: PrivateServer, tmp_path: Path
) -> None:
    digest = blobs.put(b"content")
    with postgres.administrator(database_name(database)) as operator:
        operator.execute("UPDATE blob_chunk SET content = 'c0ntent'")
    other = SharedBlobs(tmp_path / "two", database)
    with pytest.raises(IntegrityError, match=digest):
        other.get(digest)
    other.close()


def test_an_upload_that_is_not_what_was_announced_is_stored_nowhere(blobs: SharedBlobs) -> None:
    absent = hashlib.blake2b(b"absent", digest_size=32).hexdigest()
    with blobs.writer(absent, 4) as writer:
        writer.write(b"else")
        with pytest.raises(IntegrityError, match="content has digest"):
            writer.commit()
    assert not blobs.has(absent)


def test_blobs_go_on_after_their_sessions_were_cut(
    blobs: SharedBlobs, database: DatabaseAddress, postgres: PrivateServer
) -> None:
    digest = blobs.put(b"content")
    with postgres.administrator(database_name(database)) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'xip-scheduler blobs'"
        )
    assert blobs.has(digest)


def test_unused_blobs_are_removed_by_the_leader_only(blobs: SharedBlobs, database: DatabaseAddress) -> None:
    digest = blobs.put(b"content")
    assert list(blobs.unused_since(0.0)) == []
    assert list(blobs.unused_since(1e12)) == [digest]
    old, new = lead(database), lead(database)
    blobs.lead(old.term)
    with pytest.raises(StoreError, match="another scheduler leads"):
        blobs.remove([digest], 1e12)
    assert blobs.has(digest)
    blobs.lead(new.term)
    assert blobs.remove([digest], 0.0) == 0, "used since"
    assert blobs.remove([digest], 1e12) == 1
    assert not blobs.has(digest)
    for store in (old, new):
        store.close()


def test_asking_for_a_blob_counts_as_use(blobs: SharedBlobs, postgres: PrivateServer) -> None:
    digest = blobs.put(b"content")
    with postgres.administrator(database_name(blobs._address)) as operator:
        operator.execute("UPDATE blob SET used_at_s = 1")
    assert list(blobs.unused_since(2.0)) == [digest]
    assert blobs.has(digest)
    assert list(blobs.unused_since(2.0)) == []
