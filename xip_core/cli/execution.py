"""One run from its blobs to its summary: submit, follow, collect.

Results are streamed while the run is computed, so that the last number is here when the run is final. Without
`--trades` only sums are kept: a run of any size then fits in the memory of a laptop.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from xip_core.cli import summary as summaries
from xip_core.cli.inputs import RunInputs
from xip_core.cli.options import SCHEDULER_DEFAULT, exit_code_of
from xip_core.client.heads import scenario_names, snapshot_head, trade_labels
from xip_core.errors import RequestError
from xip_core.model.run_spec import DEFAULT_MEASURES, Priority
from xip_core.model.sensitivity_head import is_sensitivity_set

if TYPE_CHECKING:
    from xip_core.cli.progress import RunProgress
    from xip_core.cli.run import RunOptions
    from xip_core.client.client import Client
    from xip_core.client.local import LocalCluster
    from xip_core.client.results import Results, Totals
    from xip_core.client.tables import AggregateTable
    from xip_core.model.aggregates import Aggregate
    from xip_core.model.crif import CrifBuckets
    from xip_core.model.result import Run

Value = TypeVar("Value")


class Outcome(msgspec.Struct, frozen=True):
    """What a command prints and how it ends; *summary* is None for a run that was only submitted."""

    run: Run
    exit_code: int
    summary: summaries.Summary | None = None
    inputs: RunInputs | None = None
    results: Results | None = None

    def print(self, output: str, buckets: CrifBuckets | None = None) -> None:
        """*buckets* are the desk's, of --output crif."""
        if self.summary is not None and self.inputs is not None and self._prints_ladders(output):
            from xip_core.cli.ladders import ladder_records, print_crif, print_ladders_csv

            records = ladder_records(self.summary, self.inputs, self.results)
            if output == "csv":
                print_ladders_csv(records)
            else:
                book = None if self.results is None else self.inputs.book
                print_crif(records, self.inputs.market, self.run.run_id, buckets, book)
        elif self.summary is not None:
            print_summary_as(self.summary, output)
        elif output == "json":
            from xip_core.cli.data import print_json

            print_json({"run_id": self.run.run_id})
        else:
            click.echo(self.run.run_id)

    def _prints_ladders(self, output: str) -> bool:
        """As data, where there are any; the screen and JSON have them among the other tables."""
        assert self.inputs is not None
        if output not in ("csv", "crif") or not is_sensitivity_set(self.inputs.scenarios):
            return False
        assert self.summary is not None
        tables = [lines.aggregate.measure for lines in self.summary.aggregates]
        return output == "crif" or self.results is not None or "ladder" in tables or not tables


class Followed(msgspec.Struct):
    """What came of a run that was followed to its end."""

    run: Run
    totals: Totals | None = None
    aggregates: dict[str, AggregateTable] = {}
    results: Results | None = None
    first_block_at_s: float | None = None


async def execute(
    options: RunOptions, inputs: RunInputs, cluster: LocalCluster | None, progress: RunProgress
) -> Outcome:
    """Submit *inputs* to *cluster*, or to the scheduler that *options* name, and follow the run to its end."""
    import xip_core.client.client  # noqa: F401  # gRPC, while the local scheduler imports its own

    if cluster is None:
        return await _execute_at(options.scheduler or SCHEDULER_DEFAULT, options, inputs, progress)
    return await guarded(_execute_at(await cluster.address(), options, inputs, progress), cluster)


async def _execute_at(address: str, options: RunOptions, inputs: RunInputs, progress: RunProgress) -> Outcome:
    from xip_core.client import connect

    begun_at_s = process_begun_at_s()
    async with connect(address) as client:
        run = await submit(client, inputs, options)
        submitted_at_s = time.monotonic()
        if options.since and options.output == "table":
            await _show_reuse(client, run.run_id)
        if options.detach:
            return Outcome(run, exit_code=0)
        try:
            followed = await follow(client, run, progress, empty_results(inputs) if options.trades else None)
        except asyncio.CancelledError:
            if not options.local:
                click.echo(f"run {run.run_id} goes on: xipctl watch {run.run_id}, xipctl cancel {run.run_id}", err=True)
            raise
        block_at_s = followed.first_block_at_s
        lease_s = None if run.is_repeated else first_lease_s(followed.run)
        timing = summaries.Timing(
            wall_s=time.monotonic() - begun_at_s,
            first_lease_s=None if lease_s is None else submitted_at_s - begun_at_s + lease_s,
            first_block_s=block_at_s - begun_at_s if block_at_s else None,
        )
        summary = await summarise(client, followed, inputs, timing, options.aggregates())
        return Outcome(followed.run, exit_code_of(followed.run.state), summary, inputs, followed.results)


async def _show_reuse(client: Client, run_id: str) -> None:
    from xip_core.cli.screen_explain import print_reuse

    reuse = (await client.explain(run_id)).reuse
    if reuse is not None:
        print_reuse(reuse)


async def fetch_outcome(client: Client, run_id: str, progress: RunProgress, *, lists_trades: bool) -> Outcome:
    """
    The numbers of a run that was submitted elsewhere, when it is final.

    Raises:
        RequestError: NO_TABLE, the run is a probe.
    """
    run = await client.run(run_id)
    if not run.book_digest:
        raise RequestError("NO_TABLE", f"run {run_id} must be of a book to have results, it is a probe")
    digests = (run.book_digest, run.market_digest, run.scenarios_digest)
    book, market, scenarios = await asyncio.gather(*(client.blob(digest) for digest in digests))
    inputs = RunInputs(run.name, book, market, scenarios)
    followed = await follow(client, run, progress, empty_results(inputs) if lists_trades else None)
    final = followed.run
    timing = summaries.Timing(final.finished_at_s - final.submitted_at_s, first_lease_s(final))
    summary = await summarise(client, followed, inputs, timing)
    return Outcome(final, exit_code_of(final.state), summary, inputs, followed.results)


def first_lease_s(run: Run) -> float | None:
    """Seconds from submission to the first lease; None where there was none."""
    return run.first_lease_after_s if run.epoch_last else None


async def submit(client: Client, inputs: RunInputs, options: RunOptions) -> Run:
    return await client.submit(
        inputs.book,
        inputs.market,
        inputs.scenarios,
        options.measure_names() or DEFAULT_MEASURES,
        request_id=options.request_id,
        name=inputs.name,
        tenant=options.tenant,
        priority=Priority[options.priority.upper()],
        deadline_after_s=options.deadline_after_s,
        aggregates=options.aggregates(),
        covariance=inputs.covariance,
        detail=options.travelling_detail,
        risk_classes=options.risk_class,
        since=options.since,
        is_reusing=options.is_reusing,
    )


async def follow(client: Client, run: Run, progress: RunProgress | None, results: Results | None) -> Followed:
    """*run* in its final state with its sums, and with the numbers of every trade where *results* takes them."""
    followed = Followed(run=run, results=results)

    async def watch() -> None:
        async for followed.run in client.watch(run.run_id):
            if progress is not None:
                progress.show(followed.run)

    async def collect() -> None:
        from xip_core.client.results import TotalsBlocks
        from xip_core.client.tables import table_of

        blocks = TotalsBlocks()
        async for block in client.stream_results(run.run_id):
            followed.first_block_at_s = followed.first_block_at_s or time.monotonic()
            if "asset_class" in block.columns:
                blocks.add(block.columns)
                followed.totals = blocks.totals()
            elif block.is_aggregate:
                table = table_of(block.columns)
                followed.aggregates[table.name] = table
            elif results is not None:
                results.add(block)

    await asyncio.gather(watch(), collect())
    return followed


async def summarise(
    client: Client,
    followed: Followed,
    inputs: RunInputs,
    timing: summaries.Timing,
    aggregates: Sequence[Aggregate] = (),
) -> summaries.Summary:
    """Everything the outputs show of a run that is final; tables in the order of *aggregates*, the others behind."""
    asked = {aggregate.label: place for place, aggregate in enumerate(aggregates)}
    run = followed.run
    quarantine = await client.quarantine(run.run_id) if run.cells_quarantined else ()
    head, labels = snapshot_head(inputs.market), trade_labels(inputs.book)
    scenarios = scenario_names(inputs.scenarios, inputs.market)
    trades = None
    if followed.results is not None:
        followed.results.add_quarantine(quarantine)
        trades = summaries.trade_lines(followed.results, labels)
    return summaries.Summary(
        name=run.name or inputs.name,
        state=run.state.label,
        message=run.message,
        as_of=head.as_of,
        base_currency=head.base_currency,
        trade_count=len(labels),
        scenario_count=len(scenarios),
        asset_classes=summaries.asset_class_lines(followed.totals, scenarios),
        cells_computed=run.cells_done - run.cells_quarantined,
        cells_failed=run.cells_quarantined,
        quarantine=summaries.quarantine_lines(quarantine),
        timing=timing,
        lineage=summaries.lineage_of(run),
        trades=trades,
        aggregates=tuple(
            summaries.AggregateLines(table.name, table.aggregate, table.records(scenarios))
            for table in sorted(followed.aggregates.values(), key=lambda table: asked.get(table.name, len(asked)))
        ),
    )


def empty_results(inputs: RunInputs) -> Results:
    from xip_core.client.results import Results

    return Results([label.id for label in trade_labels(inputs.book)], scenario_names(inputs.scenarios, inputs.market))


def print_summary_as(summary: summaries.Summary, output: str) -> None:
    """Print *summary* as table, json or csv."""
    if output == "table":
        from xip_core.cli.screen import print_summary

        print_summary(summary)
        return
    from xip_core.cli import data

    if output == "json":
        data.print_json(summary)
    else:
        data.print_summary_csv(summary)


async def guarded(main: Coroutine[Any, Any, Value], cluster: LocalCluster) -> Value:
    """The value of *main*, given up as soon as *cluster* is lost."""
    work, guard = asyncio.create_task(main), asyncio.create_task(cluster.watch())
    try:
        await asyncio.wait((work, guard), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await guard  # raises what happened to the daemon
        return await work
    finally:
        work.cancel()
        guard.cancel()
        await asyncio.gather(work, guard, return_exceptions=True)


INTERPRETER_START_MAX_S = 1.0
"""An interpreter that is older when the first command begins was somebody else's process before."""


def process_begun_at_s() -> float:
    """When this process began, on the monotonic clock: times then include the interpreter's own start."""
    now_s = time.monotonic()
    try:
        start_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # a system without /proc: counted from here
        return now_s
    # A shell that execs its last command hands down its own start: `pip install . && xipctl run` would count pip too.
    return now_s - age_s if 0.0 <= age_s <= INTERPRETER_START_MAX_S else now_s
