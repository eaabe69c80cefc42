/*
 * First guesses of implied volatility: smooth functions of one variable as polynomials, good to 2e-4 or better. The
 * steps that follow give them full precision, so an error here costs nothing.
 * The coefficients come from tests/core/kernels/derive_coefficients.py, which a test compares with this file.
 */
#ifndef XIP_IMPLIED_H
#define XIP_IMPLIED_H

#include "elementary.h"

#define XIP_ROOT_2_LN2 0x1.2d6abe44afc43p+0
#define XIP_SQRT_3 0x1.bb67ae8584caap+0
#define XIP_SQRT_2PI 0x1.40d931ff62706p+1

/* w with normal_cdf(-w) = u, from ln u <= ln(1/2); relative error 6e-7. */
XIP_INLINE double xip_tail_quantile(double log_u)
{
    double r = __builtin_sqrt(-2.0 * log_u);
    double t = (r - 2.0) / (r + 2.0), w = t * t, even, odd;

    even = 0x1.c4190bc3f6a1fp-5;
    even = __builtin_fma(even, w, 0x1.ce6111b2291d5p-4);
    even = __builtin_fma(even, w, 0x1.b489a24d6dc7cp-3);
    even = __builtin_fma(even, w, 0x1.56ce6b12134b1p+0);
    odd = -0x1.30d1718235c46p-6;
    odd = __builtin_fma(odd, w, -0x1.71f5a75fa8c1ep-4);
    odd = __builtin_fma(odd, w, -0x1.36115e5a97f0ep-3);
    odd = __builtin_fma(odd, w, -0x1.d6d2d742b5076p-2);
    return (r - XIP_ROOT_2_LN2) * __builtin_fma(odd, t, even);
}

/* d = |F - K| / s from a = |F - K| / (|F - K| + 2 time value), 0 <= a <= 0.6; relative error 3e-7. */
XIP_INLINE double xip_centre_distance(double a)
{
    double t = a * a, w = t * t, even, odd;

    even = 0x1.58b2a6e12fdefp-6;
    even = __builtin_fma(even, w, 0x1.2d5fc7fd7ed0cp-3);
    even = __builtin_fma(even, w, 0x1.98844d9eddd20p-1);
    odd = 0x1.7754091212784p-3;
    odd = __builtin_fma(odd, w, 0x1.da051e29782b8p-4);
    odd = __builtin_fma(odd, w, 0x1.041aa4c18b2eep-2);
    return a * __builtin_fma(odd, t, even);
}

/* d = |F - K| / s from r = sqrt(-2 ln(time value / |F - K|)), 1.46 <= r <= 38; relative error 2e-4. */
XIP_INLINE double xip_tail_distance(double r)
{
    double t = (r - 3.0) / (r + 3.0), w = t * t, even, odd;

    even = 0x1.0e58b821299bcp+3;
    even = __builtin_fma(even, w, -0x1.d36b49c2487e4p+1);
    even = __builtin_fma(even, w, 0x1.72df47646fc9ap-1);
    even = __builtin_fma(even, w, 0x1.08302b31871bfp-2);
    even = __builtin_fma(even, w, 0x1.204e8aae87a4ep-1);
    odd = -0x1.c7831d7f72a59p+1;
    odd = __builtin_fma(odd, w, -0x1.208d6d9bceee3p+2);
    odd = __builtin_fma(odd, w, 0x1.ed315ab542547p+1);
    odd = __builtin_fma(odd, w, -0x1.00a2e19f31d4dp+1);
    odd = __builtin_fma(odd, w, 0x1.b7d657d25346ap-1);
    return r * __builtin_fma(odd, t, even);
}

#endif
