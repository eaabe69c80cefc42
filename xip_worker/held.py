"""What the worker's core keeps of a lease, a slot and a message; the states are drawn in `core`."""

from __future__ import annotations

import enum

import msgspec

from xip_worker.events import Epoch, FinishedTiles, Lease, Outcome

NodeKey = tuple[str, int]


class LeaseState(enum.IntEnum):
    QUEUED = 1
    RUNNING = 2
    EVALUATED = 3


class Connection(enum.IntEnum):
    DISCONNECTED = 1
    GREETING = 2
    ATTACHED = 3


class Held(msgspec.Struct, gc=False):
    """A lease, as long as it is now, and how far it is.

    Attributes:
        outcomes_open: outcomes pending or unacknowledged.
        tile_s: seconds a tile took in its newest result; 0 before there is one.
    """

    lease: Lease
    state: LeaseState = LeaseState.QUEUED
    tiles_done: int = 0
    outcomes_open: int = 0
    tile_s: float = 0.0

    def count(self, outcome: Outcome) -> None:
        """A slot reports *outcome* of the lease."""
        self.outcomes_open += 1
        if isinstance(outcome, FinishedTiles):
            tile_count = outcome.tile_end - outcome.tile_begin
            self.tiles_done += tile_count
            self.tile_s = outcome.elapsed_ns * 1e-9 / tile_count
        else:
            self.tiles_done += 1


class Batch(msgspec.Struct):
    """What a slot is busy with."""

    epochs: tuple[Epoch, ...]
    node: NodeKey
    tile_count: int


class Message(msgspec.Struct):
    sequence: int
    outcomes: tuple[Outcome, ...]
