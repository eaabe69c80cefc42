# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Options on the difference of two assets by Kirk's approximation (1995)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, sqrt
from xip_core.kernels.lognormal cimport Lognormal, a_leg_point, b_leg_point, lognormal_point, price_point

COLUMNS = (
    "first_spot", "second_spot", "strike", "time", "rate", "first_yield", "second_yield", "first_volatility",
    "second_volatility", "correlation", "is_call")
OUTPUTS = (
    "pv", "first_delta", "second_delta", "first_gamma", "second_gamma", "cross_gamma", "first_vega", "second_vega",
    "to_correlation")

cdef struct Value:
    double pv
    double first_delta
    double second_delta
    double first_gamma
    double second_gamma
    double cross_gamma
    double first_vega
    double second_vega
    double to_correlation
    double is_good


cdef inline Value spread_point(
        double first_spot, double second_spot, double strike, double time, double rate, double first_yield,
        double second_yield, double first_volatility, double second_volatility, double correlation, double
        is_call) noexcept nogil:
    cdef Value value
    cdef double root_time = sqrt(time)
    cdef double first_factor = exp_(-first_yield * time)
    cdef double second_factor = exp_(-second_yield * time)
    cdef double a = first_spot * first_factor
    cdef double second_part = second_spot * second_factor
    cdef double b = second_part + strike * exp_(-rate * time)
    cdef double per_b = 1.0 / b
    cdef double w = second_part * per_b
    cdef double apart = first_volatility - w * second_volatility
    cdef double volatility = sqrt(
        apart * apart + 2.0 * first_volatility * (w * second_volatility) * (1.0 - correlation))
    cdef Lognormal at = lognormal_point(log_ratio(a, b), volatility * root_time, is_call)
    cdef double h = at.has_vol / at.guarded_vol
    cdef double e = a * at.density
    cdef double per_volatility = root_time * h
    # Total volatility s depends on the second asset through its weight w: first and second derivative of s to it.
    cdef double slope = per_volatility * second_volatility * (
        w * second_volatility - correlation * first_volatility)
    cdef double bend = per_volatility * (second_volatility * second_volatility - slope * slope)
    cdef double w_slope = (1.0 - w) * per_b
    cdef double s_slope = root_time * slope * w_slope
    cdef double s_bend = root_time * (bend * w_slope * w_slope - 2.0 * slope * w_slope * per_b)

    value.pv = price_point(at, a, b)
    value.first_delta = first_factor * a_leg_point(at)
    value.second_delta = second_factor * (e * s_slope - b_leg_point(at, a, b) * per_b)
    value.first_gamma = e * h / (first_spot * first_spot)
    value.second_gamma = second_factor * second_factor * e * (
        h * per_b * per_b + s_slope * h * at.d1 * (2.0 * per_b + at.d2 * s_slope) + s_bend)
    value.cross_gamma = -first_factor * second_factor * at.density * h * (per_b + at.d2 * s_slope)
    value.first_vega = e * root_time * per_volatility * (first_volatility - correlation * w * second_volatility)
    value.second_vega = e * root_time * per_volatility * w * (
        w * second_volatility - correlation * first_volatility)
    value.to_correlation = -e * root_time * per_volatility * (first_volatility * (w * second_volatility))
    value.is_good = (
        is_positive(first_spot) * is_positive(second_spot) * is_nonnegative(strike) * is_nonnegative(time)
        * is_finite(rate) * is_finite(first_yield) * is_finite(second_yield) * is_nonnegative(first_volatility)
        * is_nonnegative(second_volatility) * in_range(correlation, -1.0, 1.0) * is_flag(is_call)
        * is_finite(value.pv + value.first_delta + value.second_delta)
        * is_finite(value.first_gamma + value.second_gamma) * is_finite(value.first_vega + value.second_vega)
        * is_finite(value.cross_gamma + value.to_correlation))
    return value


cdef void spread_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* first_spot = column[0]
    cdef const double* second_spot = column[1]
    cdef const double* strike = column[2]
    cdef const double* time = column[3]
    cdef const double* rate = column[4]
    cdef const double* first_yield = column[5]
    cdef const double* second_yield = column[6]
    cdef const double* first_volatility = column[7]
    cdef const double* second_volatility = column[8]
    cdef const double* correlation = column[9]
    cdef const double* is_call = column[10]
    cdef double* pv = output[0]
    cdef double* first_delta = output[1]
    cdef double* second_delta = output[2]
    cdef double* first_gamma = output[3]
    cdef double* second_gamma = output[4]
    cdef double* cross_gamma = output[5]
    cdef double* first_vega = output[6]
    cdef double* second_vega = output[7]
    cdef double* to_correlation = output[8]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = spread_point(
            first_spot[row], second_spot[row], strike[row], time[row], rate[row], first_yield[row],
            second_yield[row], first_volatility[row], second_volatility[row], correlation[row], is_call[row])
        pv[row] = if_good(value.is_good, value.pv)
        first_delta[row] = if_good(value.is_good, value.first_delta)
        second_delta[row] = if_good(value.is_good, value.second_delta)
        first_gamma[row] = if_good(value.is_good, value.first_gamma)
        second_gamma[row] = if_good(value.is_good, value.second_gamma)
        cross_gamma[row] = if_good(value.is_good, value.cross_gamma)
        first_vega[row] = if_good(value.is_good, value.first_vega)
        second_vega[row] = if_good(value.is_good, value.second_vega)
        to_correlation[row] = if_good(value.is_good, value.to_correlation)
        is_refused[row] = 1.0 - value.is_good


def spread(tuple columns, tuple outputs, status):
    """
    A call pays max(S1 - S2 - strike, 0): the second asset and the strike are taken as one lognormal asset.

    pv = S1 exp(-q1 T) N(d1) - (S2 exp(-q2 T) + K exp(-rT)) N(d2), with sigma^2 = v1^2 - 2 rho v1 v2 w + (v2 w)^2 and
    w the share of the second asset in that sum. Exact where the strike is 0, else an approximation whose error grows
    with the strike: the Greeks are exact derivatives of the approximation.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            as margrabe, and strike: price unit, >= 0 (a negative one is the other way round with the assets
            exchanged). rate: continuous per year. is_call: 1 or 0.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. Deltas and gammas
            per unit of each spot, vegas per 1.00 of each volatility, to_correlation per 1.00.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without time or common volatility, the discounted intrinsic value.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: E. Kirk, Correlation in the energy markets, Managing energy price risk, Risk Publications (1995).
    """
    run_columns(spread_loop, COLUMNS, OUTPUTS, columns, outputs, status)
