# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Selects of domain.h: 1.0 where a value may be used, else 0.0."""

cdef extern from "domain.h" nogil:
    double in_range(double value, double low, double high) noexcept
    double is_finite(double value) noexcept
    double is_positive(double value) noexcept
    double is_nonnegative(double value) noexcept
    double is_flag(double value) noexcept
    double if_good(double is_good, double result) noexcept
