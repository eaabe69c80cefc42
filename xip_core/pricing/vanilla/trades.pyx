# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Trades to records: what compiled resolving reads, copied out of msgspec structs under the interpreter's lock.

A trade that is not plain becomes a record of kind PYTHON_ROW: unknown types, legs that compound, have stubs on other
indices, reset or look back, inflation, smiles of swaptions, cash settlement, the ISDA standard model, coupons by
ACT/ACT ICMA or AFB elsewhere than in bonds, dates near the edges of the calendars' tables.
Nothing is judged here: what Python would refuse is not plain either, and is refused there.
"""

from cpython.datetime cimport date_day, date_month, date_year, import_datetime
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from xip_core.pricing.vanilla.records cimport (
    ACT_ACT_ICMA,
    BACKWARD,
    BOND,
    CAP_FLOOR,
    CDS,
    CDS2015,
    COMMODITY_FORWARD,
    COMMODITY_OPTION,
    EQUITY_FORWARD,
    EQUITY_OPTION,
    FIXED_LEG,
    FLOATING_LEG,
    FORWARD,
    FRA,
    FX_FORWARD,
    FX_OPTION,
    IMM,
    NO_DAY,
    OVERNIGHT_LEG,
    PYTHON_ROW,
    SWAP,
    SWAPTION,
    ZERO,
    first_of_month,
    is_inside,
)

from xip_core.model import trade as trades
from xip_core.model.calendars import is_calendar
from xip_core.model.dates import parse_tenor
from xip_core.pricing.resolve_credit import recovery_rate_of
from xip_core.pricing.vanilla.tables import CONVENTIONS, DAY_COUNTS, REFUSALS

import_datetime()

cdef enum:
    BUSINESS_DAYS_MAX = 250
    FIRST_YEAR = 1950           # of the calendars' tables; is_inside is stricter
    LAST_YEAR = 2169

cdef dict RULES = {"forward": FORWARD, "backward": BACKWARD, "zero": ZERO, "imm": IMM, "cds2015": CDS2015}

cdef object Swap = trades.Swap, Fra = trades.Fra, CapFloor = trades.CapFloor, Swaption = trades.Swaption
cdef object Bond = trades.Bond, Cds = trades.Cds, FxForward = trades.FxForward, FxOption = trades.FxOption
cdef object EquityForward = trades.EquityForward, EquityOption = trades.EquityOption
cdef object CommodityForward = trades.CommodityForward, CommodityOption = trades.CommodityOption
cdef object FixedLeg = trades.FixedLeg, FloatingLeg = trades.FloatingLeg, OvernightLeg = trades.OvernightLeg


cdef void* larger(void* entries, Py_ssize_t count, Py_ssize_t more, Py_ssize_t* room, size_t size) except NULL:
    """Room for *more* entries after the first *count*."""
    cdef Py_ssize_t wanted = max(count + more, 2 * room[0], 64)
    cdef void* moved
    if entries != NULL and count + more <= room[0]:
        return entries
    moved = realloc(entries, wanted * size)
    if moved == NULL:
        raise MemoryError
    room[0] = wanted
    return moved


cdef class TradeRecords:
    """The records of a tile's trades, one after the other."""

    def __cinit__(self, PlainMarket tables):
        self.tables = tables

    def __dealloc__(self):
        free(self.trade)
        free(self.leg)
        free(self.premium)
        free(self.date)
        free(self.number)

    cdef void point_to(self, market_tables* market) noexcept:
        market.dates = self.date
        market.number = self.number
        market.leg = self.leg
        market.premium = self.premium

    cdef int add(self, object trade) except -1:
        """Adds the record of *trade*, a Trade or a RefusedTrade."""
        cdef trade_record* record
        cdef bint is_plain
        self.trade = <trade_record*> larger(
            self.trade, self.trade_count, 1, &self.trade_room, sizeof(trade_record))
        record = self.trade + self.trade_count
        memset(record, 0, sizeof(trade_record))
        record.leg_begin, record.premium_begin = self.leg_count, self.premium_count
        record.survival_source = -1
        try:
            is_plain = self._fill(trade)
        except REFUSALS:
            is_plain = False
        if not is_plain:
            record.kind = PYTHON_ROW
        self.trade_count += 1
        return 0

    def _fill(self, object trade):
        """Whether the last record, filled in, says all about *trade*."""
        cdef trade_record* record = self.trade + self.trade_count
        kind = type(trade)
        if kind is Swap:
            return self._swap(record, trade)
        if kind is FxForward:
            return self._fx_forward(record, trade)
        if kind is FxOption:
            return self._option(record, trade, FX_OPTION)
        if kind is EquityOption:
            return self._option(record, trade, EQUITY_OPTION)
        if kind is CommodityOption:
            return self._option(record, trade, COMMODITY_OPTION)
        if kind is EquityForward:
            return self._forward(record, trade, EQUITY_FORWARD, "equity")
        if kind is CommodityForward:
            return self._forward(record, trade, COMMODITY_FORWARD, "commodity")
        if kind is Cds:
            return self._cds(record, trade)
        if kind is Bond:
            return self._bond(record, trade)
        if kind is Swaption:
            return self._swaption(record, trade)
        if kind is CapFloor:
            return self._cap_floor(record, trade)
        return self._fra(record, trade) if kind is Fra else False

    # ---- what trades are made of ------------------------------------------------------------------------------------

    cdef int _date(self, object date, int32_t* day) except -1:
        """Whether *date* lies well within the calendars' tables."""
        cdef int year = date_year(date)
        if not FIRST_YEAR <= year <= LAST_YEAR:
            return 0
        day[0] = first_of_month((year - 1900) * 12 + date_month(date) - 1) + date_day(date) - 1
        return is_inside(day[0])

    cdef int _optional_date(self, object date, int32_t* day) except -1:
        day[0] = NO_DAY
        return 1 if date is None else self._date(date, day)

    cdef value_range _values(self, object values) except *:
        cdef value_range found
        cdef Py_ssize_t count = len(values), i
        self.number = <double*> larger(self.number, self.number_count, count, &self.number_room, sizeof(double))
        found.begin, found.count = self.number_count, count
        for i in range(count):
            self.number[self.number_count + i] = (<tuple> values)[i]
        self.number_count += count
        return found

    cdef int _schedule(self, schedule_terms* terms, object schedule) except -1:
        cdef Py_ssize_t i, count
        dates, term_convention, tenor = schedule.dates, schedule.term_convention, schedule.tenor
        terms.calendar = self.tables.calendar(schedule.calendar)
        terms.convention = CONVENTIONS[schedule.convention]
        terms.term_convention = -1 if term_convention is None else CONVENTIONS[term_convention]
        terms.rule = RULES[schedule.rule]
        terms.end_of_month = schedule.end_of_month
        terms.tenor_months = terms.tenor_days = 0
        if tenor:
            months, days = parse_tenor(tenor)
            terms.tenor_months, terms.tenor_days = months, days
        terms.dates_begin, terms.dates_count = self.date_count, 0
        if terms.calendar < 0 or terms.tenor_months > 12000 or terms.tenor_days > 100000:
            return 0
        if not dates:
            return (self._date(schedule.start, &terms.start) and self._date(schedule.end, &terms.end) and
                    self._optional_date(schedule.first_date, &terms.first_date) and
                    self._optional_date(schedule.last_date, &terms.last_date))
        count = len(dates)
        self.date = <int32_t*> larger(self.date, self.date_count, count, &self.date_room, sizeof(int32_t))
        for i in range(count):
            if not self._date(dates[i], self.date + self.date_count + i):
                return 0
        self.date_count += count
        terms.dates_count = count
        return 1

    cdef int _leg(self, object leg, bint is_bond) except -1:
        """Whether the next leg record, filled in, says all about *leg*."""
        cdef leg_record* record
        kind = type(leg)
        self.leg = <leg_record*> larger(self.leg, self.leg_count, 1, &self.leg_room, sizeof(leg_record))
        record = self.leg + self.leg_count
        memset(record, 0, sizeof(leg_record))
        self.leg_count += 1
        if kind is FixedLeg:
            record.kind = FIXED_LEG
            record.rates = self._values(leg.rates)
            if leg.periods_per_payment != 1:
                return 0
        elif kind is FloatingLeg:
            record.kind = FLOATING_LEG
            if leg.periods_per_payment != 1 or leg.front_stub is not None or leg.back_stub is not None or (
                    not is_bond and (leg.caps or leg.floors)):
                return 0
        elif kind is OvernightLeg:
            record.kind = OVERNIGHT_LEG
            record.is_averaged = leg.averaged
            if leg.lookback_days:
                return 0
        else:
            return 0
        if leg.fx_reset is not None:
            return 0
        if kind is not FixedLeg and not self._index_terms(leg):
            return 0
        day_count = leg.day_count
        if is_bond and day_count == "ACT/ACT ICMA":
            record.day_count = ACT_ACT_ICMA
        else:
            record.day_count = DAY_COUNTS[day_count]
        return self._schedule(&record.schedule, leg.schedule) and self._payment_terms(leg) and (
            record.day_count != ACT_ACT_ICMA or self._is_of_regular_months())

    def _index_terms(self, object leg):
        cdef leg_record* record = self.leg + self.leg_count - 1
        record.index = self.tables.index(leg.index)
        if record.index < 0:
            return False
        record.spreads = self._values(leg.spreads)
        record.gearings = self._values(leg.gearings)
        lead_days = None if record.kind == OVERNIGHT_LEG else leg.fixing_days
        if lead_days is None:
            record.fixing_days = self.tables.index_tables[record.index].settlement_days
        else:
            record.fixing_days = lead_days
        return -BUSINESS_DAYS_MAX <= record.fixing_days <= BUSINESS_DAYS_MAX

    def _payment_terms(self, object leg):
        cdef leg_record* record = self.leg + self.leg_count - 1
        record.notionals = self._values(leg.notionals)
        record.is_payer = leg.payer
        record.currency = self.tables.currency(leg.currency)
        record.payment_convention = CONVENTIONS[leg.payment_convention]
        record.payment_lag_days = leg.payment_lag_days
        record.payment_calendar = self.tables.calendar(leg.payment_calendar or leg.schedule.calendar)
        record.initial_exchange = leg.initial_exchange
        record.final_exchange = leg.final_exchange
        record.amortising_exchange = leg.amortising_exchange
        return record.currency >= 0 and record.payment_calendar >= 0 and record.payment_lag_days <= BUSINESS_DAYS_MAX

    def _is_of_regular_months(self):
        cdef schedule_terms* terms = &self.leg[self.leg_count - 1].schedule
        return terms.tenor_days == 0 and terms.tenor_months > 0 and 12 % terms.tenor_months == 0

    cdef int _premiums(self, trade_record* record, object premiums) except -1:
        cdef premium_record* entry
        for premium in premiums:
            self.premium = <premium_record*> larger(
                self.premium, self.premium_count, 1, &self.premium_room, sizeof(premium_record))
            entry = self.premium + self.premium_count
            entry.amount = premium.amount
            entry.currency = self.tables.currency(premium.currency)
            if entry.currency < 0 or not self._date(premium.pay_date, &entry.day):
                return 0
            self.premium_count += 1
            record.premium_count += 1
        return 1

    # ---- trades -----------------------------------------------------------------------------------------------------

    cdef int _swap(self, trade_record* record, object trade) except -1:
        cdef tuple legs = trade.legs
        record.kind = SWAP
        for leg in legs:
            if not self._leg(leg, False):
                return 0
        record.leg_count = len(legs)
        record.currency = self.leg[record.leg_begin].currency
        return 1

    cdef int _fra(self, trade_record* record, object trade) except -1:
        record.kind = FRA
        record.currency, record.index = self.tables.currency(trade.currency), self.tables.index(trade.index)
        record.sign = 1.0 if trade.position == "long" else -1.0
        record.amount, record.strike = trade.notional, trade.strike
        if record.currency < 0 or record.index < 0 or self.tables.index_tables[record.index].is_overnight:
            return 0
        return self._date(trade.start, &record.day) and self._date(trade.end, &record.end_day)

    cdef int _cap_floor(self, trade_record* record, object trade) except -1:
        record.kind = CAP_FLOOR
        record.sign = 1.0 if trade.position == "long" else -1.0
        if not self._leg(trade.leg, False):
            return 0
        record.leg_count = 1
        record.currency = self.leg[record.leg_begin].currency
        record.caps, record.floors = self._values(trade.caps), self._values(trade.floors)
        return self.leg[record.leg_begin].kind == FLOATING_LEG and self._premiums(record, trade.premiums)

    cdef int _swaption(self, trade_record* record, object trade) except -1:
        record.kind = SWAPTION
        record.sign = 1.0 if trade.position == "long" else -1.0
        fixed, floating = trade.legs
        if type(fixed) is not FixedLeg:
            fixed, floating = floating, fixed
        if type(fixed) is not FixedLeg or type(floating) is FixedLeg or fixed.payer == floating.payer or (
                fixed.currency != floating.currency or trade.settlement != "physical"):
            return 0
        if len(set(fixed.rates)) > 1 or len(set(fixed.notionals) | set(floating.notionals)) > 1:
            return 0
        if not (self._leg(fixed, False) and self._leg(floating, False)):
            return 0
        record.leg_count = 2
        record.currency = self.leg[record.leg_begin].currency
        return self._date(trade.expiry, &record.day) and self._premiums(record, trade.premiums)

    cdef int _bond(self, trade_record* record, object trade) except -1:
        record.kind = BOND
        if trade.ex_coupon_days or not self._leg(trade.leg, True):
            return 0
        record.leg_count = 1
        record.currency = self.leg[record.leg_begin].currency
        if self.leg[record.leg_begin].kind == FLOATING_LEG:
            record.caps, record.floors = self._values(trade.leg.caps), self._values(trade.leg.floors)
        index = self.tables.layout.indices.get(trade.reference_curve)
        record.forward_source = self.tables.curve(trade.reference_curve if index is None else index.curve)
        if trade.credit_curve:
            record.survival_source = self.tables.hazard(trade.credit_curve)
            record.recovery_rate = recovery_rate_of(trade, self.tables.layout)
            if record.survival_source < 0:
                return 0
        return record.forward_source >= 0

    cdef int _cds(self, trade_record* record, object trade) except -1:
        record.kind = CDS
        if not self._leg(trade.leg, False):
            return 0
        record.leg_count = 1
        record.currency = self.leg[record.leg_begin].currency
        record.recovery_rate = recovery_rate_of(trade, self.tables.layout)
        record.survival_source = self.tables.hazard(trade.credit_curve)
        record.calendar = self.tables.calendar("WeekendsOnly")
        record.has_upfront_date = trade.upfront_date is not None
        record.amount = trade.upfront_fee
        record.pays_at_default, record.settles_accrual = trade.pays_at_default, trade.settles_accrual
        if record.survival_source < 0 or record.calendar < 0 or (
                self.tables.layout.isda_model(trade.credit_curve) is not None):
            return 0
        return self._optional_date(trade.protection_start, &record.day) and (
            self._optional_date(trade.upfront_date, &record.end_day))

    cdef int _fx_forward(self, trade_record* record, object trade) except -1:
        bought, sold = trade.bought_currency, trade.sold_currency
        record.kind = FX_FORWARD
        record.currency, record.sold_currency = self.tables.currency(bought), self.tables.currency(sold)
        record.amount, record.sold_amount = trade.bought_amount, trade.sold_amount
        record.calendar = self.tables.calendar(
            ",".join([currency for currency in (bought, sold) if is_calendar(currency)]) or "WeekendsOnly")
        if record.currency < 0 or record.sold_currency < 0 or record.calendar < 0:
            return 0
        return self._date(trade.value_date, &record.day)

    cdef int _forward(self, trade_record* record, object trade, int kind, object source) except -1:
        record.kind = kind
        record.currency = self.tables.currency(trade.currency)
        record.forward_source = self.tables.forward(source, trade.name)
        record.amount, record.strike = trade.quantity, trade.strike
        record.sign = 1.0 if trade.position == "long" else -1.0
        return record.currency >= 0 and record.forward_source >= 0 and self._date(trade.maturity, &record.day)

    cdef int _option(self, trade_record* record, object trade, int kind) except -1:
        record.kind = kind
        record.sign = 1.0 if trade.position == "long" else -1.0
        record.is_call = trade.option_type == "call"
        if kind == FX_OPTION:
            bought, sold = trade.bought_currency, trade.sold_currency
            record.currency, record.sold_currency = self.tables.currency(bought), self.tables.currency(sold)
            record.amount, record.strike = trade.bought_amount, trade.sold_amount / trade.bought_amount
            record.surface = self.tables.pair_surface(bought, sold)
        else:
            of = "equity" if kind == EQUITY_OPTION else "commodity"
            record.currency = self.tables.currency(trade.currency)
            record.amount, record.strike = trade.quantity, trade.strike
            record.forward_source = self.tables.forward(of, trade.name)
            record.surface = self.tables.surface(f"{of}_volatility/{trade.name}")
        if record.currency < 0 or record.sold_currency < 0 or record.forward_source < 0 or record.surface < 0:
            return 0
        return self._date(trade.expiry, &record.day) and self._premiums(record, trade.premiums)
