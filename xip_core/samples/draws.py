"""Random terms of generated trades, and the levels of the market they are struck around.

Every trade has its own stream, seeded by the sample's seed and the trade's number, so that changing one product moves
no other trade. Only `random.Random(n).random()` is used, whose sequence Python documents as stable for an integer seed;
choices and ranges are arithmetic on it. The files written with it are the truth: nobody draws again to read a sample.

Levels are the day's quotes (2016-02-05), rounded: par swap rates by currency and years, forward FX, spots. Terms
scatter around them as those of trades entered over some years do, so a book has gains and losses of all sizes.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, day_number, shift_date

AS_OF = dt.date(2016, 2, 5)
SEED = 20160205

Item = TypeVar("Item")

_PAR_RATES: dict[str, tuple[tuple[float, float], ...]] = {
    "EUR": ((0, -0.0015), (2, -0.0005), (5, 0.0015), (10, 0.0069), (20, 0.0112), (30, 0.0115)),
    "USD": ((0, 0.0060), (2, 0.0093), (5, 0.0124), (10, 0.0168), (20, 0.0207), (30, 0.0217)),
    "GBP": ((0, 0.0070), (2, 0.0083), (5, 0.0100), (10, 0.0145), (20, 0.0170), (30, 0.0169)),
    "CHF": ((0, -0.0080), (2, -0.0084), (5, -0.0063), (10, -0.0015), (20, 0.0028), (30, 0.0038)),
}

_EUR_IN: dict[str, tuple[float, float]] = {
    "USD": (1.1323, 0.012),
    "GBP": (0.8119, 0.009),
    "CHF": (1.1250, -0.006),
    "JPY": (128.15, -0.002),
}
"""Spot price of one EUR, and by how much a year its forward grows."""


class Draw:
    """The stream of one trade."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(SEED * 1_000_003 + number)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        return items[int(self._random.random() * len(items))]

    def whole(self, low: int, high: int) -> int:
        """low to high, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def notional(self) -> float:
        """1 to 50 million, the small ones more often."""
        return self.choice((1.0, 2.0, 2.5, 5.0, 5.0, 10.0, 10.0, 20.0, 25.0, 50.0)) * 1e6

    def day_in(self, months_low: int, months_high: int, calendar_name: str) -> dt.date:
        """A business day that many months from the as-of date; negative months lie in the past."""
        low, high = (day_number(_plus_months(months)) for months in (months_low, months_high))
        return business_day(date_of(self.whole(low, high)), calendar_name)


def business_day(date: dt.date, calendar_name: str) -> dt.date:
    """*date*, or the next business day."""
    return date_of(int(calendar(calendar_name).adjust(np.array([day_number(date)]), "following")[0]))


def par_rate(currency: str, years: float) -> float:
    """Level of a par swap rate, rounded to 0.01 %."""
    knots = _PAR_RATES[currency]
    for (left, low), (right, high) in itertools.pairwise(knots):
        if years <= right:
            return round(low + (high - low) * (years - left) / (right - left), 4)
    return knots[-1][1]


def eur_forward(currency: str, years: float) -> float:
    """Level of the price of one EUR in *currency*, *years* ahead."""
    if currency == "EUR":
        return 1.0
    spot, growth = _EUR_IN[currency]
    return spot * (1.0 + growth * years)


def years_to(date: dt.date) -> float:
    return (date - AS_OF).days / 365.0


def _plus_months(months: int) -> dt.date:
    return shift_date(AS_OF, f"{abs(months)}M", 1 if months >= 0 else -1)
