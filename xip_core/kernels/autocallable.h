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
 * are its derivatives, pathwise, all of them by one way back (autocallable_adjoint.h), and Sobol's points keep their
 * rate. Where no common factor is left (assets that move against each other, v < 1e-8), indicators remain, and Greeks
 * are differences of 2^-7 on common random numbers.
 *
 * Sources: P. Glasserman and J. Staum, Conditioning on one-step survival for barrier option simulations, Operations
 * Research 49 (2001), for the aim; A. Griewank, F. Kuo, H. Leoevey, I. Sloan, High dimensional integration of kinks and
 * jumps: smoothing by preintegration, J. Comput. Appl. Math. 344 (2018), for the way.
 */
#ifndef XIP_AUTOCALLABLE_H
#define XIP_AUTOCALLABLE_H

#include "autocallable_adjoint.h"

/* Not inlined: one copy of the vector code per number of assets. */
static __attribute__((noinline, unused)) void xip_note_path_1(
    xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes, xip_note_greeks *greeks)
{
    xip_note_path(1, run, at, lanes);
    if (run->is_adjoint)
        xip_note_back(1, run, at, lanes, greeks);
}

static __attribute__((noinline, unused)) void xip_note_path_2(
    xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes, xip_note_greeks *greeks)
{
    xip_note_path(2, run, at, lanes);
    if (run->is_adjoint)
        xip_note_back(2, run, at, lanes, greeks);
}

static __attribute__((noinline, unused)) void xip_note_path_3(
    xip_note_run *run, const xip_note_scenario *at, xip_note_lanes *lanes, xip_note_greeks *greeks)
{
    xip_note_path(3, run, at, lanes);
    if (run->is_adjoint)
        xip_note_back(3, run, at, lanes, greeks);
}

XIP_STATIC void xip_note_block(xip_note_run *run)
{
    xip_note_lanes lanes;
    xip_note_greeks greeks;
    int scenario, lane, i;

    xip_walk_block(&run->walk);
    xip_note_pulls(run);
    for (scenario = 0; scenario < run->scenario_count; scenario++) {
        xip_note_scenario *at = &run->scenario[scenario];

        for (lane = 0; lane < XIP_LANES; lane++) {
            lanes.ceiling[lane] = XIP_FAR;
            lanes.alive[lane] = 1.0;
            lanes.value[lane] = 0.0;
            lanes.timed[lane] = 0.0;
            lanes.life[lane] = 0.0;
        }
        if (run->asset_count == 1)
            xip_note_path_1(run, at, &lanes, &greeks);
        else if (run->asset_count == 2)
            xip_note_path_2(run, at, &lanes, &greeks);
        else
            xip_note_path_3(run, at, &lanes, &greeks);
        xip_add_lanes(&at->total[run->replicate], lanes.value);
        if (scenario == 0) {
            xip_add_lanes(&run->life[run->replicate], lanes.life);
            xip_add_lanes(&run->loss[run->replicate], lanes.loss);
        }
    }
    for (i = 0; run->is_adjoint && i < run->asset_count; i++) {
        xip_add_lanes(&run->greek[i][run->replicate], greeks.delta[i]);
        xip_add_lanes(&run->greek[XIP_ASSETS_MAX + i][run->replicate], greeks.vega[i]);
    }
    if (run->is_adjoint)
        xip_add_lanes(&run->greek[2 * XIP_ASSETS_MAX][run->replicate], greeks.rho);
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
        work += (double)(XIP_LANES * run->step_count) * (1.0 + run->scenario_count + run->is_adjoint);
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
        output[i] = run->is_adjoint ? xip_mean(run->greek[i - 2], paths, &ignored) : 0.0;
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
