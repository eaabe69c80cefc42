"""Aggregates of a run, from its tiles, against the numbers of its trades."""

from __future__ import annotations

import functools

import msgspec
import numpy as np
import pytest

from tests.core.pricing.flat_market import a_snapshot
from tests.core.pricing.test_evaluate import Inputs, evaluate_all, good_book
from tests.core.pricing.test_properties import scenarios
from xip_core.client.tables import AggregateTable, table_of
from xip_core.errors import XipError
from xip_core.graph import cost
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.aggregates import parse_aggregate
from xip_core.model.graph_spec import AggregateNode, GraphSpec, SumNode, ValueNode
from xip_core.model.market import encode_snapshot
from xip_core.model.run_spec import MEASURES, Detail, GraphWork, RiskWork, RunSpec
from xip_core.model.scenario import encode_scenarios
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.tile import TileValue
from xip_core.risk.measures import expected_shortfall, value_at_risk

Values = dict[tuple[int, int], TileValue]

ASKED = (
    "sum by=currency",
    "pnl by=asset_class",
    "var by=currency q=0.9",
    "es q=0.9",
    "component_var by=asset_class q=0.9",
    "incremental_var by=asset_class q=0.9",
    "worst by=asset_class count=3",
)


def a_run(book: bytes, *texts: str, detail: Detail = Detail.ALL) -> tuple[Plan, Inputs]:
    blobs = [book, encode_snapshot(a_snapshot()), encode_scenarios(scenarios())]
    work = RiskWork(
        *map(digest_of, blobs),
        measures=MEASURES,
        base_currency="EUR",
        as_of="2024-01-15",
        aggregates=tuple(map(parse_aggregate, texts)),
        detail=detail,
    )
    inputs = Inputs({digest_of(blob): blob for blob in blobs}, _memo())
    return plan_run(RunSpec(name="test", work=work), inputs.blob), inputs


@functools.cache
def _memo() -> dict[tuple[object, ...], object]:
    """Calibrated scenarios and resolved rows, shared by the tests."""
    return {}


@functools.cache
def evaluated(detail: Detail = Detail.ALL) -> tuple[Plan, Values]:
    plan, inputs = a_run(good_book(), *ASKED, detail=detail)
    return plan, evaluate_all(plan, inputs)


def tables_of(plan: Plan, values: Values) -> dict[str, AggregateTable]:
    tables = [table_of(values[node.node_id, 0].detail) for node in plan.nodes if node.aggregate is not None]
    return {table.name: table for table in tables}


def numbers_of(plan: Plan, values: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P&L (rows, scenarios), measures of the base (rows, M), asset classes, as the blocks of value tiles have them."""
    row_count, scenario_count = plan.first_source.row_count, plan.first_source.scenario_count
    pv, base = np.full((row_count, scenario_count), np.nan), np.full((row_count, len(MEASURES)), np.nan)
    classes = np.empty(row_count, dtype=object)
    for (node_id, _), value in values.items():
        if plan.nodes[node_id].kind is not NodeKind.VALUE:
            continue
        columns = value.detail
        pv[np.ix_(columns["row"], columns["scenario"])] = columns["pv"]
        classes[columns["row"]] = plan.nodes[node_id].asset_class
        if "delta" in columns:
            base[columns["row"], 0] = columns["pv"][:, 0]
            base[columns["row"], 1:] = np.stack([columns[name] for name in MEASURES[1:]], axis=1)
    return pv - pv[:, :1], base, classes


def test_sums_and_vectors_by_key_are_those_of_the_trades():
    plan, values = evaluated()
    pnl, base, classes = numbers_of(plan, values)
    tables = tables_of(plan, values)
    vectors = tables["pnl_by_asset_class"]
    assert [key[0] for key in vectors.keys] == sorted(set(classes))
    assert vectors.columns["scenario"].tolist() == list(range(1, 41))
    for at, (name,) in enumerate(vectors.keys):
        expected = pnl[classes == name][:, 1:].sum(axis=0)
        np.testing.assert_allclose(vectors.columns["pnl"][at], expected, rtol=1e-9, atol=1e-6)
    sums = tables["sum_by_currency"]
    for at, measure in enumerate(MEASURES):
        assert sums.columns[measure].sum() == pytest.approx(base[:, at].sum(), rel=1e-9, abs=1e-6)
    assert sums.rows_used.tolist() == sums.rows_expected.tolist()
    assert sums.rows_expected.sum() == len(pnl)


def test_quantiles_are_those_of_the_vectors():
    plan, values = evaluated()
    pnl, _, classes = numbers_of(plan, values)
    tables = tables_of(plan, values)
    total = pnl[:, 1:].sum(axis=0)[None, :]
    assert tables["es"].columns["es"][0] == pytest.approx(expected_shortfall(total, 0.9)[0], rel=1e-9)
    components = tables["component_var_by_asset_class"].columns
    assert components["var"][0] == pytest.approx(value_at_risk(total, 0.9)[0], rel=1e-9)
    assert components["component_var"].sum() == pytest.approx(components["var"][0], rel=1e-9)
    incremental = tables["incremental_var_by_asset_class"]
    without = total - pnl[classes == incremental.keys[0][0], 1:].sum(axis=0)
    fall = value_at_risk(total, 0.9)[0] - value_at_risk(without, 0.9)[0]
    assert incremental.columns["incremental_var"][0] == pytest.approx(fall, rel=1e-6)


def test_the_worst_scenarios_come_with_who_drives_them():
    plan, values = evaluated()
    pnl, _, _ = numbers_of(plan, values)
    names = [scenario.name for scenario in scenarios().scenarios]
    total = pnl.sum(axis=0)
    records = tables_of(plan, values)["worst_by_asset_class"].records(names)
    order = 1 + np.argsort(total[1:], kind="stable")[:3]
    assert [record["scenario"] for record in records] == [names[at] for at in order]
    assert [record["rank"] for record in records] == [1, 2, 3]
    assert records[0]["pnl"] == pytest.approx(total[order[0]], rel=1e-9)
    drivers = [driver["pnl"] for driver in records[0]["drivers"]]
    assert drivers == sorted(drivers)
    assert all(pnl < 0.0 for pnl in drivers)


@pytest.mark.parametrize("detail", [Detail.NONE, Detail.BASE])
def test_sums_and_cells_do_not_depend_on_the_detail_that_travels(detail):
    (plan, all_values), (quiet_plan, quiet) = evaluated(), evaluated(detail)
    for key, value in all_values.items():
        assert {name: column.tobytes() for name, column in value.output.items()} == {
            name: column.tobytes() for name, column in quiet[key].output.items()
        }
        assert (value.cell_count, value.quarantine) == (quiet[key].cell_count, quiet[key].quarantine)
    blocks = [
        value.detail
        for (node_id, _), value in quiet.items()
        if quiet_plan.nodes[node_id].kind is NodeKind.VALUE and value.detail
    ]
    if detail is Detail.NONE:
        assert blocks == []
    else:
        assert {tuple(block["scenario"].tolist()) for block in blocks} == {(0,)}
        assert sum(len(block["row"]) for block in blocks) == plan.first_source.row_count
        assert all(block["pv"].shape[1] == block["status"].shape[1] == 1 for block in blocks)


def test_vectors_in_scenario_blocks_and_sums_of_row_blocks_give_the_same_tables(monkeypatch):
    one_tile = tables_of(*evaluated())
    monkeypatch.setattr(cost, "REDUCED_CELLS_OF_ONE_TILE", 0)
    monkeypatch.setattr(cost, "SUMMED_ROW_BLOCKS", 1)
    monkeypatch.setattr(cost, "VALUE_TILE_S_WORTH", 0.0)
    plan, inputs = a_run(good_book(), *ASKED)
    (reduce,) = [node for node in plan.nodes if node.kernel == "reduce"]
    assert reduce.tile_count > 1
    assert any(node.kernel == "sum" for node in plan.nodes)
    values = evaluate_all(plan, inputs)
    for name, table in tables_of(plan, values).items():
        assert table.keys == one_tile[name].keys
        assert table.rows_used.tolist() == one_tile[name].rows_used.tolist()
        for column, numbers in table.columns.items():
            np.testing.assert_allclose(numbers, one_tile[name].columns[column], rtol=1e-9, atol=1e-4)
    totals = [values[reduce.node_id, tile].detail for tile in range(reduce.tile_count)]
    assert np.concatenate([block["scenario"] for block in totals]).tolist() == list(range(41))


def test_rows_without_a_number_are_counted_beside_every_number():
    lines = good_book().split(b"\n")
    lines[0] = lines[0].replace(b'"start"', b'"begin"', 1)
    plan, inputs = a_run(b"\n".join([*lines, b"no trade"]), "var by=asset_class q=0.9", "sum")
    tables = tables_of(plan, evaluate_all(plan, inputs))
    by_class = {key[0]: at for at, key in enumerate(tables["var_by_asset_class"].keys)}
    table = tables["var_by_asset_class"]
    missing = table.rows_expected - table.rows_used
    assert missing[by_class["rates"]] == 1
    assert (table.rows_expected[by_class["unclassified"]], missing[by_class["unclassified"]]) == (1, 1)
    assert np.isnan(table.columns["var"][by_class["unclassified"]])  # of no trade there is no number
    assert np.isfinite(np.delete(table.columns["var"], by_class["unclassified"])).all()
    assert (tables["sum"].rows_expected - tables["sum"].rows_used).tolist() == [2]


def test_the_difference_of_two_days_is_a_vector():
    moved = encode_snapshot(a_snapshot(quotes={"EURUSD": 1.2}))
    blobs = {digest_of(blob): blob for blob in (good_book(), encode_snapshot(a_snapshot()), moved)}
    book, before, after = blobs
    shifts = encode_scenarios(scenarios())
    blobs[digest_of(shifts)] = shifts
    fields = {"book": book, "scenarios": digest_of(shifts), "as_of": "2024-01-15", "base_currency": "EUR"}
    nodes = (
        ValueNode(id="a", market=before, **fields),
        ValueNode(id="b", market=after, **fields),
        SumNode(id="change", inputs=("b", "a"), weights=(1.0, -1.0)),
        AggregateNode(id="change by class", of="change", measure="sum", by=("asset_class",)),
        AggregateNode(id="before", of="a", measure="sum", by=("asset_class",)),
        AggregateNode(id="after", of="b", measure="sum", by=("asset_class",)),
    )
    inputs = Inputs(blobs, _memo())
    plan = plan_run(RunSpec("graph", GraphWork(GraphSpec(nodes))), inputs.blob)
    tables = tables_of(plan, evaluate_all(plan, inputs))
    change, before_pv, after_pv = (tables[name].columns["pv"] for name in ("change by class", "before", "after"))
    np.testing.assert_allclose(change, after_pv - before_pv, rtol=1e-9, atol=1e-6)
    assert np.abs(change).max() > 1.0


def test_a_table_of_vectors_that_were_given_up_is_not_made_up():
    plan, inputs = a_run(good_book(), "var q=0.9")
    evaluate_all(plan, inputs)
    reduce, table = plan.nodes[-2:]
    inputs.outputs[reduce.node_id, 0] = {}
    with pytest.raises(XipError, match="tile 0 of node 'reduce' must have a result, it was given up"):
        evaluate_tile(plan, table.node_id, 0, inputs, lambda: False)


def test_records_are_plain_values():
    plan, values = evaluated()
    records = tables_of(plan, values)["var_by_currency"].records()
    assert list(records[0]) == ["currency", "var", "rows_used", "rows_expected"]
    assert msgspec.json.decode(msgspec.json.encode(records)) == records
