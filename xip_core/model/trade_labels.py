"""What a planner reads of a trade beside its id and type: who it belongs to, and what of the market it leans on.

One pass of a JSON decoder over the line, 2 us for a swap; terms are not looked at. Two things follow from it:

* **hierarchy**: the labels that sums go by. A key is `desk`, `book`, `counterparty`, `currency`, `asset_class`,
  `trade` (its id) or the name of a tag; `label_of` has its value;
* **dependency**: currencies and underlyings as one text. Rows that are neighbours by it need the same few curves and
  surfaces, so a tile of them does.

A line whose id and type can be read but whose labels cannot (a desk that is a number) is no trade, which the worker
that resolves it says with the field at fault: here it has no labels and `is_readable` is false.
"""

from __future__ import annotations

import msgspec

from xip_core.model.trade import ASSET_CLASS_OF, decode_head
from xip_core.model.unreadable import UNREADABLE

ASSET_CLASS = "asset_class"
TRADE = "trade"
FIXED_KEYS = (ASSET_CLASS, "book", "counterparty", "currency", "desk", TRADE)
"""Keys every trade may have; any other key is that of a tag."""


class LegLabels(msgspec.Struct, frozen=True, gc=False):
    """Of one leg: the currency it pays, and the index or commodity it reads."""

    currency: str = ""
    index: str = ""
    name: str = ""


_NO_LEG = LegLabels()

MarketNames = tuple[tuple[LegLabels, ...], tuple[str, ...], tuple[str, ...]]
"""Legs, currencies and underlyings as a trade names them: cheap to hash, and a million trades have some hundred."""


class TradeLabels(msgspec.Struct, frozen=True):
    """Fields of any trade that have these names; "" and () where a trade has none."""

    id: str
    type: str
    desk: str = ""
    book: str = ""
    counterparty: str = ""
    tags: dict[str, str] | None = None
    currency: str = ""
    name: str = ""
    index: str = ""
    bought_currency: str = ""
    sold_currency: str = ""
    credit_curve: str = ""
    reference_curve: str = ""
    legs: tuple[LegLabels, ...] = ()
    leg: LegLabels = _NO_LEG
    is_readable: bool = msgspec.field(default=True, name=" ")  # no field of a line

    @property
    def market_names(self) -> MarketNames:
        return (
            self.legs or (self.leg,),
            (self.currency, self.bought_currency, self.sold_currency),
            (self.name, self.index, self.credit_curve, self.reference_curve),
        )


_decoder = msgspec.json.Decoder(TradeLabels)


def decode_labels(line: bytes) -> TradeLabels:
    """
    Labels of the trade of one line, whose type may be one nobody supports.

    Raises:
        CellError: BAD_TRADE, the line is no JSON object or has no id or type.
    """
    try:
        return _decoder.decode(line)
    except UNREADABLE:
        head = decode_head(line)
        return TradeLabels(head.id, head.type, is_readable=False)


def label_of(labels: TradeLabels, key: str) -> str:
    """The value of hierarchy key *key*; "" where the trade has none."""
    match key:
        case "desk":
            return labels.desk
        case "book":
            return labels.book
        case "counterparty":
            return labels.counterparty
        case "currency":
            leg = labels.legs[0] if labels.legs else labels.leg
            return labels.currency or labels.sold_currency or leg.currency
        case "trade":
            return labels.id
        case "asset_class":
            return ASSET_CLASS_OF.get(labels.type, "")
        case _:
            return labels.tags.get(key, "") if labels.tags else ""


def dependency_of(names: MarketNames) -> str:
    """Currencies, then underlyings, each once and in order: what rows are sorted by."""
    legs, currencies, underlyings = names
    paid = {*currencies, *(leg.currency for leg in legs)}
    read = {*underlyings, *(name for leg in legs for name in (leg.index, leg.name))}
    return " ".join(sorted(paid - {""})) + "/" + " ".join(sorted(read - {""}))


__all__ = [
    "ASSET_CLASS", "FIXED_KEYS", "TRADE", "MarketNames", "TradeLabels", "decode_labels", "dependency_of", "label_of",
]  # fmt: skip
