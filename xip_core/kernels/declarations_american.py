"""The American option, as data."""

from __future__ import annotations

from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels.declaration_records import IS_CALL, TIME, VOLATILITY, Column, Kernel, outputs, price

_RATE_UNIT = "per year, continuous, 0.05 is 5 %"
_NEGATIVE = (
    "where negative: not below the other rate while that is negative too (two exercise boundaries); where the other "
    "is not, above -4 / time, and volatility sqrt(time) <= 6"
)

AMERICAN = Kernel(
    name="equity.american",
    version=KERNEL_VERSIONS["equity.american"],
    summary="American option on an asset with a continuous yield",
    columns=(
        price("spot"),
        price("strike"),
        TIME,
        Column("rate", _RATE_UNIT, f"finite; of a call, {_NEGATIVE}"),
        Column("dividend_yield", _RATE_UNIT, f"finite; of a put, {_NEGATIVE}"),
        Column("volatility", VOLATILITY.unit, ">= 0; volatility sqrt(time) <= 12 where early exercise may pay"),
        IS_CALL,
    ),
    outputs=outputs(
        pv="price",
        delta="per unit of spot",
        gamma="per unit of spot squared",
        vega="per 1.00 of volatility",
        theta="per year",
        rho="per 1.00 of rate",
        exercise_boundary="spot at which it is exercised now; of a put 0, of a call inf, where never early",
    ),
    source="L. Andersen, M. Lake, D. Offengenden, High-performance American option pricing, J. Comp. Finance 20 (2016)",
    module="american",
    function="american",
    row_s=8e-6,
)
