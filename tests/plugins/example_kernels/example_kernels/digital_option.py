"""`example.cash_digital` as XiP sees it; the numbers are in digital.pyx."""

from __future__ import annotations

from example_kernels import digital
from xip_core.kernels.extension import Column, ExtensionKernel, Output

CASH_DIGITAL = ExtensionKernel(
    name="example.cash_digital",
    version="1",
    summary="Cash-or-nothing option on a forward, lognormal",
    columns=(
        Column("forward", "price", "> 0"),
        Column("strike", "price", "> 0"),
        Column("time", "years", "> 0"),
        Column("volatility", "per sqrt(year), 0.20 is 20 %", "> 0"),
        Column("discount", "discount factor to payment", "> 0"),
        Column("is_call", "1 call, 0 put", "0 or 1"),
    ),
    outputs=(Output("pv", "of a payment of 1"), Output("delta", "per unit of forward")),
    source="E. Reiner and M. Rubinstein, Unscrambling the binary code, Risk 4 (1991)",
    function=digital.cash_digital,
    sample={
        "forward": [100.0, 90.0, 110.0, 100.0, 100.0],
        "strike": [100.0, 100.0, 100.0, 95.0, -5.0],
        "time": [1.0, 0.5, 2.0, 0.1, 1.0],
        "volatility": [0.2, 0.3, 0.15, 0.4, 0.2],
        "discount": [0.98, 0.99, 0.95, 1.0, 0.98],
        "is_call": [1.0, 0.0, 1.0, 0.0, 1.0],
    },
    row_s=60e-9,
)
