"""xipctl explain"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xip_core.cli.options import call, output_option, scheduler_option

NAMED_ROWS_MAX = 200_000
"""Of a book, 70 MB, half a second; trades of larger ones have numbers."""

if TYPE_CHECKING:
    from xip_core.cli.explained import Explained
    from xip_core.client.client import Client
    from xip_core.graph.plan import Plan
    from xip_core.model.account import Explanation


@click.command("explain")
@click.argument("run_id", metavar="RUN")
@scheduler_option
@output_option("table", "json")
@click.option("--by", "key", default="", metavar="KEY", help="Cost by desk, book, ..., of the run's hierarchy.")
def command(run_id: str, scheduler: str | None, output: str, key: str) -> None:
    """Where the time of a run went, what it took over of another one, and what was received for it.

    Of a live run, so far, with the time left against its deadline.
    """

    async def fetch(client: Client) -> tuple[Explanation, Explained | None]:
        from xip_core.cli.explained import explained, with_names
        from xip_core.graph.plan import decode_plan

        explanation = await client.explain(run_id)
        if explanation.account is None:
            return explanation, None
        plan = decode_plan(await client.blob(explanation.run.plan_digest))
        found = explained(explanation, plan, explanation.account, key)
        rows = [row for slow in found.slowest_trades for row in slow.rows]
        return explanation, with_names(found, await _trade_ids(client, plan, rows))

    explanation, found = call(scheduler, fetch)
    if output == "json":
        from xip_core.cli.data import print_json

        print_json({"explained": found, "reuse": explanation.reuse})
        return
    from xip_core.cli.screen_explain import print_explained, print_reuse

    if found is not None:
        print_explained(found)
    else:
        click.echo(f"run {run_id}: nothing is accounted of it; it ended under an older scheduler", err=True)
    if explanation.reuse is not None:
        print_reuse(explanation.reuse)


async def _trade_ids(client: Client, plan: Plan, rows: list[int]) -> dict[int, str]:
    """Ids of a few plan rows, from the lines of their books; none of books that would take long to fetch for that."""
    from xip_core.client.heads import trade_id

    found: dict[int, str] = {}
    for source in plan.sources:
        wanted = [row - source.row_begin for row in rows]
        wanted = [line for line in wanted if 0 <= line < source.row_count]
        if wanted and source.row_count <= NAMED_ROWS_MAX:
            lines = (await client.blob(source.book_digest)).split(b"\n")
            found.update((source.row_begin + line, trade_id(lines[line])) for line in wanted)
    return found
