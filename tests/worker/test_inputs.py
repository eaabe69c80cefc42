"""`xip_worker.inputs`: which neighbours of an input come along, and what is found under the run that computed it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.worker.builders import a_plan, no_tile
from xip_core.errors import UnavailableError
from xip_core.graph.plan import InputRef
from xip_core.wire.convert import encode_block
from xip_worker.events import Epoch, Lease
from xip_worker.fetch import Fetcher
from xip_worker.inputs import LeaseData, WorkerInputs


def a_lease(tile_begin: int, tile_end: int) -> Lease:
    return Lease(Epoch(1), "run-1", 1, tile_begin, tile_end, b"plan")


@pytest.mark.parametrize(
    ("ref", "lease", "tile", "following_count"),
    [
        pytest.param(InputRef(0, modulus=0), a_lease(0, 1), 0, 39, id="reduce reads all tiles"),
        pytest.param(InputRef(0, modulus=0), a_lease(0, 1), 30, 9, id="reduce, from the middle on"),
        pytest.param(InputRef(0, 1, 4), a_lease(0, 3), 0, 2, id="a row of scenario blocks"),
        pytest.param(InputRef(0, 1, 4), a_lease(2, 7), 0, 3, id="two row blocks read every scenario block"),
        pytest.param(InputRef(0, 4, 10), a_lease(0, 8), 0, 1, id="one row block for four tiles"),
        pytest.param(InputRef(0, 4, 10), a_lease(0, 4), 0, 0, id="nothing beyond what the lease reads"),
    ],
)
def test_the_neighbours_a_lease_reads_as_well(ref: InputRef, lease: Lease, tile: int, following_count: int) -> None:
    data = LeaseData(None, lease, a_plan(inputs=(ref,), input_tile_count=40), lambda: False)  # type: ignore[arg-type]  # no cache is asked
    assert data._following_count(0, tile) == following_count


def test_an_input_named_twice_counts_what_either_reads() -> None:
    plan = a_plan(inputs=(InputRef(0, 1, 4), InputRef(0, 1, 1)), input_tile_count=40)
    data = LeaseData(None, a_lease(1, 3), plan, lambda: False)  # type: ignore[arg-type]  # no cache is asked
    assert data._following_count(0, 0) == 2  # the base block, tile 0, and its neighbours 1 and 2


class CountingFetcher(Fetcher):
    """Any tile asked for is there: its output is its number. Run "tick" began with tiles of "morning" and "noon"."""

    def __init__(self) -> None:
        self.lists: list[str] = []
        self.ranges: list[tuple[str, int, int, int]] = []

    def origins(self, run_id: str, is_cancelled: object) -> list[tuple[int, int, int, str]]:
        self.lists.append(run_id)
        return [(0, 0, 4, "morning"), (0, 4, 6, "noon"), (0, 8, 10, "morning")] if run_id == "tick" else []

    async def list_origins(self, run_id: str) -> list[tuple[int, int, int, str]]:
        return self.origins(run_id, None)

    def outputs(
        self, run_id: str, node_id: int, tile_begin: int, tile_end: int, is_cancelled: object
    ) -> list[tuple[int, bytes]]:
        self.ranges.append((run_id, node_id, tile_begin, tile_end))
        return [(tile, encode_block({"sum": np.array([float(tile)])})) for tile in range(tile_begin, tile_end)]


def sums_read(inputs: WorkerInputs, run_id: str) -> list[float]:
    """By a tile of *run_id* that reads all ten of node 0."""
    lease = Lease(Epoch(1), run_id, 1, 0, 1, b"plan", has_origins=run_id == "tick")
    plan = a_plan(inputs=(InputRef(0, modulus=0),), tile_count=1, input_tile_count=10)
    data = inputs.tile_data(lease, plan, lambda: False)
    return [float(data.output(0, tile)["sum"][0]) for tile in range(10)]


def test_what_was_made_for_an_earlier_run_is_found_by_the_run_that_took_it_over() -> None:
    fetcher = CountingFetcher()
    inputs = WorkerInputs(fetcher, no_tile)
    plan = a_plan(inputs=(InputRef(0, modulus=0),), tile_count=1, input_tile_count=10)
    for run_id, tiles in (("morning", range(10)), ("noon", range(4, 6)), ("tick", range(6, 8))):
        for tile in tiles:
            made = encode_block({"sum": np.array([1000.0 * len(run_id) + tile])})
            inputs.keep_output(Lease(Epoch(1), run_id, 0, tile, tile + 1, b"plan"), plan, tile, made)
    assert sums_read(inputs, "tick") == [7000, 7001, 7002, 7003, 4004, 4005, 4006, 4007, 7008, 7009]
    assert sums_read(inputs, "tick")[6] == 4006.0
    assert (fetcher.lists, fetcher.ranges) == (["tick"], []), "asked once a run, and nothing was fetched"


def test_what_is_not_kept_is_fetched_for_the_run_that_reads_it_and_serves_others_of_the_same_origin() -> None:
    fetcher = CountingFetcher()
    inputs = WorkerInputs(fetcher, no_tile)
    assert sums_read(inputs, "tick") == [float(tile) for tile in range(10)]
    bounds = [(0, 4), (4, 6), (6, 8), (8, 10)]  # a range ends where another run computed the tiles
    assert fetcher.ranges == [("tick", 0, *bound) for bound in bounds]
    assert sums_read(inputs, "morning") == [float(tile) for tile in range(10)]
    assert fetcher.ranges[4:] == [("morning", 0, 4, 8)], "the others were kept under the run that computed them"


def test_a_run_that_took_nothing_over_reads_its_own_outputs_alone() -> None:
    fetcher = CountingFetcher()
    inputs = WorkerInputs(fetcher, no_tile)
    assert sums_read(inputs, "morning") == sums_read(inputs, "evening")
    assert (fetcher.lists, fetcher.ranges) == ([], [("morning", 0, 0, 10), ("evening", 0, 0, 10)])


def a_lease_of(run_id: str, epoch: int) -> Lease:
    return Lease(Epoch(epoch), run_id, 1, 0, 1, b"plan", has_origins=run_id == "tick")


async def test_origins_are_asked_for_when_the_first_lease_of_a_run_comes() -> None:
    fetcher = CountingFetcher()
    inputs = WorkerInputs(fetcher, no_tile)
    for epoch in (1, 2):
        inputs.expect((a_lease_of("tick", epoch), a_lease_of("tick", epoch + 2), a_lease_of("morning", epoch + 4)))
        assert await asyncio.to_thread(sums_read, inputs, "tick") == [float(tile) for tile in range(10)]
    assert fetcher.lists == ["tick"]


async def test_origins_that_could_not_be_had_are_asked_for_by_the_tile_that_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetcher = CountingFetcher()
    inputs = WorkerInputs(fetcher, no_tile)

    async def away(run_id: str) -> list[tuple[int, int, int, str]]:
        raise UnavailableError(f"origins of run {run_id}: no scheduler was reachable")

    monkeypatch.setattr(fetcher, "list_origins", away)
    inputs.expect((a_lease_of("tick", 1),))
    assert await asyncio.to_thread(sums_read, inputs, "tick") == [float(tile) for tile in range(10)]
    assert fetcher.lists == ["tick"]
