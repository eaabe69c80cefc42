/*
 * Options on the extreme of a lognormal asset watched all the time: the formula behind lookback.
 *
 * Every lookback is cash, the asset and one claim L on the part of the extreme beyond a level X. With direction +1 for
 * the maximum (X >= S) and -1 for the minimum (X <= S), D = exp(-rT) and b = r - q:
 *
 *     floating call  S exp(-qT) - D m + L(m)           fixed call  D max(M - K, 0) + L(max(M, K))
 *     floating put   D M - S exp(-qT) + L(M)           fixed put   D max(K - m, 0) + L(min(m, K))
 *
 * L is a European option struck at X and a premium for the extreme lying beyond where the asset ends. With s the total
 * volatility, z = |ln(X / S)| / s, h = direction bT / s, v = direction s and M the Mills ratio,
 *
 *     L = Black + S D s G,   2 h G = exp(bT) N(-z + h + v / 2) - exp(2 h z) N(-z - h + v / 2)
 *
 * Both terms have the density e = S exp(-qT) n(d1) / (S D), so 2 h G = e (M(y - h) - M(y + h)), y = z - v / 2. G is
 * even in this h: near h = 0 (no cost of carry) it is a series in I_n, the integrals of u^n exp(-y u - u^2 / 2) over u > 0,
 * and where y < 0 its reflection exp(h (z + v / 2)) sinh(|y| h) / h is split off, so that nothing cancels.
 *
 * The chance P that the extreme goes beyond X gives the other derivatives: L is homogeneous in S and X, and its slope
 * to X is -direction D P. Volatility has dL/ds = 2 S D (G + z exp(2 h z) N(-z - h + v / 2)).
 *
 * Source: B. Goldman, H. Sosin and M. Gatto, Path dependent options, J. Finance 34 (1979); A. Conze and Viswanathan,
 * Path dependent options: the case of lookback options, J. Finance 46 (1991); E. Haug, The complete guide to option pricing
 * formulas, 2nd edition (2007), section 4.15.
 */
#ifndef XIP_LOOKBACK_H
#define XIP_LOOKBACK_H

#include "domain.h"
#include "elementary.h"

/* A total volatility below this moves no price by a rounding: the limit without volatility is taken. */
#define XIP_LOOKBACK_NO_VOLATILITY 1e-20

struct Extreme {
    double value;
    double to_log;  /* d value / d ln S */
    double curve;  /* S^2 d2 value / d S2 */
    double to_vol;  /* d value / d s */
    double to_carry;  /* d value / d (bT), the discount held */
};

/* G of a small h, over the density e: (sum of I_n h^(n-1) / n! over odd n), and its slope to h. w >= 0. */
XIP_INLINE double xip_premium_series(double w, double h, double mills, double *slope)
{
    double t = h * h, sum, to_h;
    double i1 = __builtin_fma(-w, mills, 1.0), i2 = __builtin_fma(-w, i1, mills);
    double i3 = __builtin_fma(-w, i2, 2.0 * i1), i4 = __builtin_fma(-w, i3, 3.0 * i2);
    double i5 = __builtin_fma(-w, i4, 4.0 * i3), i6 = __builtin_fma(-w, i5, 5.0 * i4);
    double i7 = __builtin_fma(-w, i6, 6.0 * i5), i8 = __builtin_fma(-w, i7, 7.0 * i6);
    double i9 = __builtin_fma(-w, i8, 8.0 * i7), i10 = __builtin_fma(-w, i9, 9.0 * i8);
    double i11 = __builtin_fma(-w, i10, 10.0 * i9), i12 = __builtin_fma(-w, i11, 11.0 * i10);
    double i13 = __builtin_fma(-w, i12, 12.0 * i11), i14 = __builtin_fma(-w, i13, 13.0 * i12);
    double i15 = __builtin_fma(-w, i14, 14.0 * i13);

    i3 *= 1.0 / 6.0;
    i5 *= 1.0 / 120.0;
    i7 *= 1.0 / 5040.0;
    i9 *= 1.0 / 362880.0;
    i11 *= 1.0 / 39916800.0;
    i13 *= 1.0 / 6227020800.0;
    i15 *= 1.0 / 1307674368000.0;
    sum = __builtin_fma(i15, t, i13);
    sum = __builtin_fma(sum, t, i11);
    sum = __builtin_fma(sum, t, i9);
    sum = __builtin_fma(sum, t, i7);
    sum = __builtin_fma(sum, t, i5);
    sum = __builtin_fma(sum, t, i3);
    to_h = __builtin_fma(14.0 * i15, t, 12.0 * i13);
    to_h = __builtin_fma(to_h, t, 10.0 * i11);
    to_h = __builtin_fma(to_h, t, 8.0 * i9);
    to_h = __builtin_fma(to_h, t, 6.0 * i7);
    to_h = __builtin_fma(to_h, t, 4.0 * i5);
    to_h = __builtin_fma(to_h, t, 2.0 * i3);
    *slope = h * to_h;
    return __builtin_fma(sum, t, i1);
}

/* sinh(w h) / h and its slope to h, w h < 1. */
XIP_INLINE double xip_sinh_series(double w, double h, double *slope)
{
    double x = w * h, t = x * x, sum, to_h;

    sum = __builtin_fma(1.0 / 355687428096000.0, t, 1.0 / 1307674368000.0);
    sum = __builtin_fma(sum, t, 1.0 / 6227020800.0);
    sum = __builtin_fma(sum, t, 1.0 / 39916800.0);
    sum = __builtin_fma(sum, t, 1.0 / 362880.0);
    sum = __builtin_fma(sum, t, 1.0 / 5040.0);
    sum = __builtin_fma(sum, t, 1.0 / 120.0);
    sum = __builtin_fma(sum, t, 1.0 / 6.0);
    to_h = __builtin_fma(16.0 / 355687428096000.0, t, 14.0 / 1307674368000.0);
    to_h = __builtin_fma(to_h, t, 12.0 / 6227020800.0);
    to_h = __builtin_fma(to_h, t, 10.0 / 39916800.0);
    to_h = __builtin_fma(to_h, t, 8.0 / 362880.0);
    to_h = __builtin_fma(to_h, t, 6.0 / 5040.0);
    to_h = __builtin_fma(to_h, t, 4.0 / 120.0);
    to_h = __builtin_fma(to_h, t, 2.0 / 6.0);
    *slope = w * w * x * to_h;
    return w * __builtin_fma(sum, t, 1.0);
}

/* full N(d), where density = full n(d). */
XIP_INLINE double xip_extreme_leg(double d, double full, double density)
{
    double tail = density * mills_ratio(__builtin_fabs(d));
    return d >= 0.0 ? full - tail : tail;
}

/* L: what the extreme before T is worth beyond *level*, which lies at *spot* or beyond it in *direction*. */
XIP_INLINE struct Extreme extreme_point(
        double spot, double level, double direction, double rate_time, double carry_time, double total_vol)
{
    struct Extreme at;
    double has_vol = total_vol > XIP_LOOKBACK_NO_VOLATILITY ? 1.0 : 0.0;
    double s = has_vol > 0.0 ? total_vol : XIP_LOOKBACK_NO_VOLATILITY, per_s = 1.0 / s;
    double distance = direction * log_ratio(level, spot), carry = direction * carry_time;
    double v = direction * s, z = distance * per_s, h = carry * per_s;
    double d1 = (carry - distance) * per_s + 0.5 * v;  /* of the asset leg, + where it is likely */
    double d2 = d1 - v;
    double d3 = 0.5 * v - (distance + carry) * per_s;  /* of the reflected leg */
    double discount = exp_(-rate_time);
    double asset_full = spot * exp_(carry_time - rate_time);
    double level_full = level * discount;
    double density = asset_full * normal_pdf(d1);  /* of all three legs */
    double reflected = 2.0 * h * z;
    double reflected_full = spot * exp_((reflected < 700.0 ? reflected : 700.0) - rate_time);
    double asset = xip_extreme_leg(d1, asset_full, density);
    double cash = xip_extreme_leg(d2, level_full, density);
    double hit = xip_extreme_leg(d3, reflected_full, density);
    /* G, the discount and the spot in it, and its slope to h. */
    double y = z - 0.5 * v, w = __builtin_fabs(y), beyond = y < 0.0 ? 1.0 : 0.0;
    double size = __builtin_fabs(h);
    double is_near = size < 0.25 ? (w * size < 1.0 ? 1.0 : 0.0) : 0.0;
    double near_h = is_near > 0.0 ? h : 0.0, near_w = is_near > 0.0 ? w : 0.0;
    double safe_h = is_near > 0.0 ? 1.0 : h;
    double centre = z + 0.5 * v, tilt = near_h * centre;
    double mirror = beyond * spot * exp_((tilt < 700.0 ? tilt : 700.0) - rate_time);
    double sum_slope, sinh_slope;
    double sum = xip_premium_series(near_w, near_h, mills_ratio(near_w), &sum_slope);
    double sine = xip_sinh_series(near_w, near_h, &sinh_slope);
    double near = mirror * sine + density * sum;
    double near_slope = mirror * sinh_slope + density * (sum_slope - near_h * sum);
    double far = 0.5 * (asset - hit) / safe_h;
    double far_slope = (density - 0.5 * y * (asset + hit) - far) / safe_h;
    double premium = is_near > 0.0 ? near : far;
    double premium_slope = centre * premium + (is_near > 0.0 ? near_slope : far_slope);
    double option = direction * asset - direction * cash;

    option = option >= 0.0 ? option : 0.0 * option;
    at.value = option + s * premium;
    at.to_log = at.value + direction * (cash + hit);
    at.curve = 2.0 * has_vol * per_s * (density - (h - 0.5 * v) * hit);
    at.to_vol = 2.0 * (premium + z * hit);
    at.to_carry = direction * (asset + premium_slope);
    return at;
}

#endif
