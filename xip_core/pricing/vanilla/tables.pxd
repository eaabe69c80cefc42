from xip_core.pricing.vanilla.records cimport (
    calendar_table,
    currency_table,
    index_table,
    int32_t,
    market_tables,
    source_table,
    surface_table,
)


cdef extern from "words.h" nogil:
    enum:
        CURRENCY_WORD, INDEX_WORD, CALENDAR_WORD, PAIR_CALENDAR_WORD, PAIR_SURFACE_WORD, EQUITY_WORD
        EQUITY_SURFACE_WORD, COMMODITY_WORD, COMMODITY_SURFACE_WORD, CDS_CURVE_WORD, BOND_CURVE_WORD, REFERENCE_WORD
        TENOR_WORD, CONVENTION_WORD, DAY_COUNT_WORD, RULE_WORD
        NOT_PLAIN, WORDS_ROOM, WORDS_MAX

    ctypedef struct text_span:
        const char* text
        int32_t size

    ctypedef struct word_entry:
        int32_t size

    word_entry* word_place(word_entry* words, int32_t role, text_span word)
    void add_word(word_entry* words, int32_t role, text_span word, int32_t number, double value)


cdef class PlainMarket:
    cdef readonly object layout
    cdef readonly list source_names, source_objects, surface_objects, surface_names
    cdef object lock
    cdef dict calendars, sources, currencies, indices, surfaces
    cdef list kept
    cdef calendar_table* calendar_tables
    cdef source_table* source_tables
    cdef currency_table* currency_tables
    cdef index_table* index_tables
    cdef surface_table* surface_tables
    cdef word_entry* words
    cdef Py_ssize_t word_count
    cdef int32_t as_of_day

    cdef int calendar(self, object names) except -2
    cdef int curve(self, object name) except -2
    cdef int hazard(self, object name) except -2
    cdef int forward(self, object kind, object name) except -2
    cdef int currency(self, object name) except -2
    cdef int index(self, object name) except -2
    cdef int surface(self, object name) except -2
    cdef int pair_surface(self, object bought, object sold) except -2
    cdef bint learn(self, int32_t role, bytes text) except -1
    cdef void point_to(self, market_tables* market) noexcept
