"""What the quotes of a market object are called in a ladder: by tenor, and by the second axis of a volatility surface.

    5Y              a swap, a deposit, an expiry          6M+3M     a FRA: time to the start, length of its index
    5Y/10Y          a swaption: expiry, swap tenor        5Y/0.03   a volatility: expiry, strike

Two quotes of one object whose tenors read alike (a deposit and a swap of one year) are told apart by the quote's name.
Spots have no tenor and are not here.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

import msgspec

from xip_core.model import market_instruments as instruments
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import CurveDefinition, Pillars, RateIndex
from xip_core.model.market_objects import maturity_years
from xip_core.model.market_smiles import StrikeQuotes, VolatilitySmile

SOME_DAY = dt.date(2000, 1, 1)
"""Tenors of swaps have no as-of date."""


class Label(msgspec.Struct, frozen=True):
    """Name of a quote's bucket; *across* is its place on the second axis: a strike, or the years of a swap tenor."""

    bucket: str
    across: float = 0.0


Named = tuple[str, Label]


def bucket_labels(snapshot: Snapshot) -> dict[str, dict[str, Label]]:
    """Object -> quote -> label."""
    found: dict[str, dict[str, Label]] = {}
    for name, labelled in _labelled(snapshot):
        pairs = list(labelled)
        counts = Counter(label.bucket for _, label in pairs)
        found[name] = {
            quote: label if counts[label.bucket] == 1 else Label(f"{label.bucket} {quote}", label.across)
            for quote, label in pairs
        }
    return found


def axis_value(name: str) -> float:
    """A place on the second axis from how it is written: a strike as it is, a swap tenor in years.

    Raises:
        RequestError: BAD_TENOR.
    """
    try:
        return float(name)
    except ValueError:
        return maturity_years(name, SOME_DAY)


def _labelled(snapshot: Snapshot) -> Iterator[tuple[str, Iterator[Named]]]:
    indices = {index.name: index for index in snapshot.indices}
    for curve in snapshot.curves:
        yield f"curve/{curve.name}", _of_curve(curve, indices)
    for commodity in snapshot.commodities:
        yield f"commodity/{commodity.name}", _of_pillars(commodity.forwards)
    for hazard in snapshot.hazards:
        yield f"hazard/{hazard.name}", _of_pillars(hazard.contracts or hazard.hazard_rates)
    for security in snapshot.known_securities:
        if not isinstance(security.spread_quote, msgspec.UnsetType):
            yield f"security/{security.name}", iter([(security.spread_quote, Label("spread"))])
    for price_index in snapshot.inflations:
        yield f"inflation/{price_index.name}", _of_pillars(price_index.swaps)
    for yearly in snapshot.year_on_years:
        yield f"year_on_year/{yearly.name}", _of_pillars(yearly.swaps)
    for fx in snapshot.fx_volatilities:
        yield f"fx_volatility/{fx.name}", _of_pillars(fx.pillars)
    for equity in snapshot.equity_volatilities:
        yield f"equity_volatility/{equity.name}", _of_pillars(equity.pillars)
    for grid in snapshot.commodity_volatilities:
        strikes = tuple(map(str, grid.strikes))
        yield f"commodity_volatility/{grid.name}", _of_grid(grid.expiries, strikes, grid.quotes)
    for swaption in snapshot.swaption_volatilities:
        named = _of_grid(swaption.expiries, swaption.swap_tenors, swaption.quotes)
        yield f"swaption_volatility/{swaption.name}", named
    for cap in snapshot.cap_volatilities:
        yield f"cap_volatility/{cap.name}", _of_grid(cap.tenors, tuple(map(str, cap.strikes)), cap.quotes)
    for smile in snapshot.volatility_smiles:
        yield smile.object_name, _of_smile(smile)
    for cube in snapshot.swaption_cubes:
        columns = tuple(f"{tenor}/{spread}" for tenor in cube.swap_tenors for spread in cube.strike_spreads)
        yield cube.object_name, _of_grid(cube.expiries, columns, cube.volatilities)


def _of_pillars(pillars: Pillars) -> Iterator[Named]:
    for pillar in pillars:
        yield pillar.quote, Label(pillar.tenor)


def _of_curve(curve: CurveDefinition, indices: dict[str, RateIndex]) -> Iterator[Named]:
    for segment in curve.segments:
        length = ""
        if isinstance(segment, instruments.ForwardRateAgreements) and segment.index in indices:
            length = f"+{indices[segment.index].tenor}"
        for pillar in segment.pillars:
            yield pillar.quote, Label(pillar.tenor + length)


def _of_smile(smile: VolatilitySmile) -> Iterator[Named]:
    quotes = smile.quotes
    if isinstance(quotes, StrikeQuotes):
        return _of_grid(smile.expiries, tuple(map(str, quotes.strikes)), quotes.volatilities)
    return _of_grid(smile.expiries, (), quotes.at_the_money)


def _of_grid(rows: tuple[str, ...], columns: tuple[str, ...], quotes: tuple[str, ...]) -> Iterator[Named]:
    """Of row-major quotes."""
    width = max(1, len(columns))
    for position, quote in enumerate(quotes):
        column = columns[position % width] if columns else ""
        bucket = f"{rows[position // width]}/{column}" if column else rows[position // width]
        yield quote, Label(bucket, axis_value(column.split("/")[0]) if column else 0.0)
