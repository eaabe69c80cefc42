"""The market of the next business day, if nothing is quoted otherwise: what theta is valued against.

Definition. Theta is PV(rolled) - PV(base), base currency. The rolled snapshot has

    as-of date    the next business day of the base currency's calendar: Monday after a Friday
    quotes        those of today. A tenor runs from the new date, so a curve keeps its quotes by tenor and, to first
                  order, its zero rates by time: it rolls down its own slope. Spots and volatilities by tenor stand
                  still. What is dated (futures, listed expiries) keeps its date; what has passed is left out
    fixings       of days from the old date up to the eve of the new one that are not published: what today's curves
                  forecast for them (rates), today's spot (FX), today's price (commodities), and the level today's
                  inflation curve gives a month that becomes the base month. So a fixing brings no P&L of its own

Cash flows paid on days after the old date up to the new one are gone from PV(rolled) and are not added back: theta is
of the value, not of the account.

Other desks let forwards come true instead (curves keep their forwards by date): then theta has the carry alone and no
roll-down. Quotes by tenor are what the market shows the next morning if nothing happens, and are what P&L explain
splits off first. Source: J. Hull, Options, Futures and Other Derivatives, ch. 19.5: the change of value as time passes,
all else remaining the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.model.calendars import calendar, is_calendar
from xip_core.model.dates import date_of, day_number
from xip_core.model.market import CommodityVolatility, Snapshot
from xip_core.model.market_instruments import Pillars, RateIndex
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.inflation import base_month_of, month_start
from xip_core.pricing.layout import Refs
from xip_core.pricing.layout_slots import combine_refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve_legs import deposits_of

Floats = npt.NDArray[np.float64]
Fixings = dict[str, dict[dt.date, float]]


def next_business_day(snapshot: Snapshot) -> dt.date:
    """
    The as-of date of the rolled snapshot.

    Raises:
        RequestError: BAD_SENSITIVITY where the base currency has no calendar.
    """
    if not is_calendar(snapshot.base_currency):
        sentence = f"theta needs a calendar of the base currency, there is none for {snapshot.base_currency!r}"
        raise RequestError("BAD_SENSITIVITY", sentence)
    day = calendar(snapshot.base_currency).advance(np.array([day_number(snapshot.as_of)]), 1)
    return date_of(int(day[0]))


def rolled_snapshot(snapshot: Snapshot, layout: SnapshotLayout | None = None) -> Snapshot:
    """
    The snapshot of the next business day; see the module's head.

    Args:
        layout: of this snapshot, where there is one already.

    Raises:
        RequestError: BAD_SENSITIVITY where the base currency has no calendar, BAD_SNAPSHOT where a curve has nothing
            left.
    """
    rolled = next_business_day(snapshot)
    layout = layout or SnapshotLayout(snapshot)
    return msgspec.structs.replace(
        snapshot,
        as_of=rolled,
        fixings=_Forecast(snapshot, layout).fixings_until(rolled),
        curves=tuple(
            msgspec.structs.replace(curve, segments=tuple(_ahead(segment, rolled) for segment in curve.segments))
            for curve in snapshot.curves
        ),
        equities=tuple(_ahead(equity, rolled) for equity in snapshot.equities),
        commodities=tuple(_ahead(commodity, rolled) for commodity in snapshot.commodities),
        hazards=tuple(_ahead(hazard, rolled) for hazard in snapshot.hazards),
        equity_volatilities=tuple(_ahead(surface, rolled) for surface in snapshot.equity_volatilities),
        fx_volatilities=tuple(_ahead(surface, rolled) for surface in snapshot.fx_volatilities),
        commodity_volatilities=tuple(_rows_ahead(surface, rolled) for surface in snapshot.commodity_volatilities),
    )


# ---- what has passed ------------------------------------------------------------------------------------------------


def _is_ahead(tenor: str, rolled: dt.date) -> bool:
    """Of a tenor or ISO date."""
    try:
        return dt.date.fromisoformat(tenor) > rolled
    except ValueError:
        return True


_PILLAR_FIELDS = ("pillars", "forwards", "dividend_yields", "cash_dividends", "cds_spreads", "hazard_rates")


def _ahead(definition: Any, rolled: dt.date) -> Any:
    """A definition without the pillars whose date has passed."""
    changed: dict[str, Pillars] = {}
    for field in _PILLAR_FIELDS:
        pillars = getattr(definition, field, msgspec.UNSET)
        if not isinstance(pillars, msgspec.UnsetType):
            kept = tuple(pillar for pillar in pillars if _is_ahead(pillar.tenor, rolled))
            if len(kept) < len(pillars):
                changed[field] = kept
    return msgspec.structs.replace(definition, **changed) if changed else definition


def _rows_ahead(surface: CommodityVolatility, rolled: dt.date) -> CommodityVolatility:
    width = max(1, len(surface.strikes))
    kept = [row for row, expiry in enumerate(surface.expiries) if _is_ahead(expiry, rolled)]
    if len(kept) == len(surface.expiries):
        return surface
    quotes = (surface.quotes[row * width : (row + 1) * width] for row in kept)
    return msgspec.structs.replace(
        surface,
        expiries=tuple(surface.expiries[row] for row in kept),
        quotes=tuple(quote for row in quotes for quote in row),
    )


# ---- fixings --------------------------------------------------------------------------------------------------------


class _Forecast:
    """What today's market says of the fixings that are past on the rolled day; objects that failed give none."""

    def __init__(self, snapshot: Snapshot, layout: SnapshotLayout) -> None:
        self._snapshot = snapshot
        self._layout = layout
        self._market, self._failures = calibrator_of(snapshot, layout).base_market()

    def fixings_until(self, rolled: dt.date) -> Fixings:
        """Fixings of the snapshot, and those of the days from its date up to *rolled* that it lacks."""
        found = {index: dict(by_date) for index, by_date in self._snapshot.fixings.items()}
        for name, day, value in self._new(rolled):
            if np.isfinite(value):
                found.setdefault(name, {}).setdefault(day, value)
        return found

    def _new(self, rolled: dt.date) -> Iterator[tuple[str, dt.date, float]]:
        count = (rolled - self._snapshot.as_of).days
        days = [self._snapshot.as_of + dt.timedelta(days=ahead) for ahead in range(count)]
        for index in self._snapshot.indices:
            if self._is_there(f"curve/{index.curve}"):
                yield from ((index.name, day, rate) for day, rate in self._rates(index, days))
        for fx in self._snapshot.fx_indices:
            names = [name for name in (fx.foreign_currency, fx.domestic_currency) if name != self._layout.base_currency]
            if all(self._is_there(f"fx/{name}") for name in names):
                spot = combine_refs(
                    (1.0, self._layout.log_fx(fx.foreign_currency)), (-1.0, self._layout.log_fx(fx.domestic_currency))
                )
                yield from ((fx.name, day, self._exp(spot)) for day in days)
        for commodity in self._snapshot.commodities:
            if self._is_there(f"commodity/{commodity.name}"):
                for day in days:
                    price = RefTable([self._layout.commodity_forward(commodity.name, day)])
                    yield commodity.name, day, float(price.dot(self._market[:, None])[0, 0])
        for item in self._snapshot.inflations:
            base = self._snapshot.fixings.get(item.name, {})
            if self._is_there(f"inflation/{item.name}"):
                yield from self._level(item.name, item.observation_lag, base, day_number(rolled))

    def _is_there(self, name: str) -> bool:
        return name in self._layout.ranges and name not in self._failures

    def _exp(self, refs: Refs) -> float:
        return float(RefTable([refs]).exp(self._market[:, None])[0, 0])

    def _rates(self, index: RateIndex, days: list[dt.date]) -> Iterator[tuple[dt.date, float]]:
        """Forecasts for the days an index is fixed on."""
        numbers = np.array([day_number(day) for day in days])
        fixed = numbers[calendar(index.calendar).is_business_day(numbers)]
        if not len(fixed):
            return
        deposits = deposits_of(index, fixed)
        for day, value, end, accrual in zip(
            deposits.fixings, deposits.values, deposits.maturities, deposits.accruals, strict=True
        ):
            growth = combine_refs(
                (1.0, self._layout.log_discount_of_day(index.curve, value)),
                (-1.0, self._layout.log_discount_of_day(index.curve, end)),
            )
            yield date_of(day), (self._exp(growth) - 1.0) / accrual

    def _level(
        self, name: str, lag: str, levels: dict[dt.date, float], rolled_day: int
    ) -> Iterator[tuple[str, dt.date, float]]:
        """The level of the base month, if it becomes another."""
        month = date_of(month_start(base_month_of(lag, rolled_day)))
        base = self._layout.inflation_base(name)
        if month not in levels and base in levels:
            yield name, month, levels[base] * self._exp(self._layout.log_growth(name, month))
