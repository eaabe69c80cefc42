"""xip_core.pricing.fit_report: residuals in units of the quotes, and what is refused, with its reason."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tests.core.small_market import QUOTES, a_snapshot, curves
from xip_core.model import market_instruments as instruments
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.pricing import curves_fit
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.curves_system import CurveSystem
from xip_core.pricing.fit_report import ObjectFit, calibration_report
from xip_core.pricing.market_layout import SnapshotLayout


def fits(snapshot: Snapshot) -> dict[str, ObjectFit]:
    return {item.name: item for item in calibration_report(snapshot).objects}


def test_every_object_of_a_good_market_is_listed_with_all_its_quotes() -> None:
    report = calibration_report(a_snapshot())
    assert report.is_complete
    assert [item.name for item in report.objects] == list(SnapshotLayout(a_snapshot()).ranges)
    assert {quote.quote for item in report.objects for quote in item.instruments} == set(QUOTES)
    assert not any(item.message for item in report.objects)


@pytest.mark.parametrize("name", ["curve/EUR1D", "curve/EUR6M", "curve/USD6M", "curve/USD-IN-EUR", "hazard/BANK"])
def test_solved_objects_leave_rounding_of_every_quote(name: str) -> None:
    """FX points are some hundreds, so their rounding is larger: relative to the quote it is the same."""
    found = fits(a_snapshot())[name]
    assert 1 <= found.rounds <= 4
    for item in found.instruments:
        assert item.residual is not None
        assert item.value is not None
        assert abs(item.residual) < 1e-13 * max(1.0, 100.0 * abs(item.value))
        assert item.pillar > "2016-02-05"
    assert found.worst_residual == max(abs(item.residual or 0.0) for item in found.instruments)


def test_caps_leave_rounding_of_their_volatilities() -> None:
    found = fits(a_snapshot())["cap_volatility/EUR-EURIBOR-6M"]
    assert len(found.instruments) == 4
    assert all(item.residual is not None and abs(item.residual) < 1e-14 for item in found.instruments)


def test_objects_that_are_formulas_of_their_quotes_have_no_residual() -> None:
    found = fits(a_snapshot())
    for name in ("fx/USD", "equity/ACME", "commodity/OIL", "curve/LENDING", "swaption_volatility/EUR"):
        assert (found[name].rounds, found[name].worst, found[name].worst_residual) == (0, None, 0.0)


def test_residual_is_what_the_quote_would_have_to_move_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Newton had stopped before it was there: quotes moved by the residuals are fitted by those knots."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    calibrator = calibrator_of(snapshot, layout)
    market = calibrator.base_market()[0].copy()
    system = calibrator.builder.system_of("curve/EUR6M")
    assert isinstance(system, CurveSystem)
    slot = layout.curves["EUR6M"]
    own = slice(slot.begin, slot.begin + len(slot.instruments))
    market[own] *= 1.01
    quotes = np.array([QUOTES[item.quote] for item in slot.instruments])
    left = system.derivatives(market, quotes).residuals
    stopped = curves_fit.Solution(market[own, None], np.array([True]), left[:, None], np.array([1], np.int32))
    monkeypatch.setattr(curves_fit, "solve_system", lambda *_: stopped)
    found = curves_fit.solve_cold(system, market, quotes, np.ones(len(quotes)), np.ones(len(quotes))).residuals
    assert np.abs(found).min() > 1e-7
    assert np.abs(system.derivatives(market, quotes + found).residuals).max() < 1e-15


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_curve_without_solution_names_instrument_quote_and_what_is_left() -> None:
    """The instruments before it fit; it does not; those after it were not reached."""
    report = calibration_report(a_snapshot({"EUR.OIS.5Y": 4.0}))
    assert not report.is_complete
    found = next(item for item in report.objects if item.name == "curve/EUR1D")
    assert found.is_refused
    assert found.reason == "CALIBRATION_FAILED"
    assert "no curve fits instrument EUR.OIS.5Y (pillar 2021-02-10) with quote 4.0" in found.message
    left = [item.residual for item in found.instruments]
    assert all(value is not None and abs(value) < 1e-12 for value in left[:3])
    assert left[3] is not None
    assert abs(left[3]) > 1e-3
    assert left[4] is None
    below = next(item for item in report.objects if item.name == "curve/EUR6M")
    assert below.is_refused
    assert below.worst is None
    assert "curve/EUR6M needs curve/EUR1D, which failed" in below.message


def test_more_than_rounding_left_is_refused_though_newton_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an instrument of the curve did not reprice: here by asking for more than doubles can give."""
    monkeypatch.setattr(curves_fit, "RESIDUAL_MAX", -1.0)
    found = fits(a_snapshot())["curve/EUR1D"]
    assert found.is_refused
    assert "no curve fits instrument EUR.ON (pillar 2016-02-08) with quote -0.001: a residual of" in found.message


def test_instrument_that_does_not_depend_on_its_pillar_is_refused_as_singular() -> None:
    """A forward curve whose swap projects another index: nothing moves with the curve itself."""
    curve = curves()[1]
    lost = instruments.FixedFloatSwaps(
        pillars=(Pillar("2Y", "EUR.SWAP.2Y"),), index="EUR-EONIA", fixed_frequency_months=12, fixed_calendar="TARGET",
        fixed_convention="modified_following", fixed_day_count="30/360",
    )  # fmt: skip
    usd = msgspec.structs.replace(curve, segments=(lost,))
    found = fits(a_snapshot(curves=(curves()[0], usd, *curves()[2:])))["curve/EUR6M"]
    assert found.is_refused
    assert "EUR.SWAP.2Y" in found.message
    assert "so it determines nothing there" in found.message


def test_negative_hazard_rate_is_refused_with_the_quote() -> None:
    found = fits(a_snapshot({"BANK.1Y": 0.04, "BANK.5Y": 0.001}))["hazard/BANK"]
    assert found.is_refused
    assert "quote BANK.5Y implies a negative hazard rate of -0.0" in found.message
    assert found.message.endswith("got 0.001")


def test_missing_quote_is_shown_as_none() -> None:
    found = fits(a_snapshot({"USD.SWAP.5Y": None}))["curve/USD3M"]
    assert found.reason == "MISSING_DATA"
    assert [(item.quote, item.value is None) for item in found.instruments][1] == ("USD.SWAP.5Y", True)


def test_cap_surface_is_refused_in_part() -> None:
    """The node that no volatility gives has no residual; the others have."""
    found = fits(a_snapshot({"EUR.CAP.1Y.2": 0.02, "EUR.CAP.3Y.2": 0.0005}))["cap_volatility/EUR-EURIBOR-6M"]
    assert found.is_partial
    assert not found.is_refused
    assert [item.residual is None for item in found.instruments] == [False, False, False, True]
    assert "no caplet volatility gives the price of cap EUR.CAP.3Y.2" in found.message


def test_object_that_cannot_be_laid_out_comes_last_with_its_reason() -> None:
    twice = curves()[0]
    segment = msgspec.structs.replace(twice.segments[1], pillars=(Pillar("1Y", "EUR.OIS.1Y"), Pillar("12M", "EUR.ON")))
    broken = msgspec.structs.replace(twice, segments=(twice.segments[0], segment))
    report = calibration_report(a_snapshot(curves=(broken, *curves()[1:])))
    last = {item.name: item for item in report.objects if "pillar must be later" in item.message}
    assert "curve/EUR1D" in last
    assert last["curve/EUR1D"].is_refused
