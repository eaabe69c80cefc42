# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Lines of a book to records: what compiled resolving reads, made without the interpreter's lock.

Lines are read by trades.h. What a name in them means, Python says once a market (`tables.PlainMarket.learn`): a line
with a new word is read again when the word is known.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from xip_core.pricing.vanilla.records cimport trade_record

import numpy as np

cdef enum:
    LINES_PER_LOOK = 2048       # at the clock: 1 ms of swaps


cdef class TradeRecords:
    """The records of a tile's lines; those that are not plain are LEFT."""

    def __cinit__(self, PlainMarket tables, list lines):
        cdef Py_ssize_t i
        cdef bytes line
        self.tables = tables
        self.lines = lines                      # whose bytes the records of lines point to
        self.count = len(lines)
        self.line = <book_line*> calloc(self.count + 1, sizeof(book_line))
        self.buffer.trade = <trade_record*> calloc(self.count + 1, sizeof(trade_record))
        if self.line == NULL or self.buffer.trade == NULL:
            raise MemoryError
        self.buffer.trade_count = self.count
        for i in range(self.count):
            line = lines[i]
            if len(line) > 0x7fffffff:
                raise MemoryError
            self.line[i].text, self.line[i].size, self.line[i].status = line, <int32_t> len(line), AGAIN
        self.reader.buffer = &self.buffer
        self.reader.words = tables.words
        self.reader.index = tables.index_tables
        self.reader.weekend_calendar = tables.calendar("WeekendsOnly")

    def __dealloc__(self):
        free(self.line)
        free(self.buffer.trade)
        free(self.buffer.leg)
        free(self.buffer.premium)
        free(self.buffer.date)
        free(self.buffer.number)

    cdef void point_to(self, market_tables* market) noexcept:
        market.dates = self.buffer.date
        market.number = self.buffer.number
        market.leg = self.buffer.leg
        market.premium = self.buffer.premium

    cdef Py_ssize_t read(self, Py_ssize_t begin, double duration_s) except -1:
        """Lines from *begin* on for so long; without the lock, but for new words. Returns where it ends."""
        cdef bint is_done
        cdef Py_ssize_t i, end = begin
        cdef double until_s = now_s() + duration_s
        while end < self.count and (end == begin or now_s() < until_s):
            end = min(end + LINES_PER_LOOK, self.count)
            with nogil:
                is_done = read_lines(&self.reader, self.line, begin, end)
            while is_done and self._learn():
                with nogil:
                    is_done = read_lines(&self.reader, self.line, begin, end)
            if not is_done:
                raise MemoryError
        for i in range(begin, end):
            if self.line[i].status == AGAIN:    # the table of words is full
                self.line[i].status = LEFT
        return end

    cdef bint _learn(self) except -1:
        """Whether a word that was missing is known now."""
        cdef bint is_any = False
        cdef int32_t i
        for i in range(self.reader.missing_count):
            word = self.reader.missing[i].text[:self.reader.missing[i].size]
            is_any |= self.tables.learn(self.reader.missing[i].role, word)
        self.reader.missing_count = 0
        return is_any

    cdef object ids(self, dict others):
        """JSON of the ids of all lines, u1; *others*: JSON of those of the lines that are LEFT, by position."""
        cdef Py_ssize_t i, size = 2
        cdef char* at
        cdef const char* text
        cdef bytes encoded
        for i in range(self.count):
            size += 1 + (2 + self.line[i].id.size if self.line[i].status == READ else len(<bytes> others[i]))
        column = np.empty(size - (self.count > 0), dtype=np.uint8)
        at = <char*> <size_t> column.ctypes.data
        at[0] = b"["
        at += 1
        for i in range(self.count):
            if i:
                at[0] = b","
                at += 1
            if self.line[i].status == READ:
                text = self.line[i].id.text - 1             # with its quotes
                size = self.line[i].id.size + 2
            else:
                encoded = others[i]
                text, size = encoded, len(encoded)
            memcpy(at, text, size)
            at += size
        at[0] = b"]"
        return column
