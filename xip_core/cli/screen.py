"""Output for people: calm tables, numbers right-aligned, colour only where something needs a look.

Rich is imported by the functions that need it: 0.1 s that JSON and CSV do without.
"""

from __future__ import annotations

import datetime as dt
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from xip_core.cli.summary import AggregateLines, Extreme, QuarantineLine, Summary, TradeLine
    from xip_core.graph.outline import NodeOutline, Outline
    from xip_core.kernels.declarations import Kernel
    from xip_core.model.result import BreakerInfo, Run, WorkerInfo
    from xip_core.pricing.fit_report import CalibrationReport, ObjectFit

WIDTH_MIN = 100  # of output that goes to a file or a pipe, where nobody can make the window wider
WIDTH_MAX = 10_000  # nobody's table; bounds what rich measures
AGGREGATE_ROWS_MAX = 40  # of a table on the screen
DIGEST_LENGTH = 12  # of digests on screens: unique in practice; JSON has all of it
STATE_STYLES = {"completed": "green", "completed with quarantine": "yellow", "failed": "red", "cancelled": "red"}


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=max(made.width, WIDTH_MIN))


def print_summary(summary: Summary) -> None:
    """The whole result of a run, as `xipctl run` and `xipctl results` show it."""
    out = console()
    if summary.trades is not None:
        show(out, _trade_table(summary.trades, summary.base_currency))
    out.print(_headline(summary))
    if summary.asset_classes:
        show(out, _totals_table(summary))
        if summary.asset_classes[-1].worst is not None:
            show(out, _scenario_table(summary))
    for aggregate in summary.aggregates:
        show(out, aggregate_table(aggregate))
    _print_quarantine(out, summary)
    _print_footer(out, summary)


def _headline(summary: Summary) -> str:
    style = STATE_STYLES.get(summary.state, "default")
    parts = (
        _count(summary.trade_count, "trade"),
        _count(summary.scenario_count, "scenario"),
        f"as of {summary.as_of}",
        f"in {summary.base_currency}",
    )
    title = f"[bold]{_escape(summary.name or summary.lineage.run_id)}[/]  [{style}]{summary.state}[/]"
    message = f"\n{_escape(summary.message)}" if summary.message else ""
    return f"{title}\n[dim]{' · '.join(parts)}[/]{message}\n"


GREEK_TITLES = {"gamma": "gamma 1%", "theta": "theta 1d"}
"""Of columns that are shown where they were asked for."""


def _is_number(value: float | None) -> bool:
    return value is not None and value == value


def _totals_table(summary: Summary) -> Table:
    greeks = [name for name in GREEK_TITLES if any(_is_number(getattr(line, name)) for line in summary.asset_classes)]
    titles = (GREEK_TITLES[name] for name in greeks)
    table = _table("", "trades", "PV", "delta 1%", "vega", "DV01", *titles, left=1)
    for line in summary.asset_classes:
        is_total = line is summary.asset_classes[-1]
        used, expected = line.trades_used, line.trades_expected
        trades = f"{used:,}" if used == expected else f"[yellow]{used:,} of {expected:,}[/]"
        measures = ("pv", "delta", "vega", "dv01", *greeks)
        numbers = (_money(getattr(line, measure)) for measure in measures)
        _add_line(table, is_total, _name(line.asset_class), trades, *numbers)
    return table


def _scenario_table(summary: Summary) -> Table:
    table = _table("P&L", "worst", "scenario", "best", "scenario", left=1)
    table.columns[2].justify = table.columns[4].justify = "left"
    for line in summary.asset_classes:
        is_total = line is summary.asset_classes[-1]
        _add_line(table, is_total, _name(line.asset_class), *_extreme(line.worst), *_extreme(line.best))
    return table


def _extreme(extreme: Extreme | None) -> tuple[str, str]:
    if extreme is None:
        return "", ""
    mark = " [yellow](partial)[/]" if extreme.is_partial else ""
    return _money(extreme.pnl), _escape(extreme.scenario) + mark


def _trade_table(trades: Sequence[TradeLine], base_currency: str) -> Table:
    greeks = [name for name in GREEK_TITLES if any(_is_number(getattr(trade, name)) for trade in trades)]
    titles = ("delta 1%", "vega", "DV01", *(GREEK_TITLES[name] for name in greeks))
    table = _table("trade", "type", "", "PV", f"PV {base_currency}", *titles, "status", left=3)
    table.columns[-1].justify = "left"
    for trade in trades:
        status = "[dim]ok[/]" if trade.status == "ok" else f"[yellow]{_words(trade.status)}[/]"
        measures = ("pv_trade_currency", "pv", "delta", "vega", "dv01", *greeks)
        cents = (_cents(getattr(trade, measure)) for measure in measures)
        currency = f"[dim]{_escape(trade.currency)}[/]"
        table.add_row(_escape(trade.id), _escape(trade.type), currency, *cents, status)
    return table


def aggregate_table(lines: AggregateLines) -> Table:
    """Labels, numbers, and how many trades they are of; long tables are for JSON and CSV."""
    shown = lines.rows[:AGGREGATE_ROWS_MAX]
    first = shown[0] if shown else {}
    labels = [name for name, value in first.items() if isinstance(value, str)]
    numbers = [name for name, value in first.items() if isinstance(value, float)]
    others = [name for name in ("trades", "drivers") if _OTHER_FIELDS[name] in first]
    table = _table(*(labels or [""]), *numbers, *others, left=max(1, len(labels)))
    table.title, table.title_justify, table.title_style = _escape(lines.name), "left", "bold"
    if "drivers" in others:
        table.columns[-1].justify = "left"
    for record in shown:
        cells = [_escape(str(record[name])) for name in labels] or ["all"]
        cells += [_pure_number(record[name]) if name in _PURE_NUMBERS else _money(record[name]) for name in numbers]
        if "trades" in others:
            used, expected = record["rows_used"], record["rows_expected"]
            cells.append(f"{used:,}" if used == expected else f"[yellow]{used:,} of {expected:,}[/]")
        if "drivers" in others:
            cells.append(_escape(", ".join(_driver(driver) for driver in record["drivers"])))
        table.add_row(*cells)
    if len(lines.rows) > len(shown):
        table.caption = f"and {len(lines.rows) - len(shown):,} more; --output csv has all"
        table.caption_justify = "left"
    return table


_PURE_NUMBERS = ("skewness", "excess_kurtosis")
"""Columns without a currency, of order one."""

_OTHER_FIELDS = {"trades": "rows_used", "drivers": "drivers"}
"""Columns beside labels and numbers, and the field that says whether a table has them."""


def plan_table(lines: Sequence[tuple[str, NodeOutline | None]], found: Outline) -> Table:
    """Nodes as a tree, results first."""
    table = _table("node", "kernel", "tiles", "rows", "scenarios", "core-s", "output", "detail", left=2)
    for name, node in lines:
        if node is None:
            table.add_row(f"[dim]{_escape(name)}[/]", *[""] * 7)
            continue
        kernel = f"[dim]{node.kernel}@{node.kernel_version}[/]"
        rows, scenarios = (f"{count:,}" if count else "" for count in (node.row_count, node.scenario_count))
        sizes = (_size(node.output_bytes), _size(node.detail_bytes))
        table.add_row(
            _escape(name), kernel, f"{node.tile_count:,}", rows, scenarios, f"{node.core_s:,.3f}", *sizes
        )
    sizes = (_size(found.output_bytes), _size(found.detail_bytes))
    _add_line(table, True, "total", "", f"{found.tile_count:,}", "", "", f"{found.core_s:,.3f}", *sizes)
    table.caption = f"inputs {_size(found.blob_bytes)}, plan {_size(found.plan_bytes)}; core-s as declared, on one core"
    table.caption_justify = "left"
    return table


def _size(size_bytes: int) -> str:
    """1 kB is 1,000 bytes; "" for none."""
    for unit, unit_bytes in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:,.1f} {unit}"
    return f"{size_bytes} B" if size_bytes else ""


def _driver(driver: dict[str, Any]) -> str:
    labels = "/".join(value for value in driver.values() if isinstance(value, str))
    return f"{labels} {_money(driver['pnl'])}".strip()


def _print_quarantine(out: Console, summary: Summary) -> None:
    if not summary.quarantine:
        return
    out.print("[yellow]quarantine[/]  [dim]cells without a number, and why[/]")
    for line in summary.quarantine:
        is_everywhere = line.value_count == line.trade_count * summary.scenario_count
        where = "" if is_everywhere else f", {_count(line.value_count, 'value')}"
        out.print(f"  [yellow]{_words(line.reason)}[/]  {_count(line.trade_count, 'trade')}{where}")
        listed = _listed(summary, line)
        for trade_id, message in listed:
            text = message if trade_id in message else f"{trade_id}: {message}"
            out.print(f"    [dim]{_escape(text)}[/]", soft_wrap=True)  # never cut: the end says why
        if line.trade_count > len(listed):
            hint = "; --trades lists them" if summary.trades is None else ", told under another reason"
            out.print(f"    [dim]and {line.trade_count - len(listed):,} more{hint}[/]")
    out.print()


def _listed(summary: Summary, line: QuarantineLine) -> Sequence[tuple[str, str]]:
    """Trades and sentences to show for a reason: all of them where every trade is listed, else the first."""
    if summary.trades is None:
        return line.examples
    return [(trade.id, trade.message) for trade in summary.trades if trade.status == line.reason]


def _print_footer(out: Console, summary: Summary) -> None:
    from rich.table import Table

    timing, lineage = summary.timing, summary.lineage
    failed = f"{summary.cells_failed:,} failed"
    phases = [f"{timing.wall_s:.2f} s"]
    if timing.first_lease_s is not None:
        phases.append(f"first lease after {timing.first_lease_s:.2f} s")
    if timing.first_block_s is not None:
        phases.append(f"first block after {timing.first_block_s:.2f} s")
    kernels = ", ".join(f"{name}@{version}" for name, version in lineage.kernels.items())
    digest = lineage.snapshot_digest[:DIGEST_LENGTH]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    cells = f"{summary.cells_computed:,} computed [dim]·[/] "
    grid.add_row("cells", cells + (f"[yellow]{failed}[/]" if summary.cells_failed else failed))
    grid.add_row("time", " [dim]·[/] ".join(phases))
    grid.add_row("lineage", f"[dim]run {lineage.run_id} · snapshot {digest} · kernels {_escape(kernels)}[/]")
    out.print(grid)


def print_runs(runs: Sequence[Run]) -> None:
    if not runs:
        console().print("[dim]no runs yet; submit one with[/] xipctl run sample:cross-asset")
        return
    table = _table("run", "name", "state", "order", "cells", "done", "failed", "submitted", "took", "left", left=4)
    for run in runs:
        label = run.state.label
        table.add_row(
            run.run_id,
            _escape(run.name),
            "[yellow]paused[/]" if run.is_paused else f"[{STATE_STYLES.get(label, 'default')}]{label}[/]",
            _order(run),
            f"{run.cell_count:,}",
            f"{_fraction(run):.0%}",
            f"[yellow]{run.cells_quarantined:,}[/]" if run.cells_quarantined else "0",
            _local_time(run.submitted_at_s),
            f"{run.finished_at_s - run.submitted_at_s:.1f} s" if run.finished_at_s else "",
            _time_left(run),
        )
    show(console(), table)


def print_workers(workers: Sequence[WorkerInfo]) -> None:
    if not workers:
        console().print("[dim]no workers attached; start one with[/] xip-worker --scheduler HOST:PORT")
        return
    headers = ("worker", "host", "pid", "slots", "cpu", "leases", "tiles", "speed", "memory", "attached", "seen", "")
    table = _table(*headers, left=2)
    for worker in workers:
        table.add_row(
            _escape(worker.worker_id),
            _escape(worker.host),
            str(worker.pid),
            str(worker.slot_count),
            worker.cpu_level,
            str(worker.lease_count),
            f"{worker.tiles_done:,}",
            f"{worker.speed:.2f}" if worker.speed else "",
            f"{worker.memory_bytes / 2**20:,.0f} MB",
            _duration(worker.attached_s),
            f"{worker.heartbeat_age_s:.1f} s ago",
            f"[yellow]draining[/] {_escape(worker.drain_reason)}".rstrip() if worker.is_draining else "",
        )
    show(console(), table)


def print_breakers(breakers: Sequence[BreakerInfo]) -> None:
    """Nothing where every kernel is leased as usual."""
    out = console()
    for breaker in breakers:
        style = "red" if breaker.state == "stopped" else "yellow"
        text = f"{_escape(breaker.kernel)}@{_escape(breaker.version)}  [dim]{_escape(breaker.reason)}[/]"
        out.print(f"[{style}]kernel {_escape(breaker.state)}[/]  {text}", soft_wrap=True)


def print_kernels(kernels: Sequence[Kernel]) -> None:
    table = _table("kernel", "version", "what it prices", "columns", "outputs", left=3)
    for kernel in kernels:
        counts = (str(len(kernel.columns)), str(len(kernel.outputs)))
        table.add_row(kernel.name, kernel.version, _escape(kernel.summary), *counts)
    show(console(), table)


def _wrapped(text: str, width: int) -> str:
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(_escape(line) for line in lines)


def print_kernel(kernel: Kernel) -> None:
    out = console()
    package = f"  [dim]of[/] {kernel.package}" if kernel.package else ""
    out.print(f"[bold]{kernel.name}[/]  [dim]version[/] {kernel.version}{package}\n[dim]{_escape(kernel.summary)}[/]\n")
    columns = _table("column", "unit", "domain", left=3)
    for column in kernel.columns:
        columns.add_row(column.name, _wrapped(column.unit, 50), _wrapped(column.domain, 70))
    outputs = _table("output", "unit", left=2)
    for output in kernel.outputs:
        outputs.add_row(output.name, _escape(output.unit))
    show(out, columns)
    show(out, outputs)
    out.print(f"[dim]source  {_escape(kernel.source)}[/]")


def print_calibration(name: str, as_of: str, report: CalibrationReport) -> None:
    """Objects with what is left of their worst quote; then why some were refused."""
    out = console()
    refused = [item for item in report.objects if item.reason]
    verdict = f"[yellow]{_count(len(refused), 'object')} refused[/]" if refused else "[green]complete[/]"
    out.print(f"[bold]{_escape(name)}[/]  {verdict}\n[dim]as of {as_of}[/]\n")
    table = _table("object", "quotes", "rounds", "worst residual", "of quote", left=1)
    table.columns[-1].justify = "left"
    for item in report.objects:
        counts = (str(len(item.instruments)), str(item.rounds) if item.rounds else "[dim]-[/]")
        if item.is_refused:
            table.add_row(f"[yellow]{_escape(item.name)}[/]", *counts, "[yellow]refused[/]", "")
        elif item.worst is None:
            table.add_row(_escape(item.name), *counts, "[dim]-[/]", "")
        else:
            table.add_row(_escape(item.name), *counts, f"{item.worst_residual:.1e}", _escape(item.worst.quote))
    show(out, table)
    for item in refused:
        part = " [dim](in part)[/]" if item.is_partial else ""
        out.print(f"[yellow]{_words(item.reason)}[/]{part}  {_escape(item.message)}", soft_wrap=True)


def print_object_fit(item: ObjectFit) -> None:
    """The quotes of one object."""
    out = console()
    table = _table("quote", "pillar", "value", "residual", left=2)
    for quote in item.instruments:
        value = "[yellow]none[/]" if quote.value is None else f"{quote.value:.10g}"
        residual = "[dim]-[/]" if quote.residual is None else f"{quote.residual:.1e}"
        table.add_row(_escape(quote.quote), quote.pillar, value, residual)
    rounds = f"  [dim]{_count(item.rounds, 'round')}[/]" if item.rounds else ""
    out.print(f"[bold]{_escape(item.name)}[/]{rounds}\n")
    show(out, table)
    if item.reason:
        out.print(f"[yellow]{_words(item.reason)}[/]  {_escape(item.message)}", soft_wrap=True)


def run_line(run: Run) -> str:
    """One plain line about a run, for logs and pipes."""
    done = f"{run.cells_done:,} of {run.cell_count:,} cells ({_fraction(run):.0%})"
    failed = f", {run.cells_quarantined:,} failed" if run.cells_quarantined else ""
    state = "paused" if run.is_paused else run.state.label
    line = f"run {run.run_id} {state}: {done}{failed}{'' if run.state.is_final else ', ' + workers_of(run)}"
    return f"{line}, {run.message}" if is_late(run) else line


def is_late(run: Run) -> bool:
    """Does the scheduler say that the run misses its deadline?"""
    return not run.state.is_final and bool(run.deadline_after_s) and "deadline" in run.message


def _order(run: Run) -> str:
    """Who goes first: "batch, in 5m"; nothing for an interactive run without deadline."""
    words = ["batch"] if run.priority.name == "BATCH" else []
    if run.deadline_after_s:
        text = f"in {short_duration(run.deadline_after_s)}"
        words.append(f"[yellow]{text}[/]" if is_late(run) else text)
    return ", ".join(words)


def _time_left(run: Run) -> str:
    return "" if run.state.is_final or not run.eta_s else short_duration(run.eta_s)


def short_duration(duration_s: float) -> str:
    """ "45s", "5m", "2h 30m"."""
    if duration_s < 100.0:
        return f"{duration_s:.0f}s"
    minutes = round(duration_s / 60.0)
    return f"{minutes}m" if minutes < 100 else f"{minutes // 60}h {minutes % 60}m"


def workers_of(run: Run) -> str:
    if not run.worker_count:
        return "no worker: start one with xip-worker"
    return f"{_count(run.slot_count, 'slot')} on {_count(run.worker_count, 'worker')}"


def _fraction(run: Run) -> float:
    return run.cells_done / run.cell_count if run.cell_count else float(run.state.is_final)


def _table(*headers: str, left: int) -> Table:
    """A table whose first *left* columns are text and the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="dim",
        border_style="dim",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    for position, header in enumerate(headers):
        is_text = position < left
        table.add_column(header, justify="left" if is_text else "right", no_wrap=True)
    return table


def show(out: Console, table: Table) -> None:
    """Print *table* as wide as it is: a narrow window breaks its lines, but no number is ever cut."""
    window_width = out.width
    out.width = WIDTH_MAX
    out.width = max(window_width, out.measure(table).maximum)
    out.print(table)
    out.width = window_width
    out.print()


def _add_line(table: Table, is_total: bool, *cells: str) -> None:
    if is_total:
        table.add_section()
    table.add_row(*cells, style="bold" if is_total else None)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _words(reason: str) -> str:
    """Of MISSING_DATA "missing data"."""
    return reason.lower().replace("_", " ")


def _name(asset_class: str) -> str:
    known = {"fx": "FX"}
    return known.get(asset_class, asset_class.capitalize())


def _money(value: float) -> str:
    if math.isnan(value):
        return "[yellow]–[/]"
    return "0" if abs(value) < 0.5 else f"{value:,.0f}"


def _pure_number(value: float) -> str:
    return "[yellow]–[/]" if math.isnan(value) else f"{value:.4f}"


def _cents(value: float | None) -> str:
    if value is None:
        return "[yellow]–[/]"
    if value == 0.0:
        return "0"
    text = f"{value:,.2f}"
    return "0.00" if text == "-0.00" else text


def _local_time(at_s: float) -> str:
    return dt.datetime.fromtimestamp(at_s).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at_s else ""


def _duration(duration_s: float) -> str:
    return str(dt.timedelta(seconds=int(duration_s)))


def _escape(text: str) -> str:
    """*text* of others as it may stand in rich's markup: none of its own, and printable."""
    return printable(text).replace("[", "\\[")


def printable(text: str) -> str:
    """*text* of others as it may stand on a terminal: no control character acts there."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
