"""xipctl watch"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xip_core.cli.options import call, exit_code_of, output_option, scheduler_option

if TYPE_CHECKING:
    from xip_core.client.client import Client
    from xip_core.model.result import Run


@click.command("watch")
@click.argument("run_id", metavar="RUN")
@scheduler_option
@output_option("table", "json")
@click.pass_context
def command(context: click.Context, run_id: str, scheduler: str | None, output: str) -> None:
    """Follow a run until it is final; the exit code is that of the run.

    With --output json: one JSON object a line, one line a change.
    """
    from xip_core.cli.data import print_json_line, run_fields
    from xip_core.cli.progress import RunProgress
    from xip_core.cli.screen import run_line

    async def follow(client: Client) -> Run:
        with RunProgress(is_quiet=output == "json") as progress:
            async for run in client.watch(run_id):
                if output == "json":
                    print_json_line(run_fields(run))
                else:
                    progress.show(run)
            return run

    run = call(scheduler, follow)
    if output == "table":
        click.echo(run_line(run))
    context.exit(exit_code_of(run.state))
