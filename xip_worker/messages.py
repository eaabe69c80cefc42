"""xip.v1 messages to events, actions to xip.v1 messages: the worker's only module that knows both.

A busy worker passes tens of thousands of leases and results a second through here, so the loops are flat: one
constructor call per lease or result, no intermediate dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xip_core.model.run_spec import KernelSignature
from xip_core.wire.convert import kernel_signature_to_wire
from xip_core.wire.v1 import common_pb2, worker_pb2
from xip_worker.events import (
    DrainRequested,
    Epoch,
    Event,
    FinishedTiles,
    Lease,
    LeaseBound,
    LeasesReceived,
    LeasesRevoked,
    LeasesTrimmed,
    ResultsAcknowledged,
    SendHeartbeat,
    SendHello,
    SendResults,
    Welcomed,
)

DRAIN_ORDERED_GRACE_S = 20.0
"""For running leases to end when the scheduler wants no more of the worker."""


class Identity:
    """
    What a worker says about itself in every Hello.

    Args:
        kernels: version by name of what this package has.
        signatures: of the kernels that other packages added.
    """

    def __init__(
        self,
        worker_id: str,
        slot_count: int,
        cpu_level: str,
        version: str,
        host: str,
        pid: int,
        kernels: Mapping[str, str],
        signatures: Sequence[KernelSignature] = (),
    ) -> None:
        self.worker_id = worker_id
        versions = dict(kernels) | {signature.name: signature.version for signature in signatures}
        self._fields = worker_pb2.Hello(
            worker_id=worker_id,
            slot_count=slot_count,
            cpu_level=cpu_level,
            version=version,
            host=host,
            pid=pid,
            kernels=[worker_pb2.KernelVersion(name=name, version=versions[name]) for name in sorted(versions)],
            kernel_signatures=[kernel_signature_to_wire(signature) for signature in signatures],
        )

    def hello(self, action: SendHello) -> worker_pb2.AttachRequest:
        request = worker_pb2.AttachRequest(hello=self._fields)
        request.hello.held.extend(
            [
                worker_pb2.Lease(
                    epoch=lease.epoch,
                    run_id=lease.run_id,
                    node_id=lease.node_id,
                    tile_begin=lease.tile_begin,
                    tile_end=lease.tile_end,
                    plan_digest=lease.plan_digest,
                    isolated=lease.is_isolated,
                )
                for lease in action.held
            ]
        )
        return request


def event_of(response: worker_pb2.AttachResponse) -> Event | None:
    """None for a message of a newer scheduler that this version does not know."""
    match response.WhichOneof("message"):
        case "leases":
            return LeasesReceived(
                tuple(
                    [
                        Lease(
                            Epoch(lease.epoch),
                            lease.run_id,
                            lease.node_id,
                            lease.tile_begin,
                            lease.tile_end,
                            lease.plan_digest,
                            lease.isolated,
                            lease.patience_ms * 1e-3,
                            lease.work_us * 1e-6,
                            lease.has_origins,
                        )
                        for lease in response.leases.leases
                    ]
                )
            )
        case "acknowledged":
            return ResultsAcknowledged(response.acknowledged.sequence)
        case "revoked":
            return LeasesRevoked(tuple([Epoch(epoch) for epoch in response.revoked.epochs]))
        case "trimmed":
            bounds = response.trimmed.bounds
            return LeasesTrimmed(tuple([LeaseBound(Epoch(bound.epoch), bound.tile_end) for bound in bounds]))
        case "drain":
            return DrainRequested(response.drain.reason, DRAIN_ORDERED_GRACE_S)
        case "welcome":
            welcome = response.welcome
            return Welcomed(welcome.term, welcome.heartbeat_interval_s, welcome.lease_duration_s)
        case _:
            return None


def results_message(action: SendResults) -> worker_pb2.AttachRequest:
    results = []
    failures = []
    for outcome in action.outcomes:
        if isinstance(outcome, FinishedTiles):
            results.append(_tile_result(outcome))
        else:
            failures.append(
                worker_pb2.TileFailure(
                    epoch=outcome.epoch,
                    tile=outcome.tile,
                    reason=common_pb2.FailureReason.ValueType(outcome.reason),
                    message=outcome.message,
                )
            )
    return worker_pb2.AttachRequest(
        results=worker_pb2.TileResults(
            sequence=action.sequence,
            results=results,
            failures=failures,
            returned_epochs=action.returned_epochs,
            kept=[worker_pb2.LeaseBound(epoch=bound.epoch, tile_end=bound.tile_end) for bound in action.kept],
        )
    )


def _tile_result(outcome: FinishedTiles) -> worker_pb2.TileResult:
    if not (outcome.output or outcome.detail or outcome.quarantine or outcome.fetch_ns or outcome.fetched):
        return worker_pb2.TileResult(
            epoch=outcome.epoch,
            tile_begin=outcome.tile_begin,
            tile_end=outcome.tile_end,
            cell_count=outcome.cell_count,
            elapsed_ns=outcome.elapsed_ns,
        )
    return worker_pb2.TileResult(
        epoch=outcome.epoch,
        tile_begin=outcome.tile_begin,
        tile_end=outcome.tile_end,
        output=outcome.output,
        detail=outcome.detail,
        cell_count=outcome.cell_count,
        elapsed_ns=outcome.elapsed_ns,
        quarantine=[
            common_pb2.Quarantine(
                row=cells.row,
                scenario_begin=cells.scenario_begin,
                scenario_end=cells.scenario_end,
                reason=common_pb2.FailureReason.ValueType(cells.reason),
                message=cells.message,
                trade_id=cells.trade_id,
            )
            for cells in outcome.quarantine
        ],
        objects=outcome.objects,
        fetch_ns=outcome.fetch_ns,
        fetched=[
            worker_pb2.Fetched(kind=kind, size_bytes=size_bytes, count=count)
            for kind, size_bytes, count in outcome.fetched
        ],
        pruned_count=outcome.pruned_count,
    )


def heartbeat_message(
    action: SendHeartbeat, memory_bytes: int, stalled_s: Mapping[Epoch, float]
) -> worker_pb2.AttachRequest:
    return worker_pb2.AttachRequest(
        heartbeat=worker_pb2.Heartbeat(
            leases=[
                worker_pb2.LeaseProgress(
                    epoch=progress.epoch,
                    tiles_done=progress.tiles_done,
                    stalled_s=stalled_s.get(progress.epoch, 0.0),
                )
                for progress in action.progress
            ],
            memory_bytes=memory_bytes,
        )
    )


def drain_message(reason: str) -> worker_pb2.AttachRequest:
    return worker_pb2.AttachRequest(drain=worker_pb2.Drain(reason=reason))
