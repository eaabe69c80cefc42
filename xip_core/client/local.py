"""A scheduler and a worker of one's own: two child processes on loopback, for one run.

Start-up is what a person waits for, so this module imports next to nothing before it has spawned both daemons: they
import their parts while the caller imports grpc and reads its input. The port is chosen here, so that neither waits for
the other; should somebody take it in between, both are started again on another.

    scheduler   imports ── listens, writes its port file
    worker      imports ──────── attaches ────────────────── first lease
    caller      imports, reads its input ── uploads, submits

Nothing of theirs outlives the run: the data directory is temporary, so they are ended with SIGKILL and need no drain.
The kernel kills them when the caller dies (`xip_core.client.tied`), and a terminal's Ctrl-C reaches the caller alone,
which then ends them. A worker that dies is replaced, `WORKER_RESTARTS_MAX` times, until it is known which row kills it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from xip_core.errors import UnavailableError

START_DURATION_MAX_S = 20.0  # of the scheduler, on a machine that is busy with something else
LOOK_INTERVAL_S = 0.005
PORT_TRIES_MAX = 3
WORKER_RESTARTS_MAX = 8  # a poison row costs three workers; two of them, and some to spare
LOG_LINES_SHOWN = 3


class LocalCluster:
    """See the head of this module. Starts at construction; a context manager that ends both processes."""

    def __init__(self, slot_count: int | None = None) -> None:
        self._slot_count = slot_count or len(os.sched_getaffinity(0))
        self._worker_restarts = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._directory = Path(tempfile.mkdtemp(prefix="xip-"))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End both processes and remove their directory; may be called again."""
        self._kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def address(self) -> str:
        """
        "host:port" of the scheduler, as soon as it serves.

        Raises:
            UnavailableError: it ended, or did not serve in time; with the end of its log.
        """
        import asyncio

        deadline_s = time.monotonic() + START_DURATION_MAX_S
        tries = 1
        while not self._is_serving():
            if self._processes["scheduler"].poll() is not None:
                if tries == PORT_TRIES_MAX:
                    raise self._ended("scheduler")
                tries += 1
                self._kill()
                self._start()
            if time.monotonic() > deadline_s:
                raise self._failed(f"the local scheduler must serve within {START_DURATION_MAX_S} s", "scheduler")
            await asyncio.sleep(LOOK_INTERVAL_S)
        return self._address

    async def watch(self) -> None:
        """
        Replace workers that die. Ends only by an error, or cancelled; call it when `address` has returned.

        Raises:
            UnavailableError: the scheduler ended, or workers died too often; with the end of the log.
        """
        import asyncio

        scheduler = asyncio.create_task(_ended(self._processes["scheduler"]))
        try:
            while True:
                worker = asyncio.create_task(_ended(self._processes["worker"]))
                try:
                    await asyncio.wait((scheduler, worker), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    worker.cancel()
                if scheduler.done():
                    raise self._ended("scheduler")
                if self._worker_restarts == WORKER_RESTARTS_MAX:
                    raise self._ended("worker")
                self._worker_restarts += 1
                self._processes["worker"].wait()
                self._spawn_worker()
        finally:
            scheduler.cancel()

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._spawn(
            "scheduler",
            "xip_scheduler",
            f"--listen={self._address}",
            f"--port-file={self._directory / 'port'}",
            f"--data-dir={self._directory / 'data'}",
        )
        self._spawn_worker()

    def _spawn_worker(self) -> None:
        self._spawn("worker", "xip_worker", f"--scheduler={self._address}", f"--slots={self._slot_count}")

    def _spawn(self, name: str, module: str, *arguments: str) -> None:
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                (sys.executable, *_safe_path(), "-m", "xip_core.client.tied", str(os.getpid()), module, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for the caller alone
            )

    def _kill(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def _is_serving(self) -> bool:
        try:
            return bool((self._directory / "port").read_text().strip())
        except FileNotFoundError:
            return False

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _ended(self, name: str) -> UnavailableError:
        code = self._processes[name].wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return self._failed(f"the local {name} ended with {how}", name)

    def _failed(self, what: str, name: str) -> UnavailableError:
        from xip_core.errors import UnavailableError

        lines = self._log(name).read_text(errors="replace").splitlines()
        return UnavailableError(what + ("; its log ends: " + " | ".join(lines[-LOG_LINES_SHOWN:]) if lines else ""))


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Return when *process* has ended; its code is still to be collected."""
    import asyncio

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pid_fd = os.pidfd_open(process.pid)
    try:
        loop.add_reader(pid_fd, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(pid_fd)
        os.close(pid_fd)


def _safe_path() -> tuple[str, ...]:
    """
    The flag that keeps `python -m` from looking into the current directory first: daemons come from where this module
    came from, not from a source tree without kernels that a user happens to stand in.
    """
    runs_from_here = Path(__file__).resolve().parents[2] == Path.cwd()
    return () if runs_from_here else ("-P",)
