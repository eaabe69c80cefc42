# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""FX deltas of delta.h; conventions and sources are stated there."""

cdef extern from "delta.h" nogil:
    ctypedef struct xip_delta_strike_t:
        double strike
        double to_delta
        double to_volatility
        double is_reached

    xip_delta_strike_t xip_strike_of_delta(
        double forward, double delta, double total_vol, double root_time, double foreign_discount, double is_call,
        double is_forward, double is_adjusted) noexcept


cdef inline double is_convention(double kind, double kind_max) noexcept nogil:
    """1.0 for a whole number from 0 to kind_max."""
    cdef double whole = (kind + 6755399441055744.0) - 6755399441055744.0     # rounds to the nearest integer
    cdef double is_whole = 1.0 if whole == kind else 0.0
    cdef double is_inside = 1.0 if kind <= kind_max else 0.0
    return is_whole * is_inside if kind >= 0.0 else 0.0
