"""xip_core.client.results and heads: blocks become tables, whatever their order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.client.server import BOOK, MARKET, PV, QUARANTINE, SCENARIOS, reduce_block, value_block
from xip_core.client.heads import scenario_names, snapshot_head, trade_labels
from xip_core.client.results import PENDING, Results
from xip_core.errors import IntegrityError, RequestError
from xip_core.model.result import Quarantine, ResultBlock


def a_table() -> Results:
    return Results(["S1", "F1", "E1"], ["base", "rates up", "crash"])


def a_block(columns: dict[str, np.ndarray]) -> ResultBlock:
    return ResultBlock(cursor=1, node_id=4, tile=2, columns=columns)


def test_the_order_and_repetition_of_blocks_do_not_matter():
    forth, back = a_table(), a_table()
    blocks = [a_block(value_block(row)) for row in range(3)]
    for block in blocks:
        forth.add(block)
    for block in [*reversed(blocks), blocks[1]]:
        back.add(block)
    assert np.array_equal(forth.to_numpy().pv, PV, equal_nan=True)
    assert back.to_numpy().pv.tobytes() == forth.to_numpy().pv.tobytes()
    assert back.to_numpy().delta.tobytes() == forth.to_numpy().delta.tobytes()


def test_cells_not_received_are_pending_and_have_no_number():
    table = a_table()
    table.add(a_block(value_block(1)))
    numbers = table.to_numpy()
    assert numbers.status[:, 0].tolist() == [PENDING, 0, PENDING]
    assert np.isnan(numbers.pv[0]).all()
    assert numbers.totals is None


def test_a_trade_refused_before_any_tile_has_its_reason_as_status():
    table = a_table()
    table.add_quarantine(QUARANTINE)
    assert table.to_numpy().status.tolist() == [[PENDING] * 3, [PENDING] * 3, [5, 5, 5]]


def test_numbers_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        a_table().to_numpy().pv[0, 0] = 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"row": np.array([3], dtype="<i4")},
        {"row": np.array([-1], dtype="<i4")},
        {"scenario": np.arange(4, dtype="<i4")},
        {"pv": np.zeros((2, 3))},
    ],
)
def test_a_block_that_does_not_fit_the_run_is_refused(change):
    with pytest.raises(IntegrityError, match="block of node 4, tile 2 does not fit its run"):
        a_table().add(a_block(value_block(0) | change))


@pytest.mark.parametrize(
    "change", [{"asset_class": np.frombuffer(b"[", dtype=np.uint8)}, {"pnl": np.zeros((2, 3))}, {"pv": None}]
)
def test_totals_that_contradict_themselves_are_refused(change):
    columns = {name: value for name, value in (reduce_block() | change).items() if value is not None}
    with pytest.raises(IntegrityError, match="does not fit its run"):
        a_table().add(a_block(columns))


def test_labels_follow_the_lines_of_the_book():
    labels = trade_labels(BOOK + b'\nnot a trade\n{"type":"bond","id":"B1","leg":{"currency":"CHF"}}')
    assert [(label.id, label.type, label.currency) for label in labels] == [
        ("S1", "swap", "EUR"),
        ("F1", "fx_option", "USD"),
        ("E1", "equity_option", "USD"),
        ("line 4", "?", ""),
        ("B1", "bond", "CHF"),
    ]


def test_heads_of_scenarios_and_snapshot_are_read():
    assert scenario_names(SCENARIOS) == ("base", "rates up", "crash")
    assert snapshot_head(MARKET).as_of == "2016-02-05"


@pytest.mark.parametrize(
    ("market", "reason"),
    [
        (b'{"base_currency":"EUR"}', "SNAPSHOT_DATE_MISSING"),
        (b"[]", "BAD_SNAPSHOT"),
        (b"\xff", "BAD_SNAPSHOT"),
        (b'{"as_of":"\xff","base_currency":"EUR"}', "BAD_SNAPSHOT"),
        (b"[" * 100_000, "BAD_SNAPSHOT"),
    ],
)
def test_a_snapshot_without_its_head_is_refused(market, reason):
    with pytest.raises(RequestError) as caught:
        snapshot_head(market)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "scenarios", [b'{"scenarios":[{}]}', b'{"scenarios":[{"name":"\xff"}]}', b'{"scenarios":' + b"[" * 100_000]
)
def test_scenarios_without_names_are_refused(scenarios):
    with pytest.raises(RequestError, match="does not decode"):
        scenario_names(scenarios)


@pytest.mark.parametrize(
    "line",
    [b'{"id":"\xff","type":"swap"}', b'{"id":"T1","type":' + b"[" * 100_000, b"", b'{"id":"","type":"fra"}'],
)
def test_a_line_that_is_no_trade_is_labelled_by_its_number(line):
    good = b'{"id":"T1","type":"bond"}'
    assert [label.id for label in trade_labels(good + b"\n" + line + b"\n")] == ["T1", "line 2"]


def test_cells_of_a_tile_that_was_given_up_are_named_by_their_trade() -> None:
    results = Results(["S1", "F1", "E1"], ["base", "rates up", "crash"])
    results.add_quarantine([Quarantine(1, 0, 3, "", 10, "given up"), Quarantine(7, 0, 3, "", 2, "not a trade")])
    assert [cells.trade_id for cells in results.to_numpy().quarantine] == ["F1", ""]
