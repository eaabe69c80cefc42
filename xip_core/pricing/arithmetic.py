"""Dot products, exponentials and logarithms over market factors, bit-reproducible.

The only door through which calibration reaches elementary functions: the kernels', whose bytes depend neither on the
CPU nor on how many scenarios stand side by side. numpy's own exp and log depend on both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xip_core.kernels import terms
from xip_core.kernels.level import load_module
from xip_core.pricing.layout import Refs

Floats = npt.NDArray[np.float64]


class RefTable:
    """Many `Refs` compiled for the kernels: a run of (factor, weight) pairs per row."""

    def __init__(self, table: Sequence[Refs]) -> None:
        counts = [len(refs) for refs in table]
        self.count = len(table)
        self._begin = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        self._factors = np.array([factor for refs in table for factor, _ in refs], dtype=np.int32)
        self._weights = np.array([weight for refs in table for _, weight in refs], dtype=np.float64)

    def dot(self, market: Floats) -> Floats:
        """(F, S) -> (count, S); a row without pairs is 0."""
        return terms.gather_linear(np.ascontiguousarray(market), self._begin, self._factors, self._weights)

    def exp(self, market: Floats) -> Floats:
        """exp of `dot`."""
        return terms.gather_exp(np.ascontiguousarray(market), self._begin, self._factors, self._weights)


def log_(values: Floats) -> Floats:
    """Natural logarithm, elementwise, of positive numbers."""
    return _elementary("log_", values)


def exp_(values: Floats) -> Floats:
    """Exponential, elementwise."""
    return _elementary("exp_", values)


def _elementary(function: str, values: Floats) -> Floats:
    flat = np.ascontiguousarray(values).ravel()
    result = np.empty_like(flat)
    load_module("elementary").apply(function, (flat,), result, np.empty(len(flat), dtype=np.uint8))
    return result.reshape(values.shape)
