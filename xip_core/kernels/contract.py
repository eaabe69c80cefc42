"""What must hold of a kernel that another package adds, checked where it can be: at load, and on every call.

At load (`checked`), on the declaration and on the kernel's own sample:

    declaration   name of its own namespace, version, columns with unit and domain, outputs, source
    outputs       every row that claims to be good has finite numbers; a status is 0 or a FailureReason
    inputs        not a bit of them changes
    purity        the same rows whole, halved, one by one, spread, and a second time give the same bytes

On every call (`guarded`): columns are read-only views; outputs start as NaN, so what was not written shows; a row whose
status is good and whose outputs are not all finite becomes NUMERICAL; a refused row is NaN in every output. What a
kernel does to the arrays' shapes stays with its own views of them.

What cannot be checked is caught elsewhere: a kernel that ends or blocks the process is a matter of leases
(`xip_scheduler.core`), one that gives other bits on another machine of the version its author must change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xip_core.errors import FailureReason
from xip_core.kernel_versions import KERNEL_VERSIONS, OPERATION_VERSIONS
from xip_core.kernels.extension import Column, ExtensionKernel, Output

Array: TypeAlias = npt.NDArray[Any]
Door: TypeAlias = Callable[[tuple[Array, ...], tuple[Array | None, ...], Array], None]

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
COLUMN_NAME = re.compile(r"[a-z][a-z0-9_]*")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME_LENGTH_MAX = 100
VERSION_LENGTH_MAX = 40
COLUMN_COUNT_MAX = 64
OUTPUT_COUNT_MAX = 64
SAMPLE_ROWS_MIN = 4
SAMPLE_ROWS_MAX = 1_000
ROW_S_MAX = 60.0
OUR_NAMESPACES = frozenset(name.partition(".")[0] for name in (*KERNEL_VERSIONS, *OPERATION_VERSIONS, "xip.kernels"))
RESERVED_COLUMNS = ("row", "status")
"""Names that stand beside the outputs in a block of results."""

_STATUSES = frozenset([0, *FailureReason])


class ContractError(Exception):
    """What must hold, and what was got."""


def checked(kernel: object, entry_name: str) -> ExtensionKernel:
    """
    *kernel*, the object behind the entry point *entry_name*, if it keeps the contract.

    Raises:
        ContractError: it does not.
    """
    if not isinstance(kernel, ExtensionKernel):
        raise ContractError(f"the entry point must name an ExtensionKernel, got {type(kernel).__name__}")
    _check_declaration(kernel, entry_name)
    _check_sample(kernel)
    return kernel


def guarded(kernel: ExtensionKernel) -> Door:
    """The kernel's function behind the checks of every call; outputs that nobody asked for are None."""
    output_count = len(kernel.outputs)
    function = kernel.function

    def call(columns: tuple[Array, ...], outputs: tuple[Array | None, ...], status: Array) -> None:
        row_count = len(status)
        written = [output if output is not None else np.empty(row_count) for output in outputs]
        assert len(written) == output_count, kernel.name
        for output in written:
            output.fill(np.nan)
        status.fill(0)
        try:
            function(tuple([_read_only(column) for column in columns]), tuple([out[:] for out in written]), status[:])
        except (SystemExit, KeyboardInterrupt) as error:  # would end a worker's slot without a word
            raise RuntimeError(f"kernel {kernel.name} must not end its process, it raised {error!r}") from error
        is_refused = status != 0
        for output in written:
            is_refused |= ~np.isfinite(output)
        if is_refused.any():
            status[is_refused & ~np.isin(status, _REASONS)] = FailureReason.NUMERICAL
            for output in written:
                output[is_refused] = np.nan

    return call


_REASONS = np.array([int(reason) for reason in FailureReason], np.uint8)


def _read_only(column: Array) -> Array:
    view = column[:]
    view.flags.writeable = False
    return view


def _check_declaration(kernel: ExtensionKernel, entry_name: str) -> None:
    if kernel.name != entry_name:
        raise ContractError(f"its name must be that of its entry point, {entry_name!r}, got {kernel.name!r}")
    if not NAME.fullmatch(kernel.name) or len(kernel.name) > NAME_LENGTH_MAX:
        raise ContractError(f"its name must be lower-case words joined by dots like acme.forward, got {kernel.name!r}")
    namespace = kernel.name.partition(".")[0]
    if namespace in OUR_NAMESPACES:
        raise ContractError(f"the first word of its name must be its package's own, {namespace!r} belongs to XiP")
    if not VERSION.fullmatch(kernel.version) or len(kernel.version) > VERSION_LENGTH_MAX:
        raise ContractError(
            f"its version must be 1 to {VERSION_LENGTH_MAX} letters, digits, dots and dashes, got {kernel.version!r}"
        )
    for what, text in (("summary", kernel.summary), ("source", kernel.source)):
        if not text.strip():
            raise ContractError(f"its {what} must say something, got {text!r}")
    if not (math.isfinite(kernel.row_s) and 0.0 < kernel.row_s <= ROW_S_MAX):
        raise ContractError(f"row_s must be seconds above 0 and up to {ROW_S_MAX:g}, got {kernel.row_s!r}")
    if not callable(kernel.function):
        raise ContractError(f"its function must be callable, got {kernel.function!r:.80}")
    _check_names("column", kernel.columns, COLUMN_COUNT_MAX)
    _check_names("output", kernel.outputs, OUTPUT_COUNT_MAX)
    for column in kernel.columns:
        if not column.domain.strip():
            raise ContractError(f"column {column.name} must have a domain such as '> 0', got {column.domain!r}")


def _check_names(what: str, declared: tuple[Column, ...] | tuple[Output, ...], count_max: int) -> None:
    if not 0 < len(declared) <= count_max:
        raise ContractError(f"it must have 1 to {count_max} {what}s, got {len(declared)}")
    names = [item.name for item in declared]
    for item in declared:
        if not COLUMN_NAME.fullmatch(item.name) or len(item.name) > NAME_LENGTH_MAX:
            raise ContractError(f"{what}s must have lower-case names such as dividend_yield, got {item.name!r}")
        if item.name in RESERVED_COLUMNS:
            raise ContractError(f"{what}s must not be called {' or '.join(RESERVED_COLUMNS)}, got {item.name!r}")
        if names.count(item.name) > 1:
            raise ContractError(f"each {what} must have its own name, {item.name!r} is there twice")
        if not item.unit.strip():
            raise ContractError(f"{what} {item.name} must have a unit, got {item.unit!r}")


def _check_sample(kernel: ExtensionKernel) -> None:
    columns = _sample_columns(kernel)
    row_count = len(columns[0])
    before = [column.tobytes() for column in columns]
    whole = _evaluated(kernel, columns, is_writable=True)
    for column, values, original in zip(kernel.columns, columns, before, strict=True):
        if values.tobytes() != original:
            raise ContractError(f"it must not change its inputs, column {column.name} is not what it was")
    status, raw = whole[-1], whole[:-1]
    for code in np.unique(status).tolist():
        if code not in _STATUSES:
            row = int(np.argmax(status == code))
            raise ContractError(f"a status must be 0 or a FailureReason, sample row {row} has {code}")
    for output, values in zip(kernel.outputs, raw, strict=True):
        silent = (status == 0) & ~np.isfinite(values)
        if silent.any():
            row = int(np.argmax(silent))
            raise ContractError(
                f"a row with status 0 must have finite outputs, {output.name} of sample row {row} is {values[row]}"
            )
    if (status != 0).all():
        raise ContractError(f"its sample must have a row it can price, all {row_count} have a status")
    for how, pieces in _splits(row_count):
        parts = [_evaluated(kernel, [column[begin:end] for column in columns]) for begin, end in pieces]
        joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        _check_same(kernel, whole, joined, f"evaluated {how}")
    first = [column[:1] for column in columns]
    spread = [first[0].repeat(row_count), *first[1:]]
    alone = [array.repeat(row_count) for array in _evaluated(kernel, first)]
    _check_same(kernel, alone, _evaluated(kernel, spread), "of columns of one value")


def _splits(row_count: int) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    yield "again", [(0, row_count)]
    yield "in halves", [(0, row_count // 2), (row_count // 2, row_count)]
    yield "less the first row", [(0, 1), (1, row_count)]
    yield "row by row", [(row, row + 1) for row in range(row_count)]


def _check_same(kernel: ExtensionKernel, whole: list[Array], other: list[Array], how: str) -> None:
    names = [*(output.name for output in kernel.outputs), "status"]
    for name, expected, got in zip(names, whole, other, strict=True):
        if expected.tobytes() != got.tobytes():
            bits = [array.view(np.uint8).reshape(len(array), -1) for array in (expected, got)]
            row = int(np.argmax((bits[0] != bits[1]).any(axis=1)))
            raise ContractError(
                f"the same rows must give the same bytes in any tiling, but {how} {name} of sample row {row} is "
                f"{got[row]!r} and not {expected[row]!r}"
            )


def _evaluated(kernel: ExtensionKernel, columns: list[Array], is_writable: bool = False) -> list[Array]:
    """Outputs and status of a call of the bare function, into fresh arrays."""
    row_count = max(len(column) for column in columns)
    outputs = [np.full(row_count, np.nan) for _ in kernel.outputs]
    status = np.zeros(row_count, np.uint8)
    views = tuple([column[:] if is_writable else _read_only(column) for column in columns])
    try:
        kernel.function(views, tuple([output[:] for output in outputs]), status[:])
    except Exception as error:
        sentence = f"it must evaluate its own sample, {row_count} rows of it raised {type(error).__name__}: {error}"
        raise ContractError(sentence) from error
    return [*outputs, status]


def _sample_columns(kernel: ExtensionKernel) -> list[Array]:
    names = [column.name for column in kernel.columns]
    if list(kernel.sample) != names and set(kernel.sample) != set(names):
        raise ContractError(f"its sample must have the columns {', '.join(names)}, got {', '.join(kernel.sample)}")
    columns: list[Array] = []
    for name in names:
        try:
            column = np.array(kernel.sample[name], np.float64)
        except (TypeError, ValueError) as error:
            raise ContractError(f"sample column {name} must be numbers: {error}") from None
        if column.ndim != 1 or not SAMPLE_ROWS_MIN <= len(column) <= SAMPLE_ROWS_MAX:
            raise ContractError(
                f"its sample must have {SAMPLE_ROWS_MIN} to {SAMPLE_ROWS_MAX} rows, {name} has shape {column.shape}"
            )
        if columns and len(column) != len(columns[0]):
            lengths = f"{name} has {len(column)}, not {len(columns[0])}"
            raise ContractError(f"sample columns must be of one length, {lengths}")
        columns.append(column)
    return columns
