"""CRIF against ORE's own SIMM 2.6: it takes every line, and its margins say that amounts are in SIMM's units."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections import defaultdict
from pathlib import Path
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.pricing.ore_reference import ORE, needs_ore
from tests.core.pricing.test_bumps import market_of, sample_rows
from tests.core.small_market import a_snapshot
from tests.oracle import ore_run
from xip_core.client.crif import CRIF_COLUMNS, Crif, crif_of
from xip_core.model.crif import CrifBucket, crif_buckets
from xip_core.model.sensitivity import Ladder, SensitivitySet, expand
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import decode_rows, resolve_rows
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values
from xip_core.risk.ladder import LadderRow, combine, ladder_rows

pytestmark = needs_ore

VOLATILITIES = ("fx_volatility/*", "equity_volatility/*", "commodity_volatility/*")
RATE_VOLATILITIES = ("swaption_volatility/*", "cap_volatility/*")
TYPES = ("swap", "fra", "cap_floor", "swaption", "fx_forward", "fx_option", "equity_forward", "equity_option", "cds",
         "commodity_forward", "commodity_option")  # fmt: skip
REPORTED_DIGITS = 0.01


def write_run(folder: Path, crif: Crif) -> None:
    ore_run.write_configuration(folder)
    (folder / "portfolio.xml").write_text("<Portfolio/>")
    (folder / "marketdata.csv").write_bytes(gzip.decompress((ORE / "marketdata.csv.gz").read_bytes()))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([CRIF_COLUMNS, *crif.lines])
    (folder / "crif.csv").write_text(text.getvalue())
    currencies = {"calculationCurrency": "EUR", "resultCurrency": "USD", "reportingCurrency": "USD"}
    analytic = {"version": "2.6", "crif": "crif.csv", "mporDays": "10", **currencies}
    ore_run.write_settings(folder, "simm", analytic, {"logMask": "31"})


def report(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def records_of_the_sample() -> list[dict[str, Any]]:
    """Ladders of three trades of each type, by trade."""
    snapshot, lines = sample_rows(*TYPES)
    ladders = (
        Ladder(kind="zero_rate"),
        Ladder(kind="fx"),
        Ladder(kind="equity"),
        Ladder(kind="commodity", tenors=("parallel",)),
        Ladder(kind="par_credit"),
        *(Ladder(kind="vega", name=name) for name in VOLATILITIES),
        *(Ladder(kind="vega", name=name, unit="percent") for name in RATE_VOLATILITIES),
    )
    expansion = expand(SensitivitySet(ladders=ladders), snapshot)
    layout = SnapshotLayout(snapshot)
    columns = resolve_rows(decode_rows(lines), MarketView(layout))
    values = row_values(columns, market_of(snapshot, expansion, layout))
    found = combine(expansion, values - values[:, :1])
    rows = [msgspec.structs.asdict(row) for row in ladder_rows(expansion)]
    return [
        {"trade": f"T{trade}", **row, "value": value}
        for trade, numbers in enumerate(found.tolist())
        for row, value in zip(rows, numbers, strict=True)
    ]


def test_ore_takes_every_line_and_adds_them_as_we_do(tmp_path: Path) -> None:
    snapshot, _ = sample_rows("swap")
    crif = crif_of(records_of_the_sample(), snapshot, "run")
    types = {line[CRIF_COLUMNS.index("RiskType")] for line in crif.lines}
    assert len(types) == 9
    write_run(tmp_path, crif)
    ore_run.run(tmp_path)
    expected: defaultdict[tuple[str, ...], float] = defaultdict(float)
    names = ("RiskType", "ProductClass", "Bucket", "Qualifier", "Label1", "Label2")
    for line in crif.lines:
        named = dict(zip(CRIF_COLUMNS, line, strict=True))
        expected[tuple(str(named[name]) for name in names)] += float(named["AmountUSD"])
    found = {
        tuple(row[name if name in row else f"#{name}"] for name in names): float(row["AmountUSD"])
        for row in report(tmp_path, "simm_data.csv")
    }
    assert set(found) <= set(expected)  # what cancels is in no report
    taken = [found.get(key, 0.0) for key in expected]
    np.testing.assert_allclose(taken, list(expected.values()), rtol=1e-9, atol=REPORTED_DIGITS)
    assert len(found) > 80
    assert float(report(tmp_path, "simm.csv")[-1]["InitialMargin"]) > 0.0


SIGMA = math.sqrt(365.0 / 14.0) / NormalDist().inv_cdf(0.99)
"""What SIMM makes of a delta weight: a volatility in percent."""

WEIGHTS: tuple[tuple[LadderRow, tuple[str, str], float], ...] = (
    (LadderRow("rates", "zero_rate", "delta", "curve/EUR1D", "5Y", "bp", 1.0), ("InterestRate", "Delta"), 60.0),
    (LadderRow("credit", "hazard_rate", "delta", "hazard/BANK", "5Y", "bp", 1.0), ("CreditQualifying", "Delta"), 90.0),
    (LadderRow("equity", "equity", "delta", "equity/ACME", "spot", "percent", 1.0), ("Equity", "Delta"), 26.0),
    (LadderRow("commodity", "commodity", "delta", "commodity/OIL", "1Y", "percent", 1.0), ("Commodity", "Delta"), 29.0),
    (LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 1.0), ("FX", "Delta"), 7.4),
    (
        LadderRow("rates", "vega", "delta", "swaption_volatility/EUR", "1Y/5Y", "percent", 1.0),
        ("InterestRate", "Vega"), 0.23 * 100.0,
    ),
    (
        LadderRow("fx", "vega", "delta", "fx_volatility/EURUSD", "1Y", "vol_point", 1.0),
        ("FX", "Vega"), 0.48 * 0.57 * 7.4 * SIGMA,
    ),
    (
        LadderRow("equity", "vega", "delta", "equity_volatility/ACME", "1Y", "vol_point", 1.0),
        ("Equity", "Vega"), 0.45 * 0.6 * 26.0 * SIGMA,
    ),
    (
        LadderRow("commodity", "vega", "delta", "commodity_volatility/OIL", "1Y", "vol_point", 1.0),
        ("Commodity", "Vega"), 0.55 * 0.74 * 29.0 * SIGMA,
    ),
)  # fmt: skip
"""A record alone in its risk class, and the margin of one unit of it: SIMM 2.6, 10 days, buckets as below."""


def test_margins_are_the_weights_of_simm_times_our_numbers(tmp_path: Path) -> None:
    """So amounts are per basis point, percent and volatility point, as SIMM wants them, and stand in their buckets."""
    desk = crif_buckets(
        (
            CrifBucket(name="BANK", risk_type="Risk_CreditQ", bucket="2"),
            CrifBucket(name="ACME", risk_type="Risk_Equity", bucket="5"),
            CrifBucket(name="OIL", risk_type="Risk_Commodity", bucket="2"),
        )
    )
    value = 1000.0  # small: nothing is concentrated
    records = [{**msgspec.structs.asdict(row), "value": value} for row, _, _ in WEIGHTS]
    crif = crif_of(records, a_snapshot(), "run", desk)
    assert (len(crif.lines), crif.unplaced) == (len(WEIGHTS), ())
    write_run(tmp_path, crif)
    ore_run.run(tmp_path)
    found = {
        (row["RiskClass"], row["MarginType"]): float(row["InitialMargin"])
        for row in report(tmp_path, "simm.csv")
        if row["Bucket"] == "All" and row["ProductClass"] != "All"
    }
    for row, key, weight in WEIGHTS:
        assert found[key] == pytest.approx(weight * value * 1.13, rel=1e-9), row
