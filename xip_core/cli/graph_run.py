"""A custom graph from its file to its tables: submit, follow, collect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from xip_core.cli.options import SCHEDULER_DEFAULT, exit_code_of
from xip_core.cli.summary import AggregateLines

if TYPE_CHECKING:
    from xip_core.cli.progress import RunProgress
    from xip_core.cli.run import RunOptions
    from xip_core.client.client import Client
    from xip_core.client.local import LocalCluster
    from xip_core.model.result import Run


class TablesOutcome(msgspec.Struct, frozen=True):
    """A run of which tables are the result; none of a run that was only submitted."""

    run: Run
    tables: tuple[AggregateLines, ...] = ()

    @property
    def exit_code(self) -> int:
        return exit_code_of(self.run.state) if self.run.state.is_final else 0

    def print(self, output: str) -> None:
        from xip_core.cli import data

        if output == "json":
            data.print_json(self._fields())
        elif not self.run.state.is_final:
            click.echo(self.run.run_id)
        elif output == "csv":
            data.print_aggregates_csv(self.tables)
        else:
            self._print_screen()

    def _fields(self) -> dict[str, Any]:
        if not self.run.state.is_final:
            return {"run_id": self.run.run_id}
        return {
            "run_id": self.run.run_id,
            "state": self.run.state.label,
            "message": self.run.message,
            "cells_computed": self.run.cells_done - self.run.cells_quarantined,
            "cells_failed": self.run.cells_quarantined,
            "aggregates": self.tables,
        }

    def _print_screen(self) -> None:
        from xip_core.cli.screen import aggregate_table, console, show

        out = console()
        cells = f"{self.run.cells_done - self.run.cells_quarantined:,} cells, {self.run.cells_quarantined:,} failed"
        out.print(f"{self.run.name}  {self.run.state.label}  [dim]{cells} · run {self.run.run_id}[/]")
        if self.run.message:
            out.print(self.run.message, markup=False)
        out.print()
        for table in self.tables:
            show(out, aggregate_table(table))


async def execute_graph(options: RunOptions, cluster: LocalCluster | None, progress: RunProgress) -> TablesOutcome:
    """Submit the graph that *options* name to *cluster*, or to their scheduler, and follow it to its end."""
    from xip_core.cli.execution import guarded

    if cluster is None:
        return await _execute_at(options.scheduler or SCHEDULER_DEFAULT, options, progress)
    return await guarded(_execute_at(await cluster.address(), options, progress), cluster)


async def _execute_at(address: str, options: RunOptions, progress: RunProgress) -> TablesOutcome:
    from xip_core.cli.graph_file import read_graph
    from xip_core.client import connect
    from xip_core.model.run_spec import GraphWork, Priority, RunSpec

    assert options.graph is not None
    graph, blobs = read_graph(options.graph)
    async with connect(address) as client:
        await client.upload(*blobs.values())
        spec = RunSpec(
            name=options.graph.name,
            work=GraphWork(graph),
            tenant=options.tenant,
            priority=Priority[options.priority.upper()],
            deadline_after_s=options.deadline_after_s,
            since=options.since,
            is_reusing=options.is_reusing,
        )
        run = await client.submit_spec(spec, options.request_id)
        if options.detach:
            return TablesOutcome(run)
        return await fetch_tables(client, run, progress)


async def fetch_tables(client: Client, run: Run, progress: RunProgress) -> TablesOutcome:
    """The tables of a run, when it is final."""
    from xip_core.graph.plan import decode_plan

    final = run
    async for final in client.watch(run.run_id):
        progress.show(final)
    plan = decode_plan(await client.blob(final.plan_digest))
    names = {}
    for node in plan.nodes:
        if node.aggregate is not None:
            names[node.aggregate.label] = await _scenario_names(client, plan.source_of(node).scenarios_digest)
    tables = await client.tables(run.run_id)
    ordered = [tables[name] for name in names if name in tables]
    lines = (AggregateLines(one.name, one.aggregate, one.records(names[one.name])) for one in ordered)
    return TablesOutcome(final, tuple(lines))


async def _scenario_names(client: Client, digest: str) -> tuple[str, ...]:
    """None of sensitivities, whose columns are no scenarios a table names."""
    from xip_core.client.heads import scenario_names
    from xip_core.model.sensitivity_head import is_sensitivity_set

    content = await client.blob(digest)
    return () if is_sensitivity_set(content) else scenario_names(content)
