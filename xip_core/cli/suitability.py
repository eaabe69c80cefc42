"""xipctl suitability

Judges client portfolios: their instruments are valued once under all scenarios, then every client is a sum over them
(docs/suitability.md).
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xip_core.cli.options import SCHEDULER_DEFAULT, output_option, scheduler_option, submission_options

if TYPE_CHECKING:
    from xip_core.cli.suitability_inputs import SuitabilityInputs
    from xip_core.cli.suitability_output import SuitabilityOutcome

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuitabilityOptions:
    """What is judged; names are those of the options."""

    source: str | None
    clients: Path | None
    profiles: Path | None
    instruments: Path | None
    book: Path | None
    market: Path | None
    scenarios: Path | None
    stress: str | None
    span_days: float | None

    def check(self) -> None:
        """
        Raises:
            click.UsageError: something is missing.
        """
        if self.source is not None:
            return
        needed = ("clients", "profiles", "instruments", "book", "market", "scenarios", "stress", "span_days")
        missing = [f"--{name.replace('_', '-')}" for name in needed if getattr(self, name) is None]
        if missing:
            raise click.UsageError(f"give sample:clients, or all of the files; missing {', '.join(missing)}")


@click.command("suitability")
@click.argument("source", required=False)
@click.option("--local", is_flag=True, help="Start a scheduler and a worker for this run and stop them afterwards.")
@scheduler_option
@click.option("--clients", type=_FILE, metavar="FILE", help="Clients and positions: .csv, also .gz.")
@click.option("--profiles", type=_FILE, metavar="FILE", help="Limits by profile: .json.")
@click.option(
    "--instruments", type=_FILE, metavar="FILE", help="Issuer, sector, maturity, ... of each instrument: .json."
)
@click.option("--book", type=_FILE, metavar="FILE", help="The instruments as trades, a unit each: .jsonl or .csv.")
@click.option("--market", type=_FILE, metavar="FILE", help="Market snapshot: .json, also .gz.")
@click.option("--scenarios", type=_FILE, metavar="FILE", help="Market scenarios and the stress pack: .json, also .gz.")
@click.option("--stress", metavar="PATTERN", help="Names of the scenarios of the stress pack, such as 'stress *'.")
@click.option("--span-days", type=click.FloatRange(min=0, min_open=True), help="Days a market scenario spans.")
@click.option("--worst", type=click.IntRange(0), default=10, show_default=True, help="Clients shown in the table.")
@submission_options
@output_option("table", "json", "csv")
@click.pass_context
def command(
    context: click.Context, /, local: bool, scheduler: str | None, output: str, worst: int, **values: Any
) -> None:
    """Judge clients: SUITABLE, REVIEW or UNSUITABLE, with each rule's number, limit and margin.

    SOURCE may be sample:clients. The table shows counts and the worst clients; json and csv have every client.

    \b
    xipctl suitability sample:clients --local
    xipctl suitability --clients clients.csv --profiles limits.json --instruments instruments.json \\
        --book book.jsonl --market market.json --scenarios scenarios.json --stress 'stress *' --span-days 10
    """
    names = [field.name for field in dataclasses.fields(SuitabilityOptions)]
    options = SuitabilityOptions(**{name: values.pop(name) for name in names})
    options.check()
    if local and context.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--local starts a scheduler of its own, so there is no --scheduler to reach")
    if local:
        outcome = _judge_locally(options, values)
    else:
        from xip_core.cli.suitability_inputs import read_inputs

        outcome = asyncio.run(_judge(scheduler or SCHEDULER_DEFAULT, read_inputs(options), values))
    outcome.print(output, worst)
    context.exit(outcome.exit_code)


def _judge_locally(options: SuitabilityOptions, submission: dict[str, Any]) -> SuitabilityOutcome:
    from xip_core.cli.run import exit_on_signals
    from xip_core.client.local import LocalCluster

    exit_on_signals()
    with LocalCluster() as cluster:  # before all else: the daemons start while we read
        from xip_core.cli.execution import guarded
        from xip_core.cli.suitability_inputs import read_inputs

        inputs = read_inputs(options)

        async def judge() -> SuitabilityOutcome:
            return await guarded(_judge(await cluster.address(), inputs, submission), cluster)

        return asyncio.run(judge())


async def _judge(address: str, inputs: SuitabilityInputs, submission: dict[str, Any]) -> SuitabilityOutcome:
    """The final run and its verdicts, from the scheduler at *address*."""
    from xip_core.cli.suitability_output import outcome_of
    from xip_core.client import connect
    from xip_core.model.run_spec import Priority

    priority = Priority[submission.pop("priority").upper()]
    async with connect(address) as client:
        run = await client.submit_suitability(**inputs.blobs(), priority=priority, **submission)
        final, results = await asyncio.gather(client.wait(run.run_id), client.suitability_results(run.run_id))
        return outcome_of(final, results.to_numpy(), inputs)
