from xip_core.pricing.vanilla.records cimport (
    calendar_table,
    currency_table,
    index_table,
    int32_t,
    market_tables,
    source_table,
    surface_table,
)


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
    cdef int32_t as_of_day

    cdef int calendar(self, object names) except -2
    cdef int curve(self, object name) except -2
    cdef int hazard(self, object name) except -2
    cdef int forward(self, object kind, object name) except -2
    cdef int currency(self, object name) except -2
    cdef int index(self, object name) except -2
    cdef int surface(self, object name) except -2
    cdef int pair_surface(self, object bought, object sold) except -2
    cdef void point_to(self, market_tables* market) noexcept
