"""Inflation curves: levels of a price index by month from zero-coupon swaps, and yearly growth from year-on-year swaps.

A price index is published once a month with a delay; a swap concluded today therefore looks at an index some months
old. With an observation lag of 3 months, a swap of 10 years concluded in February 2016 pays the growth from November
2015, the **base month**, to November 2025.

Levels beyond the base month follow from zero-coupon swaps alone. Year-on-year swaps have a curve of their own where
they are quoted (their rates differ from those implied by levels by a convexity that nobody quotes); where they are not,
growth follows from the levels without a convexity adjustment.
"""

from __future__ import annotations

import msgspec

from xip_core.model.market_instruments import Pillars, Record
from xip_core.model.trade import Convention, DayCount


class InflationDefinition(Record, frozen=True, kw_only=True):
    """Levels of the price index *name* at month starts, from zero-coupon swaps on them.

    With the base level I0, the month's season s and T years since the base month,
    I = I0 (s / s0) (1 + z)^T where z is linear in time between the months the swaps end at, flat before the first, and
    goes on with its last slope for a year after the last.
    A swap of n years at rate K says I / I0 = (1 + K)^n for its own month.

    Attributes:
        swaps: rates K of zero-coupon inflation swaps by length.
        observation_lag: of these swaps; gives the base month, whose level must be among the fixings.
        swap_day_count: years n from base month to the month a swap ends at.
        curve_day_count: years T, and the time z is linear in.
        seasonality: quotes of the factors s of January to December; or none.
    """

    name: str
    currency: str
    swaps: Pillars
    observation_lag: str
    swap_day_count: DayCount = "30/360"
    curve_day_count: DayCount = "ACT/ACT ISDA"
    seasonality: tuple[str, ...] = ()


class YearOnYearDefinition(Record, frozen=True, kw_only=True):
    """Growth of the price index *name* over the year that ends with a month, from year-on-year swaps.

    Linear in time from *base_rate* at the base month to the months the swaps end at.

    Attributes:
        swaps: fixed rates against the index' growth, both paid yearly.
        discount_curve: discounts the swaps.
        calendar, convention: of their payments.
        swap_day_count: accrual of both legs.
        curve_day_count: the time the growth is linear in.
        are_growths: the quotes are growths over the year that ends where such a swap would, and nothing is solved.
    """

    name: str
    currency: str
    swaps: Pillars
    observation_lag: str
    discount_curve: str
    base_rate: float
    calendar: str
    convention: Convention = "modified_following"
    swap_day_count: DayCount = "30/360"
    curve_day_count: DayCount = "A365F"
    are_growths: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def has_growths(self) -> bool:
        """`are_growths`, False where unset."""
        return self.are_growths is True
