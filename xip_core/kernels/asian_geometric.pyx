# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Options on the geometric average of the spot: Kemna and Vorst (1990)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, sqrt
from xip_core.kernels.lognormal cimport Lognormal, a_leg_point, lognormal_point, price_point

COLUMNS = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "first_fixing", "fixing_count")
OUTPUTS = ("pv", "delta", "gamma", "vega")

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double is_good


cdef inline Value asian_geometric_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility, double
        is_call, double first_fixing, double fixing_count) noexcept nogil:
    cdef Value value
    cdef double is_discrete = 1.0 if fixing_count > 0.0 else 0.0
    cdef double count = fixing_count if fixing_count > 1.0 else 1.0
    # One fixing is at expiry.
    cdef double start = time if fixing_count == 1.0 else first_fixing
    cdef double length = time - start
    cdef double mean_time = start + 0.5 * length
    # Sum of min(t_i, t_j) / n^2: the variance of the average of the logarithms is sigma^2 times this.
    cdef double third = (2.0 * count - 1.0) / (6.0 * count) if is_discrete > 0.0 else 1.0 / 3.0
    cdef double variance_time = start + length * third
    cdef double root_time = sqrt(variance_time)
    cdef double excess = variance_time - mean_time
    cdef double growth = (rate - dividend_yield) * mean_time + 0.5 * volatility * volatility * excess
    cdef double discount = exp_(-rate * time)
    cdef double factor = exp_(growth - rate * time)             # discounted forward of the average per unit of spot
    cdef double a = spot * factor
    cdef double b = strike * discount
    cdef Lognormal at = lognormal_point(log_ratio(spot, strike) + growth, volatility * root_time, is_call)
    cdef double h = at.has_vol / (spot * at.guarded_vol)
    cdef double leg = a_leg_point(at)
    # Adding 1.5 * 2^52 and taking it away rounds to a whole number.
    cdef double whole_count = (fixing_count + 6755399441055744.0) - 6755399441055744.0

    value.pv = price_point(at, a, b)
    value.delta = factor * leg
    value.gamma = factor * at.density * h
    value.vega = a * (leg * (volatility * excess) + at.density * root_time)
    value.is_good = (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(rate) * is_finite(dividend_yield)
        * is_nonnegative(volatility) * is_flag(is_call) * in_range(first_fixing, 0.0, time)
        * in_range(fixing_count, 0.0, 1e6) * (1.0 if whole_count == fixing_count else 0.0)
        * is_finite(value.pv + value.delta + value.gamma + value.vega))
    return value


cdef void asian_geometric_loop(
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
    cdef const double* first_fixing = column[7]
    cdef const double* fixing_count = column[8]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = asian_geometric_point(
            spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
            first_fixing[row], fixing_count[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        is_refused[row] = 1.0 - value.is_good


def asian_geometric(tuple columns, tuple outputs, status):
    """
    A European option on the geometric average of fixings equally spaced between first_fixing and expiry.

    The average is lognormal, so the price is Black's formula with variance sigma^2 sum_ij min(t_i, t_j) / n^2 and
    forward S exp((r - q - sigma^2 / 2) mean(t_i) + variance / 2).

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot to is_call: as equity.european. first_fixing: years, 0 to time; averaging has not begun.
            fixing_count: whole number of fixings, the last at expiry (a single one is there); 0 averages continuously.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per
            unit of spot; vega per 1.00 of volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without time or volatility, the discounted intrinsic value of the average of forwards.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: A. Kemna and A. Vorst, A pricing method for options based on average asset values, J. Banking and Finance
    14 (1990); discrete fixings after E. Levy (1997).
    """
    run_columns(asian_geometric_loop, COLUMNS, OUTPUTS, columns, outputs, status)
