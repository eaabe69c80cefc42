"""xip_core.pricing.quote_sensitivities: equal to bump-and-recalibrate; what it chains, what it refuses."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from tests.core.ore_directory import REPOSITORY
from tests.core.pricing.test_inflation import an_inflation_market
from tests.core.small_market import a_snapshot, curves
from xip_core import samples
from xip_core.errors import FailureReason
from xip_core.kernels.level import VARIABLE, cpu_level
from xip_core.model import market_instruments as instruments
from xip_core.model.market import CapVolatility, HazardDefinition, Snapshot, decode_snapshot
from xip_core.model.market_instruments import CurveDefinition, Pillar
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.linear import product, solve
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.quote_sensitivities import QuoteJacobian, _Writer, quote_jacobian

STEP = 1e-5
"""Of a quote below 1, or of its size: the error of the stencils is its fourth power times the fifth derivative."""

ROUNDING = 5e-8
"""Of a bump: that of the factors, up to 5e-13 at the long end of a basis curve (GBP3M), over the step."""

STENCILS = {  # steps of the quote, weights of the changes; at the edge of its domain a quote only rises
    False: ((-2.0, -1.0, 1.0, 2.0), (1.0, -8.0, 8.0, -1.0)),
    True: ((1.0, 2.0, 3.0, 4.0), (48.0, -36.0, 16.0, -3.0)),
}


def bumped(snapshot: Snapshot, quotes: Sequence[str], layout: SnapshotLayout, share: float = STEP) -> np.ndarray:
    """(F, quotes): every quote moved four times, and every object calibrated again; fourth order."""
    found = np.zeros((layout.factor_count, len(quotes)))
    calibrator = calibrator_of(snapshot, layout)
    base, _ = calibrator.base_market()
    for begin in range(0, len(quotes), 64):
        block = quotes[begin : begin + 64]
        values = [float(snapshot.quotes[quote]) for quote in block]
        sizes = [share * max(1.0, abs(value)) for value in values]
        stencils = [STENCILS[0.0 <= value < 2.0 * share] for value in values]
        moved = [
            {quote: value + times[step] * size}
            for step in range(4)
            for quote, value, size, (times, _) in zip(block, values, sizes, stencils, strict=True)
        ]
        market, failures = calibrator.calibrate(moved)
        assert not failures
        weights = np.array([weights for _, weights in stencils])
        for step in range(4):
            change = market[:, step * len(block) : (step + 1) * len(block)] - base[:, None]
            found[:, begin : begin + len(block)] += change * weights[:, step] / (12.0 * np.array(sizes))
    return found


def assert_equal_to_bumps(
    snapshot: Snapshot,
    jacobian: QuoteJacobian,
    layout: SnapshotLayout,
    quotes: Sequence[str] = (),
    step: float = STEP,
) -> None:
    """Within 1e-6 of each number, and rounding.

    Caps out of the money bend so much that bumps of 1/10 bp have errors of 1e-7 of the largest number.
    """
    chosen = quotes or jacobian.quotes
    expected = bumped(snapshot, chosen, layout, step)
    found = jacobian.dense()[:, [jacobian.quotes.index(quote) for quote in chosen]]
    for name, (begin, end) in layout.ranges.items():
        scale = np.abs(expected[begin:end]).max(axis=0)
        error = np.abs(found[begin:end] - expected[begin:end])
        share = 2e-7 if name.startswith("cap_volatility") else 1e-9
        allowed = 1e-6 * np.abs(expected[begin:end]) + share * scale + ROUNDING
        row, column = np.unravel_index((error - allowed).argmax(), error.shape)
        assert error[row, column] <= allowed[row, column], (name, row, chosen[column], found[begin + row, column])


def every_kind() -> Snapshot:
    """The small market with curves and a hazard curve that are given instead of solved."""
    given = instruments.DiscountFactors(pillars=(Pillar("2017-02-05", "DF.1"), Pillar("2018-02-05", "DF.2")))
    zeros = instruments.ZeroRates(pillars=(Pillar("2017-02-05", "Z.1"), Pillar("2020-02-05", "Z.4")))
    rates = HazardDefinition(
        name="H", currency="EUR", recovery_rate=0.4, hazard_rates=(Pillar("1Y", "H.1Y"), Pillar("2Y", "H.2Y"))
    )
    more = [
        CurveDefinition(name=name, currency="EUR", segments=(segment,))
        for name, segment in (("GIVEN", given), ("ZERO", zeros))
    ]
    quotes = {"DF.1": 0.99, "DF.2": 0.97, "Z.1": 0.02, "Z.4": 0.03, "H.1Y": 0.01, "H.2Y": 0.02}
    return a_snapshot(dict(quotes), curves=(*curves(), *more), hazards=(*a_snapshot().hazards, rates))


def test_small_market_agrees_with_bumps_in_every_object() -> None:
    snapshot = every_kind()
    layout = SnapshotLayout(snapshot)
    jacobian = quote_jacobian(snapshot, layout)
    assert set(jacobian.objects) == set(layout.ranges)
    assert set(jacobian.quotes) == set(snapshot.quotes)
    assert_equal_to_bumps(snapshot, jacobian, layout)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 10])
def test_reference_market_agrees_with_bumps_in_every_object(every: int) -> None:
    """The sample's market of 23 curves, which is that of the ORE reference; every tenth quote, or all."""
    snapshot = decode_snapshot(samples.load("cross-asset").market)
    layout = SnapshotLayout(snapshot)
    jacobian = quote_jacobian(snapshot, layout)
    assert not jacobian.failures
    assert_equal_to_bumps(snapshot, jacobian, layout, jacobian.quotes[::every])


def test_inflation_curves_are_covered_by_differences_of_each_alone() -> None:
    snapshot = an_inflation_market()
    layout = SnapshotLayout(snapshot)
    jacobian = quote_jacobian(snapshot, layout)
    assert {name.split("/")[0] for name in jacobian.objects} >= {"inflation", "year_on_year"}
    assert_equal_to_bumps(snapshot, jacobian, layout)


def test_lognormal_caps_agree_with_bumps_of_their_quotes_and_curves() -> None:
    names = ("EUR.CAP.1Y.0", "EUR.CAP.1Y.2", "EUR.CAP.3Y.0", "EUR.CAP.3Y.2")
    caps = CapVolatility(
        index="USD-LIBOR-6M", discount_curve="USD1D", tenors=("1Y", "3Y"), strikes=(0.005, 0.02), quotes=names,
        is_normal=False,
    )  # fmt: skip
    snapshot = a_snapshot(dict(zip(names, (0.5, 0.45, 0.48, 0.42), strict=True)), cap_volatilities=(caps,))
    layout = SnapshotLayout(snapshot)
    jacobian = quote_jacobian(snapshot, layout)
    assert {*names, "USD.SWAP.5Y", "USD.BASIS.2Y"} <= set(jacobian.objects["cap_volatility/USD-LIBOR-6M"].quotes)
    assert_equal_to_bumps(snapshot, jacobian, layout, (*names, "USD.OIS.5Y", "USD.SWAP.5Y", "USD.BASIS.2Y"))


def test_caps_by_spline_agree_with_bumps_slopes_included() -> None:
    names = tuple("ABCDEF")
    caps = CapVolatility(
        index="EUR-EURIBOR-6M", discount_curve="EUR1D", tenors=("1Y", "2Y", "4Y"), strikes=(0.0, 0.01), quotes=names,
        interpolation="spline",
    )  # fmt: skip
    values = (0.0035, 0.005, 0.004, 0.0052, 0.0045, 0.0055)
    snapshot = a_snapshot(dict(zip(names, values, strict=True)), cap_volatilities=(caps,))
    layout = SnapshotLayout(snapshot)
    assert_equal_to_bumps(snapshot, quote_jacobian(snapshot, layout), layout, (*names, "EUR.OIS.5Y", "EUR.SWAP.5Y"))


def test_object_without_formula_is_differentiated_alone_and_chained(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if equities and caps were of a kind nobody knows: the same numbers to the error of differences."""
    snapshot = every_kind()
    exact = quote_jacobian(snapshot).objects
    monkeypatch.setattr(_Writer, "_formulas", lambda writer: {})
    found = quote_jacobian(snapshot).objects
    for name in ("equity/ACME", "fx/USD", "hazard/H", "fx_volatility/EURUSD", "curve/ZERO"):
        assert found[name].quotes == exact[name].quotes
        scale = abs(exact[name].matrix).max()
        assert found[name].matrix == pytest.approx(exact[name].matrix, rel=1e-6, abs=1e-9 * scale)


# ---- what must hold --------------------------------------------------------------------------------------------------


def test_deposit_by_hand() -> None:
    """log D = -log(1 + r tau): -tau / (1 + r tau), three days of 360."""
    snapshot = a_snapshot()
    found = quote_jacobian(snapshot).objects["curve/EUR1D"]
    assert found.matrix[0, found.quotes.index("EUR.ON")] == pytest.approx(-(3 / 360) / (1 - 0.001 * 3 / 360), rel=1e-14)


def test_bootstrap_knows_no_later_instrument() -> None:
    """Knots do not move with quotes of later pillars."""
    snapshot = a_snapshot()
    found = quote_jacobian(snapshot).objects["curve/EUR1D"]
    own = [f"EUR.{name}" for name in ("ON", "OIS.1Y", "OIS.2Y", "OIS.5Y", "OIS.10Y")]
    square = found.matrix[:, [found.quotes.index(quote) for quote in own]]
    assert not np.triu(square, 1).any()
    assert (np.diag(square) < 0.0).all()


def test_chain_reaches_the_quotes_of_all_parents() -> None:
    """A forward curve under OIS, a hazard curve, caplet volatilities; nothing of another currency."""
    objects = quote_jacobian(a_snapshot()).objects
    assert {"EUR.OIS.10Y", "EUR.SWAP.10Y"} <= set(objects["curve/EUR6M"].quotes)
    assert {"EUR.OIS.5Y", "USD.BASIS.2Y", "XCCY.10Y", "EURUSD"} <= set(objects["curve/USD-IN-EUR"].quotes)
    assert {"EUR.OIS.5Y", "BANK.5Y"} <= set(objects["hazard/BANK"].quotes)
    assert {"EUR.OIS.5Y", "EUR.SWAP.2Y", "EUR.CAP.3Y.2"} <= set(objects["cap_volatility/EUR-EURIBOR-6M"].quotes)
    assert not any(quote.startswith(("USD", "XCCY")) for quote in objects["curve/EUR6M"].quotes)


def test_ladder_is_gradient_times_jacobian() -> None:
    """Of a discount factor in ten years, against bumps of its curve."""
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    jacobian = quote_jacobian(snapshot, layout)
    gradient = np.zeros((2, layout.factor_count))
    for factor, weight in layout.log_discount("USD-IN-EUR", dt.date(2026, 1, 5)):
        gradient[0, factor] = weight
    ladder = jacobian.ladder(gradient)
    assert ladder.shape == (2, len(jacobian.quotes))
    assert ladder[0] == pytest.approx(gradient[0] @ bumped(snapshot, jacobian.quotes, layout), rel=1e-6, abs=1e-8)
    assert not ladder[1].any()


def test_row_on_a_failed_object_is_nan_and_the_others_stand() -> None:
    snapshot = a_snapshot({"USD.SWAP.5Y": None})
    layout = SnapshotLayout(snapshot)
    jacobian = quote_jacobian(snapshot, layout)
    assert set(jacobian.failures) == {"curve/USD3M", "curve/USD6M", "curve/USD-IN-EUR"}
    assert jacobian.failures["curve/USD3M"].reason == FailureReason.MISSING_DATA
    gradient = np.zeros((2, layout.factor_count))
    gradient[0, layout.ranges["curve/USD3M"][0]] = 1.0
    gradient[1, layout.ranges["curve/EUR1D"][0]] = 1.0
    ladder = jacobian.ladder(gradient)
    assert np.isnan(ladder[0]).all()
    assert np.isfinite(ladder[1]).all()
    assert np.isnan(jacobian.dense()[slice(*layout.ranges["curve/USD3M"])]).all()


def test_gradient_of_another_market_is_refused() -> None:
    jacobian = quote_jacobian(a_snapshot())
    with pytest.raises(ValueError, match=r"gradient must have shape \(rows, \d+\), got \(1, 3\)"):
        jacobian.ladder(np.zeros((1, 3)))


def test_quote_of_two_instruments_counts_twice() -> None:
    """The same quote at two pillars: its column is the sum of both."""
    snapshot = a_snapshot()
    first = snapshot.curves[2]
    segment = first.segments[0]
    assert isinstance(segment, instruments.OvernightSwaps)
    pillars = (segment.pillars[0], Pillar("5Y", segment.pillars[0].quote), segment.pillars[2])
    twice = msgspec.structs.replace(first, segments=(msgspec.structs.replace(segment, pillars=pillars),))
    changed = msgspec.structs.replace(snapshot, curves=(*curves()[:2], twice, *curves()[3:]))
    layout = SnapshotLayout(changed)
    jacobian = quote_jacobian(changed, layout)
    assert_equal_to_bumps(changed, jacobian, layout)
    assert "USD.OIS.5Y" not in jacobian.quotes


def test_elimination_solves_and_its_bytes_know_no_shape() -> None:
    random = np.random.default_rng(3)
    matrix, right = random.normal(size=(9, 9)) + 9.0 * np.eye(9), random.normal(size=(9, 5))
    assert product(matrix, solve(matrix, right)) == pytest.approx(right, abs=1e-14)
    assert solve(matrix, right[:, :2].copy()).tobytes() == np.ascontiguousarray(solve(matrix, right)[:, :2]).tobytes()


def jacobian_digest() -> str:
    import hashlib

    return hashlib.sha256(quote_jacobian(a_snapshot()).dense().tobytes()).hexdigest()


def test_bytes_do_not_depend_on_what_numpy_finds_in_the_cpu() -> None:
    from numpy._core._multiarray_umath import __cpu_dispatch__ as dispatched

    environment = {**os.environ, VARIABLE: cpu_level(), "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched)}
    script = "from tests.core.pricing.test_quote_sensitivities import jacobian_digest as d; print(d())"
    command = [sys.executable, "-W", "ignore", "-c", script]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert found.stdout.strip() == jacobian_digest()
