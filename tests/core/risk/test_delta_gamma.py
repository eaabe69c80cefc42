"""xip_core.risk.delta_gamma"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from tests.core.risk.ore_sensitivities import EXAMPLE, read_quadratic_book
from xip_core.errors import ArgumentError
from xip_core.risk.delta_gamma import (
    Cumulants,
    check_covariance,
    cornish_fisher_var,
    cumulants,
    delta_gamma_pnl,
    simulated_pnls,
)
from xip_core.risk.measures import value_at_risk

DELTA = np.array([3.0, -1.0, 2.0])
GAMMA = np.array([[0.6, 0.1, 0.0], [0.1, -0.2, 0.3], [0.0, 0.3, 0.1]])
COVARIANCE = np.array([[0.04, 0.01, -0.02], [0.01, 0.09, 0.0], [-0.02, 0.0, 0.25]])


def test_without_gamma_it_is_the_normal_var() -> None:
    moments = cumulants(DELTA, np.zeros(3), COVARIANCE, theta=-0.5)
    deviation = math.sqrt(DELTA @ COVARIANCE @ DELTA)
    assert cornish_fisher_var(moments, 0.99) == pytest.approx(0.5 + NormalDist().inv_cdf(0.99) * deviation, rel=1e-12)


def test_moments_of_one_squared_normal_are_the_chi_squares() -> None:
    """1/2 gamma x^2 with gamma 2 and variance 1 is chi-square of one degree: skewness sqrt 8, excess kurtosis 12."""
    moments = cumulants(np.zeros(1), np.array([2.0]), np.eye(1))
    assert (moments.mean, moments.variance) == (1.0, 2.0)
    assert (moments.skewness, moments.excess_kurtosis) == pytest.approx((math.sqrt(8.0), 12.0))


def test_cumulants_are_those_of_the_formula_with_whole_matrices() -> None:
    moments, product = cumulants(DELTA, GAMMA, COVARIANCE), GAMMA @ COVARIANCE
    variance = 0.5 * np.trace(product @ product) + DELTA @ COVARIANCE @ DELTA
    third = np.trace(product @ product @ product) + 3.0 * DELTA @ COVARIANCE @ product @ DELTA
    fourth = 3.0 * np.trace(np.linalg.matrix_power(product, 4)) + 12.0 * DELTA @ COVARIANCE @ product @ product @ DELTA
    assert moments.mean == pytest.approx(0.5 * np.trace(product))
    assert moments.variance == pytest.approx(variance)
    assert moments.skewness == pytest.approx(third / variance**1.5)
    assert moments.excess_kurtosis == pytest.approx(fourth / variance**2)


def test_simulation_and_expansion_agree_where_gamma_is_moderate() -> None:
    """2^14 Sobol paths: the sampling error of a 99 % quantile is some tenths of a percent."""
    pnl = delta_gamma_pnl(DELTA, GAMMA, COVARIANCE, 1 << 14, seed=7, theta=0.1)
    moments = cumulants(DELTA, GAMMA, COVARIANCE, theta=0.1)
    assert pnl.mean() == pytest.approx(moments.mean, abs=2e-3)
    assert pnl.var() == pytest.approx(moments.variance, rel=1e-2)
    simulated = value_at_risk(pnl[None, :], 0.99)[0]
    assert cornish_fisher_var(moments, 0.99) == pytest.approx(simulated, rel=1e-2)


def test_paths_do_not_depend_on_how_many_are_asked_for() -> None:
    many = delta_gamma_pnl(DELTA, GAMMA, COVARIANCE, 5000, seed=2)
    assert delta_gamma_pnl(DELTA, GAMMA, COVARIANCE, 1000, seed=2).tobytes() == many[:1000].tobytes()


def test_books_simulated_together_have_the_pnls_of_each() -> None:
    root, looks = check_covariance(COVARIANCE), [0]

    def between() -> None:
        looks[0] += 1

    books = [(DELTA, GAMMA), (np.zeros(3), GAMMA), (DELTA, np.zeros((3, 3)))]
    together = simulated_pnls(books, root, 5000, 2, between)
    for (delta, gamma), pnl in zip(books, together, strict=True):
        assert pnl.tobytes() == delta_gamma_pnl(delta, gamma, COVARIANCE, 5000, seed=2).tobytes()
    assert looks == [2]


def test_a_short_option_has_more_risk_than_its_delta_says() -> None:
    long = cumulants(np.ones(1), np.array([0.3]), np.eye(1))
    short = cumulants(np.ones(1), np.array([-0.3]), np.eye(1))
    assert cornish_fisher_var(short, 0.99) > NormalDist().inv_cdf(0.99) > cornish_fisher_var(long, 0.99)


def test_the_expansion_is_refused_outside_its_domain() -> None:
    moments = cumulants(np.zeros(1), np.array([2.0]), np.eye(1))
    with pytest.raises(ArgumentError, match="it falls: simulate") as refused:
        cornish_fisher_var(moments, 0.95)
    assert refused.value.reason == "OUTSIDE_EXPANSION"


def test_a_semidefinite_covariance_is_taken_and_its_factor_gives_it_back() -> None:
    moves = np.array([[0.2], [0.4], [-0.1]])
    covariance = moves @ moves.T
    factor = check_covariance(covariance)
    assert factor @ factor.T == pytest.approx(covariance, abs=1e-15)
    assert cumulants(DELTA, np.zeros(3), np.zeros((3, 3))) == Cumulants(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("covariance", "what"),
    [
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "positive semidefinite, it is not from factor 1 on"),
        (np.array([[1.0, 0.0], [0.0, -1.0]]), "a variance must be at least 0, got -1.0 of factor 1"),
        (np.array([[0.0, 0.1], [0.1, 1.0]]), "positive semidefinite"),
        (np.array([[1.0, 0.5], [0.4, 1.0]]), "symmetric"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "finite"),
        (np.zeros((2, 3)), "square"),
    ],
)
def test_what_is_no_covariance_is_refused(covariance: np.ndarray, what: str) -> None:
    with pytest.raises(ArgumentError, match=what) as refused:
        check_covariance(covariance)
    assert refused.value.reason == "BAD_COVARIANCE"


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ArgumentError, match="gamma must be of the 3 factors"):
        cumulants(DELTA, np.zeros(2), COVARIANCE)
    with pytest.raises(ArgumentError, match=r"delta must be finite \(factors,\)"):
        cumulants(np.zeros((2, 2)), np.zeros(2), COVARIANCE)
    with pytest.raises(ArgumentError, match="at most 1024 factors"):
        delta_gamma_pnl(np.ones(1025), np.zeros(1025), np.eye(1025), 64)


ORE_VAR = {  # ORE 1.8.17, analytic parametricVar on the two files: (two moments, Cornish-Fisher) by quantile of the P&L
    0.01: (-27168111.912104, -27280919.708124),
    0.05: (-19237426.909220, -19278314.251168),
    0.95: (19045554.909220, 19003520.712548),
    0.99: (26976239.912104, 26874546.532563),
}


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the reference values of other systems are not here")
def test_ores_parametric_var_of_its_example_15_is_ours() -> None:
    """93 factors, 360 deltas and gammas with cross terms; ORE's normal quantile is right to eight digits."""
    book = read_quadratic_book()
    moments = cumulants(*book)
    for quantile, (two_moments, cornish_fisher) in ORE_VAR.items():
        z = NormalDist().inv_cdf(quantile)
        assert moments.mean + math.sqrt(moments.variance) * z == pytest.approx(two_moments, rel=1e-6)
        assert -cornish_fisher_var(moments, 1.0 - quantile) == pytest.approx(cornish_fisher, rel=1e-6)
    pnl = delta_gamma_pnl(*book, 1 << 15, seed=3)[None, :]
    assert -value_at_risk(pnl, 0.99)[0] == pytest.approx(ORE_VAR[0.01][1], rel=1e-2)
