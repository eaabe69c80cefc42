"""The levels this machine can run, and kernels called at one of them."""

from __future__ import annotations

import platform

import numpy as np

from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module, read_cpu_flags, supported_levels

LEVELS = supported_levels(
    platform.machine(), read_cpu_flags() if platform.machine() in ("x86_64", "AMD64") else frozenset()
)


def evaluate_at(level: str, name: str, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Like xip_core.evaluate for float64 vectors of one length, at a given level."""
    kernel = catalogue()[name]
    inputs = tuple(columns[column.name] for column in kernel.columns)
    row_count = max(len(column) for column in inputs)
    outputs = {output.name: np.empty(row_count) for output in kernel.outputs}
    status = np.empty(row_count, np.uint8)
    getattr(load_module(kernel.module, level), kernel.function)(inputs, tuple(outputs.values()), status)
    return outputs | {"status": status}


def apply_at(level: str, function: str, *columns: np.ndarray) -> np.ndarray:
    """One elementary function over columns."""
    result = np.empty(len(columns[0]))
    load_module("elementary", level).apply(function, columns, result, np.empty(len(result), np.uint8))
    return result
