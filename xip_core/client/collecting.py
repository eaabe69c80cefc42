"""Results of a run put together from its stream: what the calls of `Client` that wait for everything do.

Each imports its tables, and numpy (0.1 s that most calls do without), when it is called.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from xip_core.client.heads import scenario_names, trade_labels
from xip_core.errors import RequestError
from xip_core.graph.plan import decode_plan
from xip_core.model.result import Run
from xip_core.model.sensitivity_head import is_sensitivity_set

if TYPE_CHECKING:
    from xip_core.client.client import Client
    from xip_core.client.results import Results
    from xip_core.client.suitability_results import SuitabilityResults
    from xip_core.client.table_results import TableResults
    from xip_core.client.tables import AggregateTable


Filled = TypeVar("Filled", "Results", "TableResults", "SuitabilityResults")


async def empty_results(client: Client, run: Run) -> Results:
    """Tables for the trades and scenarios of *run*."""
    from xip_core.client.results import Results

    book, scenarios = await asyncio.gather(client.blob(run.book_digest), client.blob(run.scenarios_digest))
    market = await client.blob(run.market_digest) if is_sensitivity_set(scenarios) else b""
    return Results([label.id for label in trade_labels(book)], scenario_names(scenarios, market))


async def results(client: Client, run_id: str) -> Results:
    """
    All numbers of a run of one book.

    Raises:
        RequestError: NO_TABLE.
    """
    run = await client.run(run_id)
    if run.is_of_several:
        raise RequestError("NO_TABLE", f"run {run_id} must be of one book to have results by trade, ask for tables")
    if not run.book_digest:
        raise RequestError("NO_TABLE", f"run {run_id} must be of a book to have results by trade, it has no book")
    return await _filled(client, run_id, await empty_results(client, run))


async def tables(client: Client, run_id: str) -> dict[str, AggregateTable]:
    """The aggregates of a run by name."""
    from xip_core.client.tables import table_of

    found: dict[str, AggregateTable] = {}
    async for block in client.stream_results(run_id):
        if block.is_aggregate:
            table = table_of(block.columns)
            found[table.name] = table
    return found


async def empty_table_results(client: Client, run: Run) -> TableResults:
    """Columns for the rows of *run*, a kernel over a table."""
    from xip_core.client.table_results import TableResults

    return TableResults(decode_plan(await client.blob(run.plan_digest)))


async def table_results(client: Client, run_id: str) -> TableResults:
    """All numbers of a kernel over a table."""
    return await _filled(client, run_id, await empty_table_results(client, await client.run(run_id)))


async def empty_suitability_results(client: Client, run: Run) -> SuitabilityResults:
    """Columns for the clients of *run*."""
    from xip_core.client.suitability_results import SuitabilityResults

    return SuitabilityResults(decode_plan(await client.blob(run.plan_digest)))


async def suitability_results(client: Client, run_id: str) -> SuitabilityResults:
    """All verdicts of a suitability run."""
    return await _filled(client, run_id, await empty_suitability_results(client, await client.run(run_id)))


async def _filled(client: Client, run_id: str, empty: Filled) -> Filled:
    """*empty* with every block of the run and its quarantine."""
    async for block in client.stream_results(run_id):
        empty.add(block)
    empty.add_quarantine(await client.quarantine(run_id))
    return empty
