"""xipctl evaluate

Reads a table of numbers, has a kernel evaluated over its rows by the workers of a scheduler, prints the outputs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xip_core.cli.options import SCHEDULER_DEFAULT, output_option, scheduler_option, submission_options

if TYPE_CHECKING:
    import numpy as np

    from xip_core.cli.progress import RunProgress
    from xip_core.cli.table_output import TableOutcome
    from xip_core.model.result import Run


@click.command("evaluate")
@click.argument("kernel")
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="TABLE")
@click.option("--local", is_flag=True, help="Start a scheduler and a worker for this table and stop them afterwards.")
@scheduler_option
@click.option("--outputs", default="", metavar="LIST", help="Of the kernel's outputs.  [all]")
@click.option("--rows-per-tile", type=click.IntRange(1), metavar="N", help="Rows leased at a time.  [by their cost]")
@submission_options
@output_option("csv", "json")
@click.pass_context
def command(
    context: click.Context, /, kernel: str, table: Path, local: bool, scheduler: str | None, **values: Any
) -> None:
    """Evaluate KERNEL for every row of TABLE, a .csv (also .gz) whose first line names the kernel's columns.

    Prints a line of outputs and a status for every row, in their order; `xipctl kernels` says what a kernel needs.
    """
    if local and context.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--local starts a scheduler of its own, so there is no --scheduler to reach")
    output = values.pop("output")
    if not local:
        from xip_core.readers.number_table import read_number_table

        evaluation = _Evaluation(kernel, read_number_table(table), **values)
        outcome = asyncio.run(evaluation.at(scheduler or SCHEDULER_DEFAULT))
    else:
        outcome = _evaluate_locally(kernel, table, values)
    outcome.print(output)
    context.exit(outcome.exit_code)


def _evaluate_locally(kernel: str, table: Path, values: dict[str, Any]) -> TableOutcome:
    from xip_core.cli.run import exit_on_signals
    from xip_core.client.local import LocalCluster

    exit_on_signals()
    with LocalCluster() as cluster:  # before all else: the daemons start while we read
        from xip_core.cli.execution import guarded
        from xip_core.readers.number_table import read_number_table

        evaluation = _Evaluation(kernel, read_number_table(table), **values)

        async def evaluate() -> TableOutcome:
            return await guarded(evaluation.at(await cluster.address()), cluster)

        return asyncio.run(evaluate())


class _Evaluation:
    """One table and what is wanted of it."""

    def __init__(
        self,
        kernel: str,
        columns: dict[str, np.ndarray],
        outputs: str,
        rows_per_tile: int | None,
        priority: str,
        **submission: Any,
    ) -> None:
        self._kernel = kernel
        self._columns = columns
        self._outputs = tuple(word.strip() for word in outputs.split(",") if word.strip())
        self._rows_per_tile = rows_per_tile or 0
        self._priority = priority
        self._submission = submission

    async def at(self, address: str) -> TableOutcome:
        """The final run and its numbers, from the scheduler at *address*."""
        from xip_core.cli.progress import RunProgress
        from xip_core.cli.table_output import TableOutcome
        from xip_core.client import connect
        from xip_core.model.run_spec import Priority

        async with connect(address) as client:
            run = await client.submit_kernel(
                self._kernel,
                self._columns,
                outputs=self._outputs,
                rows_per_tile=self._rows_per_tile,
                priority=Priority[self._priority.upper()],
                **self._submission,
            )

            async def watch(progress: RunProgress) -> Run:
                final = run
                async for final in client.watch(run.run_id):
                    progress.show(final)
                return final

            with RunProgress(is_quiet=True) as progress:
                final, results = await asyncio.gather(watch(progress), client.table_results(run.run_id))
            return TableOutcome(final, results.to_numpy())
