/*
 * The payoff of equity.autocallable on a block of paths, 64 lanes side by side. Theory: autocallable.h.
 */
#ifndef XIP_AUTOCALLABLE_PATH_H
#define XIP_AUTOCALLABLE_PATH_H

#include "autocallable_row.h"

/* Positions of the factors at a date become pulls of the assets, in place; assets and factors are constants here. */
XIP_INLINE double xip_note_dot(int factors, const double *c, double first, double second, double third, double fourth)
{
    double sum = c[0] * first;

    sum = factors > 1 ? __builtin_fma(c[1], second, sum) : sum;
    sum = factors > 2 ? __builtin_fma(c[2], third, sum) : sum;
    return factors > 3 ? __builtin_fma(c[3], fourth, sum) : sum;
}

XIP_INLINE void xip_note_pull(int assets, int factors, double (*coefficient)[XIP_FACTORS_MAX], xip_lanes *at)
{
    double first, second, third, fourth;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        first = at[0][lane];
        second = factors > 1 ? at[1][lane] : 0.0;
        third = factors > 2 ? at[2][lane] : 0.0;
        fourth = factors > 3 ? at[3][lane] : 0.0;
        at[0][lane] = xip_note_dot(factors, coefficient[0], first, second, third, fourth);
        if (assets > 1)
            at[1][lane] = xip_note_dot(factors, coefficient[1], first, second, third, fourth);
        if (assets > 2)
            at[2][lane] = xip_note_dot(factors, coefficient[2], first, second, third, fourth);
    }
}

XIP_STATIC void xip_note_pulls(xip_note_run *run)
{
    int shape = run->asset_count * 2 + (run->factor_count > run->asset_count), k;

    for (k = 0; k < run->step_count; k++) {
        xip_lanes *at = &run->walk.position[k * run->factor_count];

        switch (shape) {
        case 2: xip_note_pull(1, 1, run->pull[k], at); break;
        case 3: xip_note_pull(1, 2, run->pull[k], at); break;
        case 4: xip_note_pull(2, 2, run->pull[k], at); break;
        case 5: xip_note_pull(2, 3, run->pull[k], at); break;
        case 6: xip_note_pull(3, 3, run->pull[k], at); break;
        default: xip_note_pull(3, 4, run->pull[k], at); break;
        }
    }
}

/* The y from which on every asset is above its barrier. */
XIP_INLINE double xip_note_threshold(int assets, const double *offset, xip_lanes *pull, int lane)
{
    double threshold = offset[0] - pull[0][lane];
    double second = assets > 1 ? offset[1] - pull[1][lane] : threshold;
    double third = assets > 2 ? offset[2] - pull[2][lane] : threshold;

    threshold = second > threshold ? second : threshold;
    return third > threshold ? third : threshold;
}

/* What the lanes of a block carry from date to date. */
typedef struct {
    xip_lanes ceiling;      /* alive below it, in y; at last, of a loss */
    xip_lanes alive;        /* its chance */
    xip_lanes value, timed, life, loss;     /* timed: payments times their dates */
    xip_lanes low[XIP_ASSETS_MAX], high[XIP_ASSETS_MAX], part[XIP_ASSETS_MAX];     /* pieces of the envelope */
} xip_note_lanes;

typedef struct {
    xip_lanes delta[XIP_ASSETS_MAX], vega[XIP_ASSETS_MAX], rho;
} xip_note_greeks;

/* Chance of no coupon at a date: y below the coupon's threshold. */
XIP_INLINE void xip_note_coupon(
    int assets, const double *offset, xip_lanes *pull, double *restrict chance, double *restrict density)
{
    double at_threshold;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        chance[lane] = xip_normal_cdf_pdf(xip_note_threshold(assets, offset, pull, lane), &at_threshold);
        density[lane] = at_threshold;
    }
}

/* Pays the coupons due at date k; open is where a coupon of date j is still unpaid and the note alive. */
XIP_STATIC void xip_note_pay(
    xip_lanes *chance, int k, int has_memory, double coupon, double time, xip_note_lanes *lanes)
{
    xip_lanes open;
    double due;
    int lane, j;

    for (lane = 0; lane < XIP_LANES; lane++)
        open[lane] = lanes->alive[lane];
    for (j = k; j >= (has_memory ? 0 : k); j--)
        for (lane = 0; lane < XIP_LANES; lane++) {
            due = j == k ? open[lane] : chance[j][lane];
            open[lane] = due < open[lane] ? due : open[lane];
            due = open[lane] - chance[k][lane];
            due = due > 0.0 ? due : 0.0;
            lanes->value[lane] = __builtin_fma(coupon, due, lanes->value[lane]);
            lanes->timed[lane] = __builtin_fma(coupon * time, due, lanes->timed[lane]);
        }
}

XIP_INLINE void xip_note_call(
    int assets, const double *offset, xip_lanes *pull, double repaid, double time, double *restrict density,
    xip_note_lanes *restrict lanes)
{
    double threshold, ceiling, alive, called, at_ceiling;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        threshold = xip_note_threshold(assets, offset, pull, lane);
        ceiling = lanes->ceiling[lane];
        ceiling = threshold < ceiling ? threshold : ceiling;
        alive = xip_normal_cdf_pdf(ceiling, &at_ceiling);
        density[lane] = at_ceiling;
        called = lanes->alive[lane] - alive;
        lanes->value[lane] = __builtin_fma(repaid, called, lanes->value[lane]);
        lanes->timed[lane] = __builtin_fma(repaid * time, called, lanes->timed[lane]);
        lanes->life[lane] = __builtin_fma(time, called, lanes->life[lane]);
        lanes->ceiling[lane] = ceiling;
        lanes->alive[lane] = alive;
    }
}

/* The ceiling becomes that of a loss; what is repaid in full is paid. */
XIP_INLINE void xip_note_mature(
    int assets, const double *offset, xip_lanes *pull, double repaid, double time, xip_note_lanes *restrict lanes)
{
    double threshold, ceiling, loss;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        threshold = xip_note_threshold(assets, offset, pull, lane);
        ceiling = lanes->ceiling[lane];
        ceiling = threshold < ceiling ? threshold : ceiling;
        loss = normal_cdf(ceiling);
        lanes->value[lane] = __builtin_fma(repaid, lanes->alive[lane] - loss, lanes->value[lane]);
        lanes->timed[lane] = __builtin_fma(repaid * time, lanes->alive[lane] - loss, lanes->timed[lane]);
        lanes->life[lane] = __builtin_fma(time, lanes->alive[lane], lanes->life[lane]);
        lanes->ceiling[lane] = ceiling;
        lanes->loss[lane] = loss;
    }
}

/* Asset i against another: where i is the worse of the two, an interval of y. */
typedef struct {
    const double *pull;
    double mean, slope, inverse, is_steeper, is_level, has_first;
} xip_note_rival;

XIP_INLINE xip_note_rival xip_note_against(const xip_note_scenario *at, xip_lanes *pull, int i, int j)
{
    double gap = at->slope[i] - at->slope[j];
    double is_level = gap == 0.0 ? 1.0 : 0.0;

    return (xip_note_rival){
        pull[j], at->mean[j], at->slope[j], is_level > 0.0 ? 0.0 : 1.0 / gap, gap >= 0.0 ? 1.0 : 0.0, is_level,
        j < i ? 1.0 : 0.0};
}

XIP_INLINE void xip_note_clip(xip_note_rival rival, double log_worst, int lane, double *low, double *high)
{
    double gap = __builtin_fma(rival.slope, rival.pull[lane], rival.mean) - log_worst;
    double always = rival.has_first > 0.0 ? (gap > 0.0 ? XIP_FAR : -XIP_FAR) : (gap >= 0.0 ? XIP_FAR : -XIP_FAR);
    double cross = rival.is_level > 0.0 ? always : gap * rival.inverse;
    double least = cross < *high ? cross : *high;
    double most = cross > *low ? cross : *low;

    *high = rival.is_steeper > 0.0 ? least : *high;
    *low = rival.is_steeper > 0.0 ? *low : most;
}

/* Asset i's piece of the lower envelope: the integral of exp(a + b y) n(y) where it is the worst, below the ceiling. */
XIP_INLINE void xip_note_worst(
    int assets, int i, int j, int k, const xip_note_scenario *at, xip_lanes *pull, double repaid,
    double time, xip_note_lanes *restrict lanes)
{
    const double *own = pull[i];
    double slope = at->slope[i], mean = at->mean[i], log_worst, low, high, part;
    xip_note_rival second = xip_note_against(at, pull, i, j), third = xip_note_against(at, pull, i, k);
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        log_worst = __builtin_fma(slope, own[lane], mean);
        low = -XIP_FAR;
        high = lanes->ceiling[lane];
        if (assets > 1)
            xip_note_clip(second, log_worst, lane, &low, &high);
        if (assets > 2)
            xip_note_clip(third, log_worst, lane, &low, &high);
        part = normal_cdf(high - slope) - (assets > 1 ? normal_cdf(low - slope) : 0.0);
        part = part > 0.0 ? part : 0.0;
        part = part * exp_(__builtin_fma(0.5 * slope, slope, log_worst));
        lanes->value[lane] = __builtin_fma(repaid, part, lanes->value[lane]);
        lanes->timed[lane] = __builtin_fma(repaid * time, part, lanes->timed[lane]);
        lanes->low[i][lane] = low;
        lanes->high[i][lane] = high;
        lanes->part[i][lane] = part;
    }
}

/* Coupons paid with a call, as a fraction: where the barriers are one. */
XIP_INLINE double xip_note_with_call(const xip_note_run *run, int k)
{
    double coupons = run->has_memory ? run->note.coupon * (double)(k + 1) : run->note.coupon;

    return run->has_own_coupon_barrier ? 0.0 : coupons;
}

XIP_INLINE void xip_note_path(int assets, xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes)
{
    const xip_note *note = &run->note;
    int last = run->step_count - 1, k;
    double worst = at->discount[last] / note->put_strike, time = run->time[last], repaid;
    xip_lanes *pull;

    for (k = 0; k <= last; k++) {
        pull = &run->walk.position[k * run->factor_count];
        memcpy(run->ceiling[k], lanes->ceiling, sizeof lanes->ceiling);
        memcpy(run->alive[k], lanes->alive, sizeof lanes->alive);
        if (run->has_own_coupon_barrier) {
            xip_note_coupon(assets, at->coupon_offset[k], pull, run->coupon_chance[k], run->coupon_density[k]);
            xip_note_pay(
                run->coupon_chance, k, run->has_memory, at->discount[k] * note->coupon, run->time[k], lanes);
        }
        repaid = at->discount[k] * (1.0 + xip_note_with_call(run, k));
        xip_note_call(assets, at->call_offset[k], pull, repaid, run->time[k], run->call_density[k], lanes);
    }
    memcpy(run->ceiling[last + 1], lanes->ceiling, sizeof lanes->ceiling);
    pull = &run->walk.position[last * run->factor_count];
    xip_note_mature(assets, at->protection_offset, pull, at->discount[last], time, lanes);
    xip_note_worst(assets, 0, 1, 2, at, pull, worst, time, lanes);
    if (assets > 1)
        xip_note_worst(assets, 1, 0, 2, at, pull, worst, time, lanes);
    if (assets > 2)
        xip_note_worst(assets, 2, 0, 1, at, pull, worst, time, lanes);
}

#endif
