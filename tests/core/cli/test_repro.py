"""xipctl repro: a row cut out of a run, and what becomes of it here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.core.pricing.flat_market import a_snapshot
from tests.core.pricing.test_properties import every_product, scenarios
from xip_core.cli import repro
from xip_core.cli.main import run_command
from xip_core.cli.repro import ABOUT, ANSWER, evaluate_again, write
from xip_core.errors import FailureReason, InputError, RequestError
from xip_core.graph.plan import digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.market import encode_snapshot
from xip_core.model.result import Quarantine
from xip_core.model.run_spec import DEFAULT_MEASURES, RiskWork, RunSpec
from xip_core.model.scenario import decode_scenarios, encode_scenarios
from xip_core.model.trade import encode_trade


class FinishedRun:
    """A client of one finished run of every product on the flat market."""

    def __init__(self, quarantine: tuple[Quarantine, ...] = ()) -> None:
        self.trades = every_product()
        lines = b"\n".join(map(encode_trade, self.trades))
        blobs = [lines, encode_snapshot(a_snapshot()), encode_scenarios(scenarios())]
        self.blobs = {digest_of(blob): blob for blob in blobs}
        book, market, shifts = map(digest_of, blobs)
        work = RiskWork(book, market, shifts, DEFAULT_MEASURES, "EUR", "2024-01-15")
        plan = plan_run(RunSpec(name="test", work=work), self.blobs.__getitem__).encode()
        self.blobs[digest_of(plan)] = plan
        self._run = SimpleNamespace(
            plan_digest=digest_of(plan), book_digest=book, market_digest=market, scenarios_digest=shifts,
            is_of_table=False,
        )  # fmt: skip
        self._quarantine = quarantine

    async def run(self, run_id: str) -> Any:
        return self._run

    async def blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    async def quarantine(self, run_id: str) -> tuple[Quarantine, ...]:
        return self._quarantine


async def test_the_inputs_are_cut_to_one_row_and_one_scenario_and_have_numbers_here(tmp_path: Path) -> None:
    client = FinishedRun()
    names = [scenario.name for scenario in scenarios().scenarios]
    about = await write(client, "r", f"{client.trades[2].id}@{names[3]}", tmp_path)  # type: ignore[arg-type]  # a fake
    assert (about["row"], about["reason"]) == (2, "")
    assert (tmp_path / "book.jsonl").read_bytes() == encode_trade(client.trades[2]) + b"\n"
    cut = decode_scenarios((tmp_path / "scenarios.json").read_bytes())
    assert [scenario.name for scenario in cut.scenarios] == [names[0], names[3]]
    reason, message = evaluate_again(tmp_path)
    assert reason == ""
    assert np.isfinite(json.loads(message.removeprefix("pv "))).all()


async def test_what_was_said_of_the_row_stands_beside_it(tmp_path: Path) -> None:
    said = Quarantine(1, 0, 41, "T", FailureReason.CRASHED, "the row ended its process by signal 11 (SIGSEGV)")
    client = FinishedRun((said,))
    await write(client, "r", client.trades[1].id, tmp_path)  # type: ignore[arg-type]  # a fake
    about = json.loads((tmp_path / ABOUT).read_text())
    assert (about["reason"], about["message"]) == ("CRASHED", said.message)
    assert about["kernels"]


async def test_a_cell_that_is_not_in_the_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="must name a trade of the run, got 'nobody'"):
        await write(FinishedRun(), "r", "nobody", tmp_path)  # type: ignore[arg-type]  # a fake


@pytest.mark.parametrize(
    ("program", "reason", "words"),
    [
        ("import ctypes; ctypes.string_at(0)", "CRASHED", "signal 11 (SIGSEGV)"),
        ("import ctypes; ctypes.CDLL(None).pause()", "TIMED_OUT", "not done after 0.5 s"),
        ("import sys; sys.exit(3)", "CRASHED", "exit code 3"),
        ("import os; os._exit(0)", "CRASHED", "exit code 0 before it was done"),
    ],
)
def test_what_the_row_does_to_its_process_is_said_as_the_grid_says_it(
    tmp_path: Path, program: str, reason: str, words: str
) -> None:
    (tmp_path / ABOUT).write_text("{}")
    found, message = evaluate_again(tmp_path, 0.5, ("-c", program))
    assert (found, words in message) == (reason, True)


def test_another_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="xipctl repro RUN CELL"):
        evaluate_again(tmp_path)


def test_the_answer_is_found_behind_what_the_kernel_prints(tmp_path: Path) -> None:
    (tmp_path / ABOUT).write_text("{}")
    answer = json.dumps({"reason": "NUMERICAL", "message": "no number"})
    program = f"import os; os.write(1, bytes(range(256))); print({ANSWER + answer!r})"
    assert evaluate_again(tmp_path, 5.0, ("-c", program)) == ("NUMERICAL", "no number")


async def test_json_holds_what_the_words_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FinishedRun()
    directory = tmp_path / "cell"
    monkeypatch.setattr(repro, "call", lambda _, action: asyncio.run(action(client)))
    cell, to = client.trades[0].id, f"--to={directory}"
    code = await asyncio.to_thread(run_command, ["repro", "r", cell, to, "-o", "json"])
    written = json.loads(capsys.readouterr().out)
    assert (code, written["directory"], written["cell"], written["reason"]) == (0, str(directory), cell, "")
    assert written == json.loads((directory / ABOUT).read_text()) | {"directory": str(directory)}
    code = await asyncio.to_thread(run_command, ["repro", str(directory), "-o", "json"])
    again = json.loads(capsys.readouterr().out)
    assert (code, again["reason"]) == (0, "")
    assert again["message"].startswith("pv [")


async def test_versions_that_the_run_did_not_have_are_named(tmp_path: Path) -> None:
    client = FinishedRun()
    about = await write(client, "r", client.trades[0].id, tmp_path)  # type: ignore[arg-type]  # a fake
    name, version = about["kernels"][0]
    (tmp_path / ABOUT).write_text(json.dumps(about | {"kernels": [[name, "0"], ["desk.absent", "4"]]}))
    reason, message = evaluate_again(tmp_path)
    assert reason == ""
    assert message.endswith(f" (here with {name} {version}, the run had 0; desk.absent none, the run had 4)")
