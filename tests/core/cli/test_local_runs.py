"""xipctl run --local with real daemons: the sample is priced whole, and the ORE files give the sample's numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
ORE = REPOSITORY.parent / "shared" / "reference" / "ore"
CAPPED = {"CAP_USD", "FLOOR_USD", "CAP_EUR", "FLOOR_EUR", "Bond_Floating"}
"""Caplet volatilities of ORE's files are stripped from a spline, those of the smaller sample are not."""
NUMBERS = ("pv_trade_currency", "pv", "delta", "vega", "dv01")


def run_local(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON document of `xipctl run ... --local --trades`; nothing else may be said or left behind."""
    command = (sys.executable, "-m", "xip_core.cli", "run", *arguments, "--local", "--trades", "--output=json")
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    code, document = run_local(tmp_path_factory.mktemp("sample"), "sample:cross-asset")
    assert code == 0
    return document


def test_the_sample_is_priced_whole_with_its_lineage(sample):
    assert (sample["state"], sample["trade_count"], sample["scenario_count"]) == ("completed", 2000, 251)
    assert (sample["cells_computed"], sample["cells_failed"]) == (2000 * (251 + 3), 0)
    assert all(trade["status"] == "ok" and trade["pv"] is not None for trade in sample["trades"])
    assert all(line["trades_used"] == line["trades_expected"] for line in sample["asset_classes"])
    assert len(sample["lineage"]["snapshot_digest"]) == 64
    assert set(sample["lineage"]["kernels"]) >= {"terms", "option", "optionlet", "swaption", "calibrate", "reduce"}


def test_the_sums_are_those_of_the_trades(sample):
    total = sample["asset_classes"][-1]
    for measure in ("pv", "delta", "vega", "dv01"):
        added = sum(trade[measure] for trade in sample["trades"])
        assert total[measure] == pytest.approx(added, rel=1e-12), measure


def test_the_ore_files_give_the_numbers_of_the_sample(sample, tmp_path):
    if not ORE.exists():
        pytest.skip(f"reference files are not here: {ORE}")
    code, ore = run_local(tmp_path, f"--ore={ORE}")
    assert code == 3
    of_sample = {trade["id"]: trade for trade in sample["trades"]}
    priced = [trade for trade in ore["trades"] if trade["status"] == "ok"]
    assert len(priced) >= 37
    for trade in priced:
        wanted = [of_sample[trade["id"]][name] for name in NUMBERS]
        if trade["id"] in CAPPED:
            wanted = [pytest.approx(number, rel=0.02) for number in wanted]
        assert [trade[name] for name in NUMBERS] == wanted, trade["id"]
    assert {trade["status"] for trade in ore["trades"]} == {"ok", "EXPIRED"}
    assert all(trade["message"] for trade in ore["trades"] if trade["status"] != "ok")
