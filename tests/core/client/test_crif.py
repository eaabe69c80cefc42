"""xip_core.client.crif: the columns of each risk class, the desk's buckets, vertices, and what has no line."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.core.small_market import a_snapshot
from xip_core.client.crif import CRIF_COLUMNS, Crif, crif_of
from xip_core.model.crif import BUCKETS, CrifBucket, crif_buckets
from xip_core.model.market import Snapshot
from xip_core.model.sensitivity import CREDIT_VERTICES, VERTICES
from xip_core.risk.ladder import LadderRow

HAZARD = LadderRow("credit", "hazard_rate", "delta", "hazard/BANK", "5Y", "bp", 1.0)
EQUITY = LadderRow("equity", "equity", "delta", "equity/ACME", "spot", "percent", 1.0)
OIL = LadderRow("commodity", "commodity", "delta", "commodity/OIL", "1Y", "percent", 1.0)
RATE = LadderRow("rates", "zero_rate", "delta", "curve/EUR1D", "5Y", "bp", 1.0)

DESK = crif_buckets(
    (
        CrifBucket(name="BANK", risk_type="Risk_CreditQ", bucket="2", qualifier="ISIN:XS0000000001"),
        CrifBucket(name="ACME", risk_type="Risk_Equity", bucket="5"),
        CrifBucket(name="OIL", risk_type="Risk_Commodity", bucket="2", qualifier="Crude oil Americas"),
        CrifBucket(name="LENDING", risk_type="Risk_IRCurve", label2="Libor1m"),
    )
)


def a_record(row: LadderRow, value: float | None = 7.0, **labels: str) -> dict[str, Any]:
    return {**labels, **msgspec.structs.asdict(row), "value": value}


def named(crif: Crif) -> list[dict[str, Any]]:
    return [dict(zip(CRIF_COLUMNS, line, strict=True)) for line in crif.lines]


def crif_lines(*records: dict[str, Any], snapshot: Snapshot | None = None, **more: Any) -> list[dict[str, Any]]:
    return named(crif_of(records, snapshot or a_snapshot(), "run-1", **more))


def test_a_rate_has_currency_volatility_bucket_vertex_and_sub_curve() -> None:
    changes = {"object": "curve/EUR6M", "bucket": "6M+6M", "kind": "par_rate"}
    lines = crif_lines(
        a_record(RATE, 100.0, trade="T1"),
        a_record(msgspec.structs.replace(RATE, **changes), trade="T1"),
        a_record(msgspec.structs.replace(RATE, object="curve/USD-IN-EUR", bucket="2Y"), trade="T1"),
    )
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
    found = [(line["Qualifier"], line["Label1"], line["Label2"]) for line in lines[1:]]
    assert found == [("EUR", "1y", "Libor6m"), ("USD", "2y", "OIS")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (HAZARD, ("Credit", "Risk_CreditQ", "ISIN:XS0000000001", "2", "5y", 7.0)),
        (
            LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 1.0),
            ("RatesFX", "Risk_FX", "USD", "", "", 7.0),
        ),
        (EQUITY, ("Equity", "Risk_Equity", "ACME", "5", "", 7.0)),
        (OIL, ("Commodity", "Risk_Commodity", "Crude oil Americas", "2", "", 7.0)),
        (
            LadderRow("fx", "vega", "delta", "fx_volatility/EURUSD", "1Y", "vol_point", 1.0),
            ("RatesFX", "Risk_FXVol", "EURUSD", "", "1y", 7.0),
        ),
        (
            LadderRow("equity", "vega", "delta", "equity_volatility/ACME", "6M", "vol_point", 1.0),
            ("Equity", "Risk_EquityVol", "ACME", "5", "6m", 7.0),
        ),
        (
            LadderRow("commodity", "vega", "delta", "commodity_volatility/OIL", "1Y/30.0", "vol_point", 1.0),
            ("Commodity", "Risk_CommodityVol", "Crude oil Americas", "2", "1y", 7.0),
        ),
        (
            LadderRow("rates", "vega", "delta", "swaption_volatility/EUR", "1Y/5Y", "percent", 1.0),
            ("RatesFX", "Risk_IRVol", "EUR", "", "1y", 700.0),
        ),
    ],
)
def test_each_risk_class_has_its_line(row: LadderRow, expected: tuple[object, ...]) -> None:
    """Of a volatility of rates: volatility times vega, a hundred times the change for one percent of it."""
    crif = crif_of([a_record(row)], a_snapshot(), "run-1", DESK)
    (line,) = named(crif)
    names = ("ProductClass", "RiskType", "Qualifier", "Bucket", "Label1", "Amount")
    assert tuple(line[name] for name in names) == expected
    assert line["TradeID"] == "total"
    assert crif.unplaced == ()


def test_names_without_an_entry_go_to_residual_and_commodities_to_other() -> None:
    vega = LadderRow("equity", "vega", "delta", "equity_volatility/ACME", "6M", "vol_point", 1.0)
    lending = msgspec.structs.replace(RATE, object="curve/LENDING")
    records = [a_record(row) for row in (HAZARD, HAZARD, EQUITY, vega, OIL, lending)]
    crif = crif_of(records, a_snapshot(), "run-1")
    found = [(line["RiskType"], line["Bucket"], line["Label2"]) for line in named(crif)]
    assert found == [
        ("Risk_CreditQ", "Residual", ""),
        ("Risk_Equity", "Residual", ""),
        ("Risk_EquityVol", "Residual", ""),
        ("Risk_Commodity", "16", ""),
        ("Risk_IRCurve", "1", ""),
    ]
    assert crif.unplaced == (
        "hazard/BANK: Risk_CreditQ, bucket Residual",
        "equity/ACME: Risk_Equity, bucket Residual",
        "commodity/OIL: Risk_Commodity, bucket 16",
        "curve/LENDING: Risk_IRCurve without Label2, no index is on it whose tenor SIMM knows",
    )
    (line,) = crif_lines(a_record(lending), buckets=DESK)
    assert line["Label2"] == "Libor1m"


def test_a_name_that_does_not_qualify_is_credit_non_q_with_its_group() -> None:
    entry = CrifBucket(name="BANK", risk_type="Risk_CreditNonQ", bucket="1", label2="CMBX")
    (line,) = crif_lines(a_record(HAZARD), buckets=crif_buckets((entry,)))
    assert (line["RiskType"], line["Bucket"], line["Label1"], line["Label2"]) == ("Risk_CreditNonQ", "1", "5y", "CMBX")


@pytest.mark.parametrize(
    ("row", "shares"),
    [
        (msgspec.structs.replace(RATE, bucket="7Y"), {"5y": 0.6, "10y": 0.4}),
        (msgspec.structs.replace(RATE, bucket="50Y"), {"30y": 1.0}),
        (msgspec.structs.replace(RATE, bucket="2017-02-04"), {"1y": 1.0}),  # 365 days on
        (msgspec.structs.replace(HAZARD, bucket="6M"), {"1y": 1.0}),
        (msgspec.structs.replace(HAZARD, bucket="4Y"), {"3y": 0.5, "5y": 0.5}),
    ],
)
def test_a_tenor_between_vertices_is_shared_by_them(row: LadderRow, shares: dict[str, float]) -> None:
    lines = crif_lines(a_record(row, 10.0))
    assert {line["Label1"]: line["Amount"] / 10.0 for line in lines} == pytest.approx(shares)
    vertices = {vertex.lower() for vertex in (CREDIT_VERTICES if row is HAZARD else VERTICES)}
    assert {line["Label1"] for line in lines} <= vertices


def test_records_of_one_risk_factor_are_one_line() -> None:
    prices = [msgspec.structs.replace(OIL, bucket=bucket) for bucket in ("1M", "1Y", "2Y")]
    assert [line["Amount"] for line in crif_lines(*(a_record(row) for row in prices))] == [21.0]
    assert crif_lines(a_record(OIL, 0.0), a_record(RATE, -0.0)) == []
    apart = [a_record(OIL, trade="A"), a_record(OIL, trade="B")]
    assert [line["TradeID"] for line in crif_lines(*apart)] == ["A", "B"]


def test_the_product_class_is_the_trades_and_the_factors_where_that_is_not_known() -> None:
    classes = {"OPTION": "equity", "BOND": "bonds"}
    records = [a_record(RATE, trade=trade) for trade in ("OPTION", "BOND", "UNKNOWN")]
    grouped = a_record(RATE, asset_class="commodity")
    lines = crif_lines(*records, grouped, asset_classes=classes)
    assert [line["ProductClass"] for line in lines] == ["Equity", "RatesFX", "RatesFX", "Commodity"]


def test_cross_currency_spreads_against_dollars_are_basis_of_the_other_currency() -> None:
    spread = LadderRow("rates", "par_rate", "delta", "curve/USD-IN-EUR", "2Y", "bp", 1.0)
    later = msgspec.structs.replace(spread, bucket="10Y")
    (line,) = crif_lines(a_record(spread), a_record(later))
    assert (line["RiskType"], line["Qualifier"], line["Amount"]) == ("Risk_XCcyBasis", "EUR", 14.0)
    assert (line["Bucket"], line["Label1"], line["Label2"]) == ("", "", "")
    snapshot = a_snapshot()
    *others, lending = snapshot.curves
    segments = others[-1].segments
    swapped = msgspec.structs.replace(segments[1], flat_index="EUR-EURIBOR-6M", spread_index="USD-LIBOR-6M")
    turned = msgspec.structs.replace(others[-1], segments=(segments[0], swapped))
    against_euros = msgspec.structs.replace(snapshot, curves=(*others[:-1], turned, lending))
    crif = crif_of([a_record(spread)], against_euros, "run-1")
    assert (crif.lines, crif.left_out) == ((), {"cross-currency spreads not against flat dollars": 1})


def test_what_crif_has_no_line_for_is_counted_with_its_reason() -> None:
    records = [
        a_record(RATE, 1.0, desk="rates", book="a"),
        a_record(RATE, None),
        a_record(RATE, float("nan")),
        a_record(msgspec.structs.replace(RATE, measure="gamma")),
        a_record(msgspec.structs.replace(RATE, bucket="parallel")),
        a_record(msgspec.structs.replace(RATE, kind="fx_points", unit="point")),
        a_record(LadderRow("fx", "vega", "delta", "fx_volatility/EURUSD", "1Y", "percent", 1.0)),
        a_record(LadderRow("rates", "vega", "delta", "swaption_volatility/EUR", "1Y/5Y", "bp", 1.0)),
    ]
    crif = crif_of(records, a_snapshot(), "run-1")
    assert crif.left_out_count == 7
    assert crif.left_out == {
        "missing numbers": 2,
        "gamma": 1,
        "buckets without a tenor": 1,
        "FX points": 1,
        "volatilities of fx in other units than vol_point": 1,
        "volatilities of rates in other units than percent": 1,
    }
    assert [line[0] for line in crif.lines] == ["rates/a"]


def test_dollars_follow_the_quote_either_way_and_are_empty_without_one() -> None:
    record = a_record(LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 1.0), 100.0)
    spot = msgspec.structs.replace(a_snapshot().fx_spots[0], foreign_currency="USD", domestic_currency="EUR")
    inverse = a_snapshot({"EURUSD": 0.8}, fx_spots=(spot,))
    (line,) = crif_lines(record, snapshot=inverse)
    assert line["AmountUSD"] == pytest.approx(125.0)
    (line,) = crif_lines(a_record(RATE, 100.0), snapshot=a_snapshot(fx_spots=()))
    assert line["AmountUSD"] == ""


def test_every_bucket_that_is_known_may_be_an_entry() -> None:
    for risk_type, known in BUCKETS.items():
        label2 = "OIS" if risk_type == "Risk_IRCurve" else ""
        for bucket in known:
            assert CrifBucket(name="N", risk_type=risk_type, bucket=bucket, label2=label2).bucket == bucket
