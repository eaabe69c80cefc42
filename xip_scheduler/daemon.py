"""The scheduler put together: store, core, driver and services, from start to end.

    start    lock and check the store, raise the term, restore the core, bind the port, serve
             PostgreSQL: check it, bind the port, refuse calls until this one leads (`standby`), then restore and serve
    run      driver and gRPC in one event loop; the store, the planner and file reading in threads
    end      SIGTERM: refuse new calls, close the streams, finish the batch, close the store, exit 0
             failed commit, or another leads: nothing more is said to anybody, exit 1; the next start goes on from
             the store, or stands by

`kill -9` at any moment is the same as a failed commit: what was acknowledged is in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc.aio
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from xip_core.errors import StoreError
from xip_core.wire.v1 import blob_pb2_grpc, run_pb2_grpc, worker_pb2, worker_pb2_grpc
from xip_scheduler.clock import PatientClock
from xip_scheduler.core.limits import Limits
from xip_scheduler.core.words import RunState
from xip_scheduler.driver import Driver
from xip_scheduler.journal import Journal, Orders
from xip_scheduler.logs import logger
from xip_scheduler.restore import restore_core
from xip_scheduler.retention import Retention, RetentionRules
from xip_scheduler.rpc.admission import Admission
from xip_scheduler.rpc.blob_service import BlobService
from xip_scheduler.rpc.callers import CallerInterceptor
from xip_scheduler.rpc.changes import RunChanges
from xip_scheduler.rpc.gate import Gate
from xip_scheduler.rpc.kernel_signatures import KernelSignatures
from xip_scheduler.rpc.run_service import CoreQueries, RunService
from xip_scheduler.rpc.server import bind, create_server
from xip_scheduler.rpc.worker_service import WorkerService
from xip_scheduler.settings import Settings
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Store
from xip_scheduler.store.sqlite import SqliteStore
from xip_scheduler.store.thread import StoreThread

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from xip_scheduler.shared_store import SharedStore

CLOSE_GRACE_S = 0.1
"""Calls under way may end by themselves for so long; streams never do."""


class Scheduler:
    """
    One scheduler process; must be made inside a running event loop.

    Raises:
        StoreError: the data directory or the database cannot be used.
        UnavailableError: the port is taken.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = logger("daemon")
        self._metrics_server: WSGIServer | None = None
        self._stopping = asyncio.Event()
        self._failure: StoreError | None = None
        self._leading: SharedStore | None = None
        self._gate = Gate(lambda: self._leading.leadership.doubt() if self._leading else "")
        self._health = HealthServicer()
        self._server = create_server(CallerInterceptor(settings.peer_calls_max, settings.peer_workers_max))
        self._server.add_generic_rpc_handlers((self._gate,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        with contextlib.ExitStack() as undo:
            if settings.store:
                from xip_scheduler.shared_store import SharedStore  # PostgreSQL's driver is an extra, and takes 0.1 s

                self._leading = SharedStore(settings)
                undo.callback(self._leading.close)
            else:
                directory = Path(settings.data_dir)
                store = SqliteStore(directory, settings.restored)
                undo.callback(store.close)
                self._build(store, FileBlobs(directory / "blobs"))
            self.port = bind(self._server, settings.listen)
            if self._leading is not None:
                self._leading.lead_as(settings.host, self.port)
            undo.pop_all()

    def _build(self, store: Store, blobs: FileBlobs) -> None:
        """Everything that rests on the store, restored from it, behind the gate."""
        settings = self._settings
        self._store = StoreThread(store)
        clock = PatientClock()
        self._journal = Journal()
        self._changes = RunChanges()
        limits = Limits(
            lease_duration_s=settings.lease_duration_s,
            stalled_after_s=settings.stalled_after_s,
            gathering_s=settings.gathering_s,
            tenant_weights=settings.tenant_weights,
        )
        self.core = restore_core(store, blobs, self._journal, limits, clock.now_s(), time.time())
        self.driver = Driver(self.core, self._store, self._journal, self._send, clock.now_s)
        core = self.core
        self._journal.view, self._journal.account = core.run, core.account
        queries = CoreQueries(
            core.run, core.account, core.live_run_count, core.live_run_count_of, core.worker_count, core.slot_count
        )
        signatures = KernelSignatures()
        self._admission = Admission(self.driver, settings.live_runs_max, settings.tenant_live_runs_max)
        self._runs = RunService(self.driver, queries, self._store, blobs, self._changes, self._admission, signatures)
        rules = RetentionRules(
            age_limit_s=settings.run_age_limit_days * 86_400.0,
            size_limit_bytes=settings.store_size_limit_bytes,
            runs_kept_min=settings.final_runs_kept_min,
        )
        self._retention = Retention(self._store, blobs, rules, held=self._runs.held)
        self._workers = WorkerService(
            self.driver,
            core.workers,
            core.breakers,
            worker_pb2.Welcome(
                term=store.term,
                heartbeat_interval_s=settings.heartbeat_interval_s,
                lease_duration_s=settings.lease_duration_s,
            ),
            signatures,
        )
        gate = cast("grpc.aio.Server", self._gate)
        run_pb2_grpc.add_RunServiceServicer_to_server(self._runs, gate)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self._workers, gate)
        blob_service = BlobService(blobs, self._store, settings.upload_size_limit_bytes)
        blob_pb2_grpc.add_BlobServiceServicer_to_server(blob_service, gate)

    async def _lead(self, leading: SharedStore) -> bool:
        """Refuse calls until this one leads; False when it was stopped before."""
        address = f"{self._settings.host}:{self.port}"
        await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        self._log.info("waiting to lead", address=address, pid=os.getpid())
        term = await leading.leadership.until_leading(self._stopping)
        if term is None:
            await self._server.stop(CLOSE_GRACE_S)
            leading.close()
            self._log.info("stopped")
            return False
        loop = asyncio.get_running_loop()

        def replaced(reason: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it what could be demoted
                loop.call_soon_threadsafe(self._demote, reason)

        leading.leadership.keep(replaced)
        try:
            self._build(leading.open(term), leading.blobs)
        except BaseException:
            leading.close()
            raise
        return True

    def _demote(self, reason: str) -> None:
        """Another leads: what this one says is void from now on."""
        self._log.critical("replaced", reason=reason)
        self._failure = StoreError(reason)
        self._stopping.set()

    async def _tidy_up(self) -> None:
        """Retention; its failed commit ends the process like any other."""
        try:
            await self._retention.run()
        except StoreError as error:
            self._log.critical("retention failed", exc_info=error)
            self._failure = error
            self._stopping.set()

    def _send(self, orders: Orders) -> None:
        """Carry out what rests on a committed batch."""
        self._workers.send(
            orders.grants, orders.revokes, orders.trims, self._journal.plan_digests, self._journal.heirs
        )
        for ordered in orders.drains:
            self._log.warning(
                "worker is drained", worker_id=ordered.worker_id, reason=ordered.reason, evidence=ordered.evidence
            )
            self._workers.drain(ordered)
        for judged in orders.judged:
            self._log.warning(
                "kernel judged", kernel=judged.kernel, version=judged.version, state=judged.state, reason=judged.reason
            )
        finished = orders.batch.finished
        for run in finished:
            state = RunState(run.state).name.lower()
            self._log.info("run finished", run_id=run.run_id, state=state, message=run.message)
        self._changes.wake(orders.changed, [run.run_id for run in finished])

    async def serve(self) -> None:
        """
        Serve until `stop`.

        Raises:
            StoreError: a commit failed, or another scheduler leads.
        """
        settings = self._settings
        if self._leading is not None and not await self._lead(self._leading):
            return
        if settings.metrics_port:
            from xip_scheduler.metrics import serve_metrics  # 0.1 s, only for those who want it

            self._metrics_server = serve_metrics(
                settings.host, settings.metrics_port, self.core, self.driver, self._admission
            )
        driving = asyncio.create_task(self.driver.run())
        if self._leading is None:
            await self._server.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        if settings.port_file:
            try:
                _write_whole(Path(settings.port_file), f"{self.port}\n")
            except OSError as error:  # whoever waits for the file would wait for ever
                self._log.critical("port file cannot be written", path=settings.port_file, error=error.strerror)
                self._failure = StoreError(f"port file {settings.port_file} must be writable: {error.strerror}")
                self.stop()
        self._log.info(
            "serving",
            address=f"{settings.host}:{self.port}",
            pid=os.getpid(),
            term=self.core.term,
            live_runs=self.core.live_run_count(),
            settings=msgspec.to_builtins(settings),
        )
        helping = [
            asyncio.create_task(self._runs.warm_up()),
            asyncio.create_task(self._stop_when_told()),
            asyncio.create_task(self._tidy_up()),
        ]
        try:
            await driving
        except Exception:
            await self._server.stop(None)  # at once: nobody may hear what the store does not know
            raise
        finally:
            for task in helping:
                task.cancel()
            if self._metrics_server is not None:
                self._metrics_server.shutdown()
                self._metrics_server.server_close()
            self._runs.close()
            if self._leading is not None:
                self._leading.leadership.stop()
            await self._store.close()
            if self._leading is not None:
                self._leading.close()
            self._log.info("stopped")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Make `serve` finish its batch, close everything and return."""
        self._log.info("stopping")
        self._stopping.set()

    async def _stop_when_told(self) -> None:
        """New calls are refused first, then those under way end, then the driver: what it is at becomes durable."""
        await self._stopping.wait()
        await self._health.enter_graceful_shutdown()
        self._workers.is_closing = True
        await self._server.stop(CLOSE_GRACE_S if self._failure is None else None)
        self.driver.stop()


async def run_scheduler(settings: Settings) -> None:
    """Start, serve until SIGTERM or SIGINT, end. Raises what `Scheduler` and `Scheduler.serve` raise."""
    scheduler = Scheduler(settings)
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(kind, scheduler.stop)
    await scheduler.serve()


def _write_whole(path: Path, text: str) -> None:
    """So that whoever waits for the file never reads half of it."""
    incoming = path.with_name(path.name + ".incoming")
    incoming.write_text(text)
    incoming.rename(path)
