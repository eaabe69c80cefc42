"""How the parameters of a fitted smile move with its quotes and with what it is built on: the implicit function.

A fit of volatilities y at log-moneyness x ends where the gradient of its squared error is zero,

    g(p, x, y) = J(p, x)' (f(p, x) - y) = 0      so      dp = -(dg/dp)^-1 (dg/dx dx - J' dy)

which holds also where quotes are not met exactly; where they are, dg/dp is J' J. J is exact (`surfaces_fit`), dg/dp and
dg/dx are central differences of it, good to 1e-9. Points follow from quotes, forwards and discount factors by formulas
and the strikes of deltas; their derivatives are central differences too, of the points alone: nothing is fitted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xip_core.pricing.surfaces_fit import solve_normal

Floats = npt.NDArray[np.float64]

STEP = 1e-5
"""Of quotes and factors, and of parameters and points in their own size: an error of 1e-10 of the third derivative."""

SIZE_MIN = 1e-2


class FittedSmile(Protocol):
    """What is asked of a builder; a slice is an expiry, or an expiry and swap tenor."""

    def points(self, row: int, market: Floats, quotes: Floats) -> tuple[Floats, Floats]:
        """Places and volatilities (n, S) of one slice's quotes; swaptions' places are strikes."""

    def fitted(self, row: int, parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Volatilities (n, S) at places (n, S), and their derivatives (n, P, S) to parameters (P, S)."""


def smile_derivatives(
    builder: FittedSmile, market: Floats, quotes: Floats, parameters: Floats, factors: Sequence[int]
) -> Floats:
    """
    d parameter / d (quotes, then *factors* of the market), (expiries * P, n + len(factors)).

    Args:
        market: (F,), what the surface is built on.
        quotes: (n,), in the order of the object's quotes.
        parameters: (expiries, P), fitted.
    """
    count = len(quotes) + len(factors)
    all_quotes, all_markets = np.tile(quotes[:, None], 2 * count), np.tile(market[:, None], 2 * count)
    for place in range(count):
        for side, sign in ((place, 1.0), (place + count, -1.0)):
            if place < len(quotes):
                all_quotes[place, side] += sign * STEP
            else:
                all_markets[factors[place - len(quotes)], side] += sign * STEP
    found = []
    for row, at in enumerate(parameters):
        x, volatility = builder.points(row, all_markets, all_quotes)
        by_x, by_volatility = (
            (moved[:, :count] - moved[:, count:]) / (2.0 * STEP) for moved in np.broadcast_arrays(x, volatility)
        )
        x_base, volatility_base = builder.points(row, market[:, None], quotes[:, None])
        found.append(_optimum_slopes(builder, row, at, x_base, volatility_base, by_x, by_volatility))
    return np.concatenate(found)


def _optimum_slopes(
    builder: FittedSmile, row: int, at: Floats, x: Floats, volatility: Floats, by_x: Floats, by_volatility: Floats
) -> Floats:
    """dp (P, c) of one expiry from dx and dy (n, c); x and volatility (n, 1), at (P,)."""
    point_count, parameter_count = len(x), len(at)
    steps = np.concatenate([np.maximum(np.abs(at), SIZE_MIN), np.maximum(np.abs(x[:, 0]), SIZE_MIN)]) * STEP
    count = len(steps)
    moved = np.tile(np.concatenate([at, x[:, 0]])[:, None], 2 * count)
    moved[np.arange(count), np.arange(count)] += steps
    moved[np.arange(count), count + np.arange(count)] -= steps
    gradient = _gradient(builder, row, moved[:parameter_count], moved[parameter_count:], volatility)
    slopes = (gradient[:, :count] - gradient[:, count:]) / (2.0 * steps)
    _, jacobian = builder.fitted(row, at[:, None], x)
    right = np.zeros((parameter_count, by_x.shape[1]))
    for point in range(point_count):  # in order, whatever the CPU
        right = right - slopes[:, parameter_count + point, None] * by_x[point]
        right = right + jacobian[point] * by_volatility[point]
    matrix = np.repeat(slopes[:, :parameter_count, None], by_x.shape[1], axis=2)
    return solve_normal(matrix, right, np.zeros(by_x.shape[1]))


def _gradient(builder: FittedSmile, row: int, parameters: Floats, x: Floats, volatility: Floats) -> Floats:
    """J' (f - y), (P, S)."""
    fitted, jacobian = builder.fitted(row, parameters, x)
    total = np.zeros_like(parameters)
    for point in range(len(x)):
        total = total + jacobian[point] * (fitted[point] - volatility[point])
    return total
