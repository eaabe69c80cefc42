"""European options and implied volatilities, 2,000 drawn rows a kernel, against QuantLib's formulas."""

from __future__ import annotations

import math

import numpy as np
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.oracle.quantlib_options import (
    Columns,
    Row,
    assert_close,
    draw,
    equity_process,
    european,
    option_type,
    plain,
    values,
)
from xip_core import evaluate

CARRIED = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")


def scales(columns: Columns, **others: np.ndarray) -> Columns:
    """The size of each output where it is not small: differences are measured by it."""
    legs = columns["spot"] * np.exp(np.maximum(-columns["dividend_yield"], 0.0) * columns["time"])
    legs = legs + columns["strike"] * np.exp(np.maximum(-columns["rate"], 0.0) * columns["time"])
    deviation = columns["volatility"] * np.sqrt(columns["time"])
    return {
        "pv": legs,
        "delta": legs / columns["spot"],
        "gamma": legs / columns["spot"] ** 2 / deviation,
        "vega": legs * np.sqrt(columns["time"]),
        "theta": legs * (1.0 + columns["volatility"] / np.sqrt(columns["time"])),
        "rho": legs * columns["time"],
        "rho_foreign": legs * columns["time"],
        "rho_domestic": legs * columns["time"],
    } | others


def carried(row: Row) -> dict[str, float]:
    option = ql.VanillaOption(plain(row), european(row["time"]))
    option.setPricingEngine(ql.AnalyticEuropeanEngine(equity_process(row)))
    return {
        "pv": option.NPV(),
        "delta": option.delta(),
        "gamma": option.gamma(),
        "vega": option.vega(),
        "theta": option.theta(),
        "rho": option.rho(),
        "rho_foreign": option.dividendRho(),
    }


def test_equity_and_fx_options_and_their_greeks() -> None:
    columns = draw(101)
    theirs, scale = values(columns, carried), scales(columns)
    ours = evaluate("equity.european", **{name: columns[name] for name in CARRIED})
    assert_close(ours, {name: theirs[name] for name in theirs if name != "rho_foreign"}, scale, 2e-12)
    renamed = {"domestic_rate": columns["rate"], "foreign_rate": columns["dividend_yield"]}
    kept = {name: columns[name] for name in CARRIED if name not in ("rate", "dividend_yield")}
    theirs["rho_domestic"] = theirs.pop("rho")
    assert_close(evaluate("fx.european", **kept, **renamed), theirs, scale, 2e-12)


def on_forward(columns: Columns) -> Columns:
    kept = {name: columns[name] for name in ("strike", "time", "volatility", "is_call")}
    return {"forward": columns["spot"]} | kept | {"discount": np.exp(-columns["rate"] * columns["time"])}


def test_black_on_forwards() -> None:
    def price(row: Row) -> dict[str, float]:
        deviation = row["volatility"] * math.sqrt(row["time"])
        found = ql.BlackCalculator(plain(row), row["forward"], deviation, row["discount"])
        return {
            "pv": found.value(),
            "delta": found.deltaForward(),
            "gamma": found.gammaForward(),
            "vega": found.vega(row["time"]),
        }

    columns = draw(102)
    forwards = on_forward(columns)
    assert_close(evaluate("black.european", **forwards), values(forwards, price), scales(columns), 2e-12)


def normal(columns: Columns) -> Columns:
    """Rates of either sign, volatilities of basis points."""
    random, rows = np.random.default_rng(103), len(columns["time"])
    forward = random.uniform(-0.03, 0.08, rows)
    volatility = np.exp(random.uniform(np.log(1e-5), np.log(0.05), rows))
    deviation = volatility * np.sqrt(columns["time"])
    strike = forward + random.normal(0.0, 1.5, rows) * deviation
    kept = {"time": columns["time"], "is_call": columns["is_call"]}
    return kept | {
        "forward": forward,
        "strike": strike,
        "normal_volatility": volatility,
        "discount": np.exp(-columns["rate"] * columns["time"]),
    }


def test_bachelier_on_forwards() -> None:
    def price(row: Row) -> dict[str, float]:
        deviation = row["normal_volatility"] * math.sqrt(row["time"])
        found = ql.BachelierCalculator(plain(row), row["forward"], deviation, row["discount"])
        return {"pv": found.value(), "delta": found.deltaForward(), "gamma": found.gammaForward()}

    columns = normal(draw(104))
    deviation = columns["normal_volatility"] * np.sqrt(columns["time"])
    size = columns["discount"] * (deviation + np.abs(columns["forward"] - columns["strike"]))
    scale = {"pv": size, "delta": columns["discount"], "gamma": columns["discount"] / deviation}
    assert_close(evaluate("bachelier.european", **columns), values(columns, price), scale, 1e-12)


def test_implied_volatilities_give_quantlibs_prices_back() -> None:
    """Prices that QuantLib computes, inverted by us: the volatility is right to the digits the price carries."""

    def price(row: Row) -> dict[str, float]:
        deviation = row["volatility"] * math.sqrt(row["time"])
        return {"price": ql.blackFormula(option_type(row), row["strike"], row["forward"], deviation, row["discount"])}

    columns = on_forward(draw(105))
    columns["is_call"] = np.where(columns["strike"] >= columns["forward"], 1.0, 0.0)  # out of the money
    prices = values(columns, price)["price"]
    inputs = {name: columns[name] for name in ("forward", "strike", "time", "discount", "is_call")}
    carries = prices > 1e-12 * columns["forward"]
    ours = evaluate("implied.black", **inputs, price=prices)
    assert not ours["status"][carries].any()
    vega = evaluate("black.european", outputs="vega", **columns)["vega"]
    error = np.abs(ours["volatility"] - columns["volatility"]) * vega / columns["forward"]
    assert error[carries].max() <= 1e-14
    assert carries.sum() > 0.9 * len(carries)


def test_implied_normal_volatilities_give_quantlibs_prices_back() -> None:
    def price(row: Row) -> dict[str, float]:
        deviation = row["normal_volatility"] * math.sqrt(row["time"])
        arguments = (option_type(row), row["strike"], row["forward"], deviation, row["discount"])
        return {"price": ql.bachelierBlackFormula(*arguments)}

    columns = normal(draw(106))
    columns["is_call"] = np.where(columns["strike"] >= columns["forward"], 1.0, 0.0)
    prices = values(columns, price)["price"]
    inputs = {name: columns[name] for name in ("forward", "strike", "time", "discount", "is_call")}
    ours = evaluate("implied.bachelier", **inputs, price=prices)
    assert not ours["status"].any()
    assert np.abs(ours["volatility"] / columns["normal_volatility"] - 1.0).max() <= 1e-9
