"""Trades and markets that fail: the row says why, its neighbours have their numbers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from tests.core.pricing.flat_market import (
    AS_OF,
    a_fixed_leg,
    a_floating_leg,
    a_schedule,
    a_snapshot,
    a_swap,
    an_overnight_leg,
    book,
    value,
)
from tests.core.pricing.test_products import a_bond, an_fx_option, swaption
from tests.core.pricing.test_properties import valued
from xip_core.errors import FailureReason, RequestError
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import CapFloor, Cds, EquityOption, FixedLeg, Fra, FxForward, FxOption, Trade
from xip_core.pricing import calculate, requirements
from xip_core.pricing.resolve import RefusedTrade, decode_rows, json_value, resolve_rows

GOOD = a_swap(id="good")


def refusal(trade: Trade, **snapshot: Any) -> tuple[FailureReason, str]:
    """Why *trade* has no number; a good swap beside it must keep its own."""
    result = book(GOOD, trade, snapshot=a_snapshot(**snapshot))
    assert result.status[0, 0] == 0
    assert result.pv[0, 0] == value(GOOD)
    assert np.isnan(result.pv[1, 0])
    failure = result.failures[trade.id]
    assert result.status[1, 0] == failure.reason
    assert f"trade {trade.id}: " in failure.message
    return failure.reason, failure.message


def test_missing_fixing_is_named_with_index_and_day() -> None:
    schedule = a_schedule(start=dt.date(2023, 12, 20), end=dt.date(2024, 3, 20))
    reason, message = refusal(a_swap(a_floating_leg(schedule=schedule)))
    assert reason == FailureReason.MISSING_DATA
    assert "fixing of EUR-EURIBOR-3M for 2023-12-18" in message


def test_missing_overnight_fixing_is_named_with_its_day() -> None:
    schedule = a_schedule(start=dt.date(2024, 1, 10), end=dt.date(2024, 4, 10))
    fixings = {"EUR-ESTER": {dt.date(2024, 1, 10): 0.039, dt.date(2024, 1, 12): 0.039}}
    reason, message = refusal(a_swap(an_overnight_leg(schedule=schedule)), fixings=fixings)
    assert reason == FailureReason.MISSING_DATA
    assert "fixing of EUR-ESTER for 2024-01-11" in message


FX = {"bought_currency": "EUR", "bought_amount": 1.0, "sold_currency": "USD", "sold_amount": 1.0}
PUT = {"option_type": "put", "position": "long"}
SHARE = {"currency": "EUR", "strike": 1.0, "quantity": 1.0}


def a_leg_until(end: dt.date) -> FixedLeg:
    return a_fixed_leg(schedule=a_schedule(start=dt.date(2020, 1, 15), end=end))


@pytest.mark.parametrize(
    ("trade", "last_day"),
    [
        (a_swap(a_leg_until(dt.date(2023, 6, 15))), "2023-06-15"),
        (a_bond(leg=a_leg_until(AS_OF)), "2024-01-15"),
        (FxForward(id="fx", value_date=dt.date(2024, 1, 12), **FX), "2024-01-12"),
        (FxOption(id="fx", expiry=dt.date(2023, 12, 29), **PUT, **FX), "2023-12-29"),
        (EquityOption(id="o", name="ACME", expiry=dt.date(2024, 1, 12), **PUT, **SHARE), "2024-01-12"),
    ],
)
def test_expired_trade_says_when_it_expired(trade: Trade, last_day: str) -> None:
    reason, message = refusal(trade)
    assert reason == FailureReason.EXPIRED
    assert f"expired on {last_day}, the as-of date is 2024-01-15" in message


@pytest.mark.parametrize(
    ("trade", "lack"),
    [
        (a_swap(a_fixed_leg(currency="CHF")), "no discount curve for CHF"),
        (a_swap(a_floating_leg(index="EUR-EURIBOR-6M")), "no rate index EUR-EURIBOR-6M"),
        (a_bond(reference_curve="BUND"), "no curve BUND"),
        (a_bond(credit_curve="NOBODY"), "no hazard NOBODY"),
        (Cds(id="cds", leg=a_fixed_leg(payer=True), credit_curve="NOBODY"), "no hazard NOBODY"),
        (EquityOption(id="o", name="NONE", expiry=dt.date(2025, 1, 15), **PUT, **SHARE), "no equity volatility NONE"),
    ],
)
def test_missing_market_object_is_named(trade: Trade, lack: str) -> None:
    reason, message = refusal(trade)
    assert reason == FailureReason.MISSING_DATA
    assert lack in message


@pytest.mark.parametrize(
    ("trade", "sentence"),
    [
        (a_swap(a_fixed_leg(schedule=a_schedule(calendar="MOON"))), "a calendar must be one of"),
        (a_swap(a_fixed_leg(schedule=a_schedule(tenor="quarterly"))), "a tenor must be like '6M'"),
        (a_swap(a_fixed_leg(day_count="ACT/ACT ICMA", schedule=a_schedule(tenor="5M"))), "needs a coupon tenor"),
        (Cds(id="cds", leg=a_fixed_leg(), credit_curve="ACME", recovery_rate=1.5), "recovery_rate must be in [0, 1)"),
    ],
)
def test_fields_that_make_no_sense_are_bad_trades(trade: Trade, sentence: str) -> None:
    reason, message = refusal(trade)
    assert reason == FailureReason.BAD_TRADE
    assert sentence in message


@pytest.mark.parametrize(
    ("trade", "sentence"),
    [
        (a_swap(a_floating_leg(caps=(0.05,))), "a swap leg with caps or floors"),
        (CapFloor(id="cap", leg=a_floating_leg(gearings=(-1.0,)), position="long", caps=(0.05,)), "a gearing > 0"),
        (Fra(id="fra", currency="EUR", index="EUR-ESTER", start=dt.date(2024, 6, 20), end=dt.date(2024, 9, 20),
             strike=0.0, notional=1.0, position="long"), "a FRA on the overnight index"),
    ],
)  # fmt: skip
def test_features_we_do_not_price_are_unsupported(trade: Trade, sentence: str) -> None:
    reason, message = refusal(trade)
    assert reason == FailureReason.UNSUPPORTED
    assert sentence in message


def test_swap_that_starts_before_the_swaption_expires_is_a_bad_trade() -> None:
    late = swaption()
    reason, message = refusal(type(late)(id="s", legs=late.legs, expiry=dt.date(2025, 2, 3), position="long",
                                         settlement="cash"))  # fmt: skip
    assert reason == FailureReason.BAD_TRADE
    assert "must start at or after its expiry" in message


@pytest.mark.parametrize("quote", [-0.2, "NaN", "inf"])
def test_bad_volatility_takes_only_the_options_that_need_it(quote: float | str) -> None:
    result = book(GOOD, an_fx_option("call"), snapshot=a_snapshot(quotes={"lognormal": quote}))
    assert result.status[0, 0] == 0
    assert result.status[1, 0] in (FailureReason.BAD_QUOTE, FailureReason.CALIBRATION_FAILED)
    assert "lognormal" in result.failures["call"].message
    assert np.isnan(result.measures["vega"][1])


def test_curve_that_fails_under_one_scenario_takes_those_cells_alone() -> None:
    moves = ScenarioSet(
        scenarios=(
            Scenario(name="base"),
            Scenario(name="up", shifts=(Shift(target="fx", name="EURUSD", shift_relative=0.01),)),
            Scenario(name="gone", shifts=(Shift(target="fx", name="EURUSD", shift_relative=-2.0),)),
        )
    )
    result = calculate([GOOD, an_fx_option("call")], a_snapshot(), moves)
    assert result.status[0].tolist() == [0, 0, 0]
    assert result.status[1, :2].tolist() == [0, 0]
    assert result.status[1, 2] != 0
    assert np.isnan(result.pv[1]).tolist() == [False, False, True]
    assert "EURUSD" in result.failures["call"].message


def test_row_that_cannot_be_valued_in_the_base_is_in_no_sum() -> None:
    tile = valued([GOOD, an_fx_option("call")], 0, 0, 5, a_snapshot(quotes={"EURUSD": "NaN"}))
    assert tile.output["rows_used"].tolist() == [[1] * 5]
    assert tile.output["rows_expected"].tolist() == [2]
    assert tile.output["pv_sum"].tolist() == tile.detail["pv"][0, :1].tolist()
    assert tile.output["measure_sum"][0].tolist() == [tile.detail[name][0] for name in ("delta", "vega", "dv01")]
    assert [(cells.row, cells.scenario_begin, cells.scenario_end) for cells in tile.quarantine] == [(1, 0, 5)]


def test_lines_that_are_no_trades_keep_their_row() -> None:
    rows = decode_rows([b'{"id":"x","type":"swaption","strike":1}', b"{]", b""])
    assert all(isinstance(row, RefusedTrade) for row in rows)
    assert [row.id for row in rows] == ["x", "", ""]


def test_overflowing_numbers_are_reported_as_numerical() -> None:
    reason, message = refusal(a_swap(a_fixed_leg(notionals=(1.7e308,), rates=(1e10,))))
    assert reason == FailureReason.NUMERICAL
    assert "not a finite number" in message


def test_empty_book_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        calculate([], a_snapshot())
    assert refused.value.reason == "EMPTY_BOOK"


def test_requirements_name_the_objects_of_each_trade_before_anything_is_calibrated() -> None:
    needed = requirements([GOOD, an_fx_option("call"), a_swap(a_fixed_leg(currency="CHF"), id="chf")], a_snapshot())
    assert needed[0].market_objects == ("curve/EUR1D", "curve/EUR3M")
    assert needed[1].market_objects == ("curve/EUR1D", "curve/USD1D", "fx/USD", "fx_volatility/EURUSD")
    assert needed[2].failure is not None
    assert needed[2].failure.reason == FailureReason.MISSING_DATA


def test_objects_of_rows_are_written_down_by_row() -> None:
    from xip_core.pricing.market_layout import SnapshotLayout
    from xip_core.pricing.tile_market import MarketView

    columns = resolve_rows([GOOD, an_fx_option("call")], MarketView(SnapshotLayout(a_snapshot())))
    names = json_value(columns["object_names"])
    begin, end = columns["object_ptr"][:2].tolist()
    assert [names[index] for index in columns["object_index"][begin:end]] == ["curve/EUR1D", "curve/EUR3M"]
