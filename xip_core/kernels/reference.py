"""Slow and obvious twins of the kernels, for tests: textbook formulas, one row at a time, libm and no tricks.

They take the columns of one row as keyword arguments and return a dict of outputs. Their own error is some 1e-14 of the
legs; tests that ask for more compare with mpmath.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Row = dict[str, float]
Floats = npt.NDArray[np.float64]


def cumulative(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def black_european(
    forward: float, strike: float, time: float, volatility: float, discount: float, is_call: float
) -> Row:
    sign = 1.0 if is_call else -1.0
    total_vol = volatility * math.sqrt(time)
    d1 = math.log(forward / strike) / total_vol + 0.5 * total_vol
    d2 = d1 - total_vol
    pv = sign * discount * (forward * cumulative(sign * d1) - strike * cumulative(sign * d2))
    vega = discount * forward * density(d1) * math.sqrt(time)
    rate = -math.log(discount) / time
    return {
        "pv": pv,
        "delta": sign * discount * cumulative(sign * d1),
        "gamma": discount * density(d1) / (forward * total_vol),
        "vega": vega,
        "theta": rate * pv - vega * volatility / (2.0 * time),
        "rho": -time * pv,
        "vanna": -discount * density(d1) * d2 / volatility,
        "volga": vega * d1 * d2 / volatility,
    }


def bachelier_european(
    forward: float, strike: float, time: float, normal_volatility: float, discount: float, is_call: float
) -> Row:
    sign = 1.0 if is_call else -1.0
    total_vol = normal_volatility * math.sqrt(time)
    d = (forward - strike) / total_vol
    pv = discount * (sign * (forward - strike) * cumulative(sign * d) + total_vol * density(d))
    return {
        "pv": pv,
        "delta": sign * discount * cumulative(sign * d),
        "gamma": discount * density(d) / total_vol,
        "vega": discount * math.sqrt(time) * density(d),
        "theta": -math.log(discount) / time * pv - discount * density(d) * total_vol / (2.0 * time),
    }


def equity_european(
    spot: float, strike: float, time: float, rate: float, dividend_yield: float, volatility: float, is_call: float
) -> Row:
    sign = 1.0 if is_call else -1.0
    total_vol = volatility * math.sqrt(time)
    d1 = (math.log(spot / strike) + (rate - dividend_yield) * time) / total_vol + 0.5 * total_vol
    d2 = d1 - total_vol
    spot_leg = sign * spot * math.exp(-dividend_yield * time) * cumulative(sign * d1)
    strike_leg = sign * strike * math.exp(-rate * time) * cumulative(sign * d2)
    weighted = math.exp(-dividend_yield * time) * density(d1)
    vega = spot * weighted * math.sqrt(time)
    return {
        "pv": spot_leg - strike_leg,
        "delta": spot_leg / spot,
        "gamma": weighted / (spot * total_vol),
        "vega": vega,
        "theta": dividend_yield * spot_leg - rate * strike_leg - vega * volatility / (2.0 * time),
        "rho": time * strike_leg,
        "dividend_rho": -time * spot_leg,
        "vanna": -weighted * d2 / volatility,
        "volga": vega * d1 * d2 / volatility,
    }


def fx_european(
    spot: float,
    strike: float,
    time: float,
    domestic_rate: float,
    foreign_rate: float,
    volatility: float,
    is_call: float,
) -> Row:
    row = equity_european(spot, strike, time, domestic_rate, foreign_rate, volatility, is_call)
    row["rho_domestic"] = row.pop("rho")
    row["rho_foreign"] = row.pop("dividend_rho")
    return row


def credit_cds_flat(
    notional: float, coupon: float, time: float, period: float, rate: float, hazard_rate: float, recovery: float
) -> Row:
    def value(hazard: float) -> float:
        total, end = 0.0, time
        while end > 0.0:
            start = max(end - period, 0.0)
            default = math.exp(-hazard * start) - math.exp(-hazard * end)
            protection = math.exp(-rate * 0.5 * (start + end)) * default
            total += (1.0 - recovery) * protection
            total -= coupon * (end - start) * (math.exp(-(rate + hazard) * end) + 0.5 * protection)
            end -= period
        return notional * total

    pv = value(hazard_rate)
    return {"pv": pv, "cs01": value(hazard_rate + 1e-4) - pv, "jtd": notional * (1.0 - recovery) - pv}


def bond_yield(
    price: float, coupon: float, frequency: float, coupon_count: float, first_period: float, redemption: float
) -> Row:
    flows = [(coupon / frequency, first_period + period) for period in range(int(coupon_count))]
    flows.append((redemption, first_period + coupon_count - 1.0))

    def value(growth: float) -> float:
        return math.fsum(amount * growth**-time for amount, time in flows)

    growth = root(lambda growth: price - value(growth), 1e9)
    slope = sum(time * amount * growth ** -(time + 1.0) for amount, time in flows) / frequency
    curvature = sum(time * (time + 1.0) * amount * growth ** -(time + 2.0) for amount, time in flows) / frequency**2
    return {
        "yield_rate": frequency * (growth - 1.0),
        "modified_duration": slope / value(growth),
        "convexity": curvature / value(growth),
    }


def root(increasing: Callable[[float], float], high: float) -> float:
    """Where an increasing function of a positive number passes 0, by bisection."""
    low = 0.0
    while high - low > 1e-15 * high:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        low, high = (low, middle) if increasing(middle) > 0.0 else (middle, high)
    return high


def implied_black(forward: float, strike: float, time: float, discount: float, is_call: float, price: float) -> Row:
    def excess(volatility: float) -> float:
        return black_european(forward, strike, time, volatility, discount, is_call)["pv"] - price

    return {"volatility": root(excess, 40.0 / math.sqrt(time))}


def implied_bachelier(forward: float, strike: float, time: float, discount: float, is_call: float, price: float) -> Row:
    def excess(volatility: float) -> float:
        return bachelier_european(forward, strike, time, volatility, discount, is_call)["pv"] - price

    return {"volatility": root(excess, (5.0 * price / discount + abs(forward - strike)) / math.sqrt(time))}


def equity_heston(
    spot: float,
    strike: float,
    time: float,
    rate: float,
    dividend_yield: float,
    v0: float,
    kappa: float,
    theta: float,
    sigma: float,
    rho: float,
    is_call: float,
) -> Row:
    """Heston's two probabilities (1993), Gauss-Legendre on panels that double in width; sigma > 0.01, |rho| < 1."""
    log_strike = math.log(strike / spot) - (rate - dividend_yield) * time

    def moment(u: npt.NDArray[Any]) -> npt.NDArray[Any]:
        beta = kappa - rho * sigma * 1j * u
        d = np.sqrt(beta * beta + sigma * sigma * (1j * u + u * u))
        g, fall = (beta - d) / (beta + d), np.exp(-d * time)
        growth = (beta - d) * time - 2.0 * np.log((1.0 - g * fall) / (1.0 - g))
        variance = (beta - d) * (1.0 - fall) / (1.0 - g * fall)
        transform: npt.NDArray[Any] = np.exp(
            (kappa * theta * growth + v0 * variance) / (sigma * sigma) - 1j * u * log_strike
        )
        return transform

    places, weights = np.polynomial.legendre.leggauss(200)
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-3.0, 16.0)]) / math.sqrt(max(v0, theta) * time)
    width = 0.5 * np.diff(edges)[:, None]
    u = (edges[:-1, None] + width * (places + 1.0)).ravel()
    weight = (width * weights).ravel() / math.pi
    plain, by_spot = moment(u + 0j), moment(u - 1j) * math.exp(log_strike)
    spot_leg, strike_leg = spot * math.exp(-dividend_yield * time), strike * math.exp(-rate * time)
    chance, spot_chance = (0.5 + float(weight @ (values.imag / u)) for values in (plain, by_spot))
    step = 0.0 if is_call else 1.0
    return {
        "pv": spot_leg * (spot_chance - step) - strike_leg * (chance - step),
        "delta": spot_leg * (spot_chance - step) / spot,
        "gamma": strike_leg * float(weight @ plain.real) / spot**2,
    }


TWINS: dict[str, Callable[..., Row]] = {
    "black.european": black_european,
    "bachelier.european": bachelier_european,
    "equity.european": equity_european,
    "equity.heston": equity_heston,
    "fx.european": fx_european,
    "bond.yield": bond_yield,
    "credit.cds_flat": credit_cds_flat,
    "implied.black": implied_black,
    "implied.bachelier": implied_bachelier,
}


def sparse_dot(market: Floats, factors: Sequence[int], weights: Sequence[float]) -> Floats:
    total = np.zeros(market.shape[1])
    for factor, weight in zip(factors, weights, strict=True):
        total = total + weight * market[factor]
    return total


def terms_rows(
    market: Floats,
    row_begin: Sequence[int],
    amount: Sequence[float],
    constant: Sequence[float],
    exponent_begin: Sequence[int],
    exponent_factor: Sequence[int],
    exponent_weight: Sequence[float],
    linear_begin: Sequence[int],
    linear_factor: Sequence[int],
    linear_weight: Sequence[float],
) -> Floats:
    pv = np.zeros((len(row_begin) - 1, market.shape[1]))
    for row in range(len(pv)):
        for term in range(row_begin[row], row_begin[row + 1]):
            pairs = slice(exponent_begin[term], exponent_begin[term + 1])
            exponent = sparse_dot(market, exponent_factor[pairs], exponent_weight[pairs])
            pairs = slice(linear_begin[term], linear_begin[term + 1])
            linear = constant[term] + sparse_dot(market, linear_factor[pairs], linear_weight[pairs])
            pv[row] += amount[term] * linear * np.exp(exponent)
    return pv


def svi_slice(log_moneyness: float, time: float, a: float, b: float, rho: float, m: float, sigma: float) -> Row:
    away = log_moneyness - m
    root = math.hypot(away, sigma)
    variance = a + b * (rho * away + root)
    slope = b * (rho + away / root)
    curvature = b * sigma**2 / root**3
    return {
        "volatility": math.sqrt(variance / time),
        "total_variance": variance,
        "slope": slope,
        "curvature": curvature,
        "durrleman": (1.0 - log_moneyness * slope / (2.0 * variance)) ** 2
        - slope**2 / 4.0 * (1.0 / variance + 0.25)
        + curvature / 2.0,
    }
