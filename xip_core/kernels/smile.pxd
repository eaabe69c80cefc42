# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Smiles of smile.h; formulas and sources are stated there."""

cdef extern from "smile.h" nogil:
    ctypedef struct xip_sabr_t:
        double volatility
        double to_forward
        double to_strike
        double to_alpha
        double to_beta
        double to_rho
        double to_nu
        double to_time

    xip_sabr_t xip_sabr(
        double forward, double strike, double time, double alpha, double beta, double rho, double nu, double shift,
        double is_normal) noexcept
