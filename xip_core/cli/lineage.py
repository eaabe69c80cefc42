"""xipctl lineage"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xip_core.cli.options import call, output_option, scheduler_option

if TYPE_CHECKING:
    from xip_core.cli.lineage_of import Lineage
    from xip_core.client.client import Client


@click.command("lineage")
@click.argument("run_id", metavar="RUN")
@click.argument("cell")
@scheduler_option
@output_option("table", "json")
def command(run_id: str, cell: str, scheduler: str | None, output: str) -> None:
    """Everything a number rests on: inputs, plan, tiles, kernels, CPU level, workers, tries, and reuse.

    CELL is TRADE or TRADE@SCENARIO; #ROW names a trade by its row of the book.
    """

    async def fetch(client: Client) -> Lineage:
        from xip_core.cli.lineage_of import lineage_of

        return await lineage_of(client, run_id, cell)

    found = call(scheduler, fetch)
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(found)
    else:
        from xip_core.cli.screen_explain import print_lineage

        print_lineage(found)
