"""A kernel over a table as a plan: one node, cut into tiles of rows.

    table (blob) ── kernel (tile i: rows [i n, (i + 1) n)) ── detail

What a planner must know of the kernel, its **signature**, comes from the first that has it:

1. our own catalogue, for our own kernels;
2. the request, where the client has the package installed: then the run may wait for a worker that has it too;
3. what workers announced, so that a desk needs no package of the quants.

A planner never imports the package itself. Everything is judged here, before anything is stored, but the rows: those
outside the kernel's domain get a status each.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping

from xip_core.errors import NotFoundError, RequestError
from xip_core.graph import cost
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.kernel_versions import TABLE_OPERATION, requirements
from xip_core.kernels.declarations import KERNELS, Kernel
from xip_core.model.run_spec import KernelSignature, KernelWork
from xip_core.model.table import decode_table, row_count_of

TILE_COUNT_MAX = 10_000_000
"""As for a book: the size the scheduler's memory is proven for."""

SIGNATURE_NAMES_MAX = 64
SIGNATURE_TEXT_LENGTH_MAX = 200
SIGNATURE_ROW_S_MAX = 60.0
_NAME = re.compile(r"[a-z][a-z0-9_.]*")

Blob = Callable[[str], bytes]


def signature_of(kernel: Kernel) -> KernelSignature:
    """What a planner must know of *kernel*."""
    return KernelSignature(
        kernel.name,
        kernel.version,
        tuple(column.name for column in kernel.columns),
        tuple(output.name for output in kernel.outputs),
        kernel.row_s,
    )


OUR_SIGNATURES = {kernel.name: signature_of(kernel) for kernel in KERNELS}
_WORK = {kernel.name: kernel.work for kernel in KERNELS if kernel.work is not None}


def installed_signature(kernel: str) -> KernelSignature | None:
    """
    Signature of a kernel that another package added to this installation; None for ours and for unknown ones.

    Raises:
        RequestError: KERNEL_REFUSED, it breaks the contract.
    """
    if kernel in OUR_SIGNATURES:
        return None
    from xip_core.kernels import installed  # reads the metadata of every package: only for names that are not ours

    found = installed.find(kernel)
    if isinstance(found, installed.Refused):
        raise RequestError("KERNEL_REFUSED", found.sentence)
    return signature_of(found.kernel) if found is not None else None


def check_signature(signature: KernelSignature) -> None:
    """
    Refuse what no kernel can be: signatures come over the wire.

    Raises:
        RequestError: BAD_SIGNATURE.
    """
    for what, names in (("column", signature.columns), ("output", signature.outputs), ("kernel", (signature.name,))):
        if not 0 < len(names) <= SIGNATURE_NAMES_MAX or len(set(names)) < len(names):
            sentence = f"a kernel must have 1 to {SIGNATURE_NAMES_MAX} {what}s, each with a name, got {len(names)}"
            raise RequestError("BAD_SIGNATURE", sentence)
        for name in names:
            if len(name) > SIGNATURE_TEXT_LENGTH_MAX or not _NAME.fullmatch(name):
                raise RequestError("BAD_SIGNATURE", f"a {what} must have a lower-case name, got {name[:100]!r}")
    if not 0 < len(signature.version) <= SIGNATURE_TEXT_LENGTH_MAX or not signature.version.isprintable():
        raise RequestError("BAD_SIGNATURE", f"a kernel must have a version, got {signature.version[:100]!r}")
    if not (math.isfinite(signature.row_s) and 0.0 < signature.row_s <= SIGNATURE_ROW_S_MAX):
        sentence = f"row_s must be seconds above 0 and up to {SIGNATURE_ROW_S_MAX:g}, got {signature.row_s!r}"
        raise RequestError("BAD_SIGNATURE", sentence)


def plan_kernel(work: KernelWork, blob: Blob, announced: Mapping[str, KernelSignature]) -> Plan:
    """
    The plan of one kernel over one table.

    Args:
        announced: signatures of kernels that workers have, by name.

    Raises:
        RequestError: UNKNOWN_KERNEL, BAD_SIGNATURE, UNKNOWN_OUTPUT, BLOB_MISSING, BAD_COLUMN, BAD_TILE_SIZE, and those
            of `model.table.decode_table`.
    """
    signature = _signature(work, announced)
    outputs = _outputs(work, signature)
    try:
        content = blob(work.table_digest)
    except NotFoundError:
        sentence = f"table_digest must name an uploaded blob, got {work.table_digest}, which is not here"
        raise RequestError("BLOB_MISSING", sentence) from None
    table = decode_table(content)
    lengths = {name: len(values) for name, values in table.items()}
    _check_columns(signature, tuple(lengths))
    row_count = row_count_of(lengths)
    row_s = cost.kernel_row_s(_WORK[signature.name], table) if signature.name in _WORK else signature.row_s
    rows = min(row_count, _rows_per_tile(work, row_s, row_count, len(outputs)))
    node = Node(
        node_id=0,
        name=signature.name,
        kind=NodeKind.KERNEL,
        kernel=signature.name,
        kernel_version=signature.version,
        kernels=tuple(sorted([(signature.name, signature.version), *requirements(TABLE_OPERATION)])),
        tile_count=-(-row_count // rows),
        cost_s=rows * row_s,
        row_count=row_count,
        rows_per_tile=rows,
        scenario_count=len(outputs),
        scenarios_per_tile=len(outputs),
    )
    return Plan(nodes=(node,), cell_count=row_count * len(outputs), table_digest=work.table_digest, outputs=outputs)


def _signature(work: KernelWork, announced: Mapping[str, KernelSignature]) -> KernelSignature:
    if work.kernel in OUR_SIGNATURES:
        return OUR_SIGNATURES[work.kernel]
    if work.signature is not None:
        check_signature(work.signature)
        if work.signature.name != work.kernel:
            sentence = f"a signature must be that of the kernel, {work.kernel!r:.100}, got {work.signature.name!r}"
            raise RequestError("BAD_SIGNATURE", sentence)
        return work.signature
    if work.kernel in announced:
        return announced[work.kernel]
    known = sorted({*OUR_SIGNATURES, *announced})
    near = difflib.get_close_matches(work.kernel, known, n=3, cutoff=0.4) or known[:20]
    sentence = f"a kernel must be of the catalogue or of an attached worker, got {work.kernel!r:.100}"
    raise RequestError("UNKNOWN_KERNEL", f"{sentence}; near: {', '.join(near)}")


def _outputs(work: KernelWork, signature: KernelSignature) -> tuple[str, ...]:
    """Those wanted, each once, in declared order: the order asked for changes no byte."""
    for name in work.outputs:
        if name not in signature.outputs:
            sentence = f"outputs of {signature.name} must be of {', '.join(signature.outputs)}, got {name!r:.100}"
            raise RequestError("UNKNOWN_OUTPUT", sentence)
    return tuple(name for name in signature.outputs if not work.outputs or name in work.outputs)


def _check_columns(signature: KernelSignature, names: tuple[str, ...]) -> None:
    missing = [name for name in signature.columns if name not in names]
    unknown = [name[:100] for name in names if name not in signature.columns]
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(unknown)
        sentence = f"columns of {signature.name} must be {', '.join(signature.columns)}; {'; '.join(parts)}"
        raise RequestError("BAD_COLUMN", sentence)


def _rows_per_tile(work: KernelWork, row_s: float, row_count: int, output_count: int) -> int:
    largest = cost.kernel_rows_per_message(output_count)
    if not 0 <= work.rows_per_tile <= largest:
        sentence = f"rows_per_tile must be 0 to {largest}, so that a tile is one message, got {work.rows_per_tile}"
        raise RequestError("BAD_TILE_SIZE", sentence)
    rows = work.rows_per_tile or cost.kernel_rows_per_tile(row_s, row_count, output_count)
    if -(-row_count // rows) > TILE_COUNT_MAX:
        sentence = f"a run must have at most {TILE_COUNT_MAX} tiles, got {row_count} rows, {rows} a tile"
        raise RequestError("TOO_LARGE", sentence)
    return rows
