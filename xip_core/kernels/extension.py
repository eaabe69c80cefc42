"""What a package needs to add kernels of its own: these records, and an entry point for each kernel.

    # pyproject.toml of the package
    [project.entry-points."xip.kernels"]
    "acme.forward" = "acme_kernels:FORWARD"

    # acme_kernels.py
    def forward(columns, outputs, status):
        spot, rate, time = columns
        outputs[0][:] = spot * (1.0 + rate * time)

    FORWARD = ExtensionKernel(name="acme.forward", version="1", ..., function=forward, sample={...})

The function is called like ours (docs/kernels.md, "Your own kernel"):

* *columns* are float64 vectors in declared order, read-only, each of as many values as *status* or of one value;
* *outputs* are float64 vectors in declared order, all of them, filled with NaN, to be written in place;
* *status*, uint8, starts at 0; write a `FailureReason` where a row is outside the domain.

A row must depend on nothing but its own columns: tables are cut into tiles, tiles move between machines, and the bytes
stay the same. `xip_core.kernels.contract` checks that at load on the sample, and on every call that no number is
silently missing. Long work must release the GIL (NumPy does, Cython by `with nogil`): slots are threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from xip_core.kernels.declaration_records import ROW_S_DEFAULT, Column, Output

__all__ = ["Column", "ExtensionKernel", "KernelFunction", "Output", "include_directory"]

KernelFunction: TypeAlias = Callable[[tuple[Any, ...], tuple[Any, ...], Any], None]
"""(columns, outputs, status) -> None; arrays are numpy's, see the head of this module."""


class ExtensionKernel(msgspec.Struct, frozen=True):
    """One kernel of another package.

    Attributes:
        name: that of its entry point: lower-case words joined by dots, the first one yours alone.
        version: changed whenever a number may change in any bit.
        source: the paper or document that defines the numbers.
        sample: a value per row for each column, a few rows that show the kernel at work. It is evaluated at load,
            whole and in pieces.
        row_s: declared seconds of one row on one core; decides how many rows a tile has, so within a factor 3, please.
    """

    name: str
    version: str
    summary: str
    columns: tuple[Column, ...]
    outputs: tuple[Output, ...]
    source: str
    function: KernelFunction
    sample: Mapping[str, Sequence[float]]
    row_s: float = ROW_S_DEFAULT


def include_directory() -> str:
    """For `include_dirs` of a Cython extension that cimports `xip_core.kernels.elementary` or another .pxd of ours."""
    return str(Path(__file__).parent)
