"""Plans, evaluators and daemons for worker tests, with defaults."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import structlog

from tests.patience import PATIENCE_S
from xip_core.graph.plan import InputRef, Node, NodeKind, Plan
from xip_core.pricing.tile import Columns, TileCancelledError, TileData, TileValue
from xip_core.wire.convert import encode_block
from xip_core.wire.v1 import worker_pb2
from xip_worker.daemon import Daemon
from xip_worker.messages import Identity
from xip_worker.settings import Settings, parse_schedulers

Behaviour = Callable[[int, TileData, Callable[[], bool]], TileValue]


def a_plan(
    kind: NodeKind = NodeKind.VALUE,
    kernel: str = "terms",
    tile_count: int = 100,
    inputs: tuple[InputRef, ...] = (),
    input_tile_count: int = 4,
    tile_duration_s: float = 0.0,
) -> Plan:
    """Node 0 feeds node 1, the one under test; a reader of node 1 when it has output worth keeping."""
    nodes = (
        Node(0, "resolve", NodeKind.RESOLVE, "resolve", "1", input_tile_count, 0.01),
        Node(1, "tested", kind, kernel, "1", tile_count, 0.01, inputs),
        Node(2, "reduce", NodeKind.REDUCE, "reduce", "1", 1, 0.01, (InputRef(1),)),
    )
    return Plan(nodes=nodes, cell_count=tile_count, tile_duration_s=tile_duration_s)


def a_wire_lease(epoch: int, plan_digest: bytes, tile_begin: int = 0, tile_end: int = 1) -> worker_pb2.Lease:
    return worker_pb2.Lease(
        epoch=epoch, run_id="run-1", node_id=1, tile_begin=tile_begin, tile_end=tile_end, plan_digest=plan_digest
    )


def a_value(tile: int) -> TileValue:
    return TileValue(output={"sum": np.array([float(tile)])}, detail={"pv": np.full(3, float(tile))}, cell_count=3)


class ScriptedEvaluator:
    """Evaluates by the function of a test; `begun` counts tiles begun, for tests to wait on."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._behaviour: Behaviour = behaviour or (lambda tile, data, is_cancelled: a_value(tile))
        self.begun = threading.Semaphore(0)
        self.warmed_up = threading.Event()

    def warm_up(self) -> None:
        self.warmed_up.set()

    def evaluate_tile(
        self, plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: Callable[[], bool]
    ) -> TileValue:
        self.begun.release()
        return self._behaviour(tile, data, is_cancelled)

    def encode_block(self, columns: Columns) -> bytes:
        return encode_block(columns)


def no_tile(plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: Callable[[], bool]) -> TileValue:
    """For inputs that never have to make an output anew."""
    raise AssertionError(f"tile {tile} of node {node_id} was to be read, not made")


def until_cancelled(tile: int, data: TileData, is_cancelled: Callable[[], bool]) -> TileValue:
    """A tile that runs until it is revoked, as a kernel does that looks between blocks."""
    pause = threading.Event()
    for _ in range(round(PATIENCE_S / 0.002)):
        if is_cancelled():
            raise TileCancelledError
        pause.wait(0.002)
    raise AssertionError("was never cancelled")


def an_identity(slot_count: int = 1) -> Identity:
    return Identity("worker-1", slot_count, "v3", "0.1.0", "here", 7, {"fx.european": "2", "black.european": "1"})


def some_settings(schedulers: str, slot_count: int = 1, drain_grace_s: float = PATIENCE_S) -> Settings:
    return Settings(
        schedulers=parse_schedulers(schedulers),
        slot_count=slot_count,
        blob_cache_bytes=1 << 20,
        output_cache_bytes=1 << 20,
        drain_grace_s=drain_grace_s,
        log_level="info",
    )


@asynccontextmanager
async def a_daemon(
    schedulers: str,
    evaluator: ScriptedEvaluator | None = None,
    slot_count: int = 1,
    drain_grace_s: float = PATIENCE_S,
) -> AsyncIterator[tuple[Daemon, asyncio.Task[None]]]:
    """A daemon that runs for as long as the block; *schedulers* as on the command line."""
    settings = some_settings(schedulers, slot_count, drain_grace_s)
    daemon = Daemon(settings, an_identity(slot_count), evaluator or ScriptedEvaluator(), structlog.get_logger())
    running = asyncio.create_task(daemon.run())
    try:
        yield daemon, running
    finally:
        running.cancel()
        await asyncio.wait((running,))
