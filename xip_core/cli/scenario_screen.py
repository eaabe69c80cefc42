"""What `xipctl scenarios show` prints."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from xip_core.model.risk_class import RISK_CLASSES
from xip_core.model.scenario import ScenarioSet
from xip_core.scenarios.contents import Touched

LINES_MAX = 40
"""Scenarios shown one by one; all of them are in the JSON."""


class Contents(msgspec.Struct, frozen=True):
    """Of a set.

    Attributes:
        tables: target, kind, rows and the scenarios they are of.
        scenarios: names; with a market also what they touch there.
    """

    size_bytes: int
    scenario_count: int
    named_shift_count: int
    is_exclusive: bool
    tables: tuple[dict[str, str | int], ...]
    scenarios: tuple[dict[str, str | int], ...]


def contents_of(scenarios: ScenarioSet, size_bytes: int, in_market: Sequence[Touched] | None) -> Contents:
    """What is shown of a set."""
    tables: tuple[dict[str, str | int], ...] = tuple(
        {"target": t.target, "kind": t.kind, "rows": len(t.names), "first": t.first, "last": t.last - 1}
        for t in scenarios.shift_tables
    )
    lines: list[dict[str, str | int]] = [
        {"name": scenario.name, "named_shifts": len(scenario.shifts)} for scenario in scenarios.scenarios
    ]
    for line, found in zip(lines, in_market or (), strict=False):
        line["quotes"] = found.quote_count
        line["curves"] = found.curves
        line["objects"] = found.objects
        line |= {one: count for one, count in zip(RISK_CLASSES, found.quotes, strict=True) if count}
    return Contents(
        size_bytes=size_bytes,
        scenario_count=len(scenarios.scenarios),
        named_shift_count=sum(len(scenario.shifts) for scenario in scenarios.scenarios),
        is_exclusive=scenarios.exclusive is True,
        tables=tables,
        scenarios=tuple(lines),
    )


def print_contents(name: str, contents: Contents) -> None:
    """A head, the tables, then a line a scenario."""
    exclusive = "  exclusive" if contents.is_exclusive else ""
    click.echo(f"{name}  {contents.scenario_count} scenarios with the base  {contents.size_bytes:,} bytes{exclusive}")
    click.echo(f"named shifts {contents.named_shift_count}  tables {len(contents.tables)}")
    for table in contents.tables:
        span = f"scenarios {table['first']} to {table['last']}"
        click.echo(f"  {table['target']}  {table['kind']}  {table['rows']} rows  {span}")
    click.echo("")
    width = max(len(str(line["name"])) for line in contents.scenarios[:LINES_MAX])
    for line in contents.scenarios[:LINES_MAX]:
        rest = "  ".join(f"{key.replace('_', ' ')} {value}" for key, value in line.items() if key != "name")
        click.echo(f"{line['name']!s:<{width}}  {rest}")
    if len(contents.scenarios) > LINES_MAX:
        click.echo(f"... {len(contents.scenarios) - LINES_MAX} more; --output json has them all")
