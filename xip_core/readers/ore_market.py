"""An ORE directory to a snapshot: the market one configuration of todaysmarket.xml describes.

Reads marketdata.csv (or market.txt), curveconfig.xml, conventions.xml, todaysmarket.xml and fixings*.txt, plain or
gzipped, in the directory or its config folder. Only what the configuration refers to is read, and of that what we
support: log-linear curves from deposits, FRAs, OIS, swaps, tenor basis, FX forwards and cross-currency basis swaps,
zero spreads; CDS and hazard curves; equities, commodities, and the volatilities of `model.market`. What is left out is
simply not in the snapshot: a trade that needs it is quarantined with a sentence that names it.

Quote ids stay ORE's. Numbers that do not parse stay text, so that only what needs them fails.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

import msgspec

from xip_core.errors import InputError
from xip_core.model.market import (
    CapVolatility,
    EquityDefinition,
    FxSpot,
    FxVolatility,
    HazardDefinition,
    Security,
    Snapshot,
    quote_value,
)
from xip_core.model.market_inflation import InflationDefinition, YearOnYearDefinition
from xip_core.model.market_instruments import CurveDefinition, FxIndex, RateIndex
from xip_core.model.market_objects import curve_parents, market_objects
from xip_core.readers.ore_curves import CurveReader, UnsupportedCurveError
from xip_core.readers.ore_files import find_file, read_lines, read_xml, text_of
from xip_core.readers.ore_indices import rate_index
from xip_core.readers.ore_inflation import InflationReader, monthly
from xip_core.readers.ore_surfaces import SurfaceReader

CONFIGURATION = "xois_eur"


def read_ore_market(
    directory: Path, base_currency: str = "EUR", configuration: str = CONFIGURATION, as_of: dt.date | None = None
) -> Snapshot:
    """The snapshot of an ORE directory.

    Args:
        as_of: which date's quotes to read; None means the last date of the market data.

    Raises:
        InputError: a file is missing or malformed (path and line), or refers to what is not there.
        RequestError: the definitions contradict each other.
    """
    market_path = find_file(directory, "marketdata.csv", "market.txt", "marketdata.txt")
    as_of, quotes = _read_quotes(market_path, as_of)
    config_path = find_file(directory, "curveconfig.xml")
    config, conventions = read_xml(config_path), read_xml(find_file(directory, "conventions.xml"))
    todays_path = find_file(directory, "todaysmarket.xml")
    todays = _TodaysMarket(read_xml(todays_path), configuration, str(todays_path))
    surfaces = SurfaceReader(config, conventions, quotes, str(config_path))
    indices, curves = _read_curves(CurveReader(config, conventions, str(config_path)), todays)
    curve_names = {curve.name for curve in curves}
    discount_curves = {
        currency: curve
        for currency, curve in todays.pairs("DiscountingCurves", "DiscountingCurve", "currency")
        if curve in curve_names
    }
    fx_indices = tuple(_fx_indices(conventions, set(discount_curves)))
    inflation_reader = InflationReader(config, conventions, str(config_path))
    inflations, year_on_years = _inflation_curves(inflation_reader, todays, quotes)
    year_on_years = tuple(yearly for yearly in year_on_years if yearly.discount_curve in curve_names)
    fixings = read_fixings(find_file(directory, *_fixing_names(directory)), as_of)
    named = {index.name for index in indices} | {index.name for index in fx_indices}
    snapshot = Snapshot(
        as_of=as_of,
        base_currency=base_currency,
        quotes=quotes,
        fixings={name: values for name, values in fixings.items() if name in named}
        | {index.name: monthly(fixings[index.name]) for index in inflations if index.name in fixings},
        indices=indices,
        fx_indices=fx_indices,
        curves=curves,
        discount_curves=discount_curves,
        fx_spots=tuple(_fx_spots(todays, conventions, base_currency)),
        equities=tuple(_equities(surfaces, todays, curve_names)),
        commodities=tuple(
            surfaces.commodity(name, config) for name, config in todays.pairs("CommodityCurves", "CommodityCurve")
        ),
        hazards=tuple(_hazards(surfaces, todays, curve_names)),
        inflations=inflations,
        year_on_years=year_on_years,
        fx_volatilities=tuple(_fx_volatilities(surfaces, todays)),
        equity_volatilities=tuple(
            surfaces.equity_volatility(name, config)
            for name, config in todays.pairs("EquityVolatilities", "EquityVolatility")
        ),
        commodity_volatilities=tuple(
            surfaces.commodity_volatility(name, config)
            for name, config in todays.pairs("CommodityVolatilities", "CommodityVolatility")
        ),
        swaption_volatilities=tuple(
            surfaces.swaption_volatility(currency, config)
            for currency, config in todays.pairs("SwaptionVolatilities", "SwaptionVolatility", "currency")
            if config.startswith(currency)  # JPY borrows the Swiss surface there; it has no quotes of its own
        ),
        cap_volatilities=tuple(_cap_volatilities(surfaces, todays, curve_names)),
        securities=tuple(_securities(surfaces, todays)) or msgspec.UNSET,
    )
    return _without_unused_quotes(snapshot)


class _TodaysMarket:
    """todaysmarket.xml under one configuration."""

    def __init__(self, root: Element, configuration: str, path: str) -> None:
        self._root = root
        chosen = next((c for c in root.findall("Configuration") if c.get("id") == configuration), None)
        if chosen is None:
            raise InputError(f"market configuration {configuration!r} is not defined", path)
        self._ids = {child.tag.removesuffix("Id"): (child.text or "").strip() for child in chosen}

    def pairs(self, group: str, tag: str, attribute: str = "name") -> list[tuple[str, str]]:
        """(name, configuration id) of the entries of a group; the id is the last part of "Yield/EUR/EUR1D"."""
        wanted = self._ids.get(group, "default")
        for element in self._root.findall(group):
            if element.get("id") == wanted:
                return [
                    (entry.get(attribute) or "", (entry.text or "").strip().rsplit("/", 1)[-1])
                    for entry in element.findall(tag)
                ]
        return []


def _read_quotes(path: Path, as_of: dt.date | None) -> tuple[dt.date, dict[str, float | str]]:
    """Quotes of the wanted (or last) date; a later line of the same date and id wins."""
    by_date: dict[dt.date, dict[str, float | str]] = {}
    for number, line in read_lines(path):
        parts = line.replace(",", " ").split()
        if len(parts) != 3:
            raise InputError(f"a quote must have date, id and value, got {line!r}", str(path), number)
        date = _date(parts[0], path, number)
        by_date.setdefault(date, {})[parts[1]] = quote_value(parts[2])
    if not by_date:
        raise InputError("must hold a quote, got none", str(path))
    chosen = as_of or max(by_date)
    if chosen not in by_date:
        raise InputError(f"has no quote of {chosen}, only from {min(by_date)} to {max(by_date)}", str(path))
    return chosen, by_date[chosen]


def _date(text: str, path: Path, number: int) -> dt.date:
    """ISO or 20160205."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"a date must look like 2016-02-05, got {text!r}", str(path), number) from None


def _fixing_names(directory: Path) -> list[str]:
    paths = (*directory.glob("fixings*"), *directory.glob("config/fixings*"))
    return sorted(path.name.removesuffix(".gz") for path in paths) or ["fixings.txt"]


def read_fixings(path: Path, as_of: dt.date) -> dict[str, dict[dt.date, float]]:
    """
    Index -> date -> value, up to the as-of date: what is published later is not known yet.

    Raises:
        InputError: with path and line.
    """
    fixings: dict[str, dict[dt.date, float]] = {}
    for number, line in read_lines(path):
        parts = line.replace(",", " ").split()
        if len(parts) != 3:
            raise InputError(f"a fixing must have date, index and value, got {line!r}", str(path), number)
        date = _date(parts[0], path, number)
        value = quote_value(parts[2])
        if date <= as_of and isinstance(value, float):
            fixings.setdefault(parts[1], {})[date] = value
    return fixings


def _read_curves(
    reader: CurveReader, todays: _TodaysMarket
) -> tuple[tuple[RateIndex, ...], tuple[CurveDefinition, ...]]:
    """Indices and curves of the configuration, and the curves those need; unsupported ones are left out."""
    index_curves = dict(todays.pairs("IndexForwardingCurves", "Index"))
    indices = {
        name: index for name, curve in index_curves.items() if (index := rate_index(name, curve)) is not None
    }
    wanted = [curve for _, curve in todays.pairs("DiscountingCurves", "DiscountingCurve", "currency")]
    wanted += [index.curve for index in indices.values()]
    wanted += [curve for _, curve in todays.pairs("YieldCurves", "YieldCurve")]
    found: dict[str, CurveDefinition] = {}
    refused: set[str] = set()
    while wanted:
        name = wanted.pop(0)
        if name in found or name in refused:
            continue
        try:
            found[name] = reader.definition(name)
        except UnsupportedCurveError:
            refused.add(name)
            continue
        wanted.extend(curve_parents(found[name], indices))
    usable = _closed(found, indices)
    return (
        tuple(index for index in indices.values() if index.curve in usable),
        tuple(curve for name, curve in sorted(found.items()) if name in usable),
    )


def _closed(found: dict[str, CurveDefinition], indices: dict[str, RateIndex]) -> set[str]:
    """Curves all of whose ancestors are there."""
    usable = set(found)
    while True:
        lost = {name for name in usable if any(p not in usable for p in curve_parents(found[name], indices))}
        if not lost:
            return usable
        usable -= lost


def _fx_indices(conventions: Element, currencies: set[str]) -> Iterator[FxIndex]:
    """Published FX rates ("FX-ECB-EUR-USD") between currencies that have a discount curve."""
    for element in conventions.findall("FX"):
        parts = text_of(element, "Id").split("-")
        if len(parts) == 4 and parts[0] == "FX" and {parts[2], parts[3]} <= currencies:
            calendars = [part.strip() for part in text_of(element, "AdvanceCalendar", "NullCalendar").split(",")]
            yield FxIndex(
                name="-".join(parts),
                foreign_currency=parts[2],
                domestic_currency=parts[3],
                calendar=",".join(calendars),
                spot_days=int(text_of(element, "SpotDays", "0")),
            )


def _fx_spots(todays: _TodaysMarket, conventions: Element, base_currency: str) -> Iterator[FxSpot]:
    for pair, _ in todays.pairs("FxSpots", "FxSpot", "pair"):
        foreign, domestic = pair[:3], pair[3:]
        if base_currency in (foreign, domestic):  # crosses follow from the pairs with the base currency
            spot = FxSpot(foreign_currency=foreign, domestic_currency=domestic, quote=f"FX/RATE/{foreign}/{domestic}")
            yield _delivered(spot, conventions)


def _delivered(spot: FxSpot, conventions: Element) -> FxSpot:
    """With the days to delivery of the pair's convention; those of published rates ("FX-ECB-EUR-USD") are others."""
    for element in conventions.findall("FX"):
        pair = (text_of(element, "SourceCurrency"), text_of(element, "TargetCurrency"))
        days = int(text_of(element, "SpotDays", "0"))
        if pair != (spot.foreign_currency, spot.domestic_currency) or text_of(element, "Id").startswith("FX-"):
            continue
        calendars = [part.strip() for part in text_of(element, "AdvanceCalendar", "NullCalendar").split(",")]
        return msgspec.structs.replace(spot, spot_days=days, calendar=",".join(calendars)) if days else spot
    return spot


def _equities(surfaces: SurfaceReader, todays: _TodaysMarket, curves: set[str]) -> Iterator[EquityDefinition]:
    for name, config in todays.pairs("EquityCurves", "EquityCurve"):
        equity = surfaces.equity(name, config)
        if equity is not None and equity.forecast_curve in curves:
            yield equity


def _hazards(surfaces: SurfaceReader, todays: _TodaysMarket, curves: set[str]) -> Iterator[HazardDefinition]:
    for name, config in todays.pairs("DefaultCurves", "DefaultCurve"):
        hazard = surfaces.hazard(name, config)
        if hazard is not None and (not hazard.discount_curve or hazard.discount_curve in curves):
            yield hazard


def _inflation_curves(
    reader: InflationReader, todays: _TodaysMarket, quotes: Mapping[str, float | str]
) -> tuple[tuple[InflationDefinition, ...], tuple[YearOnYearDefinition, ...]]:
    """Curves of price indices of which any swap is quoted."""
    levels = [
        reader.levels(name, config)
        for name, config in todays.pairs("ZeroInflationIndexCurves", "ZeroInflationIndexCurve")
    ]
    growths = [
        reader.year_on_year(name, config)
        for name, config in todays.pairs("YYInflationIndexCurves", "YYInflationIndexCurve")
    ]
    return (
        tuple(curve for curve in levels if any(pillar.quote in quotes for pillar in curve.swaps)),
        tuple(curve for curve in growths if any(pillar.quote in quotes for pillar in curve.swaps)),
    )


def _fx_volatilities(surfaces: SurfaceReader, todays: _TodaysMarket) -> Iterator[FxVolatility]:
    for pair, config in todays.pairs("FxVolatilities", "FxVolatility", "pair"):
        yield surfaces.fx_volatility(config, pair[:3], pair[3:])


def _cap_volatilities(surfaces: SurfaceReader, todays: _TodaysMarket, curves: set[str]) -> Iterator[CapVolatility]:
    for currency, config in todays.pairs("CapFloorVolatilities", "CapFloorVolatility", "currency"):
        cap = surfaces.cap_volatility(currency, config)
        if cap is not None and cap.discount_curve in curves:
            yield cap


def _securities(surfaces: SurfaceReader, todays: _TodaysMarket) -> Iterator[Security]:
    for name, config in todays.pairs("Securities", "Security"):
        security = surfaces.security(name, config)
        if security is not None:
            yield security


def _without_unused_quotes(snapshot: Snapshot) -> Snapshot:
    used = {use.quote for item in market_objects(snapshot).values() for use in item.quotes}
    quotes = {name: value for name, value in sorted(snapshot.quotes.items()) if name in used}
    return msgspec.structs.replace(snapshot, quotes=quotes)
