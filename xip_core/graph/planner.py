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

from xip_core.graph import cost
from xip_core.graph.custom import plan_custom
from xip_core.graph.kernel_table import plan_kernel
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.graph.request import check_request
from xip_core.graph.risk_graph import RiskGraph, Table, plan_graph
from xip_core.graph.suitability import plan_suitability
from xip_core.kernel_versions import OPERATION_VERSIONS, requirements
from xip_core.model.run_spec import (
    GraphWork,
    KernelSignature,
    KernelWork,
    ProbeWork,
    RiskWork,
    RunSpec,
    SuitabilityWork,
)

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
        case GraphWork():
            plan = plan_custom(spec.work.graph, blob)
        case KernelWork():
            plan = plan_kernel(spec.work, blob, announced)
        case SuitabilityWork():
            plan = plan_suitability(spec.work, blob)
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
    """A graph of one source, of whose vector all aggregates are made."""
    tables = tuple(Table(0, aggregate) for aggregate in work.aggregates)
    return plan_graph(RiskGraph(works=(work,), names=("",), tables=tables), blob)
