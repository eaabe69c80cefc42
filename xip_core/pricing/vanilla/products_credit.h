/*
 * Bonds and credit default swaps by mid-points: resolve_credit.py in C.
 */
#ifndef XIP_VANILLA_PRODUCTS_CREDIT_H
#define XIP_VANILLA_PRODUCTS_CREDIT_H

#include "products_rates.h"

/* *amount* paid by *use*, and survival to begin less survival to end: what is paid if the name defaults between them. */
static void add_default_between(
    program_buffer *program, int32_t survival, int32_t begin, int32_t end, double amount, int64_t *use, int32_t count)
{
    use[count] = use_of(survival, begin, 0);
    pay(program, amount, use, count + 1);
    use[count] = use_of(survival, end, 0);
    pay(program, -amount, use, count + 1);
}

static int resolve_bond(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    const leg_record *leg = market->leg + trade->leg_begin;
    discounting_of riskless = {trade->forward_source, -1, market->currency[leg->currency].fx}, risky = riskless;
    period_table *periods = program->periods[0];
    double sign = leg->is_payer ? -1.0 : 1.0;
    int64_t use[EXPONENT_MAX];
    int status;

    risky.survival = trade->survival_source;
    if (!fill_periods(market, leg, periods) || periods->pay[periods->count - 1] <= market->as_of_day)
        return FALL_BACK;
    status = add_coupons(program, market, leg, periods, risky, sign);
    if (status == RESOLVED && trade->caps.count)
        status = add_optionlets(program, market, leg, periods, risky, trade->caps, 1, -sign);
    if (status == RESOLVED && trade->floors.count)
        status = add_optionlets(program, market, leg, periods, risky, trade->floors, 0, sign);
    if (status != RESOLVED)
        return status;
    for (int32_t i = 0; i < periods->count; i++) {
        double next = i + 1 < periods->count ? at_period(market, leg->notionals, i + 1) : 0.0;
        double repaid = at_period(market, leg->notionals, i) - next;
        if (repaid != 0.0 && periods->pay[i] > market->as_of_day)
            pay_at(program, sign * repaid, risky, periods->pay[i]);
    }
    for (int32_t i = 0; i < periods->count && trade->survival_source >= 0; i++) {
        int32_t begin = periods->day[i], end = periods->day[i + 1];
        if (end <= market->as_of_day)
            continue;
        begin = begin > market->as_of_day ? begin : market->as_of_day;
        add_default_between(
            program, trade->survival_source, begin, end,
            sign * trade->recovery_rate * at_period(market, leg->notionals, i), use,
            paid_at(riskless, begin + (end - begin) / 2, use, 0));
    }
    row->term_count = close_list(program, &row->term_begin);
    if (program->option_count > row->option_begin)
        add_optionlet_terms(program, market->index + leg->index, risky, row->option_begin);
    return RESOLVED;
}

/* Upfront fee and, on a standard contract, the rebate of what accrued up to the first day of protection. */
static void add_upfront(
    program_buffer *program, const market_tables *market, const trade_record *trade, const period_table *periods,
    double buyer, int32_t protection_start)
{
    const leg_record *leg = market->leg + trade->leg_begin;
    discounting_of discounting = discounting_in(market, leg->currency);
    double notional = market->number[leg->notionals.begin], rate = market->number[leg->rates.begin], accrued;
    int32_t day = trade->has_upfront_date ? trade->end_day
                                          : advanced(market->calendar + trade->calendar, protection_start, 3);

    if (day <= market->as_of_day)
        return;
    if (trade->amount != 0.0)
        pay_at(program, -buyer * trade->amount * notional, discounting, day);
    if (leg->schedule.rule == CDS2015 && protection_start >= periods->day[0]) {
        accrued = rate * year_fraction(leg->day_count, periods->day[0], protection_start + 1, NO_DAY);
        pay_at(program, buyer * accrued * notional, discounting, day);
    }
}

static int resolve_cds(
    program_buffer *program, const market_tables *market, const trade_record *trade, row_record *row)
{
    const leg_record *leg = market->leg + trade->leg_begin;
    discounting_of discounting = discounting_in(market, leg->currency);
    period_table *periods = program->periods[0];
    double buyer = leg->is_payer ? 1.0 : -1.0;
    int32_t protection_start, earliest, last;

    if (!fill_periods(market, leg, periods) || periods->pay[periods->count - 1] <= market->as_of_day)
        return FALL_BACK;
    last = periods->count - 1;
    protection_start = trade->day == NO_DAY ? periods->day[0] : trade->day;
    earliest = protection_start > market->as_of_day ? protection_start : market->as_of_day;
    for (int32_t i = 0; i <= last; i++) {
        int32_t begin = periods->day[i], end = periods->day[i + 1], pay_day = periods->pay[i];
        int32_t risk_begin = begin > earliest ? begin : earliest, extra_days = i == last && leg->day_count == A360;
        int32_t middle, count;
        double notional = at_period(market, leg->notionals, i), rate = at_period(market, leg->rates, i), amount;
        int64_t use[EXPONENT_MAX];

        if (pay_day <= market->as_of_day)
            continue;
        count = paid_at(discounting, pay_day, use, 0);
        use[count++] = use_of(trade->survival_source, pay_day, 0);
        pay(program, -buyer * (notional * rate * year_fraction(leg->day_count, begin, end + extra_days, NO_DAY)), use,
            count);
        if (end <= risk_begin)
            continue;
        middle = risk_begin + (end - risk_begin) / 2;
        amount = (1.0 - trade->recovery_rate) * notional;
        if (trade->settles_accrual)
            amount -= notional * rate * year_fraction(leg->day_count, begin, middle + extra_days, NO_DAY);
        add_default_between(
            program, trade->survival_source, risk_begin, end, buyer * amount, use,
            paid_at(discounting, trade->pays_at_default ? middle : pay_day, use, 0));
    }
    add_upfront(program, market, trade, periods, buyer, protection_start);
    row->term_count = close_list(program, &row->term_begin);
    return RESOLVED;
}

#endif
