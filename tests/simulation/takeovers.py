"""The checker of runs that begin with tiles of another: what may be taken over, and that it is worth what it says.

    taken(takeover)   S9 of a final run that is kept   S13 of the tenant's own   S12 of tiles with a sound result
                      S10 sums with their inputs       S11 the bytes that this run would have computed itself
    final(run)        S11 every number is there, and right   S12 quarantined is what has no number, cell by cell
    pruned(run)       S9 final, and once

A **crippled** tile was computed in a child process that found the row which kills and refused it: a result, but not the
one that another try may have, so only a retry keeps it out of what it takes over, and so must a run that reuses.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.ticking import Ticking
from tests.simulation.workload import Fate, Request, Tile, expected_value, tiles_needed
from xip_core.graph.plan import NodeKind

if TYPE_CHECKING:
    from tests.simulation.ghost import Ghost
    from xip_scheduler.store.protocol import Takeover


class Takeovers:
    """
    Attributes:
        taken: tiles that their runs began with.
        pruned: decided tiles of runs that retention has removed.
    """

    def __init__(self, ghost: Ghost) -> None:
        self.ghost = ghost
        self.taken: dict[Tile, None] = {}
        self.pruned: dict[str, dict[Tile, int]] = {}
        self._values: dict[tuple[str, frozenset[tuple[int, int]]], dict[tuple[int, int], bytes]] = {}

    def is_crippled(self, request: Request, node_id: int, tile: int) -> bool:
        """Has the tile of this run lost a row? Computed at all, it has where that is its fate."""
        is_fate = request.fate(node_id, tile) is Fate.CRASHES and request.is_found(request.plan.nodes[node_id], tile)
        return is_fate and (request.run_id, node_id, tile) not in self.taken

    def expected(self, request: Request, node_id: int, tile: int, failed: frozenset[tuple[int, int]]) -> bytes:
        """Values of tiles taken over had inputs of their own, whatever was given up here."""
        known = self._values.get((request.run_id, failed))
        if known is None:
            known = self._values[request.run_id, failed] = {}
            for taken in [key for key in self.taken if failed and key[0] == request.run_id]:
                if request.plan.nodes[taken[1]].kind is NodeKind.VALUE:
                    known[taken[1:]] = self.expected(request, *taken[1:], frozenset())
        is_crippled = lambda *key: self.is_crippled(request, *key)  # noqa: E731 - one call
        return expected_value(request, node_id, tile, lambda *key: key in failed, is_crippled, known)

    def take(self, takeover: Takeover) -> None:
        """Tiles of a run become tiles of another, in the batch that stores it."""
        ghost, run_id, old_id = self.ghost, takeover.run_id, takeover.source
        request, old = ghost.requests[run_id], ghost.requests[old_id]
        ghost.demand(old_id in ghost.final, "S9", f"{run_id} takes over of {old_id}, which is not final")
        ghost.demand(old_id not in self.pruned, "S9", f"{run_id} takes over of {old_id}, which is pruned")
        ghost.demand(request.tenant == old.tenant, "S13", f"{run_id} takes over of another tenant's {old_id}")
        if request.retried:
            ghost.demand(old_id == request.retried, "S11", f"{run_id} goes on from {old_id}, not {request.retried}")
        else:
            ghost.demand(not request.is_computing_all, "S11", f"{run_id} was to compute everything")
            is_named = old_id == (request.since or old_id)
            ghost.demand(is_named, "S11", f"{run_id} takes over of {old_id}, named is {request.since}")
            ghost.probes["tiles reused"] += 1
        tiles = [
            (run_id, node_id, number)
            for node_id, begin, end in takeover.spans
            for number in range(begin, end)
        ]
        for tile in tiles:
            serial = ghost.decided.get((old_id, *tile[1:]))
            ghost.demand(bool(serial), "S12", f"{run_id} takes over {tile} of {old_id}: {serial}")
            was_crippled = self.is_crippled(old, *tile[1:])
            ghost.demand(not was_crippled, "S12", f"{run_id} takes over {tile} of {old_id}, which has lost a row")
            ghost.decided[tile] = serial or 0
            self.taken[tile] = None
        for tile in tiles:
            self._check_taken(request, tile, {key[1:] for key in tiles})
        ghost.probes["tiles taken over"] += 1

    def _check_taken(self, request: Request, tile: Tile, taken: set[tuple[int, int]]) -> None:
        """Sums need what they add; other tiles of equal content had inputs of their own."""
        node = request.plan.nodes[tile[1]]
        if request.retried or node.kind is NodeKind.REDUCE:
            missing = [needed for needed in tiles_needed(request.plan, node, tile[2]) if needed not in taken]
            self.ghost.demand(not missing, "S10", f"{tile} is taken over without {missing}")
        self.check_kept(request, tile)

    def check_kept(self, request: Request, tile: Tile) -> None:
        block = self.ghost.disk.tables.output(*tile)
        if block is not None:
            self.ghost.check_value(request, tile, block)
        elif isinstance(request, Ticking):
            self.ghost.demand(False, "S5", f"the output of {tile} is gone")

    def finished(self, request: Request) -> None:
        """Every number of a run that is final, and its quarantine."""
        if not isinstance(request, Ticking):
            return
        self.check_outputs(request)
        self._check_quarantine(request)
        if any(tile[0] == request.run_id for tile in self.taken):
            self.ghost.probes["run with reused tiles final"] += 1

    def check_outputs(self, request: Request) -> None:
        for tile, serial in self.ghost.decided.items():
            if tile[0] == request.run_id and serial:
                self.check_kept(request, tile)

    def _check_quarantine(self, request: Ticking) -> None:
        """Cell by cell, none twice; that of given-up tiles with whatever reason."""
        expected: Counter[tuple[int, int]] = Counter()
        for node in request.plan.nodes:
            for tile in range(node.tile_count if node.kind is NodeKind.VALUE else 0):
                first, last = node.scenario_range(tile)
                rows = [row for row, _ in request.lines_of(node, tile)]
                if self.ghost.decided[request.run_id, node.node_id, tile]:
                    is_crippled = self.is_crippled(request, node.node_id, tile)
                    rows = [cells[0] for cells in request.quarantine_of(node, tile, is_crippled)]
                expected.update((row, scenario) for row in rows for scenario in range(first, last))
        found = Counter(
            (cells.row, scenario)
            for cells in self.ghost.disk.tables.quarantine.get(request.run_id, ())
            for scenario in range(cells.scenario_begin, cells.scenario_end)
        )
        differing = dict((found - expected) + (expected - found))
        self.ghost.demand(not differing, "S12", f"{request.run_id}: quarantined otherwise (row, scenario): {differing}")

    # ---- retention

    def prune(self, run_id: str) -> None:
        ghost = self.ghost
        ghost.demand(run_id in ghost.final and run_id not in self.pruned, "S9", f"{run_id} is pruned")
        self.pruned[run_id] = {tile: serial for tile, serial in ghost.decided.items() if tile[0] == run_id}
        for tile in self.pruned[run_id]:
            del ghost.decided[tile]
        ghost.probes["run pruned"] += 1
        if any(run_id in origins.values() for origins in ghost.disk.tables.origins.values()):
            ghost.probes["run pruned that others read"] += 1

    def put_back(self) -> None:
        """Of a backup of before they were pruned."""
        for run_id in [run_id for run_id in self.pruned if run_id not in self.ghost.disk.tables.pruned]:
            self.ghost.decided |= self.pruned.pop(run_id)
        self.taken = {tile: None for tile in self.taken if tile[0] in self.ghost.disk.tables.runs}
        self._values.clear()

    def check_end(self) -> None:
        """What is kept can be read: others' outputs are there though their runs are gone."""
        for run_id in self.ghost.final.keys() - self.pruned.keys():
            request = self.ghost.requests[run_id]
            if isinstance(request, Ticking):
                self.check_outputs(request)

