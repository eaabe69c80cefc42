# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Digitals knocked in or out by a continuously watched barrier: Rubinstein and Reiner (1991)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.reflection cimport Path, Slopes, is_barrier_type, path_point, struck_point

COLUMNS = (
    "spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "cash", "is_asset", "barrier",
    "barrier_type")
OUTPUTS = ("pv", "delta", "gamma", "vega")

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double is_good


cdef inline Value digital_barrier_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility, double
        is_call, double cash, double is_asset, double barrier, double barrier_type) noexcept nogil:
    cdef Value value
    cdef double is_up = 1.0 if barrier_type > 1.5 else 0.0
    cdef double is_out = barrier_type - 2.0 * is_up
    cdef double per_spot = 1.0 / spot
    cdef Path at = path_point(spot, time, rate, dividend_yield, volatility, barrier, 1.0 - 2.0 * is_up)
    cdef Slopes total = struck_point(
        spot, strike, barrier, is_call, is_out, is_asset, (1.0 - is_asset) * cash, 0.0, at)
    value.pv = total.value if total.value >= 0.0 else 0.0 * total.value
    value.delta = total.to_log * per_spot
    value.gamma = total.curve * per_spot * per_spot
    value.vega = total.to_vol * at.root_time
    value.is_good = (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(rate) * is_finite(dividend_yield)
        * is_nonnegative(volatility) * is_flag(is_call) * is_nonnegative(cash) * is_flag(is_asset)
        * is_positive(barrier) * is_barrier_type(barrier_type)
        * is_finite(value.pv + value.delta + value.gamma + value.vega))
    return value


cdef void digital_barrier_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* rate = column[3]
    cdef const double* dividend_yield = column[4]
    cdef const double* volatility = column[5]
    cdef const double* is_call = column[6]
    cdef const double* cash = column[7]
    cdef const double* is_asset = column[8]
    cdef const double* barrier = column[9]
    cdef const double* barrier_type = column[10]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = digital_barrier_point(
            spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
            cash[row], is_asset[row], barrier[row], barrier_type[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        is_refused[row] = 1.0 - value.is_good


def digital_barrier(tuple columns, tuple outputs, status):
    """
    A digital that counts only if the barrier was touched (in) or never touched (out) before expiry.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot to is_asset: as digital. barrier: price unit, > 0. barrier_type: 0 down-in, 1 down-out, 2 up-in,
            3 up-out.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per
            unit of spot; vega per 1.00 of volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    A spot at the barrier or beyond it has hit: an in digital is the plain one, an out digital is worth nothing.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: M. Rubinstein and E. Reiner, Unscrambling the binary code, Risk 4 (1991).
    """
    run_columns(digital_barrier_loop, COLUMNS, OUTPUTS, columns, outputs, status)
