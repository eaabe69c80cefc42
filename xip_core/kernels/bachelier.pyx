# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
European options on a forward with a normal distribution: Bachelier (1900).

With d = (F - K) / s, s = sigma sqrt(T) and the Mills ratio M, the value is written as intrinsic plus time value

    pv = discount * (max(w (F - K), 0) + s n(d) (1 - |d| M(|d|))),  w = 1 for a call, -1 for a put

which is exact deep in the money and keeps its relative accuracy deep out of it.
"""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good
from xip_core.kernels.european_points cimport BachelierValue, bachelier_point

COLUMNS = ("forward", "strike", "time", "normal_volatility", "discount", "is_call")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta")


cdef void european_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* forward = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* normal_volatility = column[3]
    cdef const double* discount = column[4]
    cdef const double* is_call = column[5]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef double* theta = output[4]
    cdef BachelierValue value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = bachelier_point(
            forward[row], strike[row], time[row], normal_volatility[row], discount[row], is_call[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        theta[row] = if_good(value.is_good, value.theta)
        is_refused[row] = 1.0 - value.is_good


def european(tuple columns, tuple outputs, status):
    """
    Bachelier: pv = discount (w (F - K) N(w d) + s n(d)) and its derivatives.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            forward, strike: rate or price units, any sign. time: years, >= 0. normal_volatility: same unit per
            sqrt(year), >= 0. discount: to payment, > 0. is_call: 1 (payer) or 0 (receiver).
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
            delta, gamma per unit of the forward; vega per 1.00 of normal volatility; theta per year holds the forward
            and reads the discount as exp(-rate time).
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a
            result overflows; all its outputs are then NaN.

    Limits: without time or volatility, the discounted intrinsic value; the kink itself has delta half way, and its
    gamma and decay count as 0. Without time the rate in the discount is taken as 0.

    Error: pv within 4e-16 of discount * max(|F - K|, s); out of the money 1e-11 relative.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: L. Bachelier, Theorie de la speculation (1900).
    """
    run_columns(european_loop, COLUMNS, OUTPUTS, columns, outputs, status)
