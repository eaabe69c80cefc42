"""xipctl run

This module is on the way to the local daemons, which are spawned as soon as the command line is understood: it imports
click and nothing else before that.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xip_core.cli.options import crif_option, output_option, scheduler_option, submission_options
from xip_core.cli.request_options import RequestOptions, request_options

if TYPE_CHECKING:
    from xip_core.client.local import LocalCluster

EXIT_TERMINATED = 143


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(RequestOptions):
    """The command line of one run; names are those of the options."""

    local: bool
    scheduler: str | None
    slots: int | None
    request_id: str
    tenant: str
    priority: str
    deadline_after_s: float
    since: str
    is_reusing: bool
    trades: bool
    theta: bool
    crif_buckets: Path | None
    detach: bool
    output: str

    def check(self) -> None:
        """
        Raises:
            click.UsageError: options that contradict each other, or not exactly one source.
        """
        super().check()
        if self.local and self.detach:
            raise click.UsageError("--local ends with its run, so it cannot --detach")
        if self.slots is not None and not self.local:
            raise click.UsageError("--slots is for the worker that --local starts")
        if self.trades and (self.detail == "none" or self.graph is not None):
            raise click.UsageError("--trades lists numbers of trades, which do not come with --detail none or --graph")
        if self.since and (self.local or not self.is_reusing):
            raise click.UsageError("--since needs a scheduler that knows the run (no --local), and no --no-reuse")
        if self.theta and (self.trades or self.scenarios or self.risk_class or self.graph or self.measures):
            raise click.UsageError("--theta is of two days: it goes with ladders and their --aggregate alone")
        if self.theta and any(aggregate.measure != "ladder" for aggregate in self.aggregates()):
            raise click.UsageError('--theta takes aggregates of ladders alone, such as "ladder by=desk"')
        if self.output == "crif" and not self.has_ladders:
            raise click.UsageError("--output crif is of ladders: give --ladder or --sensitivities")
        if self.crif_buckets is not None and self.output != "crif":
            raise click.UsageError("--crif-buckets goes with --output crif")

    @property
    def travelling_detail(self) -> str:
        """What of single trades is needed here: of ladders nothing beside the base, unless trades are listed."""
        return "base" if self.has_ladders and not self.trades and self.detail == "all" else self.detail


@click.command("run")
@request_options
@click.option("--local", is_flag=True, help="Start a scheduler and a worker for this run and stop them afterwards.")
@scheduler_option
@click.option("--trades", is_flag=True, help="List every trade.")
@click.option("--theta", is_flag=True, help="Also the change of value until the next business day.")
@output_option("table", "json", "csv", "crif")
@crif_option
@submission_options
@click.option("--slots", type=click.IntRange(1, 1024), metavar="N", help="Slots of the local worker.  [cores]")
@click.option("--detach", is_flag=True, help="Submit, print the run id and leave.")
@click.pass_context
def command(context: click.Context, /, **values: Any) -> None:
    """Price a book under scenarios and show what it comes to.

    SOURCE is a sample such as sample:cross-asset.

    \b
    xipctl run sample:cross-asset --local
    xipctl run --ore DIRECTORY --scheduler HOST:PORT --trades
    xipctl run --book book.jsonl --market market.json --scenarios scenarios.json --output json
    xipctl run sample:cross-asset --local --detail none --aggregate "var by=currency q=0.99"
    xipctl run sample:cross-asset --local --ladder zero --ladder "vega name=fx*/*" --output crif
    """
    options = RunOptions(**values)
    options.check()
    if options.local and context.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--local starts a scheduler of its own, so there is no --scheduler to reach")
    if not options.local:
        context.exit(_run(options, None))
    exit_on_signals()
    from xip_core.client.local import LocalCluster

    with LocalCluster(options.slots) as cluster:  # before all else: the daemons start while we import
        code = _run(options, cluster)
    context.exit(code)


def exit_on_signals() -> None:
    """Unwind instead of dying, so that the local daemons are stopped and their directory is removed."""
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(EXIT_TERMINATED))


def _run(options: RunOptions, cluster: LocalCluster | None) -> int:
    import asyncio

    from xip_core.cli.progress import RunProgress

    is_quiet = options.output != "table" or options.detach
    if options.graph is not None:
        from xip_core.cli.graph_run import execute_graph

        with RunProgress(is_quiet=is_quiet, is_local=options.local) as progress:
            tables = asyncio.run(execute_graph(options, cluster, progress))
        tables.print(options.output)
        return tables.exit_code
    from xip_core.cli.execution import execute
    from xip_core.cli.inputs import read_inputs
    from xip_core.cli.ladders import read_buckets

    inputs = read_inputs(options)
    buckets = read_buckets(options.crif_buckets)
    if options.theta:
        from xip_core.cli.theta_run import LaddersOutcome, execute_theta

        with RunProgress(is_quiet=is_quiet, is_local=options.local) as progress:
            ladders = asyncio.run(execute_theta(options, inputs, cluster, progress))
        if isinstance(ladders, LaddersOutcome):
            ladders.print(options.output, buckets)
        else:
            ladders.print(options.output)
        return ladders.exit_code
    with RunProgress(is_quiet=is_quiet, is_local=options.local) as progress:
        outcome = asyncio.run(execute(options, inputs, cluster, progress))
    outcome.print(options.output, buckets)
    return outcome.exit_code
