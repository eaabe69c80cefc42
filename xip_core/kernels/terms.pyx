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

from libc.stdint cimport int32_t

from xip_core.kernels.elementary cimport NAN, exp_, fma_
from xip_core.kernels.term_loops cimport LANE_GROUP, SCENARIOS_PER_BLOCK, Market, Program, Sparse, dot_block, row_block

include "term_doors.pxi"

cdef enum:
    NARROW_MAX = 7              # up to so many scenarios, terms are the lanes
    LANES = 256                 # of the narrow way


# ---- point and loops -------------------------------------------------------------------------------------------------

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
    if (factor_held.size() + row_count) * read.scenario_count < UNLOCKED_MIN:
        gather_loop(read, vectors, row_count, is_exp, values)
    else:
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
