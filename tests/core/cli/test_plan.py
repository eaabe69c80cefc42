"""xipctl plan: what a run would be, told without a scheduler."""

from __future__ import annotations

import json

import pytest

from tests.core.client.test_graph import a_graph
from tests.core.graph.builders import a_book_of, a_market, some_scenarios
from xip_core.cli.main import run_command


@pytest.fixture
def plan(tmp_path, capsys, monkeypatch):
    """Call `xipctl plan` on three swaps; no scheduler is there."""
    monkeypatch.setenv("XIP_SCHEDULER", "127.0.0.1:1")
    names = {"book.jsonl": a_book_of("swap", 3), "market.json": a_market(), "scenarios.json": some_scenarios(70)}
    options = []
    for name, content in names.items():
        (tmp_path / name).write_bytes(content)
        options += [f"--{name.partition('.')[0]}", str(tmp_path / name)]

    def call(*arguments, files=True):
        code = run_command(["plan", *(options if files else ()), *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


def test_nodes_are_drawn_with_results_first(plan):
    code, out, _ = plan("--aggregate", "var by=asset_class q=0.9")
    assert code == 0
    drawn = [line.partition("@")[0].rsplit(None, 1)[0].rstrip() for line in out.splitlines() if "@" in line]
    assert drawn == [
        "aggregate var_by_asset_class",
        "└─ reduce",
        "   └─ value terms/rates",
        "      ├─ resolve terms/rates",
        "      └─ calibrate",
    ]


def test_json_has_tiles_cost_and_bytes_of_every_node(plan):
    code, out, _ = plan("--output", "json", "--detail", "base")
    outline = json.loads(out)
    assert code == 0
    assert outline["cell_count"] == 3 * (70 + 3)
    assert outline["tile_count"] == sum(node["tile_count"] for node in outline["nodes"])
    value = next(node for node in outline["nodes"] if node["kind"] == "value")
    assert (value["output_bytes"], value["detail_bytes"]) == (12 * 70, 3 * (9 + 36))
    assert outline["core_s"] == pytest.approx(sum(node["core_s"] for node in outline["nodes"]))
    assert outline["blob_bytes"] > outline["plan_bytes"] > 0


def test_less_detail_is_less_to_send(plan):
    outlines = [json.loads(plan("--output", "json", "--detail", word)[1]) for word in ("none", "base", "all")]
    sizes = [outline["detail_bytes"] for outline in outlines]
    assert sizes == [0, 3 * 45, 3 * (9 * 70 + 36)]


def test_what_the_scheduler_would_refuse_is_refused_here(plan):
    code, out, err = plan("--aggregate", "var by=desk q=0.9")
    assert (code, out) == (1, "")
    assert err.startswith("xipctl: every trade must have 'desk', which an aggregate goes by; missing in line 1")
    code, out, err = plan("--aggregate", "var q=0.999")
    assert (code, out) == (1, "")
    assert "must have at least 1000 scenarios, got 69 beside the base" in err


def test_a_graph_file_is_drawn_too(plan, tmp_path):
    path = a_graph().save(tmp_path / "graph")
    code, out, _ = plan("--graph", path, files=False)
    assert code == 0
    assert "combine sum" in out
    assert "(above)" in out


def test_a_graph_goes_without_options_of_one_book(plan, tmp_path):
    path = a_graph().save(tmp_path / "graph")
    code, _, err = plan("--graph", path, "--aggregate", "sum", files=False)
    assert code == 2
    assert "--graph goes without options of one book" in err
