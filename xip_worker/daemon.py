"""The shell around the core: one event loop, the slots' threads, one stream.

    stream ──event──> core ──action──> stream, slots          (event loop, this thread)
    slots  ──reports, one wake-up for many──> core            (call_soon_threadsafe)
    clock  ──Ticked at next_deadline_s──> core

Everything the core sees happens on the event loop, in one order; slots only ever touch the inbox of leases, the caches
and the deque of reports.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import Any

from xip_worker.connection import Connection
from xip_worker.core import WorkerCore
from xip_worker.events import (
    Action,
    DrainRequested,
    EvaluateLeases,
    Event,
    Lease,
    LeasesReceived,
    Leave,
    RevokeRunning,
    SendDrain,
    SendHeartbeat,
    SendHello,
    SendResults,
    SlotFreed,
    SlotIndex,
    Ticked,
    TrimRunning,
    Welcomed,
    WorkReported,
)
from xip_worker.executor import Evaluator, Executor
from xip_worker.fetch import Fetcher
from xip_worker.inputs import WorkerInputs
from xip_worker.messages import Identity, drain_message, heartbeat_message, results_message
from xip_worker.report_pace import ReportPace
from xip_worker.settings import Settings
from xip_worker.watchdogs import SlotWatch

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Daemon:
    """One worker. Make it on a running event loop; `run` returns when the worker has left.

    Attributes:
        is_to_start_anew: it has left to get rid of slots that are stuck, and wants its process replaced.
    """

    def __init__(self, settings: Settings, identity: Identity, evaluator: Evaluator, log: Any) -> None:
        self._settings = settings
        self._identity = identity
        self._evaluator = evaluator
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._core = WorkerCore(settings.slot_count)
        fetcher = Fetcher(self._loop)
        caches_bytes = settings.blob_cache_bytes, settings.output_cache_bytes
        self._inputs = WorkerInputs(fetcher, evaluator.evaluate_tile, *caches_bytes)
        self._connection = Connection(settings.schedulers, self._handle, fetcher, log)
        self._executor = Executor(
            settings.slot_count, self._inputs, evaluator, self._wake, self._log_failure, settings.isolation
        )
        self._slot_watch = SlotWatch(self._loop, self._stuck, settings.slot_patience_s)
        self._timer: asyncio.TimerHandle | None = None
        self._is_warm = False
        self.is_to_start_anew = False
        self._report_pace = ReportPace()
        self._reports_taken_s = 0.0
        self._broken: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        connection = asyncio.ensure_future(self._connection.run())
        try:
            await asyncio.wait((connection, self._broken), return_when=asyncio.FIRST_COMPLETED)
            (self._broken if self._broken.done() else connection).result()
        finally:
            connection.cancel()
            self._slot_watch.close()
            self._executor.close(timeout_s=0.0)
            if self._timer is not None:
                self._timer.cancel()

    def drain(self, reason: str) -> None:
        """Finish what runs within the grace, hand back the rest, leave."""
        self.is_to_start_anew = False
        self._handle(DrainRequested(reason, self._settings.drain_grace_s))

    def _stuck(self, slots: tuple[SlotIndex, ...]) -> None:
        """Only a new process is rid of a thread that does not come back."""
        if self._core.is_draining:
            return
        sentence = f"slots {', '.join(map(str, slots))} have not come free: their kernels do not end"
        patience_s = self._settings.slot_patience_s
        self._log.error("slots are stuck, the worker starts anew", slots=slots, patience_s=patience_s)
        self.is_to_start_anew = True
        self._handle(DrainRequested(sentence, self._settings.drain_grace_s, slots))

    def _handle(self, event: Event) -> None:
        """An error in here is a bug: `run` raises it, whoever the caller is (gRPC would swallow it)."""
        if self._broken.done():
            return
        if isinstance(event, DrainRequested):
            self._log.info("draining", reason=event.reason, grace_s=event.grace_s)
        try:
            if isinstance(event, LeasesReceived):
                self._inputs.expect(event.leases)
            for action in self._core.handle(event, self._loop.time()):
                self._carry_out(action)
            self._arm_timer()
        except Exception as error:
            self._broken.set_exception(error)
            return
        if isinstance(event, Welcomed) and not self._is_warm:
            self._is_warm = True
            threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def _carry_out(self, action: Action) -> None:
        match action:
            case EvaluateLeases():
                self._executor.evaluate(action.slot, action.leases)
            case SendResults():
                self._connection.send(results_message(action), is_results=True)
            case RevokeRunning():
                self._executor.revoke(action.slot, action.epochs)
                self._slot_watch.revoked(action.slot)
            case TrimRunning():
                self._executor.trim(action.slot, action.bounds)
            case SendHeartbeat():
                self._connection.send(heartbeat_message(action, resident_bytes(), self._executor.stalled_s()))
            case SendHello():
                self._connection.send(self._identity.hello(action))
            case SendDrain():
                self._connection.send(drain_message(action.reason))
            case Leave():
                self._log.info("leaving", results_lost=action.results_lost)
                self._connection.close()

    def _arm_timer(self) -> None:
        """A timer that fires early does no harm, so only an earlier deadline, or none armed, needs a new one."""
        deadline_s = self._core.next_deadline_s()
        if deadline_s is None or (self._timer is not None and self._timer.when() <= deadline_s):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._handle(Ticked())

    def _wake(self, is_slot_free: bool) -> None:
        """From a slot's thread, which may outlive the loop when a worker leaves with a tile under way."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take_reports if is_slot_free else self._take_reports_soon)

    def _take_reports_soon(self) -> None:
        self._loop.call_at(self._reports_taken_s + self._report_pace.interval_s, self._take_reports)

    def _take_reports(self) -> None:
        self._reports_taken_s = self._loop.time()
        try:
            reports = self._executor.take_reports()
        except BaseException as error:
            if not self._broken.done():
                self._broken.set_exception(RuntimeError(f"a slot ended by {error!r}"))
            return
        if reports:
            freed = [report.slot for report in reports if isinstance(report, SlotFreed)]
            self._report_pace.found_reports(is_slot_free=bool(freed))
            for slot in freed:
                self._slot_watch.freed(slot)
            self._handle(WorkReported(reports))

    def _log_failure(self, lease: Lease, tile: int, error: Exception) -> None:
        self._log.warning(
            "tile failed", run=lease.run_id, epoch=lease.epoch, node=lease.node_id, tile=tile, exc_info=error
        )

    def _warm_up(self) -> None:
        begun_s = time.perf_counter()
        try:
            self._evaluator.warm_up()
        except Exception as error:  # the first lease will raise the same, with a place to report it
            self._log.error("pricing cannot be imported", exc_info=error)
        else:
            self._log.debug("warm", elapsed_s=round(time.perf_counter() - begun_s, 3))


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * PAGE_BYTES
