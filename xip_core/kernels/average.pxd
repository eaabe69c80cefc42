# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Moments of an arithmetic average: theory and functions are in average.h, where they are always inlined."""

cdef extern from "average.h" nogil:
    const double XIP_NODE[12]           # of the integral over a continuous average
    const double XIP_NODE_WEIGHT[12]
    double xip_expm1(double x) noexcept
    double xip_log1p(double x) noexcept
    double xip_mean_slope(double z, double grown) noexcept
    double xip_not_nothing(double x) noexcept
    double is_count(double value, double most) noexcept

cdef enum:
    NODE_COUNT = 12
    FIXING_COUNT_MAX = 5000
