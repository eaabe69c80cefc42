"""Custom graphs in files: JSON as `model.graph_spec` has it, whose value nodes name files beside it.

    {"op": "value", "id": "pv", "book": "book.csv", "market": "market.json", "scenarios": "scenarios.json"}

A path is taken from the directory of the graph file; a book may be whatever `--book` takes, the covariance of an
aggregate node whatever `--covariance` does, the others may end in .gz.
Date and base currency are those of the market where the node says nothing.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec

from xip_core.errors import InputError, RequestError
from xip_core.model.graph_spec import AggregateNode, GraphNode, GraphSpec, ValueNode, check_graph, decode_graph


def read_graph(path: Path) -> tuple[GraphSpec, dict[str, bytes]]:
    """
    A checked graph whose value nodes name digests, and the blobs by digest.

    Raises:
        InputError: a file that cannot be read.
        RequestError: those of `decode_graph` and `check_graph`.
    """
    try:
        spec = decode_graph(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", str(path)) from None
    blobs: dict[str, bytes] = {}
    graph = GraphSpec(tuple(_named_by_digest(node, path.parent, blobs) for node in spec.nodes))
    check_graph(graph)
    return graph, blobs


def _named_by_digest(node: GraphNode, directory: Path, blobs: dict[str, bytes]) -> GraphNode:
    if isinstance(node, ValueNode):
        return _uploaded(node, directory, blobs)
    if isinstance(node, AggregateNode) and node.covariance:
        from xip_core.graph.plan import digest_of
        from xip_core.readers.covariance_table import read_covariance

        content = read_covariance(directory / node.covariance)
        digest = digest_of(content)
        blobs[digest] = content
        return msgspec.structs.replace(node, covariance=digest)
    return node


def _uploaded(node: ValueNode, directory: Path, blobs: dict[str, bytes]) -> GraphNode:
    from xip_core.client.heads import snapshot_head
    from xip_core.graph.plan import digest_of

    digests: dict[str, str] = {}
    for field in ("book", "market", "scenarios"):
        blob = _content(directory / getattr(node, field), is_book=field == "book")
        digests[field] = digest_of(blob)
        blobs[digests[field]] = blob
    try:
        head = snapshot_head(blobs[digests["market"]])
    except RequestError as error:
        raise RequestError(error.reason, f"node {node.id!r}: {error}") from None
    return msgspec.structs.replace(
        node, **digests, as_of=node.as_of or head.as_of, base_currency=node.base_currency or head.base_currency
    )


def _content(path: Path, *, is_book: bool) -> bytes:
    if is_book and path.name.removesuffix(".gz").endswith((".csv", ".jsonl", ".ndjson")):
        from xip_core.readers.book_table import read_book

        return read_book(path)
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from None
