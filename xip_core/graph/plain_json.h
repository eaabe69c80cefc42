/*
 * Plain JSON: objects, arrays, words, strings of ASCII without escapes or control characters, numbers no longer or larger
 * than any real one, nested at most DEPTH_MAX deep. Every reader of JSON takes it for the same; what else is JSON, and
 * what is none, is not plain.
 *
 * Each function gives the place behind what it reads, NULL where that is not plain. Reads are bounded by *limit* and by
 * the NUL that stands there, which ends every scan, for it is part of nothing valid. A line end is no space here.
 */
#ifndef XIP_PLAIN_JSON_H
#define XIP_PLAIN_JSON_H

#include "text_table.h"

#define DEPTH_MAX 32
#define NUMBER_LENGTH_MAX 40
#define EXPONENT_LENGTH_MAX 2

static inline const byte *behind_space(const byte *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\r')
        at++;
    return at;
}

/* From behind the opening quote to the closing one. Eight bytes at a time: in the high bit of each, whether it ends the
 * scan; the lowest such bit is always right. */
static inline const byte *string_end(const byte *at, const byte *limit)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;

    for (; limit - at >= 8; at += 8) {
        uint64_t word, quote, escape, found;

        memcpy(&word, at, 8);
        quote = word ^ 0x22 * ones;
        escape = word ^ 0x5c * ones;
        found = ((quote - ones) & ~quote) | ((escape - ones) & ~escape) | ((word - 0x20 * ones) & ~word) | word;
        if (found & highs)
            break;
    }
    while (*at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return *at == '"' ? at : NULL;
}

static inline const byte *digits_end(const byte *at)
{
    while (*at >= '0' && *at <= '9')
        at++;
    return at;
}

static inline const byte *number_end(const byte *at)
{
    const byte *begin = at, *from;

    at += *at == '-';
    from = at;
    at = digits_end(at);
    if (at == from || (*from == '0' && at - from > 1))
        return NULL;
    if (*at == '.') {
        from = ++at;
        at = digits_end(at);
        if (at == from)
            return NULL;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += (*at == '+') | (*at == '-');
        from = at;
        at = digits_end(at);
        if (at == from || at - from > EXPONENT_LENGTH_MAX)
            return NULL;
    }
    return at - begin <= NUMBER_LENGTH_MAX ? at : NULL;
}

static inline const byte *word_end(const byte *at, const char *word)
{
    for (; *word; word++, at++)
        if (*at != (byte)*word)
            return NULL;
    return at;
}

static inline const byte *text_end(const byte *at, const byte *limit, text *found)
{
    const byte *end;

    if (*at != '"' || !(end = string_end(at + 1, limit)))
        return NULL;
    found->begin = at + 1;
    found->length = end - at - 1;
    return end + 1;
}

/* A key and its colon, up to the value. */
static inline const byte *key_end(const byte *at, const byte *limit, text *key)
{
    if (!(at = text_end(at, limit, key)))
        return NULL;
    at = behind_space(at);
    return *at == ':' ? behind_space(at + 1) : NULL;
}

/* Behind a value of an object or array: the next one, with *is_last* 0, or behind the *closing* bracket. */
static inline const byte *next_value(const byte *at, byte closing, int *is_last)
{
    at = behind_space(at);
    *is_last = *at == closing;
    if (*is_last)
        return at + 1;
    return *at == ',' ? behind_space(at + 1) : NULL;
}

static const byte *value_end(const byte *at, const byte *limit, int depth)
{
    byte first = *at;
    int is_last = 0;
    text key;

    switch (first) {
    case '"':
        at = string_end(at + 1, limit);
        return at ? at + 1 : NULL;
    case 't':
        return word_end(at, "true");
    case 'f':
        return word_end(at, "false");
    case 'n':
        return word_end(at, "null");
    case '{':
    case '[':
        if (depth >= DEPTH_MAX)
            return NULL;
        at = behind_space(at + 1);
        if (*at == first + 2)          /* ASCII: a closing bracket is two behind its opening one */
            return at + 1;
        while (!is_last) {
            if (first == '{' && !(at = key_end(at, limit, &key)))
                return NULL;
            if (!(at = value_end(at, limit, depth + 1)) || !(at = next_value(at, first + 2, &is_last)))
                return NULL;
        }
        return at;
    default:
        return number_end(at);
    }
}

#endif
