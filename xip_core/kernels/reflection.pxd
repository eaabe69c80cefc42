# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Single barriers by reflection: theory and functions are in reflection.h, where they are always inlined."""

cdef extern from "reflection.h" nogil:
    struct Path:
        double direction
        double is_hit
        double distance
        double drift
        double s
        double per_s
        double slope
        double discount
        double spot_leg
        double root_time
        double barrier_density

    struct Slopes:
        double value
        double to_log
        double curve
        double to_vol

    double is_barrier_type(double value) noexcept
    Path path_point(
        double spot, double time, double rate, double dividend_yield, double volatility, double barrier,
        double direction) noexcept
    Slopes plain_pair(
        double asset_weight, double cash_weight, double level, double d2, double density, Path at) noexcept
    Slopes image_pair(
        double asset_weight, double cash_weight, double level, double d2, double density, Path at) noexcept
    double squared_root(Path at) noexcept
    Slopes hit_point(double weight, Path at) noexcept
    Slopes sum_point(Slopes a, Slopes b) noexcept
    Slopes struck_point(
        double spot, double strike, double barrier, double is_call, double is_out, double asset_weight,
        double cash_weight, double no_hit_cash, Path at) noexcept
