"""European options against values made by others (../shared/reference: QuantLib's tests, DerivaGem, vollib)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xip_core import evaluate

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"needs the third-party values in {REFERENCE.relative_to(REFERENCE.parents[1])}"
)


def table(path: str) -> list[dict[str, str]]:
    with (REFERENCE / path).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows, path
    return rows


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def equity(rows: list[dict[str, str]], names: dict[str, str], is_call: np.ndarray) -> dict[str, np.ndarray]:
    columns: dict[str, Any] = {ours: column(rows, theirs) for ours, theirs in names.items()}
    return evaluate("equity.european", **({"dividend_yield": 0.0} | columns), is_call=is_call)


HAUG = {"spot": "s", "strike": "strike", "time": "t", "rate": "r", "dividend_yield": "q", "volatility": "v"}


def test_haug_prices() -> None:
    rows = table("quantlib_tests/european_value_haug.csv")
    value = equity(rows, HAUG, np.array([row["type"] == "Call" for row in rows]))
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 5.6e-5


def test_haug_greeks() -> None:
    rows = table("quantlib_tests/european_greeks_haug.csv")
    value = equity(rows, HAUG, np.array([row["type"] == "Call" for row in rows]))
    value["elasticity"] = value["delta"] * column(rows, "s") / value["pv"]
    value["theta"] = value["theta"] / 365.0  # the book quotes theta per day
    checked = []
    for place, row in enumerate(rows):
        greek = {"dividendRho": "dividend_rho"}.get(row["section_note"].split()[0], row["section_note"].split()[0])
        assert value[greek][place] == pytest.approx(float(row["result"]), abs=6e-5), row
        checked.append(greek)
    assert {"delta", "elasticity", "gamma", "vega", "theta", "dividend_rho"} <= set(checked)


@pytest.mark.parametrize("name", ["black", "bachelier"])
def test_quantlib_calculators(name: str) -> None:
    rows = table(f"quantlib_tests/{name}_calculator.csv")
    volatility = "volatility" if name == "black" else "normal_volatility"
    value = evaluate(
        f"{name}.european",
        forward=column(rows, "forward"),
        strike=column(rows, "strike"),
        time=1.0,
        discount=column(rows, "discount"),
        is_call=[row["type"] == "Call" for row in rows],
        **{volatility: column(rows, "stdDev")},
    )
    assert np.abs(value["pv"] - column(rows, "refValue")).max() <= 1e-13


def test_derivagem_prices() -> None:
    rows = table("parsec/blackscholes_1000_derivagem.csv")
    names = {"spot": "S", "strike": "K", "time": "T", "rate": "r", "dividend_yield": "q", "volatility": "vol"}
    value = equity(rows, names, np.array([row["type"] == "C" for row in rows]))
    assert np.abs(value["pv"] - column(rows, "dg_ref_value")).max() <= 5e-5


@pytest.mark.parametrize("prefix", ["C", "P"])
def test_vollib_prices_and_greeks(prefix: str) -> None:
    rows = table("vollib/black_scholes_greeks_101.csv")
    names = {"spot": "S", "strike": "K", "time": "t", "rate": "R", "volatility": "v"}
    value = equity(rows, names, np.full(len(rows), prefix == "C"))
    expected = {"pv": "bs_call" if prefix == "C" else "bs_put"} | {
        greek: prefix + letter
        for greek, letter in {"delta": "D", "gamma": "G", "theta": "T", "vega": "V", "rho": "R"}.items()
    }
    for output, theirs in expected.items():
        assert np.allclose(value[output], column(rows, theirs), rtol=2e-6, atol=1e-6), output


@pytest.mark.parametrize("name", ["black", "bachelier"])
def test_quantlib_calculators_inverted(name: str) -> None:
    rows = table(f"quantlib_tests/{name}_calculator.csv")
    given = {
        "forward": column(rows, "forward"),
        "strike": column(rows, "strike"),
        "time": 1.0,
        "discount": column(rows, "discount"),
        "is_call": [row["type"] == "Call" for row in rows],
    }
    volatility = "volatility" if name == "black" else "normal_volatility"
    truth, price = column(rows, "stdDev"), column(rows, "refValue")
    value = evaluate(f"implied.{name}", **given, price=price)
    vega = evaluate(f"{name}.european", outputs="vega", **given, **{volatility: truth})["vega"]
    good = value["status"] == 0  # in the money the table's digits may lie below intrinsic value
    assert good.sum() >= len(rows) // 2
    assert (np.abs(value["volatility"] - truth) * vega)[good].max() <= 2e-13
