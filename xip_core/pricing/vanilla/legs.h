/*
 * Legs to cash flows: resolve_legs.py in C, formula by formula and in the same order of operations.
 *
 * Left to the twin: FX resets, stubs on other indices, several periods a payment, lookbacks, inflation, and everything
 * that would be refused there, whose sentence is written there.
 */
#ifndef XIP_VANILLA_LEGS_H
#define XIP_VANILLA_LEGS_H

#include "records.h"

typedef struct {                      /* sources of a payment's exponent, -1 where there is none */
    int32_t discount, survival, fx;
} discounting_of;

static inline double at_period(const market_tables *market, value_range values, int32_t period)
{
    return market->number[values.begin + (period < values.count ? period : values.count - 1)];
}

static inline discounting_of discounting_in(const market_tables *market, int32_t currency)
{
    discounting_of result = {market->currency[currency].curve, -1, market->currency[currency].fx};

    return result;
}

/* The exponent of one unit paid on a day, after *count* uses that are there already. */
static inline int32_t paid_at(discounting_of discounting, int32_t day, int64_t *use, int32_t count)
{
    use[count++] = use_of(discounting.discount, day, 0);
    if (discounting.survival >= 0)
        use[count++] = use_of(discounting.survival, day, 0);
    if (discounting.fx >= 0)
        use[count++] = use_of(discounting.fx, 0, 0);
    return count;
}

static inline void pay_at(program_buffer *program, double amount, discounting_of discounting, int32_t day)
{
    int64_t use[EXPONENT_MAX];

    pay(program, amount, use, paid_at(discounting, day, use, 0));
}

/* Periods, payment days and accruals of a leg; 0: fall back. ACT/ACT ICMA: those of a bond's regular coupons. */
static int fill_periods(const market_tables *market, const leg_record *leg, period_table *periods)
{
    const calendar_table *payment_days = market->calendar + leg->payment_calendar;
    const calendar_table *days_of = market->calendar + leg->schedule.calendar;
    int32_t count = fill_boundaries(&leg->schedule, days_of, market->dates, periods), last_day;

    if (!count || leg->payment_lag_days > MARGIN_DAYS / 3)
        return 0;
    last_day = periods->day[count];
    for (int32_t i = 0; i < count; i++) {
        int32_t begin = periods->day[i], end = periods->day[i + 1];

        periods->pay[i] = leg->payment_lag_days ? advanced(payment_days, end, leg->payment_lag_days)
                                                : adjusted(payment_days, end, leg->payment_convention);
        if (leg->day_count == ACT_ACT_ICMA) {
            int32_t months = leg->schedule.tenor_months, first, month = month_of(periods->unadjusted[i], &first);
            int32_t from = periods->unadjusted[i], to = periods->unadjusted[i + 1], to_first, to_month;

            to_month = month_of(to, &to_first);
            if (day_in_month(month + months, from - first + 1) != to &&
                day_in_month(to_month - months, to - to_first + 1) != from)
                return 0;
            periods->accrual[i] = 0.0 + (double)months / 12.0 * (double)(end - begin) / (double)(end - begin);
        } else {
            periods->accrual[i] = year_fraction(leg->day_count, begin, end, last_day);
        }
    }
    return 1;
}

/* 1 and the fixing of a day that is not past the as-of date; 0: still to come; -1: fall back, it should be there. */
static inline int published_fixing(const market_tables *market, const index_table *index, int32_t day, double *fixing)
{
    int32_t low = 0, high = index->fixing_count;

    if (day > market->as_of_day)
        return 0;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (index->fixing_day[middle] < day)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == index->fixing_count || index->fixing_day[low] != day)
        return day < market->as_of_day ? -1 : 0;
    *fixing = index->fixing[low];
    return isfinite(*fixing) ? 1 : -1;
}

/* ---- the index period behind a coupon ----------------------------------------------------------------------------- */

typedef struct {
    int32_t fixing, value, maturity;
    double accrual;
} index_period;

/* The deposit of the index's own tenor that the fixing of a day is the rate of; 0: fall back. */
static inline int deposit_of(const market_tables *market, const index_table *index, int32_t fixing, index_period *of)
{
    const calendar_table *fixing_days = market->calendar + index->calendar;
    const calendar_table *days_of = market->calendar + index->value_calendar;
    int32_t value = following(days_of, advanced(fixing_days, fixing, index->settlement_days)), first, month, maturity;

    month = month_of(value, &first);
    maturity = index->tenor_months ? day_in_month(month + index->tenor_months, value - first + 1) + index->tenor_days
                                   : value + index->tenor_days;
    of->maturity = adjusted(days_of, maturity, index->convention);
    if (index->end_of_month && is_month_end_of(days_of, value))
        of->maturity = preceding(days_of, month_end(maturity));
    of->fixing = fixing;
    of->value = value;
    of->accrual = year_fraction(index->day_count, value, of->maturity, NO_DAY);
    return of->accrual != 0.0;
}

/* Fixing, value and maturity day behind the coupon of [begin, end]; 0: fall back. */
static inline int index_period_of(
    const market_tables *market, const leg_record *leg, const index_table *index, int32_t begin, int32_t end,
    index_period *of)
{
    const calendar_table *fixing_days = market->calendar + index->calendar;

    of->fixing = advanced(fixing_days, begin, -leg->fixing_days);
    if (!index->is_par)
        return deposit_of(market, index, of->fixing, of);
    of->value = advanced(fixing_days, of->fixing, index->settlement_days);
    of->maturity = advanced(fixing_days, advanced(fixing_days, end, -leg->fixing_days), index->settlement_days);
    if (of->maturity <= of->value)
        of->maturity = of->value + 1;
    of->accrual = year_fraction(index->day_count, of->value, of->maturity, NO_DAY);
    return of->accrual != 0.0;
}

/* ---- coupons ------------------------------------------------------------------------------------------------------ */

static int add_fixed(
    program_buffer *program, const market_tables *market, const leg_record *leg, const period_table *periods,
    discounting_of discounting, double sign)
{
    for (int32_t i = 0; i < periods->count; i++)
        if (periods->pay[i] > market->as_of_day) {
            double notional = at_period(market, leg->notionals, i), rate = at_period(market, leg->rates, i);
            pay_at(program, sign * notional * rate * periods->accrual[i], discounting, periods->pay[i]);
        }
    return RESOLVED;
}

static int add_floating(
    program_buffer *program, const market_tables *market, const leg_record *leg, const period_table *periods,
    discounting_of discounting, double sign)
{
    const index_table *index = market->index + leg->index;

    for (int32_t i = 0; i < periods->count; i++) {
        double gearing, spread, scale, fixing = 0.0;
        int64_t use[EXPONENT_MAX];
        index_period of;
        int found;

        if (periods->pay[i] <= market->as_of_day)
            continue;
        if (!index_period_of(market, leg, index, periods->day[i], periods->day[i + 1], &of))
            return FALL_BACK;
        scale = sign * at_period(market, leg->notionals, i) * periods->accrual[i];
        gearing = at_period(market, leg->gearings, i);
        spread = at_period(market, leg->spreads, i);
        found = published_fixing(market, index, of.fixing, &fixing);
        if (found < 0)
            return FALL_BACK;
        if (found) {
            pay_at(program, scale * (gearing * fixing + spread), discounting, periods->pay[i]);
            continue;
        }
        use[0] = use_of(index->curve, of.value, 0);
        use[1] = use_of(index->curve, of.maturity, 1);
        pay(program, scale * gearing / of.accrual, use, paid_at(discounting, periods->pay[i], use, 2));
        pay_at(program, scale * (spread - gearing / of.accrual), discounting, periods->pay[i]);
    }
    return RESOLVED;
}

typedef struct {                      /* resolve_legs.KnownOvernight */
    double interest, growth, stretch;
    int32_t projected_from;
} known_overnight;

/* What published fixings have earned in [begin, end], and what is left to project; 0: fall back. */
static int known_overnight_of(
    const market_tables *market, const index_table *index, int32_t begin, int32_t end, known_overnight *known)
{
    const calendar_table *days_of = market->calendar + index->calendar;
    int32_t value_day = begin, observed_from = begin, next_day, fixing_day;
    double fixing = 0.0, accrual, observed;
    int found;

    known->interest = 0.0;
    known->growth = 1.0;
    if (begin <= market->as_of_day) {
        for (; value_day < end; value_day = next_day) {
            next_day = following(days_of, value_day + 1);
            next_day = next_day < end ? next_day : end;
            fixing_day = preceding(days_of, value_day);
            found = published_fixing(market, index, fixing_day, &fixing);
            if (found < 0)
                return 0;
            if (!found) {
                observed_from = value_day > begin ? fixing_day : observed_from;
                break;
            }
            accrual = year_fraction(index->day_count, value_day, next_day, NO_DAY);
            known->interest = known->interest + fixing * accrual;
            known->growth = known->growth * (1.0 + fixing * accrual);
        }
        if (value_day >= end) {
            known->projected_from = end;
            known->stretch = 1.0;
            return 1;
        }
    }
    observed = year_fraction(index->day_count, observed_from, end, NO_DAY);
    if (observed == 0.0)
        return 0;
    known->stretch = year_fraction(index->day_count, value_day, end, NO_DAY) / observed;
    known->projected_from = observed_from;
    return 1;
}

static int add_overnight(
    program_buffer *program, const market_tables *market, const leg_record *leg, const period_table *periods,
    discounting_of discounting, double sign)
{
    const index_table *index = market->index + leg->index;

    for (int32_t i = 0; i < periods->count; i++) {
        int32_t begin = periods->day[i], end = periods->day[i + 1], pay_day = periods->pay[i], count;
        double scale, gearing, spread, accrual = year_fraction(index->day_count, begin, end, NO_DAY);
        int64_t use[EXPONENT_MAX];
        known_overnight known;

        if (pay_day <= market->as_of_day)
            continue;
        if (accrual == 0.0 || !known_overnight_of(market, index, begin, end, &known) || known.stretch == 0.0)
            return FALL_BACK;
        scale = sign * at_period(market, leg->notionals, i) * periods->accrual[i];
        gearing = at_period(market, leg->gearings, i);
        spread = at_period(market, leg->spreads, i);
        use[0] = use_of(index->curve, known.projected_from, 0);
        use[1] = use_of(index->curve, end, 1);
        count = paid_at(discounting, pay_day, use, 2);
        if (leg->is_averaged) {
            add_special(program, scale * gearing / accrual * known.stretch, known.interest / known.stretch, 0.0,
                        use + 2, count - 2, use, 2);
            pay_at(program, scale * spread, discounting, pay_day);
        } else {
            pay(program, scale * gearing / accrual * known.growth, use, count);
            pay_at(program, scale * (spread - gearing / accrual), discounting, pay_day);
        }
    }
    return RESOLVED;
}

static int add_coupons(
    program_buffer *program, const market_tables *market, const leg_record *leg, const period_table *periods,
    discounting_of discounting, double sign)
{
    switch (leg->kind) {
    case FIXED_LEG:
        return add_fixed(program, market, leg, periods, discounting, sign);
    case FLOATING_LEG:
        return add_floating(program, market, leg, periods, discounting, sign);
    default:
        return add_overnight(program, market, leg, periods, discounting, sign);
    }
}

/* Notional out at the start, its reductions on the way, the rest back at the end; from the receiver's side. */
static void add_exchanges(
    program_buffer *program, const market_tables *market, const leg_record *leg, const period_table *periods,
    discounting_of discounting, double sign)
{
    int32_t last = periods->count - 1;

    if (leg->initial_exchange) {
        int32_t start = adjusted(market->calendar + leg->payment_calendar, periods->day[0], leg->payment_convention);
        if (start > market->as_of_day)
            pay_at(program, -sign * market->number[leg->notionals.begin], discounting, start);
    }
    if (leg->amortising_exchange)
        for (int32_t i = 0; i < last; i++) {
            double reduction = at_period(market, leg->notionals, i) - at_period(market, leg->notionals, i + 1);
            if (reduction != 0.0 && periods->pay[i] > market->as_of_day)
                pay_at(program, sign * reduction, discounting, periods->pay[i]);
        }
    if (leg->final_exchange && periods->pay[last] > market->as_of_day)
        pay_at(program, sign * at_period(market, leg->notionals, last), discounting, periods->pay[last]);
}

#endif
