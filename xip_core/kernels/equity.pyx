# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""European options on an asset with a continuous yield: Black and Scholes (1973), Merton (1973)."""

from xip_core.kernels.carried cimport Value, carried_point
from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good

COLUMNS = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta", "rho", "dividend_rho", "vanna", "volga")

cdef void european_loop(
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
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef double* theta = output[4]
    cdef double* rho = output[5]
    cdef double* dividend_rho = output[6]
    cdef double* vanna = output[7]
    cdef double* volga = output[8]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = carried_point(
            spot[row], strike[row], time[row], rate[row], dividend_yield[row], volatility[row], is_call[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        theta[row] = if_good(value.is_good, value.theta)
        rho[row] = if_good(value.is_good, value.rho)
        dividend_rho[row] = if_good(value.is_good, value.yield_rho)
        vanna[row] = if_good(value.is_good, value.vanna)
        volga[row] = if_good(value.is_good, value.volga)
        is_refused[row] = 1.0 - value.is_good


def european(tuple columns, tuple outputs, status):
    """
    Black-Scholes-Merton: pv = S exp(-qT) N(d1) - K exp(-rT) N(d2) and its derivatives.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, strike: price units, > 0. time: years, >= 0. rate, dividend_yield: continuous per year, any sign.
            volatility: per sqrt(year), >= 0. is_call: 1 or 0.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
            delta, gamma per unit of spot; vega per 1.00 of volatility; rho and dividend_rho per 1.00 of rate and
            of dividend yield; theta per year; vanna d delta / d volatility; volga d vega / d volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a
            result overflows; all its outputs are then NaN.

    Limits: without time or volatility, the discounted intrinsic value of the forward; the kink itself has delta half
    way, and its gamma, vanna, volga and decay count as 0.

    Error: pv within 1e-15 of the larger leg; out of the money 1e-11 relative.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: F. Black and M. Scholes, J. Political Economy 81 (1973); R. Merton, Bell J. Economics 4 (1973).
    """
    run_columns(european_loop, COLUMNS, OUTPUTS, columns, outputs, status)
