"""Request to risk graph: how groups of rows become nodes, how nodes are cut into tiles, and what is refused.

A book becomes one pair of nodes per group of rows (`graph.rows`), one calibrate node and one reduce node::

    resolve option/fx     (i)  ──┐
                                 ├── value option/fx     (i, j) ──┐
    calibrate             (j)  ──┤                                ├── reduce
                                 ├── value terms/rates   (i, j) ──┘
    resolve terms/rates   (i)  ──┘

Value tile (i, j) of I row blocks x J scenario blocks needs, in this order, resolve tile i of its group, calibrate tile
j, and calibrate tile 0, whose first column is the base market: with it every tile forms its own P&L exactly, row by
row, and knows which rows a scenario leaves alone. Only reduce waits for whole nodes. A book of which no row can be
priced still has calibrate and reduce, so that its run ends like any other: complete, all of it in quarantine.

The plan is a function of the request and its blobs alone: equal requests give equal bytes (`graph.cost` on shapes).

Refusals (`RequestError`, before anything is stored) are for what makes the whole run meaningless; a bad trade never is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from xip_core.errors import NotFoundError, RequestError
from xip_core.graph import cost
from xip_core.graph.kernel_table import plan_kernel
from xip_core.graph.plan import InputRef, Node, NodeKind, Plan
from xip_core.graph.request import canonical_measures, check_request
from xip_core.graph.rows import GROUPS, BookRows, read_rows
from xip_core.kernel_versions import OPERATION_VERSIONS, requirements
from xip_core.model.market import decode_snapshot
from xip_core.model.market_objects import market_objects
from xip_core.model.run_spec import KernelSignature, KernelWork, ProbeWork, RiskWork, RunSpec
from xip_core.model.scenario import ScenarioMarket, decode_scenarios

TILE_COUNT_MAX = 10_000_000
"""Tiles of a run: the size the scheduler's memory is proven for."""

Blob = Callable[[str], bytes]

NOTHING_ANNOUNCED: Mapping[str, KernelSignature] = {}


def plan_run(spec: RunSpec, blob: Blob, announced: Mapping[str, KernelSignature] = NOTHING_ANNOUNCED) -> Plan:
    """
    The risk graph of a request.

    Args:
        blob: content of an uploaded blob by its hex digest; raises NotFoundError.
        announced: signatures of the kernels that workers have beside ours, by name.

    Raises:
        RequestError: the request is refused; reasons are those of `request.check_request`, `rows.read_rows`,
            `model.market.decode_snapshot` and `model.scenario` (BAD_SNAPSHOT, SNAPSHOT_DATE_MISSING, BAD_SCENARIO,
            which also says that a shift names nothing), `kernel_table.plan_kernel`, and BLOB_MISSING, AS_OF_MISMATCH,
            BAD_BASE_CURRENCY, TOO_LARGE.
    """
    check_request(spec)
    match spec.work:
        case ProbeWork():
            plan = _plan_probe(spec.work)
        case RiskWork():
            plan = _plan_risk(spec.work, blob)
        case KernelWork():
            plan = plan_kernel(spec.work, blob, announced)
    plan.check()
    return plan


def _plan_probe(work: ProbeWork) -> Plan:
    node = Node(
        node_id=0,
        name=work.kernel,
        kind=NodeKind.PROBE,
        kernel=work.kernel,
        kernel_version=OPERATION_VERSIONS[work.kernel],
        kernels=requirements(work.kernel),
        tile_count=work.tile_count,
        cost_s=work.tile_duration_s or cost.PROBE_NOOP_S,
        tiles_per_lease=work.tiles_per_lease,
    )
    return Plan(nodes=(node,), cell_count=work.tile_count, tile_duration_s=work.tile_duration_s)


def _plan_risk(work: RiskWork, blob: Blob) -> Plan:
    market = _uploaded(blob, "market", work.market_digest)
    scenarios = _uploaded(blob, "scenarios", work.scenarios_digest)
    book = read_rows(_uploaded(blob, "book", work.book_digest))
    shape = _checked_scenario_shape(work, market, scenarios)
    plan = Plan(
        nodes=_nodes(book, shape),
        cell_count=0,
        as_of=work.as_of,
        base_currency=work.base_currency,
        book_digest=work.book_digest,
        market_digest=work.market_digest,
        scenarios_digest=work.scenarios_digest,
        measures=canonical_measures(work.measures),
        quarantine=book.quarantine,
    )
    return msgspec.structs.replace(plan, cell_count=book.row_count * plan.cells_of_row(0, shape.scenario_count))


def _uploaded(blob: Blob, what: str, digest: str) -> bytes:
    try:
        return blob(digest)
    except NotFoundError:
        sentence = f"{what}_digest must name an uploaded blob, got {digest}, which is not here"
        raise RequestError("BLOB_MISSING", sentence) from None


class _ScenarioShape(msgspec.Struct, frozen=True):
    """How many scenarios there are, and how many go into one tile."""

    scenario_count: int
    per_tile: int


def _checked_scenario_shape(work: RiskWork, market: bytes, scenarios: bytes) -> _ScenarioShape:
    """The scenarios' shape, after market and scenarios were found sound and to fit the request."""
    snapshot = decode_snapshot(market)
    if snapshot.as_of.isoformat() != work.as_of:
        sentence = f"as_of must be that of the market snapshot, {snapshot.as_of.isoformat()}, got {work.as_of}"
        raise RequestError("AS_OF_MISMATCH", sentence)
    if work.base_currency != snapshot.base_currency:
        sentence = f"base_currency must be the market snapshot's, {snapshot.base_currency}, got {work.base_currency!r}"
        raise RequestError("BAD_BASE_CURRENCY", sentence)
    scenario_set = decode_scenarios(scenarios)
    ScenarioMarket(snapshot).check(scenario_set)
    factor_count = sum(len(item.quotes) for item in market_objects(snapshot).values())  # at most one a quote
    if factor_count > cost.FACTOR_COUNT_MAX:
        sentence = f"a market must have at most {cost.FACTOR_COUNT_MAX} quotes in its objects, got {factor_count}"
        raise RequestError("TOO_LARGE", sentence)
    scenario_count = len(scenario_set.scenarios)
    return _ScenarioShape(scenario_count, cost.scenarios_per_tile(scenario_count, factor_count))


def _nodes(book: BookRows, shape: _ScenarioShape) -> tuple[Node, ...]:
    """The cheapest resolve, calibrate, the other resolves, the values, reduce.

    Schedulers grant what is deepest first and then by node id, so the first value tile is ready after one row block of
    the cheapest group and one scenario block, not after all of either.
    """
    groups = [(*group, rows) for group, rows in zip(GROUPS, book.group_rows, strict=True) if len(rows)]
    calibrate = _calibrate_node(min(1, len(groups)), shape)
    resolves = [_resolve_node(at + (at > 0), *group, calibrate) for at, group in enumerate(groups)]
    values = [_value_node(1 + len(groups) + at, resolve, calibrate) for at, resolve in enumerate(resolves)]
    reduce = _reduce_node(1 + 2 * len(groups), values, shape.scenario_count)
    value_tile_count = sum(node.tile_count for node in values)
    if value_tile_count > TILE_COUNT_MAX:
        sentence = f"a run must have at most {TILE_COUNT_MAX} tiles, got {value_tile_count}: split the book"
        raise RequestError("TOO_LARGE", sentence)
    return (*resolves[:1], calibrate, *resolves[1:], *values, reduce)


def _calibrate_node(node_id: int, shape: _ScenarioShape) -> Node:
    return Node(
        node_id=node_id,
        name="calibrate",
        kind=NodeKind.CALIBRATE,
        kernel="calibrate",
        kernel_version=OPERATION_VERSIONS["calibrate"],
        kernels=requirements("calibrate"),
        tile_count=-(-shape.scenario_count // shape.per_tile),
        cost_s=cost.CALIBRATE_S_PER_SCENARIO * min(shape.scenario_count, shape.per_tile),
        scenario_count=shape.scenario_count,
        scenarios_per_tile=shape.per_tile,
    )


def _reduce_node(node_id: int, values: list[Node], scenario_count: int) -> Node:
    return Node(
        node_id=node_id,
        name="reduce",
        kind=NodeKind.REDUCE,
        kernel="reduce",
        kernel_version=OPERATION_VERSIONS["reduce"],
        kernels=requirements("reduce"),
        tile_count=1,
        cost_s=cost.REDUCE_S_PER_TILE * (1 + sum(node.tile_count for node in values)),
        inputs=tuple(InputRef(node.node_id) for node in values),
        scenario_count=scenario_count,
        scenarios_per_tile=scenario_count,
    )


def _resolve_node(node_id: int, program: str, asset_class: str, rows: np.ndarray, calibrate: Node) -> Node:
    """Row blocks such that they make good value tiles with the scenario blocks of *calibrate*."""
    block_rows = cost.rows_per_tile(program, asset_class, len(rows), calibrate.scenarios_per_tile)
    return Node(
        node_id=node_id,
        name=f"resolve {program}/{asset_class}",
        kind=NodeKind.RESOLVE,
        kernel=program,
        kernel_version=OPERATION_VERSIONS[program],
        kernels=requirements(program),
        tile_count=-(-len(rows) // block_rows),
        cost_s=cost.resolve_tile_s(program, asset_class, min(block_rows, len(rows))),
        asset_class=asset_class,
        row_count=len(rows),
        rows_per_tile=block_rows,
        rows=rows.tobytes(),
    )


def _value_node(node_id: int, resolve: Node, calibrate: Node) -> Node:
    """Row blocks of *resolve* x scenario blocks of *calibrate*."""
    scenarios = min(calibrate.scenario_count, calibrate.scenarios_per_tile)
    rows = min(resolve.rows_per_tile, resolve.row_count)
    return Node(
        node_id=node_id,
        name=f"value {resolve.kernel}/{resolve.asset_class}",
        kind=NodeKind.VALUE,
        kernel=resolve.kernel,
        kernel_version=OPERATION_VERSIONS[resolve.kernel],
        kernels=requirements(resolve.kernel),
        tile_count=resolve.tile_count * calibrate.tile_count,
        cost_s=cost.value_tile_s(resolve.kernel, resolve.asset_class, rows, scenarios),
        inputs=(
            InputRef(resolve.node_id, divisor=calibrate.tile_count, modulus=resolve.tile_count),
            InputRef(calibrate.node_id, divisor=1, modulus=calibrate.tile_count),
            InputRef(calibrate.node_id, divisor=1, modulus=1),
        ),
        asset_class=resolve.asset_class,
        row_count=resolve.row_count,
        rows_per_tile=resolve.rows_per_tile,
        scenario_count=calibrate.scenario_count,
        scenarios_per_tile=calibrate.scenarios_per_tile,
        rows=resolve.rows,
    )
