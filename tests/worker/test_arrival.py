"""`xip_worker.arrival`: pieces on their way from the event loop to a slot."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.worker.builders import PATIENCE_S
from xip_core.graph.plan import digest_of
from xip_core.pricing.tile import TileCancelledError
from xip_worker import arrival
from xip_worker.arrival import Arrival, Received

PIECES = [bytes([number]) * 5_000 for number in range(9)]


def never() -> bool:
    return False


@pytest.mark.parametrize("handed_over_bytes", [1, 12_000, 1 << 20])
def test_pieces_arrive_whole_with_their_digest(monkeypatch: pytest.MonkeyPatch, handed_over_bytes: int) -> None:
    monkeypatch.setattr(arrival, "HANDED_OVER_BYTES", handed_over_bytes)
    coming = Arrival()
    with ThreadPoolExecutor(1) as slot:
        collected = slot.submit(coming.collect, never, PATIENCE_S)
        coming.begin()
        for piece in PIECES:
            coming.add(piece)
        assert coming.size_bytes == 45_000
        coming.end()
        assert collected.result() == Received(b"".join(PIECES), digest_of(b"".join(PIECES)))


@pytest.mark.parametrize("handed_over_bytes", [1, 12_000, 1 << 20])
def test_what_came_before_a_new_beginning_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, handed_over_bytes: int
) -> None:
    monkeypatch.setattr(arrival, "HANDED_OVER_BYTES", handed_over_bytes)
    coming = Arrival()
    for pieces in (PIECES, PIECES[:3]):
        coming.begin()
        for piece in pieces:
            coming.add(piece)
    coming.end()
    assert coming.size_bytes == 15_000
    assert coming.collect(never, PATIENCE_S) == Received(b"".join(PIECES[:3]), digest_of(b"".join(PIECES[:3])))


def test_a_slot_whose_lease_is_revoked_waits_no_longer() -> None:
    looks = itertools.count(1)
    coming = Arrival()
    coming.begin()
    coming.add(b"some")
    with pytest.raises(TileCancelledError):
        coming.collect(lambda: next(looks) > 3, look_s=0.001)


def test_nothing_at_all_is_the_empty_blob() -> None:
    coming = Arrival()
    coming.end()
    assert coming.collect(never, PATIENCE_S) == Received(b"", digest_of(b""))
