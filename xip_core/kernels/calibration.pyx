# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The knots of a curve from its quotes: a system of n instruments in n unknowns, solved for many scenarios at once.

An instrument's residual is a sum of exponentials of sums of factors, some of them the curve's own knots x:

    r_i(x) = sum over e of (A[i,e] + q_i B[i,e]) E_e,       E_e = exp(sum over factors f of U[e,f] m_f)

Instruments come in the order of their pillars, so most depend on no later knot. The caller cuts them into *blocks*
within which each depends on knots up to the block's last: as a rule a block is one instrument, and the system is solved
as a bootstrap, one unknown after the other, each by Halley's method. What does not move while a block is solved is
computed once: sums over exponentials of earlier blocks, and the part of each exponent that is known. A block of several
instruments is solved by Newton's method with its exact Jacobian and elimination.

Eight scenarios stand side by side in the vector registers; every operation is elementwise over them and each scenario
stops by itself, so its bytes depend neither on its neighbours nor on the CPU level. Nothing here holds the GIL.

Source: A. Quarteroni, R. Sacco, F. Saleri, Numerical Mathematics (2007), ch. 6 (Halley, Newton); the terms are those of
xip_core/pricing/curves_system.py.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc

import numpy as np

from xip_core.kernels.elementary cimport NAN, fabs, fma_, log_

cdef extern from "calibration.h" nogil:
    enum: XIP_LANES
    ctypedef struct xip_system:
        int32_t factor_count, own_begin, knot_count, block_count, exponential_count
        const int32_t* block_begin
        const int32_t* group_begin
        const int32_t* fixed_begin
        const int32_t* fixed_place
        const double* fixed_weight
        const int32_t* own_pair_begin
        const int32_t* own_pair_knot
        const double* own_pair_weight
        const int32_t* settled_begin
        const int32_t* settled_source
        const double* settled_plain
        const double* settled_quoted
        const int32_t* live_begin
        const int32_t* live_source
        const double* live_plain
        const double* live_quoted
    ctypedef struct xip_lanes:
        double* factor
        double* quote
        double* exponent
        double* exponential
        double* constant
        double* residual
        double* jacobian
        double* step
        double alive[8]
        double rounds[8]
    void xip_solve_lanes(const xip_system* system, xip_lanes* lanes) noexcept

INDEX_ARRAYS = (
    "block_begin", "group_begin", "fixed_begin", "fixed_place", "own_pair_begin", "own_pair_knot",
    "settled_begin", "settled_source", "live_begin", "live_source",
)
WEIGHT_ARRAYS = (
    "fixed_weight", "own_pair_weight", "settled_plain", "settled_quoted", "live_plain", "live_quoted",
)


cdef struct Task:                       # what one call works on
    const double* market
    Py_ssize_t market_width
    const int64_t* columns
    Py_ssize_t count
    const double* quotes                # IN (n, count)
    double* knots                       # OUT (n, count)
    double* residuals                   # OUT (n, count)
    int32_t* rounds                     # OUT (count,)


# ---- loops -----------------------------------------------------------------------------------------------------------

cdef void read_lanes(
        const xip_system* system, const int32_t* factors, const Task* task, Py_ssize_t first, int used,
        xip_lanes* lanes) noexcept nogil:
    """Lanes beyond *used* repeat the first scenario: their results are dropped."""
    cdef Py_ssize_t place, row, lane, position
    for lane in range(XIP_LANES):
        position = first + (lane if lane < used else 0)
        for place in range(system.factor_count):
            lanes.factor[place * XIP_LANES + lane] = task.market[
                factors[place] * task.market_width + task.columns[position]]
        for row in range(system.knot_count):
            lanes.quote[row * XIP_LANES + lane] = task.quotes[row * task.count + position]
            lanes.residual[row * XIP_LANES + lane] = NAN


cdef void write_lanes(
        const xip_system* system, const Task* task, Py_ssize_t first, int used, xip_lanes* lanes) noexcept nogil:
    cdef Py_ssize_t row, lane
    for row in range(system.knot_count):
        for lane in range(used):
            task.knots[row * task.count + first + lane] = (
                lanes.factor[(system.own_begin + row) * XIP_LANES + lane] if lanes.alive[lane] > 0.0 else NAN)
            task.residuals[row * task.count + first + lane] = lanes.residual[row * XIP_LANES + lane]
    for lane in range(used):
        task.rounds[first + lane] = (
            <int32_t> lanes.rounds[lane] if lanes.alive[lane] > 0.0 else -<int32_t> lanes.rounds[lane])


cdef int solve_loop(
        const xip_system* system, const int32_t* factors, const Task* task, Py_ssize_t block_max) noexcept nogil:
    """0, or -1 where there is no memory."""
    cdef Py_ssize_t n = system.knot_count, first = 0
    cdef Py_ssize_t size = XIP_LANES * (
        system.factor_count + 2 * system.exponential_count + 3 * n + block_max * block_max + block_max)
    cdef double* scratch = <double*> malloc(size * sizeof(double))
    cdef xip_lanes lanes
    if scratch == NULL:
        return -1
    lanes.factor = scratch
    lanes.quote = lanes.factor + XIP_LANES * system.factor_count
    lanes.exponent = lanes.quote + XIP_LANES * n
    lanes.exponential = lanes.exponent + XIP_LANES * system.exponential_count
    lanes.constant = lanes.exponential + XIP_LANES * system.exponential_count
    lanes.residual = lanes.constant + XIP_LANES * n
    lanes.jacobian = lanes.residual + XIP_LANES * n
    lanes.step = lanes.jacobian + XIP_LANES * block_max * block_max
    while first < task.count:
        read_lanes(system, factors, task, first, <int> min(task.count - first, <Py_ssize_t> XIP_LANES), &lanes)
        xip_solve_lanes(system, &lanes)
        write_lanes(system, task, first, <int> min(task.count - first, <Py_ssize_t> XIP_LANES), &lanes)
        first += XIP_LANES
    free(scratch)
    return 0


# ---- door ------------------------------------------------------------------------------------------------------------

cdef class System:
    """
    A compiled system; immutable, shared between threads.

    Args:
        factors: int32 (u,): rows of the market matrix that the system reads, the curve's own knots next to each other
            from place *own_begin* on, in order.
        block_begin: int32 (b + 1,): knots, and instruments, of block i are block_begin[i] to block_begin[i + 1].
        group_begin: int32 (b + 2,): exponentials 0 to group_begin[1] know no own knot; those of group i + 1 have their
            last one in block i.
        fixed_begin, fixed_place, fixed_weight: per exponential, the pairs (place in *factors*, weight) without the
            knots of its own block.
        own_pair_begin, own_pair_knot, own_pair_weight: per exponential, the pairs (knot, weight) of its own block.
        settled_begin, settled_source, settled_plain, settled_quoted: per instrument, the exponentials of earlier
            groups with A and B.
        live_begin, live_source, live_plain, live_quoted: the exponentials of its own block's group.

    Raises:
        ValueError: an array does not fit the others; nothing is read outside of them.
    """
    cdef xip_system system
    cdef dict arrays
    cdef const int32_t* factors
    cdef Py_ssize_t factor_max
    cdef Py_ssize_t block_max

    def __init__(self, factors, int own_begin, **arrays):
        if set(arrays) != {*INDEX_ARRAYS, *WEIGHT_ARRAYS}:
            raise ValueError(f"a system needs the arrays {INDEX_ARRAYS + WEIGHT_ARRAYS}, got {tuple(arrays)}")
        self.arrays = {name: np.ascontiguousarray(arrays[name], dtype=np.int32) for name in INDEX_ARRAYS}
        self.arrays |= {name: np.ascontiguousarray(arrays[name], dtype=np.float64) for name in WEIGHT_ARRAYS}
        self.arrays["factors"] = np.ascontiguousarray(factors, dtype=np.int32)
        check_arrays(self.arrays, own_begin)
        self.factors = index_pointer(self.arrays, "factors")
        self.factor_max = self.arrays["factors"].max()
        self.block_max = np.diff(self.arrays["block_begin"]).max()
        self.system.factor_count = len(self.arrays["factors"])
        self.system.own_begin = own_begin
        self.system.knot_count = self.arrays["block_begin"][-1]
        self.system.block_count = len(self.arrays["block_begin"]) - 1
        self.system.exponential_count = self.arrays["group_begin"][-1]
        self.system.block_begin = index_pointer(self.arrays, "block_begin")
        self.system.group_begin = index_pointer(self.arrays, "group_begin")
        self.system.fixed_begin = index_pointer(self.arrays, "fixed_begin")
        self.system.fixed_place = index_pointer(self.arrays, "fixed_place")
        self.system.fixed_weight = weight_pointer(self.arrays, "fixed_weight")
        self.system.own_pair_begin = index_pointer(self.arrays, "own_pair_begin")
        self.system.own_pair_knot = index_pointer(self.arrays, "own_pair_knot")
        self.system.own_pair_weight = weight_pointer(self.arrays, "own_pair_weight")
        self.system.settled_begin = index_pointer(self.arrays, "settled_begin")
        self.system.settled_source = index_pointer(self.arrays, "settled_source")
        self.system.settled_plain = weight_pointer(self.arrays, "settled_plain")
        self.system.settled_quoted = weight_pointer(self.arrays, "settled_quoted")
        self.system.live_begin = index_pointer(self.arrays, "live_begin")
        self.system.live_source = index_pointer(self.arrays, "live_source")
        self.system.live_plain = weight_pointer(self.arrays, "live_plain")
        self.system.live_quoted = weight_pointer(self.arrays, "live_quoted")

    def solve(self, market, columns, quotes):
        """
        Args:
            market: float64 (F, S), C order; the own knots' rows hold the start values. It is not changed.
            columns: int64 (K,): the columns to solve, in [0, S).
            quotes: float64 (n, K).

        Returns:
            knots float64 (n, K), NaN in the columns without solution; residuals float64 (n, K) at the knots returned,
            in units of the terms, NaN from the instrument after the one that could not be solved; rounds int32 (K,),
            the most rounds a block took, negative where there is no solution.

        Raises:
            ValueError: a dtype, a shape or a column is wrong.
        """
        cdef const double[:, ::1] market_view = np.ascontiguousarray(market, dtype=np.float64)
        cdef const int64_t[::1] column_view = np.ascontiguousarray(columns, dtype=np.int64)
        cdef const double[:, ::1] quote_view = np.ascontiguousarray(quotes, dtype=np.float64)
        cdef Py_ssize_t count = column_view.shape[0], i
        cdef int failed
        if market_view.shape[0] <= self.factor_max:
            raise ValueError(f"market must have more than {self.factor_max} rows, got {market_view.shape[0]}")
        if quote_view.shape[0] != self.system.knot_count or quote_view.shape[1] != count:
            raise ValueError(
                f"quotes must have shape {(self.system.knot_count, count)}, "
                f"got {(quote_view.shape[0], quote_view.shape[1])}")
        for i in range(count):
            if not 0 <= column_view[i] < market_view.shape[1]:
                raise ValueError(f"columns must lie in [0, {market_view.shape[1]}), got {column_view[i]}")
        knots = np.empty((self.system.knot_count, count))
        residuals = np.empty_like(knots)
        rounds = np.empty(count, np.int32)
        if count == 0:
            return knots, residuals, rounds
        cdef double[:, ::1] knot_view = knots, residual_view = residuals
        cdef int32_t[::1] round_view = rounds
        cdef Task task
        task.market = &market_view[0, 0]
        task.market_width = market_view.shape[1]
        task.columns = &column_view[0]
        task.count = count
        task.quotes = &quote_view[0, 0]
        task.knots = &knot_view[0, 0]
        task.residuals = &residual_view[0, 0]
        task.rounds = &round_view[0]
        with nogil:
            failed = solve_loop(&self.system, self.factors, &task, self.block_max)
        if failed:
            raise MemoryError
        return knots, residuals, rounds

    cdef check_place(self, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t factor_count):
        """Raises ValueError where the knots are other rows of a market than [begin, end)."""
        own = self.arrays["factors"][self.system.own_begin:self.system.own_begin + self.system.knot_count]
        if own.tolist() != list(range(begin, end)) or self.factor_max >= factor_count:
            raise ValueError(f"knots must be the rows [{begin}, {end}) of {factor_count}, got {own.tolist()}")


cdef const int32_t* index_pointer(dict arrays, str name) except? NULL:
    cdef const int32_t[::1] view = arrays[name]
    return &view[0] if view.shape[0] else NULL


cdef const double* weight_pointer(dict arrays, str name) except? NULL:
    cdef const double[::1] view = arrays[name]
    return &view[0] if view.shape[0] else NULL


def check_runs(arrays, str stem, Py_ssize_t run_count, source, Py_ssize_t source_end, weights):
    """Runs of one sparse array: offsets ascend to the count of its entries, sources lie in range."""
    begin, entries = arrays[f"{stem}_begin"], arrays[f"{stem}_{source}"]
    if len(begin) != run_count + 1 or begin[0] != 0 or begin[-1] != len(entries) or (np.diff(begin) < 0).any():
        raise ValueError(f"{stem}_begin must ascend from 0 to {len(entries)} in {run_count} runs, got {begin}")
    if len(entries) and not (0 <= entries.min() and entries.max() < source_end):
        raise ValueError(f"{stem}_{source} must lie in [0, {source_end}), got {entries.min()} to {entries.max()}")
    for weight in weights:
        if len(arrays[f"{stem}_{weight}"]) != len(entries):
            raise ValueError(f"{stem}_{weight} must have {len(entries)} values")


def check_arrays(arrays, int own_begin):
    """Raises ValueError where the loops would read outside of an array, or before a value is known."""
    block_begin, group_begin, factors = arrays["block_begin"], arrays["group_begin"], arrays["factors"]
    if len(block_begin) < 2 or block_begin[0] != 0 or (np.diff(block_begin) < 1).any():
        raise ValueError(f"block_begin must ascend from 0, got {block_begin}")
    knot_count = int(block_begin[-1])
    if len(group_begin) != len(block_begin) + 1 or group_begin[0] != 0 or (np.diff(group_begin) < 0).any():
        raise ValueError(f"group_begin must ascend from 0 and have {len(block_begin) + 1} values, got {group_begin}")
    if own_begin < 0 or own_begin + knot_count > len(factors) or (len(factors) and factors.min() < 0):
        raise ValueError(f"factors must hold the own knots from place {own_begin} on and no negative row")
    exponential_count = int(group_begin[-1])
    check_runs(arrays, "fixed", exponential_count, "place", len(factors), ("weight",))
    check_runs(arrays, "own_pair", exponential_count, "knot", knot_count, ("weight",))
    check_runs(arrays, "settled", knot_count, "source", exponential_count, ("plain", "quoted"))
    check_runs(arrays, "live", knot_count, "source", exponential_count, ("plain", "quoted"))
    block_of_knot = np.repeat(np.arange(len(block_begin) - 1), np.diff(block_begin))
    group_of = np.repeat(np.arange(len(group_begin) - 1), np.diff(group_begin))
    own_group = np.repeat(group_of, np.diff(arrays["own_pair_begin"]))
    if (block_of_knot[arrays["own_pair_knot"]] + 1 != own_group).any():
        raise ValueError("own_pair_knot must lie in the block of its exponential")
    own_sizes = np.diff(arrays["own_pair_begin"])
    if (own_sizes[group_of > 0] < 1).any() or (own_sizes[group_of == 0] > 0).any():
        raise ValueError("an exponential must have own pairs where its group is not the first")
    is_single = np.concatenate(([False], np.diff(block_begin) == 1))[group_of]
    if (own_sizes[is_single] != 1).any():
        raise ValueError("an exponential of a block of one knot must name it once")
    live_block = np.repeat(block_of_knot, np.diff(arrays["live_begin"]))
    settled_block = np.repeat(block_of_knot, np.diff(arrays["settled_begin"]))
    if (group_of[arrays["live_source"]] != live_block + 1).any():
        raise ValueError("live_source must be of the instrument's own block")
    if (group_of[arrays["settled_source"]] > settled_block).any():
        raise ValueError("settled_source must be of an earlier block")


include "market_program.pxi"
include "market_doors.pxi"
