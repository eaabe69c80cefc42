"""Barriers, digitals, touches and other closed forms beyond the European option, as data."""

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

EQUITY_COLUMNS = (price("spot"), price("strike"), TIME, rate("rate"), rate("dividend_yield"), VOLATILITY, IS_CALL)
BARRIER_TYPE = Column("barrier_type", "0 down-in, 1 down-out, 2 up-in, 3 up-out", "0, 1, 2 or 3")
SPOT_GREEKS = outputs(
    pv="price", delta="per unit of spot", gamma="per unit of spot squared", vega="per 1.00 of volatility"
)
REINER_RUBINSTEIN = "E. Reiner and M. Rubinstein, Breaking down the barriers, Risk 4 (1991)"

BARRIER = Kernel(
    name="equity.barrier",
    version=KERNEL_VERSIONS["equity.barrier"],
    summary="European option knocked in or out by a continuously watched barrier",
    columns=(
        *EQUITY_COLUMNS,
        price("barrier"),
        Column(
            "rebate",
            "price; paid at knock-out, or at expiry if never knocked in",
            ">= 0; of an out option alive, 0 unless (r - q - v^2/2)^2 + 2 r v^2 >= 0",
        ),
        BARRIER_TYPE,
    ),
    outputs=SPOT_GREEKS,
    source=REINER_RUBINSTEIN,
    module="barrier",
    function="barrier",
)

CASH = Column("cash", "price, paid where is_asset is 0", ">= 0")
IS_ASSET = Column("is_asset", "1 pays the asset, 0 pays cash", "0 or 1")
RUBINSTEIN_REINER = "M. Rubinstein and E. Reiner, Unscrambling the binary code, Risk 4 (1991)"

DIGITAL = Kernel(
    name="equity.digital",
    version=KERNEL_VERSIONS["equity.digital"],
    summary="Cash-or-nothing or asset-or-nothing European option",
    columns=(*EQUITY_COLUMNS, CASH, IS_ASSET),
    outputs=SPOT_GREEKS,
    source=RUBINSTEIN_REINER,
    module="digital",
    function="digital",
)

DIGITAL_BARRIER = Kernel(
    name="equity.digital_barrier",
    version=KERNEL_VERSIONS["equity.digital_barrier"],
    summary="Digital knocked in or out by a continuously watched barrier",
    columns=(*EQUITY_COLUMNS, CASH, IS_ASSET, price("barrier"), BARRIER_TYPE),
    outputs=SPOT_GREEKS,
    source=RUBINSTEIN_REINER,
    module="digital_barrier",
    function="digital_barrier",
)

TOUCH = Kernel(
    name="equity.touch",
    version=KERNEL_VERSIONS["equity.touch"],
    summary="One-touch or no-touch, paid when touched or at expiry",
    columns=(
        price("spot"),
        price("barrier"),
        TIME,
        rate("rate"),
        rate("dividend_yield"),
        VOLATILITY,
        Column(
            "barrier_type",
            "0 one-touch below, 1 no-touch below, 2 one-touch above, 3 no-touch above",
            "0, 1, 2 or 3",
        ),
        CASH,
        IS_ASSET,
        Column(
            "pays_at_hit",
            "1 pays when touched, 0 at expiry",
            "0 or 1; 0 of a no-touch; of a touch alive, 0 unless (r - q - v^2/2)^2 + 2 r v^2 >= 0",
        ),
    ),
    outputs=SPOT_GREEKS,
    source=RUBINSTEIN_REINER,
    module="touch",
    function="touch",
)


def _volatility(name: str) -> Column:
    return Column(name, VOLATILITY.unit, VOLATILITY.domain)


CORRELATION = Column("correlation", "of the two assets' returns", "-1 to 1")
TWO_ASSET_GREEKS = outputs(
    pv="price",
    first_delta="per unit of the first spot",
    second_delta="per unit of the second spot",
    first_gamma="per unit of the first spot squared",
    second_gamma="per unit of the second spot squared",
    cross_gamma="first delta per unit of the second spot",
    first_vega="per 1.00 of the first volatility",
    second_vega="per 1.00 of the second volatility",
    to_correlation="per 1.00 of correlation",
)

MARGRABE = Kernel(
    name="equity.margrabe",
    version=KERNEL_VERSIONS["equity.margrabe"],
    summary="Right to exchange the second asset for the first",
    columns=(
        price("first_spot"),
        price("second_spot"),
        TIME,
        rate("first_yield"),
        rate("second_yield"),
        _volatility("first_volatility"),
        _volatility("second_volatility"),
        CORRELATION,
    ),
    outputs=(*TWO_ASSET_GREEKS, *outputs(theta="per year")),
    source="W. Margrabe, The value of an option to exchange one asset for another, J. Finance 33 (1978)",
    module="margrabe",
    function="margrabe",
)

SPREAD = Kernel(
    name="equity.spread",
    version=KERNEL_VERSIONS["equity.spread"],
    summary="Option on the first asset less the second, Kirk's approximation",
    columns=(
        price("first_spot"),
        price("second_spot"),
        Column("strike", "price", ">= 0"),
        TIME,
        rate("rate"),
        rate("first_yield"),
        rate("second_yield"),
        _volatility("first_volatility"),
        _volatility("second_volatility"),
        CORRELATION,
        IS_CALL,
    ),
    outputs=TWO_ASSET_GREEKS,
    source="E. Kirk, Correlation in the energy markets, Managing energy price risk, Risk Publications (1995)",
    module="spread",
    function="spread",
)

ASIAN_GEOMETRIC = Kernel(
    name="equity.asian_geometric",
    version=KERNEL_VERSIONS["equity.asian_geometric"],
    summary="European option on the geometric average of the spot",
    columns=(
        *EQUITY_COLUMNS,
        Column("first_fixing", "years", "0 to time"),
        Column("fixing_count", "equally spaced, the last at expiry; 0 is continuous", "whole, 0 to 1000000"),
    ),
    outputs=SPOT_GREEKS,
    source="A. Kemna and A. Vorst, A pricing method for options based on average asset values, "
    "J. Banking and Finance 14 (1990)",
    module="asian_geometric",
    function="asian_geometric",
)

JUMPS_DOMAIN = "expected jumps to expiry, plain and times exp(m + v^2/2), at most 20"
MERTON = Kernel(
    name="equity.merton",
    version=KERNEL_VERSIONS["equity.merton"],
    summary="European option on an asset with lognormal jumps",
    columns=(
        *EQUITY_COLUMNS,
        Column("jump_intensity", "jumps per year", f">= 0; {JUMPS_DOMAIN}"),
        Column("mean_log_jump", "m, of the logarithm of a jump's factor", "finite"),
        Column("jump_volatility", "v, standard deviation of that logarithm", ">= 0"),
    ),
    outputs=SPOT_GREEKS,
    source="R. Merton, Option pricing when underlying stock returns are discontinuous, J. Financial Economics 3 (1976)",
    module="merton",
    function="merton",
)

EXOTIC = (BARRIER, DIGITAL, DIGITAL_BARRIER, TOUCH, MARGRABE, SPREAD, ASIAN_GEOMETRIC, MERTON)
