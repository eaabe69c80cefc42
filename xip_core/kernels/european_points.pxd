# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
One European option on a forward under Black (1976) and Bachelier (1900): what black, bachelier and option_rows share.

The formulas, their errors and limits are stated in black.pyx (with lognormal.pxd) and bachelier.pyx.
"""

from xip_core.kernels.domain cimport is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport fabs, log_, log_ratio, mills_ratio, normal_pdf, sqrt
from xip_core.kernels.lognormal cimport Lognormal, a_leg_point, lognormal_point, price_point

cdef struct BlackValue:
    double pv
    double delta
    double gamma
    double vega
    double theta
    double rho
    double vanna
    double volga
    double is_good

cdef struct BachelierValue:
    double pv
    double delta
    double gamma
    double vega
    double theta
    double is_good


cdef inline BlackValue black_point(
        double forward, double strike, double time, double volatility, double discount,
        double is_call) noexcept nogil:
    cdef BlackValue value
    cdef double root_time = sqrt(time)
    cdef Lognormal at = lognormal_point(log_ratio(forward, strike), volatility * root_time, is_call)
    cdef double spot_leg = discount * forward
    cdef double has_vol = at.has_vol
    cdef double inverse_vol = has_vol / (volatility if has_vol > 0.0 else 1.0)
    cdef double inverse_total = has_vol / at.guarded_vol
    cdef double has_time = 1.0 if time > 0.0 else 0.0
    cdef double rate = -log_(discount) / (time if time > 0.0 else 1.0) * has_time

    value.pv = price_point(at, spot_leg, discount * strike)
    value.delta = discount * a_leg_point(at)
    value.gamma = discount * at.density / forward * inverse_total
    value.vega = spot_leg * at.density * root_time
    value.theta = rate * value.pv - 0.5 * volatility * volatility * (spot_leg * at.density * inverse_total)
    value.rho = -time * value.pv
    value.vanna = -discount * at.density * at.d2 * inverse_vol
    value.volga = value.vega * at.d1 * at.d2 * inverse_vol
    value.is_good = (
        is_positive(forward) * is_positive(strike) * is_nonnegative(time) * is_nonnegative(volatility)
        * is_positive(discount) * is_flag(is_call)
        * is_finite(value.pv + value.delta + value.gamma + value.vega)
        * is_finite(value.theta + value.rho + value.vanna + value.volga))
    return value


cdef inline BachelierValue bachelier_point(
        double forward, double strike, double time, double normal_volatility, double discount,
        double is_call) noexcept nogil:
    cdef BachelierValue value
    cdef double root_time = sqrt(time)
    cdef double total_vol = normal_volatility * root_time
    # Below 1e-150 volatility is none: d stays finite, the density is 0 off the money.
    cdef double has_vol = 1.0 if total_vol > 1e-150 else 0.0
    cdef double guarded_vol = total_vol if total_vol > 1e-150 else 1e-150
    cdef double moneyness = forward - strike
    cdef double distance = moneyness / guarded_vol
    cdef double density = normal_pdf(distance)
    cdef double mills = mills_ratio(fabs(distance))
    cdef double gain = moneyness if is_call > 0.0 else -moneyness
    cdef double time_value = total_vol * density * (1.0 - fabs(distance) * mills)
    cdef double intrinsic = gain if gain > 0.0 else 0.0
    cdef double out_step = 0.0 if is_call > 0.0 else -1.0
    cdef double step = out_step + 1.0 if moneyness >= 0.0 else out_step
    cdef double tail = -density * mills if moneyness >= 0.0 else density * mills
    cdef double inverse_vol = has_vol / guarded_vol
    cdef double has_time = 1.0 if time > 0.0 else 0.0
    cdef double rate = -log_(discount) / (time if time > 0.0 else 1.0) * has_time

    value.pv = discount * (intrinsic + (time_value if time_value >= 0.0 else 0.0 * time_value))
    value.delta = discount * (step + tail)
    value.gamma = discount * density * inverse_vol
    value.vega = discount * density * root_time
    value.theta = rate * value.pv - 0.5 * normal_volatility * normal_volatility * value.gamma
    value.is_good = (
        is_finite(forward) * is_finite(strike) * is_nonnegative(time) * is_nonnegative(normal_volatility)
        * is_positive(discount) * is_flag(is_call)
        * is_finite(value.pv + value.delta + value.gamma + value.vega + value.theta))
    return value
