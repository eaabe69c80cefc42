"""xip_scheduler.journal"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from xip_core.errors import FailureReason
from xip_core.graph.plan import Node, NodeKind, Plan, PlannedQuarantine
from xip_scheduler.core.actions import (
    GrantLease,
    PersistRun,
    RecordFailedTiles,
    RecordRunState,
    RecordTiles,
    ReserveEpochs,
    RevokeLease,
    RunChanged,
    TrimLease,
)
from xip_scheduler.core.words import ConnectionId, Epoch, RunId, RunState, WorkerId
from xip_scheduler.journal import Journal, TilePayload
from xip_scheduler.store.protocol import FinishedRun

RUN, WORKER, CONNECTION = RunId("r1"), WorkerId("w1"), ConnectionId(4)
VALUE = Node(
    node_id=0,
    name="value",
    kind=NodeKind.VALUE,
    kernel="terms",
    kernel_version="1",
    tile_count=4,
    cost_s=0.1,
    row_count=3,
    rows_per_tile=2,
    scenario_count=5,
    scenarios_per_tile=3,
    rows=np.array([7, 8, 9], dtype="<i4").tobytes(),
)
PLAN = Plan(nodes=(VALUE,), cell_count=20, quarantine=(PlannedQuarantine(3, "T3", 1, "unknown type"),))
PERSIST = PersistRun(RUN, "desk", "name", "q", PLAN, "ab" * 32, "hash", 5.0, b"spec")


def test_a_new_run_is_stored_with_the_rows_its_planner_refused() -> None:
    orders = Journal().sort([PERSIST], 0.0)
    (run,) = orders.batch.runs
    assert (run.run_id, run.tenant, run.request_id, run.spec, run.state) == ("r1", "desk", "q", b"spec", 1)
    assert orders.batch.quarantine == [("r1", 3, 0, 5, 1, "unknown type", "T3")]
    assert list(orders.changed) == ["r1"]


def test_results_become_rows_and_their_blocks_go_where_they_are_read() -> None:
    payload = TilePayload(b"output", b"detail", ((4, 0, 3, 5, "no curve", "T4"),))
    actions = [
        RecordTiles(RUN, 0, 0, 2, Epoch(6), WORKER, 10, 0, None),
        RecordTiles(RUN, 0, 2, 3, Epoch(7), WORKER, 5, 3, payload),
    ]
    batch = Journal().sort(actions, 0.0).batch
    assert batch.records == [("r1", 0, 0, 2, 6, "w1", 10, 0), ("r1", 0, 2, 3, 7, "w1", 5, 3)]
    assert (batch.outputs, batch.details) == ([("r1", 0, 2, b"output")], [("r1", 0, 2, b"detail")])
    assert batch.quarantine == [("r1", 4, 0, 3, 5, "no curve", "T4")]


def test_given_up_tiles_are_recorded_without_a_worker_and_quarantined_row_by_row() -> None:
    journal = Journal()
    journal.sort([PERSIST], 0.0)
    failed = RecordFailedTiles(RUN, 0, 1, 3, 7, FailureReason.CRASHED, "worker died")
    batch = journal.sort([failed], 0.0).batch
    assert batch.records == [("r1", 0, 1, 3, 0, "", 7, 7)]
    assert batch.quarantine == [
        ("r1", 7, 3, 5, 10, "worker died", ""),
        ("r1", 8, 3, 5, 10, "worker died", ""),
        ("r1", 9, 0, 3, 10, "worker died", ""),
    ]


def test_a_final_state_gets_the_time_of_day_and_the_plan_is_forgotten() -> None:
    journal = Journal()
    journal.sort([PERSIST], 0.0)
    assert journal.plan_digests == {"r1": b"\xab" * 32}
    batch = journal.sort([RecordRunState(RUN, RunState.CANCELLED, "asked for")], 77.0).batch
    assert batch.finished == [FinishedRun("r1", 5, "asked for", 77.0)]
    assert (journal.plans, journal.plan_digests) == ({}, {})


@pytest.mark.parametrize("kind", ["retry_of", "reuse_of"])
def test_a_live_run_that_began_with_tiles_of_another_is_an_heir(kind: str) -> None:
    journal = Journal()
    journal.sort([PERSIST], 0.0)
    assert journal.heirs == set()
    heir = RunId("r2")
    journal.sort([msgspec.structs.replace(PERSIST, run_id=heir, **{kind: "r0"})], 0.0)
    assert journal.heirs == {heir}
    journal.sort([RecordRunState(heir, RunState.COMPLETED, "")], 9.0)
    assert journal.heirs == set()


def test_soft_orders_are_not_persisted_and_the_last_reserved_epoch_counts() -> None:
    grant = GrantLease(WORKER, CONNECTION, Epoch(8), RUN, 0, 3, 4)
    revoke = RevokeLease(WORKER, CONNECTION, Epoch(2))
    orders = Journal().sort([grant, revoke, RunChanged(RunId("r2"))], 0.0)
    assert orders.batch.is_empty
    assert (orders.grants, orders.revokes, list(orders.changed)) == ([grant], [revoke], ["r1", "r2"])
    assert Journal().sort([ReserveEpochs(Epoch(10)), ReserveEpochs(Epoch(20))], 0.0).batch.epoch_end == 20


def test_a_lease_granted_and_revoked_in_one_batch_is_sent_to_nobody() -> None:
    kept, void = (GrantLease(WORKER, CONNECTION, Epoch(epoch), RUN, 0, 3, 4) for epoch in (8, 9))
    trim = TrimLease(WORKER, CONNECTION, Epoch(8), 3)
    revokes = [RevokeLease(WORKER, CONNECTION, Epoch(epoch)) for epoch in (2, 9)]
    orders = Journal().sort([kept, void, trim, *revokes], 0.0)
    assert (orders.grants, orders.revokes, orders.trims) == ([kept], revokes[:1], [trim])
