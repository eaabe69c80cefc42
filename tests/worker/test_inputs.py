"""`xip_worker.inputs`: which neighbours of an input come along."""

from __future__ import annotations

import pytest

from tests.worker.builders import a_plan
from xip_core.graph.plan import InputRef
from xip_worker.events import Epoch, Lease
from xip_worker.inputs import LeaseData


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
