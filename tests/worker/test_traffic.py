"""xip_worker.inputs and meter: what a worker receives, once, whatever its slots; and as deltas where it can"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from tests.worker.builders import a_plan, no_tile
from xip_core.graph.plan import InputRef, Plan, Source, digest_of
from xip_core.model.delta import apply_delta, make_delta
from xip_worker.arrival import Received
from xip_worker.events import Epoch, Lease
from xip_worker.inputs import LeaseData, WorkerInputs
from xip_worker.meter import FetchMeter

MARKETS = [b"market," * 50 + b"%d" % day for day in range(3)]
BOOK = b"book"


class Fetches:
    """A fetcher whose scheduler makes deltas; the first fetch of a blob waits for *gate*."""

    def __init__(self, *blobs: bytes, is_wrong: bool = False) -> None:
        self.blobs = {digest_of(blob): blob for blob in blobs}
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_wrong = is_wrong

    def blob(self, digest: str, is_cancelled: Callable[[], bool]) -> Received:
        self.asked.append((digest, ()))
        self.gate.wait(10.0)
        return Received(self.blobs[digest], digest)

    def blob_like(
        self, digest: str, bases: Mapping[str, bytes], is_cancelled: Callable[[], bool]
    ) -> tuple[Received, int, bool]:
        self.asked.append((digest, tuple(bases)))
        base = bases[next(iter(bases))]
        whole = b"something else" if self.is_wrong else self.blobs[digest]
        delta = make_delta(base, whole)
        content = apply_delta(base, delta, 1 << 20)
        return Received(content, digest_of(content)), len(delta), True


def data_of(inputs: WorkerInputs, market: bytes) -> LeaseData:
    source = Source(book_digest=digest_of(BOOK), market_digest=digest_of(market))
    plan: Plan = msgspec.structs.replace(a_plan(inputs=(InputRef(0),), input_tile_count=1), sources=(source,))
    return LeaseData(inputs, Lease(Epoch(1), "run-1", 1, 0, 1, b"plan"), plan, lambda: False)


def inputs_with(fetches: Fetches) -> WorkerInputs:
    fetcher: Any = fetches
    return WorkerInputs(fetcher, no_tile)


def test_slots_that_want_one_blob_fetch_it_once() -> None:
    fetches = Fetches(MARKETS[0])
    fetches.gate.clear()
    inputs = inputs_with(fetches)
    taken = []

    def read() -> bytes:
        content = data_of(inputs, MARKETS[0]).blob(digest_of(MARKETS[0]))
        taken.append(inputs.take_fetched())
        return content

    with ThreadPoolExecutor(4) as slots:
        reads = [slots.submit(read) for _ in range(4)]
        while not fetches.asked:
            pass
        fetches.gate.set()
        assert [read.result() for read in reads] == [MARKETS[0]] * 4
    assert len(fetches.asked) == 1
    assert [fetched for _, fetched in taken if fetched] == [(("market", len(MARKETS[0]), 1),)]
    assert all(waited_ns > 0 for waited_ns, _ in taken), "all four waited, whoever fetched"


def test_the_next_market_comes_as_a_delta_against_the_last() -> None:
    fetches = Fetches(BOOK, *MARKETS)
    inputs = inputs_with(fetches)
    for market in MARKETS:
        assert data_of(inputs, market).blob(digest_of(market)) == market
        assert data_of(inputs, market).blob(digest_of(BOOK)) == BOOK
    digests = [digest_of(market) for market in MARKETS]
    asked = [call for call in fetches.asked if call[0] in digests]
    assert asked == [(digests[0], ()), (digests[1], (digests[0],)), (digests[2], (digests[0], digests[1]))]
    _, fetched = inputs.take_fetched()
    received = {kind: (size_bytes, count) for kind, size_bytes, count in fetched}
    assert received["market"] == (len(MARKETS[0]), 1)
    assert received["book"] == (len(BOOK), 1)
    assert (received["market delta"][0] < 100, received["market delta"][1]) == (True, 2)


def test_the_plan_of_the_next_tick_comes_as_a_delta_against_the_last() -> None:
    plans = [msgspec.structs.replace(a_plan(), cell_count=cell_count).encode() for cell_count in (1_000, 1_001)]
    fetches = Fetches(*plans)
    inputs = inputs_with(fetches)
    for cell_count, plan in zip((1_000, 1_001), plans, strict=True):
        assert inputs.plan(bytes.fromhex(digest_of(plan)), lambda: False).cell_count == cell_count
    assert fetches.asked == [(digest_of(plans[0]), ()), (digest_of(plans[1]), (digest_of(plans[0]),))]
    received = {kind: size_bytes for kind, size_bytes, _ in inputs.take_fetched()[1]}
    assert received["plan"] == len(plans[0])
    assert received["plan delta"] < 30


def test_a_delta_that_makes_another_content_is_followed_by_the_blob() -> None:
    fetches = Fetches(*MARKETS, is_wrong=True)
    inputs = inputs_with(fetches)
    for market in MARKETS[:2]:
        assert data_of(inputs, market).blob(digest_of(market)) == market
    assert [digest for digest, _ in fetches.asked] == [digest_of(MARKETS[0])] + [digest_of(MARKETS[1])] * 2


def test_each_thread_takes_its_own() -> None:
    meter = FetchMeter()
    meter.received("market", 10)
    meter.received("market", 5)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(meter.take).result() == (0, ())
    assert meter.take()[1] == (("market", 15, 2),)
    assert meter.take() == (0, ())
