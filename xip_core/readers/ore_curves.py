"""Yield curve configurations and conventions of ORE to curve definitions.

Only what a curve is made of is read; interpolation is log-linear in discount factors in all curves we read, and other
settings refuse the curve.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from xip_core.errors import InputError
from xip_core.model import market_instruments as instruments
from xip_core.model.market_instruments import CurveDefinition, Pillar, Pillars, Segment
from xip_core.readers.ore_files import is_true, text_of
from xip_core.readers.ore_indices import CONVENTIONS, DAY_COUNTS, FREQUENCY_MONTHS, rate_index


class UnsupportedCurveError(Exception):
    """A curve made of instruments we do not read; it is left out, and whatever needs it says so."""


class CurveReader:
    """Reads curves out of curveconfig.xml with the conventions of conventions.xml."""

    def __init__(self, curve_config: Element, conventions: Element, path: str) -> None:
        self._path = path
        self._curves = {
            text_of(element, "CurveId"): element for element in curve_config.findall("YieldCurves/YieldCurve")
        }
        self._conventions = {text_of(element, "Id"): element for element in conventions}

    def definition(self, name: str) -> CurveDefinition:
        """
        Raises:
            InputError: there is no such curve or convention.
            UnsupportedCurveError: it is made of something we do not read.
        """
        element = self._curves.get(name)
        if element is None:
            raise InputError(f"yield curve {name} is not configured", self._path)
        if text_of(element, "InterpolationMethod", "LogLinear") != "LogLinear":
            raise UnsupportedCurveError(f"{name}: interpolation {text_of(element, 'InterpolationMethod')}")
        segments = []
        for segment in element.find("Segments") or ():
            pillars = [text_of_quote(quote) for quote in segment.findall("Quotes/Quote")]
            if pillars:
                segments.append(self._segment(name, segment, pillars))
        discount = text_of(element, "DiscountCurve")
        return CurveDefinition(
            name=name, currency=text_of(element, "Currency"), segments=tuple(segments), discount_curve=discount
        )

    def _convention(self, name: str) -> Element:
        found = self._conventions.get(name)
        if found is None:
            raise InputError(f"convention {name} is not there", self._path)
        return found

    def _segment(self, curve: str, segment: Element, quotes: list[str]) -> Segment:
        kind = text_of(segment, "Type")
        convention = self._convention(text_of(segment, "Conventions"))
        pillars = _pillars(quotes)
        match kind:
            case "Deposit":
                return self._deposits(convention, quotes)
            case "FRA":
                fra_pillars = tuple(Pillar(quote.split("/")[3], quote) for quote in quotes)
                return instruments.ForwardRateAgreements(pillars=fra_pillars, index=text_of(convention, "Index"))
            case "OIS":
                return self._overnight_swaps(convention, pillars)
            case "Swap":
                return self._swaps(convention, pillars)
            case "Tenor Basis Swap":
                return self._tenor_basis(convention, pillars)
            case "Tenor Basis Two Swaps":
                return instruments.TwoSwapBasis(
                    pillars=pillars,
                    long_index=text_of(convention, "LongIndex"),
                    short_index=text_of(convention, "ShortIndex"),
                    fixed_frequency_months=FREQUENCY_MONTHS[text_of(convention, "LongFixedFrequency")],
                    fixed_calendar=text_of(convention, "Calendar"),
                    fixed_convention=CONVENTIONS[text_of(convention, "LongFixedConvention")],
                    fixed_day_count=DAY_COUNTS[text_of(convention, "LongFixedDayCounter")],
                )
            case "FX Forward":
                return instruments.FxForwards(
                    pillars=pillars,
                    foreign_currency=text_of(convention, "SourceCurrency"),
                    domestic_currency=text_of(convention, "TargetCurrency"),
                    spot_quote=text_of(segment, "SpotRate"),
                    points_factor=float(text_of(convention, "PointsFactor")),
                    spot_days=int(text_of(convention, "SpotDays")),
                    calendar=_calendars(text_of(convention, "AdvanceCalendar")),
                    other_curve=text_of(segment, "DiscountCurve"),
                )
            case "Cross Currency Basis Swap":
                return self._cross_currency(convention, segment, pillars)
            case "Zero Spread":
                return instruments.ZeroSpreads(
                    pillars=pillars,
                    reference_curve=text_of(segment, "ReferenceCurve"),
                    calendar=_calendars(text_of(convention, "TenorCalendar", "NullCalendar")),
                    settlement_days=int(text_of(convention, "SpotLag", "0")),
                )
            case "Zero":
                return instruments.ZeroRates(
                    pillars=pillars,
                    calendar=_calendars(text_of(convention, "TenorCalendar", "NullCalendar")),
                    settlement_days=int(text_of(convention, "SpotLag", "0")),
                )
            case _:
                raise UnsupportedCurveError(f"{curve}: segment of type {kind!r}")

    def _deposits(self, convention: Element, quotes: list[str]) -> Segment:
        family = text_of(convention, "Index")
        index = rate_index(family, "") or rate_index(f"{family}-3M", "")
        if index is None:
            raise UnsupportedCurveError(f"deposits on the index {family!r}")
        settlement = quotes[0].split("/")[3]
        return instruments.Deposits(
            pillars=_pillars(quotes),
            settlement_days=int(settlement.rstrip("D")),
            calendar=index.calendar,
            convention=index.convention,
            day_count=index.day_count,
            end_of_month=index.end_of_month,
        )

    def _overnight_swaps(self, convention: Element, pillars: Pillars) -> Segment:
        name = text_of(convention, "Index")
        index = rate_index(name, "")
        if index is None:
            raise UnsupportedCurveError(f"OIS on the index {name!r}")
        return instruments.OvernightSwaps(
            pillars=pillars,
            index=name,
            settlement_days=int(text_of(convention, "SpotLag")),
            calendar=index.calendar,
            fixed_frequency_months=FREQUENCY_MONTHS[text_of(convention, "FixedFrequency")],
            fixed_convention=CONVENTIONS[text_of(convention, "FixedConvention")],
            fixed_day_count=DAY_COUNTS[text_of(convention, "FixedDayCounter")],
            payment_lag_days=int(text_of(convention, "PaymentLag", "0")),
            rate_cutoff_days=int(text_of(convention, "RateCutoff", "0")),
            repeats_early_fixing=True,
            end_of_month=is_true(text_of(convention, "EOM", "false")),
        )

    def _swaps(self, convention: Element, pillars: Pillars) -> Segment:
        return instruments.FixedFloatSwaps(
            pillars=pillars,
            index=text_of(convention, "Index"),
            fixed_frequency_months=FREQUENCY_MONTHS[text_of(convention, "FixedFrequency")],
            fixed_calendar=_calendars(text_of(convention, "FixedCalendar")),
            fixed_convention=CONVENTIONS[text_of(convention, "FixedConvention")],
            fixed_day_count=DAY_COUNTS[text_of(convention, "FixedDayCounter")],
        )

    def _tenor_basis(self, convention: Element, pillars: Pillars) -> Segment:
        receive = text_of(convention, "ReceiveIndex")
        frequency = text_of(convention, "ReceiveFrequency", receive.rsplit("-", 1)[1])
        if frequency[-1] not in "MY":
            raise UnsupportedCurveError(f"tenor basis with a receive frequency of {frequency!r}")
        return instruments.TenorBasisSwaps(
            pillars=pillars,
            pay_index=text_of(convention, "PayIndex"),
            receive_index=receive,
            receive_frequency_months=int(frequency[:-1]) * (12 if frequency[-1] == "Y" else 1),
            is_spread_on_receive=is_true(text_of(convention, "SpreadOnRec", "true")),
        )

    def _cross_currency(self, convention: Element, segment: Element, pillars: Pillars) -> Segment:
        flat, spread = text_of(convention, "FlatIndex"), text_of(convention, "SpreadIndex")
        resetting = ""
        if is_true(text_of(convention, "IsResettable", "false")):
            resetting = flat if is_true(text_of(convention, "FlatIndexIsResettable", "true")) else spread
        return instruments.CrossCurrencyBasisSwaps(
            pillars=pillars,
            flat_index=flat,
            spread_index=spread,
            settlement_days=int(text_of(convention, "SettlementDays")),
            calendar=_calendars(text_of(convention, "SettlementCalendar")),
            convention=CONVENTIONS[text_of(convention, "RollConvention")],
            other_curve=text_of(segment, "DiscountCurve"),
            resetting_index=resetting,
        )


def text_of_quote(element: Element) -> str:
    """A quote's id; ORE marks optional ones with an attribute we do not need."""
    return (element.text or "").strip()


def _pillars(quotes: Iterable[str]) -> Pillars:
    """The last part of a quote id is its tenor or date."""
    return tuple(Pillar(quote.rsplit("/", 1)[1], quote) for quote in quotes)


def _calendars(text: str) -> str:
    return ",".join(part.strip() for part in text.split(","))
