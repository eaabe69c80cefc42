# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The common door of the closed-form kernels: numpy columns in, blocks of raw pointers to a loop.

A loop sees at most BLOCK_ROWS rows at a time, so what it reads and writes stays in the L1 cache, and every column has
a pointer: a column of one value is spread over a block once, an output nobody asked for is written to scratch.
Rows do not see each other, so a result does not depend on where blocks begin.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t
from libc.string cimport memset

cdef enum:
    BLOCK_ROWS = 256
    COLUMN_COUNT_MAX = 12
    OUTPUT_COUNT_MAX = 12
    NUMERICAL = 8           # FailureReason.NUMERICAL

# `double` status: 0.0 where the row is good, 1.0 where it is refused; the runner turns it into bytes.
ctypedef void (*loop_t)(
    Py_ssize_t row_count, const double** column, double** output, double* is_refused) noexcept nogil


cdef inline Py_ssize_t acquire_column(
        object array, Py_buffer* view, bint is_output, Py_ssize_t row_count, str name) except -1:
    """A float64 vector of one value or *row_count* values; returns its length and keeps the buffer in *view*."""
    PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_ND | (PyBUF_WRITABLE if is_output else 0))
    cdef Py_ssize_t length = view.shape[0] if view.ndim == 1 else -1
    if view.ndim != 1 or view.format[0] != b"d" or view.format[1] != 0 or (
            length != row_count and (is_output or length != 1)):
        typed = (<bytes> view.format).decode()
        PyBuffer_Release(view)
        raise ValueError(
            f"{name} must be a contiguous float64 vector of {row_count} values"
            f"{'' if is_output else ' or one'}, got format {typed!r} and length {length}")
    return length


cdef inline void run_blocks(
        loop_t loop, Py_ssize_t row_count,
        int column_count, const double** column, const Py_ssize_t* column_length,
        int output_count, double** output, uint8_t* status) noexcept nogil:
    """Blocks of rows through *loop*; output[i] NULL means scratch."""
    cdef double spread[COLUMN_COUNT_MAX][BLOCK_ROWS]
    cdef double scratch[OUTPUT_COUNT_MAX][BLOCK_ROWS]
    cdef double is_refused[BLOCK_ROWS]
    cdef const double* block_column[COLUMN_COUNT_MAX]
    cdef double* block_output[OUTPUT_COUNT_MAX]
    cdef Py_ssize_t begin = 0, count, row
    cdef int i

    for i in range(column_count):
        if column_length[i] == 1:
            for row in range(BLOCK_ROWS):
                spread[i][row] = column[i][0]
            block_column[i] = spread[i]
    for i in range(output_count):
        block_output[i] = scratch[i]
    while begin < row_count:
        count = row_count - begin if row_count - begin < BLOCK_ROWS else BLOCK_ROWS
        for i in range(column_count):
            if column_length[i] != 1:
                block_column[i] = column[i] + begin
        for i in range(output_count):
            if output[i] != NULL:
                block_output[i] = output[i] + begin
        loop(count, block_column, block_output, is_refused)
        for row in range(count):
            status[begin + row] = NUMERICAL if is_refused[row] != 0.0 else 0
        begin += count


cdef inline int run_columns(
        loop_t loop, tuple column_names, tuple output_names, tuple columns, tuple outputs, object status) except -1:
    """
    Check every buffer, then run *loop* over all rows without the GIL.

    Args:
        columns: float64 vectors, one per name, of row_count values or one value.
        outputs: float64 vectors of row_count values to be written, or None, one per name.
        status: uint8 vector (row_count,): 0, or FailureReason.NUMERICAL where all outputs are NaN.

    Raises:
        ValueError: a count, a length or a dtype is wrong.
    """
    cdef Py_buffer column_view[COLUMN_COUNT_MAX]
    cdef Py_buffer output_view[OUTPUT_COUNT_MAX]
    cdef Py_buffer status_view
    cdef const double* column[COLUMN_COUNT_MAX]
    cdef Py_ssize_t column_length[COLUMN_COUNT_MAX]
    cdef double* output[OUTPUT_COUNT_MAX]
    cdef int column_count = len(column_names), output_count = len(output_names)
    cdef int i, columns_held = 0, outputs_held = 0
    cdef Py_ssize_t row_count

    if len(columns) != column_count or len(outputs) != output_count:
        raise ValueError(
            f"{column_count} columns and {output_count} outputs are needed, got {len(columns)} and {len(outputs)}")
    memset(column_length, 0, sizeof(column_length))
    PyObject_GetBuffer(status, &status_view, PyBUF_FORMAT | PyBUF_ND | PyBUF_WRITABLE)
    try:
        if status_view.ndim != 1 or status_view.format[0] != b"B":
            raise ValueError("status must be a contiguous uint8 vector")
        row_count = status_view.shape[0]
        while columns_held < column_count:
            column_length[columns_held] = acquire_column(
                columns[columns_held], &column_view[columns_held], False, row_count, column_names[columns_held])
            column[columns_held] = <const double*> column_view[columns_held].buf
            columns_held += 1
        while outputs_held < output_count:
            output[outputs_held] = NULL
            if outputs[outputs_held] is not None:
                acquire_column(
                    outputs[outputs_held], &output_view[outputs_held], True, row_count, output_names[outputs_held])
                output[outputs_held] = <double*> output_view[outputs_held].buf
            outputs_held += 1
        with nogil:
            run_blocks(
                loop, row_count, column_count, column, column_length, output_count, output,
                <uint8_t*> status_view.buf)
    finally:
        for i in range(columns_held):
            PyBuffer_Release(&column_view[i])
        for i in range(outputs_held):
            if output[i] != NULL:
                PyBuffer_Release(&output_view[i])
        PyBuffer_Release(&status_view)
    return 0
