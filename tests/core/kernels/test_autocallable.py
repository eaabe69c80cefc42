"""equity.autocallable: the twin, closed forms where a note is one, Greeks, honest errors, limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.note_book import NAME, NOTE
from xip_core import evaluate
from xip_core.kernels import reference_sampled

Changes = dict[str, Any]
ONE_DATE = {"observation_count": 1, "first_observation": 1.5}
DIAGNOSTICS = ("pv", "standard_error", "expected_life", "loss_probability")


def price(**changes: Any) -> dict[str, np.ndarray]:
    value = evaluate(NAME, **NOTE | changes)
    assert not value["status"].any(), changes
    return value


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"has_memory": 1, "autocall_step": 0.03, "coupon_barrier": 0.9, "put_strike": 0.8},
        {"asset_count": 2, "is_philox": 1, "has_memory": 1, "coupon_barrier": 1.0},
        {"asset_count": 1, "observation_count": 5, "coupon_barrier": 0.0},
    ],
)
def test_numbers_are_the_twins(changes: Changes) -> None:
    """Same random numbers, payoff walked date by date between the places where it changes."""
    value, twin = price(**changes), reference_sampled.autocallable(NOTE | changes)
    for output in DIAGNOSTICS:
        assert float(value[output]) == pytest.approx(twin[output], rel=1e-12, abs=1e-12), output


# ---- closed forms ----------------------------------------------------------------------------------------------------


def option(kernel: str, asset: int, note: Changes, **columns: Any) -> float:
    row = {
        "spot": note[f"spot_{asset}"],
        "time": note["first_observation"],
        "rate": note["rate"],
        "dividend_yield": note[f"dividend_yield_{asset}"],
        "volatility": note[f"volatility_{asset}"],
    }
    return float(evaluate(kernel, outputs="pv", **row | columns)["pv"])


def test_one_date_of_one_asset_is_digitals_and_a_put() -> None:
    """Notional bond, coupon above 80 %, less a put at 90 % that is knocked in below 70 %: exact, nothing is sampled."""
    note = NOTE | ONE_DATE | {"asset_count": 1, "protection_barrier": 0.7, "put_strike": 0.9}
    bond = math.exp(-0.03 * 1.5)
    coupon = option("equity.digital", 1, note, strike=80.0, is_call=1, cash=3.0, is_asset=0)
    put = option("equity.european", 1, note, strike=70.0, is_call=0)
    gap = option("equity.digital", 1, note, strike=70.0, is_call=0, cash=20.0, is_asset=0)
    value = price(**note)
    assert float(value["pv"]) == pytest.approx(100.0 * bond + coupon - (put + gap) / 0.9, rel=1e-14)
    assert float(value["standard_error"]) < 1e-13


def test_greeks_of_one_date_of_one_asset_are_those_of_the_closed_forms() -> None:
    note = NOTE | ONE_DATE | {"asset_count": 1, "protection_barrier": 0.7}
    value = price(**note)
    for greek, column in (("delta_1", "spot_1"), ("vega_1", "volatility_1"), ("rho", "rate")):
        step = 1e-4 * note[column]
        up, down = (float(price(**note | {column: note[column] + move})["pv"]) for move in (step, -step))
        assert float(value[greek]) == pytest.approx((up - down) / (2 * step), rel=1e-4), greek
    put = evaluate(
        "equity.european", spot=100.0, strike=70.0, time=1.5, rate=0.03, dividend_yield=0.02, volatility=0.2, is_call=0
    )
    plain = price(**note | {"coupon": 0.0, "put_strike": 0.7})
    assert float(plain["delta_1"]) == pytest.approx(-float(put["delta"]) / 0.7, rel=1e-4)
    assert float(plain["vega_1"]) == pytest.approx(-float(put["vega"]) / 0.7, rel=1e-4)


def test_one_date_of_two_assets_is_an_exchange_option() -> None:
    """Repaid with the worst of two at maturity: the first less the right to exchange it for the second (Margrabe)."""
    note = NOTE | ONE_DATE | {"asset_count": 2, "coupon": 0.0, "autocall_barrier": 50.0, "path_exponent": 14}
    note |= {"protection_barrier": 40.0, "put_strike": 40.0}
    exchange = evaluate(
        "equity.margrabe",
        first_spot=note["spot_1"] / note["initial_1"],
        second_spot=note["spot_2"] / note["initial_2"],
        time=1.5,
        first_yield=note["dividend_yield_1"],
        second_yield=note["dividend_yield_2"],
        first_volatility=note["volatility_1"],
        second_volatility=note["volatility_2"],
        correlation=note["correlation_12"],
        outputs="pv",
    )
    first = note["spot_1"] / note["initial_1"] * math.exp(-1.5 * note["dividend_yield_1"])
    value = price(**note)
    truth = 100.0 * (first - float(exchange["pv"])) / 40.0
    assert float(value["pv"]) == pytest.approx(truth, abs=5 * float(value["standard_error"]) + 1e-12)
    assert float(value["standard_error"]) < 1e-5 * truth


def test_first_of_two_dates_of_one_asset_is_a_compound_of_digitals() -> None:
    """Called at the first date or not at all: the chance is that of a digital."""
    value = price(asset_count=1, observation_count=2, autocall_step=0.0, autocall_barrier=1.1, coupon=0.0)
    note = NOTE | {"first_observation": 0.5}
    called = option("equity.digital", 1, note, strike=110.0, is_call=1, cash=math.exp(0.015), is_asset=0)
    life = 0.5 * called + 1.0 * (1.0 - called)
    assert float(value["expected_life"]) == pytest.approx(life, abs=5e-4)


def test_certain_coupons_and_full_protection_are_a_bond() -> None:
    """Whatever the paths: to rounding."""
    times = 0.5 + 0.5 * np.arange(4)
    bond = 100.0 * (0.03 * np.exp(-0.03 * times).sum() + math.exp(-0.06))
    value = price(coupon_barrier=0.0, autocall_barrier=1e6, protection_barrier=0.0)
    assert float(value["pv"]) == pytest.approx(bond, rel=1e-14)
    assert float(value["standard_error"]) < 1e-12
    assert (float(value["expected_life"]), float(value["loss_probability"])) == (2.0, 0.0)
    assert [float(value[f"{greek}_{i}"]) for greek in ("delta", "vega") for i in (1, 2, 3)] == [0.0] * 6


# ---- properties ------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    asset_count=st.integers(1, 3),
    observation_count=st.integers(1, 8),
    volatility=st.floats(0.01, 0.8),
    correlation=st.floats(-0.45, 1.0),
    has_memory=st.integers(0, 1),
    is_philox=st.integers(0, 1),
    protection=st.floats(0.0, 0.8),
)
def test_value_rises_with_coupon_protection_and_memory(
    asset_count: int,
    observation_count: int,
    volatility: float,
    correlation: float,
    has_memory: int,
    is_philox: int,
    protection: float,
) -> None:
    """On common paths these hold path by path."""
    note = {
        "asset_count": asset_count,
        "observation_count": observation_count,
        "volatility_2": volatility,
        "has_memory": has_memory,
        "is_philox": is_philox,
        "protection_barrier": protection,
    } | {f"correlation_{pair}": correlation for pair in ("12", "13", "23")}

    def pv(**changes: float) -> float:
        return float(evaluate(NAME, outputs="pv", **NOTE | note | changes)["pv"])

    plain = pv()
    assert 0.0 < plain <= 100.0 * (1.0 + 0.03 * observation_count)
    assert pv(coupon=0.04) >= plain
    assert pv(has_memory=1) >= plain - 1e-12
    assert pv(protection_barrier=0.5 * protection) >= plain - 1e-12
    assert pv(coupon_barrier=0.7) >= plain - 1e-12


def test_one_more_asset_lowers_the_worst() -> None:
    value = price(asset_count=[1, 2, 3], path_exponent=12)
    assert np.diff(value["pv"]).max() < -1.0
    assert np.diff(value["loss_probability"]).min() > 0.01


def test_money_and_units_of_a_share_scale_out() -> None:
    base = price()
    scaled = price(notional=400.0)
    assert (scaled["pv"], scaled["rho"]) == (4.0 * base["pv"], 4.0 * base["rho"])
    split = price(spot_2=26.0, initial_2=25.0)
    assert split["pv"] == base["pv"]
    assert split["delta_2"] == 2.0 * base["delta_2"]


def test_assets_may_change_places() -> None:
    """Other random numbers, so to the errors."""
    swapped: Changes = {"correlation_12": NOTE["correlation_23"], "correlation_23": NOTE["correlation_12"]}
    for name in ("spot", "initial", "volatility", "dividend_yield"):
        swapped |= {f"{name}_1": NOTE[f"{name}_3"], f"{name}_3": NOTE[f"{name}_1"]}
    one, other = price(path_exponent=14), price(path_exponent=14, **swapped)
    assert float(one["pv"]) == pytest.approx(
        float(other["pv"]), abs=5 * math.hypot(one["standard_error"], other["standard_error"])
    )
    assert float(one["vega_1"]) == pytest.approx(float(other["vega_3"]), rel=0.02)


@pytest.mark.parametrize("changes", [{}, {"has_memory": 1, "autocall_step": 0.02}, {"is_philox": 1}])
def test_greeks_are_derivatives_of_the_price_on_the_same_paths(changes: Changes) -> None:
    """Given the paths, the price is continuous with kinks: wide central differences meet within a few of them."""
    note = NOTE | {"path_exponent": 14} | changes
    value = price(**note)
    columns = {f"delta_{i}": f"spot_{i}" for i in (1, 2, 3)} | {f"vega_{i}": f"volatility_{i}" for i in (1, 2, 3)}
    for greek, column in (columns | {"rho": "rate"}).items():
        step = 1e-3 * note[column]
        moved = price(**note | {column: [note[column] - step, note[column] + step]})["pv"]
        scale = 100.0 / note[column] * (0.003 if greek.startswith("delta") else 0.01)
        assert float(value[greek]) == pytest.approx(np.diff(moved)[0] / (2 * step), rel=5e-3, abs=scale), greek


@pytest.mark.parametrize("changes", [{}, {"has_memory": 1, "autocall_step": 0.03, "observation_count": 7}])
@pytest.mark.parametrize("asset_count", [1, 2, 3])
def test_greeks_are_exact_between_kinks(asset_count: int, changes: Changes) -> None:
    """
    Of 1,024 paths one or the other has a kink within a difference of 1e-6; over 8 seeds the typical one has none.
    """
    note = NOTE | changes | {"asset_count": asset_count, "seed": np.arange(8)}
    value = price(**note)
    columns = {f"delta_{i + 1}": f"spot_{i + 1}" for i in range(asset_count)}
    columns |= {f"vega_{i + 1}": f"volatility_{i + 1}" for i in range(asset_count)}
    for greek, column in (columns | {"rho": "rate"}).items():
        step = 1e-6 * NOTE[column]
        up, down = (price(**note | {column: NOTE[column] + move})["pv"] for move in (step, -step))
        away = np.abs(value[greek] - (up - down) / (2 * step)) * NOTE[column]
        assert np.median(away) < 3e-7, greek


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_philox", [0, 1])
def test_error_bars_are_honest(is_philox: int) -> None:
    """(estimate - truth) / standard error over 120 seeds is Student's t of 15 degrees: mean 0, deviation 1.07."""
    outputs = ("pv", "standard_error")
    note = NOTE | {"is_philox": is_philox, "observation_count": 3}
    truth = evaluate(NAME, outputs=outputs, **note | {"path_exponent": 18, "is_philox": 0, "seed": 1234})
    value = evaluate(NAME, outputs=outputs, **note | {"seed": np.arange(120)})
    away = (value["pv"] - truth["pv"]) / value["standard_error"]
    assert abs(away.mean()) < 4 * 1.07 / math.sqrt(120)
    assert 0.85 < away.std() < 1.3
    assert (np.abs(away) < 2.13).mean() > 0.88  # 95 %, less four deviations of the count


def test_sobol_converges_faster_than_philox() -> None:
    """16 times the paths: Philox gains 4, Sobol 8 or more on what is left of the payoff, continuous with kinks."""
    exponents = np.repeat([10, 14], 8)
    seeds = np.tile(np.arange(8), 2)
    error = {}
    for is_philox in (0, 1):
        value = price(path_exponent=exponents, seed=seeds, is_philox=is_philox)
        error[is_philox] = np.sqrt((value["standard_error"].reshape(2, 8) ** 2).mean(axis=1))
    assert 3.2 < error[1][0] / error[1][1] < 5.0
    assert error[0][0] / error[0][1] > 5.5
    assert error[0][1] < error[1][1] / 2.5
