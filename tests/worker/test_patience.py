"""xip_worker.patience: finished tiles wait for company as long as nobody misses them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest

from xip_worker.events import Epoch, FailedTile, FinishedTiles, Lease
from xip_worker.held import Batch, Held
from xip_worker.patience import (
    GAP_S,
    HELD_LOOKED_AT_MAX,
    HELD_OUTCOMES_MAX,
    IDLE_GAP_S,
    NODES_REMEMBERED_MAX,
    RESERVE_S,
    Holdback,
    TileDurations,
    may_wait,
    node_key,
    patience_of,
    runs_dry_in_s,
)


def a_held(epoch: int, tile_count: int, node_id: int = 0, tiles_done: int = 0, work_s: float = 0.0) -> Held:
    lease = Lease(Epoch(epoch), "r1", node_id, 0, tile_count, b"plan", False, 0.1, work_s)
    return Held(lease, tiles_done=tiles_done)


def a_batch(*leases: Held) -> Batch:
    epochs = tuple(held.lease.epoch for held in leases)
    return Batch(epochs, node_key(leases[0].lease), sum(held.lease.tile_count for held in leases))


def dry_in_s(running: list[Held | None], queued: Sequence[Held] = (), **durations_s: float) -> float | None:
    """Of one slot for each of *running*; *durations_s* by node, as n0=0.01."""
    durations = TileDurations()
    for node, tile_s in durations_s.items():
        durations.learn(("r1", int(node[1:])), tile_s)
    slots = [None if held is None else a_batch(held) for held in running]
    held_by_epoch = {held.lease.epoch: held for held in [*running, *queued] if held is not None}
    return runs_dry_in_s(slots, [held.lease.epoch for held in queued], held_by_epoch, durations)


def test_an_idle_slot_is_dry_now() -> None:
    assert dry_in_s([a_held(1, 100), None], n0=0.01) is None


def test_a_slot_is_dry_when_its_tiles_are_done_but_for_the_one_under_way() -> None:
    assert dry_in_s([a_held(1, 10, tiles_done=4)], n0=0.01) == pytest.approx(0.05)
    assert dry_in_s([a_held(1, 1)], n0=5.0) == 0.0


def test_queued_leases_go_to_whoever_is_free_first() -> None:
    running = [a_held(1, 2), a_held(2, 101)]
    assert dry_in_s(running, [a_held(3, 20), a_held(4, 5)], n0=0.01) == pytest.approx(0.01 + 0.20 + 0.05)
    assert dry_in_s(running, [a_held(3, 500), a_held(4, 5)], n0=0.01) == pytest.approx(1.05)


def test_a_node_never_seen_takes_what_its_first_result_took_or_the_scheduler_says() -> None:
    assert dry_in_s([a_held(1, 11, work_s=1.1)]) == pytest.approx(1.0)
    measured = a_held(1, 11, work_s=1.1)
    measured.count(FinishedTiles(Epoch(1), 0, 1, 1, 20_000_000))
    assert dry_in_s([measured]) == pytest.approx(9 * 0.02)
    assert dry_in_s([a_held(1, 11)]) == 0.0, "nobody knows anything"


def test_a_slot_whose_leases_were_revoked_is_dry() -> None:
    assert runs_dry_in_s([a_batch(a_held(1, 10))], (), {}, TileDurations()) == 0.0


def test_results_wait_as_long_as_their_lease_says_and_failures_not_at_all() -> None:
    held = a_held(1, 10)
    assert patience_of(FinishedTiles(Epoch(1), 0, 1, 1, 1_000), held) == 0.1
    assert patience_of(FailedTile(Epoch(1), 0, 9, "it broke"), held) == 0.0


def test_what_a_worker_has_of_a_run_waits_only_while_it_holds_more_of_it() -> None:
    ended, other, open_one = a_held(1, 10, tiles_done=10), a_held(2, 10), a_held(3, 10, tiles_done=9)
    other.lease = msgspec.structs.replace(other.lease, run_id="r2")
    two = {Epoch(1): ended, Epoch(2): other}
    assert not may_wait(1, {"r1"}, two)
    assert not may_wait(1, {"r1", "r2"}, two)
    assert may_wait(1, {"r1", "r2"}, two | {Epoch(3): open_one})
    assert may_wait(1, set(), {}), "no lease has ended"


def test_among_very_many_leases_one_of_the_run_is_taken_to_be() -> None:
    held = {Epoch(epoch): a_held(epoch, 10, tiles_done=10) for epoch in range(1, HELD_LOOKED_AT_MAX + 1)}
    assert not may_wait(1, {"r1"}, held)
    assert may_wait(1, {"r1"}, held | {Epoch(1_000): a_held(1_000, 1, tiles_done=1)})


def test_a_bounded_number_of_results_waits() -> None:
    held = {Epoch(1): a_held(1, 100)}
    assert [may_wait(count, set(), held) for count in (0, 1, HELD_OUTCOMES_MAX - 1, HELD_OUTCOMES_MAX)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_what_waits_leaves_when_its_patience_is_over() -> None:
    holdback = Holdback()
    holdback.hold(0.1, 10.0, 50.0)
    holdback.hold(0.1, 10.0, 50.08)
    assert holdback.until_s == pytest.approx(50.1), "the first one's time counts"
    assert not holdback.is_over(50.05)
    assert holdback.is_over(math.nextafter(50.1, 0.0)), "a timer that rings a rounding early would ring for ever"
    assert not holdback.is_holding


def test_what_waits_leaves_before_a_slot_runs_dry_but_not_right_behind_the_last_message() -> None:
    holdback = Holdback()
    holdback.hold(0.1, 0.05, 50.0)
    assert holdback.until_s == pytest.approx(50.05 - RESERVE_S)
    holdback.release()
    holdback.fed()
    holdback.sent(49.999)
    holdback.hold(0.1, 0.0, 50.0)
    assert holdback.until_s == pytest.approx(49.999 + GAP_S)


def test_that_a_slot_runs_dry_is_said_once_until_leases_come() -> None:
    holdback = Holdback()
    holdback.hold(0.1, RESERVE_S, 50.0)
    assert not holdback.is_holding
    holdback.sent(50.0)
    holdback.hold(0.1, RESERVE_S / 2, 50.02)
    assert holdback.until_s == pytest.approx(50.12), "the scheduler knows, and had nothing to send"
    holdback.fed()
    holdback.hold(0.1, RESERVE_S / 2, 50.03)
    assert not holdback.is_holding


def test_a_message_that_left_long_before_says_nothing_of_a_dry_slot() -> None:
    holdback = Holdback()
    holdback.hold(0.1, 1.0, 50.0)
    holdback.sent(50.1)
    holdback.hold(0.1, RESERVE_S / 2, 51.0)
    assert not holdback.is_holding


@pytest.mark.parametrize(("patience_s", "dry_in_s"), [(0.0, 10.0), (0.1, None), (0.1, 0.0)])
def test_nothing_waits_without_patience_or_with_a_slot_that_needs_work(
    patience_s: float, dry_in_s: float | None
) -> None:
    holdback = Holdback()
    holdback.hold(1.0, 10.0, 50.0)
    holdback.hold(patience_s, dry_in_s, 50.0)
    assert not holdback.is_holding


def test_beside_an_idle_slot_that_the_scheduler_knows_of_what_is_finished_waits_for_a_round_trip() -> None:
    holdback = Holdback()
    holdback.hold(1.0, None, 50.0)
    assert not holdback.is_holding
    holdback.sent(50.0)
    holdback.hold(1.0, None, 50.001)
    assert holdback.until_s == pytest.approx(50.0 + IDLE_GAP_S)
    assert holdback.is_over(50.0 + IDLE_GAP_S)
    holdback.hold(1.0, None, 50.1)
    assert not holdback.is_holding, "the last message is long gone"
    holdback.sent(50.1)
    holdback.hold(0.0, None, 50.101)
    assert not holdback.is_holding, "somebody waits for it"
    holdback.fed()
    holdback.hold(1.0, None, 50.102)
    assert not holdback.is_holding, "of a slot that idles in spite of new leases the scheduler does not know"


def test_averages_follow_and_the_oldest_is_forgotten() -> None:
    durations = TileDurations()
    durations.learn(("r1", 0), 1.0)
    durations.learn(("r1", 0), 2.0)
    assert durations.of(("r1", 0)) == pytest.approx(1.3)
    for node_id in range(1, NODES_REMEMBERED_MAX + 1):
        durations.learn(("r1", node_id), math.pi)
    assert durations.of(("r1", 0)) is None
    assert durations.of(("r1", 1)) == math.pi
