"""sample:cross-asset: the files are what they say, can be written again, and price without a quarantined cell."""

from __future__ import annotations

import collections
import json
from pathlib import Path

import numpy as np
import pytest

from xip_core import samples
from xip_core.errors import RequestError
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.model.run_spec import DEFAULT_MEASURES, RiskWork, RunSpec
from xip_core.model.scenario import base_only, decode_scenarios, encode_scenarios
from xip_core.model.trade import ASSET_CLASS_OF, decode_head, decode_trade, encode_trade
from xip_core.pricing.tile import Columns
from xip_core.readers.ore_market import read_ore_market
from xip_core.samples.build import Manifest, build_files, with_plain_caps

from .in_process import RunOutcome, run_plan

ORE = Path(__file__).resolve().parents[3].parent / "shared" / "reference" / "ore"

SAMPLE = samples.load("cross-asset")
BLOBS = {digest_of(blob): blob for blob in SAMPLE}
MANIFEST = json.loads((samples.directory("cross-asset") / "manifest.json").read_bytes())


def a_request(book: bytes, market: bytes, scenarios: bytes) -> RunSpec:
    work = RiskWork(
        book_digest=digest_of(book),
        market_digest=digest_of(market),
        scenarios_digest=digest_of(scenarios),
        measures=DEFAULT_MEASURES,
        base_currency="EUR",
        as_of="2016-02-05",
    )
    return RunSpec(name="sample", work=work)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_run(a_request(*SAMPLE), BLOBS.__getitem__)


@pytest.fixture(scope="module")
def outcome(plan) -> RunOutcome:
    return run_plan(plan, BLOBS.__getitem__)


def totals(plan: Plan, outcome: RunOutcome) -> dict[str, np.ndarray]:
    return outcome.values[plan.nodes[-1].node_id, 0].detail


# ---- the files ------------------------------------------------------------------------------------------------------


def test_an_unknown_sample_is_refused_with_the_known_ones():
    with pytest.raises(RequestError, match="one of cross-asset, got 'crossasset'") as refused:
        samples.load("crossasset")
    assert refused.value.reason == "UNKNOWN_SAMPLE"


def test_every_line_is_a_trade_in_its_shortest_form():
    lines = SAMPLE.book.splitlines()
    assert [encode_trade(decode_trade(line)) for line in lines] == lines


def test_market_and_scenarios_are_in_canonical_form():
    assert encode_snapshot(decode_snapshot(SAMPLE.market)) == SAMPLE.market
    assert encode_scenarios(decode_scenarios(SAMPLE.scenarios)) == SAMPLE.scenarios


def test_there_are_two_thousand_trades_of_every_asset_class_and_product():
    heads = [decode_head(line) for line in SAMPLE.book.splitlines()]
    assert len({head.id for head in heads}) == len(heads) == 2000
    assert {head.type for head in heads} == set(ASSET_CLASS_OF)
    counts = collections.Counter(ASSET_CLASS_OF[head.type] for head in heads)
    assert counts == MANIFEST["trade_count_by_asset_class"]
    assert min(counts.values()) >= 100


def test_there_are_the_base_and_250_scenarios():
    scenarios = decode_scenarios(SAMPLE.scenarios).scenarios
    assert len(scenarios) == 251
    assert scenarios[0].shifts == ()


def test_the_manifest_names_files_seed_and_origin():
    assert MANIFEST["digests"] == {
        "book.jsonl": digest_of(SAMPLE.book),
        "market.json": digest_of(SAMPLE.market),
        "scenarios.json": digest_of(SAMPLE.scenarios),
    }
    assert MANIFEST["seed"] == 20160205
    assert MANIFEST["origin"]["repository"].endswith("OpenSourceRisk/Engine")
    assert set(MANIFEST) == set(Manifest.__struct_fields__)


def test_the_files_are_written_again_byte_for_byte():
    if not ORE.is_dir():
        pytest.skip(f"no ORE reference data at {ORE}: the sample cannot be written again here")
    files = samples.directory("cross-asset")
    for name, content in build_files(ORE).items():
        assert (files / name).read_bytes() == content, f"{name}: run python -m xip_core.samples.build --ore {ORE}"


# ---- the plan -------------------------------------------------------------------------------------------------------


def test_the_plan_has_a_node_pair_for_each_of_fourteen_groups(plan):
    kinds = collections.Counter(node.kind for node in plan.nodes)
    assert kinds == {NodeKind.RESOLVE: 14, NodeKind.VALUE: 14, NodeKind.CALIBRATE: 1, NodeKind.REDUCE: 1}
    assert plan.quarantine == ()
    assert plan.cell_count == 2000 * (251 + 3)


def test_the_plan_is_small(plan):
    assert len(plan.encode()) < 40_000  # value nodes name the kernels of calibrating beside their own
    assert sum(node.tile_count for node in plan.nodes) < 300


# ---- the whole run, in process --------------------------------------------------------------------------------------


def test_every_cell_of_the_sample_has_a_number(plan, outcome):
    assert [entry for value in outcome.values.values() for entry in value.quarantine] == []
    assert sum(value.cell_count for value in outcome.values.values()) == plan.cell_count
    columns = totals(plan, outcome)
    assert (columns["rows_used"] == columns["rows_expected"]).all()
    assert columns["rows_expected"].sum(axis=0).tolist() == [2000] * 251


def test_totals_are_the_sums_of_the_cells(plan, outcome):
    columns = totals(plan, outcome)
    names = json.loads(columns["asset_class"].tobytes())
    pv = {name: np.zeros(251) for name in names}
    measures = {name: np.zeros(3) for name in names}
    for node in plan.nodes:
        for tile in range(node.tile_count) if node.kind == NodeKind.VALUE else ():
            detail = outcome.values[node.node_id, tile].detail
            pv[node.asset_class][slice(*node.scenario_range(tile))] += detail["pv"].sum(axis=0)
            if "delta" in detail:
                measures[node.asset_class] += [detail[measure].sum() for measure in DEFAULT_MEASURES[1:]]
    for at, name in enumerate(names):
        gross = np.abs(columns["pnl"][at]).max() + abs(columns["pv"][at])
        assert columns["pv"][at] == pytest.approx(pv[name][0], abs=1e-9 * gross)
        np.testing.assert_allclose(columns["pnl"][at], pv[name] - pv[name][0], rtol=0.0, atol=1e-9 * gross)
        np.testing.assert_allclose([columns[m][at] for m in DEFAULT_MEASURES[1:]], measures[name], rtol=1e-9, atol=1e-6)


def test_nothing_gains_or_loses_in_the_base(plan, outcome):
    assert not totals(plan, outcome)["pnl"][:, 0].any()


def test_every_scenario_moves_some_asset_class(plan, outcome):
    columns = totals(plan, outcome)
    unmoved = np.flatnonzero(~columns["pnl"].any(axis=0)).tolist()
    names = [decode_scenarios(SAMPLE.scenarios).scenarios[at].name for at in unmoved]
    assert names == ["base"]


def test_details_stay_within_a_quarter_of_a_message(outcome):
    sizes = [sum(column.nbytes for column in value.detail.values()) for value in outcome.values.values()]
    assert max(sizes) <= 256 * 1024


def test_the_run_in_another_order_gives_the_same_bytes(plan, outcome):
    other = run_plan(plan, BLOBS.__getitem__, last_tile_first=True)
    for (node_id, tile), value in outcome.values.items():
        other_value = other.values[node_id, tile]
        assert bytes_of(value.output) == bytes_of(other_value.output), (plan.nodes[node_id].name, tile)
        assert bytes_of(value.detail) == bytes_of(other_value.detail), (plan.nodes[node_id].name, tile)


def test_the_ore_trades_have_the_numbers_they_have_in_the_whole_ore_market(plan, outcome):
    if not ORE.is_dir():
        pytest.skip(f"no ORE reference data at {ORE}: nothing to compare with here")
    market = encode_snapshot(with_plain_caps(read_ore_market(ORE)))
    book = b"".join(line + b"\n" for line in SAMPLE.book.splitlines()[: MANIFEST["ore_trade_count"]])
    scenarios = encode_scenarios(base_only())
    blobs = {digest_of(blob): blob for blob in (book, market, scenarios)}
    ore_plan = plan_run(a_request(book, market, scenarios), blobs.__getitem__)
    of_ore = base_pv(ore_plan, run_plan(ore_plan, blobs.__getitem__))
    of_sample = base_pv(plan, outcome)
    assert len(of_ore) == MANIFEST["ore_trade_count"]
    assert of_ore == {row: of_sample[row] for row in of_ore}


def base_pv(plan: Plan, outcome: RunOutcome) -> dict[int, float]:
    found: dict[int, float] = {}
    for node in plan.nodes:
        for tile in range(node.tile_count) if node.kind == NodeKind.VALUE else ():
            detail = outcome.values[node.node_id, tile].detail
            if detail["scenario"][0] == 0:
                found |= dict(zip(detail["row"].tolist(), detail["pv"][:, 0].tolist(), strict=True))
    return found


def bytes_of(columns: Columns) -> dict[str, bytes]:
    return {name: column.tobytes() for name, column in columns.items()}
