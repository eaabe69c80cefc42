"""Ladders with theta: one run of two days, today's market under the ladders and the market of the next business day.

A custom graph of three vectors: today under the bumps, today and tomorrow alone. Theta is the difference of the latter
two, by the keys of the ladders. The rolled market is made here and uploaded like any other (`pricing.roll`).

To the scheduler theta is a sum of a difference. What it is, in which currency and to which day, is read off the sources
of the plan, so `xipctl results` of such a run says the same as the run did.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from xip_core.cli.graph_run import TablesOutcome, fetch_tables
from xip_core.cli.ladders import print_crif, print_ladders_csv
from xip_core.cli.options import SCHEDULER_DEFAULT
from xip_core.client.graph import Graph
from xip_core.graph.plan import decode_plan
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
    from xip_core.client.client import Client
    from xip_core.client.local import LocalCluster
    from xip_core.model.crif import CrifBuckets
    from xip_core.model.result import Run

THETA = "theta"
TODAY, ROLLED = "today", "next business day"
"""Names of the sources whose difference it is."""


class LaddersOutcome(msgspec.Struct, frozen=True):
    """
    Tables of ladders and of theta.

    Attributes:
        market: today's snapshot, encoded.
        currency: of all numbers.
    """

    tables: TablesOutcome
    market: bytes
    theta: LadderRow
    currency: str

    @property
    def exit_code(self) -> int:
        return self.tables.exit_code

    def print(self, output: str, buckets: CrifBuckets | None = None) -> None:
        if output not in ("csv", "crif") or not self.tables.run.state.is_final:
            shown = tuple(self._shown(table) for table in self.tables.tables)
            msgspec.structs.replace(self.tables, tables=shown).print(output)
            return
        records = [record for table in self.tables.tables for record in self._records(table)]
        if output == "csv":
            print_ladders_csv(records)
        else:
            print_crif(records, self.market, self.tables.run.run_id, buckets)

    def _shown(self, table: AggregateLines) -> AggregateLines:
        """Theta under its name, with the currency it is in and the day it is to."""
        if not table.name.startswith(THETA):
            return table
        rows = [
            {
                **{name: record[name] for name in table.aggregate.by},
                "currency": self.currency,
                "rolled_to": self.theta.bucket,
                THETA: record["pv"],
                **_counts(record),
            }
            for record in table.rows
        ]
        return msgspec.structs.replace(table, rows=rows)

    def _records(self, table: AggregateLines) -> list[dict[str, Any]]:
        """Of theta as of a ladder with one number."""
        if not table.name.startswith(THETA):
            return table.rows
        return [
            {
                **{name: record[name] for name in table.aggregate.by},
                **msgspec.structs.asdict(self.theta),
                "value": record["pv"],
                **_counts(record),
            }
            for record in table.rows
        ]


def _counts(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("rows_used", "rows_expected")}


async def fetch_ladders(client: Client, run: Run, progress: RunProgress) -> LaddersOutcome | TablesOutcome:
    """The tables of a run of several sources, as ladders with theta where they are."""
    tables = await fetch_tables(client, run, progress)
    plan = decode_plan(await client.blob(tables.run.plan_digest))
    sources = {source.name: source for source in plan.sources}
    if not {TODAY, ROLLED} <= set(sources) or not any(table.name.startswith(THETA) for table in tables.tables):
        return tables
    today = sources[TODAY]
    days = (dt.date.fromisoformat(sources[name].as_of) for name in (TODAY, ROLLED))
    return LaddersOutcome(tables, await client.blob(today.market_digest), theta_row(*days), today.base_currency)


def theta_graph(inputs: RunInputs, aggregates: tuple[Aggregate, ...], has_ladders: bool) -> Graph:
    """
    The graph of both days, theta by the keys of the ladders.

    Raises:
        RequestError: the base currency has no calendar.
    """
    rolled = rolled_snapshot(decode_snapshot(inputs.market))
    base = encode_scenarios(base_only())
    graph = Graph()
    today = graph.value(inputs.book, inputs.market, base, name=TODAY)
    tomorrow = graph.value(inputs.book, encode_snapshot(rolled), base, name=ROLLED)
    theta = graph.difference(tomorrow, today, name="one day")
    if has_ladders:
        bumped = graph.value(inputs.book, inputs.market, inputs.scenarios, name="bumps")
        for aggregate in aggregates:
            graph.reduce("ladder", bumped, by=aggregate.by, name=aggregate.label)
    keys = dict.fromkeys(aggregate.by for aggregate in aggregates) or {(): None}
    for by in keys:
        graph.reduce("sum", theta, by=by, name="_".join((THETA, *(("by", *by) if by else ()))))
    return graph


async def execute_theta(
    options: RunOptions, inputs: RunInputs, cluster: LocalCluster | None, progress: RunProgress
) -> LaddersOutcome | TablesOutcome:
    """Submit ladders and theta to *cluster*, or to the scheduler that *options* name, and follow the run."""
    from xip_core.cli.execution import guarded

    if cluster is None:
        return await _execute_at(options.scheduler or SCHEDULER_DEFAULT, options, inputs, progress)
    return await guarded(_execute_at(await cluster.address(), options, inputs, progress), cluster)


async def _execute_at(
    address: str, options: RunOptions, inputs: RunInputs, progress: RunProgress
) -> LaddersOutcome | TablesOutcome:
    from xip_core.client import connect

    graph = theta_graph(inputs, options.aggregates(), options.has_ladders)
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
        return TablesOutcome(run) if options.detach else await fetch_ladders(client, run, progress)
