"""xipctl workers"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xip_core.cli.options import call, output_option, scheduler_option

if TYPE_CHECKING:
    from xip_core.client.client import Client
    from xip_core.model.result import BreakerInfo, WorkerInfo


@click.command("workers")
@scheduler_option
@output_option("table", "json")
def command(scheduler: str | None, output: str) -> None:
    """List the attached workers, and the kernels that are not leased as usual because workers died of them."""

    async def fetch(client: Client) -> tuple[tuple[WorkerInfo, ...], tuple[BreakerInfo, ...]]:
        return await client.workers(), await client.breakers()

    workers, breakers = call(scheduler, fetch)
    if output == "json":
        from xip_core.cli.data import print_json

        print_json({"workers": workers, "breakers": breakers})
    else:
        from xip_core.cli.screen import print_breakers, print_workers

        print_workers(workers)
        print_breakers(breakers)
