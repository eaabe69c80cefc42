# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Random and quasi-random numbers by index, for scenarios and tests: normals.h, sobol.h and monte_carlo.h from Python.

    normals(seed, first_path, path_count, dimension_count)      [paths, dimensions], standard normals of any paths
    cholesky(correlation)                                       the factor that `normals` takes to correlate them
    brownian(times, ...)                                        [paths, dates, factors], bridged
    philox, sobol, normal                                       the parts, for known answers

A number depends on its own path and dimension alone: blocks of paths may be taken in any order, on any machine.
"""

import numpy as np

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free

from xip_core.kernels.elementary cimport sqrt

cdef extern from "monte_carlo.h" nogil:
    ctypedef struct xip_sobol_cursor:
        int dimension
        int place
    ctypedef struct xip_walk:
        double (*position)[64]
    int XIP_LANES
    int XIP_REPLICATES
    int XIP_SOBOL_DIMENSIONS
    int XIP_PATH_EXPONENT_MIN
    int XIP_PATH_EXPONENT_MAX
    double xip_normal(uint64_t word) noexcept
    void xip_philox(const uint64_t* counter, uint64_t key_0, uint64_t key_1, uint64_t* block) noexcept
    int xip_sobol_next(xip_sobol_cursor* cursor, uint32_t* directions) noexcept
    uint64_t xip_sobol_scramble(
        const uint32_t* directions, int bit_count, uint32_t seed, uint32_t replicate, int dimension,
        uint64_t* scrambled) noexcept
    uint64_t xip_sobol_point(const uint64_t* scrambled, int bit_count, uint64_t index) noexcept
    void* xip_arena(size_t size) noexcept
    size_t xip_walk_size(int factor_count, int step_count) noexcept
    void xip_walk_begin(
        xip_walk* walk, int factor_count, int step_count, int is_pinned, int is_philox, int path_exponent,
        uint32_t seed, const double* times, char** arena) noexcept
    void xip_walk_replicate(xip_walk* walk, uint32_t replicate) noexcept
    void xip_walk_block(xip_walk* walk) noexcept

DIMENSION_COUNT_MAX = XIP_SOBOL_DIMENSIONS
REPLICATE_COUNT = XIP_REPLICATES
BLOCK_PATHS = XIP_LANES


def philox(counter, key):
    """
    Philox4x32-10 of every counter: uint32 (n, 4) under keys uint32 (n, 2), uint32 (n, 4).

    Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11 (2011).
    """
    cdef const uint64_t[:, ::1] counters = np.ascontiguousarray(counter, np.uint64)
    cdef const uint64_t[:, ::1] keys = np.ascontiguousarray(key, np.uint64)
    if counters.shape[1] != 4 or keys.shape[1] != 2 or counters.shape[0] != keys.shape[0]:
        raise ValueError(f"counter must be (n, 4) and key (n, 2), got {np.shape(counter)} and {np.shape(key)}")
    result = np.empty((counters.shape[0], 4), np.uint64)
    cdef uint64_t[:, ::1] blocks = result
    cdef Py_ssize_t row
    for row in range(counters.shape[0]):
        xip_philox(&counters[row, 0], keys[row, 0], keys[row, 1], &blocks[row, 0])
    return result.astype(np.uint32)


def sobol(uint64_t first_point, Py_ssize_t point_count, int dimension_count):
    """Points of Sobol's sequence, not scrambled, Gray-code order, in units of 2^-32: uint32 (points, dimensions)."""
    check_dimensions(dimension_count)
    check_paths(first_point, point_count)
    result = np.empty((point_count, dimension_count), np.uint32)
    cdef uint32_t[:, ::1] points = result
    cdef uint32_t[32] directions
    cdef uint64_t[32] wide
    cdef xip_sobol_cursor cursor
    cdef Py_ssize_t row
    cdef int dimension, bit
    cursor.dimension = 0
    cursor.place = 0
    for dimension in range(dimension_count):
        xip_sobol_next(&cursor, directions)
        for bit in range(32):
            wide[bit] = directions[bit]
        for row in range(point_count):
            points[row, dimension] = <uint32_t> xip_sobol_point(wide, 32, first_point + <uint64_t> row)
    return result


def normal(words):
    """
    The standard normal of 64-bit words: that of probability (k + 1/2) 2^-52, k the upper 52 bits.

    Args:
        words: uint64 vector.

    Returns:
        float64 vector, |z| <= 8.21, within 4 ulp up to |z| = 5, 8 ulp beyond.
    """
    cdef const uint64_t[::1] word = np.ascontiguousarray(words, np.uint64)
    result = np.empty(word.shape[0])
    cdef double[::1] z = result
    cdef Py_ssize_t row
    for row in range(word.shape[0]):
        z[row] = xip_normal(word[row])
    return result


def normals(
        uint64_t seed, uint64_t first_path, Py_ssize_t path_count, int dimension_count, uint32_t replicate=0,
        bint is_philox=False, factor=None):
    """
    Standard normals of the paths first_path to first_path + path_count - 1: float64 (path_count, dimension_count).

    Args:
        seed: 0 to 2^32 - 1. first_path + path_count at most 2^32. dimension_count: 1 to 1024.
        replicate: which independent scrambling of Sobol's sequence; of Philox only 0, whose paths are independent.
        is_philox: Philox under the key (seed, path) in place of scrambled Sobol.
        factor: lower triangular float64 (dimension_count, dimension_count), of `cholesky`: correlates the dimensions.

    Raises:
        ValueError: an argument is outside its domain.
    """
    check_dimensions(dimension_count)
    check_paths(first_path, path_count)
    if seed >> 32:
        raise ValueError(f"seed must be 0 to 2^32 - 1, got {seed}")
    if is_philox and replicate:
        raise ValueError(f"replicate of Philox must be 0, its paths are independent, got {replicate}")
    cdef const double[:, ::1] root = None
    if factor is not None:
        root = np.ascontiguousarray(factor, np.float64)
        if root.shape[0] != dimension_count or root.shape[1] != dimension_count:
            raise ValueError(f"factor must be ({dimension_count}, {dimension_count}), got {np.shape(factor)}")
    result = np.empty((path_count, dimension_count))
    cdef double[:, ::1] z = result
    with nogil:
        if is_philox:
            fill_philox(<uint32_t> seed, first_path, z)
        else:
            fill_sobol(<uint32_t> seed, replicate, first_path, z)
        if root is not None:
            correlate(root, z)
    return result


cdef void fill_philox(uint32_t seed, uint64_t first_path, double[:, ::1] z) noexcept nogil:
    cdef uint64_t[4] counter
    cdef uint64_t[4] block
    cdef Py_ssize_t row, dimension
    counter[1] = counter[2] = counter[3] = 0
    for row in range(z.shape[0]):
        for dimension in range(0, z.shape[1], 2):
            counter[0] = <uint64_t> dimension // 2
            xip_philox(counter, seed, first_path + <uint64_t> row, block)
            z[row, dimension] = xip_normal(block[0] << 32 | block[1])
            if dimension + 1 < z.shape[1]:
                z[row, dimension + 1] = xip_normal(block[2] << 32 | block[3])


cdef void fill_sobol(uint32_t seed, uint32_t replicate, uint64_t first_path, double[:, ::1] z) noexcept nogil:
    cdef uint32_t[32] directions
    cdef uint64_t[32] scrambled
    cdef uint64_t shift, gray, point
    cdef xip_sobol_cursor cursor
    cdef Py_ssize_t row
    cdef int dimension, bit
    cursor.dimension = 0
    cursor.place = 0
    for dimension in range(<int> z.shape[1]):
        xip_sobol_next(&cursor, directions)
        shift = xip_sobol_scramble(directions, 32, seed, replicate, dimension, scrambled)
        point = xip_sobol_point(scrambled, 32, first_path)
        for row in range(z.shape[0]):
            z[row, dimension] = xip_normal(shift ^ point)
            bit = 0
            gray = first_path + <uint64_t> row + 1
            while bit < 31 and not (gray >> bit) & 1:
                bit += 1
            point ^= scrambled[bit]


cdef void correlate(const double[:, ::1] root, double[:, ::1] z) noexcept nogil:
    """In place, the last dimension first: the sum of a dimension runs over those up to it, in their order."""
    cdef Py_ssize_t row, i, k
    cdef double total
    for row in range(z.shape[0]):
        for i in range(z.shape[1] - 1, -1, -1):
            total = 0.0
            for k in range(i + 1):
                total += root[i, k] * z[row, k]
            z[row, i] = total


def cholesky(correlation, double pivot_min=1e-12):
    """
    The lower triangular factor A of a positive semidefinite matrix C = A A', float64 (n, n).

    Args:
        correlation: (n, n), of whose lower triangle everything is read.
        pivot_min: a pivot within it of 0 is rounding; its column is 0 then.

    Raises:
        ValueError: not square, not finite, or not positive semidefinite; says which row.
    """
    cdef const double[:, ::1] matrix = np.ascontiguousarray(correlation, np.float64)
    cdef Py_ssize_t n = matrix.shape[0], row, column, k
    cdef double total, pivot = 0.0
    if matrix.shape[1] != n or not np.isfinite(correlation).all():
        raise ValueError(f"a correlation must be square and finite, got shape {np.shape(correlation)}")
    result = np.zeros((n, n))
    cdef double[:, ::1] root = result
    for column in range(n):
        for row in range(column, n):
            total = matrix[row, column]
            for k in range(column):
                total -= root[row, k] * root[column, k]
            if row == column:
                pivot = total
                root[row, row] = sqrt(pivot) if pivot > pivot_min else 0.0
            elif root[column, column] > 0.0:
                root[row, column] = total / root[column, column]
            if pivot < -pivot_min or (root[column, column] == 0.0 and row > column and total * total > pivot_min):
                raise ValueError(f"a correlation must be positive semidefinite, it is not with row {row}")
    return result


def brownian(
        times, int factor_count, uint64_t seed, int path_exponent, uint32_t replicate=0, bint is_philox=False,
        Py_ssize_t block_count=1):
    """
    The first blocks of 64 paths of a replicate, as products walk them: independent Brownian motions at dates.

    Args:
        times: ascending, years, the first >= 0. factor_count times dates at most 1024. path_exponent: 10 to 24, of all
            paths of a run, a sixteenth of which are a replicate's (0 to 15). seed: 0 to 2^32 - 1.

    Returns:
        float64 (64 block_count, dates, factor_count).

    Raises:
        ValueError: an argument is outside its domain.
    """
    cdef const double[::1] dates = np.ascontiguousarray(times, np.float64)
    cdef int step_count = <int> dates.shape[0], lane, step, factor
    cdef Py_ssize_t block
    cdef xip_walk walk
    cdef char* arena
    cdef void* memory
    if not step_count or dates[0] < 0.0 or not np.isfinite(times).all() or (np.diff(times) < 0.0).any():
        raise ValueError("times must ascend from 0 or later, finite")
    check_dimensions(factor_count * step_count)
    if not XIP_PATH_EXPONENT_MIN <= path_exponent <= XIP_PATH_EXPONENT_MAX:
        raise ValueError(f"path_exponent must be {XIP_PATH_EXPONENT_MIN} to {XIP_PATH_EXPONENT_MAX}, {path_exponent}")
    if seed >> 32 or replicate >= <uint32_t> XIP_REPLICATES:
        raise ValueError(f"seed must be below 2^32 and replicate below {XIP_REPLICATES}, got {seed} and {replicate}")
    if not 0 <= block_count <= (1 << (path_exponent - 10)):
        raise ValueError(f"a replicate has {1 << (path_exponent - 10)} blocks, got {block_count}")
    result = np.empty((block_count * XIP_LANES, step_count, factor_count))
    cdef double[:, :, ::1] position = result
    memory = xip_arena(xip_walk_size(factor_count, step_count))
    if memory == NULL:
        raise MemoryError
    arena = <char*> memory
    with nogil:
        xip_walk_begin(&walk, factor_count, step_count, 0, is_philox, path_exponent, <uint32_t> seed, &dates[0], &arena)
        xip_walk_replicate(&walk, replicate)
        for block in range(block_count):
            xip_walk_block(&walk)
            for step in range(step_count):
                for factor in range(factor_count):
                    for lane in range(XIP_LANES):
                        position[block * XIP_LANES + lane, step, factor] = (
                            walk.position[step * factor_count + factor][lane])
        free(memory)
    return result


def check_dimensions(int dimension_count):
    if not 1 <= dimension_count <= XIP_SOBOL_DIMENSIONS:
        raise ValueError(f"dimensions must be 1 to {XIP_SOBOL_DIMENSIONS}, got {dimension_count}")


def check_paths(uint64_t first_path, Py_ssize_t path_count):
    if path_count < 0 or first_path + <uint64_t> path_count > <uint64_t> 1 << 32:
        raise ValueError(f"paths must be 0 to 2^32 - 1, got {path_count} from {first_path}")
