/*
 * Plain trades to rows, by kind, in the order of operations of their Python twins.
 *
 * Fields of a trade_record by kind, beside those the names say:
 *
 *     FRA              day, end_day, sign * amount the notional, strike, index, currency
 *     CAP_FLOOR        one leg, caps, floors, sign, premiums
 *     SWAPTION         the fixed leg, then the floating one; day the expiry, sign, premiums
 *     BOND, CDS        one leg; currency of the leg, curve forward_source of a bond; survival_source -1: no default
 *                      BOND: caps and floors of its coupons
 *                      CDS: day protection start (NO_DAY: the leg's), end_day upfront date, amount the fee
 *     FX_FORWARD       day, currency and amount bought, sold_currency and sold_amount, calendar
 *     .._OPTION        day the expiry, currency, amount, strike, sign, is_call, forward_source, surface, premiums
 *     .._FORWARD       day, currency, amount, strike, sign, forward_source
 */
#ifndef XIP_VANILLA_PRODUCTS_H
#define XIP_VANILLA_PRODUCTS_H

#include "products_credit.h"

static void begin_row(program_buffer *program, row_record *row)
{
    row->option_begin = program->option_count;
    row->quotient_begin = program->quotient_count;
    row->use_begin = program->use_count;
    row->spot_use = -1;
    open_list(program);
}

static void end_row(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    int is_pair = trade->kind == FX_FORWARD || trade->kind == FX_OPTION;      /* which has its PV in what is sold */
    int32_t fx = market->currency[is_pair ? trade->sold_currency : trade->currency].fx;

    row->option_count = (int32_t)(program->option_count - row->option_begin);
    row->quotient_count = (int32_t)(program->quotient_count - row->quotient_begin);
    row->use_end = program->use_count;
    row->spot_use = fx >= 0 ? use_of(fx, 0, 0) : -1;
}

static int32_t resolve_one(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    switch (trade->kind) {
    case SWAP:
        return resolve_swap(program, market, trade, row);
    case FRA:
        return resolve_fra(program, market, trade, row);
    case CAP_FLOOR:
        return resolve_cap_floor(program, market, trade, row);
    case SWAPTION:
        return resolve_swaption(program, market, trade, row);
    case BOND:
        return resolve_bond(program, market, trade, row);
    case CDS:
        return resolve_cds(program, market, trade, row);
    case FX_FORWARD:
        return resolve_fx_forward(program, market, trade, row);
    case EQUITY_FORWARD:
    case COMMODITY_FORWARD:
        return resolve_forward(program, market, trade, row);
    case FX_OPTION:
    case EQUITY_OPTION:
    case COMMODITY_OPTION:
        return resolve_option(program, market, trade, row);
    default:
        return FALL_BACK;
    }
}

/* Rows begin to end - 1; one that is not plain after all leaves nothing behind but its status. */
static int resolve_trades(
    program_buffer *program, const market_tables *market, const trade_record *trade, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        row_record *row = program->row + i;
        int64_t term_count = program->term_count;

        begin_row(program, row);
        row->status = trade[i].kind == PYTHON_ROW ? FALL_BACK : resolve_one(program, market, trade + i, row);
        if (program->is_out_of_memory || row->status == NO_MEMORY)
            return 0;
        if (row->status == RESOLVED) {
            end_row(program, market, trade + i, row);
            continue;
        }
        program->term_count = term_count;
        program->use_count = row->use_begin;
        program->option_count = row->option_begin;
        program->quotient_count = row->quotient_begin;
    }
    return 1;
}

#endif
