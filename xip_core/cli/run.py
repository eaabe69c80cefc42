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

from xip_core.cli.options import output_option, scheduler_option, submission_options

if TYPE_CHECKING:
    from xip_core.client.local import LocalCluster
    from xip_core.model.aggregates import Aggregate

EXIT_TERMINATED = 143


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The command line of one run; names are those of the options."""

    source: str | None
    ore: Path | None
    book: Path | None
    market: Path | None
    scenarios: Path | None
    local: bool
    scheduler: str | None
    slots: int | None
    measures: str
    request_id: str
    tenant: str
    priority: str
    deadline_after_s: float
    aggregate: tuple[str, ...]
    detail: str
    risk_class: tuple[str, ...]
    ladder: tuple[str, ...]
    sensitivities: Path | None
    since: str
    is_reusing: bool
    trades: bool
    detach: bool
    output: str

    def check(self) -> None:
        """
        Raises:
            click.UsageError: options that contradict each other, or not exactly one source.
        """
        sources = (self.source is not None, self.ore is not None, self.book is not None or self.market is not None)
        if sum(sources) != 1:
            raise click.UsageError("give one of SOURCE (such as sample:cross-asset), --ore, or --book with --market")
        if (self.book is None) != (self.market is None):
            raise click.UsageError("--book and --market go together")
        if self.local and self.detach:
            raise click.UsageError("--local ends with its run, so it cannot --detach")
        if self.slots is not None and not self.local:
            raise click.UsageError("--slots is for the worker that --local starts")
        if self.trades and self.detail == "none":
            raise click.UsageError("--trades lists numbers of trades, which --detail none leaves where they are")
        if self.since and (self.local or not self.is_reusing):
            raise click.UsageError("--since needs a scheduler that knows the run (no --local), and no --no-reuse")
        if self.has_ladders and (self.scenarios is not None or self.risk_class):
            raise click.UsageError("--ladder and --sensitivities stand in place of --scenarios and their --risk-class")
        if self.output == "crif" and not self.has_ladders:
            raise click.UsageError("--output crif is of ladders: give --ladder or --sensitivities")
        self.measure_names()
        self.aggregates()

    @property
    def has_ladders(self) -> bool:
        return bool(self.ladder) or self.sensitivities is not None

    @property
    def travelling_detail(self) -> str:
        """What of single trades is needed here: of ladders nothing beside the base, unless trades are listed."""
        return "base" if self.has_ladders and not self.trades and self.detail == "all" else self.detail

    def measure_names(self) -> tuple[str, ...]:
        """
        Those asked for, () for all.

        Raises:
            click.BadParameter: an unknown one.
        """
        names = tuple(word.strip() for word in self.measures.split(",") if word.strip())
        if names:
            from xip_core.model.run_spec import MEASURES

            for name in names:
                if name not in MEASURES:
                    raise click.BadParameter(f"{name!r} is not one of {', '.join(MEASURES)}", param_hint="--measures")
        return names

    def aggregates(self) -> tuple[Aggregate, ...]:
        """
        Raises:
            click.BadParameter: one that makes no sense, or two of one name.
        """
        if not self.aggregate and not self.has_ladders:
            return ()
        from xip_core.errors import RequestError
        from xip_core.model.aggregates import Aggregate, check_aggregates, parse_aggregate

        try:
            parsed = tuple(parse_aggregate(text) for text in self.aggregate)
            if self.has_ladders and all(item.measure != "ladder" for item in parsed):
                parsed += (Aggregate(measure="ladder"),)
            check_aggregates(parsed)
        except RequestError as error:
            raise click.BadParameter(str(error), param_hint="--aggregate") from None
        return parsed


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("run")
@click.argument("source", required=False)
@click.option("--local", is_flag=True, help="Start a scheduler and a worker for this run and stop them afterwards.")
@scheduler_option
@click.option("--trades", is_flag=True, help="List every trade.")
@output_option("table", "json", "csv", "crif")
@click.option("--ore", type=_DIRECTORY, metavar="DIRECTORY", help="Price the portfolio.xml of an ORE directory.")
@click.option("--book", type=_FILE, metavar="FILE", help="Trades: .jsonl or .csv, also .gz.")
@click.option("--market", type=_FILE, metavar="FILE", help="Market snapshot, with --book: .json, also .gz.")
@click.option(
    "--scenarios",
    type=_FILE,
    metavar="FILE",
    help="Scenarios: .json, also .gz.  [those of the sample, else the base alone]",
)
@click.option("--measures", default="", metavar="LIST", help="Of pv,delta,vega,dv01.  [all]")
@click.option(
    "--aggregate", multiple=True, metavar="TEXT", help='A table of P&L, such as "var by=desk q=0.99"; repeatable.'
)
@click.option(
    "--detail",
    type=click.Choice(["none", "base", "all"]),
    default="all",
    show_default=True,
    help="What of the numbers of single trades travels here; sums are complete whatever is chosen.",
)
@click.option(
    "--ladder",
    multiple=True,
    metavar="TEXT",
    help='Sensitivities in place of scenarios, such as "par name=EUR* tenors=1Y,5Y,10Y"; repeatable.',
)
@click.option("--sensitivities", type=_FILE, metavar="FILE", help="Ladders as a file: .json, also .gz.")
@click.option("--risk-class", multiple=True, metavar="CLASS", help="Apply shifts of this class alone; repeatable.")
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
    xipctl run sample:cross-asset --local --ladder par --ladder "vega unit=percent" --output crif
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

    from xip_core.cli.execution import execute
    from xip_core.cli.inputs import read_inputs
    from xip_core.cli.progress import RunProgress

    inputs = read_inputs(options)
    with RunProgress(is_quiet=options.output != "table" or options.detach) as progress:
        outcome = asyncio.run(execute(options, inputs, cluster, progress))
    outcome.print(options.output)
    return outcome.exit_code
