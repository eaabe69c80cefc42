# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
The strike that is called at the money, under the market's conventions. With F the forward and v = volatility^2 T:

    0 spot    1 forward    2 delta-neutral straddle: F exp(v / 2), or F exp(-v / 2) where the premium is in delta
    3 vega, 4 gamma largest of all strikes: F exp(v / 2)    5 call and put delta one half: F exp(v / 2), forward delta
"""

from xip_core.kernels.columns cimport run_columns
from xip_core.kernels.delta cimport is_convention
from xip_core.kernels.domain cimport if_good, is_finite, is_nonnegative, is_positive
from xip_core.kernels.elementary cimport exp_

COLUMNS = ("spot", "time", "domestic_rate", "foreign_rate", "volatility", "atm_type", "delta_type")
OUTPUTS = ("strike", "to_volatility")


cdef void atm_strike_loop(
        Py_ssize_t row_count,
        const double** column,                  # IN, order of COLUMNS
        double** output,                        # OUT, order of OUTPUTS
        double* is_refused) noexcept nogil:     # OUT
    cdef const double* spot = column[0]
    cdef const double* time = column[1]
    cdef const double* domestic_rate = column[2]
    cdef const double* foreign_rate = column[3]
    cdef const double* volatility = column[4]
    cdef const double* atm_type = column[5]
    cdef const double* delta_type = column[6]
    cdef double* strike = output[0]
    cdef double* to_volatility = output[1]
    cdef double side, growth, found, slope, is_defined, good
    cdef Py_ssize_t row
    for row in range(row_count):
        side = 0.0 if atm_type[row] < 1.5 else 0.5
        side = -0.5 if atm_type[row] == 2.0 and delta_type[row] > 1.5 else side
        growth = 0.0 if atm_type[row] == 0.0 else (domestic_rate[row] - foreign_rate[row]) * time[row]
        found = spot[row] * exp_(growth + side * (volatility[row] * volatility[row]) * time[row])
        slope = found * 2.0 * side * volatility[row] * time[row]
        is_defined = 1.0 if delta_type[row] == 1.0 else 0.0
        is_defined = is_defined if atm_type[row] == 5.0 else 1.0
        good = (
            is_positive(spot[row]) * is_nonnegative(time[row]) * is_finite(domestic_rate[row])
            * is_finite(foreign_rate[row]) * is_nonnegative(volatility[row]) * is_convention(atm_type[row], 5.0)
            * is_convention(delta_type[row], 3.0) * is_defined * is_positive(found) * is_finite(slope))
        strike[row] = if_good(good, found)
        to_volatility[row] = if_good(good, slope)
        is_refused[row] = 1.0 - good


def atm_strike(tuple columns, tuple outputs, status):
    """
    At-the-money strike.

    Args:
        columns: float64 vectors in the order of COLUMNS, each of as many values as *status* or of one value.
            spot, time, rates, volatility, delta_type: as fx.delta. atm_type: 0 spot, 1 forward, 2 delta-neutral
            straddle, 3 largest vega, 4 largest gamma, 5 call and put delta one half (forward delta, type 1, only).
        outputs: float64 vectors to write, in the order of OUTPUTS, or None for those not wanted. strike: domestic per
            foreign; its derivative per 1.00 of volatility.
        status: uint8 vector to write: 0, or FailureReason.NUMERICAL where the row is outside the domain or a result
            overflows; all its outputs are then NaN.

    Raises:
        ValueError: a count, length or dtype is wrong.

    Source: D. Reiswich and U. Wystup, FX volatility smile construction, Wilmott (2012).
    """
    run_columns(atm_strike_loop, COLUMNS, OUTPUTS, columns, outputs, status)
