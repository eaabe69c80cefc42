"""equity.lookback_partial: published values, accuracy, Greeks, limits."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels import exact_path
from tests.core.kernels.exotic_book import exotic_book, row_of
from tests.core.kernels.exotic_checks import calls, column, needs_reference, table
from xip_core import evaluate

NAME = "equity.lookback_partial"
GREEKS = ("pv", "delta", "gamma", "vega", "theta", "rho", "dividend_rho")
OPTION = {
    "spot": 100.0,
    "strike": 105.0,
    "time": 1.0,
    "rate": 0.05,
    "dividend_yield": 0.02,
    "volatility": 0.25,
    "is_call": 1.0,
    "is_floating": 0.0,
    "window": 0.4,
    "strike_multiple": 1.0,
}
MARKET = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")
KINDS = [(is_call, floats) for is_call in (1.0, 0.0) for floats in (0.0, 1.0)]


def one(**changes: object) -> dict[str, np.ndarray]:
    return evaluate(NAME, **OPTION | changes)  # type: ignore[arg-type]  # numbers and lists, as in NumPy


@needs_reference
@pytest.mark.parametrize("kind", ["floating", "fixed"])
def test_haug_prices(kind: str) -> None:
    """Published with four digits. No row has a past: the running extreme of the floating ones is the spot."""
    rows = table(f"lookback_partial_{kind}_haug.csv")
    names = {"spot": "s", "strike": "strike", "time": "t", "rate": "r", "dividend_yield": "q", "volatility": "v"}
    columns = {ours: column(rows, theirs) for ours, theirs in (names | {"window": "t1"}).items()}
    floats = kind == "floating"
    multiple = column(rows, "l") if floats else 1.0
    value = evaluate(NAME, **columns, is_call=calls(rows), is_floating=floats, strike_multiple=multiple)
    assert not floats or (column(rows, "minmax") == columns["spot"]).all()
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 7.5e-5


def fixed_by_quadrature(cells: dict[str, float]) -> float:
    """The price at the start of watching, from the textbook, under the law of the spot of then."""
    start, volatility, strike = mp.mpf(cells["window"]), mp.mpf(cells["volatility"]), mp.mpf(cells["strike"])
    rate, carry, rest = mp.mpf(cells["rate"]), mp.mpf(cells["dividend_yield"]), mp.mpf(cells["time"]) - start
    drift, s = (rate - carry - volatility**2 / 2) * start, volatility * mp.sqrt(start)

    def given(z: mp.mpf) -> mp.mpf:
        spot = cells["spot"] * mp.exp(drift + s * z)
        return mp.npdf(z) * exact_path.lookback(spot, strike, rest, rate, carry, volatility, cells["is_call"], 0, spot)

    edge = max(min((mp.log(strike / cells["spot"]) - drift) / s, mp.mpf(7)), mp.mpf(-7))
    nodes = sorted({mp.mpf(-10), (edge - 10) / 2, edge - 1, edge, edge + 1, (edge + 10) / 2, mp.mpf(10)})
    return float(mp.exp(-rate * start) * mp.quad(given, nodes))


def test_fixed_strike_is_the_expected_lookback_at_the_start_of_watching() -> None:
    columns = exotic_book(NAME, 4, seed=3) | {"is_floating": np.zeros(4)}
    computed = evaluate(NAME, **columns)["pv"]
    with mp.workdps(20):
        for row in range(4):
            cells = row_of(columns, row)
            assert computed[row] == pytest.approx(fixed_by_quadrature(cells), abs=1e-13 * 150.0), cells


def central(columns: dict[str, np.ndarray], moved: tuple[str, ...], step: float, order: int = 1) -> np.ndarray:
    """Eight values on each side of the point: exact to the eighth order."""
    weights = {1: (4 / 5, -1 / 5, 4 / 105, -1 / 280), 2: (8 / 5, -1 / 5, 8 / 315, -1 / 560)}[order]
    total = np.zeros(len(columns["spot"]))

    def at(shift: float) -> np.ndarray:
        return evaluate(NAME, **columns | {name: columns[name] + shift for name in moved})["pv"]

    for place, weight in enumerate(weights, 1):
        up, down = at(place * step), at(-place * step)
        total += weight * (up - down if order == 1 else up + down - 2.0 * at(0.0))
    return total / step**order


def test_greeks_are_derivatives_of_the_price() -> None:
    columns = exotic_book(NAME, 200, seed=4)
    columns["time"] += 0.5
    columns["window"] = 0.1 + 0.8 * columns["window"]
    columns["volatility"] += 0.1
    value = evaluate(NAME, **columns)
    expected = {
        "delta": central(columns, ("spot",), 0.2),
        "gamma": central(columns, ("spot",), 0.5, order=2),
        "vega": central(columns, ("volatility",), 2e-3),
        "theta": -central(columns, ("time", "window"), 5e-3),
        "rho": central(columns, ("rate",), 2e-3),
        "dividend_rho": central(columns, ("dividend_yield",), 2e-3),
    }
    for greek, truth in expected.items():
        scale = 1.0 if greek in ("delta", "gamma") else 100.0
        assert np.abs(value[greek] - truth).max() <= 1e-8 * scale, greek


@pytest.mark.parametrize("is_call", [1.0, 0.0])
def test_windows_at_their_ends_are_whole_lookbacks_or_europeans(is_call: float) -> None:
    strikes = np.linspace(70.0, 140.0, 8)
    market = {name: OPTION[name] for name in MARKET} | {"is_call": is_call}
    whole = evaluate("equity.lookback", **market | {"strike": strikes}, is_floating=0, running_extreme=100.0)
    european = evaluate("equity.european", **market | {"strike": strikes})
    beaten = strikes <= 100.0 if is_call else strikes >= 100.0
    for window, other in ((0.0, whole), (1.0, european)):
        value = one(strike=strikes, is_call=is_call, window=window)
        for greek in GREEKS:
            # Watched from now on with the spot at the extreme, the extreme so far stays as the spot moves or time goes.
            kept = ~beaten if window == 0.0 and greek in ("gamma", "theta") else slice(None)
            assert value[greek][kept] == pytest.approx(other[greek][kept], rel=1e-10, abs=1e-11), (window, greek)
    floating = evaluate("equity.lookback", **market, is_floating=1, running_extreme=100.0)
    watched = one(is_call=is_call, is_floating=1, window=1.0)
    for greek in ("pv", "delta", "vega", "rho", "dividend_rho"):
        assert watched[greek] == pytest.approx(floating[greek], rel=1e-11), greek
    struck = evaluate("equity.european", **market | {"strike": 110.0})
    assert one(is_call=is_call, is_floating=1, window=0.0, strike_multiple=1.1)["pv"] == pytest.approx(
        struck["pv"], rel=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    rate=st.floats(-0.05, 0.15),
    carry=st.floats(-0.05, 0.15),
    volatility=st.floats(0.01, 1.0) | st.floats(1e-9, 0.01),
    strike=st.floats(60.0, 160.0),
)
def test_longer_watching_is_worth_more(
    kind: tuple[float, float], rate: float, carry: float, volatility: float, strike: float
) -> None:
    is_call, floats = kind
    windows = np.linspace(0.0, 1.0, 30)
    value = one(
        is_call=is_call,
        is_floating=floats,
        rate=rate,
        dividend_yield=carry,
        volatility=volatility,
        strike=strike,
        strike_multiple=strike / 100.0,
        window=windows,
    )
    sign = 1.0 if floats else -1.0
    is_drowned = abs(2.0 * (rate - carry) / volatility**2) > 1000.0
    assert (value["status"] == 0).all()
    assert (sign * np.diff(value["pv"]) >= (-6e-7 if is_drowned else -1e-11)).all()


def test_prices_scale_with_money() -> None:
    columns = exotic_book(NAME, 200)
    small = evaluate(NAME, **columns)
    large = evaluate(NAME, **columns | {name: 4.0 * columns[name] for name in ("spot", "strike")})
    assert np.array_equal(large["pv"], 4.0 * small["pv"])
    assert np.array_equal(large["delta"], small["delta"])


@pytest.mark.parametrize("rate", [0.08, -0.08])
@pytest.mark.parametrize(("is_call", "floats"), KINDS)
def test_without_volatility_the_path_of_forwards_decides(rate: float, is_call: float, floats: float) -> None:
    value = one(rate=rate, dividend_yield=0.0, volatility=0.0, is_call=is_call, is_floating=floats, strike=100.0)
    path = 100.0 * np.exp(rate * np.array([0.0, 0.4, 1.0]))
    watched = path[:2] if floats else path[1:]
    extreme = watched.max() if is_call != floats else watched.min()
    paid = (1.0 if is_call else -1.0) * (path[2] - extreme if floats else extreme - 100.0)
    assert float(value["pv"]) == pytest.approx(math.exp(-rate) * max(paid, 0.0), rel=1e-12, abs=1e-12)


def by_panels(cells: dict[str, float]) -> float:
    """A fixed strike by 40 points on each of 200 panels, narrow where L bends without volatility."""
    start, volatility, carry = cells["window"], cells["volatility"], cells["rate"] - cells["dividend_yield"]
    rest = cells["time"] - start
    s1, s2 = volatility * math.sqrt(start), volatility * math.sqrt(rest)
    median = cells["spot"] * math.exp((carry - 0.5 * volatility**2) * start)
    edge = math.log(cells["strike"] / median) / s1
    bends = np.add.outer(edge + np.array([-1, 0, 1]) * carry * rest / s1, np.linspace(-9.0, 9.0, 31) * s2 / s1)
    ends = np.unique(np.clip(np.append(bends, np.linspace(-9.5, 9.5 + s1, 40)), -9.5, 9.5 + s1))
    x, w = np.polynomial.legendre.leggauss(40)
    u = (ends[:-1, None] + np.diff(ends)[:, None] * (x + 1.0) / 2.0).ravel()
    weight = np.outer(np.diff(ends), w / 2.0).ravel() * np.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi)
    spot = median * np.exp(s1 * u)
    market = {name: cells[name] for name in ("strike", "rate", "dividend_yield", "volatility", "is_call")}
    begun = evaluate("equity.lookback", **market, spot=spot, time=rest, is_floating=0, running_extreme=spot)
    return math.exp(-cells["rate"] * start) * float(weight @ begun["pv"])


def test_volatility_that_drift_drowns_costs_digits_and_no_row() -> None:
    """Strikes about where forwards lead: elsewhere nothing happens."""
    drawn = np.random.default_rng(17)
    rows = 400
    time, (rate, carry) = drawn.uniform(0.1, 5.0, rows), drawn.uniform(-0.05, 0.15, (2, rows))
    volatility, window = 10.0 ** drawn.uniform(-8.0, -1.5, rows), time * drawn.uniform(0.01, 0.99, rows)
    strike = 100.0 * np.exp((rate - carry) * (window + (time - window) * drawn.random(rows)))
    columns = {"strike": strike, "time": time, "rate": rate, "dividend_yield": carry, "volatility": volatility}
    columns |= {"window": window, "is_call": drawn.integers(0, 2, rows).astype(float), "spot": np.full(rows, 100.0)}
    value = one(**columns)
    assert not value["status"].any()
    truth = np.array([by_panels(row_of(columns, row)) for row in range(rows)])
    off = np.abs(value["pv"] - truth) / np.maximum(100.0, strike)
    assert off[np.abs(2.0 * (rate - carry)) <= 1000.0 * volatility**2].max() <= 1e-13
    assert off.max() <= 3e-9
    assert np.quantile(off, 0.95) <= 1e-13
