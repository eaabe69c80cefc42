# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Options of a row program under scenarios: forward, discount, volatility and price in one pass (pricing/program.py).

    value[r, s] = sum over options o of row r of   amount[o] * price[o, s],  fma(amount, price, value) in their order

    forward     sum of terms, divided by the option's discount where it is a swap rate
    discount    sum of terms
    volatility  sum of pairs; its square root over the years where it is a total variance; 0 without time left
    price       Black's (black.pyx), Bachelier's where the volatility is a normal one (bachelier.pyx)

Each (option, block of SCENARIOS_PER_BLOCK scenarios) is evaluated on the stack, so nothing of size options x scenarios
is ever written. A cell's operations are those of `terms.rows`, `terms.gather_linear` and the two European kernels one
after the other, in that order, so its bytes are theirs, whatever the block or the CPU level.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t

from xip_core.kernels.domain cimport if_good
from xip_core.kernels.elementary cimport NAN, fma_, sqrt
from xip_core.kernels.european_points cimport BachelierValue, BlackValue, bachelier_point, black_point
from xip_core.kernels.term_loops cimport (
    LANE_GROUP,
    SCENARIOS_PER_BLOCK,
    Market,
    Program,
    Sparse,
    dot_block,
    row_block,
)

include "term_doors.pxi"

cdef enum:
    KIND_NORMAL = 1             # bits of a kind, as xip_core/pricing/program.py has them
    KIND_TOTAL_VARIANCE = 2
    KIND_RATIO = 4

cdef struct Options:
    Py_ssize_t row_count
    const int64_t* row_begin
    const double* amount
    const double* strike
    const double* time
    const double* is_call
    const uint8_t* kind


# ---- point and loops -------------------------------------------------------------------------------------------------

cdef void black_block(
        Py_ssize_t count, double strike, double time, double is_call,
        const double* forward, const double* volatility, const double* discount,
        double* price) noexcept nogil:                          # OUT
    cdef BlackValue value
    cdef Py_ssize_t s
    for s in range(count):
        value = black_point(forward[s], strike, time, volatility[s], discount[s], is_call)
        price[s] = if_good(value.is_good, value.pv)


cdef void bachelier_block(
        Py_ssize_t count, double strike, double time, double is_call,
        const double* forward, const double* volatility, const double* discount,
        double* price) noexcept nogil:                          # OUT
    cdef BachelierValue value
    cdef Py_ssize_t s
    for s in range(count):
        value = bachelier_point(forward[s], strike, time, volatility[s], discount[s], is_call)
        price[s] = if_good(value.is_good, value.pv)


cdef void add_option(
        Options options, Py_ssize_t option, Py_ssize_t count,
        const double* forward, const double* volatility, const double* discount,
        double* total) noexcept nogil:                          # IN and OUT
    """One more option of a row; *count* is whole lane groups."""
    cdef double price[SCENARIOS_PER_BLOCK]
    cdef double strike = options.strike[option], time = options.time[option], is_call = options.is_call[option]
    cdef double amount = options.amount[option]
    cdef Py_ssize_t s
    if options.kind[option] & KIND_NORMAL:
        bachelier_block(count, strike, time, is_call, forward, volatility, discount, price)
    else:
        black_block(count, strike, time, is_call, forward, volatility, discount, price)
    for s in range(count):
        total[s] = fma_(amount, price[s], total[s])


cdef inline void volatility_block(
        Market market, Sparse vectors, Options options, Py_ssize_t option, Py_ssize_t scenario, Py_ssize_t count,
        double* volatility) noexcept nogil:                     # OUT count values
    cdef double time = options.time[option], years = time if time > 0.0 else 1.0
    cdef Py_ssize_t s
    dot_block(market, scenario, count, vectors, option, 0.0, volatility)
    if options.kind[option] & KIND_TOTAL_VARIANCE:
        for s in range(count):
            volatility[s] = sqrt(volatility[s] / years)
    if time <= 0.0:
        for s in range(count):
            volatility[s] = 0.0


cdef void finish_block(Py_ssize_t count, const double* total, double* pv) noexcept nogil:
    cdef Py_ssize_t s
    for s in range(count):
        pv[s] = total[s] if total[s] == total[s] else NAN


cdef void rows_loop(
        Market market, Program forwards, Program discounts, Sparse volatilities, Options options,
        double* pv) noexcept nogil:                             # OUT (row_count, scenario_count)
    """Blocks of scenarios outside, rows inside: the block of the market stays in cache from row to row."""
    cdef double forward[SCENARIOS_PER_BLOCK]
    cdef double volatility[SCENARIOS_PER_BLOCK]
    cdef double discount[SCENARIOS_PER_BLOCK]
    cdef double total[SCENARIOS_PER_BLOCK]
    cdef Py_ssize_t scenario = 0, count, padded, row, option, s
    for s in range(SCENARIOS_PER_BLOCK):
        forward[s] = volatility[s] = discount[s] = 1.0          # lanes beyond the scenarios are computed, not read
    while scenario < market.scenario_count:
        count = min(market.scenario_count - scenario, <Py_ssize_t> SCENARIOS_PER_BLOCK)
        padded = (count + LANE_GROUP - 1) & ~<Py_ssize_t> (LANE_GROUP - 1)
        for row in range(options.row_count):
            for s in range(SCENARIOS_PER_BLOCK):
                total[s] = 0.0
            for option in range(options.row_begin[row], options.row_begin[row + 1]):
                row_block(market, forwards, option, scenario, count, forward)
                row_block(market, discounts, option, scenario, count, discount)
                volatility_block(market, volatilities, options, option, scenario, count, volatility)
                if options.kind[option] & KIND_RATIO:
                    for s in range(count):
                        forward[s] = forward[s] / discount[s]
                add_option(options, option, padded, forward, volatility, discount, total)
            finish_block(count, total, pv + row * market.scenario_count + scenario)
        scenario += count


cdef void priced_loop(
        Options options, Py_ssize_t scenario_count,
        const double* forwards, const double* volatilities, const double* discounts,
        double* pv) noexcept nogil:                             # OUT (row_count, scenario_count)
    cdef double forward[SCENARIOS_PER_BLOCK]
    cdef double volatility[SCENARIOS_PER_BLOCK]
    cdef double discount[SCENARIOS_PER_BLOCK]
    cdef double total[SCENARIOS_PER_BLOCK]
    cdef Py_ssize_t scenario = 0, count, padded, row, option, s, at
    for s in range(SCENARIOS_PER_BLOCK):
        forward[s] = volatility[s] = discount[s] = 1.0
    while scenario < scenario_count:
        count = min(scenario_count - scenario, <Py_ssize_t> SCENARIOS_PER_BLOCK)
        padded = (count + LANE_GROUP - 1) & ~<Py_ssize_t> (LANE_GROUP - 1)
        for row in range(options.row_count):
            for s in range(SCENARIOS_PER_BLOCK):
                total[s] = 0.0
            for option in range(options.row_begin[row], options.row_begin[row + 1]):
                at = option * scenario_count + scenario
                for s in range(count):
                    forward[s] = forwards[at + s]
                    volatility[s] = volatilities[at + s]
                    discount[s] = discounts[at + s]
                add_option(options, option, padded, forward, volatility, discount, total)
            finish_block(count, total, pv + row * scenario_count + scenario)
        scenario += count


# ---- doors -----------------------------------------------------------------------------------------------------------

cdef class HeldOptions:
    """Checked arrays of the options of some rows."""
    cdef Held row_begin, amount, strike, time, is_call, kind
    cdef Options options

    def __cinit__(self, tuple columns):
        if len(columns) != 6:
            raise ValueError(f"options must be six arrays: row_begin, amount, strike, .., got {len(columns)}")
        self.row_begin = Held(columns[0], np.int64, "row_begin")
        self.amount = Held(columns[1], np.float64, "amount")
        self.strike = Held(columns[2], np.float64, "strike")
        self.time = Held(columns[3], np.float64, "time")
        self.is_call = Held(columns[4], np.float64, "is_call")
        kinds = np.asarray(columns[5])
        if kinds.dtype != np.uint8:
            raise ValueError(f"kind must be uint8, got {kinds.dtype.name}")
        self.kind = Held(kinds, np.uint8, "kind")
        cdef Py_ssize_t option_count = self.amount.size(), row
        cdef Held held
        for held, name in (
                (self.strike, "strike"), (self.time, "time"), (self.is_call, "is_call"), (self.kind, "kind")):
            if held.size() != option_count:
                raise ValueError(f"{name} must have {option_count} values like amount, got {held.size()}")
        self.options.row_count = self.row_begin.size() - 1
        self.options.row_begin = <const int64_t*> self.row_begin.view.buf
        self.options.amount = <const double*> self.amount.view.buf
        self.options.strike = <const double*> self.strike.view.buf
        self.options.time = <const double*> self.time.view.buf
        self.options.is_call = <const double*> self.is_call.view.buf
        self.options.kind = <const uint8_t*> self.kind.view.buf
        if self.options.row_count < 0 or self.options.row_begin[0] != 0 or (
                self.options.row_begin[self.options.row_count] != option_count):
            raise ValueError(f"row_begin must run from 0 to the count of options, {option_count}")
        for row in range(self.options.row_count):
            if self.options.row_begin[row] > self.options.row_begin[row + 1]:
                raise ValueError(f"row_begin must not decrease, it does after place {row}")


def rows(market, tuple forward, tuple discount, tuple volatility, tuple options):
    """
    Value of the options of every row under every scenario.

    Args:
        market: float64 (factor_count, scenario_count), C order.
        forward, discount: a list of terms per option each, the nine arrays that `terms.rows` takes behind the market.
        volatility: the (factor, weight) pairs of each option: int32 (option_count + 1,), int32 and float64.
        options: row_begin int32 or int64 (row_count + 1,), options of each row, from 0 to their count; amount, strike,
            time (years) and is_call (1 or 0), float64 (option_count,); kind uint8 (option_count,), bits: 1 normal
            volatility, 2 it is given as total variance, 4 the forward is to be divided by the discount.

    Returns:
        float64 (row_count, scenario_count) in the unit of amount * discount * strike; 0 where a row has no option, NaN
        where the price of one is outside its kernel's domain. Error: that of `terms.rows` in forward and discount, of
        `black.european` and `bachelier.european` in the price, and a rounding of each partial sum.

    Raises:
        ValueError: a dtype, a length, an offset or a factor index is wrong; nothing is read outside the arrays.

    Source: at the head of this file.
    """
    cdef TermProgram forwards = TermProgram(market, *forward), discounts = TermProgram(market, *discount)
    cdef HeldOptions held = HeldOptions(options)
    cdef Py_ssize_t option_count = held.amount.size()
    if len(volatility) != 3:
        raise ValueError(f"volatility must be three arrays, got {len(volatility)}")
    cdef Held begin = Held(volatility[0], np.int32, "volatility_begin")
    cdef Held factor = Held(volatility[1], np.int32, "volatility_factor")
    cdef Held weight = Held(volatility[2], np.float64, "volatility_weight")
    cdef Sparse vectors = read_sparse(begin, factor, weight, forwards.market.factor_count, "volatility")
    for what, count in (
            ("forward", forwards.program.row_count), ("discount", discounts.program.row_count),
            ("volatility", begin.size() - 1)):
        if count != option_count:
            raise ValueError(f"{what} must describe {option_count} options like amount, got {count}")
    result = np.empty((held.options.row_count, forwards.market.scenario_count))
    cdef Held target = Held(result, np.float64, "pv", 2)
    cdef double* pv = <double*> target.view.buf
    with nogil:
        rows_loop(forwards.market, forwards.program, discounts.program, vectors, held.options, pv)
    return result


def priced(forward, volatility, discount, tuple options):
    """
    The same from forwards, volatilities and discounts, where other kernels found these.

    Args:
        forward, volatility, discount: float64 (option_count, scenario_count), C order. options: as in `rows`; of kind
            only the first bit counts.

    Returns:
        as `rows`.

    Raises:
        ValueError: a dtype, a shape or an offset is wrong.
    """
    cdef Held forwards = Held(forward, np.float64, "forward", 2)
    cdef Held volatilities = Held(volatility, np.float64, "volatility", 2)
    cdef Held discounts = Held(discount, np.float64, "discount", 2)
    cdef HeldOptions held = HeldOptions(options)
    cdef Py_ssize_t option_count = held.amount.size(), scenario_count = forwards.size(1)
    cdef Held matrix
    for matrix, name in ((forwards, "forward"), (volatilities, "volatility"), (discounts, "discount")):
        if matrix.size(0) != option_count or matrix.size(1) != scenario_count:
            raise ValueError(
                f"{name} must have shape ({option_count}, {scenario_count}), got {matrix.array.shape}")
    result = np.empty((held.options.row_count, scenario_count))
    cdef Held target = Held(result, np.float64, "pv", 2)
    cdef double* pv = <double*> target.view.buf
    with nogil:
        priced_loop(
            held.options, scenario_count, <const double*> forwards.view.buf,
            <const double*> volatilities.view.buf, <const double*> discounts.view.buf, pv)
    return result
