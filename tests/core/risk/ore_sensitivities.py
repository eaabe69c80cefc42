"""ORE's sensitivities and covariances of its Example 15 as arrays: what a parametric VaR is made of.

A delta is the P&L of one shift of its factor, a gamma that of second order; covariances are in shifts squared. A factor
without a covariance does not move.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

EXAMPLE = Path(__file__).resolve().parents[4] / "shared/reference/ore/example15_expected"
SENSITIVITIES, COVARIANCES = EXAMPLE / "ore1.8.17_sensitivity.csv", EXAMPLE / "input_covariance.csv"


class QuadraticBook(NamedTuple):
    """delta (F,), gamma (F, F) and covariance (F, F) of the factors of a book."""

    delta: npt.NDArray[np.float64]
    gamma: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]


def read_quadratic_book(sensitivities: Path = SENSITIVITIES, covariances: Path = COVARIANCES) -> QuadraticBook:
    """Sums over all trades."""
    with sensitivities.open() as file:
        rows = list(csv.DictReader(line.lstrip("#") for line in file))
    names = sorted({row["Factor_1"] for row in rows} | {row["Factor_2"] for row in rows} - {""})
    place = {name: at for at, name in enumerate(names)}
    delta, gamma = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for row in rows:
        first, second = place[row["Factor_1"]], place[row["Factor_2"] or row["Factor_1"]]
        gamma[first, second] += float(row["Gamma"])
        if first != second:
            gamma[second, first] += float(row["Gamma"])
        else:
            delta[first] += float(row["Delta"])
    covariance = np.zeros(gamma.shape)
    for line in covariances.read_text().splitlines():
        first_name, second_name, value = line.split()
        if first_name in place and second_name in place:
            covariance[place[first_name], place[second_name]] = float(value)
            covariance[place[second_name], place[first_name]] = float(value)
    return QuadraticBook(delta, gamma, covariance)
