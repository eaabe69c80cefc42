"""xip_core.graph.reuse: tiles said to be the same have equal bytes, and what is the same is found"""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from tests.core.graph.builders import Blobs
from tests.core.samples.in_process import RunOutcome, run_plan
from tests.core.small_market import a_snapshot
from xip_core.graph import cost, reuse
from xip_core.graph.plan import NodeKind, Plan
from xip_core.graph.planner import plan_run
from xip_core.graph.reuse import Comparison, MarketChange, QuoteChange, compare, intervals_of, market_change
from xip_core.model.market import Snapshot, decode_snapshot, encode_snapshot
from xip_core.model.market_objects import market_objects
from xip_core.model.run_spec import DEFAULT_MEASURES, RiskWork, RunSpec
from xip_core.model.scenario import (
    Scenario,
    ScenarioMarket,
    ScenarioSet,
    Shift,
    decode_scenarios,
    encode_scenarios,
)
from xip_core.samples import load
from xip_core.wire.convert import encode_block

TRADE_STEP = 24
SCENARIO_COUNT = 34
"""Two blocks."""

_SAMPLE = load("cross-asset")
BOOK = b"".join(line + b"\n" for line in _SAMPLE.book.splitlines()[::TRADE_STEP])
MARKET = decode_snapshot(_SAMPLE.market)
SCENARIOS = ScenarioSet(scenarios=decode_scenarios(_SAMPLE.scenarios).scenarios[:SCENARIO_COUNT])


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four row blocks a group, so that a part of a node can be the same."""
    monkeypatch.setattr(cost, "VALUE_TILE_S_WORTH", 1e-9)


class Runs:
    """Plans over one store of blobs, each evaluated at most once."""

    def __init__(self) -> None:
        self.blobs = Blobs()
        self._outcomes: dict[bytes, RunOutcome] = {}

    def plan(
        self,
        book: bytes = BOOK,
        market: Snapshot = MARKET,
        scenarios: ScenarioSet = SCENARIOS,
        measures: tuple[str, ...] = DEFAULT_MEASURES,
    ) -> Plan:
        put, as_of = self.blobs.put, market.as_of.isoformat()
        digests = put(book), put(encode_snapshot(market)), put(encode_scenarios(scenarios))
        work = RiskWork(*digests, measures, market.base_currency, as_of)
        return plan_run(RunSpec("a run", work), self.blobs.get)

    def outcome(self, plan: Plan) -> RunOutcome:
        key = plan.encode()
        if key not in self._outcomes:
            self._outcomes[key] = run_plan(plan, self.blobs.get)
        return self._outcomes[key]

    def objects(self, plan: Plan) -> dict[tuple[int, int], tuple[str, ...]]:
        resolves = {node.node_id for node in plan.nodes if node.kind is NodeKind.RESOLVE}
        return {key: value.objects for key, value in self.outcome(plan).values.items() if key[0] in resolves}

    def compared(self, old: Plan, new: Plan) -> Comparison:
        return compare(old, new, self.blobs.get, self.objects(old))

    def check_same(self, old: Plan, new: Plan) -> Comparison:
        """Every tile that is said to be the same is so to the byte."""
        comparison = self.compared(old, new)
        before, after = self.outcome(old).values, self.outcome(new).values
        for node in comparison.nodes:
            assert sum(end - begin for begin, end in node.same) + sum(count for _, count in node.reasons) == (
                node.tile_count
            ), node
            for begin, end in node.same:
                for tile in range(begin, end):
                    ours, theirs = after[node.node_id, tile], before[node.node_id, tile]
                    assert encode_block(ours.output) == encode_block(theirs.output), (node.name, tile)
                    assert encode_block(ours.detail) == encode_block(theirs.detail), (node.name, tile)
                    assert (ours.cell_count, ours.quarantine) == (theirs.cell_count, theirs.quarantine)
        return comparison


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs()


def ticked(changes: dict[str, float | str]) -> Snapshot:
    return msgspec.structs.replace(MARKET, quotes={**MARKET.quotes, **changes})


def same_of(comparison: Comparison, kind: NodeKind) -> tuple[int, int]:
    """Tiles of a kind that are the same, and all of them."""
    nodes = [node for node in comparison.nodes if node.kind == kind]
    return sum(end - begin for node in nodes for begin, end in node.same), sum(node.tile_count for node in nodes)


def reasons_of(comparison: Comparison, kind: NodeKind) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in comparison.nodes:
        for reason, count in node.reasons if node.kind == kind else ():
            found[reason] = found.get(reason, 0) + count
    return found


# ---- soundness: what is said to be the same is the same -----------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_after_a_tick_tiles_said_to_be_the_same_have_equal_bytes(runs: Runs, seed: int) -> None:
    chance = random.Random(seed)
    names = sorted(name for name, value in MARKET.quotes.items() if isinstance(value, float))
    spots = [name for name in names if name.startswith(("FX/RATE", "EQUITY/PRICE"))]
    quotes = chance.sample(spots, 1) if seed % 2 else chance.sample(names, chance.choice((1, 3)))
    new = runs.plan(market=ticked({name: float(MARKET.quotes[name]) * 1.003 + 1e-5 for name in quotes}))
    comparison = runs.check_same(runs.plan(), new)
    assert same_of(comparison, NodeKind.RESOLVE)[0] == same_of(comparison, NodeKind.RESOLVE)[1]


def test_a_quote_that_becomes_unusable_concerns_its_cone_alone(runs: Runs) -> None:
    name = next(name for name in sorted(MARKET.quotes) if name.startswith("FX/RATE"))
    comparison = runs.check_same(runs.plan(), runs.plan(market=ticked({name: float("nan")})))
    same, count = same_of(comparison, NodeKind.VALUE)
    assert 0 < same < count
    assert [change.name for change in comparison.markets[0].quotes] == [name]


def test_an_amended_trade_costs_its_tile_alone(runs: Runs) -> None:
    lines = BOOK.splitlines()
    row = next(row for row, line in enumerate(lines) if b'"notional":' in line)
    lines[row] = lines[row].replace(b'"notional":', b'"notional":1', 1)
    comparison = runs.check_same(runs.plan(), runs.plan(book=b"\n".join(lines) + b"\n"))
    assert reasons_of(comparison, NodeKind.RESOLVE) == {reuse.ROWS: 1}
    assert reasons_of(comparison, NodeKind.VALUE) == {reuse.ROWS: 2}
    assert reasons_of(comparison, NodeKind.REDUCE)[reuse.INPUTS] > 0
    assert same_of(comparison, NodeKind.CALIBRATE) == (2, 2)


def test_trades_added_at_the_end_leave_full_blocks_alone(runs: Runs) -> None:
    another = BOOK.splitlines()[0].replace(b'"id":"', b'"id":"x')
    comparison = runs.check_same(runs.plan(), runs.plan(book=BOOK + another))
    same, count = same_of(comparison, NodeKind.VALUE)
    assert 0 < same < count


# ---- what is the same is found ------------------------------------------------------------------------------------


def test_the_same_request_again_is_the_same_in_every_tile(runs: Runs) -> None:
    comparison = runs.check_same(runs.plan(), runs.plan())
    assert all(node.same == ((0, node.tile_count),) for node in comparison.nodes)


def test_a_quote_that_no_object_uses_changes_nothing(runs: Runs) -> None:
    comparison = runs.check_same(runs.plan(), runs.plan(market=ticked({"NOBODY/ASKS/FOR/IT": 1.0})))
    assert all(node.same == ((0, node.tile_count),) for node in comparison.nodes)
    assert comparison.markets[0].quotes == (QuoteChange("NOBODY/ASKS/FOR/IT", None, 1.0),)


def test_other_scenarios_leave_resolved_rows_alone(runs: Runs) -> None:
    other = ScenarioSet(scenarios=SCENARIOS.scenarios[:-1])
    comparison = runs.compared(runs.plan(), runs.plan(scenarios=other))
    assert same_of(comparison, NodeKind.VALUE)[0] == 0
    assert reasons_of(comparison, NodeKind.CALIBRATE).keys() <= {reuse.SCENARIOS, reuse.KERNELS}


def test_other_measures_leave_resolved_rows_and_markets_alone(runs: Runs) -> None:
    comparison = runs.compared(runs.plan(), runs.plan(measures=("pv",)))
    assert same_of(comparison, NodeKind.RESOLVE)[0] == same_of(comparison, NodeKind.RESOLVE)[1]
    assert same_of(comparison, NodeKind.CALIBRATE) == (2, 2)
    assert same_of(comparison, NodeKind.VALUE)[0] == 0


def test_other_definitions_change_everything(runs: Runs) -> None:
    indices = tuple(sorted(MARKET.indices, key=lambda index: index.name, reverse=True))
    new = msgspec.structs.replace(MARKET, indices=indices)
    comparison = runs.compared(runs.plan(), runs.plan(market=new))
    assert comparison.markets[0].definitions == ("indices",)
    assert not any(node.same for node in comparison.nodes)


def test_a_kernel_of_another_version_changes_its_nodes_and_the_sums(runs: Runs) -> None:
    old, new = runs.plan(), runs.plan()
    changed = next(node for node in new.nodes if node.kind is NodeKind.VALUE)
    other = msgspec.structs.replace(changed, kernels=(*changed.kernels[:-1], (changed.kernels[-1][0], "99")))
    nodes = tuple(other if node is changed else node for node in new.nodes)
    comparison = runs.compared(old, msgspec.structs.replace(new, nodes=nodes))
    assert {node.node_id for node in comparison.nodes if not node.same} >= {changed.node_id}
    assert reasons_of(comparison, NodeKind.VALUE) == {reuse.KERNELS: changed.tile_count}


def test_tiles_whose_objects_nobody_told_are_computed(runs: Runs) -> None:
    name = next(name for name in sorted(MARKET.quotes) if name.startswith("FX/RATE"))
    old, new = runs.plan(), runs.plan(market=ticked({name: 2.0}))
    comparison = compare(old, new, runs.blobs.get, {})
    assert same_of(comparison, NodeKind.VALUE)[0] == 0
    assert reasons_of(comparison, NodeKind.VALUE) == {reuse.UNKNOWN: same_of(comparison, NodeKind.VALUE)[1]}


# ---- markets ------------------------------------------------------------------------------------------------------


def test_a_changed_quote_reaches_its_object_and_what_is_built_on_it() -> None:
    change = market_change(a_snapshot(), a_snapshot({"EURUSD": 1.2}))
    assert [(quote.name, quote.after) for quote in change.quotes] == [("EURUSD", 1.2)]
    assert {"fx/USD", "curve/USD-IN-EUR"} <= set(change.objects)
    assert "cap_volatility/EUR-EURIBOR-6M" not in change.objects


def test_a_quote_removed_is_a_change_and_equal_nans_are_none() -> None:
    removed = market_change(a_snapshot({"X": float("nan")}), a_snapshot({"X": float("nan"), "EURUSD": None}))
    assert [(quote.name, quote.after) for quote in removed.quotes] == [("EURUSD", None)]
    assert market_change(a_snapshot(), a_snapshot()) == MarketChange()


def test_a_spot_that_moves_a_shift_by_moneyness_to_other_strikes_reaches_the_volatilities() -> None:
    name = "COMDTY_WTI_USD"
    surface = f"commodity_volatility/{name}"
    market = ScenarioMarket(MARKET)
    shift = Shift(target="commodity_volatility", name=name, shift_absolute=0.01, moneyness_until=1.0)
    spot = market_objects(MARKET)[f"commodity/{name}"].quotes[0].quote
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="low", shifts=(shift,))))
    new = ticked({spot: float(MARKET.quotes[spot]) * 3.0})
    assert set(market.quotes_of(shift)) != set(ScenarioMarket(new).quotes_of(shift)), "the story has its point"
    assert surface not in market_change(MARKET, new).objects
    assert surface in market_change(MARKET, new, scenarios).objects


def test_intervals_are_runs_of_flags() -> None:
    assert intervals_of(np.array([True, True, False, True], dtype=np.bool_)) == ((0, 2), (3, 4))
    assert intervals_of(np.zeros(3, dtype=np.bool_)) == ()
