"""xipctl run --ladder, --sensitivities and --theta: what is asked for, what contradicts, what is printed."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.core.small_market import a_snapshot
from xip_core.cli.graph_run import TablesOutcome
from xip_core.cli.inputs import RunInputs
from xip_core.cli.ladders import print_crif, print_ladders_csv, wanted_ladders
from xip_core.cli.progress import RunProgress
from xip_core.cli.summary import AggregateLines
from xip_core.cli.theta_run import LaddersOutcome, fetch_ladders, theta_graph
from xip_core.client.tables import AggregateTable
from xip_core.errors import RequestError
from xip_core.graph.plan import Node, NodeKind, Plan, Source
from xip_core.model.aggregates import Aggregate
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.model.result import Run, RunState
from xip_core.model.scenario import base_only, encode_scenarios
from xip_core.model.sensitivity import (
    CrossGamma,
    Ladder,
    SensitivitySet,
    decode_sensitivities,
    encode_sensitivities,
)
from xip_core.risk.ladder import theta_row

RECORD = {
    "risk_class": "fx", "kind": "fx", "measure": "delta", "object": "fx/USD", "bucket": "spot", "unit": "percent",
    "bump": 1.0, "object_2": "", "bucket_2": "", "value": 2.5,
}  # fmt: skip


def inputs_of(scenarios: bytes = b"") -> RunInputs:
    return RunInputs("book", b"", encode_snapshot(a_snapshot()), scenarios)


def test_ladders_of_a_file_come_before_those_typed() -> None:
    pair = CrossGamma(first="fx/*", second="fx/*")
    in_file = SensitivitySet(ladders=(Ladder(kind="fx"),), cross_gammas=(pair,))
    found = decode_sensitivities(wanted_ladders(("par name=EUR*",), encode_sensitivities(in_file)))
    assert found.ladders == (Ladder(kind="fx"), Ladder(kind="par_rate", name="EUR*"))
    assert found.cross_gammas == (pair,)
    with pytest.raises(RequestError, match="sensitivities do not decode"):
        wanted_ladders((), b"{")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--ladder", "fx", "--risk-class", "fx"), "stand in place of --scenarios"),
        (("--output", "crif"), "--output crif is of ladders"),
        (("--ladder", "fx", "--crif-buckets", "pyproject.toml"), "--crif-buckets goes with --output crif"),
        (("--theta", "--trades"), "--theta is of two days"),
        (("--theta", "--aggregate", "var q=0.99"), "--theta takes aggregates of ladders alone"),
        (("--ladder", "fx", "--ladder", "vanna"), "ladder 'vanna': Invalid enum value 'vanna'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(xipctl, words: tuple[str, ...], sentence: str) -> None:  # type: ignore[no-untyped-def] # the fixture has no type
    answer = xipctl("run", "sample:cross-asset", *words)
    assert answer.code == 2 or "xipctl:" in answer.err
    assert sentence in answer.err


def test_csv_has_labels_first_and_only_columns_that_occur(capsys: pytest.CaptureFixture[str]) -> None:
    print_ladders_csv([{"desk": "a", **RECORD, "rows_used": 1, "rows_expected": 2}, {"desk": "b", **RECORD}])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0])[:3] == ["desk", "risk_class", "kind"]
    assert [(row["desk"], row["value"], row["rows_expected"]) for row in rows] == [("a", "2.5", "2"), ("b", "2.5", "")]


def test_crif_says_on_stderr_what_it_leaves_out_and_what_the_desk_did_not_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    equity = RECORD | {"risk_class": "equity", "kind": "equity", "object": "equity/ACME"}
    print_crif([RECORD, RECORD | {"measure": "gamma"}, equity], encode_snapshot(a_snapshot()), "run-1")
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[1].startswith("total,run-1,RatesFX,Risk_FX,USD,")
    assert lines[2].startswith("total,run-1,Equity,Risk_Equity,ACME,Residual,")
    assert printed.err.splitlines() == [
        "1 of 3 sensitivities have no line in CRIF: 1 gamma",
        "not in --crif-buckets (1):",
        "  equity/ACME: Risk_Equity, bucket Residual",
    ]


def test_the_product_class_of_a_trade_is_that_of_the_book(capsys: pytest.CaptureFixture[str]) -> None:
    book = b'{"type": "equity_option", "id": "T", "currency": "EUR"}\n'
    print_crif([{"trade": "T", **RECORD}], encode_snapshot(a_snapshot()), "run-1", None, book)
    assert capsys.readouterr().out.splitlines()[1].startswith("T,run-1,Equity,Risk_FX,USD,")


def test_theta_is_the_difference_of_two_days_by_the_keys_of_the_ladders() -> None:
    scenarios = encode_sensitivities(SensitivitySet(ladders=(Ladder(kind="fx"),)))
    asked = (Aggregate(measure="ladder", by=("desk",)), Aggregate(measure="ladder"))
    graph = theta_graph(inputs_of(scenarios), asked, has_ladders=True)
    nodes = {node.id: node for node in graph.spec().nodes}
    assert set(nodes) == {
        "today", "next business day", "one day", "bumps", "ladder_by_desk", "ladder", "theta_by_desk", "theta",
    }  # fmt: skip
    difference = nodes["one day"]
    assert (difference.inputs, difference.weights) == (("next business day", "today"), (1.0, -1.0))
    rolled = decode_snapshot(graph.blobs[nodes["next business day"].market])
    assert rolled.as_of.isoformat() == "2016-02-08"


def theta_outcome() -> LaddersOutcome:
    """Of a Friday, by desk."""
    row = {"desk": "rates", "pv": -12.5, "rows_used": 2, "rows_expected": 3}
    table = AggregateLines("theta_by_desk", Aggregate(measure="sum", by=("desk",)), [row])
    run = Run("run-1", "ladders", "", RunState.COMPLETED)
    row_of_theta = theta_row(dt.date(2016, 2, 5), dt.date(2016, 2, 8))
    return LaddersOutcome(TablesOutcome(run, (table,)), encode_snapshot(a_snapshot()), row_of_theta, "EUR")


def test_theta_says_its_name_its_currency_and_its_day(capsys: pytest.CaptureFixture[str]) -> None:
    theta_outcome().print("json")
    (table,) = json.loads(capsys.readouterr().out)["aggregates"]
    assert table["rows"] == [
        {"desk": "rates", "currency": "EUR", "rolled_to": "2016-02-08", "theta": -12.5, "rows_used": 2,
         "rows_expected": 3},
    ]  # fmt: skip
    theta_outcome().print("table")
    screen = capsys.readouterr().out
    assert all(word in screen for word in ("theta_by_desk", "currency", "rolled_to", "EUR", "2016-02-08", "2 of 3"))
    assert "pv" not in screen
    theta_outcome().print("csv")
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (line["measure"], line["bucket"], line["unit"], line["value"]) == ("theta", "2016-02-08", "day", "-12.5")


class FinishedRun:
    """A client of one run of two days, or of one day twice."""

    def __init__(self, names: tuple[str, str]) -> None:
        days = ("2016-02-05", "2016-02-08")
        sources = tuple(
            Source(market_digest=f"market {day}", scenarios_digest="base", as_of=day, base_currency="EUR", name=name)
            for name, day in zip(names, days, strict=True)
        )
        asked = Aggregate(measure="sum", name="theta")
        node = Node(0, "theta", NodeKind.AGGREGATE, "aggregate", "1", 1, 0.0, aggregate=asked)
        self.blobs = {
            "plan": Plan((node,), 0, sources=sources).encode(),
            "base": encode_scenarios(base_only()),
            "market 2016-02-05": encode_snapshot(a_snapshot()),
        }
        ones = np.array([1])
        self.table = AggregateTable(asked, ((),), (), ones, ones, {"pv": np.array([-12.5])})

    async def watch(self, run_id: str) -> AsyncIterator[Run]:
        yield Run(run_id, "ladders", "", RunState.COMPLETED, plan_digest="plan")

    async def blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    async def tables(self, run_id: str) -> dict[str, AggregateTable]:
        return {"theta": self.table}


def fetched(client: FinishedRun) -> LaddersOutcome | TablesOutcome:
    run = Run("run-1", "ladders", "", RunState.RUNNING)
    with RunProgress(is_quiet=True) as progress:
        return asyncio.run(fetch_ladders(client, run, progress))  # type: ignore[arg-type] # a fake


def test_results_of_a_run_of_two_days_say_theta_as_the_run_did(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = fetched(FinishedRun(("today", "next business day")))
    assert isinstance(outcome, LaddersOutcome)
    outcome.print("json")
    (table,) = json.loads(capsys.readouterr().out)["aggregates"]
    assert table["rows"] == [
        {"currency": "EUR", "rolled_to": "2016-02-08", "theta": -12.5, "rows_used": 1, "rows_expected": 1}
    ]


def test_another_graph_that_calls_a_table_theta_is_shown_as_it_is() -> None:
    assert isinstance(fetched(FinishedRun(("monday", "tuesday"))), TablesOutcome)


@pytest.mark.long
def test_ladders_and_theta_of_the_sample_by_the_commands(tmp_path: Path) -> None:
    """Two runs of the whole sample: the same ladder from a file beside theta and typed alone, to the last digit."""
    import subprocess
    import sys

    path = tmp_path / "ladders.json"
    path.write_bytes(encode_sensitivities(SensitivitySet(ladders=(Ladder(kind="fx"),))))
    command = (sys.executable, "-m", "xip_core.cli", "run", "sample:cross-asset", "--local")
    both = subprocess.run((*command, f"--sensitivities={path}", "--theta", "-o", "csv"), capture_output=True, text=True)
    alone = subprocess.run((*command, "--ladder=fx", "-o", "json"), capture_output=True, text=True)
    rows = list(csv.DictReader(io.StringIO(both.stdout)))
    assert [row["measure"] for row in rows] == ["delta"] * 4 + ["theta"]
    assert rows[-1]["rows_used"] == "2000"
    (table,) = json.loads(alone.stdout)["aggregates"]
    assert [float(row["value"]) for row in rows[:4]] == [row["value"] for row in table["rows"]]
