"""Where a scenario takes place: daemons of its own, a data directory, and a book of what was acknowledged.

When a scenario ends, everything it started is killed and the store is read by `store_reader`: whatever was injected,
nothing acknowledged may be missing and nothing may be there twice. Numbers are compared with those of the undisturbed
run, byte for byte.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import psycopg

from tests.chaos.store_reader import StoreFigures, check_database, check_store
from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S, assert_same_bytes, numbers_of
from xip_core import samples
from xip_core.client import connect_sync
from xip_core.client.results import RunNumbers
from xip_core.client.sync import SyncClient
from xip_core.model.result import Run, RunState
from xip_core.model.run_spec import ProbeWork, RunSpec

Entered = TypeVar("Entered")
Extent = Literal["brief", "once", "nightly"]

BRISK = ("--lease-duration=1.5", "--heartbeat-interval=0.5")
"""Leases that expire ten times sooner than the default ones."""


class Arena:
    """
    One scenario's world; a context manager.

    Args:
        undisturbed: the numbers of the sample without any fault.
        extent: "brief" for the share that every test run plays, "once", or "nightly": repeated for longer.

    Attributes:
        draw: what a scenario draws from; the seed is told with a failure.
        database: opens a session of the PostgreSQL store; None for a file in `data_dir`.
    """

    def __init__(self, directory: Path, undisturbed: RunNumbers, seed: int = 0, extent: Extent = "once") -> None:
        self.data_dir = directory / "data"
        self.directory = directory
        self.undisturbed = undisturbed
        self.is_nightly = extent == "nightly"
        self.is_brief = extent == "brief"
        self.draw = random.Random(seed)
        self.address = ""
        self.database: Callable[[], psycopg.Connection[Any]] | None = None
        self.acknowledged: dict[str, str] = {}
        self._stack = contextlib.ExitStack()
        self._until_read = contextlib.ExitStack()
        self._serial = 0

    def __enter__(self) -> Arena:
        directory = self.directory
        directory.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._until_read.close()

    # ---- daemons

    def keep(self, daemon: Daemon) -> Daemon:
        self._stack.callback(daemon.stop)
        return daemon

    def callback(self, end: Callable[[], object]) -> None:
        """Call *end* when the scenario is over."""
        self._stack.callback(end)

    def keep_until_read(self, manager: contextlib.AbstractContextManager[Entered]) -> Entered:
        """Enter *manager*, which lives until the store has been read: a database server."""
        return self._until_read.enter_context(manager)

    def enter(self, manager: contextlib.AbstractContextManager[Entered]) -> Entered:
        return self._stack.enter_context(manager)

    def scheduler(self, *options: str, host: str = "127.0.0.1", limit_s: float = 60.0) -> Daemon:
        """A scheduler that serves; the second one of a scenario takes the place and the port of the first."""
        port = self.address.rpartition(":")[2] or "0"
        daemon = self.keep(
            Daemon(["xip_scheduler", f"--listen={host}:{port}", f"--data-dir={self.data_dir}", *options])
        )
        port = str(daemon.wait_for_log("serving", limit_s)["address"]).rpartition(":")[2]
        self.address = f"127.0.0.1:{port}"
        return daemon

    def worker(self, slot_count: int = 1, address: str = "", *options: str) -> Daemon:
        """A worker that is attached."""
        daemon = self.start_worker(slot_count, address, *options)
        daemon.wait_for_log("attached")
        return daemon

    def start_worker(self, slot_count: int = 1, address: str = "", *options: str) -> Daemon:
        arguments = [f"--scheduler={address or self.address}", f"--slots={slot_count}", *options]
        return self.keep(Daemon(["xip_worker", *arguments]))

    def observed_worker(self, slot_count: int = 1, failpoint: str = "", address: str = "") -> Daemon:
        """A worker that notes each evaluation in `notes` and may die at a failpoint (see `observed_worker`)."""
        arguments = [f"--scheduler={address or self.address}", f"--slots={slot_count}"]
        environment = {"XIP_CHAOS_NOTES": str(self.notes_path), "XIP_CHAOS_FAILPOINT": failpoint}
        return self.keep(Daemon(["tests.chaos.observed_worker", *arguments], environment))

    # ---- evaluations noted by observed workers

    @property
    def notes_path(self) -> Path:
        return self.directory / "evaluations"

    def evaluations(self) -> Counter[tuple[str, int, int]]:
        """How often each (run, node, tile) was evaluated to its end."""
        counted: Counter[tuple[str, int, int]] = Counter()
        for line in self.notes_path.read_text().splitlines() if self.notes_path.exists() else ():
            run_id, node_id, begin, end = line.split()
            counted.update((run_id, int(node_id), tile) for tile in range(int(begin), int(end)))
        return counted

    # ---- runs

    @contextlib.contextmanager
    def client(self, address: str = "") -> Iterator[SyncClient]:
        with connect_sync(address or self.address) as client:
            yield client

    def submit(self, client: SyncClient) -> Run:
        """The sample, under a request id of its own."""
        self._serial += 1
        sample = samples.load("cross-asset")
        request_id = f"sample-{self._serial}"
        run = client.submit(sample.book, sample.market, sample.scenarios, request_id=request_id, is_reusing=False)
        self.acknowledged[request_id] = run.run_id
        return run

    def submit_probe(
        self, client: SyncClient, tile_count: int, tile_duration_s: float = 0.0, tiles_per_lease: int = 0,
        tenant: str = "chaos",
    ) -> Run:  # fmt: skip
        self._serial += 1
        request_id = f"probe-{self._serial}"
        kernel = "probe.spin" if tile_duration_s else "probe.noop"
        work = ProbeWork(
            kernel=kernel, tile_count=tile_count, tile_duration_s=tile_duration_s, tiles_per_lease=tiles_per_lease
        )
        run = client.submit_spec(RunSpec(work=work, name=request_id, tenant=tenant), request_id)
        self.acknowledged[request_id] = run.run_id
        return run

    def complete(self, client: SyncClient, *runs: Run, limit_s: float = RUN_LIMIT_S) -> None:
        """Wait for *runs*, each of which must have every number; the sample's must be the undisturbed ones."""
        for run in runs:
            final = client.wait(run.run_id, timeout_s=limit_s)
            reasons = {cells.message for cells in client.quarantine(run.run_id)}
            assert final.state is RunState.COMPLETED, f"run {final.name!r} is {final.state.name}: {sorted(reasons)[:3]}"
            if run.book_digest:
                assert_same_bytes(client.results(run.run_id).to_numpy(), self.undisturbed)

    # ---- the end

    def read_store(self) -> StoreFigures:
        """Kill everything and read what is in the store."""
        self._stack.close()
        if self.database is not None:
            with self.database() as connection:
                return check_database(connection, self.directory, self.acknowledged)
        return check_store(self.data_dir, self.acknowledged)


def undisturbed_numbers(directory: Path) -> RunNumbers:
    """The sample on one worker with one slot, with nothing injected."""
    with contextlib.ExitStack() as stack:
        scheduler = Daemon(["xip_scheduler", "--listen=127.0.0.1:0", f"--data-dir={directory}"])
        stack.callback(scheduler.stop)
        address = str(scheduler.wait_for_log("serving")["address"])
        worker = Daemon(["xip_worker", f"--scheduler={address}", "--slots=1"])
        stack.callback(worker.stop)
        with connect_sync(address) as client:
            sample = samples.load("cross-asset")
            run = client.submit(*sample, request_id="undisturbed", is_reusing=False)
        return numbers_of(address, run.run_id)
