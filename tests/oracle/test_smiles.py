"""FX delta conventions and smile parametrisations, drawn rows against QuantLib's functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.oracle.quantlib_options import ROWS, Columns, Row, assert_close, draw, option_type, rows_of, values
from xip_core import evaluate

DELTA_TYPES = (ql.DeltaVolQuote.Spot, ql.DeltaVolQuote.Fwd, ql.DeltaVolQuote.PaSpot, ql.DeltaVolQuote.PaFwd)
ATM_TYPES = (
    ql.DeltaVolQuote.AtmSpot,
    ql.DeltaVolQuote.AtmFwd,
    ql.DeltaVolQuote.AtmDeltaNeutral,
    ql.DeltaVolQuote.AtmVegaMax,
    ql.DeltaVolQuote.AtmGammaMax,
    ql.DeltaVolQuote.AtmPutCall50,
)


def calculator(row: Row) -> Any:
    time = row["time"]
    return ql.BlackDeltaCalculator(
        option_type(row),
        DELTA_TYPES[int(row["delta_type"])],
        row["spot"],
        float(np.exp(-row["domestic_rate"] * time)),
        float(np.exp(-row["foreign_rate"] * time)),
        row["volatility"] * float(np.sqrt(time)),
    )


def fx_rows(seed: int) -> Columns:
    """As `draw`, strikes within three deviations, a fifth of the rows with a day or 10 years to go."""
    random, drawn = np.random.default_rng(seed), draw(seed)
    volatility = np.clip(drawn["volatility"], 0.01, 1.0)
    time = np.where(random.random(ROWS) < 0.1, 10.0, drawn["time"])
    deviation = volatility * np.sqrt(time)
    return {
        "spot": drawn["spot"],
        "strike": drawn["spot"] * np.exp(random.uniform(-3.0, 3.0, ROWS) * np.minimum(deviation, 1.0)),
        "time": time,
        "domestic_rate": drawn["rate"],
        "foreign_rate": drawn["dividend_yield"],
        "volatility": volatility,
        "is_call": drawn["is_call"],
        "delta_type": random.integers(0, 4, ROWS).astype(float),
    }


def test_deltas_of_strikes() -> None:
    columns = fx_rows(601)
    theirs = values(columns, lambda row: {"delta": calculator(row).deltaFromStrike(row["strike"])})
    assert_close(evaluate("fx.delta", **columns), theirs, {"delta": 1.0 + columns["strike"] / columns["spot"]}, 1e-12)


def their_strike(row: Row) -> dict[str, float]:
    """NaN where QuantLib's Brent does not find its bracket."""
    try:
        return {"strike": calculator(row).strikeFromDelta(row["delta"])}
    except RuntimeError:
        return {"strike": np.nan}


def test_strikes_of_deltas() -> None:
    """Deltas that a strike has; of premium-adjusted calls beyond the largest delta, the branch desks quote."""
    columns = fx_rows(602)
    delta = evaluate("fx.delta", **columns)["delta"]
    asked = {name: cells for name, cells in columns.items() if name != "strike"} | {"delta": delta}
    ours = evaluate("fx.strike_of_delta", **asked)
    kept = (ours["status"] == 0) & (np.abs(delta) > 1e-3)
    is_spot = columns["delta_type"] % 2.0 == 0.0
    most = np.where(is_spot, np.exp(-columns["foreign_rate"] * columns["time"]), 1.0)
    kept &= np.abs(delta) < 0.999 * most  # QuantLib brackets premium-adjusted strikes by plain ones of the same delta
    assert kept.mean() > 0.75
    theirs = values({name: cells[kept] for name, cells in asked.items()}, their_strike)["strike"]
    answered = np.isfinite(theirs)
    assert answered.mean() > 0.9
    off = np.abs(ours["strike"][kept] / theirs - 1.0)[answered]
    assert off.max() <= 1e-8  # of QuantLib's inverse normal distribution
    assert off[columns["delta_type"][kept][answered] >= 2.0].max() <= 1e-10  # which premium-adjusted ones do without


def test_strikes_at_the_money() -> None:
    columns = fx_rows(603)
    columns.pop("strike")
    columns["atm_type"] = np.random.default_rng(603).integers(0, 6, ROWS).astype(float)
    columns["delta_type"] = np.where(columns["atm_type"] == 5.0, 1.0, columns["delta_type"])
    theirs = values(columns, lambda row: {"strike": calculator(row).atmStrike(ATM_TYPES[int(row["atm_type"])])})
    columns.pop("is_call")
    assert_close(evaluate("fx.atm_strike", **columns), theirs, {"strike": theirs["strike"]}, 1e-12)


def sabr_rows(seed: int, is_normal: bool) -> Columns:
    """Rates with shifts, 10 to 80 % at the money; a sixth each at the money, without skew, without volatility of it."""
    random = np.random.default_rng(seed)
    shift = random.choice([0.0, 0.01, 0.03], ROWS)
    forward = np.exp(random.uniform(np.log(0.002), np.log(0.1), ROWS))
    beta = random.choice([0.0, 0.3, 0.5, 0.9, 1.0], ROWS)
    level = random.uniform(0.1, 0.8, ROWS)
    columns = {
        "forward": forward - 0.5 * shift,
        "strike": (forward + 0.5 * shift) * np.exp(random.normal(0.0, 0.4, ROWS)) - shift,
        "time": random.uniform(0.01, 15.0, ROWS),
        "alpha": level * (forward + 0.5 * shift) ** (1.0 - beta),
        "beta": beta,
        "rho": random.uniform(-0.9, 0.9, ROWS),
        "nu": random.uniform(0.05, 0.8, ROWS),
        "shift": shift,
    }
    columns["strike"][::6] = columns["forward"][::6]
    columns["rho"][1::6] = 0.0
    columns["nu"][2::6] = 0.0
    return columns


@pytest.mark.parametrize(
    ("kernel", "kind"), [("volatility.sabr", ql.ShiftedLognormal), ("volatility.sabr_normal", ql.Normal)]
)
def test_sabr(kernel: str, kind: Any) -> None:
    columns = sabr_rows(604, kernel != "volatility.sabr")
    names = ("strike", "forward", "time", "alpha", "beta", "nu", "rho", "shift")
    ours = evaluate(kernel, **columns)
    good = ours["status"] == 0
    assert good.mean() > 0.9
    ours = {name: cells[good] for name, cells in ours.items()}
    columns = {name: cells[good] for name, cells in columns.items()}
    theirs = values(columns, lambda row: {"volatility": ql.shiftedSabrVolatility(*(row[name] for name in names), kind)})
    assert_close(ours, theirs, {"volatility": theirs["volatility"]}, 1e-12)


def test_svi() -> None:
    """Slices without butterfly arbitrage or with: the formula knows none."""
    random = np.random.default_rng(605)
    columns = {
        "log_moneyness": random.normal(0.0, 0.6, ROWS),
        "time": random.uniform(0.01, 15.0, ROWS),
        "a": random.uniform(0.0, 0.1, ROWS),
        "b": random.uniform(0.0, 0.5, ROWS),
        "rho": random.uniform(-0.99, 0.99, ROWS),
        "m": random.normal(0.0, 0.3, ROWS),
        "sigma": random.uniform(0.01, 0.5, ROWS),
    }
    # QuantLib refuses wings steeper than Lee's bound
    columns["b"] = np.minimum(columns["b"], 3.9 / (1.0 + np.abs(columns["rho"])) / np.maximum(columns["time"], 1.0))
    theirs = []
    for row in rows_of(columns):
        section = ql.SviSmileSection(row["time"], 1.0, [row[name] for name in ("a", "b", "sigma", "rho", "m")])
        theirs.append(section.volatility(float(np.exp(row["log_moneyness"]))))
    expected = {"volatility": np.array(theirs)}
    assert_close(evaluate("volatility.svi", **columns), expected, expected, 1e-12)
