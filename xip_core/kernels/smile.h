/*
 * Volatility as a function of strike: SABR in the expansions of Hagan, Kumar, Lesniewski, Woodward (2002), and the raw
 * SVI parametrisation of Gatheral (2004), with their derivatives. Selects instead of branches, no libm.
 *
 * SABR. With f = F + shift, k = K + shift, b = 1 - beta, L = ln(f / k), A = alpha (f k)^(-b / 2), z = nu L / A:
 *
 *   lognormal (2.17a)  A / (1 + b^2 L^2 / 24 + b^4 L^4 / 1920) * x(z) * (1 + T (b^2 A^2 / 24 + C))
 *   normal (B.67a)     alpha (f k)^(beta / 2) (1 + L^2 / 24 + L^4 / 1920) / (1 + b^2 L^2 / 24 + b^4 L^4 / 1920) * x(z)
 *                      * (1 + T (-beta (2 - beta) A^2 / 24 + C))
 *   C = rho beta nu A / 4 + (2 - 3 rho^2) nu^2 / 24,  x(z) = z / chi(z)
 *   chi(z) = ln((sqrt(1 - 2 rho z + z^2) + z - rho) / (1 - rho))
 *
 * Both differ by -beta (2 - beta) = b^2 - 1, so one body serves them. Hagan's z is kept as published: desks quote
 * parameters for it. Obloj's (2008) z, better far from the money for beta < 1, is not taken: parameters would differ.
 *
 * chi has no cancellation anywhere: chi(-z, rho) = -chi(z, -rho) makes z >= 0, then sqrt(..) + z - rho is a sum or, for
 * z < rho, the quotient (1 - rho^2) / (sqrt(..) + rho - z), and its distance from 1 - rho is a product with z. So the
 * smile is smooth through K = F to the last digit.
 */
#ifndef XIP_SMILE_H
#define XIP_SMILE_H

#include "elementary.h"

#define XIP_SERIES_MAX 0.03125  /* below, x'(z) is a series: its closed form loses a digit with each of z */

typedef struct {
    double volatility, to_forward, to_strike, to_alpha, to_beta, to_rho, to_nu, to_time;
} xip_sabr_t;

/* ln(1 + y), y >= 0: the rounding of 1 + y cancels between the logarithm and u - 1. */
XIP_INLINE double xip_log_one_plus(double y)
{
    double u = 1.0 + y, rounded = u - 1.0;

    return rounded > 0.0 ? log_(u) * (y / rounded) : y;
}

/*
 * sum over n = 1.. of n / (n + 1) P_n(rho) z^(n - 1), P_n the Legendre polynomials: 1 / sqrt(1 - 2 rho z + z^2) is
 * their generating function. Ten terms leave less than 1e-15 for z <= XIP_SERIES_MAX.
 */
XIP_INLINE double xip_sabr_series(double z, double rho)
{
    double previous = 1.0, polynomial = rho, next, power = 1.0, sum = 0.0;
    int n;

    for (n = 1; n <= 10; n++) {
        sum = sum + (n / (n + 1.0)) * polynomial * power;
        power = power * z;
        next = ((2.0 * n + 1.0) * rho * polynomial - n * previous) / (n + 1.0);
        previous = polynomial;
        polynomial = next;
    }
    return sum;
}

/* x(z) and its derivatives to z and to rho; |rho| < 1. */
XIP_INLINE double xip_sabr_ratio(double z, double rho, double *to_z, double *to_rho)
{
    double sign = z < 0.0 ? -1.0 : 1.0, near, gap, root, quotient, chi, ratio, bend, closed;

    z = sign * z;
    rho = sign * rho;
    near = 1.0 - rho;
    gap = z - rho;
    root = __builtin_sqrt(gap * gap + near * (1.0 + rho));
    quotient = gap < 0.0 ? (1.0 + rho) / (root - gap) : (root + gap) / near;
    chi = xip_log_one_plus(z * (quotient + 1.0) / (root + 1.0));
    ratio = z > 0.0 ? z / chi : 1.0;
    closed = (chi - z / root) / (chi * chi);
    closed = z < XIP_SERIES_MAX ? -(ratio * ratio) * xip_sabr_series(z, rho) : closed;
    bend = root + (z - 2.0 * rho) / (root + 1.0) * (root + near);
    *to_z = sign * closed;
    *to_rho = -sign * (ratio * ratio) * z * bend / (root * (root + 1.0) * quotient * (near * near));
    return ratio;
}

XIP_INLINE xip_sabr_t xip_sabr(
    double forward, double strike, double time, double alpha, double beta, double rho, double nu, double shift,
    double is_normal)
{
    xip_sabr_t value;
    double f = forward + shift, k = strike + shift, b = 1.0 - beta;
    double distance = log_ratio(f, k), middle = 0.5 * (log_(f) + log_(k));
    double at = alpha * exp_(-b * middle);              /* A */
    double bent = b * b * distance * distance, flat = distance * distance;
    double under = 1.0 + bent * (1.0 / 24.0) + bent * bent * (1.0 / 1920.0);
    double over = 1.0 + is_normal * (flat * (1.0 / 24.0) + flat * flat * (1.0 / 1920.0));
    double under_slope = b * b * distance * ((1.0 / 12.0) + bent * (1.0 / 480.0)) / under;
    double over_slope = is_normal * distance * ((1.0 / 12.0) + flat * (1.0 / 480.0)) / over;
    double base = alpha * exp_((beta - (1.0 - is_normal)) * middle) * over / under;
    double curve = (b * b - is_normal) * (1.0 / 24.0);
    double skew = 0.25 * rho * nu, kurtosis = (2.0 - 3.0 * rho * rho) * (1.0 / 24.0);
    double first = curve * at * at + beta * skew * at + kurtosis * nu * nu;
    double z = nu * distance / at, to_z, to_rho;
    double ratio = xip_sabr_ratio(z, rho, &to_z, &to_rho);
    double growth = 1.0 + time * first;
    double stretched = base * growth, aged = base * ratio * time;
    double by_distance, by_at, by_middle;

    value.volatility = base * ratio * growth;
    by_distance = value.volatility * (over_slope - under_slope) + stretched * to_z * (nu / at);
    by_at = aged * (2.0 * curve * at * at + beta * skew * at) - stretched * to_z * z;
    by_middle = (beta - (1.0 - is_normal)) * value.volatility - b * by_at;
    value.to_forward = (0.5 * by_middle + by_distance) / f;
    value.to_strike = (0.5 * by_middle - by_distance) / k;
    value.to_alpha = (value.volatility + by_at) / alpha;
    value.to_beta = (value.volatility + by_at) * middle
        + value.volatility * (b * flat * ((1.0 / 12.0) + bent * (1.0 / 480.0)) / under)
        + aged * (skew * at - b * (1.0 / 12.0) * at * at);
    value.to_rho = stretched * to_rho + aged * (0.25 * beta * nu * at - 0.25 * rho * nu * nu);
    value.to_nu = stretched * to_z * (distance / at) + aged * (0.25 * rho * beta * at + 2.0 * kurtosis * nu);
    value.to_time = base * ratio * first;
    return value;
}

#endif
