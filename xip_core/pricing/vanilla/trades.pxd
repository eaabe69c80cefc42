from libc.stdint cimport int32_t, int64_t, uint64_t

from xip_core.pricing.vanilla.records cimport (
    index_table,
    leg_record,
    market_tables,
    premium_record,
    trade_record,
)
from xip_core.pricing.vanilla.tables cimport PlainMarket, word_entry


cdef extern from "trades.h" nogil:
    enum: LEFT, READ, AGAIN

    ctypedef struct text_span:
        const char* text
        int32_t size

    ctypedef struct book_line:
        const char* text
        int32_t size, status
        text_span id

    ctypedef struct trade_buffer:
        trade_record* trade
        leg_record* leg
        premium_record* premium
        int32_t* date
        double* number
        int64_t trade_count

    ctypedef struct missing_word:
        int32_t role, size
        char* text

    ctypedef struct line_reader:
        trade_buffer* buffer
        word_entry* words
        const index_table* index
        int32_t weekend_calendar, missing_count
        missing_word* missing

    double now_s()
    bint read_lines(line_reader* reader, book_line* line, int64_t begin, int64_t end)


cdef class TradeRecords:
    cdef PlainMarket tables
    cdef list lines
    cdef book_line* line
    cdef trade_buffer buffer
    cdef line_reader reader
    cdef readonly Py_ssize_t count

    cdef Py_ssize_t read(self, Py_ssize_t begin, double duration_s) except -1
    cdef bint _learn(self) except -1
    cdef void point_to(self, market_tables* market) noexcept
    cdef object ids(self, dict others)
