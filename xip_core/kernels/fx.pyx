# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""European options on a currency: Garman and Kohlhagen (1983)."""

from xip_core.kernels.carried cimport Value, carried_point
from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.domain cimport if_good

COLUMNS = ("spot", "strike", "time", "domestic_rate", "foreign_rate", "volatility", "is_call")
OUTPUTS = ("pv", "delta", "gamma", "vega", "theta", "rho_domestic", "rho_foreign", "vanna", "volga")

cdef void european_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* strike = column[1]
    cdef const double* time = column[2]
    cdef const double* domestic_rate = column[3]
    cdef const double* foreign_rate = column[4]
    cdef const double* volatility = column[5]
    cdef const double* is_call = column[6]
    cdef double* pv = output[0]
    cdef double* delta = output[1]
    cdef double* gamma = output[2]
    cdef double* vega = output[3]
    cdef double* theta = output[4]
    cdef double* rho_domestic = output[5]
    cdef double* rho_foreign = output[6]
    cdef double* vanna = output[7]
    cdef double* volga = output[8]
    cdef Value value
    cdef Py_ssize_t row
    for row in range(row_count):
        value = carried_point(
            spot[row], strike[row], time[row], domestic_rate[row], foreign_rate[row], volatility[row],
            is_call[row])
        pv[row] = if_good(value.is_good, value.pv)
        delta[row] = if_good(value.is_good, value.delta)
        gamma[row] = if_good(value.is_good, value.gamma)
        vega[row] = if_good(value.is_good, value.vega)
        theta[row] = if_good(value.is_good, value.theta)
        rho_domestic[row] = if_good(value.is_good, value.rho)
        rho_foreign[row] = if_good(value.is_good, value.yield_rho)
        vanna[row] = if_good(value.is_good, value.vanna)
        volga[row] = if_good(value.is_good, value.volga)
        is_refused[row] = 1.0 - value.is_good


def european(tuple columns, tuple outputs, status):
    """
    Garman-Kohlhagen: pv = S exp(-r_f T) N(d1) - K exp(-r_d T) N(d2) per unit of foreign currency, in domestic.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, strike: domestic currency per unit of foreign, > 0. time: years, >= 0. domestic_rate, foreign_rate:
            continuous per year, any sign. volatility: per sqrt(year), >= 0. is_call: 1 (on the foreign currency) or 0.
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted.
            delta is the spot delta, premium in domestic currency; vega per 1.00 of volatility; rho_domestic and
            rho_foreign per 1.00 of each rate; theta per year; vanna, volga: d delta and d vega / d volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a
            result overflows; all its outputs are then NaN.

    Limits and errors: as equity.european with the foreign rate as yield.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: M. Garman and S. Kohlhagen, J. International Money and Finance 2 (1983).
    """
    run_columns(european_loop, COLUMNS, OUTPUTS, columns, outputs, status)
