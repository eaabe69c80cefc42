"""The numbers of a kernel over a table, as CSV or JSON: a line, or an element, for every row in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xip_core.cli.data import print_csv, print_json
from xip_core.cli.options import exit_code_of
from xip_core.client.results import PENDING
from xip_core.wire.convert import reason_name

if TYPE_CHECKING:
    from xip_core.client.table_results import TableNumbers
    from xip_core.model.result import Run


class TableOutcome(NamedTuple):
    """A final run and its numbers."""

    run: Run
    numbers: TableNumbers

    @property
    def exit_code(self) -> int:
        return exit_code_of(self.run.state)

    def print(self, output: str) -> None:
        print_numbers(self.run, self.numbers, output)


def print_numbers(run: Run, numbers: TableNumbers, output: str) -> None:
    """A row without numbers is empty but for its status, the reason."""
    codes = numbers.status.tolist()
    words = {code: reason_name(code) for code in set(codes)} | {0: "ok", PENDING: "pending"}
    status = [words[code] for code in codes]
    columns = {
        name: [None if code else value for value, code in zip(values.tolist(), codes, strict=True)]
        for name, values in numbers.outputs.items()
    }
    if output != "json":
        print_csv([*columns, "status"], list(zip(*columns.values(), status, strict=True)))
        return
    print_json(
        {
            "run_id": run.run_id,
            "state": run.state.name.lower(),
            "kernel": numbers.kernel,
            "kernel_version": numbers.kernel_version,
            "row_count": len(status),
            "outputs": columns,
            "status": status,
            "quarantine": [{"row": cells.row, "message": cells.message} for cells in numbers.quarantine],
        }
    )
