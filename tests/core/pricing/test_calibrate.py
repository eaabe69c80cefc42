"""xip_core.pricing.calibrate on the small market: par, scenarios, blocks, quarantine."""

from __future__ import annotations

import datetime as dt
import gc
import hashlib
import itertools
import math
import os
import platform
import subprocess
import sys
import weakref

import msgspec
import numpy as np
import pytest

from tests.core.ore_directory import REPOSITORY
from tests.core.small_market import AS_OF, QUOTES, a_snapshot, curves
from xip_core.errors import FailureReason
from xip_core.kernels.level import VARIABLE, read_cpu_flags, supported_levels
from xip_core.model import market_instruments as instruments
from xip_core.model.market import HazardDefinition, Snapshot
from xip_core.model.market_instruments import CurveDefinition, Pillar
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, base_only
from xip_core.pricing.block_quotes import quote_matrix
from xip_core.pricing.calibrate import calibrate_tile, calibrator_of
from xip_core.pricing.calibrate_failures import CalibrationFailure, decode_failures
from xip_core.pricing.curves_hazard import hazard_system
from xip_core.pricing.curves_instruments import curve_system
from xip_core.pricing.layout import Refs
from xip_core.pricing.market_layout import SnapshotLayout

SHIFTS = (
    Shift(target="currency", name="EUR", shift_bps=25.0),
    Shift(target="currency", name="USD", after="2Y", until="5Y", shift_bps=-40.0),
    Shift(target="fx", name="EURUSD", shift_relative=0.10),
    Shift(target="equity", name="ACME", shift_relative=-0.20),
    Shift(target="commodity", name="OIL", shift_relative=0.30),
    Shift(target="hazard", name="BANK", shift_bps=50.0),
    Shift(target="fx_volatility", name="*", shift_relative=0.25),
    Shift(target="cap_volatility", name="*", shift_bps=5.0),
    Shift(target="currency", name="*", shift_bps=100.0),
    Shift(target="quote", name="XCCY.*", shift_bps=-10.0),
)


def some_scenarios(count: int = len(SHIFTS)) -> ScenarioSet:
    """The base and single shifts."""
    singles = (Scenario(name=f"s{place}", shifts=(shift,)) for place, shift in enumerate(SHIFTS[:count]))
    return ScenarioSet(scenarios=(Scenario(name="base"), *singles))


def calibrated(snapshot: Snapshot) -> tuple[SnapshotLayout, np.ndarray, tuple[CalibrationFailure, ...]]:
    """Layout, base market (F,) and failures."""
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, base_only(), 0, 1)
    return layout, columns["market"][:, 0], decode_failures(columns["failures"])


def value_of(refs: Refs, market: np.ndarray) -> float:
    return sum(weight * market[factor] for factor, weight in refs)


def test_columns_are_those_of_the_tile_contract():
    """docs/tile-outputs.md."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, some_scenarios(), 2, 7)
    assert list(columns) == ["market", "dv01_shift", "failures"]
    assert columns["market"].shape == (layout.factor_count, 5)
    assert columns["market"].flags.c_contiguous
    assert columns["dv01_shift"].shape == (layout.factor_count,)
    assert np.isfinite(columns["market"]).all()
    assert decode_failures(columns["failures"]) == ()


@pytest.mark.parametrize("name", [curve.name for curve in curves() if curve.name != "LENDING"])
def test_every_instrument_of_a_curve_reprices_to_par(name):
    """Residuals in units of notional, after Newton."""
    snapshot = a_snapshot()
    layout, market, _ = calibrated(snapshot)
    slot = layout.curves[name]
    quotes = np.array([[QUOTES[item.quote]] for item in slot.instruments])
    for row, item in enumerate(slot.instruments):
        segment = slot.definition.segments[item.segment]
        if isinstance(segment, instruments.FxForwards):
            quotes[row] /= segment.points_factor * QUOTES[segment.spot_quote]
    residuals, _ = curve_system(layout, slot).evaluate(market[:, None], quotes)
    assert np.abs(residuals).max() < 1e-13


def test_cds_reprice_to_par():
    """Protection equals premium at the quoted spread."""
    snapshot = a_snapshot()
    layout, market, _ = calibrated(snapshot)
    quotes = np.array([[QUOTES["BANK.1Y"]], [QUOTES["BANK.5Y"]]])
    residuals, _ = hazard_system(layout, snapshot.hazards[0]).evaluate(market[:, None], quotes)
    assert np.abs(residuals).max() < 1e-13


def test_deposit_by_hand():
    """Overnight to Monday: three days at -0.1 %."""
    layout, market, _ = calibrated(a_snapshot())
    found = math.exp(value_of(layout.log_discount("EUR1D", dt.date(2016, 2, 8)), market))
    assert found == pytest.approx(1.0 / (1.0 - 0.001 * 3 / 360), abs=1e-15)


def test_two_year_swap_by_hand():
    """Fixed annual 30/360 against six months, discounted on OIS; dates written out."""
    layout, market, _ = calibrated(a_snapshot())
    days = [dt.date(2016, 2, 9), dt.date(2016, 8, 9), dt.date(2017, 2, 9), dt.date(2017, 8, 9), dt.date(2018, 2, 9)]

    def factor(curve: str, date: dt.date) -> float:
        return math.exp(value_of(layout.log_discount(curve, date), market))

    floating = sum(
        factor("EUR1D", end) * (factor("EUR6M", start) / factor("EUR6M", end) - 1.0)
        for start, end in itertools.pairwise(days)
    )
    fixed = QUOTES["EUR.SWAP.2Y"] * (factor("EUR1D", days[2]) + factor("EUR1D", days[4]))
    assert floating == pytest.approx(fixed, abs=1e-14)


def test_fx_forward_by_hand():
    """Spot and points against the two discount curves, from the spot date."""
    layout, market, _ = calibrated(a_snapshot())
    spot_date, date = dt.date(2016, 2, 9), dt.date(2017, 2, 9)

    def growth(curve: str) -> float:
        return value_of(layout.log_discount(curve, date), market) - value_of(
            layout.log_discount(curve, spot_date), market
        )

    forward = 1.13 * math.exp(growth("EUR1D") - growth("USD-IN-EUR"))
    assert forward == pytest.approx(1.13 + 140.0 / 10_000.0, abs=1e-13)


def test_spots_forwards_and_volatilities_are_the_quotes():
    """What is quoted directly comes back."""
    layout, market, _ = calibrated(a_snapshot())
    year = dt.date(2017, 2, 5)
    assert math.exp(-value_of(layout.log_fx("USD"), market)) == pytest.approx(1.13, rel=1e-15)
    assert math.exp(value_of(layout.log_equity_forward("ACME", year), market)) == pytest.approx(101.0, rel=1e-14)
    assert value_of(layout.commodity_forward("OIL", year), market) == pytest.approx(40.0)
    term = layout.fx_volatility("EUR", "USD", dt.date(2018, 2, 5))
    assert math.sqrt(value_of(term.refs, market) / term.time_years) == pytest.approx(0.13)
    grid = layout.commodity_volatility("OIL", dt.date(2017, 2, 6), 40.0)
    assert math.sqrt(value_of(grid.refs, market) / grid.time_years) == pytest.approx(0.24)
    swaption = layout.swaption_volatility("EUR", dt.date(2021, 2, 5), 5.0)
    assert value_of(swaption.refs, market) == pytest.approx(0.008)


def test_hazard_rates_are_summed_to_survival():
    """1 % for a year, then 2 %."""
    definition = HazardDefinition(
        name="H", currency="EUR", recovery_rate=0.4, hazard_rates=(Pillar("1Y", "H.1Y"), Pillar("2Y", "H.2Y"))
    )
    layout, market, _ = calibrated(a_snapshot({"H.1Y": 0.01, "H.2Y": 0.02}, hazards=(definition,)))
    assert value_of(layout.log_survival("H", dt.date(2018, 2, 5)), market) == pytest.approx(
        -(0.01 * 366 + 0.02 * 365) / 365
    )


def test_given_discount_factors_are_kept():
    """Nothing to solve."""
    segment = instruments.DiscountFactors(pillars=(Pillar("2017-02-05", "DF.1"), Pillar("2018-02-05", "DF.2")))
    given = CurveDefinition(name="GIVEN", currency="EUR", segments=(segment,))
    layout, market, _ = calibrated(a_snapshot({"DF.1": 0.99, "DF.2": 0.97}, curves=(*curves(), given)))
    assert math.exp(value_of(layout.log_discount("GIVEN", dt.date(2018, 2, 5)), market)) == pytest.approx(0.97)


def test_zero_rates_are_continuous():
    """log DF = -r t."""
    segment = instruments.ZeroRates(pillars=(Pillar("2017-02-05", "Z.1"),))
    zero = CurveDefinition(name="ZERO", currency="EUR", segments=(segment,))
    layout, market, _ = calibrated(a_snapshot({"Z.1": 0.02}, curves=(*curves(), zero)))
    assert value_of(layout.log_discount("ZERO", dt.date(2017, 2, 5)), market) == pytest.approx(-0.02 * 366 / 365)


def test_dv01_shift_moves_zero_rates_by_a_basis_point():
    """-t at the knots of discount curves, nothing elsewhere; a spread curve moves with its reference."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    shift = calibrate_tile(snapshot, layout, base_only(), 0, 1)["dv01_shift"]
    date = dt.date(2021, 5, 1)
    years = (date - AS_OF).days / 365
    for curve in ("EUR1D", "USD-IN-EUR", "LENDING"):
        assert value_of(layout.log_discount(curve, date), shift) == pytest.approx(-years * 1e-4)
    begin, end = layout.ranges["fx/USD"][0], layout.factor_count
    assert not shift[begin:end].any()


def test_calibrator_is_made_once_and_dies_with_its_layout():
    """A worker that lives for months sees thousands of snapshots."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    calibrate_tile(snapshot, layout, base_only(), 0, 1)
    watched = weakref.ref(calibrator_of(snapshot, layout))
    assert calibrator_of(snapshot, layout) is watched()
    del layout
    gc.collect()
    assert watched() is None


# ---- scenarios ------------------------------------------------------------------------------------------------------


def test_numbers_do_not_depend_on_how_scenarios_are_blocked():
    """Bytes of every column, alone, in pairs, in fours and at once, each with a fresh calibrator."""
    snapshot, scenarios = a_snapshot(), some_scenarios()
    count = len(scenarios.scenarios)
    whole = calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, 0, count)["market"]
    for width in (1, 2, 4):
        layout = SnapshotLayout(snapshot)
        parts = [
            calibrate_tile(snapshot, layout, scenarios, begin, min(begin + width, count))["market"]
            for begin in range(0, count, width)
        ]
        assert np.hstack(parts).tobytes() == whole.tobytes()


def market_digest() -> str:
    """SHA-256 of the small market under all scenarios."""
    snapshot, scenarios = a_snapshot(), some_scenarios()
    columns = calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, 0, len(scenarios.scenarios))
    return hashlib.sha256(columns["market"].tobytes()).hexdigest()


@pytest.mark.parametrize("level", supported_levels(platform.machine(), read_cpu_flags()))
def test_numbers_do_not_depend_on_the_cpu(level):
    """A process whose kernels run at this level and whose numpy uses no more than its baseline gives the same bytes."""
    from numpy._core._multiarray_umath import __cpu_dispatch__ as dispatched

    environment = {**os.environ, VARIABLE: level, "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched)}
    script = "from tests.core.pricing.test_calibrate import market_digest; print(market_digest())"
    command = [sys.executable, "-W", "ignore", "-c", script]  # numpy warns of features this CPU lacks anyway
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert found.stdout.strip() == market_digest()


@pytest.mark.parametrize("place", range(1, len(SHIFTS) + 1))
def test_scenario_is_the_market_of_its_quotes(place):
    """Shifting and calibrating is calibrating shifted quotes; Newton starts elsewhere, so to its tolerance."""
    snapshot, scenarios = a_snapshot(), some_scenarios()
    layout = SnapshotLayout(snapshot)
    found = calibrate_tile(snapshot, layout, scenarios, place, place + 1)["market"][:, 0]
    changed = calibrator_of(snapshot, layout).scenario_market.changed_quotes(scenarios.scenarios[place])
    _, direct, _ = calibrated(a_snapshot(changed))
    assert found == pytest.approx(direct, abs=1e-13)
    assert not np.array_equal(found, calibrate_tile(snapshot, layout, scenarios, 0, 1)["market"][:, 0])


def test_untouched_objects_are_the_base_bytes():
    """Only what changed is computed."""
    snapshot, scenarios = a_snapshot(), some_scenarios()
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, scenarios, 0, len(scenarios.scenarios))["market"]
    scenario_market = calibrator_of(snapshot, layout).scenario_market
    for place, scenario in enumerate(scenarios.scenarios):
        touched = scenario_market.touched_objects(scenario)
        moved = {n for n, (b, e) in layout.ranges.items() if not np.array_equal(market[b:e, place], market[b:e, 0])}
        assert moved <= touched, scenario.name
        assert moved or not touched, scenario.name


def test_equal_scenarios_are_equal_columns():
    """Solved once, used twice."""
    snapshot = a_snapshot()
    twice = ScenarioSet(
        scenarios=(Scenario(name="base"), *(Scenario(name=name, shifts=SHIFTS[:1]) for name in ("a", "b")))
    )
    market = calibrate_tile(snapshot, SnapshotLayout(snapshot), twice, 0, 3)["market"]
    assert market[:, 1].tobytes() == market[:, 2].tobytes()


def test_fx_shift_leaves_curves_alone():
    """Points scale with the spot, so the curve under collateral moves by rounding at most."""
    snapshot, scenarios = a_snapshot(), some_scenarios()
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, scenarios, 0, 4)["market"]
    begin, end = layout.ranges["curve/USD-IN-EUR"]
    assert market[begin:end, 3] == pytest.approx(market[begin:end, 0], abs=1e-14)
    spot = layout.spots["USD"]
    assert market[spot, 3] - market[spot, 0] == pytest.approx(-math.log(1.1))


@pytest.mark.parametrize("block", [(0, 0), (-1, 1), (1, 99)])
def test_block_must_be_a_range_of_scenarios(block):
    """A planner's mistake is not a result."""
    snapshot = a_snapshot()
    with pytest.raises(ValueError, match="scenarios must be a range in"):
        calibrate_tile(snapshot, SnapshotLayout(snapshot), some_scenarios(), *block)


# ---- quarantine -----------------------------------------------------------------------------------------------------


def failed_objects(snapshot: Snapshot) -> dict[str, CalibrationFailure]:
    """Failures of the base by object; their factors are NaN, all others are finite."""
    layout, market, failures = calibrated(snapshot)
    found = {failure.market_object: failure for failure in failures}
    assert len(found) == len(failures)
    for name, (begin, end) in layout.ranges.items():
        assert np.isnan(market[begin:end]).all() if name in found else np.isfinite(market[begin:end]).all()
    return found


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, FailureReason.MISSING_DATA, "quote USD.SWAP.5Y is missing from the snapshot"),
        (float("nan"), FailureReason.BAD_QUOTE, "quote USD.SWAP.5Y must be a finite number, got nan"),
        (float("inf"), FailureReason.BAD_QUOTE, "quote USD.SWAP.5Y must be a finite number, got inf"),
        ("n/a", FailureReason.BAD_QUOTE, "quote USD.SWAP.5Y must be a finite number, got n/a"),
    ],
)
def test_bad_quote_fails_its_curve_and_what_is_built_on_it(value, reason, message):
    """The rest of the market stands."""
    found = failed_objects(a_snapshot({"USD.SWAP.5Y": value}))
    assert list(found) == ["curve/USD3M", "curve/USD6M", "curve/USD-IN-EUR"]
    assert (found["curve/USD3M"].reason, found["curve/USD3M"].message) == (reason, f"curve/USD3M: {message}")
    assert found["curve/USD6M"].reason == FailureReason.CALIBRATION_FAILED
    assert found["curve/USD6M"].message == f"curve/USD6M needs curve/USD3M, which failed: curve/USD3M: {message}"


@pytest.mark.parametrize(
    ("quote", "value", "name"),
    [
        ("EURUSD.VOL.1Y", -0.1, "fx_volatility/EURUSD"),
        ("ACME.VOL", -0.1, "equity_volatility/ACME"),
        ("OIL.VOL.1Y.30", -0.1, "commodity_volatility/OIL"),
        ("EUR.SWPT.1Y.5Y", -0.001, "swaption_volatility/EUR"),
        ("EUR.CAP.3Y.2", -0.001, "cap_volatility/EUR-EURIBOR-6M"),
        ("BANK.5Y", -0.01, "hazard/BANK"),
    ],
)
def test_negative_volatility_or_spread_is_a_bad_quote(quote, value, name):
    """The message shows it; only the surface fails."""
    found = failed_objects(a_snapshot({quote: value}))
    assert list(found) == [name]
    assert found[name].reason == FailureReason.BAD_QUOTE
    assert found[name].message == f"{name}: quote {quote} must be not negative, got {value!r}"


@pytest.mark.parametrize(("quote", "names"), [("ACME", ["equity/ACME"]), ("EURUSD", ["curve/USD-IN-EUR", "fx/USD"])])
def test_spot_that_is_not_positive_is_a_bad_quote(quote, names):
    """It has no logarithm."""
    found = failed_objects(a_snapshot({quote: 0.0}))
    assert list(found) == names
    assert {failure.reason for failure in found.values()} == {FailureReason.BAD_QUOTE}


def test_curve_that_cannot_be_bootstrapped_names_the_instrument_and_why():
    """A 5-year rate of 400 % leaves nothing for the last discount factor; the 10-year swap is not to blame."""
    found = failed_objects(a_snapshot({"EUR.OIS.5Y": 4.0}))
    first = found["curve/EUR1D"]
    assert first.reason == FailureReason.CALIBRATION_FAILED
    assert "no curve fits instrument EUR.OIS.5Y (pillar 2021-02-10) with quote 4.0" in first.message
    assert "of the notional is left" in first.message
    assert "curve/USD1D" not in found


def test_cds_spread_that_no_default_risk_gives_names_the_contract():
    """400 basis points for a year and 10 for five: only a negative default probability after a year would do."""
    found = failed_objects(a_snapshot({"BANK.1Y": 0.04, "BANK.5Y": 0.001}))
    assert list(found) == ["hazard/BANK"]
    assert found["hazard/BANK"].reason == FailureReason.CALIBRATION_FAILED
    assert "quote BANK.5Y implies a negative hazard rate of -0.0" in found["hazard/BANK"].message


def test_cap_quote_that_no_caplet_gives_names_the_cap():
    """A 3-year cap cheaper than the 1-year cap inside it: one node is NaN, the rest of the surface stands."""
    layout, market, failures = calibrated(a_snapshot({"EUR.CAP.1Y.2": 0.02, "EUR.CAP.3Y.2": 0.0005}))
    (failure,) = failures
    assert (failure.market_object, failure.is_partial) == ("cap_volatility/EUR-EURIBOR-6M", True)
    assert failure.reason == FailureReason.CALIBRATION_FAILED
    assert "no caplet volatility gives the price of cap EUR.CAP.3Y.2" in failure.message
    begin, end = layout.ranges["cap_volatility/EUR-EURIBOR-6M"]
    assert np.isnan(market[begin:end]).tolist() == [False, False, False, True]


def test_instrument_whose_terms_cannot_be_written_fails_its_curve():
    """A forward against no curve, a CDS without discounting: names object and quote, and the rest stands."""
    cross = curves()[5]
    lost = msgspec.structs.replace(
        cross, segments=(msgspec.structs.replace(cross.segments[0], other_curve=""), cross.segments[1])
    )
    hazard = msgspec.structs.replace(a_snapshot().hazards[0], discount_curve="")
    found = failed_objects(a_snapshot(curves=(*curves()[:5], lost, curves()[6]), hazards=(hazard,)))
    assert {name: failure.message for name, failure in found.items()} == {
        "curve/USD-IN-EUR": "curve/USD-IN-EUR: EURUSD.3M: no curve '' in the snapshot",
        "hazard/BANK": "hazard/BANK: BANK.1Y: no curve '' in the snapshot",
    }


def test_failure_of_one_scenario_is_of_that_scenario_alone():
    """Its neighbours have the bytes they have without it."""
    snapshot = a_snapshot()
    crash = Shift(target="quote", name="EUR.OIS.5Y", shift_absolute=4.0)
    scenarios = ScenarioSet(
        scenarios=(
            Scenario(name="base"),
            Scenario(name="up", shifts=SHIFTS[:1]),
            Scenario(name="crash", shifts=(crash,)),
            Scenario(name="down", shifts=SHIFTS[8:9]),
        )
    )
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, scenarios, 1, 4)
    failures = decode_failures(columns["failures"])
    assert {failure.scenario for failure in failures} == {2}
    assert failures[0].market_object == "curve/EUR1D"
    assert np.isnan(columns["market"][slice(*layout.ranges["curve/EUR6M"]), 1]).all()
    assert np.isfinite(columns["market"][slice(*layout.ranges["curve/USD1D"]), 1]).all()
    without = ScenarioSet(scenarios=(scenarios.scenarios[0], scenarios.scenarios[1], scenarios.scenarios[3]))
    alone = calibrate_tile(snapshot, layout, without, 1, 3)["market"]
    assert columns["market"][:, [0, 2]].tobytes() == alone.tobytes()


def test_base_failure_is_told_for_every_scenario():
    """A cell of any scenario must find its reason in its own tile."""
    snapshot = a_snapshot({"OIL": "nan"})
    columns = calibrate_tile(snapshot, SnapshotLayout(snapshot), some_scenarios(3), 1, 4)
    found = [(failure.scenario, failure.market_object) for failure in decode_failures(columns["failures"])]
    assert found == [(1, "commodity/OIL"), (2, "commodity/OIL"), (3, "commodity/OIL")]


def test_quote_matrix_says_which_columns_failed():
    """The others are filled."""
    matrix, failures = quote_matrix([{"A": 1.0, "B": 2.0}, {"A": 0.0, "B": 2.0}, {"B": 2.0}], ["A", "B"], "positive")
    assert matrix[:, 0].tolist() == [1.0, 2.0]
    assert {column: failure.reason for column, failure in failures.items()} == {
        1: FailureReason.BAD_QUOTE,
        2: FailureReason.MISSING_DATA,
    }
