# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Lookbacks, watched all the time: Goldman, Sosin and Gatto (1979), Conze and Viswanathan (1991)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, sqrt
from xip_core.kernels.lookback cimport Extreme, extreme_point

COLUMNS = (
    "spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "is_floating", "running_extreme")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta", "rho", "dividend_rho")

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double theta
    double rho
    double dividend_rho
    double is_good


cdef inline double further(double direction, double a, double b) noexcept nogil:
    """The larger of two (direction +1), or the smaller (-1)."""
    return a if direction * (a - b) >= 0.0 else b


cdef inline Value lookback_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility, double
        is_call, double is_floating, double running_extreme) noexcept nogil:
    cdef Value value
    cdef double floats = 1.0 if is_floating > 0.0 else 0.0
    cdef double uses_max = 1.0 - is_call if is_floating > 0.0 else is_call
    cdef double direction = 1.0 if uses_max > 0.0 else -1.0
    cdef double root_time = sqrt(time)
    cdef double carry = rate - dividend_yield
    # The spot of now counts: a spot moved beyond the stored extreme, as scenarios do, is the new extreme.
    cdef double extreme = further(direction, running_extreme, spot)
    cdef double struck = strike if strike > 2.2250738585072014e-308 else 2.2250738585072014e-308
    cdef double level = extreme if is_floating > 0.0 else further(direction, extreme, struck)
    cdef double discount = exp_(-rate * time)
    cdef double carried = floats * direction * (spot * exp_(-dividend_yield * time))
    cdef double gain = direction * (extreme - strike)
    cdef double owed = discount * (direction * extreme if is_floating > 0.0 else (gain if gain > 0.0 else 0.0))
    cdef Extreme at = extreme_point(spot, level, direction, rate * time, carry * time, volatility * root_time)
    # Where extreme and level follow the spot, the value is linear in it.
    cdef double follows = 1.0 if (level == spot and running_extreme != spot) else 0.0
    cdef double decay = 0.5 * volatility * (at.to_vol / (root_time if root_time > 0.0 else 1.0))
    cdef double pv = (owed - carried) + at.value

    value.pv = pv if pv >= 0.0 else 0.0 * pv
    value.delta = (at.to_log - carried) / spot
    value.gamma = 0.0 if follows > 0.0 else at.curve / (spot * spot)
    value.vega = at.to_vol * root_time
    value.theta = rate * (owed + at.value) - dividend_yield * carried - carry * at.to_carry - (
        decay if root_time > 0.0 else 0.0)
    value.rho = time * (at.to_carry - at.value - owed)
    value.dividend_rho = time * (carried - at.to_carry)
    value.is_good = (
        is_positive(spot) * is_nonnegative(strike) * is_nonnegative(time) * is_finite(rate)
        * is_finite(dividend_yield) * is_nonnegative(volatility) * is_flag(is_call) * is_flag(is_floating)
        * is_positive(running_extreme) * is_finite(value.pv + value.delta + value.gamma + value.vega)
        * is_finite(value.theta + value.rho + value.dividend_rho))
    return value


cdef void lookback_loop(
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
    cdef const double* is_floating = column[7]
    cdef const double* running_extreme = column[8]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef double* theta = output[4]
    cdef double* rho = output[5]
    cdef double* dividend_rho = output[6]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = lookback_point(
            spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
            is_floating[row], running_extreme[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        theta[row] = if_good(value.is_good, value.theta)
        rho[row] = if_good(value.is_good, value.rho)
        dividend_rho[row] = if_good(value.is_good, value.dividend_rho)
        is_refused[row] = 1.0 - value.is_good


def lookback(tuple columns, tuple outputs, status):
    """
    Floating strike: a call pays S_T - min S, a put max S - S_T. Fixed strike: a call pays max(max S - K, 0), a put
    max(K - min S, 0). The extreme is over the life of the option, its past given by running_extreme.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, time, rate, dividend_yield, volatility, is_call: as equity.european. strike: price unit, >= 0, read
            of a fixed strike alone. is_floating: 1 or 0. running_extreme: price unit, > 0, the minimum so far of a
            floating call and a fixed put, the maximum of the others; where the spot is beyond it, the spot counts.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per unit
            of spot, the running extreme held; vega per 1.00 of volatility; theta per year; rho, dividend_rho per 1.00.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without time, what is paid now; without volatility, what the extreme of the forwards pays; without cost of
    carry no digit is lost. A spot beyond the running extreme makes the value linear in the spot: gamma is 0.

    Error: pv within 2e-15 of the larger leg, and out of the money 1e-10 relative for fixed strikes.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: B. Goldman, H. Sosin and M. Gatto, J. Finance 34 (1979); A. Conze and Viswanathan, J. Finance 46 (1991).
    """
    run_columns(lookback_loop, COLUMNS, OUTPUTS, columns, outputs, status)
