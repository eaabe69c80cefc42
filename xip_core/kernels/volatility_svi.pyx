# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Raw SVI: total implied variance of one expiry as a function of log-moneyness k = ln(K / F).

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))

The risk-neutral density of ln(S / F) is n(d2) g(k) / sqrt(w) with Durrleman's function

    g = (1 - k w' / (2 w))^2 - w'^2 / 4 (1 / w + 1 / 4) + w'' / 2

so a smile is free of butterfly arbitrage where g >= 0 for all k; and two expiries of calendar arbitrage where w does
not fall with time at any k.
"""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport sqrt

COLUMNS = ("log_moneyness", "time", "a", "b", "rho", "m", "sigma")
OUTPUTS = (
    "volatility", "total_variance", "slope", "curvature", "durrleman", "to_b", "to_rho", "to_m", "to_sigma")

cdef struct Value:
    double volatility
    double total_variance
    double slope
    double curvature
    double durrleman
    double to_b
    double to_rho
    double to_m
    double to_sigma
    double is_good


cdef inline Value svi_point(
        double log_moneyness, double time, double a, double b, double rho, double m, double sigma) noexcept nogil:
    cdef Value value
    cdef double away = log_moneyness - m
    cdef double root = sqrt(away * away + sigma * sigma)
    cdef double lean = rho + away / root
    value.to_b = rho * away + root
    value.total_variance = a + b * value.to_b
    value.volatility = sqrt(value.total_variance / time)
    value.slope = b * lean
    value.curvature = b * (sigma * sigma) / (root * root * root)
    cdef double tilt = 1.0 - 0.5 * log_moneyness * value.slope / value.total_variance
    value.durrleman = (
        tilt * tilt - 0.25 * value.slope * value.slope * (1.0 / value.total_variance + 0.25) + 0.5 * value.curvature)
    value.to_rho = b * away
    value.to_m = -value.slope
    value.to_sigma = b * (sigma / root)
    value.is_good = (
        is_finite(log_moneyness) * is_positive(time) * is_finite(a) * is_nonnegative(b) * in_range(rho, -1.0, 1.0)
        * is_finite(m) * is_positive(sigma) * is_positive(value.total_variance) * is_finite(value.volatility)
        * is_nonnegative(a + b * sigma * sqrt((1.0 - rho) * (1.0 + rho)))
        * is_finite(value.slope + value.curvature) * is_finite(value.durrleman)
        * is_finite(value.to_b + value.to_rho) * is_finite(value.to_sigma))
    return value


cdef void svi_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* log_moneyness = column[0]
    cdef const double* time = column[1]
    cdef const double* a = column[2]
    cdef const double* b = column[3]
    cdef const double* rho = column[4]
    cdef const double* m = column[5]
    cdef const double* sigma = column[6]
    cdef double* volatility = output[0]
    cdef double* total_variance = output[1]
    cdef double* slope = output[2]
    cdef double* curvature = output[3]
    cdef double* durrleman = output[4]
    cdef double* to_b = output[5]
    cdef double* to_rho = output[6]
    cdef double* to_m = output[7]
    cdef double* to_sigma = output[8]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = svi_point(log_moneyness[row], time[row], a[row], b[row], rho[row], m[row], sigma[row])
        volatility[row] = if_good(value.is_good, value.volatility)
        total_variance[row] = if_good(value.is_good, value.total_variance)
        slope[row] = if_good(value.is_good, value.slope)
        curvature[row] = if_good(value.is_good, value.curvature)
        durrleman[row] = if_good(value.is_good, value.durrleman)
        to_b[row] = if_good(value.is_good, value.to_b)
        to_rho[row] = if_good(value.is_good, value.to_rho)
        to_m[row] = if_good(value.is_good, value.to_m)
        to_sigma[row] = if_good(value.is_good, value.to_sigma)
        is_refused[row] = 1.0 - value.is_good


def svi(tuple columns, tuple outputs, status):
    """
    Volatility, total variance with its derivatives, and Durrleman's function of a raw SVI slice.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            log_moneyness: ln(strike / forward), any sign. time: years, > 0. a: variance, any sign as long as the
            least variance a + b sigma sqrt(1 - rho^2) >= 0. b: variance per unit of log-moneyness, >= 0. rho: -1 to
            1. m: log-moneyness, any sign. sigma: log-moneyness, > 0.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. slope, curvature: of
            total variance to log-moneyness; to_b .. to_sigma: derivatives of total variance; that to a is 1.
            durrleman: below 0 where the slice has butterfly arbitrage; the row is good all the same.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain, its total
            variance is 0 or a result overflows; all its outputs are then NaN.

    Error: some ulp of b (|k - m| + sigma) + |a|.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: J. Gatheral, A parsimonious arbitrage-free implied volatility parameterization, Global Derivatives (2004);
    J. Gatheral and A. Jacquier, Arbitrage-free SVI volatility surfaces, Quantitative Finance 14 (2014), for g.
    """
    run_columns(svi_loop, COLUMNS, OUTPUTS, columns, outputs, status)
