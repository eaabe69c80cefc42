# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Labels of trades by the ten thousand: codes in place of texts, read from JSON lines without the interpreter's lock.

The twin of `model.trade_labels` for lines that leave no doubt; trade_lines.h says which, and what is told of one. What
it does not surely understand it marks (`PYTHON_LINE`), and the twin reads.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from xip_core.model.trade_labels import ASSET_CLASS, TRADE, LegLabels

cdef extern from "trade_lines.h" nogil:
    enum:
        KEYS_MAX
        FIELD_END
        _PYTHON_LINE "PYTHON_LINE"
        KEY_ASSET_CLASS
        KEY_BOOK
        KEY_COUNTERPARTY
        KEY_CURRENCY
        KEY_DESK
        KEY_TRADE
        KEY_TAG

    ctypedef unsigned char byte

    ctypedef struct text:
        const byte *begin
        int64_t length

    ctypedef struct text_table:
        byte *bytes
        int64_t *end
        int64_t count

    ctypedef struct trade_type:
        text name
        text asset_class
        byte group

    ctypedef struct hierarchy_key:
        int32_t kind
        text tag

    ctypedef struct line_reader:
        const trade_type *type
        const hierarchy_key *key
        int32_t type_count
        int32_t key_count
        int64_t line_size_max
        int64_t id_length_max
        text_table hierarchy
        text_table market
        int is_out_of_memory

    ctypedef struct line_codes:
        byte *group
        int32_t *hierarchy
        int32_t *market
        int64_t *id_hash
        int64_t *begin

    int64_t read_lines(line_reader *reader, const byte *book, int64_t at, int64_t size, int64_t count,
                       line_codes codes, int64_t *read)
    int64_t line_count_of(const byte *book, int64_t size)
    uint64_t hash_of_text(const byte *begin, int64_t length)
    int64_t text_begin(const text_table *table, int64_t code)
    void free_table(text_table *table)

PYTHON_LINE = _PYTHON_LINE
HIERARCHY_KEYS_MAX = KEYS_MAX

CURRENCY_COUNT = 3
UNDERLYING_COUNT = 4
LABELS_PER_LEG = 3

_KINDS = {
    ASSET_CLASS: KEY_ASSET_CLASS,
    "book": KEY_BOOK,
    "counterparty": KEY_COUNTERPARTY,
    "currency": KEY_CURRENCY,
    "desk": KEY_DESK,
    TRADE: KEY_TRADE,
}


def id_hash(bytes trade_id):
    """What `LineReader.read` tells of a line with this id."""
    return <int64_t> hash_of_text(<const byte *> trade_id, len(trade_id))


def line_count(bytes book):
    """Lines of *book*, also a last one without its end; without the interpreter's lock."""
    cdef const byte *content = <const byte *> book
    cdef int64_t size = len(book), count
    with nogil:
        count = line_count_of(content, size)
    return count


cdef class LineReader:
    """Reads lines of one book one after the other; codes go on from call to call. See trade_lines.pyi."""

    cdef line_reader reader
    cdef trade_type *types
    cdef hierarchy_key *keys
    cdef list texts                 # which the records above point into

    def __cinit__(self, types, keys, Py_ssize_t line_size_max, Py_ssize_t id_length_max):
        cdef Py_ssize_t i
        memset(&self.reader, 0, sizeof(line_reader))
        self.texts = []
        self.types = <trade_type *> calloc(max(1, len(types)), sizeof(trade_type))
        self.keys = <hierarchy_key *> calloc(max(1, len(keys)), sizeof(hierarchy_key))
        if self.types == NULL or self.keys == NULL:
            raise MemoryError
        if len(keys) > KEYS_MAX:
            raise ValueError(f"at most {KEYS_MAX} hierarchy keys, got {len(keys)}")
        for i, (name, asset_class, group) in enumerate(types):
            self.types[i].name, self.types[i].asset_class = self._text(name), self._text(asset_class)
            self.types[i].group = group
        for i, key in enumerate(keys):
            self.keys[i].kind = _KINDS.get(key, KEY_TAG)
            self.keys[i].tag = self._text(key)
        self.reader.type, self.reader.type_count = self.types, len(types)
        self.reader.key, self.reader.key_count = self.keys, len(keys)
        self.reader.line_size_max, self.reader.id_length_max = line_size_max, id_length_max

    def __dealloc__(self):
        free_table(&self.reader.hierarchy)
        free_table(&self.reader.market)
        free(self.types)
        free(self.keys)

    cdef text _text(self, str value):
        cdef text found
        cdef bytes encoded = value.encode()
        self.texts.append(encoded)
        found.begin, found.length = <const byte *> encoded, len(encoded)
        return found

    def read(self, bytes book, int64_t at, byte[::1] groups, int32_t[::1] leaves, int32_t[::1] dependencies,
             int64_t[::1] id_hashes, int64_t[::1] begins):
        cdef line_codes codes
        cdef int64_t count = groups.shape[0], size = len(book), read_count = 0
        cdef const byte *content = <const byte *> book
        if not 0 < count == leaves.shape[0] == dependencies.shape[0] == id_hashes.shape[0] == begins.shape[0] - 1:
            raise ValueError("one entry a line in each array, and one more in begins")
        if not 0 <= at <= size:
            raise ValueError(f"lines begin at 0 to {size}, got {at}")
        codes.group, codes.hierarchy, codes.market = &groups[0], &leaves[0], &dependencies[0]
        codes.id_hash, codes.begin = &id_hashes[0], &begins[0]
        with nogil:
            at = read_lines(&self.reader, content, at, size, count, codes, &read_count)
        if self.reader.is_out_of_memory:
            raise MemoryError
        return at, read_count

    def leaves(self):
        return [tuple(fields) for fields in self._fields(&self.reader.hierarchy)]

    def market_names(self):
        found = []
        for fields in self._fields(&self.reader.market):
            leg_fields, rest = fields[:-CURRENCY_COUNT - UNDERLYING_COUNT], fields[-CURRENCY_COUNT - UNDERLYING_COUNT:]
            legs = [
                LegLabels(*leg_fields[begin : begin + LABELS_PER_LEG])
                for begin in range(0, len(leg_fields), LABELS_PER_LEG)
            ]
            found.append((tuple(legs or [LegLabels()]), tuple(rest[:CURRENCY_COUNT]), tuple(rest[CURRENCY_COUNT:])))
        return found

    cdef list _fields(self, text_table *table):
        """The texts of each code, in its order."""
        cdef int64_t code, begin
        cdef list found = []
        for code in range(table.count):
            begin = text_begin(table, code)
            found.append(table.bytes[begin : table.end[code] - 1].decode("ascii").split(chr(FIELD_END)))
        return found
