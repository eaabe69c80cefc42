"""Closed forms that depend on the path of the spot: lookbacks and arithmetic averages, as data."""

from __future__ import annotations

from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels.declaration_records import (
    IS_CALL,
    TIME,
    VOLATILITY,
    Column,
    Kernel,
    outputs,
    price,
    rate,
)

CARRY_COLUMNS = (TIME, rate("rate"), rate("dividend_yield"), VOLATILITY, IS_CALL)
PATH_GREEKS = outputs(
    pv="price",
    delta="per unit of spot",
    gamma="per unit of spot squared",
    vega="per 1.00 of volatility",
    theta="per year",
    rho="per 1.00 of rate",
    dividend_rho="per 1.00 of dividend yield",
)

LOOKBACK = Kernel(
    name="equity.lookback",
    version=KERNEL_VERSIONS["equity.lookback"],
    summary="Lookback with floating or fixed strike, watched continuously",
    columns=(
        price("spot"),
        Column("strike", "price, of a fixed strike", ">= 0"),
        *CARRY_COLUMNS,
        Column("is_floating", "1 the strike is the extreme, 0 it is fixed", "0 or 1"),
        price("running_extreme", "price; least so far of floating calls and fixed puts, else greatest"),
    ),
    outputs=PATH_GREEKS,
    source="B. Goldman, H. Sosin and M. Gatto, Path dependent options, J. Finance 34 (1979); "
    "A. Conze and Viswanathan, Path dependent options: the case of lookback options, J. Finance 46 (1991)",
    module="lookback",
    function="lookback",
)

PATH = (LOOKBACK,)
