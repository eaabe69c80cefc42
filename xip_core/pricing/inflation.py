"""Inflation curves: where their factors are, and how they follow from swap quotes.

    inflation       log of the level over that of the base month, one factor a month up to a year after the month the
                    last swap ends at, so that a level under any scenario is one exponential
    year_on_year    growth over a year at the base month and at the month each swap ends at, linear in between

Both are solved without iteration: a zero-coupon swap gives the level of its month, and a year-on-year swap a linear
equation for the last growth it pays once the shorter swaps are known. What is left of that equation, the residual, is
rounding: 1e-16 of the notional (tests/core/pricing/test_inflation.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from xip_core.errors import CalibrationError
from xip_core.model.calendars import calendar
from xip_core.model.dates import DayNumbers, add_tenor, join_days, parse_tenor, split_days
from xip_core.model.daycounts import year_fractions
from xip_core.model.market_inflation import InflationDefinition, YearOnYearDefinition
from xip_core.model.market_instruments import Pillars
from xip_core.pricing.arithmetic import Floats, RefTable, exp_, log_
from xip_core.pricing.layout import Refs

EXTRAPOLATED_MONTHS = 12
"""Beyond the last swap: its own level between two months needs one, a swap of the same length traded later some."""


class InflationSlot(msgspec.Struct, frozen=True):
    """Where an inflation curve's factors are.

    Attributes:
        base_month, last_month: months since January 1900.
        swap_months: of the ends of the swaps, ascending.
    """

    definition: InflationDefinition
    begin: int
    base_month: int
    swap_months: tuple[int, ...]

    @property
    def last_month(self) -> int:
        return self.swap_months[-1] + EXTRAPOLATED_MONTHS

    @property
    def factor_count(self) -> int:
        return self.last_month - self.base_month

    def refs(self, month: int) -> Refs | None:
        """Log growth from the base month to *month*; None beyond the last."""
        if month > self.last_month:
            return None
        return ((self.begin + month - self.base_month - 1, 1.0),) if month > self.base_month else ()


class YearOnYearSlot(msgspec.Struct, frozen=True):
    """As InflationSlot, with a factor for the base month and each of the swaps'."""

    definition: YearOnYearDefinition
    begin: int
    base_month: int
    swap_months: tuple[int, ...]
    times: tuple[float, ...]

    @property
    def factor_count(self) -> int:
        return 1 + len(self.swap_months)

    def refs(self, month: int) -> Refs | None:
        """Growth over the year that ends with *month*; None before the base month and beyond the last."""
        weights = self.weights(month)
        return None if weights is None else tuple((self.begin + position, weight) for position, weight in weights)

    def weights(self, month: int) -> tuple[tuple[int, float], ...] | None:
        """Positions and weights of the factors."""
        months = (self.base_month, *self.swap_months)
        if not self.base_month <= month <= months[-1]:
            return None
        right = int(np.searchsorted(months, month))
        if months[right] == month:
            return ((right, 1.0),)
        time = _years(self.definition.curve_day_count, self.base_month, [month])[0]
        weight = (time - self.times[right - 1]) / (self.times[right] - self.times[right - 1])
        return ((right - 1, float(1.0 - weight)), (right, float(weight)))


def inflation_slot(definition: InflationDefinition, as_of_day: int, begin: int) -> InflationSlot:
    """
    Raises:
        CalibrationError: lengths of swaps do not ascend, or seasons are not twelve.
        ValueError: a tenor is none.
    """
    name = f"inflation/{definition.name}"
    if len(definition.seasonality) not in (0, 12):
        raise CalibrationError(name, "", f"must have a season for each month, got {len(definition.seasonality)}")
    base_month = base_month_of(definition.observation_lag, as_of_day)
    return InflationSlot(definition, begin, base_month, _swap_months(name, definition.swaps, base_month))


def year_on_year_slot(definition: YearOnYearDefinition, as_of_day: int, begin: int) -> YearOnYearSlot:
    """
    Raises:
        CalibrationError: lengths of swaps do not ascend or are not whole years.
        ValueError: a tenor is none.
    """
    name = f"year_on_year/{definition.name}"
    base_month = base_month_of(definition.observation_lag, as_of_day)
    months = _swap_months(name, definition.swaps, base_month)
    for pillar, month in zip(definition.swaps, months, strict=True):
        if (month - base_month) % 12:
            raise CalibrationError(name, pillar.quote, f"must be of whole years, got {pillar.tenor}")
    times = (0.0, *_years(definition.curve_day_count, base_month, months).tolist())
    return YearOnYearSlot(definition, begin, base_month, months, times)


def base_month_of(observation_lag: str, as_of_day: int) -> int:
    """The month observed today, since January 1900."""
    months, days = parse_tenor(observation_lag)
    observed = add_tenor(as_of_day, months, days, np.array([-1]))
    return int(split_days(observed)[0][0])


def month_start(month: int) -> int:
    """Day number of the first of a month since January 1900."""
    return int(join_days(np.array([month]), np.array([1]))[0])


def month_of(day: int) -> int:
    """Month since January 1900 of a day number."""
    return int(split_days(np.array([day], dtype=np.int64))[0][0])


def _swap_months(name: str, swaps: Pillars, base_month: int) -> tuple[int, ...]:
    months: list[int] = []
    for pillar in swaps:
        length, days = parse_tenor(pillar.tenor)
        if days or length <= 0:
            raise CalibrationError(name, pillar.quote, f"a swap must be of whole months, got {pillar.tenor}")
        if months and base_month + length <= months[-1]:
            raise CalibrationError(name, pillar.quote, f"lengths of swaps must ascend, got {pillar.tenor}")
        months.append(base_month + length)
    if not months:
        raise CalibrationError(name, "", "must have a swap, got none")
    return tuple(months)


def _years(day_count: str, base_month: int, months: Sequence[int]) -> Floats:
    """Years from the start of the base month to that of each month."""
    ends: DayNumbers = join_days(np.array(months, dtype=np.int64), np.ones(len(months), dtype=np.int64))
    begins = np.full(len(months), month_start(base_month), dtype=np.int64)
    return year_fractions(day_count, begins, ends)


# ---- from quotes ----------------------------------------------------------------------------------------------------


def log_growths(slot: InflationSlot, rates: Floats, seasons: Floats) -> Floats:
    """
    Log of the level over that of the base month, for each month after it.

    Args:
        rates: of the swaps, (n, K), > -1.
        seasons: factors of January to December, (12, K) or (0, K), > 0.

    Returns:
        float64 (months, K).
    """
    definition, base = slot.definition, slot.base_month
    months = np.arange(base + 1, slot.last_month + 1)
    season_logs = np.zeros((len(months) + 1, rates.shape[1]))
    if len(seasons):
        by_month = log_(seasons)
        season_logs = by_month[np.arange(base, slot.last_month + 1) % 12]
    season_logs = season_logs - season_logs[:1]
    swap_years = _years(definition.swap_day_count, base, slot.swap_months)[:, None]
    times = _years(definition.curve_day_count, base, months.tolist())
    at_swaps = np.array(slot.swap_months) - base - 1
    plain = swap_years * log_(1.0 + rates) - season_logs[at_swaps + 1]
    zero_rates = exp_(plain / times[at_swaps, None]) - 1.0
    right = np.minimum(np.searchsorted(at_swaps, np.arange(len(months))), len(at_swaps) - 1)
    left = np.maximum(right - 1, 0)
    spans = np.where(right > left, times[at_swaps[right]] - times[at_swaps[left]], 1.0)
    weight = np.where(right > left, (times - times[at_swaps[left]]) / spans, 0.0)[:, None]
    interpolated = (1.0 - weight) * zero_rates[left] + weight * zero_rates[right]
    growths: Floats = times[:, None] * log_(1.0 + interpolated) + season_logs[1:]
    return growths


class YearOnYearSwaps:
    """The swaps of a year-on-year curve, compiled against the curve that discounts them."""

    def __init__(self, slot: YearOnYearSlot, discounts: RefTable, accruals: Floats) -> None:
        """
        Args:
            discounts, accruals: one row for each year up to the longest swap, see `year_on_year_payments`.
        """
        self._slot = slot
        self._discounts = discounts
        self._accruals = accruals
        self._weights = [slot.weights(slot.base_month + 12 * (year + 1)) or () for year in range(len(accruals))]

    def solve(self, rates: Floats, market: Floats) -> Floats:
        """Growths (1 + n, K): the base rate and that of each swap's month. *rates* are (n, K)."""
        slot = self._slot
        annuities = self._accruals[:, None] * self._discounts.exp(market)
        growths = np.full((1 + len(rates), rates.shape[1]), slot.definition.base_rate)
        year, paid, annuity = 0, np.zeros(rates.shape[1]), np.zeros(rates.shape[1])
        for swap, month in enumerate(slot.swap_months, start=1):
            last_year = (month - slot.base_month) // 12
            slope = np.zeros(rates.shape[1])
            for k in range(year, last_year):
                annuity = annuity + annuities[k]
                for position, weight in self._weights[k]:
                    if position == swap:
                        slope = slope + weight * annuities[k]
                    else:
                        paid = paid + weight * growths[position] * annuities[k]
            growths[swap] = (rates[swap - 1] * annuity - paid) / slope
            paid, year = paid + slope * growths[swap], last_year
        return growths


def year_on_year_payments(slot: YearOnYearSlot, as_of_day: int) -> tuple[DayNumbers, Floats]:
    """Payment day and accrual of each year of the longest swap; shorter swaps have the same."""
    count = (slot.swap_months[-1] - slot.base_month) // 12
    ends = add_tenor(as_of_day, 12, 0, np.arange(count + 1))
    accruals = year_fractions(slot.definition.swap_day_count, ends[:-1], ends[1:])
    return calendar(slot.definition.calendar).adjust(ends[1:], slot.definition.convention), accruals
