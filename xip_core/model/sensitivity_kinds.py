"""Kinds of ladders as tables: what may be moved, of which market objects, in which units.

`model.sensitivity` says what each kind means; a further kind is a line in each table here.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "zero_rate",
    "par_rate",
    "hazard_rate",
    "par_credit",
    "inflation",
    "vega",
    "fx",
    "equity",
    "commodity",
    "fx_points",
    "security_spread",
]
Unit = Literal["bp", "percent", "vol_point", "point"]
Scheme = Literal["central", "forward"]

UNIT_SIZES: dict[Unit, float] = {"bp": 1e-4, "percent": 0.01, "vol_point": 0.01, "point": 1.0}

FACTOR_KINDS = ("zero_rate", "hazard_rate", "fx", "equity")
"""Kinds that move factors of the market vector; the others move quotes."""

UNITS: dict[Kind, tuple[Unit, ...]] = {
    **dict.fromkeys(("zero_rate", "par_rate", "hazard_rate", "par_credit", "inflation", "security_spread"), ("bp",)),
    "vega": ("vol_point", "bp", "percent"),
    **dict.fromkeys(("fx", "equity", "commodity"), ("percent",)),
    "fx_points": ("point",),
}
"""The first is the kind's own."""

OBJECT_KINDS: dict[Kind, tuple[str, ...]] = {
    "zero_rate": ("curve",),
    "par_rate": ("curve",),
    "hazard_rate": ("hazard",),
    "par_credit": ("hazard",),
    "inflation": ("inflation", "year_on_year"),
    "vega": (
        "fx_volatility", "equity_volatility", "commodity_volatility", "swaption_volatility", "cap_volatility",
    ),
    "fx": ("fx",),
    "equity": ("equity",),
    "commodity": ("commodity",),
    "fx_points": ("curve",),
    "security_spread": ("security",),
}  # fmt: skip

ROLES: dict[Kind, frozenset[str]] = {
    "par_rate": frozenset({"rate", "spread"}),
    "par_credit": frozenset({"rate", "upfront"}),
    "inflation": frozenset({"rate"}),
    "vega": frozenset({"volatility"}),
    "commodity": frozenset({"spot", "price"}),
    "fx_points": frozenset({"points"}),
    "security_spread": frozenset({"spread"}),
}
"""Which quotes of an object are moved (`market_objects.QuoteUse`)."""

RISK_CLASSES = {
    "curve": "rates",
    "hazard": "credit",
    "security": "credit",
    "inflation": "inflation",
    "year_on_year": "inflation",
    "fx": "fx",
    "fx_volatility": "fx",
    "equity": "equity",
    "equity_volatility": "equity",
    "commodity": "commodity",
    "commodity_volatility": "commodity",
    "swaption_volatility": "rates",
    "cap_volatility": "rates",
}
"""By kind of object."""
