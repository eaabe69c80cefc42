"""xipctl resume"""

from __future__ import annotations

import click

from xip_core.cli.options import call, output_option, scheduler_option
from xip_core.cli.shown import show_run


@click.command("resume")
@click.argument("run_id", metavar="RUN")
@scheduler_option
@output_option("table", "json")
@click.pass_context
def command(context: click.Context, run_id: str, scheduler: str | None, output: str) -> None:
    """Go on with a paused run. One that is not paused stays what it is; the exit code is 1 if it is final."""
    run = call(scheduler, lambda client: client.resume(run_id))
    show_run(run, output)
    context.exit(1 if run.state.is_final else 0)
