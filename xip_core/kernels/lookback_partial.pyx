# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Lookbacks watched during a part of their life: Heynen and Kat (1994).

A *fixed* strike watches from t1 to expiry. At t1 it is a fixed-strike lookback whose extreme is the spot S1 of then:
where S1 is beyond the strike it is linear in S1, elsewhere it is the claim L(S1, K) of lookback.h. So

    pv = (slope of the linear part) E S1 1{beyond} - cash + exp(-r t1) E L(S1, K) 1{not beyond}

with the last expectation by 48 points of Gauss and Legendre over the normal variable, between the places where its
density and L have died away. The integrand is smooth with or without cost of carry, where the closed form divides a
difference of bivariate normal distributions by b; and each Greek is the integral of the Greek of L.

A *floating* strike watches from now to t1 and pays S_T - lambda min S, or lambda max S - S_T. With the asset as
numeraire and time reversed this is lambda S times a fixed strike of 1 / lambda on a unit of spot, watched in the last
t1 years, with rate and yield exchanged.

Source: R. Heynen and H. Kat, Selective memory, Risk 7 (1994); E. Haug, The complete guide to option pricing formulas,
2nd edition (2007), section 4.15; duality after E. Eberlein and A. Papapantoleon, Symmetries and pricing of exotic
options in Levy models, in Exotic option pricing and advanced Levy models, Wiley (2005).
"""

from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, in_range, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_ratio, normal_pdf, sqrt
from xip_core.kernels.lookback cimport Extreme, extreme_point

COLUMNS = (
    "spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call", "is_floating", "window",
    "strike_multiple")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta", "rho", "dividend_rho")

cdef enum:
    POINT_COUNT = 48

cdef extern from *:
    """
    /* Gauss and Legendre on [0, 1]. */
    static const double XIP_WINDOW_NODE[48] = {
        0.0006144963737869407, 0.003234913866824621, 0.007937708138586571, 0.014704203726876374, 0.02350614841978457,
        0.034306654646722834, 0.04706043164221516, 0.06171398986287606, 0.07820586918780323, 0.09646689798527869,
        0.11642048374212983, 0.13798293453809268, 0.16106381018366805, 0.1855663016117432, 0.21138763695801366,
        0.23841951263888347, 0.2665485476245208, 0.2956567590046416, 0.32562205685391965, 0.3563187563222722,
        0.38761810480265546, 0.41938882196555416, 0.4514976503952686, 0.4838099145185653, 0.5161900854814346,
        0.5485023496047313, 0.5806111780344458, 0.6123818951973445, 0.6436812436777278, 0.6743779431460803,
        0.7043432409953584, 0.7334514523754792, 0.7615804873611165, 0.7886123630419863, 0.8144336983882569,
        0.838936189816332, 0.8620170654619074, 0.8835795162578701, 0.9035331020147214, 0.9217941308121967,
        0.938286010137124, 0.9529395683577848, 0.9656933453532772, 0.9764938515802154, 0.9852957962731236,
        0.9920622918614135, 0.9967650861331754, 0.999385503626213};
    static const double XIP_WINDOW_WEIGHT[48] = {
        0.0015766730261529192, 0.0036637769506381312, 0.00573861728961727, 0.007789657861471924,
        0.009808080228677764, 0.01178538041966219, 0.013713254854178474, 0.015583613916399045, 0.01738861128238522,
        0.019120675532915354, 0.020772541471732374, 0.02233728042834714, 0.02380832924624524, 0.025179517776927236,
        0.026445094742596834, 0.027599751849992082, 0.028638646050201607, 0.029557419849197818, 0.03035221958294694,
        0.031019711579946332, 0.03155709614312701, 0.03196211929232409, 0.032233082217975044, 0.03236884840634196,
        0.03236884840634196, 0.032233082217975044, 0.03196211929232409, 0.03155709614312701, 0.031019711579946332,
        0.03035221958294694, 0.029557419849197818, 0.028638646050201607, 0.027599751849992082, 0.026445094742596834,
        0.025179517776927236, 0.02380832924624524, 0.02233728042834714, 0.020772541471732374, 0.019120675532915354,
        0.01738861128238522, 0.015583613916399045, 0.013713254854178474, 0.01178538041966219, 0.009808080228677764,
        0.007789657861471924, 0.00573861728961727, 0.0036637769506381312, 0.0015766730261529192};
    #define XIP_REACH 9.0   /* deviations; beyond, a normal variable has 1e-19 of its weight */
    """
    const double XIP_WINDOW_NODE[48]
    const double XIP_WINDOW_WEIGHT[48]
    const double XIP_REACH

cdef extern from "lookback.h" nogil:
    double xip_extreme_leg(double d, double full, double density) noexcept

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double theta
    double rho
    double dividend_rho
    double is_good

cdef struct Window:
    double spot             # of the fixed-strike twin
    double strike
    double rate
    double carry
    double direction
    double start            # years until watching begins
    double length           # years watched
    double s1               # total volatility until then, never 0
    double low              # of the normal variable
    double width


cdef inline double at_most(double value, double most) noexcept nogil:
    return value if value < most else most


cdef inline double at_least(double value, double least) noexcept nogil:
    return value if value > least else least


cdef inline Window window_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility, double is_call,
        double is_floating, double window, double strike_multiple) noexcept nogil:
    cdef Window at
    cdef double floats = 1.0 if is_floating > 0.0 else 0.0
    cdef double uses_max = 1.0 - is_call if floats > 0.0 else is_call
    cdef double s2, drift, edge, reach, low, high
    at.direction = 1.0 if uses_max > 0.0 else -1.0
    at.spot = 1.0 if floats > 0.0 else spot
    at.strike = 1.0 / strike_multiple if floats > 0.0 else strike
    at.strike = at.strike if at.strike > 2.2250738585072014e-308 else 2.2250738585072014e-308
    at.rate = dividend_yield if floats > 0.0 else rate
    at.carry = dividend_yield - rate if floats > 0.0 else rate - dividend_yield
    at.start = time - window if floats > 0.0 else window
    at.length = window if floats > 0.0 else time - window
    at.s1 = at_least(volatility * sqrt(at.start), 1e-20)
    s2 = volatility * sqrt(at.length)
    drift = (at.carry - 0.5 * volatility * volatility) * at.start
    edge = (log_ratio(at.strike, at.spot) - drift) / at.s1
    reach = (XIP_REACH * s2 + (at.carry if at.carry > 0.0 else -at.carry) * at.length + 1.5 * s2 * s2) / at.s1
    low = -XIP_REACH if at.direction > 0.0 else at_least(edge, -XIP_REACH)
    high = at_most(edge, XIP_REACH + at.s1) if at.direction > 0.0 else XIP_REACH + at.s1
    low = at_least(low, edge - reach) if at.direction > 0.0 else low
    high = high if at.direction > 0.0 else at_most(high, edge + reach)
    at.low = low
    at.width = at_least(high - low, 0.0)
    return at


cdef inline double jump_point(Window at, double slope, double density, double watched_vol) noexcept nogil:
    """S^2 gamma where nothing is watched before expiry."""
    cdef double has_jump = 1.0 if watched_vol <= 1e-20 else 0.0
    return at.direction * slope * density / at.s1 * (has_jump if at.s1 > 1e-20 else 0.0)


cdef inline Value partial_point(
        double spot, double strike, double time, double volatility, double is_floating, double window, double
        strike_multiple, Window at, double value_sum, double log_sum, double curve_sum, double vol_sum, double
        carry_sum, double mixed_sum, double is_inside) noexcept nogil:
    """From the integrals of the fields of L over what is not beyond the strike at the start."""
    cdef Value value
    cdef double start_discount = exp_(-at.rate * at.start)
    cdef double length_discount = exp_(-at.rate * at.length)
    cdef double root_start = sqrt(at.start)
    cdef double root_length = sqrt(at.length)
    cdef double d1 = at.direction * (
        (log_ratio(at.spot, at.strike) + at.carry * at.start) / at.s1 + 0.5 * at.s1)
    cdef double d2 = d1 - at.direction * at.s1
    cdef double full = at.spot * exp_((at.carry - at.rate) * at.start)
    cdef double density = full * normal_pdf(d1)
    cdef double asset = xip_extreme_leg(d1, full, density)
    cdef double cash = xip_extreme_leg(d2, at.strike * start_discount, density)
    cdef Extreme unit = extreme_point(
        1.0, 1.0, at.direction, at.rate * at.length, at.carry * at.length, volatility * root_length)
    cdef double slope = unit.value + at.direction * length_discount
    cdef double to_vol = unit.to_vol * asset + start_discount * vol_sum             # of the time watched
    cdef double to_carry = unit.to_carry * asset + start_discount * carry_sum
    cdef double pv = slope * asset - at.direction * length_discount * cash + start_discount * value_sum
    cdef double log_delta = slope * asset + start_discount * log_sum
    # Without time to watch the slope jumps at the strike, which is all there is of gamma.
    cdef double jump = jump_point(at, slope, density, volatility * root_length)
    cdef double curve = start_discount * curve_sum + jump
    cdef double all_carry = at.start * log_delta + at.length * to_carry
    cdef double vega = root_length * to_vol + at.direction * slope * root_start * density + start_discount * mixed_sum
    cdef double watched_decay = 0.5 * volatility * (to_vol / root_length if root_length > 0.0 else 0.0)
    cdef double decay = at.rate * pv - at.carry * log_delta - 0.5 * volatility * volatility * curve
    cdef double dual_decay = at.rate * pv - at.carry * to_carry - watched_decay
    cdef double scale = strike_multiple * spot

    pv = pv if pv >= 0.0 else 0.0 * pv
    value.pv = scale * pv if is_floating > 0.0 else pv
    value.delta = strike_multiple * pv if is_floating > 0.0 else log_delta / spot
    value.gamma = 0.0 if is_floating > 0.0 else curve / (spot * spot)
    value.vega = scale * vega if is_floating > 0.0 else vega
    value.theta = scale * dual_decay if is_floating > 0.0 else decay
    # Rate and yield are exchanged in the twin of a floating strike.
    value.rho = -scale * all_carry if is_floating > 0.0 else all_carry - time * pv
    value.dividend_rho = scale * (all_carry - time * pv) if is_floating > 0.0 else -all_carry
    value.is_good = (
        is_inside * is_finite(value.pv + value.delta + value.gamma + value.vega)
        * is_finite(value.theta + value.rho + value.dividend_rho))
    return value


cdef void lookback_partial_loop(
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
    cdef const double* is_floating = column[7]
    cdef const double* window = column[8]
    cdef const double* strike_multiple = column[9]
    # Columns of what the points need: records side by side would not vectorise.
    cdef double start_spot[BLOCK_ROWS]      # spot at the start of watching, of the median path
    cdef double level[BLOCK_ROWS]
    cdef double direction[BLOCK_ROWS]
    cdef double rate_time[BLOCK_ROWS]
    cdef double carry_time[BLOCK_ROWS]
    cdef double s1[BLOCK_ROWS]
    cdef double s2[BLOCK_ROWS]
    cdef double low[BLOCK_ROWS]
    cdef double width[BLOCK_ROWS]
    cdef double root_start[BLOCK_ROWS]
    cdef double value_sum[BLOCK_ROWS]
    cdef double log_sum[BLOCK_ROWS]
    cdef double curve_sum[BLOCK_ROWS]
    cdef double vol_sum[BLOCK_ROWS]
    cdef double carry_sum[BLOCK_ROWS]
    cdef double mixed_sum[BLOCK_ROWS]
    cdef double u, weight, node, node_weight, reached
    cdef Window at
    cdef Extreme extreme
    cdef Value value
    cdef Py_ssize_t row, point
    for row in range(row_count):
        at = window_point(
            spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
            is_floating[row], window[row], strike_multiple[row])
        start_spot[row] = at.spot * exp_((at.carry - 0.5 * volatility[row] * volatility[row]) * at.start)
        level[row] = at.strike
        direction[row] = at.direction
        rate_time[row] = at.rate * at.length
        carry_time[row] = at.carry * at.length
        s1[row] = at.s1
        s2[row] = volatility[row] * sqrt(at.length)
        low[row] = at.low
        width[row] = at.width
        root_start[row] = sqrt(at.start)
        value_sum[row] = 0.0
        log_sum[row] = 0.0
        curve_sum[row] = 0.0
        vol_sum[row] = 0.0
        carry_sum[row] = 0.0
        mixed_sum[row] = 0.0
    for point in range(POINT_COUNT):
        node = XIP_WINDOW_NODE[point]
        node_weight = XIP_WINDOW_WEIGHT[point]
        for row in range(row_count):
            u = low[row] + width[row] * node
            weight = node_weight * width[row] * normal_pdf(u)
            reached = start_spot[row] * exp_(s1[row] * u)
            # Nothing is beyond the level here but rounding, and where the width is 0, all: L is finite on the level.
            reached = direction[row] * at_most(direction[row] * reached, direction[row] * level[row])
            extreme = extreme_point(reached, level[row], direction[row], rate_time[row], carry_time[row], s2[row])
            value_sum[row] += weight * extreme.value
            log_sum[row] += weight * extreme.to_log
            curve_sum[row] += weight * extreme.curve
            vol_sum[row] += weight * extreme.to_vol
            carry_sum[row] += weight * extreme.to_carry
            mixed_sum[row] += weight * extreme.to_log * (root_start[row] * (u - s1[row]))
    for row in range(row_count):
        value = partial_point(
            spot[row], strike[row], time[row], volatility[row], is_floating[row], window[row], strike_multiple[row],
            window_point(
                spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row],
                is_floating[row], window[row], strike_multiple[row]),
            value_sum[row], log_sum[row], curve_sum[row], vol_sum[row], carry_sum[row], mixed_sum[row],
            is_positive(spot[row]) * is_nonnegative(strike[row]) * is_nonnegative(time[row]) * is_finite(rate[row])
            * is_finite(dividend_yield[row]) * is_nonnegative(volatility[row]) * is_flag(is_call[row])
            * is_flag(is_floating[row]) * in_range(window[row], 0.0, time[row]) * is_positive(strike_multiple[row]))
        output[0][row] = if_good(value.is_good, value.pv)
        output[1][row] = if_good(value.is_good, value.delta)
        output[2][row] = if_good(value.is_good, value.gamma)
        output[3][row] = if_good(value.is_good, value.vega)
        output[4][row] = if_good(value.is_good, value.theta)
        output[5][row] = if_good(value.is_good, value.rho)
        output[6][row] = if_good(value.is_good, value.dividend_rho)
        is_refused[row] = 1.0 - value.is_good


def lookback_partial(tuple columns, tuple outputs, status):
    """
    Fixed strike: max(max S - K, 0) or max(K - min S, 0) with the extreme from *window* to expiry. Floating strike:
    max(S_T - lambda min S, 0) or max(lambda max S - S_T, 0) with the extreme from now to *window*.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, time, rate, dividend_yield, volatility, is_call: as equity.european. strike: price unit, >= 0, read
            of a fixed strike alone. is_floating: 1 or 0. window: years, 0 to time. strike_multiple: lambda, > 0,
            read of a floating strike alone.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per unit
            of spot; vega per 1.00 of volatility; rho, dividend_rho per 1.00; theta per year as window and time shorten
            alike. A floating strike has no past: its value is linear in the spot, and gamma is 0.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: a fixed strike watched from now is equity.lookback, at expiry alone equity.european; a floating strike
    watched to expiry with lambda 1 is equity.lookback.

    Error: pv within 1e-13 of the larger of spot and strike; where the drift drowns the volatility, |2 (r - q) / v^2| >
    1000, within 3e-9 (the kink that L has without volatility may then lie among the points; one row in 2,000 is beyond
    1e-11).

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: R. Heynen and H. Kat, Selective memory, Risk 7 (1994).
    """
    run_columns(lookback_partial_loop, COLUMNS, OUTPUTS, columns, outputs, status)
