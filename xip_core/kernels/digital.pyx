# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Cash-or-nothing and asset-or-nothing options: Rubinstein and Reiner (1991)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport log_ratio, normal_pdf
from xip_core.kernels.reflection cimport Path, Slopes, path_point, plain_pair

COLUMNS = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "cash", "is_asset")
OUTPUTS = ("pv", "delta", "gamma", "vega")

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double is_good


cdef inline Value digital_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility, double
        is_call, double cash, double is_asset) noexcept nogil:
    cdef Value value
    cdef double direction = 2.0 * is_call - 1.0
    cdef double per_spot = 1.0 / spot
    cdef Path at = path_point(spot, time, rate, dividend_yield, volatility, strike, direction)
    cdef double d2 = (direction * log_ratio(spot, strike) + at.drift) * at.per_s
    cdef Slopes total = plain_pair(
        is_asset, (1.0 - is_asset) * cash, strike, d2, at.discount * normal_pdf(d2), at)
    value.pv = total.value if total.value >= 0.0 else 0.0 * total.value
    value.delta = total.to_log * per_spot
    value.gamma = total.curve * per_spot * per_spot
    value.vega = total.to_vol * at.root_time
    value.is_good = (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(rate) * is_finite(dividend_yield)
        * is_nonnegative(volatility) * is_flag(is_call) * is_nonnegative(cash) * is_flag(is_asset)
        * is_finite(value.pv + value.delta + value.gamma + value.vega))
    return value


cdef void digital_loop(
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
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = digital_point(
            spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
            cash[row], is_asset[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        is_refused[row] = 1.0 - value.is_good


def digital(tuple columns, tuple outputs, status):
    """
    Pays, if it ends above the strike (call) or below it (put), an amount of cash or the asset.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot to is_call: as equity.european. is_asset: 1 pays the asset, 0 pays *cash*. cash: price unit, >= 0.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per
            unit of spot; vega per 1.00 of volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without time or volatility, the discounted payoff of the forward; the kink itself counts half.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: M. Rubinstein and E. Reiner, Unscrambling the binary code, Risk 4 (1991).
    """
    run_columns(digital_loop, COLUMNS, OUTPUTS, columns, outputs, status)
