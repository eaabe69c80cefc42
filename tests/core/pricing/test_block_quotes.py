"""Quotes of a block of scenarios: what builders read, what is refused and why, and who sees the base."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xip_core.errors import FailureReason
from xip_core.pricing.block_quotes import BlockQuotes, matrix_of, quote_matrix

BASE = {"A": 1.0, "B": 2.0, "TEXT": "n/a"}
CHANGED = [{}, {"A": 3.0}, {"A": -1.0, "TEXT": 4.0}, {"NEW": 5.0}, {"A": math.inf}, {"A": math.nan}]


def a_block() -> BlockQuotes:
    return BlockQuotes(BASE, matrix_of(CHANGED, BASE))


def test_a_scenario_is_the_snapshot_with_its_own_quotes_over_it() -> None:
    block = a_block()
    assert [dict(block[position]) for position in range(5)] == [{**BASE, **quotes} for quotes in CHANGED[:5]]
    assert math.isnan(float(block[5]["A"]))
    chosen = block.chosen(np.array([3, 1])).chosen(np.array([1]))
    assert [dict(quotes) for quotes in chosen] == [{**BASE, "A": 3.0}]


@pytest.mark.parametrize("must_be", ["finite", "positive", "not negative", "above -1"])
@pytest.mark.parametrize("names", [["A"], ["A", "B"], ["B"], ["TEXT"], ["B", "NEW"], []])
def test_a_block_reads_and_refuses_what_its_scenarios_do_one_by_one(names: list[str], must_be: str) -> None:
    block = a_block()
    matrix, failures = quote_matrix(block, names, must_be)
    expected, reasons = quote_matrix([dict(quotes) for quotes in block], names, must_be)
    assert matrix.tobytes() == expected.tobytes()
    assert failures == reasons
    assert matrix.shape == (len(names), len(CHANGED))


def test_the_first_quote_that_cannot_be_used_is_named() -> None:
    _, failures = quote_matrix(a_block(), ["A", "TEXT", "NEW"], "positive")
    assert {column: (failure.reason, str(failure.message)) for column, failure in failures.items()} == {
        0: (FailureReason.BAD_QUOTE, "quote TEXT must be a finite number, got n/a"),
        1: (FailureReason.BAD_QUOTE, "quote TEXT must be a finite number, got n/a"),
        2: (FailureReason.BAD_QUOTE, "quote A must be positive, got -1.0"),
        3: (FailureReason.BAD_QUOTE, "quote TEXT must be a finite number, got n/a"),
        4: (FailureReason.BAD_QUOTE, "quote A must be a finite number, got inf"),
        5: (FailureReason.BAD_QUOTE, "quote A must be a finite number, got nan"),
    }
    _, failures = quote_matrix(a_block().chosen(np.array([0, 3])), ["B", "NEW"])
    assert {column: failure.reason for column, failure in failures.items()} == {0: FailureReason.MISSING_DATA}
