/*
 * The first two moments of an arithmetic average of a lognormal asset: the formulas behind asian and asian_curran.
 *
 * Fixings t_k = t_1 + k h, k < n, have E S(t_k) = S exp(b t_k); the average F of them has, with L = n h and x = b L,
 *
 *     E F = S exp(b t_1) expm1(x) / (n expm1(x / n))
 *     ln (E F^2 / (E F)^2) = sigma^2 t_1 + ln(1 + sum of c exp(sigma^2 L u) r(u)^2 over u = 1/n, 2/n .. (n - 1)/n)
 *
 * where c = 1 - exp(-sigma^2 h) and r(u) is the share of E F due to fixings from u on,
 *
 *     r(u) = exp(x u) expm1(x (1 - u)) / expm1(x).
 *
 * This is the double sum over exp(sigma^2 min(t_i, t_j)), summed by parts: all terms are positive, n of them, and the
 * variance keeps its digits however small. Continuous averaging is the same with an integral over u from 0 to 1 instead
 * of the sum, c = sigma^2 L du; the integrand is entire and 12 points of Gauss and Legendre integrate it.
 */
#ifndef XIP_AVERAGE_H
#define XIP_AVERAGE_H

#include "domain.h"
#include "elementary.h"

/* Gauss and Legendre on [0, 1]. */
static const double XIP_NODE[12] = {
    0.009219682876640375, 0.04794137181476257, 0.11504866290284765, 0.2063410228566913, 0.3160842505009099,
    0.43738329574426554, 0.5626167042557345, 0.6839157494990901, 0.7936589771433087, 0.8849513370971523,
    0.9520586281852375, 0.9907803171233597};
static const double XIP_NODE_WEIGHT[12] = {
    0.023587668193255914, 0.05346966299765921, 0.08003916427167311, 0.10158371336153296, 0.1167462682691774,
    0.12457352290670139, 0.12457352290670139, 0.1167462682691774, 0.10158371336153296, 0.08003916427167311,
    0.05346966299765921, 0.023587668193255914};

/* e^x - 1, also of small x. */
XIP_INLINE double xip_expm1(double x)
{
    double scale[2], rest;
    double r = xip_exp_split(x, 0.0, &rest, scale), power = scale[0] * scale[1];

    return power == 1.0 ? r + rest : (1.0 + (r + rest)) * scale[0] * scale[1] - 1.0;
}

/* ln(1 + x), x >= 0, also of small x. */
XIP_INLINE double xip_log1p(double x)
{
    double sum = 1.0 + x;

    return log_ratio(sum, 1.0) + (x - (sum - 1.0)) / sum;
}

/* The slope of ln((e^z - 1) / z): 1/2 + z/12 - z^3/720 ..; *grown* is e^z - 1. */
XIP_INLINE double xip_mean_slope(double z, double grown)
{
    double t = z * z, safe = t < 1.0 ? 1.0 : z, sum;

    sum = -174611.0 / 802857662698291200000.0;
    sum = __builtin_fma(sum, t, 43867.0 / 5109094217170944000.0);
    sum = __builtin_fma(sum, t, -3617.0 / 10670622842880000.0);
    sum = __builtin_fma(sum, t, 1.0 / 74724249600.0);
    sum = __builtin_fma(sum, t, -691.0 / 1307674368000.0);
    sum = __builtin_fma(sum, t, 1.0 / 47900160.0);
    sum = __builtin_fma(sum, t, -1.0 / 1209600.0);
    sum = __builtin_fma(sum, t, 1.0 / 30240.0);
    sum = __builtin_fma(sum, t, -1.0 / 720.0);
    sum = __builtin_fma(sum, t, 1.0 / 12.0);
    sum = __builtin_fma(sum, z, 0.5);
    return t < 1.0 ? sum : 1.0 + (safe - grown) / (grown * safe);
}

/* What may stand in for a division by no growth: expm1 of it is itself. */
XIP_INLINE double xip_not_nothing(double x)
{
    return __builtin_fabs(x) > 1e-200 ? x : 1e-200;
}

/* A whole number from 0 to *most*. */
XIP_INLINE double is_count(double value, double most)
{
    double whole = (value + 6755399441055744.0) - 6755399441055744.0;  /* 1.5 * 2^52 rounds it */

    return whole == value ? in_range(value, 0.0, most) : 0.0;
}

#endif
