"""The checker of what a scheduler remembers: its durable part is what the store has, and what the ghost has seen.

    compare(core)   S19 live runs, tiles done and given up, pauses, cells, attempts   S12 no tile timed twice
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from xip_core.model.account import RunAccount
from xip_scheduler.core.core import Core
from xip_scheduler.core.runs import RestoredRun

if TYPE_CHECKING:
    from tests.simulation.ghost import Ghost


class Memory:
    def __init__(self, ghost: Ghost) -> None:
        self.ghost = ghost

    def compare(self, core: Core) -> None:
        """S19, with the core at the state that the store is at."""
        demand, decided, tables = self.ghost.demand, self.ghost.decided, self.ghost.disk.tables
        live = core.durable_runs()
        expected = [run_id for run_id in tables.runs if run_id not in tables.finished]
        demand([run.run_id for run in live] == expected, "S19", f"live runs {live}, stored {expected}")
        for run in live:
            for node in run.plan.nodes:
                serials = [decided.get((run.run_id, node.node_id, tile)) for tile in range(node.tile_count)]
                done = _spans([serial is not None for serial in serials])
                failed = _spans([serial == 0 for serial in serials])
                where = f"{run.run_id} node {node.node_id}"
                demand(run.done[node.node_id] == done, "S19", f"{where}: {run.done}, stored {done}")
                demand(run.failed[node.node_id] == failed, "S19", f"{where}: {run.failed}, stored {failed}")
            is_paused = tables.paused.get(run.run_id, False)
            demand(run.is_paused == is_paused, "S19", f"{run.run_id}: paused {run.is_paused}, stored {is_paused}")
            cells = sum(record[6] for record in tables.records[run.run_id])
            demand(run.cells_done == cells, "S19", f"{run.run_id}: {run.cells_done} cells, stored {cells}")
            kept = tables.attempts.get(run.run_id, [])
            tries = sorted(row[1:3] for row in kept if (run.run_id, *row[1:3]) not in decided)
            known = [(node_id, tile) for node_id, tile, _ in run.attempts]
            demand(known == tries, "S19", f"{run.run_id}: attempts at {known}, stored {tries}")
            self._check_account(core, run)

    def _check_account(self, core: Core, run: RestoredRun) -> None:
        """S12: no tile is accounted for twice, whatever was restored, and what was stored is not forgotten."""
        account = core.account(run.run_id)
        assert account is not None
        note = self.ghost.disk.tables.notes.get(run.run_id, {}).get("account", "")
        stored = msgspec.json.decode(note, type=RunAccount) if note else RunAccount()
        timed = {node.node_id: node.tiles_timed for node in stored.nodes}
        for node, done, failed, reused in zip(account.nodes, run.done, run.failed, run.reused, strict=True):
            own_count = _tile_count(done) - _tile_count(failed) - reused
            stored_count = timed.get(node.node_id, 0)
            sentence = f"{node.tiles_timed} tiles are timed, stored {stored_count}, computed {own_count}"
            is_right = stored_count <= node.tiles_timed <= own_count
            self.ghost.demand(is_right, "S12", f"{run.run_id} node {node.node_id}: {sentence}")


def _tile_count(spans: tuple[tuple[int, int], ...]) -> int:
    return sum(end - begin for begin, end in spans)


def _spans(flags: list[bool]) -> tuple[tuple[int, int], ...]:
    """Half-open intervals of the true ones."""
    spans: list[tuple[int, int]] = []
    for position, flag in enumerate(flags):
        if flag and spans and spans[-1][1] == position:
            spans[-1] = (spans[-1][0], position + 1)
        elif flag:
            spans.append((position, position + 1))
    return tuple(spans)
