# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""FX deltas of delta.h; conventions and sources are stated there."""

cdef extern from "delta.h" nogil:
    ctypedef struct xip_delta_strike_t:
        double strike
        double to_delta
        double to_volatility
        double is_reached

    ctypedef struct xip_delta_start_t:
        double c
        double target
        double u
        double p
        double scale
        double is_possible

    xip_delta_start_t xip_delta_start(
        double delta, double total_vol, double foreign_discount, double is_call, double is_forward,
        double is_adjusted) noexcept
    double xip_delta_step(double u, double c, double target) noexcept
    xip_delta_strike_t xip_delta_finish(
        xip_delta_start_t start, double u, double forward, double total_vol, double root_time, double is_call,
        double is_adjusted) noexcept
    const int XIP_DELTA_STEPS


cdef inline double is_convention(double kind, double kind_max) noexcept nogil:
    """1.0 for a whole number from 0 to kind_max."""
    cdef double whole = (kind + 6755399441055744.0) - 6755399441055744.0     # rounds to the nearest integer
    cdef double is_whole = 1.0 if whole == kind else 0.0
    cdef double is_inside = 1.0 if kind <= kind_max else 0.0
    return is_whole * is_inside if kind >= 0.0 else 0.0
