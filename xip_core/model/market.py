"""A market snapshot: quotes, fixings and the definitions of every market object, as immutable data.

A snapshot says what was quoted and how market objects follow from it; it holds no curve that was already built. The
same bytes therefore give the same curves everywhere, and a scenario is nothing but other quotes (`model.scenario`).

Quotes are named numbers. A quote that is not a finite number keeps its text ("NaN", "inf", "n/a"): only the objects
that need it fail, with a sentence that shows what was got. Definitions are the opposite: a snapshot whose definitions
contradict each other, or that has no date, is refused as a whole.

Names. Curves, equities, commodities and hazard curves have one name each; FX volatilities are named by their pair
("EURUSD" is the price of one EUR in USD), interest-rate volatilities by currency or index. Tenors are "1W" "3M" "1Y3M";
where a tenor is expected an ISO date stands for itself.

Encoding: JSON with sorted keys (msgspec), so equal snapshots have equal bytes and one digest.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from xip_core.errors import CellError, FailureReason, RequestError
from xip_core.model.market_inflation import InflationDefinition, YearOnYearDefinition
from xip_core.model.market_instruments import CurveDefinition, FxIndex, Pillars, RateIndex, Record, ZeroSpreads
from xip_core.model.market_lgm import LinearGaussModel
from xip_core.model.market_smiles import SwaptionSmile, VolatilitySmile, smile_fault, swaption_smile_fault
from xip_core.model.trade import DayCount
from xip_core.model.unreadable import UNREADABLE, fault_of

SNAPSHOT_SIZE_BYTES_MAX = 64 * 1024 * 1024
"""Larger than any market we know by a factor of ten; keeps a hostile blob from filling a worker."""


# ---- other market objects -------------------------------------------------------------------------------------------


class FxSpot(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Price of one unit of `foreign_currency` in `domestic_currency`; one of the two is the base currency.

    Attributes:
        spot_days: business days of *calendar* from the as-of date to the delivery the quote is for. Today's rate is
            the quote carried back from there by the discount curves of both currencies; 0: the quote is today's rate.
    """

    foreign_currency: str
    domestic_currency: str
    quote: str
    spot_days: int = 0
    calendar: str = ""


class EquityDefinition(Record, frozen=True, kw_only=True):
    """Forward = spot * exp(-log DF of the forecast curve - t * q(t)), q linear in time between pillars, flat outside.

    Attributes:
        forwards: forward prices, from which q follows at their dates; or empty.
        dividend_yields: continuous yields q; or empty. With both empty q is 0.
        cash_dividends: amounts per share by ex date, beside yields but not beside forward prices, which hold them:
            the spot above is then the spot less the value of the dividends up to the day (`pricing.equity_dividends`).
        is_log_linear: q(t) t, and not q, is linear from 0 through the pillars, and goes on so beyond the last: a
            dividend curve of discount factors, log-linear, as in ORE's simulation market.
        calendar: tenors of forwards and yields that end on a holiday of it stand on the next business day; unset, they
            stand where they end. ISO dates always do.
    """

    name: str
    currency: str
    spot_quote: str
    forecast_curve: str
    forwards: Pillars = ()
    dividend_yields: Pillars = ()
    cash_dividends: Pillars | msgspec.UnsetType = msgspec.UNSET
    is_log_linear: bool | msgspec.UnsetType = msgspec.UNSET  # unset is not written: bytes as without it
    calendar: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def dividends(self) -> Pillars:
        """`cash_dividends`, none where unset."""
        return () if isinstance(self.cash_dividends, msgspec.UnsetType) else self.cash_dividends

    @property
    def pillar_calendar(self) -> str:
        """`calendar`, one without holidays where unset."""
        return "NullCalendar" if isinstance(self.calendar, msgspec.UnsetType) else self.calendar


class CommodityDefinition(Record, frozen=True, kw_only=True):
    """Forward prices by date, linear in between, flat outside; the spot price, where quoted, stands at the
    as-of date."""

    name: str
    currency: str
    forwards: Pillars
    spot_quote: str = ""


AccrualOnDefault = Literal["half_day", "exact", "markit"]


class IsdaModel(Record, frozen=True, kw_only=True):
    """The ISDA standard model instead of mid-points (`pricing.isda` says what differs).

    Attributes:
        accrual_on_default: formula of the premium accrued at default; the C code's is "half_day".
        upfronts: quotes of standard contracts as fractions of the notional that the buyer pays, without accrued
            premium; or empty. They stand in place of cds_spreads.
        coupon: running coupon of the contracts quoted upfront.
    """

    accrual_on_default: AccrualOnDefault = "half_day"
    upfronts: Pillars = ()
    coupon: float = 0.01


class HazardDefinition(Record, frozen=True, kw_only=True):
    """Survival curve, log-linear between pillars: bootstrapped from CDS quotes, or given as hazard rates.

    Attributes:
        cds_spreads: running spreads of standard CDS; or empty. A tenor, or the maturity itself as an ISO date. With
            one of them the curve is flat, and the spread is what the market calls the quoted spread.
        hazard_rates: piecewise constant up to each pillar; or empty.
        discount_curve: needed with CDS quotes.
        protection_delay_days: calendar days after the as-of date on which protection of the quoted CDS begins.
        isda: set, the quotes are read and trades on this curve are valued by the ISDA standard model; unset, by
            mid-points.
    """

    name: str
    currency: str
    recovery_rate: float
    cds_spreads: Pillars = ()
    hazard_rates: Pillars = ()
    discount_curve: str = ""
    day_count: DayCount = "A360"
    calendar: str = "WeekendsOnly"
    protection_delay_days: int = 1
    isda: IsdaModel | msgspec.UnsetType = msgspec.UNSET

    @property
    def upfronts(self) -> Pillars:
        """CDS quoted upfront, if any."""
        return () if isinstance(self.isda, msgspec.UnsetType) else self.isda.upfronts

    @property
    def contracts(self) -> Pillars:
        """CDS the curve is bootstrapped from, if any."""
        return self.cds_spreads or self.upfronts


class Security(Record, frozen=True, kw_only=True):
    """A bond as the market knows it.

    Attributes:
        recovery_rate: what of its notional is recovered at default; unset: the rate of its credit curve.
        spread_quote: of the continuous zero-rate spread, Act/365F, that its flows are discounted by beside its
            reference curve; unset: none.
    """

    name: str
    recovery_rate: float | msgspec.UnsetType = msgspec.UNSET
    spread_quote: str | msgspec.UnsetType = msgspec.UNSET


class FxVolatility(Record, frozen=True, kw_only=True):
    """At-the-money lognormal volatilities by expiry; total variance linear in time, flat volatility outside."""

    foreign_currency: str
    domestic_currency: str
    pillars: Pillars
    calendar: str

    @property
    def name(self) -> str:
        return self.foreign_currency + self.domestic_currency


class EquityVolatility(Record, frozen=True, kw_only=True):
    """At-the-money-forward lognormal volatilities by expiry, interpolated as FX volatilities."""

    name: str
    pillars: Pillars
    calendar: str = "WeekendsOnly"


class CommodityVolatility(Record, frozen=True, kw_only=True):
    """Lognormal volatilities by expiry and strike; no strikes: at-the-money by expiry.

    Attributes:
        quotes: row-major, expiries x max(1, strikes).
    """

    name: str
    expiries: tuple[str, ...]
    strikes: tuple[float, ...]
    quotes: tuple[str, ...]
    calendar: str = "US"


class SwaptionVolatility(Record, frozen=True, kw_only=True):
    """At-the-money swaption volatilities by expiry and swap tenor, bilinear, flat outside.

    Attributes:
        quotes: row-major, expiries x swap_tenors.
        lgm: the model of rights that can be exercised on several days; None where there are none.
    """

    currency: str
    is_normal: bool
    expiries: tuple[str, ...]
    swap_tenors: tuple[str, ...]
    quotes: tuple[str, ...]
    calendar: str = "TARGET"
    lgm: LinearGaussModel | None = None

    @property
    def name(self) -> str:
        return self.currency


class CapVolatility(Record, frozen=True, kw_only=True):
    """Flat volatilities of caps by length and strike, stripped to caplets of `index`; or those of caplets themselves.

    Attributes:
        quotes: row-major, tenors x strikes.
        are_caplets: the quotes are volatilities of single caplets, a tenor is the time to a fixing: nothing is
            stripped.
        is_normal: Bachelier volatilities; otherwise those of Black's formula, which needs forwards and strikes > 0.
        interpolation: between what is quoted. Unset: caplet volatilities are linear in strike, and in time between the
            last caplets of quoted caps. "spline", ORE's way and slower by the number of caplets: quotes are a
            natural cubic spline in time, by strike, read at every whole number of index periods, where each cap gives
            one caplet; these are cubics with Kruger's slopes, in strike and in time between fixing days.
        extrapolation: outside strikes and fixing days. Unset: flat. "cubic", of splines alone: the outer cubics go on,
            as ORE has it where its configuration says Linear; a volatility below 0 is no number.
    """

    index: str
    discount_curve: str
    tenors: tuple[str, ...]
    strikes: tuple[float, ...]
    quotes: tuple[str, ...]
    calendar: str = "TARGET"
    is_normal: bool = True
    interpolation: Literal["spline"] | msgspec.UnsetType = msgspec.UNSET
    are_caplets: bool | msgspec.UnsetType = msgspec.UNSET
    extrapolation: Literal["cubic"] | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_spline(self) -> bool:
        return self.interpolation == "spline"

    @property
    def extends(self) -> bool:
        """Whether it goes on as a cubic outside strikes and fixing days."""
        return self.extrapolation == "cubic"

    @property
    def has_caplets(self) -> bool:
        """`are_caplets`, False where unset."""
        return self.are_caplets is True

    @property
    def name(self) -> str:
        return self.index


class Snapshot(Record, frozen=True, kw_only=True):
    """All market data of one moment. See the module's head.

    Attributes:
        quotes: name -> number, or the text that was no finite number.
        fixings: index -> date -> value; those of a price index have the first day of their month.
        discount_curves: currency -> curve that discounts it under the snapshot's collateral.
        securities: those with a recovery rate or a spread of their own.
    """

    as_of: dt.date
    base_currency: str
    quotes: dict[str, float | str]
    fixings: dict[str, dict[dt.date, float]] = msgspec.field(default_factory=dict)
    indices: tuple[RateIndex, ...] = ()
    fx_indices: tuple[FxIndex, ...] = ()
    curves: tuple[CurveDefinition, ...] = ()
    discount_curves: dict[str, str] = msgspec.field(default_factory=dict)
    fx_spots: tuple[FxSpot, ...] = ()
    equities: tuple[EquityDefinition, ...] = ()
    commodities: tuple[CommodityDefinition, ...] = ()
    hazards: tuple[HazardDefinition, ...] = ()
    inflations: tuple[InflationDefinition, ...] = ()
    year_on_years: tuple[YearOnYearDefinition, ...] = ()
    fx_volatilities: tuple[FxVolatility, ...] = ()
    equity_volatilities: tuple[EquityVolatility, ...] = ()
    commodity_volatilities: tuple[CommodityVolatility, ...] = ()
    swaption_volatilities: tuple[SwaptionVolatility, ...] = ()
    cap_volatilities: tuple[CapVolatility, ...] = ()
    smiles: tuple[VolatilitySmile, ...] | msgspec.UnsetType = msgspec.UNSET
    swaption_smiles: tuple[SwaptionSmile, ...] | msgspec.UnsetType = msgspec.UNSET
    securities: tuple[Security, ...] | msgspec.UnsetType = msgspec.UNSET  # unset is not written: bytes as without it

    @property
    def known_securities(self) -> tuple[Security, ...]:
        """`securities`, none where unset."""
        return () if isinstance(self.securities, msgspec.UnsetType) else self.securities

    @property
    def swaption_cubes(self) -> tuple[SwaptionSmile, ...]:
        """`swaption_smiles`, none where unset."""
        return () if isinstance(self.swaption_smiles, msgspec.UnsetType) else self.swaption_smiles

    @property
    def volatility_smiles(self) -> tuple[VolatilitySmile, ...]:
        """`smiles`, none where unset: a snapshot without them keeps the bytes it had before there were any."""
        return () if isinstance(self.smiles, msgspec.UnsetType) else self.smiles

    def __post_init__(self) -> None:
        for problem in _contradictions(self):
            raise RequestError("BAD_SNAPSHOT", problem)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Snapshot, strict=True)


def quote_value(text: str) -> float | str:
    """A quote as it is kept: a finite number, or the text that is none."""
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def usable_quote(quotes: Mapping[str, float | str], name: str) -> float:
    """The number behind a quote.

    Raises:
        CellError: MISSING_DATA where there is none, BAD_QUOTE where it is not a finite number.
    """
    value = quotes.get(name)
    if value is None:
        raise CellError(FailureReason.MISSING_DATA, f"quote {name} is missing from the snapshot")
    if isinstance(value, str) or not math.isfinite(value):
        raise CellError(FailureReason.BAD_QUOTE, f"quote {name} must be a finite number, got {value!s}")
    return value


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Canonical bytes: equal snapshots give equal bytes. Quotes that are NaN or infinite are written as text."""
    quotes = {
        name: value if isinstance(value, str) or math.isfinite(value) else str(value)
        for name, value in sorted(snapshot.quotes.items())
    }
    fixings = {index: dict(sorted(by_date.items())) for index, by_date in sorted(snapshot.fixings.items())}
    discount_curves = dict(sorted(snapshot.discount_curves.items()))
    return _encoder.encode(
        msgspec.structs.replace(snapshot, quotes=quotes, fixings=fixings, discount_curves=discount_curves)
    )


def snapshot_digest(encoded: bytes) -> str:
    """SHA-256 of the canonical bytes, hexadecimal."""
    return hashlib.sha256(encoded).hexdigest()


def decode_snapshot(encoded: bytes) -> Snapshot:
    """Inverse of `encode_snapshot`.

    Raises:
        RequestError: SNAPSHOT_DATE_MISSING without an as-of date, otherwise BAD_SNAPSHOT with the path to the fault.
    """
    if len(encoded) > SNAPSHOT_SIZE_BYTES_MAX:
        raise RequestError(
            "BAD_SNAPSHOT", f"a snapshot has at most {SNAPSHOT_SIZE_BYTES_MAX} bytes, got {len(encoded)}"
        )
    try:
        return _decoder.decode(encoded)
    except msgspec.ValidationError as error:
        message = str(error)
        if "as_of" in message:
            raise RequestError("SNAPSHOT_DATE_MISSING", f"a snapshot must carry its as-of date: {message}") from error
        raise RequestError("BAD_SNAPSHOT", f"snapshot does not decode: {message}") from error
    except UNREADABLE as error:
        raise RequestError("BAD_SNAPSHOT", f"snapshot is not JSON: {fault_of(encoded, error)}") from error


# ---- contradictions -------------------------------------------------------------------------------------------------


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what} must be defined once, {name!r} is defined twice"
        seen.add(name)


def _contradictions(snapshot: Snapshot) -> Iterator[str]:
    """Sentences on what cannot be meant; the first one refuses the snapshot. Quotes are not looked at."""
    groups = {
        "rate index": [i.name for i in snapshot.indices],
        "FX index": [i.name for i in snapshot.fx_indices],
        "curve": [c.name for c in snapshot.curves],
        "FX spot": [f"{f.foreign_currency}{f.domestic_currency}" for f in snapshot.fx_spots],
        "equity": [e.name for e in snapshot.equities],
        "commodity": [c.name for c in snapshot.commodities],
        "hazard curve": [h.name for h in snapshot.hazards],
        "inflation curve": [i.name for i in snapshot.inflations],
        "year-on-year curve": [y.name for y in snapshot.year_on_years],
        "FX volatility": [v.name for v in snapshot.fx_volatilities],
        "equity volatility": [v.name for v in snapshot.equity_volatilities],
        "commodity volatility": [v.name for v in snapshot.commodity_volatilities],
        "swaption volatility": [v.name for v in snapshot.swaption_volatilities],
        "cap volatility": [v.name for v in snapshot.cap_volatilities],
    }
    for smile in snapshot.volatility_smiles:
        groups[smile.kind.replace("_", " ").replace("fx", "FX")].append(smile.name)
        fault = smile_fault(smile)
        if fault is not None:
            yield fault
    for cube in snapshot.swaption_cubes:
        groups["swaption volatility"].append(cube.currency)
        fault = swaption_smile_fault(cube)
        if fault is not None:
            yield fault
    for what, names in groups.items():
        yield from _repeated(what, names)
    for spot in snapshot.fx_spots:
        if (spot.foreign_currency == snapshot.base_currency) == (spot.domestic_currency == snapshot.base_currency):
            pair = spot.foreign_currency + spot.domestic_currency
            yield f"one currency of FX spot {pair} must be the base currency {snapshot.base_currency}"
    for curve in snapshot.curves:
        if not any(segment.pillars for segment in curve.segments):
            yield f"curve {curve.name} must have an instrument, got none"
        if len(curve.segments) > 1 and any(isinstance(segment, ZeroSpreads) for segment in curve.segments):
            yield f"curve {curve.name}: zero spreads must be its only segment"
        if curve.interpolation != "log_linear_discount" and isinstance(curve.segments[0], ZeroSpreads):
            yield f"curve {curve.name}: zero spreads must not have an interpolation, got {curve.interpolation!r}"
    for equity in snapshot.equities:
        if equity.forwards and equity.dividends:
            yield f"equity {equity.name} must not have both forward prices and cash dividends"
    for hazard in snapshot.hazards:
        if sum(map(bool, (hazard.cds_spreads, hazard.upfronts, hazard.hazard_rates))) != 1:
            yield f"hazard curve {hazard.name} must have either CDS spreads or hazard rates"
        if not 0.0 <= hazard.recovery_rate < 1.0:
            yield f"hazard curve {hazard.name}: recovery rate must be in [0, 1), got {hazard.recovery_rate!r}"
    yield from _repeated("security", [security.name for security in snapshot.known_securities])
    for security in snapshot.known_securities:
        if not isinstance(security.recovery_rate, msgspec.UnsetType) and not 0.0 <= security.recovery_rate < 1.0:
            yield f"security {security.name}: recovery rate must be in [0, 1), got {security.recovery_rate!r}"
    for cap in snapshot.cap_volatilities:
        if cap.is_spline and cap.has_caplets:
            yield f"cap volatilities of {cap.index} must be stripped by spline or be caplets, got both"
        if cap.extends and not cap.is_spline:
            yield f"cap volatilities of {cap.index} must be stripped by spline to be extended, got none"
    for grid, row_count, column_count in _grids(snapshot):
        if row_count * column_count != len(grid.quotes):
            yield f"volatility {grid.name} must have {row_count} x {column_count} quotes, got {len(grid.quotes)}"


def _grids(
    snapshot: Snapshot,
) -> Iterator[tuple[CommodityVolatility | SwaptionVolatility | CapVolatility, int, int]]:
    for commodity in snapshot.commodity_volatilities:
        yield commodity, len(commodity.expiries), max(1, len(commodity.strikes))
    for swaption in snapshot.swaption_volatilities:
        yield swaption, len(swaption.expiries), len(swaption.swap_tenors)
    for cap in snapshot.cap_volatilities:
        yield cap, len(cap.tenors), len(cap.strikes)
