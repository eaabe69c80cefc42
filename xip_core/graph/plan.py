"""The risk graph of a run, as data.

A run becomes a handful of nodes; a node is one operation over a grid of tiles. Nothing here is per trade or per cell:
a book of a million trades has the same dozen nodes as one of ten, only their tile counts differ.

Tiles of a node are numbered row-major over (row block, scenario block)::

    tile = row_block * scenario_block_count + scenario_block

and fixed when the graph is planned, so a number never depends on who computed its tile. Row blocks have as many rows as
`Node.rows_per_tile`, or end where `Node.block_ends` says.

Dependencies are arithmetic, not edges (`InputRef`): a value tile (i, j) needs resolve tile i and calibrate tile j, and
nothing waits for a whole node that does not have to::

    resolve[g] (i)  ──┐
                      ├── value[g] (i, j) ── sum[g] (k, j) ──> reduce (j) ──> aggregate
    calibrate  (j)  ──┘

**Sources.** What a value node values is a source: book, market, scenarios, date. A run of one book has one; one that
compares two days, or rolls its date, has several, and its nodes say which they are of. Rows are numbered through: those
of source n begin at its `row_begin`, so a row number means one row of one book wherever it stands (quarantine, result
blocks, retries).

**Leaf groups.** Sums go by hierarchy keys (desk, book, counterparty, currency, asset class, tags). Rows that agree in
all keys a run asks for are a leaf group; `Plan.groups` lists them, a value node has the number of each row's. Partial
sums are made per leaf group on the worker, so what leaves a tile does not grow with its rows.

Invariants (checked by `Plan.check`): node ids are 0..n-1 in topological order; every input id is smaller than the
node's own; every needed tile exists; every source and leaf group named exists.

Sizes: a plan of 2,000 trades is 31 kB, mostly row numbers (4 bytes a trade in its resolve and in its value node) and
group numbers (4 in its value node).
"""

from __future__ import annotations

import bisect
import enum
import hashlib
import itertools
import struct
from array import array
from collections.abc import Sequence

import msgspec

from xip_core.errors import IntegrityError
from xip_core.kernel_versions import Versions
from xip_core.model.aggregates import Aggregate
from xip_core.model.run_spec import Detail

PLAN_VERSION = 3
"""
3   row blocks that end where the dependency of rows changes (`Node.block_ends`). Plans of version 2 have none and are
    read as ever; workers of that version refuse plans of this one, for they would take other rows for a tile.
2   sources, leaf groups, aggregates. Plans of version 1 are read as one source and no groups: their runs are listed and
    their numbers served as ever. Their open tiles need operations that workers of this version do not announce, so what
    was unfinished waits for a worker of its version, or is cancelled and submitted again.
"""

_INT32 = struct.Struct("<i")

UNCLASSIFIED = "unclassified"
"""Label of what could not be read of a row that has no number."""


class NodeKind(enum.StrEnum):
    RESOLVE = "resolve"
    CALIBRATE = "calibrate"
    VALUE = "value"
    REDUCE = "reduce"
    AGGREGATE = "aggregate"
    PROBE = "probe"
    KERNEL = "kernel"
    SUITABILITY = "suitability"


class InputRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which tiles of node *node_id* a tile needs.

    With a *modulus*, the one tile `(tile // divisor) % modulus`. Without, those that stand in its column of a grid
    *stride* tiles wide: every tile t with `t % stride == tile % stride`, of the rows
    [tile // stride * rows, (tile // stride + 1) * rows), or of all rows when *rows* is 0. So the default is every tile.
    """

    node_id: int
    divisor: int = 1
    modulus: int = 0
    stride: int = 1
    rows: int = 0

    def tile_needed(self, tile: int) -> int | None:
        """The one tile needed, or None for several."""
        return (tile // self.divisor) % self.modulus if self.modulus else None

    def tiles_needed(self, tile: int, tile_count: int) -> range:
        """All tiles needed, of a node that has *tile_count*."""
        one = self.tile_needed(tile)
        if one is not None:
            return range(one, one + 1)
        row, column = divmod(tile, self.stride)
        begin, end = (row * self.rows, (row + 1) * self.rows) if self.rows else (0, tile_count)
        return range(begin * self.stride + column, min(end * self.stride, tile_count), self.stride)


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
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
        source: what the node is of, a position in `Plan.sources`.
        groups: int32 little-endian leaf group of each of *rows*, positions in `Plan.groups` (value nodes).
        aggregate: what an aggregate node makes of its inputs, None elsewhere.
        weights: of an aggregate node that combines vectors, one an input.
        row_begin: number of the first row of a node that has no *rows* because they follow each other (clients).
        block_ends: int32 little-endian node rows at which the row blocks end, where these have not all *rows_per_tile*;
            then they have about as many (`graph.blocks`).
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
    source: int = 0
    groups: bytes = b""
    aggregate: Aggregate | None = None
    weights: tuple[float, ...] = ()
    row_begin: int = 0
    block_ends: bytes = b""

    @property
    def row_numbers(self) -> Sequence[int]:
        """
        The plan's numbers of the rows whose cells, or resolved columns, are the node's own: listed, or consecutive ones
        of a table or of clients. A node that only adds has none, though its tiles stand for rows.
        """
        if self.kind in (NodeKind.KERNEL, NodeKind.SUITABILITY):
            return range(self.row_begin, self.row_begin + self.row_count)
        return array("i", self.rows)

    def check_blocks(self) -> None:
        """Assert that the blocks, where they are listed, are the rows of the node and one a row of tiles."""
        if self.block_ends:
            ends = array("i", self.block_ends)
            assert ends[-1] == self.row_count, (self.name, ends[-1], self.row_count)
            assert len(ends) * self.scenario_block_count == self.tile_count, (self.name, len(ends))
            sizes = [end - begin for begin, end in itertools.pairwise([0, *ends])]
            assert min(sizes) > 0, self.name

    @property
    def scenario_block_count(self) -> int:
        return -(-self.scenario_count // self.scenarios_per_tile) if self.scenarios_per_tile else 1

    def row_range(self, tile: int) -> tuple[int, int]:
        """Half-open range of node rows of *tile*."""
        return self.block_range(tile // self.scenario_block_count)

    def block_range(self, block: int) -> tuple[int, int]:
        """Half-open range of node rows of a row block."""
        if self.block_ends:
            begin = _INT32.unpack_from(self.block_ends, 4 * (block - 1))[0] if block else 0
            return begin, _INT32.unpack_from(self.block_ends, 4 * block)[0]
        begin = block * self.rows_per_tile
        return begin, min(begin + self.rows_per_tile, self.row_count)

    @property
    def row_block_count(self) -> int:
        return len(self.block_ends) // 4 or -(-self.row_count // self.rows_per_tile)

    def block_of_row(self, position: int) -> int:
        """The row block of node row *position*."""
        if self.block_ends:
            return bisect.bisect_right(array("i", self.block_ends), position)
        return position // self.rows_per_tile

    def scenario_range(self, tile: int) -> tuple[int, int]:
        """Half-open range of scenarios of *tile*."""
        begin = tile % self.scenario_block_count * self.scenarios_per_tile
        return begin, min(begin + self.scenarios_per_tile, self.scenario_count)


class PlannedQuarantine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row the planner already knows to have no number (unknown type, duplicate id).

    It has none under any scenario nor of any measure; *asset_class* is "" where not even that could be read. *group* is
    the leaf group in whose sums it is missing.
    """

    row: int
    trade_id: str
    reason: int
    message: str
    asset_class: str = ""
    group: int = 0


class PlanInput(msgspec.Struct, frozen=True):
    """A blob that a plan was made of.

    Attributes:
        kind: as requests name it: "book", "covariance", ...
        of: the source or aggregate that it is of, "" where a run has no other.
    """

    kind: str
    digest: str
    of: str = ""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """What value nodes value. Digests are hex.

    Attributes:
        name: for screens; "" in a run of one source.
        risk_classes: shifts of these alone are applied; () for all.
        detail: what of the per-trade numbers travels to clients.
        row_begin: number of its book's first row in the plan.
        row_count: rows of its book, quarantined ones included.
        scenario_count: the base included.

    Cells: a row has one per scenario (its pv) and one per other measure; the measures belong to the base, scenario 0.
    """

    book_digest: str = ""
    market_digest: str = ""
    scenarios_digest: str = ""
    as_of: str = ""
    base_currency: str = ""
    measures: tuple[str, ...] = ()
    risk_classes: tuple[str, ...] = ()
    detail: Detail = Detail.ALL
    row_begin: int = 0
    row_count: int = 0
    scenario_count: int = 0
    name: str = ""

    @property
    def input_digests(self) -> tuple[str, ...]:
        return tuple(one.digest for one in self.inputs)

    @property
    def inputs(self) -> tuple[PlanInput, ...]:
        named = {"book": self.book_digest, "market": self.market_digest, "scenarios": self.scenarios_digest}
        return tuple(PlanInput(kind, digest, self.name) for kind, digest in named.items() if digest)

    def cells_of_row(self, scenario_begin: int, scenario_end: int) -> int:
        """Cells of one row in a range of scenarios: a pv each, and at the base the other measures with it."""
        measure_count = len(self.measures) - 1 if self.measures and scenario_begin == 0 < scenario_end else 0
        return scenario_end - scenario_begin + measure_count


class Groups(msgspec.Struct, frozen=True):
    """Leaf groups of a run.

    Attributes:
        keys: hierarchy keys; the asset class comes first.
        labels: of each group, one a key.
    """

    keys: tuple[str, ...] = ()
    labels: tuple[tuple[str, ...], ...] = ()


_NO_SOURCE = Source()


class ClientInputs(msgspec.Struct, frozen=True):
    """What clients are judged by, beside the vectors of their instruments (`model.run_spec.SuitabilityWork`).

    Attributes:
        stress: positions of the scenarios of the stress pack.
    """

    instruments_digest: str
    clients_digest: str
    profiles_digest: str
    span_years: float
    stress: tuple[int, ...]

    @property
    def inputs(self) -> tuple[PlanInput, ...]:
        digests = (self.instruments_digest, self.clients_digest, self.profiles_digest)
        kinds = ("instruments", "clients", "profiles")
        return tuple(PlanInput(kind, digest) for kind, digest in zip(kinds, digests, strict=True))


class Plan(msgspec.Struct, frozen=True):
    """The graph of one run and everything a worker needs to evaluate any tile of it. Digests are hex.

    *cell_count* covers every row of every source's book, quarantined ones included; of a probe it is the number of
    tiles, of a kernel over a table rows x *outputs*; where clients are judged each is one more.
    """

    nodes: tuple[Node, ...]
    cell_count: int
    sources: tuple[Source, ...] = ()
    groups: Groups = Groups()
    quarantine: tuple[PlannedQuarantine, ...] = ()
    tile_duration_s: float = 0.0
    table_digest: str = ""
    outputs: tuple[str, ...] = ()
    plan_version: int = PLAN_VERSION
    clients: ClientInputs | None = None

    @property
    def first_source(self) -> Source:
        """The only one of most runs; an empty one of a probe or a kernel over a table."""
        return self.sources[0] if self.sources else _NO_SOURCE

    @property
    def book_digest(self) -> str:
        return self.first_source.book_digest

    @property
    def market_digest(self) -> str:
        return self.first_source.market_digest

    @property
    def scenarios_digest(self) -> str:
        return self.first_source.scenarios_digest

    @property
    def as_of(self) -> str:
        return self.first_source.as_of

    @property
    def base_currency(self) -> str:
        return self.first_source.base_currency

    @property
    def measures(self) -> tuple[str, ...]:
        return self.first_source.measures

    @property
    def input_digests(self) -> tuple[str, ...]:
        """Every blob the plan was made of and is computed from, each once."""
        return tuple(dict.fromkeys(one.digest for one in self.inputs))

    @property
    def inputs(self) -> tuple[PlanInput, ...]:
        """Every blob the plan was made of and is computed from, once for each thing that it is of."""
        found = [one for source in self.sources for one in source.inputs]
        found += self.clients.inputs if self.clients is not None else ()
        aggregates = [node.aggregate for node in self.nodes if node.aggregate is not None]
        found += [PlanInput("covariance", one.covariance, one.label) for one in aggregates if one.covariance]
        return (*found, *([PlanInput("table", self.table_digest)] if self.table_digest else []))

    def source_of(self, node: Node) -> Source:
        return self.sources[node.source] if self.sources else _NO_SOURCE

    def cells_of_row(self, scenario_begin: int, scenario_end: int) -> int:
        """Of a row of the first source."""
        return self.first_source.cells_of_row(scenario_begin, scenario_end)

    def check(self) -> None:
        """Assert the invariants named at the head of this module."""
        for position, node in enumerate(self.nodes):
            assert node.node_id == position, (node.node_id, position)
            assert node.tile_count > 0, node.name
            assert 0 <= node.source < max(1, len(self.sources)), (node.name, node.source)
            assert len(node.groups) in (0, len(node.rows)), node.name
            node.check_blocks()
            for ref in node.inputs:
                assert 0 <= ref.node_id < position, (node.name, ref)
                assert ref.divisor > 0, (node.name, ref)
                assert ref.stride > 0, (node.name, ref)
                assert ref.rows >= 0, (node.name, ref)
                source_tiles = self.nodes[ref.node_id].tile_count
                assert 0 <= ref.modulus <= source_tiles, (node.name, ref)
                assert source_tiles % ref.stride == 0, (node.name, ref)

    def encode(self) -> bytes:
        """MessagePack; equal plans give equal bytes."""
        return msgspec.msgpack.encode(self)


class _PlanOfVersion1(msgspec.Struct, frozen=True):
    """One source, whose fields were the plan's own."""

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

    def to_present(self) -> Plan:
        scenario_count = max((node.scenario_count for node in self.nodes if node.kind is NodeKind.REDUCE), default=0)
        source = Source(
            book_digest=self.book_digest,
            market_digest=self.market_digest,
            scenarios_digest=self.scenarios_digest,
            as_of=self.as_of,
            base_currency=self.base_currency,
            measures=self.measures,
            scenario_count=scenario_count,
        )
        return Plan(
            nodes=self.nodes,
            cell_count=self.cell_count,
            sources=(source,) if self.book_digest else (),
            quarantine=self.quarantine,
            tile_duration_s=self.tile_duration_s,
            table_digest=self.table_digest,
            outputs=self.outputs,
            plan_version=1,
        )


class _Versioned(msgspec.Struct, frozen=True):
    plan_version: int = 1


def decode_plan(data: bytes) -> Plan:
    """
    The plan of these bytes, also one of version 1.

    Raises:
        IntegrityError: written by a newer version.
        msgspec.MsgspecError: not a plan.
    """
    version = msgspec.msgpack.decode(data, type=_Versioned).plan_version
    if version == 1:
        return msgspec.msgpack.decode(data, type=_PlanOfVersion1).to_present()
    if version != PLAN_VERSION:
        raise IntegrityError(f"a plan must be of version 1 to {PLAN_VERSION}, got one of {version}: update XiP here")
    return msgspec.msgpack.decode(data, type=Plan)


def digest_of(data: bytes) -> str:
    """Name of a blob: BLAKE2b, 32 bytes, hex."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def hash_of_pieces() -> hashlib.blake2b:
    """Of content that comes in pieces: what `update` was called with has this `hexdigest` as `digest_of` says."""
    return hashlib.blake2b(digest_size=32)
