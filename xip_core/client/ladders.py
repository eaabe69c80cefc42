"""Ladders of single trades, and ladders as CRIF, on the client's side.

**CRIF** is the Common Risk Interchange Format of the ISDA SIMM: a line a sensitivity. What of it follows from a ladder:

    TradeID         the trade, or the labels of a group joined by "/", or "total"
    PortfolioID     the run
    ProductClass    RatesFX, Credit, Equity, Commodity
    RiskType        Risk_IRCurve, Risk_Inflation, Risk_CreditQ, Risk_FX, Risk_Equity, Risk_Commodity, and
                    Risk_IRVol, Risk_FXVol, Risk_EquityVol, Risk_CommodityVol
    Qualifier       rates and inflation: currency; credit, equities, commodities: name; FX: currency, of volatilities
                    the pair
    Bucket          rates: 1 regular, 2 low (JPY), 3 high volatility. Elsewhere it follows from sector and rating, which
                    a market does not know: empty, to be filled from reference data
    Label1          tenor in lower case: of the vertex, of volatilities that of the expiry
    Label2          rates: OIS, Libor1m, .., by the index on the curve; empty for a curve no index is on
    Amount          per basis point (rates, credit, inflation), per percent (FX, equity, commodity); of volatilities
                    volatility times vega, so ladders of volatilities must have the unit percent
    AmountCurrency  the base currency; AmountUSD at the market's spot, empty without one

Left out, and counted: gammas, cross gammas and theta, which CRIF has no lines for; volatilities in other units.
Bases of the zero ladder are zero rates, those of the par ladder par quotes; SIMM allows either.

Source: ISDA, SIMM: Risk Data Standards (v2.6); ISDA SIMM Methodology (v2.6), section 3 and paragraph 14.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xip_core.model.market import Snapshot, usable_quote
from xip_core.model.market_objects import market_objects
from xip_core.model.sensitivity import Expansion
from xip_core.risk.ladder import combine, ladder_rows

if TYPE_CHECKING:
    from xip_core.client.results import RunNumbers

CRIF_COLUMNS = (
    "TradeID",
    "PortfolioID",
    "ProductClass",
    "RiskType",
    "Qualifier",
    "Bucket",
    "Label1",
    "Label2",
    "Amount",
    "AmountCurrency",
    "AmountUSD",
)

LADDER_FIELDS = ("risk_class", "kind", "measure", "object", "bucket", "object_2", "bucket_2", "unit", "bump", "value")
"""Of a record, behind its labels."""

LOW_VOLATILITY = frozenset({"JPY"})
REGULAR_VOLATILITY = frozenset({
    "USD", "EUR", "GBP", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "HKD", "KRW", "SGD", "TWD",
})  # fmt: skip

_PRODUCT_CLASSES = {
    "rates": "RatesFX",
    "inflation": "RatesFX",
    "fx": "RatesFX",
    "credit": "Credit",
    "equity": "Equity",
    "commodity": "Commodity",
}
_RISK_TYPES = {
    "curve": "Risk_IRCurve",
    "inflation": "Risk_Inflation",
    "year_on_year": "Risk_Inflation",
    "hazard": "Risk_CreditQ",
    "fx": "Risk_FX",
    "equity": "Risk_Equity",
    "commodity": "Risk_Commodity",
    "swaption_volatility": "Risk_IRVol",
    "cap_volatility": "Risk_IRVol",
    "fx_volatility": "Risk_FXVol",
    "equity_volatility": "Risk_EquityVol",
    "commodity_volatility": "Risk_CommodityVol",
}


class Crif(msgspec.Struct, frozen=True):
    """Lines in the order of `CRIF_COLUMNS`, and how many records have none."""

    lines: tuple[tuple[str | float, ...], ...]
    left_out_count: int


def trade_records(numbers: RunNumbers, expansion: Expansion) -> Iterator[dict[str, Any]]:
    """
    A record for each sensitivity of each trade, from a run with the detail of all its columns.

    A trade without a number in a column has none in the sensitivities that need it: value None.
    """
    named = [msgspec.structs.asdict(row) for row in ladder_rows(expansion)]
    values = combine(expansion, numbers.pv - numbers.pv[:, :1])
    for trade, row in zip(numbers.trade_ids, values.tolist(), strict=True):
        for what, value in zip(named, row, strict=True):
            yield {"trade": trade, **what, "value": None if value != value else value}


def crif_of(records: Sequence[dict[str, Any]], snapshot: Snapshot, portfolio: str) -> Crif:
    """Ladder records, of groups or of trades, as CRIF."""
    writer = _Writer(snapshot, portfolio)
    lines = [writer.line(record) for record in records]
    kept = tuple(line for line in lines if line is not None)
    return Crif(kept, len(lines) - len(kept))


class _Writer:
    def __init__(self, snapshot: Snapshot, portfolio: str) -> None:
        self._snapshot = snapshot
        self._portfolio = portfolio
        self._objects = market_objects(snapshot)
        self._dollar = _dollars_per_base(snapshot)
        self._sub_curves = {f"curve/{curve}": "OIS" for curve in snapshot.discount_curves.values()}
        for index in snapshot.indices:
            self._sub_curves[f"curve/{index.curve}"] = "OIS" if index.is_overnight else f"Libor{index.tenor.lower()}"

    def line(self, record: dict[str, Any]) -> tuple[str | float, ...] | None:
        """None for what CRIF has no line for."""
        if record["measure"] != "delta" or record["value"] is None:
            return None
        is_volatility = record["kind"] == "vega"
        if is_volatility and record["unit"] != "percent":
            return None
        name = record["object"]
        kind = name.split("/", 1)[0]
        amount = record["value"] * (100.0 if is_volatility else 1.0)
        qualifier = self._qualifier(kind, name)
        tenor = record["bucket"].split("/", 1)[0].split(" ", 1)[0].lower()
        return (
            _trade_id(record),
            self._portfolio,
            _PRODUCT_CLASSES[record["risk_class"]],
            _RISK_TYPES[kind],
            qualifier,
            _rate_bucket(qualifier) if kind == "curve" else "",
            tenor if kind in ("curve", "hazard") or is_volatility else "",
            self._sub_curves.get(name, "") if kind == "curve" else "",
            amount,
            self._snapshot.base_currency,
            amount * self._dollar if self._dollar is not None else "",
        )

    def _qualifier(self, kind: str, name: str) -> str:
        if kind in ("curve", "inflation", "year_on_year", "swaption_volatility", "cap_volatility"):
            return self._objects[name].currency
        return name.split("/", 1)[1]


def _rate_bucket(currency: str) -> str:
    if currency in LOW_VOLATILITY:
        return "2"
    return "1" if currency in REGULAR_VOLATILITY else "3"


def _trade_id(record: dict[str, Any]) -> str:
    labels = [
        str(value) for name, value in record.items() if name not in (*LADDER_FIELDS, "rows_used", "rows_expected")
    ]
    return "/".join(labels) or "total"


def _dollars_per_base(snapshot: Snapshot) -> float | None:
    """Price of the base currency in dollars, None where the market has none."""
    if snapshot.base_currency == "USD":
        return 1.0
    for spot in snapshot.fx_spots:
        if {spot.foreign_currency, spot.domestic_currency} == {"USD", snapshot.base_currency}:
            price = usable_quote(snapshot.quotes, spot.quote)
            return price if spot.domestic_currency == "USD" else 1.0 / price
    return None
