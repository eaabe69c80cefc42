# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
What a value tile does beside pricing: which scenarios it need not value, FRAs, and the sums of its leaf groups.

Each is one call, where NumPy would take a dozen and give the interpreter's lock away in every one; a call gives it away
where it takes longer than another slot takes to wake up (`UNLOCKED_MIN`).

    shift       quotes of a block of scenarios, and what follows a spot
    mark        factors that a column of a row program names
    versions    scenarios whose market is the base's, or another scenario's, bit for bit in the factors the rows name
    add_quotients   notional D (F - K) tau / (1 + F tau),  F = (G - 1) / index_tau,  D = exp(d . m), G = exp(g . m)
    group_sums  sum[g, s] = sum over rows r of group g, in their order, of value[r, s] - base[r], without refused cells

A cell's operations are the same whatever stands beside it, additions run in row order from 0, and a cell that is NaN is
the quiet one: bytes depend neither on the split into blocks nor on the CPU level.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memmove

from xip_core.kernels.elementary cimport NAN, exp_
from xip_core.kernels.term_loops cimport LANE_GROUP, SCENARIOS_PER_BLOCK, Market, Sparse, dot_block

include "term_doors.pxi"

cdef enum:
    BASE = -1


# ---- versions --------------------------------------------------------------------------------------------------------

cdef void mix_loop(
        Py_ssize_t count, const uint64_t* seen, uint64_t base,
        uint64_t* mixed, uint64_t* differs) noexcept nogil:     # IN and OUT
    """Adds one factor to the marks of all scenarios. Those of like scenarios are alike, of others seldom."""
    cdef Py_ssize_t s
    for s in range(count):
        mixed[s] = (mixed[s] ^ seen[s]) * <uint64_t> 0x9e3779b97f4a7c15u
        mixed[s] = mixed[s] ^ (mixed[s] >> 29)
        differs[s] |= seen[s] ^ base


cdef bint is_same(
        const uint64_t* seen, Py_ssize_t scenario_count, const int64_t* factor, Py_ssize_t factor_count,
        Py_ssize_t one, Py_ssize_t other) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(factor_count):
        if seen[factor[i] * scenario_count + one] != seen[factor[i] * scenario_count + other]:
            return False
    return True


cdef Py_ssize_t number_versions(
        const uint64_t* seen, Py_ssize_t scenario_count, const int64_t* factor, Py_ssize_t factor_count,
        const uint64_t* mixed, const uint64_t* differs,
        int64_t* first, int64_t* version) noexcept nogil:       # OUT
    """Versions in the order of the scenarios that show them first; a block has some hundred scenarios at most."""
    cdef Py_ssize_t s, found, count = 0
    for s in range(scenario_count):
        version[s] = BASE
        if not differs[s]:
            continue
        for found in range(count):
            if mixed[first[found]] == mixed[s] and is_same(
                    seen, scenario_count, factor, factor_count, first[found], s):
                version[s] = found
                break
        else:
            first[count] = s
            version[s] = count
            count += 1
    return count


cdef Py_ssize_t find_versions(
        const uint64_t* seen, const uint64_t* of_base, Py_ssize_t scenario_count, const int64_t* factor,
        Py_ssize_t factor_count, uint64_t* mixed, uint64_t* differs,            # IN zeros
        int64_t* first, int64_t* version) noexcept nogil:                       # OUT
    cdef Py_ssize_t i
    for i in range(factor_count):
        mix_loop(
            scenario_count, seen + factor[i] * scenario_count, 0 if of_base == NULL else of_base[factor[i]], mixed,
            differs)
    for i in range(scenario_count if of_base == NULL else 0):
        differs[i] = 1
    return number_versions(seen, scenario_count, factor, factor_count, mixed, differs, first, version)


def versions(market, base, factors):
    """
    Which scenarios have to be valued, and whose numbers the others have.

    Args:
        market: float64 (F, S). base: float64 (F, 1), or None where every scenario differs from it.
        factors: int64 (n,) rows of both that are read.

    Returns:
        int64 (V,), scenarios that differ from the base, and from each before them, in some bit of some factor; int64
        (S,), for each scenario its place among these, -1 for the base.

    Raises:
        ValueError: a dtype or a shape is wrong, or a factor lies outside.
    """
    cdef Held market_held = Held(market, np.float64, "market", 2), base_held
    cdef Held factor_held = Held(factors, np.int64, "factors")
    cdef Py_ssize_t factor_count = factor_held.size(), scenario_count = market_held.size(1), count, i
    cdef const int64_t* factor = <const int64_t*> factor_held.view.buf
    cdef const uint64_t* seen = <const uint64_t*> market_held.view.buf
    cdef const uint64_t* of_base = NULL
    if base is not None:
        base_held = Held(base, np.float64, "base", 2)
        of_base = <const uint64_t*> base_held.view.buf
    if of_base != NULL and (base_held.size(0) != market_held.size(0) or base_held.size(1) != 1):
        raise ValueError(f"base must have one column of {market_held.size(0)} factors, got shape {np.shape(base)}")
    for i in range(factor_count):
        if not 0 <= factor[i] < market_held.size(0):
            raise ValueError(f"factors must lie in [0, {market_held.size(0)}), got {factor[i]}")
    marks = np.zeros((2, scenario_count), dtype=np.uint64)
    first, version = np.empty(scenario_count, dtype=np.int64), np.empty(scenario_count, dtype=np.int64)
    cdef Held marks_held = Held(marks, np.uint64, "marks", 2)
    cdef Held first_held = Held(first, np.int64, "first"), version_held = Held(version, np.int64, "version")
    cdef uint64_t* mixed = <uint64_t*> marks_held.view.buf
    cdef int64_t* first_at = <int64_t*> first_held.view.buf
    cdef int64_t* version_at = <int64_t*> version_held.view.buf
    if factor_count * scenario_count < UNLOCKED_MIN:
        count = find_versions(
            seen, of_base, scenario_count, factor, factor_count, mixed, mixed + scenario_count, first_at, version_at)
    else:
        with nogil:
            count = find_versions(
                seen, of_base, scenario_count, factor, factor_count, mixed, mixed + scenario_count, first_at,
                version_at)
    return first[:count].copy(), version


# ---- shifts ----------------------------------------------------------------------------------------------------------

cdef void shift_loop(
        Py_ssize_t width, const int64_t* row, Py_ssize_t row_count, const int64_t* position, const double* size,
        Py_ssize_t count, bint is_factor, const int64_t* leader, const int64_t* begin, const int64_t* follower,
        Py_ssize_t leader_count, double* ratio, double* value) noexcept nogil:  # scratch; IN and OUT
    """Followers of a spot of zero stay: nothing is a multiple of it."""
    cdef Py_ssize_t i, j, k
    cdef double before, after
    for i in range(leader_count):
        for j in range(count):
            before = value[row[leader[i]] * width + position[j]]
            after = before * size[j] if is_factor else before + size[j]
            ratio[i * count + j] = after / before if before != 0.0 else 1.0
    for i in range(row_count):
        for j in range(count):
            before = value[row[i] * width + position[j]]
            value[row[i] * width + position[j]] = before * size[j] if is_factor else before + size[j]
    for i in range(leader_count):
        for k in range(begin[i], begin[i + 1]):
            for j in range(count):
                value[follower[k] * width + position[j]] *= ratio[i * count + j]


def shift(values, rows, positions, sizes, bint is_factor, leaders, follower_begin, followers):
    """
    Shifts quotes in some scenarios, and what follows them in proportion.

    Args:
        values: float64 (Q, S), C order, changed. rows: int64 (n,), distinct, in [0, Q).
        positions, sizes: int64 and float64 (m,), distinct scenarios in [0, S), and what is added there, or multiplied.
        leaders: int64 (L,), places in *rows*. follower_begin, followers: int64 (L + 1,) and (f,), rows in [0, Q) that
            are multiplied by what their leader was multiplied by, after all.

    Raises:
        ValueError: a dtype, a length or a place is wrong.
    """
    cdef Held held = Held(values, np.float64, "values", 2), row = Held(rows, np.int64, "rows")
    cdef Held position = Held(positions, np.int64, "positions"), size = Held(sizes, np.float64, "sizes")
    cdef Held leader = Held(leaders, np.int64, "leaders"), begin = Held(follower_begin, np.int64, "follower_begin")
    cdef Held follower = Held(followers, np.int64, "followers")
    cdef Py_ssize_t count = position.size(), leader_count = leader.size(), i
    cdef const int64_t* bound = <const int64_t*> begin.view.buf
    if held.array is not values or size.size() != count or begin.size() != leader_count + 1:
        raise ValueError(f"values must be float64 in C order, with a size for each of {count} positions")
    check_places(row, held.size(0), "rows")
    check_places(position, held.size(1), "positions")
    check_places(leader, row.size(), "leaders")
    check_places(follower, held.size(0), "followers")
    for i in range(leader_count):
        if bound[i] > bound[i + 1]:
            raise ValueError("follower_begin must not decrease")
    if bound[0] != 0 or bound[leader_count] != follower.size():
        raise ValueError(f"follower_begin must run from 0 to {follower.size()}")
    scratch = np.empty(max(1, leader_count * count))
    cdef Held ratio = Held(scratch, np.float64, "scratch")
    shift_loop(
        held.size(1), <const int64_t*> row.view.buf, row.size(), <const int64_t*> position.view.buf,
        <const double*> size.view.buf, count, is_factor, <const int64_t*> leader.view.buf, bound,
        <const int64_t*> follower.view.buf, leader_count, <double*> ratio.view.buf, <double*> held.view.buf)


cdef check_places(Held places, Py_ssize_t end, str name):
    cdef const int64_t* place = <const int64_t*> places.view.buf
    cdef Py_ssize_t i
    for i in range(places.size()):
        if not 0 <= place[i] < end:
            raise ValueError(f"{name} must lie in [0, {end}), got {place[i]}")


# ---- factors ---------------------------------------------------------------------------------------------------------

cdef Py_ssize_t mark_loop(
        const int32_t* factor, Py_ssize_t count, Py_ssize_t mark_count, uint8_t* mark) noexcept nogil:  # IN and OUT
    """The first place with a factor outside; *count* where there is none."""
    cdef Py_ssize_t i
    for i in range(count):
        if not 0 <= factor[i] < mark_count:
            return i
        mark[factor[i]] = 1
    return count


def mark(marks, factors):
    """
    Sets the marks of all factors that occur.

    Args:
        marks: bool or uint8 (F,), C order, changed. factors: int32 (n,), in [0, F).

    Raises:
        ValueError: a dtype or a dimension is wrong, or a factor lies outside.
    """
    if marks.dtype.itemsize != 1 or not marks.flags.c_contiguous or not marks.flags.writeable:
        raise ValueError(f"marks must be writable bytes in C order, got {marks.dtype.name}")
    cdef Held held = Held(marks.view(np.uint8), np.uint8, "marks"), factor_held = Held(factors, np.int32, "factors")
    cdef Py_ssize_t count = factor_held.size(), mark_count = held.size(), place
    if count < UNLOCKED_MIN:
        place = mark_loop(<const int32_t*> factor_held.view.buf, count, mark_count, <uint8_t*> held.view.buf)
    else:
        with nogil:
            place = mark_loop(<const int32_t*> factor_held.view.buf, count, mark_count, <uint8_t*> held.view.buf)
    if place < count:
        raise ValueError(f"factors must lie in [0, {mark_count}), got {factor_held.array[place]}")


# ---- quotients -------------------------------------------------------------------------------------------------------

cdef void exp_block(
        Market market, Py_ssize_t scenario, Py_ssize_t count, Sparse vectors, Py_ssize_t row,
        double* result) noexcept nogil:                         # OUT count values of SCENARIOS_PER_BLOCK
    cdef Py_ssize_t s, padded = (count + LANE_GROUP - 1) & ~<Py_ssize_t> (LANE_GROUP - 1)
    dot_block(market, scenario, count, vectors, row, 0.0, result)
    for s in range(padded):
        result[s] = exp_(result[s])


cdef void quotient_loop(
        Market market, Py_ssize_t quotient_count, const int32_t* row, const double* notional, const double* strike,
        const double* accrual, const double* index_accrual, Sparse discounts, Sparse growths,
        double* pv) noexcept nogil:                             # IN and OUT (rows, scenario_count)
    cdef double discount[SCENARIOS_PER_BLOCK]
    cdef double growth[SCENARIOS_PER_BLOCK]
    cdef double forward
    cdef double* target
    cdef Py_ssize_t i, s, scenario, count
    for s in range(SCENARIOS_PER_BLOCK):
        discount[s] = growth[s] = 0.0
    for i in range(quotient_count):
        scenario = 0
        while scenario < market.scenario_count:
            count = min(market.scenario_count - scenario, <Py_ssize_t> SCENARIOS_PER_BLOCK)
            exp_block(market, scenario, count, discounts, i, discount)
            exp_block(market, scenario, count, growths, i, growth)
            target = pv + row[i] * market.scenario_count + scenario
            for s in range(count):
                forward = (growth[s] - 1.0) / index_accrual[i]
                forward = (forward - strike[i]) * accrual[i] / (1.0 + forward * accrual[i])
                target[s] = target[s] + notional[i] * discount[s] * forward
            scenario += count


def add_quotients(values, market, rows, notional, strike, accrual, index_accrual, discount, growth):
    """
    Adds the value of forward rate agreements, settled in advance, to those of their rows.

    Args:
        values: float64 (R, S), C order, changed. market: float64 (F, S).
        rows: int32 (Q,), in [0, R). notional, strike, accrual, index_accrual: float64 (Q,).
        discount, growth: (begin, factor, weight) of Q sparse vectors each: logs of D and of G.

    Raises:
        ValueError: a dtype, a length, an offset or a place is wrong; nothing is read or written outside the arrays.

    Source: ISDA 2006 definitions, 8.4(b), FRA discounting; the formula at the head of this file.
    """
    cdef Held held = Held(values, np.float64, "values", 2), market_held = Held(market, np.float64, "market", 2)
    cdef Held row_held = Held(rows, np.int32, "rows"), notional_held = Held(notional, np.float64, "notional")
    cdef Held strike_held = Held(strike, np.float64, "strike"), accrual_held = Held(accrual, np.float64, "accrual")
    cdef Held index_held = Held(index_accrual, np.float64, "index_accrual")
    cdef Held d_begin = Held(discount[0], np.int32, "discount_begin")
    cdef Held d_factor = Held(discount[1], np.int32, "discount_factor")
    cdef Held d_weight = Held(discount[2], np.float64, "discount_weight")
    cdef Held g_begin = Held(growth[0], np.int32, "growth_begin")
    cdef Held g_factor = Held(growth[1], np.int32, "growth_factor")
    cdef Held g_weight = Held(growth[2], np.float64, "growth_weight")
    cdef Market read = read_market(market_held)
    cdef Sparse discounts = read_sparse(d_begin, d_factor, d_weight, read.factor_count, "discount")
    cdef Sparse growths = read_sparse(g_begin, g_factor, g_weight, read.factor_count, "growth")
    cdef Py_ssize_t count = row_held.size(), i
    cdef const int32_t* row = <const int32_t*> row_held.view.buf
    if held.array is not values or held.size(1) != read.scenario_count:
        raise ValueError(f"values must be float64 (R, {read.scenario_count}) in C order, got shape {np.shape(values)}")
    sizes = [one.size for one in (notional, strike, accrual, index_accrual)] + [d_begin.size() - 1, g_begin.size() - 1]
    if any(size != count for size in sizes):
        raise ValueError(f"each of {count} quotients must have every number, got {sizes}")
    for i in range(count):
        if not 0 <= row[i] < held.size(0):
            raise ValueError(f"rows must lie in [0, {held.size(0)}), got {row[i]}")
    with nogil:
        quotient_loop(
            read, count, row, <const double*> notional_held.view.buf, <const double*> strike_held.view.buf,
            <const double*> accrual_held.view.buf, <const double*> index_held.view.buf, discounts, growths,
            <double*> held.view.buf)


# ---- sums ------------------------------------------------------------------------------------------------------------

cdef Py_ssize_t place_of(const int32_t* numbers, Py_ssize_t count, int32_t number) noexcept nogil:
    """The first of *count* ascending numbers that is not smaller."""
    cdef Py_ssize_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) // 2
        if numbers[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low


cdef Py_ssize_t distinct(const int32_t* group, Py_ssize_t row_count, int32_t* numbers) noexcept nogil:
    """The groups that occur, ascending."""
    cdef Py_ssize_t row, place, count = 0
    for row in range(row_count):
        if row and group[row] == group[row - 1]:
            continue
        place = place_of(numbers, count, group[row])
        if place < count and numbers[place] == group[row]:
            continue
        memmove(numbers + place + 1, numbers + place, (count - place) * sizeof(int32_t))
        numbers[place] = group[row]
        count += 1
    return count


cdef void add_row(
        Py_ssize_t count, const double* value, double base,
        double* total) noexcept nogil:                          # IN and OUT
    cdef Py_ssize_t s
    for s in range(count):
        total[s] = total[s] + (value[s] - base)


cdef void add_used(
        Py_ssize_t count, const double* value, double base, const uint8_t* refused,
        double* total, int32_t* used) noexcept nogil:           # IN and OUT
    cdef Py_ssize_t s
    for s in range(count):
        total[s] = total[s] + (0.0 if refused[s] else value[s] - base)
        used[s] += refused[s] == 0


cdef void sum_loop(
        const double* value, const double* base, const uint8_t* refused, const int32_t* group, Py_ssize_t row_count,
        Py_ssize_t count, const int32_t* numbers, Py_ssize_t group_count,
        int64_t* rows, int32_t* used, double* total) noexcept nogil:            # IN zeros, OUT
    cdef Py_ssize_t row, s, place = 0
    cdef double of_base
    for row in range(row_count):
        if not row or group[row] != group[row - 1]:
            place = place_of(numbers, group_count, group[row])
        rows[place] += 1
        of_base = base[row] if base != NULL else 0.0
        if refused != NULL:
            add_used(
                count, value + row * count, of_base, refused + row * count, total + place * count,
                used + place * count)
        else:
            add_row(count, value + row * count, of_base, total + place * count)
    for place in range(group_count):
        for s in range(count):
            if refused == NULL:
                used[place * count + s] = <int32_t> rows[place]
            if total[place * count + s] != total[place * count + s]:
                total[place * count + s] = NAN


def group_sums(groups, values, base=None, refused=None):
    """
    Sums over the rows of each leaf group of a tile, in row order.

    Args:
        groups: int32 (R,), any order. values: float64 (R, n). base: float64 (R,), taken from every value; 0 without.
        refused: bool or uint8 (R, n), cells that take part in no sum where they are not 0; none without.

    Returns:
        int32 (g,) the groups, ascending; int64 (g,) their rows; int32 (g, n) how many of them are in each sum; float64
        (g, n) the sums, NaN where infinite values cancel.

    Raises:
        ValueError: a dtype or a shape is wrong.
    """
    cdef Held group_held = Held(groups, np.int32, "groups"), held = Held(values, np.float64, "values", 2)
    cdef Held base_held, refused_held
    cdef Py_ssize_t row_count = group_held.size(), count = held.size(1), group_count
    cdef const double* of_base = NULL
    cdef const uint8_t* is_refused = NULL
    if held.size(0) != row_count:
        raise ValueError(f"values must have a row for each of {row_count} groups, got {held.size(0)}")
    if base is not None:
        base_held = Held(base, np.float64, "base")
        if base_held.size() != row_count:
            raise ValueError(f"base must have a value for each of {row_count} rows, got {base_held.size()}")
        of_base = <const double*> base_held.view.buf
    if refused is not None:
        refused_held = Held(np.asarray(refused).view(np.uint8), np.uint8, "refused", 2)
        if refused_held.size(0) != row_count or refused_held.size(1) != count:
            raise ValueError(f"refused must have shape {(row_count, count)} like values, got {np.shape(refused)}")
        is_refused = <const uint8_t*> refused_held.view.buf
    numbers = np.empty(row_count + 1, dtype=np.int32)
    cdef Held numbers_held = Held(numbers, np.int32, "numbers")
    cdef int32_t* number = <int32_t*> numbers_held.view.buf
    cdef const int32_t* group = <const int32_t*> group_held.view.buf
    group_count = distinct(group, row_count, number)
    rows, used = np.zeros(group_count, dtype=np.int64), np.zeros((group_count, count), dtype=np.int32)
    total = np.zeros((group_count, count))
    cdef Held rows_held = Held(rows, np.int64, "rows"), used_held = Held(used, np.int32, "used", 2)
    cdef Held total_held = Held(total, np.float64, "total", 2)
    if row_count * count < UNLOCKED_MIN:
        sum_loop(
            <const double*> held.view.buf, of_base, is_refused, group, row_count, count, number, group_count,
            <int64_t*> rows_held.view.buf, <int32_t*> used_held.view.buf, <double*> total_held.view.buf)
    else:
        with nogil:
            sum_loop(
                <const double*> held.view.buf, of_base, is_refused, group, row_count, count, number, group_count,
                <int64_t*> rows_held.view.buf, <int32_t*> used_held.view.buf, <double*> total_held.view.buf)
    return numbers[:group_count].copy(), rows, used, total


cdef bint all_finite_loop(const double* value, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t found = 0
    for i in range(count):
        found |= value[i] - value[i] != 0.0
    return found == 0


def all_finite(values):
    """Whether no number of *values*, float64 (R, n), is NaN or infinite."""
    cdef Held held = Held(values, np.float64, "values", 2)
    cdef bint found
    cdef Py_ssize_t count = held.size(0) * held.size(1)
    if count < UNLOCKED_MIN:
        found = all_finite_loop(<const double*> held.view.buf, count)
    else:
        with nogil:
            found = all_finite_loop(<const double*> held.view.buf, count)
    return found
