"""What every exotic kernel promises: equal bytes everywhere, refused rows alone, catalogue entry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.core.kernels.exotic_book import FLAGS, KERNELS, SIGNED, exotic_book
from tests.core.kernels.levels import LEVELS, evaluate_at
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.catalogue import catalogue

ROWS = 700


@pytest.mark.parametrize("name", KERNELS)
def test_all_levels_give_the_same_bytes(name: str) -> None:
    columns = exotic_book(name, ROWS)
    columns["time"][::50] = 0.0
    if "first_fixing" in columns:
        columns["first_fixing"][::50] = 0.0
    for column in columns:
        if column.endswith("volatility"):
            columns[column][::35] = 0.0
        if column.endswith("spot"):
            columns[column][::60] = math.nan
    first = evaluate_at(LEVELS[0], name, columns)
    for level in LEVELS[1:]:
        other = evaluate_at(level, name, columns)
        assert [output for output in first if first[output].tobytes() != other[output].tobytes()] == [], level


@pytest.mark.parametrize("name", KERNELS)
def test_a_row_has_the_same_bytes_wherever_blocks_begin(name: str) -> None:
    columns = exotic_book(name, ROWS)
    whole = evaluate(name, **columns)
    for begin, end in [(0, 1), (1, 8), (3, 260), (255, 257), (256, 700), (699, 700)]:
        part = evaluate(name, **{column: values[begin:end] for column, values in columns.items()})
        for output, values in part.items():
            assert values.tobytes() == whole[output][begin:end].tobytes(), (output, begin, end)


@pytest.mark.parametrize("name", KERNELS)
def test_every_row_of_the_book_is_good(name: str) -> None:
    value = evaluate(name, **exotic_book(name, 5000))
    assert not value["status"].any()
    assert all(np.isfinite(value[output.name]).all() for output in catalogue()[name].outputs)
    assert (value["pv"] >= 0.0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0, 0.5])
@pytest.mark.parametrize("name", KERNELS)
def test_row_outside_the_domain_is_refused_and_its_neighbours_are_priced(name: str, bad: float) -> None:
    good = exotic_book(name, 5)
    before = evaluate(name, **good)
    for column in good:
        if (bad == -1.0 and column in SIGNED) or (bad == 0.5 and column not in FLAGS):
            continue
        columns = {key: values.copy() for key, values in good.items()}
        columns[column][2] = bad
        value = evaluate(name, **columns)
        assert value["status"].tolist() == [0, 0, FailureReason.NUMERICAL, 0, 0], column
        for output in catalogue()[name].outputs:
            assert np.isnan(value[output.name][2]), (column, output.name)
            kept = np.delete(value[output.name], 2), np.delete(before[output.name], 2)
            assert kept[0].tobytes() == kept[1].tobytes()
