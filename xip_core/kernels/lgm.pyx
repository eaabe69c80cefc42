# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Bermudan rights under the linear Gauss-Markov model of one factor (LGM, Hull-White in other clothes).

In the model's own measure a payment of present value c at time T is, at the state x, worth
c exp(-H x - H^2 zeta / 2) in units of the numeraire, where x ~ N(0, zeta(t)), H = (1 - exp(-k T)) / k and k is the mean
reversion. So what exercise i gives, the payments k that are still to come then, is

    U_i(x) = sum over k of c_k exp(-H_k x - H_k^2 zeta_i / 2)

and all that is needed are present values, slopes H, and zeta at the exercise dates. A payment that a second curve
forecasts is one more exponential, its slope H(start) - H(end) + H(pay): the basis between the curves is deterministic.

zeta is bootstrapped from prices of the European rights i, in their order: with the one root r of U_i,

    E[U_i+] = sum of c_k N(+-(r + H_k zeta) / sqrt(zeta))
    d E / d zeta = |U_i'(r)| n(r / sqrt(zeta)) / (2 sqrt(zeta))

Then value backward on a grid common to all dates: V_n = max(U_n, 0), V_i = max(U_i, E[V_{i+1} | x_i]). The expectation
is a sum over the grid, which for a smooth function under a Gaussian is exact to rounding once a standard deviation has
two points. At the kink b between holding and exercising the sum is off by h^2 B2(theta) J n / 2 (Euler-Maclaurin), with
slope jump J, theta the place of b in its cell, B2 = theta^2 - theta + 1/6; that is added, so the error is O(h^3): some
1e-7 of the notional for yearly exercise.

Sources: P. Hagan, Evaluating and hedging exotic swap instruments via LGM (Bloomberg, 2006); A. Lichters, R. Stamm,
D. Gallagher, Modern derivatives pricing and credit exposure analysis (2015), ch. 11; for the correction of the kink,
the Euler-Maclaurin formula.
"""

from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc

from xip_core.kernels.elementary cimport NAN, exp_, fabs, fma_, normal_cdf, normal_pdf, sqrt

import numpy as np

cdef enum:
    HALF_POINTS = 256
    POINTS = 2 * HALF_POINTS + 1
    EXERCISES_MAX = 512
    ROOT_STEPS = 80
    FIT_STEPS = 80

cdef double GRID_DEVIATIONS = 7.5       # of zeta at the last date, on either side
cdef double KERNEL_DEVIATIONS = 8.5
cdef double STEP_MIN = 1.3              # grid steps that a standard deviation between two dates must have
cdef double TILT_MAX = 4.0              # largest H sqrt(zeta): beyond, the weight of a payment lies outside the grid

cdef struct Payments:
    Py_ssize_t count
    const double* amount                # (count,), of one scenario
    const double* slope
    const int32_t* exercises            # payment k is part of what exercises 0 .. exercises[k] - 1 give

cdef struct Point:
    double value
    double slope


cdef Point underlying(Payments at, Py_ssize_t exercise, double x, double zeta) noexcept nogil:
    """U and U' at one state."""
    cdef Point point
    cdef double term
    cdef Py_ssize_t k
    point.value = 0.0
    point.slope = 0.0
    for k in range(at.count):
        if at.exercises[k] > exercise:
            term = at.amount[k] * exp_(-at.slope[k] * (x + 0.5 * at.slope[k] * zeta))
            point.value += term
            point.slope -= at.slope[k] * term
    return point


cdef int find_root(Payments at, Py_ssize_t exercise, double zeta, double* root) noexcept nogil:
    """Root of U within 12 deviations, by Newton inside a bracket; 0 where U keeps its sign there."""
    cdef double deviation = sqrt(zeta), low = -12.0 * deviation, high = 12.0 * deviation
    cdef double x = root[0], step
    cdef bint rises
    cdef Point point = underlying(at, exercise, low, zeta)
    cdef double at_low = point.value
    cdef double at_high = underlying(at, exercise, high, zeta).value
    cdef Py_ssize_t _round
    if not (at_low * at_high < 0.0):
        return 0
    rises = at_low < 0.0
    if not low < x < high:
        x = 0.0
    for _round in range(ROOT_STEPS):
        point = underlying(at, exercise, x, zeta)
        if point.value == 0.0:
            break
        if (point.value < 0.0) == rises:
            low = x
        else:
            high = x
        step = point.value / point.slope
        if fabs(step) <= 1e-14 * deviation:
            x = x - step
            break
        if not low < x - step < high:
            step = x - 0.5 * (low + high)
        x = x - step
    root[0] = x
    return 1


cdef Point european(Payments at, Py_ssize_t exercise, double deviation, double side, double* root) noexcept nogil:
    """E[(side U)+] and its derivative to sqrt(zeta)."""
    cdef double zeta = deviation * deviation, region
    cdef Point point, at_root
    cdef Py_ssize_t k
    point.value = 0.0
    point.slope = 0.0
    if not find_root(at, exercise, zeta, root):
        point.value = side * underlying(at, exercise, 0.0, 0.0).value
        point.value = point.value if point.value > 0.0 else 0.0
        return point
    at_root = underlying(at, exercise, root[0], zeta)
    region = side if at_root.slope < 0.0 else -side         # 1: what lies below the root, -1: above
    for k in range(at.count):
        if at.exercises[k] > exercise:
            point.value += side * at.amount[k] * normal_cdf(region * (root[0] + at.slope[k] * zeta) / deviation)
    point.slope = fabs(at_root.slope) * normal_pdf(root[0] / deviation)
    return point


cdef double fit(
        Payments at, Py_ssize_t exercise, double price, double deviation_before, double slope_max,
        double scale) noexcept nogil:
    """sqrt(zeta) at which the European right has its price; NaN where no zeta above the one before gives it."""
    cdef double total = underlying(at, exercise, 0.0, 0.0).value
    cdef double side = 1.0 if total <= 0.0 else -1.0        # the side out of the money keeps the digits
    cdef double target = price if total <= 0.0 else price - total
    cdef double low = deviation_before, high = TILT_MAX / slope_max, deviation, root = 0.0, step
    cdef Point point
    cdef Py_ssize_t _round
    if not (target == target and fabs(target) < 1e300):
        return NAN
    if low > 0.0:
        point = european(at, exercise, low, side, &root)
        if point.value >= target - 1e-13 * scale:
            return low if point.value <= target + 1e-9 * scale else NAN
    elif target <= 1e-13 * scale:
        return 0.0
    deviation = low
    if low == 0.0:
        deviation = 0.1 * high
    for _round in range(FIT_STEPS):
        root = 0.0
        point = european(at, exercise, deviation, side, &root)
        if point.value < target:
            low = deviation
        else:
            high = deviation
        step = (point.value - target) / point.slope if point.slope > 0.0 else 2.0 * high
        if fabs(step) <= 1e-14 * deviation:     # before the bracket is asked: at its edge a halving would leap away
            deviation = deviation - step
            break
        if not low < deviation - step < high:
            step = deviation - 0.5 * (low + high)
        deviation = deviation - step
    return deviation if deviation < 0.999 * TILT_MAX / slope_max else NAN


cdef void underlying_grid(
        Payments at, Py_ssize_t exercise, double zeta, double spacing,
        double* values) noexcept nogil:                     # OUT POINTS
    cdef double slope, start, amount
    cdef Py_ssize_t j, k
    for j in range(POINTS):
        values[j] = 0.0
    for k in range(at.count):
        if at.exercises[k] > exercise:
            amount, slope = at.amount[k], at.slope[k]
            start = -0.5 * slope * slope * zeta
            for j in range(POINTS):
                values[j] = fma_(
                    amount, exp_(fma_(-slope * spacing, <double> (j - HALF_POINTS), start)), values[j])


cdef struct Kink:
    double place                        # grid coordinate, in steps from the first point
    double jump                         # of the slope per step


cdef Py_ssize_t better_of(
        const double* exercise, const double* hold,
        double* values, Kink* kinks) noexcept nogil:        # OUT POINTS, POINTS; returns the count of kinks
    """The larger of two functions, and where they cross: the root of the cubic through four points."""
    cdef Py_ssize_t j, m, count = 0, _round
    cdef double d0, d1, d2, d3, a, b, c, t, slope
    for j in range(POINTS):
        values[j] = exercise[j] if exercise[j] > hold[j] else hold[j]
    for m in range(1, POINTS - 2):
        d1 = exercise[m] - hold[m]
        d2 = exercise[m + 1] - hold[m + 1]
        if (d1 < 0.0) == (d2 < 0.0) or d1 == d2:
            continue
        d0 = exercise[m - 1] - hold[m - 1]
        d3 = exercise[m + 2] - hold[m + 2]
        # Newton's form through 0, 1, -1, 2 turned into powers of t, the place between points m and m + 1.
        a = (d3 - 3.0 * d2 + 3.0 * d1 - d0) / 6.0
        b = 0.5 * (d2 - 2.0 * d1 + d0)
        c = d2 - d1 - a - b
        t = d1 / (d1 - d2)
        for _round in range(4):
            slope = c + t * (2.0 * b + 3.0 * a * t)
            t = t - (d1 + t * (c + t * (b + a * t))) / slope if slope != 0.0 else t
        if not 0.0 <= t <= 1.0:
            t = d1 / (d1 - d2)
        kinks[count].place = <double> m + t
        kinks[count].jump = fabs(c + t * (2.0 * b + 3.0 * a * t))
        count += 1
    return count


cdef void roll_back(
        const double* values, const Kink* kinks, Py_ssize_t kink_count, double per_deviation, double* weights,
        Py_ssize_t begin, Py_ssize_t end,
        double* held) noexcept nogil:                       # OUT begin .. end - 1
    """E[V | x] at grid points; *per_deviation* is the grid's step over the standard deviation."""
    cdef Py_ssize_t j, d, k, reach = <Py_ssize_t> (KERNEL_DEVIATIONS / per_deviation) + 1
    cdef double theta, factor
    reach = min(reach, POINTS - 1)
    for d in range(2 * reach + 1):
        weights[d] = per_deviation * normal_pdf(<double> (d - reach) * per_deviation)
    for j in range(begin, end):
        held[j] = 0.0
    # Distances outside, points inside: the sum of a point runs over its neighbours from left to right.
    for d in range(2 * reach + 1):
        for j in range(max(begin, reach - d), min(end, POINTS + reach - d)):
            held[j] = fma_(weights[d], values[j + d - reach], held[j])
    for k in range(kink_count):
        theta = kinks[k].place - <double> (<Py_ssize_t> kinks[k].place)
        factor = 0.5 * (theta * (theta - 1.0) + 1.0 / 6.0) * kinks[k].jump * per_deviation
        for j in range(begin, end):
            held[j] = fma_(factor, normal_pdf((kinks[k].place - <double> j) * per_deviation), held[j])


cdef double deterministic(Payments at, Py_ssize_t exercise_count) noexcept nogil:
    """Without volatility the best date is known today."""
    cdef double best = 0.0, value
    cdef Py_ssize_t i
    for i in range(exercise_count):
        value = underlying(at, i, 0.0, 0.0).value
        best = value if value > best else best
    return best


cdef double bermudan_cell(
        Payments at, Py_ssize_t exercise_count, const double* prices, Py_ssize_t stride,
        double* scratch) noexcept nogil:                    # 4 * POINTS + POINTS kinks
    cdef double deviations[EXERCISES_MAX]
    cdef double slope_max = 1e-12, scale = 0.0, before = 0.0, spacing, between
    cdef double* given = scratch
    cdef double* held = scratch + POINTS
    cdef double* values = scratch + 2 * POINTS
    cdef double* weights = scratch + 3 * POINTS
    cdef Kink* kinks = <Kink*> (scratch + 5 * POINTS)
    cdef Py_ssize_t i, k, kink_count
    for k in range(at.count):
        slope_max = max(slope_max, fabs(at.slope[k]))
        scale += fabs(at.amount[k])
    if not scale < 1e300:
        return NAN
    for i in range(exercise_count):
        before = deviations[i] = fit(at, i, prices[i * stride], before, slope_max, scale)
        if not before >= 0.0:
            return NAN
    if before == 0.0:
        return deterministic(at, exercise_count)
    spacing = GRID_DEVIATIONS * before / HALF_POINTS
    for k in range(POINTS):
        held[k] = 0.0
    for i in range(exercise_count - 1, -1, -1):
        underlying_grid(at, i, deviations[i] * deviations[i], spacing, given)
        kink_count = better_of(given, held, values, kinks)
        between = deviations[i] * deviations[i]
        if i > 0:
            between -= deviations[i - 1] * deviations[i - 1]
        between = sqrt(between)
        if between == 0.0:
            for k in range(POINTS):
                held[k] = values[k]
            continue
        if between < STEP_MIN * spacing:
            return NAN
        if i > 0:
            roll_back(values, kinks, kink_count, spacing / between, weights, 0, POINTS, held)
        else:
            roll_back(values, kinks, kink_count, spacing / between, weights, HALF_POINTS, HALF_POINTS + 1, held)
    return held[HALF_POINTS]


def bermudan(
        const double[:, ::1] amounts, const double[::1] slopes, const int32_t[::1] exercises,
        const double[:, ::1] prices):
    """
    Value of a Bermudan right under every scenario.

    Args:
        amounts: (payment_count, scenario_count), present value of each payment of the underlying to the holder.
        slopes: (payment_count,), H of each payment, years.
        exercises: (payment_count,), payment k is part of what the first exercises[k] exercises give.
        prices: (exercise_count, scenario_count), values of the European rights, in time order, in the unit of amounts.

    Returns:
        float64 (scenario_count,), in the unit of amounts; NaN where a price or amount is not finite, where the European
        prices imply that variance falls between two dates or is so large that H sqrt(zeta) exceeds 4, and where two
        dates are so close that the grid cannot tell them apart (a standard deviation between them below 1.3 grid steps,
        some 4 % of the whole).

    Raises:
        ValueError: shapes differ, or there are no exercises or more than 512.
    """
    cdef Py_ssize_t payment_count = amounts.shape[0], scenario_count = amounts.shape[1]
    cdef Py_ssize_t exercise_count = prices.shape[0], s, k
    if slopes.shape[0] != payment_count or exercises.shape[0] != payment_count or prices.shape[1] != scenario_count:
        raise ValueError(
            f"slopes and exercises must have {payment_count} values and prices {scenario_count} columns, got "
            f"{slopes.shape[0]}, {exercises.shape[0]} and {prices.shape[1]}")
    if not 1 <= exercise_count <= EXERCISES_MAX or payment_count == 0:
        raise ValueError(f"a Bermudan right has 1 to {EXERCISES_MAX} exercises and a payment, got {exercise_count} "
                         f"and {payment_count}")
    result = np.empty(scenario_count)
    cdef double[::1] values = result
    cdef double* scratch = <double*> malloc((7 * POINTS + payment_count) * sizeof(double))
    cdef double* own = scratch + 7 * POINTS
    cdef Payments at
    if scratch == NULL:
        raise MemoryError
    at.count = payment_count
    at.amount = own
    at.slope = &slopes[0]
    at.exercises = &exercises[0]
    with nogil:
        for s in range(scenario_count):
            for k in range(payment_count):
                own[k] = amounts[k, s]
            values[s] = bermudan_cell(at, exercise_count, &prices[0, s], scenario_count, scratch)
            if values[s] != values[s]:
                values[s] = NAN
        free(scratch)
    return result
