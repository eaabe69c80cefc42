"""Rows of equity.american."""

from __future__ import annotations

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
