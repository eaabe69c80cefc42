"""xip_core.cli.explained: from an account to the critical path, costs and shares"""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from xip_core.cli.explained import (
    Cost,
    Explained,
    costs_by,
    critical_path,
    explained,
    kernel_costs,
    slowest_tiles,
    with_names,
)
from xip_core.cli.screen_explain import print_explained, print_reuse
from xip_core.errors import RequestError
from xip_core.graph.plan import Groups, InputRef, Node, NodeKind, Plan
from xip_core.model.account import Explanation, NodeAccount, NodeReuse, Reuse, RunAccount, SlowTile, WorkerTraffic
from xip_core.model.result import NodeProgress, Run, RunState

ROWS = np.arange(4, dtype="<i4").tobytes()
GROUPS = np.array([0, 0, 0, 1], dtype="<i4").tobytes()


def a_plan() -> Plan:
    resolve = Node(0, "resolve", NodeKind.RESOLVE, "terms", "3", 2, 1.0, row_count=4, rows_per_tile=2, rows=ROWS)
    calibrate = Node(1, "calibrate", NodeKind.CALIBRATE, "calibrate", "4", 1, 1.0)
    value = Node(
        2,
        "value",
        NodeKind.VALUE,
        "terms",
        "3",
        2,
        1.0,
        (InputRef(0, 1, 2), InputRef(1, 1, 1)),
        "rates",
        row_count=4,
        rows_per_tile=2,
        scenario_count=3,
        scenarios_per_tile=3,
        rows=ROWS,
        groups=GROUPS,
    )
    reduce = Node(3, "reduce", NodeKind.REDUCE, "reduce", "2", 1, 1.0, (InputRef(2),))
    groups = Groups(("asset_class", "desk"), (("rates", "north"), ("rates", "south")))
    return Plan((resolve, calibrate, value, reduce), 12, groups=groups)


NODES = (
    NodeAccount(0, 0.1, 1.0, 2, 2.0, 0.25, 0.0, 0, 0, (SlowTile(1, 1.5, "w1"),)),
    NodeAccount(1, 0.1, 3.0, 1, 3.0, 0.0, 1.0, 0),
    NodeAccount(2, 0.5, 3.5, 2, 1.0, 0.25, 0.5, 12, 6, (SlowTile(0, 0.75, "w2"),)),
    NodeAccount(3, 3.5, 4.0, 1, 0.5, 0.25, 0.0),
)
ACCOUNT = RunAccount(0.1, 3.5, 4.0, 1, 2, NODES, (WorkerTraffic("w1", (("market", 100, 1),)),))
A_WORKER = WorkerTraffic("w1", (("market", 100, 1), ("plan", 20, 1)))
BY_ID = {node.node_id: node for node in NODES}


def a_run(**changes: object) -> Run:
    nodes = a_plan().nodes
    progress = tuple(NodeProgress(n.node_id, n.name, n.kind, "", "", n.tile_count, n.tile_count, 0) for n in nodes)
    fields: dict[str, object] = {"submitted_at_s": 100.0, "finished_at_s": 104.25, "nodes": progress}
    return Run("r1", "run", "", **{"state": RunState.COMPLETED, **fields, **changes})  # type: ignore[arg-type]  # checked by the constructor


def test_the_critical_path_goes_back_over_what_ended_last_and_adds_up_to_the_whole() -> None:
    path = critical_path(a_plan(), BY_ID, 0.1)
    assert [(step.node, step.adds_s) for step in path] == [
        ("calibrate", pytest.approx(2.9)),
        ("value", pytest.approx(0.5)),
        ("reduce", pytest.approx(0.5)),
    ]
    assert ACCOUNT.first_lease_s + sum(step.adds_s for step in path) == pytest.approx(ACCOUNT.now_s)


def test_a_path_leaves_out_what_was_taken_over_and_is_none_before_a_tile() -> None:
    taken = {**BY_ID, 1: NodeAccount(1)}
    assert [step.node for step in critical_path(a_plan(), taken, 0.1)] == ["resolve", "value", "reduce"]
    assert critical_path(a_plan(), {node_id: NodeAccount(node_id) for node_id in range(4)}, 0.0) == ()


def pieces(found: Explained) -> float:
    steps = sum(step.waits_s + step.adds_s for step in found.path)
    return found.planned_s + found.queue_s + steps + found.end_s


def test_pieces_of_the_path_add_up_to_all_that_passed_though_nodes_waited_for_slots() -> None:
    late = {0: NodeAccount(0, 0.8, 1.0, 2), 2: NodeAccount(2, 1.75, 3.5, 2), 1: NodeAccount(1, 0.1, 0.9, 1)}
    nodes = tuple((BY_ID | late).values())
    account = msgspec.structs.replace(ACCOUNT, nodes=nodes, planned_s=0.5)
    found = explained(Explanation(a_run()), a_plan(), account)
    assert [(step.node, step.waits_s, step.meanwhile) for step in found.path] == [
        ("resolve", pytest.approx(0.7), ("calibrate",)),
        ("value", 0.75, ()),
        ("reduce", 0.0, ()),
    ]
    assert (found.planned_s, found.end_s) == (0.5, 0.25)
    assert pieces(found) == pytest.approx(0.5 + found.wall_s)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_add_up_whatever_the_times(seed: int) -> None:
    chance = random.Random(seed)
    first_s = chance.uniform(0.0, 1.0)
    nodes = []
    for node_id in range(4):
        begin_s = first_s + chance.uniform(0.0, 1.0)
        nodes.append(NodeAccount(node_id, begin_s, begin_s + chance.uniform(0.0, 2.0), chance.choice((0, 1, 1))))
    last_s = max((node.end_s for node in nodes if node.tiles_timed), default=first_s)
    account = RunAccount(first_s, last_s, last_s, nodes=tuple(nodes), planned_s=chance.random())
    found = explained(Explanation(a_run(finished_at_s=100.0 + last_s + 0.125)), a_plan(), account)
    assert pieces(found) == pytest.approx(account.planned_s + last_s + 0.125)
    assert all(step.waits_s >= 0.0 and step.adds_s >= 0.0 for step in found.path)


def test_cost_is_shared_by_rows_and_loses_nothing() -> None:
    costs = costs_by(a_plan(), BY_ID)
    assert [(cost.label, cost.row_count) for cost in costs] == [("north", 3), ("south", 1)]
    assert sum(cost.core_s for cost in costs) == pytest.approx(sum(node.elapsed_s + node.wasted_s for node in NODES))
    assert sum(cost.wasted_s for cost in costs) == pytest.approx(1.5)
    assert costs[0].core_s == pytest.approx(3.0 * costs[1].core_s)
    assert costs_by(a_plan(), BY_ID, "asset_class") == (Cost("rates", 4, pytest.approx(8.0), pytest.approx(1.5)),)


def test_cost_by_a_key_the_run_does_not_have_is_refused() -> None:
    with pytest.raises(RequestError, match="asset_class, desk"):
        costs_by(a_plan(), BY_ID, "book")


def test_kernels_come_costliest_first_without_what_they_waited() -> None:
    costs = kernel_costs(a_plan(), BY_ID)
    assert [(cost.kernel, cost.kind, cost.compute_s) for cost in costs] == [
        ("calibrate", "calibrate", 3.0),
        ("terms", "resolve", 1.75),
        ("terms", "value", 0.75),
        ("reduce", "reduce", 0.25),
    ]
    assert costs[2].ns_per_cell == pytest.approx(0.75e9 / 12)


def test_slowest_tiles_name_their_rows() -> None:
    slowest = slowest_tiles(a_plan(), ACCOUNT)
    assert [(slow.node, slow.tile, slow.rows) for slow in slowest] == [("resolve", 1, (2, 3)), ("value", 0, (0, 1))]


def test_slowest_trades_share_the_time_of_their_tiles_and_have_names() -> None:
    found = explained(Explanation(a_run()), a_plan(), ACCOUNT)
    (slow,) = found.slowest_trades  # of value nodes alone: what a trade costs, not what reading it does
    assert (slow.node, slow.trade_s, slow.tiles_seen, slow.tile_count) == ("value", 0.375, 1, 1)
    assert (slow.rows, slow.row_count, slow.trades) == ((0, 1), 2, ())
    named = with_names(found, {1: "SWAP"})
    assert named.slowest_trades[0].trades == ("", "SWAP")


def test_shares_and_margins_of_a_final_run() -> None:
    found = explained(Explanation(a_run(deadline_after_s=5.0)), a_plan(), ACCOUNT)
    assert (found.wall_s, found.queue_s, found.tail_s) == (4.25, 0.1, 0.5)
    assert (found.compute_s, found.fetch_s, found.wasted_s) == (5.75, 0.75, 1.5)
    assert (found.cells_pruned, found.cells_timed, found.is_whole) == (6, 12, True)
    assert (found.eta_s, found.late_s) == (None, -0.75)
    assert found.received == {"w1": {"market": (100, 1)}}


def test_a_live_run_says_how_late_it_will_be() -> None:
    run = a_run(state=RunState.RUNNING, finished_at_s=0.0, eta_s=3.0, deadline_after_s=5.0)
    found = explained(Explanation(run), a_plan(), ACCOUNT)
    assert (found.wall_s, found.eta_s, found.late_s) == (4.0, 3.0, 2.0)


def test_an_account_of_a_part_says_so() -> None:
    part = RunAccount(nodes=(NodeAccount(0, tiles_timed=1), *NODES[1:]))
    assert not explained(Explanation(a_run()), a_plan(), part).is_whole


def test_explain_prints_every_figure_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    account = msgspec.structs.replace(ACCOUNT, planned_s=0.5, away_s=2.0, traffic=(A_WORKER,))
    nodes = tuple(NodeAccount(node.node_id) if node.node_id == 0 else node for node in account.nodes)
    run = a_run(deadline_after_s=5.0)
    found = explained(Explanation(run), a_plan(), msgspec.structs.replace(account, nodes=nodes))
    print_explained(with_names(found, {0: "BOND", 1: "SWAP"}))
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "run r1 completed after 4.25 s, deadline after 5s: 750.0 ms to spare",
        "for 2.00 s nobody handed out work",
        "2 tiles computed just before a restart of the scheduler are in no time below",
        "planning 500.0 ms",
        "end of the run 250.0 ms 4.25 s",
        "all 4.75 s",
        "BOND, SWAP 2 375.0 ms 1 of 1 value",
        "tiles are timed whole: a line has the average of its trades, of which one may have taken most",
        "each is charged the average of its node",
        "w1 market 100 1 w1 plan 20 1 w1 all 120 2",
    ):
        assert words in said, said


def test_a_trade_that_was_a_tile_alone_is_no_average(capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(Explanation(a_run()), a_plan(), ACCOUNT)
    alone = msgspec.structs.replace(found.slowest_trades[0], row_count=1, rows=(0,))
    print_explained(msgspec.structs.replace(found, slowest_trades=(alone,)))
    assert "timed whole" not in capsys.readouterr().out


def test_a_run_that_shares_nothing_with_the_one_most_like_it_says_so_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    why = (("rows changed", 1), ("scenarios changed", 3))
    nodes = tuple(NodeReuse(node_id, f"n{node_id}", "value", 4, 0, why) for node_id in range(9))
    print_reuse(Reuse("r0", nodes=nodes))
    said = " ".join(capsys.readouterr().out.split())
    assert said == "nothing taken over of the run most like it, r0: scenarios changed (27), rows changed (9)"


def test_of_many_nodes_those_with_most_tiles_to_compute_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = tuple(NodeReuse(n, f"node {n}", "value", 40, 40 - n, (("rows changed", n),)) for n in range(20))
    print_reuse(Reuse("r0", is_named=True, nodes=nodes))
    said = capsys.readouterr().out
    assert said.index("node 19") < said.index("node 8")
    assert "node 7 " not in said
    assert "and 7 more nodes" in said
    assert "76%" in said
