/*
 * Blocks of Brownian paths: correlated by factors, bridged over any dates, random or quasi-random, by path index.
 *
 *   sampler      word of (path, dimension): Sobol scrambled per replicate, or Philox under the key (seed, path)
 *   bridge       dimension j F + f moves factor f at the j-th date of the bridge: the last date first, then halves, so
 *                that the sequence's best dimensions move a path most
 *   lanes        64 paths side by side; their payoffs are added as a fixed tree, blocks of a replicate one after the
 *                other with compensation: a sum does not depend on the vector width, on threads or on slices
 *   replicates   16 independent randomisations of a sixteenth of the paths each; the standard error is that of their
 *                mean, honest for Sobol and for Philox alike
 *
 * A walk may be **pinned**: the first normal, which sets the first factor at the last date, is left at 0 and its
 * dimension taken from the sequence. The payoff then integrates over it in closed form (autocallable.h).
 *
 * Sources: P. Glasserman, Monte Carlo methods in financial engineering, Springer (2003), 3.1 and 5.4; P. Jaeckel, Monte
 * Carlo methods in finance, Wiley (2002), 10.8.3, for the order of the bridge.
 */
#ifndef XIP_MONTE_CARLO_H
#define XIP_MONTE_CARLO_H

#include <stdlib.h>
#include "domain.h"
#include "sobol.h"

#define XIP_LANES 64
#define XIP_LANE_BITS 6
#define XIP_REPLICATES 16
#define XIP_PATH_EXPONENT_MIN 10            /* a block in every replicate */
#define XIP_PATH_EXPONENT_MAX 24
#define XIP_STATIC static inline __attribute__((unused))
#define XIP_SLICE_WORK 1000000              /* path-steps times scenarios between two looks at the caller: some 10 ms */

typedef double xip_lanes[XIP_LANES] __attribute__((aligned(64)));   /* a vector of eight is one line of the cache */

/* One normal of the bridge: date `at` from the dates before and after it, -1 is the origin. */
typedef struct {
    int at, left, right;
    double left_weight, right_weight, deviation;
} xip_bridge_step;

typedef struct {
    int factor_count, step_count, is_pinned, is_philox, bit_count, dimension_count;
    uint32_t seed, replicate;
    uint64_t block;                         /* of the replicate, the next to be walked */
    xip_bridge_step *bridge;                /* [step] */
    uint64_t *scrambled;                    /* [dimension][bit_count] */
    uint64_t *base;                         /* [dimension], point of the block's first lane */
    uint64_t (*lane_word)[XIP_LANES];       /* [dimension], the lanes' points; Philox: two dimensions */
    xip_lanes *position;                    /* [step][factor]: what a block's payoff reads */
    xip_lanes origin;
} xip_walk;

/* 1.0 for a whole number of the range. */
XIP_INLINE double xip_is_whole(double value, double low, double high)
{
    double is_in = in_range(value, low, high);

    return is_in > 0.0 && (double)(int64_t)value == value ? 1.0 : 0.0;
}

/* ---- memory: one arena a row, from xip_arena --------------------------------------------------------------------- */

XIP_STATIC void *xip_arena(size_t size)
{
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

XIP_STATIC void *xip_carve(char **arena, size_t count, size_t size)
{
    char *begin = *arena;

    *arena += (count * size + 63) / 64 * 64;
    return begin;
}

XIP_STATIC size_t xip_walk_size(int factor_count, int step_count)
{
    size_t dimensions = (size_t)factor_count * (size_t)step_count;

    return dimensions * (XIP_SOBOL_BITS * 8 + 8 + XIP_LANES * 16) + (size_t)step_count * sizeof(xip_bridge_step) + 4096;
}

/* ---- Brownian bridge --------------------------------------------------------------------------------------------- */

/* times ascending, the first >= 0; is_set: scratch of as many. */
XIP_STATIC void xip_bridge_plan(int count, const double *times, xip_bridge_step *bridge, char *is_set)
{
    int from = 0, to, middle, step;
    double before, span;

    for (step = 0; step < count; step++)
        is_set[step] = 0;
    bridge[0] = (xip_bridge_step){count - 1, -1, -1, 0.0, 0.0, __builtin_sqrt(times[count - 1])};
    is_set[count - 1] = 1;
    for (step = 1; step < count; step++) {
        while (is_set[from])
            from = from + 1 < count ? from + 1 : 0;
        for (to = from; !is_set[to]; to++)
            ;
        middle = from + (to - 1 - from) / 2;
        before = from ? times[from - 1] : 0.0;
        span = times[to] - before;
        span = span > 0.0 ? span : 1.0;     /* dates of one double: all weights 0 but the right one's */
        bridge[step] = (xip_bridge_step){
            middle, from - 1, to, (times[to] - times[middle]) / span, 1.0 - (times[to] - times[middle]) / span,
            __builtin_sqrt((times[middle] - before) * ((times[to] - times[middle]) / span))};
        is_set[middle] = 1;
        from = to + 1 < count ? to + 1 : 0;
    }
}

/* ---- walk -------------------------------------------------------------------------------------------------------- */

XIP_STATIC void xip_walk_begin(
    xip_walk *walk, int factor_count, int step_count, int is_pinned, int is_philox, int path_exponent, uint32_t seed,
    const double *times, char **arena)
{
    int dimensions = factor_count * step_count - is_pinned, lane;

    walk->factor_count = factor_count;
    walk->step_count = step_count;
    walk->is_pinned = is_pinned;
    walk->is_philox = is_philox;
    walk->bit_count = path_exponent - 4;
    walk->dimension_count = dimensions;
    walk->seed = seed;
    walk->bridge = xip_carve(arena, (size_t)step_count, sizeof *walk->bridge);
    walk->scrambled = xip_carve(arena, (size_t)dimensions * (size_t)walk->bit_count, sizeof *walk->scrambled);
    walk->base = xip_carve(arena, (size_t)dimensions, sizeof *walk->base);
    walk->lane_word = xip_carve(arena, (size_t)(is_philox ? 2 : dimensions), sizeof *walk->lane_word);
    walk->position = xip_carve(arena, (size_t)factor_count * (size_t)step_count, sizeof *walk->position);
    xip_bridge_plan(step_count, times, walk->bridge, (char *)walk->position);
    for (lane = 0; lane < XIP_LANES; lane++)
        walk->origin[lane] = 0.0;
}

XIP_STATIC void xip_walk_replicate(xip_walk *walk, uint32_t replicate)
{
    xip_sobol_cursor cursor = {0, 0};
    uint32_t directions[XIP_SOBOL_BITS];
    uint64_t *scrambled;
    int dimension, lane;

    walk->replicate = replicate;
    walk->block = 0;
    if (walk->is_philox)
        return;
    for (dimension = 0; dimension < walk->dimension_count; dimension++) {
        xip_sobol_next(&cursor, directions);
        scrambled = walk->scrambled + dimension * walk->bit_count;
        walk->base[dimension] = xip_sobol_scramble(
            directions, walk->bit_count, walk->seed, replicate, dimension, scrambled);
        walk->lane_word[dimension][0] = 0;
        for (lane = 1; lane < XIP_LANES; lane++)    /* Gray code: one direction from one lane to the next */
            walk->lane_word[dimension][lane] =
                walk->lane_word[dimension][lane - 1] ^ scrambled[__builtin_ctz((unsigned)lane)];
    }
}

/* Words of dimensions 2 pair and 2 pair + 1. */
XIP_STATIC void xip_philox_lanes(
    uint64_t seed, uint64_t first_path, uint64_t pair, uint64_t *restrict even, uint64_t *restrict odd)
{
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++) {
        uint64_t counter[4] = {pair, 0, 0, 0}, block[4];

        xip_philox(counter, seed, first_path + (uint64_t)lane, block);
        even[lane] = block[0] << 32 | block[1];
        odd[lane] = block[2] << 32 | block[3];
    }
}

XIP_STATIC void xip_bridge_lanes(
    xip_bridge_step step, uint64_t base, const uint64_t *restrict word, const double *restrict left,
    const double *restrict right, double *restrict at)
{
    int lane;

    for (lane = 0; lane < XIP_LANES; lane++)
        at[lane] = __builtin_fma(
            step.left_weight, left[lane],
            __builtin_fma(step.right_weight, right[lane], step.deviation * xip_normal(base ^ word[lane])));
}

/* Positions of the next 64 paths. */
XIP_STATIC void xip_walk_block(xip_walk *walk)
{
    uint64_t first_path = ((uint64_t)walk->replicate << walk->bit_count) + walk->block * XIP_LANES, base;
    uint64_t next = walk->block + 1, *word;
    const double *left, *right;
    xip_bridge_step step;
    int place, factor, dimension = 0, lane, moving;

    for (place = 0; place < walk->step_count; place++) {
        step = walk->bridge[place];
        for (factor = 0; factor < walk->factor_count; factor++) {
            xip_lanes *at = &walk->position[step.at * walk->factor_count + factor];

            if (walk->is_pinned && place == 0 && factor == 0) {
                for (lane = 0; lane < XIP_LANES; lane++)
                    (*at)[lane] = 0.0;
                continue;
            }
            left = step.left < 0 ? walk->origin : walk->position[step.left * walk->factor_count + factor];
            right = step.right < 0 ? walk->origin : walk->position[step.right * walk->factor_count + factor];
            if (walk->is_philox) {
                word = walk->lane_word[dimension & 1];
                base = 0;
                if ((dimension & 1) == 0)
                    xip_philox_lanes(
                        walk->seed, first_path, (uint64_t)dimension / 2, walk->lane_word[0], walk->lane_word[1]);
            } else {
                word = walk->lane_word[dimension];
                base = walk->base[dimension];
            }
            xip_bridge_lanes(step, base, word, left, right, *at);
            dimension++;
        }
    }
    walk->block = next;
    moving = __builtin_ctzll(next) + XIP_LANE_BITS;
    if (!walk->is_philox && moving < walk->bit_count)
        for (dimension = 0; dimension < walk->dimension_count; dimension++)
            walk->base[dimension] ^= walk->scrambled[dimension * walk->bit_count + moving]
                                     ^ walk->scrambled[dimension * walk->bit_count + XIP_LANE_BITS - 1];
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* A sum and what rounding took from it. */
typedef struct {
    double sum, rest;
} xip_total;

/* Adds the lanes as a tree, then to the total (Knuth's exact sum of two). */
XIP_STATIC void xip_add_lanes(xip_total *total, const double *lanes)
{
    xip_lanes tree;
    double sum, part;
    int width, lane;

    for (lane = 0; lane < XIP_LANES; lane++)
        tree[lane] = lanes[lane];
    for (width = XIP_LANES / 2; width > 0; width /= 2)
        for (lane = 0; lane < width; lane++)
            tree[lane] = tree[lane] + tree[lane + width];
    sum = total->sum + tree[0];
    part = sum - total->sum;
    total->rest += (total->sum - (sum - part)) + (tree[0] - part);
    total->sum = sum;
}

/* Mean over replicates of means over paths, and its standard error. */
XIP_STATIC double xip_mean(const xip_total *replicate, double path_count, double *standard_error)
{
    double sum = 0.0, squares = 0.0, mean, away;
    int place;

    for (place = 0; place < XIP_REPLICATES; place++)
        sum += replicate[place].sum + replicate[place].rest;
    mean = sum / path_count;
    for (place = 0; place < XIP_REPLICATES; place++) {
        away = (replicate[place].sum + replicate[place].rest) * (XIP_REPLICATES / path_count) - mean;
        squares += away * away;
    }
    *standard_error = __builtin_sqrt(squares / (XIP_REPLICATES * (XIP_REPLICATES - 1)));
    return mean;
}

#endif
