"""The slow and obvious twin of value.py: one cell at a time, libm, textbook formulas; the oracle of its tests.

It reads the same columns of a resolve tile and shares no code with the kernels. Its own error is some 1e-13 of the
gross value of a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from xip_core.pricing.program import (
    KIND_NORMAL,
    KIND_RATIO,
    KIND_TOTAL_VARIANCE,
    Floats,
    Sparse,
    TermList,
    sparse_of,
    term_list_of,
)
from xip_core.pricing.smile_values import MODELS
from xip_core.pricing.tile import Columns

_nodes, _weights = np.polynomial.legendre.leggauss(20)
_QUADRATURE_NODES: list[float] = (0.5 + 0.5 * _nodes).tolist()
_QUADRATURE_WEIGHTS: list[float] = (0.5 * _weights).tolist()


def reference_values(columns: Columns, market: Floats) -> Floats:
    """PV of every row under every scenario, (R, S); see `value.row_values`."""
    assert not len(columns["bermudan_row"]), "rights on several days have twins of their own, in their tests"
    row_count = len(columns["row_status"])
    values = np.zeros((row_count, market.shape[1]))
    for scenario in range(market.shape[1]):
        column = market[:, scenario]
        terms = term_list_of(columns, "terms")
        for row in range(row_count):
            values[row, scenario] = _sum_terms(terms, row, column)
            for option in range(columns["option_ptr"][row], columns["option_ptr"][row + 1]):
                values[row, scenario] += columns["option_amount"][option] * _option(columns, option, column)
            for chain in range(columns["chain_ptr"][row], columns["chain_ptr"][row + 1]):
                values[row, scenario] += _chain(columns, chain, column)
            if "default_step" in columns:
                spot = math.exp(_dot(sparse_of(columns, "spot"), row, column))
                for default in range(columns["default_ptr"][row], columns["default_ptr"][row + 1]):
                    values[row, scenario] += spot * _default(columns, default, column)
        for quotient, row in enumerate(columns["quotient_row"]):
            values[row, scenario] += _quotient(columns, quotient, column)
    return values


def _pairs(sparse: Sparse, item: int) -> Iterator[tuple[int, float]]:
    for position in range(sparse.ptr[item], sparse.ptr[item + 1]):
        yield int(sparse.factor[position]), float(sparse.weight[position])


def _dot(sparse: Sparse, item: int, column: Floats) -> float:
    return sum(weight * float(column[factor]) for factor, weight in _pairs(sparse, item))


def _sum_terms(listed: TermList, item: int, column: Floats) -> float:
    total = 0.0
    for term in range(listed.ptr[item], listed.ptr[item + 1]):
        linear = float(listed.constant[term]) + _dot(listed.linear, term, column)
        total += float(listed.amount[term]) * linear * math.exp(_dot(listed.exponent, term, column))
    return total


def _quotient(columns: Columns, quotient: int, column: Floats) -> float:
    discount = math.exp(_dot(sparse_of(columns, "quotient_discount"), quotient, column))
    growth = math.exp(_dot(sparse_of(columns, "quotient_growth"), quotient, column))
    forward = (growth - 1.0) / float(columns["quotient_index_accrual"][quotient])
    accrual, strike = float(columns["quotient_accrual"][quotient]), float(columns["quotient_strike"][quotient])
    notional = float(columns["quotient_notional"][quotient])
    return notional * discount * (forward - strike) * accrual / (1.0 + forward * accrual)


def _default(columns: Columns, default: int, column: Floats) -> float:
    """Default in one step by quadrature: hazard times discount factor times survival, and what accrues meanwhile."""
    step = columns["default_step"][default]
    begin, end = int(columns["default_begin"][step]), int(columns["default_end"][step])
    logs = [
        [_dot(sparse_of(columns, f"default_{curve}"), point, column) for point in (begin, end)]
        for curve in ("discount", "survival")
    ]
    hazard = logs[1][0] - logs[1][1]
    total = 0.0
    for node, weight in zip(_QUADRATURE_NODES, _QUADRATURE_WEIGHTS, strict=True):
        log_value = sum((1.0 - node) * log_begin + node * log_end for log_begin, log_end in logs)
        paid = float(columns["default_amount"][default]) + float(columns["default_growth"][default]) * node
        total += weight * hazard * math.exp(log_value) * paid
    return total


def _chain(columns: Columns, chain: int, column: Floats) -> float:
    interest = 0.0
    for link in range(columns["link_ptr"][chain], columns["link_ptr"][chain + 1]):
        growth = math.exp(_dot(sparse_of(columns, "link_growth"), link, column))
        alpha, beta = float(columns["link_alpha"][link]), float(columns["link_beta"][link])
        gamma, delta = float(columns["link_gamma"][link]), float(columns["link_delta"][link])
        interest = (alpha + beta * growth) * interest + gamma + delta * growth
    discount = math.exp(_dot(sparse_of(columns, "chain_discount"), chain, column))
    return float(columns["chain_amount"][chain]) * discount * interest


def _option(columns: Columns, option: int, column: Floats) -> float:
    kind = int(columns["option_kind"][option])
    strike, years = float(columns["option_strike"][option]), float(columns["option_time"][option])
    forward = _sum_terms(term_list_of(columns, "forward"), option, column)
    discount = _sum_terms(term_list_of(columns, "discount"), option, column)
    if kind & KIND_RATIO:
        forward /= discount
    settled = np.flatnonzero(columns["cash_option"] == option)
    if len(settled):
        discount = _cash_annuity(columns, int(settled[0]), forward, column)
    volatility = _dot(sparse_of(columns, "volatility"), option, column) if years > 0.0 else 0.0
    if kind & KIND_TOTAL_VARIANCE and years > 0.0:
        volatility = math.sqrt(volatility / years)
    smiled = np.flatnonzero(columns["smile_option"] == option).tolist()
    if smiled and years > 0.0:
        if kind & KIND_NORMAL:
            volatility = sum(_slice_volatility(columns, item, strike, forward, column) for item in smiled)
        else:
            moneyness = math.log(strike / forward)
            volatility = math.sqrt(sum(_slice_variance(columns, item, moneyness, column) for item in smiled) / years)
    joined = np.flatnonzero(columns["cubic_option"] == option)
    if len(joined):
        volatility = _cubic(columns, int(joined[0]), column)
    averaged = np.flatnonzero(columns["average_option"] == option)
    if len(averaged) and years > 0.0:
        volatility = math.sqrt(math.log(_second_moment(columns, int(averaged[0]), column)) / years)
    price = bachelier if kind & KIND_NORMAL else black
    sign = 1.0 if columns["option_is_call"][option] else -1.0
    return discount * price(forward, strike, volatility * math.sqrt(years), sign)


def _cubic(columns: Columns, item: int, column: Floats) -> float:
    """Kruger's a + b x + c x^2 + d x^3 of the interval, from its values and second derivatives there."""
    rows = sparse_of(columns, "cubic_volatility")
    before, left, right, after = (_dot(rows, 4 * item + place, column) for place in range(4))
    first, width, last = (float(width) for width in columns["cubic_width"][3 * item : 3 * item + 3])
    x = float(columns["cubic_share"][item]) * width
    chord = (right - left) / width
    slopes = [chord, chord]
    if first:
        slopes[0] = _mean_of_chords((left - before) / first, chord)
    if last:
        slopes[1] = _mean_of_chords(chord, (after - right) / last)
    if not first:
        slopes[0] = chord - (slopes[1] - chord) / 2.0
    if not last:
        slopes[1] = chord - (slopes[0] - chord) / 2.0
    at_left = -2.0 * (slopes[1] + 2.0 * slopes[0]) / width + 6.0 * chord / width
    at_right = 2.0 * (2.0 * slopes[1] + slopes[0]) / width - 6.0 * chord / width
    return left + slopes[0] * x + at_left * x * x / 2.0 + (at_right - at_left) / (6.0 * width) * x * x * x


def _mean_of_chords(first: float, second: float) -> float:
    return 2.0 / (1.0 / first + 1.0 / second) if first * second > 0.0 else 0.0


def _slice_volatility(columns: Columns, item: int, strike: float, forward: float, column: Floats) -> float:
    """Weighted normal volatility of one node of a swaption cube: Hagan's (B.67a)."""
    begin, years = int(columns["smile_begin"][item]), float(columns["smile_time"][item])
    beta, shift = float(columns["smile_beta"][item]), float(columns["smile_shift"][item])
    alpha, rho, nu = column[begin : begin + 3].tolist()
    f, k = forward + shift, strike + shift
    log_ratio, middle = math.log(f / k), math.sqrt(f * k)
    z = nu / alpha * middle ** (1.0 - beta) * log_ratio
    chi = math.log((math.sqrt(1.0 - 2.0 * rho * z + z * z) + z - rho) / (1.0 - rho))
    ratio = z / chi if abs(z) > 1e-6 else 1.0 - 0.5 * rho * z
    over = 1.0 + log_ratio**2 / 24.0 + log_ratio**4 / 1920.0
    under = 1.0 + ((1.0 - beta) * log_ratio) ** 2 / 24.0 + ((1.0 - beta) * log_ratio) ** 4 / 1920.0
    at = alpha * middle ** (beta - 1.0)
    growth = -beta * (2.0 - beta) * at**2 / 24.0 + rho * beta * nu * at / 4.0 + (2.0 - 3.0 * rho**2) * nu**2 / 24.0
    value: float = alpha * middle**beta * over / under * ratio * (1.0 + growth * years)
    return float(columns["smile_weight"][item]) * value


def _slice_variance(columns: Columns, item: int, moneyness: float, column: Floats) -> float:
    """Weighted total variance of one slice of a smile."""
    begin, width = int(columns["smile_begin"][item]), int(columns["smile_width"][item])
    weight, years = float(columns["smile_weight"][item]), float(columns["smile_time"][item])
    p: list[float] = column[begin : begin + width].tolist()
    k = moneyness * float(columns["smile_sign"][item])
    model = MODELS[int(columns["smile_model"][item])]
    if model == "svi":
        a, b, rho, m, sigma = p
        return weight * (a + b * (rho * (k - m) + math.hypot(k - m, sigma)))
    if model == "sabr":
        alpha, rho, nu = p
        volatility = _sabr(k, years, alpha, rho, nu, float(columns["smile_beta"][item]))
        return weight * years * volatility * volatility
    x, v, bends = (p[part * width // 3 : (part + 1) * width // 3] for part in range(3))
    k = min(max(k, x[0]), x[-1])
    at = max(place for place in range(len(x) - 1) if k >= x[place])
    h, right = x[at + 1] - x[at], k - x[at]
    left = h - right
    chord = (left * v[at] + right * v[at + 1]) / h
    bend = ((left**3 / h - left * h) * bends[at] + (right**3 / h - right * h) * bends[at + 1]) / 6.0
    return weight * years * (chord + bend) * (chord + bend)


def _sabr(k: float, years: float, alpha: float, rho: float, nu: float, beta: float) -> float:
    """Hagan's (2.17a) on a forward of 1."""
    middle = math.exp(0.5 * k * (1.0 - beta))
    z = -nu / alpha * middle * k
    chi = math.log((math.sqrt(1.0 - 2.0 * rho * z + z * z) + z - rho) / (1.0 - rho))
    ratio = z / chi if abs(z) > 1e-6 else 1.0 - 0.5 * rho * z
    growth = (1.0 - beta) ** 2 * alpha**2 / (24.0 * middle**2) + rho * beta * nu * alpha / (4.0 * middle)
    growth += (2.0 - 3.0 * rho**2) * nu**2 / 24.0
    under = 1.0 + ((1.0 - beta) * k) ** 2 / 24.0 + ((1.0 - beta) * k) ** 4 / 1920.0
    return alpha / middle / under * ratio * (1.0 + growth * years)


def _second_moment(columns: Columns, averaged: int, column: Floats) -> float:
    """E[A^2] / E[A]^2 of an average, pair by pair."""
    span = range(columns["average_ptr"][averaged], columns["average_ptr"][averaged + 1])
    forward, variance = sparse_of(columns, "average_forward"), sparse_of(columns, "average_variance")
    prices = [float(columns["average_weight"][item]) * _dot(forward, item, column) for item in span]
    variances = [_dot(variance, item, column) for item in span]
    pairs = [(i, j) for i in range(len(prices)) for j in range(len(prices))]
    total = sum(prices[i] * prices[j] * math.exp(variances[min(i, j)]) for i, j in pairs)
    return total / sum(prices) ** 2


def _cash_annuity(columns: Columns, settled: int, forward: float, column: Floats) -> float:
    annuity = 0.0
    for coupon in range(columns["cash_ptr"][settled], columns["cash_ptr"][settled + 1]):
        annuity += float(columns["cash_amount"][coupon]) * (1.0 + forward) ** float(columns["cash_weight"][coupon])
    return annuity * math.exp(_dot(sparse_of(columns, "cash_discount"), settled, column))


def black(forward: float, strike: float, total_volatility: float, sign: float) -> float:
    """Undiscounted Black-76; sign +1 for calls, -1 for puts."""
    if total_volatility == 0.0:
        return max(sign * (forward - strike), 0.0)
    d1 = math.log(forward / strike) / total_volatility + 0.5 * total_volatility
    d2 = d1 - total_volatility
    return sign * (forward * _cumulative(sign * d1) - strike * _cumulative(sign * d2))


def bachelier(forward: float, strike: float, total_volatility: float, sign: float) -> float:
    """Undiscounted Bachelier; sign +1 for calls, -1 for puts."""
    gain = sign * (forward - strike)
    if total_volatility == 0.0:
        return max(gain, 0.0)
    d = gain / total_volatility
    return gain * _cumulative(d) + total_volatility * math.exp(-0.5 * d * d) / math.sqrt(2.0 * math.pi)


def _cumulative(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
