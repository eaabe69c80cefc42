# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Credit default swap on flat curves, mid-point method, seen by the protection buyer.

Coupon dates lie one period apart backwards from maturity; the first period may be short. With discount factor
D(t) = exp(-rate t) and survival probability Q(t) = exp(-hazard_rate t), default falls on the middle m of its period:

    protection = (1 - recovery) sum D(m_i) (Q(t_{i-1}) - Q(t_i))
    premium    = coupon sum d_i (D(t_i) Q(t_i) + 1/2 D(m_i) (Q(t_{i-1}) - Q(t_i))),   d_i = t_i - t_{i-1}
    pv         = notional (protection - premium)

Source: D. O'Kane and S. Turnbull, Valuation of credit default swaps, Lehman Brothers (2003), with one step a period;
J. Hull and A. White, Valuing credit default swaps I, J. Derivatives 8 (2000).
"""

from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_nonnegative
from xip_core.kernels.elementary cimport exp_

COLUMNS = ("notional", "coupon", "time", "period", "rate", "hazard_rate", "recovery")
OUTPUTS = ("pv", "cs01", "jtd")

cdef enum:
    PERIOD_COUNT_MAX = 1000

cdef struct Legs:
    double protection       # per unit of notional and loss
    double annuity          # of the premium, per unit of coupon


cdef inline Legs period_point(
        double start, double end, double rate, double hazard_rate) noexcept nogil:
    cdef Legs legs
    cdef double default = exp_(-hazard_rate * start) - exp_(-hazard_rate * end)
    legs.protection = exp_(-rate * (0.5 * (start + end))) * default
    legs.annuity = (end - start) * (exp_(-rate * end) * exp_(-hazard_rate * end) + 0.5 * legs.protection)
    return legs


cdef void periods_loop(
        Py_ssize_t row_count, Py_ssize_t period_count,
        const double* coupon, const double* time, const double* period, const double* rate,     # IN
        const double* hazard_rate, const double* recovery,                                      # IN
        double hazard_shift,
        double* value) noexcept nogil:                                                          # OUT, per notional
    cdef Py_ssize_t row, step
    cdef double start, end
    cdef Legs legs
    for row in range(row_count):
        value[row] = 0.0
    # Every row of the block walks as many periods as the longest; those it does not have are empty and add 0.
    for step in range(period_count):
        for row in range(row_count):
            end = time[row] - <double> step * period[row]
            start = time[row] - (<double> step + 1.0) * period[row]
            end = end if end > 0.0 else 0.0
            start = start if start > 0.0 else 0.0
            legs = period_point(start, end, rate[row], hazard_rate[row] + hazard_shift)
            value[row] = value[row] + ((1.0 - recovery[row]) * legs.protection - coupon[row] * legs.annuity)


cdef void cds_flat_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef double base[BLOCK_ROWS]
    cdef double shifted[BLOCK_ROWS]
    cdef double is_good[BLOCK_ROWS]
    cdef const double* notional = column[0]
    cdef const double* coupon = column[1]
    cdef const double* time = column[2]
    cdef const double* period = column[3]
    cdef const double* rate = column[4]
    cdef const double* hazard_rate = column[5]
    cdef const double* recovery = column[6]
    cdef Py_ssize_t row
    cdef double longest = 0.0, count, pv, cs01, jtd
    for row in range(row_count):
        is_good[row] = (
            is_finite(notional[row]) * is_finite(coupon[row]) * is_nonnegative(time[row])
            * in_range(period[row], 1e-3, 1e3) * in_range(time[row] / period[row], 0.0, PERIOD_COUNT_MAX)
            * is_finite(rate[row]) * is_nonnegative(hazard_rate[row]) * in_range(recovery[row], 0.0, 1.0))
        count = time[row] / period[row] if is_good[row] > 0.0 else 0.0
        longest = count if count > longest else longest
    # One more than the quotient, because it may be rounded below a whole number.
    periods_loop(
        row_count, <Py_ssize_t> longest + 1, coupon, time, period, rate, hazard_rate, recovery, 0.0, base)
    cdef double one_basis_point = 1e-4
    periods_loop(
        row_count, <Py_ssize_t> longest + 1, coupon, time, period, rate, hazard_rate, recovery, one_basis_point,
        shifted)
    for row in range(row_count):
        pv = notional[row] * base[row]
        cs01 = notional[row] * (shifted[row] - base[row])
        jtd = notional[row] * (1.0 - recovery[row]) - pv
        is_good[row] = is_good[row] * is_finite(pv + cs01 + jtd)
        output[0][row] = if_good(is_good[row], pv)
        output[1][row] = if_good(is_good[row], cs01)
        output[2][row] = if_good(is_good[row], jtd)
        is_refused[row] = 1.0 - is_good[row]


def cds_flat(tuple columns, tuple outputs, status):
    """
    Value of bought protection on flat curves, its change per basis point of hazard rate, and on default now.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            notional: currency, negative for sold protection. coupon: per year. time: years to maturity, >= 0.
            period: years between coupons, 0.001 to 1000, at most 1000 of them. rate: continuous per year, any sign.
            hazard_rate: per year, >= 0. recovery: 0 to 1.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
            pv: currency. cs01: pv with the hazard rate 1 bp higher minus pv. jtd: pv just after default minus pv.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a
            result overflows; all its outputs are then NaN.

    Error: pv within 1e-15 of the notional per period.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: at the head of this file.
    """
    run_columns(cds_flat_loop, COLUMNS, OUTPUTS, columns, outputs, status)
