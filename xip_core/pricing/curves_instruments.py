"""What each instrument of a curve is worth, as terms over the market vector.

Every residual is zero at par and is a fraction of the notional. Forward rates are par coupons: the forward of a period
is (DF(start) / DF(end) - 1) / accrual on the index curve over the coupon's own dates, so a floating coupon paid at p is

    exp(log D_index(start) - log D_index(end) + log D_discount(p)) - exp(log D_discount(p))

A compounded overnight coupon telescopes to the same expression over its whole period; one compounded over sub-periods
is a product of some such factors, each with the forward of its own deposit.
Cross-currency swaps that reset: each period [a, b] starts with notional FX(a), where the spot rate holds on the start
day 0 of the swap: FX(a) / spot = D_other(a) / D_other(0) * D_own(0) / D_own(a). Legs are compared at the spot rate.
So a period of the resetting leg is worth, in units of the other leg's notional, D_own(0) / D_other(0) times

    - D_other(a) + exp(log D_other(a) - log D_own(a) + log D_own(b) + log D_index(a) - log D_index(b))

Sources: F. Ametrano, M. Bianchetti, Everything you always wanted to know about multiple interest rate curve
bootstrapping (2013); M. Fujii, Y. Shimada, A. Takahashi, A note on construction of multiple swap curves (2010).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from xip_core.errors import CalibrationError, CellError
from xip_core.model import market_instruments as instruments
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, parse_tenor
from xip_core.model.daycounts import year_fractions
from xip_core.model.market_instruments import RateIndex, Segment
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Convention, Schedule
from xip_core.pricing.curves_pillars import Instrument, add_tenors, index_end_days, index_spot_day
from xip_core.pricing.curves_system import CurveSystem
from xip_core.pricing.curves_terms import Exponents, Term, TermList
from xip_core.pricing.layout import Refs
from xip_core.pricing.layout_slots import CurveSlot, combine_refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll

Days = np.ndarray

EARLY_FIXING_DAYS = 7
"""Business days into a period after which QuantLib's telescoped coupons stop writing out fixings."""


def curve_system(layout: SnapshotLayout, slot: CurveSlot) -> CurveSystem:
    """Compiles the system of a curve that is solved for.

    Raises:
        CalibrationError: an instrument whose terms cannot be written; names the curve and the instrument.
    """
    writer = _TermWriter(layout, slot)
    rows: list[TermList] = []
    for instrument in slot.instruments:
        poll()
        segment = slot.definition.segments[instrument.segment]
        try:
            rows.append(writer.terms_of(segment, instrument))
        except (ValueError, CellError) as error:
            raise CalibrationError(f"curve/{slot.definition.name}", instrument.quote, str(error)) from error
    return CurveSystem(slot.begin, rows, slot.grid.factor_count if slot.grid else None)


def par_swap_terms(
    layout: SnapshotLayout, swaps: instruments.FixedFloatSwaps, start_day: int, tenor: str
) -> list[Term]:
    """Terms of a swap from *start_day*, as one the index's curve is built from; the quoted ones hold its rate."""
    writer = _TermWriter(layout, layout.curves[layout.indices[swaps.index].curve])
    return writer.terms_of(swaps, Instrument("", tenor, 0, start_day, start_day, start_day)).terms()


@functools.lru_cache(maxsize=1024)  # curves of one currency share starts and tenors; 0.5 kB each
def _schedule(start_day: int, tenor: str, months: int, calendar_names: str, convention: Convention, eom: bool) -> Days:
    """Backward from the unadjusted maturity, as swap markets do: no stub of a day where it falls on a weekend."""
    schedule = Schedule(
        start=date_of(start_day),
        end=date_of(_unadjusted_end(start_day, tenor)),
        tenor=f"{months}M",
        calendar=calendar_names,
        convention=convention,
        rule="backward",
        end_of_month=eom,
    )
    found = boundaries(schedule)
    found.flags.writeable = False  # others have the same
    return found


@functools.lru_cache(maxsize=1024)
def _unadjusted_end(start_day: int, tenor: str) -> int:
    return int(add_tenors("NullCalendar", start_day, (tenor,), "unadjusted", False)[0])


def _rolled_back(index: RateIndex, begin: int, end: int) -> Days:
    """Ends of the sub-periods of a coupon, by the index's tenor from the coupon's own, adjusted end."""
    schedule = Schedule(
        start=date_of(begin),
        end=date_of(end),
        tenor=index.tenor,
        calendar=index.calendar,
        convention=index.convention,
        rule="backward",
    )
    return boundaries(schedule)


def _repeated(shares: Sequence[float]) -> list[float]:
    """prod (1 - k + k G), G the growth over the repeated day, as a polynomial in G."""
    polynomial = [1.0]
    for share in shares:
        still, grown = [one * (1.0 - share) for one in polynomial], [one * share for one in polynomial]
        polynomial = [one + other for one, other in zip([*still, 0.0], [0.0, *grown], strict=True)]
    return polynomial


class _TermWriter:
    """Writes the terms of the instruments of one curve."""

    def __init__(self, layout: SnapshotLayout, slot: CurveSlot) -> None:
        self._layout = layout
        self._slot = slot
        self._own = slot.definition.name
        self._discount = slot.definition.discount_curve or self._own
        self._exponents = Exponents()
        self._compounded_coupons: dict[tuple[str, int, int], list[tuple[float, int]]] = {}
        self._cut_off_coupons: dict[tuple[int, int, int], list[tuple[float, int]]] = {}
        self._coupons: dict[tuple[str, str], dict[tuple[int, int, int], tuple[int, int]]] = {}
        self._payments: dict[tuple[str, int], int] = {}

    def terms_of(self, segment: Segment, instrument: Instrument) -> TermList:
        """Its terms; exponents are numbered through all instruments of the curve."""
        out = TermList(self._exponents)
        match segment:
            case instruments.Deposits():
                self._simple_rate(out, instrument, segment.day_count)
            case instruments.ForwardRateAgreements():
                self._simple_rate(out, instrument, self._index(segment.index).day_count)
            case instruments.OvernightSwaps():
                self._overnight_swap(out, segment, instrument)
            case instruments.FixedFloatSwaps():
                self._fixed_float_swap(out, segment, instrument)
            case instruments.TenorBasisSwaps():
                self._tenor_basis_swap(out, segment, instrument)
            case instruments.TwoSwapBasis():
                self._two_swap_basis(out, segment, instrument)
            case instruments.FxForwards():
                self._fx_forward(out, segment, instrument)
            case instruments.CrossCurrencyBasisSwaps():
                self._cross_currency_swap(out, segment, instrument)
            case _:
                raise ValueError("given rates and discount factors must not be mixed with instruments in one curve")
        return out

    # ---- building blocks -------------------------------------------------------------------------------------------

    def _index(self, name: str) -> RateIndex:
        return self._layout.indices[name]

    def _df(self, curve: str, day: int) -> Refs:
        return self._layout.log_discount_of_day(curve, day)

    def _index_periods(
        self, index: RateIndex, item: Instrument, calendar_names: str = "", months: int = 0
    ) -> Days:
        period = months or parse_tenor(index.tenor)[0]
        names = calendar_names or index.calendar
        return _schedule(item.start_day, item.tenor, period, names, index.convention, index.end_of_month)

    def _number(self, *parts: tuple[float, Refs]) -> int:
        """Number of a combined exponent."""
        return self._exponents.number(combine_refs(*parts))

    def _payment(self, curve: str, day: int) -> int:
        """Number of log D(day)."""
        key = curve, day
        known = self._payments.get(key)
        if known is None:
            known = self._payments[key] = self._exponents.number(self._df(curve, day))
        return known

    def _floating(
        self, out: TermList, sign: float, curve: str, discount: str, ends: Days, paid: Sequence[int] | Days
    ) -> None:
        """Projected coupons of the periods between *ends*, paid on *paid*; swaps of one curve share most of them."""
        known = self._coupons.setdefault((curve, discount), {})
        days = ends.tolist()
        periods = list(zip(days[:-1], days[1:], map(int, paid), strict=True))
        for period in periods:
            if period not in known:
                growth = self._exponents.number(self._growth(curve, *period[:2], discount, period[2]))
                known[period] = growth, self._payment(discount, period[2])
        out.add_differences(sign, map(known.__getitem__, periods))

    def _growth(self, curve: str, begin: int, end: int, discount: str, pay: int) -> Refs:
        """log of D(begin) / D(end) on *curve*, paid at *pay*."""
        at_payment = self._df(discount, pay)
        return combine_refs((1.0, self._df(curve, begin)), (-1.0, self._df(curve, end)), (1.0, at_payment))

    def _annuity(
        self, out: TermList, sign: float, discount: str, day_count: str, ends: Days, paid: Sequence[int] | Days
    ) -> None:
        """The quote, paid on each period."""
        accruals = year_fractions(day_count, ends[:-1], ends[1:])
        out.add_quoted((sign * accruals).tolist(), [self._payment(discount, int(pay)) for pay in paid])

    # ---- instruments -----------------------------------------------------------------------------------------------

    def _simple_rate(self, out: TermList, item: Instrument, day_count: str) -> None:
        span = np.array([item.start_day]), np.array([item.end_day])
        accrual = float(year_fractions(day_count, *span)[0])
        start, end = self._df(self._own, item.start_day), self._df(self._own, item.end_day)
        out.add(1.0, self._number((1.0, start), (-1.0, end)))
        out.add(-1.0, self._number())
        out.add(-accrual, self._number(), is_quoted=True)

    def _overnight_swap(self, out: TermList, segment: instruments.OvernightSwaps, item: Instrument) -> None:
        ends = _schedule(
            item.start_day,
            item.tenor,
            segment.fixed_frequency_months,
            segment.calendar,
            segment.fixed_convention,
            segment.end_of_month,
        )
        paid = calendar(segment.calendar).advance(ends[1:], segment.payment_lag_days)
        index = self._index(segment.index)
        if segment.rate_cutoff_days:
            known = self._cut_off_coupons
            periods = list(zip(ends[:-1].tolist(), ends[1:].tolist(), paid.tolist(), strict=True))
            if unknown := [period for period in periods if period not in known]:
                known.update(zip(unknown, self._coupons_to_cut_off(segment, index, unknown), strict=True))
            for period in periods:
                for amount, exponent in known[period]:
                    out.add(amount, exponent)
        else:
            self._floating(out, 1.0, index.curve, self._discount, ends, paid)
        self._annuity(out, -1.0, self._discount, segment.fixed_day_count, ends, paid)

    def _coupons_to_cut_off(
        self, segment: instruments.OvernightSwaps, index: RateIndex, periods: Sequence[tuple[int, int, int]]
    ) -> Iterator[list[tuple[float, int]]]:
        """Compounding to the cut-off, then one fixing r repeated: growth D(begin) / D(cut) * prod (1 + tau r)."""
        days_of, count = calendar(index.calendar), segment.rate_cutoff_days
        begins, ends, _ = np.array(periods).T
        tail = [*(days_of.advance(ends, -left) for left in range(count, 0, -1)), ends]
        cuts = tail[0]
        fixed = days_of.advance(cuts, -1)
        if segment.repeats_early_fixing:
            early = days_of.advance(begins, EARLY_FIXING_DAYS)
            fixed = np.where(early < cuts, early, fixed)
        fixed_ends = days_of.advance(fixed, 1)
        fixed_accruals = year_fractions(index.day_count, fixed, fixed_ends)
        shares = [
            (year_fractions(index.day_count, *step) / fixed_accruals).tolist() for step in itertools.pairwise(tail)
        ]
        days = zip(cuts.tolist(), fixed.tolist(), fixed_ends.tolist(), strict=True)
        for (begin, _, pay), (cut, at, until), repeats in zip(periods, days, zip(*shares, strict=True), strict=True):
            if cut <= begin:
                raise ValueError(f"the period from {date_of(begin)} is shorter than the rate cut-off")
            one_fixing = combine_refs((1.0, self._df(index.curve, at)), (-1.0, self._df(index.curve, until)))
            growth = self._growth(index.curve, begin, cut, self._discount, pay)
            repeated = [
                (coefficient, self._number((1.0, growth), (float(power), one_fixing)))
                for power, coefficient in enumerate(_repeated(repeats))
            ]
            yield [*repeated, (-1.0, self._payment(self._discount, pay))]

    def _fixed_float_swap(self, out: TermList, segment: instruments.FixedFloatSwaps, item: Instrument) -> None:
        index = self._index(segment.index)
        ends = self._index_periods(index, item, segment.fixed_calendar)  # one calendar for both legs
        self._floating(out, 1.0, index.curve, self._discount, ends, ends[1:])
        self._fixed_leg(out, -1.0, segment, item, index)

    def _fixed_leg(
        self,
        out: TermList,
        sign: float,
        segment: instruments.FixedFloatSwaps | instruments.TwoSwapBasis,
        item: Instrument,
        index: RateIndex,
    ) -> None:
        ends = _schedule(
            item.start_day,
            item.tenor,
            segment.fixed_frequency_months,
            segment.fixed_calendar,
            segment.fixed_convention,
            index.end_of_month,
        )
        self._annuity(out, sign, self._discount, segment.fixed_day_count, ends, ends[1:])

    def _tenor_basis_swap(self, out: TermList, segment: instruments.TenorBasisSwaps, item: Instrument) -> None:
        pay, receive = self._index(segment.pay_index), self._index(segment.receive_index)
        pay_ends = self._index_periods(pay, item)
        receive_ends = self._index_periods(receive, item, months=segment.receive_frequency_months)
        if segment.receive_frequency_months > parse_tenor(receive.tenor)[0]:
            for begin, end in zip(receive_ends[:-1].tolist(), receive_ends[1:].tolist(), strict=True):
                for amount, exponent in self._compounded_coupon(receive, begin, end):
                    out.add(amount, exponent)
        else:
            self._floating(out, 1.0, receive.curve, self._discount, receive_ends, receive_ends[1:])
        self._floating(out, -1.0, pay.curve, self._discount, pay_ends, pay_ends[1:])
        if segment.is_spread_on_receive:
            self._annuity(out, 1.0, self._discount, receive.day_count, receive_ends, receive_ends[1:])
        else:
            self._annuity(out, -1.0, self._discount, pay.day_count, pay_ends, pay_ends[1:])

    def _compounded_coupon(self, index: RateIndex, begin: int, end: int) -> list[tuple[float, int]]:
        """prod (1 + t F) - 1 over the sub-periods of a coupon, paid at its end, expanded into terms.

        As QuantLib and ORE have it, sub-periods roll back from the coupon's end, so that the first may be a stub of
        some days, and each has the forward F of the deposit that begins with it, whatever its own length t.
        """
        key = (index.name, begin, end)
        known = self._compounded_coupons.get(key)
        if known is not None:
            return known
        ends = _rolled_back(index, begin, end)
        fixings = calendar(index.calendar).advance(ends[:-1], -index.settlement_days)
        values = np.array([index_spot_day(index, day) for day in fixings.tolist()])
        maturities = np.array(index_end_days(index, values.tolist()))
        accruals = year_fractions(index.day_count, ends[:-1], ends[1:])
        shares = (accruals / year_fractions(index.day_count, values, maturities)).tolist()
        at_payment = self._df(self._discount, end)
        terms: list[tuple[float, Refs]] = [(1.0, at_payment)]
        for share, value, maturity in zip(shares, values.tolist(), maturities.tolist(), strict=True):
            growth = combine_refs((1.0, self._df(index.curve, value)), (-1.0, self._df(index.curve, maturity)))
            grown = [(amount * share, combine_refs((1.0, exponent), (1.0, growth))) for amount, exponent in terms]
            still = [(amount * (1.0 - share), exponent) for amount, exponent in terms if share != 1.0]
            terms = grown + still
        numbered = [(amount, self._exponents.number(exponent)) for amount, exponent in [*terms, (-1.0, at_payment)]]
        self._compounded_coupons[key] = numbered
        return numbered

    def _two_swap_basis(self, out: TermList, segment: instruments.TwoSwapBasis, item: Instrument) -> None:
        """Par rate of the long index minus par rate of the short one, times their common annuity."""
        for sign, name in ((1.0, segment.long_index), (-1.0, segment.short_index)):
            index = self._index(name)
            ends = self._index_periods(index, item, segment.fixed_calendar)
            self._floating(out, sign, index.curve, self._discount, ends, ends[1:])
        self._fixed_leg(out, -1.0, segment, item, self._index(segment.long_index))

    def _fx_forward(self, out: TermList, segment: instruments.FxForwards, item: Instrument) -> None:
        """forward / spot = 1 + points / (factor * spot); the quote here is that last fraction."""
        own_currency = self._slot.definition.currency
        foreign, domestic = (
            (self._own, segment.other_curve)
            if segment.foreign_currency == own_currency
            else (segment.other_curve, self._own)
        )
        growth = self._number(
            (1.0, self._df(foreign, item.end_day)),
            (-1.0, self._df(foreign, item.start_day)),
            (-1.0, self._df(domestic, item.end_day)),
            (1.0, self._df(domestic, item.start_day)),
        )
        out.add(1.0, growth)
        out.add(-1.0, self._number())
        out.add(-1.0, self._number(), is_quoted=True)

    def _cross_currency_swap(
        self, out: TermList, segment: instruments.CrossCurrencyBasisSwaps, item: Instrument
    ) -> None:
        for sign, name in ((1.0, segment.flat_index), (-1.0, segment.spread_index)):
            index = self._index(name)
            discount = self._leg_discount(index, segment)
            other = segment.other_curve if discount == self._own else self._own
            months = parse_tenor(index.tenor)[0]
            eom = index.end_of_month
            ends = _schedule(item.start_day, item.tenor, months, segment.calendar, segment.convention, eom)
            if name == segment.resetting_index:
                self._resetting_leg(out, sign, index.curve, discount, other, ends)
            else:
                self._floating(out, sign, index.curve, discount, ends, ends[1:])
                out.add(-sign, self._payment(discount, item.start_day))
                out.add(sign, self._payment(discount, item.end_day))
            if name == segment.spread_index:
                if name == segment.resetting_index:
                    raise ValueError("the spread must be on the leg that does not reset")
                self._annuity(out, sign, discount, index.day_count, ends, ends[1:])

    def _leg_discount(self, index: RateIndex, segment: instruments.CrossCurrencyBasisSwaps) -> str:
        return self._own if index.currency == self._slot.definition.currency else segment.other_curve

    def _resetting_leg(self, out: TermList, sign: float, curve: str, discount: str, other: str, ends: Days) -> None:
        spot_day = int(ends[0])
        to_spot = combine_refs((1.0, self._df(discount, spot_day)), (-1.0, self._df(other, spot_day)))
        for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            at_start = combine_refs((1.0, self._df(other, begin)), (1.0, to_spot))
            growth = self._number(
                (1.0, at_start),
                (-1.0, self._df(discount, begin)),
                (1.0, self._df(discount, end)),
                (1.0, self._df(curve, begin)),
                (-1.0, self._df(curve, end)),
            )
            out.add(-sign, self._exponents.number(at_start))
            out.add(sign, growth)
