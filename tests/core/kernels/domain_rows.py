"""
What lies just outside the domains the kernels declare, read from the declarations themselves.

A domain begins with a range ("> 0", "0 or 1", "whole, 0 to 5000", "0 to time") and may go on with clauses about several
columns at once. Ranges are read here; each clause has its rows in CLAUSES. A new kernel is covered as soon as it is
declared: where a column has no ordinary value or a clause no row, a test says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np

from xip_core.kernels.declaration_records import Kernel

Row = dict[str, float]

# Ordinary values of columns, by name; together they are a good row of every kernel.
ORDINARY: Row = {
    "alpha": 0.3,
    "asset_count": 3.0,
    "atm_type": 1.0,
    "autocall_barrier": 1.0,
    "autocall_step": 0.001,
    "barrier": 90.0,
    "barrier_type": 1.0,
    "basket_type": 0.0,
    "beta": 0.5,
    "cash": 10.0,
    "correlation": 0.3,
    "coupon_count": 20.0,
    "delta": 0.3,
    "delta_type": 1.0,
    "discount": 0.95,
    "domestic_rate": 0.03,
    "first_fixing": 0.25,
    "first_observation": 0.25,
    "fixing_count": 4.0,
    "foreign_rate": 0.01,
    "forward": 100.0,
    "frequency": 2.0,
    "hazard_rate": 0.02,
    "interval": 0.25,
    "is_call": 1.0,
    "jump_intensity": 0.5,
    "jump_volatility": 0.1,
    "kappa": 1.5,
    "mean_log_jump": -0.05,
    "normal_volatility": 20.0,
    "notional": 1e6,
    "observation_count": 4.0,
    "past_average": 98.0,
    "past_weight": 0.25,
    "path_exponent": 10.0,
    "pays_at_hit": 0.0,
    "period": 0.25,
    "price": 9.0,
    "protection_barrier": 0.6,
    "put_strike": 1.0,
    "recovery": 0.4,
    "rho": -0.3,
    "seed": 7.0,
    "strike": 105.0,
    "strike_multiple": 1.1,
    "theta": 0.04,
    "time": 1.0,
    "v0": 0.04,
    "volatility": 0.25,
    "window": 0.5,
}
BY_RANGE = {"> 0": 100.0, ">= 0": 0.5, "finite": 0.02, "0 or 1": 0.0}
OF_KERNEL: dict[str, Row] = {
    "bond.yield": {"coupon": 0.05, "first_period": 0.4, "price": 0.97, "redemption": 1.0},
    "credit.cds_flat": {"coupon": 0.01, "time": 0.75},
    "equity.spread": {"strike": 5.0},
    "equity.touch": {"barrier_type": 0.0},
    "volatility.svi": {"a": 0.02, "b": 0.1, "sigma": 0.2},
}

# Rates so negative that payment at hit has no real closed form.
NO_ROOT = {"rate": -0.05, "dividend_yield": -0.08125, "volatility": 0.25}
HIT_ROOT = "0 unless (r - q - v^2/2)^2 + 2 r v^2 >= 0"
CLAUSES: dict[str, tuple[Row, ...]] = {
    f"of an out option alive, {HIT_ROOT}": (NO_ROOT | {"rebate": 1.0},),
    f"of a touch alive, {HIT_ROOT}": (NO_ROOT | {"pays_at_hit": 1.0},),
    "0 of a no-touch": ({"barrier_type": 1.0, "pays_at_hit": 1.0}, {"barrier_type": 3.0, "pays_at_hit": 1.0}),
    "expected jumps to expiry, plain and times exp(m + v^2/2), at most 20": (
        {"jump_intensity": math.nextafter(20.0, 21.0), "mean_log_jump": -1.0},
        {"jump_intensity": 10.0, "mean_log_jump": math.log(2.0), "jump_volatility": 1e-3},
    ),
    "not 0 if redemption is": ({"coupon": 0.0, "redemption": 0.0},),
    "at most 1": ({"first_period": math.nextafter(1.0, 2.0)},),
    "at most 1000 periods": ({"time": 1000.25, "period": 1.0}, {"time": 1.001, "period": 0.001}),
    "within a factor of e^50 of forward": (
        {"strike": 100.0 * math.exp(50.001), "price": 50.0},
        {"strike": 100.0 * math.exp(-50.001), "price": 95.0},
    ),
    "at least intrinsic value, below discount * forward (call) or discount * strike (put)": (
        {"price": -5e-324},
        {"strike": 80.0, "price": math.nextafter(0.95 * 20.0, 0.0)},
        {"price": 95.0},
        {"price": 1e9},
        {"is_call": 0.0, "price": 0.95 * 105.0},
    ),
    "at least intrinsic value": ({"price": -5e-324}, {"strike": 80.0, "price": math.nextafter(0.95 * 20.0, 0.0)}),
    "not read beyond asset_count": (),
    "volatility^2 times time 0 to 100, volatility >= 0": ({"volatility_1": -5e-324}, {"volatility_3": 11.0}),
    "volatility^2 times the last observation 0 to 100, volatility >= 0": (
        {"volatility_1": -5e-324},
        {"volatility_3": 1000.0},
    ),
    "positive semidefinite together": ({"correlation_12": 0.9, "correlation_13": 0.9, "correlation_23": -0.9},),
    "barrier stays > 0": ({"autocall_step": 0.4},),
    "of a put not 0 > rate > dividend_yield (two exercise boundaries)": (
        {"is_call": 0.0, "rate": -0.01, "dividend_yield": -0.02},
    ),
    "of a call not 0 > dividend_yield > rate (two boundaries)": ({"rate": -0.02, "dividend_yield": -0.01},),
    "of a call, where negative: not below the other rate while that is negative too (two exercise boundaries)": (
        {"rate": -0.02, "dividend_yield": -0.01},
    ),
    "of a put, where negative: not below the other rate while that is negative too (two exercise boundaries)": (
        {"is_call": 0.0, "rate": -0.01, "dividend_yield": -0.02},
    ),
    "where the other is not, above -4 / time, and volatility sqrt(time) <= 6": (
        {"rate": -4.001, "dividend_yield": 0.01},
        {"is_call": 0.0, "rate": 0.01, "dividend_yield": -4.001},
        {"rate": -0.01, "dividend_yield": 0.01, "volatility": 6.001},
    ),
    "volatility sqrt(time) <= 12 where early exercise may pay": ({"volatility": 12.001},),
    "such that the expansion stays >= 0": ({"nu": 50.0, "rho": -0.95},),
    "a + b sigma sqrt(1 - rho^2) >= 0": ({"a": -1.0},),
    "call: > 0 up to the convention's largest (below 1, spot deltas below the foreign discount factor, "
    "premium-adjusted below the largest over all strikes)": ({"delta": 0.0}, {"delta": -0.1}, {"delta": 1.0}),
    "put: < 0 down to -1 or minus that factor, premium-adjusted any": (
        {"is_call": 0.0, "delta": 0.0},
        {"is_call": 0.0, "delta": -1.0},
    ),
    "5 with delta_type 1 only": ({"atm_type": 5.0, "delta_type": 0.0},),
    "time value 0 or at least 1e-300 of the smaller leg": ({"price": 1e-301},),
    "time value 0 or at least 1e-300 of |forward - strike|": ({"price": 1e-301},),
}


def below(value: float) -> float:
    return math.nextafter(value, -math.inf)


def above(value: float) -> float:
    return math.nextafter(value, math.inf)


def outside_range(match: re.Match[str], row: Row) -> list[float]:
    low, high = (bound(match[name], row) for name in ("low", "high"))
    return [below(low), above(high)]


def bound(word: str, row: Row) -> float:
    """A number, or another column of the row."""
    return row[word] if word in row else float(word)


def outside_choices(match: re.Match[str], row: Row) -> list[float]:
    numbers = [float(number) for number in re.findall(r"\d+", match[0])]
    return [numbers[0] - 1.0, numbers[0] + 0.5, above(numbers[0]), numbers[-1] + 1.0]


NUMBER = r"-?\d+(?:\.\d+)?"
RANGES: tuple[tuple[str, Callable[[re.Match[str], Row], list[float]]], ...] = (
    (r"> -1 and < 1", lambda match, row: [-1.0, 1.0]),
    (r"> -shift", lambda match, row: [-row["shift"], below(-row["shift"])]),
    (r"> 0", lambda match, row: [0.0, -0.0, -5e-324, -1.0]),
    (r">= 0", lambda match, row: [-5e-324, -1.0]),
    (r"finite", lambda match, row: []),
    (r"\d+(, \d+)* or \d+", outside_choices),
    (
        rf"whole, (?P<low>{NUMBER}) to (?P<high>{NUMBER})",
        lambda match, row: [float(match["low"]) - 1.0, float(match["low"]) + 0.5, float(match["high"]) + 1.0],
    ),
    (rf"(?P<low>{NUMBER}) to (?P<high>{NUMBER}|[a-z_]+)", outside_range),
)


def read_domain(domain: str, row: Row) -> tuple[list[float], list[str]]:
    """Values just outside the range it begins with, and the clauses after it."""
    for pattern, outside in RANGES:
        match = re.match(rf"(?:{pattern})(?=$|[,;])", domain)
        if match:
            rest = domain[match.end() :].lstrip(",; ")
            return outside(match, row), rest.split("; ") if rest else []
    return [], domain.split("; ")


def ordinary_row(kernel: Kernel) -> Row:
    row: Row = {}
    special = OF_KERNEL.get(kernel.name, {})
    for column in kernel.columns:
        by_range = next((value for text, value in BY_RANGE.items() if column.domain.startswith(text)), math.nan)
        stem = column.name.partition("_")[2] if column.name.startswith(("first_", "second_")) else column.name
        stem = re.sub(r"_\d+$", "", stem)
        row[column.name] = special.get(column.name, ORDINARY.get(column.name, ORDINARY.get(stem, by_range)))
    return row


def rows_outside(kernel: Kernel) -> list[tuple[str, Row]]:
    """(what is wrong, row): every column just outside its range, every clause broken, NaN and both infinities."""
    row = ordinary_row(kernel)
    rows = []
    for column in kernel.columns:
        values, clauses = read_domain(column.domain, row)
        for value in (*values, math.nan, math.inf, -math.inf):
            rows.append((f"{column.name} = {value!r}", row | {column.name: value}))
        for clause in clauses:
            rows += [(f"{column.name}: {clause}", row | cells) for cells in CLAUSES[clause]]
    return rows


def unknown_clauses(kernel: Kernel) -> list[str]:
    row = ordinary_row(kernel)
    return [
        f"{column.name}: {clause}"
        for column in kernel.columns
        for clause in read_domain(column.domain, row)[1]
        if clause not in CLAUSES
    ]


def columns_of(rows: list[Row]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
