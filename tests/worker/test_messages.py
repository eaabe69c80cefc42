"""`xip_worker.messages`: what events and actions are on the wire."""

from __future__ import annotations

from tests.worker.builders import an_identity
from xip_core.errors import FailureReason
from xip_core.pricing.tile import QuarantinedCells
from xip_core.wire.v1 import common_pb2, worker_pb2
from xip_worker.events import (
    Epoch,
    FailedTile,
    FinishedTiles,
    Lease,
    LeaseBound,
    LeaseProgress,
    LeasesReceived,
    LeasesRevoked,
    LeasesTrimmed,
    ResultsAcknowledged,
    SendHeartbeat,
    SendHello,
    SendResults,
    Welcomed,
)
from xip_worker.messages import event_of, heartbeat_message, results_message

LEASE = Lease(Epoch(1 << 60), "run-1", 3, 1 << 40, (1 << 40) + 5, b"d" * 32)
WIRE_BOUND = worker_pb2.LeaseBound(epoch=7, tile_end=1 << 41)
WIRE_LEASE = worker_pb2.Lease(
    epoch=1 << 60, run_id="run-1", node_id=3, tile_begin=1 << 40, tile_end=(1 << 40) + 5, plan_digest=b"d" * 32
)


def test_each_message_of_a_scheduler_is_one_event() -> None:
    welcome = worker_pb2.Welcome(term=4, heartbeat_interval_s=1.5, lease_duration_s=15.0)
    assert [
        event_of(worker_pb2.AttachResponse(welcome=welcome)),
        event_of(worker_pb2.AttachResponse(leases=worker_pb2.Leases(leases=[WIRE_LEASE]))),
        event_of(worker_pb2.AttachResponse(acknowledged=worker_pb2.ResultsAcknowledged(sequence=9))),
        event_of(worker_pb2.AttachResponse(revoked=worker_pb2.LeasesRevoked(epochs=[5, 6]))),
        event_of(worker_pb2.AttachResponse(trimmed=worker_pb2.LeasesTrimmed(bounds=[WIRE_BOUND]))),
    ] == [
        Welcomed(4, 1.5, 15.0),
        LeasesReceived((LEASE,)),
        ResultsAcknowledged(9),
        LeasesRevoked((Epoch(5), Epoch(6))),
        LeasesTrimmed((LeaseBound(Epoch(7), 1 << 41),)),
    ]


def test_a_message_this_version_does_not_know_is_no_event() -> None:
    newer = worker_pb2.AttachResponse.FromString(b"\xfa\x07\x03new")  # field 127
    assert event_of(newer) is None


def test_a_hello_names_the_leases_held_and_the_identity_is_not_changed_by_it() -> None:
    identity = an_identity()
    assert list(identity.hello(SendHello((LEASE,))).hello.held) == [WIRE_LEASE]
    assert list(identity.hello(SendHello(())).hello.held) == []


def test_results_and_failures_of_one_action_travel_together() -> None:
    cells = QuarantinedCells(4, 1, 251, "T4", FailureReason.EXPIRED, "no cash flow left")
    action = SendResults(
        7,
        (
            FinishedTiles(Epoch(1), 0, 50, 50, 10),
            FailedTile(Epoch(2), 3, FailureReason.NUMERICAL, "no finite number"),
            FinishedTiles(Epoch(2), 4, 5, 8, 20, b"output", b"detail", (cells,)),
        ),
        (Epoch(3),),
    )
    quarantine = common_pb2.Quarantine(
        row=4,
        scenario_begin=1,
        scenario_end=251,
        trade_id="T4",
        reason=common_pb2.FAILURE_REASON_EXPIRED,
        message="no cash flow left",
    )
    assert results_message(action).results == worker_pb2.TileResults(
        sequence=7,
        results=[
            worker_pb2.TileResult(epoch=1, tile_begin=0, tile_end=50, cell_count=50, elapsed_ns=10),
            worker_pb2.TileResult(
                epoch=2,
                tile_begin=4,
                tile_end=5,
                output=b"output",
                detail=b"detail",
                cell_count=8,
                elapsed_ns=20,
                quarantine=[quarantine],
            ),
        ],
        failures=[
            worker_pb2.TileFailure(
                epoch=2, tile=3, reason=common_pb2.FAILURE_REASON_NUMERICAL, message="no finite number"
            )
        ],
        returned_epochs=[3],
    )


def test_a_full_message_of_empty_results_stays_within_a_mebibyte() -> None:
    largest = (1 << 64) - 1
    outcomes = tuple(FinishedTiles(Epoch(largest), largest - 1, largest, largest, largest) for _ in range(4_096))
    message = results_message(SendResults(1, outcomes))
    assert sum(outcome.size_bytes for outcome in outcomes) == 1 << 20
    assert message.ByteSize() < 1 << 20


def test_what_is_kept_of_leases_travels_with_the_results() -> None:
    message = results_message(SendResults(1, (), (), (LeaseBound(Epoch(7), 1 << 41),)))
    assert message.results == worker_pb2.TileResults(sequence=1, kept=[WIRE_BOUND])


def test_a_heartbeat_tells_progress_stalls_and_memory() -> None:
    action = SendHeartbeat((LeaseProgress(Epoch(1), 4), LeaseProgress(Epoch(2), 0)))
    assert heartbeat_message(action, 55_000_000, {Epoch(1): 2.5, Epoch(9): 1.0}).heartbeat == worker_pb2.Heartbeat(
        leases=[
            worker_pb2.LeaseProgress(epoch=1, tiles_done=4, stalled_s=2.5),
            worker_pb2.LeaseProgress(epoch=2, tiles_done=0),
        ],
        memory_bytes=55_000_000,
    )


def test_what_came_for_a_tile_without_output_is_told() -> None:
    finished = FinishedTiles(Epoch(1), 3, 4, 0, 700, fetch_ns=500, fetched=(("scenarios", 9, 1),))
    (result,) = results_message(SendResults(1, (finished,))).results.results
    assert (result.fetch_ns, [(one.kind, one.size_bytes, one.count) for one in result.fetched]) == (
        500, [("scenarios", 9, 1)],
    )  # fmt: skip
