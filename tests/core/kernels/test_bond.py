"""bond.yield: hand values, limits, third-party values, many digits, properties, edges, the same bytes."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.kernels.levels import LEVELS, evaluate_at
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.reference import TWINS

NAME = "bond.yield"
BOND = {"price": 0.97, "coupon": 0.05, "frequency": 2.0, "coupon_count": 20.0, "first_period": 0.4, "redemption": 1.0}
bonds = st.fixed_dictionaries(
    {
        "price": st.floats(0.5, 2.0),
        "coupon": st.floats(0.0, 0.2),
        "frequency": st.sampled_from([1.0, 2.0, 4.0, 12.0]),
        "coupon_count": st.integers(4, 120).map(float),
        "first_period": st.floats(0.1, 1.0),
        "redemption": st.floats(0.5, 1.5),
    }
)


def solve(**changes: object) -> dict[str, np.ndarray]:
    return evaluate(NAME, **(BOND | changes))


def exact(bond: dict[str, float], growth: mp.mpf) -> mp.mpf:
    """Price at a growth of a period."""
    cells = {name: mp.mpf(value) for name, value in bond.items()}
    count, first = int(bond["coupon_count"]), cells["first_period"]
    coupons = sum(cells["coupon"] / cells["frequency"] * growth ** -(first + k) for k in range(count))
    return coupons + cells["redemption"] * growth ** -(first + count - 1)


def test_bond_at_par_on_a_coupon_date_yields_its_coupon() -> None:
    found = solve(price=1.0, first_period=1.0)
    assert float(found["yield_rate"]) == pytest.approx(0.05, abs=1e-15)
    annuity = (1 - 1.025**-20) / 0.05
    assert float(found["modified_duration"]) == pytest.approx(annuity, rel=1e-14)


def test_zero_coupon_bond_has_its_closed_form() -> None:
    """Half a year less a tenth: nine periods and 0.4 of one."""
    found = solve(price=0.8, coupon=0.0, coupon_count=10.0)
    growth = 0.8 ** (-1 / 9.4)
    assert float(found["yield_rate"]) == pytest.approx(2.0 * (growth - 1.0), rel=1e-14)
    assert float(found["modified_duration"]) == pytest.approx(4.7 / growth, rel=1e-14)
    assert float(found["convexity"]) == pytest.approx(9.4 * 10.4 / 4.0 / growth**2, rel=1e-14)


def test_gilt_has_bloombergs_yield_duration_and_convexity() -> None:
    """8 % Treasury 2021 at 103 for 29 May 2013 (QuantLib's bond tests): 9 of 182 days to the coupon, 17 coupons."""
    found = solve(price=1.068021978, coupon=0.08, coupon_count=17.0, first_period=9 / 182)
    assert float(found["yield_rate"]) == pytest.approx(0.0749518, abs=1e-7)
    assert float(found["modified_duration"]) == pytest.approx(5.6760445, abs=1e-6)
    assert float(found["convexity"]) == pytest.approx(42.1531486, abs=1e-5)


def test_price_of_all_flows_yields_nothing() -> None:
    found = solve(price=[1.5, 1.6, 1.4])
    assert float(found["yield_rate"][0]) == pytest.approx(0.0, abs=1e-15)
    assert found["yield_rate"][1] < 0.0 < found["yield_rate"][2]


@settings(max_examples=40)
@given(bond=bonds)
def test_price_at_the_yield_is_the_price(bond: dict[str, float]) -> None:
    found = evaluate(NAME, **bond)
    with mp.workdps(30):
        growth = 1 + mp.mpf(float(found["yield_rate"])) / bond["frequency"]
        again = exact(bond, growth)
        slope, curvature = (mp.diff(lambda g: exact(bond, g), growth, order) / again for order in (1, 2))
    rounding = 2.3e-16 * bond["frequency"] * float(found["modified_duration"])  # of the yield itself, in the price
    assert abs(float(again / bond["price"] - 1)) <= 2.3e-16 * (10.0 + bond["coupon_count"]) + rounding
    assert float(found["modified_duration"]) == pytest.approx(float(-slope) / bond["frequency"], rel=1e-12)
    assert float(found["convexity"]) == pytest.approx(float(curvature) / bond["frequency"] ** 2, rel=1e-12)


@settings(max_examples=40)
@given(bond=bonds, factor=st.sampled_from([0.5, 2.0, 16.0]))
def test_yield_does_not_depend_on_the_unit_of_face(bond: dict[str, float], factor: float) -> None:
    scaled = bond | {name: factor * bond[name] for name in ("price", "coupon", "redemption")}
    plain, other = evaluate(NAME, **bond), evaluate(NAME, **scaled)
    assert float(other["yield_rate"]) == pytest.approx(float(plain["yield_rate"]), abs=1e-12)


@settings(max_examples=40)
@given(bond=bonds, more=st.floats(1.001, 2.0))
def test_dearer_bonds_yield_less_and_larger_coupons_more(bond: dict[str, float], more: float) -> None:
    dear = evaluate(NAME, **(bond | {"price": [bond["price"], bond["price"] * more]}))["yield_rate"]
    rich = evaluate(NAME, **(bond | {"redemption": [bond["redemption"], bond["redemption"] * more]}))["yield_rate"]
    assert dear[1] < dear[0]
    assert rich[1] >= rich[0] * (1.0 - 1e-14)  # of a bond of ninety years nothing of it is left but rounding


def test_kernel_agrees_with_its_twin() -> None:
    random = np.random.default_rng(6)
    columns = {
        "price": random.uniform(0.3, 2.0, 60),
        "coupon": random.uniform(0.0, 0.15, 60),
        "frequency": random.choice([1.0, 2.0, 4.0], 60),
        "coupon_count": random.integers(1, 60, 60).astype(float),
        "first_period": random.uniform(0.01, 1.0, 60),
        "redemption": np.ones(60),
    }
    computed = evaluate(NAME, **columns)
    for row in range(60):
        cells = {name: float(values[row]) for name, values in columns.items()}
        for output, value in TWINS[NAME](**cells).items():
            assert computed[output][row] == pytest.approx(value, rel=1e-9, abs=1e-11), cells


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("price", [1e-6, 1e6], [0.0, 9.9e-7, 1.01e6, -1.0, math.inf]),
        ("coupon", [0.0, 1.0], [-1e-9, math.inf]),
        ("frequency", [1.0, 12.0, 365.0], [0.5, 365.5, 0.0, math.inf]),
        ("coupon_count", [1.0, 1200.0], [0.0, 1201.0, 2.5, -1.0, math.inf]),
        ("first_period", [1e-9, 1.0], [0.0, -0.1, 1.0 + 2.3e-16, math.inf]),
        ("redemption", [0.0, 100.0], [-1e-9, math.inf]),
    ],
)
def test_every_edge_of_the_domain(column: str, good: list[float], bad: list[float]) -> None:
    values = [*good, *bad, math.nan, BOND[column]]
    found = solve(**{column: values})
    expected = [0] * len(good) + [FailureReason.NUMERICAL] * (len(bad) + 1) + [0]
    assert found["status"].tolist() == expected
    for output in ("yield_rate", "modified_duration", "convexity"):
        assert np.isfinite(found[output]).tolist() == [status == 0 for status in expected], output
        assert found[output][-1] == solve()[output]


def test_bond_that_pays_nothing_has_no_yield() -> None:
    assert solve(coupon=[0.0, 0.05], redemption=0.0)["status"].tolist() == [FailureReason.NUMERICAL, 0]


def test_prices_far_from_any_market_are_solved() -> None:
    """A hundred years of months at a millionth and at a million times face."""
    found = solve(price=[1e-6, 1e6], coupon=0.05, frequency=12.0, coupon_count=1200.0, first_period=[1.0, 0.01])
    assert not found["status"].any()
    bond = BOND | {"coupon": 0.05, "frequency": 12.0, "coupon_count": 1200.0}
    with mp.workdps(30):
        for price, first, rate in zip((1e-6, 1e6), (1.0, 0.01), found["yield_rate"].tolist(), strict=True):
            again = exact(bond | {"price": price, "first_period": first}, 1 + mp.mpf(rate) / 12)
            assert float(again) == pytest.approx(price, rel=1e-11)


def test_levels_and_splits_give_the_same_bytes() -> None:
    random = np.random.default_rng(12)
    columns = {
        "price": random.uniform(0.3, 2.0, 700),
        "coupon": random.uniform(0.0, 0.15, 700),
        "frequency": random.choice([1.0, 2.0, 4.0], 700),
        "coupon_count": random.integers(1, 60, 700).astype(float),
        "first_period": random.uniform(0.01, 1.0, 700),
        "redemption": np.ones(700),
    }
    columns["coupon_count"][::100] = 240.0
    columns["price"][::60] = math.nan
    whole = evaluate_at(LEVELS[0], NAME, columns)
    for level in LEVELS[1:]:
        other = evaluate_at(level, NAME, columns)
        assert [output for output in whole if whole[output].tobytes() != other[output].tobytes()] == [], level
    for begin, end in [(0, 1), (1, 8), (3, 260), (255, 257), (256, 700)]:
        part = evaluate(NAME, **{column: values[begin:end] for column, values in columns.items()})
        assert all(part[output].tobytes() == whole[output][begin:end].tobytes() for output in part), (begin, end)
