"""equity.barrier: accuracy, Greeks, tables, in-out parity, limits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels import exact_exotic
from tests.core.kernels.exotic_book import exotic_book
from tests.core.kernels.exotic_checks import (
    BARRIER_TYPES,
    SPOT_GREEKS,
    assert_greeks,
    calls,
    column,
    largest_price_error,
    needs_reference,
    table,
)
from xip_core import evaluate

NAME = "equity.barrier"
OPTION = {
    "spot": 100.0,
    "strike": 95.0,
    "time": 1.0,
    "rate": 0.05,
    "dividend_yield": 0.02,
    "volatility": 0.25,
    "is_call": 1.0,
    "barrier": 90.0,
    "rebate": 3.0,
    "barrier_type": 1.0,
}
EUROPEAN = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")


def european(columns: dict[str, object]) -> np.ndarray:
    return evaluate("equity.european", **{name: columns[name] for name in EUROPEAN})["pv"]


@needs_reference
def test_haug_prices() -> None:
    rows = [row for row in table("barrier_haug.csv") if row["exType"] == "european"]
    value = evaluate(
        NAME,
        spot=column(rows, "s"),
        strike=column(rows, "strike"),
        time=column(rows, "t"),
        rate=column(rows, "r"),
        dividend_yield=column(rows, "q"),
        volatility=column(rows, "v"),
        is_call=calls(rows),
        barrier=column(rows, "barrier"),
        rebate=column(rows, "rebate"),
        barrier_type=[BARRIER_TYPES[row["barrierType"]] for row in rows],
    )
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 6.3e-5


@needs_reference
def test_babsiri_knock_in_calls() -> None:
    """Spot 100, rate 5 %, dividend 2 %, one year: stated in the test that holds the table."""
    rows = table("barrier_babsiri.csv")
    value = evaluate(
        NAME,
        **OPTION
        | {
            "strike": column(rows, "strike"),
            "volatility": column(rows, "volatility"),
            "barrier": column(rows, "barrier"),
            "barrier_type": np.array([BARRIER_TYPES[row["type"]] for row in rows]),
            "rebate": 0.0,
        },
    )
    assert np.abs(value["pv"] - column(rows, "callValue")).max() <= 2e-5


def test_price_is_within_1e_15_of_the_larger_leg() -> None:
    columns = exotic_book(NAME, 300)
    scale = np.maximum(columns["spot"], columns["strike"])
    assert largest_price_error(exact_exotic.barrier, columns, evaluate(NAME, **columns)["pv"], scale) <= 1e-15


def test_greeks_are_derivatives_of_the_price() -> None:
    columns = exotic_book(NAME, 40, seed=4)
    assert_greeks(exact_exotic.barrier, columns, evaluate(NAME, **columns), SPOT_GREEKS)


@pytest.mark.parametrize("rate", [0.0, 1e-12, 1e-9, 1e-6])
def test_vega_of_the_rebate_is_smooth_where_its_root_vanishes(rate: float) -> None:
    """mu^2 + 2 r / sigma^2 tends to 0 with the drift and the rate: there the formula is 0 / 0."""
    drift = np.array([0.0, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3])
    vectors = {name: np.full(len(drift), float(cell)) for name, cell in OPTION.items()}
    columns = vectors | {"rate": np.full(len(drift), rate), "dividend_yield": rate - 0.25**2 / 2 + drift + 1e-13}
    assert_greeks(exact_exotic.barrier, columns, evaluate(NAME, **columns), {"vega": {"volatility": 1}}, rel=1e-9)


def test_in_plus_out_without_rebate_is_the_european() -> None:
    columns = exotic_book(NAME, 1000) | {"rebate": np.zeros(1000)}
    up = columns["barrier_type"] >= 2
    into = evaluate(NAME, **columns | {"barrier_type": np.where(up, 2.0, 0.0)})
    out = evaluate(NAME, **columns | {"barrier_type": np.where(up, 3.0, 1.0)})
    plain = evaluate("equity.european", **{name: columns[name] for name in EUROPEAN})
    scale = np.maximum(columns["spot"], columns["strike"])
    for output, unit in {"pv": scale, "delta": 10.0, "gamma": 10.0, "vega": 100 * scale}.items():
        assert (np.abs(into[output] + out[output] - plain[output]) / unit).max() <= 1e-14, output


def test_prices_scale_with_money_to_the_last_bit() -> None:
    columns = exotic_book(NAME, 1000)
    money = {name: 4.0 * columns[name] for name in ("spot", "strike", "barrier", "rebate")}
    small, large = evaluate(NAME, **columns), evaluate(NAME, **columns | money)
    assert np.array_equal(large["pv"], 4.0 * small["pv"])
    assert np.array_equal(large["delta"], small["delta"])
    assert np.array_equal(large["vega"], 4.0 * small["vega"])


@settings(max_examples=60, deadline=None)
@given(
    spot=st.floats(20.0, 500.0),
    moneyness=st.floats(-1.0, 1.0),
    volatility=st.floats(0.01, 1.0),
    time=st.floats(0.01, 10.0),
    rate=st.floats(-0.02, 0.1),
    dividend_yield=st.floats(-0.05, 0.1),
    is_call=st.integers(0, 1),
    up=st.booleans(),
)
def test_out_option_gains_as_the_barrier_moves_away(
    spot: float,
    moneyness: float,
    volatility: float,
    time: float,
    rate: float,
    dividend_yield: float,
    is_call: int,
    up: bool,
) -> None:
    """Without rebate: from nothing at the barrier to the European far away."""
    away = np.exp((1.0 if up else -1.0) * np.linspace(0.0, 40.0, 200))
    columns = {
        "spot": spot,
        "strike": spot * np.exp(moneyness),
        "time": time,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "volatility": volatility,
        "is_call": is_call,
    }
    out = evaluate(NAME, **columns, barrier=spot * away, rebate=0.0, barrier_type=3 if up else 1)
    assert not out["status"].any()
    scale = max(spot, float(columns["strike"])) * np.exp(0.15 * time)
    assert np.diff(out["pv"]).min() >= -2e-15 * scale
    assert out["pv"][0] == 0.0
    assert out["pv"][-1] == pytest.approx(float(european(columns)), rel=1e-12, abs=1e-14 * scale)


# ---- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("barrier", [100.0, 100.5, 150.0])
@pytest.mark.parametrize("is_call", [0, 1])
def test_hit_barrier_gives_the_rebate_or_the_european_at_once(barrier: float, is_call: int) -> None:
    columns = OPTION | {"barrier": barrier, "is_call": is_call, "barrier_type": [0, 1]}
    value = evaluate(NAME, **columns)
    assert value["pv"] == pytest.approx([float(european(columns)), 3.0], abs=1e-13)
    assert [value[greek][1] for greek in SPOT_GREEKS] == [0.0, 0.0, 0.0]
    plain = evaluate("equity.european", **{name: columns[name] for name in EUROPEAN})
    assert [value[greek][0] for greek in SPOT_GREEKS] == pytest.approx(
        [float(plain[greek]) for greek in SPOT_GREEKS], rel=1e-14
    )


@pytest.mark.parametrize(("barrier_type", "pv"), [(0, 3.0), (1, 5.0), (2, 3.0), (3, 5.0)])
def test_at_expiry_an_option_that_lives_pays_its_intrinsic_value_or_the_rebate(barrier_type: int, pv: float) -> None:
    barrier = 90.0 if barrier_type < 2 else 110.0
    value = evaluate(NAME, **OPTION | {"time": 0.0, "barrier_type": barrier_type, "barrier": barrier})
    assert float(value["pv"]) == pv
    assert float(value["gamma"]) == 0.0
    assert int(value["status"]) == 0


def test_without_volatility_the_rebate_is_paid_where_the_forward_meets_the_barrier() -> None:
    """Forward 100 exp(-0.1 t) meets 95 at t = ln(100 / 95) / 0.1, before expiry."""
    columns = OPTION | {"volatility": 0.0, "rate": 0.05, "dividend_yield": 0.15, "barrier": 95.0}
    value = evaluate(NAME, **columns)
    assert float(value["pv"]) == pytest.approx(3.0 * np.exp(-0.05 * np.log(100.0 / 95.0) / 0.1), rel=1e-14)
    tiny = evaluate(NAME, **columns | {"volatility": 10.0 ** -np.arange(5.0, 300.0, 7.0)})
    assert tiny["pv"] == pytest.approx(float(value["pv"]), rel=1e-9)
    assert not tiny["status"].any()


def test_deep_out_of_the_money_knock_in_keeps_its_digits() -> None:
    columns = {name: np.full(5, float(cell)) for name, cell in OPTION.items()}
    columns |= {"barrier": np.array([80.0, 70.0, 60.0, 50.0, 40.0]), "barrier_type": np.zeros(5), "rebate": np.zeros(5)}
    columns["volatility"] = np.full(5, 0.15)
    pv = evaluate(NAME, **columns)["pv"]
    assert pv[-1] < 1e-15
    assert largest_price_error(exact_exotic.barrier, columns, pv, pv) <= 1e-11


def test_rebate_at_hit_without_a_real_root_is_refused() -> None:
    """Rate -5 %, volatility 10 %: (r - q - v^2/2)^2 + 2 r v^2 < 0 where the drift is small."""
    columns = OPTION | {"rate": -0.05, "dividend_yield": -0.05, "volatility": 0.1, "barrier_type": [0, 1, 1]}
    value = evaluate(NAME, **columns | {"rebate": [3.0, 3.0, 0.0]})
    assert value["status"].tolist() == [0, 8, 0]
    assert np.isnan(value["pv"]).tolist() == [False, True, False]


def test_image_far_out_under_strong_drift_keeps_its_digits() -> None:
    """Its d is -43, beyond the table of the Mills ratio, although its density is that of 1.5."""
    row = {"spot": 74.4, "strike": 74.8, "time": 25.6, "rate": 0.0407, "dividend_yield": 0.01525, "volatility": 0.00618}
    row |= {"is_call": 0.0, "barrier": 149.8, "rebate": 2.46, "barrier_type": 2.0}
    with mp.workdps(700):
        truth = exact_exotic.barrier(*(mp.mpf(cell) for cell in row.values()))
    assert float(evaluate(NAME, **row)["pv"]) == pytest.approx(float(truth), abs=1e-13)
