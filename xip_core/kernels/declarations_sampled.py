"""Kernels that price by paths, as data. Their rows cost milliseconds, in proportion to paths and dates."""

from __future__ import annotations

from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels.declaration_records import IS_CALL, TIME, VOLATILITY, Column, Kernel, RowWork, outputs, rate

ASSETS = (1, 2, 3)


def _of_each_asset(name: str, unit: str, domain: str) -> tuple[Column, ...]:
    return tuple(Column(f"{name}_{asset}", unit, f"{domain}; not read beyond asset_count") for asset in ASSETS)


ASSET_COUNT = Column("asset_count", "assets", "1, 2 or 3")
CORRELATIONS = tuple(
    Column(
        f"correlation_{pair}",
        "of the two assets' returns",
        "-1 to 1, positive semidefinite together; not read beyond asset_count",
    )
    for pair in ("12", "13", "23")
)
SAMPLING = (
    Column("path_exponent", "2^path_exponent paths, in 16 independent replicates", "whole, 10 to 24"),
    Column("is_philox", "0 scrambled Sobol, 1 Philox", "0 or 1"),
    Column("seed", "of the randomisation; equal seeds are common random numbers", "whole, 0 to 4294967295"),
)
YIELD = rate("dividend_yield")
FRACTION = "fraction of initial"

AUTOCALLABLE = Kernel(
    name="equity.autocallable",
    version=KERNEL_VERSIONS["equity.autocallable"],
    summary="Autocallable note on the worst of one to three assets, with coupons, memory and protection",
    columns=(
        ASSET_COUNT,
        *_of_each_asset("spot", "price", "> 0"),
        *_of_each_asset("initial", "price, of which barriers are fractions", "> 0"),
        *_of_each_asset(
            "volatility", VOLATILITY.unit, "volatility^2 times the last observation 0 to 100, volatility >= 0"
        ),
        *_of_each_asset("dividend_yield", YIELD.unit, YIELD.domain),
        *CORRELATIONS,
        rate("rate"),
        Column("first_observation", "years", ">= 0"),
        Column("interval", "years between observations", "> 0"),
        Column("observation_count", "observations, the last at maturity", "whole, 1 to 256"),
        Column("autocall_barrier", FRACTION, "> 0"),
        Column("autocall_step", f"{FRACTION}, taken off the barrier at each observation", ">= 0, barrier stays > 0"),
        Column("coupon_barrier", FRACTION, ">= 0"),
        Column("coupon", "fraction of notional per observation", "finite"),
        Column("has_memory", "1 pays missed coupons with the next, 0 does not", "0 or 1"),
        Column("protection_barrier", f"{FRACTION}, watched at maturity; 0 is full protection", "0 to put_strike"),
        Column("put_strike", f"{FRACTION}: below protection the worst asset over it is repaid", "> 0"),
        Column("notional", "currency", "finite"),
        *SAMPLING,
    ),
    outputs=outputs(
        pv="currency",
        standard_error="currency, of pv",
        delta_1="currency per unit of spot_1",
        delta_2="currency per unit of spot_2",
        delta_3="currency per unit of spot_3",
        vega_1="currency per 1.00 of volatility_1",
        vega_2="currency per 1.00 of volatility_2",
        vega_3="currency per 1.00 of volatility_3",
        rho="currency per 1.00 of rate",
        expected_life="years",
        loss_probability="of a repayment below notional",
    ),
    source="P. Glasserman and J. Staum, Conditioning on one-step survival for barrier option simulations, Operations "
    "Research 49 (2001); A. Griewank, F. Kuo, H. Leoevey, I. Sloan, High dimensional integration of kinks and jumps: "
    "smoothing by preintegration, J. Comput. Appl. Math. 344 (2018)",
    module="autocallable",
    function="autocallable",
    row_s=8e-3,
    work=RowWork(step_s=40e-9, exponent_column="path_exponent", count_column="observation_count"),
)

BASKET = Kernel(
    name="equity.basket",
    version=KERNEL_VERSIONS["equity.basket"],
    summary="European option on the worst, the best or the mean of one to three assets",
    columns=(
        ASSET_COUNT,
        *_of_each_asset("spot", "price", "> 0"),
        *_of_each_asset("volatility", VOLATILITY.unit, "volatility^2 times time 0 to 100, volatility >= 0"),
        *_of_each_asset("dividend_yield", YIELD.unit, YIELD.domain),
        *CORRELATIONS,
        Column("strike", "price", ">= 0"),
        TIME,
        rate("rate"),
        Column("basket_type", "0 worst, 1 best, 2 mean", "0, 1 or 2"),
        IS_CALL,
        *SAMPLING,
    ),
    outputs=outputs(
        pv="price",
        standard_error="price, of pv",
        delta_1="per unit of spot_1",
        delta_2="per unit of spot_2",
        delta_3="per unit of spot_3",
        vega_1="per 1.00 of volatility_1",
        vega_2="per 1.00 of volatility_2",
        vega_3="per 1.00 of volatility_3",
        rho="per 1.00 of rate",
    ),
    source="R. Stulz, Options on the minimum or the maximum of two risky assets, J. Financial Economics 10 (1982); "
    "P. Glasserman, Monte Carlo methods in financial engineering, Springer (2003)",
    module="basket",
    function="basket",
    row_s=4e-3,
    work=RowWork(step_s=60e-9, exponent_column="path_exponent", count_column="asset_count"),
)

SAMPLED = (AUTOCALLABLE, BASKET)
