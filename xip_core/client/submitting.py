"""What a desk may submit: a book, a table, clients, a custom graph; each comes down to blobs and one `RunSpec`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xip_core.client.heads import snapshot_head
from xip_core.client.requests import aggregates_of, detail_of, signature_and_table
from xip_core.model.aggregates import Aggregate
from xip_core.model.result import Run
from xip_core.model.run_spec import (
    DEFAULT_MEASURES,
    Detail,
    GraphWork,
    KernelWork,
    Priority,
    RiskWork,
    RunSpec,
    SuitabilityWork,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from xip_core.client.graph import Graph


class Submitting(ABC):
    """The part of a client that submits; how blobs and specs travel is the other part's."""

    @abstractmethod
    async def upload(self, *blobs: bytes) -> tuple[str, ...]:
        """Digests of *blobs*, after the scheduler holds them all."""

    @abstractmethod
    async def submit_spec(self, spec: RunSpec, request_id: str = "") -> Run:
        """Submit a run whose blobs are uploaded, or a probe that has none."""

    async def submit(
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
        """
        Upload what the scheduler lacks and submit one run.

        Args:
            book, market, scenarios: blobs as `xip_core.readers` and `xip_core.samples` give them.
            measures: subset of `xip_core.model.run_spec.MEASURES`; one may be given as it is.
            as_of, base_currency: "" takes the snapshot's; anything else must equal it.
            request_id: 1 to 128 characters. The same id with the same content answers the same run, for ever; with
                other content it is refused (RequestError, REQUEST_ID_REUSED). "" draws one.
            priority, deadline_after_s: which of the tenant's runs goes first; see `RunSpec`.
            aggregates: tables to be made of the P&L vectors, as records or as text ("var by=desk q=0.99"); see
                `xip_core.model.aggregates`. Their numbers are `Results.aggregates`.
            covariance: of the factors of ladders (`xip_core.model.covariance`), for the aggregate delta_gamma_var.
            detail: what of the per-trade numbers travels here: "none", "base" or "all". Cells that do not travel stay
                `PENDING` in `Results`.
            risk_classes: apply shifts of quotes of these alone; () applies all.
            since, is_reusing: which run's tiles this one takes over where their content is the same; see `RunSpec`.
        """
        asked = aggregates_of(aggregates, covariance)
        head = snapshot_head(market)
        digests = await self.upload(book, market, scenarios, *([covariance] if covariance else []))
        work = RiskWork(
            book_digest=digests[0],
            market_digest=digests[1],
            scenarios_digest=digests[2],
            measures=(measures,) if isinstance(measures, str) else tuple(measures),
            base_currency=base_currency or head.base_currency,
            as_of=as_of or head.as_of,
            aggregates=asked,
            detail=detail_of(detail),
            risk_classes=(risk_classes,) if isinstance(risk_classes, str) else tuple(risk_classes),
        )
        spec = RunSpec(name, work, tenant, priority, deadline_after_s, since, is_reusing)
        return await self.submit_spec(spec, request_id)

    async def submit_kernel(
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
        """
        Upload a table and submit one kernel over its rows; `table_results` has the numbers.

        Args:
            kernel: of the catalogue, of a package installed here, or one that a worker has.
            columns: a vector, or one value for all rows, for each column of the kernel.
            outputs: subset of the kernel's; all when empty.
            rows_per_tile: 0 leaves it to the kernel's declared cost.
            request_id, priority, deadline_after_s, since, is_reusing: as in `submit`.

        Raises:
            RequestError: UNKNOWN_KERNEL, KERNEL_REFUSED, UNKNOWN_OUTPUT, BAD_COLUMN, BAD_SHAPE, EMPTY_TABLE, TOO_LARGE,
                BAD_TILE_SIZE.
        """
        signature, table = await asyncio.to_thread(signature_and_table, kernel, columns)
        (digest,) = await self.upload(table)
        wanted = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        work = KernelWork(kernel, digest, wanted, rows_per_tile, signature)
        spec = RunSpec(name or kernel, work, tenant, priority, deadline_after_s, since, is_reusing)
        return await self.submit_spec(spec, request_id)

    async def submit_suitability(
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
        """
        Upload what the scheduler lacks and submit clients to be judged; `suitability_results` has their verdicts.

        Args:
            book: the instruments, one a row, worth what a unit is.
            instruments, profiles: as `xip_core.model.suitability` encodes them.
            clients: as `xip_core.model.clients` encodes them.
            span_years: of a market scenario. stress: pattern for the names of the scenarios of the stress pack.
            request_id, priority, deadline_after_s, since, is_reusing: as in `submit`.

        Raises:
            RequestError: what the planner refuses (`xip_core.graph.suitability`).
        """
        head = snapshot_head(market)
        digests = await self.upload(book, market, scenarios, instruments, clients, profiles)
        work = SuitabilityWork(
            book_digest=digests[0],
            market_digest=digests[1],
            scenarios_digest=digests[2],
            base_currency=head.base_currency,
            as_of=head.as_of,
            instruments_digest=digests[3],
            clients_digest=digests[4],
            profiles_digest=digests[5],
            span_years=span_years,
            stress=stress,
        )
        spec = RunSpec(name or "suitability", work, tenant, priority, deadline_after_s, since, is_reusing)
        return await self.submit_spec(spec, request_id)

    async def submit_graph(
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
        """
        Upload the blobs that a custom graph names, as far as the scheduler lacks them, and submit it as one run;
        `tables` has its results.

        Args:
            request_id, priority, deadline_after_s, since, is_reusing: as in `submit`.

        Raises:
            RequestError: what `xip_core.model.graph_spec.check_graph` and the planner refuse.
        """
        work = GraphWork(graph.spec())
        await self.upload(*graph.blobs.values())
        spec = RunSpec(name or "graph", work, tenant, priority, deadline_after_s, since, is_reusing)
        return await self.submit_spec(spec, request_id)
