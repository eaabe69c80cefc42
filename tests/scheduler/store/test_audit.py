"""xip_scheduler.store.audit: one row per transition, linked"""

from __future__ import annotations

import msgspec
import pytest

from tests.scheduler.store.builders import a_batch_with_run, a_record, a_run, finished
from tests.scheduler.store.conftest import StoreHarness
from xip_core.errors import StoreError
from xip_scheduler.core.words import RunState
from xip_scheduler.store import audit
from xip_scheduler.store.protocol import AuditRow, Batch, FinishedRun, Store

ALL = 1_000_000


def events(store: Store, after_key: int = 1) -> list[tuple[str, str]]:
    """(event, who) of all rows but the one of the first opening."""
    return [(row.event, row.who) for row in store.audit_rows(after_key, ALL)]


def detail(row: AuditRow) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(row.detail)
    return found


def test_each_transition_has_one_row_in_order(store: Store) -> None:
    store.commit(a_batch_with_run(at_s=50.0, records=[a_record(0), a_record(1, 3, epoch=0, worker_id="")]))
    store.commit(Batch(runs=[a_run("r2", retry_of="r1")], paused=[("r2", True, "peer")]))
    store.commit(Batch(paused=[("r2", False, "peer")], attempts=[("r2", 0, 9, 0, "w1", 2, "died", True)]))
    store.commit(Batch(finished=[finished("r1"), FinishedRun("r2", RunState.CANCELLED, "enough", 9.0, who="peer")]))
    assert events(store) == [
        ("accepted", "desk"),
        ("tiles given up", "scheduler"),
        ("retried", "desk"),
        ("paused", "peer"),
        ("tiles failed", "scheduler"),
        ("resumed", "peer"),
        ("finished", "scheduler"),
        ("cancelled", "peer"),
    ]


def test_records_of_tiles_have_no_rows_of_their_own(store: Store) -> None:
    store.commit(a_batch_with_run())
    store.commit(Batch(records=[a_record(tile) for tile in range(100)], epoch_end=7))
    assert events(store) == [("accepted", "desk")]


def test_each_opening_has_a_row_and_the_chain_goes_on_behind_it(harness: StoreHarness) -> None:
    terms = []
    for number in range(3):
        store = harness.open()
        terms.append(store.term)
        store.commit(a_batch_with_run(f"r{number}"))
        store.close()
    store = harness.open()
    rows = store.audit_rows(0, ALL)
    assert [row.event for row in rows] == ["term raised", "accepted"] * 3 + ["term raised"]
    assert [row.term for row in rows[::2]] == [*terms, store.term]
    assert list(audit.broken_links(rows)) == []
    store.close()


def test_a_refused_batch_leaves_no_row(harness: StoreHarness) -> None:
    store = harness.open()
    store.commit(a_batch_with_run(records=[a_record(0)]))
    with pytest.raises(StoreError):
        store.commit(Batch(runs=[a_run("r2")], records=[a_record(0, epoch=9)]))
    store.close()
    store = harness.open()
    assert [row.event for row in store.audit_rows(0, ALL)] == ["term raised", "accepted", "term raised"]
    store.close()


def test_the_row_that_ends_a_run_seals_its_records(store: Store) -> None:
    store.commit(a_batch_with_run(records=[a_record(0, 4, cell_count=40, quarantined_count=3), a_record(4)]))
    store.commit(Batch(runs=[a_run("r2"), a_run("r3")], records=[a_record(0, 4, run_id="r2")]))
    store.commit(Batch(finished=[finished("r1"), finished("r2"), finished("r3")]))
    rows = [detail(row) for row in store.audit_rows(0, ALL) if row.event == "finished"]
    names = ("record_count", "tile_count", "cell_count", "quarantined_count")
    assert [tuple(row[name] for name in names) for row in rows] == [(2, 5, 50, 3), (1, 4, 10, 0), (0, 0, 0, 0)]
    assert len({row["records_digest"] for row in rows}) == 3


def test_the_seal_does_not_depend_on_the_order_of_the_commits(harness: StoreHarness, store: Store) -> None:
    records = [[a_record(tile, run_id=f"r{number}") for tile in range(20)] for number in range(2)]
    store.commit(Batch(runs=[a_run("r0"), a_run("r1")], records=records[0]))
    for record in reversed(records[1]):
        store.commit(Batch(records=[record]))
    store.commit(Batch(finished=[finished("r0"), finished("r1")]))
    digests = [detail(row)["records_digest"] for row in store.audit_rows(0, ALL) if row.event == "finished"]
    assert digests[0] == digests[1]


def test_ranges_are_merged_and_their_number_is_bounded(store: Store) -> None:
    lost = [a_record(tile, epoch=0, worker_id="") for tile in (5, 3, 4)]
    scattered = [a_record(10 + 2 * tile, epoch=0, worker_id="", node_id=1) for tile in range(1000)]
    store.commit(a_batch_with_run(records=lost + scattered))
    rows = [detail(row) for row in store.audit_rows(0, ALL) if row.event == "tiles given up"]
    assert rows[0] == {"node_id": 0, "tile_count": 3, "ranges": [[3, 6]], "run_id": "r1"}
    assert (rows[1]["tile_count"], len(rows[1]["ranges"])) == (1000, audit.RANGES_SHOWN)  # type: ignore[arg-type]  # a list


def a_chain(length: int = 5) -> list[AuditRow]:
    rows: list[AuditRow] = []
    head = audit.Head()
    for number in range(length):
        rows.append(audit.link(head, audit.Entry("accepted", f"r{number}"), number, 0.5, 1))
        head = audit.Head(rows[-1].audit_key, rows[-1].hash)
    return rows


@pytest.mark.parametrize(
    "change",
    [
        {"who": "somebody else"},
        {"at_s": 0.6},
        {"detail": "{}"},
        {"event": "cancelled"},
        {"term": 2},
        {"run_key": 77},
        {"previous_hash": bytes(32)},
        {"hash": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_row_breaks_the_chain(change: dict[str, object]) -> None:
    rows = a_chain()
    rows[2] = msgspec.structs.replace(rows[2], **change)
    assert any("audit row 3" in complaint for complaint in audit.broken_links(rows))


def test_a_changed_row_with_a_hash_made_anew_breaks_the_next_link() -> None:
    rows = a_chain()
    forged = msgspec.structs.replace(rows[2], who="somebody else")
    rows[2] = msgspec.structs.replace(forged, hash=audit.hash_of(forged))
    assert list(audit.broken_links(rows)) == ["audit row 4: must carry the hash of row 3"]


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_a_row_that_is_gone_breaks_the_chain(missing: int) -> None:
    rows = a_chain()
    del rows[missing]
    assert list(audit.broken_links(rows)) == [
        f"audit row {missing + 2}: must follow row {missing + 1}, follows {missing}"
    ]
