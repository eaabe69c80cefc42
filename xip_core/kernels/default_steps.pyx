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

Steps are independent and scenarios lie next to each other. Where scenarios are few, steps are gathered side by side
into lanes; the operations of a (step, scenario) are the same, so are its bytes.

Source: ISDA CDS Standard Model (Markit), C code v1.8.2, contingentLeg.c and feeLeg.c; R. White, The pricing and risk
management of credit default swaps, with a focus on the ISDA model, OpenGamma Quantitative Research 16 (2013).
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t

from xip_core.kernels.elementary cimport NAN, exp_, fabs, fma_

import numpy as np

cdef enum:
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
