# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The doors of market_program.pxi: arrays checked against each other before anything is read or written; part of
calibration.pyx.
"""

PROGRAM_INDEX_ARRAYS = (
    "kind", "factor_begin", "factor_end", "seen_begin", "seen_quote", "parent_begin", "parent_object", "input_begin",
    "input_quote", "input_domain", "input_spot", "input_function", "dot_begin", "dot_factor", "is_survival",
)
PROGRAM_NUMBER_ARRAYS = ("input_points", "input_number", "dot_weight")


cdef class MarketProgram:
    """
    The objects of a market; immutable, shared between threads.

    Args:
        systems: per object its `System` or None.
        factor_count, quote_count: of the market, and of the quotes that objects name.
        residual_max: what a solution may leave of the notional.
        hazard_rounding: by how much a hazard rate may come out below zero.
        kind: int32 (objects,): 0 the caller's, 1 elementwise, 2 cumulated, 3 forwards, 4 solved.
        factor_begin, factor_end: its rows of the market.
        seen_begin, seen_quote: quotes that make it another object. parent_begin, parent_object: objects before it.
        input_begin, input_quote, input_domain: what its factors are made from; domain 0 finite, 1 > 0, 2 >= 0.
        input_spot, input_points: the quote of points is divided by points times this spot; -1 for none.
        input_function, input_number: 0 q, 1 c log q, 2 c q, 3 c q q; the years of the other formulas.
        dot_begin, dot_factor, dot_weight: d of each input. is_survival: whether factors must not rise.

    Raises:
        ValueError: an array does not fit the others; nothing is read or written outside of them.
    """
    cdef xip_program program
    cdef readonly dict arrays
    cdef readonly Py_ssize_t factor_count
    cdef tuple systems

    def __init__(
            self, systems, Py_ssize_t factor_count, Py_ssize_t quote_count, double residual_max,
            double hazard_rounding, **arrays):
        if set(arrays) != {*PROGRAM_INDEX_ARRAYS, *PROGRAM_NUMBER_ARRAYS}:
            raise ValueError(f"a program needs the arrays {PROGRAM_INDEX_ARRAYS + PROGRAM_NUMBER_ARRAYS}")
        self.arrays = {name: np.ascontiguousarray(arrays[name], dtype=np.int32) for name in PROGRAM_INDEX_ARRAYS}
        self.arrays |= {name: np.ascontiguousarray(arrays[name], dtype=np.float64) for name in PROGRAM_NUMBER_ARRAYS}
        self.systems, self.factor_count = tuple(systems), factor_count
        check_program(self.arrays, self.systems, factor_count, quote_count)
        self.program.object_count, self.program.quote_count = len(self.systems), quote_count
        self.program.residual_max, self.program.hazard_rounding = residual_max, hazard_rounding
        self.program.input_max = max(1, np.diff(self.arrays["input_begin"]).max(initial=0))
        self.program.kind = index_pointer(self.arrays, "kind")
        self.program.factor_begin = index_pointer(self.arrays, "factor_begin")
        self.program.factor_end = index_pointer(self.arrays, "factor_end")
        self.program.seen_begin = index_pointer(self.arrays, "seen_begin")
        self.program.seen_quote = index_pointer(self.arrays, "seen_quote")
        self.program.parent_begin = index_pointer(self.arrays, "parent_begin")
        self.program.parent_object = index_pointer(self.arrays, "parent_object")
        self.program.input_begin = index_pointer(self.arrays, "input_begin")
        self.program.input_quote = index_pointer(self.arrays, "input_quote")
        self.program.input_domain = index_pointer(self.arrays, "input_domain")
        self.program.input_spot = index_pointer(self.arrays, "input_spot")
        self.program.input_function = index_pointer(self.arrays, "input_function")
        self.program.dot_begin = index_pointer(self.arrays, "dot_begin")
        self.program.dot_factor = index_pointer(self.arrays, "dot_factor")
        self.program.is_survival = index_pointer(self.arrays, "is_survival")
        self.program.input_points = weight_pointer(self.arrays, "input_points")
        self.program.input_number = weight_pointer(self.arrays, "input_number")
        self.program.dot_weight = weight_pointer(self.arrays, "dot_weight")


def check_program(arrays, systems, Py_ssize_t factor_count, Py_ssize_t quote_count):
    """Raises ValueError where the walk would read or write outside of an array."""
    object_count, input_count = len(systems), len(arrays["input_quote"])
    for name in ("kind", "factor_begin", "factor_end", "is_survival"):
        if len(arrays[name]) != object_count:
            raise ValueError(f"{name} must have a value for each of {object_count} objects, got {len(arrays[name])}")
    for name in ("input_domain", "input_spot", "input_function", "input_points", "input_number"):
        if len(arrays[name]) != input_count:
            raise ValueError(f"{name} must have a value for each of {input_count} inputs, got {len(arrays[name])}")
    if not np.isin(arrays["kind"], range(KIND_SOLVED + 1)).all():
        raise ValueError(f"kind must lie in [0, {KIND_SOLVED}], got {arrays['kind'].tolist()}")
    check_runs(arrays, "seen", object_count, "quote", quote_count, ())
    check_runs(arrays, "input", object_count, "quote", quote_count, ())
    check_runs(arrays, "parent", object_count, "object", object_count, ())
    check_runs(arrays, "dot", input_count, "factor", factor_count, ("weight",))
    if input_count and not (-1 <= arrays["input_spot"].min() and arrays["input_spot"].max() < quote_count):
        raise ValueError(f"input_spot must lie in [-1, {quote_count})")
    if (arrays["parent_object"] >= np.repeat(np.arange(object_count), np.diff(arrays["parent_begin"]))).any():
        raise ValueError("a parent must come before its object")
    begin, end, inputs = arrays["factor_begin"], arrays["factor_end"], np.diff(arrays["input_begin"])
    if ((begin < 0) | (end < begin) | (end > factor_count)).any():
        raise ValueError(f"factors must lie in [0, {factor_count}]")
    is_plain = arrays["kind"] != KIND_GENERAL
    if ((end - begin != inputs) & is_plain).any() or ((inputs == 0) & is_plain).any():
        raise ValueError("an object that is built here must have as many inputs as factors, and one at least")
    for place in np.flatnonzero(arrays["kind"] == KIND_SOLVED).tolist():
        system = systems[place]
        if not isinstance(system, System):
            raise ValueError(f"object {place} must have a system to be solved, got {system!r}")
        (<System> system).check_place(begin[place], end[place], factor_count)


cdef class MarketBlock:
    """
    One walk of a program through a block of S scenarios.

    Args:
        base: float64 (factors,), the base market, in every column to begin with.
        base_quotes: float64 (quotes,), NaN where a quote is no number.
        row_of_quote: int32 (quotes,): row of *changed*, -1 where no scenario changes the quote.
        changed, changed_base: float64 (rows, S) and (rows,), values of quotes in the scenarios and in the base.
        known, is_known: float64 (factors, S) and uint8 (objects,): objects whose rows are copied from there.

    Attributes:
        market: float64 (factors, S), built up to where the walk is.
        place: the object the walk stands at.

    Raises:
        ValueError: a dtype or a shape is wrong.
    """
    cdef MarketProgram owner
    cdef Walk walk
    cdef readonly object market
    cdef readonly Py_ssize_t place
    cdef object held, versions, columns, counts, kept
    cdef uint8_t[::1] is_held

    def __init__(
            self, MarketProgram program, base, base_quotes, row_of_quote, changed, changed_base, known=None,
            is_known=None):
        cdef const double[::1] base_view = np.ascontiguousarray(base, dtype=np.float64)
        cdef const double[::1] quote_view = np.ascontiguousarray(base_quotes, dtype=np.float64)
        cdef const int32_t[::1] row_view = np.ascontiguousarray(row_of_quote, dtype=np.int32)
        cdef const double[:, ::1] changed_view = np.ascontiguousarray(changed, dtype=np.float64)
        cdef const double[::1] changed_base_view = np.ascontiguousarray(changed_base, dtype=np.float64)
        cdef const double[:, ::1] known_view
        cdef const uint8_t[::1] is_known_view
        cdef const double* of_known = NULL
        cdef Py_ssize_t objects = program.program.object_count, count = changed_view.shape[1], i
        if base_view.shape[0] != program.factor_count or quote_view.shape[0] != program.program.quote_count:
            raise ValueError(
                f"base must have {program.factor_count} factors and base_quotes {program.program.quote_count} quotes, "
                f"got {base_view.shape[0]} and {quote_view.shape[0]}")
        if row_view.shape[0] != quote_view.shape[0] or changed_base_view.shape[0] != changed_view.shape[0]:
            raise ValueError("row_of_quote must have a row per quote, and changed_base a value per row")
        for i in range(row_view.shape[0]):
            if not -1 <= row_view[i] < changed_view.shape[0]:
                raise ValueError(f"row_of_quote must lie in [-1, {changed_view.shape[0]}), got {row_view[i]}")
        self.owner, self.place = program, 0
        self.market = np.empty((program.factor_count, count))
        self.is_held = self.held = np.zeros(objects, dtype=np.uint8)
        self.versions = np.empty((objects, count), dtype=np.int64)
        self.columns, self.counts = np.empty((objects, count), dtype=np.int64), np.zeros(objects, dtype=np.int64)
        known_objects = np.zeros(objects, dtype=np.uint8) if known is None else is_known
        is_known_view = known_objects = np.ascontiguousarray(known_objects, dtype=np.uint8)
        if is_known_view.shape[0] != objects:
            raise ValueError(f"is_known must have a value for each of {objects} objects, got {is_known_view.shape[0]}")
        if known is not None:
            known_view = known = np.ascontiguousarray(known, dtype=np.float64)
            if known_view.shape[0] != program.factor_count or known_view.shape[1] != count:
                raise ValueError(f"known must have shape {(program.factor_count, count)}, got {known.shape}")
            of_known = &known_view[0, 0] if known_view.shape[0] and count else NULL
        self.kept = (quote_view, row_view, changed_view, changed_base_view, known_objects)
        self.walk.scenario_count = count
        self.walk.base_quote = &quote_view[0] if quote_view.shape[0] else NULL
        self.walk.row_of_quote = &row_view[0] if row_view.shape[0] else NULL
        self.walk.changed = &changed_view[0, 0] if changed_view.shape[0] and count else NULL
        self.walk.changed_base = &changed_base_view[0] if changed_base_view.shape[0] else NULL
        self.walk.is_known = &is_known_view[0] if objects else NULL
        self.point()
        if program.factor_count and count:
            with nogil:
                fill_market(&program.program, &self.walk, program.factor_count, &base_view[0], of_known)

    cdef point(self):
        """Where the arrays of this object lie."""
        cdef double[:, ::1] market = self.market
        cdef int64_t[:, ::1] versions = self.versions, columns = self.columns
        cdef int64_t[::1] counts = self.counts
        self.walk.market = &market[0, 0] if market.shape[0] and market.shape[1] else NULL
        self.walk.version_of = &versions[0, 0] if versions.shape[0] and versions.shape[1] else NULL
        self.walk.column = &columns[0, 0] if columns.shape[0] and columns.shape[1] else NULL
        self.walk.version_count = &counts[0] if counts.shape[0] else NULL
        self.walk.is_held = &self.is_held[0] if self.is_held.shape[0] else NULL

    def hold(self, Py_ssize_t place):
        """The walk stops at an object whatever it is."""
        if not self.place <= place < self.owner.program.object_count:
            raise ValueError(f"an object must lie in [{self.place}, {self.owner.program.object_count}), got {place}")
        self.is_held[place] = 1

    def versions_of(self, Py_ssize_t place):
        """int64 (V,), a scenario of each version, and int64 (S,), for each scenario its version, -1 for the base; of an
        object the walk has come to."""
        if not 0 <= place < self.place:
            raise ValueError(f"an object must lie in [0, {self.place}), got {place}")
        return self.columns[place, :self.counts[place]], self.versions[place]

    def walk_on(self):
        """
        Builds objects until one is the caller's, or for some milliseconds.

        Returns:
            the object to build, `place` then being the one after it; -1 where the walk goes on with the next call, or
            has come to the end.
        """
        cdef Py_ssize_t place = self.place, objects = self.owner.program.object_count
        cdef Py_ssize_t count = self.walk.scenario_count, inputs = self.owner.program.input_max, solved = 0
        cdef const xip_program* program = &self.owner.program
        cdef const Walk* walk = &self.walk
        cdef Py_ssize_t i
        cdef System system
        cdef int done = 1
        cdef Py_ssize_t size = count * (sizeof(uint64_t) + 3 * inputs * sizeof(double) + sizeof(int32_t) + 1)
        cdef char* scratch
        cdef const xip_system** systems
        cdef const int32_t** factors
        cdef Py_ssize_t* block_max
        if place == objects:
            return -1
        scratch = <char*> malloc(size + objects * (2 * sizeof(void*) + sizeof(Py_ssize_t)) + 1)
        if scratch == NULL:
            raise MemoryError
        systems = <const xip_system**> scratch
        factors = <const int32_t**> (systems + objects)
        block_max = <Py_ssize_t*> (factors + objects)
        self.walk.mixed = <uint64_t*> (block_max + objects)
        self.walk.quote = <double*> (self.walk.mixed + count)
        self.walk.built = self.walk.quote + inputs * count
        self.walk.residual = self.walk.built + inputs * count
        self.walk.rounds = <int32_t*> (self.walk.residual + inputs * count)
        self.walk.is_touched = <uint8_t*> (self.walk.rounds + count)
        for i in range(place, objects):
            systems[i], factors[i], block_max[i] = NULL, NULL, 0
            if self.owner.systems[i] is not None:
                system = self.owner.systems[i]
                systems[i], factors[i], block_max[i] = &system.system, system.factors, system.block_max
        with nogil:
            while place < objects and done == 1 and solved < SOLVED_MAX:
                find_versions(program, walk, place)
                if walk.is_held[place]:
                    done = 0
                elif walk.version_count[place] and not walk.is_known[place]:
                    done = build_plain(
                        program, walk, systems[place], factors[place], block_max[place], place)
                    if program.kind[place] == KIND_SOLVED:
                        solved += walk.version_count[place] * (
                            program.factor_end[place] - program.factor_begin[place])
                place += 1
        free(scratch)
        if done < 0:
            raise MemoryError
        self.place = place
        return -1 if done else place - 1


cdef void fill_market(
        const xip_program* program, const Walk* walk, Py_ssize_t factor_count, const double* base,
        const double* known) noexcept nogil:
    """The base in every column, and what is known."""
    cdef Py_ssize_t i, s, place, count = walk.scenario_count
    for i in range(factor_count):
        for s in range(count):
            walk.market[i * count + s] = base[i]
    for place in range(program.object_count if known != NULL else 0):
        if walk.is_known[place]:
            for i in range(program.factor_begin[place] * count, program.factor_end[place] * count):
                walk.market[i] = known[i]
