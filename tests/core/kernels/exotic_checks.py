"""Comparison of an exotic kernel with its formula in many digits, and tables of others."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from tests.core.kernels.exotic_book import Columns, row_of

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"needs the third-party values in {REFERENCE.relative_to(REFERENCE.parents[1])}"
)
BARRIER_TYPES = {"DownIn": 0, "DownOut": 1, "UpIn": 2, "UpOut": 3}


def table(name: str) -> list[dict[str, str]]:
    with (REFERENCE / "quantlib_tests" / name).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows, name
    return rows


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def calls(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([row["type"] == "Call" for row in rows])


def largest_price_error(formula: Callable[..., mp.mpf], columns: Columns, pv: np.ndarray, scale: np.ndarray) -> float:
    with mp.workdps(40):
        truth = [formula(*(mp.mpf(cell) for cell in row_of(columns, row).values())) for row in range(len(pv))]
        return max(float(abs(pv[row] - truth[row]) / scale[row]) for row in range(len(pv)))


def derivative(formula: Callable[..., mp.mpf], cells: dict[str, float], to: dict[str, int]) -> float:
    places = [list(cells).index(name) for name in to]

    def value(*moved: mp.mpf) -> mp.mpf:
        arguments = [mp.mpf(cell) for cell in cells.values()]
        for place, number in zip(places, moved, strict=True):
            arguments[place] = number
        return formula(*arguments)

    at, orders = tuple(mp.mpf(cells[name]) for name in to), tuple(to.values())
    with mp.workdps(40):
        return float(mp.diff(value, at if len(at) > 1 else at[0], orders if len(at) > 1 else orders[0]))


def assert_greeks(
    formula: Callable[..., mp.mpf],
    columns: Columns,
    computed: dict[str, np.ndarray],
    greeks: dict[str, dict[str, int]],
    rel: float = 1e-11,
    smallest: float = 1e-13,
) -> None:
    """Every Greek of every row against the numerical derivative in 40 digits."""
    for greek, to in greeks.items():
        for row in range(len(computed[greek])):
            truth = derivative(formula, row_of(columns, row), to)
            assert computed[greek][row] == pytest.approx(truth, rel=rel, abs=smallest), (greek, row_of(columns, row))


SPOT_GREEKS = {"delta": {"spot": 1}, "gamma": {"spot": 2}, "vega": {"volatility": 1}}
