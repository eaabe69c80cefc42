"""Inflation curve configurations, conventions and legs of ORE to definitions and legs of ours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element

from xip_core.errors import CellError, FailureReason, InputError
from xip_core.model.market_inflation import InflationDefinition, YearOnYearDefinition
from xip_core.model.market_instruments import Pillar, Pillars
from xip_core.model.trade import CpiLeg, YearOnYearLeg
from xip_core.readers.ore_fields import Fields
from xip_core.readers.ore_files import text_of
from xip_core.readers.ore_indices import CONVENTIONS, DAY_COUNTS

_OBSERVATIONS = {"": "flat", "AsIndex": "flat", "Flat": "flat", "Linear": "linear"}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class InflationReader:
    """Reads inflation curves out of curveconfig.xml with the conventions of conventions.xml."""

    def __init__(self, curve_config: Element, conventions: Element, path: str) -> None:
        self._path = path
        elements = curve_config.findall("InflationCurves/InflationCurve")
        self._curves = {text_of(element, "CurveId"): element for element in elements}
        self._conventions = {text_of(element, "Id"): element for element in conventions.findall("InflationSwap")}

    def levels(self, index: str, config: str) -> InflationDefinition:
        """
        Raises:
            InputError: there is no such curve or convention.
        """
        element, convention = self._found(config)
        day_count = DAY_COUNTS.get(text_of(element, "DayCounter"), "ACT/ACT ISDA")
        return InflationDefinition(
            name=index,
            currency=_currency(element),
            swaps=_swaps(element),
            observation_lag=text_of(convention, "ObservationLag"),
            swap_day_count=DAY_COUNTS[text_of(convention, "DayCounter")],
            curve_day_count=day_count,
            seasonality=_seasons(element),
        )

    def year_on_year(self, index: str, config: str) -> YearOnYearDefinition:
        """
        Raises:
            InputError: there is no such curve or convention.
        """
        element, convention = self._found(config)
        return YearOnYearDefinition(
            name=index,
            currency=_currency(element),
            swaps=_swaps(element),
            observation_lag=text_of(convention, "ObservationLag"),
            discount_curve=text_of(element, "NominalTermStructure").rsplit("/", 1)[-1],
            base_rate=float(text_of(element, "BaseRate", "0")),
            calendar=text_of(convention, "InflationCalendar"),
            convention=CONVENTIONS[text_of(convention, "InflationConvention")],
            swap_day_count=DAY_COUNTS[text_of(convention, "DayCounter")],
            curve_day_count=DAY_COUNTS.get(text_of(element, "DayCounter"), "ACT/ACT ISDA"),
        )

    def _found(self, config: str) -> tuple[Element, Element]:
        element = self._curves.get(config)
        if element is None:
            raise InputError(f"inflation curve {config} is not configured", self._path)
        name = text_of(element, "Conventions")
        if name not in self._conventions:
            raise InputError(f"convention {name} is not there", self._path)
        return element, self._conventions[name]


def _currency(element: Element) -> str:
    """The currency of the nominal curve: "Yield/GBP/GBP1D"."""
    return text_of(element, "NominalTermStructure", "/").split("/")[1]


def _swaps(element: Element) -> Pillars:
    quotes = [(quote.text or "").strip() for quote in element.findall("Quotes/Quote")]
    return tuple(Pillar(quote.rsplit("/", 1)[1], quote) for quote in quotes)


def _seasons(element: Element) -> tuple[str, ...]:
    """Quotes of the seasonal factors, January first; ORE lists them from the month of its base date on."""
    quotes = [(quote.text or "").strip() for quote in element.findall("Seasonality/Factors/Factor")]
    by_month = {quote.rsplit("/", 1)[1]: quote for quote in quotes}
    return tuple(by_month[month] for month in _MONTHS) if set(by_month) == set(_MONTHS) else ()


def monthly(fixings: dict[dt.date, float]) -> dict[dt.date, float]:
    """Levels by the first day of their month; ORE accepts any day of it, the last one in the file counts."""
    return {date.replace(day=1): level for date, level in fixings.items()}


def read_cpi_leg(shared: dict[str, Any], body: Fields) -> CpiLeg:
    """CPILegData; *shared* are the fields every leg has."""
    _refuse_options(body)
    body.refuse("FinalFlowCap", "a cap on the final flow")
    body.refuse("FinalFlowFloor", "a floor on the final flow")
    start = body.date_or_none("StartDate")
    if start is not None and start != shared["schedule"].start:
        raise CellError(FailureReason.UNSUPPORTED, "a CPI leg whose base date is not its start is not supported")
    base = body.number("BaseCPI", 0.0)
    return CpiLeg(
        **shared,
        index=body.text("Index"),
        rates=body.numbers("Rates", "Rate"),
        base_index=base or None,
        observation_lag=body.text("ObservationLag"),
        observation=_observation(body),  # type: ignore[arg-type] # a value of the table above
        subtracts_notional=body.flag("SubtractInflationNotional", False),
    )


def read_year_on_year_leg(shared: dict[str, Any], body: Fields) -> YearOnYearLeg:
    """YYLegData; *shared* are the fields every leg has."""
    _refuse_options(body)
    body.refuse("AddInflationNotional", "a year-on-year coupon with the notional")
    if body.flag("IrregularYoY", False):
        raise CellError(FailureReason.UNSUPPORTED, "growth over other periods than a year is not supported")
    return YearOnYearLeg(
        **shared,
        index=body.text("Index"),
        spreads=body.numbers("Spreads", "Spread") or (0.0,),
        gearings=body.numbers("Gearings", "Gearing") or (1.0,),
        observation_lag=body.text("ObservationLag"),
        observation=_observation(body),  # type: ignore[arg-type] # a value of the table above
        fixing_days=body.integer("FixingDays", 0),
    )


def _observation(body: Fields) -> str:
    text = body.text("Interpolation", "")
    if text not in _OBSERVATIONS:
        raise CellError(FailureReason.BAD_TRADE, f"Interpolation must be one of {_listed(_OBSERVATIONS)}, got {text!r}")
    return _OBSERVATIONS[text]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name for name in names if name)


def _refuse_options(body: Fields) -> None:
    for name, feature in (("Caps", "a cap on inflation"), ("Floors", "a floor on inflation")):
        body.refuse(name, feature)
