"""P&L explain as a graph: parts of known books, and what is not explained."""

from __future__ import annotations

import datetime as dt
import functools

import msgspec
import numpy as np
import pytest

from tests.core.pricing.flat_market import a_snapshot, a_swap
from tests.core.pricing.test_evaluate import Inputs, evaluate_all
from xip_core.client.pnl import BEGIN, ExplainTable, explain_graph, explained_of
from xip_core.client.tables import AggregateTable, table_of
from xip_core.errors import RequestError
from xip_core.graph.plan import NodeKind
from xip_core.graph.planner import plan_run
from xip_core.model.market import Snapshot, encode_snapshot
from xip_core.model.run_spec import GraphWork, RunSpec
from xip_core.model.scenario import ScenarioMarket
from xip_core.model.trade import EquityOption, FxForward, Trade, encode_trade
from xip_core.scenarios.moves import Moves, moves_between


def a_book() -> tuple[Trade, ...]:
    fx = FxForward(
        id="fx", desk="fx", value_date=dt.date(2025, 1, 15), bought_currency="USD", bought_amount=1e6,
        sold_currency="EUR", sold_amount=9e5,
    )  # fmt: skip
    option = EquityOption(
        id="option", desk="equity", name="ACME", currency="EUR", expiry=dt.date(2025, 1, 15), option_type="call",
        position="long", strike=48.0, quantity=100.0,
    )  # fmt: skip
    return (msgspec.structs.replace(a_swap(), desk="rates"), fx, option)


def tables_of(moves: Moves, begin: Snapshot, rolled: Snapshot, end: Snapshot) -> dict[str, AggregateTable]:
    book = b"\n".join(map(encode_trade, a_book()))
    graph = explain_graph(book, *map(encode_snapshot, (begin, rolled, end)), moves, by="desk")
    inputs = Inputs(graph.blobs)
    plan = plan_run(RunSpec(name="test", work=GraphWork(graph.spec())), inputs.blob)
    values = evaluate_all(plan, inputs)
    blocks = [values[node.node_id, 0].detail for node in plan.nodes if node.kind is NodeKind.AGGREGATE]
    return {table.name: table for table in map(table_of, blocks)}


def moved_snapshot(size: float = 1.0, **changes: float | str) -> Snapshot:
    """Every number among the quotes moved by half a percent of itself."""
    quotes = {
        name: value if isinstance(value, str) else value * (1.0 + 0.005 * size)
        for name, value in a_snapshot().quotes.items()
    }
    return a_snapshot(quotes | changes)


@functools.cache
def explained() -> ExplainTable:
    begin, end = a_snapshot(), moved_snapshot()
    moves = moves_between(begin, end)
    return explained_of(tables_of(moves, begin, begin, end), moves)


def test_parts_add_up_and_explain_a_moderate_day() -> None:
    table = explained()
    parts = table.parts
    assert (table.by, sorted(table.keys)) == (("desk",), [("equity",), ("fx",), ("rates",)])
    added = parts.carry + parts.delta + parts.gamma + parts.vega + parts.residual
    assert added == pytest.approx(parts.total, rel=1e-12)
    assert (parts.carry == 0.0).all()  # no day passed
    assert (parts.residual_share < 2e-3).all()
    assert (table.rows_used == 1).all()
    assert table.unexplained == ()


def test_delta_is_told_by_class_and_only_options_have_vega() -> None:
    table = explained()
    rows = {key[0]: row for row, key in enumerate(table.keys)}
    assert sum(values for name, values in table.by_class.items() if name != "VOLATILITY") == pytest.approx(
        table.parts.delta, rel=1e-12
    )
    assert table.parts.vega[rows["equity"]] > 0.0
    assert table.parts.vega[rows["rates"]] == table.parts.vega[rows["fx"]] == 0.0
    assert table.parts.gamma[rows["equity"]] > 0.0
    assert table.by_class["EQUITY"][rows["rates"]] == 0.0
    assert table.by_class["FX"][rows["fx"]] != 0.0


def test_the_residual_is_of_third_order() -> None:
    """Ten times the move, up to a thousand times the residual, and no less than a hundred times."""
    begin = a_snapshot()
    residuals = []
    for size in (1.0, 10.0):
        moves = moves_between(begin, moved_snapshot(size))
        table = explained_of(tables_of(moves, begin, begin, moved_snapshot(size)), moves)
        row = table.keys.index(("fx",))
        residuals.append(abs(float(table.parts.residual[row])) / abs(float(table.parts.total[row])))
    assert residuals[1] < 0.02
    assert residuals[0] < residuals[1] / 20.0


def test_a_market_that_stood_still_has_no_pnl() -> None:
    begin = a_snapshot()
    moves = moves_between(begin, begin)
    table = explained_of(tables_of(moves, begin, begin, begin), moves)
    assert not np.any([table.parts.total, table.parts.delta, table.parts.residual, table.parts.residual_share])


def test_a_group_without_its_numbers_at_the_end_is_not_explained() -> None:
    """The equity's spot is no number at the end: its desk is listed with counts, the others are explained."""
    begin = a_snapshot()
    market = ScenarioMarket(begin)
    spot = next(name for name in begin.quotes if market.risk_class_of(name) == "EQUITY")
    end = moved_snapshot(**{spot: "NaN"})
    moves = moves_between(begin, end)
    table = explained_of(tables_of(moves, begin, begin, end), moves)
    assert sorted(table.keys) == [("fx",), ("rates",)]
    counts = "trades with a number: 1 pv begin, 1 pv rolled, 0 pv end, 1 pnl moved"
    assert table.unexplained == ((("equity",), counts),)


def test_a_missing_table_is_said() -> None:
    moves = moves_between(a_snapshot(), a_snapshot())
    with pytest.raises(RequestError, match=f"missing {BEGIN}") as refused:
        explained_of({}, moves)
    assert refused.value.reason == "NOT_EXPLAINED"
