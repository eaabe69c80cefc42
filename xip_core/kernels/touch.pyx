# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""One-touch and no-touch: paid because the spot did or did not meet a barrier. Reiner and Rubinstein (1991)."""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good, is_finite, is_flag, is_nonnegative, is_positive
from xip_core.kernels.reflection cimport (
    Path, Slopes, hit_point, image_pair, is_barrier_type, path_point, plain_pair, squared_root, sum_point)

COLUMNS = (
    "spot", "barrier", "time", "rate", "dividend_yield", "volatility", "barrier_type", "cash", "is_asset",
    "pays_at_hit")
OUTPUTS = ("pv", "delta", "gamma", "vega")

cdef struct Value:
    double pv
    double delta
    double gamma
    double vega
    double is_good


cdef inline Value touch_point(
        double spot, double barrier, double time, double rate, double dividend_yield, double volatility, double
        barrier_type, double cash, double is_asset, double pays_at_hit) noexcept nogil:
    cdef Value value
    cdef double is_up = 1.0 if barrier_type > 1.5 else 0.0
    cdef double is_out = barrier_type - 2.0 * is_up
    cdef double per_spot = 1.0 / spot
    cdef Path at = path_point(spot, time, rate, dividend_yield, volatility, barrier, 1.0 - 2.0 * is_up)
    cdef double alive = 1.0 - at.is_hit
    cdef double cash_weight = (1.0 - is_asset) * cash
    # Ending beyond the barrier or being reflected there: the one-touch sums both, so small chances keep their digits.
    cdef double side = 2.0 * is_out - 1.0
    cdef double later = alive * (1.0 - pays_at_hit)
    cdef double now = alive * pays_at_hit * (is_asset * barrier + cash_weight)
    cdef double has_no_rate = 0.0 if squared_root(at) >= 0.0 else 1.0
    cdef double is_paid = at.is_hit * (1.0 - is_out)
    cdef double paid_asset = is_paid * is_asset * (spot if pays_at_hit > 0.0 else at.spot_leg)
    cdef double paid_cash = is_paid * cash_weight * (1.0 if pays_at_hit > 0.0 else at.discount)
    cdef Path beyond = at
    beyond.direction = side * at.direction
    cdef Slopes total = sum_point(
        hit_point(now, at),
        sum_point(
            plain_pair(
                later * is_asset, later * cash_weight, barrier, side * ((at.distance + at.drift) * at.per_s),
                at.barrier_density, beyond),
            image_pair(
                -side * later * is_asset, -side * later * cash_weight, barrier,
                (at.drift - at.distance) * at.per_s, at.barrier_density, at)))
    total.value += paid_asset + paid_cash
    total.to_log += paid_asset
    value.pv = total.value if total.value >= 0.0 else 0.0 * total.value
    value.delta = total.to_log * per_spot
    value.gamma = total.curve * per_spot * per_spot
    value.vega = total.to_vol * at.root_time
    value.is_good = (
        is_positive(spot) * is_positive(barrier) * is_nonnegative(time) * is_finite(rate) * is_finite(dividend_yield)
        * is_nonnegative(volatility) * is_barrier_type(barrier_type) * is_nonnegative(cash) * is_flag(is_asset)
        * is_flag(pays_at_hit) * (1.0 if is_out * pays_at_hit <= 0.0 else 0.0)
        * (1.0 if now * has_no_rate <= 0.0 else 0.0)
        * is_finite(value.pv + value.delta + value.gamma + value.vega))
    return value


cdef void touch_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* barrier = column[1]
    cdef const double* time = column[2]
    cdef const double* rate = column[3]
    cdef const double* dividend_yield = column[4]
    cdef const double* volatility = column[5]
    cdef const double* barrier_type = column[6]
    cdef const double* cash = column[7]
    cdef const double* is_asset = column[8]
    cdef const double* pays_at_hit = column[9]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = touch_point(
            spot[row], barrier[row], time[row], rate[row], dividend_yield[row], volatility[row],
            barrier_type[row], cash[row], is_asset[row], pays_at_hit[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        is_refused[row] = 1.0 - value.is_good


def touch(tuple columns, tuple outputs, status):
    """
    Pays cash or the asset if the spot touches the barrier before expiry (in), or if it never does (out).

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, time, rate, dividend_yield, volatility: as equity.european. barrier: price unit, > 0. barrier_type:
            0 one-touch below, 1 no-touch below, 2 one-touch above, 3 no-touch above. is_asset: 1 pays the asset, 0
            pays *cash* (price unit, >= 0). pays_at_hit: 1 pays when touched, 0 pays at expiry; a no-touch has 0.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. delta, gamma per
            unit of spot; vega per 1.00 of volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    A spot at the barrier or beyond it has touched: paid at hit, the one-touch is the cash or the spot now.
    Payment at hit needs (r - q - sigma^2 / 2)^2 + 2 r sigma^2 >= 0, else the row is refused: only rates well below
    zero violate it.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: M. Rubinstein and E. Reiner, Unscrambling the binary code, Risk 4 (1991).
    """
    run_columns(touch_loop, COLUMNS, OUTPUTS, columns, outputs, status)
