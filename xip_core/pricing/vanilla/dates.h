/*
 * Days, months, calendars and day counts of plain trades: model.dates, model.calendars and model.daycounts in C.
 *
 * A day is a day number (days since 1970-01-01), a month the months since January 1900. Business days are two tables per
 * calendar over CALENDAR_FIRST_DAY .. CALENDAR_LAST_DAY: how many lie before each day, and which they are; so moving by
 * any count of business days is one look into each. Whoever calls keeps a margin to both ends (`is_inside`).
 *
 * Every function returns what its Python twin does, to the bit; what it does not know, its caller leaves to the twin.
 */
#ifndef XIP_VANILLA_DATES_H
#define XIP_VANILLA_DATES_H

#include <math.h>
#include <stdint.h>

#define NO_DAY INT32_MIN
#define EPOCH_MONTH 840               /* January 1970 */
#define MONTH_COUNT 4800              /* 1900 to 2299 */
#define CALENDAR_FIRST_DAY (-7305)    /* 1950-01-01 */
#define CALENDAR_LAST_DAY 73049       /* 2169-12-31 */
#define MARGIN_DAYS 1500

enum { FOLLOWING, MODIFIED_FOLLOWING, PRECEDING, MODIFIED_PRECEDING, UNADJUSTED };
enum { A360, A365F, THIRTY_360, THIRTY_E_360, THIRTY_E_360_ISDA, THIRTY_U_360, ACT_ACT_ISDA, NL_365, ONE, ACT_ACT_ICMA };

typedef struct {
    const int32_t *before;            /* before[day - first]: business days from first up to the eve of day */
    const int32_t *open;              /* the business days */
} calendar_table;

static inline int32_t first_of_month(int32_t month)
{
    int32_t year = 1900 + month / 12, of_year = month % 12;
    int32_t shifted = of_year < 2 ? year - 1 : year, from_march = of_year < 2 ? of_year + 10 : of_year - 2;
    int32_t era = shifted / 400, of_era = shifted - era * 400;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5 - 719468;
}

/* The month of a day, and the first day of that month; days from 1900 on. */
static inline int32_t month_of(int32_t day, int32_t *first)
{
    int32_t month = (int32_t)(((int64_t)day * 4800 + 4800 * 25567LL) / 146097);   /* at most one too high or low */

    if (first_of_month(month) > day)
        month--;
    else if (first_of_month(month + 1) <= day)
        month++;
    *first = first_of_month(month);
    return month;
}

/* A day of a month, counted from one; past the month's end it is the end. */
static inline int32_t day_in_month(int32_t month, int32_t day_of_month)
{
    int32_t day = first_of_month(month) + day_of_month - 1, end = first_of_month(month + 1) - 1;

    return day < end ? day : end;
}

static inline int32_t month_end(int32_t day)
{
    int32_t first, month = month_of(day, &first);

    return first_of_month(month + 1) - 1;
}

static inline int is_inside(int32_t day)
{
    return day > CALENDAR_FIRST_DAY + MARGIN_DAYS && day < CALENDAR_LAST_DAY - MARGIN_DAYS;
}

/* ---- calendars ---------------------------------------------------------------------------------------------------- */

static inline int32_t following(const calendar_table *calendar, int32_t day)
{
    return calendar->open[calendar->before[day - CALENDAR_FIRST_DAY]];
}

static inline int32_t preceding(const calendar_table *calendar, int32_t day)
{
    return calendar->open[calendar->before[day + 1 - CALENDAR_FIRST_DAY] - 1];
}

static inline int is_same_month(int32_t a, int32_t b)
{
    int32_t first;

    return month_of(a, &first) == month_of(b, &first);
}

static inline int32_t adjusted(const calendar_table *calendar, int32_t day, int convention)
{
    int32_t moved;

    switch (convention) {
    case FOLLOWING:
        return following(calendar, day);
    case PRECEDING:
        return preceding(calendar, day);
    case MODIFIED_FOLLOWING:
        moved = following(calendar, day);
        return moved == day || is_same_month(moved, day) ? moved : preceding(calendar, day);
    case MODIFIED_PRECEDING:
        moved = preceding(calendar, day);
        return moved == day || is_same_month(moved, day) ? moved : following(calendar, day);
    default:
        return day;
    }
}

/* Moved by a count of business days, forward or back; 0 means the following business day. */
static inline int32_t advanced(const calendar_table *calendar, int32_t day, int32_t business_days)
{
    int32_t place = business_days > 0 ? calendar->before[day + 1 - CALENDAR_FIRST_DAY] - 1
                                      : calendar->before[day - CALENDAR_FIRST_DAY];

    return calendar->open[place + business_days];
}

static inline int is_month_end_of(const calendar_table *calendar, int32_t day)
{
    return day >= preceding(calendar, month_end(day));
}

/* ---- day counts --------------------------------------------------------------------------------------------------- */

static inline int is_leap_year(int32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Years since 1970-01-01, each calendar year counting 1 whatever its length. */
static inline double year_position(int32_t day)
{
    int32_t first, month = month_of(day, &first), year = 1900 + month / 12;
    int32_t new_year = first_of_month(month - month % 12);

    return (double)(year - 1970) + (double)(day - new_year) / (is_leap_year(year) ? 366.0 : 365.0);
}

static inline int32_t leap_days_until(int32_t day)
{
    int32_t first, month = month_of(day, &first), year = 1900 + month / 12, of_year = month % 12;
    int32_t full = year - 1 + (of_year > 1 || (of_year == 1 && day - first == 28));

    return full / 4 - full / 100 + full / 400;
}

static inline double thirty_360(int day_count, int32_t begin, int32_t end, int32_t termination)
{
    int32_t begin_first, end_first, begin_month = month_of(begin, &begin_first), end_month = month_of(end, &end_first);
    int32_t begin_day = begin - begin_first + 1, end_day = end - end_first + 1;
    int from_february_end = begin_month % 12 == 1 && begin == first_of_month(begin_month + 1) - 1;
    int to_february_end = end_month % 12 == 1 && end == first_of_month(end_month + 1) - 1;

    if (day_count == THIRTY_U_360) {
        end_day = from_february_end && to_february_end ? 30 : end_day;
        begin_day = from_february_end ? 30 : begin_day;
    }
    if (day_count == THIRTY_E_360_ISDA) {
        begin_day = from_february_end ? 30 : begin_day;
        end_day = to_february_end && end != termination ? 30 : end_day;
    }
    begin_day = begin_day < 30 ? begin_day : 30;
    if (day_count == THIRTY_E_360 || day_count == THIRTY_E_360_ISDA)
        end_day = end_day < 30 ? end_day : 30;
    else if (end_day == 31 && begin_day == 30)
        end_day = 30;
    return (double)(30 * (end_month - begin_month) + end_day - begin_day) / 360.0;
}

/* Years between two days by any day count but ACT/ACT ICMA and AFB; *termination* is NO_DAY where there is none. */
static inline double year_fraction(int day_count, int32_t begin, int32_t end, int32_t termination)
{
    switch (day_count) {
    case A360:
        return (double)(end - begin) / 360.0;
    case A365F:
        return (double)(end - begin) / 365.0;
    case ACT_ACT_ISDA:
        return year_position(end) - year_position(begin);
    case NL_365:
        return (double)(end - begin - (leap_days_until(end) - leap_days_until(begin))) / 365.0;
    case ONE:
        return 1.0;
    default:
        return thirty_360(day_count, begin, end, termination);
    }
}

#endif
