"""The asynchronous client."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from xip_core.client import collecting
from xip_core.client.blobs import download, upload
from xip_core.client.connection import Connection, Patience, ResponseStream, Stubs, parse_addresses
from xip_core.client.sent import SentBlobs, ticked
from xip_core.client.submitting import Submitting
from xip_core.errors import RequestError, UnavailableError
from xip_core.model.account import Explanation, TileRecord
from xip_core.model.result import BreakerInfo, Quarantine, ResultBlock, Run, WorkerInfo
from xip_core.model.run_spec import RunSpec
from xip_core.wire import convert
from xip_core.wire.explain import explanation_from_wire, tile_records_from_wire
from xip_core.wire.v1 import run_pb2, worker_pb2

if TYPE_CHECKING:
    from xip_core.client.results import Results
    from xip_core.client.suitability_results import SuitabilityResults
    from xip_core.client.sync import SyncClient
    from xip_core.client.table_results import TableResults
    from xip_core.client.tables import AggregateTable

RUNS_PER_PAGE = 100
WATCH_AGAIN_S = 0.05
CURSOR_MAX = (1 << 63) - 1  # what the wire carries


class Client(Submitting):
    """
    One scheduler, as a desk sees it. Use as an async context manager, or call `close`. As a plain context manager it
    gives the same calls to code without an event loop (`xip_core.client.sync`).

    Every method raises UnavailableError when no scheduler answers in time, and what the scheduler refuses with:
    RequestError, NotFoundError, IntegrityError.
    """

    def __init__(self, address: str, patience: Patience | None = None) -> None:
        self._connection = Connection(parse_addresses(address), patience or Patience())
        self._sent = SentBlobs()

    def __enter__(self) -> SyncClient:
        from xip_core.client.sync import SyncClient

        self._sync = SyncClient(self)
        return self._sync

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sync.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the line to the scheduler; streams that are still read end with it."""
        await self._connection.close()

    # ---- blobs ------------------------------------------------------------------------------------------------------

    async def upload(self, *blobs: bytes) -> tuple[str, ...]:
        """
        Digests of *blobs*, after the scheduler holds them all; only what it lacks is sent, as a delta against a blob
        sent before where that is much less.
        """
        return await upload(self._connection, blobs, self._sent)

    async def tick(self, market_digest: str, quotes: Mapping[str, float]) -> bytes:
        """
        The uploaded market with other values of *quotes*, to be submitted; `submit` sends only the difference.

        Raises:
            RequestError: UNKNOWN_QUOTE, the market has no such one.
        """
        market = self._sent.find(market_digest)
        if market is None:
            market = await self.blob(market_digest)
            self._sent.keep(market_digest, market)
        return await asyncio.to_thread(ticked, market, quotes)

    async def blob(self, digest: str) -> bytes:
        """
        Content of an uploaded blob.

        Raises:
            IntegrityError: what came does not have this digest.
        """
        return await download(self._connection, digest)

    # ---- runs -------------------------------------------------------------------------------------------------------

    async def submit_spec(self, spec: RunSpec, request_id: str = "") -> Run:
        """Submit a run whose blobs are uploaded, or a probe that has none."""
        request = run_pb2.SubmitRunRequest(
            request_id=request_id or uuid.uuid4().hex,  # drawn before the first try, so that a repeated one is the same
            spec=convert.run_spec_to_wire(spec),
        )
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.SubmitRun(request, timeout=call_s))
        return msgspec.structs.replace(convert.run_from_wire(answer.run), is_repeated=not answer.created)

    async def run(self, run_id: str) -> Run:
        """The run's state now."""
        request = run_pb2.GetRunRequest(run_id=run_id)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.GetRun(request, timeout=call_s))
        return convert.run_from_wire(answer.run)

    async def quarantine(self, run_id: str) -> tuple[Quarantine, ...]:
        """The cells of the run that have no number, and why."""
        request = run_pb2.GetRunRequest(run_id=run_id, with_quarantine=True)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.GetRun(request, timeout=call_s))
        return convert.quarantines_from_wire(answer.quarantine)

    async def runs(self, limit: int | None = None) -> AsyncGenerator[Run, None]:
        """Runs, newest first, at most *limit*; fetched page by page as they are read."""
        page_token, count = "", 0
        while limit is None or count < limit:
            page_size = RUNS_PER_PAGE if limit is None else min(RUNS_PER_PAGE, limit - count)
            answer = await self._runs_page(run_pb2.ListRunsRequest(page_size=page_size, page_token=page_token))
            for run in answer.runs:
                yield convert.run_from_wire(run)
            count += len(answer.runs)
            page_token = answer.next_page_token
            if not page_token:
                return

    async def _runs_page(self, request: run_pb2.ListRunsRequest) -> run_pb2.ListRunsResponse:
        return await self._connection.unary(lambda stubs, call_s: stubs.runs.ListRuns(request, timeout=call_s))

    async def watch(self, run_id: str) -> AsyncGenerator[Run, None]:
        """The run's state now and after changes; ends with the final state."""
        request = run_pb2.WatchRunRequest(run_id=run_id)

        def open_stream(stubs: Stubs, stream_s: float) -> ResponseStream[run_pb2.WatchRunResponse]:
            return stubs.runs.WatchRun(request, timeout=stream_s)

        while True:
            async with aclosing(self._connection.stream(open_stream)) as answers:
                async for answer in answers:
                    run = convert.run_from_wire(answer.run)
                    yield run
                    if run.state.is_final:
                        return
            await asyncio.sleep(WATCH_AGAIN_S)  # ended without a final state: by a scheduler that stops, in good order

    async def wait(self, run_id: str, timeout_s: float | None = None) -> Run:
        """
        The run in its final state.

        Raises:
            UnavailableError: it is not final after *timeout_s*; it goes on all the same.
        """
        try:
            async with asyncio.timeout(timeout_s):
                async for run in self.watch(run_id):
                    if run.state.is_final:
                        return run
        except TimeoutError:
            raise UnavailableError(f"run {run_id} must be final within {timeout_s} s, it still runs") from None
        raise AssertionError("watch ends with the final state")

    async def cancel(self, run_id: str, reason: str = "") -> Run:
        """The run, cancelled; a run that was final before stays what it was."""
        request = run_pb2.CancelRunRequest(run_id=run_id, reason=reason)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.CancelRun(request, timeout=call_s))
        return convert.run_from_wire(answer.run)

    async def pause(self, run_id: str, reason: str = "") -> Run:
        """The run, paused: what its workers are at is finished, nothing new is leased. A final run stays what it is."""
        request = run_pb2.PauseRunRequest(run_id=run_id, reason=reason)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.PauseRun(request, timeout=call_s))
        return convert.run_from_wire(answer.run)

    async def resume(self, run_id: str) -> Run:
        """The run, going on; one that is not paused stays what it is."""
        request = run_pb2.ResumeRunRequest(run_id=run_id)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.ResumeRun(request, timeout=call_s))
        return convert.run_from_wire(answer.run)

    async def retry(self, run_id: str, request_id: str = "") -> Run:
        """
        A new run that takes over what a final run has computed and computes the rest: tiles given up, the remainder of
        a cancelled run, cells that failed for a reason another try may cure. The old run stays what it is.

        Args:
            request_id: like that of `submit`.

        Raises:
            RequestError: RUN_NOT_FINAL; NOTHING_TO_RETRY, another try would give the same; RUN_PRUNED.
        """
        request = run_pb2.RetryRunRequest(request_id=request_id or uuid.uuid4().hex, run_id=run_id)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.RetryRun(request, timeout=call_s))
        return msgspec.structs.replace(convert.run_from_wire(answer.run), is_repeated=not answer.created)

    # ---- lineage and explain -----------------------------------------------------------------------------------------

    async def explain(self, run_id: str) -> Explanation:
        """What the run took over of which other one and why not more, and where its time went; live, so far."""
        request = run_pb2.ExplainRunRequest(run_id=run_id)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.ExplainRun(request, timeout=call_s))
        return explanation_from_wire(answer)

    async def tile_records(self, run_id: str, tiles: Sequence[tuple[int, int]]) -> tuple[TileRecord, ...]:
        """
        Who computed *tiles*, (node_id, tile) each, in their order; those that are not recorded yet are left out.

        Raises:
            RequestError: TOO_MANY_TILES, more than 1,000.
        """
        names = [run_pb2.TileName(node_id=node_id, tile=tile) for node_id, tile in tiles]
        request = run_pb2.GetTileRecordsRequest(run_id=run_id, tiles=names)
        answer = await self._connection.unary(lambda stubs, call_s: stubs.runs.GetTileRecords(request, timeout=call_s))
        return tile_records_from_wire(answer)

    # ---- results ----------------------------------------------------------------------------------------------------

    async def stream_results(self, run_id: str, cursor: int = 0) -> AsyncGenerator[ResultBlock, None]:
        """
        Blocks as they are recorded, each once, until the run is final and all are sent. A block's cursor resumes the
        stream just after it, in this process or another; cut lines are resumed here.

        Raises:
            RequestError: BAD_CURSOR, no block has such a one.
        """
        if not 0 <= cursor <= CURSOR_MAX:
            raise RequestError("BAD_CURSOR", f"a cursor must be one that came with a block, or 0, got {cursor}")

        def open_stream(stubs: Stubs, stream_s: float) -> ResponseStream[run_pb2.StreamResultsResponse]:
            return stubs.runs.StreamResults(
                run_pb2.StreamResultsRequest(run_id=run_id, cursor=cursor), timeout=stream_s
            )

        async with aclosing(self._connection.stream(open_stream)) as answers:
            async for answer in answers:
                cursor = answer.cursor  # open_stream reads it when the line is cut
                yield convert.result_block_from_wire(answer)

    async def empty_results(self, run: Run) -> Results:
        """Tables for the trades and scenarios of *run*, to be filled with the blocks of its stream."""
        return await collecting.empty_results(self, run)

    async def results(self, run_id: str) -> Results:
        """
        All numbers of a run, waiting for its end; see `Results.to_numpy`.

        Raises:
            RequestError: NO_TABLE, the run is a probe, of a kernel over a table (`table_results`), or of a graph of
                several books (`tables`).
        """
        return await collecting.results(self, run_id)

    async def tables(self, run_id: str) -> dict[str, AggregateTable]:
        """The aggregates of a run by name, waiting for its end; one that was given up is missing."""
        return await collecting.tables(self, run_id)

    async def empty_table_results(self, run: Run) -> TableResults:
        """
        Columns for the rows of *run*, to be filled with the blocks of its stream.

        Raises:
            RequestError: NO_TABLE, the run is not of a kernel over a table.
        """
        return await collecting.empty_table_results(self, run)

    async def table_results(self, run_id: str) -> TableResults:
        """
        All numbers of a kernel over a table, waiting for the run's end; see `TableResults.to_numpy`.

        Raises:
            RequestError: NO_TABLE, the run is not of a kernel over a table.
        """
        return await collecting.table_results(self, run_id)

    async def empty_suitability_results(self, run: Run) -> SuitabilityResults:
        """
        Columns for the clients of *run*, to be filled with the blocks of its stream.

        Raises:
            RequestError: NO_TABLE, the run judges no clients.
        """
        return await collecting.empty_suitability_results(self, run)

    async def suitability_results(self, run_id: str) -> SuitabilityResults:
        """
        All verdicts of a suitability run, waiting for its end; see `SuitabilityResults.to_numpy`.

        Raises:
            RequestError: NO_TABLE, the run judges no clients.
        """
        return await collecting.suitability_results(self, run_id)

    # ---- workers ----------------------------------------------------------------------------------------------------

    async def workers(self) -> tuple[WorkerInfo, ...]:
        """The workers attached now."""
        return tuple(convert.worker_info_from_wire(worker) for worker in (await self._list_workers()).workers)

    async def breakers(self) -> tuple[BreakerInfo, ...]:
        """The kernel versions that are not leased as usual now, because workers died of them; none nearly always."""
        return tuple(convert.breaker_info_from_wire(breaker) for breaker in (await self._list_workers()).breakers)

    async def _list_workers(self) -> worker_pb2.ListWorkersResponse:
        request = worker_pb2.ListWorkersRequest()
        return await self._connection.unary(lambda stubs, call_s: stubs.workers.ListWorkers(request, timeout=call_s))
