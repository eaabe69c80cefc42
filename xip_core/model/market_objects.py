"""Market objects and what they are made from: their quotes with maturities, and the objects they need first.

An **object** is what a calibration builds: "curve/EUR1D", "fx/USD", "equity/SP5", "commodity/COMDTY_WTI_USD",
"hazard/BANK", "security/SECURITY_1", "inflation/UKRPI", "year_on_year/EUHICPXT", "fx_volatility/EURUSD",
"equity_volatility/SP5", "commodity_volatility/...", "swaption_volatility/EUR", "cap_volatility/EUR-EURIBOR-6M". Kind
and name, joined by a slash, are unique.

The graph is read off the definitions alone. Scenarios use it to find which quotes a shift means and which objects a
changed quote reaches; calibration uses its order.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Iterable, Iterator

import msgspec

from xip_core.errors import RequestError
from xip_core.model import market_instruments as instruments
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import CurveDefinition, Pillars, RateIndex, Segment
from xip_core.model.market_smiles import DeltaQuotes, VolatilitySmile

_PERIOD = re.compile(r"(\d+)([DWMY])")
_YEARS = {"D": 1.0 / 365.0, "W": 7.0 / 365.0, "M": 1.0 / 12.0, "Y": 1.0}


class QuoteUse(msgspec.Struct, frozen=True):
    """One quote in one object.

    Attributes:
        role: "rate" (outright rates, CDS spreads), "spread", "points", "spot", "price", "yield", "dividend",
            "volatility", "risk_reversal", "butterfly", "upfront", "season" or "discount".
        maturity_years: of the instrument, from the as-of date, to the precision buckets need; of a volatility the
            expiry.
        tenor_years: length of the swap behind a swaption volatility.
        strike: of a volatility with one, in the units of *strike_axis*.
        strike_axis: "strike", "moneyness" (strike over forward), "spread" (strike less forward) or "delta".
    """

    quote: str
    role: str
    maturity_years: float
    tenor_years: float | None = None
    strike: float | None = None
    strike_axis: str = ""


class MarketObject(msgspec.Struct, frozen=True):
    """An object, its quotes, and the objects it is built on.

    Attributes:
        currency: of its rates or prices; the index's for cap volatilities.
    """

    name: str
    kind: str
    currency: str
    quotes: tuple[QuoteUse, ...]
    parents: tuple[str, ...]


@functools.lru_cache(maxsize=4096)  # a market names some dozens of tenors a thousand times
def maturity_years(tenor: str, as_of: dt.date) -> float:
    """Years a tenor ("1Y3M") or ISO date lies ahead, to about a day.

    Raises:
        RequestError: BAD_TENOR.
    """
    parts = _PERIOD.findall(tenor)
    if parts and "".join(count + unit for count, unit in parts) == tenor:
        return sum(int(count) * _YEARS[unit] for count, unit in parts)
    try:
        return (dt.date.fromisoformat(tenor) - as_of).days / 365.0
    except ValueError:
        raise RequestError("BAD_TENOR", f"a tenor must look like 6M, 1Y3M or 2016-06-15, got {tenor!r}") from None


_SEGMENT_ROLES: dict[type[Segment], str] = {
    instruments.Deposits: "rate",
    instruments.ForwardRateAgreements: "rate",
    instruments.OvernightSwaps: "rate",
    instruments.FixedFloatSwaps: "rate",
    instruments.ZeroRates: "rate",
    instruments.TenorBasisSwaps: "spread",
    instruments.TwoSwapBasis: "spread",
    instruments.CrossCurrencyBasisSwaps: "spread",
    instruments.ZeroSpreads: "spread",
    instruments.FxForwards: "points",
    instruments.DiscountFactors: "discount",
}


def segment_indices(segment: Segment) -> tuple[str, ...]:
    """Names of the rate indices a segment's legs are on."""
    match segment:
        case instruments.ForwardRateAgreements() | instruments.OvernightSwaps() | instruments.FixedFloatSwaps():
            return (segment.index,)
        case instruments.TenorBasisSwaps():
            return (segment.pay_index, segment.receive_index)
        case instruments.TwoSwapBasis():
            return (segment.long_index, segment.short_index)
        case instruments.CrossCurrencyBasisSwaps():
            return (segment.flat_index, segment.spread_index)
        case _:
            return ()


def curve_parents(curve: CurveDefinition, indices: dict[str, RateIndex]) -> tuple[str, ...]:
    """Names of the curves that must stand before *curve* is solved, sorted."""
    parents = {curve.discount_curve}
    for segment in curve.segments:
        parents.update(indices[name].curve for name in segment_indices(segment) if name in indices)
        match segment:
            case instruments.FxForwards() | instruments.CrossCurrencyBasisSwaps():
                parents.add(segment.other_curve)
            case instruments.ZeroSpreads():
                parents.add(segment.reference_curve)
            case _:
                pass
    return tuple(sorted(parents - {"", curve.name}))


def _curve_quotes(curve: CurveDefinition, indices: dict[str, RateIndex], as_of: dt.date) -> Iterator[QuoteUse]:
    for segment in curve.segments:
        role = _SEGMENT_ROLES[type(segment)]
        length_years = 0.0
        if isinstance(segment, instruments.ForwardRateAgreements) and segment.index in indices:
            length_years = maturity_years(indices[segment.index].tenor, as_of)
        for pillar in segment.pillars:
            yield QuoteUse(pillar.quote, role, maturity_years(pillar.tenor, as_of) + length_years)
        if isinstance(segment, instruments.FxForwards):
            yield QuoteUse(segment.spot_quote, "spot", 0.0)


def _uses(pillars: Pillars, role: str, as_of: dt.date) -> tuple[QuoteUse, ...]:
    return tuple(QuoteUse(pillar.quote, role, maturity_years(pillar.tenor, as_of)) for pillar in pillars)


def _grid_uses(
    tenors: Iterable[str],
    quotes: tuple[str, ...],
    as_of: dt.date,
    swap_tenors: tuple[str, ...] = (),
    strikes: tuple[float, ...] = (),
    strike_axis: str = "strike",
) -> tuple[QuoteUse, ...]:
    """Row-major grid: the row's tenor is the maturity; columns are swap tenors, strikes within them fastest."""
    rows = list(tenors)
    column_count = len(quotes) // len(rows) if rows else 0
    lengths: tuple[float | None, ...] = tuple(maturity_years(tenor, as_of) for tenor in swap_tenors) or (None,)
    columns: list[tuple[float | None, float | None]]
    columns = [(length, strike) for length in lengths for strike in (strikes or (None,))]
    axis = strike_axis if strikes else ""
    found = []
    for position, quote in enumerate(quotes):
        maturity = maturity_years(rows[position // column_count], as_of)
        length, strike = columns[position % len(columns)]
        found.append(QuoteUse(quote, "volatility", maturity, length, strike, axis))
    return tuple(found)


def _smile_uses(smile: VolatilitySmile, as_of: dt.date) -> tuple[QuoteUse, ...]:
    quotes = smile.quotes
    if not isinstance(quotes, DeltaQuotes):
        axis = "moneyness" if quotes.is_moneyness else "strike"
        return _grid_uses(smile.expiries, quotes.volatilities, as_of, (), quotes.strikes, axis)
    roles: tuple[tuple[str, tuple[str, ...], tuple[float, ...]], ...] = (
        ("volatility", quotes.at_the_money, ()),
        ("risk_reversal", quotes.risk_reversals, quotes.deltas),
        ("butterfly", quotes.butterflies, quotes.deltas),
    )
    return tuple(
        msgspec.structs.replace(use, role=role)
        for role, names, deltas in roles
        for use in _grid_uses(smile.expiries, names, as_of, (), deltas, "delta")
    )


def _smile_parents(smile: VolatilitySmile, snapshot: Snapshot) -> Iterator[str]:
    """What its forwards and deltas need."""
    if smile.kind != "fx_volatility":
        yield f"{smile.kind.removesuffix('_volatility')}/{smile.name}"
        yield from (f"curve/{item.forecast_curve}" for item in snapshot.equities if item.name == smile.name)
        return
    for currency in (smile.name[:3], smile.name[3:]):
        if currency != snapshot.base_currency:
            yield f"fx/{currency}"
        if currency in snapshot.discount_curves:
            yield f"curve/{snapshot.discount_curves[currency]}"


def market_objects(snapshot: Snapshot) -> dict[str, MarketObject]:
    """All objects of a snapshot by name, curves first, in the order of the definitions."""
    as_of = snapshot.as_of
    indices = {index.name: index for index in snapshot.indices}
    found: list[MarketObject] = []

    def add(kind: str, name: str, currency: str, quotes: Iterable[QuoteUse], parents: Iterable[str] = ()) -> None:
        found.append(MarketObject(f"{kind}/{name}", kind, currency, tuple(quotes), tuple(parents)))

    for curve in snapshot.curves:
        parents = (f"curve/{parent}" for parent in curve_parents(curve, indices))
        add("curve", curve.name, curve.currency, _curve_quotes(curve, indices, as_of), parents)
    for spot in snapshot.fx_spots:
        is_foreign_base = spot.foreign_currency == snapshot.base_currency
        currency = spot.domestic_currency if is_foreign_base else spot.foreign_currency
        add("fx", currency, currency, (QuoteUse(spot.quote, "spot", 0.0),))
    for equity in snapshot.equities:
        quotes = (
            QuoteUse(equity.spot_quote, "spot", 0.0),
            *_uses(equity.forwards, "price", as_of),
            *_uses(equity.dividend_yields, "yield", as_of),
            *_uses(equity.dividends, "dividend", as_of),
        )
        add("equity", equity.name, equity.currency, quotes, (f"curve/{equity.forecast_curve}",))
    for commodity in snapshot.commodities:
        spot_use = (QuoteUse(commodity.spot_quote, "spot", 0.0),) if commodity.spot_quote else ()
        forwards = _uses(commodity.forwards, "price", as_of)
        add("commodity", commodity.name, commodity.currency, spot_use + forwards)
    for hazard in snapshot.hazards:
        spreads = _uses(hazard.cds_spreads, "rate", as_of) + _uses(hazard.hazard_rates, "rate", as_of)
        spreads += _uses(hazard.upfronts, "upfront", as_of)
        discount = (f"curve/{hazard.discount_curve}",) if hazard.discount_curve else ()
        add("hazard", hazard.name, hazard.currency, spreads, discount)
    for security in snapshot.known_securities:
        if not isinstance(security.spread_quote, msgspec.UnsetType):
            add("security", security.name, "", (QuoteUse(security.spread_quote, "spread", 0.0),))
    for price_index in snapshot.inflations:
        seasons = (QuoteUse(quote, "season", 0.0) for quote in price_index.seasonality)
        swaps = _uses(price_index.swaps, "rate", as_of)
        add("inflation", price_index.name, price_index.currency, (*swaps, *seasons))
    for yearly in snapshot.year_on_years:
        swaps = _uses(yearly.swaps, "rate", as_of)
        add("year_on_year", yearly.name, yearly.currency, swaps, (f"curve/{yearly.discount_curve}",))
    for fx in snapshot.fx_volatilities:
        add("fx_volatility", fx.name, fx.domestic_currency, _uses(fx.pillars, "volatility", as_of))
    for eq in snapshot.equity_volatilities:
        add("equity_volatility", eq.name, "", _uses(eq.pillars, "volatility", as_of))
    for grid in snapshot.commodity_volatilities:
        uses = _grid_uses(grid.expiries, grid.quotes, as_of, (), grid.strikes)
        add("commodity_volatility", grid.name, "", uses)
    for swaption in snapshot.swaption_volatilities:
        grid_uses = _grid_uses(swaption.expiries, swaption.quotes, as_of, swaption.swap_tenors)
        add("swaption_volatility", swaption.currency, swaption.currency, grid_uses)
    for cap in snapshot.cap_volatilities:
        index = indices.get(cap.index)
        curves = sorted({cap.discount_curve, index.curve if index else cap.discount_curve})
        cap_parents = (f"curve/{curve}" for curve in curves)
        currency = index.currency if index else ""
        uses = _grid_uses(cap.tenors, cap.quotes, as_of, (), cap.strikes)
        add("cap_volatility", cap.index, currency, uses, cap_parents)
    for smile in snapshot.volatility_smiles:
        add(smile.kind, smile.name, "", _smile_uses(smile, as_of), _smile_parents(smile, snapshot))
    for cube in snapshot.swaption_cubes:
        of_index = [indices[cube.index].curve] if cube.index in indices else []
        behind = {curve.discount_curve for curve in snapshot.curves if curve.name in of_index}
        cube_parents = (f"curve/{curve}" for curve in sorted({*of_index, *behind} - {""}))
        shape = (cube.swap_tenors, cube.strike_spreads)
        uses = _grid_uses(cube.expiries, cube.volatilities, as_of, *shape, strike_axis="spread")
        add("swaption_volatility", cube.currency, cube.currency, uses, cube_parents)
    return {item.name: item for item in found}


def build_order(objects: dict[str, MarketObject]) -> tuple[str, ...]:
    """Names such that parents come before children, otherwise in the order given.

    Raises:
        RequestError: BAD_SNAPSHOT, naming objects that need each other, or one that needs an undefined object.
    """
    order: list[str] = []
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in trail:
            raise RequestError("BAD_SNAPSHOT", f"objects must not need each other: {' -> '.join((*trail, name))}")
        if name not in objects:
            raise RequestError("BAD_SNAPSHOT", f"{trail[-1]} needs {name}, which is not defined")
        for parent in objects[name].parents:
            visit(parent, (*trail, name))
        done.add(name)
        order.append(name)

    for name in objects:
        visit(name, ())
    return tuple(order)
