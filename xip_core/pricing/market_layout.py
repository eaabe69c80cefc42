"""The market vector of a snapshot: which factor stands where, and how dates, strikes and tenors become factors.

Implements `pricing.layout.MarketLayout`. Factors follow each other object by object in the order of the definitions:

    curve               log discount factor at each pillar (Act/365F from the as-of date, log-linear between, or
                        as `curves_interpolation` says); monotone convex: at each node, then forwards at the nodes
    zero-spread curve   continuous spread at each pillar; its log DF is the reference curve's minus t * spread(t)
    fx/USD              log of the base-currency value of one unit
    equity              log spot, then the continuous dividend yield q at each pillar:
                        log F(t) = log S - log DF_forecast(t) - t q(t), q linear in time, flat outside;
                        of cash dividends log S less those up to each ex date, which then stands for log S
    commodity           forward price at each pillar, linear in time, flat outside
    hazard              log survival probability at each pillar
    security            its spread over the reference curve
    inflation           log growth of the price index from the base month to each later one
    year_on_year        growth over a year at the base month and the month of each swap, linear in time
    lognormal term vol  total variance sigma^2 t at each expiry, linear in time from 0, flat volatility outside
    vol grids           volatility at each node (row-major), bilinear, flat outside
    smiles              parameters of each expiry (`surfaces_smiles`)

A layout is built from definitions alone: 23 curves with 1,850 factors take 12 ms; nothing but pillar days is
computed. An object whose definition cannot be laid out (two instruments with one pillar, an unknown calendar) gets no
factors and is kept in `broken` with its reason: asking for it raises CellError, the others stand.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Mapping

import msgspec

from xip_core.errors import CalibrationError, CellError, FailureReason
from xip_core.model import market_instruments as instruments
from xip_core.model.dates import DayNumbers, date_of, day_number
from xip_core.model.market import IsdaModel, Snapshot
from xip_core.model.market_instruments import CurveDefinition, FxIndex, Pillars, RateIndex
from xip_core.model.market_lgm import LinearGaussModel
from xip_core.model.market_objects import MarketObject, build_order, market_objects
from xip_core.pricing.curves_interpolation import interpolator_of
from xip_core.pricing.curves_pillars import advance_days, curve_instruments, days_after, hazard_knot_days
from xip_core.pricing.inflation import (
    InflationSlot,
    YearOnYearSlot,
    inflation_slot,
    month_of,
    month_start,
    year_on_year_slot,
)
from xip_core.pricing.layout import RefArrays, Refs, SmileRef, VolatilityRef, ref_arrays
from xip_core.pricing.layout_slots import (
    YEAR_DAYS,
    CurveSlot,
    PillarSlot,
    combine_refs,
    forward_weight_arrays,
    forward_weights,
)
from xip_core.pricing.polling import poll
from xip_core.pricing.surfaces import (
    BrokenSurfaceError,
    VolatilityGrid,
    VolatilityTerm,
    flat_weights,
    layout_cap_grid,
    layout_commodity,
    layout_swaption_grid,
    layout_term,
    log_linear_weights,
)
from xip_core.pricing.surfaces_smiles import SmileSlot, SwaptionSlot, layout_smile, layout_swaption_smile


class SnapshotLayout:
    """See the module's head. Immutable but for its caches; shared between threads.

    Attributes:
        broken: object name -> why it has no factors.
        objects: every object by name; order: their names, parents first.
        derived: what others compiled for this layout, such as its calibrator; lives and dies with it.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.as_of_day = day_number(snapshot.as_of)
        self.objects: dict[str, MarketObject] = market_objects(snapshot)
        self.order = build_order(self.objects)
        self.indices: dict[str, RateIndex] = {index.name: index for index in snapshot.indices}
        self.fx_indices: dict[str, FxIndex] = {index.name: index for index in snapshot.fx_indices}
        self.broken: dict[str, str] = {}
        self.curves: dict[str, CurveSlot] = {}
        self.spots: dict[str, int] = {}
        self._deliveries: dict[str, dt.date] = {}  # of spot rates that are not for today
        self.equities: dict[str, PillarSlot] = {}
        self.dividends: dict[str, PillarSlot] = {}
        self.commodities: dict[str, PillarSlot] = {}
        self.hazards: dict[str, PillarSlot] = {}
        self.securities: dict[str, int] = {}  # their spreads
        self._spread_curves: dict[str, tuple[str, int]] = {}  # reference curve and spread, by `bond_curve`
        self.inflations: dict[str, InflationSlot] = {}
        self.year_on_years: dict[str, YearOnYearSlot] = {}
        self.terms: dict[str, VolatilityTerm] = {}
        self.grids: dict[str, VolatilityGrid] = {}
        self.smiles: dict[str, SmileSlot] = {}
        self.swaption_smiles: dict[str, SwaptionSlot] = {}
        self._cube_names = {cube.object_name for cube in snapshot.swaption_cubes}
        self._smile_names = {smile.object_name for smile in snapshot.volatility_smiles}
        self.ranges: dict[str, tuple[int, int]] = {}
        self.derived: dict[str, object] = {}
        self._discounts: dict[tuple[str, int], Refs] = {}
        self._next = 0
        self._forecast_curves = {equity.name: equity.forecast_curve for equity in snapshot.equities}
        self._log_linear = {equity.name for equity in snapshot.equities if equity.is_log_linear is True}
        self._hazards = {hazard.name: hazard for hazard in snapshot.hazards}
        for name in self.order:
            poll()
            try:
                self._lay_out(name)
            except (CalibrationError, BrokenSurfaceError, ValueError, OverflowError) as error:
                self.broken[name] = str(error).removeprefix(f"{name}: ")
        self._range_ends = [end for _, end in self.ranges.values()]
        self._range_names = list(self.ranges)

    # ---- laying out ------------------------------------------------------------------------------------------------

    def _lay_out(self, name: str) -> None:
        item = self.objects[name]
        short_name = name.split("/", 1)[1]
        for parent in item.parents:
            if parent in self.broken:
                raise CalibrationError(name, "", f"needs {parent}, which is broken: {self.broken[parent]}")
        snapshot = self._snapshot
        begin = self._next
        match item.kind:
            case "curve":
                definition = next(curve for curve in snapshot.curves if curve.name == short_name)
                self._lay_out_curve(definition)
            case "fx":
                spot = next(s for s in snapshot.fx_spots if short_name in (s.foreign_currency, s.domestic_currency))
                if spot.spot_days:
                    day = advance_days(spot.calendar, self.as_of_day, spot.spot_days)
                    self._deliveries[short_name] = date_of(day)
                self.spots[short_name] = self._take(name, 1)
            case "equity":
                equity = next(equity for equity in snapshot.equities if equity.name == short_name)
                knots = self._pillar_days(name, equity.forwards or equity.dividend_yields, equity.pillar_calendar)
                ex_days = self._pillar_days(name, equity.dividends)
                own = self._take(name, 1 + len(knots) + len(ex_days))
                self.equities[short_name] = PillarSlot(own, knots)
                if ex_days:
                    self.dividends[short_name] = PillarSlot(own + 1 + len(knots), ex_days)
            case "commodity":
                commodity = next(item for item in snapshot.commodities if item.name == short_name)
                knots = self._pillar_days(name, commodity.forwards)
                if commodity.spot_quote:
                    knots = (self.as_of_day, *knots)
                self.commodities[short_name] = PillarSlot(self._take(name, len(knots)), knots)
            case "hazard":
                hazard = next(hazard for hazard in snapshot.hazards if hazard.name == short_name)
                knots = hazard_knot_days(hazard, self.as_of_day)
                self.hazards[short_name] = PillarSlot(self._take(name, len(knots)), knots)
            case "security":
                self.securities[short_name] = self._take(name, 1)
            case "inflation":
                price_index = next(item for item in snapshot.inflations if item.name == short_name)
                self.inflations[short_name] = inflation_slot(price_index, self.as_of_day, begin)
                self._take(name, self.inflations[short_name].factor_count)
            case "year_on_year":
                yearly = next(item for item in snapshot.year_on_years if item.name == short_name)
                self.year_on_years[short_name] = year_on_year_slot(yearly, self.as_of_day, begin)
                self._take(name, self.year_on_years[short_name].factor_count)
            case _ if name in self._smile_names:
                self.smiles[name] = layout_smile(snapshot, name, self.as_of_day, begin)
                self._take(name, self.smiles[name].factor_count)
            case _ if name in self._cube_names:
                cube = layout_swaption_smile(snapshot, name, self.indices, self.as_of_day, begin)
                self.swaption_smiles[name] = cube
                self._take(name, cube.factor_count)
            case "fx_volatility" | "equity_volatility":
                self.terms[name] = layout_term(snapshot, name, self.as_of_day, begin)
                self._take(name, len(self.terms[name].knot_days))
            case "commodity_volatility":
                self.grids[name] = layout_commodity(snapshot, name, self.as_of_day, begin)
                self._take(name, self.grids[name].node_count)
            case "swaption_volatility":
                self.grids[name] = layout_swaption_grid(snapshot, name, self.as_of_day, begin)
                self._take(name, self.grids[name].node_count)
            case _:
                self.grids[name] = layout_cap_grid(snapshot, name, self.indices, self.as_of_day, begin)
                self._take(name, self.grids[name].node_count)

    def _lay_out_curve(self, definition: CurveDefinition) -> None:
        found = curve_instruments(definition, self.indices, self.as_of_day)
        knots = tuple(item.pillar_day for item in found)
        first = definition.segments[0]
        reference = first.reference_curve if isinstance(first, instruments.ZeroSpreads) else ""
        interpolator = interpolator_of(definition.interpolation, self.as_of_day, knots)
        begin = self._take(f"curve/{definition.name}", interpolator.factor_count if interpolator else len(knots))
        self.curves[definition.name] = CurveSlot(definition, begin, knots, found, reference, interpolator)

    def _pillar_days(self, name: str, pillars: Pillars, calendar_name: str = "NullCalendar") -> tuple[int, ...]:
        days = days_after(self.as_of_day, [pillar.tenor for pillar in pillars], calendar_name)
        for position, day in enumerate(days):
            if day <= ([self.as_of_day, *days])[position]:
                message = f"pillars must ascend from the as-of date, got {date_of(day)}"
                raise CalibrationError(name, pillars[position].quote, message)
        return tuple(days)

    def _take(self, name: str, count: int) -> int:
        begin = self._next
        self._next = begin + count
        self.ranges[name] = (begin, self._next)
        return begin

    # ---- MarketLayout ----------------------------------------------------------------------------------------------

    @property
    def as_of(self) -> dt.date:
        return self._snapshot.as_of

    @property
    def base_currency(self) -> str:
        return self._snapshot.base_currency

    @property
    def factor_count(self) -> int:
        return self._next

    def time_years(self, date: dt.date) -> float:
        """Act/365F from the as-of date."""
        return (day_number(date) - self.as_of_day) / YEAR_DAYS

    def discount_curve(self, currency: str) -> str:
        """Name of the curve that discounts *currency* under the snapshot's collateral."""
        curve = self._snapshot.discount_curves.get(currency)
        if curve is None:
            raise _missing(f"no discount curve for {currency}")
        return curve

    def index_curve(self, index: str) -> str:
        """Name of the curve that forecasts a rate index."""
        found = self.indices.get(index)
        if found is None:
            raise _missing(f"no rate index {index}")
        return found.curve

    def log_discount(self, curve: str, date: dt.date) -> Refs:
        return self.log_discount_of_day(curve, day_number(date))

    def log_discount_of_day(self, curve: str, day: int) -> Refs:
        """`log_discount` for a day number."""
        known = self._discounts.get((curve, day))
        if known is not None:
            return known
        if curve in self._spread_curves:
            reference, factor = self._spread_curves[curve]
            years = max((day - self.as_of_day) / YEAR_DAYS, 0.0)
            refs = combine_refs((1.0, self.log_discount_of_day(reference, day)), (-years, ((factor, 1.0),)))
            self._discounts[(curve, day)] = refs
            return refs
        slot = self.curves.get(curve)
        if slot is None:
            raise self._absent(f"curve/{curve}")
        if slot.reference:
            years = (day - self.as_of_day) / YEAR_DAYS
            spread = flat_weights(slot.knot_days, slot.begin, day)
            refs = combine_refs((1.0, self.log_discount_of_day(slot.reference, day)), (-max(years, 0.0), spread))
        elif slot.interpolator:
            refs = slot.interpolator.weights(slot.begin, day)
        else:
            refs = forward_weights(slot.knot_days, slot.begin, self.as_of_day, day)
        self._discounts[(curve, day)] = refs
        return refs

    def log_discounts(self, curve: str, days: DayNumbers) -> RefArrays:
        """`log_discount` of many day numbers at once."""
        if curve in self._spread_curves:
            return ref_arrays([self.log_discount_of_day(curve, day) for day in days.tolist()])
        slot = self.curves.get(curve)
        if slot is None:
            raise self._absent(f"curve/{curve}")
        if slot.reference or slot.interpolator:
            return ref_arrays([self.log_discount_of_day(curve, day) for day in days.tolist()])
        return forward_weight_arrays(slot.knot_days, slot.begin, self.as_of_day, days)

    def log_survivals(self, name: str, days: DayNumbers) -> RefArrays:
        """`log_survival` of many day numbers at once."""
        slot = self.hazards.get(name)
        if slot is None:
            raise self._absent(f"hazard/{name}")
        return forward_weight_arrays(slot.knot_days, slot.begin, self.as_of_day, days)

    def log_survival(self, name: str, date: dt.date) -> Refs:
        return self.log_survival_of_day(name, day_number(date))

    def log_survival_of_day(self, name: str, day: int) -> Refs:
        """`log_survival` for a day number."""
        slot = self.hazards.get(name)
        if slot is None:
            raise self._absent(f"hazard/{name}")
        return forward_weights(slot.knot_days, slot.begin, self.as_of_day, day)

    def recovery_rate(self, name: str) -> float:
        if name not in self._hazards:
            raise self._absent(f"hazard/{name}")
        return self._hazards[name].recovery_rate

    def security_recovery(self, name: str) -> float | None:
        """Recovery rate of a security, None where the market knows none."""
        known = next((item.recovery_rate for item in self._snapshot.known_securities if item.name == name), None)
        return None if isinstance(known, msgspec.UnsetType) else known

    def bond_curve(self, reference: str, security: str) -> str:
        """Name of the curve that discounts a security: its reference, or a name for that and the security's spread."""
        factor = self.securities.get(security)
        if factor is None:
            return reference
        name = f"{reference}+security/{security}"
        self._spread_curves[name] = (reference, factor)
        return name

    def isda_model(self, name: str) -> IsdaModel | None:
        """Set where a hazard curve is one of the ISDA standard model; None where it is one of mid-points."""
        if name not in self._hazards:
            raise self._absent(f"hazard/{name}")
        isda = self._hazards[name].isda
        return None if isinstance(isda, msgspec.UnsetType) else isda

    def discount_nodes(self, curve: str) -> tuple[int, ...]:
        """Day numbers between which the forward rate is constant, ascending.

        Under a zero spread, which is linear in time, it is nearly so.
        """
        slot = self.curves.get(curve)
        if slot is None:
            raise self._absent(f"curve/{curve}")
        below = self.discount_nodes(slot.reference) if slot.reference else ()
        return tuple(sorted({*slot.knot_days, *below}))

    def survival_nodes(self, name: str) -> tuple[int, ...]:
        """Day numbers between which the hazard rate is constant, ascending."""
        slot = self.hazards.get(name)
        if slot is None:
            raise self._absent(f"hazard/{name}")
        return slot.knot_days

    def log_fx(self, currency: str) -> Refs:
        """Log of the base-currency value of one unit; () for the base currency."""
        if currency == self.base_currency:
            return ()
        factor = self.spots.get(currency)
        if factor is None:
            raise self._absent(f"fx/{currency}")
        spot: Refs = ((factor, 1.0),)
        delivery = self._deliveries.get(currency)
        if delivery is None:
            return spot
        base, own = (self.log_discount(self.discount_curve(one), delivery) for one in (self.base_currency, currency))
        return combine_refs((1.0, spot), (1.0, base), (-1.0, own))

    def log_equity_spot(self, name: str) -> Refs:
        slot = self.equities.get(name)
        if slot is None:
            raise self._absent(f"equity/{name}")
        return ((slot.begin, 1.0),)

    def forecast_curve(self, equity: str) -> str:
        """Name of the curve that finances an equity."""
        return self._forecast_curves[equity]

    def log_equity_forward(self, name: str, date: dt.date) -> Refs:
        spot = self.log_equity_spot(name)
        slot = self.equities[name]
        day = day_number(date)
        paying = self.dividends.get(name)
        paid = bisect.bisect_right(paying.knot_days, day) if paying else 0
        if paying and paid:
            spot = ((paying.begin + paid - 1, 1.0),)
        forecast = self.log_discount_of_day(self._forecast_curves[name], day)
        if name in self._log_linear:
            grown = log_linear_weights(slot.knot_days, self.as_of_day, slot.begin + 1, day)
            return combine_refs((1.0, spot), (-1.0, forecast), (-1.0, grown))
        dividends = flat_weights(slot.knot_days, slot.begin + 1, day)
        return combine_refs((1.0, spot), (-1.0, forecast), (-max(self.time_years(date), 0.0), dividends))

    def commodity_forward(self, name: str, date: dt.date) -> Refs:
        """Linear, in price units."""
        slot = self.commodities.get(name)
        if slot is None:
            raise self._absent(f"commodity/{name}")
        return flat_weights(slot.knot_days, slot.begin, day_number(date))

    def inflation_base(self, index: str) -> dt.date:
        """Month whose level `log_growth` starts from."""
        return date_of(month_start(self._inflation(index).base_month))

    def log_growth(self, index: str, month: dt.date) -> Refs:
        """Log of the price index of a month, given by its first day, over that of the base month."""
        slot = self._inflation(index)
        refs = slot.refs(month_of(day_number(month)))
        if refs is None:
            last = date_of(month_start(slot.last_month))
            raise _missing(f"no level of {index} for {month:%Y-%m}, only up to {last:%Y-%m},")
        return refs

    def year_on_year(self, index: str, month: dt.date) -> Refs | None:
        """Growth over the year that ends with a month, linear; None where no year-on-year swaps are quoted."""
        slot = self.year_on_years.get(index)
        if slot is None:
            if f"year_on_year/{index}" in self.objects:
                raise self._absent(f"year_on_year/{index}")
            return None
        refs = slot.refs(month_of(day_number(month)))
        if refs is None:
            raise _missing(f"no yearly growth of {index} for {month:%Y-%m}")
        return refs

    def _inflation(self, index: str) -> InflationSlot:
        slot = self.inflations.get(index)
        if slot is None:
            raise self._absent(f"inflation/{index}")
        return slot

    def fx_volatility(self, foreign: str, domestic: str, expiry: dt.date) -> VolatilityRef:
        for pair in (foreign + domestic, domestic + foreign):  # the volatility of a rate is that of its inverse
            found = self.terms.get(f"fx_volatility/{pair}")
            if found is not None:
                return found.at(self.as_of_day, day_number(expiry))
        raise self._absent(f"fx_volatility/{foreign}{domestic}")

    def equity_volatility(self, name: str, expiry: dt.date, strike: float) -> VolatilityRef:
        found = self.terms.get(f"equity_volatility/{name}")
        if found is None:
            raise self._absent(f"equity_volatility/{name}")
        return found.at(self.as_of_day, day_number(expiry))

    def commodity_volatility(self, name: str, expiry: dt.date, strike: float) -> VolatilityRef:
        return self._grid(f"commodity_volatility/{name}").at(self.as_of_day, day_number(expiry), strike)

    def swaption_volatility(self, currency: str, expiry: dt.date, swap_length_years: float) -> VolatilityRef:
        grid = self._grid(f"swaption_volatility/{currency}")
        return grid.at(self.as_of_day, day_number(expiry), swap_length_years)

    def linear_gauss_model(self, currency: str) -> LinearGaussModel:
        """Settings of the model that values rights on several days."""
        for surface in self._snapshot.swaption_volatilities:
            if surface.currency == currency and surface.lgm is not None:
                return surface.lgm
        raise _missing(f"no model for rights on several days in {currency}")

    def caplet_volatility(self, index: str, fixing: dt.date, strike: float) -> VolatilityRef:
        return self._grid(f"cap_volatility/{index}").at(self.as_of_day, day_number(fixing), strike)

    def smile(self, kind: str, name: str, expiry: dt.date) -> SmileRef | None:
        """The smile of an underlying, None where its surface has none. An FX pair may be asked for either way."""
        for pair in (name, name[3:] + name[:3]) if kind == "fx_volatility" else (name,):
            found = self.smiles.get(f"{kind}/{pair}")
            if found is not None:
                return found.at(self.as_of_day, day_number(expiry), is_inverse=pair != name)
        return None

    def swaption_smile(self, currency: str, expiry: dt.date, swap_length_years: float) -> SmileRef | None:
        """The smile of a swaption, None where the currency's volatilities are at the money."""
        found = self.swaption_smiles.get(f"swaption_volatility/{currency}")
        return found.at(self.as_of_day, day_number(expiry), swap_length_years) if found else None

    def fixing(self, index: str, date: dt.date) -> float | None:
        """The published fixing, or None when the snapshot has none for that day."""
        return self._snapshot.fixings.get(index, {}).get(date)

    def fixings_of(self, index: str) -> Mapping[dt.date, float]:
        """All published fixings of an index."""
        return self._snapshot.fixings.get(index, {})

    def objects_of(self, refs: Refs) -> tuple[str, ...]:
        """Names of the market objects the factors belong to, sorted."""
        names = {self._range_names[bisect.bisect_right(self._range_ends, factor)] for factor, _ in refs}
        return tuple(sorted(names))

    def _grid(self, name: str) -> VolatilityGrid:
        grid = self.grids.get(name)
        if grid is None:
            raise self._absent(name)
        return grid

    def _absent(self, name: str) -> CellError:
        kind, short_name = name.split("/", 1)
        if name in self.broken:
            return CellError(FailureReason.CALIBRATION_FAILED, f"{name} is broken: {self.broken[name]}")
        return _missing(f"no {kind.replace('_', ' ')} {short_name or repr(short_name)}")


def _missing(what: str) -> CellError:
    return CellError(FailureReason.MISSING_DATA, f"{what} in the snapshot")
