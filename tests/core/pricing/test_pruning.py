"""Pruned value tiles: the same bytes, and no more work than the scenarios that a tile's rows can see."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.core.pricing import test_bermudan, test_surfaces_smiles, test_surfaces_swaptions
from tests.core.pricing.flat_market import a_snapshot
from tests.core.pricing.isda_market import isda_snapshot, standard_cds
from tests.core.pricing.smile_market import fx_smile, snapshot_with
from tests.core.pricing.test_evaluate import a_run, evaluate_all, good_book
from tests.core.pricing.test_kernels_used import SMALL
from tests.core.pricing.test_properties import every_product, scenarios
from xip_core.graph.plan import NodeKind
from xip_core.kernels import tile_cells
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import Trade
from xip_core.pricing import value_tile
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.program import Floats
from xip_core.pricing.pruning import PrunedValues, pruned_values, used_factors
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.tile import Columns
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values

Market = tuple[Snapshot, list[Trade], ScenarioSet]


def moves(*shifts: Shift) -> ScenarioSet:
    """The base, each shift alone, and the base again under another name."""
    named = [Scenario(name=f"{place}", shifts=(shift,)) for place, shift in enumerate(shifts)]
    return ScenarioSet(scenarios=(Scenario(name="base"), *named, Scenario(name="as the base")))


def flat() -> Market:
    again = Scenario(name="as the base")
    return a_snapshot(), every_product(), ScenarioSet(scenarios=(*scenarios().scenarios, again))


def failing() -> Market:
    """Volatilities that a shift makes negative: their objects are NaN in one scenario."""
    shift = Shift(target="swaption_volatility", name="EUR", shift_absolute=-1.0)
    return a_snapshot(), every_product(), moves(shift, Shift(target="fx", name="EURUSD", shift_relative=0.1))


def smiles() -> Market:
    snapshot = snapshot_with(fx_smile(), test_surfaces_smiles.FX_QUOTES)
    option = test_surfaces_smiles.fx_option("EUR", "USD", 1.2, "call", dt.date(2016, 11, 14))
    return snapshot, [option], moves(*test_surfaces_smiles.SHIFTS, Shift(target="curve", name="EUR*", shift_bps=1.0))


def cube() -> Market:
    trade = test_surfaces_swaptions.a_swaption("1Y", "5Y", 0.02, payer=True)
    volatility = Shift(target="swaption_volatility", name="EUR", shift_absolute=1e-4)
    fx = Shift(target="fx", name="EURUSD", shift_relative=0.1)
    return test_surfaces_swaptions.a_market(), [trade], moves(volatility, fx)


def bermudan() -> Market:
    volatility = Shift(target="swaption_volatility", name="EUR", shift_absolute=1e-4)
    fx = Shift(target="fx", name="EURUSD", shift_relative=0.1)
    return test_bermudan.a_market(), [test_bermudan.a_right()], moves(volatility, fx)


def credit() -> Market:
    snapshot = isda_snapshot(SMALL, cds_spreads=(Pillar("5Y", "SPREAD"),), quotes={"SPREAD": 0.01})
    trade = standard_cds(snapshot.as_of, dt.date(2029, 6, 20), 0.01)
    return snapshot, [trade], moves(Shift(target="hazard", name="*", shift_bps=5.0))


MARKETS = [flat, failing, smiles, cube, bermudan, credit]


def calibrated(market: Market) -> tuple[Columns, Floats]:
    """A resolve tile and the market matrix of all scenarios."""
    snapshot, trades, scenario_set = market
    layout = SnapshotLayout(snapshot)
    matrix = calibrate_tile(snapshot, layout, scenario_set, 0, len(scenario_set.scenarios))["market"]
    columns = resolve_rows(trades, MarketView(layout))
    assert not columns["row_status"].any()
    return columns, matrix


@pytest.mark.parametrize("make", MARKETS, ids=lambda make: make.__name__)
def test_pruned_values_have_the_bytes_of_all_scenarios_computed(make: object) -> None:
    assert callable(make)
    columns, market = calibrated(make())
    base = np.ascontiguousarray(market[:, :1])
    with np.errstate(all="ignore"):
        whole = row_values(columns, market)
        assert pruned_values(columns, market, base, has_base=True).values.tobytes() == whole.tobytes()
        for begin in (1, market.shape[1] // 2, market.shape[1] - 1):
            found = pruned_values(columns, np.ascontiguousarray(market[:, begin:]), base, has_base=False)
            assert found.base.tobytes() == whole[:, :1].tobytes()
            assert found.values.tobytes() == whole[:, begin:].tobytes()
    assert pruned_values(columns, market, base, has_base=True).pruned_count >= 1


@pytest.mark.parametrize("make", MARKETS, ids=lambda make: make.__name__)
def test_values_depend_on_no_factor_beside_those_named(make: object) -> None:
    assert callable(make)
    columns, market = calibrated(make())
    poisoned = np.full_like(market, np.nan)
    factors = used_factors(columns, len(market))
    poisoned[factors] = market[factors]
    with np.errstate(all="ignore"):
        assert row_values(columns, poisoned).tobytes() == row_values(columns, market).tobytes()


def test_scenarios_that_touch_nothing_a_row_needs_are_not_computed() -> None:
    """An equity option in euro: of four shifts it sees its share and its curve."""
    (option,) = [trade for trade in every_product() if trade.id == "equity option"]
    columns, market = calibrated(
        (
            a_snapshot(),
            [option],
            moves(
                Shift(target="fx", name="EURUSD", shift_relative=0.1),
                Shift(target="equity", name="ACME", shift_relative=0.1),
                Shift(target="curve", name="EUR1D", shift_bps=1.0),
                Shift(target="commodity", name="OIL", shift_relative=0.1),
            ),
        )
    )
    base = np.ascontiguousarray(market[:, :1])
    kept, version_of = tile_cells.versions(market, base, used_factors(columns, len(market)))
    assert (kept.tolist(), version_of.tolist()) == ([2, 3], [-1, -1, 0, 1, -1, -1])
    found = pruned_values(columns, market, base, has_base=True)
    assert found.pruned_count == 3
    assert (found.values[0, [1, 4, 5]] == found.values[0, 0]).all()
    assert (found.values[0, [2, 3]] != found.values[0, 0]).all()


def test_a_zero_of_the_other_sign_and_a_nan_differ_from_the_base() -> None:
    factors = np.array([1])
    base = np.array([[1.0], [0.0]])
    market = np.array([[1.0, 1.0, 1.0, 9.0], [0.0, -0.0, np.nan, 0.0]])
    assert tile_cells.versions(market, base, factors)[1].tolist() == [-1, 0, 1, -1]
    assert tile_cells.versions(market, np.array([[1.0], [np.nan]]), factors)[1].tolist() == [0, 1, -1, 0]


def test_a_run_has_the_same_bytes_and_counts_without_pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, inputs = a_run(good_book())
    pruned = evaluate_all(plan, inputs)

    def all_computed(
        columns: Columns, market: Floats, base: Floats, has_base: bool, at_base: Columns
    ) -> PrunedValues:
        return PrunedValues(row_values(columns, market), row_values(columns, base), 0)

    monkeypatch.setattr(value_tile, "pruned_values", all_computed)
    whole = evaluate_all(*a_run(good_book()))
    for key, value in whole.items():
        for ours, theirs in ((pruned[key].output, value.output), (pruned[key].detail, value.detail)):
            assert {name: column.tobytes() for name, column in ours.items()} == {
                name: column.tobytes() for name, column in theirs.items()
            }
        assert (pruned[key].cell_count, pruned[key].quarantine) == (value.cell_count, value.quarantine)
    of_values = {node.node_id for node in plan.nodes if node.kind is NodeKind.VALUE}
    counts = {key: value.pruned_cells for key, value in pruned.items() if value.pruned_cells}
    assert counts
    assert {node_id for node_id, _ in counts} <= of_values
    assert all(count < pruned[key].cell_count for key, count in counts.items())


def test_of_scenarios_that_are_alike_for_the_rows_the_first_is_computed() -> None:
    """A share and a rate it needs, each alone and beside something it does not see: two markets of six."""
    (option,) = [trade for trade in every_product() if trade.id == "equity option"]
    columns, market = calibrated((a_snapshot(), [option], moves(Shift(target="fx", name="EURUSD", shift_relative=0.1))))
    used = used_factors(columns, len(market))
    other = next(factor for factor in range(len(market)) if factor not in used)
    base = np.ascontiguousarray(market[:, :1])
    block = np.repeat(base, 6, axis=1)
    block[used[0], [1, 2, 3]] += 0.01
    block[used[-1], [4, 5]] += 0.01
    block[other, [2, 5]] += 0.01
    kept, version_of = tile_cells.versions(block, base, used)
    assert (kept.tolist(), version_of.tolist()) == ([1, 4], [-1, 0, 0, 0, 1, 1])
    for has_base in (True, False):
        found = pruned_values(columns, block if has_base else np.ascontiguousarray(block[:, 1:]), base, has_base)
        assert found.values.tobytes() == row_values(columns, block)[:, 0 if has_base else 1 :].tobytes()
        assert found.pruned_count == 3
