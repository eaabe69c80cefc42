/* Complex arithmetic by hand: C's own calls the library for products, and a loop with a call stays scalar. */
#ifndef XIP_COMPLEX_NUMBERS_H
#define XIP_COMPLEX_NUMBERS_H

#include "elementary.h"

typedef struct {
    double re;
    double im;
} Complex;

XIP_INLINE Complex c_make(double re, double im)
{
    Complex z;

    z.re = re;
    z.im = im;
    return z;
}

XIP_INLINE Complex c_add(Complex a, Complex b)
{
    return c_make(a.re + b.re, a.im + b.im);
}

XIP_INLINE Complex c_sub(Complex a, Complex b)
{
    return c_make(a.re - b.re, a.im - b.im);
}

XIP_INLINE Complex c_scale(double a, Complex b)
{
    return c_make(a * b.re, a * b.im);
}

XIP_INLINE Complex c_mul(Complex a, Complex b)
{
    return c_make(__builtin_fma(a.re, b.re, -(a.im * b.im)), __builtin_fma(a.re, b.im, a.im * b.re));
}

/* a + x, x real. */
XIP_INLINE Complex c_shift(double x, Complex a)
{
    return c_make(a.re + x, a.im);
}

/* a + x b. */
XIP_INLINE Complex c_fma(double x, Complex b, Complex a)
{
    return c_make(__builtin_fma(x, b.re, a.re), __builtin_fma(x, b.im, a.im));
}

XIP_INLINE double c_square_size(Complex a)
{
    return __builtin_fma(a.re, a.re, a.im * a.im);
}

/* 1 / a; |a| between 1e-150 and 1e150. */
XIP_INLINE Complex c_inverse(Complex a)
{
    double inverse = 1.0 / c_square_size(a);

    return c_make(a.re * inverse, -a.im * inverse);
}

XIP_INLINE Complex c_select(double choose, Complex a, Complex b)
{
    return c_make(choose > 0.0 ? a.re : b.re, choose > 0.0 ? a.im : b.im);
}

/* The square root with a real part that is not negative. */
XIP_INLINE Complex c_sqrt(Complex a)
{
    double size = __builtin_sqrt(c_square_size(a));
    double large = __builtin_sqrt(0.5 * (size + (a.re < 0.0 ? -a.re : a.re)));
    double small = 0.5 * a.im / (large > 0.0 ? large : 1.0);
    double small_size = small < 0.0 ? -small : small;

    return c_make(a.re < 0.0 ? small_size : large, a.re < 0.0 ? (a.im < 0.0 ? -large : large) : small);
}

/* Where the size underflows the angle is of no account, and may be out of range of the sine. */
XIP_INLINE Complex c_exp(Complex a)
{
    double size = exp_(a.re), sine, cosine;

    sin_cos(a.re < -745.2 ? 0.0 : a.im, &sine, &cosine);
    return c_make(size * cosine, size * sine);
}

/* 1 - exp(-a), without cancellation where a is small; *power is exp(-a). */
XIP_INLINE Complex c_one_minus_exp(Complex a, Complex *power)
{
    double scale[2], rest, r, fall, size, sine, cosine;

    r = xip_exp_split(-a.re, 0.0, &rest, scale);
    size = (1.0 + (r + rest)) * scale[0] * scale[1];
    fall = (scale[0] * scale[1] - 1.0) + (r + rest) * scale[0] * scale[1];          /* exp(-a.re) - 1 */
    sin_cos(a.re > 745.2 ? 0.0 : 0.5 * a.im, &sine, &cosine);
    *power = c_make(size * __builtin_fma(-2.0 * sine, sine, 1.0), -2.0 * size * (sine * cosine));
    return c_make(__builtin_fma(2.0 * size, sine * sine, -fall), 2.0 * size * (sine * cosine));
}

/* ln(1 + a), without cancellation where a is small. */
XIP_INLINE Complex c_log1p(Complex a)
{
    double t = __builtin_fma(2.0, a.re, c_square_size(a));
    double u = 1.0 + t;

    return c_make(0.5 * (log_(u) + (t - (u - 1.0)) / u), atan2_(a.im, 1.0 + a.re));
}

#endif
