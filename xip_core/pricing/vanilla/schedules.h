/*
 * Period boundaries of a leg from its rule: model.schedules in C, and from them the coupon periods of a leg.
 *
 * A schedule that the twin would refuse, or that leaves the calendars' tables, has no boundaries here: the row falls back.
 */
#ifndef XIP_VANILLA_SCHEDULES_H
#define XIP_VANILLA_SCHEDULES_H

#include "dates.h"

#define PERIODS_MAX 5000
#define BOUNDARIES_MAX (PERIODS_MAX + 8)

enum { FORWARD, BACKWARD, ZERO, IMM, CDS2015 };

typedef struct {
    int32_t start, end, first_date, last_date;        /* NO_DAY where there is none */
    int32_t tenor_months, tenor_days;
    int32_t calendar, convention, term_convention;    /* place among the calendars; term_convention -1: none */
    int32_t rule, end_of_month;
    int32_t dates_begin, dates_count;                 /* explicit boundaries */
} schedule_terms;

typedef struct {
    int32_t count;                                    /* periods */
    int32_t day[BOUNDARIES_MAX];                      /* boundaries: period i is day[i] to day[i + 1] */
    int32_t unadjusted[BOUNDARIES_MAX];
    int32_t pay[BOUNDARIES_MAX];
    double accrual[BOUNDARIES_MAX];
} period_table;

static inline int32_t third_wednesday(int32_t day)
{
    int32_t first;

    month_of(day, &first);
    return first + ((6 - first) % 7 + 7) % 7 + 14;
}

/* Sorted and without repetitions; nearly sorted as it comes. */
static int32_t sort_distinct(int32_t *day, int32_t count)
{
    int32_t kept = 1;

    for (int32_t i = 1; i < count; i++) {
        int32_t moving = day[i], place = i;
        for (; place > 0 && day[place - 1] > moving; place--)
            day[place] = day[place - 1];
        day[place] = moving;
    }
    for (int32_t i = 1; i < count; i++)
        if (day[i] > day[kept - 1])
            day[kept++] = day[i];
    return kept;
}

/* Boundaries by steps of the tenor from one anchor; 0: the twin knows what is wrong. */
static int32_t stepped(const schedule_terms *terms, const calendar_table *calendar, int32_t *day)
{
    int32_t start = terms->start, end = terms->end, months = terms->tenor_months, days = terms->tenor_days;
    int32_t shortest = 28 * months + days > 1 ? 28 * months + days : 1, step_count = (end - start) / shortest + 2;
    int is_backward = terms->rule == BACKWARD, sign = is_backward ? -1 : 1;
    int32_t anchor = is_backward ? (terms->last_date == NO_DAY ? end : terms->last_date)
                                 : (terms->first_date == NO_DAY ? start : terms->first_date);
    int32_t limit = is_backward ? (terms->first_date == NO_DAY ? start : terms->first_date)
                                : (terms->last_date == NO_DAY ? end : terms->last_date);
    int32_t anchor_first, anchor_month, day_of_month, count = 0, has_month_ends;

    if (step_count > PERIODS_MAX || !is_inside(anchor))
        return 0;
    anchor_month = month_of(anchor, &anchor_first);
    day_of_month = anchor - anchor_first + 1;
    if (months && ((int64_t)anchor_month + (int64_t)sign * months * step_count < 0 ||
                   (int64_t)anchor_month + (int64_t)sign * months * step_count >= MONTH_COUNT))
        return 0;
    has_month_ends = terms->end_of_month && months && is_month_end_of(calendar, anchor);
    day[count++] = start;
    for (int32_t step = 0; step <= step_count; step++) {
        int32_t inner = months ? day_in_month(anchor_month + sign * months * step, day_of_month) + sign * days * step
                               : anchor + sign * days * step;
        if (is_backward ? inner < limit : inner > limit)
            break;
        if (terms->rule == IMM)
            inner = inner == anchor ? inner : third_wednesday(inner);
        else if (has_month_ends)
            inner = inner == anchor ? inner : month_end(inner);
        if (inner > start && inner < end)
            day[count++] = inner;
    }
    if (is_backward)
        for (int32_t left = 1, right = count - 1; left < right; left++, right--) {
            int32_t swapped = day[left];
            day[left] = day[right];
            day[right] = swapped;
        }
    if (terms->first_date != NO_DAY)
        day[count++] = terms->first_date;
    if (terms->last_date != NO_DAY)
        day[count++] = terms->last_date;
    day[count++] = end;
    return sort_distinct(day, count);
}

/* The twentieths of quarter months that bracket [start, end]; one more in front where the first is not reached. */
static int32_t cds_boundaries(const schedule_terms *terms, const calendar_table *calendar, int32_t *day)
{
    int32_t first, begin_month = month_of(terms->start, &first), begin_day = terms->start - first + 1;
    int32_t end_month = month_of(terms->end, &first), end_day = terms->end - first + 1, count = 0;

    if (begin_day < 20)
        begin_month--;
    begin_month -= (begin_month + 1) % 3;
    if (end_day > 20)
        end_month++;
    end_month += (3 - (end_month + 1) % 3) % 3;
    if (adjusted(calendar, day_in_month(begin_month, 20), terms->convention) > terms->start)
        begin_month -= 3;
    for (int32_t month = begin_month; month <= end_month && count < BOUNDARIES_MAX; month += 3)
        day[count++] = day_in_month(month, 20);
    return count;
}

static int32_t unadjusted_boundaries(
    const schedule_terms *terms, const calendar_table *calendar, const int32_t *dates, int32_t *day)
{
    if (terms->dates_count) {
        if (terms->dates_count > BOUNDARIES_MAX)
            return 0;
        for (int32_t i = 0; i < terms->dates_count; i++)
            day[i] = dates[terms->dates_begin + i];
        return terms->dates_count;
    }
    if (!is_inside(terms->start) || !is_inside(terms->end))
        return 0;
    if (terms->rule == ZERO || (terms->tenor_months == 0 && terms->tenor_days == 0)) {
        day[0] = terms->start;
        day[1] = terms->end;
        return 2;
    }
    if (terms->rule == CDS2015)
        return cds_boundaries(terms, calendar, day);
    return stepped(terms, calendar, day);
}

/* Fills day and unadjusted; returns the count of periods, 0 where the row has to fall back. */
static int32_t fill_boundaries(
    const schedule_terms *terms, const calendar_table *calendar, const int32_t *dates, period_table *periods)
{
    int32_t *unadjusted = periods->unadjusted, *day = periods->day, kept = 0, before = 0;
    int32_t count = unadjusted_boundaries(terms, calendar, dates, unadjusted);

    periods->count = 0;
    if (count < 2)
        return 0;
    for (int32_t i = 0; i < count; i++)
        if (!is_inside(unadjusted[i]))
            return 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t moved = adjusted(calendar, unadjusted[i], terms->convention);
        if (i == count - 1) {
            if (terms->rule == CDS2015 && !terms->dates_count)
                moved = unadjusted[i];
            else if (terms->term_convention >= 0 && terms->term_convention != terms->convention)
                moved = adjusted(calendar, unadjusted[i], terms->term_convention);
        }
        if (i == 0 || moved > before) {
            unadjusted[kept] = unadjusted[i];
            day[kept++] = moved;
        }
        before = moved;
    }
    if (kept < 2)
        return 0;
    return periods->count = kept - 1;
}

#endif
