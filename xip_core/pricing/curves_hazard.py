"""Survival curves from CDS spreads: the standard contract, valued at mid-points, as terms over the market vector.

A contract pays its running spread quarterly on the twentieth of March, June, September and December and has been
accruing since the one before the trade date. Per period [a, b] with payment day p, and m the middle of what is left of
the period, per unit of notional:

    protection   (1 - R) D(m) (Q(a') - Q(b))                         a' = max(a, protection start)
    premium      q [tau(a, b) D(p) Q(p) + tau(a, m) D(m) (Q(a') - Q(b))] - q * accrued at the trade date

Q survival, D discount factor. All are exponentials of sums of factors, so a hazard curve is solved like any other.
The last period counts its last day, also in what has accrued when the name defaults. Source: ISDA standard CDS model,
mid-point variant as in QuantLib's MidPointCdsEngine; D. O'Kane, Modelling single-name and multi-name credit derivatives
(2008), ch. 6.
"""

from __future__ import annotations

import numpy as np

from xip_core.errors import CalibrationError, CellError
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import HazardDefinition
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Schedule
from xip_core.pricing.curves_pillars import cds_maturity
from xip_core.pricing.curves_system import CurveSystem
from xip_core.pricing.curves_terms import Exponents, TermList
from xip_core.pricing.layout import Refs
from xip_core.pricing.layout_slots import combine_refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll

UPFRONT_LAG_DAYS = 3
"""Business days after the trade date on which accrued premium is rebated."""


def hazard_system(layout: SnapshotLayout, definition: HazardDefinition) -> CurveSystem:
    """The system of a hazard curve built from CDS spreads.

    Raises:
        CalibrationError: a contract whose terms cannot be written; names the curve and the quote.
    """
    slot = layout.hazards[definition.name]
    exponents = Exponents()
    rows: list[TermList] = []
    for pillar in definition.cds_spreads:
        poll()
        maturity_day = day_number(cds_maturity(layout.as_of, pillar.tenor))
        try:
            rows.append(_cds_terms(layout, definition, maturity_day, exponents))
        except (ValueError, CellError) as error:
            raise CalibrationError(f"hazard/{definition.name}", pillar.quote, str(error)) from error
    return CurveSystem(slot.begin, rows)


def _cds_terms(
    layout: SnapshotLayout, definition: HazardDefinition, maturity_day: int, exponents: Exponents
) -> TermList:
    out = TermList(exponents)
    as_of_day = layout.as_of_day
    protected_from = as_of_day + definition.protection_delay_days
    schedule = Schedule(
        start=date_of(as_of_day),
        end=date_of(maturity_day),
        tenor="3M",
        calendar=definition.calendar,
        convention="following",
        rule="cds2015",
    )
    ends = boundaries(schedule)
    days_of = calendar(definition.calendar)
    paid = days_of.adjust(ends[1:], "following").tolist()
    starts, stops = ends[:-1].tolist(), ends[1:].tolist()
    stops_counted = [*stops[:-1], stops[-1] + 1]  # the last day counts

    def survival(day: int) -> Refs:
        return layout.log_survival_of_day(definition.name, day)

    def discount(day: int) -> Refs:
        return layout.log_discount_of_day(definition.discount_curve, day)

    def accrual(begin: int, end: int) -> float:
        return float(year_fractions(definition.day_count, np.array([begin]), np.array([end]))[0])

    for start, stop, counted, pay in zip(starts, stops, stops_counted, paid, strict=True):
        alive_from = max(start, protected_from)
        middle = alive_from + (stop - alive_from) // 2
        at_middle = discount(middle)
        protection = 1.0 - definition.recovery_rate
        accrued = accrual(start, middle + counted - stop)
        for sign, day in ((1.0, alive_from), (-1.0, stop)):
            exponent = exponents.number(combine_refs((1.0, at_middle), (1.0, survival(day))))
            out.add(sign * protection, exponent)
            out.add(-sign * accrued, exponent, is_quoted=True)
        paid_alive = exponents.number(combine_refs((1.0, discount(pay)), (1.0, survival(pay))))
        out.add(-accrual(start, counted), paid_alive, is_quoted=True)
    upfront_day = int(days_of.advance(np.array([as_of_day]), UPFRONT_LAG_DAYS)[0])
    out.add(accrual(starts[0], as_of_day + 1), exponents.number(discount(upfront_day)), is_quoted=True)
    return out
