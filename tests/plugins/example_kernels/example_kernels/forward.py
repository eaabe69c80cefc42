"""`example.simple_forward`: a forward price with simple interest, in NumPy.

NumPy's exp, log and power differ in the last bit from machine to machine. This kernel needs none of them: sums,
products and quotients are rounded correctly everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xip_core.errors import FailureReason
from xip_core.kernels.extension import Column, ExtensionKernel, Output


def simple_forward(columns: tuple[Any, ...], outputs: tuple[Any, ...], status: Any) -> None:
    """
    F = S (1 + r t) / (1 + q t) and its derivative to S.

    Args:
        columns: spot, rate, dividend_yield, time; float64 vectors of as many values as *status*, or of one.
        outputs: forward, delta, to be written.
        status: to be written where a row has no price.
    """
    spot, rate, dividend_yield, time = columns
    forward, delta = outputs
    is_good = (spot > 0.0) & (time >= 0.0) & (1.0 + dividend_yield * time > 0.0)
    with np.errstate(all="ignore"):  # rows outside the domain are NaN or infinite, and get their status below
        delta[:] = (1.0 + rate * time) / (1.0 + dividend_yield * time)
        forward[:] = spot * delta
    status[~np.broadcast_to(is_good, status.shape)] = FailureReason.NUMERICAL


SIMPLE_FORWARD = ExtensionKernel(
    name="example.simple_forward",
    version="1",
    summary="Forward price of an asset, simple interest and yield",
    columns=(
        Column("spot", "price", "> 0"),
        Column("rate", "per year, simple, 0.05 is 5 %", "finite"),
        Column("dividend_yield", "per year, simple", "finite, 1 + yield * time > 0"),
        Column("time", "years", ">= 0"),
    ),
    outputs=(Output("forward", "price"), Output("delta", "per unit of spot")),
    source="J. Hull, Options, Futures and Other Derivatives, chapter 5, with simple instead of continuous interest",
    function=simple_forward,
    sample={
        "spot": [100.0, 80.0, 120.0, 95.5, -1.0],
        "rate": [0.02, 0.05, -0.01, 0.0, 0.02],
        "dividend_yield": [0.01, 0.0, 0.03, 0.02, 0.01],
        "time": [0.25, 1.0, 2.0, 0.0, 1.0],
    },
    row_s=20e-9,
)
