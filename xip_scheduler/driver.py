"""The only loop: drain, handle, commit, send.

    inbox ──drain──> core.handle(event, time received) ──> journal.sort ──> store.commit ──> leases, acks, watchers

Obligations:

* Nothing is said to anybody that rests on what is not committed. While a commit runs, the core is ahead of the store;
  whoever wants to look at it (`query`) waits until both agree.
* If the commit fails, memory cannot be trusted any more: `run` raises, the process exits and restarts from the store.
  There is no rollback.
* An event is handled with the time it was received, and a lease counts from when it was sent, so a slow disk never
  expires a lease.
* While a commit runs, what arrives is collected and goes into the next one: the slower the disk, the larger the groups.

Bounds: the inbox holds `INBOX_EVENTS_MAX` events; above it the streams' readers wait, gRPC's flow control stops the
workers, and they evaluate on with what they have.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from xip_core.errors import StoreError
from xip_scheduler.clock import READ_INTERVAL_S
from xip_scheduler.core.actions import Action
from xip_scheduler.core.events import Event, LeasesSent, Tick
from xip_scheduler.journal import Journal, Orders
from xip_scheduler.logs import logger
from xip_scheduler.store.protocol import Batch

INBOX_EVENTS_MAX = 65_536
"""About 20 MB of events: two full batches more than any commit lets pile up."""

EVENTS_PER_BATCH_MAX = 8_192
"""Keeps a batch near 50 ms, so that a heartbeat or a new run never waits longer behind results."""

LATE_S = 0.1
"""Grants that waited so long for their commit are reported as sent: the shortest leases last some times as long."""


class Machine(Protocol):
    """The pure core as the driver sees it."""

    def handle(self, event: Event, now_s: float) -> list[Action]: ...

    def next_deadline_s(self) -> float | None: ...


class Committer(Protocol):
    async def commit(self, batch: Batch) -> None: ...


Send = Callable[[Orders], None]
"""Carries out the soft orders of a batch that is committed; must not block."""


class Delivery(msgspec.Struct, gc=False):
    """Events of one message, with the time it was received; `on_committed` is called when all of them are durable."""

    events: list[Event]
    received_s: float
    on_committed: Callable[[], None] | None = None


class Figures(msgspec.Struct):
    """Counted by the driver, read by metrics."""

    batches: int = 0
    events: int = 0
    commits: int = 0
    commit_s: float = 0.0
    commit_last_s: float = 0.0


class Driver:
    """
    Args:
        core: restored from the store.
        clock: seconds that never go back (`clock.PatientClock.now_s`); the core knows no other.
        wall_clock: seconds since the Unix epoch, for people.
    """

    def __init__(
        self,
        core: Machine,
        store: Committer,
        journal: Journal,
        send: Send,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._core = core
        self._store = store
        self._journal = journal
        self._send = send
        self._clock = clock
        self._wall_clock = wall_clock
        self._inbox: deque[Delivery] = deque()
        self._event_count = 0
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._queries: list[Callable[[], None]] = []
        self._handled_s = 0.0
        self._commit_begun_s: float | None = None
        self._is_stopping = False
        self.figures = Figures()

    @property
    def event_count(self) -> int:
        """Events waiting to be handled."""
        return self._event_count

    @property
    def commit_age_s(self) -> float:
        """For how long the commit that runs now has been running; 0 between commits."""
        return 0.0 if self._commit_begun_s is None else self._clock() - self._commit_begun_s

    def now_s(self) -> float:
        return self._clock()

    def introduce(self, worker_id: str, cpu_level: str, version: str) -> None:
        """What a worker that attaches says of itself, for the records of its tiles."""
        self._journal.introduce(worker_id, cpu_level, version)

    async def put(self, delivery: Delivery) -> None:
        """Hand over what was received; waits while the inbox is full."""
        while self._event_count >= INBOX_EVENTS_MAX:
            self._space.clear()
            await self._space.wait()
        self.put_at_once(delivery)

    def put_at_once(self, delivery: Delivery) -> None:
        """Like `put`, without waiting: for the end of a stream, of which there is one per connection."""
        self._inbox.append(delivery)
        self._event_count += len(delivery.events)
        self._wake.set()

    async def submit(self, event: Event) -> None:
        """Hand over one event and wait until what it caused is durable."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self.put(Delivery([event], self._clock(), lambda: _resolve(committed)))
        await committed

    async def query(self, read: Callable[[], Any]) -> Any:
        """The result of *read* at a moment when all that the core knows is durable."""
        if self._commit_begun_s is None:
            return read()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answer_now() -> None:
            if not answer.done():
                try:
                    answer.set_result(read())
                except Exception as error:
                    answer.set_exception(error)

        self._queries.append(answer_now)
        return await answer

    def stop(self) -> None:
        """Make `run` return after the batch it is at."""
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """
        Drive until `stop`.

        Raises:
            StoreError: a commit failed; the process must end.
        """
        while not self._is_stopping:
            await self._wait()
            deliveries = self._drain()
            actions = self._handle(deliveries)
            orders = self._journal.sort(actions, self._wall_clock())
            if not orders.batch.is_empty:
                await self._commit(orders.batch)
            self._send(orders)
            if orders.grants and not orders.batch.is_empty and self.figures.commit_last_s > LATE_S:
                late = LeasesSent(tuple(grant.epoch for grant in orders.grants))
                self.put_at_once(Delivery([late], self._clock()))
            for delivery in deliveries:
                if delivery.on_committed is not None:
                    delivery.on_committed()
            for answer in self._queries:
                answer()
            self._queries.clear()
            self.figures.batches += 1
            await asyncio.sleep(0)  # a batch without a commit must not keep readers and writers from running
        await self._say_last_words()

    async def _say_last_words(self) -> None:
        """For people alone: whoever leads now, or a disk that is full, may refuse them, and the end is in order."""
        batch = self._journal.last_words(self._wall_clock())
        if not batch.is_empty:
            with contextlib.suppress(StoreError):
                await self._store.commit(batch)

    async def _wait(self) -> None:
        """Until there is an event or a deadline has passed."""
        while not self._inbox and not self._is_stopping:
            self._wake.clear()
            deadline_s = self._core.next_deadline_s()
            if deadline_s is None:
                await self._wake.wait()
                continue
            delay_s = deadline_s - self._clock()
            if delay_s <= 0.0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(delay_s, READ_INTERVAL_S)):
                    await self._wake.wait()

    def _drain(self) -> list[Delivery]:
        deliveries: list[Delivery] = []
        count = 0
        while self._inbox and count < EVENTS_PER_BATCH_MAX:
            delivery = self._inbox.popleft()
            deliveries.append(delivery)
            count += len(delivery.events)
        self._event_count -= count
        self.figures.events += count
        if self._event_count < INBOX_EVENTS_MAX:
            self._space.set()
        return deliveries

    def _handle(self, deliveries: list[Delivery]) -> list[Action]:
        handle = self._core.handle
        actions: list[Action] = []
        for delivery in deliveries:
            received_s = self._handled_s = max(delivery.received_s, self._handled_s)
            for event in delivery.events:
                actions += handle(event, received_s)
        # Time may only pass up to what is still waiting: a heartbeat in the inbox was received before now.
        now_s = max(self._inbox[0].received_s if self._inbox else self._clock(), self._handled_s)
        deadline_s = self._core.next_deadline_s()
        if deadline_s is not None and deadline_s <= now_s:
            actions += handle(Tick(), now_s)
        return actions

    async def _commit(self, batch: Batch) -> None:
        begin_s = self._commit_begun_s = self._clock()
        try:
            await self._store.commit(batch)
        except Exception as error:
            logger("driver").critical("commit failed, memory is ahead of the store", exc_info=error)
            raise
        self._commit_begun_s = None
        self.figures.commits += 1
        self.figures.commit_last_s = self._clock() - begin_s
        self.figures.commit_s += self.figures.commit_last_s


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
