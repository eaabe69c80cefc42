"""xipctl plan"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from xip_core.cli.options import output_option
from xip_core.cli.request_options import RequestOptions, request_options

if TYPE_CHECKING:
    from xip_core.graph.outline import NodeOutline, Outline
    from xip_core.model.run_spec import RunSpec


@click.command("plan")
@request_options
@output_option("table", "json")
def command(output: str, **values: Any) -> None:
    """
    Show what a run would be, without running it: nodes, tiles, cost, bytes.

    The request is judged as the scheduler judges it; what it would refuse is refused here, with the same reason.

    \b
    xipctl plan sample:cross-asset --aggregate "var by=currency q=0.99" --detail none
    xipctl plan --graph graph.json --output json
    """
    from xip_core.graph.outline import outline
    from xip_core.graph.planner import plan_run

    options = RequestOptions(**values)
    options.check()
    spec, blob = _request(options)
    plan = plan_run(spec, blob)
    found = outline(plan, blob)
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(found)
        return
    _print(spec.name, found)


def _request(options: RequestOptions) -> tuple[RunSpec, Callable[[str], bytes]]:
    from xip_core.cli.graph_file import read_graph
    from xip_core.cli.inputs import read_inputs
    from xip_core.client.heads import snapshot_head
    from xip_core.client.requests import aggregates_of
    from xip_core.errors import NotFoundError
    from xip_core.graph.plan import digest_of
    from xip_core.model.run_spec import DEFAULT_MEASURES, Detail, GraphWork, RiskWork, RunSpec

    work: RiskWork | GraphWork
    if options.graph is not None:
        spec, blobs = read_graph(options.graph)
        name, work = options.graph.name, GraphWork(spec)
    else:
        inputs = read_inputs(options)
        head = snapshot_head(inputs.market)
        contents = (inputs.book, inputs.market, inputs.scenarios, inputs.covariance)
        digests = tuple(digest_of(blob) for blob in contents)
        blobs = dict(zip(digests, contents, strict=True))
        work = RiskWork(
            book_digest=digests[0],
            market_digest=digests[1],
            scenarios_digest=digests[2],
            measures=options.measure_names() or DEFAULT_MEASURES,
            base_currency=head.base_currency,
            as_of=head.as_of,
            aggregates=aggregates_of(options.aggregates(), inputs.covariance),
            detail=Detail(options.detail),
            risk_classes=options.risk_class,
        )
        name = inputs.name

    def blob(digest: str) -> bytes:
        if digest not in blobs:
            raise NotFoundError(f"no blob {digest}")
        return blobs[digest]

    return RunSpec(name, work), blob


def _print(name: str, found: Outline) -> None:
    from xip_core.cli.screen import console, plan_table, show

    out = console()
    quarantined = f" · {found.quarantined_row_count:,} rows in quarantine" if found.quarantined_row_count else ""
    keys = ", ".join(found.keys)
    groups = f"{found.group_count:,} leaf groups by {keys} · " if found.keys else ""
    out.print(f"[bold]{name}[/]  [dim]not run[/]")
    out.print(f"[dim]{groups}{found.cell_count:,} cells{quarantined}[/]\n", highlight=False)
    show(out, plan_table(tree_lines(found), found))


def tree_lines(found: Outline) -> list[tuple[str, NodeOutline | None]]:
    """Results first, what they read below them; a node that was shown before is named again, without its numbers."""
    read = {one for node in found.nodes for one in node.inputs}
    lines: list[tuple[str, NodeOutline | None]] = []
    shown: set[int] = set()

    def draw(node: NodeOutline, stem: str, branch: str) -> None:
        is_new = node.node_id not in shown
        shown.add(node.node_id)
        lines.append((f"{stem}{branch}{node.name}" + ("" if is_new else " (above)"), node if is_new else None))
        if not is_new:
            return
        below = stem + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for at, one in enumerate(node.inputs):
            draw(found.nodes[one], below, "└─ " if at == len(node.inputs) - 1 else "├─ ")

    for node in found.nodes:
        if node.node_id not in read:
            draw(node, "", "")
    return lines
