/*
 * The equations of the exercise boundary of American puts of strike 1, XIP_LANES at a time, and their derivatives.
 *
 * Time is measured in units of the life of the option, so that r, q and s below are rate T, yield T and
 * volatility sqrt(T). Theory, equations and sources are in american.pyx; here is their arithmetic:
 *
 *   z = sqrt(v) of a point,  d- = (H_i - G) / (s z) + z a,  a = (r - q) / s - s / 2,  d+ = d- + s z
 *   H = ln(B / B(0)) at the nodes, G = -sqrt(interpolated H^2) at a point
 *   fm = exp(-r v - d-^2 / 2) / (s z),  fp = exp(-q v - d+^2 / 2) / (s z)
 *
 * so a point costs two exponentials, one square root and the division of a Mills ratio. Loops over lanes are innermost
 * and of constant length: they vectorise at every level, and no lane sees another.
 */
#ifndef XIP_AMERICAN_EQUATIONS_H
#define XIP_AMERICAN_EQUATIONS_H

#include "american_rule.h"

#define XIP_LANES 8
#define XIP_EACH_LANE for (int lane = 0; lane < XIP_LANES; lane++)
#define XIP_FMA __builtin_fma
#define XIP_COARSE_ROUNDS 4              /* of fixed point A on the coarse grid */
#define XIP_MIDDLE_ROUNDS 1              /* of A on the middle grid, before one of Newton's */
#define XIP_STIFF_ROUNDS 40              /* of fixed point B */
#define XIP_SHRINK_MAX 0.1               /* a round changes H by these factors at most */
#define XIP_GROWTH_MAX 6.0
#define XIP_LEAST 0.1                    /* G at sqrt(u) is at least this times H_i cos^2 in size */

enum { XIP_NONE, XIP_NEWTON, XIP_GREEKS };  /* derivatives wanted: none, to the boundary, to volatility and rate too */

typedef double xip_lanes[XIP_LANES] __attribute__((aligned(64)));

typedef struct {
    /* Given: a put on *spot* of strike 1; is_call tells in which rate `to_rate` is the derivative (0 r, 1 q). */
    xip_lanes log_spot, rate, carry, total_vol, is_call;
    /* Derived */
    xip_lanes drift, per_vol, log_start, start_to_rate;
    /* Boundary: H at the nodes, its square, and the derivatives of H to s and to the rate */
    xip_lanes height[XIP_NODES], square[XIP_NODES], to_vol[XIP_NODES], to_rate[XIP_NODES];
    /* Results per strike; pv_to_rate per unit of r or q */
    xip_lanes boundary, european, pv, delta, gamma, pv_to_vol, pv_to_rate;
} xip_puts;

/* Of one equation of the boundary: what each point gave, for Newton's matrix. */
typedef struct {
    xip_lanes from_num[XIP_STIFF_POINTS], from_den[XIP_STIFF_POINTS], per_lower[XIP_STIFF_POINTS];
} xip_slopes;

/* e^x to 1e-14 of it, x below 700, never below e^-700: one scale, no last digits, half the work of exp_. */
XIP_INLINE double xip_quick_exp(double x)
{
    double k, r, square, fourth, a, b, c;

    x = x < -700.0 ? -700.0 : x;
    k = XIP_FMA(x, XIP_LOG2_E, XIP_ROUND) - XIP_ROUND;
    r = XIP_FMA(-k, XIP_LN2_HI, x);
    r = XIP_FMA(-k, XIP_LN2_LO, r);
    square = r * r;
    fourth = square * square;
    a = XIP_FMA(XIP_FMA(r, 1.0 / 6.0, 0.5), square, 1.0 + r);
    b = XIP_FMA(XIP_FMA(r, 1.0 / 5040.0, 1.0 / 720.0), square, XIP_FMA(r, 1.0 / 120.0, 1.0 / 24.0));
    c = XIP_FMA(XIP_FMA(r, 1.0 / 39916800.0, 1.0 / 3628800.0), square, XIP_FMA(r, 1.0 / 362880.0, 1.0 / 40320.0));
    return XIP_FMA(XIP_FMA(c, fourth, b), fourth, a) * xip_power_of_two(k);
}

/*
 * The Mills ratio times 1 / sqrt(2 pi) in (x - 3) / (x + 3): the error times exp(-x^2 / 2) is below 3e-12. Beyond 8.5
 * it is constant, where exp(-x^2 / 2) is below 3e-16. The coefficients come from derive_coefficients.py.
 */
XIP_INLINE double xip_quick_mills(double x)
{
    double inverse, t, w, even, odd;

    x = x > 8.5 ? 8.5 : x;
    inverse = 1.0 / (x + 3.0);
    t = XIP_FMA(-6.0, inverse, 1.0);
    w = t * t;
    even = -0x1.a6854b76374e8p-19;
    even = XIP_FMA(even, w, -0x1.752d8c637916fp-17);
    even = XIP_FMA(even, w, 0x1.1312f96f3b0b1p-13);
    even = XIP_FMA(even, w, -0x1.03bae816653d7p-10);
    even = XIP_FMA(even, w, 0x1.91f4a62f9889fp-8);
    even = XIP_FMA(even, w, 0x1.f8bab9c0c0640p-4);
    even = XIP_FMA(even, w, 0x1.f1b89c2315c28p-4);
    odd = -0x1.e6b8fd69ac1f4p-17;
    odd = XIP_FMA(odd, w, 0x1.2006d3ca048f4p-14);
    odd = XIP_FMA(odd, w, -0x1.6a73e1009841ap-12);
    odd = XIP_FMA(odd, w, 0x1.7ce2b1f69e254p-9);
    odd = XIP_FMA(odd, w, -0x1.7a94a552c6895p-5);
    odd = XIP_FMA(odd, w, -0x1.a6b669a2fe06fp-3);
    return XIP_FMA(odd, t, even);
}

/* weight N(d), where density = weight exp(-d^2 / 2) is there already. */
XIP_INLINE double xip_weighted_cdf(double d, double density, double weight)
{
    double tail = density * xip_quick_mills(__builtin_fabs(d));

    return d < 0.0 ? tail : weight - tail;
}

/* Sum over the nodes (6, 10 or 16) of row times values; `at` points at the lane of the first node. */
XIP_INLINE double xip_dot(int node_count, const double *row, const double *at)
{
    double a = row[0] * at[0], b = row[1] * at[XIP_LANES];

#define XIP_TWO_MORE(j) \
    a = XIP_FMA(row[j], at[(j) * XIP_LANES], a), b = XIP_FMA(row[(j) + 1], at[((j) + 1) * XIP_LANES], b)
    XIP_TWO_MORE(2);
    XIP_TWO_MORE(4);
    if (node_count > XIP_COARSE) {
        XIP_TWO_MORE(6);
        XIP_TWO_MORE(8);
    }
    if (node_count > XIP_MIDDLE) {
        XIP_TWO_MORE(10);
        XIP_TWO_MORE(12);
        XIP_TWO_MORE(14);
    }
#undef XIP_TWO_MORE
    return a + b;
}

/* x if low <= x <= high, else the nearer bound; NaN gives low. */
XIP_INLINE double xip_between(double x, double low, double high)
{
    x = x < high ? x : high;
    return x > low ? x : low;
}

/*
 * First guess: from B(0) towards the boundary of a perpetual put, Bjerksund and Stensland (1993). Its slope in
 * s sqrt(t), 2 in the paper, is that of short times where this is larger (Evans, Kuske and Keller, 2002): rates near 0
 * need it.
 */
XIP_INLINE void xip_guess(xip_puts *put, const xip_grid *grid, int node_count)
{
    for (int i = 0; i < node_count; i++) {
        double root = grid->node[i], v = root * root;

        XIP_EACH_LANE {
            double s = put->total_vol[lane], r = put->rate[lane], b = r - put->carry[lane];
            double start = xip_quick_exp(put->log_start[lane]);
            double p = b / (s * s) - 0.5;
            double beta = -p - __builtin_sqrt(XIP_FMA(p, p, 2.0 * r / (s * s)));
            double endless = xip_between(beta / (beta - 1.0), 1e-9 * start, 0.999999 * start);
            double near = 1.0 / (16.0 * 3.141592653589793 * r * r * v * v);
            double far = s * s / (8.0 * 3.141592653589793 * b * b * v);
            double late = log_(1.0 + xip_between(near < far ? near : far, 0.0, 1e300));
            double slope = __builtin_sqrt(late) + put->log_start[lane] / (s * root);
            double h = (b * v - (slope > 2.0 ? slope : 2.0) * s * root) * start / (start - endless);
            double height = log_((endless + (start - endless) * xip_quick_exp(xip_between(h, -50.0, -1e-9))) / start);

            height = height < -1e-10 ? height : -1e-10;
            put->height[i][lane] = height;
            put->square[i][lane] = height * height;
        }
    }
}

/* A new H within bounds of the old. */
XIP_INLINE void xip_move(xip_puts *put, int i, const double *fresh)
{
    XIP_EACH_LANE {
        double old = put->height[i][lane];
        double height = xip_between(fresh[lane], XIP_GROWTH_MAX * old, XIP_SHRINK_MAX * old);

        put->height[i][lane] = height;
        put->square[i][lane] = height * height;
    }
}

typedef struct {
    xip_lanes num, den;                      /* of the fixed point, B = num / den */
    xip_lanes num_own, den_own;              /* derivatives to H_i where it is the boundary at t itself */
    xip_lanes num_to_vol, den_to_vol, num_to_rate, den_to_rate;
} xip_equation;

/* What the payoff at expiry gives: terms without an integral. */
XIP_INLINE void xip_start(
    const xip_puts *put, int i, double root, int is_a, int slopes_wanted, xip_equation *restrict to)
{
    XIP_EACH_LANE {
        double s = put->total_vol[lane], v = root * root, per_root = 1.0 / root * put->per_vol[lane];
        double r = put->rate[lane], q = put->carry[lane];
        double lower = (put->height[i][lane] + put->log_start[lane]) * per_root + root * put->drift[lane];
        double upper = lower + s * root;
        double em = xip_quick_exp(XIP_FMA(-0.5 * lower, lower, -r * v));
        double ep = xip_quick_exp(XIP_FMA(-0.5 * upper, upper, -q * v));
        double held = xip_weighted_cdf(upper, ep, xip_quick_exp(-q * v));
        double fm = XIP_INV_SQRT_2PI * em * per_root, fp = XIP_INV_SQRT_2PI * ep * per_root;

        if (is_a) {
            to->num[lane] = fm;
            to->den[lane] = held + fp;
        } else {
            to->num[lane] = xip_weighted_cdf(lower, em, xip_quick_exp(-r * v));
            to->den[lane] = held;
        }
        if (slopes_wanted != XIP_NONE) {
            to->num_own[lane] = -fm * lower * per_root;
            to->den_own[lane] = fp * (1.0 - upper * per_root);
        }
        if (slopes_wanted == XIP_GREEKS) {
            double per_vol = put->per_vol[lane], call = put->is_call[lane], side = 1.0 - 2.0 * call;
            double to_rate = XIP_FMA(side, root * per_vol, put->start_to_rate[lane] * per_root);
            double bend = XIP_FMA(lower, upper, -1.0) * per_vol, spread = s * root;

            to->num_to_vol[lane] = fm * bend;
            to->den_to_vol[lane] = fp * (bend - spread * lower * per_vol);
            to->num_to_rate[lane] = -fm * XIP_FMA(lower, to_rate, (1.0 - call) * v);
            to->den_to_rate[lane] = fp * (spread - upper) * to_rate - call * v * (held + fp);
        }
    }
}

/* One point of the integrals of equation i. */
XIP_INLINE void xip_point(
    const xip_puts *put, const xip_grid *grid, int i, int k, int node_count, int is_a, int slopes_wanted,
    const double *restrict r_decay, const double *restrict q_decay, xip_equation *restrict sum,
    xip_slopes *restrict slopes)
{
    const double *row = grid->row[i][k];
    double root = grid->root[i][k], per_root = grid->per_root[i][k], weight = grid->angles.weight[k];
    double least = XIP_LEAST * grid->angles.cosine[k] * grid->angles.cosine[k];

    XIP_EACH_LANE {
        double square = xip_dot(node_count, row, &put->square[0][lane]);
        double height = put->height[i][lane], low = least * height;
        double guarded = square > low * low ? square : low * low;
        double size = __builtin_sqrt(guarded);           /* -G */
        double inverse = put->per_vol[lane] * per_root;
        double lower = XIP_FMA(height + size, inverse, root * put->drift[lane]);
        double spread = put->total_vol[lane] * root, upper = lower + spread, v = root * root;
        double em = xip_quick_exp(XIP_FMA(-0.5 * lower, lower, -put->rate[lane] * v));
        double ep = xip_quick_exp(XIP_FMA(-0.5 * upper, upper, -put->carry[lane] * v));
        double held = xip_weighted_cdf(upper, ep, q_decay[lane]);
        double fm = XIP_INV_SQRT_2PI * em * inverse, fp = XIP_INV_SQRT_2PI * ep * inverse;

        if (is_a) {
            sum->num[lane] = XIP_FMA(weight, fm, sum->num[lane]);
            sum->den[lane] = XIP_FMA(weight, held + fp, sum->den[lane]);
        } else {
            sum->num[lane] = XIP_FMA(weight, xip_weighted_cdf(lower, em, r_decay[lane]), sum->num[lane]);
            sum->den[lane] = XIP_FMA(weight, held, sum->den[lane]);
        }
        if (slopes_wanted != XIP_NONE) {
            double num_own = -weight * fm * lower * inverse, den_own = weight * fp * (1.0 - upper * inverse);

            slopes->from_num[k][lane] = num_own;
            slopes->from_den[k][lane] = den_own;
            slopes->per_lower[k][lane] = square > low * low ? -1.0 / size : 0.0;
            sum->num_own[lane] += num_own;
            sum->den_own[lane] += den_own;
        }
        if (slopes_wanted == XIP_GREEKS) {
            double per_vol = put->per_vol[lane], call = put->is_call[lane];
            double to_rate = (1.0 - 2.0 * call) * root * per_vol;
            double bend = XIP_FMA(lower, upper, -1.0) * per_vol;

            sum->num_to_vol[lane] += weight * fm * bend;
            sum->den_to_vol[lane] += weight * fp * (bend - spread * lower * per_vol);
            sum->num_to_rate[lane] -= weight * fm * XIP_FMA(lower, to_rate, (1.0 - call) * v);
            sum->den_to_rate[lane] += weight * (fp * (spread - upper) * to_rate - call * v * (held + fp));
        }
    }
}

/* exp(-r v) and exp(-q v) at all points: they do not change from round to round. */
typedef struct {
    xip_lanes of_rate[XIP_NODES][XIP_STIFF_POINTS], of_carry[XIP_NODES][XIP_STIFF_POINTS];
} xip_decays;

XIP_INLINE void xip_decay(
    const xip_puts *put, const xip_grid *grid, int node_count, int point_count, int is_a, xip_decays *restrict decays)
{
    for (int i = 0; i < node_count; i++)
        for (int k = 0; k < point_count; k++) {
            double v = grid->root[i][k] * grid->root[i][k];

            XIP_EACH_LANE decays->of_carry[i][k][lane] = xip_quick_exp(-put->carry[lane] * v);
            if (!is_a)
                XIP_EACH_LANE decays->of_rate[i][k][lane] = xip_quick_exp(-put->rate[lane] * v);
        }
}

/* Numerator and denominator of equation i, and their slopes where wanted. */
XIP_INLINE void xip_equate(
    const xip_puts *put, const xip_grid *grid, int i, int node_count, int point_count, int is_a, int slopes_wanted,
    const xip_decays *restrict decays, xip_equation *restrict whole, xip_slopes *restrict slopes)
{
    xip_equation sum;
    double span = grid->node[i] * grid->node[i];

    memset(&sum, 0, sizeof sum);
    for (int k = 0; k < point_count; k++)
        xip_point(
            put, grid, i, k, node_count, is_a, slopes_wanted, decays->of_rate[i][k], decays->of_carry[i][k], &sum,
            slopes);
    xip_start(put, i, grid->node[i], is_a, slopes_wanted, whole);
    XIP_EACH_LANE {
        double r = put->rate[lane] * span, q = put->carry[lane] * span;

        if (slopes_wanted != XIP_NONE) {
            whole->num_own[lane] = XIP_FMA(r, sum.num_own[lane], whole->num_own[lane]);
            whole->den_own[lane] = XIP_FMA(q, sum.den_own[lane], whole->den_own[lane]);
        }
        if (slopes_wanted == XIP_GREEKS) {
            double call = put->is_call[lane];

            whole->num_to_vol[lane] = XIP_FMA(r, sum.num_to_vol[lane], whole->num_to_vol[lane]);
            whole->den_to_vol[lane] = XIP_FMA(q, sum.den_to_vol[lane], whole->den_to_vol[lane]);
            whole->num_to_rate[lane] += XIP_FMA(r, sum.num_to_rate[lane], (1.0 - call) * span * sum.num[lane]);
            whole->den_to_rate[lane] += XIP_FMA(q, sum.den_to_rate[lane], call * span * sum.den[lane]);
        }
        whole->num[lane] = XIP_FMA(r, sum.num[lane], whole->num[lane]);
        whole->den[lane] = XIP_FMA(q, sum.den[lane], whole->den[lane]);
    }
}

#endif
