"""The child of `xipctl repro DIRECTORY`: evaluates the one row, prints {"reason": ..., "message": ...} behind ANSWER.

    python -m xip_core.cli.repro_row DIRECTORY MEMORY_BYTES

What the row does to a process it does to this one. It dumps no core and may have so much memory beyond its imports.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from xip_core.cli.repro import ABOUT, ANSWER
from xip_core.errors import CellError, FailureReason


def main() -> None:
    directory, memory_bytes = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from xip_core.kernels.catalogue import evaluate  # noqa: F401 - before the limit: imports are not the row's
    from xip_core.pricing import book  # noqa: F401 - likewise

    size_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))
    about = json.loads((directory / ABOUT).read_text())
    try:
        row = _table_row if (directory / "table.block").exists() else _book_row
        reason, message = row(directory, about)
    except MemoryError as error:
        reason, message = FailureReason.OUT_OF_MEMORY.name, str(error)
    except CellError as error:
        reason, message = error.failure.reason.name, error.failure.message
    except Exception as error:
        reason, message = FailureReason.EVALUATION_FAILED.name, f"{type(error).__name__}: {error}"
    message += _other_versions(about["kernels"])
    print(f"{ANSWER}{json.dumps({'reason': reason, 'message': message})}")


def _book_row(directory: Path, about: dict[str, Any]) -> tuple[str, str]:
    from xip_core.graph.plan import digest_of
    from xip_core.model.run_spec import RiskWork
    from xip_core.pricing.book import calculate_work

    names = ("book.jsonl", "market.json", "scenarios.json")
    blobs = {digest_of(blob): blob for blob in ((directory / name).read_bytes() for name in names)}
    book, market, scenarios = blobs
    work = RiskWork(
        book,
        market,
        scenarios,
        tuple(about["measures"]),
        about["base_currency"],
        about["as_of"],
        risk_classes=tuple(about.get("risk_classes", ())),  # a directory of an older version has none
    )
    calculation = calculate_work(work, blobs, ("the row",))
    for failure in calculation.failures.values():
        return failure.reason.name, failure.message
    return "", f"pv {calculation.pv[0].tolist()}"


def _table_row(directory: Path, about: dict[str, Any]) -> tuple[str, str]:
    from xip_core.kernels.catalogue import evaluate, find_kernel
    from xip_core.model.table import decode_table

    kernel = about["kernel"]
    if find_kernel(kernel) is None:
        return FailureReason.UNSUPPORTED.name, f"{kernel} is not installed here"
    numbers = evaluate(kernel, outputs=about["outputs"], **decode_table((directory / "table.block").read_bytes()))
    reason = FailureReason(status) if (status := int(numbers["status"][0])) else None
    if reason is FailureReason.NUMERICAL:
        return reason.name, f"{kernel} gives no number, a column is outside its domain or a result is not finite"
    if reason is not None:
        return reason.name, f"{kernel} gives no number, for the reason {reason.name}"
    return "", str({name: column.tolist() for name, column in numbers.items() if name != "status"})


def _other_versions(planned: list[list[str]]) -> str:
    """What the run was computed with and is of another version here; "" where nothing is."""
    from xip_core.kernel_versions import announced
    from xip_core.kernels.catalogue import find_kernel

    ours = announced()
    others = []
    for name, version in planned:
        kernel = None if name in ours else find_kernel(name)
        have = ours.get(name) or (kernel.version if kernel is not None else "none")
        if have != version:
            others.append(f"{name} {have}, the run had {version}")
    return f" (here with {'; '.join(others)})" if others else ""


if __name__ == "__main__":
    main()
