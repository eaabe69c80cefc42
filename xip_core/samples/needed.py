"""What a book and a market have to do with each other: the trades the market can resolve, and the part of the market
the book needs, which is the objects its rows depend on and what those are built from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from xip_core.errors import CellError
from xip_core.model.market import Snapshot
from xip_core.model.market_objects import market_objects
from xip_core.model.trade import Swap, Trade
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import json_value, resolve_rows
from xip_core.pricing.tile_market import MarketView


def refusals(trades: Sequence[Trade], snapshot: Snapshot) -> dict[str, str]:
    """Ids of the trades that cannot be resolved under *snapshot* (expired, something missing), and why."""
    columns = resolve_rows(trades, MarketView(SnapshotLayout(snapshot)))
    return {trades[row].id: message for row, _, message in json_value(columns["failures"])}


def snapshot_for(trades: Sequence[Trade], snapshot: Snapshot) -> Snapshot:
    """
    *snapshot* without the objects, indices, quotes and fixings that no trade uses.

    Raises:
        CellError: a trade that cannot be resolved; a sample has none.
    """
    columns = resolve_rows(trades, MarketView(SnapshotLayout(snapshot)))
    for row, reason, message in json_value(columns["failures"]):
        raise CellError(reason, f"row {row}: {message}")
    needed = _with_parents(json_value(columns["object_names"]), snapshot)
    curves = {name.removeprefix("curve/") for name in needed if name.startswith("curve/")}
    indices = tuple(index for index in snapshot.indices if index.curve in curves)
    kept: dict[str, Any] = {
        field: tuple(item for item in getattr(snapshot, field) if f"{kind}/{_name(item, snapshot)}" in needed)
        for field, kind in _FIELDS.items()
    }
    for field, smiles in (("smiles", snapshot.volatility_smiles), ("swaption_smiles", snapshot.swaption_cubes)):
        if smiles:
            kept[field] = tuple(item for item in smiles if item.object_name in needed)
    fx_indices = tuple(index for index in snapshot.fx_indices if index.name in _reset_indices(trades))
    index_names = {index.name for index in indices} | {index.name for index in fx_indices}
    index_names |= {name.split("/", 1)[1] for name in needed if name.startswith(("inflation/", "year_on_year/"))}
    smaller = msgspec.structs.replace(
        snapshot,
        **kept,
        indices=indices,
        fx_indices=fx_indices,
        discount_curves={currency: curve for currency, curve in snapshot.discount_curves.items() if curve in curves},
        fixings={name: fixings for name, fixings in snapshot.fixings.items() if name in index_names},
    )
    used = {use.quote for item in market_objects(smaller).values() for use in item.quotes}
    quotes = {name: value for name, value in snapshot.quotes.items() if name in used}
    return msgspec.structs.replace(smaller, quotes=quotes)


def _reset_indices(trades: Sequence[Trade]) -> set[str]:
    """FX indices that notionals are reset to."""
    legs = [leg for trade in trades if isinstance(trade, Swap) for leg in trade.legs]
    return {leg.fx_reset.index for leg in legs if leg.fx_reset is not None}


_FIELDS = {
    "curves": "curve",
    "fx_spots": "fx",
    "equities": "equity",
    "commodities": "commodity",
    "hazards": "hazard",
    "inflations": "inflation",
    "year_on_years": "year_on_year",
    "fx_volatilities": "fx_volatility",
    "equity_volatilities": "equity_volatility",
    "commodity_volatilities": "commodity_volatility",
    "swaption_volatilities": "swaption_volatility",
    "cap_volatilities": "cap_volatility",
}
"""Field of a snapshot and the kind of object it defines."""


def _name(item: Any, snapshot: Snapshot) -> str:
    """The object's name; an FX spot is named by the currency that is not the base."""
    if hasattr(item, "foreign_currency") and not hasattr(item, "pillars"):
        is_base = item.foreign_currency == snapshot.base_currency
        return str(item.domestic_currency if is_base else item.foreign_currency)
    return str(item.name)


def _with_parents(names: Iterable[str], snapshot: Snapshot) -> set[str]:
    """*names* and all they are built on."""
    objects = market_objects(snapshot)
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(objects[name].parents)
    return needed
