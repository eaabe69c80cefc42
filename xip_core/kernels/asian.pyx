# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Options on the arithmetic average of the spot by its first two moments: Levy (1992), Turnbull and Wakeman (1991).

The average is w P + (1 - w) F with the past P known, so the option is one on (1 - w) F struck at K - w P. F is taken as
lognormal with its true mean and variance (average.h). The sum over the fixings is outside, the rows of a block inside.
"""

from xip_core.kernels.average cimport (
    FIXING_COUNT_MAX, NODE_COUNT, XIP_NODE, XIP_NODE_WEIGHT, is_count, xip_expm1, xip_log1p, xip_mean_slope,
    xip_not_nothing)
from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, sqrt
from xip_core.kernels.lognormal cimport Lognormal, a_leg_point, lognormal_point, price_point

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

cdef struct Steps:
    double start            # years to the first fixing
    double length           # n h of n fixings, or the years averaged
    double count            # 0: continuous
    double variance         # sigma^2 length
    double growth           # b length, never 0
    double per_growth       # 1 / expm1(growth)
    double growth_slope     # of ln(expm1(growth) / growth)


cdef inline double domain_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility, double
        is_call, double first_fixing, double fixing_count, double past_weight, double past_average) noexcept nogil:
    return (
        is_positive(spot) * is_positive(strike) * is_nonnegative(time) * is_finite(rate) * is_finite(dividend_yield)
        * is_nonnegative(volatility) * is_flag(is_call) * in_range(first_fixing, 0.0, time)
        * is_count(fixing_count, FIXING_COUNT_MAX) * in_range(past_weight, 0.0, 1.0) * is_nonnegative(past_average))


cdef inline Steps steps_point(
        double time, double carry, double volatility, double first_fixing, double fixing_count) noexcept nogil:
    cdef Steps steps
    cdef double many = fixing_count - 1.0 if fixing_count > 1.5 else 1.0
    cdef double grown
    steps.count = fixing_count
    steps.start = time if fixing_count == 1.0 else first_fixing
    steps.length = (time - steps.start) * (fixing_count / many if fixing_count > 0.5 else 1.0)
    steps.variance = volatility * volatility * steps.length
    steps.growth = xip_not_nothing(carry * steps.length)
    grown = xip_expm1(steps.growth)
    steps.per_growth = 1.0 / grown
    steps.growth_slope = xip_mean_slope(steps.growth, grown)
    return steps


cdef inline Value asian_point(
        double spot, double strike, double time, double rate, double carry, double volatility, double is_call, double
        past_weight, double past_average, Steps steps, double total, double to_variance, double to_growth,
        double is_inside) noexcept nogil:
    cdef Value value
    cdef double is_discrete = 1.0 if steps.count > 0.0 else 0.0
    cdef double count = steps.count if steps.count > 1.0 else 1.0
    cdef double part = steps.growth / count
    cdef double part_grown = xip_expm1(part)
    cdef double mean = 1.0 / (steps.per_growth * (count * part_grown if is_discrete > 0.0 else steps.growth))
    cdef double discount = exp_(-rate * time)
    cdef double weight = 1.0 - past_weight
    cdef double forward = weight * spot * (exp_(carry * steps.start) * mean)
    cdef double struck = strike - past_weight * past_average
    cdef double is_open = (1.0 if struck > 0.0 else 0.0) * (1.0 if forward > 0.0 else 0.0)
    cdef double log_variance = volatility * volatility * steps.start + xip_log1p(total)
    cdef double certain = 1.0 if struck <= 0.0 else -1.0
    cdef double moneyness = log_ratio(
        forward if is_open > 0.0 else 1.0, struck if is_open > 0.0 else 1.0) if is_open > 0.0 else certain
    cdef Lognormal at = lognormal_point(moneyness, sqrt(log_variance) if is_open > 0.0 else 0.0, is_call)
    cdef double a = discount * forward
    cdef double density = a * at.density
    cdef double per_total = at.has_vol / at.guarded_vol
    cdef double leg = a * a_leg_point(at)
    # Slopes of the logarithm of the mean to the carry, and of the variance to sigma^2 and to the carry.
    cdef double mean_slope = steps.start + steps.length * (
        steps.growth_slope - is_discrete * (xip_mean_slope(part, part_grown) / count))
    cdef double per_moment = 1.0 / (1.0 + total)
    cdef double to_carry = leg * mean_slope + 0.5 * density * per_total * (
        to_growth * steps.length * per_moment)

    value.pv = price_point(at, a, discount * struck)
    value.delta = leg / spot
    value.gamma = density * per_total / (spot * spot)
    value.vega = density * (volatility * per_total) * (steps.start + to_variance * per_moment)
    value.theta = rate * value.pv - carry * leg - 0.5 * density * per_total * (volatility * volatility)
    value.rho = to_carry - time * value.pv
    value.dividend_rho = -to_carry
    value.is_good = (
        is_inside * is_finite(value.pv + value.delta + value.gamma + value.vega)
        * is_finite(value.theta + value.rho + value.dividend_rho))
    return value


cdef void asian_loop(
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
    cdef Steps steps
    # Columns of what the sum over fixings needs: records side by side would not vectorise.
    cdef double count[BLOCK_ROWS]
    cdef double length[BLOCK_ROWS]
    cdef double variance[BLOCK_ROWS]
    cdef double growth[BLOCK_ROWS]
    cdef double per_growth[BLOCK_ROWS]
    cdef double growth_slope[BLOCK_ROWS]
    cdef double step[BLOCK_ROWS]            # c: the variance of a step of discrete fixings
    cdef double step_slope[BLOCK_ROWS]      # of c to sigma^2
    cdef double total[BLOCK_ROWS]           # sum of c exp(variance u) r(u)^2
    cdef double to_variance[BLOCK_ROWS]     # its slope to sigma^2
    cdef double to_growth[BLOCK_ROWS]       # its slope to the growth
    cdef double u, z, grown, r, factor, c, slope, is_discrete, node, node_weight, fixing, many
    cdef double fixings_most = 0.0
    cdef Value value
    cdef Py_ssize_t row, place, place_count
    for row in range(row_count):
        steps = steps_point(
            time[row], rate[row] - dividend_yield[row], volatility[row], first_fixing[row], fixing_count[row])
        count[row] = fixing_count[row]
        length[row] = steps.length
        variance[row] = steps.variance
        growth[row] = steps.growth
        per_growth[row] = steps.per_growth
        growth_slope[row] = steps.growth_slope
        total[row] = 0.0
        to_variance[row] = 0.0
        to_growth[row] = 0.0
        many = fixing_count[row] if fixing_count[row] > 1.0 else 1.0
        z = -steps.variance / many
        step[row] = -xip_expm1(z)
        step_slope[row] = exp_(z) * (steps.length / many)
    for row in range(row_count):
        many = fixing_count[row] - 1.0 if fixing_count[row] > 0.0 else NODE_COUNT
        many = many if in_range(fixing_count[row], 0.0, FIXING_COUNT_MAX) > 0.0 else 0.0    # refused: costs nothing
        fixings_most = many if many > fixings_most else fixings_most
    place_count = <Py_ssize_t> fixings_most
    for place in range(place_count):
        fixing = <double> (place + 1)
        node = XIP_NODE[place] if place < NODE_COUNT else 0.0
        node_weight = XIP_NODE_WEIGHT[place] if place < NODE_COUNT else 0.0
        for row in range(row_count):
            is_discrete = 1.0 if count[row] > 0.0 else 0.0
            many = count[row] if count[row] > 0.0 else 1.0
            u = is_discrete * (fixing / many) + (1.0 - is_discrete) * node
            z = growth[row] * (1.0 - u)
            grown = xip_expm1(z)
            r = grown * per_growth[row]
            factor = exp_((variance[row] + 2.0 * growth[row]) * u) * (r * r)
            factor = factor * (1.0 - (1.0 if fixing >= count[row] else 0.0) * is_discrete)
            c = is_discrete * step[row] + (1.0 - is_discrete) * (node_weight * variance[row])
            slope = is_discrete * step_slope[row] + (1.0 - is_discrete) * (node_weight * length[row])
            total[row] += c * factor
            to_variance[row] += factor * (slope + c * (length[row] * u))
            to_growth[row] += 2.0 * (c * factor) * (u + (1.0 - u) * xip_mean_slope(z, grown) - growth_slope[row])
    for row in range(row_count):
        value = asian_point(
            spot[row], strike[row], time[row], rate[row], rate[row] - dividend_yield[row], volatility[row],
            is_call[row], past_weight[row], past_average[row],
            steps_point(
                time[row], rate[row] - dividend_yield[row], volatility[row], first_fixing[row], fixing_count[row]),
            total[row], to_variance[row], to_growth[row],
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


def asian(tuple columns, tuple outputs, status):
    """
    A European option on the arithmetic average, which is taken as lognormal with its true mean and variance.

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
    is already fixed makes the call certain; with all fixed (past_weight 1) the discounted payoff. vega without
    volatility counts as 0.

    Error: pv within 2e-15 of the larger leg of the formula, its moments 1e-14 relative while sigma^2 t + 2 |r - q| t over
    the averaging is below 8. Of the approximation, of a continuous average at the money: 0.3 % of the price at 20 % of
    total volatility, 1.4 % at 50 %, 5 % at 100 %; where that matters, equity.asian_curran.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: E. Levy, Pricing European average rate currency options, J. International Money and Finance 11 (1992);
    S. Turnbull and L. Wakeman, A quick algorithm for pricing European average options, J. Financial and Quantitative
    Analysis 26 (1991).
    """
    run_columns(asian_loop, COLUMNS, OUTPUTS, columns, outputs, status)
