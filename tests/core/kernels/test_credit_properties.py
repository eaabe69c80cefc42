"""credit.cds_flat: domain edges one by one, limits, properties, many digits, the same bytes."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.levels import LEVELS, evaluate_at
from tests.core.kernels.test_credit import CDS
from xip_core import evaluate
from xip_core.errors import FailureReason

NAME = "credit.cds_flat"
contracts = st.fixed_dictionaries(
    {
        "notional": st.integers(-(10**8), 10**8).map(float),
        "coupon": st.integers(-200, 1000).map(lambda bps: bps * 1e-4),
        "time": st.floats(0.0, 30.0),
        "period": st.sampled_from([0.25, 0.5, 1.0]),
        "rate": st.floats(-0.03, 0.15),
        "hazard_rate": st.floats(0.0, 3.0),
        "recovery": st.floats(0.0, 1.0),
    }
)


def price(**changes: object) -> dict[str, np.ndarray]:
    return evaluate(NAME, **(CDS | changes))


# ---- domain ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("notional", [-1e300, 0.0], [math.inf, -math.inf]),
        ("coupon", [-1.0, 0.0, 10.0], [math.inf, -math.inf]),
        ("time", [0.0, 5e-324, 250.0], [-5e-324, 250.01, math.inf]),
        ("period", [0.005, 1000.0], [0.00499, 1e-3 * (1 - 1e-15), 1000.0000001, 0.0, -0.25, math.inf]),
        ("rate", [-0.5, 0.0, 100.0], [math.inf, -math.inf, -1e6]),
        ("hazard_rate", [0.0, 5e-324, 1e300], [-5e-324, math.inf]),
        ("recovery", [0.0, 1.0, -0.0], [-5e-324, 1.0 + 2.3e-16, math.inf]),
    ],
)
def test_every_edge_of_the_domain(column: str, good: list[float], bad: list[float]) -> None:
    """Good rows have numbers, bad ones a status and NaN in all outputs; -1e6 as a rate overflows."""
    values = [*good, *bad, CDS[column]]
    found = price(**{column: values})
    expected = [0] * len(good) + [FailureReason.NUMERICAL] * len(bad) + [0]
    assert found["status"].tolist() == expected
    for output in ("pv", "cs01", "jtd"):
        assert np.isfinite(found[output]).tolist() == [status == 0 for status in expected], output
        assert found[output][-1] == price()[output]


def test_shortest_period_reaches_a_thousand_periods_and_no_more() -> None:
    found = price(period=1e-3, time=[1.0, 1.0001], coupon=0.0)
    assert found["status"].tolist() == [0, FailureReason.NUMERICAL]


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_one_short_period_is_its_own_first_and_last() -> None:
    """Less than a period to go: protection at the middle of what is left, one coupon of that length."""
    time, rate, hazard = 0.1, 0.03, 0.5
    survival = math.exp(-hazard * time)
    middle = math.exp(-rate * time / 2)
    premium = 0.01 * time * (math.exp(-rate * time) * survival + 0.5 * middle * (1 - survival))
    found = price(time=time, rate=rate, hazard_rate=hazard, notional=1.0)
    assert float(found["pv"]) == pytest.approx(0.6 * middle * (1 - survival) - premium, abs=1e-16)


def test_full_recovery_leaves_the_premium_alone_and_no_jump_but_its_end() -> None:
    found = price(recovery=1.0, hazard_rate=[0.0, 0.5])
    assert (found["pv"] < 0.0).all()
    assert (found["cs01"] > 0.0).all()
    assert found["jtd"].tolist() == (-found["pv"]).tolist()


def test_certain_default_pays_the_loss_in_the_first_period() -> None:
    """Hazard so high that nothing survives: half a period of discount, half a coupon."""
    middle = math.exp(-0.02 * 0.125)
    found = price(hazard_rate=1e4, notional=1.0)
    assert float(found["pv"]) == pytest.approx(middle * (0.6 - 0.01 * 0.125), rel=1e-15)
    assert float(found["cs01"]) == 0.0


def test_tiny_hazard_is_proportional_to_it() -> None:
    values = price(coupon=0.0, rate=0.0, hazard_rate=[1e-6, 2e-6], notional=1.0)["pv"]
    assert values[0] == pytest.approx(0.6 * 5e-6, rel=1e-5)
    assert values[1] == pytest.approx(2.0 * values[0], rel=1e-5)


# ---- properties ------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(contract=contracts, factor=st.sampled_from([2.0, -0.5, 1024.0]))
def test_value_scales_with_the_notional_to_the_bit(contract: dict[str, float], factor: float) -> None:
    found = evaluate(NAME, **(contract | {"notional": [contract["notional"], factor * contract["notional"]]}))
    assert found["pv"][1] == factor * found["pv"][0]
    assert found["cs01"][1] == factor * found["cs01"][0]


@settings(max_examples=60)
@given(contract=contracts)
def test_value_is_linear_in_coupon_and_recovery(contract: dict[str, float]) -> None:
    lines = {"coupon": [0.0, 0.02, 0.04], "recovery": [0.0, 0.5, 1.0]}
    for column, values in lines.items():
        low, middle, high = evaluate(NAME, **(contract | {column: values}))["pv"]
        assert low + high == pytest.approx(2.0 * middle, abs=1e-12 * abs(contract["notional"]) + 1e-12)


@settings(max_examples=60)
@given(contract=contracts, more=st.floats(0.0, 2.0))
def test_protection_is_worth_more_the_likelier_default_is(contract: dict[str, float], more: float) -> None:
    """With a coupon that is not negative, and the premium only where the name survives; rates that are not negative."""
    bought = contract | {"notional": 1.0, "coupon": abs(contract["coupon"]), "rate": abs(contract["rate"])}
    bought["recovery"] = 0.5 * contract["recovery"]  # the loss outweighs half a coupon
    hazard = contract["hazard_rate"]
    low, high = evaluate(NAME, **(bought | {"hazard_rate": [hazard, hazard + more]}))["pv"]
    assert high >= low - 1e-13


@settings(max_examples=60)
@given(contract=contracts)
def test_jump_to_default_and_value_make_the_loss(contract: dict[str, float]) -> None:
    found = evaluate(NAME, **contract)
    loss = contract["notional"] * (1.0 - contract["recovery"])
    assert found["jtd"] + found["pv"] == pytest.approx(loss, rel=1e-14, abs=1e-14 * abs(contract["notional"]) + 1e-300)


@settings(max_examples=25)
@given(contract=contracts)
def test_value_is_right_in_many_digits(contract: dict[str, float]) -> None:
    """Within 1e-15 of the notional per period, and CS01 as the difference of two such values."""
    cells = {name: mp.mpf(value) for name, value in contract.items()}

    def exact(hazard: mp.mpf) -> mp.mpf:
        total, step = mp.mpf(0), 0
        while cells["time"] - step * cells["period"] > 0:
            end = cells["time"] - step * cells["period"]
            start = max(end - cells["period"], mp.mpf(0))
            default = mp.exp(-hazard * start) - mp.exp(-hazard * end)
            protection = mp.exp(-cells["rate"] * (start + end) / 2) * default
            annuity = (end - start) * (mp.exp(-(cells["rate"] + hazard) * end) + protection / 2)
            total += (1 - cells["recovery"]) * protection - cells["coupon"] * annuity
            step += 1
        return cells["notional"] * total

    found = evaluate(NAME, **contract)
    bound = 3e-15 * abs(contract["notional"]) * (1.0 + contract["time"] / contract["period"]) + 1e-300
    with mp.workdps(40):
        pv = exact(cells["hazard_rate"])
        cs01 = exact(cells["hazard_rate"] + mp.mpf(1e-4)) - pv
    assert abs(float(found["pv"] - pv)) <= bound
    assert abs(float(found["cs01"] - cs01)) <= 2.0 * bound


def test_levels_and_splits_give_the_same_bytes() -> None:
    random = np.random.default_rng(11)
    columns = {
        "notional": random.uniform(-1e7, 1e7, 700),
        "coupon": random.uniform(-0.01, 0.05, 700),
        "time": random.uniform(0.0, 30.0, 700),
        "period": random.choice([0.25, 0.5, 1.0], 700),
        "rate": random.uniform(-0.02, 0.08, 700),
        "hazard_rate": random.uniform(0.0, 0.3, 700),
        "recovery": random.uniform(0.0, 1.0, 700),
    }
    columns["time"][::50] = 0.0
    columns["rate"][::60] = math.nan
    whole = evaluate_at(LEVELS[0], NAME, columns)
    for level in LEVELS[1:]:
        other = evaluate_at(level, NAME, columns)
        assert [output for output in whole if whole[output].tobytes() != other[output].tobytes()] == [], level
    for begin, end in [(0, 1), (1, 8), (3, 260), (255, 257), (256, 700)]:
        part = evaluate(NAME, **{column: values[begin:end] for column, values in columns.items()})
        assert all(part[output].tobytes() == whole[output][begin:end].tobytes() for output in part), (begin, end)
