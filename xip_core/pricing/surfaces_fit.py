"""Smiles through quoted points: least squares for SABR and SVI, a spline, for all scenarios of a block at once.

Points of one expiry are log-moneyness x = ln(strike / forward) and volatility, arrays (n, S). A fit minimises the sum
of squared errors of volatility by Levenberg and Marquardt's method, with exact derivatives from the kernels
`volatility.sabr` and `volatility.svi`, in parameters that can take any value:

    SABR   ln alpha, q, ln nu              rho = q / sqrt(1 + q^2), forward 1, beta given
    SVI    ln v, ln b, q, m, ln sigma      v = a + b sigma sqrt(1 - rho^2), the least variance

Reproducibility, as in `curves_system`: every scenario takes the same number of steps, accepts or refuses each by its
own error alone, and all sums run point by point, elementwise over scenarios. So its bytes depend neither on its
neighbours nor on the CPU; exponentials and logarithms are the kernels'.

Sources: D. Marquardt, J. SIAM 11 (1963); P. Hagan and others (2002) and J. Gatheral (2004) as the kernels name them.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.kernels.catalogue import evaluate
from xip_core.pricing.arithmetic import exp_, log_
from xip_core.pricing.polling import poll

Floats = npt.NDArray[np.float64]
Model = Callable[[Floats], tuple[Floats, Floats]]
"""Free parameters (P, S) to volatilities (n, S) and their derivatives (n, P, S)."""

STEP_COUNT = 60
"""From the starts below SABR needs 5 to 15 steps and SVI 10 to 50; a fit that needs more is reported by its error."""

DAMPING_START = 1e-2
DAMPING_DOWN = 0.2
DAMPING_UP = 5.0
DAMPING_MIN = 1e-14
DAMPING_MAX = 1e12

POLISH_COUNT = 4
POLISH_SIZE_MAX = 1e-5

CHECK_DEVIATIONS = 5.0
"""How many standard deviations of the forward to each side are checked for arbitrage."""

CHECK_COUNT = 81

ARBITRAGE_ROUNDING = 1e-10


class Fit(msgspec.Struct, frozen=True):
    """Of one expiry.

    Attributes:
        parameters: (P, S) as they stand in the market vector.
        errors: (n, S), volatility of the fit minus quoted.
        slopes: (n, P, S), derivatives of the fitted volatilities to `parameters`.
    """

    parameters: Floats
    errors: Floats
    slopes: Floats


def fit_sabr(x: Floats, volatility: Floats, years: float, beta: float) -> Fit:
    """alpha, rho, nu of the expiry in *years*."""
    strike = exp_(x)
    centre = _nearest(x, volatility, np.zeros_like(x[0]))
    start = np.stack([log_(centre), np.zeros_like(centre), np.full_like(centre, -0.7)])

    def model(free: Floats) -> tuple[Floats, Floats]:
        volatilities, slopes = sabr_values(_sabr_parameters(free), strike, years, beta)
        return volatilities, slopes * _sabr_chain(free)

    parameters = _sabr_parameters(least_squares(model, volatility, start))
    fitted, slopes = sabr_values(parameters, strike, years, beta)
    return Fit(parameters, fitted - volatility, slopes)


def sabr_values(parameters: Floats, strike: Floats, years: float, beta: float) -> tuple[Floats, Floats]:
    """Volatilities (n, S) and their derivatives (n, 3, S) to alpha, rho and nu, on a forward of 1."""
    alpha, rho, nu = parameters
    wanted = ("volatility", "to_alpha", "to_rho", "to_nu")
    found = evaluate(
        "volatility.sabr",
        outputs=wanted,
        forward=1.0,
        strike=strike,
        time=years,
        alpha=alpha,
        beta=beta,
        rho=rho,
        nu=nu,
        shift=0.0,
    )
    return found["volatility"], np.stack([found[name] for name in wanted[1:]], axis=1)


def fit_sabr_normal(
    forward: Floats, strike: Floats, volatility: Floats, years: float, beta: float, shift: float
) -> Fit:
    """alpha, rho, nu of normal volatilities (n, S) at strikes (n, S) on forwards (S,)."""
    centre = _nearest(strike, volatility, forward)
    start = np.stack([log_(centre) - beta * log_(forward + shift), np.zeros_like(centre), np.full_like(centre, -0.7)])

    def model(free: Floats) -> tuple[Floats, Floats]:
        volatilities, slopes = sabr_normal_values(_sabr_parameters(free), forward, strike, years, beta, shift)
        return volatilities, slopes * _sabr_chain(free)

    parameters = _sabr_parameters(least_squares(model, volatility, start))
    fitted, slopes = sabr_normal_values(parameters, forward, strike, years, beta, shift)
    return Fit(parameters, fitted - volatility, slopes)


def sabr_normal_values(
    parameters: Floats, forward: Floats, strike: Floats, years: float, beta: float, shift: float
) -> tuple[Floats, Floats]:
    """Normal volatilities (n, S) and their derivatives (n, 3, S) to alpha, rho and nu."""
    alpha, rho, nu = parameters
    wanted = ("volatility", "to_alpha", "to_rho", "to_nu")
    found = evaluate(
        "volatility.sabr_normal",
        outputs=wanted,
        forward=forward,
        strike=strike,
        time=years,
        alpha=alpha,
        beta=beta,
        rho=rho,
        nu=nu,
        shift=shift,
    )
    return found["volatility"], np.stack([found[name] for name in wanted[1:]], axis=1)


def _sabr_parameters(free: Floats) -> Floats:
    return np.stack([exp_(free[0]), _algebraic(free[1]), exp_(free[2])])


def _sabr_chain(free: Floats) -> Floats:
    """d parameter / d free, each parameter has one."""
    return np.stack([exp_(free[0]), _algebraic_slope(free[1]), exp_(free[2])])


def fit_svi(x: Floats, volatility: Floats, years: float) -> Fit:
    """a, b, rho, m, sigma of total variance."""

    def model(free: Floats) -> tuple[Floats, Floats]:
        parameters = _svi_parameters(free)
        volatilities, slopes = svi_values(parameters, x, years)
        return volatilities, _to_free(slopes, parameters, free)

    found = []
    for start in _svi_starts(x, volatility * volatility * years):
        free = least_squares(model, volatility, start)
        found.append((free, _sum_of_squares(model(free)[0] - volatility)))
    (first, first_cost), (second, second_cost) = found
    parameters = _svi_parameters(np.where(second_cost < first_cost, second, first))
    fitted, slopes = svi_values(parameters, x, years)
    return Fit(parameters, fitted - volatility, slopes)


def svi_values(parameters: Floats, x: Floats, years: float) -> tuple[Floats, Floats]:
    """Volatilities (n, S) and their derivatives (n, 5, S) to a, b, rho, m and sigma."""
    wanted = ("volatility", "to_b", "to_rho", "to_m", "to_sigma")
    found = evaluate("volatility.svi", outputs=wanted, log_moneyness=x, time=years, **_named(parameters))
    volatility = found["volatility"]
    variance_slopes = np.stack([np.ones_like(volatility), *(found[name] for name in wanted[1:])], axis=1)
    with np.errstate(all="ignore"):
        return volatility, variance_slopes / (2.0 * years * volatility)[:, None]


def _named(parameters: Floats) -> dict[str, Floats]:
    return dict(zip(("a", "b", "rho", "m", "sigma"), parameters, strict=True))


def _svi_parameters(free: Floats) -> Floats:
    """From ln v, ln b, q, m, ln sigma; sqrt(1 - rho^2) is 1 / sqrt(1 + q^2)."""
    b, sigma = exp_(free[1]), exp_(free[4])
    a = exp_(free[0]) - b * sigma / np.sqrt(1.0 + free[2] * free[2])
    return np.stack([a, b, _algebraic(free[2]), free[3], sigma])


def _to_free(slopes: Floats, parameters: Floats, free: Floats) -> Floats:
    """Derivatives to the free parameters, a's dependence on all of them included."""
    b, sigma = parameters[1], parameters[4]
    root = np.sqrt(1.0 + free[2] * free[2])
    by_a = slopes[:, 0]
    least = b * sigma / root
    return np.stack(
        [
            by_a * exp_(free[0]),
            slopes[:, 1] * b - by_a * least,
            slopes[:, 2] * _algebraic_slope(free[2]) + by_a * (least * free[2] / (root * root)),
            slopes[:, 3],
            slopes[:, 4] * sigma - by_a * least,
        ],
        axis=1,
    )


def _svi_starts(x: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """A narrow hyperbola from the lowest point and the slopes of the outer pairs of points, and a wide one about the
    middle: each finds the way where the other ends in a side valley."""
    lowest, at = variance[0], x[0]
    for row in range(1, len(x)):
        is_lower = variance[row] < lowest
        lowest, at = np.where(is_lower, variance[row], lowest), np.where(is_lower, x[row], at)
    left = (variance[1] - variance[0]) / (x[1] - x[0])
    right = (variance[-1] - variance[-2]) / (x[-1] - x[-2])
    steepness = np.maximum(0.5 * (right - left), 0.05 * lowest / (x[-1] - x[0]))
    rho = np.clip(0.5 * (right + left) / steepness, -0.9, 0.9)
    sigma = 0.15 * (x[-1] - x[0])
    slant = rho / np.sqrt(1.0 - rho * rho)
    narrow = (log_(0.9 * lowest), log_(steepness), slant, at, log_(sigma))
    wide = (log_(0.5 * lowest), log_(steepness), 0.3 * slant, 0.5 * (x[0] + x[-1]), log_(3.0 * sigma))
    return np.stack(narrow), np.stack(wide)


def least_squares(model: Model, target: Floats, start: Floats) -> Floats:
    """
    Free parameters (P, S) that minimise the sum over points of (model - target)^2, after STEP_COUNT steps.

    Args:
        target: (n, S).
        start: (P, S).
    """
    free = start
    with np.errstate(all="ignore"):  # a step out of the model's domain is NaN and not taken
        values, slopes = model(free)
        errors = values - target
        cost = _sum_of_squares(errors)
        damping = np.full(cost.shape, DAMPING_START)
        for _ in range(STEP_COUNT):
            poll()
            step = solve_normal(*_normal(slopes, errors), damping)
            trial = free - step
            values, trial_slopes = model(trial)
            trial_errors = values - target
            trial_cost = _sum_of_squares(trial_errors)
            is_better = trial_cost <= cost  # not where it is NaN
            free = np.where(is_better, trial, free)
            errors = np.where(is_better, trial_errors, errors)
            slopes = np.where(is_better, trial_slopes, slopes)
            cost = np.where(is_better, trial_cost, cost)
            damping = np.clip(damping * np.where(is_better, DAMPING_DOWN, DAMPING_UP), DAMPING_MIN, DAMPING_MAX)
        for _ in range(POLISH_COUNT):  # the cost no longer tells steps below the root of its rounding apart
            step = solve_normal(*_normal(slopes, errors), np.zeros_like(damping))
            is_small = (np.abs(step) <= POLISH_SIZE_MAX).all(axis=0)
            free = np.where(is_small, free - step, free)
            values, slopes = model(free)
            errors = values - target
    return free


def _sum_of_squares(errors: Floats) -> Floats:
    total = np.zeros(errors.shape[1])
    for row in errors:  # in order, so that the sum does not depend on the block
        total = total + row * row
    return total


def _normal(slopes: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """J' J (P, P, S) and J' r (P, S), point by point."""
    count, scenario_count = slopes.shape[1:]
    matrix, right = np.zeros((count, count, scenario_count)), np.zeros((count, scenario_count))
    for row in range(len(slopes)):
        matrix = matrix + slopes[row][:, None] * slopes[row][None, :]
        right = right + slopes[row] * errors[row]
    return matrix, right


def solve_normal(matrix: Floats, right: Floats, damping: Floats) -> Floats:
    """(J' J + damping * its diagonal) step = J' r by elimination, elementwise over scenarios; positive definite."""
    count = len(right)
    matrix, right = matrix.copy(), right.copy()
    for k in range(count):
        matrix[k, k] = matrix[k, k] * (1.0 + damping) + 1e-300
    for k in range(count):
        factors = matrix[k + 1 :, k] / matrix[k, k]
        matrix[k + 1 :, k + 1 :] -= factors[:, None] * matrix[k, k + 1 :][None]
        right[k + 1 :] -= factors * right[k]
    for k in range(count - 1, -1, -1):
        right[k] /= matrix[k, k]
        right[:k] -= matrix[:k, k] * right[k]
    return right


def _nearest(x: Floats, values: Floats, at: Floats) -> Floats:
    """The value of the point nearest to *at*."""
    distance: Floats = np.abs(x[0] - at)
    found: Floats = values[0]
    for row in range(1, len(x)):
        is_nearer = np.abs(x[row] - at) < distance
        distance = np.where(is_nearer, np.abs(x[row] - at), distance)
        found = np.where(is_nearer, values[row], found)
    return found


def _algebraic(q: Floats) -> Floats:
    """A correlation from any number."""
    return q / np.sqrt(1.0 + q * q)


def _algebraic_slope(q: Floats) -> Floats:
    root = np.sqrt(1.0 + q * q)
    return 1.0 / (root * root * root)


def spline_bends(x: Floats, volatility: Floats) -> Floats:
    """Second derivatives (n, S) of the natural cubic spline through points (n, S), x ascending."""
    bends = np.zeros_like(volatility)
    count = len(x)
    diagonal, right = np.ones_like(x), np.zeros_like(x)
    width = x[1:] - x[:-1]
    slope = (volatility[1:] - volatility[:-1]) / width
    for row in range(1, count - 1):
        factor = width[row - 1] / diagonal[row - 1] if row > 1 else np.zeros_like(x[0])
        diagonal[row] = 2.0 * (width[row - 1] + width[row]) - factor * width[row - 1]
        right[row] = 6.0 * (slope[row] - slope[row - 1]) - factor * right[row - 1]
    for row in range(count - 2, 0, -1):
        bends[row] = (right[row] - width[row] * bends[row + 1]) / diagonal[row]
    return bends


def check_strikes(deviation: Floats) -> Floats:
    """Log-moneyness (CHECK_COUNT, S) at which arbitrage is looked for; *deviation* is at-the-money, sqrt(w)."""
    places = CHECK_DEVIATIONS * (np.arange(CHECK_COUNT) * (2.0 / (CHECK_COUNT - 1)) - 1.0)
    return places[:, None] * deviation


def butterfly_fault(parameters: Floats, strikes: Floats) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Whether SVI slices (5, S) have a negative density at any of *strikes* (n, S); the first such strike, and g."""
    found = evaluate("volatility.svi", outputs="durrleman", log_moneyness=strikes, time=1.0, **_named(parameters))
    is_bad = ~(found["durrleman"] >= -ARBITRAGE_ROUNDING)
    first = is_bad.argmax(axis=0)
    columns = np.arange(strikes.shape[1])
    return is_bad[first, columns], strikes[first, columns], found["durrleman"][first, columns]


def calendar_fault(earlier: Floats, later: Floats, strikes: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Whether total variance of *later* (5, S) lies below that of *earlier* at any of *strikes*; the first strike."""
    low, high = (
        evaluate("volatility.svi", outputs="total_variance", log_moneyness=strikes, time=1.0, **_named(parameters))[
            "total_variance"
        ]
        for parameters in (earlier, later)
    )
    is_bad = ~(high >= low - ARBITRAGE_ROUNDING)
    first = is_bad.argmax(axis=0)
    columns = np.arange(strikes.shape[1])
    return is_bad[first, columns], strikes[first, columns]
