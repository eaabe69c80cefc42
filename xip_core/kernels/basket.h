/*
 * European options on the worst, the best or the mean of one to three assets, on the paths of monte_carlo.h: one date,
 * a factor an asset, C = A A' (correlation.h).
 *
 *   S_i = S_i(0) exp((r - q_i - v_i^2 / 2) T + v_i sum_j A_ij W_j(T)),   pays max(B - K, 0) or max(K - B, 0),
 *   B = min S_i, max S_i or sum S_i / n
 *
 * The payoff is continuous, so Greeks are differences of 2^-20 on common random numbers: pathwise derivatives.
 *
 * Source: R. Stulz, Options on the minimum or the maximum of two risky assets, J. Financial Economics 10 (1982), for
 * the payoffs; P. Glasserman, Monte Carlo methods in financial engineering, Springer (2003), 7.1 and 7.2, for Greeks.
 */
#ifndef XIP_BASKET_H
#define XIP_BASKET_H

#include "correlation.h"

#define XIP_BASKET_SCENARIOS (2 + 2 * XIP_ASSETS_MAX)
#define XIP_BASKET_BUMP 0x1p-20
#define XIP_BASKET_VARIANCE_MAX 100.0

/* A row; field by field in the order of COLUMNS of basket.pyx. */
typedef struct {
    double asset_count, spot[3], volatility[3], dividend_yield[3], correlation_12, correlation_13, correlation_23;
    double strike, time, rate, basket_type, is_call, path_exponent, is_philox, seed;
} xip_basket;

typedef struct {
    double spot[3], volatility[3], rate, forward[3], slope[3][XIP_ASSETS_MAX], discount;
    xip_total total[XIP_REPLICATES];
} xip_basket_scenario;

typedef struct {
    xip_basket basket;
    xip_walk walk;
    int asset_count, scenario_count, replicate, first_vega, rho_scenario;
    uint64_t block_count;
    xip_basket_scenario scenario[XIP_BASKET_SCENARIOS];
} xip_basket_run;

XIP_STATIC double xip_basket_root(const xip_basket *basket, xip_square root)
{
    xip_square correlation = {
        {1.0, basket->correlation_12, basket->correlation_13},
        {basket->correlation_12, 1.0, basket->correlation_23},
        {basket->correlation_13, basket->correlation_23, 1.0}};
    double is_good;
    int i, j, count;

    if (xip_is_whole(basket->asset_count, 1.0, XIP_ASSETS_MAX) == 0.0)
        return 0.0;
    count = (int)basket->asset_count;
    is_good = is_nonnegative(basket->strike) * is_nonnegative(basket->time) * is_finite(basket->rate)
              * xip_is_whole(basket->basket_type, 0.0, 2.0) * is_flag(basket->is_call)
              * xip_is_whole(basket->path_exponent, XIP_PATH_EXPONENT_MIN, XIP_PATH_EXPONENT_MAX)
              * is_flag(basket->is_philox) * xip_is_whole(basket->seed, 0.0, 4294967295.0);
    for (i = 0; i < count; i++) {
        is_good = is_good * is_positive(basket->spot[i]) * is_finite(basket->dividend_yield[i])
                  * is_nonnegative(basket->volatility[i])
                  * in_range(
                      basket->volatility[i] * basket->volatility[i] * basket->time, 0.0, XIP_BASKET_VARIANCE_MAX);
        for (j = 0; j < i; j++)
            is_good = is_good * in_range(correlation[i][j], -1.0, 1.0);
    }
    return is_good > 0.0 ? xip_cholesky(count, correlation, root) : 0.0;
}

XIP_STATIC size_t xip_basket_size(const double *cells)
{
    xip_square root;
    xip_basket basket;

    memcpy(&basket, cells, sizeof basket);
    if (xip_basket_root(&basket, root) == 0.0)
        return 0;
    return sizeof(xip_basket_run) + xip_walk_size((int)basket.asset_count, 1) + 4096;
}

XIP_STATIC void xip_basket_prepare(const xip_basket_run *run, xip_basket_scenario *at, xip_square root)
{
    const xip_basket *basket = &run->basket;
    int i, j;

    at->discount = exp_(-at->rate * basket->time);
    for (i = 0; i < XIP_ASSETS_MAX; i++) {
        at->forward[i] = 0.0;
        if (i < run->asset_count)
            at->forward[i] = at->spot[i] * exp_(
                (at->rate - basket->dividend_yield[i] - 0.5 * at->volatility[i] * at->volatility[i]) * basket->time);
        for (j = 0; j < XIP_ASSETS_MAX; j++)
            at->slope[i][j] = i < run->asset_count && j <= i ? at->volatility[i] * root[i][j] : 0.0;
    }
}

XIP_STATIC void xip_basket_begin(
    xip_basket_run *run, const double *cells, int with_deltas, int with_vegas, int with_rho)
{
    char *arena = (char *)run + (sizeof *run + 63) / 64 * 64;
    xip_basket *basket = &run->basket;
    xip_square root;
    int count = 1, i, scenario;

    memcpy(basket, cells, sizeof *basket);
    xip_basket_root(basket, root);
    run->asset_count = (int)basket->asset_count;
    run->block_count = (uint64_t)1 << ((int)basket->path_exponent - 4 - XIP_LANE_BITS);
    for (scenario = 0; scenario < XIP_BASKET_SCENARIOS; scenario++) {
        memset(&run->scenario[scenario], 0, sizeof run->scenario[scenario]);
        memcpy(run->scenario[scenario].spot, basket->spot, sizeof basket->spot);
        memcpy(run->scenario[scenario].volatility, basket->volatility, sizeof basket->volatility);
        run->scenario[scenario].rate = basket->rate;
    }
    for (i = 0; with_deltas && i < run->asset_count; i++)
        run->scenario[count++].spot[i] *= 1.0 + XIP_BASKET_BUMP;
    run->first_vega = count;
    for (i = 0; with_vegas && i < run->asset_count; i++)
        run->scenario[count++].volatility[i] += XIP_BASKET_BUMP;
    run->rho_scenario = count;
    if (with_rho)
        run->scenario[count++].rate += XIP_BASKET_BUMP;
    run->scenario_count = count;
    for (scenario = 0; scenario < count; scenario++)
        xip_basket_prepare(run, &run->scenario[scenario], root);
    xip_walk_begin(
        &run->walk, run->asset_count, 1, 0, basket->is_philox > 0.0, (int)basket->path_exponent,
        (uint32_t)basket->seed, &basket->time, &arena);
    run->replicate = -1;
}

XIP_INLINE double xip_basket_asset(int factors, const xip_basket_scenario *at, int i, xip_lanes *position, int lane)
{
    double sum = at->slope[i][0] * position[0][lane];

    sum = factors > 1 ? __builtin_fma(at->slope[i][1], position[1][lane], sum) : sum;
    sum = factors > 2 ? __builtin_fma(at->slope[i][2], position[2][lane], sum) : sum;
    return at->forward[i] * exp_(sum);
}

XIP_INLINE void xip_basket_pay(
    int assets, const xip_basket *basket, const xip_basket_scenario *at, xip_lanes *position, double *restrict payoff)
{
    double is_best = basket->basket_type == 1.0 ? 1.0 : 0.0, is_mean = basket->basket_type == 2.0 ? 1.0 : 0.0;
    double sign = basket->is_call > 0.0 ? 1.0 : -1.0, strike = basket->strike, share = 1.0 / assets;
    double first, second, third, least, most, value;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        first = xip_basket_asset(assets, at, 0, position, lane);
        second = assets > 1 ? xip_basket_asset(assets, at, 1, position, lane) : first;
        third = assets > 2 ? xip_basket_asset(assets, at, 2, position, lane) : second;
        least = first < second ? first : second;
        least = third < least ? third : least;
        most = first > second ? first : second;
        most = third > most ? third : most;
        value = (first + (assets > 1 ? second : 0.0) + (assets > 2 ? third : 0.0)) * share;
        value = is_mean > 0.0 ? value : (is_best > 0.0 ? most : least);
        value = sign * (value - strike);
        payoff[lane] = (value > 0.0 ? value : 0.0) * at->discount;
    }
}

XIP_STATIC int xip_basket_advance(xip_basket_run *run)
{
    xip_lanes payoff;
    double work = 0.0;
    int scenario;

    while (work < XIP_SLICE_WORK) {
        if (run->replicate < 0 || run->walk.block == run->block_count) {
            if (run->replicate + 1 == XIP_REPLICATES)
                return 1;
            run->replicate++;
            xip_walk_replicate(&run->walk, (uint32_t)run->replicate);
        }
        xip_walk_block(&run->walk);
        for (scenario = 0; scenario < run->scenario_count; scenario++) {
            xip_basket_scenario *at = &run->scenario[scenario];

            if (run->asset_count == 1)
                xip_basket_pay(1, &run->basket, at, run->walk.position, payoff);
            else if (run->asset_count == 2)
                xip_basket_pay(2, &run->basket, at, run->walk.position, payoff);
            else
                xip_basket_pay(3, &run->basket, at, run->walk.position, payoff);
            xip_add_lanes(&at->total[run->replicate], payoff);
        }
        work += XIP_LANES * (1.0 + run->scenario_count);
    }
    return 0;
}

/* Outputs in the order of OUTPUTS of basket.pyx; 1.0 where all are finite. */
XIP_STATIC double xip_basket_finish(const xip_basket_run *run, double *output)
{
    double paths = (double)(run->block_count * XIP_LANES * XIP_REPLICATES), ignored, sum = 0.0;
    double pv = xip_mean(run->scenario[0].total, paths, &output[1]);
    int scenario, i;

    output[0] = pv;
    for (i = 2; i < 9; i++)
        output[i] = 0.0;
    for (scenario = 1; scenario < run->scenario_count; scenario++) {
        const xip_basket_scenario *at = &run->scenario[scenario];
        double change = xip_mean(at->total, paths, &ignored) - pv;

        if (scenario < run->first_vega) {
            i = scenario - 1;
            output[2 + i] = change / (at->spot[i] - run->basket.spot[i]);
        } else if (scenario < run->rho_scenario) {
            i = scenario - run->first_vega;
            output[5 + i] = change / (at->volatility[i] - run->basket.volatility[i]);
        } else {
            output[8] = change / (at->rate - run->basket.rate);
        }
    }
    for (i = 0; i < 9; i++)
        sum += output[i] - output[i];       /* NaN where one is not finite */
    return sum == 0.0 ? 1.0 : 0.0;
}

#endif
