"""xip_core.Graph: a builder that says what is wrong before anything is sent."""

from __future__ import annotations

import pytest

import xip_core
from tests.core.graph.builders import Blobs, a_book_of, a_market, some_scenarios
from xip_core.cli.graph_file import read_graph
from xip_core.client.graph import Graph
from xip_core.errors import InputError, RequestError
from xip_core.graph.planner import plan_run
from xip_core.model.graph_spec import AggregateNode, SumNode, ValueNode
from xip_core.model.run_spec import GraphWork, RunSpec

BOOK, MARKET, SCENARIOS = a_book_of("swap", 3), a_market(), some_scenarios(12)


def a_graph() -> Graph:
    graph = xip_core.Graph()
    today = graph.value(BOOK, MARKET, SCENARIOS)
    tomorrow = graph.value(BOOK, MARKET.replace(b"1.1323", b"1.2"), SCENARIOS, measures="pv")
    graph.reduce("var", today, by="asset_class", q=0.9)
    graph.reduce("sum", graph.difference(tomorrow, today), name="change")
    return graph


def test_calls_become_nodes_and_blobs():
    graph = a_graph()
    value, other, var, difference, change = graph.spec().nodes
    assert isinstance(value, ValueNode)
    assert isinstance(other, ValueNode)
    assert (value.as_of, value.base_currency, value.book) == ("2016-02-05", "EUR", other.book)
    assert var == AggregateNode(
        id="var_by_asset_class", of=value.id, measure="var", by=("asset_class",), q=0.9
    )
    assert difference == SumNode(id=difference.id, inputs=(other.id, value.id), weights=(1.0, -1.0))
    assert change == AggregateNode(id="change", of=difference.id, measure="sum")
    assert set(graph.blobs.values()) >= {BOOK, MARKET, SCENARIOS}


def test_what_is_built_can_be_planned():
    graph, blobs = a_graph(), Blobs()
    for blob in graph.blobs.values():
        blobs.put(blob)
    plan = plan_run(RunSpec("graph", GraphWork(graph.spec())), blobs.get)
    assert [node.name for node in plan.nodes if node.kind == "aggregate"] == [
        f"combine {graph.spec().nodes[3].id}",
        "aggregate var_by_asset_class",
        "aggregate change",
    ]


def test_a_saved_graph_is_read_again(tmp_path):
    graph = a_graph()
    spec, blobs = read_graph(graph.save(tmp_path))
    assert spec == graph.spec()
    assert blobs == graph.blobs


def test_a_graph_file_names_files_beside_it(tmp_path):
    for name, content in (("book.jsonl", BOOK), ("market.json", MARKET), ("scenarios.json", SCENARIOS)):
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "graph.json"
    path.write_text(
        '{"nodes":[{"op":"value","id":"pv","book":"book.jsonl","market":"market.json","scenarios":"scenarios.json"},'
        '{"op":"aggregate","id":"t","of":"pv","measure":"sum"}]}'
    )
    spec, blobs = read_graph(path)
    (value, _) = spec.nodes
    assert isinstance(value, ValueNode)
    assert (value.as_of, blobs[value.book]) == ("2016-02-05", BOOK)
    path.write_text(path.read_text().replace("book.jsonl", "missing.jsonl"))
    with pytest.raises(InputError, match=r"missing.jsonl: cannot be read"):
        read_graph(path)


def test_handles_of_another_graph_and_names_that_are_taken_are_refused():
    graph = xip_core.Graph()
    pv = graph.value(BOOK, MARKET, SCENARIOS, name="pv")
    with pytest.raises(RequestError, match="'pv' must be a node of this graph, it is of another"):
        xip_core.Graph().reduce("sum", pv)
    with pytest.raises(RequestError, match="'pv' is there twice: name one"):
        graph.value(BOOK, MARKET, SCENARIOS, name="pv")
    with pytest.raises(RequestError, match="must have an aggregate"):
        graph.spec()
