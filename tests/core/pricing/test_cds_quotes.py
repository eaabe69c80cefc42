"""Measures of a CDS and converters between its quotes, ISDA standard model."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.pricing.isda_market import isda_snapshot, standard_cds
from tests.core.pricing.test_isda import MARKET, SPREADS, TENORS, TRADED, snapshot_of, upfront_snapshot
from tests.core.pricing.test_isda_reference import REFERENCE
from xip_core.errors import CellError, FailureReason
from xip_core.pricing import calculate
from xip_core.pricing.cds_quotes import (
    Contract,
    cds_measures,
    spread_from_upfront,
    upfront_from_spread,
    with_par_spreads,
)
from xip_core.pricing.curves_pillars import cds_maturity

FIVE_YEARS = cds_maturity(TRADED, "5Y")
CONTRACT = Contract(maturity=FIVE_YEARS)


def test_par_spread_of_a_quoted_contract_is_its_quote() -> None:
    found = cds_measures(standard_cds(TRADED, FIVE_YEARS, 0.05), snapshot_of())
    assert found.par_spread == pytest.approx(SPREADS["5Y"], rel=1e-11)
    assert found.clean_upfront == pytest.approx((SPREADS["5Y"] - 0.05) * found.annuity, rel=1e-3)
    assert found.dirty_upfront == pytest.approx(found.clean_upfront - 0.05 * 28 / 360, rel=1e-14)
    assert found.protection == pytest.approx(found.par_spread * found.annuity, rel=1e-14)


def test_measures_are_those_of_the_market_that_moved() -> None:
    """CS01 is near the annuity, jump to default the loss less the mark, and IR01 what rates do to the mark alone."""
    trade = standard_cds(TRADED, FIVE_YEARS, 0.01)
    base = cds_measures(trade, snapshot_of())
    up = cds_measures(trade, snapshot_of({tenor: spread + 1e-4 for tenor, spread in SPREADS.items()}))
    assert base.cs01 == pytest.approx(up.pv - base.pv, rel=1e-9)
    assert base.cs01 == pytest.approx(1e7 * 1e-4 * base.annuity, rel=0.02)
    rates = {"deposits": {k: v + 1e-4 for k, v in MARKET["deposits"].items()}}  # type: ignore[attr-defined] # a table
    rates["swaps"] = {k: v + 1e-4 for k, v in MARKET["swaps"].items()}  # type: ignore[attr-defined] # a table
    spreads = snapshot_of().hazards[0].cds_spreads
    moved = isda_snapshot(MARKET | rates, cds_spreads=spreads, quotes=dict(SPREADS))
    assert base.ir01 == pytest.approx(cds_measures(trade, moved).pv - base.pv, rel=1e-7)
    assert base.jtd == pytest.approx(1e7 * (0.6 - base.accrued) - base.pv, rel=1e-14)


def test_sold_protection_has_the_same_upfront_and_the_opposite_risk() -> None:
    bought = standard_cds(TRADED, FIVE_YEARS, 0.01)
    sold = msgspec.structs.replace(bought, leg=msgspec.structs.replace(bought.leg, payer=False))
    ours, theirs = cds_measures(bought, snapshot_of()), cds_measures(sold, snapshot_of())
    assert ours.clean_upfront == pytest.approx(theirs.clean_upfront, rel=1e-12)
    assert (ours.pv, ours.cs01, ours.jtd) == pytest.approx((-theirs.pv, -theirs.cs01, -theirs.jtd), rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(spread=st.floats(1e-4, 0.3), coupon=st.sampled_from([0.01, 0.05]), recovery=st.sampled_from([0.2, 0.4]))
def test_converting_there_and_back_changes_nothing(spread: float, coupon: float, recovery: float) -> None:
    contract = Contract(maturity=FIVE_YEARS, coupon=coupon, recovery_rate=recovery)
    upfront = upfront_from_spread(contract, spread, snapshot_of())
    assert spread_from_upfront(contract, upfront, snapshot_of()) == pytest.approx(spread, rel=1e-9)


def test_spread_at_the_coupon_costs_nothing_upfront() -> None:
    assert upfront_from_spread(CONTRACT, 0.01, snapshot_of()) == pytest.approx(0.0, abs=1e-13)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the third-party values in shared/reference/cds")
def test_upfronts_of_the_markit_calculator_convert_to_their_quoted_spreads() -> None:
    market = json.loads((REFERENCE / "isda_cds_quantlib.json").read_text())["sets"][0]
    snapshot = isda_snapshot(market, cds_spreads=snapshot_of().hazards[0].cds_spreads, quotes=dict(SPREADS))
    for case in market["cases"]:
        contract = Contract(dt.date.fromisoformat(case["maturity"]), case["coupon"], case["recovery"])
        clean = case["expected_upfront"] / case["notional"]  # what accrued is given back in it
        assert spread_from_upfront(contract, clean, snapshot) == pytest.approx(case["quoted_spread"], rel=1e-7)


def test_curve_of_upfronts_becomes_the_same_curve_of_spreads() -> None:
    upfronts = {tenor: 0.01 * i for i, tenor in enumerate(TENORS)}
    snapshot = upfront_snapshot(upfronts)
    trade = standard_cds(TRADED, FIVE_YEARS, 0.05)
    before, after = (calculate([trade], market).pv[0, 0] for market in (snapshot, with_par_spreads(snapshot, "NAME")))
    assert after == pytest.approx(before, rel=1e-11)
    assert cds_measures(trade, snapshot).cs01 > 0.0
    assert with_par_spreads(snapshot_of(), "NAME") == snapshot_of()


def test_curve_of_mid_points_has_no_isda_measures() -> None:
    with pytest.raises(CellError, match="mid-points") as refused:
        cds_measures(standard_cds(TRADED, FIVE_YEARS, 0.01), snapshot_of(isda=msgspec.UNSET))
    assert refused.value.failure.reason == FailureReason.UNSUPPORTED


def test_contract_in_a_currency_without_a_curve_is_refused() -> None:
    with pytest.raises(CellError, match="no discount curve for GBP"):
        upfront_from_spread(Contract(maturity=FIVE_YEARS, currency="GBP"), 0.01, snapshot_of())


def test_contract_that_is_over_has_no_measures() -> None:
    with pytest.raises(CellError) as refused:
        cds_measures(standard_cds(dt.date(2018, 1, 16), dt.date(2023, 6, 20), 0.01), snapshot_of())
    assert refused.value.failure.reason == FailureReason.EXPIRED
