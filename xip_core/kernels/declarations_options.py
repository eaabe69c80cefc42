"""Kernels that invert or iterate: implied volatility."""

from __future__ import annotations

from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels.declaration_records import DISCOUNT, IS_CALL, Column, Kernel, outputs, price

TIME_LEFT = Column("time", "years", "> 0")

IMPLIED_BLACK = Kernel(
    name="implied.black",
    version=KERNEL_VERSIONS["implied.black"],
    summary="Lognormal volatility that gives a price, to full double precision",
    columns=(
        price("forward"),
        Column("strike", "price", "> 0, within a factor of e^50 of forward"),
        TIME_LEFT,
        DISCOUNT,
        IS_CALL,
        Column(
            "price",
            "price, discounted",
            "at least intrinsic value, below discount * forward (call) or discount * strike (put); "
            "time value 0 or at least 1e-300 of the smaller leg",
        ),
    ),
    outputs=outputs(volatility="per sqrt(year), 0.20 is 20 %"),
    source="P. Jaeckel, Let's be rational, Wilmott (2015)",
    module="implied",
    function="black",
)

IMPLIED_BACHELIER = Kernel(
    name="implied.bachelier",
    version=KERNEL_VERSIONS["implied.bachelier"],
    summary="Normal volatility that gives a price, to full double precision",
    columns=(
        Column("forward", "rate or price, any sign", "finite"),
        Column("strike", "as forward", "finite"),
        TIME_LEFT,
        DISCOUNT,
        Column("is_call", "1 call (payer), 0 put (receiver)", "0 or 1"),
        Column(
            "price",
            "unit of forward, discounted",
            "at least intrinsic value; time value 0 or at least 1e-300 of |forward - strike|",
        ),
    ),
    outputs=outputs(volatility="unit of forward per sqrt(year)"),
    source="P. Jaeckel, Implied normal volatility, Wilmott (2017)",
    module="implied",
    function="bachelier",
)

OPTIONS = (IMPLIED_BLACK, IMPLIED_BACHELIER)
