"""Wakes whoever watches a run.

Watchers are not sent anything: they are told that something changed and then read the state there is, so a slow one
holds one flag however long it sleeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Flags:
    """
    Attributes:
        changed: something durable changed since the watcher cleared it.
        finished: the run is final.
    """

    __slots__ = ("changed", "finished")

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.finished = asyncio.Event()


class RunChanges:
    """Flags by run."""

    def __init__(self) -> None:
        self._flags: dict[str, list[Flags]] = {}

    @contextmanager
    def subscribed(self, run_id: str) -> Iterator[Flags]:
        """Flags set after every durable change of the run; the subscriber clears `changed` before it looks."""
        flags = Flags()
        self._flags.setdefault(run_id, []).append(flags)
        try:
            yield flags
        finally:
            others = self._flags[run_id]
            others.remove(flags)
            if not others:
                del self._flags[run_id]

    def wake(self, run_ids: Iterable[str], finished: Iterable[str]) -> None:
        """Set the flags of runs that changed, and of those that are final now."""
        if not self._flags:
            return
        for run_id in finished:
            for flags in self._flags.get(run_id, ()):
                flags.finished.set()
        for run_id in run_ids:
            for flags in self._flags.get(run_id, ()):
                flags.changed.set()
