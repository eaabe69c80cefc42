"""Bad input on real daemons: a bad trade is quarantined alone, a bad request leaves nothing.

The neighbours of a bad trade keep their numbers to the byte. Faults of daemons themselves (port taken, directory
locked) are in tests/scheduler/test_process.py, damaged XML in tests/core/cli/test_run.py.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.integration import bad_input
from tests.integration.bad_input import BAD_QUOTES, BAD_ROWS, CLEAN, HIT, SCENARIOS
from tests.integration.cluster_run import kept, numbers_of, start_scheduler, start_worker
from xip_core.cli.main import run_command
from xip_core.client import connect
from xip_core.client.results import RunNumbers
from xip_core.errors import FailureReason, NotFoundError, RequestError
from xip_core.model.run_spec import ProbeWork, RunSpec

Xipctl = Callable[..., "Answer"]


class Answer(NamedTuple):
    """What a user sees of one call of xipctl."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        scheduler, address = start_scheduler(tmp_path_factory.mktemp("bad-input"))
        kept(stack, scheduler)
        kept(stack, start_worker(address, slot_count=2))
        yield address


def numbers(address: str, book: bytes, market: bytes) -> RunNumbers:
    with connect(address) as client:
        run = client.submit(book, market, SCENARIOS)
    return numbers_of(address, run.run_id)


@pytest.fixture(scope="module")
def clean(address: str) -> RunNumbers:
    return numbers(address, bad_input.clean_book(), bad_input.SAMPLE.market)


@pytest.fixture(scope="module")
def bad(address: str) -> RunNumbers:
    return numbers(address, bad_input.bad_book(), bad_input.bad_market())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Clean files to be changed: book, market, scenarios."""
    contents = {
        "book.jsonl": bad_input.clean_book(),
        "market.json": bad_input.SAMPLE.market,
        "scenarios.json": SCENARIOS,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name.partition(".")[0]: tmp_path / name for name in contents}


@pytest.fixture
def xipctl(address: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Xipctl:
    monkeypatch.setenv("XIP_SCHEDULER", address)

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        code = run_command([str(argument) for argument in arguments])
        return Answer(code, *capfd.readouterr())

    return call


def options(files: dict[str, Path]) -> list[str]:
    return [f"--{name}={path}" for name, path in files.items()]


# ---- a bad trade ----------------------------------------------------------------------------------------------------


def test_the_clean_book_fails_only_where_a_scenario_is_impossible(clean: RunNumbers) -> None:
    """A volatility shifted below zero takes the cells of that scenario alone."""
    failed = [(clean.trade_ids[row], clean.scenarios[scenario]) for row, scenario in np.argwhere(clean.status != 0)]
    assert failed == [("EQ_CALL_SP5", "impossible")]
    assert [cells.reason for cells in clean.quarantine] == [FailureReason.BAD_QUOTE]


@pytest.mark.parametrize("fault", BAD_ROWS)
def test_a_bad_row_is_quarantined_with_its_reason(fault: str, bad: RunNumbers) -> None:
    row = 2 * list(BAD_ROWS).index(fault) + 1
    cells = [cells for cells in bad.quarantine if cells.row == row]
    assert [(one.scenario_begin, one.scenario_end) for one in cells] == [(0, 4)], "all scenarios, said once"
    assert cells[0].reason == BAD_ROWS[fault].reason
    assert BAD_ROWS[fault].words in cells[0].message
    assert f"line {row + 1}" in cells[0].message or cells[0].trade_id in cells[0].message
    assert np.isnan(bad.pv[row]).all()
    assert np.isnan(bad.delta[row])


@pytest.mark.parametrize("fault", BAD_QUOTES)
def test_a_bad_quote_takes_the_trades_that_need_it_and_is_named(fault: str, bad: RunNumbers) -> None:
    trade_id, reason, words = HIT[fault]
    row = 2 * CLEAN.index(trade_id)
    (in_base,) = [cells for cells in bad.quarantine if cells.row == row and cells.scenario_begin == 0]
    assert words in in_base.message
    assert BAD_QUOTES[fault][0] in in_base.message
    assert (bad.status[row] == reason).all()
    assert np.isnan(bad.pv[row]).all()


def test_all_other_numbers_are_those_of_the_clean_run_to_the_byte(clean: RunNumbers, bad: RunNumbers) -> None:
    hit = {trade_id for trade_id, _, _ in HIT.values()}
    rows = [row for row, trade_id in enumerate(CLEAN) if trade_id not in hit]
    assert len(rows) == len(CLEAN) - len(HIT)
    among_bad = [2 * row for row in rows]
    for name in ("pv", "status", "pv_trade_currency", "delta", "vega", "dv01"):
        assert getattr(clean, name)[rows].tobytes() == getattr(bad, name)[among_bad].tobytes(), name
    assert not bad.status[among_bad].any()


def test_sums_tell_how_many_rows_they_are_of(bad: RunNumbers) -> None:
    assert bad.totals is not None
    assert bad.totals.rows_expected[:, 0].sum() == 2 * len(CLEAN)
    assert bad.totals.rows_used[:, 0].sum() == len(CLEAN) - len(HIT)
    assert np.isfinite(bad.totals.pv).all()


def test_xipctl_prices_the_rest_lists_every_row_and_exits_with_3(xipctl: Xipctl, files: dict[str, Path]) -> None:
    files["book"].write_bytes(bad_input.bad_book())
    files["market"].write_bytes(bad_input.bad_market())
    answer = xipctl("run", *options(files), "--trades", "--output", "csv")
    assert (answer.code, answer.err) == (3, "")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert len(rows) == 2 * len(CLEAN)
    assert {row["status"] for row in rows[1::2]} == {bad_row.reason.name for bad_row in BAD_ROWS.values()}
    assert all(row["message"] and not row["pv"] for row in rows[1::2])


def test_the_screen_tells_every_reason_in_full(xipctl: Xipctl, files: dict[str, Path]) -> None:
    files["book"].write_bytes(bad_input.bad_book())
    files["market"].write_bytes(bad_input.bad_market())
    answer = xipctl("run", *options(files), "--trades")
    assert answer.code == 3
    assert answer.err.startswith("run r-")  # progress, as plain lines
    assert all(row.words in answer.out for row in BAD_ROWS.values())
    assert all(words in answer.out for _, _, words in HIT.values())
    assert "more" not in answer.out


# ---- a bad request --------------------------------------------------------------------------------------------------

REFUSED = {
    "empty book": ("book", b"", "a book must have at least one trade"),
    "blank book": ("book", b"\n\n\n", "a book must have at least one trade"),
    "snapshot date missing": ("market", b'{"base_currency":"EUR","quotes":{}}', "`as_of`"),
    "snapshot date that is none": ("market", b'{"as_of":"2016-13-45","base_currency":"EUR","quotes":{}}', "2016-13-45"),
    "snapshot cut off": ("market", bad_input.SAMPLE.market[:1000], "truncated"),
    "snapshot with a raw NaN": ("market", b'{"as_of":"2016-02-05","quotes":{"FX":NaN}}', "line 1, near"),
    "snapshot with an unknown field": (
        "market",
        bad_input.SAMPLE.market.replace(b"{", b'{"colour":1,', 1),
        "unknown field `colour`",
    ),
    "snapshot nested without end": ("market", b'{"quotes":' + b"[" * 100_000, "recursion"),
    "scenarios not UTF-8": ("scenarios", b'{"scenarios":[{"name":"\xff"}]}', "scenario set does not decode"),
    "scenarios without base": ("scenarios", b'{"scenarios":[]}', "scenario 0 must be the base"),
    "shift of nothing": ("scenarios", SCENARIOS.replace(b"SP5", b"SP6"), "'SP6' names nothing in the market"),
}


@pytest.fixture
def run_ids(xipctl: Xipctl) -> Callable[[], list[str]]:
    return lambda: [run["run_id"] for run in json.loads(xipctl("runs", "--output", "json").out)]


@pytest.mark.parametrize("fault", REFUSED)
def test_a_bad_request_is_one_sentence_and_leaves_no_run(
    fault: str, xipctl: Xipctl, files: dict[str, Path], run_ids: Callable[[], list[str]]
) -> None:
    name, content, words = REFUSED[fault]
    files[name].write_bytes(content)
    before = run_ids()
    answer = xipctl("run", *options(files))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("xipctl: ")
    assert words in answer.err
    assert answer.err.count("\n") == 1, "one sentence, no traceback"
    assert run_ids() == before


def test_refused_requests_of_programs_carry_their_reason_and_leave_no_run(
    address: str, run_ids: Callable[[], list[str]]
) -> None:
    before = run_ids()
    sample = bad_input.SAMPLE
    reasons = []
    with connect(address) as client:
        for submit in (
            lambda: client.submit(sample.book, sample.market, SCENARIOS, measures=("pv", "vanna")),
            lambda: client.submit(sample.book, sample.market, SCENARIOS, as_of="2016-02-06"),
            lambda: client.submit(sample.book, sample.market, SCENARIOS, base_currency="XXX"),
            lambda: client.submit_spec(RunSpec("p", ProbeWork("probe.nothing", 1))),
            lambda: client.submit_spec(RunSpec("x" * (8 << 20), ProbeWork("probe.noop", 1))),
        ):
            with pytest.raises(RequestError) as refused:
                submit()
            reasons.append(refused.value.reason)
    assert reasons == [
        "UNKNOWN_MEASURE",
        "AS_OF_MISMATCH",
        "BAD_BASE_CURRENCY",
        "UNKNOWN_KERNEL",
        "MESSAGE_TOO_LARGE",
    ]
    assert run_ids() == before


@pytest.mark.parametrize("command", ["watch", "results", "cancel"])
def test_an_unknown_run_is_one_sentence(command: str, xipctl: Xipctl, address: str) -> None:
    answer = xipctl(command, "r-nobody")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("xipctl: run 'r-nobody'")
    with connect(address) as client, pytest.raises(NotFoundError):
        client.run("r-nobody")
