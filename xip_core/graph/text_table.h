/*
 * Texts and small numbers for them: the code of a text is its place in order of first occurrence.
 */
#ifndef XIP_TEXT_TABLE_H
#define XIP_TEXT_TABLE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char byte;

typedef struct {
    const byte *begin;
    int64_t length;
} text;

typedef struct {                       /* texts by code; open addressing over a power of two of slots */
    byte *bytes;
    int64_t *end;                      /* of each text in *bytes* */
    uint64_t *hash;
    int32_t *slot;                     /* code + 1, 0 where there is none */
    int64_t byte_count, byte_room, count, room, slot_count;
} text_table;

static inline uint64_t hash_of_text(const byte *begin, int64_t length)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ (uint64_t)length, word;

    for (; length >= 8; begin += 8, length -= 8) {
        memcpy(&word, begin, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, begin, (size_t)length);
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 29;
    hash *= 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 32;
}

static inline int has_room(void **entries, int64_t wanted, int64_t *room, size_t size)
{
    int64_t larger = 2 * *room > wanted ? 2 * *room : wanted + 64;
    void *moved;

    if (wanted <= *room)
        return 1;
    moved = realloc(*entries, (size_t)larger * size);
    if (!moved)
        return 0;
    *entries = moved;
    *room = larger;
    return 1;
}

static int has_slots(text_table *table)
{
    int64_t slot_count = table->slot_count ? 2 * table->slot_count : 256;
    int32_t *slot;

    if (2 * (table->count + 1) <= table->slot_count)
        return 1;
    slot = calloc((size_t)slot_count, sizeof *slot);
    if (!slot)
        return 0;
    for (int64_t code = 0; code < table->count; code++) {
        int64_t at = (int64_t)(table->hash[code] & (uint64_t)(slot_count - 1));

        while (slot[at])
            at = (at + 1) & (slot_count - 1);
        slot[at] = (int32_t)code + 1;
    }
    free(table->slot);
    table->slot = slot;
    table->slot_count = slot_count;
    return 1;
}

static inline int64_t text_begin(const text_table *table, int64_t code)
{
    return code ? table->end[code - 1] : 0;
}

/* The code of a text, which the table has from now on; -1 where there is no memory. */
static int32_t code_of(text_table *table, const byte *begin, int64_t length)
{
    uint64_t hash = hash_of_text(begin, length);
    int64_t at, room = table->room;

    if (!has_slots(table))
        return -1;
    for (at = (int64_t)(hash & (uint64_t)(table->slot_count - 1)); table->slot[at];
         at = (at + 1) & (table->slot_count - 1)) {
        int64_t code = table->slot[at] - 1, from = text_begin(table, code);

        if (table->hash[code] == hash && table->end[code] - from == length &&
            !memcmp(table->bytes + from, begin, (size_t)length))
            return (int32_t)code;
    }
    if (!has_room((void **)&table->bytes, table->byte_count + length, &table->byte_room, 1) ||
        !has_room((void **)&table->end, table->count + 1, &room, sizeof *table->end) ||
        !has_room((void **)&table->hash, table->count + 1, &table->room, sizeof *table->hash))
        return -1;
    memcpy(table->bytes + table->byte_count, begin, (size_t)length);
    table->byte_count += length;
    table->end[table->count] = table->byte_count;
    table->hash[table->count] = hash;
    table->slot[at] = (int32_t)++table->count;
    return table->slot[at] - 1;
}

static void free_table(text_table *table)
{
    free(table->bytes);
    free(table->end);
    free(table->hash);
    free(table->slot);
}

#endif
