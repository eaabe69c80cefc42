"""What each kernel takes and gives, as data: the catalogue, `xipctl kernels` and the tests read it.

A kernel's version is changed by hand whenever a number it gives may change in any bit; it is part of a run's lineage.
"""

from __future__ import annotations

from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels.declaration_records import (
    DISCOUNT,
    IS_CALL,
    TIME,
    VOLATILITY,
    Column,
    Kernel,
    Output,
    outputs,
    price,
    rate,
)
from xip_core.kernels.declarations_bonds import BONDS
from xip_core.kernels.declarations_exotic import EXOTIC
from xip_core.kernels.declarations_heston import HESTON
from xip_core.kernels.declarations_options import OPTIONS
from xip_core.kernels.declarations_path import PATH
from xip_core.kernels.declarations_sampled import SAMPLED
from xip_core.kernels.declarations_volatility import VOLATILITY_KERNELS

__all__ = ["KERNELS", "Column", "Kernel", "Output"]

BLACK = Kernel(
    name="black.european",
    version=KERNEL_VERSIONS["black.european"],
    summary="European option on a forward, lognormal",
    columns=(price("forward"), price("strike"), TIME, VOLATILITY, DISCOUNT, IS_CALL),
    outputs=outputs(
        pv="price",
        delta="per unit of forward",
        gamma="per unit of forward squared",
        vega="per 1.00 of volatility",
        theta="per year, forward and rate held",
        rho="per 1.00 of the rate in the discount factor, forward held",
        vanna="delta per 1.00 of volatility",
        volga="vega per 1.00 of volatility",
    ),
    source="F. Black, The pricing of commodity contracts, J. Financial Economics 3 (1976)",
    module="black",
    function="european",
)

BACHELIER = Kernel(
    name="bachelier.european",
    version=KERNEL_VERSIONS["bachelier.european"],
    summary="European option on a forward, normal",
    columns=(
        Column("forward", "rate or price, any sign", "finite"),
        Column("strike", "as forward", "finite"),
        TIME,
        Column("normal_volatility", "unit of forward per sqrt(year)", ">= 0"),
        DISCOUNT,
        Column("is_call", "1 call (payer), 0 put (receiver)", "0 or 1"),
    ),
    outputs=outputs(
        pv="unit of forward",
        delta="per unit of forward",
        gamma="per unit of forward squared",
        vega="per 1.00 of normal volatility",
        theta="per year, forward and rate held",
    ),
    source="L. Bachelier, Theorie de la speculation, Annales de l'ENS 17 (1900)",
    module="bachelier",
    function="european",
)

EQUITY = Kernel(
    name="equity.european",
    version=KERNEL_VERSIONS["equity.european"],
    summary="European option on an asset with a continuous yield",
    columns=(
        price("spot"),
        price("strike"),
        TIME,
        rate("rate"),
        rate("dividend_yield"),
        VOLATILITY,
        IS_CALL,
    ),
    outputs=outputs(
        pv="price",
        delta="per unit of spot",
        gamma="per unit of spot squared",
        vega="per 1.00 of volatility",
        theta="per year",
        rho="per 1.00 of rate",
        dividend_rho="per 1.00 of dividend yield",
        vanna="delta per 1.00 of volatility",
        volga="vega per 1.00 of volatility",
    ),
    source="F. Black and M. Scholes, J. Political Economy 81 (1973); R. Merton, Bell J. Economics 4 (1973)",
    module="equity",
    function="european",
)

FX = Kernel(
    name="fx.european",
    version=KERNEL_VERSIONS["fx.european"],
    summary="European option on one unit of foreign currency, in domestic currency",
    columns=(
        price("spot", "domestic per foreign"),
        price("strike", "domestic per foreign"),
        TIME,
        rate("domestic_rate"),
        rate("foreign_rate"),
        VOLATILITY,
        Column("is_call", "1 call on the foreign currency, 0 put", "0 or 1"),
    ),
    outputs=outputs(
        pv="domestic currency per unit of foreign",
        delta="per unit of spot, premium in domestic currency",
        gamma="per unit of spot squared",
        vega="per 1.00 of volatility",
        theta="per year",
        rho_domestic="per 1.00 of domestic rate",
        rho_foreign="per 1.00 of foreign rate",
        vanna="delta per 1.00 of volatility",
        volga="vega per 1.00 of volatility",
    ),
    source="M. Garman and S. Kohlhagen, J. International Money and Finance 2 (1983)",
    module="fx",
    function="european",
)

CDS_FLAT = Kernel(
    name="credit.cds_flat",
    version=KERNEL_VERSIONS["credit.cds_flat"],
    summary="Bought credit protection on flat curves, mid-point method",
    columns=(
        Column("notional", "currency, negative for sold protection", "finite"),
        Column("coupon", "per year, 0.01 is 1 %", "finite"),
        Column("time", "years to maturity", ">= 0, at most 1000 periods"),
        Column("period", "years between coupons, counted back from maturity", "0.001 to 1000"),
        rate("rate"),
        Column("hazard_rate", "per year, continuous", ">= 0"),
        Column("recovery", "fraction of notional", "0 to 1"),
    ),
    outputs=outputs(
        pv="currency",
        cs01="currency per +1 bp of hazard rate (not of the par spread)",
        jtd="currency, value on default now minus pv",
    ),
    source="D. O'Kane and S. Turnbull, Valuation of credit default swaps, Lehman Brothers (2003)",
    module="credit",
    function="cds_flat",
)

_WITH_FAMILIES = (*BONDS, *OPTIONS, *EXOTIC, *PATH, *SAMPLED, HESTON, *VOLATILITY_KERNELS)

KERNELS = (BLACK, BACHELIER, EQUITY, FX, CDS_FLAT, *_WITH_FAMILIES)
