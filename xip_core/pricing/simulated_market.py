"""A market reduced to a grid of tenors, as a snapshot of its own.

Every discount curve of a currency, every forecast curve of an index and every other curve becomes a curve of its own,
with zero rates given at the grid's tenors and discount factors log-linear between: bumping EUR discounting then leaves
EUR forecasts alone even where both stood on one set of quotes. Their names are those of the currency ("EUR"), of the
index ("EUR-EONIA"), and of the curve ("BENCHMARK_EUR"). Likewise survival probabilities become hazard rates, dividend
yields and volatilities are read off at their tenors, and zero-coupon inflation rates K with (1 + K)^T = level / base
level are given for T in the curve's own day count.

    caps            caplets at the tenors on their own calendar; other tenors are counted without one
    model of rights fitted to swaptions discounted on the curve of an index, where one is on the discount curve
    equities        forecast by the curve of an index on their forecast curve, where there is one; dividend factors
                    log-linear between the tenors, and beyond the last
    year-on-year    growths over a year, read off at whole years
    spots, commodities, commodity volatilities and smiles stay as they are

What the reduced market has between and beyond its tenors differs from what it was read off: values move (the note on
"Base NPV" of ORE's sensitivity reports is about that), differences hardly do. Quotes that are read off are named
"sim/<object>/<tenor>".

Source: the simulation market of the Open Source Risk Engine (User Guide, "Simulation Market"), which reduces markets
this way before it computes sensitivities and stresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.model.dates import date_of, day_number, parse_tenor
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import (
    CapVolatility,
    EquityDefinition,
    EquityVolatility,
    FxVolatility,
    HazardDefinition,
    IsdaModel,
    Snapshot,
    SwaptionVolatility,
)
from xip_core.model.market_inflation import InflationDefinition, YearOnYearDefinition
from xip_core.model.market_instruments import CurveDefinition, Pillar, Pillars, ZeroRates
from xip_core.model.market_lgm import LinearGaussModel
from xip_core.model.simulation_grid import SimulationGrid
from xip_core.pricing.arithmetic import RefTable, exp_
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.cubic_volatilities import between_rows
from xip_core.pricing.curves_pillars import add_tenors
from xip_core.pricing.inflation import base_month_of, month_start
from xip_core.pricing.layout import Refs, VolatilityRef
from xip_core.pricing.layout_slots import YEAR_DAYS
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.surfaces import expiry_days

Floats = npt.NDArray[np.float64]


def simulated_snapshot(snapshot: Snapshot, grid: SimulationGrid, layout: SnapshotLayout | None = None) -> Snapshot:
    """
    The reduced market.

    Args:
        layout: of this snapshot, where there is one already.

    Raises:
        RequestError: BAD_SNAPSHOT where an object of the market cannot be calibrated, so that nothing can be read off,
            or a name of the reduced market would stand twice.
    """
    return _Reader(snapshot, grid, layout or SnapshotLayout(snapshot)).snapshot()


class _Reader:
    """Reads the base market off at the tenors."""

    def __init__(self, snapshot: Snapshot, grid: SimulationGrid, layout: SnapshotLayout) -> None:
        self._snapshot = snapshot
        self._grid = grid
        self._layout = layout
        market, failures = calibrator_of(snapshot, self._layout).base_market()
        for name, reason in (*self._layout.broken.items(), *((n, f.message) for n, f in failures.items())):
            raise RequestError("BAD_SNAPSHOT", f"{name} cannot be read off: {reason}")
        self._market = market[:, None]
        self._quotes: dict[str, float | str] = dict(snapshot.quotes)
        self._names: dict[str, str] = {}  # of curves, before to after; an index's own in preference

    def snapshot(self) -> Snapshot:
        given = self._snapshot
        changes: dict[str, Any] = {}
        if self._grid.curves:
            changes |= self._curves()
        if self._grid.hazards:
            changes["hazards"] = tuple(map(self._hazard, given.hazards))
        if self._grid.dividends:
            changes["equities"] = tuple(map(self._equity, given.equities))
        if self._grid.fx_expiries:
            changes["fx_volatilities"] = tuple(map(self._fx_volatility, given.fx_volatilities))
        if self._grid.equity_expiries:
            changes["equity_volatilities"] = tuple(map(self._equity_volatility, given.equity_volatilities))
        if self._grid.swaption_expiries:
            changes["swaption_volatilities"] = tuple(map(self._swaption_volatility, given.swaption_volatilities))
        if self._grid.cap_expiries:
            changes["cap_volatilities"] = tuple(map(self._cap_volatility, given.cap_volatilities))
        if self._grid.inflations:
            changes["inflations"] = tuple(map(self._inflation, given.inflations))
        if self._grid.growths:
            changes["year_on_years"] = tuple(map(self._year_on_year, given.year_on_years))
        return msgspec.structs.replace(given, quotes=self._quotes, **changes)

    # ---- reading off ------------------------------------------------------------------------------------------------

    def _days(self, tenors: Sequence[str]) -> list[int]:
        days: list[int] = add_tenors("NullCalendar", self._layout.as_of_day, tenors, "unadjusted", False).tolist()
        return days

    def _years(self, days: Sequence[int]) -> Floats:
        return (np.array(days) - self._layout.as_of_day) / YEAR_DAYS

    def _dots(self, refs: Sequence[Refs]) -> Floats:
        return RefTable(refs).dot(self._market)[:, 0]

    def _pillars(self, name: str, labels: Sequence[str], values: Floats) -> Pillars:
        """Writes quotes."""
        quotes = [f"sim/{name}/{label}" for label in labels]
        self._quotes.update(zip(quotes, values.tolist(), strict=True))
        return tuple(Pillar(tenor, quote) for tenor, quote in zip(labels, quotes, strict=True))

    def _volatility(self, refs: Sequence[VolatilityRef]) -> Floats:
        """Volatilities, from total variances where they are kept so."""
        values = self._dots([ref.refs for ref in refs])
        for place, ref in enumerate(refs):
            if ref.cubic is not None:
                rows = self._dots(ref.cubic.rows)
                values[place] = between_rows(rows, np.array(ref.cubic.widths_years), np.array(ref.cubic.share))
        years = np.array([ref.time_years for ref in refs])
        is_variance = np.array([ref.is_total_variance for ref in refs])
        return np.where(is_variance, np.sqrt(values / np.where(is_variance, years, 1.0)), values)

    # ---- curves -----------------------------------------------------------------------------------------------------

    def _curves(self) -> dict[str, Any]:
        given = self._snapshot
        wanted = [(currency, currency, curve) for currency, curve in given.discount_curves.items()]
        wanted += [(index.name, index.currency, index.curve) for index in given.indices]
        wanted += [(curve.name, curve.currency, curve.name) for curve in given.curves]
        names = [name for name, _, _ in wanted]
        for name in names:
            if names.count(name) > 1:
                raise RequestError("BAD_SNAPSHOT", f"the reduced market would have two curves named {name!r}")
        for index in given.indices:
            known = self._names.get(index.curve)
            if known is None or index.is_overnight:
                self._names[index.curve] = index.name
        return {
            "curves": tuple(self._curve(*item) for item in wanted),
            "discount_curves": {currency: currency for currency in given.discount_curves},
            "indices": tuple(msgspec.structs.replace(index, curve=index.name) for index in given.indices),
        }

    def _curve(self, name: str, currency: str, curve: str) -> CurveDefinition:
        days = self._days(self._grid.curves)
        logs = self._dots([self._layout.log_discount_of_day(curve, day) for day in days])
        pillars = self._pillars(f"curve/{name}", self._grid.curves, 0.0 - logs / self._years(days))
        segment = ZeroRates(pillars=pillars, calendar="NullCalendar")
        return CurveDefinition(name=name, currency=currency, segments=(segment,))

    def _discount_curve(self, name: str, currency: str) -> str:
        """After the reduction, of a curve that discounts *currency* somewhere."""
        if not self._grid.curves or not name:
            return name
        return currency if currency in self._snapshot.discount_curves else self._names.get(name, name)

    def _hazard(self, given: HazardDefinition) -> HazardDefinition:
        if isinstance(given.isda, IsdaModel):
            return given
        days = self._days(self._grid.hazards)
        logs = self._dots([self._layout.log_survival_of_day(given.name, day) for day in days])
        rates = 0.0 - np.diff(logs, prepend=0.0) / np.diff(self._years(days), prepend=0.0)
        rates = np.where(rates > 0.0, rates, 0.0)  # a curve of zero hazard has rounding of either sign
        pillars = self._pillars(f"hazard/{given.name}", self._grid.hazards, rates)
        return msgspec.structs.replace(given, cds_spreads=(), hazard_rates=pillars, discount_curve="")

    def _equity(self, given: EquityDefinition) -> EquityDefinition:
        forecast = self._names.get(given.forecast_curve, given.forecast_curve)
        if given.dividends:
            return msgspec.structs.replace(given, forecast_curve=forecast)
        days = self._days(self._grid.dividends)
        forwards = self._dots([self._layout.log_equity_forward(given.name, date_of(day)) for day in days])
        discounts = self._dots([self._layout.log_discount_of_day(given.forecast_curve, day) for day in days])
        spot = self._dots([self._layout.log_equity_spot(given.name)])
        yields = (spot - discounts - forwards) / self._years(days)
        pillars = self._pillars(f"equity/{given.name}", self._grid.dividends, yields)
        yielding = msgspec.structs.replace(given, forwards=(), dividend_yields=pillars, calendar=msgspec.UNSET)
        return msgspec.structs.replace(yielding, forecast_curve=forecast, is_log_linear=True)

    # ---- volatilities -----------------------------------------------------------------------------------------------

    def _fx_volatility(self, given: FxVolatility) -> FxVolatility:
        dates = map(date_of, self._days(self._grid.fx_expiries))
        pair = (given.foreign_currency, given.domestic_currency)
        values = self._volatility([self._layout.fx_volatility(*pair, day) for day in dates])
        pillars = self._pillars(f"fx_volatility/{given.name}", self._grid.fx_expiries, values)
        return msgspec.structs.replace(given, pillars=pillars, calendar="NullCalendar")

    def _equity_volatility(self, given: EquityVolatility) -> EquityVolatility:
        dates = map(date_of, self._days(self._grid.equity_expiries))
        values = self._volatility([self._layout.equity_volatility(given.name, day, 0.0) for day in dates])
        pillars = self._pillars(f"equity_volatility/{given.name}", self._grid.equity_expiries, values)
        return msgspec.structs.replace(given, pillars=pillars, calendar="NullCalendar")

    def _swaption_volatility(self, given: SwaptionVolatility) -> SwaptionVolatility:
        dates = list(map(date_of, self._days(self._grid.swaption_expiries)))
        lengths = [parse_tenor(tenor)[0] / 12.0 for tenor in self._grid.swap_tenors]
        refs = [self._layout.swaption_volatility(given.currency, day, years) for day in dates for years in lengths]
        labels = [f"{row}/{column}" for row in self._grid.swaption_expiries for column in self._grid.swap_tenors]
        pillars = self._pillars(f"swaption_volatility/{given.currency}", labels, self._volatility(refs))
        discount = self._names.get(self._snapshot.discount_curves.get(given.currency, ""))
        model = given.lgm if given.lgm is None or discount is None else _discounted(given.lgm, discount)
        return msgspec.structs.replace(
            given,
            lgm=model,
            expiries=self._grid.swaption_expiries,
            swap_tenors=self._grid.swap_tenors,
            quotes=tuple(pillar.quote for pillar in pillars),
            calendar="NullCalendar",
        )

    def _cap_volatility(self, given: CapVolatility) -> CapVolatility:
        expiries = expiry_days(given.name, given.calendar, self._layout.as_of_day, self._grid.cap_expiries)
        dates = list(map(date_of, expiries))
        strikes = self._grid.cap_strikes
        refs = [self._layout.caplet_volatility(given.index, day, strike) for day in dates for strike in strikes]
        labels = [f"{row}/{strike}" for row in self._grid.cap_expiries for strike in strikes]
        pillars = self._pillars(f"cap_volatility/{given.index}", labels, self._volatility(refs))
        currency = self._layout.indices[given.index].currency
        return msgspec.structs.replace(
            given,
            discount_curve=self._discount_curve(given.discount_curve, currency),
            tenors=self._grid.cap_expiries,
            strikes=strikes,
            quotes=tuple(pillar.quote for pillar in pillars),
            are_caplets=True,
            interpolation=msgspec.UNSET,
            extrapolation=msgspec.UNSET,
        )

    # ---- inflation --------------------------------------------------------------------------------------------------

    def _months(self, given: InflationDefinition | YearOnYearDefinition, tenors: Sequence[str]) -> list[int]:
        """First days of the months that swaps of these lengths end at."""
        base = base_month_of(given.observation_lag, self._layout.as_of_day)
        return [month_start(base + parse_tenor(tenor)[0]) for tenor in tenors]

    def _inflation(self, given: InflationDefinition) -> InflationDefinition:
        days = self._months(given, self._grid.inflations)
        logs = self._dots([self._layout.log_growth(given.name, date_of(day)) for day in days])
        base = day_number(self._layout.inflation_base(given.name))
        years = year_fractions(given.curve_day_count, np.full(len(days), base), np.array(days))
        pillars = self._pillars(f"inflation/{given.name}", self._grid.inflations, exp_(logs / years) - 1.0)
        return msgspec.structs.replace(given, swaps=pillars, swap_day_count=given.curve_day_count)

    def _year_on_year(self, given: YearOnYearDefinition) -> YearOnYearDefinition:
        days = self._months(given, self._grid.growths)
        refs = [self._layout.year_on_year(given.name, date_of(day)) for day in days]
        growths = self._dots([found for found in refs if found is not None])
        pillars = self._pillars(f"year_on_year/{given.name}", self._grid.growths, growths)
        discount = self._discount_curve(given.discount_curve, given.currency)
        return msgspec.structs.replace(given, swaps=pillars, discount_curve=discount, are_growths=True)


def _discounted(model: LinearGaussModel, curve: str) -> LinearGaussModel:
    return msgspec.structs.replace(model, discount_curve=curve)
