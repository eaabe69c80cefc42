# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Default within a step: the integrals behind every credit default swap of the ISDA standard model.

Between two days, a and b, the forward rate and the hazard rate are constant. With D discount factor, Q survival,
df = ln D(a) / D(b), dh = ln Q(a) / Q(b), x = df + dh, the discounted probability of default in the step, and the same
weighted by the part of the step that has passed when it happens, are

    protection = integral of D dQ               = D(a) Q(a) dh E1(x),   E1(x) = (1 - e^-x) / x
    accrual    = integral of (t - a) / (b - a) D dQ  = D(a) Q(a) dh E2(x),   E2(x) = (1 - (1 + x) e^-x) / x^2

Both are sums over steps, so a contract is a sparse dot product of them (`terms.gather_linear`), and contracts on one
name that share dates share steps. Below |x| = 1/2 E1 and E2 are their own series, sum of (-x)^n / (n + 1)! and of
(-x)^n / (n! (n + 2)): nothing cancels, x = 0 needs no case of its own, and a curve without rates or without default
risk has its exact limit. Above it the quotients stand as they are written.

A tile of contracts goes through in blocks of scenarios (`rows`): logarithms at its points, integrals of its steps, sums
of its rows, all of a block in the L2 cache. Steps are independent and scenarios lie next to each other; where scenarios
are few, steps are gathered side by side into lanes. The operations of a (row, scenario) are the same, so are its bytes.

Source: ISDA CDS Standard Model (Markit), C code v1.8.2, contingentLeg.c and feeLeg.c; R. White, The pricing and risk
management of credit default swaps, with a focus on the ISDA model, OpenGamma Quantitative Research 16 (2013).
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t

from xip_core.kernels.elementary cimport NAN, exp_, fabs, fma_

import numpy as np

cdef enum:
    BLOCK_BYTES = 786432        # of scratch: beside it a block of the market stays in an L2 cache of 1 MiB
    BLOCK_MAX = 64
    LANES = 256                 # steps times scenarios in the lanes at once
    WIDE_MIN = 16               # from so many scenarios on, rows are long enough to be lanes themselves

cdef struct Integrals:
    double protection
    double accrual


cdef inline Integrals step_point(
        double df, double dh,           # logs of discount factor and survival, begin minus end
        double begin, double end        # discount factor times survival
        ) noexcept nogil:
    cdef Integrals result
    cdef double x = df + dh
    cdef double e1 = -1.0 / 87178291200.0       # (-x)^13 / 14!
    cdef double e2 = -1.0 / 93405312000.0       # (-x)^13 / (13! 15)
    e1 = fma_(e1, x, 1.0 / 6227020800.0)
    e2 = fma_(e2, x, 1.0 / 6706022400.0)
    e1 = fma_(e1, x, -1.0 / 479001600.0)
    e2 = fma_(e2, x, -1.0 / 518918400.0)
    e1 = fma_(e1, x, 1.0 / 39916800.0)
    e2 = fma_(e2, x, 1.0 / 43545600.0)
    e1 = fma_(e1, x, -1.0 / 3628800.0)
    e2 = fma_(e2, x, -1.0 / 3991680.0)
    e1 = fma_(e1, x, 1.0 / 362880.0)
    e2 = fma_(e2, x, 1.0 / 403200.0)
    e1 = fma_(e1, x, -1.0 / 40320.0)
    e2 = fma_(e2, x, -1.0 / 45360.0)
    e1 = fma_(e1, x, 1.0 / 5040.0)
    e2 = fma_(e2, x, 1.0 / 5760.0)
    e1 = fma_(e1, x, -1.0 / 720.0)
    e2 = fma_(e2, x, -1.0 / 840.0)
    e1 = fma_(e1, x, 1.0 / 120.0)
    e2 = fma_(e2, x, 1.0 / 144.0)
    e1 = fma_(e1, x, -1.0 / 24.0)
    e2 = fma_(e2, x, -1.0 / 30.0)
    e1 = fma_(e1, x, 1.0 / 6.0)
    e2 = fma_(e2, x, 1.0 / 8.0)
    e1 = fma_(e1, x, -0.5)
    e2 = fma_(e2, x, -1.0 / 3.0)
    e1 = fma_(e1, x, 1.0)
    e2 = fma_(e2, x, 0.5)
    cdef double inverse = 1.0 / x
    cdef double far_e1 = (begin - end) * inverse
    cdef double far_e2 = (far_e1 - end) * inverse
    cdef bint is_near = fabs(x) <= 0.5
    result.protection = dh * (begin * e1 if is_near else far_e1)
    result.accrual = dh * (begin * e2 if is_near else far_e2)
    return result


cdef void steps_loop(
        Py_ssize_t count,
        const double* discount_begin, const double* discount_end,       # IN logs
        const double* survival_begin, const double* survival_end,       # IN logs
        const double* risky_begin, const double* risky_end,             # IN discount factor times survival
        double* protection, double* accrual) noexcept nogil:            # OUT
    cdef Py_ssize_t i
    cdef Integrals found
    for i in range(count):
        found = step_point(
            discount_begin[i] - discount_end[i], survival_begin[i] - survival_end[i], risky_begin[i], risky_end[i])
        protection[i] = found.protection if found.protection == found.protection else NAN
        accrual[i] = found.accrual if found.accrual == found.accrual else NAN


cdef void risky_loop(
        Py_ssize_t count, const double* log_discount, const double* log_survival,   # IN
        double* risky) noexcept nogil:                                              # OUT
    cdef Py_ssize_t i
    for i in range(count):
        risky[i] = exp_(log_discount[i] + log_survival[i])


cdef void wide(
        Py_ssize_t step_count, Py_ssize_t scenario_count,
        const double* log_discount, const double* log_survival, const double* risky,
        const int32_t* begin, const int32_t* end,
        double* protection, double* accrual) noexcept nogil:
    cdef Py_ssize_t step, from_point, to_point
    for step in range(step_count):
        from_point = begin[step] * scenario_count
        to_point = end[step] * scenario_count
        steps_loop(
            scenario_count, log_discount + from_point, log_discount + to_point,
            log_survival + from_point, log_survival + to_point, risky + from_point, risky + to_point,
            protection + step * scenario_count, accrual + step * scenario_count)


cdef void narrow(
        Py_ssize_t step_count, Py_ssize_t scenario_count,
        const double* log_discount, const double* log_survival, const double* risky,
        const int32_t* begin, const int32_t* end,
        double* protection, double* accrual) noexcept nogil:
    cdef double lane[6][LANES]
    cdef Py_ssize_t cell = 0, cell_count = step_count * scenario_count, count, i, step, scenario, from_cell, to_cell
    while cell < cell_count:
        count = min(cell_count - cell, <Py_ssize_t> LANES)
        for i in range(count):
            step = (cell + i) // scenario_count
            scenario = (cell + i) - step * scenario_count
            from_cell = begin[step] * scenario_count + scenario
            to_cell = end[step] * scenario_count + scenario
            lane[0][i] = log_discount[from_cell]
            lane[1][i] = log_discount[to_cell]
            lane[2][i] = log_survival[from_cell]
            lane[3][i] = log_survival[to_cell]
            lane[4][i] = risky[from_cell]
            lane[5][i] = risky[to_cell]
        steps_loop(count, lane[0], lane[1], lane[2], lane[3], lane[4], lane[5], protection + cell, accrual + cell)
        cell += count


cdef struct Sparse:             # rows of (factor, weight) pairs
    Py_ssize_t row_count
    const int32_t* begin
    const int32_t* factor
    const double* weight


cdef void gather(
        const double* market, Py_ssize_t scenario_count, Py_ssize_t scenario, Py_ssize_t count,     # IN columns
        Sparse vectors, double* result) noexcept nogil:                                             # OUT (rows, count)
    cdef Py_ssize_t row, pair, s
    cdef const double* column
    cdef double weight
    cdef double* target
    for row in range(vectors.row_count):
        target = result + row * count
        for s in range(count):
            target[s] = 0.0
        for pair in range(vectors.begin[row], vectors.begin[row + 1]):
            column = market + vectors.factor[pair] * scenario_count + scenario
            weight = vectors.weight[pair]
            for s in range(count):
                target[s] = fma_(weight, column[s], target[s])


cdef void sum_rows(
        Py_ssize_t count, const double* protection, const double* accrual,      # IN (steps, count)
        Sparse amounts, const double* growth,                                   # IN steps of a row, and multiples
        Py_ssize_t scenario_count, double* pv) noexcept nogil:                  # OUT (rows, scenario_count)
    cdef Py_ssize_t row, place, s
    cdef const double* first
    cdef const double* second
    cdef double total[BLOCK_MAX]
    cdef double amount, more
    for row in range(amounts.row_count):
        for s in range(count):
            total[s] = 0.0
        for place in range(amounts.begin[row], amounts.begin[row + 1]):
            first = protection + amounts.factor[place] * count
            second = accrual + amounts.factor[place] * count
            amount, more = amounts.weight[place], growth[place]
            for s in range(count):
                total[s] = fma_(more, second[s], fma_(amount, first[s], total[s]))
        for s in range(count):
            pv[row * scenario_count + s] = total[s] if total[s] == total[s] else NAN


cdef void rows_loop(
        const double* market, Py_ssize_t scenario_count, Py_ssize_t block,
        Sparse discount, Sparse survival, Py_ssize_t step_count, const int32_t* begin, const int32_t* end,
        Sparse amounts, const double* growth, double* scratch,
        double* pv) noexcept nogil:                                             # OUT (rows, scenario_count)
    cdef Py_ssize_t points = discount.row_count, scenario = 0, count
    cdef double* log_discount = scratch
    cdef double* log_survival = log_discount + points * block
    cdef double* risky = log_survival + points * block
    cdef double* protection = risky + points * block
    cdef double* accrual = protection + step_count * block
    while scenario < scenario_count:
        count = min(scenario_count - scenario, block)
        gather(market, scenario_count, scenario, count, discount, log_discount)
        gather(market, scenario_count, scenario, count, survival, log_survival)
        risky_loop(points * count, log_discount, log_survival, risky)
        if count >= WIDE_MIN:
            wide(step_count, count, log_discount, log_survival, risky, begin, end, protection, accrual)
        else:
            narrow(step_count, count, log_discount, log_survival, risky, begin, end, protection, accrual)
        sum_rows(count, protection, accrual, amounts, growth, scenario_count, pv + scenario)
        scenario += count


cdef class Matrix:
    """A C-contiguous float64 matrix whose memory stays valid while this object lives."""
    cdef Py_buffer view
    cdef bint is_open
    cdef double* value

    def __cinit__(self, object array, str name, bint is_output=False):
        PyObject_GetBuffer(array, &self.view, PyBUF_FORMAT | PyBUF_ND | (PyBUF_WRITABLE if is_output else 0))
        self.is_open = True
        if self.view.ndim != 2 or self.view.format[0] != b"d" or self.view.format[1] != 0:
            raise ValueError(f"{name} must be a contiguous float64 matrix (points, scenarios)")
        self.value = <double*> self.view.buf

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)


cdef class Places:
    """A vector of int32, each checked to be a place among *point_count*."""
    cdef Py_buffer view
    cdef bint is_open
    cdef const int32_t* value

    def __cinit__(self, object array, str name, Py_ssize_t point_count):
        cdef Py_ssize_t i
        PyObject_GetBuffer(array, &self.view, PyBUF_FORMAT | PyBUF_ND)
        self.is_open = True
        if self.view.ndim != 1 or self.view.format[0] != b"i" or self.view.format[1] != 0:
            raise ValueError(f"{name} must be a contiguous int32 vector")
        self.value = <const int32_t*> self.view.buf
        for i in range(self.view.shape[0]):
            if not 0 <= self.value[i] < point_count:
                raise ValueError(f"{name} must lie in [0, {point_count}), got {self.value[i]} at place {i}")

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)


cdef class Vector:
    """A vector of float64 of a given length."""
    cdef Py_buffer view
    cdef bint is_open
    cdef const double* value

    def __cinit__(self, object array, str name, Py_ssize_t length):
        PyObject_GetBuffer(array, &self.view, PyBUF_FORMAT | PyBUF_ND)
        self.is_open = True
        if self.view.ndim != 1 or self.view.format[0] != b"d" or self.view.format[1] != 0 or (
                self.view.shape[0] != length):
            raise ValueError(f"{name} must be a contiguous float64 vector of {length} values")
        self.value = <const double*> self.view.buf

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)


cdef class Pairs:
    """Sparse rows, checked: places ascend from 0 to the count of pairs, and each is one of *factor_count*."""
    cdef Places begin, factor
    cdef Vector weight
    cdef Sparse sparse

    def __cinit__(
            self, object begin, object factor, object weight, str name, Py_ssize_t factor_count,
            str factors="factor", str weights="weight"):
        cdef Py_ssize_t i, pair_count = len(factor)
        self.factor = Places(factor, f"{name}_{factors}", factor_count)
        self.weight = Vector(weight, f"{name}_{weights}", pair_count)
        self.begin = Places(begin, f"{name}_begin", pair_count + 1)
        self.sparse.row_count = self.begin.view.shape[0] - 1
        if self.sparse.row_count < 0 or self.begin.value[0] != 0 or (
                self.begin.value[self.sparse.row_count] != pair_count):
            raise ValueError(f"{name}_begin must run from 0 to the count of pairs, {pair_count}")
        for i in range(self.sparse.row_count):
            if self.begin.value[i] > self.begin.value[i + 1]:
                raise ValueError(f"{name}_begin must not decrease, it does after place {i}")
        self.sparse.begin = self.begin.value
        self.sparse.factor = self.factor.value
        self.sparse.weight = self.weight.value


def rows(
        market, discount_begin, discount_factor, discount_weight, survival_begin, survival_factor, survival_weight,
        begin, end, row_begin, row_step, row_amount, row_growth):
    """
    Sums of amount * protection + growth * accrual over the steps of every row, under every scenario.

    Args:
        market: float64 (factor_count, scenario_count), C order.
        discount_begin, discount_factor, discount_weight: int32 (point_count + 1,), int32 and float64 (pair_count,): log
            discount factor of each point as pairs of factor and weight. survival_..: its log survival, likewise.
        begin, end: int32 (step_count,): the points between which each step runs.
        row_begin, row_step, row_amount, row_growth: int32 (row_count + 1,), int32 and float64 twice: steps of each row
            and what multiplies their integrals, any sign, in units of money.

    Returns:
        float64 (row_count, scenario_count), in the unit of the amounts; NaN where a point it needs is NaN. Error: that
        of `integrals`, and a rounding of each partial sum.

    Raises:
        ValueError: a shape, a dtype, an offset or a place is wrong; nothing is read outside the arrays.

    Source: at the head of this file.
    """
    cdef Matrix columns = Matrix(np.ascontiguousarray(market), "market")
    cdef Py_ssize_t factor_count = columns.view.shape[0], scenario_count = columns.view.shape[1]
    cdef Pairs discount = Pairs(discount_begin, discount_factor, discount_weight, "discount", factor_count)
    cdef Pairs survival = Pairs(survival_begin, survival_factor, survival_weight, "survival", factor_count)
    cdef Py_ssize_t points = discount.sparse.row_count, step_count, block
    if survival.sparse.row_count != points:
        raise ValueError(f"survival_begin must describe {points} points like discount_begin")
    cdef Places begins = Places(begin, "begin", points), ends = Places(end, "end", points)
    step_count = begins.view.shape[0]
    if ends.view.shape[0] != step_count:
        raise ValueError(f"end must have {step_count} values like begin, got {ends.view.shape[0]}")
    cdef Pairs amounts = Pairs(row_begin, row_step, row_amount, "row", step_count, "step", "amount")
    cdef Vector growth = Vector(row_growth, "row_growth", len(row_step))
    result = np.empty((amounts.sparse.row_count, scenario_count))
    if not result.size:
        return result
    block = BLOCK_BYTES // (8 * max(3 * points + 2 * step_count, <Py_ssize_t> 1))
    block = min(max(block // 8 * 8, <Py_ssize_t> WIDE_MIN), <Py_ssize_t> BLOCK_MAX, scenario_count)
    cdef Matrix scratch = Matrix(np.empty((3 * points + 2 * step_count, block)), "scratch", True)
    cdef Matrix target = Matrix(result, "result", True)
    with nogil:
        rows_loop(
            columns.value, scenario_count, block, discount.sparse, survival.sparse, step_count, begins.value,
            ends.value, amounts.sparse, growth.value, scratch.value, target.value)
    return result


def integrals(log_discount, log_survival, begin, end):
    """
    Protection and accrual integrals of every step under every scenario.

    Args:
        log_discount, log_survival: float64 (point_count, scenario_count), C order: logarithms of discount factor and
            survival probability at each point (a day, on a pair of curves).
        begin, end: int32 (step_count,): the points between which each step runs.

    Returns:
        float64 (2 * step_count, scenario_count): the protection integrals of all steps, then their accrual integrals;
        dimensionless. Relative error 3e-15, and that of dh, which is rounded like a difference of the logarithms
        given. NaN where a point it needs is NaN; infinite where a discount factor overflows.

    Raises:
        ValueError: a shape, a dtype or a point is wrong; nothing is read outside the arrays.

    Source: at the head of this file.
    """
    cdef Matrix discount = Matrix(log_discount, "log_discount"), survival = Matrix(log_survival, "log_survival")
    cdef Py_ssize_t point_count = discount.view.shape[0], scenario_count = discount.view.shape[1], step_count
    if survival.view.shape[0] != point_count or survival.view.shape[1] != scenario_count:
        raise ValueError(
            f"log_survival must have shape ({point_count}, {scenario_count}) like log_discount, "
            f"got ({survival.view.shape[0]}, {survival.view.shape[1]})")
    cdef Places begins = Places(begin, "begin", point_count), ends = Places(end, "end", point_count)
    step_count = begins.view.shape[0]
    if ends.view.shape[0] != step_count:
        raise ValueError(f"end must have {step_count} values like begin, got {ends.view.shape[0]}")
    result = np.empty((2 * step_count, scenario_count))
    if not step_count or not scenario_count:
        return result
    cdef Matrix risky = Matrix(np.empty((point_count, scenario_count)), "risky", True)
    cdef Matrix target = Matrix(result, "result", True)
    cdef double* protection = target.value
    cdef double* accrual = target.value + step_count * scenario_count
    with nogil:
        risky_loop(point_count * scenario_count, discount.value, survival.value, risky.value)
        if scenario_count >= WIDE_MIN:
            wide(step_count, scenario_count, discount.value, survival.value, risky.value,
                 begins.value, ends.value, protection, accrual)
        else:
            narrow(step_count, scenario_count, discount.value, survival.value, risky.value,
                   begins.value, ends.value, protection, accrual)
    return result
