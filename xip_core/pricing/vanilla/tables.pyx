# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
A market as compiled resolving reads it: calendars, curves, currencies, indices and surfaces as C tables.

A `PlainMarket` belongs to a layout and lives with its `MarketView`. What trades name is looked up once, when the first
of them names it, and gets a number that stays; an entry is never changed once its number is known, so threads read it
without a lock. Tables have a fixed room; what finds no more, or is no plain market object, has the number -1, and its
trades are resolved in Python, where what is wrong is said. What lines of a book say by a word (words.h) is learnt the
same way.

A **source** is where a point comes from: a log-linear curve (two factors around each day), a zero spread over one, one
factor whatever the day (an FX rate), or anything else a day is looked up in (another interpolation, an equity).

Sizes: a calendar over CALENDAR_FIRST_DAY to CALENDAR_LAST_DAY is 550 kB; a process keeps those in use, up to 64.
"""

from libc.stdlib cimport calloc, free

from xip_core.pricing.vanilla.records cimport (
    A360,
    A365F,
    ACT_ACT_ICMA,
    ACT_ACT_ISDA,
    BACKWARD,
    CALENDAR_FIRST_DAY,
    CALENDAR_LAST_DAY,
    CDS2015,
    CONSTANT_SOURCE,
    FOLLOWING,
    FORWARD,
    IMM,
    LINEAR_SOURCE,
    LOOKED_UP_SOURCE,
    MODIFIED_FOLLOWING,
    MODIFIED_PRECEDING,
    NL_365,
    ONE,
    PRECEDING,
    SPREAD_SOURCE,
    THIRTY_360,
    THIRTY_E_360,
    THIRTY_E_360_ISDA,
    THIRTY_U_360,
    UNADJUSTED,
    ZERO,
)

import functools
import threading

import numpy as np

from xip_core.errors import CellError
from xip_core.model.calendars import calendar as calendar_of
from xip_core.model.calendars import is_calendar
from xip_core.model.dates import date_of, day_number, parse_tenor

cdef enum:
    CALENDARS_MAX = 64
    SOURCES_MAX = 16384
    CURRENCIES_MAX = 256
    INDICES_MAX = 1024
    SURFACES_MAX = 8192
    BUSINESS_DAYS_MAX = 250         # of a lag: more leave the margin that calendars keep
    TENOR_MONTHS_MAX = 24           # of an index
    SCHEDULE_MONTHS_MAX = 12000
    SCHEDULE_DAYS_MAX = 100000

CONVENTIONS = {
    "following": FOLLOWING,
    "modified_following": MODIFIED_FOLLOWING,
    "preceding": PRECEDING,
    "modified_preceding": MODIFIED_PRECEDING,
    "unadjusted": UNADJUSTED,
}

DAY_COUNTS = {
    "A360": A360,
    "A365F": A365F,
    "30/360": THIRTY_360,
    "30E/360": THIRTY_E_360,
    "30E/360 ISDA": THIRTY_E_360_ISDA,
    "30U/360": THIRTY_U_360,
    "ACT/ACT ISDA": ACT_ACT_ISDA,
    "NL/365": NL_365,
    "1/1": ONE,
}
"""Those that need no coupon tenor; ACT/ACT ICMA is known of bonds alone, whose regular coupons are equal."""

RULES = {"forward": FORWARD, "backward": BACKWARD, "zero": ZERO, "imm": IMM, "cds2015": CDS2015}

REFUSALS = (CellError, ValueError, OverflowError, KeyError)


@functools.lru_cache(maxsize=CALENDARS_MAX)
def business_days(names):
    """How many business days lie before each day of the tables, and which they are; two int32 arrays."""
    days = np.arange(CALENDAR_FIRST_DAY, CALENDAR_LAST_DAY + 2, dtype=np.int64)
    is_open = calendar_of(names).is_business_day(days)
    before = np.zeros(len(days) + 1, dtype=np.int32)
    np.cumsum(is_open, out=before[1:])
    return before, days[is_open].astype(np.int32)


cdef class PlainMarket:
    """Tables of one layout; see the module's head. Methods return the number of an entry, -1 where it is not plain."""

    def __cinit__(self, object layout):
        self.layout = layout
        self.as_of_day = day_number(layout.as_of)
        self.lock = threading.RLock()
        self.calendars, self.sources, self.currencies, self.indices, self.surfaces = {}, {}, {}, {}, {}
        self.source_names, self.source_objects, self.kept = [], [], []
        self.surface_objects, self.surface_names = [], []
        self.calendar_tables = <calendar_table*> calloc(CALENDARS_MAX, sizeof(calendar_table))
        self.source_tables = <source_table*> calloc(SOURCES_MAX, sizeof(source_table))
        self.currency_tables = <currency_table*> calloc(CURRENCIES_MAX, sizeof(currency_table))
        self.index_tables = <index_table*> calloc(INDICES_MAX, sizeof(index_table))
        self.surface_tables = <surface_table*> calloc(SURFACES_MAX, sizeof(surface_table))
        self.words = <word_entry*> calloc(WORDS_ROOM, sizeof(word_entry))
        if not (self.calendar_tables and self.source_tables and self.currency_tables and self.index_tables and
                self.surface_tables and self.words):
            raise MemoryError

    def __dealloc__(self):
        free(self.calendar_tables)
        free(self.source_tables)
        free(self.currency_tables)
        free(self.index_tables)
        free(self.surface_tables)
        free(self.words)

    cdef void point_to(self, market_tables* market) noexcept:
        """All tables but that of the sources, which has hints and so is each tile's own."""
        market.as_of_day = self.as_of_day
        market.calendar = self.calendar_tables
        market.currency = self.currency_tables
        market.index = self.index_tables
        market.surface = self.surface_tables

    cdef int calendar(self, object names) except -2:
        found = self.calendars.get(names)
        return found if found is not None else self._entered(self.calendars, names, self._new_calendar)

    cdef int curve(self, object name) except -2:
        key = ("curve", name)
        found = self.sources.get(key)
        return found if found is not None else self._entered(self.sources, key, self._new_curve)

    cdef int hazard(self, object name) except -2:
        key = ("hazard", name)
        found = self.sources.get(key)
        return found if found is not None else self._entered(self.sources, key, self._new_hazard)

    cdef int forward(self, object kind, object name) except -2:
        key = (kind, name)
        found = self.sources.get(key)
        return found if found is not None else self._entered(self.sources, key, self._new_forward)

    cdef int currency(self, object name) except -2:
        found = self.currencies.get(name)
        return found if found is not None else self._entered(self.currencies, name, self._new_currency)

    cdef int index(self, object name) except -2:
        found = self.indices.get(name)
        return found if found is not None else self._entered(self.indices, name, self._new_index)

    cdef int surface(self, object name) except -2:
        found = self.surfaces.get(name)
        return found if found is not None else self._entered(self.surfaces, name, self._new_surface)

    cdef int pair_surface(self, object bought, object sold) except -2:
        """Volatility of a rate or its inverse."""
        key = (bought, sold)
        found = self.surfaces.get(key)
        return found if found is not None else self._entered(self.surfaces, key, self._new_pair_surface)

    cdef bint learn(self, int32_t role, bytes text) except -1:
        """Looks up what *text* says in a line; False where there is no room for it."""
        cdef text_span word
        cdef double value = 0.0
        cdef int number
        word.text, word.size = text, <int32_t> len(text)
        with self.lock:
            if word_place(self.words, role, word).size:
                return True
            if self.word_count >= WORDS_MAX:
                return False
            try:
                number, value = self._meaning(role, text.decode())
            except REFUSALS:
                number = NOT_PLAIN
            add_word(self.words, role, word, number, value)
            self.word_count += 1
        return True

    def _meaning(self, int role, text):
        """Number and value of a word; NOT_PLAIN, or an error of REFUSALS, where its lines are Python's."""
        if role == CURRENCY_WORD:
            return self.currency(text), 0.0
        if role == INDEX_WORD:
            return self.index(text), 0.0
        if role == CALENDAR_WORD:
            return self.calendar(text), 0.0
        if role == PAIR_CALENDAR_WORD:
            known = [currency for currency in text.split(",") if is_calendar(currency)]
            return self.calendar(",".join(known) or "WeekendsOnly"), 0.0
        if role == PAIR_SURFACE_WORD:
            bought, sold = text.split(",")
            return self.pair_surface(bought, sold), 0.0
        if role in (EQUITY_WORD, COMMODITY_WORD):
            return self.forward("equity" if role == EQUITY_WORD else "commodity", text), 0.0
        if role in (EQUITY_SURFACE_WORD, COMMODITY_SURFACE_WORD):
            kind = "equity" if role == EQUITY_SURFACE_WORD else "commodity"
            return self.surface(f"{kind}_volatility/{text}"), 0.0
        if role == CDS_CURVE_WORD:
            return NOT_PLAIN if self.layout.isda_model(text) is not None else self.hazard(text), (
                self.layout.recovery_rate(text))
        if role == BOND_CURVE_WORD:
            credit, security = text.split(",", 1)
            if security in self.layout.securities:  # of a spread of its own
                return NOT_PLAIN, 0.0
            if not credit:
                return 0, 0.0
            of_security = self.layout.security_recovery(security)
            return self.hazard(credit), self.layout.recovery_rate(credit) if of_security is None else of_security
        if role == REFERENCE_WORD:
            index = self.layout.indices.get(text)
            return self.curve(text if index is None else index.curve), 0.0
        if role == TENOR_WORD:
            months, days = parse_tenor(text)
            return NOT_PLAIN if months > SCHEDULE_MONTHS_MAX or days > SCHEDULE_DAYS_MAX else months, days
        if role == DAY_COUNT_WORD:
            return ACT_ACT_ICMA if text == "ACT/ACT ICMA" else DAY_COUNTS[text], 0.0
        return (CONVENTIONS if role == CONVENTION_WORD else RULES)[text], 0.0

    def _entered(self, dict numbers, object key, object make):
        """The number of a new entry, kept under *key*."""
        with self.lock:
            found = numbers.get(key)
            if found is None:
                try:
                    found = make(key)
                except REFUSALS:
                    found = -1
                numbers[key] = found
            return found

    def _kept(self, values, dtype):
        array = np.ascontiguousarray(values, dtype=dtype)
        self.kept.append(array)
        return array

    def _new_calendar(self, names):
        cdef const int32_t[::1] before, days
        cdef int number = sum(place >= 0 for place in self.calendars.values())
        if number >= CALENDARS_MAX:
            return -1
        arrays = business_days(names)
        self.kept.append(arrays)
        before, days = arrays
        self.calendar_tables[number].before = &before[0]
        self.calendar_tables[number].open = &days[0]
        return number

    def _add_source(self, kind, key, begin, knot_days, objects):
        cdef const int32_t[::1] knots
        cdef int number = len(self.source_names)
        if number >= SOURCES_MAX:
            return -1
        self.source_tables[number].kind = kind
        self.source_tables[number].begin = begin
        if kind in (LINEAR_SOURCE, SPREAD_SOURCE):
            knots = self._kept(knot_days, np.int32)
            self.source_tables[number].knot = &knots[0]
            self.source_tables[number].knot_count = len(knot_days)
        self.source_names.append(key)
        self.source_objects.append(objects)
        return number

    def _new_curve(self, key):
        _, name = key
        tomorrow = self.layout.log_discount_of_day(name, self.as_of_day + 1)
        slot = self.layout.curves[name]
        reference = self.curve(slot.reference) if slot.reference else -1
        kind = LOOKED_UP_SOURCE
        if slot.knot_days and reference >= 0 and self.source_tables[reference].kind == LINEAR_SOURCE:
            kind = SPREAD_SOURCE
        elif slot.knot_days and not slot.reference and not slot.interpolator:
            kind = LINEAR_SOURCE
        number = self._add_source(kind, key, slot.begin, slot.knot_days, self.layout.objects_of(tomorrow))
        if number >= 0:
            self.source_tables[number].reference = reference
        return number

    def _new_hazard(self, key):
        _, name = key
        tomorrow = self.layout.log_survival_of_day(name, self.as_of_day + 1)
        slot = self.layout.hazards[name]
        return self._add_source(LINEAR_SOURCE, key, slot.begin, slot.knot_days, self.layout.objects_of(tomorrow))

    def _new_forward(self, key):
        kind, name = key
        of_kind = self.layout.equities if kind == "equity" else self.layout.commodities
        return self._add_source(LOOKED_UP_SOURCE, key, 0, (), ()) if name in of_kind else -1

    def _new_currency(self, name):
        cdef int number = len(self.currencies)
        cdef int fx = -1
        curve = self.curve(self.layout.discount_curve(name))
        refs = self.layout.log_fx(name)
        if refs:
            ((factor, weight),) = refs
            if weight != 1.0:
                return -1
            fx = self._add_source(CONSTANT_SOURCE, ("fx", name), factor, (), self.layout.objects_of(refs))
        if curve < 0 or number >= CURRENCIES_MAX or (refs and fx < 0):
            return -1
        self.currency_tables[number].curve = curve
        self.currency_tables[number].fx = fx
        surface = f"swaption_volatility/{name}"
        has_smile = surface in self.layout.swaption_smiles
        self.currency_tables[number].swaption_surface = -1 if has_smile else self.surface(surface)
        return number

    def _new_index(self, name):
        cdef int number = len(self.indices)
        cdef const int32_t[::1] fixing_days
        cdef const double[::1] fixings
        cdef index_table* entry = self.index_tables + number
        index = self.layout.indices[name]
        months, days = parse_tenor(index.tenor)
        curve = self.curve(index.curve)
        calendar, value_calendar = self.calendar(index.calendar), self.calendar(index.value_calendar or index.calendar)
        is_far = abs(index.settlement_days) > BUSINESS_DAYS_MAX or 31 * months + days > 31 * TENOR_MONTHS_MAX
        if number >= INDICES_MAX or is_far or min(curve, calendar, value_calendar) < 0:
            return -1
        entry.curve, entry.calendar, entry.value_calendar = curve, calendar, value_calendar
        entry.settlement_days, entry.tenor_months, entry.tenor_days = index.settlement_days, months, days
        entry.day_count, entry.convention = DAY_COUNTS[index.day_count], CONVENTIONS[index.convention]
        entry.end_of_month, entry.is_par, entry.is_overnight = index.end_of_month, index.is_par, index.is_overnight
        entry.cap_surface = self.surface(f"cap_volatility/{name}")
        published = sorted((day_number(date), value) for date, value in self.layout.fixings_of(name).items())
        entry.fixing_count = len(published)
        if published:
            fixing_days = self._kept([day for day, _ in published], np.int32)
            fixings = self._kept([value for _, value in published], np.float64)
            entry.fixing_day, entry.fixing = &fixing_days[0], &fixings[0]
        return number

    def _new_surface(self, name):
        """By its object name; volatilities that follow from a smile, or from cubics, are not plain."""
        layout = self.layout
        if name in layout.smiles or name in layout.swaption_smiles:
            return -1
        if name in layout.terms:
            term = layout.terms[name]
            return self._add_surface(term.begin, term.knot_days, (0.0,), False, True)
        grid = layout.grids[name]
        if grid.has_slopes or grid.is_cubic:
            return -1
        return self._add_surface(grid.begin, grid.row_days, grid.columns, grid.is_normal, grid.is_total_variance)

    def _new_pair_surface(self, key):
        bought, sold = key
        names = [f"fx_volatility/{bought}{sold}", f"fx_volatility/{sold}{bought}"]
        if any(name in self.layout.smiles for name in names):
            return self._add_smile("fx_volatility", bought + sold)
        return next((self.surface(name) for name in names if name in self.layout.terms), -1)

    def _add_surface(self, begin, row_days, columns, is_normal, is_total_variance):
        cdef const int32_t[::1] rows = self._kept(row_days, np.int32)
        cdef const double[::1] nodes = self._kept(columns, np.float64)
        cdef int number = len(self.surface_objects)
        cdef surface_table* entry = self.surface_tables + number
        if number >= SURFACES_MAX or not len(rows) or not len(nodes):
            return -1
        entry.begin, entry.row_count, entry.column_count = begin, len(rows), len(nodes)
        entry.is_normal, entry.is_total_variance = is_normal, is_total_variance
        entry.row_day, entry.column = &rows[0], &nodes[0]
        self.surface_objects.append(self.layout.objects_of(((begin, 1.0),)))
        self.surface_names.append(None)
        return number

    def _add_smile(self, kind, name):
        """Asked for by expiry, like `SnapshotLayout.smile`, when rows are resolved."""
        cdef int number = len(self.surface_objects)
        if number >= SURFACES_MAX:
            return -1
        self.surface_tables[number].is_smile = True
        self.surface_objects.append(())
        self.surface_names.append((kind, name))
        return number

    def smile(self, int surface, int day):
        """The SmileRef of an expiry.

        Raises:
            CellError: there is none.
        """
        kind, name = self.surface_names[surface]
        return self.layout.smile(kind, name, date_of(day))

    def look_up(self, int source, int day, market):
        """The use of the point of a looked-up source, in the numbering of the tile's TileMarket.

        Raises:
            CellError: there is none.
        """
        kind, name = self.source_names[source]
        if kind == "curve":
            return market.discounts(name)[day]
        return market.equity_forward(name, day) if kind == "equity" else market.commodity_forward(name, day)
