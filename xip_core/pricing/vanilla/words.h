/*
 * What names mean, for readers without the interpreter's lock: (role, text) to a number and a value.
 *
 * The meaning of a word is found by Python, once, under the lock of the PlainMarket that owns the table (`tables`): an
 * entry is written whole before its size, which readers look at, so they need no lock. Entries never change and never
 * move: the room is fixed, and what finds none is read in Python.
 *
 * Sizes: an entry is 96 bytes; a book over a bank's market has some thousand words.
 */
#ifndef XIP_VANILLA_WORDS_H
#define XIP_VANILLA_WORDS_H

#include <stdint.h>
#include <string.h>

#define WORD_SIZE_MAX 64
#define WORDS_ROOM 32768              /* a power of two */
#define WORDS_MAX (WORDS_ROOM / 4 * 3)

enum {
    CURRENCY_WORD, INDEX_WORD, CALENDAR_WORD, PAIR_CALENDAR_WORD, PAIR_SURFACE_WORD, EQUITY_WORD, EQUITY_SURFACE_WORD,
    COMMODITY_WORD, COMMODITY_SURFACE_WORD, CDS_CURVE_WORD, BOND_CURVE_WORD, REFERENCE_WORD, TENOR_WORD,
    CONVENTION_WORD, DAY_COUNT_WORD, RULE_WORD
};
enum { NOT_PLAIN = -1, NOT_KNOWN = -2 };

typedef struct {
    int32_t size;                     /* of the text; 0: no entry */
    int32_t role, number;             /* NOT_PLAIN: rows that say it are Python's */
    double value;
    char text[WORD_SIZE_MAX];
} word_entry;

typedef struct {
    const char *text;
    int32_t size;
} text_span;

static inline uint32_t word_hash(int32_t role, text_span word)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ (uint64_t)role;

    for (int32_t i = 0; i < word.size; i++)
        hash = (hash ^ (uint8_t)word.text[i]) * 0x100000001b3u;
    return (uint32_t)((hash ^ hash >> 32) * 0x9e3779b1u) >> 7 & (WORDS_ROOM - 1);
}

/* The entry of a word, or where it would be. */
static inline word_entry *word_place(word_entry *words, int32_t role, text_span word)
{
    uint32_t place = word_hash(role, word);

    for (;; place = (place + 1) & (WORDS_ROOM - 1)) {
        word_entry *entry = words + place;
        int32_t size = __atomic_load_n(&entry->size, __ATOMIC_ACQUIRE);
        if (!size || (size == word.size && entry->role == role && !memcmp(entry->text, word.text, (size_t)size)))
            return entry;
    }
}

/* Under the owner's lock; the word has 1 to WORD_SIZE_MAX bytes and is not there yet. */
static inline void add_word(word_entry *words, int32_t role, text_span word, int32_t number, double value)
{
    word_entry *entry = word_place(words, role, word);

    entry->role = role;
    entry->number = number;
    entry->value = value;
    memcpy(entry->text, word.text, (size_t)word.size);
    __atomic_store_n(&entry->size, word.size, __ATOMIC_RELEASE);
}

#endif
