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
from xip_core.pricing.tile import Columns


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
    averaged = np.flatnonzero(columns["average_option"] == option)
    if len(averaged) and years > 0.0:
        volatility = math.sqrt(math.log(_second_moment(columns, int(averaged[0]), column)) / years)
    price = bachelier if kind & KIND_NORMAL else black
    sign = 1.0 if columns["option_is_call"][option] else -1.0
    return discount * price(forward, strike, volatility * math.sqrt(years), sign)


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
