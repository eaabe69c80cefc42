# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What an extreme is worth beyond a level: theory and functions are in lookback.h, where they are always inlined."""

cdef extern from "lookback.h" nogil:
    struct Extreme:
        double value
        double to_log
        double curve
        double to_vol
        double to_carry

    Extreme extreme_point(
        double spot, double level, double direction, double rate_time, double carry_time, double total_vol) noexcept
