"""Outputs that stay where they were made: who reads them elsewhere makes them again.

An output that follows from blobs alone can be had in two ways: from the scheduler, which received, committed and keeps
it, or by evaluating its tile once more, which gives the same bytes. A MB takes the scheduler 3 ms to receive and to
commit, and by estimate as much again for every worker that reads it; and there is one scheduler for thousands of
workers, whose cores are many. So what takes less than `REMAKE_S_PER_BYTE` is not sent, and its result says that the
tile is done: of the sample's market under 500 scenarios a block of 0.9 MB takes 10 ms, its part of the base market 10.

    sent      in the store, or in the cache of a worker that made or fetched it
    not sent  in the cache of the worker that made it; the store has b"", on which a reader makes it anew

Isolated tiles are always sent: what has ended a process is not begun again by those who only read it.
"""

from __future__ import annotations

from xip_core.graph.plan import NodeKind
from xip_core.pricing.tile import TileValue
from xip_worker.cache import columns_size_bytes

REMAKE_S_PER_BYTE = 1e-7
"""A second of a worker's core for 10 MB: some thirty times what they cost the scheduler for each reader."""

REMADE_KINDS = frozenset({NodeKind.CALIBRATE})
"""Nodes whose tiles read no others; one without an output was given up, and nobody reads it, or was not sent. Resolved
rows are not among them: what they put out is a report, and their program is never sent."""


def stays_here(value: TileValue) -> bool:
    """Is the output sooner made again than sent?"""
    return value.remake_s < REMAKE_S_PER_BYTE * columns_size_bytes(value.output)
