/*
 * Newton's method for the system of one curve, XIP_LANES scenarios side by side. See calibration.pyx for the theory.
 *
 * Arrays of numbers per scenario have XIP_LANES neighbours; every operation is elementwise over them, so a scenario's
 * bytes depend neither on its lane nor on its neighbours: these only decide how often a loop runs, and a lane that has
 * stopped takes no step more.
 */
#ifndef XIP_CALIBRATION_H
#define XIP_CALIBRATION_H

#include "elementary.h"

#define XIP_LANES 8
#define XIP_ROUNDS_MAX 25         /* Newton needs 1 to 4; a system that needs more has no solution nearby */
#define XIP_PILLAR_STEP_MAX 1e-6  /* the last step of a pillar: Halley's error is its cube */
#define XIP_BLOCK_STEP_MAX 1e-9   /* the last step of a block: Newton's error is its square */
#define XIP_STEP_LIMIT 2.0        /* in a log discount factor; keeps the first steps of a hopeless system finite */

typedef struct {
    int32_t factor_count, own_begin, knot_count, block_count, exponential_count;
    const int32_t *block_begin;                       /* knots of block b: block_begin[b] to block_begin[b + 1] */
    const int32_t *group_begin;                       /* exponentials whose last knot is in block b: group b + 1 */
    const int32_t *fixed_begin, *fixed_place;         /* exponents: factors known before the block is solved */
    const double *fixed_weight;
    const int32_t *own_pair_begin, *own_pair_knot;    /* and knots of the block */
    const double *own_pair_weight;
    const int32_t *settled_begin, *settled_source;    /* sums of an instrument over earlier groups */
    const double *settled_plain, *settled_quoted;
    const int32_t *live_begin, *live_source;          /* and over the group of its own block */
    const double *live_plain, *live_quoted;
} xip_system;

typedef struct {                                      /* XIP_LANES values per entry */
    double *factor;                                   /* (factor_count): market, own knots among them */
    double *quote;                                    /* (knot_count) */
    double *exponent;                                 /* (exponential_count): part that is known */
    double *exponential;
    double *constant;                                 /* (knot_count): sums over settled exponentials */
    double *residual;                                 /* (knot_count) */
    double *jacobian;                                 /* (k_max, k_max) of the largest block */
    double *step;                                     /* (k_max) */
    double alive[XIP_LANES], rounds[XIP_LANES];
} xip_lanes;

#define FOR_LANES for (int s = 0; s < XIP_LANES; s++)

/* Sums of a residual over what is settled: constant + quote * quoted constant. */
static void xip_settle_row(const xip_system *system, xip_lanes *lanes, int row)
{
    double plain[XIP_LANES], quoted[XIP_LANES];
    const double *quote = lanes->quote + row * XIP_LANES;
    double *constant = lanes->constant + row * XIP_LANES;

    FOR_LANES plain[s] = quoted[s] = 0.0;
    for (int t = system->settled_begin[row]; t < system->settled_begin[row + 1]; t++) {
        const double *value = lanes->exponential + system->settled_source[t] * XIP_LANES;
        double a = system->settled_plain[t], b = system->settled_quoted[t];

        FOR_LANES plain[s] = __builtin_fma(a, value[s], plain[s]);
        FOR_LANES quoted[s] = __builtin_fma(b, value[s], quoted[s]);
    }
    FOR_LANES constant[s] = __builtin_fma(quote[s], quoted[s], plain[s]);
}

/* The part of each exponent of a group that does not move while its block is solved. */
static void xip_fix_exponents(const xip_system *system, xip_lanes *lanes, int group)
{
    for (int e = system->group_begin[group]; e < system->group_begin[group + 1]; e++) {
        double sum[XIP_LANES];

        FOR_LANES sum[s] = 0.0;
        for (int pair = system->fixed_begin[e]; pair < system->fixed_begin[e + 1]; pair++) {
            const double *factor = lanes->factor + system->fixed_place[pair] * XIP_LANES;
            double weight = system->fixed_weight[pair];

            FOR_LANES sum[s] = __builtin_fma(weight, factor[s], sum[s]);
        }
        FOR_LANES lanes->exponent[e * XIP_LANES + s] = sum[s];
    }
}

/* Exponentials of a group at the knots as they stand. */
static void xip_raise(const xip_system *system, xip_lanes *lanes, int group)
{
    for (int e = system->group_begin[group]; e < system->group_begin[group + 1]; e++) {
        double sum[XIP_LANES];

        FOR_LANES sum[s] = lanes->exponent[e * XIP_LANES + s];
        for (int pair = system->own_pair_begin[e]; pair < system->own_pair_begin[e + 1]; pair++) {
            const double *knot = lanes->factor + (system->own_begin + system->own_pair_knot[pair]) * XIP_LANES;
            double weight = system->own_pair_weight[pair];

            FOR_LANES sum[s] = __builtin_fma(weight, knot[s], sum[s]);
        }
        FOR_LANES lanes->exponential[e * XIP_LANES + s] = exp_(sum[s]);
    }
}

/* Residual of an instrument from exponentials as they stand. */
static void xip_row_residual(const xip_system *system, xip_lanes *lanes, int row)
{
    const double *quote = lanes->quote + row * XIP_LANES, *constant = lanes->constant + row * XIP_LANES;
    double sum[XIP_LANES];

    FOR_LANES sum[s] = constant[s];
    for (int t = system->live_begin[row]; t < system->live_begin[row + 1]; t++) {
        const double *value = lanes->exponential + system->live_source[t] * XIP_LANES;
        double a = system->live_plain[t], b = system->live_quoted[t];

        FOR_LANES sum[s] = __builtin_fma(__builtin_fma(quote[s], b, a), value[s], sum[s]);
    }
    FOR_LANES lanes->residual[row * XIP_LANES + s] = lanes->alive[s] > 0.0 ? sum[s]
                                                                         : lanes->residual[row * XIP_LANES + s];
}

/*
 * One instrument, one unknown x: r(x) = c + sum_e a_e exp(d_e + u_e x). Halley's step uses the second derivative, which
 * costs one more fma an exponential and saves a round of exponentials.
 * Returns through *last* the step that x still has to take, so that exponentials and x belong together until the end.
 */
static void xip_pillar_rounds(const xip_system *system, xip_lanes *lanes, int row, double *x, double *last)
{
    const double *quote = lanes->quote + row * XIP_LANES, *constant = lanes->constant + row * XIP_LANES;
    double *residual = lanes->residual + row * XIP_LANES;
    double active[XIP_LANES], fits[XIP_LANES];
    int first = system->live_begin[row], end = system->live_begin[row + 1];

    FOR_LANES active[s] = lanes->alive[s];
    FOR_LANES fits[s] = 0.0;
    FOR_LANES last[s] = 0.0;
    for (int round = 1; round <= XIP_ROUNDS_MAX; round++) {
        double r[XIP_LANES], r1[XIP_LANES], r2[XIP_LANES], any = 0.0;

        FOR_LANES r[s] = constant[s];
        FOR_LANES r1[s] = r2[s] = 0.0;
        for (int t = first; t < end; t++) {
            int e = system->live_source[t];
            const double *exponent = lanes->exponent + e * XIP_LANES;
            double u = system->own_pair_weight[system->own_pair_begin[e]];
            double a = system->live_plain[t], b = system->live_quoted[t];

            FOR_LANES {
                double value = __builtin_fma(quote[s], b, a) * exp_(__builtin_fma(u, x[s], exponent[s]));

                r[s] += value;
                r1[s] = __builtin_fma(u, value, r1[s]);
                r2[s] = __builtin_fma(u * u, value, r2[s]);
            }
        }
        FOR_LANES {
            double newton = r[s] / r1[s], bend = 0.5 * newton * r2[s] / r1[s], step, size;

            bend = bend > 0.5 ? 0.5 : bend;
            bend = bend < -1.0 ? -1.0 : bend;
            step = newton / (1.0 - bend);
            step = step > XIP_STEP_LIMIT ? XIP_STEP_LIMIT : step;
            step = step < -XIP_STEP_LIMIT ? -XIP_STEP_LIMIT : step;
            size = step < 0.0 ? -step : step;
            residual[s] = active[s] > 0.0 ? r[s] : residual[s];
            lanes->rounds[s] = active[s] > 0.0 && (double) round > lanes->rounds[s] ? (double) round : lanes->rounds[s];
            fits[s] = active[s] > 0.0 && size <= XIP_PILLAR_STEP_MAX ? 1.0 : fits[s];
            last[s] = active[s] > 0.0 && size <= XIP_PILLAR_STEP_MAX ? step : last[s];
            active[s] = size > XIP_PILLAR_STEP_MAX ? active[s] : 0.0;   /* NaN stops too */
            x[s] = active[s] > 0.0 ? x[s] - step : x[s];
        }
        FOR_LANES any = active[s] > any ? active[s] : any;
        if (!(any > 0.0))
            break;
    }
    FOR_LANES lanes->alive[s] = fits[s];
}

static void xip_solve_pillar(const xip_system *system, xip_lanes *lanes, int block)
{
    int row = system->block_begin[block];
    double *knot = lanes->factor + (system->own_begin + row) * XIP_LANES;
    double x[XIP_LANES], last[XIP_LANES];

    FOR_LANES x[s] = knot[s];
    xip_pillar_rounds(system, lanes, row, x, last);
    FOR_LANES knot[s] = x[s] - last[s];
    xip_raise(system, lanes, block + 1);
    xip_row_residual(system, lanes, row);
}

/* Elimination without pivoting: each instrument depends most on its own knot, so pivoting would choose the diagonal. */
static void xip_eliminate(double *matrix, double *right, int count)
{
#define CELL(i, j) matrix[((i) * count + (j)) * XIP_LANES + s]
    for (int k = 0; k < count; k++)
        for (int i = k + 1; i < count; i++) {
            double ratio[XIP_LANES];

            FOR_LANES ratio[s] = -CELL(i, k) / CELL(k, k);
            for (int j = k + 1; j < count; j++)
                FOR_LANES CELL(i, j) = __builtin_fma(ratio[s], CELL(k, j), CELL(i, j));
            FOR_LANES right[i * XIP_LANES + s] = __builtin_fma(ratio[s], right[k * XIP_LANES + s],
                                                              right[i * XIP_LANES + s]);
        }
    for (int k = count - 1; k >= 0; k--) {
        for (int j = k + 1; j < count; j++)
            FOR_LANES right[k * XIP_LANES + s] = __builtin_fma(-CELL(k, j), right[j * XIP_LANES + s],
                                                              right[k * XIP_LANES + s]);
        FOR_LANES right[k * XIP_LANES + s] /= CELL(k, k);
    }
#undef CELL
}

/* Residuals and Jacobian of a block of instruments that must be solved together. */
static void xip_block_derivatives(const xip_system *system, xip_lanes *lanes, int begin, int count)
{
    for (int i = 0; i < count * count * XIP_LANES; i++)
        lanes->jacobian[i] = 0.0;
    for (int row = begin; row < begin + count; row++) {
        const double *quote = lanes->quote + row * XIP_LANES;

        xip_row_residual(system, lanes, row);
        for (int t = system->live_begin[row]; t < system->live_begin[row + 1]; t++) {
            int e = system->live_source[t];
            const double *value = lanes->exponential + e * XIP_LANES;
            double a = system->live_plain[t], b = system->live_quoted[t];

            for (int pair = system->own_pair_begin[e]; pair < system->own_pair_begin[e + 1]; pair++) {
                double weight = system->own_pair_weight[pair];
                double *cell = lanes->jacobian
                    + ((row - begin) * count + system->own_pair_knot[pair] - begin) * XIP_LANES;

                FOR_LANES cell[s] = __builtin_fma(__builtin_fma(quote[s], b, a) * value[s], weight, cell[s]);
            }
        }
    }
}

static void xip_solve_block(const xip_system *system, xip_lanes *lanes, int block)
{
    int begin = system->block_begin[block], count = system->block_begin[block + 1] - begin;
    double active[XIP_LANES], fits[XIP_LANES], size[XIP_LANES], any;
    double *knots = lanes->factor + (system->own_begin + begin) * XIP_LANES;

    FOR_LANES active[s] = lanes->alive[s];
    FOR_LANES fits[s] = 0.0;
    for (int round = 1; round <= XIP_ROUNDS_MAX; round++) {
        xip_raise(system, lanes, block + 1);
        xip_block_derivatives(system, lanes, begin, count);
        for (int i = 0; i < count; i++)
            FOR_LANES lanes->step[i * XIP_LANES + s] = lanes->residual[(begin + i) * XIP_LANES + s];
        xip_eliminate(lanes->jacobian, lanes->step, count);
        FOR_LANES size[s] = 0.0;
        for (int i = 0; i < count; i++)
            FOR_LANES {
                double step = lanes->step[i * XIP_LANES + s], length;

                step = step > XIP_STEP_LIMIT ? XIP_STEP_LIMIT : step;
                step = step < -XIP_STEP_LIMIT ? -XIP_STEP_LIMIT : step;
                length = step < 0.0 ? -step : step;
                size[s] = length <= size[s] ? size[s] : length;          /* takes NaN */
                size[s] = length == length ? size[s] : length;
                knots[i * XIP_LANES + s] -= active[s] > 0.0 ? step : 0.0;
            }
        any = 0.0;
        FOR_LANES {
            lanes->rounds[s] = active[s] > 0.0 && (double) round > lanes->rounds[s] ? (double) round : lanes->rounds[s];
            fits[s] = active[s] > 0.0 && size[s] <= XIP_BLOCK_STEP_MAX ? 1.0 : fits[s];
            active[s] = size[s] > XIP_BLOCK_STEP_MAX ? active[s] : 0.0;
        }
        FOR_LANES any = active[s] > any ? active[s] : any;
        if (!(any > 0.0))
            break;
    }
    FOR_LANES lanes->alive[s] = fits[s];
    xip_raise(system, lanes, block + 1);
    for (int row = begin; row < begin + count; row++)
        xip_row_residual(system, lanes, row);
}

/* All blocks in order; alive[s] > 0 where every block was solved. */
static void xip_solve_lanes(const xip_system *system, xip_lanes *lanes)
{
    FOR_LANES lanes->alive[s] = 1.0;
    FOR_LANES lanes->rounds[s] = 0.0;
    xip_fix_exponents(system, lanes, 0);
    xip_raise(system, lanes, 0);
    for (int block = 0; block < system->block_count; block++) {
        xip_fix_exponents(system, lanes, block + 1);
        for (int row = system->block_begin[block]; row < system->block_begin[block + 1]; row++)
            xip_settle_row(system, lanes, row);
        if (system->block_begin[block + 1] - system->block_begin[block] == 1)
            xip_solve_pillar(system, lanes, block);
        else
            xip_solve_block(system, lanes, block);
    }
}

#undef FOR_LANES

#endif
