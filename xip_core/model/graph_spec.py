"""Custom graphs as data: what a desk draws itself, instead of one book, one market and tables of it.

    {"nodes": [
      {"op": "value", "id": "today",    "book": DIGEST, "market": DIGEST, "scenarios": DIGEST},
      {"op": "value", "id": "tomorrow", "book": DIGEST, "market": DIGEST, "scenarios": DIGEST},
      {"op": "sum", "id": "theta", "inputs": ["tomorrow", "today"], "weights": [1.0, -1.0]},
      {"op": "aggregate", "id": "theta by desk", "of": "theta", "measure": "sum", "by": ["desk"]}
    ]}

Three operations: a **value** node is a book over the scenarios of a market and has a vector, P&L of every leaf group
under every scenario with the sums of the base; a **sum** node is a weighted sum of vectors, a vector itself; an
**aggregate** node is a table made of a vector (`model.aggregates`), the only result. Nodes may stand in any order.

`check_graph` refuses what cannot be computed, and says where: the same id twice, an input that is no node, a circle, an
aggregate read as if it were a vector, a node that leads to no table.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from xip_core.errors import RequestError
from xip_core.model.aggregates import Aggregate, check_aggregates
from xip_core.model.detail import Detail
from xip_core.model.unreadable import UNREADABLE, fault_of

NODE_COUNT_MAX = 256
ID_LENGTH_MAX = 128
GRAPH_SIZE_BYTES_MAX = 1 << 20
OPERATIONS = ("value", "sum", "aggregate")


class GraphRecord(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op"
):
    """What every node has."""

    id: str


class ValueNode(GraphRecord, frozen=True, kw_only=True, tag="value"):
    """A book under scenarios; digests of uploaded blobs, or paths in a graph file.

    Attributes:
        as_of, base_currency: must be the snapshot's.
        measures, detail, risk_classes: as of `model.run_spec.RiskWork`.
    """

    book: str
    market: str
    scenarios: str
    as_of: str = ""
    base_currency: str = ""
    measures: tuple[str, ...] = ("pv",)
    detail: Detail = Detail.NONE
    risk_classes: tuple[str, ...] = ()


class SumNode(GraphRecord, frozen=True, kw_only=True, tag="sum"):
    """A weighted sum of vectors; no weights are ones."""

    inputs: tuple[str, ...]
    weights: tuple[float, ...] = ()


class AggregateNode(GraphRecord, frozen=True, kw_only=True, tag="aggregate"):
    """A table made of the vector *of*; the other fields are those of `model.aggregates.Aggregate`, its name the id.

    *covariance* is a digest of an uploaded blob, or a path in a graph file.
    """

    of: str
    measure: str
    by: tuple[str, ...] = ()
    q: float = 0.0
    rule: str = ""
    count: int = 0
    within: tuple[str, ...] = ()
    scenarios: str = ""
    method: str = ""
    covariance: str = ""

    @property
    def aggregate(self) -> Aggregate:
        return Aggregate(
            measure=self.measure,
            by=self.by,
            name=self.id,
            q=self.q,
            rule=self.rule,
            count=self.count,
            within=self.within,
            scenarios=self.scenarios,
            method=self.method,
            covariance=self.covariance,
        )


GraphNode = ValueNode | SumNode | AggregateNode


class GraphSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes in any order."""

    nodes: tuple[GraphNode, ...]


_decoder = msgspec.json.Decoder(GraphSpec)


def encode_graph(graph: GraphSpec) -> bytes:
    """Canonical JSON: equal graphs give equal bytes."""
    return msgspec.json.encode(graph)


def decode_graph(content: bytes) -> GraphSpec:
    """
    A graph from JSON, not checked yet.

    Raises:
        RequestError: BAD_GRAPH; UNKNOWN_OPERATION.
    """
    if len(content) > GRAPH_SIZE_BYTES_MAX:
        sentence = f"a graph must have at most {GRAPH_SIZE_BYTES_MAX} bytes, got {len(content)}"
        raise RequestError("TOO_LARGE", sentence)
    try:
        return _decoder.decode(content)
    except UNREADABLE as error:
        reason = "UNKNOWN_OPERATION" if "Invalid value" in str(error) and ".op" in str(error) else "BAD_GRAPH"
        known = f"; an op must be one of {', '.join(OPERATIONS)}" if reason == "UNKNOWN_OPERATION" else ""
        raise RequestError(reason, f"a graph does not decode: {fault_of(content, error)}{known}") from None


def check_graph(graph: GraphSpec) -> tuple[GraphNode, ...]:
    """
    The nodes, each behind those it reads, otherwise in the order given.

    Raises:
        RequestError: EMPTY_GRAPH, TOO_LARGE, DUPLICATE_NODE, DANGLING_INPUT, CYCLIC_GRAPH, NOT_A_VECTOR, BAD_WEIGHTS,
            UNREACHABLE_NODE, and those of `check_aggregates`.
    """
    nodes = graph.nodes
    if not any(isinstance(node, AggregateNode) for node in nodes):
        sentence = f"a graph must have an aggregate, which is its result, got {len(nodes)} nodes without one"
        raise RequestError("EMPTY_GRAPH", sentence)
    if len(nodes) > NODE_COUNT_MAX:
        raise RequestError("TOO_LARGE", f"a graph must have at most {NODE_COUNT_MAX} nodes, got {len(nodes)}")
    by_id: dict[str, GraphNode] = {}
    for node in nodes:
        if not 0 < len(node.id) <= ID_LENGTH_MAX or not node.id.isprintable():
            sentence = f"a node's id must have 1 to {ID_LENGTH_MAX} printable characters, got {node.id[:64]!r}"
            raise RequestError("BAD_GRAPH", sentence)
        if node.id in by_id:
            raise RequestError("DUPLICATE_NODE", f"ids of nodes must be distinct, {node.id!r} is there twice")
        by_id[node.id] = node
    for node in nodes:
        _check_inputs(node, by_id)
    check_aggregates([node.aggregate for node in nodes if isinstance(node, AggregateNode)])
    ordered = _ordered(nodes, by_id)
    _check_reached(nodes, by_id)
    return ordered


def inputs_of(node: GraphNode) -> tuple[str, ...]:
    match node:
        case ValueNode():
            return ()
        case SumNode():
            return node.inputs
        case AggregateNode():
            return (node.of,)


def _check_inputs(node: GraphNode, by_id: dict[str, GraphNode]) -> None:
    for name in inputs_of(node):
        if name not in by_id:
            sentence = f"what node {node.id!r} reads must be a node of the graph, {name[:64]!r} is none"
            raise RequestError("DANGLING_INPUT", sentence)
        if isinstance(by_id[name], AggregateNode):
            sentence = f"node {node.id!r} must read vectors, {name!r} is an aggregate: a table, which nothing reads"
            raise RequestError("NOT_A_VECTOR", sentence)
    if isinstance(node, SumNode):
        if not node.inputs:
            raise RequestError("DANGLING_INPUT", f"node {node.id!r} must have inputs to add, got none")
        if node.weights and len(node.weights) != len(node.inputs):
            got = f"{len(node.weights)} for {len(node.inputs)} inputs"
            raise RequestError("BAD_WEIGHTS", f"node {node.id!r} must have one weight an input, got {got}")


def _ordered(nodes: Sequence[GraphNode], by_id: dict[str, GraphNode]) -> tuple[GraphNode, ...]:
    ordered: dict[str, GraphNode] = {}

    def place(node: GraphNode, path: tuple[str, ...]) -> None:
        if node.id in ordered:
            return
        if node.id in path:
            circle = " -> ".join((*path[path.index(node.id) :], node.id))
            raise RequestError("CYCLIC_GRAPH", f"no node may read what is made of it: {circle}")
        for name in inputs_of(node):
            place(by_id[name], (*path, node.id))
        ordered[node.id] = node

    for node in nodes:
        place(node, ())
    return tuple(ordered.values())


def _check_reached(nodes: Sequence[GraphNode], by_id: dict[str, GraphNode]) -> None:
    reached: set[str] = set()
    pending = [node.id for node in nodes if isinstance(node, AggregateNode)]
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending += inputs_of(by_id[name])
    for node in nodes:
        if node.id not in reached:
            sentence = f"every node must lead to an aggregate, nothing that ends in one reads {node.id!r}"
            raise RequestError("UNREACHABLE_NODE", sentence)
