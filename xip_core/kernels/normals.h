/*
 * Standard normals from 64-bit words, and words from a counter.
 *
 *   xip_normal(word)   the inverse normal distribution at (k + 1/2) 2^-52, k the upper 52 bits: symmetric to the last
 *                      bit, |z| <= 8.21. With 2 normal_cdf(-|z|) = w and L = -ln w, z = L g(L), and g is smooth: one
 *                      polynomial in (r - 1.5) / (r + 1.5) - 5 / 16, r^2 = 2 L + 2 ln 2, serves centre and tails
 *                      without a branch. w is exact and log's error is relative near 1, so digits stay where z is
 *                      small. Errors measured: 3.3 ulp up to |z| = 5, 6 ulp beyond (test_monte_carlo.py: 4 and 8).
 *   xip_philox(...)    Philox4x32-10: ten rounds of two 32 by 32 bit products turn a counter of 128 bits under a key of
 *                      64 into 128 random bits. No state: any number of any path is there at once, in any order.
 *
 * Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11 (2011).
 * The coefficients come from tests/core/kernels/derive_coefficients.py, which a test compares with this file.
 */
#ifndef XIP_NORMALS_H
#define XIP_NORMALS_H

#include "elementary.h"

#define XIP_TWO_LN2 0x1.62e42fefa39efp+0

/* -ln w for 2^-1000 < w <= 1: log_ without its special cases. */
XIP_INLINE double xip_level(double w)
{
    uint64_t bits = xip_bits(w) + (0x3ff0000000000000u - 0x3fe6a09e00000000u);
    double k = xip_double((bits >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
    double f = xip_double((bits & 0x000fffffffffffffu) + 0x3fe6a09e00000000u) - 1.0;
    double half_square = 0.5 * f * f;
    double z = f / (2.0 + f);
    double rest = __builtin_fma(z, half_square + xip_atanh_rest(z), k * XIP_LN2_LO);

    return ((half_square - rest) - f) - k * XIP_LN2_HI;
}

XIP_INLINE double xip_normal(uint64_t word)
{
    double place = (xip_double((word >> 12) | 0x3ff0000000000000u) - 1.5) + 0x1p-53;    /* exact, in (-1/2, 1/2) */
    double distance = xip_double(xip_bits(place) & 0x7fffffffffffffffu);
    double level = xip_level(1.0 - 2.0 * distance);
    double r = __builtin_sqrt(2.0 * level + XIP_TWO_LN2);
    double t = __builtin_fma(0.6875, r, -1.96875) / (r + 1.5), square = t * t, even, odd;

    even = 0x1.c6e7bce998484p-8;
    even = __builtin_fma(even, square, -0x1.34c0c7b05cc90p-11);
    even = __builtin_fma(even, square, 0x1.1446ccbd8e423p-9);
    even = __builtin_fma(even, square, 0x1.07af9c0971f8dp-9);
    even = __builtin_fma(even, square, 0x1.b0d9034c2688cp-9);
    even = __builtin_fma(even, square, 0x1.92da195beec1ap-8);
    even = __builtin_fma(even, square, 0x1.ae487af9a84b6p-7);
    even = __builtin_fma(even, square, 0x1.fe9fb92d4b3dep-6);
    even = __builtin_fma(even, square, 0x1.6e7b5ea3161d5p-4);
    even = __builtin_fma(even, square, 0x1.fe66ccced73ebp-2);
    even = __builtin_fma(even, square, 0x1.40260ce5f324ep-1);
    odd = 0x1.3f5be5f14ca98p-8;
    odd = __builtin_fma(odd, square, 0x1.2ff6604c61f8bp-10);
    odd = __builtin_fma(odd, square, 0x1.9a0ff3447b5ddp-12);
    odd = __builtin_fma(odd, square, 0x1.c785e785b6744p-14);
    odd = __builtin_fma(odd, square, -0x1.0d24f67f51930p-10);
    odd = __builtin_fma(odd, square, -0x1.8c71d50edf10dp-9);
    odd = __builtin_fma(odd, square, -0x1.dfa55afb755b4p-8);
    odd = __builtin_fma(odd, square, -0x1.1ea540bd1d91cp-6);
    odd = __builtin_fma(odd, square, -0x1.84483fe465e35p-5);
    odd = __builtin_fma(odd, square, -0x1.627a3ba3271f6p-3);
    odd = __builtin_fma(odd, square, -0x1.314f18b0a3ebfp+0);
    level = level * __builtin_fma(odd, t, even);
    return xip_double(xip_bits(level) | (xip_bits(place) & 0x8000000000000000u));
}

/* normal_cdf(x), bit for bit, and normal_pdf(x) from the same exponential. */
XIP_INLINE double xip_normal_cdf_pdf(double x, double *density)
{
    double scale[2], distance, square, square_lo, r, rest, y, y_lo, g, tail, c = XIP_INV_SQRT_2PI;

    distance = x < 0.0 ? -x : x;
    distance = distance > XIP_TAIL_MAX ? XIP_TAIL_MAX : distance;
    square = distance * distance;
    square_lo = __builtin_fma(distance, distance, -square);
    r = xip_exp_split(-0.5 * square, -0.5 * square_lo, &rest, scale);
    *density = __builtin_fma(c, r + rest, c) * scale[0] * scale[1];
    g = xip_mills_split(distance, c, XIP_INV_SQRT_2PI_LO, &y, &y_lo);
    rest = __builtin_fma(g, r + rest, g + rest);
    y_lo = __builtin_fma(y_lo, r + rest, y_lo);
    tail = y + __builtin_fma(y, r, __builtin_fma(y, rest, y_lo));
    tail = tail * scale[0] * scale[1];
    return x < 0.0 ? tail : 1.0 - tail;
}

/* counter and key hold 32 bits a word; every word is 64 wide so that lanes of products stay in place. */
XIP_INLINE void xip_philox(const uint64_t *counter, uint64_t key_0, uint64_t key_1, uint64_t *block)
{
    const uint64_t low = 0xffffffffu;
    uint64_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], first, second;
    int round;

    for (round = 0; round < 10; round++) {
        first = 0xd2511f53u * a;
        second = 0xcd9e8d57u * c;
        a = (second >> 32) ^ b ^ key_0;
        b = second & low;
        c = (first >> 32) ^ d ^ key_1;
        d = first & low;
        key_0 = (key_0 + 0x9e3779b9u) & low;
        key_1 = (key_1 + 0xbb67ae85u) & low;
    }
    block[0] = a;
    block[1] = b;
    block[2] = c;
    block[3] = d;
}

#endif
