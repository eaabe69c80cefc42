/*
 * American puts of strike 1 with one exercise boundary, XIP_LANES at a time: rounds, Newton's method, premium, value.
 * The equations of the boundary are in american_equations.h, nodes and quadratures in american_rule.h.
 */
#ifndef XIP_AMERICAN_H
#define XIP_AMERICAN_H

#include "american_equations.h"

/* Rounds of B = num / den, all nodes at once. */
XIP_INLINE void xip_iterate(
    xip_puts *put, const xip_grid *grid, int node_count, int point_count, int is_a, int rounds,
    const xip_decays *restrict decays)
{
    xip_lanes fresh[XIP_NODES];
    xip_equation at;

    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < node_count; i++) {
            xip_equate(put, grid, i, node_count, point_count, is_a, XIP_NONE, decays, &at, NULL);
            XIP_EACH_LANE fresh[i][lane] = log_(at.num[lane] / at.den[lane]) - put->log_start[lane];
        }
        for (int i = 0; i < node_count; i++)
            xip_move(put, i, fresh[i]);
    }
}

/* The system (1 - J) x = right sides of Newton's step and of the derivatives to volatility and rate. */
typedef struct {
    xip_lanes cell[XIP_NODES][XIP_NODES], right[3][XIP_NODES];
} xip_system;

/* Row i of the system. */
XIP_INLINE void xip_linearise(
    const xip_puts *put, const xip_grid *grid, int i, int node_count, int point_count, int slopes_wanted,
    const xip_equation *at, const xip_slopes *restrict slopes, xip_system *restrict system)
{
    double span = grid->node[i] * grid->node[i];
    xip_lanes own, per_num, per_den, slope[XIP_STIFF_POINTS];

    XIP_EACH_LANE {
        per_num[lane] = 1.0 / at->num[lane];
        per_den[lane] = 1.0 / at->den[lane];
        own[lane] = at->num_own[lane] * per_num[lane] - at->den_own[lane] * per_den[lane];
        system->right[0][i][lane] = log_(at->num[lane] * per_den[lane]) - put->log_start[lane] - put->height[i][lane];
    }
    if (slopes_wanted == XIP_GREEKS)
        XIP_EACH_LANE {
            system->right[1][i][lane] = at->num_to_vol[lane] * per_num[lane] - at->den_to_vol[lane] * per_den[lane];
            system->right[2][i][lane] = at->num_to_rate[lane] * per_num[lane] - at->den_to_rate[lane] * per_den[lane]
                                        - put->start_to_rate[lane];
        }
    XIP_EACH_LANE {
        per_num[lane] *= put->rate[lane] * span;
        per_den[lane] *= put->carry[lane] * span;
    }
    for (int k = 0; k < point_count; k++)
        XIP_EACH_LANE slope[k][lane] = slopes->per_lower[k][lane] * (
            slopes->from_num[k][lane] * per_num[lane] - slopes->from_den[k][lane] * per_den[lane]);
    for (int j = 0; j < node_count; j++)
        XIP_EACH_LANE {
            double sum = 0.0;

            for (int k = 0; k < point_count; k++)
                sum = XIP_FMA(grid->row[i][k][j], slope[k][lane], sum);
            system->cell[i][j][lane] = sum * put->height[j][lane];
        }
    XIP_EACH_LANE system->cell[i][i][lane] += 1.0 - own[lane];
}

/* Elimination without exchange of rows: the matrix is near the unit matrix. */
XIP_INLINE void xip_eliminate(xip_system *restrict system, int node_count, int side_count)
{
    xip_lanes factor;

    for (int k = 0; k < node_count; k++) {
        xip_lanes per_pivot;

        XIP_EACH_LANE per_pivot[lane] = 1.0 / system->cell[k][k][lane];
        for (int j = k + 1; j < node_count; j++)
            XIP_EACH_LANE system->cell[k][j][lane] *= per_pivot[lane];
        for (int side = 0; side < side_count; side++)
            XIP_EACH_LANE system->right[side][k][lane] *= per_pivot[lane];
        for (int i = 0; i < node_count; i++) {
            if (i == k)
                continue;
            XIP_EACH_LANE factor[lane] = -system->cell[i][k][lane];
            for (int j = k + 1; j < node_count; j++)
                XIP_EACH_LANE system->cell[i][j][lane] = XIP_FMA(
                    factor[lane], system->cell[k][j][lane], system->cell[i][j][lane]);
            for (int side = 0; side < side_count; side++)
                XIP_EACH_LANE system->right[side][i][lane] = XIP_FMA(
                    factor[lane], system->right[side][k][lane], system->right[side][i][lane]);
        }
    }
}

/* One round of Newton's method with the whole matrix of fixed point A. */
XIP_INLINE void xip_newton(
    xip_puts *put, const xip_grid *grid, int node_count, int point_count, int slopes_wanted, int is_moved,
    const xip_decays *restrict decays)
{
    xip_system system;
    xip_slopes slopes;
    xip_equation at;
    xip_lanes fresh;

    for (int i = 0; i < node_count; i++) {
        xip_equate(put, grid, i, node_count, point_count, 1, slopes_wanted, decays, &at, &slopes);
        xip_linearise(put, grid, i, node_count, point_count, slopes_wanted, &at, &slopes, &system);
    }
    xip_eliminate(&system, node_count, slopes_wanted == XIP_GREEKS ? 3 : 1);
    if (slopes_wanted == XIP_GREEKS) {
        memcpy(put->to_vol, system.right[1], sizeof put->to_vol);
        memcpy(put->to_rate, system.right[2], sizeof put->to_rate);
    }
    for (int i = 0; is_moved && i < node_count; i++) {
        XIP_EACH_LANE fresh[lane] = put->height[i][lane] + system.right[0][i][lane];
        xip_move(put, i, fresh);
    }
}

/* The boundary carried over to a finer grid. */
XIP_INLINE void xip_refine(
    xip_puts *put, const double (*row)[XIP_NODES], int old_count, const xip_grid *grid, int node_count)
{
    xip_lanes fresh[XIP_NODES];

    for (int i = 0; i < node_count; i++) {
        double root = grid->node[i];

        XIP_EACH_LANE {
            double square = xip_dot(old_count, row[i], &put->square[0][lane]);
            double low = 0.3 * put->total_vol[lane] * root, chord = -0.5 * root * put->height[old_count - 1][lane];

            low = low < chord ? low : chord;
            fresh[i][lane] = -__builtin_sqrt(square > low * low ? square : low * low);
        }
    }
    for (int i = 0; i < node_count; i++)
        XIP_EACH_LANE {
            put->height[i][lane] = fresh[i][lane];
            put->square[i][lane] = fresh[i][lane] * fresh[i][lane];
        }
}

/* The European put: where pv and its derivatives begin. */
XIP_INLINE void xip_european(xip_puts *put)
{
    XIP_EACH_LANE {
        double s = put->total_vol[lane], r = put->rate[lane], q = put->carry[lane], call = put->is_call[lane];
        double lower = XIP_FMA(put->log_spot[lane], put->per_vol[lane], put->drift[lane]), upper = lower + s;
        double ep = exp_(XIP_FMA(-0.5 * upper, upper, -q));
        double cash = exp_(-r) * normal_cdf(-lower), held = exp_(-q) * normal_cdf(-upper);
        double spot = xip_quick_exp(put->log_spot[lane]);

        put->pv[lane] = cash - spot * held;
        put->european[lane] = put->pv[lane];
        put->delta[lane] = -held;
        put->gamma[lane] = XIP_INV_SQRT_2PI * ep * put->per_vol[lane] / spot;
        put->pv_to_vol[lane] = spot * XIP_INV_SQRT_2PI * ep;
        put->pv_to_rate[lane] = call * spot * held - (1.0 - call) * cash;
    }
}

/* One point of the premium of early exercise at v = root^2, where the boundary's H^2 and half its slopes are known. */
XIP_INLINE void xip_add_premium(
    xip_puts *put, int lane, double root, double per_root, double weight, double square, double least, double to_vol,
    double to_rate)
{
    double s = put->total_vol[lane], r = put->rate[lane], q = put->carry[lane], call = put->is_call[lane];
    double low = least * put->height[XIP_NODES - 1][lane], v = root * root;
    double size = __builtin_sqrt(square > low * low ? square : low * low);
    double inverse = put->per_vol[lane] * per_root, spot = xip_quick_exp(put->log_spot[lane]);
    double lower = XIP_FMA(put->log_spot[lane] - put->log_start[lane] + size, inverse, root * put->drift[lane]);
    double spread = s * root, upper = lower + spread;
    double em = xip_quick_exp(XIP_FMA(-0.5 * lower, lower, -r * v));
    double ep = xip_quick_exp(XIP_FMA(-0.5 * upper, upper, -q * v));
    double cash = weight * xip_weighted_cdf(-lower, em, xip_quick_exp(-r * v));
    double held = weight * xip_weighted_cdf(-upper, ep, xip_quick_exp(-q * v));
    double fm = r * weight * XIP_INV_SQRT_2PI * em * inverse;
    double fp = spot * q * weight * XIP_INV_SQRT_2PI * ep * inverse;
    double by_size = (square > low * low ? -1.0 : 0.0) / size;
    double boundary_to_rate = XIP_FMA(by_size, to_rate, put->start_to_rate[lane]);

    put->pv[lane] += r * cash - spot * q * held;
    put->delta[lane] += (fp - fm) / spot - q * held;
    put->gamma[lane] += (fm * XIP_FMA(lower, inverse, 1.0) + fp * (1.0 - upper * inverse)) / (spot * spot);
    put->pv_to_vol[lane] += spread * put->per_vol[lane] * (fm * upper - fp * lower) + (fm - fp) * by_size * to_vol;
    put->pv_to_rate[lane] += (1.0 - call) * (1.0 - r * v) * cash - call * (1.0 - q * v) * spot * held
                             + (fm - fp) * (boundary_to_rate - (1.0 - 2.0 * call) * v);
}

/* The premium of an ordinary row: one rule in the angle. */
XIP_INLINE void xip_smooth_premium(xip_puts *put)
{
    for (int k = 0; k < XIP_PREMIUM_POINTS; k++) {
        double root = xip_premium.sine[k], cosine = xip_premium.cosine[k], per_root = 1.0 / root;

        XIP_EACH_LANE xip_add_premium(
            put, lane, root, per_root, xip_premium.weight[k],
            xip_dot(XIP_NODES, xip_premium_row[k], &put->square[0][lane]), XIP_LEAST * cosine * cosine,
            xip_dot(XIP_NODES, xip_premium_row[k], &put->to_vol[0][lane]),
            xip_dot(XIP_NODES, xip_premium_row[k], &put->to_rate[0][lane]));
    }
}

/* A point of a stiff row's premium: the boundary interpolated where this lane needs it. */
XIP_INLINE void xip_anywhere(xip_puts *put, int lane, double v, double weight)
{
    double cosine = __builtin_sqrt(1.0 - v), root = __builtin_sqrt(v);
    double total = 0.5 / cosine, square = 0.0, to_vol = 0.0, to_rate = 0.0, sign = -1.0;

    for (int j = 0; j < XIP_NODES; j++) {
        double gap = cosine - xip_stiff_grid.node[j];
        double part = sign * (j == XIP_NODES - 1 ? 0.5 : 1.0) / (gap * gap > 1e-28 ? gap : 1e-14);

        total += part;
        square = XIP_FMA(part, put->square[j][lane], square);
        to_vol = XIP_FMA(part, put->to_vol[j][lane], to_vol);
        to_rate = XIP_FMA(part, put->to_rate[j][lane], to_rate);
        sign = -sign;
    }
    xip_add_premium(
        put, lane, root, 1.0 / root, weight, square / total, XIP_LEAST * cosine * cosine, to_vol / total,
        to_rate / total);
}

/*
 * The premium where drift is at least 14 times volatility: the integrand is nearly a step, where the forward meets the
 * boundary if it falls and at once if it rises. One panel of the rule lies in sqrt(v) before the step, or over it, one
 * around it, one in sqrt(u) after.
 */
XIP_INLINE void xip_stepped_premium(xip_puts *put)
{
    xip_lanes left, right;

    XIP_EACH_LANE {
        double fall = put->carry[lane] - put->rate[lane], per_fall = 1.0 / fall;
        double away = put->log_spot[lane] - put->log_start[lane], ease = put->total_vol[lane] * per_fall;
        double met = fall > 0.0 && away > 0.0 ? away * per_fall : 0.0, width = 6.0 * ease * __builtin_sqrt(met);
        double early = 60.0 * ease * ease;

        left[lane] = fall > 0.0 ? xip_between(met - width, 1e-6, 1.0 - 3e-6) : xip_between(early, 1e-9, 0.25);
        right[lane] = fall > 0.0 ? xip_between(met + width, left[lane] + 1e-6, 1.0 - 1e-6) : 0.75;
    }
    for (int k = 0; k < XIP_PANEL_POINTS; k++) {
        double place = xip_panel.place[k], share = xip_panel.share[k];

        XIP_EACH_LANE xip_anywhere(put, lane, left[lane] * place * place, 2.0 * share * place * left[lane]);
        XIP_EACH_LANE xip_anywhere(
            put, lane, XIP_FMA(right[lane] - left[lane], place, left[lane]), share * (right[lane] - left[lane]));
        XIP_EACH_LANE xip_anywhere(
            put, lane, XIP_FMA(right[lane] - 1.0, place * place, 1.0), 2.0 * share * place * (1.0 - right[lane]));
    }
}

/* From the boundary's derivatives to those of H^2 / 2, which interpolate. */
XIP_INLINE void xip_halve_squares(xip_puts *put)
{
    for (int i = 0; i < XIP_NODES; i++)
        XIP_EACH_LANE {
            put->to_vol[i][lane] *= put->height[i][lane];
            put->to_rate[i][lane] *= put->height[i][lane];
        }
}

XIP_INLINE void xip_prepare(xip_puts *put)
{
    XIP_EACH_LANE {
        double r = put->rate[lane], q = put->carry[lane], s = put->total_vol[lane], call = put->is_call[lane];
        double waits = q > r ? 1.0 : 0.0;               /* then B(0) is r / q, not the strike */

        put->per_vol[lane] = 1.0 / s;
        put->drift[lane] = (r - q) / s - 0.5 * s;
        put->log_start[lane] = waits > 0.0 ? log_(r / q) : 0.0;
        put->start_to_rate[lane] = waits > 0.0 ? (1.0 - call) / r - call / q : 0.0;
    }
}

/*
 * Rows of small drift. Where r is somewhat below q the boundary turns at a short time from r / q downwards, and is
 * found by a second round of Newton's method on the fine grid; is_bent asks for it.
 */
static void xip_solve_ordinary(xip_puts *put, int is_bent)
{
    xip_decays decays;

    xip_prepare(put);
    xip_guess(put, &xip_coarse_grid, XIP_COARSE);
    xip_decay(put, &xip_coarse_grid, XIP_COARSE, XIP_COARSE_POINTS, 1, &decays);
    xip_iterate(put, &xip_coarse_grid, XIP_COARSE, XIP_COARSE_POINTS, 1, XIP_COARSE_ROUNDS, &decays);
    xip_refine(put, xip_to_middle, XIP_COARSE, &xip_middle_grid, XIP_MIDDLE);
    xip_decay(put, &xip_middle_grid, XIP_MIDDLE, XIP_MIDDLE_POINTS, 1, &decays);
    xip_iterate(put, &xip_middle_grid, XIP_MIDDLE, XIP_MIDDLE_POINTS, 1, XIP_MIDDLE_ROUNDS, &decays);
    xip_newton(put, &xip_middle_grid, XIP_MIDDLE, XIP_MIDDLE_POINTS, XIP_NEWTON, 1, &decays);
    xip_refine(put, xip_to_fine, XIP_MIDDLE, &xip_fine_grid, XIP_NODES);
    xip_decay(put, &xip_fine_grid, XIP_NODES, XIP_POINTS, 1, &decays);
    if (is_bent)
        xip_newton(put, &xip_fine_grid, XIP_NODES, XIP_POINTS, XIP_NEWTON, 1, &decays);
    xip_newton(put, &xip_fine_grid, XIP_NODES, XIP_POINTS, XIP_GREEKS, 1, &decays);
    xip_halve_squares(put);
    xip_european(put);
    xip_smooth_premium(put);
    XIP_EACH_LANE put->boundary[lane] = xip_quick_exp(put->height[XIP_NODES - 1][lane] + put->log_start[lane]);
}

/* Rows whose drift over the life of the option is large against volatility: A diverges, B contracts. */
static void xip_solve_stiff(xip_puts *put, int is_stepped)
{
    xip_decays decays;

    xip_prepare(put);
    xip_guess(put, &xip_stiff_grid, XIP_NODES);
    xip_decay(put, &xip_stiff_grid, XIP_NODES, XIP_STIFF_POINTS, 0, &decays);
    xip_iterate(put, &xip_stiff_grid, XIP_NODES, XIP_STIFF_POINTS, 0, XIP_STIFF_ROUNDS, &decays);
    xip_newton(put, &xip_stiff_grid, XIP_NODES, XIP_STIFF_POINTS, XIP_GREEKS, 0, &decays);
    xip_halve_squares(put);
    xip_european(put);
    if (is_stepped)
        xip_stepped_premium(put);
    else
        xip_smooth_premium(put);
    XIP_EACH_LANE put->boundary[lane] = xip_quick_exp(put->height[XIP_NODES - 1][lane] + put->log_start[lane]);
}

#endif
