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

from collections.abc import Sequence

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
from xip_core.pricing.curves_system import CurveSystem, Term
from xip_core.pricing.layout import Refs
from xip_core.pricing.layout_slots import CurveSlot, combine_refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll

Days = np.ndarray

EARLY_FIXING_DAYS = 7
"""Business days into a period after which QuantLib's telescoped coupons stop writing out fixings."""


class TermList:
    """Terms of one instrument; equal exponents are added up."""

    def __init__(self) -> None:
        self._amounts: dict[tuple[Refs, bool], float] = {}

    def add(self, amount: float, exponent: Refs, is_quoted: bool = False) -> None:
        """amount * exp(exponent . market), times the quote where `is_quoted`."""
        key = (exponent, is_quoted)
        self._amounts[key] = self._amounts.get(key, 0.0) + amount

    def terms(self) -> list[Term]:
        """In the order they were first met; what cancelled is left out."""
        return [
            Term(amount, exponent, quoted) for (exponent, quoted), amount in self._amounts.items() if amount != 0.0
        ]


def curve_system(layout: SnapshotLayout, slot: CurveSlot) -> CurveSystem:
    """Compiles the system of a curve that is solved for.

    Raises:
        CalibrationError: an instrument whose terms cannot be written; names the curve and the instrument.
    """
    writer = _TermWriter(layout, slot)
    rows: list[list[Term]] = []
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
    return writer.terms_of(swaps, Instrument("", tenor, 0, start_day, start_day, start_day))


def _schedule(item: Instrument, months: int, calendar_names: str, convention: Convention, eom: bool) -> Days:
    """Backward from the unadjusted maturity, as swap markets do: no stub of a day where it falls on a weekend."""
    end_day = int(add_tenors("NullCalendar", item.start_day, (item.tenor,), "unadjusted", False)[0])
    schedule = Schedule(
        start=date_of(item.start_day),
        end=date_of(end_day),
        tenor=f"{months}M",
        calendar=calendar_names,
        convention=convention,
        rule="backward",
        end_of_month=eom,
    )
    return boundaries(schedule)


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


class _TermWriter:
    """Writes the terms of the instruments of one curve."""

    def __init__(self, layout: SnapshotLayout, slot: CurveSlot) -> None:
        self._layout = layout
        self._slot = slot
        self._own = slot.definition.name
        self._discount = slot.definition.discount_curve or self._own
        self._compounded_coupons: dict[tuple[str, int, int], list[tuple[float, Refs]]] = {}
        self._cut_off_coupons: dict[tuple[int, int, int], list[tuple[float, Refs]]] = {}
        self._growths: dict[tuple[str, int, int, str, int], Refs] = {}

    def terms_of(self, segment: Segment, instrument: Instrument) -> list[Term]:
        out = TermList()
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
        return out.terms()

    # ---- building blocks -------------------------------------------------------------------------------------------

    def _index(self, name: str) -> RateIndex:
        return self._layout.indices[name]

    def _df(self, curve: str, day: int) -> Refs:
        return self._layout.log_discount_of_day(curve, day)

    def _index_periods(
        self, index: RateIndex, item: Instrument, calendar_names: str = "", months: int = 0
    ) -> Days:
        period = months or parse_tenor(index.tenor)[0]
        return _schedule(item, period, calendar_names or index.calendar, index.convention, index.end_of_month)

    def _floating(
        self, out: TermList, sign: float, curve: str, discount: str, ends: Days, paid: Sequence[int] | Days
    ) -> None:
        """Projected coupons of the periods between *ends*, paid on *paid*."""
        for begin, end, pay in zip(ends[:-1].tolist(), ends[1:].tolist(), list(paid), strict=True):
            out.add(sign, self._growth(curve, begin, end, discount, int(pay)))
            out.add(-sign, self._df(discount, int(pay)))

    def _growth(self, curve: str, begin: int, end: int, discount: str, pay: int) -> Refs:
        """log of D(begin) / D(end) on *curve*, paid at *pay*; swaps of one curve share most of their periods."""
        key = (curve, begin, end, discount, pay)
        known = self._growths.get(key)
        if known is None:
            at_payment = self._df(discount, pay)
            known = combine_refs((1.0, self._df(curve, begin)), (-1.0, self._df(curve, end)), (1.0, at_payment))
            self._growths[key] = known
        return known

    def _annuity(
        self, out: TermList, sign: float, discount: str, day_count: str, ends: Days, paid: Sequence[int] | Days
    ) -> None:
        """The quote, paid on each period."""
        accruals = year_fractions(day_count, ends[:-1], ends[1:]).tolist()
        for accrual, pay in zip(accruals, list(paid), strict=True):
            out.add(sign * accrual, self._df(discount, int(pay)), is_quoted=True)

    # ---- instruments -----------------------------------------------------------------------------------------------

    def _simple_rate(self, out: TermList, item: Instrument, day_count: str) -> None:
        span = np.array([item.start_day]), np.array([item.end_day])
        accrual = float(year_fractions(day_count, *span)[0])
        start, end = self._df(self._own, item.start_day), self._df(self._own, item.end_day)
        out.add(1.0, combine_refs((1.0, start), (-1.0, end)))
        out.add(-1.0, ())
        out.add(-accrual, (), is_quoted=True)

    def _overnight_swap(self, out: TermList, segment: instruments.OvernightSwaps, item: Instrument) -> None:
        ends = _schedule(
            item,
            segment.fixed_frequency_months,
            segment.calendar,
            segment.fixed_convention,
            segment.end_of_month,
        )
        paid = calendar(segment.calendar).advance(ends[1:], segment.payment_lag_days)
        index = self._index(segment.index)
        if segment.rate_cutoff_days:
            for begin, end, pay in zip(ends[:-1].tolist(), ends[1:].tolist(), paid.tolist(), strict=True):
                if (begin, end, pay) not in self._cut_off_coupons:
                    coupon = self._cut_off_coupon(segment, index, begin, end, pay)
                    self._cut_off_coupons[begin, end, pay] = coupon
                for amount, exponent in self._cut_off_coupons[begin, end, pay]:
                    out.add(amount, exponent)
        else:
            self._floating(out, 1.0, index.curve, self._discount, ends, paid)
        self._annuity(out, -1.0, self._discount, segment.fixed_day_count, ends, paid)

    def _cut_off_coupon(
        self, segment: instruments.OvernightSwaps, index: RateIndex, begin: int, end: int, pay: int
    ) -> list[tuple[float, Refs]]:
        """Compounding to the cut-off, then one fixing r repeated: growth D(begin) / D(cut) * prod (1 + tau r)."""
        days_of = calendar(index.calendar)

        def moved(day: int, business_days: int) -> int:
            return int(days_of.advance(np.array([day]), business_days)[0])

        cut = moved(end, -segment.rate_cutoff_days)
        if cut <= begin:
            raise ValueError(f"the period from {date_of(begin)} is shorter than the rate cut-off")
        tail = np.array([cut, *(moved(end, -count) for count in range(segment.rate_cutoff_days - 1, 0, -1)), end])
        early = moved(begin, EARLY_FIXING_DAYS)
        fixed = early if segment.repeats_early_fixing and early < cut else moved(cut, -1)
        fixed_end = moved(fixed, 1)
        fixed_accrual = float(year_fractions(index.day_count, np.array([fixed]), np.array([fixed_end]))[0])
        one_fixing = combine_refs((1.0, self._df(index.curve, fixed)), (-1.0, self._df(index.curve, fixed_end)))
        at_payment = self._df(self._discount, pay)
        growth = self._growth(index.curve, begin, cut, self._discount, pay)
        # prod (1 - k + k G), G the growth over the repeated day, as a polynomial in G
        polynomial = np.ones(1)
        for accrual in year_fractions(index.day_count, tail[:-1], tail[1:]).tolist():
            share = accrual / fixed_accrual
            polynomial = np.append(polynomial * (1.0 - share), 0.0) + np.insert(polynomial * share, 0, 0.0)
        repeated = [
            (coefficient, combine_refs((1.0, growth), (float(power), one_fixing)))
            for power, coefficient in enumerate(polynomial.tolist())
        ]
        return [*repeated, (-1.0, at_payment)]

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
            item,
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

    def _compounded_coupon(self, index: RateIndex, begin: int, end: int) -> list[tuple[float, Refs]]:
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
        self._compounded_coupons[key] = [*terms, (-1.0, at_payment)]
        return self._compounded_coupons[key]

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
        growth = combine_refs(
            (1.0, self._df(foreign, item.end_day)),
            (-1.0, self._df(foreign, item.start_day)),
            (-1.0, self._df(domestic, item.end_day)),
            (1.0, self._df(domestic, item.start_day)),
        )
        out.add(1.0, growth)
        out.add(-1.0, ())
        out.add(-1.0, (), is_quoted=True)

    def _cross_currency_swap(
        self, out: TermList, segment: instruments.CrossCurrencyBasisSwaps, item: Instrument
    ) -> None:
        for sign, name in ((1.0, segment.flat_index), (-1.0, segment.spread_index)):
            index = self._index(name)
            discount = self._leg_discount(index, segment)
            other = segment.other_curve if discount == self._own else self._own
            months = parse_tenor(index.tenor)[0]
            ends = _schedule(item, months, segment.calendar, segment.convention, index.end_of_month)
            if name == segment.resetting_index:
                self._resetting_leg(out, sign, index.curve, discount, other, ends)
            else:
                self._floating(out, sign, index.curve, discount, ends, ends[1:])
                out.add(-sign, self._df(discount, item.start_day))
                out.add(sign, self._df(discount, item.end_day))
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
            growth = combine_refs(
                (1.0, at_start),
                (-1.0, self._df(discount, begin)),
                (1.0, self._df(discount, end)),
                (1.0, self._df(curve, begin)),
                (-1.0, self._df(curve, end)),
            )
            out.add(-sign, at_start)
            out.add(sign, growth)
