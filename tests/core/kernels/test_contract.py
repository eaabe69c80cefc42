"""The contract of kernels that other packages add: what is refused, with which sentence, and what every call guards."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from xip_core.errors import FailureReason
from xip_core.kernels.contract import ContractError, checked, guarded
from xip_core.kernels.extension import Column, ExtensionKernel, Output

Arrays = tuple[np.ndarray, ...]


def twice(columns: Arrays, outputs: Arrays, status: np.ndarray) -> None:
    (x,) = columns
    outputs[0][:] = 2.0 * x
    status[:] = np.where(x < 0.0, FailureReason.NUMERICAL, 0)


def a_kernel(**changes: Any) -> ExtensionKernel:
    kernel = ExtensionKernel(
        name="desk.twice",
        version="1",
        summary="Twice the value",
        columns=(Column("x", "any", ">= 0"),),
        outputs=(Output("pv", "as x"),),
        source="arithmetic",
        function=twice,
        sample={"x": [1.0, 2.0, 3.5, -1.0, 0.0]},
    )
    return msgspec.structs.replace(kernel, **changes)


def written(write: Callable[[np.ndarray, np.ndarray, np.ndarray], None]) -> ExtensionKernel:
    """A kernel whose function is *write*(x, pv, status)."""
    return a_kernel(function=lambda columns, outputs, status: write(columns[0], outputs[0], status))


def test_a_kernel_that_keeps_the_contract_passes() -> None:
    kernel = a_kernel()
    assert checked(kernel, "desk.twice") is kernel


X, PV = Column("x", "any", "finite"), Output("pv", "any")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "desk.thrice"}, "name must be that of its entry point, 'desk.twice', got 'desk.thrice'"),
        ({"version": ""}, "version must be 1 to 40 letters, digits, dots and dashes, got ''"),
        ({"version": "1+2"}, "got '1\\+2'"),
        ({"summary": " "}, "summary must say something"),
        ({"source": ""}, "source must say something"),
        ({"row_s": 0.0}, "row_s must be seconds above 0 and up to 60, got 0.0"),
        ({"row_s": float("nan")}, "row_s must be seconds above 0 and up to 60, got nan"),
        ({"function": "twice"}, "function must be callable, got 'twice'"),
        ({"columns": ()}, "must have 1 to 64 columns, got 0"),
        ({"outputs": ()}, "must have 1 to 64 outputs, got 0"),
        ({"columns": (X, X)}, "each column must have its own name, 'x' is there twice"),
        ({"columns": (Column("X y", "any", "any"),)}, "lower-case names such as dividend_yield, got 'X y'"),
        ({"columns": (Column("x", "", "any"),)}, "column x must have a unit"),
        ({"columns": (Column("x", "any", ""),)}, "column x must have a domain"),
        ({"outputs": (Output("status", "any"),)}, "must not be called row or status"),
        ({"sample": {"y": [1.0] * 4}}, "sample must have the columns x, got y"),
        ({"sample": {"x": [1.0]}}, r"must have 4 to 1000 rows, x has shape \(1,\)"),
        ({"sample": {"x": ["a"] * 4}}, "sample column x must be numbers"),
        ({"sample": {"x": [-1.0] * 4}}, "sample must have a row it can price, all 4 have a status"),
        ({"columns": (X, Column("z", "any", "any")), "sample": {"x": [1.0] * 4, "z": [1.0] * 5}}, "z has 5, not 4"),
    ],
)
def test_a_declaration_that_breaks_the_contract_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        checked(a_kernel(**changes), "desk.twice")


@pytest.mark.parametrize("name", ["equity.twice", "table.twice", "xip.twice", "twice", "Desk.twice", "desk..twice"])
def test_a_name_outside_a_namespace_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match="its name must"):
        checked(a_kernel(name=name), name)


def test_the_kernel_of_the_documentation_keeps_the_contract() -> None:
    document = (Path(__file__).resolve().parents[3] / "docs/kernels.md").read_text()
    snippet = document.split("## Your own kernel")[1].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(snippet, names)
    kernel = checked(names["FORWARD"], "acme.forward")
    pv, status = np.empty(2), np.empty(2, np.uint8)
    guarded(kernel)((np.array([100.0]), np.array([0.05]), np.array([2.0, -1.0])), (pv,), status)
    assert (pv[0], np.isnan(pv[1]), status.tolist()) == (110.00000000000001, True, [0, FailureReason.NUMERICAL])


def test_an_entry_point_that_is_no_kernel_is_refused() -> None:
    with pytest.raises(ContractError, match="must name an ExtensionKernel, got dict"):
        checked({}, "desk.twice")


def change_input(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:] = x
    x += 1.0


def leave_nan(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:] = np.where(x == 3.5, np.nan, x)


def forget_to_write(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:-1] = x[:-1]


def status_of_its_own(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:] = x
    status[2] = 77


def look_at_neighbours(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:] = x - x.mean()


def look_at_the_one_before(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:] = np.cumsum(np.broadcast_to(x, pv.shape))


def wrong_shape(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:] = np.zeros(len(pv) + 1)


def depend_on_the_count(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
    pv[:] = x + (len(status) == 1) * 1e-9


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (change_input, "must not change its inputs, column x is not what it was"),
        (leave_nan, "a row with status 0 must have finite outputs, pv of sample row 2 is nan"),
        (forget_to_write, "pv of sample row 4 is nan"),
        (status_of_its_own, "a status must be 0 or a FailureReason, sample row 2 has 77"),
        (look_at_neighbours, "the same bytes in any tiling, but evaluated in halves pv of sample row 0 is"),
        (look_at_the_one_before, "the same bytes in any tiling, but evaluated in halves pv of sample row 2 is"),
        (depend_on_the_count, "the same bytes in any tiling, but evaluated less the first row pv of sample row 0"),
        (wrong_shape, "must evaluate its own sample, 5 rows of it raised ValueError: could not broadcast"),
    ],
)
def test_a_function_that_breaks_the_contract_is_refused(
    write: Callable[[np.ndarray, np.ndarray, np.ndarray], None], sentence: str
) -> None:
    with pytest.raises(ContractError, match=sentence):
        checked(written(write), "desk.twice")


def test_a_function_with_a_memory_is_refused() -> None:
    calls = itertools.count()

    def drift(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
        pv[:] = x + next(calls)

    with pytest.raises(ContractError, match="but evaluated again pv of sample row 0 is"):
        checked(written(drift), "desk.twice")


def test_a_function_that_forgets_columns_of_one_value_is_refused() -> None:
    def weigh(columns: Arrays, outputs: Arrays, status: np.ndarray) -> None:
        x, weight = columns
        outputs[0][:] = x * (weight if len(weight) == len(x) else 0.0)

    kernel = a_kernel(
        columns=(X, Column("weight", "any", "finite")),
        function=weigh,
        sample={"x": [1.0, 2.0, 3.0, 4.0], "weight": [0.5] * 4},
    )
    with pytest.raises(ContractError, match="of columns of one value pv of sample row 0 is"):
        checked(kernel, "desk.twice")


def call(kernel: ExtensionKernel, *x: float) -> tuple[list[float], list[int]]:
    pv, status = np.empty(len(x)), np.empty(len(x), np.uint8)
    guarded(kernel)((np.array(x),), (pv,), status)
    return pv.tolist(), status.tolist()


@pytest.mark.parametrize(
    ("write", "row", "reason"),
    [
        (leave_nan, 2, FailureReason.NUMERICAL),
        (forget_to_write, 4, FailureReason.NUMERICAL),
        (status_of_its_own, 2, FailureReason.NUMERICAL),
    ],
)
def test_a_call_leaves_no_number_silently_missing(
    write: Callable[[np.ndarray, np.ndarray, np.ndarray], None], row: int, reason: FailureReason
) -> None:
    pv, status = call(written(write), 1.0, 2.0, 3.5, 1.0, 9.0)
    assert status == [reason if position == row else 0 for position in range(5)]
    assert [np.isnan(value) for value in pv] == [position == row for position in range(5)]


def test_a_status_that_is_a_reason_stays_what_it_is() -> None:
    def expire(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
        pv[:] = x
        status[:] = np.where(x == 0.0, FailureReason.EXPIRED, 0)

    assert call(written(expire), 1.0, 0.0)[1] == [0, FailureReason.EXPIRED]
    assert np.isnan(call(written(expire), 1.0, 0.0)[0][1])


def test_inputs_of_a_call_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        call(written(change_input), 1.0, 2.0)


def test_what_a_kernel_does_to_the_shape_of_an_output_stays_with_the_kernel() -> None:
    def reshape(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
        flat = pv.reshape(1, -1)
        flat[:] = x
        status.shape = (1, len(x))

    assert call(written(reshape), 1.0, 2.0) == ([1.0, 2.0], [0, 0])


def test_a_kernel_that_asks_the_process_to_end_raises_an_ordinary_error() -> None:
    def leave(x: np.ndarray, pv: np.ndarray, status: np.ndarray) -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match=r"kernel desk.twice must not end its process, it raised SystemExit\(3\)"):
        call(written(leave), 1.0)
