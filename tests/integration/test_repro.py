"""`xipctl repro` on real daemons: the row that the grid refused says here what it said there."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.integration import bad_input
from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S, kept, start_scheduler
from tests.plugins.install import Plugin
from xip_core.cli.main import run_command
from xip_core.client import connect
from xip_core.errors import FailureReason

Xipctl = Callable[..., "Answer"]
SEGFAULT, RAISE, NAN, EXIT = 1, 7, 8, 3


class Answer(NamedTuple):
    """What a user sees of one call of xipctl."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, poison_kernels: Plugin) -> Iterator[str]:
    """A scheduler and two workers with the poison: one dies of it, the other finds the row."""
    with contextlib.ExitStack() as stack:
        scheduler, address = start_scheduler(tmp_path_factory.mktemp("repro"))
        kept(stack, scheduler)
        for _ in range(2):
            worker = kept(stack, Daemon(["xip_worker", f"--scheduler={address}"], poison_kernels.environment))
            worker.wait_for_log("attached")
        yield address


@pytest.fixture
def xipctl(
    address: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, poison_kernels: Plugin
) -> Xipctl:
    """xipctl as a desk calls it that has the package installed too."""
    monkeypatch.setenv("XIP_SCHEDULER", address)
    monkeypatch.setenv("PYTHONPATH", poison_kernels.environment["PYTHONPATH"])

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        code = run_command([str(argument) for argument in arguments])
        return Answer(code, *capfd.readouterr())

    return call


def written(xipctl: Xipctl, run_id: str, cell: object, directory: Path) -> dict[str, Any]:
    """What `xipctl repro RUN CELL` has written about the cell."""
    answer = xipctl("repro", run_id, cell, "--to", directory)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.rstrip().endswith(f"xipctl repro {shlex.quote(str(directory))}")
    about: dict[str, Any] = json.loads((directory / "repro.json").read_text())
    assert answer.out.startswith(f"{directory}: {about['reason'] or 'not quarantined'}")
    return about


def evaluated(xipctl: Xipctl, directory: Path) -> tuple[int, str, str]:
    """Exit code, reason and sentence of the row, evaluated here."""
    answer = xipctl("repro", directory, "-o", "json")
    said = json.loads(answer.out)
    return answer.code, said["reason"], said["message"]


ACTS = {3: SEGFAULT, 7: RAISE, 11: NAN, 13: EXIT}
ROW_COUNT = 16
SAID = {
    3: ("CRASHED", "ended its process by signal 11 (SIGSEGV)"),
    7: ("EVALUATION_FAILED", "ValueError: row 0 of this call cannot be computed"),
    11: ("NUMERICAL", "poison.row gives no number, a column is outside its domain or a result is not finite"),
    13: ("CRASHED", "ended its process with exit code 3"),
}


def poisonous_table() -> str:
    rows = (f"{row}.5,{ACTS.get(row, 0)},0" for row in range(ROW_COUNT))
    return "\n".join(("value,act,amount", *rows)) + "\n"


def test_a_poisonous_row_does_here_what_it_did_on_the_grid(xipctl: Xipctl, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(poisonous_table())
    answer = xipctl("evaluate", "poison.row", table, "-o", "json")
    assert answer.code == 3, answer.err
    numbers = json.loads(answer.out)
    expected = [SAID[row][0] if row in SAID else "ok" for row in range(ROW_COUNT)]
    assert numbers["status"] == expected
    assert numbers["outputs"]["pv"] == [None if row in SAID else 2.0 * row + 2.0 for row in range(ROW_COUNT)]
    for row, (reason, words) in SAID.items():
        directory = tmp_path / f"row {row}"
        about = written(xipctl, numbers["run_id"], row, directory)
        assert (about["reason"], about["row"], about["kernel"]) == (reason, row, "poison.row")
        assert words in about["message"]
        code, again, message = evaluated(xipctl, directory)
        assert (code, again) == (3, reason), message
        assert words in message
    directory = tmp_path / "sound"
    assert written(xipctl, numbers["run_id"], 4, directory)["reason"] == ""
    assert evaluated(xipctl, directory) == (0, "", "{'pv': [10.0]}")


def test_a_row_whose_kernel_is_not_installed_here_says_so(
    xipctl: Xipctl, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(address) as client:
        columns = {"value": np.arange(4.0), "act": [0, NAN, 0, 0], "amount": 0.0}
        run = client.wait(client.submit_kernel("poison.row", columns).run_id, RUN_LIMIT_S)
    assert written(xipctl, run.run_id, 1, tmp_path / "row")["reason"] == "NUMERICAL"
    monkeypatch.delenv("PYTHONPATH")
    code, reason, message = evaluated(xipctl, tmp_path / "row")
    assert (code, reason) == (3, "UNSUPPORTED")
    assert "poison.row is not installed here" in message
    assert "poison.row none, the run had 1+poison-kernels-0.1.0" in message


@pytest.fixture(scope="module")
def book_run(address: str) -> str:
    """A run of every bad row and every bad quote; both are described in bad_input."""
    with connect(address) as client:
        run = client.submit(bad_input.bad_book(), bad_input.bad_market(), bad_input.SCENARIOS)
        return client.wait(run.run_id, RUN_LIMIT_S).run_id


@pytest.fixture(scope="module")
def clean_run(address: str) -> str:
    with connect(address) as client:
        run = client.submit(bad_input.clean_book(), bad_input.SAMPLE.market, bad_input.SCENARIOS)
        return client.wait(run.run_id, RUN_LIMIT_S).run_id


CELLS = {
    "B5": FailureReason.MISSING_DATA,
    "B6@EUR up": FailureReason.MISSING_DATA,
    "line 28": FailureReason.BAD_TRADE,  # a line that was cut
    "EQ_CALL_SP5": FailureReason.BAD_QUOTE,
    "CDS": FailureReason.CALIBRATION_FAILED,
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_trade_without_a_number_gives_the_same_reason_and_sentence_here(
    xipctl: Xipctl, book_run: str, tmp_path: Path, cell: str
) -> None:
    about = written(xipctl, book_run, cell, tmp_path / "cell")
    assert about["reason"] == CELLS[cell].name
    assert len((tmp_path / "cell" / "book.jsonl").read_bytes().splitlines()) == 1
    code, reason, message = evaluated(xipctl, tmp_path / "cell")
    assert (code, reason) == (3, about["reason"])
    line_of_run = re.sub(r"line \d+", "line 1", about["message"])
    assert message == line_of_run


def test_a_scenario_that_takes_one_cell_takes_it_here_too(
    xipctl: Xipctl, address: str, clean_run: str, tmp_path: Path
) -> None:
    about = written(xipctl, clean_run, "EQ_CALL_SP5@impossible", tmp_path / "cell")
    assert evaluated(xipctl, tmp_path / "cell") == (3, about["reason"], about["message"])
    assert about["reason"] == "BAD_QUOTE"
    assert written(xipctl, clean_run, "EQ_CALL_SP5@SP5 down", tmp_path / "other")["reason"] == ""
    code, reason, message = evaluated(xipctl, tmp_path / "other")
    assert (code, reason) == (0, "")
    with connect(address) as client:
        numbers = client.results(clean_run).to_numpy()
    row = numbers.trade_ids.index("EQ_CALL_SP5")
    assert json.loads(message.removeprefix("pv ")) == numbers.pv[row, [0, 2]].tolist()
