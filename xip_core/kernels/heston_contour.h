/*
 * The line along which Heston's price is integrated, chosen for each row from its own data.
 *
 * With k = ln(K / F) and M(z) = E[e^(zX)], all undiscounted (Lewis 2001; Lee 2004):
 *
 *   (1 / 2 pi i) integral of K e^(-zk) M(z) / (z (z - 1)) dz = call (crossing the real axis at c > 1),
 *                                                              call - F = put - K (0 < c < 1),  put (c < 0)
 *
 * The line is z(y) = c + b (s (cosh y - 1) + i t sinh y), -inf < y < inf, s^2 + t^2 = 1 (sinh-acceleration:
 * Boyarchenko and Levendorskii 2019; a line chosen by row: Lord and Kahl 2007, Andersen and Lake 2019). Along it the
 * integrand falls double exponentially and is analytic in a strip about the real y axis, so the trapezoid rule converges
 * geometrically.
 *
 *   c    near the saddle point of the integrand beyond the pole at 1 (call) or at 0 (put), the side with the smaller
 *        saddle value, which is the option out of the money: no cancellation. Moments exist up to a critical c, where
 *        the explosion time is T; where there is little room between pole and critical c, 1/2 is taken: both poles are
 *        half a unit away.
 *   b    1.2 times the distance to the nearer of pole and critical c: both stay out of the strip |Im y| < 0.98.
 *   s/t  slope of the steepest descent of the integrand at infinity, where M falls as e^(-V (rho z - i rho' z)),
 *        V = (v0 + kappa theta T) / sigma, rho' = sqrt(1 - rho^2): no oscillation is left there. 0 where M has fallen
 *        like a Gaussian before that begins.
 */
#ifndef XIP_HESTON_CONTOUR_H
#define XIP_HESTON_CONTOUR_H

#include "heston.h"

#define XIP_ROOM_MIN 0.2                /* b of the line through 1/2 is 0.6: better than a third of that */
#define XIP_STRIP 1.2
#define XIP_SLOPE_MAX 0.7602043         /* tan 0.65: quarter of a right angle less what the strip needs */

typedef struct {
    double centre;
    double scale;
    double sine;
    double cosine;
} Contour;

/* Mean variance over the life times time: the scale of everything. */
XIP_INLINE double heston_mean_variance(Model m)
{
    double angle = m.kappa * m.time;
    double guarded = angle > 1e-3 ? angle : 1e-3;
    double fall = angle > 1e-3 ? (1.0 - exp_(-guarded)) / guarded : 1.0 - 0.5 * angle;

    return m.time * __builtin_fma(m.v0, fall, m.theta * (1.0 - fall));
}

/* Distance beyond the pole at which a lognormal integrand of the same variance has its saddle. */
XIP_INLINE double heston_natural_distance(double log_strike, double variance)
{
    double size = log_strike < 0.0 ? -log_strike : log_strike;

    return (size + __builtin_sqrt(__builtin_fma(8.0, variance, size * size))) / (2.0 * variance);
}

/* Where the real axis is crossed: *distance* beyond the pole at 1 (side 1) or at 0 (side -1). */
XIP_INLINE double heston_crossing(double side, double distance)
{
    return side > 0.0 ? 1.0 + distance : -distance;
}

/* Logarithm of the integrand on the real axis. */
XIP_INLINE double heston_level(Model m, double log_strike, double side, double distance)
{
    double c = heston_crossing(side, distance);

    return heston_log_moment(m, c_make(c, 0.0)).re - log_(distance * (1.0 + distance)) - c * log_strike;
}

XIP_INLINE Contour heston_contour(
    Model m, double log_strike, double variance, double side, double distance, double critical)
{
    Contour line;
    double room = critical - distance < distance ? critical - distance : distance;
    double is_narrow = room < XIP_ROOM_MIN ? 1.0 : 0.0;
    double across = __builtin_sqrt((1.0 - m.rho) * (1.0 + m.rho));
    double fall = __builtin_fma(m.kappa * m.theta, m.time, m.v0);               /* V sigma */
    double turn = m.kappa * m.time;
    /* sigma |z| over the larger of kappa and 1 / T, where a Gaussian integrand has fallen by e^18. */
    double reach = m.sigma * m.time * 6.0 / (__builtin_sqrt(variance) * (turn > 1.0 ? turn : 1.0));
    double flat = fall * across, slope;

    flat = flat > 1e-150 ? flat : 1e-150;
    reach = reach > 1.0 ? 1.0 - 1.0 / reach : 0.0;
    slope = reach * __builtin_fma(log_strike, m.sigma, m.rho * fall) / flat;
    slope = slope > XIP_SLOPE_MAX ? XIP_SLOPE_MAX : slope;
    slope = slope < -XIP_SLOPE_MAX ? -XIP_SLOPE_MAX : slope;
    line.cosine = 1.0 / __builtin_sqrt(__builtin_fma(slope, slope, 1.0));
    line.sine = slope * line.cosine;
    line.centre = is_narrow > 0.0 ? 0.5 : heston_crossing(side, distance);
    line.scale = XIP_STRIP * (is_narrow > 0.0 ? 0.5 : room);
    return line;
}

/* The point at y, from e^y and e^-y. */
XIP_INLINE Complex heston_point(Contour line, double up, double down)
{
    return c_make(
        __builtin_fma(line.scale * line.sine, 0.5 * (up + down) - 1.0, line.centre),
        line.scale * line.cosine * (0.5 * (up - down)));
}

/* dz / dy. */
XIP_INLINE Complex heston_tangent(Contour line, double up, double down)
{
    return c_make(line.scale * line.sine * (0.5 * (up - down)), line.scale * line.cosine * (0.5 * (up + down)));
}

#endif
