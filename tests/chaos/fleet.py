"""Workers that are started again when they die, as a supervisor or a cluster does it; the dead are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.chaos.waiting import LOOK_INTERVAL_S
from tests.integration.cluster import Daemon


class Fleet:
    """
    Args:
        start: starts one worker.
    """

    def __init__(self, start: Callable[[], Daemon], size: int) -> None:
        self._start = start
        self.workers = [start() for _ in range(size)]
        for worker in self.workers:
            worker.wait_for_log("attached")
        self.exit_codes: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def kill(self, position: int) -> None:
        """kill -9; the supervisor notices and counts it."""
        self.workers[position].process.kill()

    def close(self) -> None:
        """Supervise no more; must be called before the workers are killed by others."""
        self._ended.set()
        self._thread.join()
        for worker in self.workers:
            worker.stop()

    def _supervise(self) -> None:
        while not self._ended.wait(LOOK_INTERVAL_S):
            for position, worker in enumerate(self.workers):
                code = worker.process.poll()
                if code is not None and not self._ended.is_set():
                    self.exit_codes.append(code)
                    self.workers[position] = self._start()
