"""xipctl pnl

The P&L of a book between two snapshots, split into carry, delta by risk class, gamma, vega and what is left
(docs/risk.md).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.core import ParameterSource

from xip_core.cli.options import SCHEDULER_DEFAULT, exit_code_of, output_option, scheduler_option, submission_options

if TYPE_CHECKING:
    from xip_core.client.pnl import ExplainTable
    from xip_core.model.market import Snapshot
    from xip_core.model.result import Run
    from xip_core.scenarios.moves import Moves

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

PARTS = ("total", "carry", "delta", "gamma", "vega", "residual")


class PnlInputs(msgspec.Struct, frozen=True):
    """Blobs of the three valuations, and the moves between the snapshots."""

    book: bytes
    begin: bytes
    rolled: bytes
    end: bytes
    moves: Moves
    by: tuple[str, ...]


class PnlOutcome(msgspec.Struct, frozen=True):
    """A final run and its table."""

    run: Run
    table: ExplainTable
    moves: Moves

    def records(self) -> list[dict[str, Any]]:
        """A record a group: labels, parts, delta by class, and how many trades have numbers."""
        table = self.table
        return [
            {
                **dict(zip(table.by, key, strict=True)),
                **{name: float(getattr(table.parts, name)[row]) for name in PARTS},
                "residual_share": float(table.parts.residual_share[row]),
                **{f"from_{name.lower()}": float(values[row]) for name, values in table.by_class.items()},
                "rows_used": int(table.rows_used[row]),
                "rows_expected": int(table.rows_expected[row]),
            }
            for row, key in enumerate(table.keys)
        ]

    def print(self, output: str) -> None:
        from xip_core.cli.data import print_csv, print_json

        records = self.records()
        if output == "csv":
            columns = list(records[0]) if records else [*self.table.by, *PARTS]
            print_csv(columns, [list(record.values()) for record in records])
        elif output == "json":
            print_json(
                {
                    "run_id": self.run.run_id,
                    "state": self.run.state.name.lower(),
                    "quotes_moved": self.moves.moved_count,
                    "quotes_unmatched": self.moves.unmatched,
                    "groups": records,
                    "groups_unexplained": [{"key": key, "reason": why} for key, why in self.table.unexplained],
                }
            )
        else:
            self._print_table(records)

    def _print_table(self, records: list[dict[str, Any]]) -> None:
        from xip_core.cli.screen import _table, console, show

        out = console()
        table = _table(*self.table.by, *PARTS, "unexplained", "trades", left=len(self.table.by))
        for record in records:
            labels = [str(record[name]) for name in self.table.by]
            parts = [f"{record[name]:,.0f}" for name in PARTS]
            trades = f"{record['rows_used']:,}/{record['rows_expected']:,}"
            table.add_row(*labels, *parts, f"{record['residual_share']:.1%}", trades)
        show(out, table)
        if len(self.table.by_class) > 1:  # else delta, or vega, is the whole of it
            names = [name.lower() for name in self.table.by_class]
            classes = _table(*self.table.by, *(name.replace("_", " ") for name in names), left=len(self.table.by))
            classes.title, classes.title_justify, classes.title_style = "delta and vega by risk class", "left", "bold"
            for record in records:
                labels = [str(record[name]) for name in self.table.by]
                classes.add_row(*labels, *(f"{record[f'from_{name}']:,.0f}" for name in names))
            show(out, classes)
        moved = f"{self.moves.moved_count:,} quotes moved"
        if self.moves.unmatched:
            moved += f", {len(self.moves.unmatched):,} could not be compared (first {self.moves.unmatched[0]})"
        click.echo(f"{moved}; run {self.run.run_id}")
        for key, why in self.table.unexplained:
            click.echo(f"not explained: {'/'.join(key) or 'the book'}: {why}")


@click.command("pnl")
@click.option("--local", is_flag=True, help="Start a scheduler and a worker for this run and stop them afterwards.")
@scheduler_option
@click.option("--book", type=_FILE, required=True, metavar="FILE", help="Trades: .jsonl or .csv, also .gz.")
@click.option(
    "--begin", type=_FILE, required=True, metavar="FILE", help="Market snapshot at the beginning: .json, .gz."
)
@click.option("--end", type=_FILE, required=True, metavar="FILE", help="Market snapshot at the end.")
@click.option("--by", default="", metavar="KEYS", help="Hierarchy keys, such as desk,book.  [everything in one row]")
@submission_options
@output_option("table", "json", "csv")
@click.pass_context
def command(context: click.Context, /, local: bool, scheduler: str | None, output: str, by: str, **values: Any) -> None:
    """Explain the P&L of a book between two snapshots: carry, delta, gamma, vega, residual.

    Values are those of the trades held at both ends; cash paid in between is missing in the total and in the carry.

    \b
    xipctl pnl --book book.jsonl --begin monday.json --end tuesday.json --by desk --local
    """
    if local and context.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--local starts a scheduler of its own, so there is no --scheduler to reach")
    files = {name: values.pop(name) for name in ("book", "begin", "end")}
    keys = tuple(word.strip() for word in by.split(",") if word.strip())
    if not local:
        outcome = asyncio.run(_explain(scheduler or SCHEDULER_DEFAULT, _read(keys, **files), values))
    else:
        outcome = _explain_locally(keys, files, values)
    outcome.print(output)
    context.exit(exit_code_of(outcome.run.state))


def rolled_until(begin: Snapshot, end: Snapshot) -> Snapshot:
    """
    *begin* on the date of *end*, no quote moved.

    Raises:
        RequestError: BAD_DATES, the end is before the beginning, or no business day of the base currency.
    """
    from xip_core.errors import RequestError
    from xip_core.pricing.roll import rolled_snapshot

    rolled = begin
    while rolled.as_of < end.as_of:
        rolled = rolled_snapshot(rolled)
    if rolled.as_of != end.as_of:
        sentence = f"the end must be a business day of {begin.base_currency} on or after {begin.as_of}, got {end.as_of}"
        raise RequestError("BAD_DATES", sentence)
    return rolled


def _read(by: tuple[str, ...], book: Path, begin: Path, end: Path) -> PnlInputs:
    from xip_core.cli.inputs import content_of
    from xip_core.model.market import decode_snapshot, encode_snapshot
    from xip_core.readers.book_table import read_book
    from xip_core.scenarios.moves import moves_between

    contents = {"begin": content_of(begin), "end": content_of(end)}
    first, last = (decode_snapshot(content) for content in contents.values())
    rolled = encode_snapshot(rolled_until(first, last))
    return PnlInputs(book=read_book(book), rolled=rolled, moves=moves_between(first, last), by=by, **contents)


def _explain_locally(by: tuple[str, ...], files: dict[str, Path], submission: dict[str, Any]) -> PnlOutcome:
    from xip_core.cli.run import exit_on_signals
    from xip_core.client.local import LocalCluster

    exit_on_signals()
    with LocalCluster() as cluster:  # before all else: the daemons start while we read
        from xip_core.cli.execution import guarded

        inputs = _read(by, **files)

        async def explain() -> PnlOutcome:
            return await guarded(_explain(await cluster.address(), inputs, submission), cluster)

        return asyncio.run(explain())


async def _explain(address: str, inputs: PnlInputs, submission: dict[str, Any]) -> PnlOutcome:
    from xip_core.client import connect
    from xip_core.client.pnl import explain_graph, explained_of
    from xip_core.model.run_spec import Priority

    priority = Priority[submission.pop("priority").upper()]
    graph = explain_graph(inputs.book, inputs.begin, inputs.rolled, inputs.end, inputs.moves, inputs.by)
    async with connect(address) as client:
        run = await client.submit_graph(graph, priority=priority, **submission)
        final, tables = await asyncio.gather(client.wait(run.run_id), client.tables(run.run_id))
        return PnlOutcome(final, explained_of(tables, inputs.moves), inputs.moves)
