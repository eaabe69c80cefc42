# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
American options on an asset with a continuous yield: the exercise boundary by collocation, the premium by quadrature.

A call is a put with spot and strike, rate and yield exchanged (McDonald and Schroder), so everything is a put on s of
strike 1. Its boundary B at time t to expiry starts at B(0) = min(1, r / q), and the value is Kim's

    pv = european + int_0^T r e^(-r v) N(-d-(v, s / B(T-v))) - q s e^(-q v) N(-d+(v, s / B(T-v))) dv,   s > B(T)
    d+-(v, z) = (ln z + (r - q) v) / (sigma sqrt v) +- sigma sqrt(v) / 2

Two equations give B = num / den, from the value (B) and from the slope (A) at the boundary, with z = B(t) / B(t-v):

    A   num = e^(-r t) n(d-(t, B)) / (sigma sqrt t) + r int e^(-r v) n(d-(v, z)) / (sigma sqrt v) dv
        den = e^(-q t) (N(d+) + n(d+) / (sigma sqrt t)) + q int e^(-q v) (N(d+) + n(d+) / (sigma sqrt v)) dv
    B   num = e^(-r t) N(d-(t, B)) + r int e^(-r v) N(d-(v, z)) dv,   den = e^(-q t) N(d+) + q int e^(-q v) N(d+) dv

ln(B / B(0))^2 is interpolated in sqrt(t) at Chebyshev's nodes; integrals run in the angle whose sine is sqrt(v / t).

Ordinary rows: from the guess of Bjerksund and Stensland four rounds of A on 6 nodes, one of A and one of Newton's
method on 10, one of Newton's on 16 (two where r is somewhat below q and the boundary bends), with the whole matrix of
derivatives. The matrix is what the paper's Jacobi-Newton leaves out: it costs a third of a round, squares the error
from round to round, and gives the boundary's derivatives to volatility and rate. Vega and rho need them: Kim's integral
with the boundary held does not have the derivative of the price, since it is the value of a rule of exercise only where
the boundary is the best one.
Rows with |r - q| sqrt(T) / sigma > 1 are stiff: A diverges and so does Newton's method from afar. There B, which
contracts everywhere, takes 40 rounds.

Theta is that of Black's equation, r pv - (r - q) s delta - sigma^2 s^2 gamma / 2, which holds where the option is held.

Sources: L. Andersen, M. Lake, D. Offengenden, High-performance American option pricing, J. Computational Finance 20
(2016); I. Kim, Review of Financial Studies 3 (1990); R. McDonald and M. Schroder, J. Computational Finance 1 (1998);
for the two boundaries of 0 > r > q: L. Andersen and M. Lake, Wilmott (2021).
"""

from xip_core.kernels.carried cimport Value, carried_point
from xip_core.kernels.columns cimport BLOCK_ROWS, run_columns
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_, log_, log_ratio, sqrt

COLUMNS = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta", "rho", "exercise_boundary")

cdef enum:
    LANES = 8           # XIP_LANES

cdef extern from "american.h" nogil:
    ctypedef double xip_lanes[8]

    ctypedef struct xip_puts:
        xip_lanes log_spot
        xip_lanes rate
        xip_lanes carry
        xip_lanes total_vol
        xip_lanes is_call
        xip_lanes boundary
        xip_lanes european
        xip_lanes pv
        xip_lanes delta
        xip_lanes gamma
        xip_lanes pv_to_vol
        xip_lanes pv_to_rate

    void xip_set_american_rules() noexcept
    void xip_solve_ordinary(xip_puts* put, int is_bent) noexcept
    void xip_solve_stiff(xip_puts* put, int is_stepped) noexcept

xip_set_american_rules()

cdef double INFINITY = float("inf")
cdef double DECAY_MAX = 30.0            # r T: what is paid later is below 1e-13 of the strike
cdef double PREMIUM_MIN = 1e-15         # of the strike: below, early exercise is worth nothing
cdef double TOTAL_VOL_MIN = 1e-10       # below, a row is priced as without volatility: off by 4e-11 of the spot at most
cdef double GAINS_MAX = 4.0              # of a negative yield over the life
cdef double GAINING_VOL_MAX = 6.0       # volatility sqrt(T) under a negative yield
cdef double TOTAL_VOL_MAX = 12.0
cdef double FROZEN_VOL_MAX = 1e-4       # of a forward that is sure to meet the boundary: off by its square
cdef double STIFF_FROM = 1.0             # |drift| over total volatility
cdef double STEPPED_FROM = 14.0

cdef enum Kind:
    ORDINARY
    BENT
    STIFF
    STEPPED
    CLOSED_FORM         # expired, never exercised early, without volatility, or refused

cdef enum:
    SOLVED_KINDS = 4    # all before CLOSED_FORM

cdef struct Row:
    # A row as a put of strike 1; money in units of `unit`.
    double unit
    double spot
    double rate
    double carry
    double time             # years, no longer than matters
    double total_vol
    double is_held          # 1.0 where it is never right to exercise early
    double is_refused       # two boundaries, or a negative yield beyond where the boundary's equations can be solved
    double has_no_vol


cdef inline Row row_point(
        double spot, double strike, double time, double rate, double dividend_yield, double volatility,
        double is_call) noexcept nogil:
    cdef Row row
    cdef double is_long, gains, has_two
    row.unit = spot if is_call > 0.0 else strike
    row.spot = strike / spot if is_call > 0.0 else spot / strike
    row.rate = dividend_yield if is_call > 0.0 else rate
    row.carry = rate if is_call > 0.0 else dividend_yield
    is_long = 1.0 if row.rate * time > DECAY_MAX else 0.0
    row.time = DECAY_MAX / row.rate if is_long > 0.0 else time
    row.total_vol = volatility * sqrt(row.time)
    has_two = (1.0 if row.carry < row.rate else 0.0) if row.rate < 0.0 else 0.0
    # Exercise earns r on the strike and saves -q on the spot, which is then below it: at most this over the life.
    gains = -row.carry * row.time if row.carry < 0.0 else 0.0
    row.is_held = 1.0 if row.rate * row.time + gains < PREMIUM_MIN else 0.0
    row.is_held = (1.0 if row.carry >= row.rate else row.is_held) if row.rate <= 0.0 else row.is_held
    gains = gains if gains == 0.0 or row.total_vol <= GAINING_VOL_MAX else INFINITY
    gains = gains if row.total_vol <= TOTAL_VOL_MAX else INFINITY
    row.is_refused = 1.0 if has_two > 0.0 or (gains > GAINS_MAX and row.is_held == 0.0) else 0.0
    row.has_no_vol = 1.0 if row.total_vol < TOTAL_VOL_MIN else 0.0
    return row


cdef inline double is_met(Row row) noexcept nogil:
    """1.0 where the forward of a put with r < q falls to r / q well before expiry, or is there already."""
    return 1.0 if log_(row.carry * row.spot / row.rate) < 0.99 * (row.carry - row.rate) * row.time else 0.0


cdef inline Kind kind_point(Row row, double is_good) noexcept nogil:
    cdef double drift = (row.rate - row.carry) * row.time
    if is_good == 0.0 or row.is_held > 0.0 or row.has_no_vol > 0.0:
        return CLOSED_FORM
    if drift < -1e4 * row.total_vol and row.total_vol < FROZEN_VOL_MAX and is_met(row) > 0.0:
        return CLOSED_FORM
    if drift * drift > STEPPED_FROM * STEPPED_FROM * row.total_vol * row.total_vol:
        return STEPPED
    if drift * drift > STIFF_FROM * STIFF_FROM * row.total_vol * row.total_vol:
        return STIFF
    if row.carry > row.rate and row.rate > 0.25 * row.carry and row.carry * row.time > 0.05:
        return BENT
    return BENT if row.rate * row.time > 0.5 else ORDINARY


cdef inline Value certain_point(Row row, double is_call) noexcept nogil:
    """Without volatility: the best time to exercise is now, at expiry, or where r K e^(-r t) = q S e^(-q t)."""
    cdef Value value
    cdef double best = 0.0, strike_leg, spot_leg, is_worth
    if row.carry > row.rate:
        best = log_(row.carry * row.spot / row.rate) / (row.carry - row.rate)
        best = best if best > 0.0 else 0.0
        best = best if best < row.time else row.time
    strike_leg = exp_(-row.rate * best)
    spot_leg = row.spot * exp_(-row.carry * best)
    is_worth = 1.0 if strike_leg > spot_leg else 0.0
    value.pv = is_worth * (strike_leg - spot_leg)
    value.delta = -is_worth * spot_leg / row.spot
    value.is_good = 1.0 - (is_worth if best <= 0.0 else 0.0)        # whether it is held
    value.gamma = 0.0
    value.vega = 0.0
    value.theta = is_worth * (row.rate * strike_leg - row.carry * spot_leg) if 0.0 < best and best == row.time else 0.0
    value.rho = is_worth * best * (spot_leg if is_call > 0.0 else -strike_leg)
    return value


cdef inline double boundary_of(double boundary, double strike, double is_call) noexcept nogil:
    """Of a put on strike 1 to that of the row: where it is never right to exercise, 0 for a put, inf for a call."""
    if is_call > 0.0:
        return strike / boundary if boundary > 0.0 else INFINITY
    return strike * boundary


cdef inline void put_out(
        double** output, Py_ssize_t row, Value value, double boundary, double spot, double strike,
        double is_call) noexcept nogil:
    """Write the value of a put of strike 1 as that of the row."""
    cdef double ratio = strike / spot, side = 2.0 * is_call - 1.0
    if value.is_good == 0.0:            # not held
        output[0][row] = side * (spot - strike)
        output[1][row] = side
        output[2][row] = 0.0
        output[3][row] = 0.0
        output[4][row] = 0.0
        output[5][row] = 0.0
    elif is_call > 0.0:
        output[0][row] = spot * value.pv
        output[1][row] = value.pv - ratio * value.delta
        output[2][row] = ratio * ratio * value.gamma / spot
        output[3][row] = spot * value.vega
        output[4][row] = spot * value.theta
        output[5][row] = spot * value.rho
    else:
        output[0][row] = strike * value.pv
        output[1][row] = value.delta
        output[2][row] = value.gamma / strike
        output[3][row] = strike * value.vega
        output[4][row] = strike * value.theta
        output[5][row] = strike * value.rho
    output[6][row] = boundary_of(boundary, strike, is_call)


cdef void closed_form(
        Py_ssize_t row, const double** column, double** output, Row as_put, double spot, double strike,
        double is_call) noexcept nogil:
    """Never exercised early: the European value. Without volatility: the best of the certain times."""
    cdef Value value
    if as_put.is_held == 0.0:
        put_out(
            output, row, certain_point(as_put, is_call),
            as_put.rate / as_put.carry if as_put.carry > as_put.rate and as_put.time > 0.0 else 1.0,
            spot, strike, is_call)
        return
    value = carried_point(spot, strike, column[2][row], column[3][row], column[4][row], column[5][row], is_call)
    output[0][row] = value.pv
    output[1][row] = value.delta
    output[2][row] = value.gamma
    output[3][row] = value.vega
    output[4][row] = value.theta
    output[5][row] = value.rho
    output[6][row] = boundary_of(1.0 if as_put.time == 0.0 else 0.0, strike, is_call)


cdef inline Value lane_point(xip_puts* put, Py_ssize_t lane, Row row, double volatility) noexcept nogil:
    """The solver's result of a lane in years; where it is right to exercise now, the payoff."""
    cdef Value value
    cdef double payoff = 1.0 - row.spot
    # Held, if the boundary says so or the right to exercise at expiry alone is worth more than the payoff.
    value.is_good = 0.0 if row.spot <= put.boundary[lane] and put.european[lane] <= payoff else 1.0
    value.pv = put.pv[lane] if put.pv[lane] > put.european[lane] else put.european[lane]
    value.pv = value.pv if value.pv > payoff else payoff
    value.pv = value.pv if value.pv >= 0.0 else 0.0 * value.pv          # at most rounding below zero; NaN stays NaN
    value.delta = put.delta[lane]
    value.gamma = put.gamma[lane]
    value.vega = put.pv_to_vol[lane] * sqrt(row.time)
    value.theta = (
        row.rate * value.pv - (row.rate - row.carry) * row.spot * value.delta
        - 0.5 * volatility * volatility * row.spot * row.spot * value.gamma)
    value.rho = put.pv_to_rate[lane] * row.time
    return value


cdef void solve_rows(
        const Py_ssize_t* place, Py_ssize_t count, int kind, const double** column, double** output,
        xip_puts* put) noexcept nogil:
    """LANES rows of one kind at a time; spare lanes repeat the last row."""
    cdef Row rows[LANES]
    cdef Py_ssize_t begin = 0, lane, row
    while begin < count:
        for lane in range(LANES):
            row = place[begin + lane if begin + lane < count else count - 1]
            rows[lane] = row_point(
                column[0][row], column[1][row], column[2][row], column[3][row], column[4][row], column[5][row],
                column[6][row])
            put.log_spot[lane] = (
                log_ratio(column[1][row], column[0][row]) if column[6][row] > 0.0
                else log_ratio(column[0][row], column[1][row]))
            put.rate[lane] = rows[lane].rate * rows[lane].time
            put.carry[lane] = rows[lane].carry * rows[lane].time
            put.total_vol[lane] = rows[lane].total_vol
            put.is_call[lane] = column[6][row]
        if kind >= STIFF:
            xip_solve_stiff(put, kind == STEPPED)
        else:
            xip_solve_ordinary(put, kind == BENT)
        for lane in range(LANES):
            if begin + lane < count:
                row = place[begin + lane]
                put_out(
                    output, row, lane_point(put, lane, rows[lane], column[5][row]), put.boundary[lane],
                    column[0][row], column[1][row], column[6][row])
        begin += LANES


cdef void american_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef Py_ssize_t place[SOLVED_KINDS][BLOCK_ROWS]
    cdef Py_ssize_t count[SOLVED_KINDS]
    cdef Py_ssize_t row
    cdef double is_good[BLOCK_ROWS]
    cdef xip_puts put
    cdef Row as_put
    cdef int kind, i
    for kind in range(SOLVED_KINDS):
        count[kind] = 0
    for row in range(row_count):
        as_put = row_point(
            column[0][row], column[1][row], column[2][row], column[3][row], column[4][row], column[5][row],
            column[6][row])
        is_good[row] = (
            is_positive(column[0][row]) * is_positive(column[1][row]) * is_nonnegative(column[2][row])
            * is_finite(column[3][row]) * is_finite(column[4][row]) * is_nonnegative(column[5][row])
            * is_flag(column[6][row]) * (1.0 - as_put.is_refused))
        kind = kind_point(as_put, is_good[row])
        if kind != CLOSED_FORM:
            place[kind][count[kind]] = row
            count[kind] += 1
        else:
            closed_form(row, column, output, as_put, column[0][row], column[1][row], column[6][row])
    for kind in range(SOLVED_KINDS):
        solve_rows(place[kind], count[kind], kind, column, output, &put)
    for row in range(row_count):
        is_good[row] = is_good[row] * is_finite(
            output[0][row] + output[1][row] + output[2][row] + output[3][row] + output[4][row] + output[5][row])
        for i in range(7):
            output[i][row] = if_good(is_good[row], output[i][row])
        is_refused[row] = 1.0 - is_good[row]


def american(tuple columns, tuple outputs, status):
    """
    The right to buy (or sell) one asset at the strike at any time up to expiry.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, strike: price units, > 0. time: years, >= 0. rate, dividend_yield: continuous per year, any sign but
            0 > rate > dividend_yield of a put and 0 > dividend_yield > rate of a call, where two boundaries enclose
            the prices at which to exercise. volatility: per sqrt(year), >= 0. is_call: 1 or 0. Where early exercise
            may pay, volatility sqrt(time) up to 12; if moreover the yield of a put (rate of a call) is negative, it
            must be above -4 / time, and volatility sqrt(time) up to 6.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta and gamma per
            unit of spot, vega and rho per 1.00 of volatility and rate, theta per year. exercise_boundary: the spot at
            and below which a put (above which a call) is best exercised now; 0 (inf) where it never is.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Limits: where early exercise never pays, the European value to its last digits; where it pays at once the payoff,
    with delta -1 or 1 and no other derivative; without volatility the best of all certain times; at expiry the payoff.

    Error of pv, per the larger of spot and strike: desks' rows (a month to three years, rates to 8 %, volatility 10 to
    60 %) 1e-8; rates from 1e-12, of any size against each other, 1e-8; rows to thirty years with rates to 15 % and
    volatility sqrt(time) to 4, 2e-8 of 99 % and 3e-7 of the worst (drift over the life twice the volatility).

    Raises:
        ValueError: a count, length or dtype is wrong.
    """
    run_columns(american_loop, COLUMNS, OUTPUTS, columns, outputs, status)
