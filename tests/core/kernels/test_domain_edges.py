"""Every kernel of the catalogue at every edge of its domain: that row is refused, the others keep their bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.core.kernels.domain_rows import columns_of, ordinary_row, read_domain, rows_outside, unknown_clauses
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.declarations import KERNELS, Kernel

# Ends of a range that are inside it but too dear to compute here: 2^24 paths.
DEAR = {"path_exponent"}


def name_of(kernel: Kernel) -> str:
    return kernel.name


@pytest.mark.parametrize("kernel", KERNELS, ids=name_of)
def test_ordinary_row_is_good(kernel: Kernel) -> None:
    row = ordinary_row(kernel)
    assert not any(math.isnan(cell) for cell in row.values()), f"give domain_rows.ORDINARY a value for {row}"
    assert int(evaluate(kernel.name, **row)["status"]) == 0, row


@pytest.mark.parametrize("kernel", KERNELS, ids=name_of)
def test_every_clause_of_the_domain_has_rows_that_break_it(kernel: Kernel) -> None:
    assert unknown_clauses(kernel) == [], "give domain_rows.CLAUSES rows that break them"


@pytest.mark.parametrize("kernel", KERNELS, ids=name_of)
def test_rows_just_outside_are_refused_and_their_neighbours_keep_their_bytes(kernel: Kernel) -> None:
    good, outside = ordinary_row(kernel), rows_outside(kernel)
    rows = [good]
    for _, row in outside:
        rows += [row, good]  # each bad row between two good ones
    alone, value = evaluate(kernel.name, **good), evaluate(kernel.name, **columns_of(rows))
    accepted = [what for (what, _), status in zip(outside, value["status"][1::2], strict=True) if status == 0]
    assert accepted == []
    assert set(value["status"][1::2].tolist()) == {FailureReason.NUMERICAL}
    assert not value["status"][::2].any()
    canonical = np.float64("nan").tobytes()
    for output in kernel.outputs:
        assert {cell.tobytes() for cell in value[output.name][1::2]} == {canonical}, output.name
        assert {cell.tobytes() for cell in value[output.name][::2]} == {alone[output.name].tobytes()}, output.name


@pytest.mark.parametrize("kernel", KERNELS, ids=name_of)
def test_the_ends_of_a_range_belong_to_it(kernel: Kernel) -> None:
    row = ordinary_row(kernel)
    ends = []
    for column in kernel.columns:
        outside, clauses = read_domain(column.domain, row)
        is_bound = any(other.domain.endswith(f" to {column.name}") for other in kernel.columns)
        if clauses or is_bound or column.name in DEAR:
            continue
        if column.domain == ">= 0":
            ends.append(row | {column.name: 0.0})
        elif " to " in column.domain and not column.domain.startswith("whole"):
            ends += [row | {column.name: math.nextafter(value, row[column.name])} for value in outside]
        elif column.domain.startswith("whole"):
            ends += [row | {column.name: outside[0] + 1.0}, row | {column.name: outside[2] - 1.0}]
    if ends:
        value = evaluate(kernel.name, **columns_of(ends))
        assert [end for end, status in zip(ends, value["status"], strict=True) if status] == []


def test_ranges_are_read_from_the_words_of_a_declaration() -> None:
    row = {"time": 2.0}
    assert read_domain("0 to time", row)[0] == [-5e-324, math.nextafter(2.0, 3.0)]
    assert read_domain("whole, 0 to 5000", row)[0] == [-1.0, 0.5, 5001.0]
    assert read_domain("0, 1, 2 or 3", row)[0][-1] == 4.0
    assert read_domain(">= 0; such and such; so, too", row) == ([-5e-324, -1.0], ["such and such", "so, too"])
    assert read_domain("below all", row) == ([], ["below all"])
