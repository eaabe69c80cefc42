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
