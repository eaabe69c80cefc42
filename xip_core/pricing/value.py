"""Row programs under scenarios: the arithmetic of value tiles, all of it in kernels.

A cell's number depends on its row and its column of the market alone: term sums, gathers and option kernels work column
by column in a fixed order, and what is left to NumPy is elementwise +, -, *, / and sqrt. So any split of rows or
scenarios into tiles gives the same bytes.

Sensitivities are those of the base column: vega, gamma and theta from the option kernels (of rights on several days by
revaluing), delta from them and from the terms that carry the trade's own underlying (a term is proportional to it, so
1 % of the underlying is 1 % of the term), DV01 by revaluing with every zero rate one basis point up.
"""

from __future__ import annotations

import functools

import msgspec
import numpy as np

from xip_core.kernels import default_steps, option_rows, terms, tile_cells
from xip_core.kernels.level import load_module
from xip_core.pricing.averages import average_volatilities
from xip_core.pricing.cubic_volatilities import cubic_volatilities
from xip_core.pricing.layout_slots import YEAR_DAYS
from xip_core.pricing.polling import poll
from xip_core.pricing.program import (
    KIND_NORMAL,
    KIND_RATIO,
    KIND_TOTAL_VARIANCE,
    Floats,
    Ints,
    Sparse,
    TermList,
    sparse_of,
    term_list_of,
)
from xip_core.pricing.smile_values import apply_smiles
from xip_core.pricing.tile import Columns

UNDERLYING_STEP = 0.01  # report delta is for +1 % of the underlying
LOGNORMAL_STEP = 0.01  # report vega is for +0.01 of a lognormal volatility
NORMAL_STEP = 1e-4  # and for +1 bp of a normal one

PAIRS_PER_STEP = 80_000_000
"""(factor, weight) pairs times scenarios between two polls: 20 ms on the machine of bench/README.md, at 0.25 ns a pair
with its share of an exponential. So tiles of the usual length are valued in one step."""

SCENARIOS_PER_STEP_MIN = 32
"""Kernels run along scenarios: of fewer at once each costs up to twice as much."""

OPTION_PAIRS = 40
"""What pricing an option costs, in pairs."""

STEP_PAIRS = 10
"""And what default in a step does."""

NARROW_MAX = 7
"""Up to so many scenarios a list of terms is cheaper with its terms side by side (kernels/terms.pyx)."""


_TermArrays = tuple[Ints, Floats, Floats, Ints, Ints, Floats, Ints, Ints, Floats]


class OptionInputs(msgspec.Struct, frozen=True):
    """What options of a program are priced from under a market; arrays (O, S).

    Attributes:
        vega_slope: (A, S) change of the volatility of each option on an average when those of its prices move together.
    """

    forward: Floats
    volatility: Floats
    discount: Floats
    vega_slope: Floats | None


class OptionGreeks(msgspec.Struct, frozen=True):
    """Derivatives of options of a program under a market, and their forwards; arrays (O, S).

    Attributes:
        theta: per year that passes; forwards, discount factors and volatilities stand still.
    """

    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    forward: Floats


def row_values(columns: Columns, market: Floats) -> Floats:
    """
    PV of every row under every scenario; polls between blocks of scenarios.

    Args:
        columns: of a resolve tile (program.py).
        market: float64 (factor_count, scenario_count), C order.

    Returns:
        float64 (row_count, scenario_count), base currency; NaN where the market is.
    """
    scenario_count, per_step = market.shape[1], SCENARIOS_PER_STEP_MIN
    if scenario_count > per_step:
        per_step = max(per_step, PAIRS_PER_STEP // (_pair_count(columns) or 1))
    if scenario_count <= per_step:
        poll()
        return _block_values(columns, market)
    blocks = []
    for begin in range(0, scenario_count, per_step):
        poll()
        blocks.append(_block_values(columns, np.ascontiguousarray(market[:, begin : begin + per_step])))
    return np.concatenate(blocks, axis=1)


def _pair_count(columns: Columns) -> int:
    """Pairs read for one scenario; an option counts as OPTION_PAIRS beside its own."""
    pairs = sum([len(columns[name]) for name in _factor_columns(tuple(columns))])
    steps = len(columns["default_step"]) if "default_step" in columns else 0
    return pairs + OPTION_PAIRS * len(columns["option_amount"]) + STEP_PAIRS * steps


@functools.lru_cache(maxsize=64)  # a tile of one kind of rows has the names of every other
def _factor_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of pairs."""
    return tuple(name for name in names if name.endswith("_factor"))


def _block_values(columns: Columns, market: Floats) -> Floats:
    if len(columns["option_amount"]) and not any(len(columns[name]) for name in _BEFORE_OPTIONS):
        values = option_sums(columns, market)
        values += 0.0  # the sum of no terms, as beside other rows: -0.0 is none there
        return _with_defaults(values, columns, market)
    values = term_values(term_list_of(columns, "terms"), market)
    if len(columns["quotient_row"]):
        _add_quotients(values, columns, market)
    if len(columns["chain_amount"]):
        values += _chain_sums(columns, market)
    if len(columns["bermudan_row"]):
        values[columns["bermudan_row"]] += _bermudan_values(columns, market)  # one a row
    if len(columns["option_amount"]):
        values += option_sums(columns, market)
    return _with_defaults(values, columns, market)


_BEFORE_OPTIONS = ("terms_amount", "quotient_row", "chain_amount", "bermudan_row")


def _with_defaults(values: Floats, columns: Columns, market: Floats) -> Floats:
    if "default_step" in columns:
        values += default_values(columns, market) * _exp(sparse_of(columns, "spot"), market)
    return values


def row_delta(columns: Columns, base: Floats) -> Floats:
    """Change of each row for +1 % of its own underlying, in base currency; *base* is one column (factor_count, 1)."""
    weights = columns["terms_delta_weight"]
    listed = term_list_of(columns, "terms")
    if weights.any():
        weighted = msgspec.structs.replace(listed, amount=listed.amount * weights)
        delta = term_values(weighted, base)
    else:
        delta = np.zeros((len(listed.ptr) - 1, 1))
    if columns["option_delta_weight"].any():
        options = option_greeks(columns, base)
        weighted_amounts = columns["option_amount"] * columns["option_delta_weight"]
        delta += sum_options(columns, weighted_amounts, options.delta * options.forward)
    scaled: Floats = delta[:, 0] * UNDERLYING_STEP
    return scaled


def row_gamma(columns: Columns, base: Floats) -> Floats:
    """Change of each row's delta for +1 % of its own underlying, in base currency; *base* is one column.

    Terms are proportional to the underlying, so options alone have one.
    """
    if not columns["option_delta_weight"].any():
        return np.zeros(len(columns["option_ptr"]) - 1)
    options = option_greeks(columns, base)
    weighted_amounts = columns["option_amount"] * columns["option_delta_weight"]
    squares = options.gamma * options.forward * options.forward
    scaled: Floats = sum_options(columns, weighted_amounts, squares)[:, 0] * (UNDERLYING_STEP * UNDERLYING_STEP)
    return scaled


def row_theta(columns: Columns, base: Floats) -> Floats:
    """What a calendar day less of time to expiry does to the options of each row, in base currency; *base* is one
    column. Forwards, discount factors and volatilities stand still."""
    summed = np.zeros(len(columns["option_ptr"]) - 1)
    if len(columns["bermudan_row"]):
        from xip_core.pricing.bermudan import bermudan_decay  # which imports this module

        summed[columns["bermudan_row"]] += bermudan_decay(columns, base)[:, 0]
    if len(columns["option_amount"]):
        options = option_greeks(columns, base)
        summed += sum_options(columns, columns["option_amount"], options.theta)[:, 0] / YEAR_DAYS
    return summed


def row_vega(columns: Columns, base: Floats) -> Floats:
    """Change of each row for +0.01 of lognormal or +1 bp of normal volatility; *base* is one column."""
    summed = np.zeros(len(columns["option_ptr"]) - 1)
    if len(columns["bermudan_row"]):
        change = _bermudan_values(columns, base, 1.0) - _bermudan_values(columns, base)
        summed[columns["bermudan_row"]] += change[:, 0]
    if not len(columns["option_amount"]):
        return summed
    options = option_greeks(columns, base)
    steps = np.where(columns["option_kind"] & KIND_NORMAL, NORMAL_STEP, LOGNORMAL_STEP)
    summed += sum_options(columns, columns["option_amount"] * steps, options.vega)[:, 0]
    return summed


def _bermudan_values(columns: Columns, market: Floats, volatility_step: float = 0.0) -> Floats:
    from xip_core.pricing.bermudan import bermudan_values  # which imports this module

    return bermudan_values(columns, market, volatility_step)


def term_values(listed: TermList, market: Floats) -> Floats:
    """Sum of the terms of each item, (items, scenarios)."""
    return terms.rows(market, *_arrays_of(listed))


def _arrays_of(listed: TermList) -> _TermArrays:
    """In the order of the kernels' arguments."""
    exponent, linear = listed.exponent, listed.linear
    return (
        listed.ptr,
        listed.amount,
        listed.constant,
        exponent.ptr,
        exponent.factor,
        exponent.weight,
        linear.ptr,
        linear.factor,
        linear.weight,
    )


def spot_values(columns: Columns, base: Floats) -> Floats:
    """Base currency per unit of each row's own currency, (rows,)."""
    spot: Floats = _exp(sparse_of(columns, "spot"), base)[:, 0]
    return spot


def option_sums(columns: Columns, market: Floats) -> Floats:
    """Sum of the options of each row, (R, S), in base currency."""
    names = ("ptr", "amount", "strike", "time", "is_call", "kind")
    options = tuple([columns[f"option_{name}"] for name in names])
    if market.shape[1] <= NARROW_MAX or any(len(columns[name]) for name in _FROM_OTHER_KERNELS):
        inputs = option_inputs(columns, market)
        return option_rows.priced(inputs.forward, inputs.volatility, inputs.discount, options)
    forward, discount = (_arrays_of(term_list_of(columns, name)) for name in ("forward", "discount"))
    volatility = sparse_of(columns, "volatility")
    return option_rows.rows(
        market, forward, discount, (volatility.ptr, volatility.factor, volatility.weight), options
    )


_FROM_OTHER_KERNELS = ("cash_option", "smile_option", "cubic_option", "average_option")
"""Columns of options whose annuity or volatility is more than sums over the market."""


def option_inputs(columns: Columns, market: Floats) -> OptionInputs:
    """Forward, volatility and discount of each option."""
    forward = term_values(term_list_of(columns, "forward"), market)
    discount = term_values(term_list_of(columns, "discount"), market)
    is_ratio = (columns["option_kind"] & KIND_RATIO) != 0
    if is_ratio.any():
        forward[is_ratio] /= discount[is_ratio]
    if len(columns["cash_option"]):
        discount[columns["cash_option"]] = _cash_annuities(columns, forward[columns["cash_option"]], market)
    volatility = _volatilities(columns, market)
    if len(columns["smile_option"]):
        apply_smiles(volatility, columns, forward, market)
    if len(columns["cubic_option"]):
        volatility[columns["cubic_option"]] = cubic_volatilities(columns, market)
    averaged, slope = columns["average_option"], None
    if len(averaged):
        volatility[averaged], slope = average_volatilities(columns, market)
    return OptionInputs(forward, volatility, discount, slope)


def option_greeks(columns: Columns, market: Floats) -> OptionGreeks:
    """Derivatives of each option per unit of its amount, in base currency.

    Black's and Bachelier's price depend on volatility and time by the product sigma sqrt(T) alone, so theta at a fixed
    discount factor is -sigma vega / (2 T); an option on an average keeps its volatility.
    """
    inputs = option_inputs(columns, market)
    is_normal = (columns["option_kind"] & KIND_NORMAL) != 0
    delta, gamma, vega = (np.empty_like(inputs.forward) for _ in range(3))
    for module, chosen in (("black", ~is_normal), ("bachelier", is_normal)):
        if not chosen.any():
            continue
        fields = (inputs.forward, columns["option_strike"], columns["option_time"], inputs.volatility, inputs.discount)
        found = _greeks(module, [v[chosen] for v in (*fields, columns["option_is_call"])])
        delta[chosen], gamma[chosen], vega[chosen] = found
    time = columns["option_time"][:, None]
    theta = np.where(time > 0.0, -inputs.volatility * vega / (2.0 * np.where(time > 0.0, time, 1.0)), 0.0)
    if inputs.vega_slope is not None:
        vega[columns["average_option"]] *= inputs.vega_slope
    return OptionGreeks(delta, gamma, vega, theta, inputs.forward)


def sum_options(columns: Columns, amounts: Floats, values: Floats) -> Floats:
    """Sum of amount * value over the options of each row, in their order: (O, S) to (R, S)."""
    positions = np.arange(len(amounts), dtype=np.int32)
    return terms.gather_linear(values, columns["option_ptr"], positions, amounts)


def default_values(columns: Columns, market: Floats) -> Floats:
    """Sum of the defaults of each row, (R, S), in the row's own currency."""
    discount, survival = sparse_of(columns, "default_discount"), sparse_of(columns, "default_survival")
    return default_steps.rows(
        market,
        discount.ptr,
        discount.factor,
        discount.weight,
        survival.ptr,
        survival.factor,
        survival.weight,
        columns["default_begin"],
        columns["default_end"],
        columns["default_ptr"],
        columns["default_step"],
        columns["default_amount"],
        columns["default_growth"],
    )


def _greeks(module: str, inputs: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """Delta, gamma and vega of options; inputs are (n, S) or (n,)."""
    kernel = load_module(module)
    shape = inputs[0].shape
    flat = [np.ascontiguousarray(np.broadcast_to(v if v.ndim == 2 else v[:, None], shape)).ravel() for v in inputs]
    size = shape[0] * shape[1]
    outputs = {name: np.empty(size) for name in ("delta", "gamma", "vega")}
    ordered = tuple(outputs.get(name) for name in kernel.OUTPUTS)
    kernel.european(tuple(flat), ordered, np.empty(size, dtype=np.uint8))
    return outputs["delta"].reshape(shape), outputs["gamma"].reshape(shape), outputs["vega"].reshape(shape)


def _volatilities(columns: Columns, market: Floats) -> Floats:
    """(O, S); 0 where the option has no time left, NaN where a total variance is negative."""
    sparse = sparse_of(columns, "volatility")
    volatility = terms.gather_linear(market, sparse.ptr, sparse.factor, sparse.weight)
    time = columns["option_time"]
    is_variance = (columns["option_kind"] & KIND_TOTAL_VARIANCE) != 0
    if is_variance.any():
        years = np.where(time > 0.0, time, 1.0)[is_variance, None]
        with np.errstate(invalid="ignore"):  # negative variances become NaN, which the caller reports
            volatility[is_variance] = np.sqrt(volatility[is_variance] / years)
    volatility[time <= 0.0] = 0.0
    return volatility


def _cash_annuities(columns: Columns, forward: Floats, market: Floats) -> Floats:
    """Par-yield annuities (C, S): discount * sum of accrual * (1 + forward)^-time."""
    growth = 1.0 + forward
    log_growth, status = np.empty(growth.size), np.empty(growth.size, dtype=np.uint8)
    load_module("elementary").apply("log_", (growth.ravel(),), log_growth, status)
    coupon_count = len(columns["cash_amount"])
    each = np.arange(coupon_count + 1, dtype=np.int32)
    annuities = terms.rows(
        log_growth.reshape(growth.shape),
        columns["cash_ptr"],
        columns["cash_amount"],
        np.ones(coupon_count),
        each,
        columns["cash_factor"],
        columns["cash_weight"],
        np.zeros(coupon_count + 1, dtype=np.int32),
        np.empty(0, dtype=np.int32),
        np.empty(0),
    )
    return annuities * _exp(sparse_of(columns, "cash_discount"), market)


def _add_quotients(values: Floats, columns: Columns, market: Floats) -> None:
    """Add notional * D * (F - K) * tau / (1 + F * tau) of each FRA to its row."""
    discount, growth = sparse_of(columns, "quotient_discount"), sparse_of(columns, "quotient_growth")
    tile_cells.add_quotients(
        values,
        market,
        columns["quotient_row"],
        columns["quotient_notional"],
        columns["quotient_strike"],
        columns["quotient_accrual"],
        columns["quotient_index_accrual"],
        (discount.ptr, discount.factor, discount.weight),
        (growth.ptr, growth.factor, growth.weight),
    )


def _chain_sums(columns: Columns, market: Floats) -> Floats:
    """Sum of amount * discount * X over the chains of each row, (R, S); X as program.py has it, link by link."""
    growth = _exp(sparse_of(columns, "link_growth"), market)
    begins, sizes = columns["link_ptr"][:-1], np.diff(columns["link_ptr"])
    compounded = np.zeros((len(sizes), market.shape[1]))
    for position in range(int(sizes.max())):
        chains = np.flatnonzero(sizes > position)
        links = begins[chains] + position
        alpha, beta = columns["link_alpha"][links, None], columns["link_beta"][links, None]
        gamma, delta = columns["link_gamma"][links, None], columns["link_delta"][links, None]
        grown = growth[links]
        compounded[chains] = (alpha + beta * grown) * compounded[chains] + (gamma + delta * grown)
    values = compounded * _exp(sparse_of(columns, "chain_discount"), market)
    positions = np.arange(len(sizes), dtype=np.int32)
    summed: Floats = terms.gather_linear(values, columns["chain_ptr"], positions, columns["chain_amount"])
    return summed


def _exp(sparse: Sparse, market: Floats) -> Floats:
    return terms.gather_exp(market, sparse.ptr, sparse.factor, sparse.weight)
