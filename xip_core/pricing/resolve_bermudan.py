"""Rights on several days to rows: the flows of the swap under the model, and a swaption to fit it at each exercise.

The swap that is left at an exercise has the periods that begin on that day or later. A fixed coupon is one flow at its
payment. A floating one is growth over the deposit of its index times discount, less the discount: its first flow moves
with H(begin) - H(end) + H(payment) of that deposit. The deposit is the index's own, whatever par coupons say elsewhere.

The swaption of an exercise is that of the market's convention (model.market_lgm), to the end of the right's swap and at
the right's rate. What its floating leg pays beyond the discount curve is paid with the fixed payments around, in shares
that count the floating payments of a fixed period and not their days: the mapping of ORE's analytic LGM engine.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.calendars import calendar
from xip_core.model.dates import DayNumbers, date_of, day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.market_lgm import LinearGaussModel
from xip_core.model.schedules import boundaries
from xip_core.model.trade import BermudanSwaption, FixedLeg, FloatingLeg, Schedule
from xip_core.pricing.bermudan import level_of
from xip_core.pricing.layout import VolatilityRef
from xip_core.pricing.program import KIND_NORMAL, KIND_TOTAL_VARIANCE, RowParts, Term, Uses
from xip_core.pricing.program_bermudan import BermudanBond, BermudanFlow, BermudanItem, BermudanSwaptionItem
from xip_core.pricing.resolve_legs import Discounting, deposits_of, discounting_of, periods_of
from xip_core.pricing.resolve_rates import add_premiums, check_not_expired, legs_of, position_sign
from xip_core.pricing.tile_market import TileMarket


def resolve_bermudan_swaption(trade: BermudanSwaption, market: TileMarket) -> RowParts:
    """One right on several days."""
    fixed, floating = legs_of(trade.legs)
    if not isinstance(floating, FloatingLeg) or set(floating.spreads) != {0.0} or set(floating.gearings) != {1.0}:
        sentence = "a Bermudan swaption needs a floating leg on a term index without spread or gearing"
        raise CellError(FailureReason.UNSUPPORTED, sentence)
    last_exercise = day_number(trade.expiries[-1])
    check_not_expired(last_exercise, market)
    exercises = [day for day in map(day_number, trade.expiries) if day > market.as_of_day]
    discounting = discounting_of(market, fixed.currency)
    model = market.layout.linear_gauss_model(fixed.currency)
    parts = RowParts(currency=fixed.currency)
    add_premiums(parts, market, trade.premiums, trade.position)
    end = int(periods_of(fixed).ends[-1])
    flows = _Flows(market, model, discounting, exercises, end)
    flows.add_fixed(fixed)
    flows.add_floating(floating)
    if not flows.found:
        raise CellError(FailureReason.BAD_TRADE, "no period of the swap begins at or after an exercise")
    if not isinstance(model.discount_curve, msgspec.UnsetType):
        fitted = model.discount_curve
        discounting = msgspec.structs.replace(discounting, curve=fitted, discounts=market.discounts(fitted))
    swaptions = [_swaption(market, model, discounting, fixed, day, end) for day in exercises]
    parts.bermudans.append(BermudanItem(position_sign(trade.position), swaptions, flows.found))
    return parts


class _Flows:
    """Collects the flows of the swap; levels are less that of half its life, see pricing.bermudan."""

    def __init__(
        self, market: TileMarket, model: LinearGaussModel, discounting: Discounting, exercises: list[int], end: int
    ) -> None:
        self._market = market
        self._model = model
        self._discounting = discounting
        self._exercises = exercises
        days = np.array([market.as_of_day]), np.array([end])
        self._middle = level_of(model.reversion, 0.5 * float(year_fractions("ACT/ACT ISDA", *days)[0]))
        self.found: list[BermudanFlow] = []

    def add_fixed(self, leg: FixedLeg) -> None:
        periods, sign = periods_of(leg), -1.0 if leg.payer else 1.0
        for begin, pay, accrual in zip(
            periods.begins.tolist(), periods.pays.tolist(), periods.accruals.tolist(), strict=True
        ):
            amount = sign * leg.notionals[0] * leg.rates[0] * accrual
            self._add(amount, self._discounting.at(pay), [(1.0, pay)], begin, None)

    def add_floating(self, leg: FloatingLeg) -> None:
        periods, sign = periods_of(leg), -1.0 if leg.payer else 1.0
        index = self._market.index(leg.index)
        lead_days = index.settlement_days if leg.fixing_days is None else leg.fixing_days
        deposits = deposits_of(index, calendar(index.calendar).advance(periods.begins, -lead_days))
        forecasts = self._market.discounts(index.curve)
        for i, (begin, pay) in enumerate(zip(periods.begins.tolist(), periods.pays.tolist(), strict=True)):
            value, maturity, fixing = deposits.values[i], deposits.maturities[i], deposits.fixings[i]
            amount = sign * leg.notionals[0] * float(periods.accruals[i]) / deposits.accruals[i]
            paid = self._discounting.at(pay)
            grown = (forecasts[value], forecasts[maturity] + 1, *paid)
            self._add(amount, grown, [(1.0, value), (-1.0, maturity), (1.0, pay)], begin, fixing)
            self._add(-amount, paid, [(1.0, pay)], begin, fixing)

    def _add(
        self, amount: float, value: Uses, days: list[tuple[float, int]], begin: int, fixing: int | None
    ) -> None:
        part = int(np.searchsorted(self._exercises, begin, side="right")) - 1
        if part < 0:
            return
        known = part if fixing is None else int(np.searchsorted(self._exercises, fixing, side="right")) - 1
        levels = [(sign, self._level(day)) for sign, day in days]
        level = sum(sign * h for sign, h in levels)
        square = sum(sign * h * h for sign, h in levels)
        self.found.append(BermudanFlow(amount, value, level, square, part, known))

    def _level(self, day: int) -> float:
        return level_of(self._model.reversion, self._market.time_years(day)) - self._middle


def _swaption(
    market: TileMarket,
    model: LinearGaussModel,
    discounting: Discounting,
    fixed: FixedLeg,
    exercise: int,
    end: int,
) -> BermudanSwaptionItem:
    """The receiver swaption of the market's convention on the rest of the swap."""
    days_of = calendar(model.calendar)
    first = days_of.adjust(np.array([exercise]), "following")
    start = int(days_of.advance(first, model.settlement_days)[0])
    index = market.index(model.index)
    fixed_days = _boundaries(model, start, end, f"{model.fixed_frequency_months}M")
    floating_days = _boundaries(model, start, end, index.tenor)
    accruals = year_fractions(model.fixed_day_count, fixed_days[:-1], fixed_days[1:]).tolist()
    strike = fixed.rates[0]
    bonds: list[list[Term]] = [[] for _ in fixed_days]
    pays = fixed_days.tolist()
    bonds[0].append(Term(-1.0, discounting.at(pays[0])))
    bonds[-1].append(Term(1.0, discounting.at(pays[-1])))
    for i, accrual in enumerate(accruals, start=1):
        bonds[i].append(Term(strike * accrual, discounting.at(pays[i])))
    forecasts = market.discounts(index.curve)
    rights = np.minimum(np.searchsorted(fixed_days, floating_days[1:]), len(pays) - 1)
    shares = shares_by_count(rights)
    for i, (begin, pay) in enumerate(pairwise(floating_days.tolist())):
        right, share = int(rights[i]), float(shares[i])
        grown = (forecasts[begin], forecasts[pay] + 1, *discounting.at(pay))
        for place, weight in ((right - 1, 1.0 - share), (right, share)):
            if weight:
                bonds[place] += [Term(-weight, grown), Term(weight, discounting.at(begin))]
    length_years = round((end - start) / 365.25 * 12.0) / 12.0
    volatility = market.layout.swaption_volatility(fixed.currency, date_of(exercise), length_years)
    return BermudanSwaptionItem(
        time_years=market.time_years(exercise),
        strike=strike,
        kind=_kind(volatility),
        volatility=market.volatility(volatility),
        annuity=[Term(accrual, discounting.at(pay)) for accrual, pay in zip(accruals, pays[1:], strict=True)],
        bonds=[
            BermudanBond(terms, level_of(model.reversion, market.time_years(day)))
            for terms, day in zip(bonds, pays, strict=True)
        ],
    )


def shares_by_count(rights: DayNumbers) -> np.ndarray:
    """Share of each floating payment that its fixed period's end takes: by count, 1/2 and 1 of two, not by days."""
    counts = np.bincount(rights)
    firsts = np.searchsorted(rights, rights)
    shares: np.ndarray = (np.arange(1, len(rights) + 1) - firsts) / counts[rights]
    return shares


def _boundaries(model: LinearGaussModel, start: int, end: int, tenor: str) -> DayNumbers:
    schedule = Schedule(
        start=date_of(start), end=date_of(end), tenor=tenor, calendar=model.calendar, convention=model.convention
    )
    return boundaries(schedule)


def _kind(volatility: VolatilityRef) -> int:
    return (KIND_NORMAL if volatility.is_normal else 0) | (KIND_TOTAL_VARIANCE if volatility.is_total_variance else 0)
