"""xip_core.cli.lineage_of: the tiles behind a cell"""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from tests.core.client.test_graph import a_graph
from tests.core.graph.builders import a_book_of, a_plan, some_scenarios
from tests.core.pricing.test_quadratic_run import ASKED, a_blob, planned
from xip_core.cli.lineage_of import cell_of, digests_of, lineage_of, tiles_behind
from xip_core.client.client import Client
from xip_core.errors import NotFoundError, RequestError
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.account import TileRecord
from xip_core.model.run_spec import GraphWork, RunSpec

IDS, SCENARIOS = ["A", "B@home", "C"], ["base", "up", "home"]


@pytest.mark.parametrize(
    ("cell", "found"),
    [("A", (0, 0)), ("A@up", (0, 1)), ("B@home", (1, 0)), ("B@home@up", (1, 1)), ("#2", (2, 0)), ("#2@home", (2, 2))],
)
def test_a_cell_is_a_trade_or_row_and_a_scenario(cell: str, found: tuple[int, int]) -> None:
    assert cell_of(cell, IDS, SCENARIOS) == found


@pytest.mark.parametrize("cell", ["D", "A@down", "#3", "#", "#-1", ""])
def test_a_cell_that_is_not_there_is_refused(cell: str) -> None:
    with pytest.raises(RequestError, match="the cell must name"):
        cell_of(cell, IDS, SCENARIOS)


@pytest.mark.parametrize(
    ("cell", "meant"), [("SWAP_1Y", "'SWAP_1Y_EUR'"), ("SWAP_1Y_EUR@EURUSD +20%", r"'EURUSD \+20 %'"), ("x", "of 2$")]
)
def test_a_slip_in_a_name_is_answered_with_names_like_it(cell: str, meant: str) -> None:
    with pytest.raises(RequestError, match=meant):
        cell_of(cell, ["SWAP_1Y_EUR", "OPTION_ON_ACME"], ["base", "EURUSD +20 %"])


def test_behind_a_cell_are_its_own_tiles_the_base_and_the_sums() -> None:
    plan = a_plan(book=a_book_of("swap", 900), scenarios=some_scenarios(70))
    (value,) = (node for node in plan.nodes if node.kind is NodeKind.VALUE)
    row, scenario = 450, 69
    tiles = tiles_behind(plan, row, scenario)
    of_kind = {kind: [tile for node_id, tile in tiles if plan.nodes[node_id].kind is kind] for kind in NodeKind}
    (tile,) = of_kind[NodeKind.VALUE]
    begin, end = value.row_range(tile)
    assert row in memoryview(value.rows).cast("i")[begin:end].tolist()
    assert scenario in range(*value.scenario_range(tile))
    needed = {ref.tile_needed(tile) for ref in value.inputs if plan.nodes[ref.node_id].kind is NodeKind.CALIBRATE}
    assert set(of_kind[NodeKind.CALIBRATE]) == needed
    assert 0 in needed
    assert len(of_kind[NodeKind.RESOLVE]) == 1
    assert of_kind[NodeKind.REDUCE]


def test_nothing_is_behind_a_row_the_planner_refused() -> None:
    plan = a_plan(book=a_book_of("swap", 3) + b"no trade\n")
    assert tiles_behind(plan, 3, 0) == []


class KnownRuns:
    """Runs by id, each a plan whose tiles the worker of another run computed; what `lineage_of` asks of a client."""

    def __init__(self, runs: dict[str, Plan], origin: str, blobs: dict[str, bytes]) -> None:
        self._plans = {name: plan.encode() for name, plan in runs.items()}
        self._blobs = blobs | {digest_of(encoded): encoded for encoded in self._plans.values()}
        self._origin = origin

    async def run(self, run_id: str) -> SimpleNamespace:
        if run_id not in self._plans:
            raise NotFoundError(f"no run {run_id}")
        return SimpleNamespace(run_id=run_id, plan_digest=digest_of(self._plans[run_id]))

    async def blob(self, digest: str) -> bytes:
        return self._blobs[digest]

    async def quarantine(self, run_id: str) -> list[object]:
        return []

    async def tile_records(self, run_id: str, tiles: list[tuple[int, int]]) -> list[TileRecord]:
        return [TileRecord(node, tile, tile + 1, 1, "w1", "v3", "1", 1, 0, self._origin) for node, tile in tiles]


async def test_the_digests_of_a_number_are_those_of_every_input() -> None:
    plan, inputs = planned(ASKED, covariance=a_blob())
    other, _ = planned(msgspec.structs.replace(ASKED, q=0.95), covariance=a_blob(lambda matrix: 2.0 * matrix))
    client = KnownRuns({"r1": plan, "r0": other}, "r0", inputs.blobs)
    found = await lineage_of(cast(Client, client), "r1", "#0")
    assert set(found.digests.values()) == {digest_of(plan.encode()), *plan.input_digests}
    assert found.digests["covariance"] == digest_of(a_blob())
    assert found.origins["r0"] == digests_of(digest_of(other.encode()), other)
    assert found.origins["r0"]["covariance"] == digest_of(a_blob(lambda matrix: 2.0 * matrix))


async def test_digests_of_a_run_that_is_not_kept_are_not_told() -> None:
    plan, inputs = planned(ASKED, covariance=a_blob())
    client = KnownRuns({"r1": plan}, "r0", inputs.blobs)
    found = await lineage_of(cast(Client, client), "r1", "#0")
    assert found.origins == {"r0": {}}


def test_inputs_of_one_kind_say_what_they_are_of_where_they_differ() -> None:
    graph = a_graph()
    plan = plan_run(RunSpec(name="graph", work=GraphWork(graph.spec())), graph.blobs.__getitem__)
    first, second = plan.sources
    assert digests_of("the plan", plan) == {
        "plan": "the plan",
        "book": first.book_digest,
        f"market of {first.name}": first.market_digest,
        f"market of {second.name}": second.market_digest,
        "scenarios": first.scenarios_digest,
    }
