/*
 * Worst-of autocallable note on one to three assets, on the paths of monte_carlo.h.
 *
 * With p_i = S_i / initial_i and w = min_i p_i, at observation k = 1 .. n, t_k = first + (k - 1) interval, while alive:
 *
 *   coupon      w(t_k) >= coupon_barrier pays coupon * notional, with memory also those missed before
 *   autocall    w(t_k) >= autocall_barrier - (k - 1) autocall_step repays the notional and ends the note
 *   at t_n      not called: the notional, or notional * w / put_strike where w(t_n) < protection_barrier
 *
 * Each payoff jumps, so differences of paths would be noise. The jumps are integrated out: all assets load on a common
 * factor without a sign change (correlation.h), so given every other normal, ln p_i(t_k) = a + b y with b >= 0 in the
 * normal y that moves that factor at t_n (the pinned one), and "w >= barrier" is "y >= a threshold". Alive, paid and
 * called are intervals of y, whose chances are normal distributions; the worst asset at t_n is a lower envelope of
 * exponentials, integrated piece by piece. What is left of a path is continuous in spot, volatility and rate: Greeks
 * are differences of 2^-20 on common random numbers, and Sobol's points keep their rate. Where no common factor is left
 * (assets that move against each other, v < 1e-8), indicators remain and the differences are of 2^-7.
 *
 * Sources: P. Glasserman and J. Staum, Conditioning on one-step survival for barrier option simulations, Operations
 * Research 49 (2001), for the aim; A. Griewank, F. Kuo, H. Leoevey, I. Sloan, High dimensional integration of kinks and
 * jumps: smoothing by preintegration, J. Comput. Appl. Math. 344 (2018), for the way.
 */
#ifndef XIP_AUTOCALLABLE_H
#define XIP_AUTOCALLABLE_H

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
    xip_lanes ceiling;      /* alive below it, in y */
    xip_lanes alive;        /* its chance */
    xip_lanes value, life, loss;
} xip_note_lanes;

/* Chance of no coupon at a date: y below the coupon's threshold. */
XIP_INLINE void xip_note_coupon(int assets, const double *offset, xip_lanes *pull, double *restrict chance)
{
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++)
        chance[lane] = normal_cdf(xip_note_threshold(assets, offset, pull, lane));
}

/* Pays the coupons due at date k; open is where a coupon of date j is still unpaid and the note alive. */
XIP_STATIC void xip_note_pay(xip_lanes *chance, int k, int has_memory, double coupon, xip_note_lanes *lanes)
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
        }
}

XIP_INLINE void xip_note_call(
    int assets, const double *offset, xip_lanes *pull, double repaid, double time, xip_note_lanes *restrict lanes)
{
    double threshold, ceiling, alive, called;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        threshold = xip_note_threshold(assets, offset, pull, lane);
        ceiling = lanes->ceiling[lane];
        ceiling = threshold < ceiling ? threshold : ceiling;
        alive = normal_cdf(ceiling);
        called = lanes->alive[lane] - alive;
        lanes->value[lane] = __builtin_fma(repaid, called, lanes->value[lane]);
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
    xip_note_lanes *restrict lanes)
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
    }
}

XIP_INLINE void xip_note_path(int assets, xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes)
{
    const xip_note *note = &run->note;
    int last = run->step_count - 1, k;
    double coupons, worst = at->discount[last] / note->put_strike;

    for (k = 0; k <= last; k++) {
        xip_lanes *pull = &run->walk.position[k * run->factor_count];

        coupons = 0.0;                      /* paid with every call where the barriers are one */
        if (run->has_own_coupon_barrier) {
            xip_note_coupon(assets, at->coupon_offset[k], pull, run->coupon_chance[k]);
            xip_note_pay(run->coupon_chance, k, run->has_memory, at->discount[k] * note->coupon, lanes);
        } else {
            coupons = run->has_memory ? note->coupon * (double)(k + 1) : note->coupon;
        }
        xip_note_call(assets, at->call_offset[k], pull, at->discount[k] * (1.0 + coupons), run->time[k], lanes);
    }
    {
        xip_lanes *pull = &run->walk.position[last * run->factor_count];

        xip_note_mature(assets, at->protection_offset, pull, at->discount[last], run->time[last], lanes);
        xip_note_worst(assets, 0, 1, 2, at, pull, worst, lanes);
        if (assets > 1)
            xip_note_worst(assets, 1, 0, 2, at, pull, worst, lanes);
        if (assets > 2)
            xip_note_worst(assets, 2, 0, 1, at, pull, worst, lanes);
    }
}

/* Not inlined: one copy of the vector code per number of assets. */
static __attribute__((noinline, unused)) void xip_note_path_1(
    xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes)
{
    xip_note_path(1, run, at, lanes);
}

static __attribute__((noinline, unused)) void xip_note_path_2(
    xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes)
{
    xip_note_path(2, run, at, lanes);
}

static __attribute__((noinline, unused)) void xip_note_path_3(
    xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes)
{
    xip_note_path(3, run, at, lanes);
}

XIP_STATIC void xip_note_block(xip_note_run *run)
{
    xip_note_lanes lanes;
    int scenario, lane;

    xip_walk_block(&run->walk);
    xip_note_pulls(run);
    for (scenario = 0; scenario < run->scenario_count; scenario++) {
        xip_note_scenario *at = &run->scenario[scenario];

        for (lane = 0; lane < XIP_LANES; lane++) {
            lanes.ceiling[lane] = XIP_FAR;
            lanes.alive[lane] = 1.0;
            lanes.value[lane] = 0.0;
            lanes.life[lane] = 0.0;
        }
        if (run->asset_count == 1)
            xip_note_path_1(run, at, &lanes);
        else if (run->asset_count == 2)
            xip_note_path_2(run, at, &lanes);
        else
            xip_note_path_3(run, at, &lanes);
        xip_add_lanes(&at->total[run->replicate], lanes.value);
        if (scenario == 0) {
            xip_add_lanes(&run->life[run->replicate], lanes.life);
            xip_add_lanes(&run->loss[run->replicate], lanes.loss);
        }
    }
}

/* Walks on until the row is done, 1, or a slice of work is, 0. */
XIP_STATIC int xip_note_advance(xip_note_run *run)
{
    double work = 0.0;

    while (work < XIP_SLICE_WORK) {
        if (run->replicate < 0 || run->walk.block == run->block_count) {
            if (run->replicate + 1 == XIP_REPLICATES)
                return 1;
            run->replicate++;
            xip_walk_replicate(&run->walk, (uint32_t)run->replicate);
        }
        xip_note_block(run);
        work += (double)(XIP_LANES * run->step_count) * (1.0 + run->scenario_count);
    }
    return 0;
}

/* Outputs in the order of OUTPUTS of autocallable.pyx; 1.0 where all are finite. */
XIP_STATIC double xip_note_finish(const xip_note_run *run, double *output)
{
    double paths = (double)(run->block_count * XIP_LANES * XIP_REPLICATES), ignored, sum = 0.0;
    double pv = xip_mean(run->scenario[0].total, paths, &output[1]);
    int scenario, i;

    output[0] = pv;
    for (i = 2; i < 9; i++)
        output[i] = 0.0;
    for (scenario = 1; scenario < run->scenario_count; scenario++) {
        const xip_note_scenario *at = &run->scenario[scenario];
        double change = xip_mean(at->total, paths, &ignored) - pv;

        if (scenario < run->first_vega) {
            i = scenario - 1;
            output[2 + i] = change / (at->spot[i] - run->note.spot[i]);
        } else if (scenario < run->rho_scenario) {
            i = scenario - run->first_vega;
            output[5 + i] = change / (at->volatility[i] - run->note.volatility[i]);
        } else {
            output[8] = change / (at->rate - run->note.rate);
        }
    }
    output[9] = xip_mean(run->life, paths, &ignored);
    output[10] = xip_mean(run->loss, paths, &ignored);
    for (i = 0; i < 11; i++)
        sum += output[i] - output[i];       /* NaN where one is not finite */
    return sum == 0.0 ? 1.0 : 0.0;
}

#endif
