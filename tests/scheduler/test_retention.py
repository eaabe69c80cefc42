"""xip_scheduler.retention: old runs and unnamed blobs leave, everything else stays"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.scheduler.core.builders import a_book_plan
from tests.scheduler.store.builders import a_record, a_run
from xip_core.errors import StoreError
from xip_scheduler.retention import BLOB_GRACE_S, Retention, RetentionRules
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Batch, FinishedRun
from xip_scheduler.store.sqlite import SqliteStore
from xip_scheduler.store.thread import StoreThread
from xip_scheduler.store.verify import verify_store

DAY_S = 86_400.0
NOW_S = 1_000 * DAY_S
KEEP_ALL = RetentionRules(age_limit_s=0.0, size_limit_bytes=0, runs_kept_min=0)


class Bench:
    """A store with final runs that ended on days 1, 2, 3, ...; each has its own plan."""

    def __init__(self, directory: Path, run_count: int, block_size_bytes: int = 10) -> None:
        self.blobs = FileBlobs(directory / "blobs")
        self.store = SqliteStore(directory)
        self.plans = [self.blobs.put(a_book_plan(row_blocks=number + 2).encode()) for number in range(run_count)]
        for number, plan_digest in enumerate(self.plans):
            run_id = f"r{number}"
            records = [a_record(tile, run_id=run_id) for tile in range(40)]
            details = [(run_id, 0, tile, os.urandom(block_size_bytes)) for tile in range(40)]
            run = a_run(run_id, plan_digest=plan_digest)
            self.store.commit(Batch(runs=[run], records=records, details=details, epoch_end=100))
            self.store.commit(Batch(finished=[FinishedRun(run_id, 2, "", (number + 1) * DAY_S)]))
        self.rests: list[float] = []

    def tidy(self, rules: RetentionRules, now_s: float, **more: object) -> list[str]:
        """The runs that are left, oldest first."""

        async def rest(duration_s: float) -> None:
            self.rests.append(duration_s)

        async def tidied() -> None:
            thread = StoreThread(self.store)
            retention = Retention(thread, self.blobs, rules, lambda: now_s, rest, **more)  # type: ignore[arg-type]  # held
            await retention.tidy()

        asyncio.run(tidied())
        return [run.run_id for run in reversed(self.store.runs(100))]

    def age_blobs(self, age_s: float) -> None:
        for path in (self.blobs._directory).glob("??/*"):
            os.utime(path, (time.time() - age_s,) * 2)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, run_count=4)


def test_runs_go_when_they_are_old_enough(bench: Bench) -> None:
    rules = RetentionRules(age_limit_s=10 * DAY_S, size_limit_bytes=0, runs_kept_min=0)
    assert bench.tidy(rules, 12.5 * DAY_S) == ["r2", "r3"]
    assert bench.store.erasable_run() is None
    assert bench.store.details("r0", 0, 1000) == []


def test_nothing_goes_without_a_limit(bench: Bench) -> None:
    assert bench.tidy(KEEP_ALL, NOW_S) == ["r0", "r1", "r2", "r3"]


def test_a_clock_that_jumps_ahead_leaves_the_newest_runs(bench: Bench) -> None:
    rules = RetentionRules(age_limit_s=DAY_S, size_limit_bytes=0, runs_kept_min=3)
    assert bench.tidy(rules, NOW_S) == ["r1", "r2", "r3"]


def test_live_runs_are_never_pruned(bench: Bench) -> None:
    bench.store.commit(Batch(runs=[a_run("live", plan_digest=bench.plans[0])]))
    rules = RetentionRules(age_limit_s=DAY_S, size_limit_bytes=1, runs_kept_min=0)
    assert bench.tidy(rules, NOW_S) == ["live"]


def test_the_oldest_go_until_the_store_is_small_enough(tmp_path: Path) -> None:
    bench = Bench(tmp_path, run_count=4, block_size_bytes=20_000)
    limit = bench.store.size_bytes() * 6 // 10
    assert bench.tidy(RetentionRules(0.0, limit, 0), NOW_S) == ["r2", "r3"]
    assert bench.store.size_bytes() <= limit


def test_a_run_somebody_goes_on_from_is_left_alone(bench: Bench) -> None:
    rules = RetentionRules(age_limit_s=10 * DAY_S, size_limit_bytes=0, runs_kept_min=0)
    assert bench.tidy(rules, 12.5 * DAY_S, held={"r0"}) == ["r0", "r1", "r2", "r3"]


def test_every_step_is_followed_by_nine_times_its_rest(bench: Bench) -> None:
    bench.tidy(RetentionRules(DAY_S, 0, 0), NOW_S)
    assert len(bench.rests) > 4 * 3, "hide, and a step for each table"
    assert min(bench.rests) > 0.0


def test_blobs_of_pruned_runs_go_and_named_ones_stay(bench: Bench) -> None:
    orphan = bench.blobs.put(b"uploaded for a run that never came")
    bench.age_blobs(BLOB_GRACE_S + 60.0)
    bench.tidy(RetentionRules((time.time() - 2.5 * DAY_S), 0, 0), time.time())
    kept = [bench.blobs.has(digest) for digest in [*bench.plans, orphan]]
    assert kept == [False, False, True, True, False]


def test_a_blob_just_uploaded_or_asked_for_stays(bench: Bench) -> None:
    asked, uploaded, forgotten = (bench.blobs.put(content) for content in (b"asked", b"uploaded", b"forgotten"))
    bench.age_blobs(BLOB_GRACE_S + 60.0)
    assert bench.blobs.has(asked)
    with bench.blobs.writer(uploaded, len(b"uploaded")) as writer:
        writer.write(b"uploaded")
        writer.commit()
    bench.tidy(KEEP_ALL, time.time())
    assert [bench.blobs.has(digest) for digest in (asked, uploaded, forgotten)] == [True, True, False]


def test_a_pruned_store_is_sound(tmp_path: Path) -> None:
    bench = Bench(tmp_path, run_count=3)
    bench.tidy(RetentionRules(10 * DAY_S, 0, 0), 12.5 * DAY_S)
    bench.store.close()
    report = verify_store(tmp_path)
    assert [check.complaints for check in report.checks if not check.is_sound] == []


def test_a_commit_that_fails_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(batch: Batch) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(bench.store, "commit", refuse)
    with pytest.raises(StoreError, match="disk full"):
        bench.tidy(RetentionRules(DAY_S, 0, 0), NOW_S)
