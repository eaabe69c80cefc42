"""xip_core.client.ladders: ladders of single trades, CRIF lines and what CRIF has none for."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.small_market import a_snapshot
from xip_core.client.ladders import CRIF_COLUMNS, crif_of, trade_records
from xip_core.client.results import Results
from xip_core.client.tables import table_of
from xip_core.model.aggregates import Aggregate
from xip_core.model.market import Snapshot
from xip_core.model.result import ResultBlock
from xip_core.model.sensitivity import Ladder, SensitivitySet, column_names, expand
from xip_core.risk.ladder import LadderRow


def a_record(row: LadderRow, value: float | None, **labels: str) -> dict[str, Any]:
    return {**labels, **msgspec.structs.asdict(row), "value": value}


def crif_lines(*records: dict[str, Any], snapshot: Snapshot | None = None) -> list[dict[str, Any]]:
    lines = crif_of(records, snapshot or a_snapshot(), "run-1").lines
    return [dict(zip(CRIF_COLUMNS, line, strict=True)) for line in lines]


def test_a_rate_has_currency_volatility_bucket_vertex_and_sub_curve() -> None:
    rows = (
        LadderRow("rates", "zero_rate", "delta", "curve/EUR1D", "5Y", "bp", 1.0),
        LadderRow("rates", "par_rate", "delta", "curve/EUR6M", "6M+6M", "bp", 1.0),
        LadderRow("rates", "par_rate", "delta", "curve/USD-IN-EUR", "2Y", "bp", 1.0),
        LadderRow("rates", "par_rate", "delta", "curve/LENDING", "5Y", "bp", 1.0),
    )
    lines = crif_lines(*(a_record(row, 100.0, trade="T1") for row in rows))
    assert lines[0] == {
        "TradeID": "T1",
        "PortfolioID": "run-1",
        "ProductClass": "RatesFX",
        "RiskType": "Risk_IRCurve",
        "Qualifier": "EUR",
        "Bucket": "1",
        "Label1": "5y",
        "Label2": "OIS",
        "Amount": 100.0,
        "AmountCurrency": "EUR",
        "AmountUSD": pytest.approx(113.0),
    }
    assert [(line["Qualifier"], line["Label1"], line["Label2"]) for line in lines[1:]] == [
        ("EUR", "6m+6m", "Libor6m"),
        ("USD", "2y", "OIS"),
        ("EUR", "5y", ""),
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            LadderRow("credit", "hazard_rate", "delta", "hazard/BANK", "5Y", "bp", 1.0),
            ("Credit", "Risk_CreditQ", "BANK", "", "5y", 7.0),
        ),
        (
            LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 1.0),
            ("RatesFX", "Risk_FX", "USD", "", "", 7.0),
        ),
        (
            LadderRow("equity", "equity", "delta", "equity/ACME", "spot", "percent", 1.0),
            ("Equity", "Risk_Equity", "ACME", "", "", 7.0),
        ),
        (
            LadderRow("commodity", "commodity", "delta", "commodity/OIL", "1Y", "percent", 1.0),
            ("Commodity", "Risk_Commodity", "OIL", "", "", 7.0),
        ),
        (
            LadderRow("fx", "vega", "delta", "fx_volatility/EURUSD", "1Y", "percent", 1.0),
            ("RatesFX", "Risk_FXVol", "EURUSD", "", "1y", 700.0),
        ),
        (
            LadderRow("rates", "vega", "delta", "swaption_volatility/EUR", "1Y/5Y", "percent", 1.0),
            ("RatesFX", "Risk_IRVol", "EUR", "", "1y", 700.0),
        ),
    ],
)
def test_each_risk_class_has_its_line(row: LadderRow, expected: tuple[object, ...]) -> None:
    """Of a volatility: volatility times vega, a hundred times the change for one percent of it."""
    (line,) = crif_lines(a_record(row, 7.0))
    names = ("ProductClass", "RiskType", "Qualifier", "Bucket", "Label1", "Amount")
    assert tuple(line[name] for name in names) == expected
    assert line["TradeID"] == "total"


def test_what_crif_has_no_line_for_is_counted() -> None:
    delta = LadderRow("rates", "zero_rate", "delta", "curve/EUR1D", "5Y", "bp", 1.0)
    records = [
        a_record(delta, 1.0, desk="rates", book="a"),
        a_record(delta, None),
        a_record(msgspec.structs.replace(delta, measure="gamma"), 1.0),
        a_record(LadderRow("fx", "vega", "delta", "fx_volatility/EURUSD", "1Y", "vol_point", 1.0), 1.0),
    ]
    crif = crif_of(records, a_snapshot(), "run-1")
    assert crif.left_out_count == 3
    assert [line[0] for line in crif.lines] == ["rates/a"]


def test_dollars_follow_the_quote_either_way_and_are_empty_without_one() -> None:
    record = a_record(LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 1.0), 100.0)
    spot = msgspec.structs.replace(a_snapshot().fx_spots[0], foreign_currency="USD", domestic_currency="EUR")
    inverse = a_snapshot({"EURUSD": 0.8}, fx_spots=(spot,))
    (line,) = crif_lines(record, snapshot=inverse)
    assert line["AmountUSD"] == pytest.approx(125.0)
    rate = a_record(LadderRow("rates", "zero_rate", "delta", "curve/EUR1D", "5Y", "bp", 1.0), 100.0)
    (line,) = crif_lines(rate, snapshot=a_snapshot(fx_spots=()))
    assert line["AmountUSD"] == ""


def test_ladders_of_trades_come_from_the_numbers_under_the_bumps() -> None:
    expansion = expand(SensitivitySet(ladders=(Ladder(kind="fx", bump=2.0, is_gamma=True),)), a_snapshot())
    results = Results(["T1", "T2"], column_names(expansion))
    pv = np.array([[100.0, 104.0, 98.0], [10.0, np.nan, 9.0]])
    status = np.isnan(pv).astype(np.uint8)
    scenarios, rows = np.arange(3, dtype=np.int32), np.arange(2, dtype=np.int32)
    results.add(ResultBlock(1, 0, 0, {"row": rows, "scenario": scenarios, "pv": pv, "status": status}))
    found = [(r["trade"], r["measure"], r["value"]) for r in trade_records(results.to_numpy(), expansion)]
    assert found == [("T1", "delta", 1.5), ("T1", "gamma", 0.5), ("T2", "delta", None), ("T2", "gamma", None)]


def test_a_ladder_table_has_a_record_for_each_number_of_each_group() -> None:
    row = LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 1.0)
    columns = {
        "aggregate": _text(Aggregate(measure="ladder", by=("desk",))),
        "key": _text([["a"], ["b"]]),
        "rows_expected": np.array([3, 2]),
        "rows_used": np.array([3, 1]),
        "sensitivity": _text([row]),
        "value": np.array([[1.0], [2.0]]),
        "used": np.array([[3], [1]]),
    }
    assert table_of(columns).records() == [
        {"desk": "a", **msgspec.structs.asdict(row), "value": 1.0, "rows_used": 3, "rows_expected": 3},
        {"desk": "b", **msgspec.structs.asdict(row), "value": 2.0, "rows_used": 1, "rows_expected": 2},
    ]


def _text(value: object) -> np.ndarray:
    return np.frombuffer(msgspec.json.encode(value), "u1")
