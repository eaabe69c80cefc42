"""xip_core.kernels.option_rows: the bytes of the kernels it is made of, for every split and level; refused programs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS
from xip_core.kernels import option_rows, terms
from xip_core.kernels.level import load_module

FACTORS = 12
NORMAL, TOTAL_VARIANCE, RATIO = 1, 2, 4
Arrays = dict[str, Any]


def a_list(draw: np.random.Generator, options: int, scale: float) -> tuple[np.ndarray, ...]:
    """One or two terms an option, positive: amount * (1 + a linear pair or none) * exp(two pairs)."""
    sizes = draw.integers(1, 3, options)
    count = int(sizes.sum())
    linear = draw.integers(0, 2, count)
    return (
        np.r_[0, np.cumsum(sizes)].astype(np.int32),
        scale * draw.uniform(0.5, 1.5, count),
        np.ones(count),
        np.arange(0, 2 * count + 1, 2, dtype=np.int32),
        draw.integers(0, FACTORS, 2 * count).astype(np.int32),
        draw.normal(0.0, 0.5, 2 * count),
        np.r_[0, np.cumsum(linear)].astype(np.int32),
        draw.integers(0, FACTORS, linear.sum()).astype(np.int32),
        draw.uniform(0.0, 0.5, linear.sum()),
    )


def a_book(options: int = 60, scenarios: int = 150, seed: int = 5) -> Arrays:
    """Rows of up to three options of all kinds; strikes, times, volatilities and amounts at and beyond their edges."""
    draw = np.random.default_rng(seed)
    sizes: list[int] = []
    while sum(sizes) < options:
        sizes.append(min(int(draw.integers(0, 4)), options - sum(sizes)))
    kind = draw.choice([0, NORMAL, TOTAL_VARIANCE, RATIO, NORMAL | RATIO, TOTAL_VARIANCE | RATIO], options)
    strike = draw.uniform(0.5, 1.5, options)
    strike[draw.random(options) < 0.1] *= -1.0  # outside Black's domain
    time = draw.choice([0.0, 0.3, 1.0, 10.0, -1.0], options, p=[0.1, 0.3, 0.3, 0.25, 0.05])
    market = draw.normal(0.0, 0.1, (FACTORS, scenarios))
    market[0] = np.abs(market[0])
    market[1, 7] = np.nan
    market[2, 9] = 1e6  # an exponential overflows
    return {
        "market": market,
        "forward": a_list(draw, options, 1.0),
        "discount": a_list(draw, options, 0.9),
        "volatility": (
            np.arange(options + 1, dtype=np.int32),
            draw.choice([0, 0, 0, 3], options).astype(np.int32),
            draw.uniform(0.5, 2.0, options),
        ),
        "options": (
            np.r_[0, np.cumsum(sizes)].astype(np.int32),
            draw.normal(0.0, 1e6, options),
            strike,
            time,
            draw.integers(0, 2, options).astype(float),
            kind.astype(np.uint8),
        ),
    }


def inputs_of(book: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forward, volatility and discount, (options, scenarios) each, from the kernel of terms."""
    _, _, _, time, _, kind = book["options"]
    forward = terms.rows(book["market"], *book["forward"])
    discount = terms.rows(book["market"], *book["discount"])
    is_ratio = (kind & RATIO) != 0
    with np.errstate(all="ignore"):
        forward[is_ratio] /= discount[is_ratio]
        volatility = terms.gather_linear(book["market"], *book["volatility"])
        years = np.where(time > 0.0, time, 1.0)[:, None]
        volatility = np.where((kind & TOTAL_VARIANCE)[:, None] != 0, np.sqrt(volatility / years), volatility)
    volatility[time <= 0.0] = 0.0
    return forward, volatility, discount


def by_parts(book: Arrays) -> np.ndarray:
    """The same numbers from the kernels one after the other: terms, pairs, European prices, sums."""
    row_begin, amount, strike, time, is_call, kind = book["options"]
    forward, volatility, discount = inputs_of(book)
    shape = forward.shape
    price = np.empty(shape)
    for module, chosen in (("black", (kind & NORMAL) == 0), ("bachelier", (kind & NORMAL) != 0)):
        fields = (forward, strike[:, None], time[:, None], volatility, discount, is_call[:, None])
        columns = tuple(np.broadcast_to(field, shape)[chosen].ravel() for field in fields)
        outputs: list[np.ndarray | None] = [None] * len(load_module(module).OUTPUTS)
        outputs[0] = found = np.empty(len(columns[0]))
        load_module(module).european(columns, tuple(outputs), np.empty(len(found), np.uint8))
        price[chosen] = found.reshape(-1, shape[1])
    return terms.gather_linear(price, row_begin, np.arange(shape[0], dtype=np.int32), amount)


def test_call_on_a_forward_of_two_factors_is_worth_what_a_person_computes() -> None:
    """F = 100 exp(0.05), D = 0.9, sigma 20 %, one year; Black's formula with the error function of the math module."""
    none = (np.zeros(2, np.int32), np.empty(0, np.int32), np.empty(0))
    one = (np.array([0, 1], np.int32), np.array([0], np.int32), np.ones(1))
    value = option_rows.rows(
        np.array([[0.05], [0.2]]),
        (np.array([0, 1], np.int32), np.array([100.0]), np.ones(1), *one, *none),
        (np.array([0, 1], np.int32), np.array([0.9]), np.ones(1), *none, *none),
        (np.array([0, 1], np.int32), np.array([1], np.int32), np.ones(1)),
        (np.array([0, 1], np.int32), np.array([3.0]), np.array([100.0]), np.ones(1), np.ones(1), np.zeros(1, np.uint8)),
    )
    forward, sigma = 100.0 * math.exp(0.05), 0.2
    d1 = math.log(forward / 100.0) / sigma + 0.5 * sigma

    def normal_cdf(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2.0))

    expected = 3.0 * 0.9 * (forward * normal_cdf(d1) - 100.0 * normal_cdf(d1 - sigma))
    assert value.tolist() == [[pytest.approx(expected, rel=1e-14)]]


@pytest.mark.parametrize("seed", range(5))
def test_values_are_to_the_byte_those_of_the_kernels_one_after_the_other(seed: int) -> None:
    book = a_book(seed=seed)
    expected = by_parts(book)
    assert np.isnan(expected[:, 7]).any()
    assert np.isfinite(expected).mean() > 0.3
    assert option_rows.rows(**book).tobytes() == expected.tobytes()
    assert option_rows.priced(*inputs_of(book), book["options"]).tobytes() == expected.tobytes()


@pytest.mark.parametrize("level", LEVELS)
def test_a_cell_has_the_same_bytes_for_every_level_and_every_split(level: str) -> None:
    book = a_book()
    whole = by_parts(book)
    module = load_module("option_rows", level)
    for begin, end in [(0, 150), (0, 1), (5, 12), (3, 67), (64, 128), (9, 10)]:
        part = book | {"market": np.ascontiguousarray(book["market"][:, begin:end])}
        assert module.rows(**part).tobytes() == whole[:, begin:end].tobytes(), (begin, end)
        inputs = [np.ascontiguousarray(values[:, begin:end]) for values in inputs_of(book)]
        assert module.priced(*inputs, book["options"]).tobytes() == whole[:, begin:end].tobytes(), (begin, end)


def test_rows_without_options_are_worth_nothing() -> None:
    book = a_book()
    row_begin, *others = book["options"]
    value = option_rows.rows(**(book | {"options": (np.repeat(row_begin, 2), *others)}))
    assert (value[::2] == 0.0).all()
    assert value[1::2].tobytes() == option_rows.rows(**book).tobytes()
    assert option_rows.rows(**(a_book(options=0))).shape == (0, 150)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (0, lambda values: values[:-1], "row_begin must run from 0"),
        (0, lambda values: values[::-1].copy(), "row_begin must run from 0"),
        (1, lambda values: values[:-1], "strike must have|row_begin must run"),
        (2, lambda values: values[1:], "strike must have 60 values like amount, got 59"),
        (3, lambda values: values[:, None], "time must have 1 dimensions"),
        (5, lambda values: values.astype(np.int32), "kind must be uint8, got int32"),
        (5, lambda values: values[1:], "kind must have 60 values like amount"),
    ],
)
def test_options_of_unlike_lengths_or_types_are_refused(place: int, change: Any, message: str) -> None:
    book = a_book()
    options = tuple(change(values) if at == place else values for at, values in enumerate(book["options"]))
    with pytest.raises(ValueError, match=message):
        option_rows.rows(**(book | {"options": options}))


def test_lists_that_describe_other_options_or_factors_are_refused() -> None:
    book, other = a_book(), a_book(options=59)
    for name in ("forward", "discount", "volatility"):
        with pytest.raises(ValueError, match=f"{name} must describe 60 options like amount, got 59"):
            option_rows.rows(**(book | {name: other[name]}))
    with pytest.raises(ValueError, match=r"must lie in \[0, 3\)"):
        option_rows.rows(**(book | {"market": book["market"][:3]}))
    forward, volatility, discount = inputs_of(book)
    with pytest.raises(ValueError, match=r"discount must have shape \(60, 150\), got \(60, 149\)"):
        option_rows.priced(forward, volatility, discount[:, 1:], book["options"])
