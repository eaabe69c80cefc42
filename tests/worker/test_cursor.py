"""`xip_worker.cursor`: what one side begins the other cannot give up."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator

import pytest

from xip_worker.cursor import TileCursor
from xip_worker.events import Epoch, Lease, LeaseBound

TILES = 400


def a_cursor(tile_begin: int = 0, tile_end: int = TILES) -> TileCursor:
    return TileCursor(Lease(Epoch(1), "run-1", 0, tile_begin, tile_end, b"plan"), threading.Lock())


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads take turns as often as they can, so that a gap of one instruction is found."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before_s)


@pytest.mark.parametrize("asked", [0, 3, 5, 7, 9, 100])
def test_a_lease_ends_at_the_bound_or_behind_the_last_tile_begun(asked: int) -> None:
    cursor, answers = a_cursor(3, 9), list[LeaseBound]()
    assert [cursor.claim() for _ in range(2)] == [3, 4]
    cursor.trim(asked, answers.append)
    kept = min(9, max(5, asked))
    assert answers == [LeaseBound(Epoch(1), kept)]
    assert list(cursor.claim_rest()) == list(range(5, kept))
    assert cursor.claim() is None


def test_a_bound_never_grows() -> None:
    cursor, answers = a_cursor(0, 9), list[LeaseBound]()
    for asked in (6, 8, 4):
        cursor.trim(asked, answers.append)
    assert [answer.tile_end for answer in answers] == [6, 6, 4]


def test_no_tile_is_both_begun_and_given_up_however_threads_take_turns(eager_switching: None) -> None:
    chance = random.Random(7)
    for _ in range(40):
        cursor, claimed, answers = a_cursor(), list[int](), list[LeaseBound]()

        def slot(cursor: TileCursor = cursor, claimed: list[int] = claimed) -> None:
            while (tile := cursor.claim()) is not None:
                claimed.append(tile)

        thread = threading.Thread(target=slot)
        thread.start()
        while not answers or (thread.is_alive() and len(answers) < 20):
            cursor.trim(chance.randrange(TILES), answers.append)
        thread.join()
        assert claimed == list(range(answers[-1].tile_end))
