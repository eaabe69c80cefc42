"""A run that begins with tiles of another plan: invariants hold from its first event to its end, over restarts."""

from __future__ import annotations

import random
from collections import deque

import msgspec
import pytest

from tests.scheduler.core.builders import MemoryStore, a_book_plan, a_report, a_submission, an_attachment
from xip_core.errors import FailureReason
from xip_core.graph.plan import NodeKind, Plan, Source
from xip_core.model.run_spec import Detail
from xip_scheduler.core.actions import Action, GrantLease, RecordRunState, RevokeLease
from xip_scheduler.core.core import Core
from xip_scheduler.core.events import Event, RunCancelled, RunSubmitted, TakenOver, WorkerDetached
from xip_scheduler.core.remainder import remainder_of
from xip_scheduler.core.words import ConnectionId, RunId, RunState, WorkerId

CALIBRATE, RESOLVE, VALUE, REDUCE = range(4)
CELLS_OF_TILE = 12


def spans(tiles: set[int]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for tile in sorted(tiles):
        begin = found.pop()[0] if found and found[-1][1] == tile else tile
        found.append((begin, tile + 1))
    return tuple(found)


def a_reusing_submission(plan: Plan, same: list[set[int]]) -> RunSubmitted:
    """Run r2, which begins with the tiles *same* of the final run r1, as far as sums have what they add."""
    done = remainder_of(plan, [spans(tiles) for tiles in same], [], is_same_plan=False).done
    value_count = sum(end - begin for begin, end in done[VALUE])
    taken = TakenOver(done, value_count * CELLS_OF_TILE, 0, ())
    return msgspec.structs.replace(a_submission("r2", plan), reuse_of="r1", taken_over=taken)


class Grid:
    """A core and its store; every event is followed by a look at the invariants and at what is durable."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.core = Core()
        self.leases: deque[GrantLease] = deque()
        self.now_s = 0.0

    def handle(self, event: Event) -> list[Action]:
        self.now_s += 0.01
        actions = self.core.handle(event, self.now_s)
        self.store.commit(actions)
        self.core.check_invariants()
        assert self.core.durable_runs() == self.store.live_runs(), "S19"
        void = {action.epoch for action in actions if type(action) is RevokeLease}
        self.leases.extend(action for action in actions if type(action) is GrantLease)
        self.leases = deque(lease for lease in self.leases if lease.epoch not in void)
        return actions

    def work(self, plan: Plan, count: int = 1_000) -> int:
        """Report tiles of leases as they come; how many."""
        reported = 0
        while self.leases and reported < count:
            lease = self.leases.popleft()
            is_value = plan.nodes[lease.node_id].kind is NodeKind.VALUE
            for tile in range(lease.tile_begin, lease.tile_end):
                cell_count = CELLS_OF_TILE if is_value else 0
                self.handle(a_report(lease.worker_id, lease.epoch, tile, cell_count=cell_count))
                reported += 1
        return reported

    def restart(self) -> None:
        self.leases.clear()
        self.core = self.store.restart(self.now_s)
        self.core.check_invariants()


@pytest.mark.parametrize("seed", range(40))
def test_what_is_taken_over_is_never_leased_and_all_else_is_computed_once(seed: int) -> None:
    chance = random.Random(seed)
    plan = a_book_plan(chance.randint(1, 5), chance.randint(1, 4), tiles_per_lease=chance.choice((0, 1, 3)))
    share = chance.choice((0.0, 0.4, 0.9, 1.0))
    same = [{tile for tile in range(node.tile_count) if chance.random() < share} for node in plan.nodes]
    if chance.random() < 0.7:
        same[CALIBRATE] = set()  # as after a tick
    grid = Grid()
    grid.handle(an_attachment())
    grid.store.final[RunId("r1")] = RunState.COMPLETED
    submission = a_reusing_submission(plan, same)
    actions = grid.handle(submission)
    taken = submission.taken_over
    assert taken is not None
    open_count = sum(node.tile_count for node in plan.nodes) - sum(b - a for node in taken.done for a, b in node)
    computed = grid.work(plan, chance.choice((1, 3, 1_000)))
    if open_count > computed and chance.random() < 0.5:
        grid.restart()
        grid.handle(an_attachment(connection_id=2))
    computed += grid.work(plan)
    assert computed == open_count
    assert grid.store.final[RunId("r2")] is RunState.COMPLETED
    assert grid.store.cells["r2"] == [CELLS_OF_TILE * plan.nodes[VALUE].tile_count, 0]
    view = grid.core.run(RunId("r2"))
    assert view is not None
    assert [node.tiles_reused for node in view.nodes] == [sum(b - a for a, b in node) for node in taken.done]
    assert (open_count == 0) == any(type(action) is RecordRunState for action in actions)


def test_a_sum_waits_for_what_is_computed_though_the_rest_was_taken_over() -> None:
    plan = a_book_plan(2, 2)
    grid = Grid()
    grid.handle(an_attachment())
    grid.store.final[RunId("r1")] = RunState.COMPLETED
    grid.handle(a_reusing_submission(plan, [set(), {0, 1}, {0, 1, 2}, {0}]))
    order = []
    while grid.leases:
        order.append(grid.leases[0].node_id)
        grid.work(plan, 1)
    assert order == [CALIBRATE, CALIBRATE, VALUE, REDUCE]


def test_a_taken_over_tile_keeps_its_number_when_an_input_of_this_run_is_given_up() -> None:
    """Calibrate dies here; the value tiles that were taken over had theirs elsewhere."""
    plan = a_book_plan(2, 1)
    grid = Grid()
    grid.store.final[RunId("r1")] = RunState.COMPLETED
    grid.handle(a_reusing_submission(plan, [set(), {0, 1}, {0}, set()]))
    for number in range(1, 10):
        if RunId("r2") in grid.store.final:
            break
        grid.handle(an_attachment(f"w{number}", number))
        grid.work(plan, 0)
        if grid.leases and grid.leases[0].node_id == CALIBRATE:
            grid.leases.clear()
            grid.handle(WorkerDetached(WorkerId(f"w{number}"), ConnectionId(number)))
        else:
            grid.work(plan)
    assert grid.store.final[RunId("r2")] is RunState.COMPLETED_WITH_QUARANTINE
    assert grid.store.cells["r2"] == [2 * CELLS_OF_TILE, CELLS_OF_TILE]
    assert FailureReason.CRASHED in {attempt[2].reason for attempt in grid.store.attempts["r2"]}


def test_a_run_that_reuses_is_cancelled_like_any_other() -> None:
    grid = Grid()
    grid.handle(an_attachment())
    grid.store.final[RunId("r1")] = RunState.COMPLETED
    grid.handle(a_reusing_submission(a_book_plan(2, 2), [set(), {0}, {0, 1}, set()]))
    grid.handle(RunCancelled(RunId("r2"), "enough"))
    assert grid.store.final[RunId("r2")] is RunState.CANCELLED
    grid.leases.clear()
    assert grid.core.lease_count() == 0


def test_after_a_tick_of_sums_every_scenario_block_is_calibrated_before_a_value_tile_is_leased() -> None:
    """So values go out a row block at a time, and no slot waits for a block that was left for later."""
    grid, plan = Grid(), a_book_plan(row_blocks=3, scenario_blocks=4)
    plan = msgspec.structs.replace(plan, sources=(Source(detail=Detail.NONE),))
    grid.handle(an_attachment())
    grid.store.final[RunId("r1")] = RunState.COMPLETED
    same: list[set[int]] = [set(), {0, 1, 2}, set(range(4, 12)), set()]
    grid.handle(a_reusing_submission(plan, same))
    order = []
    while grid.leases:
        order += [(grid.leases[0].node_id, tile) for tile in range(grid.leases[0].tile_begin, grid.leases[0].tile_end)]
        grid.work(plan, 1)
    assert order == [*((CALIBRATE, tile) for tile in range(4)), *((VALUE, tile) for tile in range(4)), (REDUCE, 0)]
