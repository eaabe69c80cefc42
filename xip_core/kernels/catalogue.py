"""One door for quants and tests: `evaluate("equity.european", spot=100.0, strike=strikes, ...)`.

The door costs some 15 us: it looks the kernel up, makes float64 vectors of the columns without copying those that are,
and lets the compiled kernel write into fresh arrays. A column of one value is never spread to full length.
"""

from __future__ import annotations

import difflib
import functools
import math
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xip_core.errors import ArgumentError
from xip_core.kernel_versions import KERNEL_VERSIONS
from xip_core.kernels import installed
from xip_core.kernels.declarations import KERNELS, Kernel
from xip_core.kernels.level import load_module

Array: TypeAlias = npt.NDArray[Any]
Door: TypeAlias = Callable[[tuple[Array, ...], tuple[Array | None, ...], Array], None]

_OURS = {kernel.name: kernel for kernel in KERNELS}


class _Door:
    """What one kernel's calls need, looked up once."""

    def __init__(self, kernel: Kernel, function: Door) -> None:
        self.kernel = kernel
        self.column_names = tuple(column.name for column in kernel.columns)
        self.output_names = tuple(output.name for output in kernel.outputs)
        self.function = function


def catalogue() -> dict[str, Kernel]:
    """
    Every kernel `evaluate` knows, by name: columns with units and domain, outputs, source, version. Those of other
    packages come after ours; one that breaks the contract is not there (`installed.load_all` says why).
    """
    extensions, _ = installed.load_all()
    return {kernel.name: kernel for kernel in (*KERNELS, *(item.kernel for item in extensions))}


def find_kernel(name: str) -> Kernel | None:
    """
    The kernel *name* of this installation, or None.

    Raises:
        ArgumentError: KERNEL_REFUSED, a package has it and it breaks the contract.
    """
    if name in _OURS:
        return _OURS[name]
    found = installed.find(name)
    if isinstance(found, installed.Refused):
        raise ArgumentError("KERNEL_REFUSED", found.sentence)
    return found.kernel if found is not None else None


def kernel_versions() -> dict[str, str]:
    """Version of every kernel, for a run's lineage: equal versions give equal bytes on any machine."""
    extensions, _ = installed.load_all()
    return KERNEL_VERSIONS | {item.kernel.name: item.kernel.version for item in extensions}


def evaluate(name: str, *, outputs: Iterable[str] | None = None, **columns: npt.ArrayLike) -> dict[str, Array]:
    """
    Price rows of columns with one kernel.

    Args:
        name: a kernel of `catalogue()`, such as "equity.european".
        outputs: names of those wanted; all by default.
        columns: every column of the kernel, numbers or arrays; they broadcast against each other as in NumPy.

    Returns:
        A float64 array per output, of the broadcast shape, and "status" (uint8): 0, or FailureReason.NUMERICAL (8)
        where a row is outside the kernel's domain, NaN or infinite, or a result overflows; its outputs are NaN.
        The outputs are views of one block: copy one to keep it without the others.

    Raises:
        ArgumentError: (a ValueError) an unknown or refused kernel, an unknown column or output, a missing column, a
            column that is no number, shapes that do not broadcast. A kernel of another package may raise what it likes.
    """
    door = _door(name)
    vectors, shape, row_count = _vectors(door, columns)
    names = door.output_names if outputs is None else _output_names(door, outputs)
    # One block for all outputs: the allocator reuses one large block from call to call, but gives several back to the
    # operating system, and touching fresh pages then costs more than the pricing.
    block = np.empty((len(names), row_count))
    result: dict[str, Array] = dict(zip(names, block, strict=True))
    status = np.empty(row_count, np.uint8)
    door.function(vectors, tuple([result.get(output) for output in door.output_names]), status)
    result["status"] = status
    if shape != (row_count,):
        result = {output: values.reshape(shape) for output, values in result.items()}
    return result


@functools.cache
def _door(name: str) -> _Door:
    kernel = find_kernel(name)
    if kernel is None:
        known = sorted([*_OURS, *installed.names()])
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4) or known
        raise ArgumentError(
            "UNKNOWN_KERNEL", f"kernel must be one of the catalogue, got {name!r}; near: {', '.join(near)}"
        )
    if kernel.name in _OURS:
        return _our_door(kernel)
    found = installed.find(name)
    assert isinstance(found, installed.Installed), name
    from xip_core.kernels.contract import guarded

    return _Door(kernel, guarded(found.extension))


def _our_door(kernel: Kernel) -> _Door:
    module = load_module(kernel.module)
    door = _Door(kernel, getattr(module, kernel.function))
    assert (door.column_names, door.output_names) == signature_of(module, kernel.function), kernel.name
    return door


def signature_of(module: types.ModuleType, function: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns and outputs in order; a module's kernels other than its first have theirs in SIGNATURES."""
    of_others: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = getattr(module, "SIGNATURES", {})
    return of_others.get(function, (module.COLUMNS, module.OUTPUTS))


def _vectors(door: _Door, columns: Mapping[str, npt.ArrayLike]) -> tuple[tuple[Array, ...], tuple[int, ...], int]:
    """Vectors of one value or of row_count values, the broadcast shape, row_count."""
    try:
        arrays = [columns[column] for column in door.column_names]
    except KeyError:
        raise _wrong_columns(door, columns) from None
    if len(columns) != len(arrays):
        raise _wrong_columns(door, columns)
    vectors = []
    shape: tuple[int, ...] = ()
    for column, values in zip(door.column_names, arrays, strict=True):
        vector = _float64(column, values)
        vectors.append(vector)
        if vector.shape != shape:
            shape = vector.shape if not shape else _broadcast_shape(door, shape, vector.shape, column)
    row_count = math.prod(shape)
    return tuple([_flat(vector, shape, row_count) for vector in vectors]), shape, row_count


def _float64(column: str, values: npt.ArrayLike) -> Array:
    if type(values) is np.ndarray and values.dtype == np.float64:
        return values
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ArgumentError("BAD_COLUMN", f"column {column} must be one array of real numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise ArgumentError("BAD_COLUMN", f"column {column} must be real numbers, got {array.dtype} ({values!r:.60})")
    return array.astype(np.float64)


def _broadcast_shape(door: _Door, shape: tuple[int, ...], other: tuple[int, ...], column: str) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(shape, other)
    except ValueError:
        raise ArgumentError(
            "BAD_SHAPE",
            f"columns of {door.kernel.name} must broadcast: {column} has shape {other}, those before it {shape}",
        ) from None


def _flat(vector: Array, shape: tuple[int, ...], row_count: int) -> Array:
    """One value or row_count values, contiguous; a copy only where broadcasting or a stride needs one."""
    if vector.size == 1:
        return vector.reshape(1)
    if vector.shape != shape:
        vector = np.broadcast_to(vector, shape)
    return np.ascontiguousarray(vector).reshape(row_count)


def _output_names(door: _Door, outputs: Iterable[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((outputs,) if isinstance(outputs, str) else outputs))
    for name in names:
        if name not in door.output_names:
            known = ", ".join(door.output_names)
            raise ArgumentError("UNKNOWN_OUTPUT", f"outputs of {door.kernel.name} must be of {known}, got {name!r}")
    return names


def _wrong_columns(door: _Door, columns: Mapping[str, object]) -> ArgumentError:
    missing = [name for name in door.column_names if name not in columns]
    unknown = [name for name in columns if name not in door.column_names]
    parts = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(unknown)
    return ArgumentError(
        "BAD_COLUMN", f"columns of {door.kernel.name} must be {', '.join(door.column_names)}; {'; '.join(parts)}"
    )


class _CallableModule(types.ModuleType):
    """`xip_core.kernels.catalogue()` lists the kernels although this module bears the same name."""

    def __call__(self) -> dict[str, Kernel]:
        return catalogue()


sys.modules[__name__].__class__ = _CallableModule
