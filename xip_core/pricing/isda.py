"""The legs of a credit default swap as the ISDA standard model sees them, in days.

The model integrates exactly over curves whose forward rates and hazard rates are constant between nodes. A day's
observation is at its beginning, so protection from today on starts at the end of yesterday: every date that survival is
read at, but for the maturity, is a day earlier than the contract's. With accrual periods [s, e), the last one ending
with the day of maturity itself::

    premium      c tau(s, e) D(p) Q(e - 1)                                  for each period that ends after tomorrow
    protection   (1 - R) sum over steps [x, y] of  integral of D dQ
    accrual      c tau(s, e) / (e - s) sum over steps of  integral of (t - (s - 1) + w) D dQ
                                                                            paid at default, t in years of 365 days

Steps run between the nodes of both curves and the ends of the periods, from today (or the eve of protection) to
maturity. What a step is worth is `kernels.default_steps`; here is which steps there are and what multiplies them.

The shift w is the choice of a formula (`accrual_on_default`):

    half_day   w = 1/730, the C code up to 1.8.2 and market practice: a default happens in the middle of its day
    exact      w = 0
    markit     w = 0 and only t - x of each step counts: the correction Markit proposed, which forgets what had accrued
               when a step begins

Sources: ISDA CDS Standard Model, C code v1.8.2 (feeLeg.c, contingentLeg.c); R. White, The pricing and risk management
of credit default swaps, with a focus on the ISDA model, OpenGamma Quantitative Research 16 (2013), section 5.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from xip_core.model.calendars import calendar
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import AccrualOnDefault

CASH_SETTLEMENT_DAYS = 3
"""Business days from trade to cash settlement: upfront and rebate of what had accrued."""

STEP_IN_DAYS = 1
"""Protection and premium belong to the buyer from the day after the trade."""

HALF_DAY_YEARS = 1.0 / 730.0
_YEAR_DAYS = 365.0


class Coupon(msgspec.Struct, frozen=True):
    """A premium payment: *accrual* times notional and coupon at *pay_day*, if the name survives to *survival_day*."""

    period: int
    pay_day: int
    survival_day: int
    accrual: float


class Step(msgspec.Struct, frozen=True):
    """Default in (begin_day, end_day]: premium accrues *elapsed* at its begin and *growth* more up to its end.

    Both are year fractions of the period's day count.
    """

    period: int
    begin_day: int
    end_day: int
    elapsed: float
    growth: float


class IsdaLegs(msgspec.Struct, frozen=True):
    """Coupons and steps of a contract, in order of time."""

    coupons: list[Coupon]
    steps: list[Step]


def isda_legs(
    boundaries: Sequence[int],
    pay_days: Sequence[int],
    day_count: str,
    as_of_day: int,
    protection_day: int,
    nodes: Sequence[int],
    accrual_on_default: AccrualOnDefault,
) -> IsdaLegs:
    """
    What of a contract is alive on the as-of date.

    Args:
        boundaries: adjusted day numbers, ascending; the last is the maturity.
        pay_days: of each period.
        protection_day: first day of protection; tomorrow at the earliest.
        nodes: days at which a curve's rate changes, ascending.
    """
    begins = np.array(boundaries[:-1], dtype=np.int64)
    ends = np.array([*boundaries[1:-1], boundaries[-1] + 1], dtype=np.int64)  # the day of maturity counts
    accruals = year_fractions(day_count, begins, ends).tolist()
    step_in = as_of_day + STEP_IN_DAYS
    eve = max(protection_day, step_in) - 1
    coupons, steps = [], []
    for period, (begin, end, pay_day) in enumerate(zip(begins.tolist(), ends.tolist(), pay_days, strict=True)):
        if end <= step_in:
            continue
        coupons.append(Coupon(period, pay_day, end - 1, accruals[period]))
        pace = accruals[period] / (end - begin)  # day count years per day
        days = _steps_between(max(begin - 1, eve), end - 1, nodes)
        for x, y in pairwise(days):
            elapsed = 0.0 if accrual_on_default == "markit" else float(x - (begin - 1))
            if accrual_on_default == "half_day":
                elapsed += HALF_DAY_YEARS * _YEAR_DAYS
            steps.append(Step(period, x, y, pace * elapsed, pace * (y - x)))
    return IsdaLegs(coupons, steps)


def _steps_between(begin: int, end: int, nodes: Sequence[int]) -> list[int]:
    """*begin*, the nodes inside, *end*; nothing where the period is over before it begins."""
    if end <= begin:
        return []
    return [begin, *nodes[bisect.bisect_right(nodes, begin) : bisect.bisect_left(nodes, end)], end]


def accrued_days(boundaries: Sequence[int], trade_day: int) -> tuple[int, int]:
    """Begin and end of what has accrued when a contract is traded: from the last boundary up to step-in.

    Both are the step-in day where the accrual begins with it or later.
    """
    step_in = trade_day + STEP_IN_DAYS
    position = bisect.bisect_right(list(boundaries[:-1]), step_in) - 1
    return (boundaries[position], step_in) if position >= 0 else (step_in, step_in)


def cash_settlement_day(trade_day: int, calendar_name: str = "WeekendsOnly") -> int:
    """Three business days after the trade."""
    return int(calendar(calendar_name).advance(np.array([trade_day]), CASH_SETTLEMENT_DAYS)[0])
