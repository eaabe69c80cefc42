"""Options under stochastic volatility, as data."""

from __future__ import annotations

from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels.declaration_records import IS_CALL, TIME, Column, Kernel, outputs, price, rate

HESTON = Kernel(
    name="equity.heston",
    version=KERNEL_VERSIONS["equity.heston"],
    summary="European option under Heston's stochastic volatility",
    columns=(
        price("spot"),
        price("strike"),
        TIME,
        rate("rate"),
        rate("dividend_yield"),
        Column("v0", "variance per year, 0.04 is a volatility of 20 %", ">= 0"),
        Column("kappa", "per year, speed of mean reversion", ">= 0"),
        Column("theta", "variance per year in the long run", ">= 0"),
        Column("sigma", "volatility of variance, per sqrt(year)", ">= 0"),
        Column("rho", "correlation of spot and variance", "-1 to 1"),
        IS_CALL,
    ),
    outputs=outputs(
        pv="price",
        delta="per unit of spot",
        gamma="per unit of spot squared",
        to_v0="per 1.00 of v0",
        to_kappa="per 1.00 of kappa",
        to_theta="per 1.00 of theta",
        to_sigma="per 1.00 of sigma",
        to_rho="per 1.00 of rho",
        to_rate="per 1.00 of rate",
        to_dividend_yield="per 1.00 of dividend yield",
        to_time="per year of time to expiry, theta with its sign turned",
    ),
    source="S. Heston, A closed-form solution for options with stochastic volatility, Rev. Financial Studies 6 (1993); "
    "contour after Andersen and Lake (2019), Boyarchenko and Levendorskii (2019)",
    module="heston",
    function="heston",
    row_s=4e-6,
)
