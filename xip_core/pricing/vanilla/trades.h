/*
 * The trade of a line: its fields, whatever the type, then what the type makes of them (products.h has the records).
 */
#ifndef XIP_VANILLA_TRADES_H
#define XIP_VANILLA_TRADES_H

#include <time.h>
#include "reading.h"

enum { ID, BOOK, DESK, COUNTERPARTY, TAGS, LEGS, LEG, VALUE_DATE, NAME, TRADE_CURRENCY, TRADE_INDEX, BEGIN_DATE, END_DATE,
       MATURITY, EXPIRY, OPTION_TYPE, POSITION, SETTLEMENT, STRIKE, NOTIONAL, QUANTITY, BOUGHT_CURRENCY, BOUGHT_AMOUNT,
       SOLD_CURRENCY, SOLD_AMOUNT, CAPS, FLOORS, PREMIUMS, ISSUE_DATE, SETTLEMENT_DAYS, BOND_CALENDAR, REFERENCE_CURVE,
       CREDIT_CURVE, PROTECTION_START, UPFRONT_DATE, UPFRONT_FEE, SETTLES_ACCRUAL, PAYS_AT_DEFAULT, RECOVERY_RATE, ISSUER,
       SECURITY, EX_COUPON_DAYS, EX_COUPON_CALENDAR, TRADE_FIELDS };
static const field_name TRADE_NAMES[] = {
    FIELD("id"), FIELD("book"), FIELD("desk"), FIELD("counterparty"), FIELD("tags"), FIELD("legs"), FIELD("leg"),
    FIELD("value_date"), FIELD("name"), FIELD("currency"), FIELD("index"), FIELD("start"), FIELD("end"),
    FIELD("maturity"), FIELD("expiry"), FIELD("option_type"), FIELD("position"), FIELD("settlement"), FIELD("strike"),
    FIELD("notional"), FIELD("quantity"), FIELD("bought_currency"), FIELD("bought_amount"), FIELD("sold_currency"),
    FIELD("sold_amount"), FIELD("caps"), FIELD("floors"), FIELD("premiums"), FIELD("issue_date"),
    FIELD("settlement_days"), FIELD("calendar"), FIELD("reference_curve"), FIELD("credit_curve"),
    FIELD("protection_start"), FIELD("upfront_date"), FIELD("upfront_fee"), FIELD("settles_accrual"),
    FIELD("pays_at_default"), FIELD("recovery_rate"), FIELD("issuer"), FIELD("security"), FIELD("ex_coupon_days"),
    FIELD("ex_coupon_calendar")};

#define ANY_TRADE (BEGUN | (BIT(TAGS + 1) - 1))
#define PAIR (BIT(BOUGHT_CURRENCY) | BIT(BOUGHT_AMOUNT) | BIT(SOLD_CURRENCY) | BIT(SOLD_AMOUNT))
#define UNDERLYING (BIT(NAME) | BIT(TRADE_CURRENCY) | BIT(STRIKE) | BIT(QUANTITY) | BIT(POSITION))
#define OPTION (BIT(EXPIRY) | BIT(OPTION_TYPE) | BIT(POSITION))

typedef struct {
    const char *type;
    int32_t size, kind;
    uint64_t needs, allows;           /* fields; ANY_TRADE and the needed ones are allowed anyway */
} trade_type;

#define TYPE(name, kind, needs, allows) {name, sizeof name - 1, kind, BIT(ID) | (needs), ANY_TRADE | (needs) | (allows)}
static const trade_type TRADE_TYPES[] = {
    TYPE("swap", SWAP, BIT(LEGS), 0),
    TYPE("fx_forward", FX_FORWARD, BIT(VALUE_DATE) | PAIR, 0),
    TYPE("fx_option", FX_OPTION, OPTION | PAIR, BIT(PREMIUMS)),
    TYPE("equity_option", EQUITY_OPTION, OPTION | UNDERLYING, BIT(PREMIUMS)),
    TYPE("commodity_option", COMMODITY_OPTION, OPTION | UNDERLYING, BIT(PREMIUMS)),
    TYPE("equity_forward", EQUITY_FORWARD, UNDERLYING | BIT(MATURITY), 0),
    TYPE("commodity_forward", COMMODITY_FORWARD, UNDERLYING | BIT(MATURITY), 0),
    TYPE("fra", FRA, BIT(TRADE_CURRENCY) | BIT(TRADE_INDEX) | BIT(BEGIN_DATE) | BIT(END_DATE) | BIT(STRIKE) | BIT(NOTIONAL) |
         BIT(POSITION), 0),
    TYPE("cds", CDS, BIT(LEG) | BIT(CREDIT_CURVE), BIT(PROTECTION_START) | BIT(UPFRONT_DATE) | BIT(UPFRONT_FEE) |
         BIT(SETTLES_ACCRUAL) | BIT(PAYS_AT_DEFAULT) | BIT(RECOVERY_RATE) | BIT(ISSUER)),
    TYPE("bond", BOND, BIT(LEG) | BIT(ISSUE_DATE) | BIT(SETTLEMENT_DAYS) | BIT(BOND_CALENDAR) | BIT(REFERENCE_CURVE),
         BIT(CREDIT_CURVE) | BIT(RECOVERY_RATE) | BIT(ISSUER) | BIT(SECURITY) | BIT(EX_COUPON_DAYS) |
         BIT(EX_COUPON_CALENDAR)),
    TYPE("swaption", SWAPTION, BIT(LEGS) | BIT(EXPIRY) | BIT(POSITION) | BIT(SETTLEMENT), BIT(PREMIUMS)),
    TYPE("cap_floor", CAP_FLOOR, BIT(LEG) | BIT(POSITION), BIT(CAPS) | BIT(FLOORS) | BIT(PREMIUMS)),
};

typedef struct {                      /* what a trade says beside its record */
    text_span id, name, currency, index, bought, sold, reference, credit, security;
    int has_recovery_rate;
    leg_words leg[2];                 /* of the first two */
} trade_words;

/* ---- parts -------------------------------------------------------------------------------------------------------- */

static void take_legs(line_reader *reader, trade_record *trade, trade_words *words)
{
    if (!takes(reader, '['))
        breaks(reader);
    else
        do {
            leg_words more;
            take_leg(reader, 0, trade->leg_count < 2 ? words->leg + trade->leg_count : &more);
            trade->leg_count++;
        } while (!reader->is_broken && takes(reader, ','));
    if (!reader->is_broken && !takes(reader, ']'))
        breaks(reader);
}

enum { PREMIUM_AMOUNT, PREMIUM_CURRENCY, PAY_DATE, PREMIUM_FIELDS };
static const field_name PREMIUM_NAMES[] = {FIELD("amount"), FIELD("currency"), FIELD("pay_date")};

static void take_premium(line_reader *reader, trade_record *trade)
{
    trade_buffer *buffer = reader->buffer;
    premium_record premium = {0.0, 0, 0};
    uint64_t seen = 0;
    int32_t field = -1;

    if (!takes(reader, '{'))
        breaks(reader);
    while ((field = next_field(reader, PREMIUM_NAMES, PREMIUM_FIELDS, &seen, field)) >= 0)
        if (field == PREMIUM_AMOUNT)
            premium.amount = take_number(reader);
        else if (field == PREMIUM_CURRENCY)
            premium.currency = take_word(reader, CURRENCY_WORD);
        else
            premium.day = take_date(reader);
    if (seen != BIT(PREMIUM_FIELDS) - 1 || !GROW(buffer, premium)) {
        breaks(reader);
        return;
    }
    buffer->premium[buffer->premium_count++] = premium;
    trade->premium_count++;
}

static void take_premiums(line_reader *reader, trade_record *trade)
{
    if (!takes(reader, '['))
        breaks(reader);
    else if (!takes(reader, ']')) {
        do
            take_premium(reader, trade);
        while (!reader->is_broken && takes(reader, ','));
        if (!reader->is_broken && !takes(reader, ']'))
            breaks(reader);
    }
}

/* 1 for the first word, 0 for the second. */
static int32_t take_either(line_reader *reader, const char *first, int32_t size, const char *second, int32_t second_size)
{
    text_span word = take_text(reader);

    return is_text(word, first, size) ? 1 : is_text(word, second, second_size) ? 0 : breaks(reader);
}

#define TAKE_EITHER(reader, first, second) \
    take_either(reader, first, sizeof first - 1, second, sizeof second - 1)

/* ---- fields ------------------------------------------------------------------------------------------------------- */

static void take_asset_field(line_reader *reader, trade_record *trade, trade_words *words, int32_t field)
{
    switch (field) {
    case VALUE_DATE: case MATURITY: case EXPIRY: trade->day = take_date(reader); break;
    case NAME: words->name = take_text(reader); break;
    case TRADE_CURRENCY: words->currency = take_text(reader); break;
    case TRADE_INDEX: words->index = take_text(reader); break;
    case BEGIN_DATE: trade->day = take_date(reader); break;
    case END_DATE: trade->end_day = take_date(reader); break;
    case OPTION_TYPE: trade->is_call = TAKE_EITHER(reader, "call", "put"); break;
    case POSITION: trade->sign = TAKE_EITHER(reader, "long", "short") ? 1.0 : -1.0; break;
    case SETTLEMENT: if (!takes_literal(reader, "\"physical\"", 10)) breaks(reader); break;
    case STRIKE: trade->strike = take_number(reader); break;
    case NOTIONAL: case QUANTITY: case BOUGHT_AMOUNT: trade->amount = take_number(reader); break;
    case BOUGHT_CURRENCY: words->bought = take_text(reader); break;
    case SOLD_CURRENCY: words->sold = take_text(reader); break;
    case SOLD_AMOUNT: trade->sold_amount = take_number(reader); break;
    case CAPS: trade->caps = take_values(reader); break;
    case FLOORS: trade->floors = take_values(reader); break;
    default: take_premiums(reader, trade);
    }
}

static void take_credit_field(line_reader *reader, trade_record *trade, trade_words *words, int32_t field)
{
    switch (field) {
    case ISSUE_DATE: take_date(reader); break;
    case SETTLEMENT_DAYS: if (take_whole(reader) < 0) breaks(reader); break;
    case REFERENCE_CURVE: words->reference = take_text(reader); break;
    case CREDIT_CURVE: words->credit = take_text(reader); break;
    case PROTECTION_START: trade->day = take_optional_date(reader); break;
    case UPFRONT_DATE: trade->end_day = take_optional_date(reader); break;
    case UPFRONT_FEE: trade->amount = take_number(reader); break;
    case SETTLES_ACCRUAL: trade->settles_accrual = take_flag(reader); break;
    case PAYS_AT_DEFAULT: trade->pays_at_default = take_flag(reader); break;
    case RECOVERY_RATE:
        words->has_recovery_rate = !TAKES_NULL(reader);
        trade->recovery_rate = words->has_recovery_rate ? take_number(reader) : 0.0;
        break;
    case SECURITY: words->security = take_text(reader); break;
    case EX_COUPON_DAYS: if (take_whole(reader)) breaks(reader); break;
    default: take_text(reader);                                 /* calendars, the issuer */
    }
}

static void take_trade_field(line_reader *reader, trade_record *trade, trade_words *words, int32_t field)
{
    if (field == ID)
        words->id = take_text(reader);
    else if (field == TAGS)
        skip_texts(reader);
    else if (field < TAGS)
        take_text(reader);
    else if (field == LEGS)
        take_legs(reader, trade, words);
    else if (field == LEG) {
        take_leg(reader, trade->kind == BOND, words->leg);
        trade->leg_count = 1;
    } else if (field < ISSUE_DATE)
        take_asset_field(reader, trade, words, field);
    else
        take_credit_field(reader, trade, words, field);
}

/* ---- types -------------------------------------------------------------------------------------------------------- */

static int all_equal(const double *number, value_range one, value_range other)
{
    for (int32_t i = 0; i < one.count; i++)
        if (number[one.begin + i] != number[one.begin])
            return 0;
    for (int32_t i = 0; i < other.count; i++)
        if (number[other.begin + i] != number[one.begin])
            return 0;
    return 1;
}

/* The fixed leg comes first in the record. */
static void finish_swaption(line_reader *reader, const trade_record *trade, const trade_words *words)
{
    leg_record *leg = reader->buffer->leg + trade->leg_begin, first = leg[0];
    const double *number = reader->buffer->number;

    if (trade->leg_count != 2) {
        breaks(reader);
        return;
    }
    if (first.kind != FIXED_LEG) {
        leg[0] = leg[1];
        leg[1] = first;
    }
    if (leg[0].kind != FIXED_LEG || leg[1].kind == FIXED_LEG || leg[0].is_payer == leg[1].is_payer ||
        !same_text(words->leg[0].currency, words->leg[1].currency) ||
        !all_equal(number, leg[0].rates, leg[0].rates) || !all_equal(number, leg[0].notionals, leg[1].notionals))
        breaks(reader);
}

static void finish_credit(line_reader *reader, trade_record *trade, const trade_words *words)
{
    int is_bond = trade->kind == BOND;
    double recovery_rate = 0.0;

    if (is_bond) {
        trade->forward_source = word_number(reader, REFERENCE_WORD, words->reference, NULL);
        if (reader->buffer->leg[trade->leg_begin].kind == FLOATING_LEG)
            trade->caps = words->leg[0].caps, trade->floors = words->leg[0].floors;
        if (!words->credit.size) {
            if (words->security.size)
                pair_number(reader, BOND_CURVE_WORD, words->credit, words->security, NULL);
            return;
        }
    } else {
        trade->calendar = reader->weekend_calendar;
        trade->has_upfront_date = trade->end_day != NO_DAY;
        if (trade->calendar < 0 || (trade->amount != 0.0 && !trade->has_upfront_date) ||
            reader->buffer->leg[trade->leg_begin].kind != FIXED_LEG)
            breaks(reader);
    }
    trade->survival_source = is_bond ? pair_number(reader, BOND_CURVE_WORD, words->credit, words->security, &recovery_rate)
                                     : word_number(reader, CDS_CURVE_WORD, words->credit, &recovery_rate);
    if (!words->has_recovery_rate)
        trade->recovery_rate = recovery_rate;
    else if (!(trade->recovery_rate >= 0.0 && trade->recovery_rate < 1.0))
        breaks(reader);
}

static void finish_pair(line_reader *reader, trade_record *trade, const trade_words *words)
{
    if (same_text(words->bought, words->sold) || !(trade->amount > 0.0 && trade->sold_amount > 0.0))
        breaks(reader);
    trade->currency = word_number(reader, CURRENCY_WORD, words->bought, NULL);
    trade->sold_currency = word_number(reader, CURRENCY_WORD, words->sold, NULL);
    if (trade->kind == FX_FORWARD) {
        trade->calendar = pair_number(reader, PAIR_CALENDAR_WORD, words->bought, words->sold, NULL);
    } else {
        trade->surface = pair_number(reader, PAIR_SURFACE_WORD, words->bought, words->sold, NULL);
        trade->strike = trade->sold_amount / trade->amount;
    }
}

static void finish_underlying(line_reader *reader, trade_record *trade, const trade_words *words)
{
    int is_equity = trade->kind == EQUITY_FORWARD || trade->kind == EQUITY_OPTION;
    int is_option = trade->kind == EQUITY_OPTION || trade->kind == COMMODITY_OPTION;

    trade->currency = word_number(reader, CURRENCY_WORD, words->currency, NULL);
    trade->forward_source = word_number(reader, is_equity ? EQUITY_WORD : COMMODITY_WORD, words->name, NULL);
    if (is_option) {
        trade->surface =
            word_number(reader, is_equity ? EQUITY_SURFACE_WORD : COMMODITY_SURFACE_WORD, words->name, NULL);
        if (!(trade->strike > 0.0))
            breaks(reader);
    }
}

static void finish_trade(line_reader *reader, trade_record *trade, const trade_words *words)
{
    switch (trade->kind) {
    case FX_FORWARD: case FX_OPTION:
        finish_pair(reader, trade, words);
        return;
    case FRA:
        trade->currency = word_number(reader, CURRENCY_WORD, words->currency, NULL);
        trade->index = word_number(reader, INDEX_WORD, words->index, NULL);
        if (trade->day >= trade->end_day || reader->index[trade->index].is_overnight)
            breaks(reader);
        return;
    case SWAP: case SWAPTION: case CAP_FLOOR: case BOND: case CDS:
        break;
    default:
        finish_underlying(reader, trade, words);
        return;
    }
    if (trade->kind == SWAPTION)
        finish_swaption(reader, trade, words);
    else if (trade->kind == CAP_FLOOR &&
             (reader->buffer->leg[trade->leg_begin].kind != FLOATING_LEG || !(trade->caps.count + trade->floors.count)))
        breaks(reader);
    else if (trade->kind == BOND || trade->kind == CDS)
        finish_credit(reader, trade, words);
    trade->currency = reader->buffer->leg[trade->leg_begin].currency;
}

static const trade_type *take_type(line_reader *reader)
{
    text_span type;

    if (!takes(reader, '{') || !takes_literal(reader, "\"type\"", 6) || !takes(reader, ':')) {
        breaks(reader);
        return NULL;
    }
    type = take_text(reader);
    for (size_t i = 0; i < sizeof TRADE_TYPES / sizeof *TRADE_TYPES; i++)
        if (is_text(type, TRADE_TYPES[i].type, TRADE_TYPES[i].size))
            return TRADE_TYPES + i;
    breaks(reader);
    return NULL;
}

/* Reads one line to a record, which is filled where the line is not broken and no word is missing. */
static void read_line(line_reader *reader, book_line *line, trade_record *trade)
{
    const trade_type *type;
    trade_words words;
    uint64_t seen = BEGUN;
    int32_t field = -1;

    reader->at = line->text;
    reader->end = line->text + line->size;
    reader->is_broken = reader->is_missing = 0;
    memset(trade, 0, sizeof *trade);
    memset(&words, 0, sizeof words);
    words.security.text = words.credit.text = "";
    trade->leg_begin = (int32_t)reader->buffer->leg_count;
    trade->premium_begin = (int32_t)reader->buffer->premium_count;
    trade->survival_source = -1;
    if (!(type = take_type(reader)))
        return;
    trade->kind = type->kind;
    if (type->kind == CDS) {
        trade->settles_accrual = trade->pays_at_default = 1;
        trade->day = trade->end_day = NO_DAY;
    }
    while ((field = next_field(reader, TRADE_NAMES, TRADE_FIELDS, &seen, field)) >= 0)
        take_trade_field(reader, trade, &words, field);
    skip_space(reader);
    if (reader->is_broken || reader->at != reader->end || (seen & ~type->allows) || !HAS(seen, type->needs)) {
        breaks(reader);
        return;
    }
    finish_trade(reader, trade, &words);
    line->id = words.id;
}

static inline double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Reads those of the lines that are to be read; each is READ then, or LEFT to Python, or AGAIN where words are missing.
 * What a line that is not read has added is taken back. 0 where there is no memory. */
static int read_lines(line_reader *reader, book_line *line, int64_t begin, int64_t end)
{
    trade_buffer *buffer = reader->buffer;

    for (int64_t i = begin; i < end; i++) {
        trade_buffer before = *buffer;
        if (line[i].status != AGAIN)
            continue;
        read_line(reader, line + i, buffer->trade + i);
        if (buffer->is_out_of_memory)
            return 0;
        line[i].status = reader->is_missing ? AGAIN : reader->is_broken ? LEFT : READ;
        if (line[i].status != READ) {
            buffer->leg_count = before.leg_count;
            buffer->premium_count = before.premium_count;
            buffer->date_count = before.date_count;
            buffer->number_count = before.number_count;
            buffer->trade[i].kind = PYTHON_ROW;
        }
    }
    return 1;
}

#endif
