"""xipctl workers"""

from __future__ import annotations

import click

from xip_core.cli.options import call, output_option, scheduler_option


@click.command("workers")
@scheduler_option
@output_option("table", "json")
def command(scheduler: str | None, output: str) -> None:
    """List the attached workers."""
    workers = call(scheduler, lambda client: client.workers())
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(workers)
    else:
        from xip_core.cli.screen import print_workers

        print_workers(workers)
