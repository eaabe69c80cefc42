/*
 * A row of equity.autocallable: its domain, and what every block of its paths shares. Theory: autocallable.h.
 */
#ifndef XIP_AUTOCALLABLE_ROW_H
#define XIP_AUTOCALLABLE_ROW_H

#include "correlation.h"

#define XIP_FAR 1e300                   /* thresholds beyond every normal */
#define XIP_LIFT_MIN 1e-100             /* of an asset that does not load on the common factor: its events are jumps */
#define XIP_SLOPE_MIN 1e-200            /* of an asset without volatility: its events are certain */
#define XIP_CERTAIN 1e120               /* puts what stands at its barrier above it: 1e-80 of a spot */
#define XIP_VARIANCE_MAX 100.0
#define XIP_SCENARIOS_MAX (2 + 2 * XIP_ASSETS_MAX)
#define XIP_BUMP 0x1p-7                 /* where jumps remain */
#define XIP_SLOPE_SEEN 1e-12            /* of steeper thresholds the densities vanish: no derivative */

/* A row; field by field in the order of COLUMNS of autocallable.pyx. */
typedef struct {
    double asset_count, spot[3], initial[3], volatility[3], dividend_yield[3], correlation_12, correlation_13,
        correlation_23, rate, first_observation, interval, observation_count, autocall_barrier, autocall_step,
        coupon_barrier, coupon, has_memory, protection_barrier, put_strike, notional, path_exponent, is_philox, seed;
} xip_note;

/* What a bump changes; thresholds of asset i at date k are offset[k][i] - pull[k][i][lane]. */
typedef struct {
    double spot[3], volatility[3], rate;
    double (*call_offset)[3], (*coupon_offset)[3], *discount;      /* [step] */
    double protection_offset[3], mean[3], slope[3];                 /* at t_n: ln p_i = mean + slope (pull + y) */
    xip_total total[XIP_REPLICATES];
} xip_note_scenario;

/* Derivatives of a date's offsets, by asset. */
typedef struct {
    double spot[3], rate[3], call_volatility[3], coupon_volatility[3];
} xip_note_slopes;

typedef struct {
    xip_note note;
    xip_walk walk;
    int asset_count, step_count, factor_count, scenario_count, has_own_coupon_barrier, has_memory, is_adjoint;
    int replicate, first_vega, rho_scenario;
    uint64_t block_count;
    double *time, (*lift)[3];                                       /* [step], of an asset by y, per volatility */
    double (*pull)[3][XIP_FACTORS_MAX];                             /* [step], of an asset by each factor, per lift */
    xip_lanes *coupon_chance, *ceiling, *alive;                     /* [step], of the scenario at hand */
    xip_lanes *call_density, *coupon_density;                       /* [step], at its thresholds */
    xip_lanes *coupon_weight, *open;                                /* [step], of the way back */
    xip_note_slopes *slopes;                                        /* [step] */
    double protection_volatility[3];
    xip_note_scenario scenario[XIP_SCENARIOS_MAX];
    xip_total life[XIP_REPLICATES], loss[XIP_REPLICATES], greek[2 * XIP_ASSETS_MAX + 1][XIP_REPLICATES];
} xip_note_run;

/* Number of factors, 0 where the row is outside the domain. */
XIP_STATIC int xip_note_factors(const xip_note *note, double loading[XIP_ASSETS_MAX][XIP_FACTORS_MAX])
{
    xip_square correlation = {
        {1.0, note->correlation_12, note->correlation_13},
        {note->correlation_12, 1.0, note->correlation_23},
        {note->correlation_13, note->correlation_23, 1.0}};
    double last_barrier, is_good;
    int i, j, count;

    if (xip_is_whole(note->asset_count, 1.0, XIP_ASSETS_MAX) == 0.0
        || xip_is_whole(note->observation_count, 1.0, XIP_SOBOL_DIMENSIONS / XIP_FACTORS_MAX) == 0.0)
        return 0;
    count = (int)note->asset_count;
    last_barrier = note->autocall_barrier - (note->observation_count - 1.0) * note->autocall_step;
    is_good = is_finite(note->rate) * is_nonnegative(note->first_observation) * is_positive(note->interval)
              * is_positive(note->autocall_barrier) * is_nonnegative(note->autocall_step) * is_positive(last_barrier)
              * is_nonnegative(note->coupon_barrier) * is_finite(note->coupon) * is_flag(note->has_memory)
              * is_nonnegative(note->protection_barrier) * is_positive(note->put_strike) * is_finite(note->notional)
              * xip_is_whole(note->path_exponent, XIP_PATH_EXPONENT_MIN, XIP_PATH_EXPONENT_MAX)
              * is_flag(note->is_philox) * xip_is_whole(note->seed, 0.0, 4294967295.0)
              * (note->protection_barrier <= note->put_strike ? 1.0 : 0.0);
    for (i = 0; i < count; i++) {
        is_good = is_good * is_positive(note->spot[i]) * is_positive(note->initial[i])
                  * is_finite(note->dividend_yield[i]) * is_nonnegative(note->volatility[i])
                  * in_range(
                      note->volatility[i] * note->volatility[i]
                          * (note->first_observation + (note->observation_count - 1.0) * note->interval),
                      0.0, XIP_VARIANCE_MAX);
        for (j = 0; j < i; j++)
            is_good = is_good * in_range(correlation[i][j], -1.0, 1.0);
    }
    return is_good > 0.0 ? xip_common_factor(count, correlation, loading) : 0;
}

XIP_STATIC size_t xip_note_size(const double *cells)
{
    double loading[XIP_ASSETS_MAX][XIP_FACTORS_MAX];
    xip_note note;
    size_t factors, steps, step_size;

    memcpy(&note, cells, sizeof note);
    factors = (size_t)xip_note_factors(&note, loading);
    if (factors == 0)
        return 0;
    steps = (size_t)note.observation_count;
    step_size = 7 * sizeof(xip_lanes) + sizeof(xip_note_slopes) + 8 + sizeof(double[3][1 + XIP_FACTORS_MAX])
                + XIP_SCENARIOS_MAX * 56;
    return sizeof(xip_note_run) + xip_walk_size((int)factors, (int)steps) + (steps + 2) * step_size + 16384;
}

/* ln(barrier initial / spot) less the drift, in units of the slope in y. */
XIP_INLINE double xip_note_offset(double barrier, double initial, double spot, double drift, double slope)
{
    double level = barrier * initial;
    double distance = (level >= XIP_SMALLEST_NORMAL ? log_ratio(level, spot) : -XIP_FAR) - drift;

    return slope >= XIP_SLOPE_MIN ? distance / slope : distance / XIP_SLOPE_MIN - XIP_CERTAIN;
}

XIP_STATIC void xip_note_prepare(const xip_note_run *run, xip_note_scenario *at, char **arena)
{
    const xip_note *note = &run->note;
    double drift, slope;
    int k, i;

    at->call_offset = xip_carve(arena, (size_t)run->step_count, sizeof *at->call_offset);
    at->coupon_offset = xip_carve(arena, (size_t)run->step_count, sizeof *at->coupon_offset);
    at->discount = xip_carve(arena, (size_t)run->step_count, sizeof *at->discount);
    for (k = 0; k < run->step_count; k++) {
        at->discount[k] = exp_(-at->rate * run->time[k]) * note->notional;
        for (i = 0; i < run->asset_count; i++) {
            drift = (at->rate - note->dividend_yield[i] - 0.5 * at->volatility[i] * at->volatility[i]) * run->time[k];
            slope = at->volatility[i] * run->lift[k][i];
            at->call_offset[k][i] = xip_note_offset(
                note->autocall_barrier - (double)k * note->autocall_step, note->initial[i], at->spot[i], drift, slope);
            at->coupon_offset[k][i] =
                xip_note_offset(note->coupon_barrier, note->initial[i], at->spot[i], drift, slope);
            at->protection_offset[i] =      /* the last date's stay */
                xip_note_offset(note->protection_barrier, note->initial[i], at->spot[i], drift, slope);
            at->mean[i] = log_ratio(at->spot[i], note->initial[i]) + drift;
            at->slope[i] = slope;
        }
    }
}

/* Scenario 0 is the row itself; then a spot each, a volatility each, the rate, as far as wanted. */
XIP_STATIC void xip_note_scenarios(xip_note_run *run, int with_deltas, int with_vegas, int with_rho, char **arena)
{
    int count = 1, i, scenario, is_bumped = run->factor_count > run->asset_count;

    run->is_adjoint = !is_bumped && (with_deltas || with_vegas || with_rho);
    for (scenario = 0; scenario < XIP_SCENARIOS_MAX; scenario++) {
        memset(&run->scenario[scenario], 0, sizeof run->scenario[scenario]);
        memcpy(run->scenario[scenario].spot, run->note.spot, sizeof run->note.spot);
        memcpy(run->scenario[scenario].volatility, run->note.volatility, sizeof run->note.volatility);
        run->scenario[scenario].rate = run->note.rate;
    }
    for (i = 0; is_bumped && with_deltas && i < run->asset_count; i++)
        run->scenario[count++].spot[i] *= 1.0 + XIP_BUMP;
    run->first_vega = count;
    for (i = 0; is_bumped && with_vegas && i < run->asset_count; i++)
        run->scenario[count++].volatility[i] += XIP_BUMP;
    run->rho_scenario = count;
    if (is_bumped && with_rho)
        run->scenario[count++].rate += XIP_BUMP;
    run->scenario_count = count;
    for (scenario = 0; scenario < count; scenario++)
        xip_note_prepare(run, &run->scenario[scenario], arena);
}

/* Of an offset; 0 where the density has vanished long before. */
XIP_INLINE double xip_note_to_volatility(double lag, double offset, double volatility)
{
    return in_range(offset, -1e6, 1e6) > 0.0 ? lag - offset / volatility : 0.0;
}

/* Derivatives of the row's offsets: (ln(barrier initial / spot) - (r - q - v^2 / 2) t) / (v lift). */
XIP_STATIC void xip_note_differentiate(xip_note_run *run)
{
    const xip_note_scenario *at = &run->scenario[0];
    double slope, lag;
    int k, i;

    for (k = 0; k < run->step_count; k++)
        for (i = 0; i < run->asset_count; i++) {
            xip_note_slopes *to = &run->slopes[k];
            double volatility = at->volatility[i];

            slope = volatility * run->lift[k][i];
            if (slope < XIP_SLOPE_SEEN) {
                to->spot[i] = to->rate[i] = to->call_volatility[i] = to->coupon_volatility[i] = 0.0;
                run->protection_volatility[i] = 0.0;
                continue;
            }
            lag = run->time[k] / run->lift[k][i];
            to->spot[i] = -1.0 / (at->spot[i] * slope);
            to->rate[i] = -run->time[k] / slope;
            to->call_volatility[i] = xip_note_to_volatility(lag, at->call_offset[k][i], volatility);
            to->coupon_volatility[i] = xip_note_to_volatility(lag, at->coupon_offset[k][i], volatility);
            run->protection_volatility[i] = xip_note_to_volatility(lag, at->protection_offset[i], volatility);
        }
}

XIP_STATIC void xip_note_begin(
    xip_note_run *run, const double *cells, int with_deltas, int with_vegas, int with_rho)
{
    double loading[XIP_ASSETS_MAX][XIP_FACTORS_MAX], root_time, lift;
    char *arena = (char *)run + (sizeof *run + 63) / 64 * 64;
    const xip_note *note = &run->note;
    int k, i, f;

    memcpy(&run->note, cells, sizeof run->note);
    run->factor_count = xip_note_factors(note, loading);
    run->asset_count = (int)note->asset_count;
    run->step_count = (int)note->observation_count;
    run->has_memory = note->has_memory > 0.0;
    run->has_own_coupon_barrier = note->coupon_barrier != note->autocall_barrier || note->autocall_step != 0.0;
    run->block_count = (uint64_t)1 << ((int)note->path_exponent - 4 - XIP_LANE_BITS);
    run->time = xip_carve(&arena, (size_t)run->step_count, sizeof *run->time);
    run->lift = xip_carve(&arena, (size_t)run->step_count, sizeof *run->lift);
    run->pull = xip_carve(&arena, (size_t)run->step_count, sizeof *run->pull);
    run->coupon_chance = xip_carve(&arena, (size_t)run->step_count, sizeof *run->coupon_chance);
    run->ceiling = xip_carve(&arena, (size_t)run->step_count + 1, sizeof *run->ceiling);
    run->alive = xip_carve(&arena, (size_t)run->step_count, sizeof *run->alive);
    run->coupon_weight = xip_carve(&arena, (size_t)run->step_count, sizeof *run->coupon_weight);
    run->open = xip_carve(&arena, (size_t)run->step_count, sizeof *run->open);
    run->call_density = xip_carve(&arena, (size_t)run->step_count, sizeof *run->call_density);
    run->coupon_density = xip_carve(&arena, (size_t)run->step_count, sizeof *run->coupon_density);
    run->slopes = xip_carve(&arena, (size_t)run->step_count, sizeof *run->slopes);
    for (k = 0; k < run->step_count; k++)
        run->time[k] = note->first_observation + (double)k * note->interval;
    root_time = __builtin_sqrt(run->time[run->step_count - 1]);
    for (k = 0; k < run->step_count; k++)
        for (i = 0; i < run->asset_count; i++) {
            lift = root_time > 0.0 ? loading[i][0] * (run->time[k] / root_time) : 0.0;
            lift = lift > XIP_LIFT_MIN ? lift : XIP_LIFT_MIN;
            run->lift[k][i] = run->time[k] > 0.0 ? lift : 0.0;      /* today is certain */
            for (f = 0; f < XIP_FACTORS_MAX; f++)
                run->pull[k][i][f] = f < run->factor_count ? loading[i][f] / lift : 0.0;
        }
    memset(run->life, 0, sizeof run->life);
    memset(run->loss, 0, sizeof run->loss);
    memset(run->greek, 0, sizeof run->greek);
    xip_note_scenarios(run, with_deltas, with_vegas, with_rho, &arena);
    xip_note_differentiate(run);
    xip_walk_begin(
        &run->walk, run->factor_count, run->step_count, 1, note->is_philox > 0.0, (int)note->path_exponent,
        (uint32_t)note->seed, run->time, &arena);
    run->replicate = -1;
}

#endif
