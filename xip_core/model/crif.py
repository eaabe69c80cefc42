"""What the Common Risk Interchange Format asks for that a market does not know: bucket, second label, identifier.

SIMM sorts issuers by sector, rating and size, commodities by kind; a market has their names alone. The desk's reference
data says the rest, an entry a name:

    Risk_CreditQ        1 to 12, Residual       label2 "Sec" of a securitisation
    Risk_CreditNonQ     1, 2, Residual          label2: the group of the securitisation
    Risk_Equity         1 to 12, Residual       11 indices, funds and ETFs, 12 volatility indices
    Risk_Commodity      1 to 17                 16 other, 17 indices
    Risk_IRCurve        none                    label2: the sub-curve, of a curve that no index is on

Buckets of a volatility are those of its underlying. Names without an entry go to Residual, commodities, which have no
such bucket, to 16.

Source: ISDA, SIMM Methodology: Risk Data Standards (v1.36), section 2.1 and appendix 2, for the columns; SIMM
Methodology (v2.6), sections E to G, for the buckets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from xip_core.errors import RequestError
from xip_core.model.market_instruments import Record

RiskType = Literal["Risk_CreditQ", "Risk_CreditNonQ", "Risk_Equity", "Risk_Commodity", "Risk_IRCurve"]

RESIDUAL = "Residual"
OTHER_COMMODITY = "16"

SUB_CURVES = ("OIS", "Libor1m", "Libor3m", "Libor6m", "Libor12m", "Prime", "Municipal")

BUCKETS: dict[RiskType, tuple[str, ...]] = {
    "Risk_CreditQ": (*map(str, range(1, 13)), RESIDUAL),
    "Risk_CreditNonQ": ("1", "2", RESIDUAL),
    "Risk_Equity": (*map(str, range(1, 13)), RESIDUAL),
    "Risk_Commodity": tuple(map(str, range(1, 18))),
    "Risk_IRCurve": ("",),  # by the volatility of the currency
}

OBJECT_KINDS: dict[RiskType, str] = {
    "Risk_CreditQ": "hazard",
    "Risk_CreditNonQ": "hazard",
    "Risk_Equity": "equity",
    "Risk_Commodity": "commodity",
    "Risk_IRCurve": "curve",
}
"""Market objects that an entry is about."""


class CrifBucket(Record, frozen=True, kw_only=True):
    """One name's place.

    Attributes:
        name: of the hazard curve, equity, commodity or curve in the market.
        qualifier: what stands for it in the file, such as "ISIN:.."; "" for the name.
    """

    name: str
    risk_type: RiskType
    bucket: str = ""
    label2: str = ""
    qualifier: str = ""

    def __post_init__(self) -> None:
        if self.bucket not in BUCKETS[self.risk_type]:
            known = ", ".join(BUCKETS[self.risk_type]) or "empty"
            raise ValueError(f"bucket of {self.name} must be {known} for {self.risk_type}, got {self.bucket!r}")
        labels = {"Risk_CreditQ": ("", "Sec"), "Risk_IRCurve": SUB_CURVES}.get(self.risk_type)
        if labels is not None and self.label2 not in labels:
            known = ", ".join(repr(label) for label in labels)
            raise ValueError(f"label2 of {self.name} must be one of {known} for {self.risk_type}, got {self.label2!r}")


CrifBuckets = dict[str, CrifBucket]
"""By market object: "hazard/BANK"."""


def crif_buckets(entries: Iterable[CrifBucket]) -> CrifBuckets:
    """
    Raises:
        RequestError: BAD_CRIF_BUCKETS where a name has two places.
    """
    found: CrifBuckets = {}
    for entry in entries:
        name = f"{OBJECT_KINDS[entry.risk_type]}/{entry.name}"
        if name in found:
            places = " and ".join(f"{one.risk_type} {one.bucket}".strip() for one in (found[name], entry))
            raise RequestError("BAD_CRIF_BUCKETS", f"{name} must have one place, got {places}")
        found[name] = entry
    return found
