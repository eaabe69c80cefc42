"""Rows of every exotic kernel over what desks quote, for tests and benchmarks."""

from __future__ import annotations

import numpy as np

from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.declarations_exotic import EXOTIC
from xip_core.kernels.declarations_path import PATH

Columns = dict[str, np.ndarray]
KERNELS = tuple(kernel.name for kernel in (*EXOTIC, *PATH))
SIGNED = {"rate", "dividend_yield", "first_yield", "second_yield", "correlation", "mean_log_jump"}
FLAGS = {"is_call", "barrier_type", "is_asset", "pays_at_hit", "fixing_count", "is_floating"}


def exotic_book(name: str, rows: int, seed: int = 21) -> Columns:
    """Every row is in the domain and lives: no barrier is hit."""
    random = np.random.default_rng(seed)
    spot = random.uniform(50.0, 150.0, rows)
    barrier_type = random.integers(0, 4, rows).astype(float)
    away = np.where(barrier_type < 2, -1.0, 1.0) * random.uniform(0.005, 0.7, rows)
    columns = {
        "spot": spot,
        "strike": spot * np.exp(random.normal(0.0, 0.3, rows)),
        "time": random.uniform(0.02, 5.0, rows),
        "rate": random.uniform(0.0, 0.08, rows),
        "dividend_yield": random.uniform(-0.02, 0.06, rows),
        "volatility": random.uniform(0.05, 0.6, rows),
        "is_call": random.integers(0, 2, rows).astype(float),
        "barrier": spot * np.exp(away),
        "barrier_type": barrier_type,
        "rebate": random.uniform(0.0, 5.0, rows),
        "jump_intensity": random.uniform(0.0, 3.0, rows),
        "mean_log_jump": random.uniform(-0.2, 0.05, rows),
        "jump_volatility": random.uniform(0.0, 0.2, rows),
        "fixing_count": random.integers(0, 60, rows).astype(float),
        "cash": random.uniform(0.1, 20.0, rows),
        "is_asset": random.integers(0, 2, rows).astype(float),
    }
    columns |= {
        "first_spot": spot,
        "second_spot": spot * np.exp(random.normal(0.0, 0.2, rows)),
        "first_yield": columns["dividend_yield"],
        "second_yield": random.uniform(-0.02, 0.06, rows),
        "first_volatility": columns["volatility"],
        "second_volatility": random.uniform(0.05, 0.6, rows),
        "correlation": random.uniform(-0.95, 0.95, rows),
    }
    columns["is_floating"] = random.integers(0, 2, rows).astype(float)
    beyond = np.where(columns["is_call"] != columns["is_floating"], 1.0, -1.0)
    columns["running_extreme"] = spot * np.exp(beyond * np.abs(random.normal(0.0, 0.2, rows)))
    columns["window"] = columns["time"] * random.uniform(0.0, 1.0, rows)
    columns["strike_multiple"] = np.exp(random.normal(0.0, 0.1, rows))
    columns["past_weight"] = np.where(random.uniform(size=rows) < 0.5, 0.0, random.uniform(0.0, 0.9, rows))
    columns["past_average"] = spot * np.exp(random.normal(0.0, 0.1, rows))
    columns["first_fixing"] = columns["time"] * random.uniform(0.0, 1.0, rows)
    if name == "equity.spread":
        columns["strike"] = random.uniform(0.0, 40.0, rows)
    columns["pays_at_hit"] = np.where(barrier_type % 2 == 0, random.integers(0, 2, rows), 0).astype(float)
    return {column.name: columns[column.name] for column in catalogue()[name].columns}


def row_of(columns: Columns, row: int) -> dict[str, float]:
    return {name: float(values[row]) for name, values in columns.items()}
