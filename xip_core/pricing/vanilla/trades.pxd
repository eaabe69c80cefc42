from xip_core.pricing.vanilla.records cimport (
    int32_t,
    int64_t,
    leg_record,
    market_tables,
    premium_record,
    schedule_terms,
    trade_record,
    value_range,
)
from xip_core.pricing.vanilla.tables cimport PlainMarket


cdef class TradeRecords:
    cdef PlainMarket tables
    cdef trade_record* trade
    cdef leg_record* leg
    cdef premium_record* premium
    cdef int32_t* date
    cdef double* number
    cdef Py_ssize_t trade_count, trade_room, leg_count, leg_room, premium_count, premium_room
    cdef Py_ssize_t date_count, date_room, number_count, number_room

    cdef int add(self, object trade) except -1
    cdef void point_to(self, market_tables* market) noexcept
    cdef int _swap(self, trade_record* record, object trade) except -1
    cdef int _fra(self, trade_record* record, object trade) except -1
    cdef int _cap_floor(self, trade_record* record, object trade) except -1
    cdef int _swaption(self, trade_record* record, object trade) except -1
    cdef int _bond(self, trade_record* record, object trade) except -1
    cdef int _cds(self, trade_record* record, object trade) except -1
    cdef int _fx_forward(self, trade_record* record, object trade) except -1
    cdef int _forward(self, trade_record* record, object trade, int kind, object source) except -1
    cdef int _option(self, trade_record* record, object trade, int kind) except -1
    cdef int _leg(self, object leg, bint is_bond) except -1
    cdef int _schedule(self, schedule_terms* terms, object schedule) except -1
    cdef int _premiums(self, trade_record* record, object premiums) except -1
    cdef value_range _values(self, object values) except *
    cdef int _date(self, object date, int32_t* day) except -1
    cdef int _optional_date(self, object date, int32_t* day) except -1
