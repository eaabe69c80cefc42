"""How much of a book a tick concerns: rows whose market objects it reaches, by the declared cost of their values.

Rows of one group that lean on the same currencies and underlyings need the same objects, up to the few that a maturity
decides; so the objects of each such run are those that a few of its rows need, resolved here. That is the least a tick
could cost if every run had tiles of its own.
"""

from __future__ import annotations

import numpy as np

from xip_core.graph import cost
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.graph.rows import GROUPS, read_rows
from xip_core.model.market import Snapshot, encode_snapshot
from xip_core.model.run_spec import RiskWork, RunSpec
from xip_core.model.scenario import base_only, encode_scenarios
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.tile import Columns, Maker

ROWS_LOOKED_AT = 16
"""Of each run, from its begin to its end."""

Run = tuple[float, frozenset[str]]
"""Declared core-seconds under a scenario, and the objects that the rows need."""


class _BlobsAlone:
    """TileData of tiles without inputs."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs
        self._memo: dict[tuple[object, ...], object] = {}

    def blob(self, digest: str) -> bytes:
        return self._blobs[digest]

    def output(self, node_id: int, tile: int) -> Columns:
        raise AssertionError((node_id, tile))

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]


def runs_of(book: bytes, market: Snapshot) -> list[Run]:
    """Every run of rows of one group and dependency."""
    read, lines = read_rows(book), book.split(b"\n")
    runs: list[Run] = []
    for group, rows, breaks in zip(GROUPS, read.group_rows, read.group_breaks, strict=True):
        for run in np.split(rows, breaks) if len(rows) else ():
            looked_at = run[np.unique(np.linspace(0, len(run) - 1, ROWS_LOOKED_AT).astype(int))]
            needed = _needed_objects(b"\n".join([lines[row] for row in looked_at.tolist()]), market)
            runs.append((cost.COST_CLASSES[group].value_s_per_cell * len(run), needed))
    return runs


def cone_share(runs: list[Run], reached: tuple[str, ...]) -> float:
    """Part of the cost of all runs that those have which need one of the objects *reached*."""
    concerned = sum(seconds for seconds, needed in runs if not needed.isdisjoint(reached))
    return concerned / sum(seconds for seconds, _ in runs)


def _needed_objects(book: bytes, market: Snapshot) -> frozenset[str]:
    contents = book, encode_snapshot(market), encode_scenarios(base_only())
    blobs = {digest_of(content): content for content in contents}
    work = RiskWork(*blobs, ("pv",), market.base_currency, market.as_of.isoformat())
    plan: Plan = plan_run(RunSpec("objects", work), blobs.__getitem__)
    data = _BlobsAlone(blobs)
    found: set[str] = set()
    for node in plan.nodes:
        for tile in range(node.tile_count) if node.kind is NodeKind.RESOLVE else ():
            found.update(evaluate_tile(plan, node.node_id, tile, data, lambda: False).objects)
    return frozenset(found)
