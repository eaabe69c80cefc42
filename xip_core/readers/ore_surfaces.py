"""Equity, commodity, credit and volatility configurations of ORE to definitions."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

import msgspec

from xip_core.errors import InputError
from xip_core.model.market import (
    CapVolatility,
    CommodityDefinition,
    CommodityVolatility,
    EquityDefinition,
    EquityVolatility,
    FxVolatility,
    HazardDefinition,
    Security,
    SwaptionVolatility,
)
from xip_core.model.market_instruments import Pillar
from xip_core.model.market_lgm import LinearGaussModel
from xip_core.readers.ore_files import text_of
from xip_core.readers.ore_indices import CONVENTIONS, DAY_COUNTS, FREQUENCY_MONTHS, rate_index

Quotes = Mapping[str, float | str]

FORWARD_RATIO_MAX = 5.0
"""Equity forwards further from their spot than this are a mistake of the source (12.75 for an index at 3,579)."""


class SurfaceReader:
    """Reads everything but yield curves out of curveconfig.xml."""

    def __init__(self, curve_config: Element, conventions: Element, quotes: Quotes, path: str) -> None:
        self._config = curve_config
        self._conventions = {text_of(element, "Id"): element for element in conventions}
        self._quotes = quotes
        self._path = path

    def _find(self, group: str, name: str) -> Element:
        for element in self._config.findall(group):
            if text_of(element, "CurveId") == name:
                return element
        raise InputError(f"{group} {name} is not configured", self._path)

    def equity(self, name: str, config: str) -> EquityDefinition | None:
        """None where the quoted forwards cannot be meant."""
        element = self._find("EquityCurves/EquityCurve", config)
        spot = text_of(element, "SpotQuote")
        quotes = [(quote.text or "").strip() for quote in element.findall("Quotes/Quote")]
        pillars = tuple(Pillar(_iso_or_tenor(quote.rsplit("/", 1)[1]), quote) for quote in quotes)
        is_forward = text_of(element, "Type") == "ForwardPrice"
        spot_value = self._quotes.get(spot)
        if is_forward and isinstance(spot_value, float) and spot_value > 0.0:
            values = [self._quotes.get(quote) for quote in quotes]
            ratios = [value / spot_value for value in values if isinstance(value, float) and value > 0.0]
            if any(ratio > FORWARD_RATIO_MAX or ratio < 1.0 / FORWARD_RATIO_MAX for ratio in ratios):
                return None
        return EquityDefinition(
            name=name,
            currency=text_of(element, "Currency"),
            spot_quote=spot,
            forecast_curve=text_of(element, "ForecastingCurve"),
            forwards=pillars if is_forward else (),
            dividend_yields=() if is_forward else pillars,
            calendar="WeekendsOnly",  # whatever the currency's holidays are
        )

    def commodity(self, name: str, config: str) -> CommodityDefinition:
        element = self._find("CommodityCurves/CommodityCurve", config)
        quotes = [(quote.text or "").strip() for quote in element.findall("Quotes/Quote")]
        return CommodityDefinition(
            name=name,
            currency=text_of(element, "Currency"),
            forwards=tuple(Pillar(quote.rsplit("/", 1)[1], quote) for quote in quotes),
            spot_quote=text_of(element, "SpotQuote"),
        )

    def hazard(self, name: str, config: str) -> HazardDefinition | None:
        """None where it is neither spreads nor hazard rates; the recovery rate is read off its quote."""
        element = self._find("DefaultCurves/DefaultCurve", config)
        recovery = self._quotes.get(text_of(element, "RecoveryRate"))
        kind = text_of(element, "Type")
        if not isinstance(recovery, float) or kind not in ("SpreadCDS", "HazardRate"):
            return None
        quotes = [(quote.text or "").strip() for quote in element.findall("Quotes/Quote")]
        pillars = tuple(
            Pillar(quote.rsplit("/", 1)[1], quote) for quote in quotes if not quote.endswith(("/0Y", "/0M", "/0D"))
        )
        convention = self._conventions.get(text_of(element, "Conventions"))
        day_count = DAY_COUNTS[text_of(convention, "DayCounter", "A360")] if convention is not None else "A360"
        is_spread = kind == "SpreadCDS"
        return HazardDefinition(
            name=name,
            currency=text_of(element, "Currency"),
            recovery_rate=recovery,
            cds_spreads=pillars if is_spread else (),
            hazard_rates=() if is_spread else pillars,
            discount_curve=text_of(element, "DiscountCurve").rsplit("/", 1)[-1] if is_spread else "",
            day_count=day_count,
            calendar=text_of(convention, "Calendar", "WeekendsOnly") if convention is not None else "WeekendsOnly",
        )

    def security(self, name: str, config: str) -> Security | None:
        """None where neither a recovery rate nor a spread of its own is quoted."""
        element = self._find("Securities/Security", config)
        spread = text_of(element, "SpreadQuote")
        recovery = self._quotes.get(text_of(element, "RecoveryRateQuote"))
        if not isinstance(recovery, float) and spread not in self._quotes:
            return None
        return Security(
            name=name,
            recovery_rate=recovery if isinstance(recovery, float) else msgspec.UNSET,
            spread_quote=spread if spread in self._quotes else msgspec.UNSET,
        )

    def fx_volatility(self, config: str, foreign: str, domestic: str) -> FxVolatility:
        element = self._find("FXVolatilities/FXVolatility", config)
        stem = f"FX_OPTION/RATE_LNVOL/{foreign}/{domestic}"
        return FxVolatility(
            foreign_currency=foreign,
            domestic_currency=domestic,
            pillars=tuple(Pillar(expiry, f"{stem}/{expiry}/ATM") for expiry in _listed(element, "Expiries")),
            calendar=f"{foreign},{domestic}",
        )

    def equity_volatility(self, name: str, config: str) -> EquityVolatility:
        element = self._find("EquityVolatilities/EquityVolatility", config)
        stem = f"EQUITY_OPTION/RATE_LNVOL/{config}/{text_of(element, 'Currency')}"
        expiries = _listed(element, "Expiries")
        return EquityVolatility(name=name, pillars=tuple(Pillar(e, f"{stem}/{e}/ATMF") for e in expiries))

    def commodity_volatility(self, name: str, config: str) -> CommodityVolatility:
        element = self._find("CommodityVolatilities/CommodityVolatility", config)
        calendar = text_of(element, "Calendar", "US")
        surface = element.find("StrikeSurface")
        if surface is None:
            quotes = tuple((quote.text or "").strip() for quote in element.findall("Curve/Quotes/Quote"))
            expiries = tuple(quote.split("/")[4] for quote in quotes)
            return CommodityVolatility(name=name, expiries=expiries, strikes=(), quotes=quotes, calendar=calendar)
        stem = f"COMMODITY_OPTION/RATE_LNVOL/{config}/{text_of(element, 'Currency')}"
        rows, strikes = _listed(surface, "Expiries"), _listed(surface, "Strikes")
        return CommodityVolatility(
            name=name,
            expiries=tuple(rows),
            strikes=tuple(float(strike) for strike in strikes),
            quotes=tuple(f"{stem}/{expiry}/{strike}" for expiry in rows for strike in strikes),
            calendar=calendar,
        )

    def swaption_volatility(self, currency: str, config: str) -> SwaptionVolatility:
        element = self._find("SwaptionVolatilities/SwaptionVolatility", config)
        is_normal = text_of(element, "VolatilityType") == "Normal"
        stem = f"SWAPTION/RATE_{'N' if is_normal else 'LN'}VOL/{currency}"
        expiries, tenors = _listed(element, "OptionTenors"), _listed(element, "SwapTenors")
        return SwaptionVolatility(
            currency=currency,
            is_normal=is_normal,
            expiries=tuple(expiries),
            swap_tenors=tuple(tenors),
            quotes=tuple(f"{stem}/{expiry}/{tenor}/ATM" for expiry in expiries for tenor in tenors),
            calendar=text_of(element, "Calendar"),
            lgm=self._linear_gauss_model(text_of(element, "SwapIndexBase")),
        )

    def _linear_gauss_model(self, swap_index: str) -> LinearGaussModel | None:
        """On the conventions of the surface's swap index; ORE's examples leave the reversion at 0."""
        base = self._conventions.get(swap_index)
        swap = self._conventions.get(text_of(base, "Conventions")) if base is not None else None
        index = rate_index(text_of(swap, "Index"), "") if swap is not None else None
        if swap is None or index is None:
            return None
        return LinearGaussModel(
            index=index.name,
            fixed_frequency_months=FREQUENCY_MONTHS[text_of(swap, "FixedFrequency")],
            fixed_day_count=DAY_COUNTS[text_of(swap, "FixedDayCounter")],
            convention=CONVENTIONS[text_of(swap, "FixedConvention")],
            calendar=text_of(swap, "FixedCalendar").replace(" ", ""),
            settlement_days=index.settlement_days,
        )

    def cap_volatility(self, currency: str, config: str) -> CapVolatility | None:
        """None where the volatilities are not normal or the index is unknown."""
        element = self._find("CapFloorVolatilities/CapFloorVolatility", config)
        index = rate_index(text_of(element, "IborIndex"), "")
        if index is None or text_of(element, "VolatilityType") != "Normal":
            return None
        tenors, strikes = _listed(element, "Tenors"), _listed(element, "Strikes")
        is_spline = text_of(element, "InterpolationMethod") != "Bilinear"
        stem = f"CAPFLOOR/RATE_NVOL/{currency}"
        return CapVolatility(
            index=index.name,
            discount_curve=text_of(element, "DiscountCurve").rsplit("/", 1)[-1],
            tenors=tuple(tenors),
            strikes=tuple(float(strike) for strike in strikes),
            quotes=tuple(f"{stem}/{tenor}/{index.tenor}/0/0/{strike}" for tenor in tenors for strike in strikes),
            calendar=text_of(element, "Calendar"),
            interpolation="spline" if is_spline else msgspec.UNSET,
            extrapolation="cubic" if is_spline and text_of(element, "Extrapolation") == "Linear" else msgspec.UNSET,
        )


def _listed(element: Element, tag: str) -> list[str]:
    return [part.strip() for part in text_of(element, tag).split(",") if part.strip()]


def _iso_or_tenor(text: str) -> str:
    """ORE writes dates as 20160915 too."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text
