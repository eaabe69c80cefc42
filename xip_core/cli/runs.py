"""xipctl runs"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xip_core.cli.options import call, output_option, scheduler_option

if TYPE_CHECKING:
    from xip_core.client.client import Client
    from xip_core.model.result import Run


@click.command("runs")
@scheduler_option
@output_option("table", "json")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
def command(scheduler: str | None, output: str, limit: int) -> None:
    """List runs, newest first."""

    async def fetch(client: Client) -> list[Run]:
        return [run async for run in client.runs(limit)]

    runs = call(scheduler, fetch)
    if output == "json":
        from xip_core.cli.data import print_json, run_fields

        print_json([run_fields(run) for run in runs])
    else:
        from xip_core.cli.screen import print_runs

        print_runs(runs)
