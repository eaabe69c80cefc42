"""Bonds, as data."""

from __future__ import annotations

from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels.declaration_records import Column, Kernel, outputs

YIELD = Kernel(
    name="bond.yield",
    version=KERNEL_VERSIONS["bond.yield"],
    summary="Yield of a regular bond from its dirty price, street convention",
    columns=(
        Column("price", "dirty, per unit of face", "0.000001 to 1000000"),
        Column("coupon", "per year, 0.05 is 5 %", ">= 0; not 0 if redemption is"),
        Column("frequency", "coupons a year", "1 to 365"),
        Column("coupon_count", "coupons still to come", "whole, 1 to 1200"),
        Column("first_period", "part of a period to the first of them", "> 0; at most 1"),
        Column("redemption", "per unit of face", ">= 0"),
    ),
    outputs=outputs(
        yield_rate="per year, compounded frequency times",
        modified_duration="years",
        convexity="years squared",
    ),
    source="ICMA rule 225; J. Stigum and F. Robinson, Money market and bond calculations (1996)",
    module="bond",
    function="from_price",
    row_s=1e-6,
)

BONDS = (YIELD,)
