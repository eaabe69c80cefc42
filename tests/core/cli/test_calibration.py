"""xipctl calibration: how well a market fits, for people and programs, without a scheduler."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.core.small_market import a_snapshot
from xip_core.cli.main import run_command
from xip_core.model.market import encode_snapshot


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run_command(["calibration", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "market.json.gz"
    path.write_bytes(gzip.compress(encode_snapshot(a_snapshot())))
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "market.json"
    path.write_bytes(encode_snapshot(a_snapshot({"EUR.OIS.5Y": 4.0})))
    return path


def test_table_has_a_line_for_each_object(capsys, good):
    code, out, err = called(capsys, good)
    assert (code, err) == (0, "")
    assert "market.json.gz  complete" in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if "/" in line.split(" ")[0]}
    assert lines["curve/EUR1D"][1:3] == ["5", "3"]
    assert float(lines["curve/EUR1D"][3]) < 1e-12
    assert lines["fx/USD"] == ["fx/USD", "1", "-", "-"]


def test_refused_objects_are_told_with_the_reason_and_the_exit_code(capsys, bad):
    code, out, _ = called(capsys, bad)
    assert code == 3
    assert "objects refused" in out
    assert "no curve fits instrument EUR.OIS.5Y (pillar 2021-02-10) with quote 4.0" in out
    assert called(capsys, bad, "curve/USD1D")[0] == 0


def test_one_object_has_a_line_for_each_quote(capsys, good):
    code, out, _ = called(capsys, good, "hazard/BANK")
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.startswith("BANK")]
    assert [row[:3] for row in rows] == [["BANK.1Y", "2016-12-20", "0.01"], ["BANK.5Y", "2020-12-21", "0.015"]]


def test_json_has_every_residual(capsys, good):
    code, out, _ = called(capsys, good, "-o", "json")
    assert code == 0
    by_name = {item["name"]: item for item in json.loads(out)["objects"]}
    assert all(abs(quote["residual"]) < 1e-12 for quote in by_name["curve/EUR1D"]["instruments"])
    one = json.loads(called(capsys, good, "curve/EUR1D", "-o", "json")[1])
    assert one == by_name["curve/EUR1D"]


def test_object_that_is_not_there_is_named(capsys, good):
    code, out, err = called(capsys, good, "curve/NONE")
    assert (code, out) == (1, "")
    assert "an object must be one of" in err
    assert "got 'curve/NONE'" in err


def test_market_that_is_not_there_is_told(capsys, tmp_path):
    code, _, err = called(capsys, tmp_path / "none.json")
    assert code == 1
    assert "cannot be read" in err


def test_market_of_a_sample_is_calibrated(capsys):
    code, out, _ = called(capsys, "sample:cross-asset", "curve/EUR1D")
    assert code == 0
    assert "IR_SWAP/RATE/EUR/2D/1D/30Y" in out
