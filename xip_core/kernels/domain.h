/* Selects that decide whether a row is in its kernel's domain. All give 1.0 or 0.0; NaN is never in. */
#ifndef XIP_DOMAIN_H
#define XIP_DOMAIN_H

#include "elementary.h"

#define XIP_LARGEST 0x1.fffffffffffffp1023
#define XIP_SMALLEST_NORMAL 0x1p-1022

XIP_INLINE double in_range(double value, double low, double high)
{
    double below_high = value <= high ? 1.0 : 0.0;

    return value >= low ? below_high : 0.0;
}

XIP_INLINE double is_finite(double value)
{
    return in_range(value, -XIP_LARGEST, XIP_LARGEST);
}

/* Subnormal prices are refused: log_ratio reads exponents of normal numbers. */
XIP_INLINE double is_positive(double value)
{
    return in_range(value, XIP_SMALLEST_NORMAL, XIP_LARGEST);
}

XIP_INLINE double is_nonnegative(double value)
{
    return in_range(value, 0.0, XIP_LARGEST);
}

XIP_INLINE double is_flag(double value)
{
    return value * (1.0 - value) == 0.0 ? 1.0 : 0.0;
}

/* The result of a good row, the one canonical NaN of a refused one. */
XIP_INLINE double if_good(double is_good, double result)
{
    return is_good > 0.0 ? result : __builtin_nan("");
}

#endif
