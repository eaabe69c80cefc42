"""Ladders with theta: one run of two days, today's market under the ladders and the market of the next business day.

A custom graph of three vectors: today under the bumps, today and tomorrow alone. Theta is the difference of the latter
two, by the keys of the ladders. The rolled market is made here and uploaded like any other (`pricing.roll`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from xip_core.cli.graph_run import TablesOutcome, fetch_tables
from xip_core.cli.ladders import print_crif, print_ladders_csv
from xip_core.cli.options import SCHEDULER_DEFAULT
from xip_core.client.graph import Graph
from xip_core.model.aggregates import Aggregate
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.model.run_spec import Priority
from xip_core.model.scenario import base_only, encode_scenarios
from xip_core.pricing.roll import rolled_snapshot
from xip_core.risk.ladder import LadderRow, theta_row

if TYPE_CHECKING:
    from xip_core.cli.inputs import RunInputs
    from xip_core.cli.progress import RunProgress
    from xip_core.cli.run import RunOptions
    from xip_core.cli.summary import AggregateLines
    from xip_core.client.local import LocalCluster

THETA = "theta"


class LaddersOutcome(msgspec.Struct, frozen=True):
    """Tables of ladders and of theta."""

    tables: TablesOutcome
    inputs: RunInputs
    theta: LadderRow

    @property
    def exit_code(self) -> int:
        return self.tables.exit_code

    def print(self, output: str) -> None:
        if output not in ("csv", "crif") or not self.tables.run.state.is_final:
            self.tables.print(output)
            return
        records = [record for table in self.tables.tables for record in self._records(table)]
        if output == "csv":
            print_ladders_csv(records)
        else:
            print_crif(records, self.inputs, self.tables.run.run_id)

    def _records(self, table: AggregateLines) -> list[dict[str, Any]]:
        """Of theta as of a ladder with one number."""
        if not table.name.startswith(THETA):
            return table.rows
        counts = ("rows_used", "rows_expected")
        return [
            {
                **{name: record[name] for name in table.aggregate.by},
                **msgspec.structs.asdict(self.theta),
                "value": record["pv"],
                **{name: record[name] for name in counts},
            }
            for record in table.rows
        ]


def theta_graph(inputs: RunInputs, aggregates: tuple[Aggregate, ...], has_ladders: bool) -> tuple[Graph, LadderRow]:
    """
    The graph, and what its theta is.

    Raises:
        RequestError: the base currency has no calendar.
    """
    snapshot = decode_snapshot(inputs.market)
    rolled = rolled_snapshot(snapshot)
    base = encode_scenarios(base_only())
    graph = Graph()
    today = graph.value(inputs.book, inputs.market, base, name="today")
    tomorrow = graph.value(inputs.book, encode_snapshot(rolled), base, name="next business day")
    theta = graph.difference(tomorrow, today, name="one day")
    if has_ladders:
        bumped = graph.value(inputs.book, inputs.market, inputs.scenarios, name="bumps")
        for aggregate in aggregates:
            graph.reduce("ladder", bumped, by=aggregate.by, name=aggregate.label)
    keys = dict.fromkeys(aggregate.by for aggregate in aggregates) or {(): None}
    for by in keys:
        graph.reduce("sum", theta, by=by, name="_".join((THETA, *(("by", *by) if by else ()))))
    return graph, theta_row(snapshot.as_of, rolled.as_of)


async def execute_theta(
    options: RunOptions, inputs: RunInputs, cluster: LocalCluster | None, progress: RunProgress
) -> LaddersOutcome:
    """Submit ladders and theta to *cluster*, or to the scheduler that *options* name, and follow the run."""
    from xip_core.cli.execution import guarded

    if cluster is None:
        return await _execute_at(options.scheduler or SCHEDULER_DEFAULT, options, inputs, progress)
    return await guarded(_execute_at(await cluster.address(), options, inputs, progress), cluster)


async def _execute_at(address: str, options: RunOptions, inputs: RunInputs, progress: RunProgress) -> LaddersOutcome:
    from xip_core.client import connect

    graph, theta = theta_graph(inputs, options.aggregates(), options.has_ladders)
    async with connect(address) as client:
        run = await client.submit_graph(
            graph,
            request_id=options.request_id,
            name=inputs.name,
            tenant=options.tenant,
            priority=Priority[options.priority.upper()],
            deadline_after_s=options.deadline_after_s,
            since=options.since,
            is_reusing=options.is_reusing,
        )
        tables = TablesOutcome(run) if options.detach else await fetch_tables(client, run, progress)
        return LaddersOutcome(tables, inputs, theta)
