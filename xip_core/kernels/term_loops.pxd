# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Loops over terms and their pairs for a block of scenarios; the formulas, and why blocks, at the head of terms.pyx.

Bodies are inline, so that each kernel that walks terms compiles them into its own loops.
"""

from libc.stdint cimport int32_t, int64_t

from xip_core.kernels.elementary cimport NAN, exp_, fma_

cdef enum:
    SCENARIOS_PER_BLOCK = 64
    LANE_GROUP = 8              # loops over scratch run in whole vectors of the widest level

cdef struct Sparse:             # rows of (factor, weight) pairs
    const int32_t* begin
    const int32_t* factor
    const double* weight

cdef struct Program:
    Py_ssize_t row_count
    const int64_t* row_begin
    const double* amount
    const double* constant
    Sparse exponent
    Sparse linear

cdef struct Market:
    const double* value
    Py_ssize_t factor_count
    Py_ssize_t scenario_count


cdef inline void dot_block(
        Market market, Py_ssize_t scenario, Py_ssize_t count,   # columns [scenario, scenario + count)
        Sparse vectors, Py_ssize_t term, double start,
        double* dot) noexcept nogil:                            # OUT count values
    cdef Py_ssize_t pair = vectors.begin[term], end = vectors.begin[term + 1], s
    cdef const double* base = market.value + scenario
    cdef const double *m0
    cdef const double *m1
    cdef const double *m2
    cdef const double *m3
    cdef double w0, w1, w2, w3
    for s in range(count):
        dot[s] = start
    while pair + 4 <= end:
        m0 = base + vectors.factor[pair] * market.scenario_count
        m1 = base + vectors.factor[pair + 1] * market.scenario_count
        m2 = base + vectors.factor[pair + 2] * market.scenario_count
        m3 = base + vectors.factor[pair + 3] * market.scenario_count
        w0, w1 = vectors.weight[pair], vectors.weight[pair + 1]
        w2, w3 = vectors.weight[pair + 2], vectors.weight[pair + 3]
        for s in range(count):
            dot[s] = fma_(w3, m3[s], fma_(w2, m2[s], fma_(w1, m1[s], fma_(w0, m0[s], dot[s]))))
        pair += 4
    while pair + 2 <= end:
        m0 = base + vectors.factor[pair] * market.scenario_count
        m1 = base + vectors.factor[pair + 1] * market.scenario_count
        w0, w1 = vectors.weight[pair], vectors.weight[pair + 1]
        for s in range(count):
            dot[s] = fma_(w1, m1[s], fma_(w0, m0[s], dot[s]))
        pair += 2
    if pair < end:
        m0 = base + vectors.factor[pair] * market.scenario_count
        w0 = vectors.weight[pair]
        for s in range(count):
            dot[s] = fma_(w0, m0[s], dot[s])


cdef inline void row_block(
        Market market, Program program, Py_ssize_t row, Py_ssize_t scenario, Py_ssize_t count,
        double* pv) noexcept nogil:                             # OUT count values
    cdef double dot[SCENARIOS_PER_BLOCK]
    cdef double scale[SCENARIOS_PER_BLOCK]
    cdef double total[SCENARIOS_PER_BLOCK]
    cdef Py_ssize_t term, s, padded = (count + LANE_GROUP - 1) & ~<Py_ssize_t> (LANE_GROUP - 1)
    cdef double fixed_scale
    for s in range(SCENARIOS_PER_BLOCK):
        dot[s] = 0.0
        scale[s] = 0.0
        total[s] = 0.0
    for term in range(program.row_begin[row], program.row_begin[row + 1]):
        dot_block(market, scenario, count, program.exponent, term, 0.0, dot)
        if program.linear.begin[term] == program.linear.begin[term + 1]:
            fixed_scale = program.amount[term] * program.constant[term]
            for s in range(padded):
                total[s] = fma_(fixed_scale, exp_(dot[s]), total[s])
        else:
            dot_block(market, scenario, count, program.linear, term, program.constant[term], scale)
            for s in range(padded):
                total[s] = fma_(program.amount[term] * scale[s], exp_(dot[s]), total[s])
    for s in range(count):
        pv[s] = total[s] if total[s] == total[s] else NAN
