"""xipctl retry"""

from __future__ import annotations

import click

from xip_core.cli.options import call, output_option, scheduler_option
from xip_core.cli.shown import show_run


@click.command("retry")
@click.argument("run_id", metavar="RUN")
@scheduler_option
@output_option("table", "json")
@click.option("--request-id", default="", metavar="ID", help="Retrying under the same id again answers the same run.")
def command(run_id: str, scheduler: str | None, output: str, request_id: str) -> None:
    """Compute what a final run lacks, in a new run that takes over what the old one has.

    That is: what was cancelled, tiles that were given up, cells that failed for a reason another try may cure. The old
    run stays what it is. Follow the new one with `xipctl watch`.
    """
    show_run(call(scheduler, lambda client: client.retry(run_id, request_id)), output)
