/*
 * Forwards and options on FX, equities and commodities: resolve_assets.py in C; and what all options share.
 */
#ifndef XIP_VANILLA_PRODUCTS_ASSETS_H
#define XIP_VANILLA_PRODUCTS_ASSETS_H

#include "legs.h"

static inline double later_years(const market_tables *market, int32_t day)
{
    double years = (double)(day - market->as_of_day) / 365.0;

    return years > 0.0 ? years : 0.0;
}

static void add_premiums(program_buffer *program, const market_tables *market, const trade_record *trade)
{
    for (int32_t i = 0; i < trade->premium_count; i++) {
        const premium_record *premium = market->premium + trade->premium_begin + i;
        if (premium->day > market->as_of_day)
            pay_at(program, -trade->sign * premium->amount, discounting_in(market, premium->currency), premium->day);
    }
}

/* ---- volatilities ------------------------------------------------------------------------------------------------- */

static inline int32_t bracket_days(const int32_t *knot, int32_t count, int32_t day, int32_t *left, double *weight)
{
    int32_t right = 0;

    while (right < count && knot[right] < day)
        right++;
    *weight = 0.0;
    *left = right == 0 ? 0 : right - 1;
    if (right == 0 || right == count)
        return *left;
    *weight = (double)(day - knot[right - 1]) / (double)(knot[right] - knot[right - 1]);
    return right;
}

static inline int32_t bracket_columns(const double *knot, int32_t count, double value, int32_t *left, double *weight)
{
    int32_t right = 0;

    while (right < count && knot[right] < value)
        right++;
    *weight = 0.0;
    *left = right == 0 ? 0 : right - 1;
    if (right == 0 || right == count)
        return *left;
    *weight = (value - knot[right - 1]) / (knot[right] - knot[right - 1]);
    return right;
}

/* Factors and weights of the volatility to an expiry after the as-of date: VolatilityGrid.at. */
static void set_volatility(
    const market_tables *market, option_record *option, int32_t surface, int32_t day, double column)
{
    const surface_table *grid = market->surface + surface;
    int32_t row[2], across[2], row_count = 1, across_count = 1;
    double row_weight[2] = {1.0, 0.0}, across_weight[2] = {1.0, 0.0}, weight;

    if (grid->is_smile) {
        option->smile_day = day;
        option->surface = surface;
        option->kind = 0;
        return;
    }
    row[1] = bracket_days(grid->row_day, grid->row_count, day, &row[0], &weight);
    if (row[0] != row[1]) {
        row_count = 2;
        row_weight[0] = 1.0 - weight;
        row_weight[1] = weight;
    } else if (grid->is_total_variance) {             /* flat volatility outside: variance is linear in time */
        row_weight[0] = (double)(day > market->as_of_day ? day - market->as_of_day : 0) /
                        (double)(grid->row_day[row[0]] - market->as_of_day);
    }
    across[1] = bracket_columns(grid->column, grid->column_count, column, &across[0], &weight);
    if (across[0] != across[1]) {
        across_count = 2;
        across_weight[0] = 1.0 - weight;
        across_weight[1] = weight;
    }
    option->surface = surface;
    option->kind = KIND_NORMAL * grid->is_normal | KIND_TOTAL_VARIANCE * grid->is_total_variance;
    option->factor_count = 0;
    for (int32_t i = 0; i < row_count; i++)
        for (int32_t j = 0; j < across_count; j++) {
            double product = row_weight[i] * across_weight[j];
            if (product == 0.0)
                continue;
            option->factor[option->factor_count] = grid->begin + row[i] * grid->column_count + across[j];
            option->weight[option->factor_count++] = product;
        }
}

static option_record *new_option(program_buffer *program)
{
    option_record *option;

    if (!GROW(program, option))
        return NULL;
    option = program->option + program->option_count++;
    memset(option, 0, sizeof *option);
    option->volatility_use = -1;
    option->surface = -1;
    option->smile_day = NO_DAY;
    option->kind = KIND_NORMAL;
    return option;
}

static quotient_record *new_quotient(program_buffer *program)
{
    return GROW(program, quotient) ? program->quotient + program->quotient_count++ : NULL;
}

/* A term list of one term. */
static int32_t one_term(
    program_buffer *program, int64_t *begin, double constant, const int64_t *exponent, int32_t exponent_count,
    const int64_t *linear, int32_t linear_count)
{
    open_list(program);
    add_special(program, 1.0, constant, 0.0, exponent, exponent_count, linear, linear_count);
    return close_list(program, begin);
}

/* ---- forwards ----------------------------------------------------------------------------------------------------- */

static int resolve_fx_forward(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    int32_t day = adjusted(market->calendar + trade->calendar, trade->day, FOLLOWING);
    int64_t use[EXPONENT_MAX];

    if (day <= market->as_of_day)
        return FALL_BACK;
    add_special(program, trade->amount, 1.0, 1.0, use,
                paid_at(discounting_in(market, trade->currency), day, use, 0), NULL, 0);
    pay_at(program, -trade->sold_amount, discounting_in(market, trade->sold_currency), day);
    row->term_count = close_list(program, &row->term_begin);
    return RESOLVED;
}

static int resolve_forward(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    double quantity = trade->sign * trade->amount;
    int64_t forward = use_of(trade->forward_source, trade->day, 0), use[EXPONENT_MAX] = {forward};
    discounting_of discounting = discounting_in(market, trade->currency);
    int32_t count;

    if (trade->day <= market->as_of_day)
        return FALL_BACK;
    count = paid_at(discounting, trade->day, use, 1);
    if (trade->kind == EQUITY_FORWARD)
        add_special(program, quantity, 1.0, 1.0, use, count, NULL, 0);
    else
        add_special(program, quantity, 0.0, 1.0, use + 1, count - 1, &forward, 1);
    pay_at(program, -quantity * trade->strike, discounting, trade->day);
    row->term_count = close_list(program, &row->term_begin);
    return RESOLVED;
}

/* ---- options on FX, equities and commodities ---------------------------------------------------------------------- */

static int resolve_option(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    int32_t fx = trade->kind == FX_OPTION ? trade->sold_currency : trade->currency, count, bought_count;
    int64_t paid[EXPONENT_MAX], forward[EXPONENT_MAX] = {0};
    option_record *option;

    if (trade->day <= market->as_of_day)
        return FALL_BACK;
    add_premiums(program, market, trade);
    row->term_count = close_list(program, &row->term_begin);
    if (!(option = new_option(program)))
        return NO_MEMORY;
    count = paid_at(discounting_in(market, fx), trade->day, paid, 0);
    option->amount = trade->sign * trade->amount;
    option->strike = trade->strike;
    option->time_years = later_years(market, trade->day);
    option->is_call = trade->is_call;
    option->delta_weight = 1.0;
    set_volatility(market, option, trade->surface, trade->day, trade->strike);
    if (trade->kind == FX_OPTION) {
        bought_count = paid_at(discounting_in(market, trade->currency), trade->day, forward, 0);
        for (int32_t i = 0; i < count; i++)
            forward[bought_count + i] = paid[i] ^ 1;
        option->forward_count = one_term(program, &option->forward_begin, 1.0, forward, bought_count + count, NULL, 0);
    } else {
        forward[0] = use_of(trade->forward_source, trade->day, 0);
        option->forward_count = trade->kind == EQUITY_OPTION
            ? one_term(program, &option->forward_begin, 1.0, forward, 1, NULL, 0)
            : one_term(program, &option->forward_begin, 0.0, NULL, 0, forward, 1);
    }
    option->discount_count = one_term(program, &option->discount_begin, 1.0, paid, count, NULL, 0);
    return RESOLVED;
}

#endif
