"""xipctl repro: one quarantined cell on the desk.

    xipctl repro RUN CELL --to DIRECTORY    write the inputs of the run cut to one row, and what was said of it
    xipctl repro DIRECTORY                  evaluate that row here, in a process of its own, and say what becomes of it

CELL is a trade, or TRADE@SCENARIO; of a run of a kernel over a table it is the number of a row. The directory holds
`book.jsonl` (one line), `market.json` and `scenarios.json` (the base and, where named, the one scenario), or
`table.block` (one row), as they travel; and `repro.json`: what was asked of the row, reason, sentence, kernels and
versions, digests.

The row is evaluated with the kernels that are installed here; where these are others than the run had, it is said.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xip_core.cli.options import call, output_option, scheduler_option

if TYPE_CHECKING:
    from xip_core.client.client import Client
    from xip_core.graph.plan import Plan, Source
    from xip_core.model.result import Quarantine

TIME_LIMIT_S = 20.0
MEMORY_LIMIT_BYTES = 1 << 30
ABOUT = "repro.json"
ANSWER = "\nxip-repro-answer "
"""Before the child's answer on its stdout: kernels may write there too."""


@click.command("repro")
@click.argument("run_or_directory", metavar="RUN|DIRECTORY")
@click.argument("cell", required=False, metavar="[CELL]")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Directory to write.  [default: RUN-CELL]")
@click.option("--time-limit-s", type=click.FloatRange(0.1), default=TIME_LIMIT_S, show_default=True)
@scheduler_option
@output_option("table", "json")
@click.pass_context
def command(
    context: click.Context,
    run_or_directory: str,
    cell: str | None,
    to: Path | None,
    time_limit_s: float,
    scheduler: str | None,
    output: str,
) -> None:
    """
    Write the inputs of one row of a run, or evaluate what was written, isolated.

    CELL is TRADE or TRADE@SCENARIO, or a row number of a kernel's table. The exit code of an evaluation is 0 when the
    row has numbers and 3 when it has none.
    """
    if cell is None:
        reason, message = evaluate_again(Path(run_or_directory), time_limit_s)
        _print({"reason": reason, "message": message}, f"{reason or 'OK'}: {message}", output)
        context.exit(3 if reason else 0)
    directory = to or Path(f"{run_or_directory}-{cell}".replace("/", "_").replace("@", "-"))
    directory.mkdir(parents=True, exist_ok=True)
    wanted: str = cell

    async def fetch(client: Client) -> dict[str, Any]:
        return await write(client, run_or_directory, wanted, directory)

    about = call(scheduler, fetch)
    said = f"{about['reason']}: {about['message']}" if about["reason"] else "not quarantined"
    next_step = f"evaluate it here, in a process of its own: xipctl repro {shlex.quote(str(directory))}"
    _print(about | {"directory": str(directory)}, f"{directory}: {said}\n{next_step}", output)


def _print(document: dict[str, Any], words: str, output: str) -> None:
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(document)
    else:
        click.echo(words)


def evaluate_again(
    directory: Path, time_limit_s: float = TIME_LIMIT_S, program: Sequence[str] = ("-m", "xip_core.cli.repro_row")
) -> tuple[str, str]:
    """
    (reason, sentence) of the row of *directory*; the reason is "" when it has numbers.

    Raises:
        InputError: the directory was not written by `xipctl repro`.
    """
    from xip_core.errors import InputError

    if not (directory / ABOUT).exists():
        raise InputError("must be a directory that `xipctl repro RUN CELL` has written", str(directory))
    arguments = (sys.executable, *program, str(directory), str(MEMORY_LIMIT_BYTES))
    try:
        ended = subprocess.run(
            arguments, capture_output=True, text=True, errors="replace", timeout=time_limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return "TIMED_OUT", f"the row was not done after {time_limit_s:g} s, which is its limit"
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        return "CRASHED", f"the row ended its process by signal {-ended.returncode} ({name})"
    if ended.returncode > 0:
        words = ended.stderr.strip().rpartition("\n")[2]
        return "CRASHED", f"the row ended its process with exit code {ended.returncode}: {words}".removesuffix(": ")
    _, sign, answer = ended.stdout.rpartition(ANSWER)
    if not sign:
        return "CRASHED", "the row ended its process with exit code 0 before it was done"
    said = json.loads(answer)
    return said["reason"], said["message"]


async def write(client: Client, run_id: str, cell: str, directory: Path) -> dict[str, Any]:
    """Write the row of *cell* into *directory*, which exists, and return what is known about it.

    Raises:
        RequestError: UNKNOWN_CELL, the run has no such row or scenario.
    """
    from xip_core.errors import FailureReason
    from xip_core.graph.plan import decode_plan

    run = await client.run(run_id)
    plan = decode_plan(await client.blob(run.plan_digest))
    source = plan.first_source
    if run.is_of_table:
        row, scenario = await _write_table_row(client, plan, cell, directory)
    else:
        source, row, scenario = await _write_book_row(client, plan, cell, directory)
    said = _said_of(await client.quarantine(run_id), row, scenario)
    about = {
        "run": run_id,
        "cell": cell,
        "row": row,
        "reason": FailureReason(said.reason).name if said else "",
        "message": said.message if said else "",
        "kernel": plan.nodes[0].kernel,
        "kernels": sorted({pair for node in plan.nodes for pair in node.kernels}),
        "outputs": plan.outputs,
        "measures": source.measures,
        "as_of": source.as_of,
        "base_currency": source.base_currency,
        "risk_classes": source.risk_classes,
        "plan": run.plan_digest,
        "book": source.book_digest,
        "market": source.market_digest,
        "scenarios": source.scenarios_digest,
    }
    (directory / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
    return about


async def _write_book_row(
    client: Client, plan: Plan, cell: str, directory: Path
) -> tuple[Source, int, int | None]:
    """The source whose book has the trade, the first of several; the row as the plan numbers it; the scenario."""
    from xip_core.client.heads import scenario_names, trade_labels
    from xip_core.errors import RequestError

    if not plan.sources:
        raise RequestError("UNKNOWN_CELL", f"the cell must be of a run of a book or a table, got {cell!r} of a probe")
    for source in plan.sources:
        book = await client.blob(source.book_digest)
        ids = [label.id for label in trade_labels(book)]
        trade, at, name = cell.rpartition("@")
        if not at or cell in ids:  # an id may hold the sign itself
            trade, at, name = cell, "", ""
        if trade in ids:
            break
    row = _position(ids, trade, "trade")
    market, scenarios = await client.blob(source.market_digest), await client.blob(source.scenarios_digest)
    scenario = _position(list(scenario_names(scenarios, market)), name, "scenario") if at else None
    (directory / "book.jsonl").write_bytes(book.split(b"\n")[row] + b"\n")
    (directory / "market.json").write_bytes(market)
    if scenario is not None:
        whole = json.loads(scenarios)
        whole["scenarios"] = [whole["scenarios"][index] for index in sorted({0, scenario})]
        scenarios = json.dumps(whole).encode()
    (directory / "scenarios.json").write_bytes(scenarios)
    return source, source.row_begin + row, scenario


async def _write_table_row(client: Client, plan: Plan, cell: str, directory: Path) -> tuple[int, int | None]:
    from xip_core.model.table import decode_table, encode_table

    table = decode_table(await client.blob(plan.table_digest))
    row_count = max(len(column) for column in table.values())
    row = _position([str(number) for number in range(row_count)], cell, "row")
    cut = {name: column[row : row + 1] if len(column) > 1 else column for name, column in table.items()}
    (directory / "table.block").write_bytes(encode_table(cut))
    return row, None


def _position(names: list[str], name: str, what: str) -> int:
    from xip_core.errors import RequestError

    if name not in names:
        raise RequestError("UNKNOWN_CELL", f"the cell must name a {what} of the run, got {name!r} of {len(names)}")
    return names.index(name)


def _said_of(quarantine: Sequence[Quarantine], row: int, scenario: int | None) -> Quarantine | None:
    of_row = [cells for cells in quarantine if cells.row == row]
    if scenario is not None:
        of_row = [cells for cells in of_row if cells.scenario_begin <= scenario < cells.scenario_end]
    return of_row[0] if of_row else None
