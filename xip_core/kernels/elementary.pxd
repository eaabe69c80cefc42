# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Elementary functions of elementary.h; errors and domains are stated there."""

cdef extern from "elementary.h" nogil:
    double exp_(double x) noexcept
    double log_(double x) noexcept
    double log_ratio(double a, double b) noexcept
    double normal_pdf(double x) noexcept
    double normal_cdf(double x) noexcept
    double mills_ratio(double x) noexcept
    void sin_cos(double x, double* sine, double* cosine) noexcept
    double sin_(double x) noexcept
    double cos_(double x) noexcept
    double atan2_(double y, double x) noexcept

cdef extern from "<math.h>" nogil:
    double sqrt(double x) noexcept      # IEEE 754 rounds it correctly; an instruction, not a call
    double fma_ "__builtin_fma"(double a, double b, double c) noexcept
    double fabs(double x) noexcept
    const double NAN
