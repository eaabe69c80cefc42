"""The one-factor model that rights on several days are valued with, as settings of a swaption surface."""

from __future__ import annotations

import msgspec

from xip_core.model.market_instruments import Record
from xip_core.model.trade import Convention, DayCount


class LinearGaussModel(Record, frozen=True, kw_only=True):
    """Hagan's linear Gauss-Markov model, its volatility fitted to swaptions of the surface, one for each exercise.

    The swap of such a swaption begins *settlement_days* after the exercise and ends where the right's own swap ends;
    its fixed rate is the right's.

    Attributes:
        index: of its floating leg.
        reversion: mean reversion of the short rate a year, given, not fitted.
        discount_curve: of the swaptions the model is fitted to; unset, the one that discounts the currency.
        fixed_frequency_months, fixed_day_count, convention, calendar: of its fixed leg and of both schedules.
    """

    index: str
    fixed_frequency_months: int
    fixed_day_count: DayCount
    convention: Convention
    calendar: str
    settlement_days: int = 2
    reversion: float = 0.0
    discount_curve: str | msgspec.UnsetType = msgspec.UNSET
