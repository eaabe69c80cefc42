/*
 * Lines of a book to records of plain trades: what compiled resolving reads, without the interpreter's lock.
 *
 * A line is read where model.trade would read it and its trade is plain, and its record says all about the trade. Every
 * other line is left to Python: unknown types, legs that compound, have stubs on other indices, reset or look back,
 * inflation, cash settlement, the ISDA standard model, coupons by ACT/ACT ICMA or AFB elsewhere than in bonds, dates near
 * the edges of the calendars' tables, and whatever the constructors of model.trade would refuse. Nothing is judged here.
 */
#ifndef XIP_VANILLA_READING_H
#define XIP_VANILLA_READING_H

#include "lines.h"

#define BUSINESS_DAYS_MAX 250
#define BEGUN (1ull << 63)            /* of the keys seen: the type, which comes first */

enum { LEFT, READ, AGAIN };

typedef struct {
    const char *text;
    int32_t size, status;
    text_span id;
} book_line;

#define BIT(field) (1ull << (field))
#define HAS(seen, fields) (((seen) & (fields)) == (fields))

/* ---- schedules ---------------------------------------------------------------------------------------------------- */

enum { START, END, TENOR, CALENDAR, CONVENTION, TERM_CONVENTION, RULE, END_OF_MONTH, FIRST_DATE, LAST_DATE, DATES,
       SCHEDULE_FIELDS };
static const field_name SCHEDULE_NAMES[] = {
    FIELD("start"), FIELD("end"), FIELD("tenor"), FIELD("calendar"), FIELD("convention"), FIELD("term_convention"),
    FIELD("rule"), FIELD("end_of_month"), FIELD("first_date"), FIELD("last_date"), FIELD("dates")};

static int32_t take_optional_date(line_reader *reader)
{
    return TAKES_NULL(reader) ? NO_DAY : take_date(reader);
}

/* 0 where there is none. */
static int take_tenor(line_reader *reader, schedule_terms *terms)
{
    text_span tenor = take_text(reader);
    double days = 0.0;

    if (reader->is_broken || !tenor.size)
        return 0;
    terms->tenor_months = word_number(reader, TENOR_WORD, tenor, &days);
    terms->tenor_days = (int32_t)days;
    return 1;
}

static void take_dates(line_reader *reader, schedule_terms *terms)
{
    trade_buffer *buffer = reader->buffer;

    if (!takes(reader, '['))
        breaks(reader);
    else if (!takes(reader, ']')) {
        do {
            int32_t day = take_date(reader);
            if (reader->is_broken || !GROW(buffer, date) ||
                (terms->dates_count && day <= buffer->date[buffer->date_count - 1])) {
                breaks(reader);
                return;
            }
            buffer->date[buffer->date_count++] = day;
            terms->dates_count++;
        } while (takes(reader, ','));
        if (!takes(reader, ']') || terms->dates_count < 2)
            breaks(reader);
    }
}

/* The schedule and the text of its calendar, "" where there is none. */
static text_span take_schedule(line_reader *reader, schedule_terms *terms)
{
    text_span calendar = {"", 0};
    uint64_t seen = 0;
    int32_t field = -1;
    int has_tenor = 0;

    terms->start = terms->end = terms->first_date = terms->last_date = NO_DAY;
    terms->calendar = reader->weekend_calendar;
    terms->convention = MODIFIED_FOLLOWING;
    terms->term_convention = -1;
    terms->rule = FORWARD;
    terms->dates_begin = (int32_t)reader->buffer->date_count;
    if (!takes(reader, '{'))
        breaks(reader);
    while ((field = next_field(reader, SCHEDULE_NAMES, SCHEDULE_FIELDS, &seen, field)) >= 0)
        switch (field) {
        case START: terms->start = take_optional_date(reader); break;
        case END: terms->end = take_optional_date(reader); break;
        case TENOR: has_tenor = take_tenor(reader, terms); break;
        case CALENDAR:
            calendar = take_text(reader);
            terms->calendar = reader->is_broken ? 0 : word_number(reader, CALENDAR_WORD, calendar, NULL);
            break;
        case CONVENTION: terms->convention = take_word(reader, CONVENTION_WORD); break;
        case TERM_CONVENTION: terms->term_convention = TAKES_NULL(reader) ? -1 : take_word(reader, CONVENTION_WORD); break;
        case RULE: terms->rule = take_word(reader, RULE_WORD); break;
        case END_OF_MONTH: terms->end_of_month = take_flag(reader); break;
        case FIRST_DATE: terms->first_date = take_optional_date(reader); break;
        case LAST_DATE: terms->last_date = take_optional_date(reader); break;
        default: take_dates(reader, terms);
        }
    if (terms->dates_count
            ? terms->start != NO_DAY || terms->end != NO_DAY || has_tenor
            : terms->start == NO_DAY || terms->end == NO_DAY || terms->start >= terms->end || !has_tenor)
        breaks(reader);
    if (terms->calendar < 0)
        breaks(reader);
    return calendar;
}

/* ---- legs --------------------------------------------------------------------------------------------------------- */

enum { PAYER, LEG_CURRENCY, NOTIONALS, DAY_COUNT, SCHEDULE, PAYMENT_CONVENTION, PAYMENT_LAG, PAYMENT_CALENDAR,
       INITIAL_EXCHANGE, FINAL_EXCHANGE, AMORTISING_EXCHANGE, FX_RESET, PERIODS_PER_PAYMENT, COMPOUNDING, RATES,
       LEG_INDEX, SPREADS, GEARINGS, FIXING_DAYS, LEG_CAPS, LEG_FLOORS, FRONT_STUB, BACK_STUB, AVERAGED, LOOKBACK_DAYS,
       LEG_FIELDS };
static const field_name LEG_NAMES[] = {
    FIELD("payer"), FIELD("currency"), FIELD("notionals"), FIELD("day_count"), FIELD("schedule"),
    FIELD("payment_convention"), FIELD("payment_lag_days"), FIELD("payment_calendar"), FIELD("initial_exchange"),
    FIELD("final_exchange"), FIELD("amortising_exchange"), FIELD("fx_reset"), FIELD("periods_per_payment"),
    FIELD("compounding"), FIELD("rates"), FIELD("index"), FIELD("spreads"), FIELD("gearings"), FIELD("fixing_days"),
    FIELD("caps"), FIELD("floors"), FIELD("front_stub"), FIELD("back_stub"), FIELD("averaged"), FIELD("lookback_days")};

#define LEG_NEEDS (BIT(PAYER) | BIT(LEG_CURRENCY) | BIT(NOTIONALS) | BIT(DAY_COUNT) | BIT(SCHEDULE))
#define ANY_LEG (BEGUN | (BIT(FX_RESET + 1) - 1))
#define COMPOUNDS (BIT(PERIODS_PER_PAYMENT) | BIT(COMPOUNDING))
#define ON_INDEX (BIT(LEG_INDEX) | BIT(SPREADS) | BIT(GEARINGS))

static const uint64_t LEG_ALLOWS[] = {
    ANY_LEG | COMPOUNDS | BIT(RATES),
    ANY_LEG | COMPOUNDS | ON_INDEX | BIT(FIXING_DAYS) | BIT(LEG_CAPS) | BIT(LEG_FLOORS) | BIT(FRONT_STUB) | BIT(BACK_STUB),
    ANY_LEG | ON_INDEX | BIT(AVERAGED) | BIT(LOOKBACK_DAYS)};
static const uint64_t LEG_REQUIRES[] = {LEG_NEEDS | BIT(RATES), LEG_NEEDS | BIT(LEG_INDEX), LEG_NEEDS | BIT(LEG_INDEX)};

typedef struct {                      /* what a leg says beside its record */
    value_range caps, floors;
    text_span currency, calendar, payment_calendar;
    int32_t fixing_days;
    int has_fixing_days;
} leg_words;

static int32_t take_leg_kind(line_reader *reader)
{
    text_span kind;

    if (!takes(reader, '{') || !takes_literal(reader, "\"type\"", 6) || !takes(reader, ':'))
        return breaks(reader);
    kind = take_text(reader);
    return IS_TEXT(kind, "fixed") ? FIXED_LEG
         : IS_TEXT(kind, "floating") ? FLOATING_LEG
         : IS_TEXT(kind, "overnight") ? OVERNIGHT_LEG : breaks(reader);
}

static void take_leg_field(line_reader *reader, leg_record *leg, leg_words *words, int32_t field)
{
    switch (field) {
    case PAYER: leg->is_payer = take_flag(reader); break;
    case LEG_CURRENCY: words->currency = take_text(reader); break;
    case NOTIONALS: leg->notionals = take_values(reader); break;
    case DAY_COUNT: leg->day_count = take_word(reader, DAY_COUNT_WORD); break;
    case SCHEDULE: words->calendar = take_schedule(reader, &leg->schedule); break;
    case PAYMENT_CONVENTION: leg->payment_convention = take_word(reader, CONVENTION_WORD); break;
    case PAYMENT_LAG: leg->payment_lag_days = take_whole(reader); break;
    case PAYMENT_CALENDAR: words->payment_calendar = take_text(reader); break;
    case INITIAL_EXCHANGE: leg->initial_exchange = take_flag(reader); break;
    case FINAL_EXCHANGE: leg->final_exchange = take_flag(reader); break;
    case AMORTISING_EXCHANGE: leg->amortising_exchange = take_flag(reader); break;
    case PERIODS_PER_PAYMENT: if (take_whole(reader) != 1) breaks(reader); break;
    case COMPOUNDING: if (!takes_literal(reader, "\"none\"", 6)) breaks(reader); break;
    case RATES: leg->rates = take_values(reader); break;
    case LEG_INDEX: leg->index = take_word(reader, INDEX_WORD); break;
    case SPREADS: leg->spreads = take_values(reader); break;
    case GEARINGS: leg->gearings = take_values(reader); break;
    case FIXING_DAYS:
        words->has_fixing_days = !TAKES_NULL(reader);
        words->fixing_days = words->has_fixing_days ? take_whole(reader) : 0;
        break;
    case LEG_CAPS: words->caps = take_values(reader); break;
    case LEG_FLOORS: words->floors = take_values(reader); break;
    case AVERAGED: leg->is_averaged = take_flag(reader); break;
    case LOOKBACK_DAYS: if (take_whole(reader)) breaks(reader); break;
    default: if (!TAKES_NULL(reader)) breaks(reader);           /* resets and stubs */
    }
}

/* What is left when all fields of a leg are there. */
static void finish_leg(line_reader *reader, leg_record *leg, const leg_words *words, uint64_t seen, int is_bond)
{
    schedule_terms *terms = &leg->schedule;

    leg->currency = word_number(reader, CURRENCY_WORD, words->currency, NULL);
    leg->payment_calendar = words->payment_calendar.size
        ? word_number(reader, CALENDAR_WORD, words->payment_calendar, NULL) : terms->calendar;
    if (!leg->notionals.count || leg->payment_lag_days < 0 || leg->payment_lag_days > BUSINESS_DAYS_MAX ||
        (leg->kind == FIXED_LEG && !leg->rates.count) ||
        (!is_bond && (leg->day_count == ACT_ACT_ICMA || words->caps.count || words->floors.count)) ||
        (leg->day_count == ACT_ACT_ICMA &&
         (terms->tenor_days || terms->tenor_months < 1 || 12 % terms->tenor_months)))
        breaks(reader);
    if (leg->kind == FIXED_LEG)
        return;
    if (!(seen & BIT(SPREADS))) {
        leg->spreads = no_values(reader);
        add_number(reader, &leg->spreads, 0.0);
    }
    if (!(seen & BIT(GEARINGS))) {
        leg->gearings = no_values(reader);
        add_number(reader, &leg->gearings, 1.0);
    }
    leg->fixing_days = words->has_fixing_days ? words->fixing_days : reader->index[leg->index].settlement_days;
    if (!leg->spreads.count || !leg->gearings.count || leg->fixing_days < -BUSINESS_DAYS_MAX ||
        leg->fixing_days > BUSINESS_DAYS_MAX)
        breaks(reader);
}

/* Adds a leg; the words of it are valid where the line is not broken. */
static void take_leg(line_reader *reader, int is_bond, leg_words *words)
{
    trade_buffer *buffer = reader->buffer;
    leg_record leg;
    uint64_t seen = BEGUN;
    int32_t field = -1;

    memset(&leg, 0, sizeof leg);
    memset(words, 0, sizeof *words);
    words->caps = words->floors = no_values(reader);
    leg.kind = take_leg_kind(reader);
    while ((field = next_field(reader, LEG_NAMES, LEG_FIELDS, &seen, field)) >= 0)
        take_leg_field(reader, &leg, words, field);
    if (reader->is_broken || (seen & ~LEG_ALLOWS[leg.kind]) || !HAS(seen, LEG_REQUIRES[leg.kind])) {
        breaks(reader);
        return;
    }
    finish_leg(reader, &leg, words, seen, is_bond);
    if (!GROW(buffer, leg))
        breaks(reader);
    else
        buffer->leg[buffer->leg_count++] = leg;
}

#endif
