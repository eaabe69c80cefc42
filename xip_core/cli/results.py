"""xipctl results"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xip_core.cli.options import call, crif_option, output_option, scheduler_option

if TYPE_CHECKING:
    from xip_core.cli.execution import Outcome
    from xip_core.cli.graph_run import TablesOutcome
    from xip_core.cli.theta_run import LaddersOutcome
    from xip_core.client.client import Client


@click.command("results")
@click.argument("run_id", metavar="RUN")
@scheduler_option
@click.option("--trades", is_flag=True, help="List every trade.")
@output_option("table", "json", "csv", "crif")
@crif_option
@click.pass_context
def command(
    context: click.Context, run_id: str, scheduler: str | None, trades: bool, output: str, crif_buckets: Path | None
) -> None:
    """
    Print the numbers of a run, waiting for its end; the exit code is that of the run.

    Those of a kernel over a table (xipctl evaluate) come as CSV, or as JSON.
    """

    async def fetch(client: Client) -> Outcome | TableOutcome | TablesOutcome | LaddersOutcome:
        from xip_core.cli.execution import fetch_outcome
        from xip_core.cli.progress import RunProgress

        run = await client.run(run_id)
        if run.is_of_table:
            numbers = (await client.table_results(run_id)).to_numpy()
            return TableOutcome(await client.run(run_id), numbers)
        with RunProgress(is_quiet=output != "table") as progress:
            if run.is_of_several:
                from xip_core.cli.theta_run import fetch_ladders

                return await fetch_ladders(client, run, progress)
            return await fetch_outcome(client, run_id, progress, lists_trades=trades)

    from xip_core.cli.graph_run import TablesOutcome
    from xip_core.cli.ladders import read_buckets
    from xip_core.cli.table_output import TableOutcome

    if crif_buckets is not None and output != "crif":
        raise click.UsageError("--crif-buckets goes with --output crif")
    buckets = read_buckets(crif_buckets)
    outcome = call(scheduler, fetch)
    if isinstance(outcome, TableOutcome | TablesOutcome):
        if output == "crif":
            raise click.UsageError(f"--output crif is of ladders, run {run_id} has none")
        outcome.print(output)
    else:
        outcome.print(output, buckets)
    context.exit(outcome.exit_code)
