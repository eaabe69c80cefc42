"""FX delta conventions, SABR and SVI smiles, as data."""

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

SPOT = price("spot", "domestic per foreign")
CARRY = (TIME, rate("domestic_rate"), rate("foreign_rate"), VOLATILITY)
DELTA_TYPE = Column(
    "delta_type", "0 spot, 1 forward, 2 spot premium-adjusted, 3 forward premium-adjusted", "0, 1, 2 or 3"
)
REISWICH_WYSTUP = "D. Reiswich and U. Wystup, FX volatility smile construction, Wilmott (2012)"

FX_DELTA = Kernel(
    name="fx.delta",
    version=KERNEL_VERSIONS["fx.delta"],
    summary="Quoted delta of an FX option",
    columns=(SPOT, price("strike", "domestic per foreign"), *CARRY, IS_CALL, DELTA_TYPE),
    outputs=outputs(
        delta="foreign currency per unit of foreign notional",
        to_strike="delta per unit of strike",
        to_volatility="delta per 1.00 of volatility",
    ),
    source=REISWICH_WYSTUP,
    module="fx_delta",
    function="delta",
)

FX_STRIKE_OF_DELTA = Kernel(
    name="fx.strike_of_delta",
    version=KERNEL_VERSIONS["fx.strike_of_delta"],
    summary="Strike at which an FX option has the quoted delta",
    columns=(
        SPOT,
        Column(
            "delta",
            "foreign currency per unit of foreign notional",
            "call: > 0 up to the convention's largest (below 1, spot deltas below the foreign discount factor, "
            "premium-adjusted below the largest over all strikes); put: < 0 down to -1 or minus that factor, "
            "premium-adjusted any",
        ),
        *CARRY,
        IS_CALL,
        DELTA_TYPE,
    ),
    outputs=outputs(
        strike="domestic per foreign",
        to_delta="strike per 1.00 of delta",
        to_volatility="strike per 1.00 of volatility, delta held",
    ),
    source=REISWICH_WYSTUP,
    module="fx_strike_of_delta",
    function="strike_of_delta",
    row_s=400e-9,
)

FX_ATM_STRIKE = Kernel(
    name="fx.atm_strike",
    version=KERNEL_VERSIONS["fx.atm_strike"],
    summary="Strike that an FX market calls at the money",
    columns=(
        SPOT,
        *CARRY,
        Column(
            "atm_type",
            "0 spot, 1 forward, 2 delta-neutral straddle, 3 largest vega, 4 largest gamma, 5 deltas of one half",
            "0 to 5; 5 with delta_type 1 only",
        ),
        DELTA_TYPE,
    ),
    outputs=outputs(strike="domestic per foreign", to_volatility="strike per 1.00 of volatility"),
    source=REISWICH_WYSTUP,
    module="fx_atm_strike",
    function="atm_strike",
)

SABR_COLUMNS = (
    Column("forward", "rate or price", "> -shift"),
    Column("strike", "as forward", "> -shift"),
    TIME,
    Column("alpha", "volatility of (forward + shift)^beta, per sqrt(year)", "> 0"),
    Column("beta", "exponent", "0 to 1"),
    Column("rho", "correlation of forward and volatility", "> -1 and < 1"),
    Column("nu", "volatility of volatility, per sqrt(year)", ">= 0; such that the expansion stays >= 0"),
    Column("shift", "added to forward and strike", "finite"),
)


def _sabr(name: str, summary: str, unit: str, formula: str) -> Kernel:
    return Kernel(
        name=name,
        version=KERNEL_VERSIONS[name],
        summary=summary,
        columns=SABR_COLUMNS,
        outputs=outputs(
            volatility=unit,
            to_forward="volatility per unit of forward",
            to_strike="volatility per unit of strike",
            to_alpha="volatility per 1.00 of alpha",
            to_beta="volatility per 1.00 of beta",
            to_rho="volatility per 1.00 of rho",
            to_nu="volatility per 1.00 of nu",
            to_time="volatility per year",
        ),
        source=f"P. Hagan, D. Kumar, A. Lesniewski, D. Woodward, Managing smile risk, Wilmott (2002), {formula}",
        module="volatility_sabr",
        function=name.removeprefix("volatility."),
    )


SABR = _sabr(
    "volatility.sabr", "Lognormal volatility of the (shifted) SABR model, Hagan's expansion", "per sqrt(year)", "2.17a"
)
SABR_NORMAL = _sabr(
    "volatility.sabr_normal",
    "Normal volatility of the (shifted) SABR model, Hagan's expansion",
    "unit of forward per sqrt(year)",
    "B.67a",
)

SVI = Kernel(
    name="volatility.svi",
    version=KERNEL_VERSIONS["volatility.svi"],
    summary="Total variance of a raw SVI slice, with Durrleman's function of butterfly arbitrage",
    columns=(
        Column("log_moneyness", "ln(strike / forward)", "finite"),
        Column("time", "years", "> 0"),
        Column("a", "variance", "finite, a + b sigma sqrt(1 - rho^2) >= 0"),
        Column("b", "variance per unit of log-moneyness", ">= 0"),
        Column("rho", "skew", "-1 to 1"),
        Column("m", "log-moneyness", "finite"),
        Column("sigma", "log-moneyness", "> 0"),
    ),
    outputs=outputs(
        volatility="per sqrt(year)",
        total_variance="variance",
        slope="variance per unit of log-moneyness",
        curvature="variance per unit of log-moneyness squared",
        durrleman="density over its lognormal shape; < 0 is butterfly arbitrage",
        to_b="variance per 1.00 of b",
        to_rho="variance per 1.00 of rho",
        to_m="variance per 1.00 of m",
        to_sigma="variance per 1.00 of sigma",
    ),
    source="J. Gatheral and A. Jacquier, Arbitrage-free SVI volatility surfaces, Quantitative Finance 14 (2014)",
    module="volatility_svi",
    function="svi",
)

VOLATILITY_KERNELS = (FX_DELTA, FX_STRIKE_OF_DELTA, FX_ATM_STRIKE, SABR, SABR_NORMAL, SVI)
