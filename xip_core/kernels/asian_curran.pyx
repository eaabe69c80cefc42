# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Options on the arithmetic average of the spot, conditioned on the geometric one: Curran (1994), Rogers and Shi (1995).

Given the standard normal variable Z of the geometric average, fixing i is lognormal with mean

    f_i(y) = S p_i exp(b t_i - (c_i s)^2 / 2 + c_i y),  y = s Z,  c_i = cov(ln S_i, ln G) / var(ln G)

with p_i the weight of the fixing and s^2 the variance of ln G. The conditional mean of the average increases with y, so
the price of an option on that mean is closed: with y* where the mean is the strike, z = y* / s and d_i = c_i s - z,

    call = D (sum of S p_i exp(b t_i) N(d_i) - K N(-z)),  p_i S exp(b t_i) n(d_i) = f_i(y*) n(z)

By Jensen it is a lower bound. y* comes from Newton's rule for the logarithm of the mean, a convex function; since y* is
where the payoff vanishes, its error enters the price squared, and Greeks need no derivative of it, except gamma.
Continuous averages are the same with 12 points of Gauss and Legendre for fixings.
"""

from xip_core.kernels.average cimport FIXING_COUNT_MAX, NODE_COUNT, XIP_NODE, XIP_NODE_WEIGHT, is_count
from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, fabs, log_ratio, mills_ratio, normal_pdf, sqrt

cdef enum:
    STEP_COUNT = 8          # of Newton's rule

cdef extern from *:
    """
    #define XIP_FARTHEST 45.0   /* deviations; beyond, chances are 0 or 1 */
    """
    const double XIP_FARTHEST

COLUMNS = (
    "spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "first_fixing", "fixing_count",
    "past_weight", "past_average")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta", "rho", "dividend_rho")

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double theta
    double rho
    double dividend_rho
    double is_good

cdef struct Average:
    double start            # years to the first fixing
    double length           # from it to the last
    double count            # 0: continuous
    double variance_time    # s^2 / sigma^2
    double per_variance     # its inverse, or 0
    double s
    double amount           # spot times the share of the average to come
    double struck           # strike less what is fixed
    double is_open          # 0: exercised or not for certain

cdef struct Fixing:
    double at               # years
    double beta             # c_i
    double weight           # p_i, 0 where there is none

cdef inline double domain_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility, double
        is_call, double first_fixing, double fixing_count, double past_weight, double past_average) noexcept nogil:
    return (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(rate) * is_finite(dividend_yield)
        * is_nonnegative(volatility) * is_flag(is_call) * in_range(first_fixing, 0.0, time)
        * is_count(fixing_count, FIXING_COUNT_MAX) * in_range(past_weight, 0.0, 1.0) * is_nonnegative(past_average))


cdef inline Average average_point(
        double spot, double strike, double time, double volatility, double first_fixing, double fixing_count, double
        past_weight, double past_average) noexcept nogil:
    cdef Average average
    cdef double count = fixing_count if fixing_count > 1.0 else 1.0
    cdef double third = (2.0 * count - 1.0) / (6.0 * count) if fixing_count > 0.0 else 1.0 / 3.0
    cdef double total_vol
    average.count = fixing_count
    average.start = time if fixing_count == 1.0 else first_fixing
    average.length = time - average.start
    average.variance_time = average.start + average.length * third
    average.per_variance = 1.0 / average.variance_time if average.variance_time > 0.0 else 0.0
    total_vol = volatility * sqrt(average.variance_time)
    average.s = total_vol if total_vol > 1e-20 else 1e-20
    average.amount = (1.0 - past_weight) * spot
    average.struck = strike - past_weight * past_average
    average.is_open = (1.0 if average.struck > 0.0 else 0.0) * (1.0 if average.amount > 0.0 else 0.0)
    return average


cdef inline Fixing fixing_point(
        double start, double length, double count_to_come, double per_variance, double place, double node, double
        node_weight) noexcept nogil:
    cdef Fixing fixing
    cdef double is_discrete = 1.0 if count_to_come > 0.0 else 0.0
    cdef double is_node = 1.0 - is_discrete
    cdef double count = count_to_come if count_to_come > 1.0 else 1.0
    cdef double many = count - 1.0 if count > 1.5 else 1.0
    cdef double per_many = 1.0 / (count * many)
    # A place beyond the last stands there without weight, where nothing overflows.
    cdef double there = place if place < count else count - 1.0
    # Covariance with the mean of all fixings: start + length * this.
    cdef double shared = (
        is_discrete * (0.5 * there * (2.0 * count - there - 1.0) * per_many) + is_node * (node * (1.0 - 0.5 * node)))
    fixing.at = start + length * (is_discrete * (there * count * per_many) + is_node * node)
    fixing.beta = (start + length * shared) * per_variance
    fixing.weight = is_discrete * (1.0 if place < count else 0.0) * (many * per_many) + is_node * node_weight
    return fixing


cdef inline double given_point(double amount, double s, Fixing fixing, double carry, double y) noexcept nogil:
    """f_i(y)."""
    cdef double spread = fixing.beta * s
    return amount * fixing.weight * exp_(carry * fixing.at + fixing.beta * y - 0.5 * spread * spread)


cdef inline Value value_point(
        double spot, double time, double rate, double carry, double volatility, double is_call, Average average,
        double z, double density, double steps, double tails, double legs_at, double means, double slopes,
        double is_inside) noexcept nogil:
    """
    From sums over fixings: *steps* of the exact parts of the legs, *tails* of f_i (+-M(d_i)), *legs_at* of the legs
    times t_i, *means* of f_i, *slopes* of c_i f_i.
    """
    cdef Value value
    cdef double out_step = 0.0 if is_call > 0.0 else -1.0
    cdef double strike_step = out_step + 1.0 if z <= 0.0 else out_step
    cdef double strike_tail = -mills_ratio(fabs(z)) if z <= 0.0 else mills_ratio(fabs(z))
    cdef double discount = exp_(-rate * time)
    cdef double root_time = sqrt(average.variance_time)
    cdef double per_root = 1.0 / root_time if root_time > 0.0 else 0.0
    cdef double legs = discount * (steps + density * tails)
    cdef double pv = discount * (
        steps - average.struck * strike_step + density * (tails - average.struck * strike_tail))
    cdef double has_vol = 1.0 if average.s > 1e-20 else 0.0
    cdef double curve = average.struck * average.struck / (average.s * (slopes if slopes > 0.0 else 1.0))
    value.pv = pv if pv >= 0.0 else 0.0 * pv
    value.delta = legs / spot
    value.gamma = has_vol * average.is_open * discount * density * curve / (spot * spot)
    value.vega = discount * density * (root_time * slopes)
    value.theta = rate * value.pv - carry * legs - discount * density * (
        volatility * per_root * (means - 0.5 * slopes))
    value.dividend_rho = -discount * legs_at
    value.rho = discount * legs_at - time * value.pv
    value.is_good = (
        is_inside * is_finite(value.pv + value.delta + value.gamma + value.vega)
        * is_finite(value.theta + value.rho + value.dividend_rho))
    return value


cdef void asian_curran_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* rate = column[3]
    cdef const double* dividend_yield = column[4]
    cdef const double* volatility = column[5]
    cdef const double* is_call = column[6]
    cdef const double* first_fixing = column[7]
    cdef const double* fixing_count = column[8]
    cdef const double* past_weight = column[9]
    cdef const double* past_average = column[10]
    cdef Average average
    # Columns of what the sums over fixings need: records side by side would not vectorise.
    cdef double carry[BLOCK_ROWS]
    cdef double start[BLOCK_ROWS]
    cdef double length[BLOCK_ROWS]
    cdef double count[BLOCK_ROWS]
    cdef double per_variance[BLOCK_ROWS]
    cdef double s[BLOCK_ROWS]
    cdef double amount[BLOCK_ROWS]
    cdef double struck[BLOCK_ROWS]
    cdef double is_open[BLOCK_ROWS]
    cdef double y[BLOCK_ROWS]
    cdef double density[BLOCK_ROWS]
    cdef double means[BLOCK_ROWS]
    cdef double slopes[BLOCK_ROWS]
    cdef double steps[BLOCK_ROWS]
    cdef double tails[BLOCK_ROWS]
    cdef double legs_at[BLOCK_ROWS]
    cdef double f, z, d, full, leg_step, tail, farthest, node, node_weight, excess
    cdef double fixings_most = 0.0
    cdef Fixing fixing
    cdef Value value
    cdef Py_ssize_t row, place, place_count, _
    for row in range(row_count):
        average = average_point(
            spot[row], strike[row], time[row], volatility[row], first_fixing[row], fixing_count[row],
            past_weight[row], past_average[row])
        carry[row] = rate[row] - dividend_yield[row]
        start[row] = average.start
        length[row] = average.length
        count[row] = average.count
        per_variance[row] = average.per_variance
        s[row] = average.s
        amount[row] = average.amount
        struck[row] = average.struck
        is_open[row] = average.is_open
        y[row] = 0.0
    for row in range(row_count):
        f = fixing_count[row] if fixing_count[row] > 0.0 else NODE_COUNT
        f = f if in_range(fixing_count[row], 0.0, FIXING_COUNT_MAX) > 0.0 else 0.0      # refused: costs nothing
        fixings_most = f if f > fixings_most else fixings_most
    place_count = <Py_ssize_t> fixings_most
    for _ in range(STEP_COUNT):
        for row in range(row_count):
            means[row] = 0.0
            slopes[row] = 0.0
        for place in range(place_count):
            node = XIP_NODE[place] if place < NODE_COUNT else 0.0
            node_weight = XIP_NODE_WEIGHT[place] if place < NODE_COUNT else 0.0
            for row in range(row_count):
                fixing = fixing_point(
                    start[row], length[row], count[row], per_variance[row], <double> place, node, node_weight)
                f = given_point(amount[row], s[row], fixing, carry[row], y[row])
                means[row] += f
                slopes[row] += fixing.beta * f
        for row in range(row_count):
            f = struck[row] if is_open[row] > 0.0 else 1.0
            excess = log_ratio(means[row] if means[row] > 1e-300 else 1e-300, f if f > 1e-300 else 1e-300)
            farthest = XIP_FARTHEST * s[row]
            z = y[row] - excess * (means[row] / (slopes[row] if slopes[row] > 1e-300 else 1e-300))
            z = z if z < farthest else farthest
            z = z if z > -farthest else -farthest
            y[row] = z if is_open[row] > 0.0 else (-farthest if struck[row] <= 0.0 else farthest)
    for row in range(row_count):
        density[row] = normal_pdf(y[row] / s[row])
        means[row] = 0.0
        slopes[row] = 0.0
        steps[row] = 0.0
        tails[row] = 0.0
        legs_at[row] = 0.0
    for place in range(place_count):
        node = XIP_NODE[place] if place < NODE_COUNT else 0.0
        node_weight = XIP_NODE_WEIGHT[place] if place < NODE_COUNT else 0.0
        for row in range(row_count):
            fixing = fixing_point(
                start[row], length[row], count[row], per_variance[row], <double> place, node, node_weight)
            f = given_point(amount[row], s[row], fixing, carry[row], y[row])
            full = amount[row] * fixing.weight * exp_(carry[row] * fixing.at)
            d = fixing.beta * s[row] - y[row] / s[row]
            leg_step = 0.0 if is_call[row] > 0.0 else -1.0
            leg_step = (leg_step + 1.0 if d >= 0.0 else leg_step) * full
            tail = mills_ratio(fabs(d)) * f
            tail = -tail if d >= 0.0 else tail
            means[row] += f
            slopes[row] += fixing.beta * f
            steps[row] += leg_step
            tails[row] += tail
            legs_at[row] += (leg_step + density[row] * tail) * fixing.at
    for row in range(row_count):
        value = value_point(
            spot[row], time[row], rate[row], rate[row] - dividend_yield[row], volatility[row], is_call[row],
            average_point(
                spot[row], strike[row], time[row], volatility[row], first_fixing[row], fixing_count[row],
                past_weight[row], past_average[row]),
            y[row] / s[row], density[row], steps[row], tails[row], legs_at[row], means[row],
            slopes[row],
            domain_point(
                spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
                first_fixing[row], fixing_count[row], past_weight[row], past_average[row]))
        output[0][row] = if_good(value.is_good, value.pv)
        output[1][row] = if_good(value.is_good, value.delta)
        output[2][row] = if_good(value.is_good, value.gamma)
        output[3][row] = if_good(value.is_good, value.vega)
        output[4][row] = if_good(value.is_good, value.theta)
        output[5][row] = if_good(value.is_good, value.rho)
        output[6][row] = if_good(value.is_good, value.dividend_rho)
        is_refused[row] = 1.0 - value.is_good


def asian_curran(tuple columns, tuple outputs, status):
    """
    A European option on the conditional mean of the arithmetic average given the geometric one: a lower bound.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot to is_call: as equity.european. first_fixing: years, 0 to time: of the first fixing to come, or where
            averaging begins. fixing_count: whole, to 5000: fixings to come, equally spaced, the last at expiry (a
            single one is there); 0 averages continuously. past_weight: share of the average that is fixed, 0 to 1,
            m / (m + n) of m fixings made and n to come. past_average: price unit, >= 0, of what is fixed.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per
            unit of spot; vega per 1.00 of volatility; rho, dividend_rho per 1.00; theta per year, as all times to
            come shorten alike.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: one fixing is the European option; without volatility the average of forwards decides; a strike below what
    is already fixed makes the call certain; with all fixed (past_weight 1) the discounted payoff.

    Error: pv within 2e-15 of the larger leg of the bound. The bound is below the true price by what the average varies
    given the geometric one: measured 7e-6 of the spot for two fixings at 13 % of total volatility, 6e-5 for a
    continuous average at 50 % and 2e-4 at 70 %.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: M. Curran, Valuing Asian and portfolio options by conditioning on the geometric mean price, Management
    Science 40 (1994); L. Rogers and Z. Shi, The value of an Asian option, J. Applied Probability 32 (1995).
    """
    run_columns(asian_curran_loop, COLUMNS, OUTPUTS, columns, outputs, status)


# ---- strikes that are the average -----------------------------------------------------------------------------------
#
# With the asset as numeraire and time reversed, A / S_T is an average of fixings of a unit of spot whose rate is the
# yield and whose yield is the rate, the last fixing known: S_T - A is a put on it struck at 1, worth S exp(-q t1) each
# (Henderson and Wojakowski 2002). t1 is the first fixing, the twin lives from it to expiry.

STRIKE_COLUMNS = (
    "spot", "time", "rate", "dividend_yield", "volatility", "is_call", "first_fixing", "fixing_count")
STRIKE_OUTPUTS = ("pv", "delta", "vega", "theta", "rho", "dividend_rho")
SIGNATURES = {"asian_strike": (STRIKE_COLUMNS, STRIKE_OUTPUTS)}

cdef enum:
    TWIN_COLUMNS = 11
    TWIN_OUTPUTS = 7

cdef struct Twin:
    double column[TWIN_COLUMNS][BLOCK_ROWS]     # COLUMNS of the average of the twin
    double output[TWIN_OUTPUTS][BLOCK_ROWS]


cdef void asian_strike_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of STRIKE_COLUMNS
        double** output,                        # OUT, order of STRIKE_OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* time = column[1]
    cdef const double* rate = column[2]
    cdef const double* dividend_yield = column[3]
    cdef const double* first_fixing = column[6]
    cdef const double* fixing_count = column[7]
    cdef Twin twin
    cdef const double* twin_column[TWIN_COLUMNS]
    cdef double* twin_output[TWIN_OUTPUTS]
    cdef double count, many, length, is_good, unit
    cdef Py_ssize_t row
    cdef int i
    for i in range(TWIN_COLUMNS):
        twin_column[i] = &twin.column[i][0]
    for i in range(TWIN_OUTPUTS):
        twin_output[i] = &twin.output[i][0]
    for row in range(row_count):
        count = fixing_count[row]
        many = count - 1.0 if count > 1.5 else 1.0
        length = time[row] - first_fixing[row]
        twin.column[0][row] = 1.0
        twin.column[1][row] = 1.0
        twin.column[2][row] = length
        twin.column[3][row] = dividend_yield[row]
        twin.column[4][row] = rate[row]
        twin.column[5][row] = column[4][row]
        twin.column[6][row] = 1.0 - column[5][row]
        twin.column[7][row] = length / many if count > 0.0 else 0.0
        twin.column[8][row] = many if count > 0.0 else 0.0
        twin.column[9][row] = 1.0 / (count if count > 1.0 else 1.0) if count > 0.0 else 0.0
        twin.column[10][row] = 1.0
    asian_curran_loop(row_count, twin_column, twin_output, is_refused)
    for row in range(row_count):
        unit = spot[row] * exp_(-dividend_yield[row] * first_fixing[row])
        is_good = (
            (1.0 - is_refused[row]) * is_positive(spot[row]) * in_range(first_fixing[row], 0.0, time[row])
            * is_count(fixing_count[row], FIXING_COUNT_MAX) * is_flag(column[5][row]))
        is_good = is_good * is_finite(unit * (twin.output[0][row] + twin.output[3][row]))
        output[0][row] = if_good(is_good, unit * twin.output[0][row])
        output[1][row] = if_good(is_good, exp_(-dividend_yield[row] * first_fixing[row]) * twin.output[0][row])
        output[2][row] = if_good(is_good, unit * twin.output[3][row])
        output[3][row] = if_good(is_good, dividend_yield[row] * (unit * twin.output[0][row]))
        output[4][row] = if_good(is_good, unit * twin.output[6][row])
        output[5][row] = if_good(
            is_good, unit * (twin.output[5][row] - first_fixing[row] * twin.output[0][row]))
        is_refused[row] = 1.0 - is_good


def asian_strike(tuple columns, tuple outputs, status):
    """
    A European option on the spot at expiry, struck at its arithmetic average (or a put: the average less the spot).

    Args:
        columns: float64 vectors in the order of STRIKE_COLUMNS, each of as many values as *status* or of one value. All
            fixings are to come; first_fixing and fixing_count as for asian_curran.
        outputs: float64 vectors to write, in the order of STRIKE_OUTPUTS, or None for those not wanted. delta per unit
            of spot; gamma is 0, for the value is linear in it. vega, rho, dividend_rho per 1.00. theta per year, as all
            times to come shorten alike.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: a single fixing, at expiry, is worth nothing; two, the first now, are half a European option struck at spot;
    without volatility the forwards decide.

    Error: that of asian_curran, of which it is a row: a lower bound. Three fixings in a year are 1.3e-5 of the spot
    below the integral at 25 % of volatility, 1e-4 at 50 %.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: V. Henderson and R. Wojakowski, On the equivalence of floating and fixed-strike Asian options, J. Applied
    Probability 39 (2002).
    """
    run_columns(asian_strike_loop, STRIKE_COLUMNS, STRIKE_OUTPUTS, columns, outputs, status)
