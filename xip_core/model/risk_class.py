"""Risk classes: which part of a desk's risk a quote belongs to.

A quote has the class of the object that is made from it, not of those further on: an EUR rate moves an equity forward
and is interest-rate risk all the same. FX points are INTEREST_RATE, because with the spot standing still they say what
the two currencies' rates do; they scale along when the spot itself is shifted, which is FX. All of a volatility
surface (at the money, risk reversals, butterflies) is VOLATILITY, whatever its underlying.
"""

from __future__ import annotations

from typing import Literal, get_args

RiskClass = Literal["INTEREST_RATE", "FX", "EQUITY", "COMMODITY", "CREDIT", "INFLATION", "VOLATILITY"]

RISK_CLASSES: tuple[RiskClass, ...] = get_args(RiskClass)

CLASS_OF_KIND: dict[str, RiskClass] = {
    "curve": "INTEREST_RATE",
    "fx": "FX",
    "equity": "EQUITY",
    "commodity": "COMMODITY",
    "hazard": "CREDIT",
    "security": "CREDIT",
    "inflation": "INFLATION",
    "year_on_year": "INFLATION",
    "fx_volatility": "VOLATILITY",
    "equity_volatility": "VOLATILITY",
    "commodity_volatility": "VOLATILITY",
    "swaption_volatility": "VOLATILITY",
    "cap_volatility": "VOLATILITY",
}
"""Kind of market object to risk class."""

LEVEL_ROLES: dict[RiskClass, frozenset[str]] = {
    "INTEREST_RATE": frozenset({"rate", "discount"}),
    "FX": frozenset({"spot"}),
    "EQUITY": frozenset({"spot"}),
    "COMMODITY": frozenset({"spot", "price"}),
    "CREDIT": frozenset({"rate"}),
    "INFLATION": frozenset({"rate"}),
    "VOLATILITY": frozenset({"volatility"}),
}
"""What a shift of a whole class moves: outright levels, not the spreads, dividends or reversals on top of them."""


def risk_class_of(kind: str, role: str) -> RiskClass:
    """Of a quote with *role* in an object of *kind*; the spot quote of an FX forward segment is FX."""
    return "FX" if kind == "curve" and role == "spot" else CLASS_OF_KIND[kind]
