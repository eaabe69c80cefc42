# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""European options knocked in or out by a continuously watched barrier: Reiner and Rubinstein (1991)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.reflection cimport (
    Path, Slopes, hit_point, is_barrier_type, path_point, squared_root, struck_point, sum_point)

COLUMNS = (
    "spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "barrier", "rebate", "barrier_type")
OUTPUTS = ("pv", "delta", "gamma", "vega")

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double is_good


cdef inline Value barrier_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility,
        double is_call, double barrier, double rebate, double barrier_type) noexcept nogil:
    cdef Value value
    cdef double is_up = 1.0 if barrier_type > 1.5 else 0.0
    cdef double is_out = barrier_type - 2.0 * is_up
    cdef double sign = 2.0 * is_call - 1.0
    cdef double per_spot = 1.0 / spot
    cdef Path at = path_point(spot, time, rate, dividend_yield, volatility, barrier, 1.0 - 2.0 * is_up)
    cdef double hit_rebate = is_out * (1.0 - at.is_hit) * rebate
    cdef double has_no_rate = 0.0 if squared_root(at) >= 0.0 else 1.0
    cdef Slopes total = sum_point(
        struck_point(spot, strike, barrier, is_call, is_out, sign, -sign * strike, rebate, at),
        hit_point(hit_rebate, at))
    total.value += is_out * at.is_hit * rebate
    value.pv = total.value if total.value >= 0.0 else 0.0 * total.value
    value.delta = total.to_log * per_spot
    value.gamma = total.curve * per_spot * per_spot
    value.vega = total.to_vol * at.root_time
    value.is_good = (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(rate) * is_finite(dividend_yield)
        * is_nonnegative(volatility) * is_flag(is_call) * is_positive(barrier) * is_nonnegative(rebate)
        * is_barrier_type(barrier_type) * is_finite(value.pv + value.delta + value.gamma + value.vega)
        * (1.0 if hit_rebate * has_no_rate <= 0.0 else 0.0))
    return value


cdef void barrier_loop(
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
    cdef const double* barrier = column[7]
    cdef const double* rebate = column[8]
    cdef const double* barrier_type = column[9]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = barrier_point(
            spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
            barrier[row], rebate[row], barrier_type[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        is_refused[row] = 1.0 - value.is_good


def barrier(tuple columns, tuple outputs, status):
    """
    A European option that starts (in) or ends (out) when the spot first touches the barrier.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, strike, time, rate, dividend_yield, volatility, is_call: as equity.european. barrier: price unit,
            > 0. barrier_type: 0 down-in, 1 down-out, 2 up-in, 3 up-out. rebate: price unit, >= 0; paid when an out
            option is knocked out, or at expiry if an in option never started.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per
            unit of spot; vega per 1.00 of volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    A spot at the barrier or beyond it has hit: an out option is its rebate, an in option is the European one.
    Limits: without time or volatility the path is the forward, and the rebate of an out option is paid where it meets
    the barrier. A positive rebate of an out option that still lives needs (r - q - sigma^2 / 2)^2 + 2 r sigma^2 >= 0,
    else the row is refused: only rates well below zero violate it.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: E. Reiner and M. Rubinstein, Breaking down the barriers, Risk 4 (1991).
    """
    run_columns(barrier_loop, COLUMNS, OUTPUTS, columns, outputs, status)
