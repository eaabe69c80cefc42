"""`xip_worker.cache`: limits, one load per key, and nothing kept that was not verified."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.patience import PATIENCE_S
from xip_core.errors import IntegrityError, NotFoundError
from xip_core.graph.plan import digest_of
from xip_core.pricing.tile import Columns
from xip_worker.arrival import Received
from xip_worker.cache import (
    RANGE_TILES_MAX,
    BlobCache,
    LoadingCache,
    Memo,
    OutputCache,
    OutputKey,
    columns_size_bytes,
)


def a_key(tile: int, run_id: str = "r1") -> OutputKey:
    return OutputKey(run_id, 0, tile)


def some_columns(tile: int) -> Columns:
    return {"x": np.full(4, float(tile))}


class Tiles:
    """A scheduler's outputs, and the ranges it was asked for."""

    def __init__(self, tile_count: int = 1_000) -> None:
        self.tile_count = tile_count
        self.asked: list[tuple[int, int]] = []

    def __call__(self, key: OutputKey, count: int) -> Iterator[tuple[int, Columns]]:
        self.asked.append((key.tile, count))
        for tile in range(key.tile, min(key.tile + count, self.tile_count)):
            yield tile, some_columns(tile)


def test_sizes_never_exceed_the_limit_and_the_oldest_go_first() -> None:
    cache: LoadingCache[str, str] = LoadingCache(10)
    for key in "abc":
        cache.put(key, key, 4)
    loads: list[str] = []

    def load(key: str) -> str:
        return cache.get(key, lambda: (loads.append(key) or key, 4))

    assert cache.size == 8
    assert [load("b"), load("c"), load("a"), load("c"), load("b")] == ["b", "c", "a", "c", "b"]
    assert loads == ["a", "b"]


def test_a_value_larger_than_the_limit_is_given_and_not_kept() -> None:
    cache: LoadingCache[str, str] = LoadingCache(10)
    assert cache.get("a", lambda: ("large", 11)) == "large"
    assert (cache.size, len(cache)) == (0, 0)


def test_replacing_a_value_counts_it_once() -> None:
    cache: LoadingCache[str, str] = LoadingCache(10)
    cache.put("a", "old", 6)
    cache.put("a", "new", 7)
    assert (cache.size, cache.get("a", lambda: ("loaded", 1))) == (7, "new")


def test_threads_that_need_a_key_at_once_load_it_once() -> None:
    cache: LoadingCache[str, int] = LoadingCache(10)
    entered, gate = threading.Semaphore(0), threading.Event()
    loads: list[int] = []

    def load() -> tuple[int, int]:
        loads.append(1)
        entered.release()
        assert gate.wait(PATIENCE_S)
        return 42, 1

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, "a", load)
        assert entered.acquire(timeout=PATIENCE_S)
        others = [pool.submit(cache.get, "a", load) for _ in range(3)]
        gate.set()
        assert [future.result(PATIENCE_S) for future in (first, *others)] == [42] * 4
    assert len(loads) == 1


def test_after_a_failed_load_the_next_in_line_tries_for_itself() -> None:
    cache: LoadingCache[str, int] = LoadingCache(10)
    entered, gate = threading.Semaphore(0), threading.Event()

    def failing() -> tuple[int, int]:
        entered.release()
        assert gate.wait(PATIENCE_S)
        raise NotFoundError("not here")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", failing)
        assert entered.acquire(timeout=PATIENCE_S)
        second = pool.submit(cache.get, "a", lambda: (7, 1))
        gate.set()
        with pytest.raises(NotFoundError, match="not here"):
            first.result(PATIENCE_S)
        assert second.result(PATIENCE_S) == 7


def test_a_load_that_needs_its_own_key_is_an_error_and_no_deadlock() -> None:
    cache: LoadingCache[str, int] = LoadingCache(10)
    with pytest.raises(RuntimeError, match="loading 'a' needs 'a'"):
        cache.get("a", lambda: (cache.get("a", lambda: (1, 1)), 1))
    assert cache.get("a", lambda: (1, 1)) == 1


def received(content: bytes) -> Received:
    return Received(content, digest_of(content))


def test_a_blob_is_fetched_once_and_verified() -> None:
    cache, fetched = BlobCache(100), []

    def fetch(digest: str) -> Received:
        fetched.append(digest)
        return received(b"content")

    digest = digest_of(b"content")
    assert [cache.get(digest, fetch), cache.get(digest, fetch)] == [b"content", b"content"]
    assert fetched == [digest]


def test_a_blob_with_another_digest_is_refused_and_not_kept() -> None:
    cache = BlobCache(100)
    digest = digest_of(b"content")
    with pytest.raises(IntegrityError, match=f"{digest}: the 8 bytes fetched have digest {digest_of(b'contents')}"):
        cache.get(digest, lambda digest: received(b"contents"))
    assert cache.get(digest, lambda digest: received(b"content")) == b"content"


def test_tiles_that_follow_come_with_the_first_in_one_range() -> None:
    cache, tiles = OutputCache(), Tiles()
    values = [cache.get(a_key(tile), tiles, following_count=9 - tile)["x"][0] for tile in range(10)]
    assert values == [float(tile) for tile in range(10)]
    assert tiles.asked == [(0, 10)]


def test_a_range_ends_before_a_tile_that_is_held() -> None:
    cache, tiles = OutputCache(), Tiles()
    cache.put(a_key(3), some_columns(3))
    cache.get(a_key(0), tiles, following_count=9)
    assert tiles.asked == [(0, 3)]


def test_a_range_never_exceeds_its_limit() -> None:
    cache, tiles = OutputCache(), Tiles()
    cache.get(a_key(0), tiles, following_count=500)
    assert tiles.asked == [(0, RANGE_TILES_MAX)]


def test_a_range_that_ends_early_leaves_the_rest_to_the_next_request() -> None:
    cache, tiles = OutputCache(), Tiles()

    def short(key: OutputKey, count: int) -> Iterable[tuple[int, Columns]]:
        return list(tiles(key, count))[:2]

    assert [cache.get(a_key(tile), short, 3 - tile)["x"][0] for tile in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert tiles.asked == [(0, 4), (2, 2)]


def test_a_range_larger_than_the_cache_still_gives_every_tile() -> None:
    cache, tiles = OutputCache(bytes_max=2 * columns_size_bytes(some_columns(0))), Tiles()
    assert [cache.get(a_key(tile), tiles, 9 - tile)["x"][0] for tile in range(10)] == [float(t) for t in range(10)]


@pytest.mark.parametrize(
    ("answer", "message"), [([], "sent no output"), ([(1, some_columns(1))], "tile 0 is next, got 1")]
)
def test_a_range_that_is_not_what_was_asked_for_is_refused(answer: list[tuple[int, Columns]], message: str) -> None:
    cache = OutputCache()
    with pytest.raises(IntegrityError, match=message):
        cache.get(a_key(0), lambda key, count: answer)
    assert cache.get(a_key(0), Tiles())["x"][0] == 0.0


def test_slots_that_need_overlapping_ranges_download_no_tile_twice() -> None:
    cache, tiles = OutputCache(), Tiles()
    entered, gate = threading.Semaphore(0), threading.Event()

    def gated(key: OutputKey, count: int) -> Iterator[tuple[int, Columns]]:
        entered.release()
        assert gate.wait(PATIENCE_S)
        yield from tiles(key, count)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, a_key(0), gated, 7)
        assert entered.acquire(timeout=PATIENCE_S)
        second = pool.submit(cache.get, a_key(4), tiles, 7)
        gate.set()
        assert first.result(PATIENCE_S)["x"][0] == 0.0
        assert second.result(PATIENCE_S)["x"][0] == 4.0
    assert tiles.asked == [(0, 8)]


def test_outputs_of_two_runs_are_never_mixed_up() -> None:
    cache = OutputCache()
    cache.put(a_key(0, "r1"), some_columns(1))
    cache.put(a_key(0, "r2"), some_columns(2))
    assert cache.get(a_key(0, "r2"), Tiles())["x"][0] == 2.0


@pytest.mark.parametrize(
    ("memo", "value"),
    [
        pytest.param(Memo(objects_max=2), object(), id="two of unknown size"),
        pytest.param(Memo(bytes_max=2 * (10 + 48)), b"0123456789", id="bytes of a text"),
        pytest.param(Memo(bytes_max=2 * (3 * 48 + 7)), [b"line", b"two"], id="bytes of lines"),
    ],
)
def test_a_memo_makes_once_and_drops_what_it_has_no_room_for(memo: Memo, value: object) -> None:
    made = []
    for key in ("a", "b", "a", "c", "a", "b"):
        assert memo.get((key,), lambda key=key: made.append(key) or value) is value
    assert made == ["a", "b", "c", "b"]


def test_rows_without_end_do_not_push_out_what_every_tick_begins_with() -> None:
    memo, made, scenarios = Memo(bytes_max=10_000), [], object()
    for step in range(100):
        assert memo.get("scenarios", lambda: made.append("scenarios") or scenarios) is scenarios
        memo.get(("rows", step), lambda: {"amount": np.zeros(1_000)})
    assert made == ["scenarios"]


def test_threads_that_want_an_object_at_once_get_the_same_one() -> None:
    memo, made, gate = Memo(), [], threading.Event()
    entered = threading.Semaphore(0)

    def make() -> object:
        entered.release()
        assert gate.wait(PATIENCE_S)
        made.append(object())
        return made[-1]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memo.get, "layout", make)
        assert entered.acquire(timeout=PATIENCE_S)
        second = pool.submit(memo.get, "layout", make)
        gate.set()
        assert first.result(PATIENCE_S) is second.result(PATIENCE_S)
    assert len(made) == 1


def test_a_memo_counts_the_bytes_of_columns() -> None:
    columns = {"market": np.zeros(1_000)}
    memo, made = Memo(bytes_max=3 * columns_size_bytes(columns)), []
    for key in ("a", "b", "c", "a", "b", "c"):
        memo.get((key,), lambda key=key: made.append(key) or columns)
    assert made == ["a", "b", "c"]
