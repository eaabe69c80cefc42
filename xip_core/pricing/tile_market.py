"""The market as one resolve tile sees it: names and days to points.

`MarketView` keeps what a process has looked up in a layout; it is shared by the tiles of a run. `TileMarket` numbers
the points of one tile.

Dates of curves and hazard curves, almost all there are, only get a number while trades are resolved; their factors
and weights are found at the end, all dates of a curve at once.

Points are returned as **uses** (2 * point, see program.py), so a term is a tuple of what these methods return.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from itertools import chain

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.dates import DayNumbers, date_of, day_number
from xip_core.model.market_instruments import FxIndex, RateIndex
from xip_core.pricing.cubic_volatilities import CubicItem
from xip_core.pricing.inflation import month_start
from xip_core.pricing.layout import MarketLayout, RefArrays, Refs, SmileRef, VolatilityRef, ref_arrays
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.program import PointArrays, Uses
from xip_core.pricing.vanilla.tables import PlainMarket

Key = tuple[str, str, int]
LookUp = Callable[[str, dt.date], Refs]


class MarketView:
    """A layout and a cache in front of it; safe to share between threads, because equal keys give equal entries.

    Attributes:
        plain: its tables for compiled resolving; None of a layout that is not a snapshot's, which has none.
    """

    def __init__(self, layout: MarketLayout) -> None:
        self.layout = layout
        self.as_of_day = day_number(layout.as_of)
        self.refs: dict[Key, Refs] = {}
        self.plain = PlainMarket(layout) if isinstance(layout, SnapshotLayout) else None
        self._objects: dict[tuple[str, str], tuple[str, ...]] = {}

    def objects_behind(self, kind: str, name: str, refs: Refs) -> tuple[str, ...]:
        """Names of the market objects behind *refs*; every day of an equity or commodity needs the same ones."""
        names = self._objects.get((kind, name))
        if names is None:
            names = self.layout.objects_of(refs)
            if refs:
                self._objects[kind, name] = names
        return names


class DatedPoints(dict[int, int]):
    """Uses of the points of one curve by day, numbered when first asked for; `curve[day]` is all a leg does."""

    def __init__(self, points: list[Refs | None], objects: list[tuple[str, ...]], names: tuple[str, ...]) -> None:
        super().__init__()
        self._points = points
        self._objects = objects
        self._names = names

    def __missing__(self, day: int) -> int:
        use = self[day] = 2 * len(self._points)
        self._points.append(None)
        self._objects.append(self._names)
        return use


class TileMarket:
    """Points of one tile by kind, name and day. Methods raise CellError(MISSING_DATA) as the layout does."""

    def __init__(self, view: MarketView) -> None:
        self.layout = view.layout
        self.as_of_day = view.as_of_day
        self._points: list[Refs | None] = []  # None: of a curve, looked up at the end
        self._objects: list[tuple[str, ...]] = []
        self._view = view
        self._curves: dict[str, DatedPoints] = {}
        self._hazards: dict[str, DatedPoints] = {}
        self._uses: dict[Key, int] = {}
        self._volatilities: dict[VolatilityRef, int] = {}

    def discounts(self, curve: str) -> DatedPoints:
        """log DF of *curve* by day."""
        found = self._curves.get(curve)
        if found is None:
            found = self._curves[curve] = self._dated(curve, self.layout.log_discount)
        return found

    def discount(self, curve: str, day: int) -> int:
        """log DF of *curve* at *day*."""
        return self.discounts(curve)[day]

    def weighted_growth(self, curve: str, days: list[int], weights: list[float]) -> int:
        """Sum of weight * (log DF(day) - log DF(next day)) over consecutive days; one weight a step."""
        refs_of = {day: self.layout.log_discount(curve, date_of(day)) for day in days}
        total: dict[int, float] = {}
        for weight, day, next_day in zip(weights, days, days[1:], strict=False):
            for sign, end in ((weight, day), (-weight, next_day)):
                for factor, share in refs_of[end]:
                    total[factor] = total.get(factor, 0.0) + sign * share
        use = 2 * len(self._points)
        self._points.append(tuple(sorted(total.items())))
        self._objects.append(self.layout.objects_of(self._points[-1] or ()))
        return use

    def survivals(self, name: str) -> DatedPoints:
        """log survival probability of *name* by day."""
        found = self._hazards.get(name)
        if found is None:
            found = self._hazards[name] = self._dated(name, self.layout.log_survival)
        return found

    def survival(self, name: str, day: int) -> int:
        """log survival probability of *name* to *day*."""
        return self.survivals(name)[day]

    def point_arrays(self) -> PointArrays:
        """All points asked for so far."""
        parts = [_looked_up(points, self.layout.log_discounts, name) for name, points in self._curves.items()]
        parts += [_looked_up(points, self.layout.log_survivals, name) for name, points in self._hazards.items()]
        others = [(number, refs) for number, refs in enumerate(self._points) if refs is not None]
        numbers = np.array([number for number, _ in others], dtype=np.int64)
        parts.append((numbers, ref_arrays([refs for _, refs in others])))
        return PointArrays(parts, len(self._points))

    def objects_by_point(self) -> list[tuple[str, ...]]:
        """Names of the market objects of each point asked for so far, in the order of their numbers."""
        return self._objects

    def equity_forward(self, name: str, day: int) -> int:
        """log forward of the equity."""
        key = ("equity", name, day)
        use = self._uses.get(key)
        return use if use is not None else self._add_dated(key, self.layout.log_equity_forward)

    def commodity_forward(self, name: str, day: int) -> int:
        """Forward of the commodity; a linear point."""
        key = ("commodity", name, day)
        use = self._uses.get(key)
        return use if use is not None else self._add_dated(key, self.layout.commodity_forward)

    def inflation_base_day(self, index: str) -> int:
        """First day of the month whose level is the base of a price index' curve."""
        return day_number(self.layout.inflation_base(index))

    def log_growth(self, index: str, month: int) -> int:
        """log of the level of a month (since January 1900) over that of the base month."""
        key = ("inflation", index, month_start(month))
        use = self._uses.get(key)
        return use if use is not None else self._add_dated(key, self.layout.log_growth)

    def year_on_year(self, index: str, month: int) -> Uses | None:
        """Growth over the year that ends with a month, a linear point; None where no such swaps are quoted."""
        key = ("year on year", index, month_start(month))
        use = self._uses.get(key)
        if use is None:
            refs = self.layout.year_on_year(index, date_of(month_start(month)))
            if refs is None:
                return None
            use = self._add(key, refs, self._view.objects_behind("year on year", index, refs))
        return (use,)

    def fx(self, currency: str) -> Uses:
        """log of the base-currency value of one unit: one use, or none for the base currency."""
        key = ("fx", currency, 0)
        use = self._uses.get(key)
        if use is None:
            refs = self.layout.log_fx(currency)
            use = self._add(key, refs, self.layout.objects_of(refs))
        return (use,) if self._points[use >> 1] else ()

    def volatility(self, ref: VolatilityRef) -> Uses:
        """The point of a volatility."""
        use = self._volatilities.get(ref)
        if use is None:
            use = self._volatilities[ref] = 2 * len(self._points)
            self._points.append(ref.refs)
            self._objects.append(self.layout.objects_of(ref.refs))
        return (use,)

    def cubic(self, ref: VolatilityRef) -> CubicItem | None:
        """The points of a volatility between rows that a cubic joins; None where its own point gives it."""
        if ref.cubic is None:
            return None
        rows = [msgspec.structs.replace(ref, refs=refs, cubic=None) for refs in ref.cubic.rows]
        before, left, right, after = (self.volatility(row) if row.refs else () for row in rows)
        return CubicItem((before, left, right, after), ref.cubic.widths_years, ref.cubic.share)

    def smile(self, ref: SmileRef) -> Uses:
        """The point that stands for a smile: it says which market objects an option needs; its value is not used."""
        return self.volatility(VolatilityRef(ref.refs, is_total_variance=False, is_normal=False, time_years=0.0))

    def objects_of(self, uses: Iterable[int]) -> list[str]:
        """Names of the market objects that points depend on, sorted."""
        objects = self._objects
        return sorted(set(chain.from_iterable({objects[use >> 1] for use in uses})))

    def index(self, name: str) -> RateIndex:
        """Conventions of a rate index."""
        index = self.layout.indices.get(name)
        if index is None:
            raise CellError(FailureReason.MISSING_DATA, f"no rate index {name} in the snapshot")
        return index

    def fx_index(self, name: str) -> FxIndex:
        """Conventions of a published FX rate."""
        index = self.layout.fx_indices.get(name)
        if index is None:
            raise CellError(FailureReason.MISSING_DATA, f"no FX index {name} in the snapshot")
        return index

    def time_years(self, day: int) -> float:
        """Act/365F from the as-of date, 0 before it."""
        return max(0.0, self.layout.time_years(date_of(day)))

    def _dated(self, name: str, look_up: LookUp) -> DatedPoints:
        """Points of a curve; every day after the as-of date needs the same market objects."""
        tomorrow = look_up(name, date_of(self.as_of_day + 1))
        return DatedPoints(self._points, self._objects, self.layout.objects_of(tomorrow))

    def _add_dated(self, key: Key, look_up: LookUp) -> int:
        kind, name, day = key
        refs = self._view.refs.get(key)
        if refs is None:
            refs = self._view.refs[key] = look_up(name, date_of(day))
        return self._add(key, refs, self._view.objects_behind(kind, name, refs))

    def _add(self, key: Key, refs: Refs, objects: tuple[str, ...]) -> int:
        use = self._uses[key] = 2 * len(self._points)
        self._points.append(refs)
        self._objects.append(objects)
        return use


def _looked_up(
    points: DatedPoints, look_up: Callable[[str, DayNumbers], RefArrays], name: str
) -> tuple[DayNumbers, RefArrays]:
    """Numbers of the points of a curve and their refs."""
    days = np.fromiter(points.keys(), dtype=np.int64, count=len(points))
    uses = np.fromiter(points.values(), dtype=np.int64, count=len(points))
    return uses >> 1, look_up(name, days)
