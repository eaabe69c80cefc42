"""`xip_worker.core`: the worker as a pure state machine."""

from __future__ import annotations

from xip_worker.core import BATCH_DURATION_S, FLUSH_GRACE_S, HEARTBEAT_INTERVAL_S_MIN, WorkerCore
from xip_worker.events import (
    Action,
    Connected,
    ConnectionLost,
    DrainRequested,
    Epoch,
    EvaluateLeases,
    Event,
    FailedTile,
    FinishedTiles,
    Lease,
    LeaseProgress,
    LeasesReceived,
    LeasesRevoked,
    Leave,
    ResultsAcknowledged,
    ResultsWritten,
    RevokeRunning,
    SendDrain,
    SendHeartbeat,
    SendHello,
    SendResults,
    SlotFreed,
    SlotIndex,
    Ticked,
    Welcomed,
    WorkReported,
)

HEARTBEAT_INTERVAL_S = 1.0


def a_lease(epoch: int, tile_begin: int = 0, tile_end: int = 1, node_id: int = 0, run_id: str = "r1") -> Lease:
    return Lease(Epoch(epoch), run_id, node_id, tile_begin, tile_end, b"plan")


def a_result(epoch: int, tile_begin: int = 0, tile_end: int | None = None, size_bytes: int = 300) -> FinishedTiles:
    end = tile_begin + 1 if tile_end is None else tile_end
    return FinishedTiles(Epoch(epoch), tile_begin, end, 1, 1_000, size_bytes=size_bytes)


def a_failure(epoch: int, tile: int) -> FailedTile:
    return FailedTile(Epoch(epoch), tile, 9, "it broke")


def freed(slot: int, busy_s: float = 1.0) -> SlotFreed:
    return SlotFreed(SlotIndex(slot), round(busy_s * 1e9))


def evaluate(slot: int, *leases: Lease) -> EvaluateLeases:
    return EvaluateLeases(SlotIndex(slot), leases)


class Machine:
    """A core, its clock, and its invariants looked at after each event."""

    def __init__(self, slot_count: int = 1, is_attached: bool = True, **limits: int) -> None:
        self.core = WorkerCore(slot_count, **limits)
        self.now_s = 100.0
        if is_attached:
            self.attach()

    def attach(self) -> list[Action]:
        hello = self.tell(Connected())
        return [*hello, *self.tell(Welcomed(1, HEARTBEAT_INTERVAL_S, 30.0))]

    def tell(self, event: Event) -> list[Action]:
        actions = self.core.handle(event, self.now_s)
        self.core.check_invariants()
        return actions

    def lease(self, *leases: Lease) -> list[Action]:
        return self.tell(LeasesReceived(leases))

    def report(self, *reports: FinishedTiles | FailedTile | SlotFreed) -> list[Action]:
        return self.tell(WorkReported(reports))

    def advance(self, duration_s: float) -> list[Action]:
        self.now_s += duration_s
        return self.tell(Ticked())

    def learn_tile_duration(self, tile_duration_s: float) -> None:
        """Run one lease of node 0 to its end, so that its average is known."""
        self.lease(a_lease(1000))
        self.report(a_result(1000), freed(0, tile_duration_s))
        self.tell(ResultsWritten())
        self.tell(ResultsAcknowledged(1))


def test_first_connection_greets_with_nothing_held() -> None:
    assert Machine(is_attached=False).tell(Connected()) == [SendHello(())]


def test_leases_go_to_free_slots_in_order_and_the_rest_queues() -> None:
    machine = Machine(slot_count=2)
    assert machine.lease(a_lease(1), a_lease(2), a_lease(3)) == [evaluate(0, a_lease(1)), evaluate(1, a_lease(2))]


def test_a_freed_slot_takes_the_next_lease() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2))
    assert machine.report(a_result(1), freed(0)) == [SendResults(1, (a_result(1),)), evaluate(0, a_lease(2))]


def test_tiles_leave_while_their_lease_still_runs() -> None:
    machine = Machine()
    machine.lease(a_lease(1, 0, 3))
    assert machine.report(a_result(1, 0)) == [SendResults(1, (a_result(1, 0),))]


def test_results_gather_while_a_message_is_written() -> None:
    machine = Machine()
    machine.lease(a_lease(1, 0, 4))
    machine.report(a_result(1, 0))
    assert machine.report(a_result(1, 1)) == []
    assert machine.report(a_failure(1, 2)) == []
    assert machine.tell(ResultsWritten()) == [SendResults(2, (a_result(1, 1), a_failure(1, 2)))]


def test_a_message_never_exceeds_its_limit_unless_one_result_does() -> None:
    machine = Machine(message_bytes_max=1_000)
    machine.lease(a_lease(1, 0, 5))
    machine.report(*[a_result(1, tile, size_bytes=400) for tile in range(4)], a_result(1, 4, size_bytes=2_000))
    sent = [machine.tell(ResultsWritten()) for _ in range(3)]
    assert sent == [
        [SendResults(2, (a_result(1, 2, size_bytes=400), a_result(1, 3, size_bytes=400)))],
        [SendResults(3, (a_result(1, 4, size_bytes=2_000),))],
        [],
    ]


def test_short_leases_are_dealt_to_the_slots_in_batches() -> None:
    machine = Machine(slot_count=2)
    machine.learn_tile_duration(BATCH_DURATION_S / 4)
    leases = [a_lease(epoch) for epoch in range(1, 12)]
    assert machine.lease(*leases) == [evaluate(0, *leases[0:8:2]), evaluate(1, *leases[1:8:2])]


def test_leases_worth_less_than_a_hand_over_go_to_one_slot() -> None:
    machine = Machine(slot_count=2)
    machine.learn_tile_duration(1e-6)
    leases = [a_lease(epoch) for epoch in range(1, 12)]
    assert machine.lease(*leases) == [evaluate(0, *leases)]


def test_long_leases_are_never_batched() -> None:
    machine = Machine()
    machine.learn_tile_duration(BATCH_DURATION_S)
    assert machine.lease(a_lease(1), a_lease(2)) == [evaluate(0, a_lease(1))]


def test_a_batch_holds_leases_of_one_node_only() -> None:
    machine = Machine()
    machine.learn_tile_duration(1e-6)
    assert machine.lease(a_lease(1), a_lease(2, node_id=1), a_lease(3)) == [evaluate(0, a_lease(1))]


def test_hello_after_a_reconnect_names_what_is_held_in_order_of_evaluation() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2), a_lease(3))
    machine.report(a_result(1), freed(0))
    machine.tell(ConnectionLost())
    assert machine.tell(Connected()) == [SendHello((a_lease(1), a_lease(2), a_lease(3)))]


def test_acknowledged_leases_are_not_held_any_more() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2))
    machine.report(a_result(1), freed(0))
    machine.tell(ResultsAcknowledged(1))
    machine.tell(ConnectionLost())
    assert machine.tell(Connected()) == [SendHello((a_lease(2),))]


def test_a_lease_acknowledged_before_its_slot_is_freed_is_forgotten_then() -> None:
    machine = Machine()
    machine.lease(a_lease(1))
    machine.report(a_result(1))
    machine.tell(ResultsAcknowledged(1))
    machine.report(freed(0))
    machine.tell(ConnectionLost())
    assert machine.tell(Connected()) == [SendHello(())]


def test_unacknowledged_results_are_offered_again_in_their_order_under_new_sequences() -> None:
    machine = Machine()
    machine.lease(a_lease(1, 0, 4))
    machine.report(a_result(1, 0))
    machine.tell(ResultsWritten())
    machine.report(a_result(1, 1))
    machine.report(a_result(1, 2))
    machine.tell(ResultsAcknowledged(1))
    machine.tell(ConnectionLost())
    assert machine.report(a_result(1, 3), freed(0)) == []
    assert machine.attach() == [
        SendHello((a_lease(1, 0, 4),)),
        SendResults(1, (a_result(1, 1), a_result(1, 2), a_result(1, 3))),
    ]


def test_nothing_is_sent_before_the_welcome() -> None:
    machine = Machine()
    machine.lease(a_lease(1, 0, 2))
    machine.tell(ConnectionLost())
    machine.tell(Connected())
    assert machine.report(a_result(1, 0)) == []


def test_evaluation_goes_on_without_a_scheduler() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2))
    machine.tell(ConnectionLost())
    assert machine.report(a_result(1), freed(0)) == [evaluate(0, a_lease(2))]


def test_no_lease_starts_while_too_much_waits_for_acknowledgement() -> None:
    machine = Machine(retained_bytes_max=500)
    machine.lease(a_lease(1), a_lease(2))
    assert machine.report(a_result(1, size_bytes=600), freed(0)) == [SendResults(1, (a_result(1, size_bytes=600),))]
    assert machine.tell(ResultsAcknowledged(1)) == [evaluate(0, a_lease(2))]


def test_leases_beyond_the_limit_are_handed_back() -> None:
    machine = Machine(leases_held_max=1)
    assert machine.lease(a_lease(1), a_lease(2)) == [SendResults(1, (), (Epoch(2),)), evaluate(0, a_lease(1))]


def test_a_lease_without_tiles_is_handed_back() -> None:
    assert Machine().lease(a_lease(1, 5, 5)) == [SendResults(1, (), (Epoch(1),))]


def test_a_lease_heard_twice_is_evaluated_once() -> None:
    machine = Machine()
    machine.lease(a_lease(1))
    assert machine.lease(a_lease(1)) == []


def test_revoked_leases_leave_the_queue_and_stop_in_their_slot() -> None:
    machine = Machine()
    machine.lease(a_lease(1, 0, 9), a_lease(2), a_lease(3))
    assert machine.tell(LeasesRevoked((Epoch(1), Epoch(2), Epoch(77)))) == [RevokeRunning(SlotIndex(0), (Epoch(1),))]
    assert machine.report(a_result(1, 4), freed(0)) == [evaluate(0, a_lease(3))]


def test_heartbeat_names_progress_of_every_lease_held() -> None:
    machine = Machine()
    machine.lease(a_lease(1, 0, 9), a_lease(2))
    machine.report(a_result(1, 0, 4))
    assert machine.core.next_deadline_s() == machine.now_s + HEARTBEAT_INTERVAL_S
    assert machine.advance(HEARTBEAT_INTERVAL_S) == [
        SendHeartbeat((LeaseProgress(Epoch(1), 4), LeaseProgress(Epoch(2), 0)))
    ]
    assert machine.advance(HEARTBEAT_INTERVAL_S / 2) == []


def test_heartbeats_never_come_faster_than_a_worker_can_bear() -> None:
    machine = Machine(is_attached=False)
    machine.tell(Connected())
    machine.tell(Welcomed(1, 0.0, 30.0))
    assert machine.core.next_deadline_s() == machine.now_s + HEARTBEAT_INTERVAL_S_MIN


def test_no_heartbeat_without_a_connection() -> None:
    machine = Machine()
    machine.tell(ConnectionLost())
    assert machine.core.next_deadline_s() is None
    assert machine.advance(10.0) == []


def test_an_idle_worker_leaves_at_once_when_drained() -> None:
    machine = Machine()
    machine.tell(ConnectionLost())
    assert machine.tell(DrainRequested("test", 20.0)) == [Leave(0)]


def test_drain_hands_back_the_queue_and_leaves_when_all_is_acknowledged() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2))
    assert machine.tell(DrainRequested("test", 20.0)) == [SendDrain("test"), SendResults(1, (), (Epoch(2),))]
    machine.tell(ResultsWritten())
    assert machine.report(a_result(1), freed(0)) == [SendResults(2, (a_result(1),))]
    assert machine.tell(ResultsWritten()) == []
    assert machine.tell(ResultsAcknowledged(2)) == [Leave(0)]


def test_leases_that_come_during_a_drain_are_handed_back() -> None:
    machine = Machine()
    machine.lease(a_lease(1))
    machine.tell(DrainRequested("test", 20.0))
    assert machine.lease(a_lease(5)) == [SendResults(1, (), (Epoch(5),))]


def test_a_drain_that_lasts_too_long_stops_what_runs_and_hands_it_back_after_its_results() -> None:
    machine = Machine()
    machine.lease(a_lease(1, 0, 9))
    machine.tell(DrainRequested("test", 20.0))
    machine.report(a_result(1, 0))
    machine.report(a_result(1, 1))
    assert machine.advance(20.0)[-1] == RevokeRunning(SlotIndex(0), (Epoch(1),))
    assert machine.tell(ResultsWritten()) == [SendResults(2, (a_result(1, 1),), (Epoch(1),))]


def test_a_drain_ends_even_when_nobody_acknowledges() -> None:
    machine = Machine()
    machine.lease(a_lease(1))
    machine.report(a_result(1), freed(0))
    machine.tell(DrainRequested("test", 20.0))
    machine.advance(20.0)
    assert machine.core.next_deadline_s() <= machine.now_s + FLUSH_GRACE_S
    assert machine.advance(FLUSH_GRACE_S)[-1] == Leave(1)


def test_a_drain_with_results_but_without_a_scheduler_does_not_wait_for_its_whole_grace() -> None:
    """Both were told to stop in the same moment."""
    machine = Machine()
    machine.lease(a_lease(1))
    machine.report(a_result(1), freed(0))
    machine.tell(DrainRequested("test", 600.0))
    machine.tell(ConnectionLost())
    machine.advance(FLUSH_GRACE_S - 1.0)
    machine.attach()  # a scheduler that restarts in time still gets them
    machine.tell(ConnectionLost())
    assert machine.core.next_deadline_s() == machine.now_s + FLUSH_GRACE_S
    assert machine.advance(FLUSH_GRACE_S) == [Leave(1)]
    assert machine.core.next_deadline_s() is None


def test_what_is_handed_back_does_not_ride_beside_a_heavy_tile() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2))
    heavy = a_result(1, size_bytes=3 << 20)
    machine.report(heavy)
    machine.tell(ConnectionLost())
    machine.attach()
    machine.tell(ResultsWritten())
    machine.tell(ConnectionLost())
    machine.tell(Connected())
    machine.tell(DrainRequested("test", 20.0))
    welcome = machine.tell(Welcomed(1, HEARTBEAT_INTERVAL_S, 30.0))
    assert welcome == [SendDrain("test"), SendResults(1, (heavy,))]
    assert machine.tell(ResultsWritten()) == [SendResults(2, (), (Epoch(2),))]


def test_a_drain_survives_a_reconnect() -> None:
    machine = Machine()
    machine.lease(a_lease(1))
    machine.tell(ConnectionLost())
    machine.tell(DrainRequested("test", 20.0))
    assert machine.attach() == [SendHello((a_lease(1),)), SendDrain("test")]


def test_leases_named_in_a_hello_and_drained_before_the_welcome_are_handed_back() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2))
    machine.tell(ConnectionLost())
    machine.tell(Connected())
    machine.tell(DrainRequested("test", 20.0))
    welcome = machine.tell(Welcomed(1, HEARTBEAT_INTERVAL_S, 30.0))
    assert welcome == [SendDrain("test"), SendResults(1, (), (Epoch(2),))]


def test_a_second_drain_request_changes_nothing() -> None:
    machine = Machine()
    machine.lease(a_lease(1))
    machine.tell(DrainRequested("first", 20.0))
    assert machine.tell(DrainRequested("second", 99.0)) == []
    assert machine.core.next_deadline_s() == machine.now_s + HEARTBEAT_INTERVAL_S


def test_a_drain_waits_for_no_slot_that_is_stuck_and_hands_back_what_waits_behind_it() -> None:
    machine = Machine()
    machine.lease(a_lease(1), a_lease(2))
    machine.tell(LeasesRevoked((Epoch(1),)))
    ordered = machine.tell(DrainRequested("slot 0 does not come free", 20.0, stuck=(SlotIndex(0),)))
    assert ordered == [SendDrain("slot 0 does not come free"), SendResults(1, (), (Epoch(2),))]
    machine.tell(ResultsWritten())
    assert machine.tell(ResultsAcknowledged(1)) == [Leave(0)]
