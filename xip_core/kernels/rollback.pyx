# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
One step back on a grid of a normal state: conditional expectations of values that are linear between its points.

    rolled(x) = sum over i of weight[i] * value(x + step[i] * spread),   spread^2 = deviation^2 - earlier^2

where value is given at step[j] * deviation and asked for at x = step[k] * earlier, linear between the points and flat
outside them. Source: P. Hagan, Methodology for callable swaps and Bermudan "exercise into" swaptions (2004). Called by
pricing.bermudan, which makes the weights and says how far the result is from a finer grid.

Scenarios lie next to each other and sums run over i in order, so the bytes of a cell depend neither on their count nor
on the CPU level.
"""

from libc.stdint cimport int32_t

from xip_core.kernels.elementary cimport sqrt

import numpy as np

cdef enum:
    SCENARIOS_PER_BLOCK = 64


# ---- point and loop --------------------------------------------------------------------------------------------------

cdef inline double place_point(double state, double move, double ratio, double half, double last) noexcept nogil:
    """Where among the points a state lies; the first where it is NaN."""
    cdef double place = (state + move) * ratio + half
    place = place if place > 0.0 else 0.0
    return place if place < last else last


cdef void roll_loop(
        Py_ssize_t value_count, Py_ssize_t state_count, Py_ssize_t point_count, Py_ssize_t scenario_count,
        Py_ssize_t scenario, Py_ssize_t count,                      # scenarios [scenario, scenario + count)
        const double* values, const double* deviation, const double* earlier,       # IN
        const double* steps, const double* weights,                                 # IN
        double* rolled) noexcept nogil:                                             # OUT
    cdef double[SCENARIOS_PER_BLOCK] ratio, spread, share
    cdef int32_t[SCENARIOS_PER_BLOCK] left
    cdef double points = 1.0 / (steps[1] - steps[0]), last = point_count - 1, half = 0.5 * last, weight, place
    cdef int32_t last_left = <int32_t> (point_count - 2), found
    cdef Py_ssize_t v, k, i, s, column
    cdef const double* source
    cdef double* target
    for s in range(count):
        column = scenario + s
        ratio[s] = points / deviation[column]
        spread[s] = sqrt(deviation[column] * deviation[column] - earlier[column] * earlier[column])
    for k in range(state_count):
        for v in range(value_count):
            target = rolled + (v * state_count + k) * scenario_count + scenario
            for s in range(count):
                target[s] = 0.0 * spread[s]             # NaN where the variance would be negative
        for i in range(point_count):
            weight = weights[i]
            for s in range(count):
                place = place_point(
                    steps[k] * earlier[scenario + s], steps[i] * spread[s], ratio[s], half, last)
                found = <int32_t> place
                found = found if found < last_left else last_left
                left[s] = found
                share[s] = place - found
            for v in range(value_count):
                source = values + v * point_count * scenario_count + scenario
                target = rolled + (v * state_count + k) * scenario_count + scenario
                for s in range(count):
                    target[s] += weight * (
                        (1.0 - share[s]) * source[left[s] * scenario_count + s]
                        + share[s] * source[(left[s] + 1) * scenario_count + s])


# ---- door ------------------------------------------------------------------------------------------------------------

def roll(
        const double[:, :, ::1] values, const double[::1] deviation, const double[::1] earlier,
        const double[::1] steps, const double[::1] weights, Py_ssize_t state_count):
    """
    Values a step earlier.

    Args:
        values: (value_count, point_count, scenario_count). deviation, earlier: of the state then and a step earlier,
            (scenario_count,), deviation > earlier >= 0; a NaN in either gives NaN.
        steps: ascending and evenly spaced around 0, (point_count,), at least 3. weights: (point_count,).
        state_count: how many of the earlier states are wanted, from the first; 1 where earlier is 0 and all are one.

    Returns:
        float64 (value_count, state_count, scenario_count).

    Raises:
        ValueError: a length is wrong.
    """
    cdef Py_ssize_t value_count = values.shape[0], point_count = values.shape[1], scenario_count = values.shape[2]
    cdef Py_ssize_t scenario = 0, count
    if steps.shape[0] != point_count or weights.shape[0] != point_count or point_count < 3:
        raise ValueError(f"steps and weights must have the {point_count} points of values, at least 3")
    if deviation.shape[0] != scenario_count or earlier.shape[0] != scenario_count:
        raise ValueError(f"deviation and earlier must have the {scenario_count} scenarios of values")
    if not 1 <= state_count <= point_count:
        raise ValueError(f"state_count must be in [1, {point_count}], got {state_count}")
    result = np.empty((value_count, state_count, scenario_count))
    cdef double[:, :, ::1] rolled = result
    if value_count == 0 or scenario_count == 0:
        return result
    with nogil:
        while scenario < scenario_count:
            count = scenario_count - scenario
            count = count if count < SCENARIOS_PER_BLOCK else SCENARIOS_PER_BLOCK
            roll_loop(
                value_count, state_count, point_count, scenario_count, scenario, count,
                &values[0, 0, 0], &deviation[0], &earlier[0], &steps[0], &weights[0], &rolled[0, 0, 0])
            scenario += count
    return result
