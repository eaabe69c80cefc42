"""Desks that submit again and again: markets tick, books are edited, and a run begins with tiles of an earlier one.

The scheduler compares real snapshots, books and plans (`xip_core.graph.reuse`) and takes real notes of workers. What it
must come to is written down here a second time, and by hand: which quotes an object is made of (`QUOTES`), what it is
built on (`PARENTS`), which strikes a shift by moneyness finds. From these follows the value of every tile of a run in a
world without reuse; a tile that was taken over has these bytes or the checker objects (S11).

    tile of     its value is a digest over
    calibrate   for each object: definitions, scenarios, all quotes that reach it
    resolve     definitions, lines of its rows
    value       measures, its resolve tile, and of both calibrate tiles what its rows read, and nothing else
    reduce      its inputs

A line is "ID object"; of the object "nothing" it has no number, whoever looks (MISSING_DATA). Both tenants submit the
same books and markets, so what a tenant could begin with lies about under another's name all the time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from functools import cached_property

import msgspec

from tests.scheduler.core.builders import a_book_plan
from tests.simulation.workload import KERNELS, TENANTS, Cells, Fate, Request, digest_over, shown
from xip_core.errors import FailureReason
from xip_core.graph.plan import InputRef, Node, NodeKind, Plan, digest_of
from xip_core.model.detail import Detail
from xip_core.model.market import CommodityDefinition, CommodityVolatility, EquityDefinition, HazardDefinition, Snapshot
from xip_core.model.market import encode_snapshot as encode_market
from xip_core.model.market_instruments import CurveDefinition, Pillar, ZeroRates, ZeroSpreads
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, encode_scenarios
from xip_core.wire.v1 import run_pb2
from xip_scheduler.core.words import Priority

QUOTES = {
    "curve/OIS": ("OIS.1Y", "OIS.5Y"),
    "curve/FORECAST": ("FORECAST.5Y",),
    "equity/ACME": ("ACME",),
    "hazard/BANK": ("BANK.5Y",),
    "commodity/OIL": ("OIL",),
    "commodity_volatility/OIL": ("OIL.VOL.30", "OIL.VOL.40"),
}
PARENTS = {
    "curve/OIS": (),
    "curve/FORECAST": ("curve/OIS",),
    "equity/ACME": ("curve/FORECAST",),
    "hazard/BANK": ("curve/OIS",),
    "commodity/OIL": (),
    "commodity_volatility/OIL": (),
}
OBJECTS = tuple(sorted(QUOTES))
STRIKES = (30.0, 40.0)
NOTHING = "nothing"
PART_BYTES = 4
ROWS_PER_TILE = 2
SCENARIO_BLOCKS = 2
AS_OF = dt.date(2016, 2, 5)
TICKING_ONE_IN = 8
TICKING_FIRST = 7
"""Schedules of seeds 7, 15, 23, ... are of such desks."""

SUBMISSIONS = (4, 6, 8)
SUBMITTED_SHARE = 0.8
NAMED_SHARE = 0.25
STRANGER_SHARE = 0.08
NO_REUSE_SHARE = 0.08
FORGETFUL_SHARE = 0.2


class State(msgspec.Struct, frozen=True, dict=True):  # properties are kept
    """What a desk would submit now.

    Attributes:
        has_moneyness: the scenarios move the volatilities at strikes up to the spot.
        curve_tenor: of the longest rate, a definition.
        detail: shown of its runs.
    """

    quotes: dict[str, float]
    lines: tuple[str, ...]
    measures: tuple[str, ...] = ("pv",)
    scenario_size: float = 0.01
    has_moneyness: bool = True
    curve_tenor: str = "5Y"
    detail: Detail = Detail.ALL
    kernels: tuple[tuple[str, str], ...] = (KERNELS[0],)

    @cached_property
    def market(self) -> Snapshot:
        return Snapshot(
            as_of=AS_OF,
            base_currency="EUR",
            quotes=self.quotes,
            curves=(
                CurveDefinition(
                    name="OIS",
                    currency="EUR",
                    segments=(ZeroRates(pillars=(Pillar("1Y", "OIS.1Y"), Pillar(self.curve_tenor, "OIS.5Y"))),),
                ),
                CurveDefinition(
                    name="FORECAST",
                    currency="EUR",
                    segments=(ZeroSpreads(pillars=(Pillar("5Y", "FORECAST.5Y"),), reference_curve="OIS"),),
                ),
            ),
            equities=(EquityDefinition(name="ACME", currency="EUR", spot_quote="ACME", forecast_curve="FORECAST"),),
            hazards=(
                HazardDefinition(
                    name="BANK",
                    currency="EUR",
                    recovery_rate=0.4,
                    discount_curve="OIS",
                    cds_spreads=(Pillar("5Y", "BANK.5Y"),),
                ),
            ),
            commodities=(CommodityDefinition(name="OIL", currency="EUR", forwards=(), spot_quote="OIL"),),
            commodity_volatilities=(
                CommodityVolatility(name="OIL", expiries=("1Y",), strikes=STRIKES, quotes=("OIL.VOL.30", "OIL.VOL.40")),
            ),
        )

    @cached_property
    def scenarios(self) -> ScenarioSet:
        names = (f"s{position}" for position in range(1, 4 * SCENARIO_BLOCKS))
        size = self.scenario_size
        if self.has_moneyness:
            shift = Shift(target="commodity_volatility", name="OIL", shift_absolute=size, moneyness_until=1.0)
        else:
            shift = Shift(target="commodity_volatility", name="OIL", shift_absolute=size)
        moved = tuple(Scenario(name=name, shifts=(shift,)) for name in names)
        return ScenarioSet(scenarios=(Scenario(name="base"), *moved))

    def quotes_of(self, name: str) -> tuple[str, ...]:
        """Quotes that reach an object."""
        return QUOTES[name] + tuple(quote for parent in PARENTS[name] for quote in self.quotes_of(parent))

    def object_part(self, name: str, scenario_block: int) -> bytes:
        """What the scenarios of a block make of an object."""
        values = [(quote, self.quotes[quote]) for quote in self.quotes_of(name)]
        found = [strike for strike in STRIKES if strike <= self.quotes["OIL"]]
        aimed = found if self.has_moneyness and name == "commodity_volatility/OIL" else "all of it"
        told = f"{name} {values} {self.curve_tenor} {self.scenario_size} {self.has_moneyness} {aimed} {scenario_block}"
        return hashlib.blake2b(told.encode(), digest_size=PART_BYTES).digest()


def object_of(line: str) -> str:
    return line.split()[1]


class Ticking(Request):
    """A run of the state a desk is in.

    Attributes:
        since: the run it names, "" for none.
        is_forgetful: its workers do not tell what the rows of their resolve tiles read.
    """

    def __init__(self, chance: random.Random, number: int, tenant: str, at_s: float, state: State) -> None:
        self.tenant = tenant
        self.request_id = f"t{number}"
        self.run_id = f"r-{tenant}-{self.request_id}"
        self.at_s = at_s
        self.retried = ""
        self.priority = Priority.INTERACTIVE
        self.deadline_after_s = 0.0
        self.state = state
        self.since = ""
        self.is_computing_all = chance.random() < NO_REUSE_SHARE
        self.is_forgetful = chance.random() < FORGETFUL_SHARE
        contents = [
            "".join(f"{line}\n" for line in state.lines).encode(),
            encode_market(state.market),
            encode_scenarios(state.scenarios),
        ]
        self.blobs = {digest_of(content): content for content in contents}
        self.digests = tuple(self.blobs)
        self.plan = _plan_of(state, self.digests)
        self.encoded = self.plan.encode()
        self.plan_digest = digest_of(self.encoded)
        self.blobs[self.plan_digest] = self.encoded
        self.payload_hash = f"h{number}"
        self.tile_s = chance.choice((0.02, 0.05, 0.2))
        self.fates: dict[tuple[int, int], Fate] = {}
        if chance.random() < 0.4:
            for _ in range(chance.choice((1, 1, 2))):
                node = chance.choice(self.plan.nodes)
                fate = chance.choice((Fate.FAILS, Fate.FAILS_ONCE, Fate.CRASHES, Fate.CRASHES))
                self.fates[node.node_id, chance.randrange(node.tile_count)] = fate

    @property
    def spec(self) -> bytes:
        book, market, scenarios = (bytes.fromhex(digest) for digest in self.digests)
        risk = run_pb2.RiskWork(
            book_digest=book, market_digest=market, scenarios_digest=scenarios, base_currency="EUR", as_of=str(AS_OF)
        )
        spec = run_pb2.RunSpec(tenant=self.tenant, risk=risk, since=self.since, no_reuse=self.is_computing_all)
        return spec.SerializeToString(deterministic=True)

    def lines_of(self, node: Node, tile: int) -> list[tuple[int, str]]:
        """(row, line) of a row block."""
        begin, end = node.row_range(tile)
        return [(row, self.state.lines[row]) for row in range(begin, end)]

    def value_of(self, node: Node, tile: int, inputs: list[bytes], is_crippled: bool = False) -> bytes:
        state, version = self.state, str(node.kernels)
        match node.kind:
            case NodeKind.CALIBRATE:
                return b"".join(state.object_part(name, tile) for name in OBJECTS)
            case NodeKind.RESOLVE:
                lines = [line for _, line in self.lines_of(node, tile)]
                return digest_over(f"{version} {state.curve_tenor} {lines}")
            case NodeKind.VALUE:
                rows = self.lines_of(node, tile)
                refused = self.crippled_row(node, tile) if is_crippled else None
                read = [object_of(line) for row, line in rows if row != refused]
                places = [OBJECTS.index(name) * PART_BYTES for name in read if name != NOTHING]
                parts = [market[at : at + PART_BYTES] for market in inputs[1:] for at in places]
                return digest_over(f"{version} {state.measures} {refused}", [inputs[0], *parts])
            case _:
                return digest_over(version, inputs)

    def is_found(self, node: Node, tile: int) -> bool:
        return node.kind is NodeKind.VALUE and self.crippled_row(node, tile) is not None

    def crippled_row(self, node: Node, tile: int) -> int | None:
        """The row that crashes a tile whose fate that is."""
        return next((row for row, line in self.lines_of(node, tile) if object_of(line) != NOTHING), None)

    def quarantine_of(self, node: Node, tile: int, is_crippled: bool) -> tuple[Cells, ...]:
        if node.kind is not NodeKind.VALUE:
            return ()
        span = node.scenario_range(tile)
        missing = int(FailureReason.MISSING_DATA)
        without = [row for row, line in self.lines_of(node, tile) if object_of(line) == NOTHING]
        found = [(row, *span, missing, "no data", "") for row in without]
        refused = self.crippled_row(node, tile) if is_crippled else None
        if refused is not None:
            found.append((refused, *span, int(FailureReason.CRASHED), "signal 11 in a child", ""))
        return tuple(found)

    def objects_of(self, node: Node, tile: int) -> tuple[str, ...]:
        if node.kind is not NodeKind.RESOLVE or self.is_forgetful:
            return ()
        return tuple(sorted({object_of(line) for _, line in self.lines_of(node, tile)} - {NOTHING}))


def _plan_of(state: State, digests: tuple[str, ...]) -> Plan:
    """As `a_book_plan`, with a sum for each block of scenarios."""
    row_count = len(state.lines)
    row_blocks = -(-row_count // ROWS_PER_TILE)
    plan = a_book_plan(row_blocks, SCENARIO_BLOCKS, rows_per_tile=ROWS_PER_TILE)
    rows = b"".join(row.to_bytes(4, "little") for row in range(row_count))
    nodes = []
    for node in plan.nodes:
        changes: dict[str, object] = {"kernels": state.kernels}
        if node.rows:
            changes |= {"row_count": row_count, "rows": rows}
        if node.kind is NodeKind.REDUCE:
            changes |= {"tile_count": SCENARIO_BLOCKS, "inputs": (InputRef(2, stride=SCENARIO_BLOCKS),)}
        nodes.append(msgspec.structs.replace(node, **changes))
    source = msgspec.structs.replace(
        plan.sources[0],
        book_digest=digests[0],
        market_digest=digests[1],
        scenarios_digest=digests[2],
        base_currency="EUR",
        as_of=str(AS_OF),
        measures=state.measures,
    )
    cell_count = row_count * source.cells_of_row(0, 4 * SCENARIO_BLOCKS)
    return shown(Plan(tuple(nodes), cell_count, (source,)), state.detail)


# ---- what happens on a desk


def _ticked(chance: random.Random, state: State) -> State:
    changed = {quote: round(chance.uniform(0.01, 0.05), 4) for quote in chance.sample(sorted(state.quotes), 1)}
    for quote, levels in (("OIL", (31.0, 35.0, 45.0)), ("ACME", (99.0, 100.0, 101.0))):
        if quote in changed:
            changed[quote] = chance.choice(levels)
    return msgspec.structs.replace(state, quotes=state.quotes | changed)


def _a_line(chance: random.Random) -> str:
    name = NOTHING if chance.random() < 0.1 else chance.choice(OBJECTS)
    return f"T{chance.randrange(1_000)} {name}"


def _amended(chance: random.Random, state: State) -> State:
    lines = list(state.lines)
    lines[chance.randrange(len(lines))] = _a_line(chance)
    return msgspec.structs.replace(state, lines=tuple(lines))


def _added(chance: random.Random, state: State) -> State:
    at = len(state.lines) if chance.random() < 0.7 else 0
    return msgspec.structs.replace(state, lines=(*state.lines[:at], _a_line(chance), *state.lines[at:]))


def _removed(chance: random.Random, state: State) -> State:
    return msgspec.structs.replace(state, lines=state.lines[:-1]) if len(state.lines) > 1 else state


def _other_scenarios(chance: random.Random, state: State) -> State:
    size, has_moneyness = chance.choice((0.01, 0.02)), chance.random() < 0.7
    return msgspec.structs.replace(state, scenario_size=size, has_moneyness=has_moneyness)


def _other_measures(chance: random.Random, state: State) -> State:
    return msgspec.structs.replace(state, measures=chance.choice((("pv",), ("pv", "delta"))))


def _redefined(chance: random.Random, state: State) -> State:
    return msgspec.structs.replace(state, curve_tenor=chance.choice(("5Y", "7Y")))


def _upgraded(chance: random.Random, state: State) -> State:
    return msgspec.structs.replace(state, kernels=(chance.choice(KERNELS),))


CHANGES = (
    (8, _ticked),
    (3, _amended),
    (2, _added),
    (2, _removed),
    (1, _other_scenarios),
    (1, _other_measures),
    (2, _redefined),
    (2, _upgraded),
    (2, lambda chance, state: state),
)


def draw_ticking(chance: random.Random, detail: Detail) -> list[Ticking]:
    """The submissions of two desks that look at the same books and markets, in the order of time."""
    state = State(
        quotes={"OIL": 35.0, "ACME": 100.0, "NOBODY.ASKS": 1.0}
        | {quote: 0.02 for quotes in QUOTES.values() for quote in quotes if quote not in ("OIL", "ACME")},
        lines=tuple(_a_line(chance) for _ in range(chance.choice((3, 4, 6, 8)))),
        kernels=(chance.choice(KERNELS),),
        detail=detail,
    )
    changes = [change for weight, change in CHANGES for _ in range(weight)]
    requests: list[Ticking] = []
    at_s = chance.uniform(0.0, 2.0)
    for number in range(chance.choice(SUBMISSIONS)):
        for tenant in TENANTS[:2]:
            if chance.random() < SUBMITTED_SHARE:
                request = Ticking(chance, number, tenant, at_s + chance.random(), state)
                request.since = _named(chance, request, requests)
                requests.append(request)
        at_s += chance.uniform(2.0, 8.0)
        state = chance.choice(changes)(chance, state)
    return requests


def _named(chance: random.Random, request: Ticking, before: list[Ticking]) -> str:
    is_own = chance.random() >= STRANGER_SHARE
    known = [other.run_id for other in before if (other.tenant == request.tenant) is is_own]
    if request.is_computing_all or not known or (is_own and chance.random() >= NAMED_SHARE):
        return ""
    return chance.choice(known[-3:])
