"""Covariances on the command line: from a history, from ORE's file, from CSV and JSON into a run; what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.core.ore_directory import ORE, REPOSITORY, needs_ore
from tests.core.small_market import a_snapshot
from xip_core import samples
from xip_core.cli.ladders import wanted_ladders
from xip_core.cli.main import run_command
from xip_core.client.graph import Graph
from xip_core.client.requests import aggregates_of
from xip_core.errors import InputError, RequestError
from xip_core.graph.plan import digest_of
from xip_core.model.aggregates import Aggregate
from xip_core.model.covariance import covariance_of, decode_covariance, encode_covariance
from xip_core.model.market import encode_snapshot
from xip_core.readers.covariance_table import read_covariance
from xip_core.readers.ore_directory import read_book

OIL, OIS, DOLLAR = "commodity commodity/OIL parallel", "par_rate curve/EUR 5Y", "fx fx/USD spot"
VAR = "delta_gamma_var q=0.99"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market.json").write_bytes(encode_snapshot(a_snapshot()))
    rows = ("1.10,0.0010,0.02", "1.21,0.0012,0.02", "1.21,0.0011,0.02", "1.089,0.0015,0.02")
    lines = (f"2024-01-{day:02},{row}" for day, row in enumerate(rows, 8))
    (tmp_path / "history.csv").write_text("\n".join((f"date,{DOLLAR},BANK.5Y,BANK.1Y", *lines)) + "\n")
    return tmp_path


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command([*map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_history_gives_the_sample_covariance_in_units_of_the_ladder(capsys, folder):
    """A column by the factor's name and one by the quote it moves: 10, 0, -10 percent and 2, -1, 4 basis points."""
    ladders = ("--ladder", "fx name=USD", "--ladder", "cs01 name=BANK")
    arguments = ("--market", "market.json", *ladders, "-o", "covariance.json")
    code, out, err = called(capsys, "scenarios", "covariance", "history.csv", *arguments)
    assert (code, out) == (0, "covariance.json: 3 factors, 3 moves\n")
    assert "3 moves of 3 factors: some portfolios of them show no risk" in err
    found = decode_covariance((folder / "covariance.json").read_bytes())
    assert found.factors == (DOLLAR, "par_credit hazard/BANK 1Y", "par_credit hazard/BANK 5Y")
    expected = np.cov([[10.0, 0.0, -10.0], [0.0, 0.0, 0.0], [2.0, -1.0, 4.0]])
    np.testing.assert_allclose(found.matrix(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("ladders", "history", "sentence"),
    [
        (("equity",), "", "the history must have a column for every factor, by its name or its one quote: 2 lack one"),
        (("fx name=USD",), "date,fx fx/USD spot\n2024-01-08,1.1\n", "at least two rows, got 1"),
        (("fx name=USD",), "date,fx fx/USD spot\n2024-01-08,1.1\n2024-01-09,1.1\n", "at least two moves, got 1"),
        (("fx name=USD",), "date,fx fx/USD spot\n2024-01-08,1\n2024-03-08,1\n2024-03-09,1\n", "7 days apart"),
        ((), "", "give --ladder or --sensitivities"),
    ],
)
def test_history_that_does_not_tell_a_covariance_is_refused(capsys, folder, ladders, history, sentence):
    if history:
        (folder / "history.csv").write_text(history)
    options = [word for ladder in ladders for word in ("--ladder", ladder)]
    arguments = ("--market", "market.json", *options, "-o", "covariance.json")
    code, out, err = called(capsys, "scenarios", "covariance", "history.csv", *arguments)
    assert (code > 0, out) == (True, ""), err
    assert sentence in err
    assert not (folder / "covariance.json").exists()


def test_ores_file_names_factors_its_own_way(capsys, folder):
    """Shifts squared become units squared: a bump of 2 basis points is one shift of ORE's."""
    lines = (
        "FXSpot/USDEUR/0/spot\tFXSpot/USDEUR/0/spot\t4",
        "SurvivalProbability/BANK/1/5Y FXSpot/USDEUR/0/spot 3",
        "SurvivalProbability/BANK/1/5Y,SurvivalProbability/BANK/1/5Y,9",
        "EquitySpot/NONE/0/spot FXSpot/USDEUR/0/spot 1",
    )
    (folder / "ore.csv").write_text("\n".join(lines))
    ladders = ("--ladder", "fx name=USD", "--ladder", "hazard name=BANK tenors=1Y,5Y bump=2")
    arguments = ("--market", "market.json", *ladders, "-o", "covariance.json")
    code, _, err = called(capsys, "scenarios", "ore-covariance", "ore.csv", *arguments)
    assert code == 0, err
    assert "does not move: hazard_rate hazard/BANK 1Y" in err
    assert "is bumped by no ladder: EquitySpot/NONE/0/spot" in err
    found = decode_covariance((folder / "covariance.json").read_bytes())
    assert found.factors == (DOLLAR, "hazard_rate hazard/BANK 1Y", "hazard_rate hazard/BANK 5Y")
    np.testing.assert_array_equal(found.matrix(), [[4.0, 0.0, 6.0], [0.0, 0.0, 0.0], [6.0, 0.0, 36.0]])
    (folder / "ore.csv").write_text(f"{lines[0]}\nFXSpot/USDEUR/0/spot FXSpot/USDEUR/0/spot 5\n")
    code, _, err = called(capsys, "scenarios", "ore-covariance", "ore.csv", *arguments)
    assert code == 1
    assert "a pair must have one covariance" in err


def test_csv_and_json_give_one_blob(tmp_path):
    (tmp_path / "a.csv").write_text(f",{OIL},{OIS}\n{OIS},-1.5,4\n{OIL},1,-1.5\n")
    rows = {"factors": [OIL, OIS], "matrix": [[1.0, -1.5], [-1.5, 4.0]]}
    (tmp_path / "b.json").write_text(json.dumps(rows))
    expected = encode_covariance(covariance_of((OIL, OIS), np.array([[1.0, -1.5], [-1.5, 4.0]])))
    (tmp_path / "c.json").write_bytes(expected)
    assert [read_covariance(tmp_path / name) for name in ("a.csv", "b.json", "c.json")] == [expected] * 3


def test_saved_graph_brings_its_covariance(capsys, folder):
    blob = encode_covariance(covariance_of((DOLLAR,), np.array([[0.36]])))
    graph = Graph()
    sample = samples.load("cross-asset")
    ladders = graph.value(sample.book, sample.market, wanted_ladders(("fx name=USD gamma",), None))
    graph.reduce("delta_gamma_var", ladders, q=0.99, method="monte_carlo", count=1000, covariance=blob)
    code, out, err = called(capsys, "plan", "--graph", graph.save(folder / "saved"), "--output", "json")
    assert code == 0, err
    assert "quadratic" in out
    (folder / "saved" / digest_of(blob)).write_text(f",{DOLLAR}\n{DOLLAR},-0.36\n")
    code, _, err = called(capsys, "plan", "--graph", folder / "saved" / "graph.json")
    assert code == 1
    assert "a variance must be at least 0" in err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "the first line must name the factors"),
        (",a,b\na,1\n", "a line must have 3 cells like the first, got 2"),
        (",a,b\na,1,x\nb,1,1\n", "a covariance must be a number, got 'x'"),
        (",a,b\na,1,0\n", "every factor of the first line must have a line, 'b' has none"),
        (",a,b\na,1,0\nc,1,1\n", "'c' is none of the first line"),
        (",a,b\na,1,0\na,1,1\n", "'a' is there twice"),
    ],
)
def test_file_that_is_no_covariance_is_refused_with_its_line(tmp_path, content, sentence):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_covariance(tmp_path / "a.csv")


def test_factor_there_twice_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"factors": ["a", "a"], "matrix": [[1.0, 0.0], [0.0, 1.0]]}')
    with pytest.raises(RequestError, match="'a' is there twice"):
        read_covariance(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--ladder", "fx", "--aggregate", VAR), "delta_gamma_var needs --covariance FILE"),
        (("--ladder", "fx", "--covariance", "market.json"), "which is not asked for"),
        (("--aggregate", "delta_gamma_var q=0"), "must have q"),
        (("--aggregate", "delta_gamma_var q=99"), "q must lie between 0 and 1, such as 0.99, got 99"),
        (("--aggregate", f"{VAR} method=simulated"), "method must be one of cornish_fisher, delta_gamma_normal"),
        (("--aggregate", f"{VAR} covariance=abc"), "a parameter must be one of"),
    ],
)
def test_options_that_do_not_make_a_var_are_refused(capsys, folder, words, sentence):
    code, _, err = called(capsys, "run", "sample:cross-asset", "--local", *words)
    assert code == 2
    assert sentence in " ".join(err.replace("│", " ").split())


def test_plan_refuses_what_the_scheduler_would(capsys, folder):
    (folder / "covariance.csv").write_text(f",{DOLLAR}\n{DOLLAR},-1\n")
    ask = ("plan", "sample:cross-asset", "--ladder", "fx name=USD gamma", "--covariance", "covariance.csv")
    code, _, err = called(capsys, *ask, "--aggregate", VAR)
    assert code == 1
    assert "aggregate 'delta_gamma_var': a variance must be at least 0, got -1.0 of 'fx fx/USD" in err
    (folder / "covariance.csv").write_text(f",{DOLLAR}\n{DOLLAR},0.36\n")
    code, out, err = called(capsys, *ask, "--aggregate", VAR, "--output", "json")
    assert code == 0, err
    assert "quadratic" in out


def test_covariance_goes_to_the_aggregates_that_take_one():
    asked = aggregates_of(("ladder", VAR, Aggregate("delta_gamma_var", q=0.95, name="b", covariance="ab")), b"blob")
    assert [one.covariance for one in asked] == ["", digest_of(b"blob"), "ab"]
    with pytest.raises(RequestError, match="got none that takes it"):
        aggregates_of(("var q=0.99",), b"blob")


ORE_VAR = {"delta": 50769794.99, "delta_gamma_normal": 50661990.77, "cornish_fisher": 50741753.13}
"""ORE 1.8.17, parametricVar at 0.99 on its sensitivities (tests/reference/ore_example15.csv) and covariance of its
Example 15; tests/oracle/test_parametric_var.py runs it."""


@needs_ore
@pytest.mark.long
def test_a_local_run_of_ores_example_has_ores_parametric_var(capsys, tmp_path, monkeypatch):
    """22 trades and 295 factors from ORE's files on. Left out: the Bermudan swaption, whose shifts are others."""
    monkeypatch.chdir(tmp_path)
    example = ORE / "example15_expected"
    for command in (
        ("reduce", ORE, example / "input_simulation.xml", "-o", "market.json"),
        ("ore-sensitivities", example / "input_sensitivity.xml", "--market", "market.json", "-o", "ladders.json"),
        ("ore-covariance", example / "input_covariance.csv", "--market", "market.json",
         "--sensitivities", "ladders.json", "-o", "covariance.json"),
    ):  # fmt: skip
        assert called(capsys, "scenarios", *command)[0] == 0
    lines = [line for line in read_book(ORE).splitlines()[:23] if b"BERMUDAN" not in line]
    (tmp_path / "book.jsonl").write_bytes(b"\n".join(lines))
    ask = [word for method in ORE_VAR for word in ("--aggregate", f"{VAR} method={method} name={method}")]
    command = (
        sys.executable, "-m", "xip_core.cli", "run", "--local", "--book", "book.jsonl", "--market", "market.json",
        "--sensitivities", "ladders.json", "--covariance", "covariance.json", "--measures", "pv",
        "--output", "json", *ask,
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(REPOSITORY)})
    assert done.returncode == 0, done.stderr
    tables = {table["name"]: table["rows"][0] for table in msgspec.json.decode(done.stdout)["aggregates"]}
    assert {name: tables[name]["delta_gamma_var"] for name in ORE_VAR} == pytest.approx(ORE_VAR, rel=5e-5)
    assert all(tables[name]["rows_used"] == 22 for name in ORE_VAR)
