"""Real daemons on loopback for the integration tests: started, killed and waited for as an operator would.

A daemon is a process of this interpreter (`python -P -m xip_scheduler`). It is waited for by reading the log lines it
writes, so nothing here polls or sleeps; every wait has a limit after which the test fails with the daemon's log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

START_LIMIT_S = 60.0


class Daemon:
    """A process whose JSON log lines are collected as they come."""

    def __init__(
        self, arguments: list[str], environment: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._closed = False
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | (environment or {}),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def has_logged(self, event: str) -> bool:
        return any(_parsed(line).get("event") == event for line in self.lines)

    def wait_for_log(self, event: str, limit_s: float = START_LIMIT_S, count: int = 1) -> dict[str, Any]:
        """The first log line with this event, or the *count*-th, waiting for it if need be."""
        found: dict[str, Any] = {}

        def arrived() -> bool:
            entries = [entry for line in self.lines if (entry := _parsed(line)).get("event") == event]
            if len(entries) >= count:
                found.update(entries[count - 1])
                return True
            return self._closed

        with self._changed:
            in_time = self._changed.wait_for(arrived, timeout=limit_s)
        assert found, f"no log line {event!r} (in time: {in_time}); the daemon wrote:\n" + "\n".join(self.lines)
        return found

    def kill(self) -> None:
        """kill -9: no handler runs, nothing is flushed."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=START_LIMIT_S)

    def terminate(self, limit_s: float = START_LIMIT_S) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=limit_s)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join(timeout=START_LIMIT_S)


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
