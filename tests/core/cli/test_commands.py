"""xipctl runs, watch, results, cancel, workers, kernels: tables for people, JSON for programs."""

from __future__ import annotations

import json

import pytest

from xip_core.cli.options import duration
from xip_core.model.result import BreakerInfo, RunState
from xip_core.model.run_spec import Priority


@pytest.fixture
def run_id(xipctl, files) -> str:
    return xipctl("run", *files, "--detach").out.strip()


def test_runs_are_listed_newest_first(xipctl, files):
    assert "no runs yet" in xipctl("runs").out
    xipctl("run", *files, "--detach")
    xipctl("run", *files, "--detach")
    answer = xipctl("runs")
    rows = [line.split()[:5] for line in answer.out.splitlines() if "book.jsonl" in line]
    assert rows == [["r2", "book.jsonl", "completed", "with", "quarantine"], ["r1", *rows[0][1:]]]
    document = json.loads(xipctl("runs", "-o", "json", "--limit", "1").out)
    assert [(run["run_id"], run["state"]) for run in document] == [("r2", "completed_with_quarantine")]


def test_watch_ends_with_the_run_and_its_exit_code(xipctl, run_id):
    answer = xipctl("watch", run_id)
    assert answer.code == 3
    assert answer.out == "run r1 completed with quarantine: 18 of 18 cells (100%), 3 failed\n"


def test_watch_as_json_is_a_line_for_each_change(xipctl, run_id):
    answer = xipctl("watch", run_id, "-o", "json")
    assert [json.loads(line)["state"] for line in answer.out.splitlines()] == ["running", "completed_with_quarantine"]
    assert answer.err == ""


def test_results_of_a_run_of_another_process_are_the_same(xipctl, files, run_id):
    answer = xipctl("results", run_id, "--trades", "-o", "json")
    assert answer.code == 3
    there, here = json.loads(answer.out), json.loads(xipctl("run", *files, "--trades", "-o", "json").out)
    for field in ("asset_classes", "trades", "quarantine", "as_of", "scenario_count"):
        assert there[field] == here[field], field
    assert there["timing"] == {"wall_s": 1.5, "first_lease_s": 0.125, "first_block_s": None}
    assert xipctl("results", run_id, "-o", "csv").out.splitlines()[-1].startswith("total,2,3,150.0,")


def test_cancel_says_what_became_of_the_run(xipctl, run_id, server):
    answer = xipctl("cancel", run_id, "--reason", "wrong book")
    assert answer == (0, "run r1 cancelled: 18 of 18 cells (100%), 3 failed\n", "")
    assert server.scheduler.runs[run_id].message == "wrong book"
    assert json.loads(xipctl("cancel", run_id, "-o", "json").out)["state"] == "cancelled"


def test_a_run_is_paused_and_resumed(xipctl, run_id):
    answer = xipctl("pause", run_id)
    assert answer == (0, "run r1 paused: 18 of 18 cells (100%), 3 failed, 2 slots on 1 worker\n", "")
    assert "paused" in next(line for line in xipctl("runs").out.splitlines() if "r1" in line)
    assert json.loads(xipctl("resume", run_id, "-o", "json").out)["is_paused"] is False


def test_a_run_is_retried_in_a_new_one(xipctl, run_id):
    answer = xipctl("retry", run_id, "--request-id", "again", "-o", "json")
    assert answer.code == 0
    run = json.loads(answer.out)
    assert (run["run_id"], run["retry_of"]) == ("r2", "r1")
    assert json.loads(xipctl("retry", run_id, "--request-id", "again", "-o", "json").out)["run_id"] == "r2"
    refused = xipctl("retry", "r2")
    assert (refused.code, refused.err) == (1, "xipctl: run r2 must be final\n")


def test_priority_and_deadline_are_asked_for_and_shown(xipctl, files, server):
    run_id = xipctl("run", *files, "--detach", "--priority", "batch", "--deadline", "5m").out.strip()
    run = server.scheduler.runs[run_id]
    assert (run.priority, run.deadline_after_s) == (Priority.BATCH, 300.0)
    assert "batch, in 5m" in xipctl("runs").out
    document = json.loads(xipctl("runs", "-o", "json").out)[0]
    assert (document["priority"], document["deadline_after_s"]) == ("batch", 300.0)


@pytest.mark.parametrize("text", ["soon", "-5m", "1d", "nan", "inf"])
def test_a_deadline_that_is_no_time_is_wrong_usage(xipctl, files, text):
    answer = xipctl("run", *files, f"--deadline={text}")
    assert answer.code == 2
    assert "is not a time such as 90s, 5m or 2h" in answer.err


@pytest.mark.parametrize(("text", "duration_s"), [("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0)])
def test_durations_are_read_with_their_units(text, duration_s):
    assert duration(text) == duration_s


def test_workers_are_listed(xipctl):
    row = next(line for line in xipctl("workers").out.splitlines() if "host-a" in line)
    assert row.split() == ["w1", "host-a", "42", "2", "v4", "1", "99", "64", "MB", "0:00:03", "0.2", "s", "ago"]
    document = json.loads(xipctl("workers", "-o", "json").out)
    assert (document["workers"][0]["memory_bytes"], document["breakers"]) == (64 << 20, [])
    assert "kernel" not in xipctl("workers").out


def test_kernels_that_are_not_leased_as_usual_stand_under_the_workers(xipctl, server):
    server.scheduler.breakers = [
        BreakerInfo("desk.twice", "1+desk-1.0", "stopped", "3 workers died at tiles of it, then 5 tiles failed"),
        BreakerInfo("terms.rows", "1", "guarded", "3 workers died at tiles of it"),
    ]
    lines = xipctl("workers").out.splitlines()
    assert lines[-2:] == [
        "kernel stopped  desk.twice@1+desk-1.0  3 workers died at tiles of it, then 5 tiles failed",
        "kernel guarded  terms.rows@1  3 workers died at tiles of it",
    ]
    shown = json.loads(xipctl("workers", "-o", "json").out)["breakers"]
    assert [(breaker["kernel"], breaker["state"]) for breaker in shown] == [
        ("desk.twice", "stopped"), ("terms.rows", "guarded"),
    ]  # fmt: skip


def test_a_long_domain_is_wrapped(xipctl):
    described = xipctl("kernels", "equity.american").out
    assert "(two exercise boundaries)" in described
    assert max(map(len, described.splitlines())) <= 140


def test_kernels_are_listed_and_described(xipctl):
    assert "equity.european" in xipctl("kernels").out
    described = xipctl("kernels", "equity.european").out
    assert "dividend_yield" in described
    assert "source" in described
    document = json.loads(xipctl("kernels", "equity.european", "-o", "json").out)
    assert [output["name"] for output in document["outputs"]][:2] == ["pv", "delta"]
    assert len(json.loads(xipctl("kernels", "-o", "json").out)) >= 4


def test_an_unknown_kernel_is_one_sentence(xipctl):
    answer = xipctl("kernels", "equity.cliquet")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("xipctl: a kernel must be one of black.european")
    assert answer.err.endswith(", got 'equity.cliquet'\n")


@pytest.mark.parametrize("command", ["watch", "results", "cancel"])
@pytest.mark.parametrize("output", ["table", "json"])
def test_an_unknown_run_is_one_sentence(xipctl, command, output):
    assert xipctl(command, "r9", "-o", output) == (1, "", "xipctl: run 'r9' is not known\n")


def test_a_run_that_failed_has_results_that_say_so(xipctl, files, server):
    server.scheduler.state = RunState.FAILED
    server.scheduler.blocks = []
    run_id = xipctl("run", *files, "--detach").out.strip()
    answer = xipctl("results", run_id)
    assert answer.code == 1
    assert "failed" in answer.out
