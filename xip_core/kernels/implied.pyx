# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Implied volatility: the inverse of black.european and bachelier.european, to full double precision.

Prices are first made out-of-the-money: the time value tv is what a price holds above its intrinsic value, and

    c = tv / (discount * min(F, K)),  0 < c < 1,  x = |ln(F / K)|,  total volatility s = sigma sqrt(T)
    c(s) = N(d1) - e^x N(d2),  d1 = -x / s + s / 2,  d2 = -x / s - s / 2
    c' = n(d1),  c'' / c' = d1 d2 / s,  c''' / c' = (c'' / c')^2 - 3 x^2 / s^4 - 1 / 4

Black. c(s) has one point of inflexion, s_c = sqrt(2 x), d1 = 0. Its tangent there meets c = 0 and c = 1 at s_l and s_u.
Between them s is guessed by rational cubic interpolation in c; below s_l and above s_u the same interpolation is made
of a function of s that is nearly straight in c and easily inverted. Then STEPS Householder steps of fourth order on

    below s_l: 1 / ln(b), b = c e^(-x / 2);  above s_u and c > 1/2: ln(1 - c);  else: c

Every row computes every branch and selects, so a block is one straight line of vector code.

Bachelier. y = tv / |F - K| = n(d) / d - N(-d) is solved for d = |F - K| / s: a polynomial guess, then two Householder
steps of fourth order on ln y.

Source: P. Jaeckel, Let's be rational, Wilmott (2015); P. Jaeckel, Implied normal volatility, Wilmott (2017), for the
reduction to y; R. Delbourgo and J. Gregory, Shape preserving piecewise rational interpolation, SIAM J. Sci. Stat.
Comput. 6 (1985).
"""

from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, fabs, fma_, log_ratio, mills_ratio, normal_pdf, sqrt
from xip_core.kernels.mills_series cimport time_series

cdef extern from "implied.h" nogil:
    double xip_tail_quantile(double log_u) noexcept
    double xip_centre_distance(double a) noexcept
    double xip_tail_distance(double r) noexcept
    const double XIP_SQRT_3
    const double XIP_SQRT_2PI
    const double XIP_INV_SQRT_2PI

COLUMNS = ("forward", "strike", "time", "discount", "is_call", "price")
OUTPUTS = ("volatility",)

cdef enum:
    BLACK_STEPS = 3
    BACHELIER_STEPS = 2


# ---- Black -----------------------------------------------------------------------------------------------------------

cdef struct Call:
    double value        # c
    double rest         # 1 - c, accurate also where it is tiny
    double slope        # c' = n(d1)

cdef struct Guess:
    double s
    double is_low       # 1.0 where the step is taken on 1 / ln(b)
    double is_high      # 1.0 where it is taken on ln(1 - c)

cdef struct Calls:
    double value[BLOCK_ROWS]
    double rest[BLOCK_ROWS]
    double slope[BLOCK_ROWS]

cdef struct Block:
    # A block between the stages of the solution.
    double x[BLOCK_ROWS]
    double c[BLOCK_ROWS]
    double rest[BLOCK_ROWS]
    double log_b[BLOCK_ROWS]
    double c_c[BLOCK_ROWS]
    double s_l[BLOCK_ROWS]
    double s_u[BLOCK_ROWS]
    double s[BLOCK_ROWS]
    double is_low[BLOCK_ROWS]
    double is_high[BLOCK_ROWS]
    double is_zero[BLOCK_ROWS]
    double is_good[BLOCK_ROWS]


cdef inline double larger(double a, double b) noexcept nogil:
    return a if a > b else b


cdef inline double difference_rest(double a, double b, double difference) noexcept nogil:
    """a - b - difference, exact, where difference is a - b rounded (Moller, Knuth)."""
    cdef double part = difference - a
    return (a - (difference - part)) - (b + part)


cdef inline double rational_cubic(
        double place, double left, double right, double y_left, double y_right, double slope_left, double slope_right,
        double bend, double is_bend_right) noexcept nogil:
    """Interpolates values and slopes, and the second derivative *bend* at one end unless that spoils the shape."""
    cdef double width = right - left
    cdef double t = (place - left) / width
    cdef double chord = (y_right - y_left) / width
    cdef double turn = slope_right - slope_left
    cdef double from_left = chord - slope_left
    cdef double from_right = slope_right - chord
    cdef double fit = (0.5 * width * bend + turn) / (from_right if is_bend_right > 0.0 else from_left)
    cdef double least = larger(
        (slope_left + slope_right) / chord, larger(fabs(turn / from_right), fabs(turn / from_left)))
    cdef double r = larger(fit, least)
    cdef double u = 1.0 - t
    r = r if r < 1e100 else 1e100               # also NaN, of a chord that is the tangent
    cdef double top = (
        y_right * t * t * t + (r * y_right - width * slope_right) * t * t * u
        + (r * y_left + width * slope_left) * t * u * u + y_left * u * u * u)
    return top / (1.0 + (r - 3.0) * t * u)


cdef inline double inflexion_point(double x) noexcept nogil:
    """c at s_c, where d1 = 0."""
    cdef double c_c = 0.5 - XIP_INV_SQRT_2PI * mills_ratio(sqrt(2.0 * x))
    c_c = c_c if c_c > 0.0 else 0.0
    return c_c if x > 0.0 else 0.0


cdef inline Guess guess_point(
        double x, double c, double rest, double c_c, double s_l, Call low, double s_u, Call high) noexcept nogil:
    cdef Guess guess
    cdef double s_c = sqrt(2.0 * x)
    cdef double c_l = low.value if x > 0.0 else 0.0
    guess.is_low = 1.0 if c < c_l else 0.0
    guess.is_high = 1.0 if c > high.value else 0.0
    cdef double is_below = 1.0 if c < c_c else 0.0

    # Below: f = x M(q)^3 n(d1) e^(t^2 / 2) / (3 sqrt 3), q = x / (s sqrt 3), which tends to c as s vanishes.
    cdef double t = 0.5 * s_l
    cdef double q = x / (XIP_SQRT_3 * s_l)
    cdef double mills = mills_ratio(q)
    cdef double growth = exp_(0.5 * t * t)
    cdef double f_l = x * (1.0 / (3.0 * XIP_SQRT_3)) * mills * mills * mills * low.slope * growth
    cdef double slope_l = q * q * mills * mills * growth
    cdef double bend_l = (
        (1.0 / 12.0) * q * q / (s_l * s_l * s_l) * mills * growth / low.slope
        * (8.0 * XIP_SQRT_3 * s_l * x + (3.0 * s_l * s_l * (s_l * s_l - 8.0) - 8.0 * x * x) * mills))
    # Above: f = N(-s / 2), which is nearly straight in c.
    cdef double z = x / s_u
    cdef double tilt = exp_(0.5 * z * z - 0.5 * x)
    cdef double f_u = high.slope * tilt * mills_ratio(0.5 * s_u)
    cdef double slope_u = -0.5 * tilt
    cdef double bend_u = 0.5 * z * z / s_u * tilt / high.slope

    cdef double least = exp_(-0.5 * x)

    cdef double left = 0.0 if guess.is_low > 0.0 else (c_l if is_below > 0.0 else c_c)
    cdef double right = c_l if guess.is_low > 0.0 else (c_c if is_below > 0.0 else high.value)
    cdef double y_left = 0.0 if guess.is_low > 0.0 else (s_l if is_below > 0.0 else s_c)
    cdef double y_right = f_l if guess.is_low > 0.0 else (s_c if is_below > 0.0 else s_u)
    cdef double slope_left = 1.0 if guess.is_low > 0.0 else (1.0 / low.slope if is_below > 0.0 else XIP_SQRT_2PI)
    cdef double slope_right = (
        slope_l if guess.is_low > 0.0 else (XIP_SQRT_2PI if is_below > 0.0 else 1.0 / high.slope))
    cdef double bend = bend_l if guess.is_low > 0.0 else 0.0
    left = high.value if guess.is_high > 0.0 else left
    right = 1.0 if guess.is_high > 0.0 else right
    y_left = f_u if guess.is_high > 0.0 else y_left
    y_right = 0.0 if guess.is_high > 0.0 else y_right
    slope_left = slope_u if guess.is_high > 0.0 else slope_left
    slope_right = -0.5 * least if guess.is_high > 0.0 else slope_right
    bend = bend_u if guess.is_high > 0.0 else bend
    cdef double y = rational_cubic(c, left, right, y_left, y_right, slope_left, slope_right, bend, is_below)
    # Above, y is at least its end tangent, which keeps its digits where c rounds to 1.
    y = larger(y, 0.5 * least * rest) if guess.is_high > 0.0 else y

    cdef double top = y * (XIP_SQRT_3 * XIP_INV_SQRT_2PI * XIP_INV_SQRT_2PI) if guess.is_low > 0.0 else y
    top = top if top > 1e-305 else 1e-305
    cdef double log_u = log_ratio(top, x if guess.is_low > 0.0 else 1.0)
    log_u = (log_u - 0.5 * x) * (1.0 / 3.0) if guess.is_low > 0.0 else log_u
    cdef double w = xip_tail_quantile(log_u)
    guess.s = x / (XIP_SQRT_3 * w) if guess.is_low > 0.0 else y
    guess.s = 2.0 * w if guess.is_high > 0.0 else guess.s
    guess.is_high = guess.is_high if c > 0.5 else 0.0
    return guess


cdef inline double step_point(
        double s, Call at, double x, double c, double rest, double log_b, double is_low,
        double is_high) noexcept nogil:
    """One Householder step of fourth order."""
    cdef double value = at.value if at.value > 1e-305 else 1e-305
    cdef double scale = at.rest if is_high > 0.0 else value
    cdef double gap = log_ratio(scale, rest if is_high > 0.0 else c)
    cdef double log_here = log_b + gap
    cdef double inverse_log = 1.0 / log_here
    cdef double by_scale = at.slope / scale
    cdef double inverse_s = 1.0 / s
    cdef double z = x * inverse_s
    cdef double bend = z * z * inverse_s - 0.25 * s
    cdef double third = bend * bend - 3.0 * (z * inverse_s) * (z * inverse_s) - 0.25
    cdef double newton_log = gap * (1.0 if is_high > 0.0 else -log_here / log_b) / by_scale
    cdef double newton = newton_log if is_low + is_high > 0.0 else (c - at.value) / at.slope
    cdef double low_second = by_scale * (1.0 + 2.0 * inverse_log)
    cdef double second = bend - low_second if is_low > 0.0 else bend
    cdef double low_third = 2.0 * by_scale * by_scale * (1.0 + 3.0 * inverse_log * (1.0 + inverse_log))
    third = third + (low_third - 3.0 * bend * low_second) if is_low > 0.0 else third
    second = bend + by_scale if is_high > 0.0 else second
    third = third + by_scale * (2.0 * by_scale + 3.0 * bend) if is_high > 0.0 else third
    cdef double change = newton * (1.0 + 0.5 * second * newton) / (
        1.0 + newton * (second + (1.0 / 6.0) * third * newton))
    return s + change if s + change > 0.5 * s else 0.5 * s


cdef struct Normalised:
    double x
    double c
    double rest
    double is_zero      # no time value: volatility 0
    double is_good


cdef inline Normalised normalise_point(
        double forward, double strike, double time, double discount, double is_call, double price) noexcept nogil:
    cdef Normalised row
    cdef double gain = forward - strike if is_call > 0.0 else strike - forward
    cdef double gain_lo = difference_rest(forward, strike, forward - strike)
    gain_lo = gain_lo if is_call > 0.0 else -gain_lo
    cdef double leg = discount * (forward if forward < strike else strike)
    # What the price holds above intrinsic value, and what it lacks to its upper bound, without cancellation.
    cdef double time_value = fma_(-discount, gain_lo if gain > 0.0 else 0.0, fma_(
        -discount, gain if gain > 0.0 else 0.0, price))
    cdef double missing = fma_(discount, forward if is_call > 0.0 else strike, -price)
    row.x = fabs(log_ratio(forward, strike))
    row.c = time_value / leg
    row.rest = missing / leg
    row.is_zero = 1.0 if time_value == 0.0 else 0.0
    row.is_good = (
        is_positive(forward) * is_positive(strike) * is_positive(time) * is_positive(discount)
        * is_flag(is_call) * is_nonnegative(price) * is_positive(leg) * is_finite(discount * gain)
        * in_range(row.x, 0.0, 50.0) * larger(row.is_zero, in_range(row.c, 1e-300, 1.0))
        * (1.0 if row.rest > 0.0 else 0.0))
    # Other rows compute on harmless numbers.
    cdef double is_solved = row.is_good * (1.0 - row.is_zero)
    row.x = row.x if is_solved > 0.0 else 1.0
    row.c = row.c if is_solved > 0.0 else 0.25
    row.rest = row.rest if is_solved > 0.0 else 0.75
    return row


cdef void start_loop(Py_ssize_t row_count, const double** column, Block* block) noexcept nogil:
    cdef const double* forward = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* discount = column[3]
    cdef const double* is_call = column[4]
    cdef const double* price = column[5]
    cdef Normalised at
    cdef double s_c
    cdef Py_ssize_t row
    for row in range(row_count):
        at = normalise_point(forward[row], strike[row], time[row], discount[row], is_call[row], price[row])
        block.x[row] = at.x
        block.c[row] = at.c
        block.rest[row] = at.rest
        block.is_zero[row] = at.is_zero
        block.is_good[row] = at.is_good
        block.log_b[row] = log_ratio(at.c, 1.0) - 0.5 * at.x
        block.c_c[row] = inflexion_point(at.x)
        s_c = sqrt(2.0 * at.x)
        block.s_l[row] = s_c - XIP_SQRT_2PI * block.c_c[row] if at.x > 0.0 else 1.0      # no branch below 0 then
        block.s_u[row] = s_c + XIP_SQRT_2PI * (1.0 - block.c_c[row])


cdef void call_loop(Py_ssize_t row_count, const double* x, const double* s, Calls* calls) noexcept nogil:
    # The point is written out in the loop: as a function gcc does not inline it, and the loop stays scalar.
    cdef double z, t, p, near_x, is_near, density, mills, far_mills, series, difference, is_direct, part
    cdef Py_ssize_t row
    for row in range(row_count):
        z = x[row] / s[row]
        t = 0.5 * s[row]
        p = z - t
        near_x = 1.0 if x[row] < 2.0 else 0.0
        is_near = near_x if t < 0.25 else 0.0
        density = normal_pdf(p)
        mills = mills_ratio(z if is_near > 0.0 else fabs(p))
        far_mills = mills_ratio(z + t)
        series = time_series(z, t, mills)
        difference = series if is_near > 0.0 else mills - far_mills
        is_direct = 1.0 if p >= 0.0 else is_near
        part = density * (difference if is_direct > 0.0 else mills + far_mills)
        calls.value[row] = part if is_direct > 0.0 else 1.0 - part
        calls.rest[row] = 1.0 - part if is_direct > 0.0 else part
        calls.slope[row] = density


cdef void guess_loop(Py_ssize_t row_count, Block* block, const Calls* low, const Calls* high) noexcept nogil:
    cdef Guess guess
    cdef Call at_low, at_high
    cdef Py_ssize_t row
    for row in range(row_count):
        at_low.value = low.value[row]
        at_low.slope = low.slope[row]
        at_high.value = high.value[row]
        at_high.slope = high.slope[row]
        guess = guess_point(
            block.x[row], block.c[row], block.rest[row], block.c_c[row], block.s_l[row], at_low, block.s_u[row],
            at_high)
        block.s[row] = guess.s
        block.is_low[row] = guess.is_low
        block.is_high[row] = guess.is_high


cdef void step_loop(Py_ssize_t row_count, Block* block, const Calls* calls) noexcept nogil:
    cdef Call at
    cdef Py_ssize_t row
    for row in range(row_count):
        at.value = calls.value[row]
        at.rest = calls.rest[row]
        at.slope = calls.slope[row]
        block.s[row] = step_point(
            block.s[row], at, block.x[row], block.c[row], block.rest[row], block.log_b[row], block.is_low[row],
            block.is_high[row])


cdef void finish_loop(
        Py_ssize_t row_count, const double* s, const double* time, const double* is_zero, const double* is_good,
        double* volatility, double* is_refused) noexcept nogil:
    cdef double value, is_kept
    cdef Py_ssize_t row
    for row in range(row_count):
        value = (0.0 if is_zero[row] > 0.0 else s[row]) / sqrt(time[row])
        is_kept = is_good[row] * is_nonnegative(value)
        volatility[row] = if_good(is_kept, value)
        is_refused[row] = 1.0 - is_kept


cdef void black_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef Block block
    cdef Calls low, high
    cdef int _step
    start_loop(row_count, column, &block)
    call_loop(row_count, block.x, block.s_l, &low)
    call_loop(row_count, block.x, block.s_u, &high)
    guess_loop(row_count, &block, &low, &high)
    for _step in range(BLACK_STEPS):
        call_loop(row_count, block.x, block.s, &low)
        step_loop(row_count, &block, &low)
    finish_loop(row_count, block.s, column[2], block.is_zero, block.is_good, output[0], is_refused)


def black(tuple columns, tuple outputs, status):
    """
    The volatility with which black.european gives a price.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            forward, strike: price units, > 0, |ln(forward / strike)| <= 50. time: years, > 0. discount: to payment,
            > 0. is_call: 1 or 0. price: discounted, from intrinsic value to below discount * forward (call) or
            discount * strike (put); its time value 0 or at least 1e-300 of the smaller of the two.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain; its
            volatility is then NaN.

    Limits: without time value, 0. A price below its intrinsic value by one rounding is refused: the caller decides.

    Error: 3 ulp of volatility, plus what 3 ulp of the time value, or of what the price lacks to its upper bound where
    that is less, make of it: deep out of the money, where that counts little, 3 ulp in all.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: P. Jaeckel, Let's be rational, Wilmott (2015).
    """
    run_columns(black_loop, COLUMNS, OUTPUTS, columns, outputs, status)


# ---- Bachelier -------------------------------------------------------------------------------------------------------

cdef inline double bachelier_step_point(double d, double y) noexcept nogil:
    """One Householder step of fourth order on the logarithm of n(d) / d - N(-d)."""
    cdef double mills = mills_ratio(d)
    cdef double remainder = fma_(-d, mills, 1.0)
    cdef double inverse = 1.0 / d
    cdef double scaled = d * remainder          # -g / g' = scaled * gap
    cdef double newton = scaled * log_ratio(normal_pdf(d) * remainder * inverse, y)
    cdef double slope = 1.0 / scaled
    cdef double bend = d + 2.0 * inverse
    cdef double second = slope - bend
    cdef double third = bend * bend - 1.0 + 2.0 * inverse * inverse - 3.0 * bend * slope + 2.0 * slope * slope
    return d + newton * (1.0 + 0.5 * second * newton) / (1.0 + newton * (second + (1.0 / 6.0) * third * newton))


cdef struct Normal:
    double y[BLOCK_ROWS]
    double d[BLOCK_ROWS]
    double distance[BLOCK_ROWS]
    double s_centre[BLOCK_ROWS]         # s where F = K, or nearly
    double is_centre[BLOCK_ROWS]
    double is_zero[BLOCK_ROWS]
    double is_good[BLOCK_ROWS]


cdef void bachelier_start_loop(Py_ssize_t row_count, const double** column, Normal* block) noexcept nogil:
    cdef const double* forward = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* discount = column[3]
    cdef const double* is_call = column[4]
    cdef const double* price = column[5]
    cdef double gain, gain_lo, distance, time_value, a, y, log_y, near, far, is_zero, is_centre, is_good, is_solved
    cdef Py_ssize_t row
    for row in range(row_count):
        gain = forward[row] - strike[row] if is_call[row] > 0.0 else strike[row] - forward[row]
        gain_lo = difference_rest(forward[row], strike[row], forward[row] - strike[row])
        gain_lo = gain_lo if is_call[row] > 0.0 else -gain_lo
        distance = fabs(gain)
        time_value = fma_(-discount[row], gain_lo if gain > 0.0 else 0.0, fma_(
            -discount[row], gain if gain > 0.0 else 0.0, price[row])) / discount[row]
        a = distance / (distance + 2.0 * time_value)
        y = time_value / distance
        is_zero = 1.0 if time_value == 0.0 else 0.0
        is_centre = 1.0 if a < 1e-9 else 0.0
        is_good = (
            is_finite(forward[row]) * is_finite(strike[row]) * is_positive(time[row]) * is_positive(discount[row])
            * is_flag(is_call[row]) * is_nonnegative(price[row]) * is_finite(distance + 2.0 * time_value)
            * larger(larger(is_zero, is_centre), in_range(y, 1e-300, 1e300)) * (1.0 if time_value >= 0.0 else 0.0))
        # Other rows compute on harmless numbers.
        is_solved = is_good * (1.0 - is_zero) * (1.0 - is_centre)
        a = a if is_solved > 0.0 else 0.5
        y = y if is_solved > 0.0 else 0.5
        log_y = log_ratio(y, 1.0)
        near = xip_centre_distance(a)
        far = xip_tail_distance(sqrt(-2.0 * (log_y if log_y < -1.0 else -1.0)))
        block.d[row] = near if a < 0.6 else far
        block.y[row] = y
        block.distance[row] = distance
        block.s_centre[row] = XIP_SQRT_2PI * (time_value + 0.5 * distance)
        block.is_centre[row] = is_centre
        block.is_zero[row] = is_zero
        block.is_good[row] = is_good


cdef void bachelier_step_loop(Py_ssize_t row_count, Normal* block) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(row_count):
        block.d[row] = bachelier_step_point(block.d[row], block.y[row])


cdef void bachelier_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef Normal block
    cdef double s[BLOCK_ROWS]
    cdef int _step
    cdef Py_ssize_t row
    bachelier_start_loop(row_count, column, &block)
    for _step in range(BACHELIER_STEPS):
        bachelier_step_loop(row_count, &block)
    for row in range(row_count):
        s[row] = block.s_centre[row] if block.is_centre[row] > 0.0 else block.distance[row] / block.d[row]
    finish_loop(row_count, s, column[2], block.is_zero, block.is_good, output[0], is_refused)


def bachelier(tuple columns, tuple outputs, status):
    """
    The normal volatility with which bachelier.european gives a price.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            forward, strike: rate or price units, any sign. time: years, > 0. discount: to payment, > 0. is_call: 1
            (payer) or 0 (receiver). price: discounted, at least intrinsic value; its time value 0 or at least 1e-300
            of |forward - strike|.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain; its
            volatility is then NaN.

    Limits: without time value, 0. A price below its intrinsic value by one rounding is refused: the caller decides.

    Error: 3 ulp of volatility, plus what 3 ulp of the time value make of it.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: P. Jaeckel, Implied normal volatility, Wilmott (2017).
    """
    run_columns(bachelier_loop, COLUMNS, OUTPUTS, columns, outputs, status)
