"""xip_core.graph.planner: the graph of a request, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xip_core.errors import RequestError
from xip_core.graph import cost, risk_graph
from xip_core.graph.plan import Node, NodeKind, Plan, decode_plan
from xip_core.graph.planner import plan_run
from xip_core.model.scenario import base_only, encode_scenarios
from xip_core.model.trade import PROGRAM_OF

from .builders import Blobs, a_book, a_book_of, a_line, a_market, a_plan, a_request, some_scenarios

REPOSITORY = Path(__file__).resolve().parents[3]


def nodes_of(plan: Plan, kind: NodeKind) -> list[Node]:
    return [node for node in plan.nodes if node.kind == kind]


def refusal_of(**parts: object) -> RequestError:
    with pytest.raises(RequestError) as refused:
        a_plan(**parts)
    return refused.value


# ---- the graph ------------------------------------------------------------------------------------------------------


def test_a_book_becomes_a_pair_of_nodes_per_group_between_calibrate_and_reduce():
    plan = a_plan(book=a_book(a_line("A"), a_line("B", "fx_option"), a_line("C", "fx_forward")))
    assert [node.name for node in plan.nodes] == [
        "resolve terms/fx",
        "calibrate",
        "resolve option/fx",
        "resolve terms/rates",
        "value terms/fx",
        "value option/fx",
        "value terms/rates",
        "reduce",
    ]
    assert [ref.node_id for ref in plan.nodes[-1].inputs] == [4, 5, 6]
    assert all(ref.modulus == 0 for ref in plan.nodes[-1].inputs)


def test_a_value_tile_needs_its_rows_its_scenarios_and_the_base_market():
    plan = a_plan(book=a_book_of("swap", 3000), scenarios=some_scenarios(70))
    (value,) = nodes_of(plan, NodeKind.VALUE)
    rows, block, base = value.inputs
    assert plan.nodes[rows.node_id].kind == NodeKind.RESOLVE
    assert plan.nodes[block.node_id].kind == NodeKind.CALIBRATE
    assert base.node_id == block.node_id
    needed = [tuple(ref.tile_needed(tile) for ref in value.inputs) for tile in range(value.tile_count)]
    row_blocks, scenario_blocks = plan.nodes[rows.node_id].tile_count, plan.nodes[block.node_id].tile_count
    assert (row_blocks, scenario_blocks) == (4, 3)
    assert needed == [(i, j, 0) for i in range(row_blocks) for j in range(scenario_blocks)]


@settings(max_examples=40, deadline=None)
@given(
    trades=st.lists(st.sampled_from([*PROGRAM_OF, "autocallable"]), min_size=1, max_size=400),
    repeated=st.sets(st.integers(0, 399), max_size=5),
    scenario_count=st.sampled_from([1, 2, 31, 32, 33, 64, 251, 600]),
)
def test_every_sound_row_is_in_one_value_tile_per_scenario(trades, repeated, scenario_count):
    ids = ["T0" if row in repeated else f"T{row}" for row in range(len(trades))]
    plan = a_plan(book=a_book(*map(a_line, ids, trades)), scenarios=some_scenarios(scenario_count))
    cells = np.zeros((len(trades), scenario_count), dtype=int)
    for node in nodes_of(plan, NodeKind.VALUE):
        rows = np.frombuffer(node.rows, "<i4")
        assert len(rows) == node.row_count
        for tile in range(node.tile_count):
            (row_begin, row_end), (begin, end) = node.row_range(tile), node.scenario_range(tile)
            assert row_begin < row_end <= node.row_count
            assert begin < end <= scenario_count
            cells[rows[row_begin:row_end], begin:end] += 1
            resolve = plan.nodes[node.inputs[0].node_id]
            assert resolve.row_range(node.inputs[0].tile_needed(tile)) == (row_begin, row_end)
            assert resolve.rows == node.rows
            calibrate = plan.nodes[node.inputs[1].node_id]
            assert calibrate.scenario_range(node.inputs[1].tile_needed(tile)) == (begin, end)
    for quarantined in plan.quarantine:
        cells[quarantined.row] += 1
    assert (cells == 1).all()


def test_the_plan_counts_every_cell_of_every_row():
    book = a_book(a_line("A"), a_line("B", "autocallable"))
    assert a_plan(book=book, scenarios=some_scenarios(251)).cell_count == 2 * (251 + 3)
    assert a_plan(book=book, scenarios=some_scenarios(251), measures=("pv",)).cell_count == 2 * 251


def test_measures_other_than_pv_are_cells_of_the_base():
    plan = a_plan(measures=("vega",))
    assert plan.measures == ("pv", "vega")
    assert (plan.cells_of_row(0, 3), plan.cells_of_row(1, 3), plan.cells_of_row(0, 0)) == (4, 2, 0)


def test_equal_requests_give_equal_bytes_and_bytes_give_the_plan():
    book = a_book_of("cap_floor", 300) + a_line("T0")
    plan = a_plan(book=book, scenarios=some_scenarios(40))
    assert plan.encode() == a_plan(book=book, scenarios=some_scenarios(40)).encode()
    assert decode_plan(plan.encode()) == plan


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_a_plan_does_not_depend_on_how_the_process_hashes(hash_seed):
    script = (
        "from tests.core.graph.builders import a_book_of, a_line, a_plan\n"
        "print(a_plan(book=a_book_of('cap_floor', 300) + a_line('T7')).encode().hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY)}
    got = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert bytes.fromhex(got.stdout) == a_plan(book=a_book_of("cap_floor", 300) + a_line("T7")).encode()


def test_a_book_without_a_sound_row_still_has_a_graph():
    plan = a_plan(book=a_book(a_line("A", "autocallable")))
    assert [node.kind for node in plan.nodes] == [NodeKind.CALIBRATE, NodeKind.REDUCE]
    assert plan.nodes[1].inputs == ()
    assert len(plan.quarantine) == 1


def test_the_base_alone_is_one_scenario_block():
    plan = a_plan(scenarios=encode_scenarios(base_only()))
    assert [node.tile_count for node in plan.nodes] == [1, 1, 1, 1]


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_a_snapshot_of_another_day_is_refused():
    refused = refusal_of(market=a_market(as_of="2016-02-08"))
    assert refused.reason == "AS_OF_MISMATCH"
    assert "2016-02-08, got 2016-02-05" in str(refused)


def test_a_snapshot_without_a_date_is_refused():
    assert refusal_of(market=a_market().replace(b'"as_of":"2016-02-05",', b"")).reason == "SNAPSHOT_DATE_MISSING"


@pytest.mark.parametrize("market", [b"", b"{", b"\xff", b'{"as_of":"2016-02-05","base_currency":"\xff"}', b"[" * 10**5])
def test_a_malformed_snapshot_is_refused(market):
    assert refusal_of(market=market).reason in ("BAD_SNAPSHOT", "SNAPSHOT_DATE_MISSING")


def test_a_malformed_snapshot_is_refused_with_the_path_to_the_fault():
    refused = refusal_of(market=a_market().replace(b'"quote":"FX/EUR/USD"', b'"quote":7'))
    assert refused.reason == "BAD_SNAPSHOT"
    assert "$.fx_spots[0].quote" in str(refused)


def test_an_unknown_base_currency_is_refused():
    refused = refusal_of(base_currency="XXX")
    assert refused.reason == "BAD_BASE_CURRENCY"
    assert "EUR, got 'XXX'" in str(refused)


@pytest.mark.parametrize("scenarios", [b"", b"{", b"\xff", b'{"scenarios":[]}', b'{"scenarios":' + b"[" * 10**5])
def test_a_malformed_scenario_set_is_refused(scenarios):
    assert refusal_of(scenarios=scenarios).reason == "BAD_SCENARIO"


def test_a_malformed_scenario_set_is_refused_with_the_path_to_the_fault():
    refused = refusal_of(scenarios=some_scenarios(3).replace(b'"shift_relative":0.002', b'"shift_relative":"much"'))
    assert "$.scenarios[2].shifts[0].shift_relative" in str(refused)


def test_a_shift_that_names_nothing_is_refused():
    refused = refusal_of(scenarios=some_scenarios(3).replace(b"EURUSD", b"EURCHF"))
    assert refused.reason == "BAD_SCENARIO"
    assert "'s1'" in str(refused)
    assert "'EURCHF' names nothing" in str(refused)


def test_contradictory_shifts_are_refused():
    scenarios = json.loads(some_scenarios(3)) | {"exclusive": True}
    scenarios["scenarios"][2]["shifts"] *= 2
    refused = refusal_of(scenarios=json.dumps(scenarios).encode())
    assert refused.reason == "CONTRADICTORY_SHIFTS"
    assert "scenario 2 's2' of an exclusive set must change" in str(refused)


def test_a_table_of_shifts_that_names_nothing_is_refused():
    scenarios = json.loads(some_scenarios(3))
    table = {"kind": "absolute", "names": ["FX/EUR/CHF"], "first": 1, "count": 1, "sizes": "AAAAAAAA8D8="}
    refused = refusal_of(scenarios=json.dumps(scenarios | {"tables": [table]}).encode())
    assert refused.reason == "BAD_SCENARIO"
    assert "row 0 of a table of quote shifts names nothing in the market: 'FX/EUR/CHF'" in str(refused)


def test_an_empty_book_is_refused():
    assert refusal_of(book=b"").reason == "EMPTY_BOOK"


def test_a_run_of_too_many_tiles_is_refused(monkeypatch):
    monkeypatch.setattr(risk_graph, "TILE_COUNT_MAX", 5)
    refused = refusal_of(book=a_book_of("swap", 3000), scenarios=some_scenarios(70))
    assert refused.reason == "TOO_LARGE"
    assert "at most 5 tiles, got 20" in str(refused)


def test_a_market_of_which_one_scenario_is_no_message_is_refused(monkeypatch):
    monkeypatch.setattr(cost, "FACTOR_COUNT_MAX", 0)
    refused = refusal_of()
    assert refused.reason == "TOO_LARGE"
    assert "at most 0 quotes in its objects, got 1" in str(refused)


def test_a_blob_that_was_not_uploaded_is_refused():
    blobs = Blobs()
    spec = a_request(blobs, scenarios_digest="ab" * 32)
    with pytest.raises(RequestError, match="scenarios_digest must name an uploaded blob") as refused:
        plan_run(spec, blobs.get)
    assert refused.value.reason == "BLOB_MISSING"
