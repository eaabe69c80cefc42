/*
 * The labels of trades, read from JSON lines: what model.trade_labels reads, for lines that leave no doubt.
 *
 * A line is **plain** when it is one object of plain JSON (plain_json.h) with every label there once and of its type;
 * its type is known, its id is no longer than allowed, and it has every hierarchy key asked for. A plain line has the
 * labels that the decoder in Python gives it. Any other is left to that decoder, which also says what is wrong.
 *
 * Of a plain line are told: the group of its type, the code of its hierarchy labels, the code of what it names of the
 * market, the hash of its id. Codes are places in a table of the texts seen, in order of first occurrence:
 *
 *     hierarchy    the values of the keys                            each ended by FIELD_END
 *     market       currency, index, name of each leg, then CURRENCIES, then UNDERLYINGS; likewise
 *
 * No text of a plain line has a control character, so equal codes mean equal labels.
 */
#ifndef XIP_TRADE_LINES_H
#define XIP_TRADE_LINES_H

#include "plain_json.h"
#include "text_table.h"

#define KEYS_MAX 16
#define TEXT_SIZE_MAX 4096             /* of what a line adds to a table; legs of more are not plain */
#define FIELD_END 0x1f
#define PYTHON_LINE 254

enum {
    ID, TYPE, DESK, BOOK, COUNTERPARTY, CURRENCY, BOUGHT_CURRENCY, SOLD_CURRENCY, NAME, INDEX, CREDIT_CURVE,
    REFERENCE_CURVE, TEXT_COUNT, TAGS = TEXT_COUNT, LEGS, LEG, READABLE, NO_LABEL
};
enum { KEY_ASSET_CLASS, KEY_BOOK, KEY_COUNTERPARTY, KEY_CURRENCY, KEY_DESK, KEY_TRADE, KEY_TAG };

typedef struct {
    text name;
    text asset_class;
    byte group;
} trade_type;

typedef struct {
    int32_t kind;
    text tag;
} hierarchy_key;

typedef struct {
    const trade_type *type;
    const hierarchy_key *key;
    int32_t type_count, key_count;
    int64_t line_size_max, id_length_max;
    text_table hierarchy, market;
    int is_out_of_memory;
} line_reader;

typedef struct {                       /* of the line being read */
    text label[TEXT_COUNT];
    text tag[KEYS_MAX];
    text leg_currency;                 /* of the first of the legs, or of the leg where there are none */
    uint32_t seen;
    int32_t leg_count, legs_size, leg_size;
    byte legs[TEXT_SIZE_MAX], leg[TEXT_SIZE_MAX];
} line_labels;

/* ---- labels ------------------------------------------------------------------------------------------------------- */

static inline int is_text(const text *found, const char *word, int64_t length)
{
    return found->length == length && !memcmp(found->begin, word, (size_t)length);
}

#define IS(found, word) is_text(found, word, sizeof word - 1)

static inline int label_of_key(const text *key)
{
    switch (key->length) {
    case 1:
        return *key->begin == ' ' ? READABLE : NO_LABEL;
    case 2:
        return IS(key, "id") ? ID : NO_LABEL;
    case 3:
        return IS(key, "leg") ? LEG : NO_LABEL;
    case 4:
        return IS(key, "type") ? TYPE : IS(key, "desk") ? DESK : IS(key, "book") ? BOOK : IS(key, "name") ? NAME :
               IS(key, "legs") ? LEGS : IS(key, "tags") ? TAGS : NO_LABEL;
    case 5:
        return IS(key, "index") ? INDEX : NO_LABEL;
    case 8:
        return IS(key, "currency") ? CURRENCY : NO_LABEL;
    case 12:
        return IS(key, "counterparty") ? COUNTERPARTY : IS(key, "credit_curve") ? CREDIT_CURVE : NO_LABEL;
    case 13:
        return IS(key, "sold_currency") ? SOLD_CURRENCY : NO_LABEL;
    case 15:
        return IS(key, "bought_currency") ? BOUGHT_CURRENCY :
               IS(key, "reference_curve") ? REFERENCE_CURVE : NO_LABEL;
    default:
        return NO_LABEL;
    }
}

/* Adds a text to those of a line; 0 where there are too many. */
static inline int add_text(byte *to, int32_t *size, const text *added)
{
    if (*size + added->length >= TEXT_SIZE_MAX)
        return 0;
    memcpy(to + *size, added->begin, (size_t)added->length);
    *size += (int32_t)added->length;
    to[(*size)++] = FIELD_END;
    return 1;
}

static const byte *leg_end(const byte *at, const byte *limit, byte *to, int32_t *size, text *currency)
{
    static const byte nothing[1];
    text found[3] = {{nothing, 0}, {nothing, 0}, {nothing, 0}}, key;
    uint32_t seen = 0;
    int is_last = 0;

    if (*at != '{')
        return NULL;
    at = behind_space(at + 1);
    if (*at == '}')
        is_last = 1, at++;
    while (!is_last) {
        int place;

        if (!(at = key_end(at, limit, &key)))
            return NULL;
        place = IS(&key, "currency") ? 0 : IS(&key, "index") ? 1 : IS(&key, "name") ? 2 : -1;
        if (place >= 0 && seen & 1u << place)
            return NULL;
        seen |= place >= 0 ? 1u << place : 0u;
        at = place >= 0 ? text_end(at, limit, found + place) : value_end(at, limit, 2);
        if (!at || !(at = next_value(at, '}', &is_last)))
            return NULL;
    }
    for (int place = 0; place < 3; place++)
        if (!add_text(to, size, found + place))
            return NULL;
    *currency = found[0];
    return at;
}

static const byte *legs_end(const byte *at, const byte *limit, line_labels *line)
{
    int is_last = 0;
    text currency;

    if (*at != '[')
        return NULL;
    at = behind_space(at + 1);
    if (*at == ']')
        return at + 1;
    while (!is_last) {
        at = leg_end(at, limit, line->legs, &line->legs_size, &currency);
        if (!at || !(at = next_value(at, ']', &is_last)))
            return NULL;
        if (!line->leg_count++)
            line->leg_currency = currency;
    }
    return at;
}

static const byte *tags_end(const byte *at, const byte *limit, const line_reader *reader, line_labels *line)
{
    int is_last = 0;
    text key, value;

    if (*at == 'n')
        return word_end(at, "null");
    if (*at != '{')
        return NULL;
    at = behind_space(at + 1);
    if (*at == '}')
        return at + 1;
    while (!is_last) {
        if (!(at = key_end(at, limit, &key)) || !(at = text_end(at, limit, &value)))
            return NULL;
        for (int32_t i = 0; i < reader->key_count; i++)
            if (reader->key[i].kind == KEY_TAG && reader->key[i].tag.length == key.length &&
                !memcmp(reader->key[i].tag.begin, key.begin, (size_t)key.length))
                line->tag[i] = value;  /* the last of equal ones, as in Python */
        if (!(at = next_value(at, '}', &is_last)))
            return NULL;
    }
    return at;
}

/* The labels of the object that begins at *at*; the place behind it. */
static const byte *labels_end(const byte *at, const byte *limit, const line_reader *reader, line_labels *line)
{
    int is_last = 0;
    text key, leg_currency = {0};

    memset(line->label, 0, sizeof line->label);
    memset(line->tag, 0, sizeof line->tag);
    line->seen = 0;
    line->leg_count = line->legs_size = line->leg_size = 0;
    line->leg_currency = leg_currency;
    at = behind_space(at);
    if (*at != '{')
        return NULL;
    at = behind_space(at + 1);
    while (!is_last) {
        int label;

        if (!(at = key_end(at, limit, &key)))
            return NULL;
        label = label_of_key(&key);
        if (label == NO_LABEL) {
            at = value_end(at, limit, 1);
        } else {
            if (line->seen & 1u << label || label == READABLE)
                return NULL;
            line->seen |= 1u << label;
            at = label == LEGS ? legs_end(at, limit, line)
               : label == LEG ? leg_end(at, limit, line->leg, &line->leg_size, &leg_currency)
               : label == TAGS ? tags_end(at, limit, reader, line)
               : text_end(at, limit, line->label + label);
        }
        if (!at || !(at = next_value(at, '}', &is_last)))
            return NULL;
    }
    if (!line->leg_count)
        line->leg_currency = leg_currency;
    return behind_space(at);
}

/* ---- codes -------------------------------------------------------------------------------------------------------- */

static inline text currency_of(const line_labels *line)
{
    return line->label[CURRENCY].length ? line->label[CURRENCY]
         : line->label[SOLD_CURRENCY].length ? line->label[SOLD_CURRENCY] : line->leg_currency;
}

/* -1 where a key is missing or the texts are too long, -2 where there is no memory. */
static int32_t hierarchy_code(line_reader *reader, const line_labels *line, const trade_type *type)
{
    byte texts[TEXT_SIZE_MAX];
    int32_t size = 0, code;

    for (int32_t i = 0; i < reader->key_count; i++) {
        text value;

        switch (reader->key[i].kind) {
        case KEY_ASSET_CLASS: value = type->asset_class; break;
        case KEY_BOOK: value = line->label[BOOK]; break;
        case KEY_COUNTERPARTY: value = line->label[COUNTERPARTY]; break;
        case KEY_CURRENCY: value = currency_of(line); break;
        case KEY_DESK: value = line->label[DESK]; break;
        case KEY_TRADE: value = line->label[ID]; break;
        default: value = line->tag[i];
        }
        if (!value.length || !add_text(texts, &size, &value))
            return -1;
    }
    code = code_of(&reader->hierarchy, texts, size);
    return code < 0 ? -2 : code;
}

static int32_t market_code(line_reader *reader, line_labels *line)
{
    static const int ORDER[] = {
        CURRENCY, BOUGHT_CURRENCY, SOLD_CURRENCY, NAME, INDEX, CREDIT_CURVE, REFERENCE_CURVE
    };
    static const byte nothing[1];
    byte *texts = line->leg_count ? line->legs : line->leg;
    int32_t size = line->leg_count ? line->legs_size : line->leg_size, code;

    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER; i++) {
        text value = line->label[ORDER[i]];

        if (!value.begin)
            value.begin = nothing;
        if (!add_text(texts, &size, &value))
            return -1;
    }
    code = code_of(&reader->market, texts, size);
    return code < 0 ? -2 : code;
}

/* Lines of a book, also a last one without its end. */
static int64_t line_count_of(const byte *book, int64_t size)
{
    int64_t count = size > 0 && book[size - 1] != '\n';

    for (int64_t begin = 0; begin < size; begin += 4096) {
        int64_t end = begin + 4096 < size ? begin + 4096 : size;
        int32_t found = 0;

        for (int64_t i = begin; i < end; i++)
            found += book[i] == '\n';
        count += found;
    }
    return count;
}

typedef struct {                       /* arrays of what is told of each line */
    byte *group;                       /* PYTHON_LINE where nothing else is */
    int32_t *hierarchy, *market;
    int64_t *id_hash, *begin;
} line_codes;

/* Whether the line is plain; then entry *i* of the arrays says what is told of it. */
static int read_plain(line_reader *reader, line_labels *line, line_codes codes, int64_t i)
{
    const text *id = line->label + ID;
    int32_t hierarchy, market;

    if (!id->length || id->length > reader->id_length_max)
        return 0;
    for (int32_t t = 0; t < reader->type_count; t++) {
        const trade_type *type = reader->type + t;

        if (type->name.length != line->label[TYPE].length ||
            memcmp(type->name.begin, line->label[TYPE].begin, (size_t)type->name.length))
            continue;
        market = market_code(reader, line);
        hierarchy = market < 0 ? market : hierarchy_code(reader, line, type);
        if (hierarchy < 0) {
            reader->is_out_of_memory |= hierarchy == -2;
            return 0;
        }
        codes.group[i] = type->group;
        codes.hierarchy[i] = hierarchy;
        codes.market[i] = market;
        codes.id_hash[i] = (int64_t)hash_of_text(id->begin, id->length);
        return 1;
    }
    return 0;
}

/* Reads up to *count* lines from *at* on; the place behind the last. *begin* has one entry more than lines. */
static int64_t read_lines(
    line_reader *reader, const byte *book, int64_t at, int64_t size, int64_t count, line_codes codes, int64_t *read)
{
    const byte *limit = book + size;
    line_labels line;
    int64_t i;

    for (i = 0; i < count && at < size; i++) {
        const byte *begin = book + at, *end = labels_end(begin, limit, reader, &line);

        if (!end || (end != limit && *end != '\n')) {
            end = memchr(begin, '\n', (size_t)(limit - begin));
            end = end ? end : limit;
            codes.group[i] = PYTHON_LINE;
        } else if (end - begin >= reader->line_size_max || !read_plain(reader, &line, codes, i)) {
            codes.group[i] = PYTHON_LINE;
        }
        codes.begin[i] = at;
        at = end - book + (end < limit);
    }
    codes.begin[i] = at;
    *read = i;
    return at;
}

#endif
