"""xip_scheduler.driver: decide, persist, act; with a scripted core and a store that can be held or broken"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.patience import PATIENCE_S
from xip_core.errors import StoreError
from xip_scheduler import driver as driver_module
from xip_scheduler.core.actions import Action, GrantLease, RecordTiles, ReserveEpochs
from xip_scheduler.core.events import Event, HeartbeatReceived, LeasesSent, Tick
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, WorkerId
from xip_scheduler.driver import Delivery, Driver
from xip_scheduler.journal import Journal, Orders
from xip_scheduler.store.protocol import Batch


class ScriptedCore:
    """Answers events as told and remembers with which time it was asked."""

    def __init__(self, progress: asyncio.Event) -> None:
        self._progress = progress
        self.handled: list[tuple[Event, float]] = []
        self.answer: Callable[[Event], list[Action]] = lambda event: []
        self.deadline_s: float | None = None

    def handle(self, event: Event, now_s: float) -> list[Action]:
        self.handled.append((event, now_s))
        self._progress.set()
        if isinstance(event, Tick):
            self.deadline_s = None
        return self.answer(event)

    def next_deadline_s(self) -> float | None:
        return self.deadline_s


class HeldStore:
    """Commits when let go; fails when broken."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.is_broken = False

    async def commit(self, batch: Batch) -> None:
        self.entered.set()
        await self.go.wait()
        if self.is_broken:
            raise StoreError("disk full")
        self.batches.append(batch)


class Bench:
    """A driver with everything around it scripted."""

    def __init__(self) -> None:
        self._progress = asyncio.Event()
        self.core = ScriptedCore(self._progress)
        self.store = HeldStore()
        self.sent: list[Orders] = []
        self.now_s = 100.0
        self.driver = Driver(self.core, self.store, Journal(), self._send, lambda: self.now_s, lambda: 0.0)
        self.task = asyncio.create_task(self.driver.run())

    def _send(self, orders: Orders) -> None:
        self.sent.append(orders)
        self._progress.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds, looked at after everything the driver does."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._progress.clear()
                await self._progress.wait()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.store.go.set()
    bench.driver.stop()
    await asyncio.wait([bench.task], timeout=PATIENCE_S)
    assert bench.task.done()


def heartbeat(number: int = 1) -> HeartbeatReceived:
    return HeartbeatReceived(WorkerId(f"w{number}"))


GRANT = GrantLease(WorkerId("w"), ConnectionId(1), Epoch(1), RunId("r"), 0, 0, 1)
RECORD = RecordTiles(RunId("r"), 0, 0, 1, Epoch(1), WorkerId("w"), 1, 0, None)


async def test_nothing_is_sent_or_acknowledged_before_the_commit(bench: Bench) -> None:
    bench.core.answer = lambda event: [RECORD, GRANT]
    bench.store.go.clear()
    acknowledged: list[str] = []
    await bench.driver.put(Delivery([heartbeat()], 100.0, lambda: acknowledged.append("ack")))
    await bench.store.entered.wait()
    assert (bench.sent, acknowledged) == ([], [])
    bench.store.go.set()
    await bench.until(lambda: bool(acknowledged))
    assert [orders.grants for orders in bench.sent] == [[GRANT]]
    assert [len(batch.records) for batch in bench.store.batches] == [1]


async def test_what_arrives_during_a_commit_goes_into_the_next_one_together(bench: Bench) -> None:
    bench.core.answer = lambda event: [RECORD]
    bench.store.go.clear()
    await bench.driver.put(Delivery([heartbeat()], 100.0))
    await bench.store.entered.wait()
    for number in range(5):
        await bench.driver.put(Delivery([heartbeat(number)], 100.0))
    bench.store.go.set()
    await bench.until(lambda: len(bench.store.batches) == 2)
    assert [len(batch.records) for batch in bench.store.batches] == [1, 5]


async def test_a_batch_without_anything_to_persist_is_not_committed(bench: Bench) -> None:
    bench.core.answer = lambda event: [GRANT]
    await bench.driver.put(Delivery([heartbeat()], 100.0))
    await bench.until(lambda: bool(bench.sent))
    assert bench.store.batches == []


async def test_a_failed_commit_ends_the_driver_and_sends_nothing(bench: Bench) -> None:
    bench.core.answer = lambda event: [ReserveEpochs(Epoch(9)), GRANT]
    bench.store.is_broken = True
    acknowledged: list[str] = []
    await bench.driver.put(Delivery([heartbeat()], 100.0, lambda: acknowledged.append("ack")))
    with pytest.raises(StoreError, match="disk full"):
        await bench.task
    assert (bench.sent, acknowledged) == ([], [])


async def test_events_are_handled_with_the_time_they_were_received(bench: Bench) -> None:
    bench.now_s = 500.0
    await bench.driver.put(Delivery([heartbeat(1)], 101.0))
    await bench.driver.put(Delivery([heartbeat(2)], 102.0))
    await bench.until(lambda: len(bench.core.handled) == 2)
    assert [now_s for _, now_s in bench.core.handled] == [101.0, 102.0]


async def test_a_tick_comes_at_the_deadline_and_after_what_was_received_before(bench: Bench) -> None:
    bench.core.deadline_s = 103.0
    bench.now_s = 104.0
    await bench.driver.put(Delivery([heartbeat()], 102.0))
    await bench.until(lambda: len(bench.core.handled) == 2)
    assert bench.core.handled == [(heartbeat(), 102.0), (Tick(), 104.0)]


async def test_leases_that_waited_for_a_slow_commit_count_from_when_they_were_sent(bench: Bench) -> None:
    """A heartbeat cannot have named them: without this a sync longer than a lease would end them all."""
    bench.core.answer = lambda event: [RECORD, GRANT] if isinstance(event, HeartbeatReceived) else []
    bench.store.go.clear()
    await bench.driver.put(Delivery([heartbeat(1)], 100.0))
    await bench.store.entered.wait()
    await bench.driver.put(Delivery([heartbeat(2)], 110.0))
    bench.now_s = 120.0
    bench.store.go.set()
    await bench.until(lambda: len(bench.core.handled) == 3)
    assert bench.core.handled == [
        (heartbeat(1), 100.0), (heartbeat(2), 110.0), (LeasesSent((Epoch(1),)), 120.0)
    ]  # fmt: skip


async def test_a_deadline_is_kept_without_any_event() -> None:
    bench = Bench()
    bench.core.deadline_s = 99.0
    await bench.until(lambda: bool(bench.core.handled))
    assert bench.core.handled == [(Tick(), 100.0)]
    bench.driver.stop()
    await bench.task


async def test_a_full_inbox_makes_senders_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "INBOX_EVENTS_MAX", 2)
    bench.core.answer = lambda event: [RECORD]
    bench.store.go.clear()
    await bench.driver.put(Delivery([heartbeat()], 100.0))
    await bench.store.entered.wait()
    await bench.driver.put(Delivery([heartbeat(), heartbeat()], 100.0))
    waiting = asyncio.create_task(bench.driver.put(Delivery([heartbeat()], 100.0)))
    done, _ = await asyncio.wait([waiting], timeout=0.02)
    assert not done
    bench.store.go.set()
    await asyncio.wait_for(waiting, PATIENCE_S)
    await bench.until(lambda: len(bench.core.handled) == 4)


async def test_a_query_waits_until_what_the_core_knows_is_durable(bench: Bench) -> None:
    bench.core.answer = lambda event: [RECORD]
    assert await bench.driver.query(lambda: len(bench.store.batches)) == 0
    bench.store.go.clear()
    await bench.driver.put(Delivery([heartbeat()], 100.0))
    await bench.store.entered.wait()
    answer = asyncio.create_task(bench.driver.query(lambda: len(bench.store.batches)))
    done, _ = await asyncio.wait([answer], timeout=0.02)
    assert not done
    bench.store.go.set()
    assert await asyncio.wait_for(answer, PATIENCE_S) == 1


async def test_submit_returns_when_the_event_is_durable(bench: Bench) -> None:
    bench.core.answer = lambda event: [RECORD]
    await asyncio.wait_for(bench.driver.submit(heartbeat()), PATIENCE_S)
    assert len(bench.store.batches) == 1
