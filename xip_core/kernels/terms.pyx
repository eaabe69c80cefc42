# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Sums of terms over the market vector: the value of every linear product (see xip_core/pricing/layout.py).

    pv[r, s] = sum over terms t of row r of
               amount[t] * (constant[t] + linear[t] . market[:, s]) * exp(exponent[t] . market[:, s])

A sparse vector is a run of (factor, weight) pairs, begin[t] to begin[t + 1]. Scenarios lie next to each other, so every
inner loop runs over scenarios: a block of SCENARIOS_PER_BLOCK columns of the factors that one row touches (some 60 for
a ten-year swap) stays in the L1 cache. Few scenarios would leave the vector units idle; then a chunk of terms lies side
by side instead. Both ways do the same operations in the same order for every (row, scenario):

    dot = fma(weight, factor, dot) in order of the pairs, from the constant or from 0
    pv  = fma(amount * linear, exp_(dot), pv) in order of the terms, from 0

so the bytes of a cell depend neither on the count of scenarios, nor on its place among them, nor on the CPU level.
"""

from cpython.buffer cimport PyBUF_ND, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t

from xip_core.kernels.elementary cimport NAN, exp_, fma_

import numpy as np

cdef enum:
    SCENARIOS_PER_BLOCK = 64
    NARROW_MAX = 7              # up to so many scenarios, terms are the lanes
    LANES = 256                 # of the narrow way
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


# ---- point and loops -------------------------------------------------------------------------------------------------

cdef void dot_block(
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


cdef void row_block(
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


cdef inline double dot_point(
        Market market, Py_ssize_t scenario, Sparse vectors, Py_ssize_t term, double start) noexcept nogil:
    cdef Py_ssize_t pair
    for pair in range(vectors.begin[term], vectors.begin[term + 1]):
        start = fma_(
            vectors.weight[pair], market.value[vectors.factor[pair] * market.scenario_count + scenario], start)
    return start


cdef void rows_wide(Market market, Program program, double* pv) noexcept nogil:
    """Blocks of scenarios outside, rows inside: the block of the market stays in cache from row to row."""
    cdef Py_ssize_t scenario = 0, count, row
    while scenario < market.scenario_count:
        count = min(market.scenario_count - scenario, <Py_ssize_t> SCENARIOS_PER_BLOCK)
        for row in range(program.row_count):
            row_block(market, program, row, scenario, count, pv + row * market.scenario_count + scenario)
        scenario += count


cdef void rows_narrow(Market market, Program program, double* pv) noexcept nogil:
    """Few scenarios: LANES terms at a time, their products added in order of the terms."""
    cdef double dot[LANES]
    cdef double scale[LANES]
    cdef double total
    cdef Py_ssize_t row = 0, scenario, first, last, term, lane, lane_count, term_count
    for lane in range(LANES):
        dot[lane] = 0.0
        scale[lane] = 0.0
    term_count = program.row_begin[program.row_count]
    for scenario in range(market.scenario_count):
        row = 0
        total = 0.0
        first = 0
        while first < term_count:
            last = min(first + LANES, term_count)
            for term in range(first, last):
                dot[term - first] = dot_point(market, scenario, program.exponent, term, 0.0)
                scale[term - first] = program.amount[term] * dot_point(
                    market, scenario, program.linear, term, program.constant[term])
            lane_count = (last - first + LANE_GROUP - 1) & ~<Py_ssize_t> (LANE_GROUP - 1)
            for lane in range(lane_count):
                dot[lane] = exp_(dot[lane])
            for term in range(first, last):
                while program.row_begin[row + 1] == term:
                    pv[row * market.scenario_count + scenario] = total if total == total else NAN
                    total = 0.0
                    row += 1
                total = fma_(scale[term - first], dot[term - first], total)
            first = last
        while row < program.row_count:
            pv[row * market.scenario_count + scenario] = total if total == total else NAN
            total = 0.0
            row += 1


cdef void gather_loop(
        Market market, Sparse vectors, Py_ssize_t row_count, bint is_exp, double* result) noexcept nogil:
    cdef double dot[SCENARIOS_PER_BLOCK]
    cdef Py_ssize_t row, scenario, count, padded, s
    cdef double* target
    for s in range(SCENARIOS_PER_BLOCK):
        dot[s] = 0.0
    for row in range(row_count):
        scenario = 0
        while scenario < market.scenario_count:
            count = min(market.scenario_count - scenario, <Py_ssize_t> SCENARIOS_PER_BLOCK)
            dot_block(market, scenario, count, vectors, row, 0.0, dot)
            if is_exp:
                padded = (count + LANE_GROUP - 1) & ~<Py_ssize_t> (LANE_GROUP - 1)
                for s in range(padded):
                    dot[s] = exp_(dot[s])
            target = result + row * market.scenario_count + scenario
            for s in range(count):
                target[s] = dot[s] if dot[s] == dot[s] else NAN
            scenario += count


cdef void gradient_loop(
        Market market, Program program, Py_ssize_t scenario,
        const int32_t* place, Py_ssize_t place_count,           # IN column of each factor, or -1
        double* gradient) noexcept nogil:                       # IN zeros, OUT (row_count, place_count)
    cdef Py_ssize_t row, term, pair, column
    cdef double growth, scale
    for row in range(program.row_count):
        for term in range(program.row_begin[row], program.row_begin[row + 1]):
            growth = program.amount[term] * exp_(dot_point(market, scenario, program.exponent, term, 0.0))
            scale = growth * dot_point(market, scenario, program.linear, term, program.constant[term])
            for pair in range(program.linear.begin[term], program.linear.begin[term + 1]):
                column = place[program.linear.factor[pair]]
                if column >= 0:
                    gradient[row * place_count + column] = fma_(
                        growth, program.linear.weight[pair], gradient[row * place_count + column])
            for pair in range(program.exponent.begin[term], program.exponent.begin[term + 1]):
                column = place[program.exponent.factor[pair]]
                if column >= 0:
                    gradient[row * place_count + column] = fma_(
                        scale, program.exponent.weight[pair], gradient[row * place_count + column])


# ---- doors -----------------------------------------------------------------------------------------------------------

cdef class Held:
    """A contiguous array of the wanted dtype whose memory stays valid while this object lives."""
    cdef Py_buffer view
    cdef bint is_open
    cdef object array

    def __cinit__(self, object values, object dtype, str name, int dimensions=1):
        array = np.asarray(values)
        if array.dtype != dtype:
            if array.dtype.kind not in ("i" if np.dtype(dtype).kind == "i" else "fi") and array.size:
                raise ValueError(f"{name} must be {np.dtype(dtype).name}, got {array.dtype.name}")
            if np.dtype(dtype).kind == "i" and array.size and (
                    array.min() < np.iinfo(dtype).min or array.max() > np.iinfo(dtype).max):
                raise ValueError(f"{name} must fit into {np.dtype(dtype).name}, got up to {array.max()}")
        self.array = np.ascontiguousarray(array, dtype=dtype)
        if self.array.ndim != dimensions:
            raise ValueError(f"{name} must have {dimensions} dimensions, got shape {self.array.shape}")
        PyObject_GetBuffer(self.array, &self.view, PyBUF_ND)
        self.is_open = True

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)

    cdef Py_ssize_t size(self, int dimension=0):
        return self.view.shape[dimension]


cdef Market read_market(Held market):
    cdef Market read
    read.value = <const double*> market.view.buf
    read.factor_count = market.size(0)
    read.scenario_count = market.size(1)
    return read


cdef Sparse read_sparse(Held begin, Held factor, Held weight, Py_ssize_t factor_count, str name) except *:
    """Check that every run and every factor lies inside its array, so that loops need not."""
    cdef Sparse read
    cdef Py_ssize_t i, run_count = begin.size() - 1, pair_count = factor.size()
    read.begin = <const int32_t*> begin.view.buf
    read.factor = <const int32_t*> factor.view.buf
    read.weight = <const double*> weight.view.buf
    if weight.size() != pair_count:
        raise ValueError(f"{name}_weight must have one value per factor, {pair_count}, got {weight.size()}")
    if run_count < 0 or read.begin[0] != 0 or read.begin[run_count] != pair_count:
        raise ValueError(f"{name}_begin must run from 0 to the count of factors, {pair_count}")
    for i in range(run_count):
        if read.begin[i] > read.begin[i + 1]:
            raise ValueError(f"{name}_begin must not decrease, it does after place {i}")
    for i in range(pair_count):
        if read.factor[i] < 0 or read.factor[i] >= factor_count:
            raise ValueError(f"{name}_factor must lie in [0, {factor_count}), got {read.factor[i]} at place {i}")
    return read


cdef Program read_program(
        Held row_begin, Held amount, Held constant, Sparse exponent, Py_ssize_t exponent_terms,
        Sparse linear, Py_ssize_t linear_terms) except *:
    cdef Program read
    cdef Py_ssize_t row, term_count = amount.size()
    read.row_count = row_begin.size() - 1
    read.row_begin = <const int64_t*> row_begin.view.buf
    read.amount = <const double*> amount.view.buf
    read.constant = <const double*> constant.view.buf
    read.exponent = exponent
    read.linear = linear
    if constant.size() != term_count or exponent_terms != term_count or linear_terms != term_count:
        raise ValueError(
            f"constant, exponent_begin and linear_begin must describe {term_count} terms like amount, "
            f"got {constant.size()}, {exponent_terms} and {linear_terms}")
    if read.row_count < 0 or read.row_begin[0] != 0 or read.row_begin[read.row_count] != term_count:
        raise ValueError(f"row_begin must run from 0 to the count of terms, {term_count}")
    for row in range(read.row_count):
        if read.row_begin[row] > read.row_begin[row + 1]:
            raise ValueError(f"row_begin must not decrease, it does after place {row}")
    return read


cdef class TermProgram:
    """Checked arrays of a program over a market, ready for any loop."""
    cdef Held market_held, row_begin, amount, constant
    cdef Held exponent_begin, exponent_factor, exponent_weight, linear_begin, linear_factor, linear_weight
    cdef Market market
    cdef Program program

    def __cinit__(
            self, market, row_begin, amount, constant, exponent_begin, exponent_factor, exponent_weight,
            linear_begin, linear_factor, linear_weight):
        self.market_held = Held(market, np.float64, "market", 2)
        self.row_begin = Held(row_begin, np.int64, "row_begin")
        self.amount = Held(amount, np.float64, "amount")
        self.constant = Held(constant, np.float64, "constant")
        self.exponent_begin = Held(exponent_begin, np.int32, "exponent_begin")
        self.exponent_factor = Held(exponent_factor, np.int32, "exponent_factor")
        self.exponent_weight = Held(exponent_weight, np.float64, "exponent_weight")
        self.linear_begin = Held(linear_begin, np.int32, "linear_begin")
        self.linear_factor = Held(linear_factor, np.int32, "linear_factor")
        self.linear_weight = Held(linear_weight, np.float64, "linear_weight")
        self.market = read_market(self.market_held)
        cdef Py_ssize_t factor_count = self.market.factor_count
        self.program = read_program(
            self.row_begin, self.amount, self.constant,
            read_sparse(self.exponent_begin, self.exponent_factor, self.exponent_weight, factor_count, "exponent"),
            self.exponent_begin.size() - 1,
            read_sparse(self.linear_begin, self.linear_factor, self.linear_weight, factor_count, "linear"),
            self.linear_begin.size() - 1)


def rows(
        market, row_begin, amount, constant, exponent_begin, exponent_factor, exponent_weight,
        linear_begin, linear_factor, linear_weight):
    """
    Value of every row under every scenario.

    Args:
        market: float64 (factor_count, scenario_count), C order.
        row_begin: int32 or int64 (row_count + 1,): terms of row r are row_begin[r] to row_begin[r + 1], from 0 to
            the count of terms.
        amount, constant: float64 (term_count,), any sign; amount carries the money.
        exponent_begin, exponent_factor, exponent_weight: int32 (term_count + 1,), int32 and float64 (pair_count,).
        linear_begin, linear_factor, linear_weight: likewise.

    Returns:
        float64 (row_count, scenario_count) in the unit of *amount*; NaN where a factor it needs is NaN or infinite
        values cancel, an infinity where the value overflows. Error: about 1 ulp of each term and one of each partial
        sum.

    Raises:
        ValueError: a dtype, a length, an offset or a factor index is wrong; nothing is read outside the arrays.

    Source: discounted cash flows; the formula at the head of this file.
    """
    cdef TermProgram held = TermProgram(
        market, row_begin, amount, constant, exponent_begin, exponent_factor, exponent_weight,
        linear_begin, linear_factor, linear_weight)
    result = np.empty((held.program.row_count, held.market.scenario_count))
    cdef Held target = Held(result, np.float64, "pv", 2)
    cdef double* pv = <double*> target.view.buf
    with nogil:
        if held.market.scenario_count <= NARROW_MAX:
            rows_narrow(held.market, held.program, pv)
        else:
            rows_wide(held.market, held.program, pv)
    return result


def gradient(
        market, row_begin, amount, constant, exponent_begin, exponent_factor, exponent_weight,
        linear_begin, linear_factor, linear_weight, factors, Py_ssize_t scenario=0):
    """
    Derivative of every row's value to chosen factors, under one scenario.

    Args:
        factors: int32 (n,), distinct factor indices. scenario: column of *market*. Others as in `rows`.

    Returns:
        float64 (row_count, n): d pv[r] / d market[factors[i], scenario].

    Raises:
        ValueError: as `rows`; a factor outside the market or named twice; a scenario outside the market.
    """
    cdef TermProgram held = TermProgram(
        market, row_begin, amount, constant, exponent_begin, exponent_factor, exponent_weight,
        linear_begin, linear_factor, linear_weight)
    if not 0 <= scenario < held.market.scenario_count:
        raise ValueError(f"scenario must lie in [0, {held.market.scenario_count}), got {scenario}")
    chosen = Held(factors, np.int32, "factors").array
    if chosen.size and (chosen.min() < 0 or chosen.max() >= held.market.factor_count):
        raise ValueError(f"factors must lie in [0, {held.market.factor_count}), got {chosen.min()} to {chosen.max()}")
    if len(np.unique(chosen)) != len(chosen):
        raise ValueError("factors must be distinct")
    places = np.full(held.market.factor_count, -1, np.int32)
    places[chosen] = np.arange(len(chosen), dtype=np.int32)
    result = np.zeros((held.program.row_count, len(chosen)))
    cdef Held place = Held(places, np.int32, "places"), target = Held(result, np.float64, "gradient", 2)
    cdef Py_ssize_t place_count = len(chosen)
    with nogil:
        gradient_loop(
            held.market, held.program, scenario, <const int32_t*> place.view.buf, place_count,
            <double*> target.view.buf)
    return result


cdef gather(market, begin, factor, weight, bint is_exp):
    cdef Held market_held = Held(market, np.float64, "market", 2)
    cdef Held begin_held = Held(begin, np.int32, "begin"), factor_held = Held(factor, np.int32, "factor")
    cdef Held weight_held = Held(weight, np.float64, "weight")
    cdef Market read = read_market(market_held)
    cdef Sparse vectors = read_sparse(begin_held, factor_held, weight_held, read.factor_count, "sparse")
    cdef Py_ssize_t row_count = begin_held.size() - 1
    result = np.empty((row_count, read.scenario_count))
    cdef Held target = Held(result, np.float64, "result", 2)
    cdef double* values = <double*> target.view.buf
    with nogil:
        gather_loop(read, vectors, row_count, is_exp, values)
    return result


def gather_linear(market, begin, factor, weight):
    """
    Sparse dot products: result[r, s] = sum of weight * market[factor, s] over the pairs of row r.

    Args:
        market: float64 (factor_count, scenario_count). begin: int32 (row_count + 1,), from 0 to the count of pairs.
        factor, weight: int32 and float64 (pair_count,).

    Returns:
        float64 (row_count, scenario_count); 0 where a row has no pair.

    Raises:
        ValueError: a dtype, a length, an offset or a factor index is wrong.
    """
    return gather(market, begin, factor, weight, False)


def gather_exp(market, begin, factor, weight):
    """exp of `gather_linear`: discount factors, FX rates and forwards from their logarithms; 1 without a pair."""
    return gather(market, begin, factor, weight, True)
