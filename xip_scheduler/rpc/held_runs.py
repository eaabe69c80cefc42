"""Final runs that somebody is about to go on from: retention leaves them alone meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class HeldRuns:
    """A container of run ids; a run may be held several times over."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._counts

    @contextmanager
    def holding(self, run_id: str) -> Iterator[None]:
        """*run_id* is in here inside the block."""
        self._counts[run_id] += 1
        try:
            yield
        finally:
            self._counts[run_id] -= 1
            self._counts += Counter()  # forgets those that nobody holds
