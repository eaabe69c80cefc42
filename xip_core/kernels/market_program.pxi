# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The plain objects of a market, one after the other, for all scenarios of a block: part of calibration.pyx.

A program has an entry per market object, parents first. For each, without the interpreter's lock,

1. *versions*: a scenario sees another object than the base where one of its quotes has other bits than in the base, or
   where it sees another parent; scenarios that see the same quotes and parents share a version, numbered in the order
   of the scenarios;
2. its quotes q in each version;
3. its factors from them, by one of the formulas

    elementwise   q,  c log q,  c q  or  c q q      spots, prices, spreads, zero rates, volatilities, total variances
    cumulated     0 - sum over i <= k of q_i c_i    log survival from hazard rates and the years c between knots
    forwards      log q_0, then (log q_0 - d_k . m - log q_k) / c_k     log spot and dividend yields from forwards
    solved        the knots of a system of equations, above

Where a formula is not enough (another kind of object, a quote outside its domain, a system without solution) the walk
stops: the caller builds that object, which says in words what is wrong, and goes on behind it.
"""

cdef enum Kind:
    KIND_GENERAL, KIND_ELEMENTWISE, KIND_CUMULATED, KIND_FORWARDS, KIND_SOLVED

cdef enum Function:
    FUNCTION_COPY, FUNCTION_LOG, FUNCTION_SCALE, FUNCTION_SQUARE

cdef enum Domain:
    DOMAIN_FINITE, DOMAIN_POSITIVE, DOMAIN_NOT_NEGATIVE

cdef enum:
    SOLVED_MAX = 20_000         # knots times scenarios between two polls: some 10 ms
    BASE = -1

PROGRAM_INDEX_ARRAYS = (
    "kind", "factor_begin", "factor_end", "seen_begin", "seen_quote", "parent_begin", "parent_object", "input_begin",
    "input_quote", "input_domain", "input_spot", "input_function", "dot_begin", "dot_factor", "is_survival",
)
PROGRAM_NUMBER_ARRAYS = ("input_points", "input_number", "dot_weight")

cdef struct xip_program:
    Py_ssize_t object_count, quote_count, input_max
    const int32_t* kind
    const int32_t* factor_begin
    const int32_t* factor_end
    const int32_t* seen_begin
    const int32_t* seen_quote
    const int32_t* parent_begin
    const int32_t* parent_object
    const int32_t* input_begin
    const int32_t* input_quote
    const int32_t* input_domain
    const int32_t* input_spot
    const int32_t* input_function
    const int32_t* dot_begin
    const int32_t* dot_factor
    const int32_t* is_survival
    const double* input_points
    const double* input_number
    const double* dot_weight
    double residual_max, hazard_rounding

cdef struct Walk:                       # of one block
    Py_ssize_t scenario_count
    const double* base_quote            # IN (quotes,)
    const int32_t* row_of_quote         # IN (quotes,): row of *changed*, -1 where no scenario changes the quote
    const double* changed               # IN (rows, S)
    const double* changed_base          # IN (rows,)
    const uint8_t* is_held              # IN (objects,): the caller's
    const uint8_t* is_known             # IN (objects,): their rows of the market stand
    double* market                      # IN and OUT (F, S)
    int64_t* version_of                 # OUT (objects, S)
    int64_t* column                     # OUT (objects, S)
    int64_t* version_count              # OUT (objects,)
    uint64_t* mixed                     # scratch (S,)
    uint8_t* is_touched                 # scratch (S,)
    double* quote                       # scratch (input_max, S)
    double* built                       # scratch (input_max, S)
    double* residual                    # scratch (input_max, S)
    int32_t* rounds                     # scratch (S,)


# ---- versions --------------------------------------------------------------------------------------------------------

cdef inline void mix_row(Py_ssize_t count, const uint64_t* seen, uint64_t* mixed) noexcept nogil:
    cdef Py_ssize_t s
    for s in range(count):
        mixed[s] = (mixed[s] ^ seen[s]) * <uint64_t> 0x9e3779b97f4a7c15u
        mixed[s] = mixed[s] ^ (mixed[s] >> 29)


cdef inline uint8_t mark_other(Py_ssize_t count, const uint64_t* seen, uint64_t base, uint8_t* touched) noexcept nogil:
    cdef Py_ssize_t s
    cdef uint8_t found = 0
    for s in range(count):
        touched[s] |= seen[s] != base
        found |= touched[s]
    return found


cdef bint sees_the_same(
        const xip_program* program, const Walk* walk, Py_ssize_t place, Py_ssize_t one,
        Py_ssize_t other) noexcept nogil:
    cdef Py_ssize_t i, row, count = walk.scenario_count
    cdef const uint64_t* bits = <const uint64_t*> walk.changed
    for i in range(program.seen_begin[place], program.seen_begin[place + 1]):
        row = walk.row_of_quote[program.seen_quote[i]]
        if row >= 0 and bits[row * count + one] != bits[row * count + other]:
            return False
    for i in range(program.parent_begin[place], program.parent_begin[place + 1]):
        row = program.parent_object[i] * count
        if walk.version_of[row + one] != walk.version_of[row + other]:
            return False
    return True


cdef void find_versions(const xip_program* program, const Walk* walk, Py_ssize_t place) noexcept nogil:
    """Equal marks are looked at quote by quote, so what the marks are decides about time alone."""
    cdef Py_ssize_t i, s, row, found, versions = 0, count = walk.scenario_count
    cdef uint8_t is_touched = 0
    cdef int64_t* version_of = walk.version_of + place * count
    cdef int64_t* column = walk.column + place * count
    cdef const uint64_t* bits = <const uint64_t*> walk.changed
    cdef const uint64_t* base = <const uint64_t*> walk.changed_base
    for s in range(count):
        walk.is_touched[s] = 0
        walk.mixed[s] = 0
        version_of[s] = BASE
    for i in range(program.seen_begin[place], program.seen_begin[place + 1]):
        row = walk.row_of_quote[program.seen_quote[i]]
        if row >= 0:
            is_touched |= mark_other(count, bits + row * count, base[row], walk.is_touched)
            mix_row(count, bits + row * count, walk.mixed)
    for i in range(program.parent_begin[place], program.parent_begin[place + 1]):
        if walk.version_count[program.parent_object[i]]:
            row = program.parent_object[i] * count
            is_touched |= mark_other(
                count, <const uint64_t*> walk.version_of + row, <uint64_t> <int64_t> BASE, walk.is_touched)
            mix_row(count, <const uint64_t*> walk.version_of + row, walk.mixed)
    for s in range(count if is_touched else 0):
        if not walk.is_touched[s]:
            continue
        for found in range(versions):
            if walk.mixed[column[found]] == walk.mixed[s] and sees_the_same(program, walk, place, column[found], s):
                version_of[s] = found
                break
        else:
            column[versions] = s
            version_of[s] = versions
            versions += 1
    walk.version_count[place] = versions


# ---- factors ---------------------------------------------------------------------------------------------------------

cdef inline bint is_in_domain(double value, int32_t domain) noexcept nogil:
    return value - value == 0.0 and (
        domain == DOMAIN_FINITE or (value > 0.0 if domain == DOMAIN_POSITIVE else value >= 0.0))


cdef bint read_row(
        const Walk* walk, int32_t quote, int32_t domain, const int64_t* column, Py_ssize_t versions,
        double* read) noexcept nogil:                           # OUT (versions,)
    """Whether a quote can be used in every version."""
    cdef Py_ssize_t v, row = walk.row_of_quote[quote]
    cdef bint is_good = True
    for v in range(versions):
        read[v] = walk.changed[row * walk.scenario_count + column[v]] if row >= 0 else walk.base_quote[quote]
        is_good &= is_in_domain(read[v], domain)
    return is_good


cdef bint read_quotes(
        const xip_program* program, const Walk* walk, Py_ssize_t place, const int64_t* column,
        Py_ssize_t versions) noexcept nogil:
    """Whether all can be used. FX points become fractions of the spot."""
    cdef Py_ssize_t i, v, first = program.input_begin[place]
    cdef double* read
    for i in range(first, program.input_begin[place + 1]):
        read = walk.quote + (i - first) * versions
        if not read_row(walk, program.input_quote[i], program.input_domain[i], column, versions, read):
            return False
        if program.input_spot[i] >= 0:
            if not read_row(walk, program.input_spot[i], DOMAIN_POSITIVE, column, versions, walk.built):
                return False
            for v in range(versions):
                read[v] = read[v] / (program.input_points[i] * walk.built[v])
    return True


cdef void elementwise_loop(
        Py_ssize_t versions, int32_t function, double number, const double* quote,
        double* built) noexcept nogil:                          # OUT (versions,)
    cdef Py_ssize_t v
    for v in range(versions):
        if function == FUNCTION_LOG:
            built[v] = number * log_(quote[v])
        elif function == FUNCTION_SCALE:
            built[v] = number * quote[v]
        elif function == FUNCTION_SQUARE:
            built[v] = quote[v] * quote[v] * number
        else:
            built[v] = quote[v]


cdef void cumulate(
        Py_ssize_t inputs, Py_ssize_t versions, const double* number, const double* quote,
        double* built) noexcept nogil:                          # OUT (inputs, versions)
    cdef Py_ssize_t i, v
    cdef double total
    for v in range(versions):
        total = quote[v] * number[0]
        built[v] = 0.0 - total
        for i in range(1, inputs):
            total = total + quote[i * versions + v] * number[i]
            built[i * versions + v] = 0.0 - total


cdef void yield_loop(
        const xip_program* program, const Walk* walk, Py_ssize_t place, const int64_t* column,
        Py_ssize_t versions) noexcept nogil:
    cdef Py_ssize_t i, v, pair, first = program.input_begin[place]
    cdef double dot
    for v in range(versions):
        walk.built[v] = log_(walk.quote[v])
    for i in range(first + 1, program.input_begin[place + 1]):
        for v in range(versions):
            dot = 0.0
            for pair in range(program.dot_begin[i], program.dot_begin[i + 1]):
                dot = fma_(
                    program.dot_weight[pair],
                    walk.market[program.dot_factor[pair] * walk.scenario_count + column[v]], dot)
            walk.built[(i - first) * versions + v] = (
                walk.built[v] - dot - log_(walk.quote[(i - first) * versions + v])) / program.input_number[i]


cdef int solve_object(
        const xip_program* program, const Walk* walk, const xip_system* system, const int32_t* factors,
        Py_ssize_t block_max, Py_ssize_t place, const int64_t* column, Py_ssize_t versions) noexcept nogil:
    """1, or 0 where the system has no solution that fits, or -1 where there is no memory."""
    cdef Py_ssize_t i, v, n = system.knot_count
    cdef const double* gap = program.input_number + program.input_begin[place]
    cdef const double* start
    cdef double left, rise
    cdef bint is_good = True
    cdef Task task
    for i in range(n):
        start = walk.market + (program.factor_begin[place] + i) * walk.scenario_count
        for v in range(versions):
            is_good &= start[column[v]] - start[column[v]] == 0.0
    if not is_good:
        return 0
    task.market, task.market_width, task.columns, task.count = walk.market, walk.scenario_count, column, versions
    task.quotes, task.knots, task.residuals, task.rounds = walk.quote, walk.built, walk.residual, walk.rounds
    if solve_loop(system, factors, &task, block_max):
        return -1
    for v in range(versions):
        is_good &= walk.rounds[v] > 0
    for i in range(n):
        for v in range(versions):
            left = walk.residual[i * versions + v]
            is_good &= fabs(left) <= program.residual_max
            if program.is_survival[place]:
                rise = walk.built[i * versions + v] - (walk.built[(i - 1) * versions + v] if i else 0.0)
                is_good &= -rise / gap[i] >= -program.hazard_rounding
    return is_good


cdef void write_factors(
        const xip_program* program, const Walk* walk, Py_ssize_t place, Py_ssize_t versions) noexcept nogil:
    cdef Py_ssize_t i, s, count = walk.scenario_count, first = program.factor_begin[place]
    cdef const int64_t* version_of = walk.version_of + place * count
    cdef double* target
    for i in range(program.factor_end[place] - first):
        target = walk.market + (first + i) * count
        for s in range(count):
            if version_of[s] != BASE:
                target[s] = walk.built[i * versions + version_of[s]]


cdef int build_plain(
        const xip_program* program, const Walk* walk, const xip_system* system, const int32_t* factors,
        Py_ssize_t block_max, Py_ssize_t place) noexcept nogil:
    """1, or 0 where the caller has to build the object, or -1 where there is no memory."""
    cdef Py_ssize_t i, versions = walk.version_count[place], first = program.input_begin[place]
    cdef Py_ssize_t inputs = program.input_begin[place + 1] - first
    cdef int32_t kind = program.kind[place]
    cdef const int64_t* column = walk.column + place * walk.scenario_count
    cdef int done = 1
    if kind == KIND_GENERAL or not read_quotes(program, walk, place, column, versions):
        return 0
    if kind == KIND_ELEMENTWISE:
        for i in range(inputs):
            elementwise_loop(
                versions, program.input_function[first + i], program.input_number[first + i],
                walk.quote + i * versions, walk.built + i * versions)
    elif kind == KIND_CUMULATED:
        cumulate(inputs, versions, program.input_number + first, walk.quote, walk.built)
    elif kind == KIND_FORWARDS:
        yield_loop(program, walk, place, column, versions)
    else:
        done = solve_object(program, walk, system, factors, block_max, place, column, versions)
    if done == 1:
        write_factors(program, walk, place, versions)
    return done


# ---- door ------------------------------------------------------------------------------------------------------------

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
