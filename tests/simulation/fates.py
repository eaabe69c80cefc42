"""What a commit comes to, drawn by faults and carried out by the scheduler's node."""

from __future__ import annotations

import msgspec


class CommitFate(msgspec.Struct, frozen=True):
    """
    Attributes:
        kill_at: point of the commit where the scheduler is killed, 0 for none (see scheduler_node).
        stop_s: the process is stopped for so long between the two halves.
    """

    write_s: float
    sync_s: float
    kill_at: int = 0
    error: str = ""
    stop_s: float = 0.0


class NextCommit(msgspec.Struct, frozen=True):
    """What a fault has in store for a commit to come."""

    kill_at: int = 0
    error: str = ""
    is_power_loss: bool = False
    stop_s: float = 0.0
