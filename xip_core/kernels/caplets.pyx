# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Caplet volatilities, normal or lognormal, from the volatilities caps are quoted with, node after node.

A cap is quoted by the one volatility that, put into all its caplets, gives its price. Volatilities at nodes, one per
cap, linear in between, give the same prices: in order of the caps each node is one equation in one unknown,

    sum over its new caplets of TV(volatility) = sum over all its caplets of TV(quote) - what the earlier nodes give

TV is the time value (Bachelier 1900, Black 1976), discounted: the out-of-the-money option, for intrinsic values do not
depend on volatility and would drown it. Newton's steps are damped to a factor of two. Eight cells, strikes under
scenarios, stand side by side; every operation is elementwise over them and each cell stops by itself, so its bytes
depend neither on its neighbours nor on the CPU level. Nothing here holds the GIL.
"""

from libc.float cimport DBL_MAX
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc

import numpy as np

from xip_core.kernels.elementary cimport NAN, fabs, log_ratio

cdef extern from "caplets.h" nogil:
    enum: XIP_CAP_LANES
    ctypedef struct xip_cap_strip:
        int32_t caplet_count, row_count
        const int32_t* row_end
        const int32_t* left
        const int32_t* right
        const double* share
        const double* root_time
        int32_t is_normal
    ctypedef struct xip_cap_lanes:
        double* distance
        double* weight
        double* quote
        double* node
        double* error
        double* target
    void xip_strip_lanes(const xip_cap_strip* strip, xip_cap_lanes* lanes) noexcept


cdef struct Task:                       # what one call works on
    const double* forwards              # IN (caplets, scenarios)
    const double* weights               # IN (caplets, scenarios)
    const double* strikes               # IN (strikes,)
    const double* quotes                # IN (rows, strikes * scenarios)
    double* nodes                       # OUT the same shape
    double* errors                      # OUT
    double* targets                     # OUT
    Py_ssize_t scenario_count
    Py_ssize_t cell_count


# ---- loop ------------------------------------------------------------------------------------------------------------

cdef inline void read_caplet(
        bint is_normal, double forward, double strike, double weight, double* distance, double* scaled) noexcept nogil:
    """What the time value needs of a caplet; NaN where a lognormal rate would be negative."""
    cdef double smaller = min(forward, strike), larger = max(forward, strike)
    if is_normal:
        distance[0] = fabs(forward - strike)
        scaled[0] = weight
    else:
        distance[0] = log_ratio(larger, smaller) if smaller > 0.0 and larger <= DBL_MAX else 0.0
        scaled[0] = weight * smaller if smaller >= 0.0 and larger <= DBL_MAX else NAN


cdef int strip_loop(const xip_cap_strip* strip, const Task* task) noexcept nogil:
    """0, or -1 where there is no memory."""
    cdef Py_ssize_t first = 0, lane, cell, scenario, c, row, n = strip.caplet_count, rows = strip.row_count
    cdef double* scratch = <double*> malloc((2 * n + 4 * rows) * XIP_CAP_LANES * sizeof(double))
    cdef xip_cap_lanes lanes
    if scratch == NULL:
        return -1
    lanes.distance = scratch
    lanes.weight = lanes.distance + n * XIP_CAP_LANES
    lanes.quote = lanes.weight + n * XIP_CAP_LANES
    lanes.node = lanes.quote + rows * XIP_CAP_LANES
    lanes.error = lanes.node + rows * XIP_CAP_LANES
    lanes.target = lanes.error + rows * XIP_CAP_LANES
    while first < task.cell_count:
        for lane in range(XIP_CAP_LANES):
            cell = min(first + lane, task.cell_count - 1)   # lanes too many repeat the last cell
            scenario = cell % task.scenario_count
            for c in range(n):
                read_caplet(
                    strip.is_normal, task.forwards[c * task.scenario_count + scenario],
                    task.strikes[cell // task.scenario_count], task.weights[c * task.scenario_count + scenario],
                    &lanes.distance[c * XIP_CAP_LANES + lane], &lanes.weight[c * XIP_CAP_LANES + lane])
            for row in range(rows):
                lanes.quote[row * XIP_CAP_LANES + lane] = task.quotes[row * task.cell_count + cell]
        xip_strip_lanes(strip, &lanes)
        for lane in range(min(task.cell_count - first, <Py_ssize_t> XIP_CAP_LANES)):
            for row in range(rows):
                task.nodes[row * task.cell_count + first + lane] = lanes.node[row * XIP_CAP_LANES + lane]
                task.errors[row * task.cell_count + first + lane] = lanes.error[row * XIP_CAP_LANES + lane]
                task.targets[row * task.cell_count + first + lane] = lanes.target[row * XIP_CAP_LANES + lane]
        first += XIP_CAP_LANES
    free(scratch)
    return 0


# ---- door ------------------------------------------------------------------------------------------------------------

def strip(forwards, weights, years, strikes, row_end, left, right, share, quotes, bint is_normal=True):
    """
    Args:
        forwards: float64 (C, S), forward rate of each caplet under each scenario.
        weights: float64 (C, S), accrual times discount factor, > 0.
        years: float64 (C,), time to each fixing, >= 0.
        strikes: float64 (K,).
        row_end: int32 (R,), ascending to C: the cap of row r has the caplets 0 to row_end[r].
        left, right: int32 (C,), nodes in [0, R) that the caplet lies between, not after the row it is new in.
        share: float64 (C,), weight of the right one.
        quotes: float64 (R, K, S), volatilities, >= 0.
        is_normal: of Bachelier's formula, otherwise of Black's, which needs forwards and strikes that are not negative.

    Returns:
        nodes, errors, targets, float64 (R, K, S) each: volatilities, NaN where none gives the price to 1e-9 and in
        later rows of the same cell; the pricing errors left and the caps' time values.

    Raises:
        ValueError: a shape or an index is wrong.
    """
    cdef const double[:, ::1] forward_view = np.ascontiguousarray(forwards, dtype=np.float64)
    cdef const double[:, ::1] weight_view = np.ascontiguousarray(weights, dtype=np.float64)
    cdef const double[::1] strike_view = np.ascontiguousarray(strikes, dtype=np.float64)
    cdef const double[:, :, ::1] quote_view = np.ascontiguousarray(quotes, dtype=np.float64)
    cdef Py_ssize_t caplets = forward_view.shape[0], scenarios = forward_view.shape[1], rows = quote_view.shape[0]
    ends, lefts, rights = (np.ascontiguousarray(item, dtype=np.int32) for item in (row_end, left, right))
    check_strip(
        caplets, scenarios, rows, np.asarray(weights), np.asarray(years), np.asarray(share), ends, lefts, rights)
    if quote_view.shape[1] != strike_view.shape[0] or quote_view.shape[2] != scenarios:
        raise ValueError(
            f"quotes must have shape {(rows, strike_view.shape[0], scenarios)}, got {np.asarray(quotes).shape}")
    nodes, errors, targets = (np.empty((rows, strike_view.shape[0], scenarios)) for _ in range(3))
    if nodes.size == 0:
        return nodes, errors, targets
    cdef const int32_t[::1] end_view = ends, left_view = lefts, right_view = rights
    cdef const double[::1] share_view = np.ascontiguousarray(share, dtype=np.float64)
    cdef const double[::1] root_view = np.sqrt(np.ascontiguousarray(years, dtype=np.float64))
    cdef double[:, :, ::1] node_view = nodes, error_view = errors, target_view = targets
    cdef xip_cap_strip program
    cdef Task task
    cdef int failed
    program.caplet_count = caplets
    program.row_count = rows
    program.is_normal = is_normal
    program.row_end = &end_view[0]
    program.left = &left_view[0]
    program.right = &right_view[0]
    program.share = &share_view[0]
    program.root_time = &root_view[0]
    task.forwards = &forward_view[0, 0]
    task.weights = &weight_view[0, 0]
    task.strikes = &strike_view[0]
    task.quotes = &quote_view[0, 0, 0]
    task.nodes = &node_view[0, 0, 0]
    task.errors = &error_view[0, 0, 0]
    task.targets = &target_view[0, 0, 0]
    task.scenario_count = scenarios
    task.cell_count = strike_view.shape[0] * scenarios
    with nogil:
        failed = strip_loop(&program, &task)
    if failed:
        raise MemoryError
    return nodes, errors, targets


def check_strip(caplets, scenarios, rows, weights, years, share, ends, lefts, rights):
    """Raises ValueError where the loop would read outside of an array, or a node before it is known."""
    if weights.shape != (caplets, scenarios):
        raise ValueError(f"weights must have shape {(caplets, scenarios)} like forwards, got {weights.shape}")
    for name, values in (("years", years), ("share", share), ("left", lefts), ("right", rights)):
        if values.shape != (caplets,):
            raise ValueError(f"{name} must have shape {(caplets,)}, got {values.shape}")
    if not (years >= 0.0).all():
        raise ValueError("years must not be negative")
    if ends.shape != (rows,) or rows < 1 or (np.diff(ends, prepend=0) < 0).any() or ends[rows - 1] != caplets:
        raise ValueError(f"row_end must ascend to {caplets} in {rows} rows, got {ends.tolist()}")
    new_in = np.repeat(np.arange(rows), np.diff(ends, prepend=0))
    for name, nodes in (("left", lefts), ("right", rights)):
        if not ((nodes >= 0) & (nodes <= new_in)).all():
            raise ValueError(f"{name} must be a node in [0, {rows}) not after the caplet's own row")
