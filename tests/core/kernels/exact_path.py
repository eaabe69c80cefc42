"""Lookbacks and averages in many digits, written from the textbook and not from the kernels' forms."""

# Every function takes and returns mpf, for which mpmath has no types.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

from __future__ import annotations

import mpmath as mp

from tests.core.kernels.exact import normal_cdf

CIRCLE = 40


def floating_lookback(spot, time, rate, carry, volatility, is_call, extreme):
    """
    Haug, section 4.15.1. The textbook divides by the cost of carry b: where that costs too many digits, the value, an
    entire function of b, is its mean over a circle around b.
    """
    b = rate - carry
    if abs(b) > mp.mpf(10) ** (-mp.mp.dps / 4):
        return floating_carried(spot, time, rate, b, volatility, is_call, extreme)
    around = [b + mp.mpf("0.05") * mp.expjpi(mp.mpf(2 * i + 1) / CIRCLE) for i in range(CIRCLE)]
    values = [floating_carried(spot, time, rate, moved, volatility, is_call, extreme) for moved in around]
    return mp.fsum(values).real / CIRCLE


def floating_carried(spot, time, rate, b, volatility, is_call, extreme):
    s = volatility * mp.sqrt(time)
    a1 = (mp.log(spot / extreme) + (b + volatility**2 / 2) * time) / s
    phi = 1 if is_call else -1
    growth, discount = mp.exp((b - rate) * time), mp.exp(-rate * time)
    option = phi * (spot * growth * normal_cdf(phi * a1) - extreme * discount * normal_cdf(phi * (a1 - s)))
    power = (spot / extreme) ** (-2 * b / volatility**2)
    reflected = power * normal_cdf(-phi * (a1 - 2 * b * mp.sqrt(time) / volatility))
    straight = mp.exp(b * time) * normal_cdf(-phi * a1)
    return option + phi * spot * discount * volatility**2 / (2 * b) * (reflected - straight)


def lookback(spot, strike, time, rate, carry, volatility, is_call, is_floating, extreme):
    """Conze and Viswanathan's fixed strikes by parity with the floating ones."""
    uses_max = is_call != is_floating
    extreme = max(extreme, spot) if uses_max else min(extreme, spot)
    if is_floating:
        return floating_lookback(spot, time, rate, carry, volatility, is_call, extreme)
    discount, held = mp.exp(-rate * time), spot * mp.exp(-carry * time)
    if is_call:
        level = max(extreme, strike)
        beyond = floating_lookback(spot, time, rate, carry, volatility, 0, level) + held - level * discount
        return discount * max(extreme - strike, 0) + beyond
    level = min(extreme, strike)
    beyond = floating_lookback(spot, time, rate, carry, volatility, 1, level) - held + level * discount
    return discount * max(strike - extreme, 0) + beyond


def chance_of_maximum(spot, level, time, drift, volatility):
    """That a lognormal path meets *level* above it: the reflection principle."""
    gap, s = mp.log(level / spot), volatility * mp.sqrt(time)
    image = mp.exp(2 * drift * gap / volatility**2) * normal_cdf((-gap - drift * time) / s)
    return normal_cdf((drift * time - gap) / s) + image


def fixed_call_by_quadrature(spot, strike, time, rate, carry, volatility):
    """The discounted integral of the chance of a maximum above k, over k > strike >= spot."""
    drift, s = rate - carry - volatility**2 / 2, volatility * mp.sqrt(time)
    nodes = [strike * mp.exp(step * s) for step in (0, 1, 2, 4, 8, 16)]
    return mp.exp(-rate * time) * mp.quad(lambda k: chance_of_maximum(spot, k, time, drift, volatility), nodes)


def fixings_of(time, first_fixing, fixing_count):
    count = int(fixing_count)
    step = (time - first_fixing) / (count - 1) if count > 1 else 0
    return [time - step * (count - 1 - i) for i in range(count)]


def two_moments(time, b, volatility, first_fixing, fixing_count):
    """E F and E F^2 per unit of spot: the double sum, or the double integral in closed form."""
    if fixing_count:
        fixings = fixings_of(time, first_fixing, fixing_count)
        count = len(fixings)
        mean = sum(mp.exp(b * t) for t in fixings) / count
        pairs = [(t, u) for t in fixings for u in fixings]
        return mean, sum(mp.exp(b * (t + u) + volatility**2 * min(t, u)) for t, u in pairs) / count**2
    length, variance = time - first_fixing, volatility**2
    if length == 0:
        return mp.exp(b * time), mp.exp((2 * b + variance) * time)
    mean = mp.exp(b * first_fixing) * mp.expm1(b * length) / (b * length)
    whole = mp.expm1((2 * b + variance) * length) / (2 * b + variance)
    square = 2 * (whole - mp.expm1(b * length) / b) / ((b + variance) * length**2)
    return mean, mp.exp((2 * b + variance) * first_fixing) * square


def struck_on_average(strike, time, rate, is_call, mean, spread, weight, past):
    """Black's formula on (1 - w) F struck at what the past leaves of the strike."""
    sign, discount = 1 if is_call else -1, mp.exp(-rate * time)
    forward, left = (1 - weight) * mean, strike - weight * past
    if left <= 0 or forward == 0 or spread == 0:
        return discount * max(sign * (forward - left), 0)
    d1 = mp.log(forward / left) / spread + spread / 2
    return sign * discount * (forward * normal_cdf(sign * d1) - left * normal_cdf(sign * (d1 - spread)))


def asian(spot, strike, time, rate, carry, volatility, is_call, first_fixing, fixing_count, weight, past):
    """Levy's form, two moments."""
    mean, square = two_moments(time, rate - carry, volatility, first_fixing, fixing_count)
    spread = mp.sqrt(mp.log(square / mean**2))
    return struck_on_average(strike, time, rate, is_call, spot * mean, spread, weight, past)


def asian_curran(spot, strike, time, rate, carry, volatility, is_call, first_fixing, fixing_count, weight, past):
    """The conditional mean given the geometric average, fixings one by one; the root by mpmath."""
    fixings = fixings_of(time, first_fixing, fixing_count)
    count, b, left = len(fixings), rate - carry, strike - weight * past
    deviation = mp.sqrt(sum(min(t, u) for t in fixings for u in fixings)) / count
    amount = (1 - weight) * spot / count
    sign, discount = 1 if is_call else -1, mp.exp(-rate * time)
    if left <= 0:
        mean = amount * sum(mp.exp(b * t) for t in fixings)
        return discount * max(sign * (mean - left), 0)
    loads = [volatility * sum(min(t, u) for u in fixings) / count / deviation for t in fixings]

    def excess(z):
        given = [mp.exp(b * t - c * c / 2 + c * z) for t, c in zip(fixings, loads, strict=True)]
        return mp.log(amount * sum(given) / left)

    start = -excess(0) / sum(loads) * count
    z = mp.findroot(excess, start)
    total = sum(mp.exp(b * t) * normal_cdf(sign * (c - z)) for t, c in zip(fixings, loads, strict=True))
    return sign * discount * (amount * total - left * normal_cdf(-sign * z))
