"""The risk graph of a run, as data.

A run becomes a handful of nodes; a node is one operation over a grid of tiles. Nothing here is per trade or per cell:
a book of a million trades has the same dozen nodes as one of ten, only their tile counts differ.

Tiles of a node are numbered row-major over (row block, scenario block)::

    tile = row_block * scenario_block_count + scenario_block

and fixed when the graph is planned, so a number never depends on who computed its tile.

Dependencies are arithmetic, not edges: tile t of a node needs, of each input, tile `(t // divisor) % modulus`, or every
tile when modulus is 0. A value tile (i, j) so needs resolve tile i and calibrate tile j, and nothing waits for a whole
node that does not have to::

    resolve[g] (i)  ──┐
                      ├── value[g] (i, j) ──> reduce
    calibrate  (j)  ──┘

Invariants (checked by `Plan.check`): node ids are 0..n-1 in topological order; every input id is smaller than the
node's own; every needed tile exists.

Sizes: a plan of 2,000 trades is 23 kB, mostly row numbers (4 bytes a trade in its resolve and in its value node).
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from xip_core.kernel_versions import Versions

PLAN_VERSION = 1


class NodeKind(enum.StrEnum):
    RESOLVE = "resolve"
    CALIBRATE = "calibrate"
    VALUE = "value"
    REDUCE = "reduce"
    PROBE = "probe"
    KERNEL = "kernel"


class InputRef(msgspec.Struct, frozen=True):
    """Which tile of node *node_id* a tile needs: `(tile // divisor) % modulus`, every tile when modulus is 0."""

    node_id: int
    divisor: int = 1
    modulus: int = 0

    def tile_needed(self, tile: int) -> int | None:
        """The one tile needed, or None for all of them."""
        return (tile // self.divisor) % self.modulus if self.modulus else None


class Node(msgspec.Struct, frozen=True):
    """One operation over a grid of tiles.

    Attributes:
        kernel: the operation: of resolve and value nodes the row program ("terms", "option", ...).
        kernel_version: of the operation.
        kernels: (name, version) of everything a worker must have to evaluate the node, the operation included, by name
            (`kernel_versions.requirements`); with it a number's lineage.
        cost_s: declared seconds of one tile on a v3 core, the cost model's first guess.
        asset_class: of every row of a value node, "" elsewhere; a node never mixes asset classes.
        row_count, rows_per_tile: rows of the node; the last row block may be shorter.
        scenario_count, scenarios_per_tile: likewise; scenario 0 is the base.
        rows: int32 little-endian book row numbers in node order (resolve and value nodes). A kernel node has the rows
            of its table, in their order, and as many scenarios as outputs, all in one block: there a cell is an output
            of a row.
        tiles_per_lease: 0 lets the cost model size leases.
    """

    node_id: int
    name: str
    kind: NodeKind
    kernel: str
    kernel_version: str
    tile_count: int
    cost_s: float
    inputs: tuple[InputRef, ...] = ()
    asset_class: str = ""
    row_count: int = 0
    rows_per_tile: int = 0
    scenario_count: int = 0
    scenarios_per_tile: int = 0
    rows: bytes = b""
    tiles_per_lease: int = 0
    kernels: Versions = ()

    @property
    def scenario_block_count(self) -> int:
        return -(-self.scenario_count // self.scenarios_per_tile) if self.scenarios_per_tile else 1

    def row_range(self, tile: int) -> tuple[int, int]:
        """Half-open range of node rows of *tile*."""
        begin = tile // self.scenario_block_count * self.rows_per_tile
        return begin, min(begin + self.rows_per_tile, self.row_count)

    def scenario_range(self, tile: int) -> tuple[int, int]:
        """Half-open range of scenarios of *tile*."""
        begin = tile % self.scenario_block_count * self.scenarios_per_tile
        return begin, min(begin + self.scenarios_per_tile, self.scenario_count)


class PlannedQuarantine(msgspec.Struct, frozen=True):
    """A row the planner already knows to have no number (unknown type, duplicate id).

    It has none under any scenario nor of any measure; *asset_class* is "" where not even that could be read.
    """

    row: int
    trade_id: str
    reason: int
    message: str
    asset_class: str = ""


class Plan(msgspec.Struct, frozen=True):
    """The graph of one run and everything a worker needs to evaluate any tile of it. Digests are hex.

    Cells: a row has one per scenario (its pv) and one per other measure; the measures belong to the base, scenario 0.
    *cell_count* covers every row of the book, quarantined ones included; of a probe it is the number of tiles, of a
    kernel over a table rows x *outputs*.
    """

    nodes: tuple[Node, ...]
    cell_count: int
    as_of: str = ""
    base_currency: str = ""
    book_digest: str = ""
    market_digest: str = ""
    scenarios_digest: str = ""
    measures: tuple[str, ...] = ()
    quarantine: tuple[PlannedQuarantine, ...] = ()
    tile_duration_s: float = 0.0
    table_digest: str = ""
    outputs: tuple[str, ...] = ()
    plan_version: int = PLAN_VERSION

    @property
    def input_digests(self) -> tuple[str, ...]:
        """Every blob the plan was made of and is computed from."""
        named = (self.book_digest, self.market_digest, self.scenarios_digest, self.table_digest)
        return tuple(digest for digest in named if digest)

    def cells_of_row(self, scenario_begin: int, scenario_end: int) -> int:
        """Cells of one row in a range of scenarios: a pv each, and at the base the other measures with it."""
        measure_count = len(self.measures) - 1 if self.measures and scenario_begin == 0 < scenario_end else 0
        return scenario_end - scenario_begin + measure_count

    def check(self) -> None:
        """Assert the invariants named at the head of this module."""
        for position, node in enumerate(self.nodes):
            assert node.node_id == position, (node.node_id, position)
            assert node.tile_count > 0, node.name
            for ref in node.inputs:
                assert 0 <= ref.node_id < position, (node.name, ref)
                assert ref.divisor > 0, (node.name, ref)
                assert 0 <= ref.modulus <= self.nodes[ref.node_id].tile_count, (node.name, ref)

    def encode(self) -> bytes:
        """MessagePack; equal plans give equal bytes."""
        return msgspec.msgpack.encode(self)


def decode_plan(data: bytes) -> Plan:
    return msgspec.msgpack.decode(data, type=Plan)


def digest_of(data: bytes) -> str:
    """Name of a blob: BLAKE2b, 32 bytes, hex."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()
