"""Output for programs: JSON and CSV, on stdout and nothing else there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from xip_core.cli.summary import AggregateLines, Summary
    from xip_core.model.result import Run

TRADE_COLUMNS = (
    "id",
    "type",
    "currency",
    "pv_trade_currency",
    "pv",
    "delta",
    "vega",
    "dv01",
    "status",
    "message",
    "gamma",
    "theta",
)
AGGREGATE_COLUMNS = ("aggregate", "key", "scenario", "rows_used", "rows_expected", "measure", "value")
TOTAL_COLUMNS = (
    "asset_class",
    "trades_used",
    "trades_expected",
    "pv",
    "delta",
    "vega",
    "dv01",
    "worst_scenario",
    "worst_pnl",
    "best_scenario",
    "best_pnl",
    "gamma",
    "theta",
)


def print_json(value: Any) -> None:
    """One JSON document; NaN is null, enumerations are lower-case words where a caller made them so."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_json_line(value: Any) -> None:
    click.echo(msgspec.json.encode(value))


def print_summary_csv(summary: Summary) -> None:
    """
    The trades where they were asked for, else the tables of aggregates, one number a line, else the asset classes and
    their total. Numbers in full precision.
    """
    if summary.trades is not None:
        rows = [[getattr(trade, column) for column in TRADE_COLUMNS] for trade in summary.trades]
        print_csv(TRADE_COLUMNS, rows)
        return
    if summary.aggregates:
        print_aggregates_csv(summary.aggregates)
        return
    rows = []
    for line in summary.asset_classes:
        head = [line.asset_class, line.trades_used, line.trades_expected, line.pv, line.delta, line.vega, line.dv01]
        worst = [line.worst.scenario, line.worst.pnl] if line.worst else [None, None]
        best = [line.best.scenario, line.best.pnl] if line.best else [None, None]
        rows.append([*head, *worst, *best, line.gamma, line.theta])
    print_csv(TOTAL_COLUMNS, rows)


def print_aggregates_csv(tables: Sequence[AggregateLines]) -> None:
    print_csv(AGGREGATE_COLUMNS, [line for table in tables for line in _aggregate_lines(table)])


def _aggregate_lines(table: AggregateLines) -> Iterator[tuple[object, ...]]:
    """Tables of different measures have different columns, so a line is one number with its name."""
    labels = (*table.aggregate.by, *table.aggregate.within)
    for record in table.rows:
        key = "/".join(str(record[name]) for name in dict.fromkeys(labels) if name in record)
        about = (table.name, key, record.get("scenario"), record.get("rows_used"), record.get("rows_expected"))
        for name, value in record.items():
            if isinstance(value, float):
                yield (*about, name, value)


def run_fields(run: Run) -> dict[str, Any]:
    """A run as JSON shows it: its state a word, everything else as the model has it."""
    fields = msgspec.structs.asdict(run) | {"state": run.state.name.lower(), "priority": run.priority.name.lower()}
    del fields["is_repeated"]  # of one answer, not of the run
    return fields


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    click.echo(text.getvalue(), nl=False)
