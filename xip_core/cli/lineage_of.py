"""From a cell to the tiles behind its number, and who computed them. Composed from the plan and the tile records.

A cell is TRADE[@SCENARIO], as `xipctl repro` has it, or #ROW[@SCENARIO] by row number; without a scenario, the base.
Behind it stand its value tile, what that read (the resolve tile of its rows, the calibrate tiles of its scenario and of
the base), and the sums it went into.
"""

from __future__ import annotations

import difflib
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from xip_core.errors import FailureReason, RequestError
from xip_core.model.account import Attempted

if TYPE_CHECKING:
    from xip_core.client.client import Client
    from xip_core.graph.plan import Node, Plan
    from xip_core.model.account import TileRecord

Tile = tuple[int, int]

NAMES_COMPARED = 10_000
"""With one that nobody knows, 0.1 s."""

SUMS_SHOWN = 20
"""Tiles of sums and aggregates behind which a cell stands; of a run with more of them the first."""


class TileLineage(msgspec.Struct, frozen=True):
    """Attributes: state: "computed", "given up" or "open"; origin: the run it was computed in, "" for this one."""

    node: str
    node_id: int
    kind: str
    tile: int
    state: str
    kernels: dict[str, str]
    worker_id: str = ""
    cpu_level: str = ""
    version: str = ""
    epoch: int = 0
    origin: str = ""
    attempts: tuple[Attempted, ...] = ()


class Lineage(msgspec.Struct, frozen=True):
    """
    Attributes:
        digests: by name, of every input and of the plan.
        origins: likewise, of the runs in which tiles were computed that were taken over: these read the inputs of
            there, of which what they need is the same here; {} of a run that is not there any more.
        reason: "" where the cell has a number.
    """

    run_id: str
    cell: str
    trade_id: str
    row: int
    scenario: str
    digests: dict[str, str]
    kernels: dict[str, str]
    tiles: tuple[TileLineage, ...]
    origins: dict[str, dict[str, str]] = {}
    reason: str = ""
    message: str = ""


async def lineage_of(client: Client, run_id: str, cell: str) -> Lineage:
    """
    Raises:
        RequestError: UNKNOWN_CELL, the run has no such row or scenario.
    """
    from xip_core.client.heads import scenario_names, trade_labels
    from xip_core.graph.plan import decode_plan

    run = await client.run(run_id)
    plan = decode_plan(await client.blob(run.plan_digest))
    if not plan.book_digest:
        raise RequestError("UNKNOWN_CELL", f"run {run_id} must be of a book to have cells of trades")
    book, scenarios = await client.blob(plan.book_digest), await client.blob(plan.scenarios_digest)
    market = await client.blob(plan.market_digest)  # names the columns of ladders
    ids, names = [label.id for label in trade_labels(book)], list(scenario_names(scenarios, market))
    row, scenario = cell_of(cell, ids, names)
    tiles = tiles_behind(plan, row, scenario)
    records = {
        (record.node_id, tile): record
        for record in await client.tile_records(run_id, tiles)
        for tile in range(record.tile_begin, record.tile_end)
    }
    said = [
        cells
        for cells in await client.quarantine(run_id)
        if cells.row == row and cells.scenario_begin <= scenario < cells.scenario_end
    ]
    origins = {}
    for origin in dict.fromkeys(record.origin for record in records.values() if record.origin):
        origins[origin] = await _digests_of_run(client, origin)
    return Lineage(
        run_id=run_id,
        cell=cell,
        trade_id=ids[row],
        row=row,
        scenario=names[scenario],
        digests=digests_of(run.plan_digest, plan),
        origins=origins,
        kernels=dict(sorted({pair for node_id, _ in tiles for pair in plan.nodes[node_id].kernels})),
        tiles=tuple(_tile_lineage(plan.nodes[node_id], tile, records.get((node_id, tile))) for node_id, tile in tiles),
        reason=FailureReason(said[0].reason).name if said else "",
        message=said[0].message if said else "",
    )


def digests_of(plan_digest: str, plan: Plan) -> dict[str, str]:
    """The plan's and those of its inputs, by kind; where a run has several of a kind, also by what each is of."""
    counts = Counter(kind for kind, _ in {(one.kind, one.digest) for one in plan.inputs})
    named = {one.kind if counts[one.kind] == 1 else f"{one.kind} of {one.of}": one.digest for one in plan.inputs}
    return {"plan": plan_digest} | named


async def _digests_of_run(client: Client, run_id: str) -> dict[str, str]:
    from xip_core.errors import NotFoundError
    from xip_core.graph.plan import decode_plan

    try:
        plan_digest = (await client.run(run_id)).plan_digest
        return digests_of(plan_digest, decode_plan(await client.blob(plan_digest)))
    except NotFoundError:
        return {}


def cell_of(cell: str, ids: list[str], scenarios: list[str]) -> tuple[int, int]:
    """
    Row and scenario of *cell*.

    Raises:
        RequestError: UNKNOWN_CELL.
    """
    trade, at, name = cell.rpartition("@")
    if not at or cell in ids:  # an id may hold the sign itself
        trade, name = cell, scenarios[0]
    if name not in scenarios:
        near = difflib.get_close_matches(name, scenarios[:NAMES_COMPARED], n=3)
        meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        sentence = f"the cell must name a scenario of the run, got {name!r} of {len(scenarios)}{meant}"
        raise RequestError("UNKNOWN_CELL", sentence)
    if trade in ids:
        return ids.index(trade), scenarios.index(name)
    if trade.startswith("#") and trade[1:].isdecimal() and int(trade[1:]) < len(ids):
        return int(trade[1:]), scenarios.index(name)
    near = difflib.get_close_matches(trade, ids[:NAMES_COMPARED], n=3)
    meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    sentence = f"the cell must name a trade of the run or #ROW, got {trade!r} of {len(ids)}{meant}"
    raise RequestError("UNKNOWN_CELL", sentence)


def tiles_behind(plan: Plan, row: int, scenario: int) -> list[Tile]:
    """The tiles a cell's number went through, inputs first; none of a row that the planner refused."""
    behind: dict[Tile, None] = {}
    for node in plan.nodes:
        if node.kind == "value":
            rows = np.flatnonzero(np.frombuffer(node.rows, dtype="<i4") == row)
            if len(rows):
                block = node.block_of_row(int(rows[0])) * node.scenario_block_count
                tile = block + scenario // node.scenarios_per_tile
                for ref in node.inputs:
                    needed = ref.tile_needed(tile)
                    if needed is not None:
                        behind[ref.node_id, needed] = None
                behind[node.node_id, tile] = None
    for node in plan.nodes if behind else ():
        if node.kind in ("resolve", "calibrate", "value"):
            continue
        for tile in range(node.tile_count):
            needs = ((ref, plan.nodes[ref.node_id].tile_count) for ref in node.inputs)
            if len(behind) < SUMS_SHOWN and any(
                (ref.node_id, needed) in behind for ref, count in needs for needed in ref.tiles_needed(tile, count)
            ):
                behind[node.node_id, tile] = None
    return sorted(behind)


def _tile_lineage(node: Node, tile: int, record: TileRecord | None) -> TileLineage:
    kernels = dict(node.kernels)
    if record is None:
        return TileLineage(node.name, node.node_id, str(node.kind), tile, "open", kernels)
    return TileLineage(
        node.name,
        node.node_id,
        str(node.kind),
        tile,
        "computed" if record.epoch else "given up",
        kernels,
        record.worker_id,
        record.cpu_level,
        record.version,
        record.epoch,
        record.origin,
        record.attempts,
    )
