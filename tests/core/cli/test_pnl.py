"""xipctl pnl: what is read, refused and shown; the numbers are those of tests/core/client/test_pnl.py."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.pricing.flat_market import a_snapshot
from xip_core.cli.main import run_command
from xip_core.cli.pnl import PARTS, PnlOutcome, rolled_until
from xip_core.client.pnl import ExplainTable
from xip_core.errors import RequestError
from xip_core.model.market import encode_snapshot
from xip_core.model.result import Run, RunState
from xip_core.risk.explain import Explained
from xip_core.scenarios.moves import moves_between


def an_outcome() -> PnlOutcome:
    """Two desks, of which one lacks numbers."""
    numbers = [np.array([value]) for value in (10.0, 1.0, 5.0, 2.0, 1.5, 0.5, 0.05)]
    table = ExplainTable(
        by=("desk",),
        keys=(("rates",),),
        parts=Explained(*numbers),
        by_class={"INTEREST_RATE": np.array([5.0]), "VOLATILITY": np.array([1.5])},
        rows_used=np.array([3]),
        rows_expected=np.array([4]),
        unexplained=((("fx",), "trades with a number: 2 pv begin, 1 pv end"),),
    )
    run = Run(run_id="r-1", name="", tenant="", state=RunState.COMPLETED_WITH_QUARANTINE, submitted_at_s=0.0)
    begin = a_snapshot()
    return PnlOutcome(run, table, moves_between(begin, begin))


def shown(output: str, capsys: pytest.CaptureFixture[str]) -> str:
    an_outcome().print(output)
    return capsys.readouterr().out


def test_json_has_every_part_class_and_count(capsys: pytest.CaptureFixture[str]) -> None:
    document: dict[str, Any] = json.loads(shown("json", capsys))
    (group,) = document["groups"]
    assert [group[name] for name in PARTS] == [10.0, 1.0, 5.0, 2.0, 1.5, 0.5]
    assert (group["desk"], group["from_interest_rate"], group["from_volatility"]) == ("rates", 5.0, 1.5)
    assert (group["rows_used"], group["rows_expected"], group["residual_share"]) == (3, 4, 0.05)
    assert document["groups_unexplained"] == [{"key": ["fx"], "reason": "trades with a number: 2 pv begin, 1 pv end"}]


def test_table_shows_what_is_not_explained(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown("table", capsys)
    assert "3/4" in text
    assert "not explained: fx: trades with a number: 2 pv begin, 1 pv end" in text
    assert "interest rate  volatility" in text


def test_csv_is_a_line_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    header, line = shown("csv", capsys).splitlines()
    assert header.startswith("desk,total,carry,delta,gamma,vega,residual,residual_share,from_interest_rate")
    assert line == "rates,10.0,1.0,5.0,2.0,1.5,0.5,0.05,5.0,1.5,3,4"


def test_the_beginning_is_rolled_to_the_date_of_the_end() -> None:
    begin = a_snapshot()
    end = a_snapshot(as_of=begin.as_of + dt.timedelta(days=2))
    rolled = rolled_until(begin, end)
    assert (rolled.as_of, rolled.quotes) == (end.as_of, begin.quotes)
    assert rolled_until(begin, begin) == begin


@pytest.mark.parametrize("days", [-1, 5])
def test_an_end_before_the_beginning_or_on_a_holiday_is_refused(days: int) -> None:
    """2024-01-15 is a Monday, five days on a Saturday."""
    begin = a_snapshot()
    with pytest.raises(RequestError, match="must be a business day of EUR on or after 2024-01-15") as refused:
        rolled_until(begin, a_snapshot(as_of=begin.as_of + dt.timedelta(days=days)))
    assert refused.value.reason == "BAD_DATES"


def test_dates_at_fault_are_said_before_anything_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin = a_snapshot()
    for name, day in (("begin", begin.as_of), ("end", begin.as_of - dt.timedelta(days=3))):
        (tmp_path / f"{name}.json").write_bytes(encode_snapshot(a_snapshot(as_of=day)))
    (tmp_path / "book.jsonl").write_bytes(b"{}\n")
    options = [f"--{name}={tmp_path / name}.json" for name in ("begin", "end")]
    assert run_command(["pnl", f"--book={tmp_path}/book.jsonl", *options, "--scheduler=127.0.0.1:1"]) == 1
    assert "must be a business day of EUR on or after" in capsys.readouterr().err
