/*
 * What a tile of plain trades is resolved from and to: records of trades, tables of the market, buffers of the program.
 *
 * A **use** is a point that a term adds or subtracts, as in program.py, in one number:
 *
 *     (source + 1) << 40 | (day + DAY_BIAS) << 1 | is_subtracted        a curve on a day
 *     point << 1 | is_subtracted                                        a point of the tile's TileMarket
 *
 * Equal uses are equal points and the other way round, so amounts that share their exponent add up here as they do there.
 */
#ifndef XIP_VANILLA_RECORDS_H
#define XIP_VANILLA_RECORDS_H

#include <stdlib.h>
#include <string.h>
#include "schedules.h"

#define DAY_BIAS 1000000
#define SOURCE_SHIFT 40
#define EXPONENT_MAX 6                /* uses of one term: two of growth, discount, survival, FX */

enum { FIXED_LEG, FLOATING_LEG, OVERNIGHT_LEG };
enum {
    SWAP, FRA, CAP_FLOOR, SWAPTION, BOND, CDS, FX_FORWARD, FX_OPTION, EQUITY_FORWARD, EQUITY_OPTION,
    COMMODITY_FORWARD, COMMODITY_OPTION, PYTHON_ROW
};
enum { RESOLVED, FALL_BACK, NO_MEMORY };
enum { KIND_NORMAL = 1, KIND_TOTAL_VARIANCE = 2, KIND_RATIO = 4 };
enum { LINEAR_SOURCE, CONSTANT_SOURCE, SPREAD_SOURCE, LOOKED_UP_SOURCE };

/* ---- trades ------------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t begin, count;
} value_range;                        /* of the tile's numbers: one, or one per period; the last continues */

typedef struct {
    int32_t kind, is_payer, currency, day_count;
    int32_t payment_convention, payment_lag_days, payment_calendar;
    int32_t initial_exchange, final_exchange, amortising_exchange;
    int32_t index, fixing_days, is_averaged;
    value_range notionals, rates, spreads, gearings;
    schedule_terms schedule;
} leg_record;

typedef struct {
    double amount;
    int32_t currency, day;
} premium_record;

typedef struct {                      /* which fields a kind uses: products.h */
    int32_t kind, leg_begin, leg_count, premium_begin, premium_count;
    int32_t currency, sold_currency, day, end_day, calendar, index;
    int32_t forward_source, surface, survival_source;
    int32_t is_call, pays_at_default, settles_accrual, has_upfront_date;
    double sign, amount, sold_amount, strike, recovery_rate;
    value_range caps, floors;
} trade_record;

/* ---- the market --------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t kind, begin, knot_count, hint;            /* a constant is the factor *begin* whatever the day */
    int32_t reference;                /* of a zero spread over it: the source of a log-linear curve */
    const int32_t *knot;              /* days of a log-linear curve, or of a spread; ascending, after the as-of date */
} source_table;

typedef struct {
    int32_t curve, fx;                /* sources; fx -1 of the base currency */
    int32_t swaption_surface;
} currency_table;

typedef struct {                      /* volatilities by expiry and column, row-major; pricing.surfaces */
    int32_t begin, row_count, column_count, is_normal, is_total_variance;
    int32_t is_smile;                 /* not linear in factors: asked for by expiry in Python, nothing else is set */
    const int32_t *row_day;
    const double *column;
} surface_table;

typedef struct {
    int32_t curve, calendar, value_calendar, settlement_days, day_count, tenor_months, tenor_days, convention;
    int32_t end_of_month, is_par, is_overnight, fixing_count, cap_surface;
    const int32_t *fixing_day;        /* ascending */
    const double *fixing;
} index_table;

typedef struct {
    int32_t as_of_day;
    const calendar_table *calendar;
    source_table *source;
    const currency_table *currency;
    const index_table *index;
    const surface_table *surface;
    const int32_t *dates;
    const double *number;
    const leg_record *leg;
    const premium_record *premium;
} market_tables;

/* ---- the program -------------------------------------------------------------------------------------------------- */

typedef struct {
    double amount, constant, delta_weight;
    int64_t use_begin;                /* exponent uses, then linear ones */
    int32_t exponent_count, linear_count;
} term_record;

typedef struct {
    double amount, strike, time_years, delta_weight;
    int64_t forward_begin, discount_begin;
    int32_t forward_count, discount_count, is_call, kind;
    int64_t volatility_use;           /* point that gives the volatility, -1 where it is the factors below */
    int32_t surface, factor_count, factor[4];         /* surface -1 where time is up */
    int32_t smile_day;                /* expiry where the surface is a smile, else NO_DAY */
    double weight[4];
} option_record;

typedef struct {
    double notional, strike, accrual, index_accrual;
    int64_t discount_begin, growth_begin;             /* uses */
    int32_t discount_count, growth_count;
} quotient_record;

typedef struct {
    int32_t status;
    int64_t term_begin, option_begin, quotient_begin;
    int32_t term_count, option_count, quotient_count;
    int64_t use_begin, use_end;       /* all uses of the row */
    int64_t spot_use;                 /* -1: the base currency */
} row_record;

typedef struct {
    term_record *term;
    int64_t *use;
    option_record *option;
    quotient_record *quotient;
    row_record *row;
    int64_t term_count, term_room, use_count, use_room, option_count, option_room, quotient_count, quotient_room;
    int64_t row_count, row_room;
    int32_t *bucket;                  /* of the open term list, by exponent: place among its terms + 1 */
    int32_t *stamp;
    int32_t bucket_count, stamp_now;
    int64_t list_begin;               /* first term of the open list */
    term_record *special;             /* terms with a linear part or a delta weight come last in their list */
    int32_t special_count, special_room;
    int is_out_of_memory;
    period_table *periods[2];         /* scratch */
} program_buffer;

static inline int64_t use_of(int32_t source, int32_t day, int is_subtracted)
{
    return ((int64_t)(source + 1) << SOURCE_SHIFT) | ((int64_t)(day + DAY_BIAS) << 1) | is_subtracted;
}

/* Room for one entry more; 0 where there is no memory. */
static inline int grow(void **entries, int64_t count, int64_t *room, size_t size, int *is_out_of_memory)
{
    void *larger;

    if (count < *room)
        return 1;
    larger = realloc(*entries, (size_t)(*room ? 2 * *room : 256) * size);
    if (!larger) {
        *is_out_of_memory = 1;
        return 0;
    }
    *entries = larger;
    *room = *room ? 2 * *room : 256;
    return 1;
}

#define GROW(buffer, name) \
    grow((void **)&(buffer)->name, (buffer)->name##_count, &(buffer)->name##_room, sizeof *(buffer)->name, \
         &(buffer)->is_out_of_memory)

static inline int64_t add_uses(program_buffer *program, const int64_t *use, int32_t count)
{
    int64_t begin = program->use_count;

    for (int32_t i = 0; i < count; i++) {
        if (!GROW(program, use))
            return begin;
        program->use[program->use_count++] = use[i];
    }
    return begin;
}

/* ---- term lists --------------------------------------------------------------------------------------------------- */

static inline uint64_t hash_of(const int64_t *use, int32_t count)
{
    uint64_t hash = 0x9e3779b97f4a7c15u;

    for (int32_t i = 0; i < count; i++)
        hash = (hash ^ (uint64_t)use[i]) * 0xff51afd7ed558ccdu, hash ^= hash >> 29;
    return hash;
}

/* Begins a term list: what is paid from now on is its own. */
static inline void open_list(program_buffer *program)
{
    program->list_begin = program->term_count;
    program->special_count = 0;
    program->stamp_now++;
}

static int rehash(program_buffer *program)
{
    int32_t count = program->bucket_count ? 2 * program->bucket_count : 1024;
    int32_t *bucket = realloc(program->bucket, (size_t)count * sizeof *bucket), *stamp;

    if (bucket)
        program->bucket = bucket;
    stamp = bucket ? realloc(program->stamp, (size_t)count * sizeof *stamp) : NULL;
    if (!stamp) {
        program->is_out_of_memory = 1;
        return 0;
    }
    program->stamp = stamp;
    program->bucket_count = count;
    memset(stamp, 0, (size_t)count * sizeof *stamp);
    program->stamp_now = 1;
    for (int64_t i = program->list_begin; i < program->term_count; i++) {
        const term_record *term = program->term + i;
        uint64_t place = hash_of(program->use + term->use_begin, term->exponent_count);
        while (stamp[place & (uint64_t)(count - 1)] == 1)
            place++;
        stamp[place & (uint64_t)(count - 1)] = 1;
        bucket[place & (uint64_t)(count - 1)] = (int32_t)(i - program->list_begin);
    }
    return 1;
}

/* Adds an amount to the term of that exponent, which is made where there is none: RowParts.pay. */
static void pay(program_buffer *program, double amount, const int64_t *use, int32_t count)
{
    uint64_t place = hash_of(use, count), mask;
    term_record *term;

    if (2 * (program->term_count - program->list_begin + 1) > program->bucket_count && !rehash(program))
        return;
    mask = (uint64_t)(program->bucket_count - 1);
    for (; program->stamp[place & mask] == program->stamp_now; place++) {
        term = program->term + program->list_begin + program->bucket[place & mask];
        if (term->exponent_count == count &&
            memcmp(program->use + term->use_begin, use, (size_t)count * sizeof *use) == 0) {
            term->amount += amount;
            return;
        }
    }
    if (!GROW(program, term))
        return;
    program->stamp[place & mask] = program->stamp_now;
    program->bucket[place & mask] = (int32_t)(program->term_count - program->list_begin);
    term = program->term + program->term_count++;
    term->amount = 0.0 + amount;                      /* as a sum that begins with 0 does: never -0 */
    term->constant = 1.0;
    term->delta_weight = 0.0;
    term->use_begin = add_uses(program, use, count);
    term->exponent_count = count;
    term->linear_count = 0;
}

/* A term that is not added to others. */
static void add_special(
    program_buffer *program, double amount, double constant, double delta_weight,
    const int64_t *exponent, int32_t exponent_count, const int64_t *linear, int32_t linear_count)
{
    int64_t room = program->special_room, begin = add_uses(program, exponent, exponent_count);
    term_record *term;

    add_uses(program, linear, linear_count);
    if (!grow((void **)&program->special, program->special_count, &room, sizeof *term, &program->is_out_of_memory))
        return;
    program->special_room = (int32_t)room;
    term = program->special + program->special_count++;
    term->amount = amount;
    term->constant = constant;
    term->delta_weight = delta_weight;
    term->use_begin = begin;
    term->exponent_count = exponent_count;
    term->linear_count = linear_count;
}

/* Ends a term list, special terms last; returns its count, *begin* its first term. */
static int32_t close_list(program_buffer *program, int64_t *begin)
{
    *begin = program->list_begin;
    for (int32_t i = 0; i < program->special_count && GROW(program, term); i++)
        program->term[program->term_count++] = program->special[i];
    program->special_count = 0;
    return (int32_t)(program->term_count - program->list_begin);
}

#endif
