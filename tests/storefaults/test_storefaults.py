"""A small share of `python -m tests.storefaults`, and the proof that it can fail"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.storefaults import damage, grid, kill, power, slow, together, tracing, trouble
from tests.storefaults.forked import ForkedProcess
from tests.storefaults.kill import Story
from tests.storefaults.script import make_script, states

needs_strace = pytest.mark.skipif(bool(tracing.missing()), reason=f"{tracing.missing()}; CI runs it with --require-all")


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Story]:
    made = kill.make_stories(tmp_path_factory.mktemp("stories"), is_traced=not tracing.missing())
    return {story.name: story for story in made}


def test_the_script_has_everything_a_batch_can_hold() -> None:
    final = states(make_script(kill.SEED))[-1]
    assert all(getattr(final, name) for name in final.__struct_fields__)
    assert set(final.events) == {
        "accepted", "retried", "paused", "resumed", "finished", "cancelled", "tiles failed", "tiles given up",
    }  # fmt: skip


def test_a_process_ends_with_its_own_exit_code_whoever_starts_others() -> None:
    with ThreadPoolExecutor(8) as pool:
        ends = pool.map(lambda code: ForkedProcess(os._exit, code).exit_code(), [3] * 200)
        assert set(ends) == {3}


@needs_strace
@pytest.mark.parametrize("name", ["new", "again", "upgrade"])
def test_nothing_acknowledged_is_lost_by_kill_nine(stories: dict[str, Story], name: str) -> None:
    points = kill.spread(kill.points(stories[name]), 5)
    assert kill.check_all(points, jobs=2) == []


@needs_strace
@pytest.mark.parametrize("name", ["new", "again", "upgrade"])
def test_nothing_acknowledged_is_lost_with_the_power(stories: dict[str, Story], name: str) -> None:
    figures = power.losses(power.record(stories[name]), 8, seed=4)
    assert (figures.images, figures.complaints) == (8, [])


@needs_strace
def test_syncs_that_did_nothing_are_noticed_by_the_witness(stories: dict[str, Story]) -> None:
    figures = power.losses(power.record(stories["new"]), 30, seed=5, lie=0.3)
    assert figures.refused > 0
    assert figures.complaints == []


@needs_strace
@pytest.mark.parametrize("kind", list(trouble.ERRORS))
def test_a_disk_that_refuses_ends_the_writer_and_loses_nothing(stories: dict[str, Story], kind: str) -> None:
    places = trouble.places(stories["new"], kind, 3)
    assert [said for place in places for said in trouble.check(stories["new"], kind, *place)] == []


@pytest.mark.parametrize("size_limit_bytes", [1 << 10, 40_000, 150_000])
def test_a_file_that_may_not_grow_loses_nothing(stories: dict[str, Story], size_limit_bytes: int) -> None:
    assert trouble.check_size_limit(stories["new"], size_limit_bytes) == []


@needs_strace
@pytest.mark.parametrize("name", list(damage.DAMAGES))
def test_no_damage_passes_in_silence(stories: dict[str, Story], name: str) -> None:
    finders = [damage.found_by(stories["again"].template, name, seed) for seed in range(6)]
    assert [what for finder, what in finders if finder == "silent"] == []


@needs_strace
def test_a_planted_lazy_sync_is_caught(stories: dict[str, Story]) -> None:
    flawed = msgspec.structs.replace(stories["new"], flaw="lazy sync")
    assert power.losses(power.record(flawed), 20, seed=0).complaints


@needs_strace
@pytest.mark.parametrize("flaw", ["early acknowledgement", "half a batch"])
def test_a_planted_flaw_of_the_commit_is_caught(stories: dict[str, Story], flaw: str) -> None:
    flawed = msgspec.structs.replace(stories["new"], flaw=flaw)
    writes = [point for point in kill.points(flawed) if point.call == "pwrite64"]
    middle = len(writes) // 2
    assert kill.check_all(writes[middle - 100 : middle + 100 : 12], jobs=2)  # four batches: one of them has a run


@needs_strace
async def test_nothing_a_whole_scheduler_acknowledged_is_lost_by_kill_nine() -> None:
    places = [place for place in await grid.places() if place.call in ("pwrite64", "fdatasync")]
    assert await grid.check_all(grid.spread(places, 2), jobs=2) == []


@needs_strace
async def test_a_scheduler_that_answers_before_it_commits_is_caught_by_kill_nine() -> None:
    """At some places something was answered between two writes of a commit, at others nothing."""
    places = [grid.Place("pwrite64", number) for number in range(180, 480, 40)]
    assert await grid.check_all(places, jobs=2, flaw="early acknowledgement")


@needs_strace
async def test_results_that_came_together_are_there_together_or_not_at_all_after_kill_nine() -> None:
    places = await together.places()
    syncs = [place for place in places if place.call == "fdatasync"]
    writes = [place for place in places if place.call == "pwrite64"]
    assert len(writes) > 20, "records, outputs, details, quarantine and counts are on pages of their own"
    assert await grid.check_all([syncs[0], *grid.spread(writes, 3)], jobs=2, check=together.check) == []


@needs_strace
async def test_half_of_the_results_that_came_together_is_caught() -> None:
    assert await together.check(grid.Place("fdatasync", 2), "half a message")


@needs_strace
async def test_syncs_longer_than_a_lease_end_none_and_stop_no_answer() -> None:
    figures = await slow.check(delay_s=1.2, rounds=1)
    assert figures.complaints == []
    assert figures.heartbeats > len(figures.syncs), "the worker spoke while syncs lasted"


@needs_strace
async def test_a_scheduler_that_answers_before_it_commits_is_caught_by_a_slow_sync() -> None:
    figures = await slow.check(delay_s=0.3, rounds=1, flaw="early acknowledgement")
    assert any("before it was durable" in complaint for complaint in figures.complaints)


@needs_strace
async def test_a_scheduler_whose_loop_waits_for_the_disk_is_caught_by_a_slow_sync() -> None:
    figures = await slow.check(delay_s=0.3, rounds=1, flaw="waiting loop")
    assert any("the loop stands still" in complaint for complaint in figures.complaints)
