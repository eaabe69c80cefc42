# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Heston's model: theory and functions are in the headers, where they are always inlined."""

cdef extern from "heston.h" nogil:
    ctypedef struct Complex:
        double re
        double im

    ctypedef struct Model:
        double time
        double v0
        double kappa
        double theta
        double sigma
        double rho

    ctypedef struct Exponent:
        Complex q
        Complex a
        Complex b

    ctypedef struct Gradient:
        Complex to_v0
        Complex to_kappa
        Complex to_theta
        Complex to_sigma
        Complex to_rho
        Complex to_time

    Complex c_make(double re, double im) noexcept
    Complex c_mul(Complex a, Complex b) noexcept
    Complex c_exp(Complex a) noexcept
    Complex c_inverse(Complex a) noexcept
    Exponent heston_exponent(Model m, Complex z) noexcept
    Gradient heston_gradient(Model m, Complex z, Exponent at) noexcept
    Complex heston_log_moment(Model m, Complex z) noexcept
    double heston_explosion_time(Model m, double p) noexcept

cdef extern from "heston_contour.h" nogil:
    ctypedef struct Contour:
        double centre
        double scale
        double sine
        double cosine

    double heston_mean_variance(Model m) noexcept
    double heston_natural_distance(double log_strike, double variance) noexcept
    double heston_crossing(double side, double distance) noexcept
    double heston_level(Model m, double log_strike, double side, double distance) noexcept
    Contour heston_contour(
        Model m, double log_strike, double variance, double side, double distance, double critical) noexcept
    Complex heston_point(Contour line, double up, double down) noexcept
    Complex heston_tangent(Contour line, double up, double down) noexcept
