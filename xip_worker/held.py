"""What the worker's core keeps of a lease, a slot and a message; the states are drawn in `core`."""

from __future__ import annotations

import enum

import msgspec

from xip_worker.events import Epoch, Lease, Outcome

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
    """

    lease: Lease
    state: LeaseState = LeaseState.QUEUED
    tiles_done: int = 0
    outcomes_open: int = 0


class Batch(msgspec.Struct):
    """What a slot is busy with."""

    epochs: tuple[Epoch, ...]
    node: NodeKey
    tile_count: int


class Message(msgspec.Struct):
    sequence: int
    outcomes: tuple[Outcome, ...]
