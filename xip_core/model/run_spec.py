"""What a desk asks for: the model side of xip.v1.RunSpec.

Digests are hex names of blobs that are uploaded before the run is submitted.
"""

from __future__ import annotations

import enum

import msgspec

from xip_core.model.aggregates import Aggregate
from xip_core.model.detail import Detail as Detail
from xip_core.model.graph_spec import GraphSpec

DEFAULT_MEASURES = ("pv", "delta", "vega", "dv01")
"""Computed where a request names none."""

GREEKS = ("gamma", "theta")
"""Further ones, of options alone."""

MEASURES = (*DEFAULT_MEASURES, *GREEKS)
"""Every measure a run may ask for, in the order of the columns; `pv` is always computed."""

MEASURE_UNITS = {
    "pv": "base currency",
    "delta": "base currency per +1 % of the trade's underlying",
    "vega": "base currency per +0.01 lognormal or +1 bp normal volatility",
    "dv01": "base currency per +1 bp of all zero rates",
    "gamma": "delta per +1 % of the trade's underlying",
    "theta": "base currency per calendar day off the time to expiry",
}


class RiskWork(msgspec.Struct, frozen=True):
    """A book valued over scenarios.

    Attributes:
        measures: subset of `MEASURES`.
        as_of: ISO 8601 date; must equal the snapshot's.
        aggregates: tables to be made of the P&L vectors.
        detail: "none" suits runs whose sums alone are wanted; "base" has the numbers of the base scenario.
        risk_classes: shifts of quotes of other classes are left out (`model.risk_class`); () applies all.
    """

    book_digest: str
    market_digest: str
    scenarios_digest: str
    measures: tuple[str, ...]
    base_currency: str
    as_of: str
    aggregates: tuple[Aggregate, ...] = ()
    detail: Detail = Detail.ALL
    risk_classes: tuple[str, ...] = ()


class ProbeWork(msgspec.Struct, frozen=True):
    """Nodes without market or book: probes of capacity and of the engine itself.

    Attributes:
        kernel: "probe.noop" or "probe.spin".
        tile_duration_s: for probe.spin, how long one tile keeps a core busy.
        tiles_per_lease: force leases of this many tiles; 0 lets the cost model size them.
    """

    kernel: str
    tile_count: int
    tile_duration_s: float = 0.0
    tiles_per_lease: int = 0


class KernelSignature(msgspec.Struct, frozen=True):
    """What a planner must know of a kernel to cut a table for it, without the package that has it.

    Attributes:
        columns, outputs: names, in declared order.
        row_s: declared seconds of one row on one core.
    """

    name: str
    version: str
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    row_s: float


class KernelWork(msgspec.Struct, frozen=True):
    """One kernel over the rows of a table, without market or book.

    Attributes:
        kernel: a name of the catalogue, of this package or of an installed one.
        table_digest: of a table as `xip_core.model.table` encodes it.
        outputs: subset of the kernel's; all when empty.
        rows_per_tile: 0 lets the planner choose.
        signature: of a kernel of another package, where the client has it; None leaves it to what workers announced.
    """

    kernel: str
    table_digest: str
    outputs: tuple[str, ...] = ()
    rows_per_tile: int = 0
    signature: KernelSignature | None = None


class SuitabilityWork(msgspec.Struct, frozen=True):
    """Clients judged by the risk of what they hold (docs/suitability.md).

    Attributes:
        book_digest: of the instruments, one a row.
        as_of: ISO 8601 date; must equal the snapshot's.
        instruments_digest, clients_digest, profiles_digest: blobs as `model.suitability` and `model.clients` encode
            them.
        span_years: of a market scenario.
        stress: pattern with * and ? for the names of the scenarios that are the stress pack; all others but the base
            are market scenarios.
    """

    book_digest: str
    market_digest: str
    scenarios_digest: str
    base_currency: str
    as_of: str
    instruments_digest: str
    clients_digest: str
    profiles_digest: str
    span_years: float
    stress: str

    @property
    def source(self) -> RiskWork:
        """The instruments' risk; nothing of it travels to clients."""
        return RiskWork(
            book_digest=self.book_digest,
            market_digest=self.market_digest,
            scenarios_digest=self.scenarios_digest,
            measures=("pv",),
            base_currency=self.base_currency,
            as_of=self.as_of,
            detail=Detail.NONE,
        )


class GraphWork(msgspec.Struct, frozen=True):
    """A custom graph: several books, markets or days, and tables made of their vectors."""

    graph: GraphSpec


class Priority(enum.IntEnum):
    """Who goes first inside a tenant; the values are those of xip.v1.Priority."""

    BATCH = 1
    INTERACTIVE = 2


class RunSpec(msgspec.Struct, frozen=True):
    """One run, as submitted. *name* and *tenant* are for people and for fairness; *work* is what is computed.

    Attributes:
        priority: inside the tenant; between tenants their weights decide.
        deadline_after_s: wanted so many seconds after submission, 0 for no deadline; inside a priority the nearest
            deadline goes first.
        since: a final run of the tenant whose tiles this one takes over where their content is the same; "" lets the
            scheduler look among the tenant's last ones.
        is_reusing: False computes every tile.
    """

    name: str
    work: RiskWork | ProbeWork | KernelWork | GraphWork | SuitabilityWork
    tenant: str = ""
    priority: Priority = Priority.INTERACTIVE
    deadline_after_s: float = 0.0
    since: str = ""
    is_reusing: bool = True
