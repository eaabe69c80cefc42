"""The child of `xipctl repro DIRECTORY`: evaluates the one row, prints {"reason": ..., "message": ...} as JSON.

    python -m xip_core.cli.repro_row DIRECTORY MEMORY_BYTES

What the row does to a process it does to this one. It dumps no core and may have so much memory beyond its imports.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from xip_core.errors import CellError, FailureReason


def main() -> None:
    directory, memory_bytes = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from xip_core.kernels.catalogue import evaluate  # noqa: F401 - before the limit: imports are not the row's
    from xip_core.pricing import book  # noqa: F401 - likewise

    size_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))
    try:
        reason, message = _table_row(directory) if (directory / "table.block").exists() else _book_row(directory)
    except MemoryError as error:
        reason, message = FailureReason.OUT_OF_MEMORY.name, str(error)
    except CellError as error:
        reason, message = error.failure.reason.name, error.failure.message
    except Exception as error:
        reason, message = FailureReason.EVALUATION_FAILED.name, f"{type(error).__name__}: {error}"
    print(json.dumps({"reason": reason, "message": message}))


def _book_row(directory: Path) -> tuple[str, str]:
    from xip_core.model.market import decode_snapshot
    from xip_core.model.scenario import decode_scenarios
    from xip_core.model.trade import decode_trade
    from xip_core.pricing.book import calculate

    trade = decode_trade((directory / "book.jsonl").read_bytes().rstrip(b"\n"))
    snapshot = decode_snapshot((directory / "market.json").read_bytes())
    calculation = calculate([trade], snapshot, decode_scenarios((directory / "scenarios.json").read_bytes()))
    for failure in calculation.failures.values():
        return failure.reason.name, failure.message
    return "", f"pv {calculation.pv[0].tolist()}"


def _table_row(directory: Path) -> tuple[str, str]:
    from xip_core.kernels.catalogue import evaluate
    from xip_core.model.table import decode_table

    about = json.loads((directory / "repro.json").read_text())
    numbers = evaluate(about["kernel"], **decode_table((directory / "table.block").read_bytes()))
    status = int(numbers["status"][0])
    values = {name: column.tolist() for name, column in numbers.items() if name != "status"}
    return (FailureReason(status).name, "the kernel gives no number") if status else ("", str(values))


if __name__ == "__main__":
    main()
