"""xipctl run: the numbers on the screen, in JSON and in CSV are those that were streamed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.client.server import BOOK
from xip_core.model.result import RunState

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_screen_shows_sums_extremes_quarantine_and_lineage(xipctl, files):
    answer = xipctl("run", *files)
    lines = [line.split() for line in answer.out.splitlines()]
    assert answer.code == 3
    assert ["Rates", "1", "100", "50", "25", "-100"] in lines
    assert ["FX", "1", "50", "25", "12", "-50"] in lines
    assert ["Total", "2", "of", "3", "150", "75", "38", "-150"] in lines
    assert ["Total", "-50", "crash", "(partial)", "0", "base", "(partial)"] in lines
    assert ["missing", "data", "1", "trade"] in lines
    assert ["cells", "15", "computed", "·", "3", "failed"] in lines
    assert "trade E1: no volatility for RIC:.SPX" in answer.out
    assert "lineage  run r1 · snapshot " in answer.out
    assert "kernels terms@1, sum@1" in answer.out
    assert "first lease after" in answer.out
    assert "Swap" not in answer.out


def test_every_trade_is_listed_on_demand(xipctl, files):
    answer = xipctl("run", *files, "--trades")
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["S1", "swap", "EUR", "200.00", "100.00", "50.00", "25.00", "-100.00", "ok"] in lines
    assert ["E1", "equity_option", "USD", "–", "–", "–", "–", "–", "missing", "data"] in lines


def test_json_is_one_document_alone_on_stdout(xipctl, files):
    answer = xipctl("run", *files, "--output", "json", "--trades")
    assert answer.err == ""
    document = json.loads(answer.out)
    assert document["state"] == "completed with quarantine"
    assert document["asset_classes"][1]["worst"] == {"scenario": "crash", "pnl": -30.0, "is_partial": False}
    assert document["trades"][1]["pv"] == 50.0
    assert document["trades"][2]["pv"] is None
    assert document["quarantine"][0]["examples"] == [["E1", "trade E1: no volatility for RIC:.SPX"]]
    assert len(document["lineage"]["snapshot_digest"]) == 64
    assert document["timing"]["wall_s"] > document["timing"]["first_block_s"] > 0.0
    assert document["timing"]["first_lease_s"] > 0.125  # what the scheduler says, after the time until submission
    again = json.loads(xipctl("run", *files, "--request-id=q", "-o", "json").out)
    assert again["timing"]["first_lease_s"] is not None
    again = json.loads(xipctl("run", *files, "--request-id=q", "-o", "json").out)
    assert again["timing"]["first_lease_s"] is None  # the lease was of the run's first submission, not of this one


def test_csv_lists_asset_classes_or_trades(xipctl, files):
    totals = list(csv.DictReader(io.StringIO(xipctl("run", *files, "-o", "csv").out)))
    assert [row["asset_class"] for row in totals] == ["rates", "fx", "equity", "total"]
    assert (float(totals[3]["pv"]), totals[3]["worst_scenario"], float(totals[3]["worst_pnl"])) == (
        150.0,
        "crash",
        -50.0,
    )
    answer = xipctl("run", *files, "-o", "csv", "--trades")
    trades = list(csv.DictReader(io.StringIO(answer.out)))
    assert answer.err == ""
    assert [(row["id"], row["pv"], row["status"]) for row in trades] == [
        ("S1", "100.0", "ok"),
        ("F1", "50.0", "ok"),
        ("E1", "", "MISSING_DATA"),
    ]


def test_progress_is_plain_lines_on_stderr_when_it_is_no_terminal(xipctl, files):
    answer = xipctl("run", *files)
    assert answer.err.splitlines()[0] == "run r1 running: 9 of 18 cells (50%), 2 slots on 1 worker"
    assert answer.err.splitlines()[-1] == "run r1 completed with quarantine: 18 of 18 cells (100%), 3 failed"


def test_a_complete_run_exits_with_0(xipctl, files, server):
    server.scheduler.state = RunState.COMPLETED
    assert xipctl("run", *files).code == 0


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_a_run_that_ended_otherwise_exits_with_1_and_says_why(xipctl, files, server, state):
    server.scheduler.state = state
    server.scheduler.message = "stopped by the test"
    server.scheduler.blocks = []
    answer = xipctl("run", *files)
    assert answer.code == 1
    assert state.label in answer.out
    assert "stopped by the test" in answer.out
    assert "Total" not in answer.out


def test_detach_prints_the_run_id_alone(xipctl, files):
    assert xipctl("run", *files, "--detach") == (0, "r1\n", "")
    assert json.loads(xipctl("run", *files, "--detach", "-o", "json").out) == {"run_id": "r2"}


def test_the_same_request_id_shows_the_same_run(xipctl, files):
    first = json.loads(xipctl("run", *files, "--request-id=eod", "-o", "json").out)
    again = json.loads(xipctl("run", *files, "--request-id=eod", "-o", "json").out)
    assert first["lineage"]["run_id"] == again["lineage"]["run_id"] == "r1"


def test_measures_and_tenant_reach_the_scheduler(xipctl, files, server):
    xipctl("run", *files, "--measures", "pv, vega", "--tenant", "rates-desk", "--request-id=q")
    spec = server.scheduler.specs["q"][1]
    assert (spec.tenant, spec.work.measures, spec.work.as_of) == ("rates-desk", ("pv", "vega"), "2016-02-05")


def test_without_scenarios_the_base_alone_is_priced(xipctl, files, server):
    xipctl("run", *files[:2], "--request-id=q", "--detach")
    digest = server.scheduler.specs["q"][1].work.scenarios_digest
    assert json.loads(server.scheduler.blobs[digest])["scenarios"] == [{"name": "base", "shifts": []}]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "give one of SOURCE"),
        (("sample:cross-asset", "--ore", "."), "give one of SOURCE"),
        (("cross-asset",), "SOURCE must be a sample such as sample:cross-asset, got 'cross-asset'"),
        (("--book", "FILE"), "--book and --market go together"),
        (("sample:cross-asset", "--local", "--scheduler", "h:1"), "--local starts a scheduler of its own"),
        (("sample:cross-asset", "--local", "--detach"), "cannot --detach"),
        (("sample:cross-asset", "--slots", "2"), "--slots is for the worker that --local starts"),
        (("sample:cross-asset", "--measures", "pv,vanna"), "'vanna' is not one of pv, delta, vega, dv01, gamma"),
        (("--book", "missing.jsonl", "--market", "FILE"), "'missing.jsonl' does not exist"),
        (("sample:cross-asset", "--output", "xml"), "'xml' is not one of 'table', 'json', 'csv'"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_says_what_is_wrong(xipctl, files, arguments, complaint):
    book = files[0].removeprefix("--book=")
    answer = xipctl("run", *(book if argument == "FILE" else argument for argument in arguments))
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.err


def test_an_unknown_sample_is_one_sentence(xipctl):
    answer = xipctl("run", "sample:nothing")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "xipctl: a sample must be one of cross-asset, got 'nothing'\n"


def test_files_may_be_gzipped(xipctl, files, tmp_path):
    for name in ("book.jsonl", "market.json", "scenarios.json"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    packed = json.loads(xipctl("run", *(f"{option}.gz" for option in files), "-o", "json").out)
    plain = json.loads(xipctl("run", *files, "-o", "json").out)
    assert packed["lineage"]["snapshot_digest"] == plain["lineage"]["snapshot_digest"]
    assert packed["lineage"]["scenarios_digest"] == plain["lineage"]["scenarios_digest"]


def test_a_damaged_file_is_named(xipctl, files, tmp_path):
    (tmp_path / "market.json.gz").write_bytes(b"no gzip")
    answer = xipctl("run", files[0], f"{files[1]}.gz")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"xipctl: {tmp_path / 'market.json.gz'}: cannot be read: ")


def test_a_market_without_date_is_refused_before_anything_is_sent(xipctl, files, server, tmp_path):
    (tmp_path / "market.json").write_bytes(b'{"base_currency":"EUR"}')
    answer = xipctl("run", *files)
    assert (answer.code, server.scheduler.calls) == (1, [])
    assert "must have as_of and base_currency" in answer.err


@pytest.mark.parametrize(
    ("portfolio", "complaint"),
    [
        (None, "portfolio.xml"),
        ('<Portfolio>\n<Trade id="a">\n</Portfolio>', "portfolio.xml:3: must be XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><Portfolio>&a;</Portfolio>', "must not declare document types or entities"),
    ],
)
def test_an_ore_directory_that_cannot_be_read_is_one_sentence(xipctl, server, tmp_path, portfolio, complaint):
    if portfolio is not None:
        (tmp_path / "portfolio.xml").write_text(portfolio)
    answer = xipctl("run", "--ore", tmp_path)
    assert (answer.code, answer.out, server.scheduler.calls) == (1, "", [])
    assert len(answer.err.splitlines()) == 1
    assert complaint in answer.err


def test_an_unreadable_line_is_listed_by_its_number(xipctl, files, tmp_path):
    (tmp_path / "book.jsonl").write_bytes(b"\n".join([BOOK, b"no trade"]))
    trades = json.loads(xipctl("run", *files, "--trades", "-o", "json").out)["trades"]
    assert (trades[3]["id"], trades[3]["type"], trades[3]["pv"]) == ("line 4", "?", None)


def test_control_characters_of_others_do_not_reach_the_terminal(xipctl, files, server):
    server.scheduler.state = RunState.CANCELLED
    server.scheduler.message = "\x1b[31mred\x07"
    answer = xipctl("run", *files)
    assert "\\x1b[31mred\\x07" in answer.out
    assert "\x1b" not in answer.out


def test_the_time_of_a_run_does_not_count_the_shell_that_became_it():
    program = "import time; from xip_core.cli.execution import process_begun_at_s as b; print(time.monotonic() - b())"
    wait_then_exec = f'read -t 1.2 <> <(:) || exec {sys.executable} -c "{program}"'
    done = subprocess.run(["bash", "-c", wait_then_exec], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert float(done.stdout) < 1.0
