/*
 * The buffers of a program to its columns: points become factors and weights, rows come in their order.
 *
 * A date of a log-linear curve is one or two factors, found between its knots; one of a zero spread has those of its
 * reference beside; a point of the TileMarket has its factors in the arrays of PointArrays. Weights of subtracted points change their sign.
 */
#ifndef XIP_VANILLA_COLUMNS_H
#define XIP_VANILLA_COLUMNS_H

#include "products.h"

typedef struct {                      /* PointArrays: the points of the tile's TileMarket */
    int64_t count;
    const int64_t *begin;             /* count + 1 */
    const int32_t *factor;
    const double *weight;
} point_table;

typedef struct {                      /* sparse rows, as many as are written */
    int32_t *ptr;                     /* given by the caller, with room for all rows + 1 */
    int64_t row_count;
    int32_t *factor;
    double *weight;
    int64_t factor_count, factor_room, weight_room;
    int is_out_of_memory;
} sparse_rows;

typedef struct {                      /* columns of a term list; ptr, amount, constant given by the caller */
    int32_t *ptr;
    double *amount, *constant, *delta_weight;         /* delta_weight NULL where it is no column */
    int64_t item_count, term_count;
    sparse_rows exponent, linear;
} list_columns;

typedef struct {
    list_columns terms, forward, discount;
    sparse_rows spot, volatility, quotient_discount, quotient_growth;
    int32_t *option_ptr, *quotient_row;
    double *option_amount, *option_strike, *option_time, *option_is_call, *option_delta_weight;
    uint8_t *option_kind;
    double *quotient_notional, *quotient_strike, *quotient_accrual, *quotient_index_accrual;
} program_columns;

static inline void add_factor(sparse_rows *rows, int32_t factor, double weight)
{
    if (rows->factor_count >= rows->factor_room) {
        if (!grow((void **)&rows->weight, rows->factor_count, &rows->weight_room, sizeof *rows->weight,
                  &rows->is_out_of_memory) ||
            !grow((void **)&rows->factor, rows->factor_count, &rows->factor_room, sizeof *rows->factor,
                  &rows->is_out_of_memory))
            return;
    }
    rows->factor[rows->factor_count] = factor;
    rows->weight[rows->factor_count++] = weight;
}

/* First knot at or after a day, the last one beyond; days come in order, so it mostly is where the last one was. */
static inline int32_t knot_at(source_table *source, int32_t day)
{
    const int32_t *knot = source->knot;
    int32_t last = source->knot_count - 1, low = 0, high = last, place = source->hint;

    for (int32_t tried = 0; tried < 2; tried++, place++)
        if (place <= last && (place == 0 || knot[place - 1] < day) && (knot[place] >= day || place == last))
            return source->hint = place;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (knot[middle] < day)
            low = middle + 1;
        else
            high = middle;
    }
    return source->hint = low;
}

/* layout_slots.forward_weights, to the bit. */
static void add_linear_source(sparse_rows *rows, source_table *source, int32_t as_of_day, int32_t day, double sign)
{
    int32_t place, left, right;
    double weight;

    if (day <= as_of_day)
        return;
    place = knot_at(source, day);
    right = source->knot[place];
    if (right == day) {
        add_factor(rows, source->begin + place, 1.0 * sign);
        return;
    }
    left = place ? source->knot[place - 1] : as_of_day;
    weight = (double)(day - left) / (double)(right - left);
    if (place)
        add_factor(rows, source->begin + place - 1, (1.0 - weight) * sign);
    add_factor(rows, source->begin + place, weight * sign);
}

/* SnapshotLayout.log_discount_of_day of a zero-spread curve: the reference, less time times the spread, flat outside. */
static void add_spread_source(
    sparse_rows *rows, source_table *sources, source_table *source, int32_t as_of_day, int32_t day, double sign)
{
    int32_t left, right;
    double scale = -((double)(day - as_of_day) / 365.0), weight;

    if (day <= as_of_day)
        return;
    if (sources[source->reference].begin < source->begin)
        add_linear_source(rows, sources + source->reference, as_of_day, day, sign);
    right = bracket_days(source->knot, source->knot_count, day, &left, &weight);
    if (left == right) {
        add_factor(rows, source->begin + left, scale * sign);
    } else {
        if (1.0 - weight != 0.0)
            add_factor(rows, source->begin + left, scale * (1.0 - weight) * sign);
        if (weight != 0.0)
            add_factor(rows, source->begin + right, scale * weight * sign);
    }
    if (sources[source->reference].begin > source->begin)
        add_linear_source(rows, sources + source->reference, as_of_day, day, sign);
}

static inline void begin_sparse(sparse_rows *rows)
{
    rows->ptr[rows->row_count] = (int32_t)rows->factor_count;
}

static inline void end_sparse(sparse_rows *rows)
{
    rows->ptr[++rows->row_count] = (int32_t)rows->factor_count;
}

static void add_points(
    sparse_rows *rows, const market_tables *market, const point_table *points, const int64_t *use, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t source = (int32_t)(use[i] >> SOURCE_SHIFT) - 1;
        int64_t place = use[i] >> 1;
        double sign = 1.0 - 2.0 * (double)(use[i] & 1);

        if (source < 0) {
            for (int64_t j = points->begin[place]; j < points->begin[place + 1]; j++)
                add_factor(rows, points->factor[j], points->weight[j] * sign);
        } else if (market->source[source].kind == CONSTANT_SOURCE) {
            add_factor(rows, market->source[source].begin, 1.0 * sign);
        } else {
            int32_t day = (int32_t)(place & ((1LL << (SOURCE_SHIFT - 1)) - 1)) - DAY_BIAS;
            if (market->source[source].kind == SPREAD_SOURCE)
                add_spread_source(rows, market->source, market->source + source, market->as_of_day, day, sign);
            else
                add_linear_source(rows, market->source + source, market->as_of_day, day, sign);
        }
    }
    end_sparse(rows);
}

static void write_list(
    list_columns *columns, const program_buffer *program, const market_tables *market, const point_table *points,
    int64_t begin, int32_t count)
{
    for (int64_t i = begin; i < begin + count; i++) {
        const term_record *term = program->term + i;
        const int64_t *use = program->use + term->use_begin;

        columns->amount[columns->term_count] = term->amount;
        columns->constant[columns->term_count] = term->constant;
        if (columns->delta_weight)
            columns->delta_weight[columns->term_count] = term->delta_weight;
        columns->term_count++;
        add_points(&columns->exponent, market, points, use, term->exponent_count);
        add_points(&columns->linear, market, points, use + term->exponent_count, term->linear_count);
    }
    columns->ptr[++columns->item_count] = (int32_t)columns->term_count;
}

static void write_option(
    program_columns *columns, const program_buffer *program, const market_tables *market, const point_table *points,
    const option_record *option, int64_t place)
{
    columns->option_amount[place] = option->amount;
    columns->option_strike[place] = option->strike;
    columns->option_time[place] = option->time_years;
    columns->option_is_call[place] = (double)option->is_call;
    columns->option_delta_weight[place] = option->delta_weight;
    columns->option_kind[place] = (uint8_t)option->kind;
    write_list(&columns->forward, program, market, points, option->forward_begin, option->forward_count);
    write_list(&columns->discount, program, market, points, option->discount_begin, option->discount_count);
    for (int32_t i = 0; i < option->factor_count; i++)
        add_factor(&columns->volatility, option->factor[i], option->weight[i]);
    add_points(&columns->volatility, market, points, &option->volatility_use, option->volatility_use >= 0);
}

static void write_columns(
    program_columns *columns, const program_buffer *program, const market_tables *market, const point_table *points)
{
    int64_t option_count = 0, quotient_count = 0;

    columns->terms.ptr[0] = columns->forward.ptr[0] = columns->discount.ptr[0] = columns->option_ptr[0] = 0;
    begin_sparse(&columns->terms.exponent), begin_sparse(&columns->terms.linear);
    begin_sparse(&columns->forward.exponent), begin_sparse(&columns->forward.linear);
    begin_sparse(&columns->discount.exponent), begin_sparse(&columns->discount.linear);
    begin_sparse(&columns->spot), begin_sparse(&columns->volatility);
    begin_sparse(&columns->quotient_discount), begin_sparse(&columns->quotient_growth);
    for (int64_t i = 0; i < program->row_count; i++) {
        const row_record *row = program->row + i;

        write_list(&columns->terms, program, market, points, row->term_begin, row->term_count);
        add_points(&columns->spot, market, points, &row->spot_use, row->spot_use >= 0);
        for (int64_t j = 0; j < row->quotient_count; j++, quotient_count++) {
            const quotient_record *quotient = program->quotient + row->quotient_begin + j;
            columns->quotient_row[quotient_count] = (int32_t)i;
            columns->quotient_notional[quotient_count] = quotient->notional;
            columns->quotient_strike[quotient_count] = quotient->strike;
            columns->quotient_accrual[quotient_count] = quotient->accrual;
            columns->quotient_index_accrual[quotient_count] = quotient->index_accrual;
            add_points(&columns->quotient_discount, market, points, program->use + quotient->discount_begin,
                       quotient->discount_count);
            add_points(&columns->quotient_growth, market, points, program->use + quotient->growth_begin,
                       quotient->growth_count);
        }
        for (int64_t j = 0; j < row->option_count; j++)
            write_option(columns, program, market, points, program->option + row->option_begin + j, option_count++);
        columns->option_ptr[i + 1] = (int32_t)option_count;
    }
}

/* Marks the groups of market objects that a row of the program needs: bit g of its words. */
static void mark_groups(
    const program_buffer *program, const row_record *row, const int32_t *group_of_source,
    const int32_t *group_of_point, const int32_t *group_of_surface, uint64_t *words)
{
    for (int64_t i = row->use_begin; i < row->use_end; i++) {
        int32_t source = (int32_t)(program->use[i] >> SOURCE_SHIFT) - 1;
        int32_t group = source < 0 ? group_of_point[program->use[i] >> 1] : group_of_source[source];
        words[group >> 6] |= 1ULL << (group & 63);
    }
    for (int64_t i = row->option_begin; i < row->option_begin + row->option_count; i++)
        if (program->option[i].surface >= 0 && program->option[i].factor_count) {
            int32_t group = group_of_surface[program->option[i].surface];
            words[group >> 6] |= 1ULL << (group & 63);
        } else if (program->option[i].volatility_use >= 0) {
            int32_t group = group_of_point[program->option[i].volatility_use >> 1];
            words[group >> 6] |= 1ULL << (group & 63);
        }
}

static void free_program(program_buffer *program)
{
    free(program->term), free(program->use), free(program->option), free(program->quotient), free(program->row);
    free(program->bucket), free(program->stamp), free(program->special);
    free(program->periods[0]), free(program->periods[1]);
    memset(program, 0, sizeof *program);
}

static void free_columns(program_columns *columns)
{
    sparse_rows *all[10] = {
        &columns->terms.exponent, &columns->terms.linear, &columns->forward.exponent, &columns->forward.linear,
        &columns->discount.exponent, &columns->discount.linear, &columns->spot, &columns->volatility,
        &columns->quotient_discount, &columns->quotient_growth};

    for (int i = 0; i < 10; i++)
        free(all[i]->factor), free(all[i]->weight);
}

#endif
