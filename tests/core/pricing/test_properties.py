"""What holds for any numbers: parity, linearity, the slow twin, and bytes that do not depend on tiles."""

from __future__ import annotations

import datetime as dt
import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.core.pricing.flat_market import (
    AS_OF,
    a_fixed_leg,
    a_floating_leg,
    a_schedule,
    a_snapshot,
    a_swap,
    an_overnight_leg,
    value,
)
from tests.core.pricing.oil_trades import (
    a_fixed_oil_leg,
    an_average_option,
    an_oil_leg,
    an_oil_swap,
    an_oil_swaption,
)
from tests.core.pricing.test_products import a_bond, an_fx_option, swaption
from xip_core.graph.plan import Source
from xip_core.model.market import Snapshot
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import (
    CapFloor,
    Cds,
    CommodityForward,
    CommodityOption,
    EquityForward,
    EquityOption,
    Fra,
    FxForward,
    Trade,
)
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.program import check_program
from xip_core.pricing.reference import reference_values
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.tile import Columns, TileValue
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values
from xip_core.pricing.value_tile import MarketBlock, value_tile

IN_TWO_YEARS = dt.date(2026, 1, 15)
EQUITY = {"name": "ACME", "currency": "EUR", "strike": 48.0, "quantity": 100.0, "position": "long"}
OIL = {"name": "OIL", "currency": "USD", "strike": 75.0, "quantity": 10.0, "position": "long"}


def every_product() -> list[Trade]:
    """One or more trades of each type."""
    cds_leg = a_fixed_leg(payer=True, schedule=a_schedule(rule="cds2015", calendar="WeekendsOnly"))
    fx = {"bought_currency": "EUR", "bought_amount": 1e6, "sold_currency": "USD", "sold_amount": 1.3e6}
    return [
        a_swap(),
        a_swap(an_overnight_leg(), a_fixed_leg(currency="USD", payer=True, final_exchange=True), id="cross currency"),
        a_swap(an_overnight_leg(averaged=True), id="averaged"),
        Fra(
            id="fra", currency="EUR", index="EUR-EURIBOR-3M", start=dt.date(2024, 6, 20), end=dt.date(2024, 12, 20),
            strike=0.01, notional=1e6, position="long",
        ),
        CapFloor(id="collar", leg=a_floating_leg(), position="long", caps=(0.04,), floors=(0.02,)),
        swaption(),
        replace(swaption("cash", payer=False), id="cash swaption"),
        a_bond(credit_curve="ACME", id="risky bond"),
        a_bond(leg=a_floating_leg(floors=(0.025,))),
        Cds(id="cds", leg=cds_leg, credit_curve="ACME"),
        FxForward(id="fx", value_date=IN_TWO_YEARS, **fx),
        an_fx_option("put", "short"),
        EquityForward(id="equity forward", maturity=IN_TWO_YEARS, **EQUITY),
        EquityOption(id="equity option", expiry=IN_TWO_YEARS, option_type="call", **EQUITY),
        CommodityForward(id="oil forward", maturity=IN_TWO_YEARS, **OIL),
        CommodityOption(id="oil option", expiry=IN_TWO_YEARS, option_type="put", **OIL),
        an_oil_swap(a_fixed_oil_leg(payer=True), an_oil_leg(averaged=True, spreads=(1.5,))),
        an_oil_swaption(),
        an_average_option(),
    ]  # fmt: skip


@functools.cache
def scenarios() -> ScenarioSet:
    """The base and 40 parallel shifts of curves, spots and volatilities."""
    moves = [Scenario(name="base")]
    for step in range(1, 11):
        moves.append(Scenario(name=f"EUR {step}", shifts=(Shift(target="curve", name="EUR*", shift_bps=7.0 * step),)))
        dollar = Shift(target="fx", name="EURUSD", shift_relative=0.01 * step)
        share = Shift(target="equity", name="*", shift_relative=-0.02 * step)
        volatility = Shift(target="swaption_volatility", name="EUR", shift_absolute=1e-4 * step)
        moves.append(Scenario(name=f"fx {step}", shifts=(dollar,)))
        moves.append(Scenario(name=f"equity {step}", shifts=(share,)))
        moves.append(Scenario(name=f"volatility {step}", shifts=(volatility,)))
    return ScenarioSet(scenarios=tuple(moves))


@functools.cache
def layout() -> SnapshotLayout:
    return SnapshotLayout(a_snapshot())


def calibrated(begin: int, end: int) -> Columns:
    return calibrate_tile(a_snapshot(), layout(), scenarios(), begin, end)


def valued(trades: list[Trade], row_begin: int, begin: int, end: int, snapshot: Snapshot | None = None) -> TileValue:
    """The value tile of some trades, in rows from *row_begin*, under scenarios [begin, end)."""
    market = snapshot or a_snapshot()
    laid_out = layout() if snapshot is None else SnapshotLayout(market)
    source = Source(measures=("pv", "delta", "vega", "dv01"))
    rows = np.arange(row_begin, row_begin + len(trades), dtype=np.int32)
    own, base = (calibrate_tile(market, laid_out, scenarios(), *span) for span in ((begin, end), (0, 1)))
    block = MarketBlock(own, base, begin, end)
    return value_tile(source, rows, np.zeros(len(rows), np.int32), resolve_rows(trades, MarketView(laid_out)), block)


def test_kernels_agree_with_the_slow_twin_on_every_product() -> None:
    columns = resolve_rows(every_product(), MarketView(layout()))
    check_program(columns)
    market = calibrated(0, 41)["market"]
    fast, slow = row_values(columns, market), reference_values(columns, market)
    assert not columns["row_status"].any()
    np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-6)  # a millionth of a cent on a million


@pytest.mark.parametrize("split", [1, 2, 5, 7, 16, 40])
def test_bytes_do_not_depend_on_how_scenarios_are_cut(split: int) -> None:
    trades = every_product()
    whole = valued(trades, 0, 0, 41)
    edges = [*range(0, 41, split), 41]
    parts = [valued(trades, 0, begin, end) for begin, end in itertools.pairwise(edges)]
    for name in ("pv", "status"):
        joined = np.concatenate([part.detail[name] for part in parts], axis=1)
        assert joined.tobytes() == whole.detail[name].tobytes()
    for name in ("pnl_sum", "rows_used"):
        joined = np.concatenate([part.output[name] for part in parts], axis=1)
        assert joined.tobytes() == whole.output[name].tobytes()
    assert parts[0].output["pv_sum"].tobytes() == whole.output["pv_sum"].tobytes()


@pytest.mark.parametrize("split", [1, 3, 7])
def test_bytes_do_not_depend_on_how_rows_are_cut(split: int) -> None:
    trades = every_product()
    whole = valued(trades, 0, 0, 20)
    edges = [*range(0, len(trades), split), len(trades)]
    parts = [valued(trades[begin:end], begin, 0, 20) for begin, end in itertools.pairwise(edges)]
    for name in ("row", "pv", "delta", "vega", "dv01", "pv_trade_currency"):
        assert np.concatenate([part.detail[name] for part in parts]).tobytes() == whole.detail[name].tobytes()


def test_sums_of_a_tile_are_the_sums_of_its_rows() -> None:
    tile = valued(every_product(), 0, 0, 41)
    pv = tile.detail["pv"]
    np.testing.assert_allclose(tile.output["pv_sum"], pv[:, 0].sum(), rtol=1e-12)
    np.testing.assert_allclose(tile.output["pnl_sum"][0], (pv - pv[:, :1]).sum(axis=0), rtol=1e-9, atol=1e-7)
    expected = [tile.detail[name].sum() for name in ("delta", "vega", "dv01")]
    np.testing.assert_allclose(tile.output["measure_sum"][0], expected, rtol=1e-12)


def test_call_less_put_is_the_forward_on_fx() -> None:
    forward = FxForward(
        id="fx", value_date=IN_TWO_YEARS, bought_currency="EUR", bought_amount=1e6, sold_currency="USD",
        sold_amount=1.3e6,
    )  # fmt: skip
    assert value(an_fx_option("call")) - value(an_fx_option("put")) == pytest.approx(value(forward), rel=1e-10)


def test_call_less_put_is_the_forward_on_equities_and_commodities() -> None:
    for forward_type, option_type, fields in (
        (EquityForward, EquityOption, EQUITY),
        (CommodityForward, CommodityOption, OIL),
    ):
        call = value(option_type(id="c", expiry=IN_TWO_YEARS, option_type="call", **fields))
        put = value(option_type(id="p", expiry=IN_TWO_YEARS, option_type="put", **fields))
        assert call - put == pytest.approx(value(forward_type(id="f", maturity=IN_TWO_YEARS, **fields)), rel=1e-10)


def test_cap_less_floor_is_the_swap() -> None:
    leg = a_floating_leg()
    cap = value(CapFloor(id="cap", leg=leg, position="long", caps=(0.03,)))
    floor = value(CapFloor(id="floor", leg=leg, position="long", floors=(0.03,)))
    assert cap - floor == pytest.approx(value(a_swap()), rel=1e-9)


def test_payer_less_receiver_swaption_is_the_forward_swap() -> None:
    payer = swaption()
    assert value(payer) - value(swaption(payer=False)) == pytest.approx(value(a_swap(*payer.legs)), rel=1e-10)


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(0.01, 100.0), rate=st.floats(-0.05, 0.2))
def test_swap_value_is_linear_in_its_notional(scale: float, rate: float) -> None:
    def swap_of(notional: float) -> Trade:
        fixed = a_fixed_leg(payer=True, notionals=(notional,), rates=(rate,))
        return a_swap(fixed, a_floating_leg(notionals=(notional,)))

    assert value(swap_of(1e6 * scale)) == pytest.approx(scale * value(swap_of(1e6)), rel=1e-9, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(days=st.integers(3, 4000), amount=st.floats(1.0, 1e9))
def test_selling_what_was_bought_is_worth_nothing(days: int, amount: float) -> None:
    day = AS_OF + dt.timedelta(days=days)
    bought = FxForward(
        id="b", value_date=day, bought_currency="EUR", bought_amount=amount, sold_currency="USD", sold_amount=amount
    )
    sold = FxForward(
        id="s", value_date=day, bought_currency="USD", bought_amount=amount, sold_currency="EUR", sold_amount=amount
    )
    assert value(bought) + value(sold) == pytest.approx(0.0, abs=1e-9 * amount)


def test_short_is_the_negative_of_long() -> None:
    assert value(an_fx_option("call", "short")) == -value(an_fx_option("call", "long"))
