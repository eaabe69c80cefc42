# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The one formula behind black, equity and fx.

With a and b the present values of what is received and paid (spot and strike legs), x = ln(forward / strike) and total
volatility s = sigma sqrt(T):

    d1 = x / s + s / 2,  d2 = d1 - s,  call = a N(d1) - b N(d2),  a n(d1) = b n(d2)

Let e = a n(d1) and M the Mills ratio N(-d) / n(d). Then a N(d1) is e M(|d1|) below d1 = 0 and a - e M(|d1|) above, and

    value = intrinsic step + e (±M(|d1|) ± M(|d2|))

so one exponential serves both normal distributions, deep in the money the intrinsic value is exact, and out of the
money the difference is taken between Mills ratios, which keeps its relative accuracy however deep the tail.

Source: F. Black, The pricing of commodity contracts, J. Financial Economics 3 (1976); the scaled form after
P. Jaeckel, Let's be rational, Wilmott (2015).
"""

from xip_core.kernels.elementary cimport NAN, fabs, mills_ratio, normal_pdf

cdef enum:
    IS_CALL = 1

cdef struct Lognormal:
    double d1
    double d2
    double density          # n(d1)
    double a_step           # 1, 0 or -1: the part of a that counts as intrinsic
    double b_step
    double a_tail           # +-M(|d1|), to be multiplied by e
    double b_tail
    double has_vol          # 1.0, or 0.0 where total volatility vanishes
    double guarded_vol      # s, but never 0


cdef inline Lognormal lognormal_point(double log_moneyness, double total_vol, double is_call) noexcept nogil:
    cdef Lognormal at
    # Below 1e-150 volatility is none: d stays finite, density 0 off the money, the limit exact.
    at.has_vol = 1.0 if total_vol > 1e-150 else 0.0
    at.guarded_vol = total_vol if total_vol > 1e-150 else 1e-150
    at.d1 = log_moneyness / at.guarded_vol + 0.5 * at.guarded_vol
    at.d2 = at.d1 - (at.guarded_vol if at.has_vol > 0.0 else 0.0)
    at.density = normal_pdf(at.d1)
    cdef double a_mills = mills_ratio(fabs(at.d1))
    cdef double b_mills = mills_ratio(fabs(at.d2))
    cdef double out_step = 0.0 if is_call > 0.0 else -1.0
    at.a_step = out_step + 1.0 if at.d1 >= 0.0 else out_step
    at.b_step = out_step + 1.0 if at.d2 >= 0.0 else out_step
    at.a_tail = -a_mills if at.d1 >= 0.0 else a_mills
    at.b_tail = -b_mills if at.d2 >= 0.0 else b_mills
    return at


cdef inline double price_point(Lognormal at, double a, double b) noexcept nogil:
    # Plain operations: in the money the two steps are exact, so call - put is a - b to one rounding.
    cdef double value = a * at.a_step - b * at.b_step + a * at.density * (at.a_tail - at.b_tail)
    return value if value >= 0.0 else 0.0 * value     # at most rounding below zero; NaN stays NaN


cdef inline double a_leg_point(Lognormal at) noexcept nogil:
    """N(d1) of a call, -N(-d1) of a put."""
    return at.a_step + at.density * at.a_tail


cdef inline double b_leg_point(Lognormal at, double a, double b) noexcept nogil:
    """b N(d2) of a call, -b N(-d2) of a put."""
    return b * at.b_step + a * at.density * at.b_tail
