"""A run whose scenarios are bumps: planned, evaluated tile by tile, and its ladders by group against direct ones."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from tests.core.pricing.test_evaluate import Inputs, evaluate_all
from xip_core import samples
from xip_core.errors import RequestError
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.aggregates import Aggregate
from xip_core.model.market import decode_snapshot
from xip_core.model.run_spec import RiskWork, RunSpec
from xip_core.model.scenario import base_only, encode_scenarios
from xip_core.model.sensitivity import CrossGamma, Ladder, SensitivitySet, encode_sensitivities, expand
from xip_core.pricing.bumps import bump_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import decode_rows, resolve_rows
from xip_core.pricing.tile import Columns
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values
from xip_core.risk.ladder import LadderRow, combine, ladder_rows

WANTED = SensitivitySet(
    ladders=(
        Ladder(kind="par_rate", name="EUR1D", tenors=("1Y", "5Y", "20Y")),
        Ladder(kind="par_rate", name="EUR6M", tenors=("parallel",)),
        Ladder(kind="fx", is_gamma=True),
        Ladder(kind="vega", name="fx_volatility/*", tenors=("parallel",)),
    ),
    cross_gammas=(CrossGamma(first="fx/USD", second="vega/*"),),
)


MEMO: dict[tuple[object, ...], object] = {}
"""Shared by the runs of this file: one market, laid out and calibrated once."""


def a_book() -> bytes:
    """Two trades of each of some types of the sample."""
    lines = samples.load("cross-asset").book.strip().split(b"\n")
    chosen: list[bytes] = []
    for name in ("swap", "fx_forward", "fx_option", "cds"):
        chosen += [line for line in lines if json.loads(line)["type"] == name][:2]
    return b"\n".join(chosen)


def planned(scenarios: bytes, *aggregates: Aggregate, book: bytes | None = None) -> tuple[Plan, Inputs]:
    market = samples.load("cross-asset").market
    blobs = [book or a_book(), market, scenarios]
    work = RiskWork(
        *map(digest_of, blobs), measures=("pv",), base_currency="EUR", as_of="2016-02-05", aggregates=aggregates
    )
    inputs = Inputs({digest_of(blob): blob for blob in blobs}, MEMO)
    return plan_run(RunSpec(name="ladders", work=work), inputs.blob), inputs


def table_of(plan: Plan, inputs: Inputs) -> Columns:
    values = evaluate_all(plan, inputs)
    (node,) = (node for node in plan.nodes if node.kind is NodeKind.AGGREGATE)
    return values[node.node_id, 0].detail


def direct(book: bytes) -> np.ndarray:
    """(trades, sensitivities)."""
    snapshot = decode_snapshot(samples.load("cross-asset").market)
    layout = SnapshotLayout(snapshot)
    expansion = expand(WANTED, snapshot)
    columns = resolve_rows(decode_rows(book.split(b"\n")), MarketView(layout))
    values = row_values(columns, bump_tile(snapshot, layout, expansion, 0, len(expansion.columns))["market"])
    return combine(expansion, values - values[:, :1])


def test_ladders_by_asset_class_are_the_sums_of_those_of_the_trades() -> None:
    plan, inputs = planned(encode_sensitivities(WANTED), Aggregate(measure="ladder", by=("asset_class",)))
    assert [node.kernel for node in plan.nodes if node.kind is NodeKind.CALIBRATE] == ["bumps"]
    table = table_of(plan, inputs)
    keys = [key for (key,) in msgspec.json.decode(table["key"].tobytes())]
    assert keys == ["credit", "fx", "rates"]
    of_trade = direct(a_book())
    expected = np.stack([of_trade[6:8].sum(axis=0), of_trade[2:6].sum(axis=0), of_trade[0:2].sum(axis=0)])
    np.testing.assert_allclose(table["value"], expected, rtol=1e-9, atol=1e-7)
    np.testing.assert_array_equal(table["used"], np.repeat([[2], [4], [2]], table["value"].shape[1], axis=1))


def test_the_table_says_what_each_number_is() -> None:
    plan, inputs = planned(encode_sensitivities(WANTED), Aggregate(measure="ladder"))
    table = table_of(plan, inputs)
    rows = msgspec.json.decode(table["sensitivity"].tobytes(), type=tuple[LadderRow, ...])
    snapshot = decode_snapshot(samples.load("cross-asset").market)
    assert rows == ladder_rows(expand(WANTED, snapshot))
    assert rows[0] == LadderRow("rates", "par_rate", "delta", "curve/EUR1D", "1Y", "bp", 1.0)
    assert table["value"].shape == (1, len(rows))


def test_a_trade_without_a_number_under_a_bump_is_counted_out_of_its_sensitivities_alone() -> None:
    """FX volatility bumped by 50 points below zero: the options fail in that column, forwards do not."""
    wanted = SensitivitySet(ladders=(Ladder(kind="fx"), Ladder(kind="vega", name="fx_volatility/*", bump=50.0)))
    plan, inputs = planned(encode_sensitivities(wanted), Aggregate(measure="ladder", by=("asset_class",)))
    table = table_of(plan, inputs)
    rows = msgspec.json.decode(table["sensitivity"].tobytes(), type=tuple[LadderRow, ...])
    fx = [key for (key,) in msgspec.json.decode(table["key"].tobytes())].index("fx")
    spots = [at for at, row in enumerate(rows) if row.kind == "fx"]
    vegas = [at for at, row in enumerate(rows) if row.kind == "vega"]
    assert (table["used"][fx, spots] == 4).all()
    assert table["used"][fx, vegas].min() == 2
    assert np.isfinite(table["value"]).all()


@pytest.mark.parametrize(
    ("scenarios", "aggregate", "sentence"),
    [
        (encode_scenarios(base_only()), Aggregate(measure="ladder"), "a ladder is made of sensitivities"),
        (encode_sensitivities(WANTED), Aggregate(measure="var", q=0.99), "bumps are no scenarios of a distribution"),
        (encode_sensitivities(WANTED), Aggregate(measure="worst", count=3), "bumps are no scenarios"),
    ],
)
def test_aggregates_that_do_not_fit_are_refused(scenarios: bytes, aggregate: Aggregate, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        planned(scenarios, aggregate)
    assert caught.value.reason == "BAD_AGGREGATE"


def test_a_ladder_that_names_nothing_is_refused_when_planned() -> None:
    scenarios = encode_sensitivities(SensitivitySet(ladders=(Ladder(kind="fx", name="XXX"),)))
    with pytest.raises(RequestError, match="fx 'XXX' names nothing in the market") as caught:
        planned(scenarios, Aggregate(measure="ladder"))
    assert caught.value.reason == "BAD_SENSITIVITY"


def test_pnl_of_single_columns_can_be_asked_for_by_name() -> None:
    aggregate = Aggregate(measure="pnl", scenarios="fx/USD spot [+-]")
    plan, inputs = planned(encode_sensitivities(WANTED), aggregate)
    assert len(table_of(plan, inputs)["scenario"]) == 2  # up and down, without the corners of cross gammas
