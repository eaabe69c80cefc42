# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Worst-of autocallable notes by Monte-Carlo; mathematics and sources in autocallable.h, paths in monte_carlo.h.
"""

from xip_core.kernels.interruption import check
from xip_core.kernels.sampled cimport Product, run_sampled

cdef extern from "autocallable.h" nogil:
    ctypedef struct xip_note_run:
        pass
    size_t xip_note_size(const double* cells) noexcept
    void xip_note_begin(
        xip_note_run* run, const double* cells, int with_deltas, int with_vegas, int with_rho) noexcept
    int xip_note_advance(xip_note_run* run) noexcept
    double xip_note_finish(const xip_note_run* run, double* output) noexcept

COLUMNS = (
    "asset_count", "spot_1", "spot_2", "spot_3", "initial_1", "initial_2", "initial_3", "volatility_1",
    "volatility_2", "volatility_3", "dividend_yield_1", "dividend_yield_2", "dividend_yield_3", "correlation_12",
    "correlation_13", "correlation_23", "rate", "first_observation", "interval", "observation_count",
    "autocall_barrier", "autocall_step", "coupon_barrier", "coupon", "has_memory", "protection_barrier", "put_strike",
    "notional", "path_exponent", "is_philox", "seed")
OUTPUTS = (
    "pv", "standard_error", "delta_1", "delta_2", "delta_3", "vega_1", "vega_2", "vega_3", "rho", "expected_life",
    "loss_probability")


cdef void begin(void* arena, const double* cells, const int* is_wanted) noexcept nogil:
    xip_note_begin(
        <xip_note_run*> arena, cells, is_wanted[2] | is_wanted[3] | is_wanted[4],
        is_wanted[5] | is_wanted[6] | is_wanted[7], is_wanted[8])


cdef int advance(void* arena) noexcept nogil:
    return xip_note_advance(<xip_note_run*> arena)


cdef double finish(void* arena, double* outputs) noexcept nogil:
    return xip_note_finish(<xip_note_run*> arena, outputs)


def autocallable(tuple columns, tuple outputs, status):
    """
    The mean over 2^path_exponent paths of the note's discounted payments, given each path integrated over the common
    factor of the last observation.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            asset_count: 1, 2 or 3; the columns of further assets are not read. spot_i, initial_i: price units, > 0.
            volatility_i: per sqrt(year), >= 0, its square times the last observation at most 100. dividend_yield_i,
            rate: continuous per year. correlation_ij: positive semidefinite together. first_observation (>= 0),
            interval (> 0): years. observation_count: 1 to 256. autocall_barrier (> 0, less autocall_step >= 0 at every
            further observation, > 0 at the last), coupon_barrier (>= 0), protection_barrier (0 to put_strike),
            put_strike (> 0): fractions of initial. coupon: fraction of notional per observation. has_memory: 0, 1.
            notional: currency. path_exponent: 10 to 24. is_philox: 0 Sobol, 1 Philox. seed: 0 to 2^32 - 1.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted, which saves their
            work. standard_error: of pv, from 16 independent randomisations. delta_i, vega_i, rho: per unit of spot,
            per 1.00 of volatility and of rate, 0 for assets beyond asset_count; pathwise derivatives. expected_life: in
            years.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without volatility or time the payments are certain; what stands at a barrier is above it.

    Raises:
        ValueError: a count, length or dtype is wrong. MemoryError: no room for a row, 6 MB at the most.

    Source: autocallable.h.
    """
    cdef Product product
    product.size = xip_note_size
    product.begin = begin
    product.advance = advance
    product.finish = finish
    run_sampled(&product, COLUMNS, OUTPUTS, columns, outputs, status, check)
