# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The right to exchange the second asset for the first: Margrabe (1978)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, sqrt
from xip_core.kernels.lognormal cimport Lognormal, a_leg_point, b_leg_point, lognormal_point, price_point

COLUMNS = (
    "first_spot", "second_spot", "time", "first_yield", "second_yield", "first_volatility", "second_volatility",
    "correlation")
OUTPUTS = (
    "pv", "first_delta", "second_delta", "first_gamma", "second_gamma", "cross_gamma", "first_vega", "second_vega",
    "to_correlation", "theta")

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
    double theta
    double is_good


cdef inline Value margrabe_point(
        double first_spot, double second_spot, double time, double first_yield, double second_yield, double
        first_volatility, double second_volatility, double correlation) noexcept nogil:
    cdef Value value
    cdef double root_time = sqrt(time)
    # The variance as a sum of what is never negative: equal volatilities fully correlated leave exactly none.
    cdef double apart = first_volatility - second_volatility
    cdef double volatility = sqrt(
        apart * apart + 2.0 * first_volatility * second_volatility * (1.0 - correlation))
    cdef double first_factor = exp_(-first_yield * time)
    cdef double second_factor = exp_(-second_yield * time)
    cdef double a = first_spot * first_factor
    cdef double b = second_spot * second_factor
    cdef Lognormal at = lognormal_point(
        log_ratio(first_spot, second_spot) + (second_yield - first_yield) * time, volatility * root_time, 1.0)
    cdef double h = at.has_vol / at.guarded_vol
    cdef double e = a * at.density
    cdef double first_leg = a_leg_point(at)
    cdef double second_leg = b_leg_point(at, a, b)
    cdef double by_volatility = e * (root_time * root_time) * h        # V_s sqrt(T) / sigma

    value.pv = price_point(at, a, b)
    value.first_delta = first_factor * first_leg
    value.second_delta = -second_leg / second_spot
    value.first_gamma = e * h / (first_spot * first_spot)
    value.second_gamma = e * h / (second_spot * second_spot)
    value.cross_gamma = -e * h / (first_spot * second_spot)
    value.first_vega = by_volatility * (apart + second_volatility * (1.0 - correlation))
    value.second_vega = by_volatility * (first_volatility * (1.0 - correlation) - apart)
    value.to_correlation = -by_volatility * (first_volatility * second_volatility)
    value.theta = first_yield * a * first_leg - second_yield * second_leg - 0.5 * e * (volatility * volatility) * h
    value.is_good = (
        is_positive(first_spot) * is_positive(second_spot) * is_nonnegative(time) * is_finite(first_yield)
        * is_finite(second_yield) * is_nonnegative(first_volatility) * is_nonnegative(second_volatility)
        * in_range(correlation, -1.0, 1.0) * is_finite(value.pv + value.first_delta + value.second_delta)
        * is_finite(value.first_gamma + value.second_gamma) * is_finite(value.first_vega + value.second_vega)
        * is_finite(value.cross_gamma + value.to_correlation + value.theta))
    return value


cdef void margrabe_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* first_spot = column[0]
    cdef const double* second_spot = column[1]
    cdef const double* time = column[2]
    cdef const double* first_yield = column[3]
    cdef const double* second_yield = column[4]
    cdef const double* first_volatility = column[5]
    cdef const double* second_volatility = column[6]
    cdef const double* correlation = column[7]
    cdef double* pv = output[0]
    cdef double* first_delta = output[1]
    cdef double* second_delta = output[2]
    cdef double* first_gamma = output[3]
    cdef double* second_gamma = output[4]
    cdef double* cross_gamma = output[5]
    cdef double* first_vega = output[6]
    cdef double* second_vega = output[7]
    cdef double* to_correlation = output[8]
    cdef double* theta = output[9]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = margrabe_point(
            first_spot[row], second_spot[row], time[row], first_yield[row], second_yield[row],
            first_volatility[row], second_volatility[row], correlation[row])
        pv[row] = if_good(value.is_good, value.pv)
        first_delta[row] = if_good(value.is_good, value.first_delta)
        second_delta[row] = if_good(value.is_good, value.second_delta)
        first_gamma[row] = if_good(value.is_good, value.first_gamma)
        second_gamma[row] = if_good(value.is_good, value.second_gamma)
        cross_gamma[row] = if_good(value.is_good, value.cross_gamma)
        first_vega[row] = if_good(value.is_good, value.first_vega)
        second_vega[row] = if_good(value.is_good, value.second_vega)
        to_correlation[row] = if_good(value.is_good, value.to_correlation)
        theta[row] = if_good(value.is_good, value.theta)
        is_refused[row] = 1.0 - value.is_good


def margrabe(tuple columns, tuple outputs, status):
    """
    pv = S1 exp(-q1 T) N(d1) - S2 exp(-q2 T) N(d2) with sigma^2 = v1^2 + v2^2 - 2 rho v1 v2; no interest rate enters.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            first_spot, second_spot: price units, > 0. time: years, >= 0. first_yield, second_yield: continuous per
            year, any sign. first_volatility, second_volatility: per sqrt(year), >= 0. correlation: -1 to 1.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. Deltas and gammas
            per unit of each spot, vegas per 1.00 of each volatility, to_correlation per 1.00; theta per year.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without time or common volatility, the exchange is decided by the forwards.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: W. Margrabe, The value of an option to exchange one asset for another, J. Finance 33 (1978).
    """
    run_columns(margrabe_loop, COLUMNS, OUTPUTS, columns, outputs, status)
