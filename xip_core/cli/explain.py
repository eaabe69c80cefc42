"""xipctl explain"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xip_core.cli.options import call, output_option, scheduler_option

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

    async def fetch(client: Client) -> tuple[Explanation, Plan]:
        from xip_core.graph.plan import decode_plan

        explanation = await client.explain(run_id)
        return explanation, decode_plan(await client.blob(explanation.run.plan_digest))

    explanation, plan = call(scheduler, fetch)
    found: Explained | None = None
    if explanation.account is not None:
        from xip_core.cli.explained import explained

        found = explained(explanation, plan, explanation.account, key)
    if output == "json":
        from xip_core.cli.data import print_json

        print_json({"explained": found, "reuse": explanation.reuse})
        return
    from xip_core.cli.screen_explain import print_explained, print_reuse

    if explanation.reuse is not None:
        print_reuse(explanation.reuse)
    if found is not None:
        print_explained(found)
    else:
        click.echo(f"run {run_id}: nothing is accounted of it; it ended under an older scheduler", err=True)
