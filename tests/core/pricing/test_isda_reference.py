"""The ISDA standard model against values made by others (../shared/reference/cds)."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.pricing.isda_market import isda_snapshot, standard_cds
from xip_core.errors import FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.dates import add_tenor, date_of, day_number
from xip_core.model.market import HazardDefinition, IsdaModel, Snapshot
from xip_core.model.market_instruments import CurveDefinition, DiscountFactors, Pillar
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Cds, FixedLeg, Schedule
from xip_core.pricing import calculate
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.isda import accrued_days, cash_settlement_day
from xip_core.pricing.market_layout import SnapshotLayout

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "cds"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the third-party values in shared/reference/cds")


def reference_set(name: str) -> dict[str, Any]:
    sets = json.loads((REFERENCE / "isda_cds_quantlib.json").read_text())["sets"]
    return next(found for found in sets if found["id"] == name)


def cases_of(name: str) -> list[dict[str, Any]]:
    return reference_set(name)["cases"] if REFERENCE.is_dir() else []


def pv_of(*trades: Cds, snapshot: Snapshot) -> np.ndarray:
    result = calculate(trades, snapshot, measures=("pv",))
    assert result.failures == {}
    return result.pv[:, 0]


def discount(snapshot: Snapshot, day: int) -> float:
    layout = SnapshotLayout(snapshot)
    market, _ = calibrator_of(snapshot, layout).calibrate([{}])
    return float(np.exp(sum(weight * market[row, 0] for row, weight in layout.log_discount_of_day("ISDA", day))))


def quoted(market: dict[str, Any], case: dict[str, Any]) -> Snapshot:
    """The market with a flat hazard curve from the quoted spread of one contract."""
    return isda_snapshot(
        market,
        recovery_rate=case["recovery"],
        cds_spreads=(Pillar(case["maturity"], "SPREAD"),),
        quotes={"SPREAD": case["quoted_spread"]},
    )


@pytest.mark.parametrize("case", cases_of("usd_2009_05_21"), ids=lambda case: f"{case['maturity']}")
def test_upfront_is_that_of_the_markit_calculator(case: dict[str, Any]) -> None:
    """Upfront with accrued rebate, from rates and a quoted spread; the table's last digit is about 1e-10."""
    market = reference_set("usd_2009_05_21")
    snapshot = quoted(market, case)
    maturity = dt.date.fromisoformat(case["maturity"])
    (pv,) = pv_of(standard_cds(snapshot.as_of, maturity, case["coupon"], case["notional"]), snapshot=snapshot)
    settlement = cash_settlement_day(day_number(snapshot.as_of))
    assert pv / discount(snapshot, settlement) == pytest.approx(case["expected_upfront"], rel=1e-9)


@pytest.mark.parametrize("case", cases_of("eur_2021_07_26"), ids=lambda case: "seasoned" if len(case) > 7 else "new")
def test_npv_is_that_of_the_isda_calculator_with_and_without_rebate(case: dict[str, Any]) -> None:
    """A contract of two years ago gets no rebate: its cash settlement has passed."""
    market = reference_set("eur_2021_07_26")
    snapshot = quoted(market, case)
    traded = dt.date.fromisoformat(case.get("original_trade_date", market["trade_date"]))
    maturity = dt.date.fromisoformat(case["maturity"])
    (pv,) = pv_of(standard_cds(traded, maturity, case["coupon"], case["notional"]), snapshot=snapshot)
    expected = case.get("expected_npv_incl_rebate", case.get("expected_npv_without_rebate"))
    assert pv == pytest.approx(expected, rel=market["rel_tol"])


@pytest.mark.parametrize("case", cases_of("accrual_rebates"), ids=lambda case: case["trade_date"])
def test_accrued_premium_is_that_of_the_documentation(case: dict[str, Any]) -> None:
    given = reference_set("accrual_rebates")
    traded = dt.date.fromisoformat(case["trade_date"])
    trade = standard_cds(traded, dt.date.fromisoformat(given["maturity"]), given["coupon"], given["notional"])
    begin, end = accrued_days(boundaries(trade.leg.schedule).tolist(), day_number(traded))
    accrued = given["notional"] * given["coupon"] * (end - begin) / 360.0
    assert accrued == pytest.approx(case["expected_accrual"], abs=given["abs_tol"])


def a_line(begin: str, end: str, value: float) -> float:
    """A rate per year of 365 days between two dates."""
    return value / (dt.date.fromisoformat(end) - dt.date.fromisoformat(begin)).days * 365.0


def grid_rows(is_over: bool = False) -> list[dict[str, str]]:
    if not REFERENCE.is_dir():
        return []
    with (REFERENCE / "isda_ccode_grid_flat0pct_100.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    # Row 16's accrued days contradict its own dates (see the folder's README); the duplicate says nothing new.
    rows = [row for row in rows if row["row"] != "16" and row["duplicate"] == "False"]
    return [row for row in rows if (row["end_date"] < row["today"]) == is_over]


def grid_snapshot(row: dict[str, str]) -> Snapshot:
    """No interest; hazard rates piecewise constant between the nodes whose cumulated hazard is given."""
    nodes = {name.removeprefix("cum_hazard_"): float(value) for name, value in row.items() if "cum_hazard" in name}
    quotes, before, below = {"DF": 1.0}, row["today"], 0.0
    for node, cumulated in nodes.items():
        quotes[node] = a_line(before, node, cumulated - below)
        before, below = node, cumulated
    segment = DiscountFactors(pillars=(Pillar("2040-01-01", "DF"),))
    hazard = HazardDefinition(
        name="NAME",
        currency="USD",
        recovery_rate=0.4,
        hazard_rates=tuple(Pillar(node, node) for node in nodes),
        isda=IsdaModel(),
    )
    return Snapshot(
        as_of=dt.date.fromisoformat(row["today"]),
        base_currency="USD",
        quotes=quotes,
        curves=(CurveDefinition(name="ISDA", currency="USD", segments=(segment,)),),
        discount_curves={"USD": "ISDA"},
        hazards=(hazard,),
    )


def grid_trade(row: dict[str, str], coupon: float, settles_accrual: bool = True) -> Cds:
    """Quarters back from the end; the first period begins with the start date."""
    start, end = (day_number(dt.date.fromisoformat(row[name])) for name in ("start_date", "end_date"))
    back = add_tenor(end, 3, 0, -np.arange(1, 80))
    inner = calendar("WeekendsOnly").adjust(back[back > start][::-1], "following")
    days = [start, *inner[inner > start].tolist(), end]
    leg = FixedLeg(
        payer=True,
        currency="USD",
        notionals=(1e7,),
        day_count="A360",
        rates=(coupon,),
        schedule=Schedule(dates=tuple(map(date_of, days)), convention="unadjusted"),
    )
    return Cds(
        id=f"{coupon} {settles_accrual}", leg=leg, credit_curve="NAME", protection_start=date_of(start),
        settles_accrual=settles_accrual,
    )  # fmt: skip


@pytest.mark.parametrize("row", grid_rows(), ids=lambda row: row["row"])
def test_legs_are_those_of_the_isda_c_code(row: dict[str, str]) -> None:
    """Protection leg, PV and accrual at default on a notional of ten million, within 1e-4."""
    coupon = float(row["coupon_bp"]) / 1e4
    trades = (grid_trade(row, 0.0), grid_trade(row, coupon), grid_trade(row, coupon, settles_accrual=False))
    protection, dirty, without_accrual = pv_of(*trades, snapshot=grid_snapshot(row))
    assert protection == pytest.approx(float(row["protection_leg"]), abs=1e-4)
    assert dirty + float(row["accrued_premium"]) == pytest.approx(float(row["clean_pv"]), abs=1e-4)
    assert without_accrual == pytest.approx(float(row["dirty_pv_no_accrual_on_default"]), abs=1e-4)
    assert without_accrual - dirty == pytest.approx(float(row["default_accrual"]), abs=1e-4)


@pytest.mark.parametrize("row", grid_rows(is_over=True), ids=lambda row: row["row"])
def test_contract_that_is_over_is_expired_where_the_c_code_says_zero(row: dict[str, str]) -> None:
    result = calculate([grid_trade(row, 0.01)], grid_snapshot(row))
    assert [failure.reason for failure in result.failures.values()] == [FailureReason.EXPIRED]
    assert float(row["clean_pv"]) == 0.0


def test_mid_point_value_and_fair_spread_are_quantlibs_of_2006() -> None:
    """The engine that was there before: flat hazard 0.01234 and 6 %, both Act/360, sold protection of nine years.

    That contract does not count its last day, as premiums on A360 do here: the coupon is written per year of 365 days.
    """
    case = cases_of("midpoint_cached_2006")[0]
    as_of = dt.date.fromisoformat(reference_set("midpoint_cached_2006")["eval_date"])
    end = dt.date(2030, 1, 1)
    factor = np.exp(-0.06 * (end - as_of).days / 360.0)
    segment = DiscountFactors(pillars=(Pillar(end.isoformat(), "DF"),))
    hazard = HazardDefinition(
        name="NAME", currency="USD", recovery_rate=case["recovery"], hazard_rates=(Pillar("10Y", "H"),)
    )
    snapshot = Snapshot(
        as_of=as_of,
        base_currency="USD",
        quotes={"DF": float(factor), "H": 0.01234 * 365.0 / 360.0},
        curves=(CurveDefinition(name="ISDA", currency="USD", segments=(segment,)),),
        discount_curves={"USD": "ISDA"},
        hazards=(hazard,),
    )
    target = calendar("TARGET")
    before = add_tenor(day_number(as_of), 12, 0, np.array([-1]))
    start = int(target.adjust(before, "following")[0])
    maturity = int(target.adjust(add_tenor(start, 120, 0, np.array([1])), "following")[0])
    schedule = Schedule(start=date_of(start), end=date_of(maturity), tenor="6M", calendar="TARGET")
    leg = FixedLeg(
        payer=False,
        currency="USD",
        notionals=(case["notional"],),
        day_count="A365F",
        schedule=schedule,
        rates=(case["coupon"] * 365.0 / 360.0,),
        payment_convention="modified_following",
    )
    trade = Cds(id="cds", leg=leg, credit_curve="NAME")
    free = msgspec.structs.replace(trade, id="free", leg=msgspec.structs.replace(leg, rates=(0.0,)))
    pv, protection = pv_of(trade, free, snapshot=snapshot)
    assert pv == pytest.approx(case["expected_npv"], abs=1e-7)
    fair = case["coupon"] * -protection / (pv - protection)
    assert fair == pytest.approx(case["expected_fair_spread"], abs=1e-7)
