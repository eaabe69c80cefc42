/*
 * The JSON of one line, token by token, from left to right; no object is made of it.
 *
 * What is read here is what model.trade reads, value for value; what might be anything else breaks the line, which is
 * then Python's: escapes in texts, control characters, bytes that are no UTF-8, whole numbers too big for a double, a zero
 * with a sign, keys nobody knows or that come twice. A number has at most one rounding: digits up to 2^53 scaled by a
 * power of ten up to 22 are exact but for the last operation (W. D. Clinger, How to read floating point numbers
 * accurately, PLDI 1990); others are strtod's, which must end where the number does, whatever the locale.
 */
#ifndef XIP_VANILLA_LINES_H
#define XIP_VANILLA_LINES_H

#include "records.h"
#include "words.h"

#define MISSING_MAX 64

typedef struct {
    trade_record *trade;
    leg_record *leg;
    premium_record *premium;
    int32_t *date;
    double *number;
    int64_t trade_count, trade_room, leg_count, leg_room, premium_count, premium_room;
    int64_t date_count, date_room, number_count, number_room;
    int is_out_of_memory;
} trade_buffer;

typedef struct {
    int32_t role, size;
    char text[WORD_SIZE_MAX];
} missing_word;

typedef struct {
    const char *at, *end;             /* a NUL stands at the end */
    int is_broken;                    /* the line is Python's */
    int is_missing;                   /* a word was not known: once it is, the line is read again */
    trade_buffer *buffer;
    word_entry *words;
    const index_table *index;
    int32_t weekend_calendar;
    int32_t missing_count;
    missing_word missing[MISSING_MAX];
} line_reader;

typedef struct {
    const char *name;
    int32_t size;
} field_name;

#define FIELD(name) {name, sizeof name - 1}

static inline int breaks(line_reader *reader)
{
    reader->is_broken = 1;
    return 0;
}

static inline int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline void skip_space(line_reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r' || *reader->at == '\n')
        reader->at++;
}

static inline int takes(line_reader *reader, char token)
{
    skip_space(reader);
    if (*reader->at != token)
        return 0;
    reader->at++;
    return 1;
}

static inline int takes_literal(line_reader *reader, const char *literal, int32_t size)
{
    skip_space(reader);
    if (reader->end - reader->at < size || memcmp(reader->at, literal, (size_t)size))
        return 0;
    reader->at += size;
    return 1;
}

#define TAKES_NULL(reader) takes_literal(reader, "null", 4)

/* ---- texts -------------------------------------------------------------------------------------------------------- */

/* Bytes of the character of UTF-8 at *text*, 0 where it is none (RFC 3629, table of section 4). */
static inline int32_t character_size(const unsigned char *text)
{
    unsigned char lead = text[0], low = 0x80, high = 0xbf;
    int32_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (int32_t i = 2; i < size; i++)
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    return size;
}

static text_span take_text(line_reader *reader)
{
    text_span found = {"", 0};
    const unsigned char *at;

    if (!takes(reader, '"')) {
        breaks(reader);
        return found;
    }
    found.text = reader->at;
    for (at = (const unsigned char *)reader->at; *at != '"';) {
        int32_t size = *at >= 0x20 && *at < 0x7f && *at != '\\' ? 1 : *at < 0x80 ? 0 : character_size(at);
        if (!size) {
            breaks(reader);
            return found;
        }
        at += size;
    }
    found.size = (int32_t)((const char *)at - found.text);
    reader->at = (const char *)at + 1;
    return found;
}

static inline int is_text(text_span span, const char *text, int32_t size)
{
    return span.size == size && !memcmp(span.text, text, (size_t)size);
}

static inline int same_text(text_span one, text_span other)
{
    return is_text(one, other.text, other.size);
}

#define IS_TEXT(span, literal) is_text(span, literal, sizeof literal - 1)

/* The number of a word, and its value where that is asked for; NOT_PLAIN breaks the line. */
static int32_t word_number(line_reader *reader, int32_t role, text_span word, double *value)
{
    const word_entry *entry;

    if (word.size < 1 || word.size > WORD_SIZE_MAX)
        return breaks(reader);
    entry = word_place(reader->words, role, word);
    if (!entry->size) {
        missing_word *missing = reader->missing + reader->missing_count;
        reader->is_missing = 1;
        for (int32_t i = 0; i < reader->missing_count; i++)
            if (reader->missing[i].role == role && reader->missing[i].size == word.size &&
                !memcmp(reader->missing[i].text, word.text, (size_t)word.size))
                return 0;
        if (reader->missing_count < MISSING_MAX) {
            missing->role = role;
            missing->size = word.size;
            memcpy(missing->text, word.text, (size_t)word.size);
            reader->missing_count++;
        }
        return 0;
    }
    if (entry->number == NOT_PLAIN)
        return breaks(reader);
    if (value)
        *value = entry->value;
    return entry->number;
}

/* The number of a word of two texts with a comma between them. */
static int32_t pair_number(line_reader *reader, int32_t role, text_span one, text_span other, double *value)
{
    char joined[WORD_SIZE_MAX];
    text_span word = {joined, one.size + 1 + other.size};

    if (word.size > WORD_SIZE_MAX || memchr(one.text, ',', (size_t)one.size))
        return breaks(reader);
    memcpy(joined, one.text, (size_t)one.size);
    joined[one.size] = ',';
    memcpy(joined + one.size + 1, other.text, (size_t)other.size);
    return word_number(reader, role, word, value);
}

static inline int32_t take_word(line_reader *reader, int32_t role)
{
    text_span word = take_text(reader);

    return reader->is_broken ? 0 : word_number(reader, role, word, NULL);
}

/* ---- numbers, dates ----------------------------------------------------------------------------------------------- */

static const double POWERS_OF_TEN[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22};

static double take_number(line_reader *reader)
{
    const char *begin, *at;
    uint64_t digits = 0;
    int32_t scale = 0, exponent = 0;
    int is_negative, is_long = 0, is_whole = 1, exponent_sign = 1;
    double value;

    skip_space(reader);
    begin = at = reader->at;
    is_negative = *at == '-';
    at += is_negative;
    if (!is_digit(*at) || (*at == '0' && is_digit(at[1])))
        return breaks(reader);
    for (; is_digit(*at); at++) {
        is_long |= digits > 100000000000000000u;
        digits = 10 * digits + (uint64_t)(*at - '0');
    }
    if (*at == '.') {
        is_whole = 0;
        if (!is_digit(*++at))
            return breaks(reader);
        for (; is_digit(*at); at++) {
            is_long |= digits > 100000000000000000u;
            digits = 10 * digits + (uint64_t)(*at - '0');
            scale--;
        }
    }
    if (*at == 'e' || *at == 'E') {
        is_whole = 0;
        at++;
        if (*at == '+' || *at == '-')
            exponent_sign = *at++ == '-' ? -1 : 1;
        if (!is_digit(*at))
            return breaks(reader);
        for (; is_digit(*at); at++)
            exponent = exponent < 10000 ? 10 * exponent + (*at - '0') : exponent;
        scale += exponent_sign * exponent;
    }
    reader->at = at;
    if (!is_long && digits <= 1ull << 53 && scale >= -22 && scale <= 22) {
        if (!digits && is_negative)
            return breaks(reader);
        value = scale < 0 ? (double)digits / POWERS_OF_TEN[-scale] : (double)digits * POWERS_OF_TEN[scale];
        return is_negative ? -value : value;
    }
    {
        char *stop;
        value = strtod(begin, &stop);
        if (is_whole || stop != at || !isfinite(value) || value == 0.0)
            return breaks(reader);
    }
    return value;
}

/* A whole number of at most nine digits. */
static int32_t take_whole(line_reader *reader)
{
    int32_t value = 0, count = 0;
    int is_negative;

    skip_space(reader);
    is_negative = *reader->at == '-';
    reader->at += is_negative;
    if (*reader->at == '0' && (is_negative || is_digit(reader->at[1])))
        return breaks(reader);
    for (; is_digit(*reader->at) && count < 9; count++)
        value = 10 * value + (*reader->at++ - '0');
    if (!count || is_digit(*reader->at) || *reader->at == '.' || *reader->at == 'e' || *reader->at == 'E')
        return breaks(reader);
    return is_negative ? -value : value;
}

static int32_t take_flag(line_reader *reader)
{
    if (takes_literal(reader, "true", 4))
        return 1;
    return takes_literal(reader, "false", 5) ? 0 : breaks(reader);
}

static inline int32_t digits_of(const char *text, int32_t count)
{
    int32_t value = 0;

    for (int32_t i = 0; i < count; i++)
        value = 10 * value + (text[i] - '0');
    return value;
}

/* YYYY-MM-DD, well within the calendars' tables. */
static int32_t take_date(line_reader *reader)
{
    text_span text = take_text(reader);
    int32_t year, month, day, first;

    if (reader->is_broken || text.size != 10 || text.text[4] != '-' || text.text[7] != '-')
        return breaks(reader);
    for (int32_t i = 0; i < 10; i++)
        if (i != 4 && i != 7 && !is_digit(text.text[i]))
            return breaks(reader);
    year = digits_of(text.text, 4), month = digits_of(text.text + 5, 2), day = digits_of(text.text + 8, 2);
    if (year < 1950 || year > 2169 || month < 1 || month > 12)
        return breaks(reader);
    first = first_of_month((year - 1900) * 12 + month - 1);
    if (day < 1 || first + day > first_of_month((year - 1900) * 12 + month) || !is_inside(first + day - 1))
        return breaks(reader);
    return first + day - 1;
}

static value_range no_values(line_reader *reader)
{
    return (value_range){(int32_t)reader->buffer->number_count, 0};
}

static void add_number(line_reader *reader, value_range *range, double value)
{
    trade_buffer *buffer = reader->buffer;

    if (!GROW(buffer, number)) {
        breaks(reader);
        return;
    }
    buffer->number[buffer->number_count++] = value;
    range->count++;
}

static value_range take_values(line_reader *reader)
{
    value_range found = no_values(reader);

    if (!takes(reader, '['))
        breaks(reader);
    else if (!takes(reader, ']'))
        do
            add_number(reader, &found, take_number(reader));
        while (!reader->is_broken && takes(reader, ','));
    else
        return found;
    if (!reader->is_broken && !takes(reader, ']'))
        breaks(reader);
    return found;
}

/* ---- objects ------------------------------------------------------------------------------------------------------ */

/* The place among *names* of the next key of an object, which was begun; -1 at its end, and where the line breaks.
 * *seen* has a bit for each place. Keys mostly come in the order of the names, so the search begins behind the last. */
static int32_t next_field(
    line_reader *reader, const field_name *names, int32_t count, uint64_t *seen, int32_t before)
{
    text_span key;

    if (reader->is_broken || takes(reader, '}'))
        return -1;
    if (*seen && !takes(reader, ','))
        return breaks(reader) - 1;
    key = take_text(reader);
    if (reader->is_broken || !takes(reader, ':'))
        return breaks(reader) - 1;
    for (int32_t step = 1; step <= count; step++) {
        int32_t place = before + step < count ? before + step : before + step - count;
        if (names[place].size == key.size && !memcmp(names[place].name, key.text, (size_t)key.size)) {
            if (*seen >> place & 1)
                break;
            *seen |= 1ull << place;
            return place;
        }
    }
    return breaks(reader) - 1;
}

/* An object whose values are texts, which nobody needs. */
static void skip_texts(line_reader *reader)
{
    if (!takes(reader, '{'))
        breaks(reader);
    else if (!takes(reader, '}')) {
        do {
            take_text(reader);
            if (reader->is_broken || !takes(reader, ':'))
                breaks(reader);
            else
                take_text(reader);
        } while (!reader->is_broken && takes(reader, ','));
        if (!reader->is_broken && !takes(reader, '}'))
            breaks(reader);
    }
}

#endif
