"""Autocallable notes for tests and benchmarks: one term sheet, and rows of many."""

from __future__ import annotations

import numpy as np

from xip_core.kernels.catalogue import catalogue

NAME = "equity.autocallable"
NOTE: dict[str, float] = {
    "asset_count": 3,
    "spot_1": 100.0,
    "spot_2": 52.0,
    "spot_3": 1010.0,
    "initial_1": 100.0,
    "initial_2": 50.0,
    "initial_3": 1000.0,
    "volatility_1": 0.2,
    "volatility_2": 0.25,
    "volatility_3": 0.3,
    "dividend_yield_1": 0.02,
    "dividend_yield_2": 0.01,
    "dividend_yield_3": 0.0,
    "correlation_12": 0.6,
    "correlation_13": 0.5,
    "correlation_23": 0.55,
    "rate": 0.03,
    "first_observation": 0.5,
    "interval": 0.5,
    "observation_count": 4,
    "autocall_barrier": 1.0,
    "autocall_step": 0.0,
    "coupon_barrier": 0.8,
    "coupon": 0.03,
    "has_memory": 0,
    "protection_barrier": 0.6,
    "put_strike": 1.0,
    "notional": 100.0,
    "path_exponent": 10,
    "is_philox": 0,
    "seed": 7,
}
"""Two years, twice a year, on three assets."""


def note_columns(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Columns of NOTE with each row's changes."""
    notes = [NOTE | row for row in rows]
    return {column.name: np.array([float(note[column.name]) for note in notes]) for column in catalogue()[NAME].columns}


def a_note_book(row_count: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Rows of one to three assets, every kind of note and sampling."""
    random = np.random.default_rng(seed)
    rows = []
    for row in range(row_count):
        low, common = random.uniform(-0.3, 0.9), random.uniform(0.05, 0.4, 3)
        rows.append(
            {f"spot_{i + 1}": NOTE[f"initial_{i + 1}"] * float(np.exp(random.normal(0.0, 0.1))) for i in range(3)}
            | {f"volatility_{i + 1}": float(common[i]) for i in range(3)}
            | {f"correlation_{pair}": float(random.uniform(low, low + 0.1)) for pair in ("12", "13", "23")}
            | {
                "asset_count": row % 3 + 1,
                "observation_count": int(random.integers(1, 7)),
                "autocall_step": float(random.choice([0.0, 0.02])),
                "coupon_barrier": float(random.choice([0.7, 1.0])),
                "has_memory": int(random.integers(0, 2)),
                "is_philox": int(random.integers(0, 2)),
                "seed": row,
            }
        )
    return note_columns(rows)
