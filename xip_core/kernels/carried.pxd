# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Black-Scholes on an asset that yields while it is held: a share with a dividend yield, a currency with its interest.

Source: R. Merton, Theory of rational option pricing, Bell J. Economics 4 (1973); M. Garman and S. Kohlhagen, Foreign
currency option values, J. International Money and Finance 2 (1983).
"""

from xip_core.kernels.domain cimport is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, sqrt
from xip_core.kernels.lognormal cimport Lognormal, a_leg_point, b_leg_point, lognormal_point, price_point

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double theta
    double rho              # to the rate the strike is discounted with
    double yield_rho        # to the yield of the asset
    double vanna
    double volga
    double is_good


cdef inline Value carried_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility,
        double is_call) noexcept nogil:
    cdef Value value
    cdef double root_time = sqrt(time)
    cdef double total_vol = volatility * root_time
    cdef double carry_factor = exp_(-dividend_yield * time)
    cdef double spot_leg = spot * carry_factor
    cdef double strike_leg = strike * exp_(-rate * time)
    cdef Lognormal at = lognormal_point(
        log_ratio(spot, strike) + (rate - dividend_yield) * time, total_vol, is_call)
    # One division serves gamma, theta and the cross derivatives: 1 / s = spot * h, 1 / sigma = sqrt(T) / s.
    cdef double h = at.has_vol / (spot * at.guarded_vol)
    cdef double weighted_density = carry_factor * at.density
    cdef double density_by_vol = weighted_density * (spot * h)
    cdef double delta_leg = a_leg_point(at)
    cdef double strike_part = b_leg_point(at, spot_leg, strike_leg)

    value.pv = price_point(at, spot_leg, strike_leg)
    value.delta = carry_factor * delta_leg
    value.gamma = weighted_density * h
    value.vega = spot * weighted_density * root_time
    value.theta = (
        dividend_yield * (spot_leg * delta_leg) - rate * strike_part
        - 0.5 * volatility * volatility * spot * density_by_vol)
    value.rho = time * strike_part
    value.yield_rho = -time * (spot_leg * delta_leg)
    value.vanna = -density_by_vol * at.d2 * root_time
    value.volga = spot * density_by_vol * at.d1 * at.d2 * time
    value.is_good = (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(rate)
        * is_finite(dividend_yield) * is_nonnegative(volatility) * is_flag(is_call)
        * is_finite(value.pv + value.delta + value.gamma + value.vega)
        * is_finite(value.theta + value.rho + value.yield_rho + value.vanna + value.volga))
    return value
