/*
 * Swaps, FRAs, caps and floors, European swaptions: resolve_rates.py in C.
 */
#ifndef XIP_VANILLA_PRODUCTS_RATES_H
#define XIP_VANILLA_PRODUCTS_RATES_H

#include "products_assets.h"

static int resolve_swap(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    int32_t last_day = 0, status;

    for (int32_t i = 0; i < trade->leg_count; i++) {
        const leg_record *leg = market->leg + trade->leg_begin + i;
        discounting_of discounting = discounting_in(market, leg->currency);
        period_table *periods = program->periods[0];
        double sign = leg->is_payer ? -1.0 : 1.0;

        if (!fill_periods(market, leg, periods))
            return FALL_BACK;
        status = add_coupons(program, market, leg, periods, discounting, sign);
        if (status != RESOLVED)
            return status;
        add_exchanges(program, market, leg, periods, discounting, sign);
        if (periods->pay[periods->count - 1] > last_day)
            last_day = periods->pay[periods->count - 1];
    }
    row->term_count = close_list(program, &row->term_begin);
    return last_day <= market->as_of_day ? FALL_BACK : RESOLVED;
}

static int resolve_fra(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    const index_table *index = market->index + trade->index;
    const calendar_table *days_of = market->calendar + index->calendar;
    int32_t end = adjusted(days_of, trade->end_day, index->convention);
    double accrual = year_fraction(index->day_count, trade->day, end, NO_DAY), fixing = 0.0;
    double notional = trade->sign * trade->amount;
    discounting_of discounting = discounting_in(market, trade->currency);
    int64_t use[EXPONENT_MAX];
    quotient_record *quotient;
    index_period deposit;
    int found;

    if (trade->day <= market->as_of_day)
        return FALL_BACK;
    found = published_fixing(market, index, advanced(days_of, trade->day, -index->settlement_days), &fixing);
    if (found < 0 || (found && 1.0 + fixing * accrual == 0.0))
        return FALL_BACK;
    if (found) {
        pay_at(program, notional * (fixing - trade->strike) * accrual / (1.0 + fixing * accrual), discounting,
               trade->day);
    } else {
        if (!deposit_of(market, index, advanced(days_of, trade->day, -index->settlement_days), &deposit))
            return FALL_BACK;
        if (!(quotient = new_quotient(program)))
            return NO_MEMORY;
        quotient->notional = notional;
        quotient->strike = trade->strike;
        quotient->accrual = accrual;
        quotient->index_accrual = deposit.accrual;
        quotient->discount_count = paid_at(discounting, trade->day, use, 0);
        quotient->discount_begin = add_uses(program, use, quotient->discount_count);
        use[0] = use_of(index->curve, deposit.value, 0);
        use[1] = use_of(index->curve, deposit.maturity, 1);
        quotient->growth_count = 2;
        quotient->growth_begin = add_uses(program, use, 2);
    }
    row->term_count = close_list(program, &row->term_begin);
    return RESOLVED;
}

/* Caplets or floorlets on the coupon rates of a leg; the payoff where the fixing is published. */
static int add_optionlets(
    program_buffer *program, const market_tables *market, const leg_record *leg, const period_table *periods,
    discounting_of discounting, value_range strikes, int is_cap, double sign)
{
    const index_table *index = market->index + leg->index;

    for (int32_t i = 0; i < periods->count; i++) {
        double gearing = at_period(market, leg->gearings, i), strike, amount, fixing = 0.0, payoff;
        option_record *option;
        index_period of;
        int found;

        if (periods->pay[i] <= market->as_of_day)
            continue;
        if (!(gearing > 0.0) || !index_period_of(market, leg, index, periods->day[i], periods->day[i + 1], &of))
            return FALL_BACK;
        strike = (at_period(market, strikes, i) - at_period(market, leg->spreads, i)) / gearing;
        amount = sign * at_period(market, leg->notionals, i) * periods->accrual[i] * gearing;
        found = published_fixing(market, index, of.fixing, &fixing);
        if (found < 0)
            return FALL_BACK;
        if (found) {
            payoff = is_cap ? fixing - strike : strike - fixing;
            pay_at(program, amount * (payoff > 0.0 ? payoff : 0.0), discounting, periods->pay[i]);
            continue;
        }
        if (!(option = new_option(program)))
            return NO_MEMORY;
        option->amount = amount;
        option->strike = strike;
        option->time_years = later_years(market, of.fixing);
        option->is_call = is_cap;
        option->forward_begin = of.value;             /* its terms follow when those of the row are closed */
        option->forward_count = of.maturity;
        option->discount_count = periods->pay[i];
        option->delta_weight = 1.0 / of.accrual;
        if (of.fixing > market->as_of_day) {
            if (index->cap_surface < 0)
                return FALL_BACK;
            set_volatility(market, option, index->cap_surface, of.fixing, strike);
        }
    }
    return RESOLVED;
}

/* Forward and discount of the optionlets of a row. */
static void add_optionlet_terms(
    program_buffer *program, const index_table *index, discounting_of discounting, int64_t option_begin)
{
    for (int64_t i = option_begin; i < program->option_count; i++) {
        option_record *option = program->option + i;
        double scale = option->delta_weight;
        int64_t use[EXPONENT_MAX];

        use[0] = use_of(index->curve, (int32_t)option->forward_begin, 0);
        use[1] = use_of(index->curve, option->forward_count, 1);
        open_list(program);
        add_special(program, scale, 1.0, 0.0, use, 2, NULL, 0);
        add_special(program, -scale, 1.0, 0.0, NULL, 0, NULL, 0);
        option->forward_count = close_list(program, &option->forward_begin);
        option->discount_count = one_term(
            program, &option->discount_begin, 1.0, use, paid_at(discounting, option->discount_count, use, 0), NULL, 0);
        option->delta_weight = 0.0;
    }
}

static int resolve_cap_floor(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    const leg_record *leg = market->leg + trade->leg_begin;
    discounting_of discounting = discounting_in(market, leg->currency);
    period_table *periods = program->periods[0];
    int status = RESOLVED;

    if (!fill_periods(market, leg, periods) || periods->pay[periods->count - 1] <= market->as_of_day)
        return FALL_BACK;
    if (trade->caps.count)
        status = add_optionlets(program, market, leg, periods, discounting, trade->caps, 1, trade->sign);
    if (status == RESOLVED && trade->floors.count)
        status = add_optionlets(program, market, leg, periods, discounting, trade->floors, 0,
                                trade->caps.count ? -trade->sign : trade->sign);
    if (status != RESOLVED)
        return status;
    add_premiums(program, market, trade);
    row->term_count = close_list(program, &row->term_begin);
    add_optionlet_terms(program, market->index + leg->index, discounting, row->option_begin);
    return RESOLVED;
}

static int resolve_swaption(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    const leg_record *fixed = market->leg + trade->leg_begin, *floating = fixed + 1;
    period_table *fixed_periods = program->periods[0], *floating_periods = program->periods[1];
    int32_t surface = market->currency[fixed->currency].swaption_surface, status, start, end;
    discounting_of discounting = discounting_in(market, fixed->currency);
    double notional = market->number[fixed->notionals.begin], length_years;
    option_record *option;

    if (trade->day <= market->as_of_day || surface < 0 || notional == 0.0)
        return FALL_BACK;
    add_premiums(program, market, trade);
    row->term_count = close_list(program, &row->term_begin);
    if (!fill_periods(market, fixed, fixed_periods) || !fill_periods(market, floating, floating_periods))
        return FALL_BACK;
    start = fixed_periods->day[0];
    end = fixed_periods->day[fixed_periods->count];
    if (start < trade->day)
        return FALL_BACK;
    if (!(option = new_option(program)))
        return NO_MEMORY;
    length_years = rint((double)(end - start) / 365.25 * 12.0) / 12.0;     /* half to even, as round() */
    option->amount = trade->sign * notional;
    option->strike = market->number[fixed->rates.begin];
    option->time_years = later_years(market, trade->day);
    option->is_call = fixed->is_payer;
    set_volatility(market, option, surface, trade->day, length_years);
    option->kind |= KIND_RATIO;
    open_list(program);
    status = add_coupons(program, market, floating, floating_periods, discounting, 1.0 / notional);
    if (status != RESOLVED)
        return status;
    option->forward_count = close_list(program, &option->forward_begin);
    open_list(program);
    for (int32_t i = 0; i < fixed_periods->count; i++)
        pay_at(program, fixed_periods->accrual[i], discounting, fixed_periods->pay[i]);
    option->discount_count = close_list(program, &option->discount_begin);
    return RESOLVED;
}

#endif
