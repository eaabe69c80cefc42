"""Requests to protobuf and back: what a desk asks for (`model.run_spec`), as `wire.convert` has it for all else."""

from __future__ import annotations

from xip_core.errors import RequestError
from xip_core.model.aggregates import Aggregate
from xip_core.model.graph_spec import decode_graph, encode_graph
from xip_core.model.run_spec import (
    Detail,
    GraphWork,
    KernelSignature,
    KernelWork,
    Priority,
    ProbeWork,
    RiskWork,
    RunSpec,
    SuitabilityWork,
)
from xip_core.wire.digests import digest_from_wire, digest_to_wire
from xip_core.wire.v1 import common_pb2, run_pb2


def run_spec_to_wire(spec: RunSpec) -> run_pb2.RunSpec:
    message = run_pb2.RunSpec(
        name=spec.name,
        tenant=spec.tenant,
        # The default travels as 0, so that a request without a wish is the same bytes (and hash) as ever.
        priority=run_pb2.PRIORITY_BATCH if spec.priority is Priority.BATCH else run_pb2.PRIORITY_UNSPECIFIED,
        deadline_after_s=spec.deadline_after_s,
        since=spec.since,
        no_reuse=not spec.is_reusing,
    )
    work = spec.work
    if isinstance(work, RiskWork):
        message.risk.CopyFrom(
            run_pb2.RiskWork(
                book_digest=digest_to_wire(work.book_digest),
                market_digest=digest_to_wire(work.market_digest),
                scenarios_digest=digest_to_wire(work.scenarios_digest),
                measures=work.measures,
                base_currency=work.base_currency,
                as_of=work.as_of,
                aggregates=[aggregate_to_wire(aggregate) for aggregate in work.aggregates],
                detail=_DETAIL_TO_WIRE[work.detail],
                risk_classes=work.risk_classes,
            )
        )
    elif isinstance(work, GraphWork):
        message.graph.CopyFrom(run_pb2.GraphWork(graph=encode_graph(work.graph)))
    elif isinstance(work, KernelWork):
        message.kernel.CopyFrom(
            run_pb2.KernelWork(
                kernel=work.kernel,
                table_digest=digest_to_wire(work.table_digest),
                outputs=work.outputs,
                rows_per_tile=work.rows_per_tile,
                signature=kernel_signature_to_wire(work.signature) if work.signature is not None else None,
            )
        )
    elif isinstance(work, SuitabilityWork):
        message.suitability.CopyFrom(suitability_to_wire(work))
    else:
        message.probe.CopyFrom(
            run_pb2.ProbeWork(
                kernel=work.kernel,
                tile_count=work.tile_count,
                tile_duration_s=work.tile_duration_s,
                tiles_per_lease=work.tiles_per_lease,
            )
        )
    return message


def run_spec_from_wire(message: run_pb2.RunSpec) -> RunSpec:
    """
    The request as sent; its content is judged by the planner.

    Raises:
        RequestError: EMPTY_REQUEST, none of risk, probe, kernel and suitability; BAD_DIGEST.
    """
    work: RiskWork | ProbeWork | KernelWork | GraphWork | SuitabilityWork
    match message.WhichOneof("work"):
        case "risk":
            risk = message.risk
            work = RiskWork(
                book_digest=digest_from_wire(risk.book_digest),
                market_digest=digest_from_wire(risk.market_digest),
                scenarios_digest=digest_from_wire(risk.scenarios_digest),
                measures=tuple(risk.measures),
                base_currency=risk.base_currency,
                as_of=risk.as_of,
                aggregates=tuple(aggregate_from_wire(aggregate) for aggregate in risk.aggregates),
                detail=_detail_from_wire(risk.detail),
                risk_classes=tuple(risk.risk_classes),
            )
        case "probe":
            probe = message.probe
            work = ProbeWork(probe.kernel, probe.tile_count, probe.tile_duration_s, probe.tiles_per_lease)
        case "kernel":
            kernel = message.kernel
            work = KernelWork(
                kernel=kernel.kernel,
                table_digest=digest_from_wire(kernel.table_digest),
                outputs=tuple(kernel.outputs),
                rows_per_tile=kernel.rows_per_tile,
                signature=kernel_signature_from_wire(kernel.signature) if kernel.HasField("signature") else None,
            )
        case "suitability":
            work = suitability_from_wire(message.suitability)
        case "graph":
            work = GraphWork(decode_graph(message.graph.graph))
        case _:
            sentence = "a run must have risk, probe, kernel, suitability or graph work, got none"
            raise RequestError("EMPTY_REQUEST", sentence)
    return RunSpec(
        name=message.name,
        tenant=message.tenant,
        work=work,
        priority=priority_from_wire(message.priority),
        deadline_after_s=message.deadline_after_s,
        since=message.since,
        is_reusing=not message.no_reuse,
    )


_DETAIL_TO_WIRE = {
    Detail.NONE: run_pb2.DETAIL_NONE,
    Detail.BASE: run_pb2.DETAIL_BASE,
    Detail.ALL: run_pb2.DETAIL_UNSPECIFIED,  # the default travels as 0: a request without a wish is the same bytes
}
_DETAIL_OF_WIRE = {
    **{number: detail for detail, number in _DETAIL_TO_WIRE.items()},
    run_pb2.DETAIL_ALL: Detail.ALL,
}


def _detail_from_wire(number: int) -> Detail:
    """
    Raises:
        RequestError: BAD_DETAIL.
    """
    try:
        return _DETAIL_OF_WIRE[run_pb2.Detail.ValueType(number)]
    except KeyError:
        raise RequestError("BAD_DETAIL", f"detail must be none, base or all, got number {number}") from None


def suitability_to_wire(work: SuitabilityWork) -> run_pb2.SuitabilityWork:
    return run_pb2.SuitabilityWork(
        book_digest=digest_to_wire(work.book_digest),
        market_digest=digest_to_wire(work.market_digest),
        scenarios_digest=digest_to_wire(work.scenarios_digest),
        base_currency=work.base_currency,
        as_of=work.as_of,
        instruments_digest=digest_to_wire(work.instruments_digest),
        clients_digest=digest_to_wire(work.clients_digest),
        profiles_digest=digest_to_wire(work.profiles_digest),
        span_years=work.span_years,
        stress=work.stress,
    )


def suitability_from_wire(message: run_pb2.SuitabilityWork) -> SuitabilityWork:
    """As sent; `graph.suitability.plan_suitability` judges it."""
    return SuitabilityWork(
        book_digest=digest_from_wire(message.book_digest),
        market_digest=digest_from_wire(message.market_digest),
        scenarios_digest=digest_from_wire(message.scenarios_digest),
        base_currency=message.base_currency,
        as_of=message.as_of,
        instruments_digest=digest_from_wire(message.instruments_digest),
        clients_digest=digest_from_wire(message.clients_digest),
        profiles_digest=digest_from_wire(message.profiles_digest),
        span_years=message.span_years,
        stress=message.stress,
    )


def aggregate_to_wire(aggregate: Aggregate) -> run_pb2.Aggregate:
    return run_pb2.Aggregate(
        measure=aggregate.measure,
        by=aggregate.by,
        name=aggregate.name,
        q=aggregate.q,
        rule=aggregate.rule,
        count=aggregate.count,
        within=aggregate.within,
        scenarios=aggregate.scenarios,
        method=aggregate.method,
        covariance_digest=digest_to_wire(aggregate.covariance),
    )


def aggregate_from_wire(message: run_pb2.Aggregate) -> Aggregate:
    """As sent; `model.aggregates.check_aggregates` judges it."""
    return Aggregate(
        measure=message.measure,
        by=tuple(message.by),
        name=message.name,
        q=message.q,
        rule=message.rule,
        count=message.count,
        within=tuple(message.within),
        scenarios=message.scenarios,
        method=message.method,
        covariance=digest_from_wire(message.covariance_digest),
    )


def priority_from_wire(number: int) -> Priority:
    """
    The priority; 0, which says nothing, is interactive.

    Raises:
        RequestError: BAD_PRIORITY.
    """
    try:
        return Priority(number or Priority.INTERACTIVE)
    except ValueError:
        sentence = f"priority must be interactive or batch, got number {number}"
        raise RequestError("BAD_PRIORITY", sentence) from None


def kernel_signature_to_wire(signature: KernelSignature) -> common_pb2.KernelSignature:
    return common_pb2.KernelSignature(
        name=signature.name,
        version=signature.version,
        columns=signature.columns,
        outputs=signature.outputs,
        row_s=signature.row_s,
    )


def kernel_signature_from_wire(message: common_pb2.KernelSignature) -> KernelSignature:
    """As sent; `graph.kernel_table.check_signature` judges it."""
    return KernelSignature(message.name, message.version, tuple(message.columns), tuple(message.outputs), message.row_s)
