"""xip_core.model.graph_spec: graphs that can be computed, and where the others are wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xip_core.errors import RequestError
from xip_core.model.graph_spec import GraphSpec, check_graph, decode_graph, encode_graph


def a_value(name: str = "pv") -> dict[str, Any]:
    return {"op": "value", "id": name, "book": "b", "market": "m", "scenarios": "s"}


def a_sum(name: str, *inputs: str, **fields: Any) -> dict[str, Any]:
    return {"op": "sum", "id": name, "inputs": inputs, **fields}


def a_table(name: str, of: str, **fields: Any) -> dict[str, Any]:
    return {"op": "aggregate", "id": name, "of": of, "measure": "sum", **fields}


def a_graph(*nodes: dict[str, Any]) -> GraphSpec:
    return decode_graph(json.dumps({"nodes": nodes}).encode())


def test_nodes_are_put_behind_what_they_read() -> None:
    graph = a_graph(a_table("t", "d"), a_sum("d", "b", "a", weights=[1, -1]), a_value("a"), a_value("b"))
    assert [node.id for node in check_graph(graph)] == ["b", "a", "d", "t"]
    assert decode_graph(encode_graph(graph)) == graph


@pytest.mark.parametrize(
    ("nodes", "reason", "sentence"),
    [
        ([], "EMPTY_GRAPH", "must have an aggregate, which is its result, got 0 nodes"),
        ([a_value()], "EMPTY_GRAPH", "got 1 nodes without one"),
        ([a_value(), a_value(), a_table("t", "pv")], "DUPLICATE_NODE", "'pv' is there twice"),
        ([a_value(), a_table("t", "vp")], "DANGLING_INPUT", "what node 't' reads .* 'vp' is none"),
        ([a_value(), a_sum("d"), a_table("t", "d")], "DANGLING_INPUT", "node 'd' must have inputs to add, got none"),
        (
            [a_sum("a", "b"), a_sum("b", "c"), a_sum("c", "a"), a_table("t", "a")],
            "CYCLIC_GRAPH",
            "a -> b -> c -> a",
        ),
        ([a_sum("a", "a"), a_table("t", "a")], "CYCLIC_GRAPH", "a -> a"),
        ([a_value(), a_table("t", "pv"), a_table("u", "t")], "NOT_A_VECTOR", "'t' is an aggregate"),
        ([a_value(), a_value("other"), a_table("t", "pv")], "UNREACHABLE_NODE", "ends in one reads 'other'"),
        ([a_value(), a_sum("d", "pv"), a_table("t", "pv")], "UNREACHABLE_NODE", "reads 'd'"),
        ([a_value(), a_sum("d", "pv", weights=[1, 2]), a_table("t", "d")], "BAD_WEIGHTS", "got 2 for 1 inputs"),
        ([a_value(), a_table("t", "pv", measure="vra")], "UNKNOWN_MEASURE", "got 'vra'"),
        ([a_value(""), a_table("t", "")], "BAD_GRAPH", "1 to 128 printable characters, got ''"),
    ],
)
def test_a_graph_that_cannot_be_computed_is_refused_with_the_place(
    nodes: list[dict[str, Any]], reason: str, sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        check_graph(a_graph(*nodes))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("content", "reason", "sentence"),
    [
        (b"{", "BAD_GRAPH", "does not decode"),
        (b'{"nodes":[{"op":"multiply","id":"x"}]}', "UNKNOWN_OPERATION", "an op must be one of value, sum, aggregate"),
        (b'{"nodes":[{"op":"sum","id":"x"}]}', "BAD_GRAPH", "inputs"),
        (b'{"nodes":[{"op":"sum","id":"x","inputs":[],"weight":[1]}]}', "BAD_GRAPH", "weight"),
        (b" " * (1 << 20) + b"{}", "TOO_LARGE", "at most 1048576 bytes"),
    ],
)
def test_what_is_no_graph_is_refused(content: bytes, reason: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        decode_graph(content)
    assert refused.value.reason == reason
