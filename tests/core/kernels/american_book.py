"""Rows of equity.american, and a slow reference of its own: plain fixed point B on many nodes, in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Columns = dict[str, np.ndarray]


def american_book(rows: int, seed: int = 5) -> Columns:
    """What desks hold: strike 100, a month to three years, rates 0 to 8 %, volatility 10 to 60 %."""
    random = np.random.default_rng(seed)
    return {
        "spot": 100.0 * np.exp(random.normal(0.0, 0.2, rows)),
        "strike": np.full(rows, 100.0),
        "time": random.uniform(1 / 12, 3.0, rows),
        "rate": random.uniform(0.001, 0.08, rows),
        "dividend_yield": np.where(random.random(rows) < 0.25, 0.0, random.uniform(0.0, 0.08, rows)),
        "volatility": random.uniform(0.1, 0.6, rows),
        "is_call": random.integers(0, 2, rows).astype(float),
    }


def one_row(**changes: object) -> dict[str, Any]:
    row: dict[str, Any] = {
        "spot": 100.0,
        "strike": 105.0,
        "time": 1.5,
        "rate": 0.05,
        "dividend_yield": 0.02,
        "volatility": 0.25,
        "is_call": 0.0,
    }
    return row | changes


def _cdf(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * math.erfc(-cell / math.sqrt(2.0)) for cell in x.ravel()]).reshape(x.shape)


class ReferencePut:
    """
    One put of strike 1 by fixed point B of Andersen, Lake and Offengenden: more nodes and four times the points of the
    kernel, no Newton, the error function of the C library. 5e-9 of the strike; 0.2 s per option.
    """

    NODES, POINTS, ROUNDS = 32, 64, 40

    def __init__(self, time: float, rate: float, carry: float, volatility: float) -> None:
        self.time, self.rate, self.carry, self.volatility = time, rate, carry, volatility
        count = self.NODES
        self._node = (1.0 - np.cos(np.arange(count + 1) * np.pi / count)) / 2.0
        self._sign = (-1.0) ** np.arange(count + 1)
        self._sign[[0, -1]] *= 0.5
        x, weight = np.polynomial.legendre.leggauss(self.POINTS)
        angle = np.pi / 4.0 * (1.0 + x)
        self._root, self._weight = np.sin(angle), weight * np.pi / 4.0 * np.sin(2.0 * angle)  # v = t root^2
        self.start = min(1.0, rate / carry) if carry > 0.0 else 1.0
        self.squares = (1.5 * volatility * np.sqrt(time) * self._node) ** 2
        for _ in range(self.ROUNDS):
            self._round()

    def _heights(self, root: np.ndarray) -> np.ndarray:
        """ln B / B(0) at square roots of time, as fractions of the life's."""
        gap = root[:, None] - self._node
        hit = np.abs(gap) < 1e-14
        weight = np.where(hit.any(axis=1)[:, None], hit, self._sign / np.where(hit, 1.0, gap))
        return -np.sqrt(np.maximum(weight @ self.squares / weight.sum(axis=1), 0.0))

    def _legs(self, log_spot: float, root: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """v, and d-, d+ from a spot at sqrt(time) *root* to the boundary at each point."""
        v = self.time * root**2 * self._root**2
        below = log_spot - math.log(self.start) - self._heights(root * np.sqrt(1.0 - self._root**2))
        scale = self.volatility * np.sqrt(v)
        lower = (below + (self.rate - self.carry) * v) / scale - scale / 2.0
        return v, lower, lower + scale

    def _ends(self, log_spot: float, time: float) -> tuple[np.ndarray, np.ndarray]:
        scale = self.volatility * math.sqrt(time)
        lower = (log_spot + (self.rate - self.carry) * time) / scale - scale / 2.0
        return np.array([lower]), np.array([lower + scale])

    def _round(self) -> None:
        heights = -np.sqrt(self.squares)
        fresh = np.zeros_like(self.squares)
        for i in range(1, len(self._node)):
            root, log_spot = self._node[i], heights[i] + math.log(self.start)
            time = self.time * root**2
            v, lower, upper = self._legs(log_spot, root)
            low, high = self._ends(log_spot, time)
            cash = np.sum(time * self._weight * np.exp(-self.rate * v) * _cdf(lower))
            held = np.sum(time * self._weight * np.exp(-self.carry * v) * _cdf(upper))
            num = math.exp(-self.rate * time) * _cdf(low)[0] + self.rate * cash
            den = math.exp(-self.carry * time) * _cdf(high)[0] + self.carry * held
            fresh[i] = min(math.log(num / den) - math.log(self.start), 0.0) ** 2
        self.squares = fresh

    def boundary(self) -> float:
        return self.start * math.exp(-math.sqrt(self.squares[-1]))

    def price(self, spot: float) -> float:
        if spot <= self.boundary():
            return 1.0 - spot
        v, lower, upper = self._legs(math.log(spot), 1.0)
        low, high = self._ends(math.log(spot), self.time)
        cash = self.rate * np.exp(-self.rate * v) * _cdf(-lower)
        held = spot * self.carry * np.exp(-self.carry * v) * _cdf(-upper)
        european = (
            math.exp(-self.rate * self.time) * _cdf(-low)[0] - spot * math.exp(-self.carry * self.time) * _cdf(-high)[0]
        )
        return float(european + np.sum(self.time * self._weight * (cash - held)))
