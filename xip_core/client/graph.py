"""A builder of custom graphs: say what is made of what, submit it as one run.

    graph = xip_core.Graph()
    today = graph.value(book, market, scenarios)
    tomorrow = graph.value(book, rolled_market, scenarios)
    graph.reduce("var", today, by="desk", q=0.99)
    graph.reduce("sum", graph.difference(tomorrow, today), by="desk", name="theta")
    run = client.submit_graph(graph)
    tables = client.tables(run.run_id)          # {"var_by_desk": ..., "theta": ...}

A call gives a handle that later calls take. Nothing is computed or sent here; what cannot be computed is refused when
the graph is checked (`spec`), planned (`xipctl plan`) or submitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xip_core.client.heads import snapshot_head
from xip_core.errors import RequestError
from xip_core.graph.plan import digest_of
from xip_core.model.aggregates import Aggregate
from xip_core.model.detail import Detail
from xip_core.model.graph_spec import AggregateNode, GraphNode, GraphSpec, SumNode, ValueNode, check_graph, encode_graph


class Vector:
    """Handle of a vector: P&L of every leaf group under every scenario."""

    def __init__(self, graph: Graph, node_id: str) -> None:
        self.graph = graph
        self.id = node_id


class Graph:
    """Nodes added so far, and the blobs they name."""

    def __init__(self) -> None:
        self._nodes: dict[str, GraphNode] = {}
        self.blobs: dict[str, bytes] = {}

    def value(
        self,
        book: bytes,
        market: bytes,
        scenarios: bytes,
        *,
        measures: Sequence[str] = ("pv",),
        detail: Detail | str = Detail.NONE,
        risk_classes: Sequence[str] = (),
        name: str = "",
    ) -> Vector:
        """
        The vector of a book over the scenarios of a market.

        Args:
            book, market, scenarios: blobs as `xip_core.readers` and `xip_core.samples` give them.
            measures, detail, risk_classes: as in `Client.submit`.
            name: of the node; "" numbers it.

        Raises:
            RequestError: a market without date or base currency; a name that is taken.
        """
        head = snapshot_head(market)
        digests = []
        for blob in (book, market, scenarios):
            digest = digest_of(blob)
            self.blobs[digest] = blob
            digests.append(digest)
        node = ValueNode(
            id=name or f"value {len(self._nodes) + 1}",
            book=digests[0],
            market=digests[1],
            scenarios=digests[2],
            as_of=head.as_of,
            base_currency=head.base_currency,
            measures=(measures,) if isinstance(measures, str) else tuple(measures),
            detail=Detail(detail),
            risk_classes=(risk_classes,) if isinstance(risk_classes, str) else tuple(risk_classes),
        )
        return self._add(node)

    def sum(self, *vectors: Vector, weights: Sequence[float] = (), name: str = "") -> Vector:
        """
        A weighted sum of vectors; no weights are ones.

        Raises:
            RequestError: FOREIGN_NODE, a handle of another graph.
        """
        inputs = tuple(self._id(vector) for vector in vectors)
        node_id = name or f"sum {len(self._nodes) + 1}"
        return self._add(SumNode(id=node_id, inputs=inputs, weights=tuple(map(float, weights))))

    def difference(self, minuend: Vector, subtrahend: Vector, *, name: str = "") -> Vector:
        """*minuend* less *subtrahend*."""
        return self.sum(minuend, subtrahend, weights=(1.0, -1.0), name=name)

    def reduce(
        self,
        measure: str,
        of: Vector,
        *,
        by: Sequence[str] = (),
        name: str = "",
        q: float = 0.0,
        rule: str = "",
        count: int = 0,
        within: Sequence[str] = (),
        scenarios: str = "",
        method: str = "",
        covariance: bytes = b"",
    ) -> str:
        """
        A table made of a vector; its name among the tables of the run. Arguments: `xip_core.model.aggregates`, but that
        *covariance* is the blob itself.

        Raises:
            RequestError: FOREIGN_NODE; a name that is taken.
        """
        keys = (by,) if isinstance(by, str) else tuple(by)
        wholes = (within,) if isinstance(within, str) else tuple(within)
        if covariance:
            self.blobs[digest_of(covariance)] = covariance
        node = AggregateNode(
            id=name or Aggregate(measure=measure, by=keys).label,
            of=self._id(of),
            measure=measure,
            by=keys,
            q=q,
            rule=rule,
            count=count,
            within=wholes,
            scenarios=scenarios,
            method=method,
            covariance=digest_of(covariance) if covariance else "",
        )
        self._add(node)
        return node.id

    def spec(self) -> GraphSpec:
        """
        The graph as data, checked.

        Raises:
            RequestError: those of `xip_core.model.graph_spec.check_graph`.
        """
        spec = GraphSpec(tuple(self._nodes.values()))
        check_graph(spec)
        return spec

    def save(self, directory: str | Path) -> Path:
        """
        Write graph.json and the blobs it names into *directory*, for `xipctl plan` and `xipctl run --graph`.

        Raises:
            RequestError: as `spec`.
        """
        spec, folder = self.spec(), Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        for digest, blob in self.blobs.items():
            (folder / digest).write_bytes(blob)
        path = folder / "graph.json"
        path.write_bytes(encode_graph(spec))
        return path

    def _add(self, node: GraphNode) -> Vector:
        if node.id in self._nodes:
            raise RequestError("DUPLICATE_NODE", f"ids of nodes must be distinct, {node.id!r} is there twice: name one")
        self._nodes[node.id] = node
        return Vector(self, node.id)

    def _id(self, vector: Vector) -> str:
        if vector.graph is not self:
            raise RequestError("FOREIGN_NODE", f"{vector.id!r} must be a node of this graph, it is of another")
        return vector.id
