# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Yield of a regular bond from its price, street convention.

n coupons c / f, one a period, the first after the part w of a period, and the redemption R with the last. With the
growth of a period G = 1 + y / f and v = 1 / G the dirty price per unit of face is

    P = v^w H(v),    H(v) = sum over k < n of a_k v^k,    a_k = c / f, and R more in the last

Duration and convexity follow from H, H' and H'' which Horner's scheme gives together. The yield solves ln P = ln price
in g = ln G: ln P is convex and falls in g, so Newton's method finds its one solution from anywhere. It starts at g = 0
and takes NEWTON_STEPS steps, enough for a price of 1e-6 and of 1e6; the last ones change nothing.

Source: ICMA rule 225; J. Stigum and F. Robinson, Money market and bond calculations (1996), ch. 9.
"""

from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, fabs, fma_, log_

COLUMNS = ("price", "coupon", "frequency", "coupon_count", "first_period", "redemption")
OUTPUTS = ("yield_rate", "modified_duration", "convexity")

cdef enum:
    COUPON_COUNT_MAX = 1200
    NEWTON_STEPS = 32

cdef struct Sums:               # of a block: H, H', H'' / 2 at v
    double h[BLOCK_ROWS]
    double first[BLOCK_ROWS]
    double second[BLOCK_ROWS]


cdef void horner_loop(
        Py_ssize_t row_count, Py_ssize_t longest,
        const double* coupon, const double* coupon_count, const double* redemption,     # IN, coupon of a period
        const double* v,                                                                # IN
        Sums* sums) noexcept nogil:                                                     # OUT
    cdef Py_ssize_t row, k
    cdef double amount
    for row in range(row_count):
        sums.h[row] = 0.0
        sums.first[row] = 0.0
        sums.second[row] = 0.0
    # Every row of the block walks as many coupons as the longest; those it does not have are 0 and leave 0.
    for k in range(longest - 1, -1, -1):
        for row in range(row_count):
            amount = coupon[row] if <double> k < coupon_count[row] else 0.0
            amount = amount + redemption[row] if <double> k + 1.0 == coupon_count[row] else amount
            sums.second[row] = fma_(sums.second[row], v[row], sums.first[row])
            sums.first[row] = fma_(sums.first[row], v[row], sums.h[row])
            sums.h[row] = fma_(sums.h[row], v[row], amount)


cdef inline double whole_count(double value) noexcept nogil:
    """1.0 where *value* is a whole number from 1 to COUPON_COUNT_MAX."""
    cdef double inside = in_range(value, 1.0, <double> COUPON_COUNT_MAX)
    cdef double guarded = value if inside > 0.0 else 1.0
    return inside if <double> <long> guarded == guarded else 0.0


cdef Py_ssize_t prepare(
        Py_ssize_t row_count, const double** column,            # IN
        double* coupon, double* count, double* redemption, double* is_good) noexcept nogil:     # OUT
    """Guarded copies of what the terms share, and the count of coupons of the longest row."""
    cdef Py_ssize_t row
    cdef double longest = 1.0
    for row in range(row_count):
        is_good[row] = (
            is_nonnegative(column[1][row]) * in_range(column[2][row], 1.0, 365.0) * whole_count(column[3][row])
            * is_positive(column[4][row]) * in_range(column[4][row], 0.0, 1.0) * is_nonnegative(column[5][row])
            * is_positive(column[1][row] + column[5][row]))
        count[row] = column[3][row] if is_good[row] > 0.0 else 1.0
        coupon[row] = column[1][row] / column[2][row] if is_good[row] > 0.0 else 0.0
        redemption[row] = column[5][row] if is_good[row] > 0.0 else 1.0
        longest = count[row] if count[row] > longest else longest
    return <Py_ssize_t> longest


cdef void derivatives(
        Py_ssize_t row_count, const double** column, const double* v, Sums* sums,   # IN
        double* duration, double* convexity) noexcept nogil:                        # OUT
    cdef Py_ssize_t row
    cdef double first, second, w, scale
    for row in range(row_count):
        w = column[4][row]
        first = v[row] * sums.first[row] / sums.h[row]
        second = 2.0 * v[row] * v[row] * sums.second[row] / sums.h[row]
        scale = v[row] / column[2][row]
        duration[row] = scale * (w + first)
        convexity[row] = scale * scale * (w * (w + 1.0) + (2.0 * w + 2.0) * first + second)


cdef void yield_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef double coupon[BLOCK_ROWS]
    cdef double count[BLOCK_ROWS]
    cdef double redemption[BLOCK_ROWS]
    cdef double is_good[BLOCK_ROWS]
    cdef double log_price[BLOCK_ROWS]
    cdef double g[BLOCK_ROWS]
    cdef double v[BLOCK_ROWS]
    cdef Sums sums
    cdef Py_ssize_t row, _step, longest = prepare(row_count, column, coupon, count, redemption, is_good)
    cdef double slope, miss
    for row in range(row_count):
        is_good[row] = is_good[row] * in_range(column[0][row], 1e-6, 1e6)
        log_price[row] = log_(column[0][row] if is_good[row] > 0.0 else 1.0)
        g[row] = 0.0
        v[row] = 1.0
    for _step in range(NEWTON_STEPS):
        horner_loop(row_count, longest, coupon, count, redemption, v, &sums)
        for row in range(row_count):
            slope = column[4][row] + v[row] * sums.first[row] / sums.h[row]
            miss = log_(sums.h[row]) - column[4][row] * g[row] - log_price[row]
            g[row] = g[row] + miss / slope
            v[row] = exp_(-g[row])
    horner_loop(row_count, longest, coupon, count, redemption, v, &sums)
    derivatives(row_count, column, v, &sums, output[1], output[2])
    for row in range(row_count):
        miss = log_(sums.h[row]) - column[4][row] * g[row] - log_price[row]
        slope = column[4][row] + v[row] * sums.first[row] / sums.h[row]
        is_good[row] = is_good[row] * is_finite(slope + output[1][row] + output[2][row])
        is_good[row] = is_good[row] if fabs(miss) <= 1e-11 else 0.0
        output[0][row] = if_good(is_good[row], column[2][row] * (exp_(g[row]) - 1.0))
        output[1][row] = if_good(is_good[row], output[1][row])
        output[2][row] = if_good(is_good[row], output[2][row])
        is_refused[row] = 1.0 - is_good[row]


def from_price(tuple columns, tuple outputs, status):
    """
    Yield, modified duration and convexity of a bond from its dirty price.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            price: dirty, per unit of face, 1e-6 to 1e6. coupon: per year, a fraction of face, >= 0. frequency: coupons
            a year, 1 to 365. coupon_count: those still to come, a whole number from 1 to 1200. first_period: the part
            of a period to the first of them, above 0 to 1. redemption: per unit of face, >= 0; not 0 if the coupon is.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
            yield_rate: per year, compounded *frequency* times. modified_duration: years. convexity: years squared.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain, a result
            overflows or no yield is found; all its outputs are then NaN.

    Error: the price at the yield found is within 2e-16 times (10 + count of coupons) of the price given, relative; the
    yield so over the duration, and half a unit in the last place of 1 times the frequency.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: at the head of this file.
    """
    run_columns(yield_loop, COLUMNS, OUTPUTS, columns, outputs, status)
