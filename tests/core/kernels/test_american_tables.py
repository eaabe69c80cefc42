"""equity.american against values made by others (../shared/reference), where these are truth and not approximations."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from tests.core.kernels.exotic_checks import REFERENCE, calls, column, needs_reference, table
from xip_core import evaluate

pytestmark = needs_reference
NAME = "equity.american"


def truth_rows() -> list[dict[str, str]]:
    """Rows with a value and with prices in the domain; spot or strike 0 is refused."""
    with (REFERENCE / "american_truth_quantlib_alo.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows = [row for row in rows if row["alo_value"] not in ("", "nan", "NaN")]
    kept = [row for row in rows if float(row["spot"]) > 0.0 and float(row["strike"]) > 0.0]
    assert len(kept) >= 50
    return kept


def evaluate_rows(rows: list[dict[str, str]]) -> dict[str, np.ndarray]:
    return evaluate(
        NAME,
        spot=column(rows, "spot"),
        strike=column(rows, "strike"),
        time=column(rows, "t"),
        rate=column(rows, "r"),
        dividend_yield=column(rows, "q"),
        volatility=column(rows, "vol"),
        is_call=calls(rows),
    )


def is_frozen(row: dict[str, str]) -> bool:
    """Hardly any volatility, exercised at a certain time: the table holds QuantLib's error of quadrature there."""
    return float(row["vol"]) <= 1e-6 and float(row["q"]) > float(row["r"]) > 0.0 and row["type"] == "Put"


def test_truth_table_within_1e_6() -> None:
    rows = [row for row in truth_rows() if not is_frozen(row)]
    value = evaluate_rows(rows)
    assert not value["status"].any()
    assert np.abs(value["pv"] - column(rows, "alo_value")).max() <= 1e-6


def test_frozen_rows_are_the_best_certain_time_which_the_table_exceeds_by_2e_5() -> None:
    """No rule of exercise is worth more than the best time of an asset without risk; the value below is exact."""
    for row in filter(is_frozen, truth_rows()):
        spot, strike, rate, carry, time = (float(row[name]) for name in ("spot", "strike", "r", "q", "t"))
        best = min(max(math.log(carry * spot / (rate * strike)) / (carry - rate), 0.0), time)
        exact = strike * math.exp(-rate * best) - spot * math.exp(-carry * best)
        assert float(evaluate_rows([row])["pv"][0]) == pytest.approx(exact, abs=1e-9)
        assert float(row["alo_value"]) == pytest.approx(exact, abs=2e-5)


def test_limits_of_the_qd_plus_table() -> None:
    """Its rows that are limits; row 0 and the yield of 1000 % are approximations, good to 0.03."""
    rows = [
        row
        for row in table("american_qdplus_edge_cases.csv")
        if float(row["spot"]) > 0.0 and float(row["strike"]) > 0.0 and row["row"] not in ("0", "32")
    ]
    assert len(rows) >= 6
    value = evaluate(
        NAME,
        spot=column(rows, "spot"),
        strike=column(rows, "strike"),
        time=column(rows, "maturityInDays") / 365.0,
        rate=column(rows, "r"),
        dividend_yield=column(rows, "q"),
        volatility=column(rows, "volatility"),
        is_call=[row["optionType"] == "Call" for row in rows],
    )
    error = np.abs(value["pv"] - column(rows, "expectedValue"))
    for row, off in zip(rows, error, strict=True):
        assert off <= max(float(row["precision"]), 1e-8), row


def test_premiums_of_the_converged_schemes() -> None:
    """The last rows of each rate are truth: S = K = 100, q = 5 %, volatility 25 %, one year."""
    rows = [row for row in table("american_andersen_lake_scheme.csv") if float(row["n_cheb"]) >= 32]
    assert rows
    given = {"spot": 100.0, "strike": 100.0, "time": 1.0, "dividend_yield": 0.05, "volatility": 0.25, "is_call": 0}
    rate = column(rows, "r")
    premium = evaluate(NAME, rate=rate, **given)["pv"] - evaluate("equity.european", rate=rate, **given)["pv"]
    for form in ("A", "B"):
        assert np.abs(premium - column(rows, f"expected_american_premium_FP_{form}")).max() <= 5e-7
