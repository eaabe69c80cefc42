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

LOOKBACK_PARTIAL = Kernel(
    name="equity.lookback_partial",
    version=KERNEL_VERSIONS["equity.lookback_partial"],
    summary="Lookback watched during a part of its life, floating or fixed strike",
    columns=(
        price("spot"),
        Column("strike", "price, of a fixed strike", ">= 0"),
        *CARRY_COLUMNS,
        Column("is_floating", "1 the strike is a multiple of the extreme, 0 it is fixed", "0 or 1"),
        Column("window", "years; fixed strikes watch from then to expiry, floating ones from now to then", "0 to time"),
        Column("strike_multiple", "times the extreme, of a floating strike", "> 0"),
    ),
    outputs=PATH_GREEKS,
    source="R. Heynen and H. Kat, Selective memory, Risk 7 (1994)",
    module="lookback_partial",
    function="lookback_partial",
    row_s=2.5e-6,
)

AVERAGE_COLUMNS = (
    price("spot"),
    price("strike"),
    *CARRY_COLUMNS,
    Column("first_fixing", "years to the first fixing to come, or to where averaging begins", "0 to time"),
    Column("fixing_count", "to come, equally spaced, the last at expiry; 0 is continuous", "whole, 0 to 5000"),
    Column("past_weight", "share of the average that is fixed", "0 to 1"),
    Column("past_average", "price, of what is fixed", ">= 0"),
)

ASIAN = Kernel(
    name="equity.asian",
    version=KERNEL_VERSIONS["equity.asian"],
    summary="European option on the arithmetic average of the spot, by two moments",
    columns=AVERAGE_COLUMNS,
    outputs=PATH_GREEKS,
    source="E. Levy, Pricing European average rate currency options, J. International Money and Finance 11 (1992); "
    "S. Turnbull and L. Wakeman, A quick algorithm for pricing European average options, "
    "J. Financial and Quantitative Analysis 26 (1991)",
    module="asian",
    function="asian",
    row_s=1e-6,
)

ASIAN_CURRAN = Kernel(
    name="equity.asian_curran",
    version=KERNEL_VERSIONS["equity.asian_curran"],
    summary="European option on the arithmetic average of the spot, conditioned on the geometric one",
    columns=AVERAGE_COLUMNS,
    outputs=PATH_GREEKS,
    source="M. Curran, Valuing Asian and portfolio options by conditioning on the geometric mean price, "
    "Management Science 40 (1994); L. Rogers and Z. Shi, The value of an Asian option, "
    "J. Applied Probability 32 (1995)",
    module="asian_curran",
    function="asian_curran",
    row_s=4e-6,
)

ASIAN_STRIKE = Kernel(
    name="equity.asian_strike",
    version=KERNEL_VERSIONS["equity.asian_strike"],
    summary="European option struck at the arithmetic average of the spot, by conditioning",
    columns=(
        price("spot"),
        *CARRY_COLUMNS,
        Column("first_fixing", "years to the first fixing, or to where averaging begins", "0 to time"),
        Column("fixing_count", "equally spaced, the last at expiry; 0 is continuous", "whole, 0 to 5000"),
    ),
    outputs=tuple(output for output in PATH_GREEKS if output.name != "gamma"),
    source="V. Henderson and R. Wojakowski, On the equivalence of floating and fixed-strike Asian options, "
    "J. Applied Probability 39 (2002)",
    module="asian_curran",
    function="asian_strike",
    row_s=4e-6,
)

PATH = (LOOKBACK, LOOKBACK_PARTIAL, ASIAN, ASIAN_CURRAN, ASIAN_STRIKE)
