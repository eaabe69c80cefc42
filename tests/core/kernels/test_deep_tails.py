"""Prices and legs where one of the two normal distributions lies beyond 39 standard deviations."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from tests.core.kernels import exact
from xip_core import evaluate

FORWARD = 1e10  # so that nothing underflows before its legs do


def far_strikes() -> tuple[np.ndarray, np.ndarray]:
    """Strikes and total volatilities with -37 <= d1 <= 20 and -60 <= d2 < -39."""
    grids = np.meshgrid([-37.0, -36.0, -33.0, -20.0, 0.0, 20.0], np.arange(2.5, 65.0))
    d1, total_vol = (grid.ravel() for grid in grids)
    kept = (d1 - total_vol < -39.0) & (d1 - total_vol > -60.0) & (total_vol * (0.5 * total_vol - d1) < 650.0)
    d1, total_vol = d1[kept], total_vol[kept]
    assert len(d1) > 30
    return FORWARD * np.exp(total_vol * (0.5 * total_vol - d1)), total_vol


def test_black_call_keeps_eleven_digits_where_its_strike_leg_is_beyond_39() -> None:
    strike, total_vol = far_strikes()
    pv = evaluate("black.european", forward=FORWARD, strike=strike, time=1, volatility=total_vol, discount=1, is_call=1)
    with mp.workdps(50):
        for row, computed in enumerate(pv["pv"]):
            cells = (FORWARD, strike[row], 1.0, total_vol[row], 1.0, 1.0)
            truth = exact.black(*[mp.mpf(float(cell)) for cell in cells])
            assert abs(computed - truth) <= 1e-11 * truth, cells


@pytest.mark.parametrize("name", ["equity.european", "fx.european"])
def test_rho_is_the_strike_leg_beyond_39(name: str) -> None:
    strike, total_vol = far_strikes()
    rates = ("rate", "dividend_yield") if name == "equity.european" else ("domestic_rate", "foreign_rate")
    value = evaluate(
        name, spot=FORWARD, strike=strike, time=1, volatility=total_vol, is_call=1, **dict.fromkeys(rates, 0.0)
    )
    rho = value["rho" if name == "equity.european" else "rho_domestic"]
    with mp.workdps(60):
        for row, computed in enumerate(rho):
            s = mp.mpf(float(total_vol[row]))
            d2 = mp.log(mp.mpf(FORWARD) / mp.mpf(float(strike[row]))) / s - s / 2
            truth = mp.mpf(float(strike[row])) * exact.normal_cdf(d2)
            assert abs(computed - truth) <= 1e-11 * truth, (strike[row], total_vol[row])


@pytest.mark.parametrize("deviations", [30.0, 36.0, 37.4])
def test_bachelier_keeps_eleven_digits_down_to_the_smallest_normal_price(deviations: float) -> None:
    """Beyond, prices are below 1e-308 of the standard deviation: nothing of theirs lies past 39."""
    cells = (0.0, deviations, 1.0, 1.0, 1.0, 1.0)
    names = ("forward", "strike", "time", "normal_volatility", "discount", "is_call")
    value = evaluate("bachelier.european", **dict(zip(names, cells, strict=True)))
    with mp.workdps(50):
        truth = exact.bachelier(*[mp.mpf(cell) for cell in cells])
        assert abs(float(value["pv"]) - truth) <= 1e-11 * truth
