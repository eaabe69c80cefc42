"""A custom graph as a risk graph: value nodes become sources, sum nodes combinations, aggregate nodes tables."""

from __future__ import annotations

from xip_core.errors import RequestError
from xip_core.graph.plan import Plan
from xip_core.graph.request import check_risk
from xip_core.graph.risk_graph import Combination, RiskGraph, Table, plan_graph
from xip_core.graph.sources import Blob
from xip_core.model.graph_spec import AggregateNode, GraphSpec, SumNode, ValueNode, check_graph
from xip_core.model.run_spec import RiskWork


def plan_custom(spec: GraphSpec, blob: Blob) -> Plan:
    """
    Raises:
        RequestError: those of `check_graph`, of each value node those of `planner.plan_run`, naming the node;
            SHAPE_MISMATCH, vectors that are added have other scenarios, measures or currencies.
    """
    ordered = check_graph(spec)
    values = [node for node in ordered if isinstance(node, ValueNode)]
    works = tuple(work_of(node) for node in values)
    for value, work in zip(values, works, strict=True):
        try:
            check_risk(work)
        except RequestError as error:
            raise RequestError(error.reason, f"node {value.id!r}: {error}") from None
    place = {node.id: at for at, node in enumerate(values)}
    combinations: list[Combination] = []
    tables: list[Table] = []
    for node in ordered:
        match node:
            case SumNode():
                inputs = tuple(place[name] for name in node.inputs)
                place[node.id] = len(values) + len(combinations)
                combinations.append(Combination(node.id, inputs, node.weights or (1.0,) * len(inputs)))
            case AggregateNode():
                tables.append(Table(place[node.of], node.aggregate))
            case ValueNode():
                continue
    graph = RiskGraph(
        works=works,
        names=tuple(node.id for node in values),
        combinations=tuple(combinations),
        tables=tuple(tables),
    )
    return plan_graph(graph, blob)


def work_of(node: ValueNode) -> RiskWork:
    return RiskWork(
        book_digest=node.book,
        market_digest=node.market,
        scenarios_digest=node.scenarios,
        measures=node.measures,
        base_currency=node.base_currency,
        as_of=node.as_of,
        detail=node.detail,
        risk_classes=node.risk_classes,
    )
