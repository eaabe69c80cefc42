"""xipctl pause"""

from __future__ import annotations

import click

from xip_core.cli.options import call, output_option, scheduler_option
from xip_core.cli.shown import show_run


@click.command("pause")
@click.argument("run_id", metavar="RUN")
@scheduler_option
@output_option("table", "json")
@click.option("--reason", default="paused by xipctl", show_default=True, help="For the scheduler's log.")
@click.pass_context
def command(context: click.Context, run_id: str, scheduler: str | None, output: str, reason: str) -> None:
    """Stop leasing work of a run; what its workers are at is finished. The exit code is 1 if the run is final."""
    run = call(scheduler, lambda client: client.pause(run_id, reason))
    show_run(run, output)
    context.exit(0 if run.is_paused else 1)
