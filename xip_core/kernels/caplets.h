/*
 * Caplet volatilities from cap volatilities, XIP_CAP_LANES cells (a strike under a scenario) side by side. See caplets.pyx.
 */
#ifndef XIP_CAPLETS_H
#define XIP_CAPLETS_H

#include "elementary.h"

#define XIP_CAP_LANES 8
#define XIP_CAP_ROUNDS_MAX 12       /* damped Newton from the cap's own quote takes 3 to 5; the rest is for steep surfaces */
#define XIP_CAP_STEP_MAX 1e-9       /* the last step, relative: Newton's error is its square */
#define XIP_CAP_ERROR_MAX 1e-9      /* accepted error of a price, relative */
#define XIP_CAP_ERROR_FLOOR 1e-18

typedef struct {
    int32_t caplet_count, row_count;
    const int32_t *row_end;         /* caplets of the cap of row r: 0 to row_end[r] */
    const int32_t *left, *right;    /* nodes that a caplet's volatility lies between */
    const double *share;            /* of the right one */
    const double *root_time;
    int32_t is_normal;
} xip_cap_strip;

typedef struct {                    /* XIP_CAP_LANES values per entry */
    double *distance;               /* (caplet_count): |forward - strike|, or |ln(forward / strike)| */
    double *weight;                 /* (caplet_count): of the payment, for lognormal times the smaller of the two */
    double *quote, *node, *error, *target; /* (row_count) */
} xip_cap_lanes;

#define FOR_CAP_LANES for (int s = 0; s < XIP_CAP_LANES; s++)

/*
 * Time values of a caplet, with M the Mills ratio; both add the value and its derivative to the volatility to sums.
 *
 * Normal:      weight * s n(z) (1 - z M(z)),       z = |F - K| / s, s = volatility * sqrt(t)
 * Lognormal:   weight * n(d1) (M(-d1) - M(-d2)),   d1 = s / 2 - |ln(F / K)| / s, d2 = d1 - s; by symmetry of puts and
 *              calls the forward is the smaller one. M(-d1) = 1 / n(d1) - M(d1) where d1 > 0.
 */
XIP_INLINE void xip_add_normal(const double *distance, const double *weight, double root_time, const double *volatility,
                               double slope_share, double *value, double *slope)
{
    FOR_CAP_LANES {
        double total = volatility[s] * root_time, guarded = total > 1e-150 ? total : 1e-150;
        double z = distance[s] / guarded, density = normal_pdf(z) * weight[s];
        double time_value = total * density * (1.0 - z * mills_ratio(z));

        value[s] += time_value >= 0.0 ? time_value : 0.0 * time_value;
        slope[s] = __builtin_fma(density * root_time, slope_share, slope[s]);
    }
}

XIP_INLINE void xip_add_lognormal(const double *distance, const double *weight, double root_time,
                                  const double *volatility, double slope_share, double *value, double *slope)
{
    FOR_CAP_LANES {
        double total = volatility[s] * root_time, guarded = total > 1e-150 ? total : 1e-150;
        double d1 = 0.5 * guarded - distance[s] / guarded, d2 = d1 - (total > 1e-150 ? guarded : 0.0);
        double density = normal_pdf(d1), near = mills_ratio(d1 < 0.0 ? -d1 : d1), far = mills_ratio(-d2);
        double step = d1 >= 0.0 ? 1.0 : 0.0;
        double time_value = weight[s] * (step + density * ((d1 >= 0.0 ? -near : near) - far));

        value[s] += time_value >= 0.0 ? time_value : 0.0 * time_value;
        slope[s] = __builtin_fma(weight[s] * density * root_time, slope_share, slope[s]);
    }
}

static void xip_add_caplet(const xip_cap_strip *strip, const xip_cap_lanes *lanes, int caplet, const double *volatility,
                           double slope_share, double *value, double *slope)
{
    const double *distance = lanes->distance + caplet * XIP_CAP_LANES, *weight = lanes->weight + caplet * XIP_CAP_LANES;

    if (strip->is_normal)
        xip_add_normal(distance, weight, strip->root_time[caplet], volatility, slope_share, value, slope);
    else
        xip_add_lognormal(distance, weight, strip->root_time[caplet], volatility, slope_share, value, slope);
}

/* Sums over the caplets [first, end) at the volatilities of the nodes, of which *row* has the value *volatility*. */
static void xip_at_nodes(const xip_cap_strip *strip, const xip_cap_lanes *lanes, int first, int end, int row,
                         const double *volatility, double *value, double *slope)
{
    FOR_CAP_LANES value[s] = slope[s] = 0.0;
    for (int c = first; c < end; c++) {
        const double *low = strip->left[c] == row ? volatility : lanes->node + strip->left[c] * XIP_CAP_LANES;
        const double *high = strip->right[c] == row ? volatility : lanes->node + strip->right[c] * XIP_CAP_LANES;
        double share = strip->share[c], mixed[XIP_CAP_LANES];
        double of_row = (strip->left[c] == row ? 1.0 - share : 0.0) + (strip->right[c] == row ? share : 0.0);

        FOR_CAP_LANES mixed[s] = strip->left[c] == strip->right[c] ? low[s] : (1.0 - share) * low[s] + share * high[s];
        if (strip->left[c] == strip->right[c])
            of_row = strip->left[c] == row ? 1.0 : 0.0;
        xip_add_caplet(strip, lanes, c, mixed, of_row, value, slope);
    }
}

/* One node per cell: the volatility that gives the price left for its caplets. */
static void xip_strip_row(const xip_cap_strip *strip, xip_cap_lanes *lanes, int row, double *before)
{
    int first = row ? strip->row_end[row - 1] : 0, end = strip->row_end[row];
    const double *quote = lanes->quote + row * XIP_CAP_LANES;
    double *target = lanes->target + row * XIP_CAP_LANES, *error = lanes->error + row * XIP_CAP_LANES;
    double volatility[XIP_CAP_LANES], active[XIP_CAP_LANES], value[XIP_CAP_LANES], slope[XIP_CAP_LANES];

    FOR_CAP_LANES target[s] = slope[s] = 0.0;
    for (int c = 0; c < end; c++)
        xip_add_caplet(strip, lanes, c, quote, 0.0, target, slope);
    FOR_CAP_LANES volatility[s] = quote[s];
    FOR_CAP_LANES active[s] = 1.0;
    for (int round = 0; round < XIP_CAP_ROUNDS_MAX; round++) {
        double any = 0.0;

        xip_at_nodes(strip, lanes, first, end, row, volatility, value, slope);
        FOR_CAP_LANES {
            double step = slope[s] > 0.0 ? (value[s] - (target[s] - before[s])) / slope[s] : 0.0;
            double next = volatility[s] - step, low = 0.5 * volatility[s], high = 2.0 * volatility[s];
            double size;

            next = next < low ? low : next;
            next = next > high ? high : next;
            size = next - volatility[s];
            size = size < 0.0 ? -size : size;
            volatility[s] = active[s] > 0.0 ? next : volatility[s];
            active[s] = size > XIP_CAP_STEP_MAX * high ? active[s] : 0.0;   /* NaN stops too */
        }
        FOR_CAP_LANES any = active[s] > any ? active[s] : any;
        if (!(any > 0.0))
            break;
    }
    xip_at_nodes(strip, lanes, first, end, row, volatility, value, slope);
    FOR_CAP_LANES {
        double size;

        error[s] = value[s] - (target[s] - before[s]);
        size = error[s] < 0.0 ? -error[s] : error[s];
        lanes->node[row * XIP_CAP_LANES + s] =
            size <= XIP_CAP_ERROR_MAX * target[s] + XIP_CAP_ERROR_FLOOR ? volatility[s] : __builtin_nan("");
        before[s] += lanes->node[row * XIP_CAP_LANES + s] == lanes->node[row * XIP_CAP_LANES + s]
            ? value[s] : __builtin_nan("");
    }
}

/* All nodes in order; what is built on a node without solution is NaN. */
static void xip_strip_lanes(const xip_cap_strip *strip, xip_cap_lanes *lanes)
{
    double before[XIP_CAP_LANES];   /* time value of the caplets that are already settled */

    FOR_CAP_LANES before[s] = 0.0;
    for (int row = 0; row < strip->row_count; row++)
        xip_strip_row(strip, lanes, row, before);
}

#undef FOR_CAP_LANES

#endif
