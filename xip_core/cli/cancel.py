"""xipctl cancel"""

from __future__ import annotations

import click

from xip_core.cli.options import call, output_option, scheduler_option
from xip_core.cli.shown import show_run


@click.command("cancel")
@click.argument("run_id", metavar="RUN")
@scheduler_option
@output_option("table", "json")
@click.option("--reason", default="cancelled by xipctl", show_default=True, help="Kept with the run.")
@click.pass_context
def command(context: click.Context, run_id: str, scheduler: str | None, output: str, reason: str) -> None:
    """Cancel a run. A run that was final before stays what it was, and the exit code is 1."""
    run = call(scheduler, lambda client: client.cancel(run_id, reason))
    show_run(run, output)
    context.exit(0 if run.state.label == "cancelled" else 1)
