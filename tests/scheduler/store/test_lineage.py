"""xip_scheduler.store.lineage: what every store knows of who computed a tile, and what its rows need"""

from __future__ import annotations

import pytest

from tests.scheduler.store.builders import a_batch_with_run, a_record, a_run, finished
from xip_core.errors import NotFoundError
from xip_scheduler.store.protocol import Batch, Store, StoredRecord, Takeover

W1 = ("w1", "v3", "0.4.0")


def a_final_run(store: Store) -> None:
    """Tiles 0 and [2, 5) of node 0 by w1, tile 1 given up."""
    store.commit(
        a_batch_with_run(
            records=[a_record(0), a_record(1, epoch=0, worker_id="", quarantined_count=10), a_record(2, 5, epoch=4)],
            outputs=[("r1", 0, 0, b"o0")],
            objects=[("r1", 0, 0, "curve/EUR\nfx/USD")],
            workers=[W1],
            notes=[("r1", "account", "{}")],
            finished=[finished(state=3)],
        )
    )


def test_a_tile_tells_who_computed_it_on_which_machine(store: Store) -> None:
    a_final_run(store)
    assert store.records_of("r1", [(0, 4), (0, 0), (0, 1), (0, 5), (1, 0)]) == [
        StoredRecord(0, 2, 5, 4, *W1, 10, 0, ""),
        StoredRecord(0, 0, 1, 1, *W1, 10, 0, ""),
        StoredRecord(0, 1, 2, 0, "", "", "", 10, 10, ""),
    ]


def test_the_newest_word_about_a_worker_counts(store: Store) -> None:
    a_final_run(store)
    store.commit(Batch(workers=[("w1", "v4", "0.5.0"), ("w2", "v2", "0.5.0")]))
    (record,) = store.records_of("r1", [(0, 0)])
    assert (record.cpu_level, record.version) == ("v4", "0.5.0")


def test_a_tile_taken_over_twice_names_the_run_that_computed_it(store: Store) -> None:
    a_final_run(store)
    for run_id, source in (("r2", "r1"), ("r3", "r2")):
        takeovers = [Takeover(run_id, source, ((0, 0, 1),))]
        store.commit(Batch(runs=[a_run(run_id, reuse_of=source)], takeovers=takeovers))
        store.commit(Batch(records=[a_record(1, run_id=run_id, epoch=9)], finished=[finished(run_id)]))
        stored = store.run(run_id)
        assert stored is not None
        assert stored.reuse_of == source
    assert [record.origin for record in store.records_of("r3", [(0, 0), (0, 1)])] == ["r1", ""]
    assert store.objects("r3", 10) == [(0, 0, "curve/EUR\nfx/USD")]


def test_a_pruned_run_still_is_the_origin_of_what_others_took(store: Store) -> None:
    a_final_run(store)
    takeovers = [Takeover("r2", "r1", ((0, 0, 1),))]
    store.commit(Batch(runs=[a_run("r2")], takeovers=takeovers, finished=[finished("r2")]))
    store.commit(Batch(pruned=["r1"]))
    while store.erasable_run():
        store.commit(Batch(erased=["r1"]))
    assert (store.objects("r1", 10), store.notes("r1")) == ([], {})
    assert [(record.origin, record.worker_id) for record in store.records_of("r2", [(0, 0)])] == [("r1", "w1")]


def test_outputs_that_later_runs_read_outlive_their_run_and_no_longer(store: Store) -> None:
    a_final_run(store)
    takeovers = [Takeover("r2", "r1", ((0, 0, 1),))]
    store.commit(Batch(runs=[a_run("r2")], takeovers=takeovers))
    store.commit(Batch(records=[a_record(1, run_id="r2", epoch=9)], outputs=[("r2", 0, 1, b"o1")]))
    store.commit(Batch(finished=[finished("r2")]))
    store.commit(Batch(runs=[a_run("r3")], takeovers=[Takeover("r3", "r2", ((0, 0, 2),))], finished=[finished("r3")]))
    for run_id, left in (("r1", ["r2", "r3"]), ("r2", ["r3"]), ("r3", [])):
        store.commit(Batch(pruned=[run_id]))
        while (erasable := store.erasable_run()) is not None:
            store.commit(Batch(erased=[erasable]))
        for reader in left:
            assert store.outputs(reader, 0, 0, 2, 1000) == [b"o0", b"o1"]
        with pytest.raises(NotFoundError):
            store.outputs(run_id, 0, 0, 1, 1000)


def test_objects_are_kept_once_and_read_in_order(store: Store) -> None:
    objects = [("r1", 2, 7, "b"), ("r1", 0, 3, "a"), ("r1", 2, 7, "again")]
    store.commit(a_batch_with_run(objects=objects[:2]))
    store.commit(Batch(objects=objects[2:]))
    assert store.objects("r1", 10) == [(0, 3, "a"), (2, 7, "b")]
    assert store.objects("r1", 1) == [(0, 3, "a")]


def test_a_note_is_replaced_by_the_next_of_its_kind(store: Store) -> None:
    store.commit(a_batch_with_run(notes=[("r1", "reuse", "a"), ("r1", "account", "b")]))
    store.commit(Batch(notes=[("r1", "account", "c")], finished=[finished()]))
    assert store.notes("r1") == {"reuse": "a", "account": "c"}


def test_final_runs_of_a_tenant_come_newest_first_and_no_others(store: Store) -> None:
    store.commit(Batch(runs=[a_run(f"r{number}") for number in range(5)] + [a_run("other", tenant="other")]))
    store.commit(Batch(finished=[finished(run_id) for run_id in ("r0", "r1", "r3", "r4", "other")]))
    store.commit(Batch(pruned=["r3"]))
    assert [run.run_id for run in store.final_runs_of("desk", 10)] == ["r4", "r1", "r0"]
    assert [run.run_id for run in store.final_runs_of("desk", 1)] == ["r4"]
    assert store.final_runs_of("nobody", 10) == []
