/*
 * FX delta and the strike that has it, under the four conventions of the market.
 *
 * phi = 1 for a call and -1 for a put, s = volatility * sqrt(T), d1 = ln(F / K) / s + s / 2, d2 = d1 - s:
 *
 *   type 0 spot       phi exp(-rf T) N(phi d1)             2 spot, premium-adjusted     phi exp(-rf T) K/F N(phi d2)
 *   type 1 forward    phi N(phi d1)                        3 forward, premium-adjusted  phi K/F N(phi d2)
 *
 * From delta to strike: let p = |delta|, divided by exp(-rf T) for types 0 and 2. With u = phi d1, or phi d2 where
 * the premium is in, the strike solves one equation
 *
 *   h(u) = ln N(u) - c u = t,    c = 0, t = ln p, or c = phi s, t = ln p + s^2 / 2 where the premium is in
 *
 * h is concave. A premium-adjusted call (c > 0) has the same delta at two strikes; desks mean the higher one, which is
 * the root where h still rises, and a delta above the largest one is refused. Each step solves h's own parabola for
 * its rising branch, so it converges with third order also where delta is the largest and h' = 0. XIP_DELTA_STEPS
 * steps solve every row of tests/core/kernels/test_fx_delta.py to the last digits; what does not end within
 * XIP_DELTA_ERROR is refused.
 *
 * Source: D. Reiswich and U. Wystup, FX volatility smile construction, Wilmott (2012); U. Wystup, FX Options and
 * Structured Products, Wiley (2006).
 */
#ifndef XIP_DELTA_H
#define XIP_DELTA_H

#include "domain.h"
#include "elementary.h"
#include "implied.h"

#define XIP_DELTA_STEPS 9
#define XIP_DELTA_ERROR 1e-12
#define XIP_LN_SQRT_2PI 0x1.d67f1c864beb5p-1
#define XIP_LN_HALF -0x1.62e42fefa39efp-1

typedef struct {
    double c, target, u, p, scale, is_possible;
} xip_delta_start_t;

typedef struct {
    double strike, to_delta, to_volatility, is_reached;
} xip_delta_strike_t;

/* u with ln N(u) = log_p, to 6e-7; log_p < 0. */
XIP_INLINE double xip_quantile_guess(double log_p)
{
    double is_high = log_p > XIP_LN_HALF ? 1.0 : 0.0;
    double rest = 1.0 - exp_(log_p);
    double log_rest = log_(rest > 0x1p-60 ? rest : 0x1p-60);
    double tail = xip_tail_quantile(is_high > 0.0 ? log_rest : log_p);

    return is_high > 0.0 ? tail : -tail;
}

/* ln N(u), and n(u) / N(u). */
XIP_INLINE double xip_log_normal_cdf(double u, double *hazard)
{
    double distance = u < 0.0 ? -u : u;
    double mills = mills_ratio(distance), density = normal_pdf(u);
    double cdf = 1.0 - density * mills;

    *hazard = u < 0.0 ? 1.0 / mills : density / cdf;
    return u < 0.0 ? log_(mills) - 0.5 * u * u - XIP_LN_SQRT_2PI : log_(cdf);
}

/* c, t and a first u of the equation; |delta| over the discount factor of its convention. */
XIP_INLINE xip_delta_start_t xip_delta_start(
    double delta, double total_vol, double foreign_discount, double is_call, double is_forward, double is_adjusted)
{
    xip_delta_start_t start;
    double phi = 2.0 * is_call - 1.0, log_p, below_one, target_below_one, u_plain, u_target, distance;

    start.scale = is_forward > 0.0 ? 1.0 : foreign_discount;
    start.p = phi * delta / start.scale;
    log_p = log_(start.p > 0.0 ? start.p : 1.0);
    start.c = is_adjusted * phi * total_vol;
    start.target = log_p + 0.5 * is_adjusted * total_vol * total_vol;
    below_one = log_p < 0.0 ? 1.0 : 0.0;
    target_below_one = start.target < 0.0 ? 1.0 : 0.0;
    u_plain = xip_quantile_guess(below_one > 0.0 ? log_p : -1.0);
    u_target = xip_quantile_guess(target_below_one > 0.0 ? start.target : -1.0);
    /* A call's root lies above the strike of the unadjusted delta, a put's above t / s. */
    distance = start.target / (start.c < 0.0 ? -start.c : 1.0);
    start.u = target_below_one > 0.0 ? u_target : distance;
    start.u = start.c > 0.0 ? u_plain - start.c : start.u;
    start.is_possible = is_positive(start.p) * (start.c < 0.0 ? 1.0 : below_one);
    return start;
}

/* One step towards h(u) = t: the rising branch of the parabola that h is at u. */
XIP_INLINE double xip_delta_step(double u, double c, double target)
{
    double hazard, h = xip_log_normal_cdf(u, &hazard) - c * u;
    double slope = hazard - c, bend = hazard * (u + hazard), miss = target - h;
    double square = slope * slope - 2.0 * bend * miss;
    double root = __builtin_sqrt(square > 0.0 ? square : 0.0);
    double risen = 2.0 * miss / (slope > 0.0 ? slope + root : 1.0), fallen = (slope - root) / bend;
    double step = slope > 0.0 ? risen : fallen;

    return u + (square > 0.0 ? step : slope / bend);
}

/* ln(K / F) = -s d1 + s^2 / 2 = -s d2 - s^2 / 2, and its derivatives by the implicit function. */
XIP_INLINE xip_delta_strike_t xip_delta_finish(
    xip_delta_start_t start, double u, double forward, double total_vol, double root_time, double is_call,
    double is_adjusted)
{
    xip_delta_strike_t found;
    double phi = 2.0 * is_call - 1.0;
    double hazard, miss = start.target - (xip_log_normal_cdf(u, &hazard) - start.c * u);
    double slope = hazard - start.c;
    double distance = -phi * total_vol * u + (0.5 - is_adjusted) * total_vol * total_vol;
    double to_u_vol = is_adjusted * (total_vol + phi * u) / slope;

    found.strike = forward * exp_(distance);
    found.to_volatility = found.strike * root_time
        * (-phi * u + (1.0 - 2.0 * is_adjusted) * total_vol - phi * total_vol * to_u_vol);
    found.to_delta = -found.strike * total_vol / (start.scale * start.p * slope);
    found.is_reached = start.is_possible * in_range(miss, -XIP_DELTA_ERROR, XIP_DELTA_ERROR) * is_nonnegative(slope);
    return found;
}

#endif
