"""Rights on several days under the linear Gauss-Markov model, priced on a grid as ORE does.

**Model** (Hagan). One state x, normal with mean 0 and variance zeta(t); deterministic H. A payment of today's value V
at T is worth, over the numeraire, V exp(-H(T) x - H(T)^2 zeta(t) / 2) at time t. With reversion k,
H(T) = (1 - exp(-k T)) / k, and T itself for k = 0. H may be moved by a constant; here it is 0 at half the maturity,
which makes flows on the grid nearly linear in x.

**Fit.** Variances at the exercises, one after the other: the swaption that ends where the right's swap ends has under
the model, as a receiver with bonds V_j at levels H_j, of which the first is negative, the value

    sum_j V_j N(z_j),   z_j = (x + H_j zeta) / s,   s^2 = zeta,   x: sum_j V_j exp(-H_j x - H_j^2 zeta / 2) = 0

whose derivative to s is sum_j V_j n(z_j) H_j. Newton in s with Newton for x inside it, both a fixed number of steps.
The index curve stands apart from the discount curve by fixed spreads, paid pro rata to the fixed payments around them.

**Rolling back.** Grids of 301 points span 5 deviations of each exercise; the value a step earlier is a sum of 301
weights, exact for functions linear between the points of a normal variable (Hagan's convolution). The swap itself is
rolled back with the right, flow by flow from the exercise at which it is known: a coupon whose rate is fixed before the
exercise it first belongs to joins what is rolled back an exercise earlier.

This grid is coarse: on ORE's example of ten years the value is 1.5e-4 above that of a fine one. It is kept because
the number is then the one desks compare with, to 1e-12; `grid_points` makes it finer.

Sources: P. Hagan, Evaluating and hedging exotic swap instruments via LGM (2004); P. Hagan, Methodology for callable
swaps and Bermudan "exercise into" swaptions (2004), on convolution; F. Jamshidian, An exact bond option formula (1989).
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from xip_core.kernels import terms
from xip_core.kernels.level import load_module
from xip_core.pricing.arithmetic import Floats, exp_
from xip_core.pricing.layout_slots import YEAR_DAYS
from xip_core.pricing.polling import poll
from xip_core.pricing.program import KIND_NORMAL, KIND_TOTAL_VARIANCE, sparse_of, term_list_of
from xip_core.pricing.tile import Columns
from xip_core.pricing.value import LOGNORMAL_STEP, NORMAL_STEP, term_values

GRID_POINTS = 30
"""Points per deviation, of the state as of the convolution."""

GRID_DEVIATIONS = 5

VARIANCE_STEPS, STATE_STEPS, WARM_STATE_STEPS = 9, 12, 5
"""Newton's, in the deviation, and in the state at which the swap is worth nothing, from 0 and from the one before."""


class Fits:
    """Values today that one right needs under S scenarios."""

    def __init__(self, prices: Floats, bonds: list[Floats], levels: list[Floats], starts: Floats) -> None:
        """
        Args:
            prices: receiver swaptions, (E, S). bonds: values of each swap's bonds, (J, S) each. levels: their H, (J,).
            starts: deviations Newton begins with, (E, S).
        """
        self.prices, self.bonds, self.levels, self.starts = prices, bonds, levels, starts


def fitted_deviations(fits: Fits) -> Floats:
    """Square roots of zeta at the exercises, (E, S); NaN where no variance above the one before gives the price."""
    deviations = np.empty_like(fits.starts)
    for exercise, bonds in enumerate(fits.bonds):
        poll()
        levels = fits.levels[exercise][:, None] - fits.levels[exercise][0]
        found = fits.starts[exercise].copy()
        state = np.zeros_like(found)
        _, _, state = receiver_swaption(bonds, levels, found, state, STATE_STEPS)
        for _ in range(VARIANCE_STEPS):
            price, slope, state = receiver_swaption(bonds, levels, found, state)
            found = np.clip(found - (price - fits.prices[exercise]) / slope, 0.5 * found, 2.0 * found)
        price, _, _ = receiver_swaption(bonds, levels, found, state)
        fitting = np.abs(price - fits.prices[exercise]) <= 1e-9 * np.abs(fits.prices[exercise])
        before = deviations[exercise - 1] if exercise else np.zeros_like(found)
        deviations[exercise] = np.where(fitting & (found > before), found, np.nan)
    return deviations


def receiver_swaption(
    bonds: Floats, levels: Floats, deviation: Floats, state: Floats, state_steps: int = WARM_STATE_STEPS
) -> tuple[Floats, Floats, Floats]:
    """Value, its derivative to the deviation, and the state where the swap is worth nothing, (S,) each."""
    half = 0.5 * levels * levels * (deviation * deviation)
    for _ in range(state_steps):
        paid = bonds * exp_(-levels * state - half)
        state = state + _sum(paid) / _sum(levels * paid)
    z = state / deviation + levels * deviation
    value = _sum(bonds * _elementary("normal_cdf", z))
    return value, _sum(bonds * levels * _elementary("normal_pdf", z)), state


def bermudan_decay(columns: Columns, market: Floats) -> Floats:
    """What a calendar day less to all exercises of each right does to its value, (B, S); rates and volatilities stand.

    By revaluing; a right that may be exercised within two days loses half of what is left instead, and the change is
    scaled to a day.
    """
    first = columns["exercise_time"][columns["bermudan_exercise_ptr"][:-1]]
    passed = np.minimum(1.0 / YEAR_DAYS, 0.5 * first)
    later = np.repeat(passed, np.diff(columns["bermudan_exercise_ptr"]))
    change = bermudan_values(columns, market, years_passed=later) - bermudan_values(columns, market)
    scaled: Floats = change / (passed * YEAR_DAYS)[:, None]
    return scaled


def bermudan_values(
    columns: Columns, market: Floats, volatility_step: float = 0.0, years_passed: Floats | None = None
) -> Floats:
    """
    Value of each right, (B, S), base currency.

    Args:
        volatility_step: in units of report (1 bp of a normal, 0.01 of a lognormal volatility), added to all.
        years_passed: of each exercise, (E,), taken off its time; volatilities are those of the whole.
    """
    annuity = term_values(term_list_of(columns, "annuity"), market)
    bonds = term_values(term_list_of(columns, "bond_value"), market)
    flow_points = sparse_of(columns, "flow_value")
    flows = columns["flow_amount"][:, None] * terms.gather_exp(
        market, flow_points.ptr, flow_points.factor, flow_points.weight
    )
    volatility = _volatilities(columns, market, volatility_step)
    strike = columns["exercise_strike"][:, None] + np.zeros_like(annuity)
    rests = np.stack([_sum(bonds[begin:end]) for begin, end in _ranges(columns["bermudan_bond_ptr"])])
    forward = strike - rests / annuity
    is_normal = (columns["exercise_kind"] & KIND_NORMAL) != 0
    left = columns["exercise_time"] if years_passed is None else columns["exercise_time"] - years_passed
    time = left[:, None] + np.zeros_like(annuity)
    prices = _puts(is_normal, [forward, strike, time, volatility, annuity])
    starts = volatility * np.sqrt(left)[:, None] * np.where(is_normal[:, None], 1.0, forward)
    values = np.empty((len(columns["bermudan_row"]), market.shape[1]))
    exercise_ranges = _ranges(columns["bermudan_exercise_ptr"])
    flow_ranges = _ranges(columns["bermudan_flow_ptr"])
    bond_ranges = _ranges(columns["bermudan_bond_ptr"])
    for item, ((begin, end), (first, last)) in enumerate(zip(exercise_ranges, flow_ranges, strict=True)):
        spans = bond_ranges[begin:end]
        levels = [columns["bond_level"][i:j] for i, j in spans]
        fits = Fits(prices[begin:end], [bonds[i:j] for i, j in spans], levels, starts[begin:end])
        deviations = fitted_deviations(fits)
        rolled = rolled_back(
            deviations,
            flows[first:last],
            columns["flow_level"][first:last],
            columns["flow_square"][first:last],
            columns["flow_part"][first:last],
            columns["flow_known"][first:last],
        )
        values[item] = columns["bermudan_amount"][item] * rolled
    return values


def rolled_back(
    deviations: Floats,
    flows: Floats,
    levels: Floats,
    squares: Floats,
    part_until: np.ndarray,
    known_until: np.ndarray,
    grid_points: int = GRID_POINTS,
) -> Floats:
    """
    Value today of the right to enter the rest of the swap at one of E exercises, (S,).

    Args:
        deviations: of the state at the exercises, (E, S), ascending.
        flows: today's values, (L, S); levels, squares: the flow is worth flow * exp(-level x - square zeta / 2), (L,).
        part_until: last exercise whose swap holds the flow; known_until: last one at which its rate is not fixed yet.
    """
    half = GRID_DEVIATIONS * grid_points
    steps = (np.arange(2 * half + 1) - half) / grid_points
    weights = convolution_weights(steps)
    roll = load_module("rollback").roll
    right = swap = np.zeros((len(steps), flows.shape[1]))
    for exercise in range(len(deviations) - 1, -1, -1):
        poll()
        deviation = deviations[exercise]
        states = steps[:, None] * deviation
        variance = deviation * deviation
        provisional = np.zeros_like(swap)
        for flow in np.flatnonzero((part_until >= exercise) & (np.minimum(part_until, known_until) <= exercise)):
            value = flows[flow] * exp_(-levels[flow] * states - 0.5 * squares[flow] * variance)
            if known_until[flow] >= exercise:
                swap = swap + value
            else:
                provisional = provisional + value
        right = np.maximum(right, swap + provisional)
        earlier = deviations[exercise - 1] if exercise else np.zeros_like(deviation)
        state_count = len(steps) if exercise else 1
        rolled = roll(np.stack((right, swap)), deviation, earlier, steps, weights, state_count)
        right, swap = rolled[0], rolled[1]
    today: Floats = right[0]
    return today


def convolution_weights(steps: Floats) -> Floats:
    """Weights of a standard normal variable at *steps*, exact for functions linear between them and flat outside."""
    width = steps[1] - steps[0]
    grid = np.concatenate(([steps[0] - width], steps, [steps[-1] + width]))
    mass, density = _elementary("normal_cdf", grid), _elementary("normal_pdf", grid)
    inner: Floats = (
        (1.0 + steps / width) * mass[2:]
        - 2.0 * steps / width * mass[1:-1]
        - (1.0 - steps / width) * mass[:-2]
        + (density[2:] - 2.0 * density[1:-1] + density[:-2]) / width
    )
    first = steps[0] / width
    inner[[0, -1]] = (1.0 + first) * mass[2] - first * mass[1] + (density[2] - density[1]) / width
    return inner


def _puts(is_normal: np.ndarray, inputs: list[Floats]) -> Floats:
    """Puts on forwards, (E, S): normal or lognormal by row; *inputs* in the order of the kernels, but for is_call."""
    prices = np.empty_like(inputs[0])
    for module, chosen in (("black", ~is_normal), ("bachelier", is_normal)):
        if chosen.any():
            kernel = load_module(module)
            flat = [np.ascontiguousarray(values[chosen]).ravel() for values in inputs]
            price = np.empty_like(flat[0])
            ordered = tuple(price if name == "pv" else None for name in kernel.OUTPUTS)
            kernel.european((*flat, np.zeros_like(price)), ordered, np.empty(len(price), dtype=np.uint8))
            prices[chosen] = price.reshape(-1, prices.shape[1])
    return prices


def _volatilities(columns: Columns, market: Floats, step: float) -> Floats:
    sparse = sparse_of(columns, "exercise_volatility")
    volatility = terms.gather_linear(market, sparse.ptr, sparse.factor, sparse.weight)
    is_variance = (columns["exercise_kind"] & KIND_TOTAL_VARIANCE) != 0
    if is_variance.any():
        volatility[is_variance] = np.sqrt(volatility[is_variance] / columns["exercise_time"][is_variance, None])
    sizes = np.where(columns["exercise_kind"] & KIND_NORMAL, NORMAL_STEP, LOGNORMAL_STEP)[:, None]
    stepped: Floats = volatility + step * sizes
    return stepped


def _ranges(pointers: np.ndarray) -> list[tuple[int, int]]:
    return list(pairwise(pointers.tolist()))


def _sum(values: Floats) -> Floats:
    """Over the first axis, in order: the same bytes however many scenarios stand side by side."""
    total = np.zeros(values.shape[1:])
    for value in values:
        total = total + value
    return total


def _elementary(name: str, values: Floats) -> Floats:
    flat = np.ascontiguousarray(values).ravel()
    result = np.empty_like(flat)
    load_module("elementary").apply(name, (flat,), result, np.empty(len(flat), dtype=np.uint8))
    return result.reshape(values.shape)


def level_of(reversion: float, time_years: float) -> float:
    """H(T) of the model."""
    return time_years if reversion == 0.0 else -math.expm1(-reversion * time_years) / reversion
