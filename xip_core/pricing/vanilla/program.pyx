# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The rows of a tile, plain ones compiled, to the columns of pricing.program: the compiled twin of ProgramWriter.

    read          lines of the book to records, without the interpreter's lock        1 us a swap
    prepare       memory for what follows
    resolve       some of them at a time to terms, without it                         3 us
    look_up       days of curves that are not log-linear, in Python; look_up_smiles likewise
    left          rows that are not plain, to be resolved in Python and given by `set_parts`
    columns       terms to factors and weights, in the order of the rows, without the lock
"""

from libc.math cimport INFINITY
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from xip_core.pricing.vanilla.records cimport (
    FALL_BACK,
    LOOKED_UP_SOURCE,
    NO_DAY,
    RESOLVED,
    DAY_BIAS,
    SOURCE_SHIFT,
    add_special,
    add_uses,
    close_list,
    free_columns,
    free_program,
    int32_t,
    int64_t,
    list_columns,
    mark_groups,
    market_tables,
    new_option,
    new_quotient,
    open_list,
    option_record,
    period_table,
    point_table,
    program_buffer,
    program_columns,
    quotient_record,
    resolve_trades,
    row_record,
    source_table,
    sparse_rows,
    uint8_t,
    uint64_t,
    write_columns,
)
from xip_core.pricing.vanilla.tables cimport PlainMarket
from xip_core.pricing.vanilla.trades cimport TradeRecords, now_s

import numpy as np

from xip_core.errors import CellError


cdef enum:
    ROWS_PER_LOOK = 8               # at the clock: 30 us of swaps, 5 ms where all of them have thousands of periods
    COPIES_MAX = 20                 # two of each kind of sparse row

cdef struct memory_copy:            # made when all arrays are there: their pages are touched then, without the lock
    void* target
    const void* source
    size_t size


cdef class PlainProgram:
    """See the module's head; the methods are called in that order, by one thread."""

    cdef PlainMarket tables
    cdef TradeRecords records
    cdef market_tables market
    cdef program_buffer program
    cdef program_columns written
    cdef int64_t* scratch
    cdef Py_ssize_t scratch_room, copy_count
    cdef memory_copy copies[COPIES_MAX]

    def __cinit__(self, PlainMarket tables, list lines):
        self.tables = tables
        self.records = TradeRecords(tables, lines)

    def __dealloc__(self):
        free_program(&self.program)
        free_columns(&self.written)
        free(self.market.source)
        free(self.scratch)

    def read(self, Py_ssize_t begin=0, double duration_s=INFINITY):
        """Lines from *begin* on for so long, a few at least; those that are not plain are left to Python.

        Returns: where the next call begins, the count of lines at the end.
        """
        return self.records.read(begin, duration_s)

    def prepare(self):
        """Memory and tables, when all lines are read."""
        cdef Py_ssize_t count = self.records.count, source_count = len(self.tables.source_names)
        self.records.point_to(&self.market)
        self.tables.point_to(&self.market)
        self.market.source = <source_table*> malloc((source_count + 1) * sizeof(source_table))
        self.program.row = <row_record*> calloc(count + 1, sizeof(row_record))
        self.program.periods[0] = <period_table*> malloc(sizeof(period_table))
        self.program.periods[1] = <period_table*> malloc(sizeof(period_table))
        if not (self.market.source and self.program.row and self.program.periods[0] and self.program.periods[1]):
            raise MemoryError
        memcpy(self.market.source, self.tables.source_tables, source_count * sizeof(source_table))
        self.program.row_count = count

    def resolve(self, Py_ssize_t begin=0, double duration_s=INFINITY):
        """Rows from *begin* on as far as they are plain, for so long, a few at least; without the lock.

        Returns: where the next call begins, the count of rows at the end.
        """
        cdef bint is_done = True
        cdef Py_ssize_t end
        cdef double until_s
        with nogil:
            until_s = now_s() + duration_s
            while is_done and begin < self.program.row_count:
                end = min(begin + ROWS_PER_LOOK, self.program.row_count)
                is_done = resolve_trades(&self.program, &self.market, self.records.buffer.trade, begin, end)
                begin = end
                if now_s() > until_s:
                    break
        if not is_done:
            raise MemoryError
        return begin

    def look_up(self, object market):
        """Points of looked-up sources get a number of *market*, a TileMarket; rows without one are left to Python."""
        cdef dict found = {}
        cdef int64_t row, place, use
        cdef int32_t source
        for row in range(self.program.row_count):
            if self.program.row[row].status != RESOLVED:
                continue
            for place in range(self.program.row[row].use_begin, self.program.row[row].use_end):
                use = self.program.use[place]
                source = <int32_t> (use >> SOURCE_SHIFT) - 1
                if source < 0 or self.market.source[source].kind != LOOKED_UP_SOURCE:
                    continue
                point = found.get(use >> 1)
                if point is None:
                    point = found[use >> 1] = self._point(source, use, market)
                if point < 0:
                    self._leave(self.program.row + row)
                    break
                self.program.use[place] = <int64_t> point | (use & 1)

    def look_up_smiles(self, object market):
        """Smiles of the options that have one, as (row, place in the row, SmileRef); their points are in *market*."""
        cdef dict found = {}
        cdef list smiles = []
        cdef int64_t row, place
        cdef option_record* option
        for row in range(self.program.row_count):
            if self.program.row[row].status != RESOLVED:
                continue
            for place in range(self.program.row[row].option_count):
                option = self.program.option + self.program.row[row].option_begin + place
                if option.smile_day == NO_DAY:
                    continue
                key = (option.surface, option.smile_day)
                smile = found.get(key)
                if smile is None:
                    try:
                        smile = found[key] = self.tables.smile(option.surface, option.smile_day)
                    except CellError:
                        self._leave(self.program.row + row)
                        break
                (use,) = market.smile(smile)
                option.volatility_use = use
                smiles.append((row, place, smile))
        return smiles

    def _point(self, int32_t source, int64_t use, object market):
        day = ((use >> 1) & ((<int64_t> 1 << (SOURCE_SHIFT - 1)) - 1)) - DAY_BIAS
        try:
            return self.tables.look_up(source, day, market)
        except CellError:
            return -1

    cdef void _leave(self, row_record* row) noexcept:
        row.status = FALL_BACK
        row.term_count = row.option_count = row.quotient_count = 0
        row.use_end = row.use_begin
        row.spot_use = -1

    @property
    def row_count(self):
        return self.program.row_count

    def left(self):
        """Positions of the rows that are to be resolved in Python, ascending."""
        return [row for row in range(self.program.row_count) if self.program.row[row].status != RESOLVED]

    # ---- rows resolved in Python ------------------------------------------------------------------------------------

    def set_parts(self, Py_ssize_t position, object parts, tuple spot):
        """The row of *position* is *parts*, a RowParts, as far as it is terms, quotients and options."""
        cdef row_record* row = self.program.row + position
        cdef option_record* option
        cdef quotient_record* quotient
        row.use_begin = self.program.use_count
        self._list(parts.terms, parts.special, &row.term_begin, &row.term_count)
        row.quotient_begin, row.option_begin = self.program.quotient_count, self.program.option_count
        for item in parts.quotients:
            quotient = new_quotient(&self.program)
            self._check()
            quotient.notional, quotient.strike = item.notional, item.strike
            quotient.accrual, quotient.index_accrual = item.accrual, item.index_accrual
            self._uses(item.discount, &quotient.discount_begin, &quotient.discount_count)
            self._uses(item.growth, &quotient.growth_begin, &quotient.growth_count)
        for item in parts.options:
            option = new_option(&self.program)
            self._check()
            option.amount, option.strike, option.time_years = item.amount, item.strike, item.time_years
            option.is_call, option.kind, option.delta_weight = item.is_call, item.kind, item.delta_weight
            self._list({}, item.forward, &option.forward_begin, &option.forward_count)
            self._list({}, item.discount, &option.discount_begin, &option.discount_count)
            (use,) = item.volatility or (-1,)
            option.volatility_use = use
        row.quotient_count = <int32_t> (self.program.quotient_count - row.quotient_begin)
        row.option_count = <int32_t> (self.program.option_count - row.option_begin)
        row.use_end = self.program.use_count
        (use,) = spot or (-1,)
        row.spot_use = use

    cdef int64_t _copied(self, tuple uses, Py_ssize_t begin) except -1:
        """*uses* in the scratch memory from *begin* on; returns their count."""
        cdef Py_ssize_t count = len(uses), i
        cdef void* moved
        if begin + count > self.scratch_room:
            moved = realloc(self.scratch, (begin + 2 * count) * sizeof(int64_t))
            if moved == NULL:
                raise MemoryError
            self.scratch, self.scratch_room = <int64_t*> moved, begin + 2 * count
        for i in range(count):
            self.scratch[begin + i] = uses[i]
        return count

    cdef int _uses(self, tuple uses, int64_t* begin, int32_t* count) except -1:
        count[0] = <int32_t> self._copied(uses, 0)
        begin[0] = add_uses(&self.program, self.scratch, count[0])
        return 0

    cdef int _list(self, dict plain, list special, int64_t* begin, int32_t* count) except -1:
        """A term list of amounts by exponent and then terms, added up already."""
        cdef int64_t exponent_count, linear_count
        open_list(&self.program)
        for uses, amount in plain.items():
            exponent_count = self._copied(uses, 0)
            add_special(&self.program, amount, 1.0, 0.0, self.scratch, exponent_count, NULL, 0)
        for term in special:
            exponent_count = self._copied(term.exponent, 0)
            linear_count = self._copied(term.linear, exponent_count)
            add_special(
                &self.program, term.amount, term.constant, term.delta_weight, self.scratch, exponent_count,
                self.scratch + exponent_count, linear_count)
        count[0] = close_list(&self.program, begin)
        return 0

    cdef int _check(self) except -1:
        if self.program.is_out_of_memory:
            raise MemoryError
        return 0

    def ids(self, dict others):
        """The column of the trades' ids; *others*: JSON of those that are left to Python at least."""
        return self.records.ids(others)

    # ---- columns ----------------------------------------------------------------------------------------------------

    def option_begins(self):
        """Place of the first option of each row among those of the tile, once all rows are there."""
        cdef Py_ssize_t row
        cdef int64_t count = 0
        cdef list begins = []
        for row in range(self.program.row_count):
            begins.append(count)
            count += self.program.row[row].option_count
        return begins

    def columns(self, object points):
        """The columns of terms, spots, quotients and options; *points* is the PointArrays of the tile's TileMarket."""
        cdef program_columns* written = &self.written
        cdef point_table table
        cdef const int64_t[::1] begins = np.ascontiguousarray(points.begins, dtype=np.int64)
        cdef const int32_t[::1] factors = np.append(points.factor, np.int32(0))
        cdef const double[::1] weights = np.append(points.weight, 0.0)
        cdef dict columns = {}
        cdef Py_ssize_t place
        self._check()
        table.count, table.begin = begins.shape[0] - 1, &begins[0]
        table.factor, table.weight = &factors[0], &weights[0]
        self._make_room(columns)
        with nogil:
            write_columns(written, &self.program, &self.market, &table)
        self.copy_count = 0
        self._sparse(columns, "terms_exponent", &written.terms.exponent)
        self._sparse(columns, "terms_linear", &written.terms.linear)
        self._sparse(columns, "spot", &written.spot)
        self._sparse(columns, "quotient_discount", &written.quotient_discount)
        self._sparse(columns, "quotient_growth", &written.quotient_growth)
        self._sparse(columns, "forward_exponent", &written.forward.exponent)
        self._sparse(columns, "forward_linear", &written.forward.linear)
        self._sparse(columns, "discount_exponent", &written.discount.exponent)
        self._sparse(columns, "discount_linear", &written.discount.linear)
        self._sparse(columns, "volatility", &written.volatility)
        with nogil:
            for place in range(self.copy_count):
                memcpy(self.copies[place].target, self.copies[place].source, self.copies[place].size)
        return columns

    def _make_room(self, dict columns):
        """Arrays of the columns whose length is known, in *columns* and to be written to."""
        cdef Py_ssize_t rows = self.program.row_count, row
        cdef int64_t terms = 0, options = 0, quotients = 0, forwards = 0, discounts = 0, place
        cdef row_record* entry
        cdef program_columns* written = &self.written
        for row in range(rows):
            entry = self.program.row + row
            terms += entry.term_count
            options += entry.option_count
            quotients += entry.quotient_count
            for place in range(entry.option_begin, entry.option_begin + entry.option_count):
                forwards += self.program.option[place].forward_count
                discounts += self.program.option[place].discount_count
        self._list_room(columns, "terms", &written.terms, rows, terms)
        written.terms.delta_weight = self._doubles(columns, "terms_delta_weight", terms)
        self._sparse_room(columns, "spot", &written.spot, rows + 1)
        written.quotient_row = self._ints(columns, "quotient_row", quotients)
        written.quotient_notional = self._doubles(columns, "quotient_notional", quotients)
        written.quotient_strike = self._doubles(columns, "quotient_strike", quotients)
        written.quotient_accrual = self._doubles(columns, "quotient_accrual", quotients)
        written.quotient_index_accrual = self._doubles(columns, "quotient_index_accrual", quotients)
        self._sparse_room(columns, "quotient_discount", &written.quotient_discount, quotients + 1)
        self._sparse_room(columns, "quotient_growth", &written.quotient_growth, quotients + 1)
        written.option_ptr = self._ints(columns, "option_ptr", rows + 1)
        written.option_amount = self._doubles(columns, "option_amount", options)
        written.option_strike = self._doubles(columns, "option_strike", options)
        written.option_time = self._doubles(columns, "option_time", options)
        written.option_is_call = self._doubles(columns, "option_is_call", options)
        written.option_delta_weight = self._doubles(columns, "option_delta_weight", options)
        written.option_kind = self._bytes(columns, "option_kind", options)
        self._list_room(columns, "forward", &written.forward, options, forwards)
        self._list_room(columns, "discount", &written.discount, options, discounts)
        self._sparse_room(columns, "volatility", &written.volatility, options + 1)

    cdef int _list_room(
            self, dict columns, str name, list_columns* target, Py_ssize_t items, Py_ssize_t terms) except -1:
        target.ptr = self._ints(columns, f"{name}_ptr", items + 1)
        target.amount = self._doubles(columns, f"{name}_amount", terms)
        target.constant = self._doubles(columns, f"{name}_constant", terms)
        self._sparse_room(columns, f"{name}_exponent", &target.exponent, terms + 1)
        self._sparse_room(columns, f"{name}_linear", &target.linear, terms + 1)
        return 0

    cdef int _sparse_room(self, dict columns, str name, sparse_rows* target, Py_ssize_t count) except -1:
        """Pointers of sparse rows; factors and weights have their place among the columns and come later."""
        target.ptr = self._ints(columns, f"{name}_ptr", count)
        columns[f"{name}_factor"] = columns[f"{name}_weight"] = None
        return 0

    cdef int32_t* _ints(self, dict columns, str name, Py_ssize_t count) except? NULL:
        columns[name] = array = np.empty(count, dtype=np.int32)
        return <int32_t*> <size_t> array.ctypes.data

    cdef double* _doubles(self, dict columns, str name, Py_ssize_t count) except? NULL:
        columns[name] = array = np.empty(count, dtype=np.float64)
        return <double*> <size_t> array.ctypes.data

    cdef uint8_t* _bytes(self, dict columns, str name, Py_ssize_t count) except? NULL:
        columns[name] = array = np.empty(count, dtype=np.uint8)
        return <uint8_t*> <size_t> array.ctypes.data

    cdef int _sparse(self, dict columns, str name, sparse_rows* rows) except -1:
        """Factors and weights of sparse rows, whose pointers are there already; to be copied without the lock."""
        if rows.is_out_of_memory:
            raise MemoryError
        self._copy(self._ints(columns, f"{name}_factor", rows.factor_count), rows.factor, rows.factor_count * 4)
        self._copy(self._doubles(columns, f"{name}_weight", rows.factor_count), rows.weight, rows.factor_count * 8)
        return 0

    cdef void _copy(self, void* target, const void* source, size_t size) noexcept:
        self.copies[self.copy_count].target = target
        self.copies[self.copy_count].source = source
        self.copies[self.copy_count].size = size
        self.copy_count += 1

    # ---- market objects ---------------------------------------------------------------------------------------------

    def objects(self, list of_points):
        """Names of the market objects each row needs, sorted; *of_points*: those of each point of the TileMarket."""
        cdef dict groups = {}, names_of = {}
        cdef const int32_t[::1] of_source = self._groups(groups, self.tables.source_objects)
        cdef const int32_t[::1] of_surface = self._groups(groups, self.tables.surface_objects)
        cdef const int32_t[::1] of_point = self._groups(groups, of_points)
        cdef Py_ssize_t size = 8 * (len(groups) // 64 + 1), row
        cdef uint64_t* words = <uint64_t*> malloc(size)
        cdef list sets = list(groups), found = []
        if words == NULL:
            raise MemoryError
        try:
            for row in range(self.program.row_count):
                memset(words, 0, size)
                mark_groups(
                    &self.program, self.program.row + row, &of_source[0], &of_point[0], &of_surface[0], words)
                key = (<char*> words)[:size]
                names = names_of.get(key)
                if names is None:
                    marked = int.from_bytes(key, "little")
                    chosen = [sets[group] for group in range(marked.bit_length()) if marked >> group & 1]
                    names = names_of[key] = tuple(sorted({name for one in chosen for name in one}))
                found.append(names)
        finally:
            free(words)
        return found

    def _groups(self, dict groups, list sets):
        """The number of each set of objects among *groups*, which grows; one number at least, so that there is one."""
        numbers = [groups.setdefault(names, len(groups)) for names in sets]
        return np.array(numbers or [0], dtype=np.int32)
