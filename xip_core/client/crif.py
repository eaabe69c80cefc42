"""Ladders as CRIF, the Common Risk Interchange Format of the ISDA SIMM: a line for each risk factor.

    TradeID         the trade, or the labels of a group joined by "/", or "total"
    PortfolioID     the run
    ProductClass    RatesFX, Credit, Equity, Commodity: of the trade; of groups without a key asset_class, and of
                    bonds, which SIMM is not for, that of the risk factor
    RiskType        Risk_IRCurve, Risk_XCcyBasis, Risk_Inflation, Risk_CreditQ, Risk_CreditNonQ, Risk_FX, Risk_Equity,
                    Risk_Commodity, and Risk_IRVol, Risk_FXVol, Risk_EquityVol, Risk_CommodityVol
    Qualifier       rates and inflation: currency; credit, equities, commodities: the qualifier of the desk's entry,
                    else the name; FX: currency, of volatilities the pair
    Bucket          Risk_IRCurve: 1 regular, 2 low (JPY), 3 high volatility; credit, equities, commodities: of the
                    desk's entry (`model.crif`), without one Residual, of commodities 16 "Other"; elsewhere unused
    Label1          vertex: of Risk_IRCurve and volatilities (there the expiry) 2w to 30y, of credit 1y to 10y; unused
                    elsewhere
    Label2          Risk_IRCurve: OIS, Libor1m, .., by the index on the curve; of the desk's entry where there is one
    Amount          per basis point (rates, basis, credit, inflation), per percent (FX, equity, commodity); of
                    volatilities of FX, equities and commodities per volatility point, which SIMM weighs by a volatility
                    of its own (ladders in vol_point); of rates volatility times vega (ladders in percent)
    AmountCurrency  the base currency; AmountUSD at the market's spot, empty without one

A tenor between two vertices is shared by them linearly in time, one beyond the last counts there: the tents of ladders.
Records of one risk factor (expiries of swaptions into several swaps, forward prices of one commodity) are added; what
comes to exactly nothing has no line.

A par ladder of a curve whose only rates are spreads of cross-currency swaps against flat dollars is Risk_XCcyBasis of
the other currency.

Without a line, and counted with the reason: gammas, cross gammas and theta (SIMM makes its curvature of vegas); missing
numbers; volatilities in other units; FX points and securities' spreads; a bucket without a tenor where a vertex is
needed; cross-currency spreads not against flat dollars. Markets here have no CDS volatilities: no Risk_CreditVol.
Bases of the zero ladder are zero rates, those of the par ladder par quotes; SIMM allows either.

Source: ISDA, SIMM Methodology: Risk Data Standards (v1.36), section 2 and appendix 2; ISDA SIMM Methodology (v2.6),
section C (C.2 on vega), and for the volatility of currencies section D.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from xip_core.client.ladders import LADDER_FIELDS
from xip_core.errors import RequestError
from xip_core.model.crif import OTHER_COMMODITY, RESIDUAL, SUB_CURVES, CrifBucket, CrifBuckets
from xip_core.model.market import Snapshot, usable_quote
from xip_core.model.market_instruments import CrossCurrencyBasisSwaps, CurveDefinition, FxForwards
from xip_core.model.market_objects import market_objects, maturity_years
from xip_core.model.sensitivity import CREDIT_VERTICES, VERTICES, tent

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
"""Of asset classes and of risk classes; bonds have none."""

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
_OF_CURRENCY = ("curve", "inflation", "year_on_year", "swaption_volatility", "cap_volatility")
_UNPLACED = {"Risk_CreditQ": RESIDUAL, "Risk_Equity": RESIDUAL, "Risk_Commodity": OTHER_COMMODITY}
"""Buckets of names without an entry, by risk type of the underlying."""


class Crif(msgspec.Struct, frozen=True):
    """
    Attributes:
        lines: in the order of `CRIF_COLUMNS`.
        left_out: how many records have no line, by reason.
        unplaced: what the desk's entries should say more of: "hazard/BANK: Risk_CreditQ, bucket Residual".
    """

    lines: tuple[tuple[str | float, ...], ...]
    left_out: dict[str, int]
    unplaced: tuple[str, ...]

    @property
    def left_out_count(self) -> int:
        return sum(self.left_out.values())


class _NoLineError(Exception):
    """A record has no line; says why."""


class _Factor(NamedTuple):
    """A risk factor: what lines are added by."""

    trade_id: str
    product_class: str
    risk_type: str
    qualifier: str
    bucket: str
    label1: str
    label2: str


def crif_of(
    records: Iterable[dict[str, Any]],
    snapshot: Snapshot,
    portfolio: str,
    buckets: CrifBuckets | None = None,
    asset_classes: Mapping[str, str] | None = None,
) -> Crif:
    """
    Ladder records, of groups or of trades, as CRIF.

    Args:
        buckets: the desk's entries.
        asset_classes: of the trades, by id; a group's is its label "asset_class".
    """
    writer = _Writer(snapshot, buckets or {}, asset_classes or {})
    amounts: dict[_Factor, float] = {}
    left_out: Counter[str] = Counter()
    for record in records:
        try:
            shares = writer.shares(record)
        except _NoLineError as reason:
            left_out[str(reason)] += 1
            continue
        for factor, amount in shares:
            amounts[factor] = amounts.get(factor, 0.0) + amount
    dollar = _dollars_per_base(snapshot)
    lines = tuple(
        (
            factor.trade_id, portfolio, *factor[1:],
            amount, snapshot.base_currency, amount * dollar if dollar is not None else "",
        )
        for factor, amount in amounts.items()
        if amount != 0.0
    )  # fmt: skip
    return Crif(lines, dict(left_out), tuple(writer.unplaced))


class _Writer:
    """
    Attributes:
        unplaced: sentences, each once, in the order they are met.
    """

    def __init__(self, snapshot: Snapshot, buckets: CrifBuckets, asset_classes: Mapping[str, str]) -> None:
        self.unplaced: dict[str, None] = {}
        self._snapshot = snapshot
        self._buckets = buckets
        self._asset_classes = asset_classes
        self._objects = market_objects(snapshot)
        self._basis = _basis_currencies(snapshot)
        self._sub_curves = {f"curve/{curve}": "OIS" for curve in snapshot.discount_curves.values()}
        for index in snapshot.indices:
            tenor = "12m" if index.tenor == "1Y" else index.tenor.lower()
            self._sub_curves[f"curve/{index.curve}"] = "OIS" if index.is_overnight else f"Libor{tenor}"

    def shares(self, record: dict[str, Any]) -> list[tuple[_Factor, float]]:
        """Risk factors of a record, and how much of its number each has.

        Raises:
            _NoLineError: CRIF has no line for it.
        """
        _check_has_line(record)
        name, risk_class = record["object"], record["risk_class"]
        is_weighted = record["kind"] == "vega" and record["unit"] == "percent"
        amount = record["value"] * (100.0 if is_weighted else 1.0)
        trade_id = _trade_id(record)
        asset_class = record.get("asset_class", self._asset_classes.get(trade_id, ""))
        product_class = _PRODUCT_CLASSES.get(asset_class, _PRODUCT_CLASSES[risk_class])
        if record["kind"] == "par_rate" and name in self._basis:
            currency = self._basis[name]
            if not currency:
                raise _NoLineError("cross-currency spreads not against flat dollars")
            return [(_Factor(trade_id, product_class, "Risk_XCcyBasis", currency, "", "", ""), amount)]
        kind, short_name = name.split("/", 1)
        entry = self._buckets.get(f"{kind.removesuffix('_volatility')}/{short_name}")
        risk_type = entry.risk_type if entry is not None and kind == "hazard" else _RISK_TYPES[kind]
        qualifier = self._qualifier(kind, name, entry)
        bucket, label2 = self._place(kind, name, risk_type, qualifier, entry)
        return [
            (_Factor(trade_id, product_class, risk_type, qualifier, bucket, label1, label2), share * amount)
            for label1, share in self._vertices(record, kind)
        ]

    def _qualifier(self, kind: str, name: str, entry: CrifBucket | None) -> str:
        if kind in _OF_CURRENCY:
            return self._objects[name].currency
        return (entry.qualifier if entry else "") or name.split("/", 1)[1]

    def _place(self, kind: str, name: str, risk_type: str, qualifier: str, entry: CrifBucket | None) -> tuple[str, str]:
        """Bucket and second label."""
        if kind == "curve":
            label = entry.label2 if entry else self._sub_curves.get(name, "")
            if label not in SUB_CURVES:
                self.unplaced[f"{name}: Risk_IRCurve without Label2, no index is on it whose tenor SIMM knows"] = None
                label = ""
            return _rate_bucket(qualifier), label
        underlying = risk_type.removesuffix("Vol")
        if entry is not None and kind != "fx_volatility":
            return entry.bucket, entry.label2
        if underlying in _UNPLACED:
            of = f"{kind.removesuffix('_volatility')}/{name.split('/', 1)[1]}"
            self.unplaced[f"{of}: {underlying}, bucket {_UNPLACED[underlying]}"] = None
        return _UNPLACED.get(underlying, ""), ""

    def _vertices(self, record: dict[str, Any], kind: str) -> list[tuple[str, float]]:
        """First labels, and the share of each."""
        if kind not in ("curve", "hazard") and record["kind"] != "vega":
            return [("", 1.0)]
        tenor = record["bucket"].split("/", 1)[0].split(" ", 1)[0]
        as_of = self._snapshot.as_of
        try:
            years = sum(maturity_years(part, as_of) for part in tenor.split("+"))
        except RequestError:
            raise _NoLineError("buckets without a tenor") from None
        names = CREDIT_VERTICES if kind == "hazard" else VERTICES
        centres = [maturity_years(vertex, as_of) for vertex in names]
        shares = ((vertex.lower(), tent(centres, at, years)) for at, vertex in enumerate(names))
        return [(label, share) for label, share in shares if share != 0.0]


def _check_has_line(record: dict[str, Any]) -> None:
    if record["measure"] != "delta":
        raise _NoLineError(record["measure"].replace("_", " "))
    if record["value"] is None or record["value"] != record["value"]:
        raise _NoLineError("missing numbers")
    unit = "percent" if record["risk_class"] == "rates" else "vol_point"
    if record["kind"] == "vega" and record["unit"] != unit:
        raise _NoLineError(f"volatilities of {record['risk_class']} in other units than {unit}")
    if record["kind"] in ("fx_points", "security_spread"):
        raise _NoLineError(record["kind"].replace("_", " ").replace("fx", "FX"))


def _basis_currencies(snapshot: Snapshot) -> dict[str, str]:
    """Curves whose only rates are cross-currency spreads: the currency of the spread, "" if not against dollars."""
    currencies = {index.name: index.currency for index in snapshot.indices}

    def currency_of(curve: CurveDefinition) -> str | None:
        swaps = [segment for segment in curve.segments if isinstance(segment, CrossCurrencyBasisSwaps)]
        others = [s for s in curve.segments if not isinstance(s, CrossCurrencyBasisSwaps | FxForwards)]
        if not swaps or others:
            return None
        found = {currencies.get(s.spread_index, "") for s in swaps if currencies.get(s.flat_index) == "USD"}
        return found.pop() if len(found) == 1 and all(currencies.get(s.flat_index) == "USD" for s in swaps) else ""

    named = ((f"curve/{curve.name}", currency_of(curve)) for curve in snapshot.curves)
    return {name: currency for name, currency in named if currency is not None}


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
