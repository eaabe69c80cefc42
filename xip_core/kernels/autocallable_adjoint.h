/*
 * Greeks of equity.autocallable, backwards through the payoff of a block: what autocallable.h adds, this takes apart.
 *
 * A path's value is made of normal distributions at thresholds, each a line offset_i - pull_i of the asset that is the
 * last above its barrier, and of pieces of the lower envelope at maturity. Pulls do not depend on spots, volatilities
 * and rate, so an adjoint reaches its asset through a derivative that is the same on every path. Which threshold is the
 * ceiling, and which date a coupon waits since, is decided by the comparisons of the way forward; between the pieces of
 * the envelope the integrand is continuous, so their ends move nothing.
 *
 * Source: M. Giles and P. Glasserman, Smoking adjoints: fast Monte Carlo Greeks, Risk 19 (2006).
 */
#ifndef XIP_AUTOCALLABLE_ADJOINT_H
#define XIP_AUTOCALLABLE_ADJOINT_H

#include "autocallable_path.h"

/* An asset's share of an adjoint, through its derivatives. */
XIP_INLINE void xip_note_credit(
    int i, double share, const xip_note_slopes *slopes, const double *to_volatility, int lane, xip_note_greeks *greeks,
    double *rho)
{
    greeks->delta[i][lane] = __builtin_fma(slopes->spot[i], share, greeks->delta[i][lane]);
    greeks->vega[i][lane] = __builtin_fma(to_volatility[i], share, greeks->vega[i][lane]);
    *rho = __builtin_fma(slopes->rate[i], share, *rho);
}

/* An adjoint of a threshold goes to the asset that sets it, the first of equals. */
XIP_INLINE void xip_note_credit_owner(
    int assets, double adjoint, const double *offset, xip_lanes *pull, const xip_note_slopes *slopes,
    const double *to_volatility, int lane, xip_note_greeks *greeks)
{
    double first = offset[0] - pull[0][lane];
    double second = assets > 1 ? offset[1] - pull[1][lane] : first;
    double third = assets > 2 ? offset[2] - pull[2][lane] : first;
    double most = second > first ? second : first;
    double of_third = third > most ? adjoint : 0.0;
    double rest = third > most ? 0.0 : adjoint;
    double of_second = second > first ? rest : 0.0;
    double of_first = second > first ? 0.0 : rest;
    double rho = greeks->rho[lane];

    xip_note_credit(0, of_first, slopes, to_volatility, lane, greeks, &rho);
    if (assets > 1)
        xip_note_credit(1, of_second, slopes, to_volatility, lane, greeks, &rho);
    if (assets > 2)
        xip_note_credit(2, of_third, slopes, to_volatility, lane, greeks, &rho);
    greeks->rho[lane] = rho;
}

/* Maturity: the pieces' own derivatives, then their common ceiling, protection's threshold or the last call's. */
XIP_INLINE void xip_note_back_piece(
    int i, const xip_note_run *run, const xip_note_scenario *at, xip_lanes *pull, double repaid,
    const xip_note_lanes *lanes, xip_note_greeks *greeks)
{
    double slope = at->slope[i], lift = run->lift[run->step_count - 1][i], time = run->time[run->step_count - 1];
    double part, moment, mean = at->mean[i], spot = repaid / at->spot[i], drift = -at->volatility[i] * time;
    const double *own = pull[i];
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        part = lanes->part[i][lane];
        moment = normal_pdf(lanes->low[i][lane] - slope) - normal_pdf(lanes->high[i][lane] - slope);
        moment = moment * exp_(__builtin_fma(0.5 * slope, slope, __builtin_fma(slope, own[lane], mean)));
        moment = __builtin_fma(slope + own[lane], part, moment);
        moment = part > 0.0 ? moment : 0.0;
        greeks->delta[i][lane] = __builtin_fma(spot, part, greeks->delta[i][lane]);
        greeks->vega[i][lane] =
            __builtin_fma(repaid, __builtin_fma(drift, part, lift * moment), greeks->vega[i][lane]);
        greeks->rho[lane] = __builtin_fma(repaid * time, part, greeks->rho[lane]);
    }
}

XIP_INLINE void xip_note_back_ceiling(
    int assets, const xip_note_run *run, const xip_note_scenario *at, xip_lanes *pull, double full, double repaid,
    const xip_note_lanes *lanes, double *restrict carry, xip_note_greeks *restrict greeks)
{
    const double *called = run->ceiling[run->step_count];
    const xip_note_slopes *slopes = &run->slopes[run->step_count - 1];
    double place, worst, second, third, jump, adjoint;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        place = lanes->ceiling[lane];
        place = place > XIP_TAIL_MAX ? XIP_TAIL_MAX : (place < -XIP_TAIL_MAX ? -XIP_TAIL_MAX : place);
        worst = __builtin_fma(at->slope[0], pull[0][lane] + place, at->mean[0]);
        second = assets > 1 ? __builtin_fma(at->slope[1], pull[1][lane] + place, at->mean[1]) : worst;
        third = assets > 2 ? __builtin_fma(at->slope[2], pull[2][lane] + place, at->mean[2]) : worst;
        worst = second < worst ? second : worst;
        worst = third < worst ? third : worst;
        jump = __builtin_fma(repaid, exp_(worst), -full);
        adjoint = lanes->ceiling[lane] < called[lane] ? jump * normal_pdf(place) : 0.0;
        carry[lane] = lanes->ceiling[lane] < called[lane] ? full : full + jump;
        xip_note_credit_owner(
            assets, adjoint, at->protection_offset, pull, slopes, run->protection_volatility, lane, greeks);
    }
}

/* Coupons of date k: adjoints of the chances at which they are missed, and of being alive. */
XIP_STATIC void xip_note_back_pay(xip_note_run *run, int k, double coupon, double *restrict carry)
{
    const double *alive = run->alive[k], *missed = run->coupon_chance[k];
    xip_lanes due, total;
    int lane, j, first = run->has_memory ? 0 : k;

    for (lane = 0; lane < XIP_LANES; lane++) {
        run->open[k][lane] = alive[lane];
        due[lane] = 0.0;
        total[lane] = 0.0;
    }
    for (j = k - 1; j >= first; j--)
        for (lane = 0; lane < XIP_LANES; lane++) {
            double later = run->open[j + 1][lane], here = run->coupon_chance[j][lane];

            run->open[j][lane] = here < later ? here : later;
        }
    for (j = first; j <= k; j++) {
        const double *open = run->open[j], *later = run->open[j < k ? j + 1 : k], *here = run->coupon_chance[j];
        double *weight = run->coupon_weight[j], is_before = j < k ? 1.0 : 0.0;

        for (lane = 0; lane < XIP_LANES; lane++) {
            double paid = open[lane] > missed[lane] ? coupon : 0.0, sum = due[lane] + paid;
            double is_own = here[lane] < later[lane] ? is_before : 0.0;

            total[lane] += paid;
            weight[lane] += is_own > 0.0 ? sum : 0.0;
            due[lane] = is_own > 0.0 ? 0.0 : sum;
        }
    }
    for (lane = 0; lane < XIP_LANES; lane++) {
        run->coupon_weight[k][lane] -= total[lane];
        carry[lane] += due[lane];
    }
}

/*
 * A call's threshold where it became the ceiling; elsewhere the earlier ceiling carries on. The chance of being alive
 * after the call is worth *repaid* less, that before it as much more.
 */
XIP_INLINE void xip_note_back_call(
    int assets, const xip_note_run *run, const xip_note_scenario *at, int k, xip_lanes *pull, double repaid,
    double *restrict carry, xip_note_greeks *restrict greeks)
{
    const double *before = run->ceiling[k], *after = run->ceiling[k + 1], *density = run->call_density[k];
    const xip_note_slopes *slopes = &run->slopes[k];
    double adjoint;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        adjoint = after[lane] < before[lane] ? carry[lane] - repaid : 0.0;
        carry[lane] = after[lane] < before[lane] ? repaid : carry[lane];
        adjoint = adjoint * density[lane];
        xip_note_credit_owner(
            assets, adjoint, at->call_offset[k], pull, slopes, slopes->call_volatility, lane, greeks);
    }
}

XIP_INLINE void xip_note_back_coupon(
    int assets, const xip_note_run *run, const xip_note_scenario *at, int k, xip_lanes *pull,
    xip_note_greeks *restrict greeks)
{
    const double *weight = run->coupon_weight[k], *density = run->coupon_density[k], *offset = at->coupon_offset[k];
    const xip_note_slopes *slopes = &run->slopes[k];
    double adjoint;
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        adjoint = weight[lane] * density[lane];
        xip_note_credit_owner(assets, adjoint, offset, pull, slopes, slopes->coupon_volatility, lane, greeks);
    }
}

/* All Greeks of a block whose way forward has just been gone. */
XIP_INLINE void xip_note_back(
    int assets, xip_note_run *run, const xip_note_scenario *at, const xip_note_lanes *lanes, xip_note_greeks *greeks)
{
    const xip_note *note = &run->note;
    int last = run->step_count - 1, k, lane;
    double worst = at->discount[last] / note->put_strike, repaid;
    xip_lanes *pull = &run->walk.position[last * run->factor_count];
    xip_lanes carry;

    memset(greeks, 0, sizeof *greeks);
    for (lane = 0; lane < XIP_LANES; lane++)
        greeks->rho[lane] = -lanes->timed[lane];
    if (run->has_own_coupon_barrier)
        memset(run->coupon_weight, 0, (size_t)run->step_count * sizeof *run->coupon_weight);
    xip_note_back_piece(0, run, at, pull, worst, lanes, greeks);
    if (assets > 1)
        xip_note_back_piece(1, run, at, pull, worst, lanes, greeks);
    if (assets > 2)
        xip_note_back_piece(2, run, at, pull, worst, lanes, greeks);
    xip_note_back_ceiling(assets, run, at, pull, at->discount[last], worst, lanes, carry, greeks);
    for (k = last; k >= 0; k--) {
        pull = &run->walk.position[k * run->factor_count];
        repaid = at->discount[k] * (1.0 + xip_note_with_call(run, k));
        xip_note_back_call(assets, run, at, k, pull, repaid, carry, greeks);
        if (run->has_own_coupon_barrier) {
            xip_note_back_pay(run, k, at->discount[k] * note->coupon, carry);
            xip_note_back_coupon(assets, run, at, k, pull, greeks);
        }
    }
}

#endif
