"""xip_core.graph.risk_graph: leaf groups, what sources share, and how much of a vector is one tile."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.graph.builders import AS_OF, Blobs, a_book, a_line, a_market, a_plan, a_request, some_scenarios
from xip_core.errors import IntegrityError, RequestError
from xip_core.graph import cost
from xip_core.graph.plan import Node, NodeKind, Plan, decode_plan
from xip_core.graph.planner import plan_run
from xip_core.model.aggregates import Aggregate, parse_aggregate
from xip_core.model.graph_spec import AggregateNode, GraphSpec, SumNode, ValueNode
from xip_core.model.run_spec import GraphWork, RunSpec


def a_labelled(row: int, trade_type: str = "swap", **labels: Any) -> bytes:
    return json.dumps({"type": trade_type, "id": f"T{row}", **labels}).encode()


def by(*keys: str, measure: str = "sum") -> tuple[Aggregate, ...]:
    return (Aggregate(measure=measure, by=keys, q=0.9 if measure == "var" else 0.0),)


def nodes_of(plan: Plan, kind: NodeKind) -> list[Node]:
    return [node for node in plan.nodes if node.kind is kind]


def labels_of_rows(plan: Plan) -> dict[int, tuple[str, ...]]:
    found = {}
    for node in nodes_of(plan, NodeKind.VALUE):
        rows, groups = (np.frombuffer(content, "<i4").tolist() for content in (node.rows, node.groups))
        found |= {row: plan.groups.labels[group] for row, group in zip(rows, groups, strict=True)}
    return found


# ---- leaf groups and order ------------------------------------------------------------------------------------------


def test_without_aggregates_rows_are_grouped_by_asset_class_alone():
    plan = a_plan(book=a_book(a_line("A"), a_line("B", "cds")))
    assert plan.groups.keys == ("asset_class",)
    assert labels_of_rows(plan) == {0: ("rates",), 1: ("credit",)}


def test_leaf_groups_are_the_combinations_that_occur_of_all_keys_asked_for():
    desks = [("x", "EUR"), ("y", "EUR"), ("x", "USD"), ("x", "EUR")]
    book = a_book(*(a_labelled(row, desk=desk, currency=currency) for row, (desk, currency) in enumerate(desks)))
    plan = a_plan(book=book, aggregates=(*by("desk"), *by("currency", "desk")))
    assert plan.groups.keys == ("asset_class", "desk", "currency")
    assert plan.groups.labels == (("rates", "x", "EUR"), ("rates", "x", "USD"), ("rates", "y", "EUR"))
    assert labels_of_rows(plan) == {row: ("rates", *label) for row, label in enumerate(desks)}


def test_any_tag_is_a_key():
    book = a_book(a_labelled(0, tags={"region": "EU"}), a_labelled(1, tags={"region": "US"}))
    plan = a_plan(book=book, aggregates=by("region"))
    assert plan.groups.labels == (("rates", "EU"), ("rates", "US"))


def test_a_trade_without_a_key_that_is_asked_for_refuses_the_run_and_is_named():
    book = a_book(a_labelled(0, desk="x"), *(a_labelled(row) for row in range(1, 6)))
    with pytest.raises(RequestError) as refused:
        a_plan(book=book, aggregates=by("desk"))
    assert refused.value.reason == "MISSING_HIERARCHY_KEY"
    assert str(refused.value).endswith("missing in line 2 (trade T1), line 3 (trade T2), line 4 (trade T3) and 2 more")
    with pytest.raises(RequestError, match="every trade must have the tag 'region'"):
        a_plan(book=book, aggregates=by("region"))


def test_rows_without_a_number_refuse_no_run_and_count_as_unclassified():
    book = a_book(a_labelled(0, desk="x"), b"no trade", a_labelled(2, "tulip"), a_labelled(3, desk=5))
    plan = a_plan(book=book, aggregates=by("desk"))
    assert labels_of_rows(plan) == {0: ("rates", "x"), 3: ("rates", "unclassified")}
    quarantined = {one.row: plan.groups.labels[one.group] for one in plan.quarantine}
    assert quarantined == {1: ("unclassified", "unclassified"), 2: ("unclassified", "unclassified")}


def test_rows_that_lean_on_the_same_market_objects_stand_together():
    currencies = ["USD", "EUR", "USD", "CHF", "EUR", "USD"]
    book = a_book(*(a_labelled(row, "fra", currency=one, index="i") for row, one in enumerate(currencies)))
    (value,) = nodes_of(a_plan(book=book), NodeKind.VALUE)
    assert np.frombuffer(value.rows, "<i4").tolist() == [3, 1, 4, 0, 2, 5]


# ---- the size of vectors --------------------------------------------------------------------------------------------


def many_groups(group_count: int, scenario_count: int) -> Plan:
    book = a_book(*(a_labelled(row, desk=f"d{row:05}") for row in range(group_count)))
    return a_plan(book=book, scenarios=some_scenarios(scenario_count), aggregates=by("desk"))


def test_small_vectors_are_one_tile_and_large_ones_one_a_scenario_block():
    small, large = (nodes_of(many_groups(count, 251), NodeKind.REDUCE)[0] for count in (50, 100))
    assert (small.tile_count, small.inputs[0].stride) == (1, 1)
    assert (large.tile_count, large.scenarios_per_tile) == (8, 32)
    assert list(large.inputs[0].tiles_needed(3, 24)) == [3, 11, 19]


def test_more_groups_than_a_message_holds_are_refused(monkeypatch):
    monkeypatch.setattr(cost, "REDUCED_CELLS_MAX", 32 * 200)
    many_groups(200, 251)
    with pytest.raises(RequestError, match="at most 200 groups of rows in this run, got 201") as refused:
        many_groups(201, 251)
    assert refused.value.reason == "TOO_MANY_GROUPS"


def test_many_row_blocks_are_added_before_reduce_reads_them(monkeypatch):
    monkeypatch.setattr(cost, "SUMMED_ROW_BLOCKS", 2)
    plan = a_plan(book=a_book(*(a_labelled(row) for row in range(3_000))), scenarios=some_scenarios(70))
    value, (summed, reduce) = nodes_of(plan, NodeKind.VALUE)[0], nodes_of(plan, NodeKind.REDUCE)
    row_blocks = value.tile_count // 3
    assert row_blocks >= 4
    assert (summed.kernel, summed.tile_count) == ("sum", -(-row_blocks // 2) * 3)
    read = [tile for one in range(summed.tile_count) for tile in summed.inputs[0].tiles_needed(one, value.tile_count)]
    assert sorted(read) == list(range(value.tile_count))
    for tile in range(summed.tile_count):
        begin, end = summed.row_range(tile)
        parts = [value.row_range(one) for one in summed.inputs[0].tiles_needed(tile, value.tile_count)]
        assert (parts[0][0], parts[-1][1]) == (begin, end)
        assert {value.scenario_range(one) for one in summed.inputs[0].tiles_needed(tile, value.tile_count)} == {
            summed.scenario_range(tile)
        }
    assert [ref.node_id for ref in reduce.inputs] == [summed.node_id]


# ---- scenarios ------------------------------------------------------------------------------------------------------


def test_a_quantile_that_the_scenarios_do_not_tell_is_refused():
    with pytest.raises(RequestError, match=r"'var': a quantile at 0.99 must have at least 100 .* got 99") as refused:
        a_plan(scenarios=some_scenarios(100), aggregates=(parse_aggregate("var q=0.99"),))
    assert refused.value.reason == "TOO_FEW_SCENARIOS"
    assert a_plan(scenarios=some_scenarios(101), aggregates=(parse_aggregate("var q=0.99"),))


def test_scenarios_of_a_pattern_are_counted_alone():
    with pytest.raises(RequestError, match="got 2 beside the base"):
        a_plan(scenarios=some_scenarios(101), aggregates=(parse_aggregate("var q=0.99 scenarios=s1*0"),))
    with pytest.raises(RequestError, match="got 'x'"):
        a_plan(scenarios=some_scenarios(3), aggregates=(parse_aggregate("pnl scenarios=x"),))


def test_an_unknown_risk_class_is_refused():
    with pytest.raises(RequestError, match=r"must be one of INTEREST_RATE, FX, .* got 'Fx'"):
        a_plan(risk_classes=("Fx",))


# ---- several sources ------------------------------------------------------------------------------------------------


def a_graph_plan(*nodes: Any, **contents: bytes) -> Plan:
    """The plan of a graph whose value nodes name *contents* by keyword."""
    blobs = Blobs()
    digests = {name: blobs.put(content) for name, content in contents.items()}
    named = tuple(
        msgspec.structs.replace(
            node, book=digests[node.book], market=digests[node.market], scenarios=digests[node.scenarios]
        )
        if isinstance(node, ValueNode)
        else node
        for node in nodes
    )
    return plan_run(RunSpec("graph", GraphWork(GraphSpec(named))), blobs.get)


def a_value(name: str, book: str = "book", market: str = "market", scenarios: str = "scenarios") -> ValueNode:
    return ValueNode(
        id=name, book=book, market=market, scenarios=scenarios, as_of=AS_OF, base_currency="EUR"
    )


def two_values(second: ValueNode, **contents: bytes) -> Plan:
    difference = SumNode(id="d", inputs=("a", "b"), weights=(1.0, -1.0))
    inputs = {"book": a_book(a_line("A"), a_line("B", "cds")), "market": a_market(), "scenarios": some_scenarios(3)}
    return a_graph_plan(
        a_value("a"), second, difference, AggregateNode(id="t", of="d", measure="sum"), **(inputs | contents)
    )


def test_two_days_of_one_book_share_its_resolved_rows():
    moved = a_market().replace(b"1.1323", b"1.2")
    plan = two_values(a_value("b", market="moved"), moved=moved)
    plan.check()
    kinds = [str(node.kind) for node in plan.nodes]
    assert kinds.count("resolve") == 2
    assert kinds.count("calibrate") == 2
    assert kinds.count("value") == 4
    assert [node.name for node in plan.nodes][-3:] == ["reduce #2", "combine d", "aggregate t"]


def test_two_books_of_one_day_share_its_calibrated_scenarios_and_have_rows_of_their_own():
    plan = two_values(a_value("b", book="other"), other=a_book(a_line("C"), b"no trade"))
    assert len(nodes_of(plan, NodeKind.CALIBRATE)) == 1
    assert [(source.row_begin, source.row_count) for source in plan.sources] == [(0, 2), (2, 2)]
    assert sorted(labels_of_rows(plan)) == [0, 1, 2]
    assert [one.row for one in plan.quarantine] == [3]
    assert plan.cell_count == 4 * 3


def test_equal_graphs_have_equal_plans():
    assert two_values(a_value("b")).encode() == two_values(a_value("b")).encode()


def test_vectors_of_different_scenarios_are_not_added():
    with pytest.raises(RequestError, match="'d' adds must have the same scenarios, got 3 and 4") as refused:
        two_values(a_value("b", scenarios="more"), more=some_scenarios(4))
    assert refused.value.reason == "SHAPE_MISMATCH"


def test_what_is_wrong_with_a_source_names_its_node():
    with pytest.raises(RequestError, match="node 'b': a book must have at least one trade"):
        two_values(a_value("b", book="empty"), empty=b"\n")
    with pytest.raises(RequestError, match="node 'b': as_of must be an ISO 8601 date"):
        two_values(msgspec.structs.replace(a_value("b"), as_of="today"))


# ---- versions of plans ----------------------------------------------------------------------------------------------


def test_a_plan_of_version_1_is_read_as_one_source():
    plan = a_plan(measures=("pv", "delta"))
    fields = msgspec.msgpack.decode(plan.encode())
    (source,) = fields.pop("sources")
    for name in ("as_of", "base_currency", "book_digest", "market_digest", "scenarios_digest", "measures"):
        fields[name] = source[name]
    del fields["groups"]
    for node in fields["nodes"]:
        node.pop("groups", None)
    old = decode_plan(msgspec.msgpack.encode(fields | {"plan_version": 1}))
    old.check()
    assert (old.book_digest, old.measures, old.as_of) == (plan.book_digest, ("pv", "delta"), AS_OF)
    assert (old.cells_of_row(0, 3), old.input_digests) == (4, plan.input_digests)
    assert [node.kernel_version for node in old.nodes] == [node.kernel_version for node in plan.nodes]


def test_a_plan_of_a_newer_version_is_refused():
    newer = msgspec.structs.replace(a_plan(), plan_version=99).encode()
    with pytest.raises(IntegrityError, match="must be of version 1 to 3, got one of 99"):
        decode_plan(newer)


def test_asking_for_an_aggregate_leaves_the_request_as_it_was_otherwise():
    blobs = Blobs()
    plain, asking = (plan_run(a_request(blobs, **parts), blobs.get) for parts in ({}, {"aggregates": by()}))
    assert asking.nodes[: len(plain.nodes)] == plain.nodes
    assert asking.cell_count == plain.cell_count
