"""Shifts of curves as they stand after calibration: zero rates, discount factors, hazard rates, survival.

In one scenario, with z(t) = -ln D(t) / t at a curve's knot and the size h at that knot's day::

    absolute     ln D(t) - t h             a zero-spread curve: its spread at the knot + h
    relative     ln D(t) (1 + h)           its spread + h z(t), z of the whole curve
    factor       ln D(t) f                 its spread + (f - 1) z(t)
    of factors   h = -ln(f) / t_i at tenor t_i, then absolute

and so for survival probabilities. Sizes are linear in days between the tenors and flat outside, so a shift by tenor is
the same as a sum of tents. Curves with factors beside their knots are interpolated anew. What is built on a shifted
curve stands still, and an object that failed stays NaN. Elementwise: a column depends on its own sizes alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xip_core.model.scenario import ObjectShift
from xip_core.model.scenario_aim import HALF_DAY_YEARS
from xip_core.pricing.arithmetic import RefTable, log_
from xip_core.pricing.curves_pillars import add_tenors
from xip_core.pricing.layout_slots import YEAR_DAYS, CurveSlot
from xip_core.pricing.market_layout import SnapshotLayout

Floats = npt.NDArray[np.float64]

BASIS_POINT = 1e-4


def shift_curves(layout: SnapshotLayout, market: Floats, shifts: Sequence[ObjectShift]) -> None:
    """Apply *shifts* to the market matrix (F, S), in place and in order; of an object without factors there is none.

    Raises:
        ValueError: a tenor is none.
    """
    for shift in shifts:
        if shift.market_object not in layout.ranges:
            continue  # broken: what needs it says why
        name = shift.market_object.split("/", 1)[1]
        if shift.market_object.startswith("hazard/"):
            _shift_knots(layout, market, shift, layout.hazards[name].knot_days, None)
            continue
        slot = layout.curves[name]
        if slot.reference:
            _shift_spreads(layout, market, shift, name)
        elif slot.grid is not None:
            places = slot.begin + slot.grid.knot_places
            _shift_knots(layout, market, shift, slot.knot_days, places)
            begin, end = layout.ranges[shift.market_object]
            moved = _moved_columns(shift)
            columns = market[places][:, moved].T
            market[begin:end, moved] = np.stack([slot.grid.factors(column)[0] for column in columns], axis=1)
        else:
            _shift_knots(layout, market, shift, slot.knot_days, None)


def _shift_knots(
    layout: SnapshotLayout,
    market: Floats,
    shift: ObjectShift,
    knot_days: Sequence[int],
    places: npt.NDArray[np.int64] | None,
) -> None:
    """Logs of discount factors or survival probabilities, at *places* of the market or at the object's factors."""
    days = np.array(knot_days)
    sizes, years = _sizes_at(layout, shift, days), ((days - layout.as_of_day) / YEAR_DAYS)[:, None]
    begin, end = layout.ranges[shift.market_object]
    rows = np.arange(begin, end) if places is None else places
    moved = _moved_columns(shift)
    place = np.ix_(rows, moved)
    match shift.kind:
        case "absolute":
            market[place] -= years * sizes[:, moved]
        case "relative":
            market[place] *= 1.0 + sizes[:, moved]
        case "factor":
            market[place] *= sizes[:, moved]


def _shift_spreads(layout: SnapshotLayout, market: Floats, shift: ObjectShift, name: str) -> None:
    slot = layout.curves[name]
    days = np.array(slot.knot_days)
    sizes, moved = _sizes_at(layout, shift, days), _moved_columns(shift)
    place = np.ix_(np.arange(slot.begin, slot.begin + len(days)), moved)
    if shift.kind == "absolute":
        market[place] += sizes[:, moved]
        return
    refs = RefTable([layout.log_discount_of_day(name, day) for day in slot.knot_days])
    years = ((days - layout.as_of_day) / YEAR_DAYS)[:, None]
    zeros = -refs.dot(market[:, moved]) / years
    market[place] += zeros * (sizes[:, moved] - (1.0 if shift.kind == "factor" else 0.0))


def _moved_columns(shift: ObjectShift) -> npt.NDArray[np.int64]:
    """Scenarios the shift changes at all; the others keep their bytes."""
    neutral = 1.0 if shift.kind == "factor" or shift.is_of_factor else 0.0
    return np.flatnonzero((shift.sizes != neutral).any(axis=0))


def _sizes_at(layout: SnapshotLayout, shift: ObjectShift, days: npt.NDArray[np.int64]) -> Floats:
    """Sizes at some days: (days, S)."""
    years = (days - layout.as_of_day) / YEAR_DAYS
    neutral = 1.0 if shift.kind == "factor" else 0.0
    if not shift.tenors:
        is_inside = (years > shift.after_years + HALF_DAY_YEARS) & (years <= shift.until_years + HALF_DAY_YEARS)
        return np.asarray(np.where(is_inside[:, None], shift.sizes, neutral))
    centres = add_tenors("NullCalendar", layout.as_of_day, shift.tenors, "unadjusted", False)
    sizes = shift.sizes
    if shift.is_of_factor:
        sizes = -log_(sizes) / ((centres - layout.as_of_day) / YEAR_DAYS)[:, None]
    right = np.clip(np.searchsorted(centres, days), 1, max(1, len(centres) - 1))
    if len(centres) == 1:
        return np.repeat(sizes, len(days), axis=0)
    left = right - 1
    weight = np.clip((days - centres[left]) / (centres[right] - centres[left]), 0.0, 1.0)[:, None]
    return np.asarray(sizes[left] * (1.0 - weight) + sizes[right] * weight)


def dv01_shift(layout: SnapshotLayout) -> Floats:
    """Change of each factor when every zero rate rises by one basis point."""
    shift = np.zeros(layout.factor_count)
    for slot in layout.curves.values():
        if not slot.reference:  # a zero spread moves with the curve under it
            knots = -BASIS_POINT * (np.array(slot.knot_days) - layout.as_of_day) / YEAR_DAYS
            factors = at_nodes(slot, knots[:, None])[:, 0]
            shift[slot.begin : slot.begin + len(factors)] = factors
    return shift


def at_nodes(slot: CurveSlot, knots: Floats) -> Floats:
    """Factors of a curve from its log discount factors at the knots: (n, K)."""
    if slot.grid is None:
        return knots
    return np.stack([slot.grid.factors(column)[0] for column in knots.T], axis=1)
