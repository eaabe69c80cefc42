"""The same client for code without an event loop.

A thread of its own runs the loop, so it also works where the caller already has one (a notebook). An iterator may be
left early, dropped, or outlive its client: `close` (at the latest when the process ends) cancels what still runs and
waits for it, so that no call and no task is left behind.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from xip_core.client.client import Client
from xip_core.errors import RequestError
from xip_core.model.account import Explanation, TileRecord
from xip_core.model.aggregates import Aggregate
from xip_core.model.result import BreakerInfo, Quarantine, ResultBlock, Run, WorkerInfo
from xip_core.model.run_spec import DEFAULT_MEASURES, Detail, Priority, RunSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from xip_core.client.graph import Graph
    from xip_core.client.results import Results
    from xip_core.client.suitability_results import SuitabilityResults
    from xip_core.client.table_results import TableResults
    from xip_core.client.tables import AggregateTable

Value = TypeVar("Value")
Method = TypeVar("Method", bound=Callable[..., Any])


def _documented(method: Method) -> Method:
    """*method* with the documentation of what it blocks for."""
    method.__doc__ = getattr(Client, method.__name__).__doc__
    return method


class SyncClient:
    """
    `Client` whose calls block; documentation and errors are those of its method of the same name. A call after `close`
    is a RequestError, CLIENT_CLOSED.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="xip-client", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every call that still runs, and the thread; may be called again."""
        if self._loop.is_closed() or not self._thread.is_alive():  # a forked child has no such thread
            return
        atexit.unregister(self.close)
        self._wait(self._drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _drain(self) -> None:
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._loop.shutdown_asyncgens()  # iterators nobody reads on
        await self._client.close()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)  # gRPC's own

    @_documented
    def upload(self, *blobs: bytes) -> tuple[str, ...]:
        return self._wait(self._client.upload(*blobs))

    @_documented
    def blob(self, digest: str) -> bytes:
        return self._wait(self._client.blob(digest))

    @_documented
    def tick(self, market_digest: str, quotes: Mapping[str, float]) -> bytes:
        return self._wait(self._client.tick(market_digest, quotes))

    @_documented
    def submit(
        self,
        book: bytes,
        market: bytes,
        scenarios: bytes,
        measures: Sequence[str] = DEFAULT_MEASURES,
        *,
        as_of: str = "",
        base_currency: str = "",
        request_id: str = "",
        name: str = "",
        tenant: str = "",
        priority: Priority = Priority.INTERACTIVE,
        deadline_after_s: float = 0.0,
        aggregates: Sequence[Aggregate | str] = (),
        covariance: bytes = b"",
        detail: Detail | str = Detail.ALL,
        risk_classes: Sequence[str] = (),
        since: str = "",
        is_reusing: bool = True,
    ) -> Run:
        return self._wait(
            self._client.submit(
                book,
                market,
                scenarios,
                measures,
                as_of=as_of,
                base_currency=base_currency,
                request_id=request_id,
                name=name,
                tenant=tenant,
                priority=priority,
                deadline_after_s=deadline_after_s,
                aggregates=aggregates,
                covariance=covariance,
                detail=detail,
                risk_classes=risk_classes,
                since=since,
                is_reusing=is_reusing,
            )
        )

    @_documented
    def submit_kernel(
        self,
        kernel: str,
        columns: Mapping[str, npt.ArrayLike],
        *,
        outputs: Sequence[str] = (),
        rows_per_tile: int = 0,
        request_id: str = "",
        name: str = "",
        tenant: str = "",
        priority: Priority = Priority.INTERACTIVE,
        deadline_after_s: float = 0.0,
        since: str = "",
        is_reusing: bool = True,
    ) -> Run:
        return self._wait(
            self._client.submit_kernel(
                kernel,
                columns,
                outputs=outputs,
                rows_per_tile=rows_per_tile,
                request_id=request_id,
                name=name,
                tenant=tenant,
                priority=priority,
                deadline_after_s=deadline_after_s,
                since=since,
                is_reusing=is_reusing,
            )
        )

    @_documented
    def submit_suitability(
        self,
        book: bytes,
        market: bytes,
        scenarios: bytes,
        *,
        instruments: bytes,
        clients: bytes,
        profiles: bytes,
        span_years: float,
        stress: str,
        request_id: str = "",
        name: str = "",
        tenant: str = "",
        priority: Priority = Priority.INTERACTIVE,
        deadline_after_s: float = 0.0,
        since: str = "",
        is_reusing: bool = True,
    ) -> Run:
        return self._wait(
            self._client.submit_suitability(
                book,
                market,
                scenarios,
                instruments=instruments,
                clients=clients,
                profiles=profiles,
                span_years=span_years,
                stress=stress,
                request_id=request_id,
                name=name,
                tenant=tenant,
                priority=priority,
                deadline_after_s=deadline_after_s,
                since=since,
                is_reusing=is_reusing,
            )
        )

    @_documented
    def submit_graph(
        self,
        graph: Graph,
        *,
        request_id: str = "",
        name: str = "",
        tenant: str = "",
        priority: Priority = Priority.INTERACTIVE,
        deadline_after_s: float = 0.0,
        since: str = "",
        is_reusing: bool = True,
    ) -> Run:
        return self._wait(
            self._client.submit_graph(
                graph,
                request_id=request_id,
                name=name,
                tenant=tenant,
                priority=priority,
                deadline_after_s=deadline_after_s,
                since=since,
                is_reusing=is_reusing,
            )
        )

    @_documented
    def submit_spec(self, spec: RunSpec, request_id: str = "") -> Run:
        return self._wait(self._client.submit_spec(spec, request_id))

    @_documented
    def run(self, run_id: str) -> Run:
        return self._wait(self._client.run(run_id))

    @_documented
    def explain(self, run_id: str) -> Explanation:
        return self._wait(self._client.explain(run_id))

    @_documented
    def tile_records(self, run_id: str, tiles: Sequence[tuple[int, int]]) -> tuple[TileRecord, ...]:
        return self._wait(self._client.tile_records(run_id, tiles))

    @_documented
    def quarantine(self, run_id: str) -> tuple[Quarantine, ...]:
        return self._wait(self._client.quarantine(run_id))

    @_documented
    def runs(self, limit: int | None = None) -> Iterator[Run]:
        return self._iterate(self._client.runs(limit))

    @_documented
    def watch(self, run_id: str) -> Iterator[Run]:
        return self._iterate(self._client.watch(run_id))

    @_documented
    def wait(self, run_id: str, timeout_s: float | None = None) -> Run:
        return self._wait(self._client.wait(run_id, timeout_s))

    @_documented
    def cancel(self, run_id: str, reason: str = "") -> Run:
        return self._wait(self._client.cancel(run_id, reason))

    @_documented
    def pause(self, run_id: str, reason: str = "") -> Run:
        return self._wait(self._client.pause(run_id, reason))

    @_documented
    def resume(self, run_id: str) -> Run:
        return self._wait(self._client.resume(run_id))

    @_documented
    def retry(self, run_id: str, request_id: str = "") -> Run:
        return self._wait(self._client.retry(run_id, request_id))

    @_documented
    def stream_results(self, run_id: str, cursor: int = 0) -> Iterator[ResultBlock]:
        return self._iterate(self._client.stream_results(run_id, cursor))

    @_documented
    def results(self, run_id: str) -> Results:
        return self._wait(self._client.results(run_id))

    @_documented
    def tables(self, run_id: str) -> dict[str, AggregateTable]:
        return self._wait(self._client.tables(run_id))

    @_documented
    def table_results(self, run_id: str) -> TableResults:
        return self._wait(self._client.table_results(run_id))

    @_documented
    def suitability_results(self, run_id: str) -> SuitabilityResults:
        return self._wait(self._client.suitability_results(run_id))

    @_documented
    def workers(self) -> tuple[WorkerInfo, ...]:
        return self._wait(self._client.workers())

    @_documented
    def breakers(self) -> tuple[BreakerInfo, ...]:
        return self._wait(self._client.breakers())

    def _wait(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        if self._loop.is_closed():
            coroutine.close()
            raise RequestError("CLIENT_CLOSED", "calls must be made before the client is closed; connect again")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C in the caller must also end the call
            future.cancel()
            raise

    def _iterate(self, values: AsyncGenerator[Value, None]) -> Iterator[Value]:
        in_use = asyncio.Lock()  # a generator that runs, interrupted by Ctrl-C perhaps, cannot be closed yet

        async def next_value() -> tuple[Value, ...]:
            async with in_use:
                try:
                    return (await anext(values),)
                except StopAsyncIteration:
                    return ()

        async def close() -> None:
            async with in_use:
                await values.aclose()

        try:
            while item := self._wait(next_value()):
                yield item[0]
        finally:
            if not self._loop.is_closed():  # not waited for: an iterator may be dropped in any thread, the loop's too
                asyncio.run_coroutine_threadsafe(close(), self._loop)
