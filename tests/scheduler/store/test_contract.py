"""What every store must do, whatever database is behind it (xip_scheduler.store.protocol)."""

from __future__ import annotations

import pytest

from tests.scheduler.store.builders import a_batch_with_run, a_record, a_run, finished
from tests.scheduler.store.conftest import StoreHarness
from xip_core.errors import NotFoundError, StoreError
from xip_scheduler.store.protocol import Batch, DoneInterval, FinishedRun, NodeTally, QuarantineRow, Store, Takeover


def test_a_new_store_is_empty_and_has_reserved_no_epoch(store: Store) -> None:
    assert (store.epoch_end, store.runs(10), store.live_runs()) == (0, [], [])


def test_every_opening_raises_the_term(harness: StoreHarness) -> None:
    terms = []
    for _ in range(3):
        store = harness.open()
        terms.append(store.term)
        store.close()
    assert terms == sorted(set(terms))


def test_reserved_epochs_survive_a_restart(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(Batch(epoch_end=5000))
    store.close()
    store = harness.open()
    assert store.epoch_end == 5000
    store.close()


def test_reserved_epochs_never_shrink(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(Batch(epoch_end=5000))
    store.commit(Batch(epoch_end=4000))
    store.close()
    store = harness.open()
    assert store.epoch_end == 5000
    store.close()


def test_everything_committed_is_there_after_a_restart(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(
        a_batch_with_run(
            records=[a_record(0), a_record(1, cell_count=7, quarantined_count=2)],
            outputs=[("r1", 0, 1, b"output")],
            details=[("r1", 0, 1, b"detail")],
            quarantine=[("r1", 4, 0, 251, 5, "no curve", "T4")],
        )
    )
    store.close()
    store = harness.open()
    assert [run.run_id for run in store.live_runs()] == ["r1"]
    assert list(store.done_intervals("r1")) == [DoneInterval(0, 0, 2)]
    assert store.tallies("r1") == [NodeTally(0, 2, 17, 2)]
    assert store.outputs("r1", 0, 0, 2, 1000) == [b"", b"output"]
    assert [detail.block for detail in store.details("r1", 0, 1000)] == [b"detail"]
    assert store.quarantine("r1", 10) == [QuarantineRow(4, 0, 251, 5, "no curve", "T4")]
    store.close()


def test_a_refused_batch_leaves_nothing_behind(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(a_batch_with_run(records=[a_record(0, epoch=1)]))
    with pytest.raises(StoreError, match="recorded once"):
        store.commit(
            Batch(
                runs=[a_run("r2")],
                epoch_end=77,
                records=[a_record(5), a_record(0, epoch=2)],
                details=[("r1", 0, 5, b"detail")],
            )
        )
    store.close()
    store = harness.open()
    assert store.epoch_end == 0
    assert [run.run_id for run in store.runs(10)] == ["r1"]
    assert list(store.done_intervals("r1")) == [DoneInterval(0, 0, 1)]
    assert store.details("r1", 0, 1000) == []
    store.close()


@pytest.mark.parametrize(("begin", "end"), [(4, 5), (0, 5), (9, 12), (5, 6), (0, 20), (4, 10)])
def test_a_record_that_overlaps_another_is_refused(store: Store, begin: int, end: int) -> None:
    store.commit(a_batch_with_run(records=[a_record(4, 10)]))
    with pytest.raises(StoreError, match="recorded once"):
        store.commit(Batch(records=[a_record(begin, end, epoch=2)]))
    assert list(store.done_intervals("r1")) == [DoneInterval(0, 4, 10)]


def test_a_record_beside_another_and_on_another_node_is_kept(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(4, 10)]))
    store.commit(Batch(records=[a_record(10, 12), a_record(0, 4), a_record(4, 10, node_id=1)]))
    assert list(store.done_intervals("r1")) == [DoneInterval(0, 0, 12), DoneInterval(1, 4, 10)]


def test_given_up_tiles_are_told_apart(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(0), a_record(1, 3, epoch=0, worker_id=""), a_record(3)]))
    assert list(store.done_intervals("r1")) == [
        DoneInterval(0, 0, 1),
        DoneInterval(0, 1, 3, is_failed=True),
        DoneInterval(0, 3, 4),
    ]


def test_the_same_record_again_changes_nothing(store: Store) -> None:
    batch = Batch(records=[a_record(3)], outputs=[("r1", 0, 3, b"o")], details=[("r1", 0, 3, b"d")])
    store.commit(a_batch_with_run())
    store.commit(batch)
    store.commit(batch)
    store.commit(Batch(records=[a_record(3), a_record(4)]))
    assert list(store.done_intervals("r1")) == [DoneInterval(0, 3, 5)]
    assert store.tallies("r1") == [NodeTally(0, 2, 20, 0)]
    assert [detail.block for detail in store.details("r1", 0, 1000)] == [b"d"]


def test_two_overlapping_records_of_one_batch_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="recorded once"):
        store.commit(a_batch_with_run(records=[a_record(0, 3, epoch=1), a_record(2, 4, epoch=2)]))
    assert store.runs(10) == []


@pytest.mark.parametrize("count", [1, 7, 33, 3000])
def test_any_number_of_records_is_kept_whole(store: Store, count: int) -> None:
    store.commit(a_batch_with_run(records=[a_record(tile, epoch=tile + 1) for tile in range(count)]))
    assert list(store.done_intervals("r1")) == [DoneInterval(0, 0, count)]
    assert store.tallies("r1") == [NodeTally(0, count, 10 * count, 0)]


def test_nothing_is_recorded_of_a_run_that_is_not_stored(store: Store) -> None:
    with pytest.raises(StoreError, match="must be stored"):
        store.commit(Batch(records=[a_record(0)]))


def test_nothing_is_recorded_of_a_final_run(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(0)], finished=[finished(state=5)]))
    with pytest.raises(StoreError, match="not final"):
        store.commit(Batch(records=[a_record(1)]))


def test_a_run_finishes_once(store: Store) -> None:
    store.commit(a_batch_with_run())
    store.commit(Batch(finished=[finished(state=5)]))
    with pytest.raises(StoreError, match="only once"):
        store.commit(Batch(finished=[finished(state=2)]))
    stored = store.run("r1")
    assert stored is not None
    assert (stored.state, stored.finished_at_s) == (5, 200.0)


def test_a_finished_run_is_not_resumed(store: Store) -> None:
    store.commit(Batch(runs=[a_run("r1"), a_run("r2")]))
    store.commit(Batch(finished=[finished("r1")]))
    assert [run.run_id for run in store.live_runs()] == ["r2"]


def test_a_request_id_names_one_run_per_tenant(store: Store) -> None:
    store.commit(Batch(runs=[a_run("r1", request_id="q", tenant="a"), a_run("r2", request_id="q", tenant="b")]))
    found = store.find_request("b", "q")
    assert found is not None
    assert found.run_id == "r2"
    assert store.find_request("c", "q") is None
    with pytest.raises(StoreError):
        store.commit(Batch(runs=[a_run("r3", request_id="q", tenant="a")]))
    assert store.run("r3") is None


def test_runs_come_newest_first_in_pages(store: Store) -> None:
    store.commit(Batch(runs=[a_run(f"r{number}") for number in range(5)]))
    first = store.runs(2)
    second = store.runs(2, before_run_key=first[-1].run_key)
    third = store.runs(2, before_run_key=second[-1].run_key)
    assert [[run.run_id for run in page] for page in (first, second, third)] == [["r4", "r3"], ["r2", "r1"], ["r0"]]
    assert store.runs(2, before_run_key=third[-1].run_key) == []


def test_a_run_comes_back_as_it_was_stored(store: Store) -> None:
    store.commit(Batch(runs=[a_run("r1", name="n\u00e9", spec=b"\0\xff", submitted_at_s=1e9 + 0.25)]))
    stored = store.run("r1")
    assert stored is not None
    assert (stored.name, stored.spec, stored.submitted_at_s, stored.state) == ("n\u00e9", b"\0\xff", 1e9 + 0.25, 1)
    assert store.run("r2") is None


def test_details_continue_from_the_last_cursor(store: Store) -> None:
    store.commit(a_batch_with_run(details=[("r1", 0, tile, b"%d" % tile) for tile in range(4)]))
    first = store.details("r1", 0, size_limit_bytes=2)
    store.commit(Batch(details=[("r1", 1, 0, b"later")]))
    rest = store.details("r1", first[-1].cursor, size_limit_bytes=1000)
    assert [detail.block for detail in first + rest] == [b"0", b"1", b"2", b"3", b"later"]
    cursors = [detail.cursor for detail in first + rest]
    assert cursors == sorted(set(cursors))
    assert store.details("r1", cursors[-1], 1000) == []


def test_details_of_another_run_are_not_seen(store: Store) -> None:
    store.commit(Batch(runs=[a_run("r1"), a_run("r2")], details=[("r1", 0, 0, b"one"), ("r2", 0, 0, b"two")]))
    assert [detail.block for detail in store.details("r2", 0, 1000)] == [b"two"]


def test_a_detail_above_the_size_limit_is_still_read(store: Store) -> None:
    store.commit(a_batch_with_run(details=[("r1", 0, 0, b"x" * 100), ("r1", 0, 1, b"y")]))
    assert [len(detail.block) for detail in store.details("r1", 0, size_limit_bytes=10)] == [100]


def test_outputs_come_in_tile_order_until_the_size_limit(store: Store) -> None:
    blocks = [("r1", 0, tile, b"%d" % tile) for tile in (2, 0, 1)]
    store.commit(a_batch_with_run(records=[a_record(0, 4)], outputs=blocks))
    assert store.outputs("r1", 0, 0, 4, size_limit_bytes=2) == [b"0", b"1"]
    assert store.outputs("r1", 0, 2, 4, size_limit_bytes=2) == [b"2", b""]


def test_outputs_of_tiles_not_recorded_are_not_found(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(0, 2), a_record(3)]))
    with pytest.raises(NotFoundError, match="tile 2 of node 0"):
        store.outputs("r1", 0, 1, 4, 1000)
    with pytest.raises(NotFoundError, match="tile 0 of node 1"):
        store.outputs("r1", 1, 0, 1, 1000)
    assert store.outputs("r1", 0, 3, 4, 1000) == [b""]


def test_quarantine_is_read_in_pages_in_order(store: Store) -> None:
    cells = [("r1", row, 0, 1, 5, "m", f"T{row}") for row in range(5)]
    store.commit(a_batch_with_run(quarantine=cells))
    pages = [store.quarantine("r1", 2, offset) for offset in (0, 2, 4)]
    assert [[cell.row for cell in page] for page in pages] == [[0, 1], [2, 3], [4]]


def test_what_a_desk_asked_of_a_run_comes_back_after_a_restart(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(Batch(runs=[a_run("r1", priority=2, deadline_after_s=600.5, retry_of="r0"), a_run("r2")]))
    store.close()
    store = harness.open()
    runs = [(run.priority, run.deadline_after_s, run.is_paused, run.retry_of) for run in store.live_runs()]
    assert runs == [(2, 600.5, False, "r0"), (0, 0.0, False, "")]
    store.close()


def test_a_paused_run_is_paused_until_it_is_resumed(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(Batch(runs=[a_run("r1"), a_run("r2")]))
    store.commit(Batch(paused=[("r1", True, "desk"), ("r2", True, "desk"), ("r2", False, "desk")]))
    store.close()
    store = harness.open()
    assert [run.is_paused for run in store.live_runs()] == [True, False]
    store.commit(Batch(paused=[("r1", False, "desk")]))
    assert [run.is_paused for run in store.live_runs()] == [False, False]
    store.close()


def test_a_final_run_is_not_paused(store: Store) -> None:
    store.commit(a_batch_with_run(finished=[finished()]))
    with pytest.raises(StoreError, match="not final"):
        store.commit(Batch(paused=[("r1", True, "desk")]))


def test_attempts_survive_a_restart_in_order(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(
        a_batch_with_run(
            attempts=[("r1", 1, 7, 0, "w1", 2, "m", True), ("r1", 0, 9, 1, "w2", 3, "", False)],
        )
    )
    store.commit(Batch(attempts=[("r1", 0, 9, 0, "w1", 2, "died", True)]))
    store.close()
    store = harness.open()
    assert store.attempts("r1") == [
        ("r1", 0, 9, 0, "w1", 2, "died", True),
        ("r1", 0, 9, 1, "w2", 3, "", False),
        ("r1", 1, 7, 0, "w1", 2, "m", True),
    ]
    store.close()


def test_an_attempt_is_kept_once_and_never_changes(store: Store) -> None:
    attempt = ("r1", 0, 9, 0, "w1", 2, "died", True)
    store.commit(a_batch_with_run(attempts=[attempt]))
    store.commit(Batch(attempts=[attempt, ("r1", 0, 9, 1, "w2", 2, "died", True)]))
    with pytest.raises(StoreError, match="kept once"):
        store.commit(Batch(attempts=[("r1", 0, 9, 0, "w3", 2, "died", True)]))
    assert [kept[4] for kept in store.attempts("r1")] == ["w1", "w2"]


def a_final_run_of_three_tiles(store: Store) -> None:
    """Tiles 0 and 2 of node 0 and tile 0 of node 1 with output, tile 1 of node 0 given up; final."""
    records = [a_record(0), a_record(1, epoch=0, worker_id="", quarantined_count=10), a_record(2, quarantined_count=1)]
    store.commit(
        a_batch_with_run(
            records=[*records, a_record(0, node_id=1, cell_count=0)],
            outputs=[("r1", 0, 0, b"o0"), ("r1", 0, 2, b"o2"), ("r1", 1, 0, b"sum")],
            details=[("r1", 0, 2, b"d2"), ("r1", 0, 0, b"d0")],
            finished=[finished(state=3)],
        )
    )


def test_a_retry_takes_over_records_outputs_and_details_and_the_old_run_stays(store: Store) -> None:
    a_final_run_of_three_tiles(store)
    spans = ((0, 0, 1), (0, 2, 3))
    assert store.tallies_within("r1", spans) == [NodeTally(0, 2, 20, 1)]
    before = (store.run("r1"), store.tallies("r1"), store.details("r1", 0, 1000))
    store.commit(Batch(runs=[a_run("r2", retry_of="r1")], takeovers=[Takeover("r2", "r1", spans)]))
    assert list(store.done_intervals("r2")) == [DoneInterval(0, 0, 1), DoneInterval(0, 2, 3)]
    assert store.tallies("r2") == [NodeTally(0, 2, 20, 1, tiles_reused=2)]
    assert store.outputs("r2", 0, 0, 1, 1000) + store.outputs("r2", 0, 2, 3, 1000) == [b"o0", b"o2"]
    assert [detail.block for detail in store.details("r2", 0, 1000)] == [b"d0", b"d2"]
    assert (store.run("r1"), store.tallies("r1"), store.details("r1", 0, 1000)) == before
    store.commit(Batch(records=[("r2", 0, 1, 2, 7, "w2", 10, 0)], finished=[finished("r2")]))
    assert store.tallies("r2") == [NodeTally(0, 3, 30, 1, tiles_reused=2)]


@pytest.mark.parametrize("span", [(0, 1, 2), (0, 0, 3), (0, 3, 4), (2, 0, 1)])
def test_a_takeover_of_a_tile_without_output_is_refused_whole(store: Store, span: tuple[int, int, int]) -> None:
    a_final_run_of_three_tiles(store)
    with pytest.raises(StoreError, match="every tile named"):
        store.commit(Batch(runs=[a_run("r2")], takeovers=[Takeover("r2", "r1", (span,))]))
    assert store.run("r2") is None


def test_nothing_is_taken_over_of_a_live_run(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(0)]))
    with pytest.raises(StoreError, match="final"):
        store.commit(Batch(runs=[a_run("r2")], takeovers=[Takeover("r2", "r1", ((0, 0, 1),))]))


def test_origins_are_the_runs_that_computed_a_tile_through_any_number_of_takeovers(store: Store) -> None:
    a_final_run_of_three_tiles(store)
    records = [("r2", 0, 1, 2, 7, "w2", 10, 0)]
    takeover = Takeover("r2", "r1", ((0, 0, 1), (0, 2, 3), (1, 0, 1)))
    store.commit(Batch(runs=[a_run("r2")], takeovers=[takeover], records=records, finished=[finished("r2")]))
    store.commit(Batch(runs=[a_run("r3")], takeovers=[Takeover("r3", "r2", ((0, 0, 3), (1, 0, 1)))]))
    assert store.origins("r1", 9) == []
    assert store.origins("r2", 9) == [(0, 0, 1, "r1"), (0, 2, 3, "r1"), (1, 0, 1, "r1")]
    assert store.origins("r3", 9) == [(0, 0, 1, "r1"), (0, 1, 2, "r2"), (0, 2, 3, "r1"), (1, 0, 1, "r1")]
    store.commit(Batch(runs=[a_run("r4")], takeovers=[Takeover("r4", "r2", ((0, 1, 3),))]))
    assert store.origins("r3", 2) == store.origins("r3", 9)[:2], "what is beyond the limit is not listed"


def test_origins_of_neighbours_are_one_span(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(tile, epoch=tile + 1) for tile in range(4)], finished=[finished()]))
    store.commit(Batch(runs=[a_run("r2")], takeovers=[Takeover("r2", "r1", ((0, 0, 4),))]))
    assert store.origins("r2", 9) == [(0, 0, 4, "r1")]


def test_a_takeover_of_nothing_is_a_new_run(store: Store) -> None:
    store.commit(a_batch_with_run(finished=[finished(state=5)]))
    store.commit(Batch(runs=[a_run("r2", retry_of="r1")], takeovers=[Takeover("r2", "r1", ())]))
    assert store.tallies("r2") == []
    stored = store.run("r2")
    assert stored is not None
    assert stored.retry_of == "r1"


def test_a_second_scheduler_is_refused_while_the_store_is_open(harness: StoreHarness, store: Store) -> None:
    with pytest.raises(StoreError, match="another"):
        harness.open()


def a_final_run(store: Store, tile_count: int = 3) -> None:
    tiles = range(tile_count)
    store.commit(
        a_batch_with_run(
            records=[a_record(tile, epoch=tile + 1) for tile in tiles],
            outputs=[("r1", 0, tile, b"output") for tile in tiles],
            details=[("r1", 0, tile, b"detail") for tile in tiles],
            quarantine=[("r1", 4, 0, 251, 5, "no curve", "T4")],
            attempts=[("r1", 0, 9, 0, "w1", 2, "died", True)],
        )
    )
    store.commit(Batch(finished=[finished()]))


def test_a_pruned_run_is_gone_at_once_and_its_rows_follow_in_steps(harness: StoreHarness) -> None:
    store = harness.open()
    a_final_run(store, tile_count=5000)
    assert store.oldest_final_run() == ("r1", 200.0)
    store.commit(Batch(at_s=900.0, pruned=["r1"]))
    assert (store.runs(10), store.oldest_final_run(), store.erasable_run()) == ([], None, "r1")
    store.commit(Batch(erased=["r1"]))
    store.close()
    store = harness.open()  # in the middle
    steps = 1
    while (run_id := store.erasable_run()) is not None:
        store.commit(Batch(erased=[run_id]))
        steps += 1
    assert steps > 100, "each step is bounded"
    assert (store.tallies("r1"), store.attempts("r1"), store.quarantine("r1", 9)) == ([], [], [])
    assert (list(store.done_intervals("r1")), store.details("r1", 0, 1000)) == ([], [])
    assert [row.event for row in store.audit_rows(0, 99) if row.run_key][-2:] == ["finished", "pruned"]
    store.close()


def test_a_request_id_names_its_run_for_ever(store: Store) -> None:
    a_final_run(store)
    store.commit(Batch(at_s=900.0, pruned=["r1"]))
    found = store.find_request("desk", "request-r1")
    assert found is not None
    assert (found.run_id, found.payload_hash, found.pruned_at_s, found.spec) == ("r1", "hash", 900.0, b"")
    with pytest.raises(StoreError):
        store.commit(Batch(runs=[a_run("r9", request_id="request-r1")]))


def test_only_a_final_run_is_pruned_and_only_a_pruned_one_erased(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(0)]))
    with pytest.raises(StoreError, match="only a final run"):
        store.commit(Batch(at_s=900.0, pruned=["r1"]))
    with pytest.raises(StoreError, match="must be pruned"):
        store.commit(Batch(erased=["r1"]))
    assert list(store.done_intervals("r1")) == [DoneInterval(0, 0, 1)]


def test_the_size_follows_what_is_kept(store: Store) -> None:
    before = store.size_bytes()
    a_final_run(store)
    store.commit(Batch(runs=[a_run("r2")], records=[a_record(0, run_id="r2")], outputs=[("r2", 0, 0, b"o" * 200_000)]))
    store.commit(Batch(details=[("r2", 0, 0, b"d" * 400_000)]))
    assert 590_000 <= store.size_bytes() - before <= 700_000  # pages that were half empty take some
    store.commit(Batch(finished=[FinishedRun("r2", 2, "", 300.0)]))
    store.commit(Batch(at_s=900.0, pruned=["r2"]))
    while store.erasable_run() is not None:
        store.commit(Batch(erased=["r2"]))
    assert store.size_bytes() - before <= 100_000


def test_pruning_one_run_leaves_the_others(store: Store) -> None:
    a_final_run(store)
    store.commit(Batch(runs=[a_run("r2")], records=[a_record(0, run_id="r2")], details=[("r2", 0, 0, b"kept")]))
    store.commit(Batch(at_s=900.0, pruned=["r1"]))
    while (run_id := store.erasable_run()) is not None:
        store.commit(Batch(erased=[run_id]))
    assert [run.run_id for run in store.runs(9)] == ["r2"]
    assert [detail.block for detail in store.details("r2", 0, 1000)] == [b"kept"]
