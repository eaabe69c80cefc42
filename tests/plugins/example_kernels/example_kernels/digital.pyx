# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Cash-or-nothing option on a forward, from the elementary functions of XiP: the same bits on every machine.

Anatomy as in xip_core/kernels: point (one row), loop (arrays, no Python), door (checks buffers, releases the GIL).
"""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.elementary cimport NAN, log_ratio, normal_cdf, normal_pdf, sqrt

COLUMNS = ("forward", "strike", "time", "volatility", "discount", "is_call")
OUTPUTS = ("pv", "delta")


cdef inline bint is_in_domain(
        double forward, double strike, double time, double volatility, double discount, double is_call) noexcept nogil:
    return (
        0.0 < forward < 1e300 and 0.0 < strike < 1e300 and 0.0 < time < 1e4 and 0.0 < volatility < 1e4
        and 0.0 < discount < 1e6 and (is_call == 0.0 or is_call == 1.0))


cdef void digital_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef Py_ssize_t row
    cdef double forward, total_volatility, d2, sign
    for row in range(row_count):
        if not is_in_domain(
                column[0][row], column[1][row], column[2][row], column[3][row], column[4][row], column[5][row]):
            output[0][row] = output[1][row] = NAN
            is_refused[row] = 1.0
            continue
        forward = column[0][row]
        total_volatility = column[3][row] * sqrt(column[2][row])
        sign = 2.0 * column[5][row] - 1.0
        d2 = log_ratio(forward, column[1][row]) / total_volatility - 0.5 * total_volatility
        output[0][row] = column[4][row] * normal_cdf(sign * d2)
        output[1][row] = column[4][row] * sign * normal_pdf(d2) / (forward * total_volatility)
        is_refused[row] = 0.0


def cash_digital(tuple columns, tuple outputs, status):
    """
    Pays 1 if the forward ends above the strike (call) or below it (put): pv = D N(+-d2).

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
        outputs: float64 vectors to write, in the order of OUTPUTS.
        status: uint8 vector to write: 0, or 8 (NUMERICAL) where the row is outside the domain.
    """
    run_columns(digital_loop, COLUMNS, OUTPUTS, columns, outputs, status)
