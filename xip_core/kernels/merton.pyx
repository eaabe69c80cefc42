# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
European options on an asset with lognormal jumps: Merton (1976).

Given n jumps the spot is lognormal, with forward F_n = S exp((r - q - lambda k) T + n (m + v^2 / 2)) and variance
sigma^2 T + n v^2, where k = exp(m + v^2 / 2) - 1. The price is the sum of Black's over the Poisson chance of n. The
number of terms is fixed: the loop over jumps is outside, that over the rows of a block inside, where it vectorises.
"""

from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, sqrt
from xip_core.kernels.lognormal cimport Lognormal, a_leg_point, lognormal_point, price_point

COLUMNS = (
    "spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "jump_intensity", "mean_log_jump",
    "jump_volatility")
OUTPUTS = ("pv", "delta", "gamma", "vega")

cdef enum:
    TERM_COUNT = 64
    JUMPS_MAX = 20          # expected; beyond, TERM_COUNT terms are too few


cdef void merton_loop(
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
    cdef const double* jump_intensity = column[7]
    cdef const double* mean_log_jump = column[8]
    cdef const double* jump_volatility = column[9]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef double chance[BLOCK_ROWS]
    cdef double growth[BLOCK_ROWS]
    cdef double strike_leg[BLOCK_ROWS]
    cdef double jump, total_vol, a, factor, h, log_jump, jumped, is_good
    cdef Lognormal at
    cdef Py_ssize_t row, term
    for row in range(row_count):
        log_jump = mean_log_jump[row] + 0.5 * jump_volatility[row] * jump_volatility[row]
        chance[row] = exp_(-jump_intensity[row] * time[row])
        growth[row] = (rate[row] - dividend_yield[row] - jump_intensity[row] * (exp_(log_jump) - 1.0)) * time[row]
        strike_leg[row] = strike[row] * exp_(-rate[row] * time[row])
        pv[row] = 0.0
        delta[row] = 0.0
        gamma[row] = 0.0
        vega[row] = 0.0
    for term in range(TERM_COUNT):
        jump = <double> term
        for row in range(row_count):
            log_jump = mean_log_jump[row] + 0.5 * jump_volatility[row] * jump_volatility[row]
            jumped = growth[row] + jump * log_jump
            total_vol = sqrt(
                volatility[row] * volatility[row] * time[row] + jump * (jump_volatility[row] * jump_volatility[row]))
            factor = exp_(jumped - rate[row] * time[row])
            a = spot[row] * factor
            at = lognormal_point(log_ratio(spot[row], strike[row]) + jumped, total_vol, is_call[row])
            h = at.has_vol / at.guarded_vol
            pv[row] += chance[row] * price_point(at, a, strike_leg[row])
            delta[row] += chance[row] * (factor * a_leg_point(at))
            gamma[row] += chance[row] * (factor * at.density * h / spot[row])
            vega[row] += chance[row] * (a * at.density * (volatility[row] * time[row] * h))
            chance[row] = chance[row] * (jump_intensity[row] * time[row] / (jump + 1.0))
    for row in range(row_count):
        log_jump = mean_log_jump[row] + 0.5 * jump_volatility[row] * jump_volatility[row]
        is_good = (
            is_positive(spot[row]) * is_positive(strike[row]) * is_nonnegative(time[row]) * is_finite(rate[row])
            * is_finite(dividend_yield[row]) * is_nonnegative(volatility[row]) * is_flag(is_call[row])
            * is_nonnegative(jump_intensity[row]) * is_finite(mean_log_jump[row])
            * is_nonnegative(jump_volatility[row]) * in_range(jump_intensity[row] * time[row], 0.0, JUMPS_MAX)
            * in_range(jump_intensity[row] * time[row] * exp_(log_jump), 0.0, JUMPS_MAX)
            * is_finite(pv[row] + delta[row] + gamma[row] + vega[row]))
        pv[row] = if_good(is_good, pv[row])
        delta[row] = if_good(is_good, delta[row])
        gamma[row] = if_good(is_good, gamma[row])
        vega[row] = if_good(is_good, vega[row])
        is_refused[row] = 1.0 - is_good


def merton(tuple columns, tuple outputs, status):
    """
    The sum over 0 to 63 jumps of exp(-lambda T) (lambda T)^n / n! times the price given n jumps.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot to is_call: as equity.european, volatility that of the diffusion alone. jump_intensity: expected
            jumps per year, >= 0. mean_log_jump, jump_volatility (>= 0): of the logarithm of one jump's factor.
            Expected jumps before expiry, plain and weighted with the mean factor exp(m + v^2 / 2), at most 20.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per
            unit of spot; vega per 1.00 of the diffusion's volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Error: the terms left out are worth at most 5e-15 of the larger leg, the chance that a Poisson variable of mean 20
    reaches 64; rounding adds as much.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: R. Merton, Option pricing when underlying stock returns are discontinuous, J. Financial Economics 3 (1976).
    """
    run_columns(merton_loop, COLUMNS, OUTPUTS, columns, outputs, status)
