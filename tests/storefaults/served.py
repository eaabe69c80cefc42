"""A whole scheduler as a process, whose store's thread waits for strace before its first call.

strace counts calls per thread, and a scheduler has many: of "the n-th write" only the store's thread can be asked,
which makes all commits. It says its number when it begins and goes on when told so. Forked from the server of `writer`,
so that a start takes a tenth of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.storefaults.forked import ForkedProcess, Passed
from tests.storefaults.tracing import FORKING
from xip_scheduler import daemon
from xip_scheduler.logs import configure_logs
from xip_scheduler.settings import Settings
from xip_scheduler.store.protocol import Batch, Store
from xip_scheduler.store.sqlite import SqliteStore
from xip_scheduler.store.thread import StoreThread

LIMIT_S = 30.0
"""For whatever a process is waited for."""

FLAWS = ("early acknowledgement", "half a message", "waiting loop")
"""Planted: the first must be caught by kill -9 and by a slow sync, the second by kill -9 within a message's commit, the
third, whose loop waits for the disk, by a slow sync."""


class ServedScheduler:
    """A scheduler process; a context manager that ends it.

    Args:
        is_held: its store waits for `trace`.
        checkpoint_pages: the store's WAL goes into its file at so many; few, so that a short story has checkpoints.
    """

    def __init__(self, settings: Settings, is_held: bool = False, flaw: str = "", checkpoint_pages: int = 60) -> None:
        self._said, said = os.pipe()
        told, self._tell = os.pipe()
        self._lines: list[str] = []
        self._tracer: subprocess.Popen[str] | None = None
        with os.fdopen(said, "wb") as said_file, os.fdopen(told, "rb") as told_file:
            pipes = (Passed(said_file.fileno()), Passed(told_file.fileno()))
            with FORKING:
                self._process = ForkedProcess(_main, settings, is_held, flaw, checkpoint_pages, *pipes)

    def __enter__(self) -> ServedScheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.exit_code()
        self.untrace()
        for descriptor in (self._said, self._tell):
            os.close(descriptor)

    def port(self) -> int:
        """Its port, when it serves."""
        return self._number("port")

    def release(self) -> None:
        """Let the store's thread go untraced; `trace` may come later, when it waits for work."""
        self._number("thread")
        os.write(self._tell, b"go")

    def trace(self, *expressions: str, log: Path = Path("/dev/null"), with_times: bool = False) -> None:
        """Attach strace to the store's thread as soon as that wants to make its first call, and let it go."""
        arguments = ["strace", "-p", str(self._number("thread")), "-o", str(log)]
        if with_times:
            arguments += ["-ttt", "-T"]
        for expression in expressions:
            arguments += ["-e", expression]
        with FORKING:
            self._tracer = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        assert self._tracer.stderr is not None
        line = self._tracer.stderr.readline()
        assert "attached" in line, line
        os.write(self._tell, b"go")

    def untrace(self) -> None:
        """End strace; its log is then whole."""
        if self._tracer is not None:
            self._tracer.terminate()
            self._tracer.communicate()
            self._tracer = None

    def stop(self) -> None:
        """SIGTERM; does not wait."""
        self._process.terminate()

    def exit_code(self) -> int:
        """Of a process that ends by itself, negative for a signal."""
        code = self._process.exit_code(LIMIT_S)
        assert code is not None, f"the scheduler must end within {LIMIT_S:g} s"
        return code

    def _number(self, what: str) -> int:
        """What it says as "what NUMBER"."""
        while True:
            for line in self._lines:
                word, number = line.split()
                if word == what:
                    return int(number)
            ready, _, _ = select.select([self._said], [], [], LIMIT_S)
            said = os.read(self._said, 4096) if ready else b""
            assert said, f"the scheduler must say its {what}, said {self._lines}"
            self._lines += said.decode().splitlines()


def _main(settings: Settings, is_held: bool, flaw: str, pages: int, said: int, told: int) -> None:
    configure_logs(settings.log_level)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, is_held, flaw, pages, said, told))
    os._exit(0)


async def _serve(settings: Settings, is_held: bool, flaw: str, pages: int, said: int, told: int) -> None:
    def wait_for_tracer() -> None:
        if is_held:
            os.write(said, b"thread %d\n" % threading.get_native_id())
            os.read(told, 2)

    class TracedThread(StoreThread):
        def __init__(self, store: Store) -> None:
            super().__init__(store)
            assert isinstance(store, SqliteStore)
            store._driver.execute(f"PRAGMA wal_autocheckpoint = {pages}")
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="store", initializer=wait_for_tracer)

        async def commit(self, batch: Batch) -> None:
            if flaw == "half a message" and len(batch.records) > 1:
                half = len(batch.records) // 2
                await super().commit(Batch(at_s=batch.at_s, records=batch.records[:half]))
                batch.records = batch.records[half:]
            committing = asyncio.ensure_future(super().commit(batch))
            if flaw == "waiting loop":
                asyncio.get_running_loop().call_soon(lambda: self._executor.submit(os.getpid).result())
            if flaw != "early acknowledgement":
                await committing

    daemon.StoreThread = TracedThread  # type: ignore[misc]  # the seam: the store's thread, and nothing else of it
    scheduler = daemon.Scheduler(settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, scheduler.stop)
    os.write(said, b"port %d\n" % scheduler.port)
    await scheduler.serve()
