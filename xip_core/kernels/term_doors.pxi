# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Doors of kernels that walk terms: arrays held while a loop reads them, offsets and places checked once.

The interpreter's lock is kept through what takes microseconds: another slot that waits for it is woken by every
release, and by then it is held again, which costs both more than the work.
"""

from cpython.buffer cimport PyBUF_ND, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t

from xip_core.kernels.term_loops cimport Market, Program, Sparse

import numpy as np


cdef enum:
    UNLOCKED_MIN = 1 << 17      # entries of a scan, or pairs times scenarios, that take 20 to 50 us


cdef widened(object array):
    """As int64; NumPy would give the lock away for it."""
    cdef const int32_t[::1] narrow = array
    cdef Py_ssize_t i
    wide = np.empty(narrow.shape[0], dtype=np.int64)
    cdef int64_t[::1] target = wide
    for i in range(narrow.shape[0]):
        target[i] = narrow[i]
    return wide


cdef class Held:
    """A contiguous array of the wanted dtype whose memory stays valid while this object lives."""
    cdef Py_buffer view
    cdef bint is_open
    cdef object array

    def __cinit__(self, object values, object dtype, str name, int dimensions=1):
        array = np.asarray(values)
        if dtype is np.int64 and array.dtype == np.int32 and array.ndim == 1 and array.flags.c_contiguous:
            array = widened(array)
        elif array.dtype != dtype:
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


cdef Py_ssize_t first_descent(const int32_t* begin, Py_ssize_t run_count) noexcept nogil:
    """The first place whose successor is smaller; *run_count* where there is none."""
    cdef Py_ssize_t i
    cdef int32_t descends = 0
    for i in range(run_count):
        descends |= begin[i] > begin[i + 1]
    if not descends:
        return run_count
    for i in range(run_count):
        if begin[i] > begin[i + 1]:
            return i
    return run_count


cdef Py_ssize_t first_outside(const int32_t* factor, Py_ssize_t count, Py_ssize_t factor_count) noexcept nogil:
    """The first place with a factor outside [0, factor_count); *count* where there is none."""
    cdef Py_ssize_t i
    cdef int32_t is_outside = 0, end = <int32_t> min(factor_count, <Py_ssize_t> 2147483647)
    for i in range(count):
        is_outside |= (factor[i] < 0) | (factor[i] >= end)
    if not is_outside:
        return count
    for i in range(count):
        if factor[i] < 0 or factor[i] >= end:
            return i
    return count


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
    cdef Py_ssize_t descent, outside
    if run_count + pair_count < UNLOCKED_MIN:
        descent = first_descent(read.begin, run_count)
        outside = first_outside(read.factor, pair_count, factor_count)
    else:
        with nogil:
            descent = first_descent(read.begin, run_count)
            outside = first_outside(read.factor, pair_count, factor_count)
    if descent < run_count:
        raise ValueError(f"{name}_begin must not decrease, it does after place {descent}")
    i = outside
    if i < pair_count:
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
