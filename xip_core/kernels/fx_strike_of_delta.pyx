# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The strike that has a quoted FX delta: the inverse of fx.delta; delta.h has the equation and its solution."""

from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.delta cimport (
    XIP_DELTA_STEPS, is_convention, xip_delta_finish, xip_delta_start, xip_delta_start_t, xip_delta_step,
    xip_delta_strike_t)
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, sqrt

COLUMNS = ("spot", "delta", "time", "domestic_rate", "foreign_rate", "volatility", "is_call", "delta_type")
OUTPUTS = ("strike", "to_delta", "to_volatility")


cdef void strike_of_delta_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* delta = column[1]
    cdef const double* time = column[2]
    cdef const double* domestic_rate = column[3]
    cdef const double* foreign_rate = column[4]
    cdef const double* volatility = column[5]
    cdef const double* is_call = column[6]
    cdef const double* delta_type = column[7]
    cdef double* strike = output[0]
    cdef double* to_delta = output[1]
    cdef double* to_volatility = output[2]
    cdef xip_delta_start_t start
    cdef xip_delta_strike_t found
    cdef double u[BLOCK_ROWS]
    cdef double c[BLOCK_ROWS]
    cdef double target[BLOCK_ROWS]
    cdef double is_adjusted, root_time, good
    cdef Py_ssize_t row
    cdef int _
    # Start, steps, end: short loops over the block, which vectorise where one long one would not.
    for row in range(row_count):
        is_adjusted = 1.0 if delta_type[row] > 1.5 else 0.0
        start = xip_delta_start(
            delta[row], volatility[row] * sqrt(time[row]), exp_(-foreign_rate[row] * time[row]), is_call[row],
            delta_type[row] - 2.0 * is_adjusted, is_adjusted)
        u[row] = start.u
        c[row] = start.c
        target[row] = start.target
    for _ in range(XIP_DELTA_STEPS):
        for row in range(row_count):
            u[row] = xip_delta_step(u[row], c[row], target[row])
    for row in range(row_count):
        is_adjusted = 1.0 if delta_type[row] > 1.5 else 0.0
        root_time = sqrt(time[row])
        start = xip_delta_start(
            delta[row], volatility[row] * root_time, exp_(-foreign_rate[row] * time[row]), is_call[row],
            delta_type[row] - 2.0 * is_adjusted, is_adjusted)
        found = xip_delta_finish(
            start, u[row], spot[row] * exp_((domestic_rate[row] - foreign_rate[row]) * time[row]),
            volatility[row] * root_time, root_time, is_call[row], is_adjusted)
        good = (
            is_positive(spot[row]) * is_finite(delta[row]) * is_nonnegative(time[row]) * is_finite(domestic_rate[row])
            * is_finite(foreign_rate[row]) * is_nonnegative(volatility[row]) * is_flag(is_call[row])
            * is_convention(delta_type[row], 3.0) * found.is_reached * is_positive(found.strike)
            * is_finite(found.to_delta + found.to_volatility))
        strike[row] = if_good(good, found.strike)
        to_delta[row] = if_good(good, found.to_delta)
        to_volatility[row] = if_good(good, found.to_volatility)
        is_refused[row] = 1.0 - good


def strike_of_delta(tuple columns, tuple outputs, status):
    """
    Strike at which an option has the quoted delta, at a given volatility.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, time, rates, volatility, is_call, delta_type: as fx.delta. delta: above 0 for calls, below 0 for
            puts; within what the convention can reach (calls, and puts without premium: below 1, or below the foreign
            discount factor for spot deltas; premium-adjusted calls: up to the largest delta of any strike).
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. strike: domestic per
            foreign; its derivatives per 1.00 of delta and per 1.00 of volatility at constant delta.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain, no strike has
            the delta, or a result overflows; all its outputs are then NaN.

    Of the two strikes with one premium-adjusted call delta it is the higher one, whose delta falls as strikes rise.

    Limits: without time or volatility every delta inside the step belongs to the forward.

    Error: the strike reproduces delta within 1e-13 of it; where delta is the largest possible the strike itself is
    known to half the digits.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: D. Reiswich and U. Wystup, FX volatility smile construction, Wilmott (2012).
    """
    run_columns(strike_of_delta_loop, COLUMNS, OUTPUTS, columns, outputs, status)
