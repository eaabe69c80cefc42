# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The common door of Monte-Carlo kernels: a row at a time, in slices of some 10 ms.

A row of a closed form takes nanoseconds, one of these milliseconds to minutes. Its state lies in an arena, so between
two slices the caller may be asked whether he still wants it (`xip_core.kernels.interruption`); slices change no byte.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport NAN
from libc.stdint cimport uint8_t
from libc.stdlib cimport free

from xip_core.kernels.columns cimport NUMERICAL, acquire_column

cdef extern from "monte_carlo.h" nogil:
    void* xip_arena(size_t size) noexcept

cdef enum:
    CELL_COUNT_MAX = 64
    NUMBER_COUNT_MAX = 16

cdef struct Product:
    # Bytes of a row's arena, 0 where the row is outside the domain.
    size_t (*size)(const double* cells) noexcept nogil
    # is_wanted: by output.
    void (*begin)(void* arena, const double* cells, const int* is_wanted) noexcept nogil
    # A slice; 1 when the row is done.
    int (*advance)(void* arena) noexcept nogil
    # Writes the outputs; 0.0 where one is not finite.
    double (*finish)(void* arena, double* outputs) noexcept nogil


cdef inline int run_row(
        Product* product, const double* cells, const int* is_wanted, double* numbers, object check) except -1:
    """One row; 1 where it has numbers, 0 where it is refused."""
    cdef size_t size = product.size(cells)
    cdef void* arena
    cdef int is_done = 0
    cdef double is_good
    if size == 0:
        return 0
    arena = xip_arena(size)
    if arena == NULL:
        raise MemoryError(f"a row of paths needs {size} bytes")
    try:
        with nogil:
            product.begin(arena, cells, is_wanted)
            is_done = product.advance(arena)
        while not is_done:
            check()
            with nogil:
                is_done = product.advance(arena)
        is_good = product.finish(arena, numbers)
    finally:
        free(arena)
    return 1 if is_good > 0.0 else 0


cdef inline int run_sampled(
        Product* product, tuple column_names, tuple output_names, tuple columns, tuple outputs, object status,
        object check) except -1:
    """
    Check every buffer, then price row by row.

    Args:
        columns, outputs, status: as `columns.run_columns`. check: called without arguments between slices; what it
            raises ends the call.

    Raises:
        ValueError: a count, a length or a dtype is wrong. MemoryError: no room for a row.
    """
    cdef Py_buffer column_view[CELL_COUNT_MAX]
    cdef Py_buffer output_view[NUMBER_COUNT_MAX]
    cdef Py_buffer status_view
    cdef double cells[CELL_COUNT_MAX]
    cdef double numbers[NUMBER_COUNT_MAX]
    cdef int is_wanted[NUMBER_COUNT_MAX]
    cdef Py_ssize_t column_length[CELL_COUNT_MAX]
    cdef int column_count = len(column_names), output_count = len(output_names)
    cdef int i, is_good, columns_held = 0, outputs_held = 0
    cdef Py_ssize_t row_count, row

    if len(columns) != column_count or len(outputs) != output_count:
        raise ValueError(
            f"{column_count} columns and {output_count} outputs are needed, got {len(columns)} and {len(outputs)}")
    PyObject_GetBuffer(status, &status_view, PyBUF_FORMAT | PyBUF_ND | PyBUF_WRITABLE)
    try:
        if status_view.ndim != 1 or status_view.format[0] != b"B":
            raise ValueError("status must be a contiguous uint8 vector")
        row_count = status_view.shape[0]
        while columns_held < column_count:
            column_length[columns_held] = acquire_column(
                columns[columns_held], &column_view[columns_held], False, row_count, column_names[columns_held])
            columns_held += 1
        while outputs_held < output_count:
            is_wanted[outputs_held] = outputs[outputs_held] is not None
            if is_wanted[outputs_held]:
                acquire_column(
                    outputs[outputs_held], &output_view[outputs_held], True, row_count, output_names[outputs_held])
            outputs_held += 1
        for row in range(row_count):
            for i in range(column_count):
                cells[i] = (<const double*> column_view[i].buf)[row if column_length[i] != 1 else 0]
            is_good = run_row(product, cells, is_wanted, numbers, check)
            (<uint8_t*> status_view.buf)[row] = 0 if is_good else NUMERICAL
            for i in range(output_count):
                if is_wanted[i]:
                    (<double*> output_view[i].buf)[row] = numbers[i] if is_good else NAN
            if row + 1 < row_count:
                check()
    finally:
        for i in range(columns_held):
            PyBuffer_Release(&column_view[i])
        for i in range(outputs_held):
            if is_wanted[i]:
                PyBuffer_Release(&output_view[i])
        PyBuffer_Release(&status_view)
    return 0
