"""xip_core.kernels.terms: values against the twin, bytes for every split, gradients, refused programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS
from xip_core.kernels import terms
from xip_core.kernels.level import load_module
from xip_core.kernels.reference import terms_rows

FACTORS = 40
Program = dict[str, np.ndarray]


def a_market(scenarios: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.1, (FACTORS, scenarios))


def sparse(random: np.random.Generator, count: int, pairs_max: int, name: str) -> Program:
    begin = np.r_[0, np.cumsum(random.integers(0, pairs_max + 1, count))].astype(np.int32)
    return {
        f"{name}_begin": begin,
        f"{name}_factor": random.integers(0, FACTORS, begin[-1]).astype(np.int32),
        f"{name}_weight": random.normal(size=begin[-1]),
    }


def a_program(rows: int = 25, terms_max: int = 40, seed: int = 2) -> Program:
    """Rows of 0 to terms_max terms with 0 to 7 exponent and 0 to 3 linear pairs."""
    random = np.random.default_rng(seed)
    row_begin = np.r_[0, np.cumsum(random.integers(0, terms_max + 1, rows))]
    count = int(row_begin[-1])
    return (
        {"row_begin": row_begin, "amount": random.normal(size=count), "constant": random.normal(size=count)}
        | sparse(random, count, 7, "exponent")
        | sparse(random, count, 3, "linear")
    )


def only_rows(program: Program, begin: int, end: int) -> Program:
    """Rows begin to end of a program, as a program of its own."""
    first, last = program["row_begin"][begin], program["row_begin"][end]
    cut = {"row_begin": program["row_begin"][begin : end + 1] - first}
    cut |= {name: program[name][first:last] for name in ("amount", "constant")}
    for name in ("exponent", "linear"):
        offsets = program[f"{name}_begin"][first : last + 1]
        cut[f"{name}_begin"] = offsets - offsets[0]
        for column in ("factor", "weight"):
            cut[f"{name}_{column}"] = program[f"{name}_{column}"][offsets[0] : offsets[-1]]
    return cut


# ---- values ----------------------------------------------------------------------------------------------------------


def test_bond_of_two_flows_is_worth_what_a_person_computes() -> None:
    """5 * DF(1) + 105 * DF(2), log DF(1) half way between 0 and the knot at 2 years."""
    market = np.log(np.array([[0.9, 0.8]]))
    pv = terms.rows(
        market,
        row_begin=np.array([0, 2]),
        amount=np.array([5.0, 105.0]),
        constant=np.ones(2),
        exponent_begin=np.array([0, 1, 2], np.int32),
        exponent_factor=np.array([0, 0], np.int32),
        exponent_weight=np.array([0.5, 1.0]),
        linear_begin=np.zeros(3, np.int32),
        linear_factor=np.empty(0, np.int32),
        linear_weight=np.empty(0),
    )
    assert pv == pytest.approx(np.array([[5 * 0.9**0.5 + 105 * 0.9, 5 * 0.8**0.5 + 105 * 0.8]]), rel=1e-15)


@pytest.mark.parametrize("scenarios", [0, 1, 3, 7, 8, 63, 64, 65, 200])
def test_rows_agree_with_the_twin(scenarios: int) -> None:
    market, program = a_market(scenarios), a_program()
    expected = terms_rows(market, **{name: values.tolist() for name, values in program.items()})
    assert np.allclose(terms.rows(market, **program), expected, rtol=1e-13, atol=1e-13)


def test_program_without_rows_or_terms_gives_an_empty_or_zero_value() -> None:
    assert terms.rows(a_market(5), **a_program(rows=0)).shape == (0, 5)
    assert terms.rows(a_market(5), **a_program(rows=3, terms_max=0)).tolist() == [[0.0] * 5] * 3


def test_more_terms_than_a_chunk_are_added_in_order() -> None:
    """The narrow way takes 256 terms at a time; 1,000 in one row cross it three times."""
    program = a_program(rows=1, terms_max=2000, seed=9)
    assert program["row_begin"][-1] > 300
    wide = terms.rows(a_market(20), **program)
    assert terms.rows(np.ascontiguousarray(a_market(20)[:, :2]), **program).tobytes() == wide[:, :2].tobytes()


def test_gather_is_the_sparse_dot_product_and_its_exponential() -> None:
    market, vectors = a_market(70), sparse(np.random.default_rng(3), 30, 5, "x")
    linear = terms.gather_linear(market, vectors["x_begin"], vectors["x_factor"], vectors["x_weight"])
    growth = terms.gather_exp(market, vectors["x_begin"], vectors["x_factor"], vectors["x_weight"])
    for row in range(30):
        pairs = slice(vectors["x_begin"][row], vectors["x_begin"][row + 1])
        assert np.allclose(linear[row], vectors["x_weight"][pairs] @ market[vectors["x_factor"][pairs]], atol=1e-15)
    assert np.allclose(growth, np.exp(linear), rtol=1e-15)
    assert (growth[np.diff(vectors["x_begin"]) == 0] == 1.0).all()


def test_gradient_is_the_derivative_of_the_value() -> None:
    market, program = a_market(3), a_program()
    factors = np.arange(0, FACTORS, 3, dtype=np.int32)
    gradient = terms.gradient(market, **program, factors=factors, scenario=2)
    step = 1e-5
    for place, factor in enumerate(factors):
        moved = np.repeat(market[:, 2:], 4, axis=1)
        moved[factor] += step * np.array([-2, -1, 1, 2])
        values = terms.rows(moved, **program)
        numeric = (values[:, 0] - 8 * values[:, 1] + 8 * values[:, 2] - values[:, 3]) / (12 * step)
        assert np.allclose(gradient[:, place], numeric, rtol=1e-8, atol=1e-8)


# ---- the same bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_cell_has_the_same_bytes_for_every_level_and_every_split(level: str) -> None:
    market, program = a_market(150), a_program()
    whole = load_module("terms", LEVELS[-1]).rows(market, **program)
    module = load_module("terms", level)
    assert module.rows(market, **program).tobytes() == whole.tobytes()
    for begin, end in [(0, 1), (3, 10), (5, 69), (64, 128), (7, 150), (149, 150), (10, 12)]:
        part = module.rows(np.ascontiguousarray(market[:, begin:end]), **program)
        assert part.tobytes() == whole[:, begin:end].tobytes(), (begin, end)
    for begin, end in [(0, 1), (4, 20), (24, 25)]:
        part = module.rows(market, **only_rows(program, begin, end))
        assert part.tobytes() == whole[begin:end].tobytes(), (begin, end)


def test_nan_in_a_factor_reaches_only_the_cells_that_need_it() -> None:
    market, program = a_market(100), a_program()
    clean = terms.rows(market, **program)
    market[7, 50] = np.nan
    value = terms.rows(market, **program)
    needs = [
        7 in part["exponent_factor"] or 7 in part["linear_factor"]
        for part in (only_rows(program, row, row + 1) for row in range(25))
    ]
    assert np.isnan(value[:, 50]).tolist() == needs
    keep = np.arange(100) != 50
    assert value[:, keep].tobytes() == clean[:, keep].tobytes()


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("exponent_factor", lambda values: np.where(values == values[0], FACTORS, values), r"in \[0, 40\), got 40"),
        ("linear_factor", lambda values: values - FACTORS, r"linear_factor must lie in \[0, 40\)"),
        ("exponent_begin", lambda values: values[::-1].copy(), "exponent_begin must run from 0"),
        ("linear_begin", lambda values: values[:-1], "linear_begin must run from 0|must describe"),
        ("row_begin", lambda values: values + 1, "row_begin must run from 0"),
        ("row_begin", lambda values: values[:0], "row_begin must run from 0"),
        ("row_begin", lambda values: values * 2**40, "row_begin must run from 0"),
        ("amount", lambda values: values[:-1], "must describe"),
        ("constant", lambda values: values[:-1], "must describe"),
        ("exponent_weight", lambda values: values[:-1], "exponent_weight must have one value per factor"),
        ("exponent_factor", lambda values: values.astype(float), "exponent_factor must be int32, got float64"),
        ("exponent_factor", lambda values: values.astype(np.int64) + 2**32, "must fit into int32"),
        ("amount", lambda values: values[:, None], "amount must have 1 dimensions"),
        ("amount", lambda values: values.astype(str), "amount must be float64"),
    ],
)
def test_program_that_points_outside_its_arrays_is_refused(column: str, change: Any, message: str) -> None:
    program = a_program()
    with pytest.raises(ValueError, match=message):
        terms.rows(a_market(4), **(program | {column: change(program[column])}))


def test_offsets_that_decrease_inside_are_refused() -> None:
    program = a_program()
    for column in ("row_begin", "exponent_begin", "linear_begin"):
        offsets = program[column].copy()
        offsets[3] = offsets[-1] + 1
        with pytest.raises(ValueError, match=f"{column} must not decrease"):
            terms.rows(a_market(4), **(program | {column: offsets}))


def test_market_of_one_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="market must have 2 dimensions"):
        terms.rows(a_market(1)[:, 0], **a_program())


def test_gradient_refuses_factors_and_scenarios_that_are_not_there() -> None:
    program = a_program()
    for factors, scenario in (([FACTORS], 0), ([-1], 0), ([1, 1], 0), ([1], 4), ([1], -1)):
        with pytest.raises(ValueError, match="must"):
            terms.gradient(a_market(4), **program, factors=np.array(factors, np.int32), scenario=scenario)
