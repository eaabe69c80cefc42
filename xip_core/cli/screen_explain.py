"""What `xipctl explain`, `xipctl run --since` and `xipctl lineage` show to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xip_core.cli.screen import DIGEST_LENGTH, STATE_STYLES, _count, _escape, _table, console, short_duration, show

if TYPE_CHECKING:
    from rich.table import Table

    from xip_core.cli.explained import Explained
    from xip_core.cli.lineage_of import Lineage
    from xip_core.model.account import Reuse

NAMES_SHOWN = 8
NODES_SHOWN = 12


def print_reuse(reuse: Reuse) -> None:
    """What a run took over of another, what changed, and why the rest is computed."""
    out = console()
    other = _escape(reuse.run_id)
    if not (reuse.refusal or reuse.is_named or reuse.tiles_reused):
        why = ", ".join(f"{reason} ({count:,})" for reason, count in _reasons(reuse))
        out.print(f"[dim]nothing taken over of the run most like it, {other}: {_escape(why)}[/]", soft_wrap=True)
        return
    if reuse.refusal:
        out.print(f"[yellow]nothing taken over[/] of run {other}: {_escape(reuse.refusal)}\n", soft_wrap=True)
        return
    share = reuse.tiles_reused / reuse.tile_count if reuse.tile_count else 0.0
    out.print(f"[bold]{share:.0%}[/] of {_count(reuse.tile_count, 'tile')} taken over of run {other}")
    if reuse.definitions:
        out.print(f"  [yellow]market definitions changed:[/] {_escape(', '.join(reuse.definitions))}", soft_wrap=True)
    for quote in reuse.quotes[:NAMES_SHOWN]:
        before, after = ("none" if value is None else f"{value}" for value in (quote.before, quote.after))
        change = f"{_escape(before)} [dim]→[/] {_escape(after)}"
        out.print(f"  [dim]quote[/] {_escape(quote.name)}  {change}", soft_wrap=True)
    if reuse.quote_count > NAMES_SHOWN:
        out.print(f"  [dim]and {_count(reuse.quote_count - NAMES_SHOWN, 'more quote')}[/]")
    if reuse.object_count:
        more = f" and {reuse.object_count - NAMES_SHOWN:,} more" if reuse.object_count > NAMES_SHOWN else ""
        names = ", ".join(reuse.objects[:NAMES_SHOWN])
        out.print(f"  [dim]reaches {_count(reuse.object_count, 'object')}:[/] {_escape(names)}{more}", soft_wrap=True)
    computed = [node for node in reuse.nodes if node.tiles_reused < node.tile_count]
    computed.sort(key=lambda node: node.tiles_reused - node.tile_count)
    if computed:
        table = _table("computed", "tiles", "taken over", "why", left=1)
        table.columns[-1].justify = "left"
        for node in computed[:NODES_SHOWN]:
            words = [f"{reason} ({count:,})" for reason, count in node.reasons]
            why = ", ".join(words) if len(words) > 1 else node.reasons[0][0]
            tiles = f"{node.tile_count - node.tiles_reused:,}"
            table.add_row(_escape(node.name), tiles, f"{node.tiles_reused:,}", _escape(why))
        rest = computed[NODES_SHOWN:]
        if rest:
            tiles, taken = (sum(counts) for counts in zip(*((n.tile_count, n.tiles_reused) for n in rest), strict=True))
            table.add_row(f"[dim]and {_count(len(rest), 'more node')}[/]", f"{tiles - taken:,}", f"{taken:,}", "")
        show(out, table)


def _reasons(reuse: Reuse) -> list[tuple[str, int]]:
    """Why tiles are computed, most of them first."""
    counts: dict[str, int] = {}
    for node in reuse.nodes:
        for reason, count in node.reasons:
            counts[reason] = counts.get(reason, 0) + count
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def print_explained(found: Explained) -> None:
    out = console()
    passed = f"{found.state} after {_seconds(found.wall_s)}{_against(found)}"
    out.print(f"[bold]run {_escape(found.run_id)}[/]  {passed}", soft_wrap=True)
    if found.away_s:
        out.print(f"[yellow]the scheduler restarted meanwhile:[/] for {_seconds(found.away_s)} nobody handed out work")
    if not found.is_whole:
        lost = _count(found.tiles_unaccounted, "tile")
        out.print(f"[yellow]{lost} computed just before a restart of the scheduler are in no time below[/]")
    slot_s = found.compute_s + found.fetch_s + found.wasted_s
    parts = (("compute", found.compute_s), ("data", found.fetch_s), ("wasted", found.wasted_s))
    spent = " [dim]·[/] ".join(f"{name} {_seconds(value)} {_percent(value, slot_s)}" for name, value in parts)
    idle = f"[dim]queue[/] {_seconds(found.queue_s)} [dim]· tail[/] {_seconds(found.tail_s)}"
    out.print(f"{idle} [dim]· slots:[/] {spent}")
    tries = f"{_count(found.retried_count, 'failed try').replace('trys', 'tries')}, {found.duplicated_count:,} twice"
    out.print(
        f"[dim]taken over[/] {_percent(found.tiles_reused, found.tile_count)} of {found.tile_count:,} tiles "
        f"[dim]· pruned[/] {_percent(found.cells_pruned, found.cells_timed)} of {found.cells_timed:,} cells "
        f"[dim]· retries[/] {tries}\n"
    )
    tables = (_path_table, _kernel_table, _tile_table, _trade_table, _cost_table, _traffic)
    for table in (make(found) for make in tables):
        if table.row_count:
            show(out, table)


def _against(found: Explained) -> str:
    words = f", about {short_duration(found.eta_s)} left" if found.eta_s is not None else ""
    if found.late_s is None or found.deadline_s is None:
        return words
    margin_s = abs(found.late_s)
    margin = _seconds(margin_s) if margin_s < 60.0 else short_duration(margin_s)
    late = f"[yellow]{margin} late[/]" if found.late_s > 0.0 else f"{margin} to spare"
    return f"{words}, deadline after {short_duration(found.deadline_s)}: {late}"


def _path_table(found: Explained) -> Table:
    table = _table("critical path", "adds", "begins", "ends", "tiles", left=1)
    table.add_row("[dim]planning[/]", _seconds(found.planned_s), "", "", "")
    table.add_row("[dim]queue: no slot was free[/]", _seconds(found.queue_s), "", _seconds(found.queue_s), "")
    for step in found.path:
        if step.waits_s:
            who = f"slots at {', '.join(step.meanwhile)}" if step.meanwhile else "no slot was free"
            wait = (_seconds(step.waits_s), _seconds(step.begin_s - step.waits_s), _seconds(step.begin_s), "")
            table.add_row(f"[dim]wait: {_escape(who)}[/]", *wait)
        times = (_seconds(step.adds_s), _seconds(step.begin_s), _seconds(step.end_s))
        table.add_row(_escape(step.node), *times, f"{step.tiles_timed:,}")
    final = "end of the run" if found.state in STATE_STYLES else "since the last result"
    table.add_row(f"[dim]{final}[/]", _seconds(found.end_s), "", _seconds(found.wall_s), "")
    table.add_row("[dim]all[/]", _seconds(found.planned_s + found.wall_s), "", "", "")
    return table


def _kernel_table(found: Explained) -> Table:
    table = _table("kernel", "at", "compute", "ns a cell", left=2)
    for cost in found.kernels:
        per_cell = "" if cost.ns_per_cell is None else f"{cost.ns_per_cell:,.0f}"
        table.add_row(f"{_escape(cost.kernel)}@{_escape(cost.version)}", cost.kind, _seconds(cost.compute_s), per_cell)
    return table


def _tile_table(found: Explained) -> Table:
    table = _table("slowest tiles", "tile", "time", "rows", "worker", left=1)
    table.columns[-1].justify = table.columns[-2].justify = "left"
    for slow in found.slowest:
        rows = ", ".join(str(row) for row in slow.rows)
        rows += f" and {slow.row_count - len(slow.rows):,} more" if slow.row_count > len(slow.rows) else ""
        table.add_row(_escape(slow.node), str(slow.tile), _seconds(slow.elapsed_s), rows, _escape(slow.worker_id))
    return table


def _trade_table(found: Explained) -> Table:
    table = _table("trades of the slowest tiles", "count", "average a trade", "in tiles", "node", left=1)
    table.columns[-1].justify = "left"
    for slow in found.slowest_trades:
        shown = [trade or f"#{row}" for row, trade in zip(slow.rows, slow.trades or [""] * len(slow.rows), strict=True)]
        more = f" and {slow.row_count - len(shown):,} more" if slow.row_count > len(shown) else ""
        numbers = (f"{slow.row_count:,}", _seconds(slow.trade_s), f"{slow.tiles_seen} of {slow.tile_count}")
        table.add_row(_escape(", ".join(shown)) + more, *numbers, _escape(slow.node))
    if any(slow.row_count > 1 for slow in found.slowest_trades):
        table.caption = "tiles are timed whole: a line has the average of its trades, of which one may have taken most"
        table.caption_justify = "left"
    return table


def _cost_table(found: Explained) -> Table:
    table = _table("cost", "rows", "core-seconds", "wasted", "share", left=1)
    total_s = sum(cost.core_s for cost in found.costs)
    for cost in found.costs if total_s else ():
        numbers = (f"{cost.row_count:,}", f"{cost.core_s:,.3f}", f"{cost.wasted_s:,.3f}")
        table.add_row(_escape(cost.label), *numbers, _percent(cost.core_s, total_s))
    table.caption = "shared out by rows: each is charged the average of its node"
    table.caption_justify = "left"
    return table


def _traffic(found: Explained) -> Table:
    table = _table("received by worker", "kind", "bytes", "times", left=2)
    for worker_id, kinds in found.received.items():
        for kind, (size_bytes, count) in kinds.items():
            table.add_row(_escape(worker_id), _escape(kind), f"{size_bytes:,}", f"{count:,}")
        total = f"{sum(size_bytes for size_bytes, _ in kinds.values()):,}"
        table.add_row(_escape(worker_id), "[dim]all[/]", total, f"{sum(count for _, count in kinds.values()):,}")
    return table


def print_lineage(lineage: Lineage) -> None:
    out = console()
    out.print(f"[bold]{_escape(lineage.cell)}[/]  row {lineage.row} [dim]of run[/] {_escape(lineage.run_id)}")
    out.print(f"[dim]{_digests(lineage.digests)}[/]", soft_wrap=True)
    for origin, digests in lineage.origins.items():
        told = _digests(digests) if digests else "not kept any more"
        out.print(f"[dim]tiles of run {_escape(origin)} read {told}[/]", soft_wrap=True)
    if lineage.reason:
        out.print(f"[yellow]{_escape(lineage.reason)}[/]  {_escape(lineage.message)}", soft_wrap=True)
    if not lineage.tiles:
        out.print("[dim]no tile: the row was refused when the run was planned[/]")
        return
    out.print()
    table = _table("node", "tile", "state", "worker", "cpu", "version", "epoch", "computed in", left=1)
    for position in (2, 3, 7):
        table.columns[position].justify = "left"
    for tile in lineage.tiles:
        origin = _escape(tile.origin or lineage.run_id) if tile.state == "computed" else ""
        who = (_escape(tile.worker_id), _escape(tile.cpu_level), _escape(tile.version), str(tile.epoch or ""))
        table.add_row(_escape(tile.node), str(tile.tile), tile.state, *who, origin)
    show(out, table)
    for tile in lineage.tiles:
        for attempt in tile.attempts:
            what = f"{_escape(tile.node)} tile {tile.tile}: {attempt.reason} on {_escape(attempt.worker_id)}"
            out.print(f"[yellow]try[/]  {what}  [dim]{_escape(attempt.message)}[/]", soft_wrap=True)
    kernels = ", ".join(f"{name}@{version}" for name, version in lineage.kernels.items())
    out.print(f"[dim]kernels {_escape(kernels)}[/]", soft_wrap=True)


def _digests(digests: dict[str, str]) -> str:
    return " · ".join(f"{name} {digest[:DIGEST_LENGTH]}" for name, digest in digests.items() if digest)


def _seconds(value: float) -> str:
    return f"{value * 1e3:,.1f} ms" if value < 1.0 else f"{value:,.2f} s"


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "0%"
