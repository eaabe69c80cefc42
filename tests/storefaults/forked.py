"""Processes forked from a server that has everything loaded: starting an interpreter would take longer than a fault.

`multiprocessing` looks at every child it knows whenever it starts another one, and takes the exit code of one that has
ended out of its pipe. Where a second thread waits for that child at that moment, one of the two finds the pipe empty
and writes down 255 as the exit code (`popen_forkserver.Popen.poll`): of 1,000 processes started and awaited by two
threads, 57. So here a process is started, and its exit code read, by one thread at a time; waiting is free for all.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.storefaults.writer", "tests.storefaults.served"])

_LOOKING = threading.Lock()
"""Held by whoever makes `multiprocessing` look at its children."""


class ForkedProcess:
    """A process that runs *main* with *arguments* from here on."""

    def __init__(self, main: Callable[..., None], *arguments: object) -> None:
        self._process = _CONTEXT.Process(target=main, args=arguments)
        with _LOOKING:
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        with _LOOKING:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, unless it has ended; does not wait."""
        if self.exit_code(0.0) is None:
            with _LOOKING:
                self._process.kill()

    def exit_code(self, limit_s: float | None = None) -> int | None:
        """Negative for a signal; None where it has not ended within *limit_s*."""
        if not wait([self._process.sentinel], limit_s):
            return None
        with _LOOKING:
            self._process.join()
        return self._process.exitcode


class Passed:
    """A descriptor that travels to the forked process, where it is a number."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> object:
        return _opened, (DupFd(self.descriptor),)  # type: ignore[no-untyped-call]  # the standard library's


def _opened(duplicate: object) -> int:
    return int(duplicate.detach())  # type: ignore[attr-defined]  # a DupFd
