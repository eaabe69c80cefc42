"""What can be refused of a request before a blob of it is read.

A request (`xip_core.model.run_spec.RunSpec`) is risk work, a book valued over scenarios, probe work, tiles without
market or book that measure capacity and the engine itself, or kernel work, one kernel over a table. `check_request`
judges the request alone; what needs the uploaded blobs is judged by `planner.plan_run`. Either way a refusal is a
`RequestError` raised before anything is stored, with a reason a program can match and a sentence that says what must
hold, what was got and where.
"""

from __future__ import annotations

import datetime as dt
import math

from xip_core.errors import RequestError
from xip_core.model.aggregates import check_aggregates
from xip_core.model.graph_spec import check_graph
from xip_core.model.risk_class import RISK_CLASSES
from xip_core.model.run_spec import MEASURES, GraphWork, KernelWork, ProbeWork, RiskWork, RunSpec, SuitabilityWork

PROBE_KERNELS = ("probe.noop", "probe.spin")

PROBE_TILE_COUNT_MAX = 1_000_000_000
"""Tiles of one probe: nine hours at the 30,000 a second the engine is built for; beyond that it is a typing error."""

PROBE_TILE_DURATION_S_MAX = 60.0
"""A tile is the unit of cancelling and of loss; one that computes longer than a lease may last teaches nothing."""

PROBE_TILES_PER_LEASE_MAX = 1_000_000
"""A lease of more tiles than this is one whose worker reports nothing for too long."""


def check_request(spec: RunSpec) -> None:
    """
    Refuse what no blob could make right.

    Raises:
        RequestError: NO_MEASURE, UNKNOWN_MEASURE, UNKNOWN_RISK_CLASS, AS_OF_MISSING, BAD_AS_OF, BLOB_MISSING,
            UNKNOWN_KERNEL, BAD_TILE_COUNT, BAD_TILE_DURATION or BAD_LEASE_SIZE; of aggregates those of
            `model.aggregates.check_aggregates`, of custom graphs those of `model.graph_spec.check_graph`.
    """
    match spec.work:
        case RiskWork():
            check_risk(spec.work)
        case ProbeWork():
            _check_probe(spec.work)
        case GraphWork():
            check_graph(spec.work.graph)
        case KernelWork():
            if not spec.work.table_digest:
                raise RequestError("BLOB_MISSING", "table_digest must name an uploaded blob, got ''")
        case SuitabilityWork():
            check_risk(spec.work.source)


def canonical_measures(measures: tuple[str, ...]) -> tuple[str, ...]:
    """The measures computed for those asked for: each once, in the order of MEASURES, pv always."""
    return tuple(measure for measure in MEASURES if measure == "pv" or measure in measures)


def check_risk(work: RiskWork) -> None:
    """
    Raises:
        RequestError: those of `check_request` that are about a book under scenarios.
    """
    if not work.measures:
        raise RequestError("NO_MEASURE", f"a run must ask for at least one measure of {', '.join(MEASURES)}, got none")
    for measure in work.measures:
        if measure not in MEASURES:
            raise RequestError("UNKNOWN_MEASURE", f"a measure must be one of {', '.join(MEASURES)}, got {measure!r}")
    for risk_class in work.risk_classes:
        if risk_class not in RISK_CLASSES:
            sentence = f"a risk class must be one of {', '.join(RISK_CLASSES)}, got {risk_class[:64]!r}"
            raise RequestError("UNKNOWN_RISK_CLASS", sentence)
    check_aggregates(work.aggregates)
    if not work.as_of:
        raise RequestError("AS_OF_MISSING", "as_of must be an ISO 8601 date such as 2016-02-05, got ''")
    try:
        dt.date.fromisoformat(work.as_of)
    except ValueError:
        sentence = f"as_of must be an ISO 8601 date such as 2016-02-05, got {work.as_of!r}"
        raise RequestError("BAD_AS_OF", sentence) from None
    for name, digest in (
        ("book", work.book_digest),
        ("market", work.market_digest),
        ("scenarios", work.scenarios_digest),
    ):
        if not digest:
            raise RequestError("BLOB_MISSING", f"{name}_digest must name an uploaded blob, got ''")


def _check_probe(work: ProbeWork) -> None:
    if work.kernel not in PROBE_KERNELS:
        sentence = f"a probe's kernel must be one of {', '.join(PROBE_KERNELS)}, got {work.kernel!r}"
        raise RequestError("UNKNOWN_KERNEL", sentence)
    if not 0 < work.tile_count <= PROBE_TILE_COUNT_MAX:
        sentence = f"tile_count must be 1 to {PROBE_TILE_COUNT_MAX}, got {work.tile_count}"
        raise RequestError("BAD_TILE_COUNT", sentence)
    if not (math.isfinite(work.tile_duration_s) and 0.0 <= work.tile_duration_s <= PROBE_TILE_DURATION_S_MAX):
        sentence = f"tile_duration_s must be 0 to {PROBE_TILE_DURATION_S_MAX:g}, got {work.tile_duration_s}"
        raise RequestError("BAD_TILE_DURATION", sentence)
    if work.kernel == "probe.noop" and work.tile_duration_s != 0.0:
        sentence = f"tile_duration_s must be 0 for probe.noop, which does nothing, got {work.tile_duration_s}"
        raise RequestError("BAD_TILE_DURATION", sentence)
    if not 0 <= work.tiles_per_lease <= PROBE_TILES_PER_LEASE_MAX:
        sentence = f"tiles_per_lease must be 0 to {PROBE_TILES_PER_LEASE_MAX}, got {work.tiles_per_lease}"
        raise RequestError("BAD_LEASE_SIZE", sentence)
