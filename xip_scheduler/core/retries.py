"""Tiles that failed before: their attempts, and what the next one has to be like.

`poison` has the rules by which attempts come and tiles are given up; here is what is remembered of a tile.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from xip_core.errors import FailureReason
from xip_scheduler.core.words import Epoch, WorkerId

if TYPE_CHECKING:
    from xip_scheduler.core.run_state import LiveRun, NodeState

WITHDRAWN = 0
"""Stands for the reason of a record that takes the attempt before it back; no failure reason has this number."""

CONTAINED_REASONS = frozenset((FailureReason.CRASHED, FailureReason.TIMED_OUT, FailureReason.OUT_OF_MEMORY))
"""What a worker that survives it reports only from a child process, or just in time (memory)."""


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One try at one tile that gave no result, or the withdrawal of the one before.

    Attributes:
        reason: a FailureReason, or WITHDRAWN.
        is_suspect: the worker died or fell silent.
    """

    worker_id: WorkerId
    reason: int
    message: str
    is_suspect: bool


def standing(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Those that no later one has withdrawn."""
    found: list[Attempt] = []
    for attempt in attempts:
        if attempt.reason == WITHDRAWN:
            found.pop()
        else:
            found.append(attempt)
    return found


def is_poison(attempt: Attempt) -> bool:
    """Is the tile not to be evaluated in a worker's own process again?"""
    return attempt.is_suspect or attempt.reason in CONTAINED_REASONS


class Retry:
    """A tile that is not decided and has been tried.

    Attributes:
        attempts: as recorded, withdrawals included; their positions are their durable numbers.
        tried: the workers of those that stand, in order; never empty while the tile waits for another worker.
        is_isolated: the next attempt is to be made in a child process.
        suspected_under: the epoch of the last attempt when its worker died or fell silent, else 0; a worker that comes
            back with that very lease has not died of the tile.
        fence: the newest epoch the tile was leased under, by this scheduler process.
    """

    __slots__ = ("attempts", "fence", "is_isolated", "node", "run", "suspected_under", "tile", "tried")

    def __init__(self, run: LiveRun, node: NodeState, tile: int) -> None:
        self.run = run
        self.node = node
        self.tile = tile
        self.attempts: tuple[Attempt, ...] = ()
        self.tried: tuple[WorkerId, ...] = ()
        self.is_isolated = False
        self.suspected_under = Epoch(0)
        self.fence = Epoch(0)

    def add(self, attempts: Iterable[Attempt], attempts_max: int) -> None:
        """Remember further attempts, and what follows for the next one."""
        self.attempts = (*self.attempts, *attempts)
        stand = standing(self.attempts)
        self.tried = tuple(attempt.worker_id for attempt in stand)
        self.is_isolated = any(map(is_poison, stand)) or len(stand) >= attempts_max - 1
