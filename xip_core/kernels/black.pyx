# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""European options on a forward: Black (1976)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good
from xip_core.kernels.european_points cimport BlackValue, black_point

COLUMNS = ("forward", "strike", "time", "volatility", "discount", "is_call")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga")


cdef void european_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* forward = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* volatility = column[3]
    cdef const double* discount = column[4]
    cdef const double* is_call = column[5]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef double* theta = output[4]
    cdef double* rho = output[5]
    cdef double* vanna = output[6]
    cdef double* volga = output[7]
    cdef BlackValue value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = black_point(
            forward[row], strike[row], time[row], volatility[row], discount[row], is_call[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        theta[row] = if_good(value.is_good, value.theta)
        rho[row] = if_good(value.is_good, value.rho)
        vanna[row] = if_good(value.is_good, value.vanna)
        volga[row] = if_good(value.is_good, value.volga)
        is_refused[row] = 1.0 - value.is_good


def european(tuple columns, tuple outputs, status):
    """
    Black-76: pv = discount (F N(d1) - K N(d2)) and its derivatives.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            forward, strike: price units, > 0. time: years, >= 0. volatility: per sqrt(year), >= 0.
            discount: to payment, > 0. is_call: 1 or 0.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
            Price unit of the forward; gamma per unit of the forward, vega per 1.00 of volatility; theta per year and
            rho per 1.00 hold the forward and read the discount as exp(-rate time).
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a
            result overflows; all its outputs are then NaN.

    Limits: without time or volatility, the discounted intrinsic value; the kink itself has delta half way, and its
    gamma, vanna, volga and decay count as 0. Without time the rate in the discount is taken as 0.

    Error: pv within 4e-16 of discount * max(forward, strike); out of the money 1e-12 relative.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: F. Black, The pricing of commodity contracts, J. Financial Economics 3 (1976).
    """
    run_columns(european_loop, COLUMNS, OUTPUTS, columns, outputs, status)
