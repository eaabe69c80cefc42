/*
 * Elementary functions with the same bits on every machine.
 *
 * Only +, -, *, /, sqrt and explicit fma, which IEEE 754 rounds correctly everywhere, and selects instead of branches:
 * so a loop over any of them vectorises, and x86-64-v2 (fma in software), v3, v4 and aarch64 give the same bytes.
 * Compile with -ffp-contract=off and without -ffast-math.
 *
 * Largest errors measured against mpmath by tests/core/kernels/test_elementary.py (bound asserted there: 2 ulp):
 *
 *   exp_         0.82 ulp    underflows gradually below -708.4 (there 1 ulp of the subnormals), +inf above 709.78
 *   log_         0.80 ulp    x > 0, subnormals included; -inf at 0, NaN below
 *   log_ratio    0.77 ulp    ln(a / b), a and b positive and normal; relative error also where a is close to b
 *   normal_pdf   0.87 ulp    all x
 *   normal_cdf   1.3  ulp    all x, relative error also in the lower tail down to the subnormals
 *   mills_ratio  1.2  ulp    normal_cdf(-x) / normal_pdf(x), 0 <= x <= 1e100; constant beyond
 *   sin_, cos_   0.73 ulp    |x| <= 2^30; NaN beyond
 *   atan2_       1.2  ulp    angle of the point (x, y), |x| and |y| up to 1e300, quotient no subnormal
 *
 * NaN gives NaN. Its sign and payload are not specified: kernels write one canonical NaN.
 * The coefficients come from tests/core/kernels/derive_coefficients.py, which a test compares with this file.
 */
#ifndef XIP_ELEMENTARY_H
#define XIP_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

#define XIP_INLINE static inline __attribute__((always_inline, unused))

#define XIP_LOG2_E 0x1.71547652b82fep+0
#define XIP_LN2_HI 0x1.62e42fee00000p-1  /* 32 bits: a product with an exponent is exact */
#define XIP_LN2_LO 0x1.a39ef35793c76p-33
#define XIP_INV_SQRT_2PI 0x1.9884533d43651p-2
#define XIP_INV_SQRT_2PI_LO -0x1.cbc0d30ebfd15p-56
#define XIP_SQRT_HALF_PI 0x1.40d931ff62706p+0
#define XIP_SQRT_HALF_PI_LO -0x1.a6a0d6f814637p-54
#define XIP_TWO_OVER_PI 0x1.45f306dc9c883p-1
#define XIP_HALF_PI 0x1.921fb54442d18p+0
#define XIP_HALF_PI_LO 0x1.1a62633145c07p-54
#define XIP_HALF_PI_LOWEST -0x1.f1976b7ed8fbcp-110
#define XIP_ANGLE_MAX 0x1p30
#define XIP_ROUND 0x1.8p52               /* adding it leaves the nearest integer in the low bits */
#define XIP_TAIL_MAX 39.0                /* normal_cdf(-38.6) is already below the smallest subnormal */
#define XIP_MILLS_MAX 1e100              /* its square is finite */

XIP_INLINE uint64_t xip_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

XIP_INLINE double xip_double(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k for an integral k in [-1022, 1023]. */
XIP_INLINE double xip_power_of_two(double k)
{
    return xip_double((xip_bits(k + XIP_ROUND) + 1023) << 52);
}

/*
 * exp(x + x_lo) = (1 + r + rest) * scale[0] * scale[1], |x_lo| tiny against x, |r| < 0.35, rest = O(r^2).
 * Two scales, because 2^-1075 is no double. r and rest together carry about 60 bits, so a caller that goes on
 * multiplying pays for one rounding, not two. Even and odd powers are summed side by side: half the latency.
 */
XIP_INLINE double xip_exp_split(double x, double x_lo, double *rest, double *scale)
{
    double k, k_half, r, r_coarse, r_lo, square, even, odd;

    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    k = __builtin_fma(x, XIP_LOG2_E, XIP_ROUND) - XIP_ROUND;
    k_half = __builtin_fma(k, 0.5, XIP_ROUND) - XIP_ROUND;
    scale[0] = xip_power_of_two(k_half);
    scale[1] = xip_power_of_two(k - k_half);
    r_coarse = __builtin_fma(-k, XIP_LN2_HI, x);
    r = __builtin_fma(-k, XIP_LN2_LO, r_coarse);
    r_lo = __builtin_fma(-k, XIP_LN2_LO, r_coarse - r) + x_lo;
    square = r * r;
    even = 0x1.1f66df7fca49fp-29;
    even = __builtin_fma(even, square, 0x1.27e4e1f48534fp-22);
    even = __builtin_fma(even, square, 0x1.a01a01a47b054p-16);
    even = __builtin_fma(even, square, 0x1.6c16c16c167e1p-10);
    even = __builtin_fma(even, square, 0x1.5555555555555p-5);
    even = __builtin_fma(even, square, 0.5);
    odd = 0x1.af38a9b0ec855p-26;
    odd = __builtin_fma(odd, square, 0x1.71de0dae63bb3p-19);
    odd = __builtin_fma(odd, square, 0x1.a01a01a7c41d5p-13);
    odd = __builtin_fma(odd, square, 0x1.11111111109b3p-7);
    odd = __builtin_fma(odd, square, 0x1.5555555555556p-3);
    square = square * __builtin_fma(odd, r, even);          /* e^r - 1 - r */
    *rest = __builtin_fma(r_lo, 1.0 + (r + square), square);
    return r;
}

/* e^x. */
XIP_INLINE double exp_(double x)
{
    double scale[2], rest;
    double r = xip_exp_split(x, 0.0, &rest, scale);

    return (1.0 + (r + rest)) * scale[0] * scale[1];
}

/* log((1 + z) / (1 - z)) = 2 z + z * this, this = O(z^2); |z| <= 0.1717. */
XIP_INLINE double xip_atanh_rest(double z)
{
    double w = z * z, square = w * w, even, odd;

    even = 0x1.0fbe478772696p-3;
    even = __builtin_fma(even, square, 0x1.745cf8f6c9119p-3);
    even = __builtin_fma(even, square, 0x1.2492492476ba1p-2);
    even = __builtin_fma(even, square, 0x1.5555555555555p-1);
    odd = 0x1.0c06cf14c641bp-3;
    odd = __builtin_fma(odd, square, 0x1.3b1c38474d3eep-3);
    odd = __builtin_fma(odd, square, 0x1.c71c72017a15cp-3);
    odd = __builtin_fma(odd, square, 0x1.9999999999a38p-2);
    return w * __builtin_fma(odd, w, even);
}

/* ln x. */
XIP_INLINE double log_(double x)
{
    double is_subnormal = x < 0x1p-1022 ? 1.0 : 0.0;
    double scaled = is_subnormal > 0.0 ? x * 0x1p54 : x;
    /* Shift the exponent field so that the mantissa m falls into [sqrt(1/2), sqrt(2)). */
    uint64_t bits = xip_bits(scaled) + (0x3ff0000000000000u - 0x3fe6a09e00000000u);
    double k = xip_double((bits >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
    double f = xip_double((bits & 0x000fffffffffffffu) + 0x3fe6a09e00000000u) - 1.0;
    double half_square = 0.5 * f * f;
    double z = f / (2.0 + f);
    double rest = __builtin_fma(z, half_square + xip_atanh_rest(z), (k - 54.0 * is_subnormal) * XIP_LN2_LO);
    double result = (k - 54.0 * is_subnormal) * XIP_LN2_HI - ((half_square - rest) - f);

    result = x == 0.0 ? -__builtin_inf() : result;
    result = x > 0x1.fffffffffffffp1023 ? x : result;
    return x >= 0.0 ? result : __builtin_nan("");
}

/* ln(a / b) without rounding a / b: near a = b the difference a - b is exact. */
XIP_INLINE double log_ratio(double a, double b)
{
    uint64_t a_bits = xip_bits(a), b_bits = xip_bits(b);
    double a_exponent = xip_double((a_bits >> 52) | 0x4330000000000000u);
    double b_exponent = xip_double((b_bits >> 52) | 0x4330000000000000u);
    double a_mantissa = xip_double((a_bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    double b_mantissa = xip_double((b_bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    double k = a_exponent - b_exponent;
    double a_large = a_mantissa > 0x1.6a09e667f3bcdp0 * b_mantissa ? 1.0 : 0.0;
    double b_large = b_mantissa > 0x1.6a09e667f3bcdp0 * a_mantissa ? 1.0 : 0.0;
    double sum, sum_lo, inverse, z, z_lo, rest;

    k = k + a_large - b_large;
    a_mantissa = b_large > 0.0 ? 2.0 * a_mantissa : a_mantissa;
    b_mantissa = a_large > 0.0 ? 2.0 * b_mantissa : b_mantissa;
    sum = a_mantissa + b_mantissa;
    sum_lo = (a_mantissa - (sum - b_mantissa)) + (b_mantissa - (sum - (sum - b_mantissa)));
    inverse = 1.0 / sum;
    z = (a_mantissa - b_mantissa) * inverse;
    z_lo = (__builtin_fma(-z, sum, a_mantissa - b_mantissa) - z * sum_lo) * inverse;
    rest = __builtin_fma(2.0, z_lo, __builtin_fma(z, xip_atanh_rest(z), k * XIP_LN2_LO));
    return k * XIP_LN2_HI + (2.0 * z + rest);
}

/*
 * Mills ratio / (c + c_lo) = (1 + g) * (y + y_lo), where y = 1 / (x + 0.8) and g is small and smooth:
 * x * mills(x) tends to 1, and (x + 0.8) * mills(x) stays in [1.00, 1.19]. The polynomial is in (x - 6) / (x + 6),
 * which maps the half-line to [-1, 1]. Returns g; the same division serves both quotients. x in [0, XIP_MILLS_MAX].
 */
XIP_INLINE double xip_mills_split(double x, double c, double c_lo, double *y, double *y_lo)
{
    double near = x + 0.8, far = x + 6.0;
    double near_lo = (0.8 - (near - x)) + (x - (near - (near - x)));
    double inverse = 1.0 / (near * far);
    double near_inverse = far * inverse;
    double t = __builtin_fma(2.0, x * near * inverse, -1.0);  /* near -1, where g is steepest, x is small and exact */
    double w = t * t, even, odd;

    even = -0x1.23807316c5dfap-32;
    even = __builtin_fma(even, w, 0x1.0e0643183ac10p-28);
    even = __builtin_fma(even, w, -0x1.4e4253f0da0edp-25);
    even = __builtin_fma(even, w, 0x1.6ddc804c24730p-22);
    even = __builtin_fma(even, w, -0x1.578c414e831ccp-19);
    even = __builtin_fma(even, w, 0x1.6b0b967bd5590p-17);
    even = __builtin_fma(even, w, 0x1.b87c9242be5f8p-14);
    even = __builtin_fma(even, w, -0x1.295c029e94649p-9);
    even = __builtin_fma(even, w, -0x1.3e02c2d0557a4p-6);
    even = __builtin_fma(even, w, -0x1.e3dedac899fb0p-5);
    even = __builtin_fma(even, w, -0x1.1a68e40e12d38p-4);
    even = __builtin_fma(even, w, 0x1.7edd55873820bp-5);
    even = __builtin_fma(even, w, 0x1.aaac29d70c8a7p-4);
    odd = -0x1.d5cdb7bc2f62dp-31;
    odd = __builtin_fma(odd, w, 0x1.493d41fbd565ep-27);
    odd = __builtin_fma(odd, w, -0x1.b24d23c1c1f92p-25);
    odd = __builtin_fma(odd, w, -0x1.091a9dbed2919p-25);
    odd = __builtin_fma(odd, w, 0x1.442b719254ba1p-18);
    odd = __builtin_fma(odd, w, -0x1.209a9c023ff2cp-14);
    odd = __builtin_fma(odd, w, 0x1.338f8dee9a308p-12);
    odd = __builtin_fma(odd, w, 0x1.01c661ff9f3a7p-7);
    odd = __builtin_fma(odd, w, 0x1.34589c8ec4a55p-5);
    odd = __builtin_fma(odd, w, 0x1.2ff138e769007p-4);
    odd = __builtin_fma(odd, w, 0x1.ed24f5df7a22dp-6);
    odd = __builtin_fma(odd, w, -0x1.35ff01e058a03p-3);

    *y = c * near_inverse;
    *y_lo = near_inverse * ((__builtin_fma(-*y, near, c) + c_lo) - *y * near_lo);
    return __builtin_fma(odd, t, even);
}

XIP_INLINE double mills_ratio(double x)
{
    double y, y_lo, g;

    x = x > XIP_MILLS_MAX ? XIP_MILLS_MAX : x;
    g = xip_mills_split(x, 1.0, 0.0, &y, &y_lo);
    return y + __builtin_fma(y, g, __builtin_fma(y_lo, g, y_lo));
}

/* exp(-x^2 / 2) / sqrt(2 pi). */
XIP_INLINE double normal_pdf(double x)
{
    double scale[2], square, square_lo, r, rest, c = XIP_INV_SQRT_2PI;

    x = x < 0.0 ? -x : x;
    x = x > XIP_TAIL_MAX ? XIP_TAIL_MAX : x;
    square = x * x;
    square_lo = __builtin_fma(x, x, -square);
    r = xip_exp_split(-0.5 * square, -0.5 * square_lo, &rest, scale);
    return (c + __builtin_fma(c, r, __builtin_fma(c, rest, XIP_INV_SQRT_2PI_LO))) * scale[0] * scale[1];
}

/* Integral of normal_pdf from -inf to x. */
XIP_INLINE double normal_cdf(double x)
{
    double scale[2], distance, square, square_lo, r, rest, y, y_lo, g, tail;

    distance = x < 0.0 ? -x : x;
    distance = distance > XIP_TAIL_MAX ? XIP_TAIL_MAX : distance;
    square = distance * distance;
    square_lo = __builtin_fma(distance, distance, -square);
    r = xip_exp_split(-0.5 * square, -0.5 * square_lo, &rest, scale);
    g = xip_mills_split(distance, XIP_INV_SQRT_2PI, XIP_INV_SQRT_2PI_LO, &y, &y_lo);
    rest = __builtin_fma(g, r + rest, g + rest);     /* (1 + g) (1 + r + rest) = 1 + r + this */
    y_lo = __builtin_fma(y_lo, r + rest, y_lo);
    tail = y + __builtin_fma(y, r, __builtin_fma(y, rest, y_lo));
    tail = tail * scale[0] * scale[1];
    return x < 0.0 ? tail : 1.0 - tail;
}

/* sin(r) / r - 1 = w * this, w = r^2, |r| <= pi / 4. */
XIP_INLINE double xip_sin_rest(double w)
{
    double square = w * w, even, odd;

    even = -0x1.ab17d083f6cf7p-41;
    even = __builtin_fma(even, square, -0x1.ae645412bde0ep-26);
    even = __builtin_fma(even, square, -0x1.a01a01a019938p-13);
    even = __builtin_fma(even, square, -0x1.5555555555555p-3);
    odd = 0x1.61217f058e863p-33;
    odd = __builtin_fma(odd, square, 0x1.71de3a5460916p-19);
    odd = __builtin_fma(odd, square, 0x1.1111111111110p-7);
    return __builtin_fma(odd, w, even);
}

/* cos(r) - 1 + w / 2 = w^2 * this, w = r^2, |r| <= pi / 4. */
XIP_INLINE double xip_cos_rest(double w)
{
    double square = w * w, even, odd;

    even = 0x1.ab7857e2d8321p-45;
    even = __builtin_fma(even, square, 0x1.1eed8deb94539p-29);
    even = __builtin_fma(even, square, 0x1.a01a01a019d0ap-16);
    even = __builtin_fma(even, square, 0x1.5555555555555p-5);
    odd = -0x1.9394ba078d6d0p-37;
    odd = __builtin_fma(odd, square, -0x1.27e4fb7712d46p-22);
    odd = __builtin_fma(odd, square, -0x1.6c16c16c16c16p-10);
    return __builtin_fma(odd, w, even);
}

/*
 * Sine and cosine of one angle: half the work of two calls. Cody and Waite: x - n pi / 2 with pi / 2 in three doubles.
 * The first fma is exact (x and n * XIP_HALF_PI are multiples of 2^-53, their difference is below 1), the second part
 * keeps its rounding error, so r + r_lo has some 100 bits less those of n, more than the double closest to a multiple
 * of pi / 2 takes away.
 */
XIP_INLINE void sin_cos(double x, double *sine, double *cosine)
{
    double shifted = __builtin_fma(x, XIP_TWO_OVER_PI, XIP_ROUND);
    double n = shifted - XIP_ROUND;
    uint64_t quadrant = xip_bits(shifted);
    double coarse = __builtin_fma(-n, XIP_HALF_PI, x);
    double part = n * XIP_HALF_PI_LO, part_lo = __builtin_fma(n, XIP_HALF_PI_LO, -part);
    double r = coarse - part, back = coarse - r;
    double r_lo = (coarse - (r + back)) + (back - part);
    double w, half, head, s, c;

    r_lo = (r_lo - part_lo) - n * XIP_HALF_PI_LOWEST;
    w = r * r;
    s = r + __builtin_fma(r * w, xip_sin_rest(w), __builtin_fma(-0.5 * w, r_lo, r_lo));
    half = 0.5 * w;
    head = 1.0 - half;
    c = head + (((1.0 - head) - half) + __builtin_fma(w * w, xip_cos_rest(w), -r * r_lo));
    *sine = quadrant & 1 ? c : s;
    *cosine = quadrant & 1 ? s : c;
    *sine = quadrant & 2 ? -*sine : *sine;
    *cosine = (quadrant + 1) & 2 ? -*cosine : *cosine;
    x = x < 0.0 ? -x : x;
    *sine = x <= XIP_ANGLE_MAX ? *sine : __builtin_nan("");
    *cosine = x <= XIP_ANGLE_MAX ? *cosine : __builtin_nan("");
}

XIP_INLINE double sin_(double x)
{
    double sine, cosine;

    sin_cos(x, &sine, &cosine);
    return sine;
}

XIP_INLINE double cos_(double x)
{
    double sine, cosine;

    sin_cos(x, &sine, &cosine);
    return cosine;
}

/* atan(t) / t - 1 = w * this, w = t^2, |t| <= tan(pi / 8). */
XIP_INLINE double xip_atan_rest(double w)
{
    double square = w * w, even, odd;

    even = -0x1.c80e16e6bcb9dp-7;
    even = __builtin_fma(even, square, -0x1.503bca231ad2dp-5);
    even = __builtin_fma(even, square, -0x1.aebd1ae878fa4p-5);
    even = __builtin_fma(even, square, -0x1.1110cee3bf64ep-4);
    even = __builtin_fma(even, square, -0x1.745d173563ab2p-4);
    even = __builtin_fma(even, square, -0x1.24924924920adp-3);
    even = __builtin_fma(even, square, -0x1.5555555555555p-2);
    odd = 0x1.f5ed3e270c8a6p-6;
    odd = __builtin_fma(odd, square, 0x1.829cc4e1e78d4p-5);
    odd = __builtin_fma(odd, square, 0x1.e1d8e942d6a22p-5);
    odd = __builtin_fma(odd, square, 0x1.3b13aea9b6b8dp-4);
    odd = __builtin_fma(odd, square, 0x1.c71c71c6ddb9cp-4);
    odd = __builtin_fma(odd, square, 0x1.9999999999997p-3);
    return __builtin_fma(odd, w, even);
}

/*
 * Angle of the point (x, y) in (-pi, pi]; a negative zero counts as zero, the origin has angle 0. With a the smaller of
 * |x|, |y| and b the larger, atan(a / b) is pi / 4 + atan((a - b) / (a + b)) above tan(pi / 8): one division for both.
 */
XIP_INLINE double atan2_(double y, double x)
{
    double x_size = x < 0.0 ? -x : x, y_size = y < 0.0 ? -y : y;
    double is_steep = y_size > x_size ? 1.0 : 0.0;
    double a = is_steep > 0.0 ? x_size : y_size, b = is_steep > 0.0 ? y_size : x_size;
    double is_diagonal = a > 0x1.a827999fcef32p-2 * b ? 1.0 : 0.0;
    double over = is_diagonal > 0.0 ? a - b : a, under = is_diagonal > 0.0 ? a + b : b;
    double t = over / (under > 0.0 ? under : 1.0), w = t * t;
    double eighths = is_diagonal, sign = 1.0, angle;            /* the angle is eighths * pi / 4 + sign * atan(t) */

    eighths = is_steep > 0.0 ? 2.0 - eighths : eighths;
    sign = is_steep > 0.0 ? -sign : sign;
    eighths = x < 0.0 ? 4.0 - eighths : eighths;
    sign = x < 0.0 ? -sign : sign;
    t = sign * t;
    /* Products with 1, 2 and 4 are exact; that with 3 is off by half an ulp of the angle at most. */
    angle = eighths * (0.5 * XIP_HALF_PI) +
            (t + __builtin_fma(t * w, xip_atan_rest(w), eighths * (0.5 * XIP_HALF_PI_LO)));
    angle = y < 0.0 ? -angle : angle;
    return x == x ? (y == y ? angle : y) : x;
}

#endif
