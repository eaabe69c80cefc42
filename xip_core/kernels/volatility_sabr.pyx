# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Volatilities of the SABR model by Hagan's expansions: lognormal (Black), (2.17a), and normal (Bachelier), (B.67a).

Both have one body (smile.h), which a flag turns from one to the other.
"""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_nonnegative, is_positive
from xip_core.kernels.smile cimport xip_sabr, xip_sabr_t

COLUMNS = ("forward", "strike", "time", "alpha", "beta", "rho", "nu", "shift")
OUTPUTS = (
    "volatility", "to_forward", "to_strike", "to_alpha", "to_beta", "to_rho", "to_nu", "to_time")
SIGNATURES = {"sabr_normal": (COLUMNS, OUTPUTS)}


cdef inline double is_good(
        double forward, double strike, double time, double alpha, double beta, double rho, double nu, double shift,
        xip_sabr_t value) noexcept nogil:
    return (
        is_positive(forward + shift) * is_positive(strike + shift) * is_nonnegative(time) * is_positive(alpha)
        * in_range(beta, 0.0, 1.0) * is_positive(1.0 - rho) * is_positive(1.0 + rho) * is_nonnegative(nu)
        * is_finite(forward) * is_finite(strike) * is_finite(shift) * is_nonnegative(value.volatility)
        * is_finite(value.to_forward + value.to_strike) * is_finite(value.to_alpha + value.to_beta)
        * is_finite(value.to_rho + value.to_nu) * is_finite(value.to_time))


cdef void rows_loop(
        double is_normal,
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* forward = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* alpha = column[3]
    cdef const double* beta = column[4]
    cdef const double* rho = column[5]
    cdef const double* nu = column[6]
    cdef const double* shift = column[7]
    cdef double* volatility = output[0]
    cdef double* to_forward = output[1]
    cdef double* to_strike = output[2]
    cdef double* to_alpha = output[3]
    cdef double* to_beta = output[4]
    cdef double* to_rho = output[5]
    cdef double* to_nu = output[6]
    cdef double* to_time = output[7]
    cdef xip_sabr_t value
    cdef double good
    cdef Py_ssize_t row
    for row in range(row_count):
        value = xip_sabr(
            forward[row], strike[row], time[row], alpha[row], beta[row], rho[row], nu[row], shift[row], is_normal)
        good = is_good(
            forward[row], strike[row], time[row], alpha[row], beta[row], rho[row], nu[row], shift[row], value)
        volatility[row] = if_good(good, value.volatility)
        to_forward[row] = if_good(good, value.to_forward)
        to_strike[row] = if_good(good, value.to_strike)
        to_alpha[row] = if_good(good, value.to_alpha)
        to_beta[row] = if_good(good, value.to_beta)
        to_rho[row] = if_good(good, value.to_rho)
        to_nu[row] = if_good(good, value.to_nu)
        to_time[row] = if_good(good, value.to_time)
        is_refused[row] = 1.0 - good


cdef void sabr_loop(
        Py_ssize_t row_count, const double** column, double** output, double* is_refused) noexcept nogil:
    rows_loop(0.0, row_count, column, output, is_refused)


cdef void sabr_normal_loop(
        Py_ssize_t row_count, const double** column, double** output, double* is_refused) noexcept nogil:
    rows_loop(1.0, row_count, column, output, is_refused)


def sabr(tuple columns, tuple outputs, status):
    """
    Lognormal (Black) volatility that SABR gives a strike, and its derivatives. With a shift the price
    is that of black.european with shift added to forward and strike.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            forward, strike: rates or prices, above -shift. time: years, >= 0. alpha: volatility of f^beta, > 0.
            beta: 0 to 1. rho: above -1, below 1. nu: volatility of volatility per sqrt(year), >= 0. shift: unit of
            forward, any sign.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted: the volatility,
            per sqrt(year), of forward + shift, and its derivative per 1.00 of each column but shift.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain, or where the
            expansion (long expiries, large nu) gives a negative volatility or overflows; all its outputs are then NaN.

    Error: 1e-14 of the formula, which itself is an expansion in time. Limits: K = F, nu = 0, beta = 0 and beta = 1
    are values like others.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: P. Hagan, D. Kumar, A. Lesniewski, D. Woodward, Managing smile risk, Wilmott (2002), formula (2.17a).
    """
    run_columns(sabr_loop, COLUMNS, OUTPUTS, columns, outputs, status)


def sabr_normal(tuple columns, tuple outputs, status):
    """
    Normal (Bachelier) volatility that SABR gives a strike, and its derivatives.

    Args:
        columns, status: as for sabr.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted: the volatility,
            unit of forward per sqrt(year), and its derivative per 1.00 of each column but shift.

    Error, limits: as of sabr.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: P. Hagan, D. Kumar, A. Lesniewski, D. Woodward, Managing smile risk, Wilmott (2002), formula (B.67a).
    """
    run_columns(sabr_normal_loop, COLUMNS, OUTPUTS, columns, outputs, status)
