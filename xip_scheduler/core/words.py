"""Names shared by events, actions and state: the identities, and the states a run can be in.

Identities are types, so that a worker id cannot be handed over where a run id is due. None is ever used twice: run ids
are made by the shell from tenant and request id, epochs are counted by the core and reserved in the store.
"""

from __future__ import annotations

import enum
from typing import NewType

RunId = NewType("RunId", str)
WorkerId = NewType("WorkerId", str)
ConnectionId = NewType("ConnectionId", int)
"""One per stream a worker opens; a worker that reconnects keeps its worker id and gets a new connection id."""

Epoch = NewType("Epoch", int)
"""Name of a lease: grows with every grant over the life of the store."""


class Priority(enum.IntEnum):
    """Who goes first inside a tenant; the values are those of xip.v1.Priority."""

    BATCH = 1
    INTERACTIVE = 2


def priority_of(number: int) -> Priority:
    """The priority on the wire or in the store; 0, which was sent before there were any, is interactive."""
    return Priority(number or Priority.INTERACTIVE)


class RunState(enum.IntEnum):
    """Where a run stands; the values are those of xip.v1.RunState.

    RUNNING is the only state that can be left::

        RUNNING ──> COMPLETED                    every cell has a number
                ├─> COMPLETED_WITH_QUARANTINE    every cell has a number or a reason why not
                ├─> FAILED                       every tile that carries cells was given up: nothing was computed
                └─> CANCELLED                    asked for
    """

    RUNNING = 1
    COMPLETED = 2
    COMPLETED_WITH_QUARANTINE = 3
    FAILED = 4
    CANCELLED = 5

    @property
    def is_final(self) -> bool:
        return self is not RunState.RUNNING
