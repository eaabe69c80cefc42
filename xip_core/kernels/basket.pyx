# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
European options on the worst, best or mean of assets by Monte-Carlo; mathematics and sources in basket.h.
"""

from xip_core.kernels.interruption import check
from xip_core.kernels.sampled cimport Product, run_sampled

cdef extern from "basket.h" nogil:
    ctypedef struct xip_basket_run:
        pass
    size_t xip_basket_size(const double* cells) noexcept
    void xip_basket_begin(
        xip_basket_run* run, const double* cells, int with_deltas, int with_vegas, int with_rho) noexcept
    int xip_basket_advance(xip_basket_run* run) noexcept
    double xip_basket_finish(const xip_basket_run* run, double* output) noexcept

COLUMNS = (
    "asset_count", "spot_1", "spot_2", "spot_3", "volatility_1", "volatility_2", "volatility_3", "dividend_yield_1",
    "dividend_yield_2", "dividend_yield_3", "correlation_12", "correlation_13", "correlation_23", "strike", "time",
    "rate", "basket_type", "is_call", "path_exponent", "is_philox", "seed")
OUTPUTS = ("pv", "standard_error", "delta_1", "delta_2", "delta_3", "vega_1", "vega_2", "vega_3", "rho")


cdef void begin(void* arena, const double* cells, const int* is_wanted) noexcept nogil:
    xip_basket_begin(
        <xip_basket_run*> arena, cells, is_wanted[2] | is_wanted[3] | is_wanted[4],
        is_wanted[5] | is_wanted[6] | is_wanted[7], is_wanted[8])


cdef int advance(void* arena) noexcept nogil:
    return xip_basket_advance(<xip_basket_run*> arena)


cdef double finish(void* arena, double* outputs) noexcept nogil:
    return xip_basket_finish(<xip_basket_run*> arena, outputs)


def basket(tuple columns, tuple outputs, status):
    """
    The mean over 2^path_exponent paths of the discounted payoff on the least, the largest or the mean of the spots.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            asset_count: 1, 2 or 3; the columns of further assets are not read. spot_i: price units, > 0. volatility_i:
            per sqrt(year), >= 0, its square times the time at most 100. dividend_yield_i, rate: continuous per year.
            correlation_ij: positive semidefinite together. strike: price, >= 0. time: years, >= 0. basket_type: 0
            worst, 1 best, 2 mean. is_call: 1 call, 0 put. path_exponent: 10 to 24. is_philox: 0 Sobol, 1 Philox.
            seed: 0 to 2^32 - 1.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted, which saves their
            work. standard_error: of pv, from 16 independent randomisations. delta_i, vega_i, rho: per unit of spot,
            per 1.00 of volatility and of rate, 0 for assets beyond asset_count; to the right where a derivative jumps.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: without volatility or time the payoff on the forwards, discounted.

    Raises:
        ValueError: a count, length or dtype is wrong. MemoryError: no room for a row, 50 kB.

    Source: basket.h.
    """
    cdef Product product
    product.size = xip_basket_size
    product.begin = begin
    product.advance = advance
    product.finish = finish
    run_sampled(&product, COLUMNS, OUTPUTS, columns, outputs, status, check)
