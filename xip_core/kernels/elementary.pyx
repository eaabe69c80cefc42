# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The elementary functions of elementary.h over whole columns: for calibration, whose bytes must not depend on NumPy's
own exp and log (they differ between machines), and for the tests of their accuracy.
"""

from xip_core.kernels.columns cimport loop_t, run_columns

COLUMNS = {
    "exp_": ("x",),
    "log_": ("x",),
    "log_ratio": ("a", "b"),
    "normal_pdf": ("x",),
    "normal_cdf": ("x",),
    "mills_ratio": ("x",),
    "sin_": ("x",),
    "cos_": ("x",),
    "atan2_": ("y", "x"),
}


cdef void exp_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = exp_(column[0][row])
        is_refused[row] = 0.0


cdef void log_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = log_(column[0][row])
        is_refused[row] = 0.0


cdef void log_ratio_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = log_ratio(column[0][row], column[1][row])
        is_refused[row] = 0.0


cdef void normal_pdf_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = normal_pdf(column[0][row])
        is_refused[row] = 0.0


cdef void normal_cdf_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = normal_cdf(column[0][row])
        is_refused[row] = 0.0


cdef void mills_ratio_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = mills_ratio(column[0][row])
        is_refused[row] = 0.0


cdef void sin_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = sin_(column[0][row])
        is_refused[row] = 0.0


cdef void cos_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = cos_(column[0][row])
        is_refused[row] = 0.0


cdef void atan2_loop(Py_ssize_t count, const double** column, double** output, double* is_refused) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(count):
        output[0][row] = atan2_(column[0][row], column[1][row])
        is_refused[row] = 0.0


def apply(str name, tuple columns, result, status):
    """
    One function over a column.

    Args:
        name: a key of COLUMNS. columns: float64 vectors, as many as COLUMNS names. result: float64 vector to write.
        status: uint8 vector, set to 0.

    Raises:
        KeyError: an unknown name. ValueError: a length or dtype is wrong.
    """
    cdef dict index = {key: place for place, key in enumerate(COLUMNS)}
    cdef loop_t* loops = [
        exp_loop, log_loop, log_ratio_loop, normal_pdf_loop, normal_cdf_loop, mills_ratio_loop, sin_loop, cos_loop,
        atan2_loop]
    run_columns(loops[<int> index[name]], COLUMNS[name], ("result",), columns, (result,), status)
