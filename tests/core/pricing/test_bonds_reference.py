"""Bond analytics against values made by others: gilts and Treasuries (Bloomberg, QuantLib), rate conversions."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tests.core.pricing.some_bonds import a_bond
from xip_core.pricing.bonds import (
    YieldConvention,
    bond_flows,
    equivalent_rate,
    from_clean_price,
    from_yield,
    settlement_date,
)

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the third-party values in shared/reference")

PER_YEAR = {
    "Annual": 1, "Semiannual": 2, "EveryFourthMonth": 3, "Quarterly": 4, "Bimonthly": 6, "Monthly": 12,
}  # fmt: skip
COMPOUNDING: dict[str, Any] = {
    "Simple": "simple",
    "Compounded": "compounded",
    "Continuous": "continuous",
    "SimpleThenCompounded": "simple_then_compounded",
}


def reference_case(name: str) -> dict[str, Any]:
    cases = json.loads((REFERENCE / "rates" / "quantlib_rates_bonds.json").read_text())["cases"]
    return next(case for case in cases if case["id"] == name)


def gilt_cases() -> list[dict[str, Any]]:
    return reference_case("uk_gilt_ex_coupon")["cases"] if REFERENCE.is_dir() else []


@pytest.mark.parametrize("case", gilt_cases(), ids=lambda case: case["settlement"])
def test_gilt_around_its_ex_coupon_date_is_bloombergs(case: dict[str, Any]) -> None:
    """8 % Treasury 2021, ex-coupon six business days before payment: accrued turns negative on 30 May."""
    gilt = a_bond(
        dt.date(1996, 2, 29),
        dt.date(2021, 6, 7),
        rates=(0.08,),
        schedule={"calendar": "UK", "first_date": dt.date(1996, 6, 7)},
        ex_coupon_days=6,
        ex_coupon_calendar="UK",
    )
    found = from_clean_price(bond_flows(gilt), dt.date.fromisoformat(case["settlement"]), case["clean"])
    tolerance = reference_case("uk_gilt_ex_coupon")["abs_tol"]
    assert found.accrued == pytest.approx(case["accrued"], abs=tolerance)
    assert found.dirty_price == pytest.approx(case["dirty"], abs=tolerance)
    assert found.yield_rate == pytest.approx(case["yield_semi"], abs=tolerance)
    assert found.modified_duration == pytest.approx(case["mod_duration"], abs=tolerance)
    assert found.convexity == pytest.approx(case["convexity"], abs=tolerance)


def test_treasury_yield_and_basis_point_value_are_quantlibs() -> None:
    """4.5 % from 15 November 2023 to 15 August 2033, forward, so the stub is the last period.

    The table's basis point value is delta + half of gamma with the convexity divided by 100, as QuantLib had it then
    (its wheel 1.44 no longer divides: -795.098); so it is put together here. The yield value is 0.01 over delta.
    """
    case = reference_case("us_treasury_bpv_2024")
    face = 1e6
    note = a_bond(
        dt.date(2023, 11, 15),
        dt.date(2033, 8, 15),
        rates=(0.045,),
        day_count="30U/360",
        notionals=(face,),
        schedule={"calendar": "US", "rule": "forward"},
    )
    flows, convention = bond_flows(note), YieldConvention("30U/360", "compounded", 2)
    settlement = settlement_date(note, dt.date(2024, 1, 29))
    expected = case["expected"]
    rate = from_clean_price(flows, settlement, 102.890625, convention).yield_rate
    assert settlement == dt.date(2024, 1, 30)
    assert rate == pytest.approx(expected["yield_semi"], abs=case["abs_tol"])
    for day, value, yield_value in (
        (settlement, "bpv_default_settlement", "yield_value_bp"),
        (dt.date(2024, 2, 12), "bpv_2024_02_12", "yvbp_2024_02_12"),
    ):
        found = from_yield(flows, day, rate, convention)
        gamma = 0.5 * (found.convexity / 100.0) * found.dirty_price * 1e-8
        assert (found.bpv + gamma) * face / 100.0 == pytest.approx(expected[value], abs=case["abs_tol"])
        assert 0.01 / (found.bpv * 100.0) == pytest.approx(expected[yield_value], abs=1e-9)


def conversions() -> list[dict[str, str]]:
    if not REFERENCE.is_dir():
        return []
    with (REFERENCE / "quantlib_tests" / "interest_rate_conversions.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("row", conversions(), ids=lambda row: row["row"])
def test_rate_conversions_are_quantlibs(row: dict[str, str]) -> None:
    given = YieldConvention("A365F", COMPOUNDING[row["comp"]], PER_YEAR[row["freq"]])
    wanted = YieldConvention("A365F", COMPOUNDING[row["comp2"]], PER_YEAR[row["freq2"]])
    rate = equivalent_rate(float(row["r"]), given, float(row["t"]), wanted)
    assert rate == pytest.approx(float(row["expected"]), abs=0.5 * 10.0 ** -float(row["precision"]))
