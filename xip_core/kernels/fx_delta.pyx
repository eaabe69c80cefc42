# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Delta of an FX option under the market's four conventions; delta.h lists them."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.delta cimport is_convention
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, normal_cdf, normal_pdf, sqrt

COLUMNS = ("spot", "strike", "time", "domestic_rate", "foreign_rate", "volatility", "is_call", "delta_type")
OUTPUTS = ("delta", "to_strike", "to_volatility")

cdef struct Value:
    double delta
    double to_strike
    double to_volatility
    double is_good


cdef inline Value delta_point(
        double spot, double strike, double time, double domestic_rate, double foreign_rate, double volatility,
        double is_call, double delta_type) noexcept nogil:
    cdef Value value
    cdef double is_adjusted = 1.0 if delta_type > 1.5 else 0.0
    cdef double is_forward = delta_type - 2.0 * is_adjusted
    cdef double phi = 2.0 * is_call - 1.0
    cdef double root_time = sqrt(time)
    cdef double total_vol = volatility * root_time
    cdef double carried = (domestic_rate - foreign_rate) * time
    cdef double scale = 1.0 if is_forward > 0.0 else exp_(-foreign_rate * time)
    # Below 1e-150 volatility is none: d stays finite, the limit is a step with one half at the forward.
    cdef double has_vol = 1.0 if total_vol > 1e-150 else 0.0
    cdef double guarded_vol = total_vol if total_vol > 1e-150 else 1e-150
    cdef double d1 = (log_ratio(spot, strike) + carried) / guarded_vol + 0.5 * guarded_vol
    cdef double d = d1 - (total_vol if is_adjusted > 0.0 else 0.0)
    cdef double moneyness = strike / (spot * exp_(carried)) if is_adjusted > 0.0 else 1.0
    cdef double chance = normal_cdf(phi * d)
    cdef double dense = normal_pdf(d) * has_vol
    value.delta = phi * scale * moneyness * chance
    value.to_strike = scale * moneyness * (phi * is_adjusted * chance - dense / guarded_vol) / strike
    # d'(volatility) is -d2 / volatility for d1 and -d1 / volatility for d2; without volatility the step is flat.
    value.to_volatility = -scale * moneyness * dense * root_time * (
        (d1 if is_adjusted > 0.0 else d1 - guarded_vol) / guarded_vol)
    value.is_good = (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(domestic_rate)
        * is_finite(foreign_rate) * is_nonnegative(volatility) * is_flag(is_call) * is_convention(delta_type, 3.0)
        * is_finite(value.delta + value.to_strike + value.to_volatility))
    return value


cdef void delta_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* domestic_rate = column[3]
    cdef const double* foreign_rate = column[4]
    cdef const double* volatility = column[5]
    cdef const double* is_call = column[6]
    cdef const double* delta_type = column[7]
    cdef double* delta = output[0]
    cdef double* to_strike = output[1]
    cdef double* to_volatility = output[2]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = delta_point(
            spot[row], strike[row], time[row], domestic_rate[row], foreign_rate[row], volatility[row], is_call[row],
            delta_type[row])
        delta[row] = if_good(value.is_good, value.delta)
        to_strike[row] = if_good(value.is_good, value.to_strike)
        to_volatility[row] = if_good(value.is_good, value.to_volatility)
        is_refused[row] = 1.0 - value.is_good


def delta(tuple columns, tuple outputs, status):
    """
    Delta per unit of foreign notional, as quoted: of the spot or of the forward, with or without the premium in it.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot to is_call: as fx.european. delta_type: 0 spot, 1 forward, 2 spot premium-adjusted, 3 forward
            premium-adjusted.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta: units of
            foreign currency, negative for puts; its derivatives per unit of strike and per 1.00 of volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without time or volatility a step in the strike, one half of it at the forward.

    Error: 2 ulp of delta and what d1 loses to the rounding of the carry (rates times time).

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: D. Reiswich and U. Wystup, FX volatility smile construction, Wilmott (2012).
    """
    run_columns(delta_loop, COLUMNS, OUTPUTS, columns, outputs, status)
