"""What is computed: plans of a few dozen tiles, and a value for each tile that depends on its inputs.

The value of a tile is a digest over (plan, node, tile, values of its inputs), computed by the simulated worker from
what it fetched, and by the checker from nothing but the plan and the tiles given up. They agree only if every worker
saw the inputs it should have seen (S11). On the wire a value is preceded by the ghost serial of the grant it was
evaluated under.

Half of the runs over a book show sums alone: these are granted in another order than those somebody watches.

A tile's fate is drawn with its run: most are well, some raise always or on their first worker, some kill whoever
evaluates them (poison); now and then a whole node does, as a bad kernel would. Runs need one of two versions of a
kernel, as during a rolling upgrade; request ids of two tenants are the same (they never meet).
"""

from __future__ import annotations

import copy
import enum
import hashlib
import random
from collections.abc import Callable, Sequence

import msgspec

from tests.scheduler.core.builders import a_book_plan, a_probe_plan
from xip_core.graph.plan import Node, NodeKind, Plan, digest_of
from xip_core.model.detail import Detail
from xip_scheduler.core.words import Priority

FEW_TILES = 8
BAD_KERNEL_SHARE = 0.03
LONG_TILE_S = 20.0
"""Longer than a lease lasts without a heartbeat."""

KERNELS = (("terms", "1"), ("terms", "2"))
"""Versions that workers may have; the host that is never lost for good has them all."""

TENANTS = ("rates", "credit", "flood")
SERIAL_BYTES = 8
VALUE_BYTES = 12
Tile = tuple[str, int, int]
"""run_id, node_id, tile."""

Cells = tuple[int, int, int, int, str, str]
"""row, scenario_begin, scenario_end, reason, message, trade id of what has no number."""


class Fate(enum.IntEnum):
    WELL = 0
    FAILS = 1
    FAILS_ONCE = 2
    CRASHES = 3


class Request:
    """A run as a client will submit it.

    Attributes:
        fates: of the tiles that are not well, by (node, tile).
        spec: as the client sent it; of a run that can begin with nothing of another, none.
        since: the run that it names to begin with (`ticking`).
        is_computing_all: it asks to begin with nothing.
    """

    spec = b""
    since = ""
    is_computing_all = False

    def __init__(
        self, chance: random.Random, number: int, tenant: str = "", at_s: float = 0.0, detail: Detail = Detail.ALL
    ) -> None:
        self.tenant = tenant or TENANTS[number % 2]
        self.request_id = f"q{number // 2}" if not tenant else f"q{number}"
        self.run_id = f"r-{self.tenant}-{self.request_id}"
        self.at_s = at_s or (chance.uniform(0.0, 40.0) if number else 0.0)
        self.retried = ""
        self.priority = chance.choice((Priority.INTERACTIVE, Priority.BATCH))
        self.deadline_after_s = chance.choice((0.0, 0.0, 30.0, 600.0))
        self.plan = shown(_draw_plan(chance), detail)
        self.encoded = self.plan.encode()
        self.plan_digest = digest_of(self.encoded)
        self.blobs = {self.plan_digest: self.encoded}
        self.payload_hash = f"h{number}"
        self.tile_s = chance.choice((0.02, 0.1, 0.3, 1.0))
        if sum(node.tile_count for node in self.plan.nodes) <= FEW_TILES and chance.random() < 0.5:
            self.tile_s = LONG_TILE_S
        self.fates: dict[tuple[int, int], Fate] = {}
        if chance.random() < BAD_KERNEL_SHARE:
            node = chance.choice(self.plan.nodes)
            self.fates.update({(node.node_id, tile): Fate.CRASHES for tile in range(node.tile_count)})
        elif chance.random() < 0.6:
            for _ in range(chance.choice((1, 1, 2, 4))):
                node = chance.choice(self.plan.nodes)
                fate = chance.choice((Fate.FAILS, Fate.FAILS_ONCE, Fate.CRASHES))
                self.fates[node.node_id, chance.randrange(node.tile_count)] = fate

    @property
    def is_of_sums(self) -> bool:
        """Nobody watches for its first numbers."""
        return all(source.detail is Detail.NONE for source in self.plan.sources)

    @property
    def is_quick(self) -> bool:
        """Roots are ready at once, and no worker is needed that not all of them are."""
        return not self.plan.nodes[0].kernels

    def fate(self, node_id: int, tile: int) -> Fate:
        return self.fates.get((node_id, tile), Fate.WELL)

    def value_of(self, node: Node, tile: int, inputs: list[bytes], is_crippled: bool = False) -> bytes:
        """The number a tile stands for; an input that was given up is b"", a crippled tile has lost a row."""
        return digest_over(f"{self.plan_digest}/{node.node_id}/{tile}", inputs)

    def is_found(self, node: Node, tile: int) -> bool:
        """Does a child process find the row that crashes a tile, and refuse it alone?"""
        return False

    def quarantine_of(self, node: Node, tile: int, is_crippled: bool) -> tuple[Cells, ...]:
        """What a worker reports without a number, of a tile that it has evaluated."""
        return ()

    def objects_of(self, node: Node, tile: int) -> tuple[str, ...]:
        """What a worker tells of a resolve tile: market objects that its rows read."""
        return ()


def retry_of(old: Request, chance: random.Random) -> Request:
    """The run that computes what *old* lacks; what failed may be cured meanwhile."""
    new = copy.copy(old)
    new.request_id = f"{old.request_id}+"
    new.run_id = f"{old.run_id}+"
    new.payload_hash = f"{old.payload_hash}+"
    new.retried = old.run_id
    new.fates = {} if chance.random() < 0.5 else old.fates
    return new


def shown(plan: Plan, detail: Detail) -> Plan:
    """*plan*, of which so much travels to clients."""
    sources = tuple(msgspec.structs.replace(source, detail=detail) for source in plan.sources)
    return msgspec.structs.replace(plan, sources=sources)


def draw_detail(chance: random.Random) -> Detail:
    return chance.choice((Detail.ALL, Detail.NONE))


def _draw_plan(chance: random.Random) -> Plan:
    if chance.random() < 0.35:
        plan = a_probe_plan(chance.choice((1, 8, 30, 60)), tiles_per_lease=chance.choice((0, 1, 5)))
    else:
        plan = a_book_plan(
            chance.choice((1, 2, 3, 4)), chance.choice((1, 2, 3, 4)), tiles_per_lease=chance.choice((0, 1, 1, 3))
        )
    if chance.random() < 0.5:
        return plan
    kernels = (chance.choice(KERNELS),)
    return msgspec.structs.replace(
        plan, nodes=tuple(msgspec.structs.replace(node, kernels=kernels) for node in plan.nodes)
    )


def tiles_needed(plan: Plan, node: Node, tile: int) -> list[tuple[int, int]]:
    """(node, tile) of every input of a tile."""
    needed: list[tuple[int, int]] = []
    for ref in node.inputs:
        tiles = ref.tiles_needed(tile, plan.nodes[ref.node_id].tile_count)
        needed.extend((ref.node_id, needed_tile) for needed_tile in tiles)
    return needed


def digest_over(told: str, inputs: Sequence[bytes] = ()) -> bytes:
    digest = hashlib.blake2b(told.encode(), digest_size=VALUE_BYTES)
    for value in inputs:
        digest.update(len(value).to_bytes(1, "little") + value)
    return digest.digest()


def expected_value(
    request: Request,
    node_id: int,
    tile: int,
    is_failed: Callable[[int, int], bool],
    is_crippled: Callable[[int, int], bool],
    known: dict[tuple[int, int], bytes],
) -> bytes:
    """The value in a world without faults where just the tiles given up, and rows that kill, are missing."""
    if is_failed(node_id, tile):
        return b""
    if (node_id, tile) not in known:
        node = request.plan.nodes[node_id]
        needed = tiles_needed(request.plan, node, tile)
        inputs = [expected_value(request, *each, is_failed, is_crippled, known) for each in needed]
        known[node_id, tile] = request.value_of(node, tile, inputs, is_crippled(node_id, tile))
    return known[node_id, tile]


def cells_of_tile(plan: Plan, node: Node, tile: int) -> int:
    """Cells a result of one tile decides, counted from the plan's definition."""
    if node.kind is NodeKind.PROBE:
        return 1
    if node.kind is not NodeKind.VALUE:
        return 0
    row_begin, row_end = node.row_range(tile)
    return (row_end - row_begin) * plan.cells_of_row(*node.scenario_range(tile))
