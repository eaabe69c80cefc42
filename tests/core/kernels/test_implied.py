"""implied.black and implied.bachelier: full precision over an enormous domain, limits, refused rows, equal bytes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.core.kernels import exact
from tests.core.kernels.derive_coefficients import implied_coefficients, split
from tests.core.kernels.levels import LEVELS, evaluate_at
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.reference import TWINS

HEADER = Path(__file__).parents[3] / "xip_core" / "kernels" / "implied.h"
FAMILIES = ["black", "bachelier"]
EPSILON = 2.0**-52
PRICE = {"black": exact.black, "bachelier": exact.bachelier}

Columns = dict[str, np.ndarray]


def book(family: str, rows: int, seed: int = 21) -> Columns:
    """Prices of both kinds, from six standard deviations out of the money to as many in it."""
    random = np.random.default_rng(seed)
    time = random.uniform(0.02, 10.0, rows)
    volatility = random.uniform(0.02, 0.8, rows)
    distance = random.uniform(-6.0, 6.0, rows) * volatility * np.sqrt(time)
    forward = random.uniform(20.0, 200.0, rows)
    strike = forward * np.exp(distance)
    if family == "bachelier":
        forward, volatility = random.uniform(-0.02, 0.08, rows), volatility / 40.0
        strike = forward + distance / 40.0
    columns = {
        "forward": forward,
        "strike": strike,
        "time": time,
        "discount": random.uniform(0.5, 1.05, rows),
        "is_call": random.integers(0, 2, rows).astype(float),
    }
    named = {"black": "volatility", "bachelier": "normal_volatility"}[family]
    columns["price"] = evaluate(f"{family}.european", outputs="pv", **columns, **{named: volatility})["pv"]
    return columns


def exact_volatility(family: str, cells: dict[str, float], start: float) -> tuple[mp.mpf, float]:
    """The volatility in many digits, and its error for a relative error of 1 in time value or in the lack."""
    forward, strike, time, discount, is_call, price = [mp.mpf(value) for value in cells.values()]
    volatility = mp.mpf(start)
    vega = mp.mpf(0)
    for _ in range(4):
        total = volatility * mp.sqrt(time)
        moneyness = mp.log(forward / strike) + total**2 / 2 if family == "black" else forward - strike
        vega = discount * (forward if family == "black" else 1) * mp.npdf(moneyness / total) * mp.sqrt(time)
        value = PRICE[family](forward, strike, time, volatility, discount, is_call)
        volatility += (price - value) / vega
    gain = (forward - strike) * (1 if is_call else -1)
    time_value = price - discount * max(gain, mp.mpf(0))
    # Newton from a wrong start would land elsewhere: the price must be met.
    assert (
        abs(PRICE[family](forward, strike, time, volatility, discount, is_call) - price)
        <= abs(time_value) * mp.mpf(10) ** -25
    )
    lack = discount * min(forward, strike) - time_value if family == "black" else time_value
    return volatility, float(min(time_value, lack) / vega)


def assert_full_precision(family: str, cells: dict[str, float], start: float) -> None:
    value = evaluate(f"implied.{family}", **cells)
    assert int(value["status"]) == 0, cells
    with mp.workdps(60):
        truth, error = exact_volatility(family, cells, start)
        allowed = 3.0 * EPSILON * (float(truth) + error)
        assert abs(mp.mpf(float(value["volatility"])) - truth) <= allowed, (cells, float(truth))


# ---- values ----------------------------------------------------------------------------------------------------------


def test_volatility_of_hull_example_18_6_is_25_percent() -> None:
    """J. Hull, Options, Futures and Other Derivatives, 9th edition: a put on a futures of 20 is worth 1.12."""
    value = evaluate(
        "implied.black",
        forward=20.0,
        strike=20.0,
        time=4 / 12,
        discount=math.exp(-0.09 * 4 / 12),
        is_call=0,
        price=1.12,
    )
    assert float(value["volatility"]) == pytest.approx(0.25, abs=0.002)


def test_at_the_money_bachelier_is_the_price_times_root_two_pi() -> None:
    value = evaluate(
        "implied.bachelier", forward=0.03, strike=0.03, time=4.0, discount=0.5, is_call=[1, 0], price=0.001
    )
    assert value["volatility"] == pytest.approx([0.001 * math.sqrt(2 * math.pi)] * 2, rel=4e-16)


@pytest.mark.parametrize("family", FAMILIES)
def test_kernel_agrees_with_its_twin(family: str) -> None:
    columns = book(family, 60)
    forward_is_lower = columns["forward"] < columns["strike"]
    keep = forward_is_lower == (columns["is_call"] > 0)
    keep &= columns["price"] > 1e-7 * np.abs(columns["forward"])  # the twin's price is good to 1e-16 of the legs
    computed = evaluate(f"implied.{family}", **columns)["volatility"]
    assert keep.sum() > 10
    for row in np.flatnonzero(keep):
        cells = {name: float(values[row]) for name, values in columns.items()}
        assert computed[row] == pytest.approx(TWINS[f"implied.{family}"](**cells)["volatility"], rel=1e-8), cells


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    log_moneyness=st.one_of(
        st.floats(-49.0, 49.0),
        st.builds(lambda sign, power: sign * 10.0**power, st.sampled_from([-1, 1]), st.floats(-15.0, 0.5)),
        st.just(0.0),
    ),
    relative_vol=st.floats(-1.5, 1.3),
    small_vol=st.floats(-14.0, 1.0),
    is_small=st.booleans(),
    log_forward=st.floats(-20.0, 20.0),
    time=st.floats(0.001, 60.0),
    discount=st.floats(0.01, 1.2),
    is_out=st.booleans(),
)
def test_black_has_full_precision_everywhere(
    log_moneyness: float,
    relative_vol: float,
    small_vol: float,
    is_small: bool,
    log_forward: float,
    time: float,
    discount: float,
    is_out: bool,
) -> None:
    """Total volatility from 1e-14 to 200, prices down to 1e-300 of the forward, in and out of the money."""
    forward = math.exp(log_forward)
    strike = forward * math.exp(log_moneyness)
    total = 10.0**small_vol if is_small else math.sqrt(2 * abs(log_moneyness)) * 10.0**relative_vol
    total = max(total, 1e-14)
    is_call = float((strike >= forward) == is_out)
    volatility = total / math.sqrt(time)
    with mp.workdps(60):
        cells = [mp.mpf(value) for value in (forward, strike, time, volatility, discount, is_call)]
        price = float(exact.black(*cells))
        gain = (cells[0] - cells[1]) * (1 if is_call else -1)
        time_value = price - cells[4] * max(gain, 0)
    leg = discount * min(forward, strike)
    assume(2e-300 < time_value / leg < 1 - 1e-14)  # else the price has lost the volatility
    assume(gain <= 0 or min(time_value, leg - time_value) >= 1e-8 * price)
    out = {"forward": forward, "strike": strike, "time": time, "discount": discount, "is_call": is_call}
    assert_full_precision("black", out | {"price": price}, volatility)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    distance=st.one_of(st.floats(0.0, 37.0), st.builds(lambda power: 10.0**power, st.floats(-100.0, 0.0))),
    forward=st.floats(-1e4, 1e4),
    log_total=st.floats(-8.0, 8.0),
    time=st.floats(0.001, 60.0),
    discount=st.floats(0.01, 1.2),
    is_call=st.booleans(),
)
def test_bachelier_has_full_precision_out_of_the_money(
    distance: float, forward: float, log_total: float, time: float, discount: float, is_call: bool
) -> None:
    total = 10.0**log_total
    strike = forward + (distance if is_call else -distance) * total
    volatility = total / math.sqrt(time)
    with mp.workdps(60):
        cells = [mp.mpf(value) for value in (forward, strike, time, volatility, discount, float(is_call))]
        price = float(exact.bachelier(*cells))
        moneyness = abs(mp.mpf(forward) - mp.mpf(strike))
    assume(price > 2e-300 * max(1.0, float(moneyness)))
    out = {"forward": forward, "strike": strike, "time": time, "discount": discount, "is_call": float(is_call)}
    assert_full_precision("bachelier", out | {"price": price}, volatility)


@pytest.mark.parametrize("family", FAMILIES)
def test_price_is_found_again_from_its_volatility(family: str) -> None:
    columns = book(family, 3000)
    value = evaluate(f"implied.{family}", **columns)
    good = value["status"] == 0
    named = {"black": "volatility", "bachelier": "normal_volatility"}[family]
    option = {name: values for name, values in columns.items() if name != "price"} | {named: value["volatility"]}
    again = evaluate(f"{family}.european", outputs="pv", **option)["pv"]
    scale = np.maximum(np.abs(columns["forward"]), np.abs(columns["strike"]))
    assert good.mean() > 0.9  # in the money by five deviations a rounded price may lie below intrinsic value
    assert np.abs(again - columns["price"])[good].max() <= 4e-16 * scale.max()


# ---- limits and refused rows -----------------------------------------------------------------------------------------


def one(family: str, **changes: Any) -> dict[str, Any]:
    columns = {"forward": 100.0, "strike": 90.0, "time": 1.0, "discount": 0.5, "is_call": 1.0, "price": 10.0}
    return columns | changes


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("strike", "price"), [(90.0, 5.0), (110.0, 0.0), (100.0, 0.0)])
def test_price_without_time_value_has_no_volatility(family: str, strike: float, price: float) -> None:
    value = evaluate(f"implied.{family}", **one(family, strike=strike, price=price))
    assert (float(value["volatility"]), int(value["status"])) == (0.0, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_volatility_rises_with_the_price(family: str) -> None:
    price = 5.0 + np.geomspace(1e-14, 44.9, 5000)
    volatility = evaluate(f"implied.{family}", **one(family, price=price))["volatility"]
    assert (np.diff(volatility) >= 0.0).all()


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        (family, changes)
        for family in FAMILIES
        for changes in (
            {"price": 4.999},
            {"price": math.nextafter(5.0, 0.0)},
            {"price": -1.0},
            {"price": math.nan},
            {"price": math.inf},
            {"forward": math.nan},
            {"strike": math.inf},
            {"time": 0.0},
            {"time": -1.0},
            {"time": math.nan},
            {"discount": 0.0},
            {"discount": -0.5},
            {"is_call": 0.5},
            {"is_call": math.nan},
        )
    ]
    + [
        ("black", {"price": 50.0}),
        ("black", {"price": 45.0, "is_call": 0.0}),
        ("black", {"forward": 0.0}),
        ("black", {"strike": -1.0}),
        ("black", {"strike": 1e30}),
        ("black", {"strike": 110.0, "price": 1e-305}),
        ("bachelier", {"strike": 110.0, "price": 1e-305}),
        ("bachelier", {"forward": 1e308, "strike": -1e308, "price": 1e308}),
    ],
)
def test_row_outside_the_domain_is_refused_and_its_neighbours_are_solved(family: str, changes: dict[str, Any]) -> None:
    columns = {name: np.full(5, value) for name, value in one(family).items()}
    for name, bad in changes.items():
        columns[name][2] = bad
    value = evaluate(f"implied.{family}", **columns)
    assert value["status"].tolist() == [0, 0, FailureReason.NUMERICAL, 0, 0]
    assert np.isnan(value["volatility"][2])
    assert len(set(value["volatility"][[0, 1, 3, 4]].tolist())) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_every_level_and_every_block_split_gives_the_same_bytes(family: str) -> None:
    columns = book(family, 1000)
    columns["price"][::97] = 0.0
    columns["strike"][::89] = np.nan
    results = {level: evaluate_at(level, f"implied.{family}", columns) for level in LEVELS}
    whole = results[LEVELS[-1]]
    for level, value in results.items():
        assert {name: array.tobytes() for name, array in value.items()} == {
            name: array.tobytes() for name, array in whole.items()
        }, level
    for begin, end in [(0, 1), (1, 8), (3, 260), (255, 257), (999, 1000)]:
        part = {name: values[begin:end].copy() for name, values in columns.items()}
        assert evaluate_at(LEVELS[-1], f"implied.{family}", part)["volatility"].tobytes() == (
            whole["volatility"][begin:end].tobytes()
        )


def test_coefficients_in_the_header_are_the_derived_ones() -> None:
    text = HEADER.read_text()
    for function, values in implied_coefficients().items():
        body = text[text.index(f"XIP_INLINE double {function}(") :]
        body = body[: body.index("\n}\n")]
        found = re.findall(r"(?:even|odd) = (?:__builtin_fma\(\w+, \w+, )?(-?0x[0-9a-fx.p+-]*)", body)
        assert [float.fromhex(match) for match in found] == split(values), function


def test_catalogue_names_the_kernels_of_the_plan() -> None:
    for family in FAMILIES:
        kernel = catalogue()[f"implied.{family}"]
        assert [column.name for column in kernel.columns] == [
            "forward",
            "strike",
            "time",
            "discount",
            "is_call",
            "price",
        ]
        assert [output.name for output in kernel.outputs] == ["volatility"]
