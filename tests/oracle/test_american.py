"""equity.american against QuantLib on thousands of drawn rows: `python -m pytest tests/oracle`."""

from __future__ import annotations

import numpy as np
import QuantLib as ql  # noqa: N813 - the name its users know it by

from tests.core.kernels.american_book import american_book
from xip_core import evaluate

TODAY = ql.Date(1, 1, 2024)


def quantlib_prices(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Whole days of Actual/365; NaN where QuantLib refuses or fails."""
    ql.Settings.instance().evaluationDate = TODAY
    quotes = [ql.SimpleQuote(0.1) for _ in range(4)]
    spot, rate, carry, volatility = (ql.QuoteHandle(quote) for quote in quotes)
    days = ql.Actual365Fixed()
    process = ql.BlackScholesMertonProcess(
        spot,
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, carry, days)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, rate, days)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), volatility, days)),
    )
    engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())
    prices = np.full(len(columns["spot"]), np.nan)
    for row in range(len(prices)):
        for quote, name in zip(quotes, ("spot", "rate", "dividend_yield", "volatility"), strict=True):
            quote.setValue(float(columns[name][row]))
        kind = ql.Option.Call if columns["is_call"][row] else ql.Option.Put
        expiry = TODAY + round(float(columns["time"][row]) * 365.0)
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(kind, float(columns["strike"][row])), ql.AmericanExercise(TODAY, expiry)
        )
        option.setPricingEngine(engine)
        try:
            prices[row] = option.NPV()
        except RuntimeError:
            continue
    return prices


def in_whole_days(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return columns | {"time": np.maximum(np.round(columns["time"] * 365.0), 1.0) / 365.0}


def test_an_ordinary_book_agrees_to_5e_8_of_the_larger_price() -> None:
    columns = in_whole_days(american_book(2000, seed=77))
    theirs = quantlib_prices(columns)
    assert np.isfinite(theirs).mean() > 0.99
    scale = np.maximum(columns["spot"], columns["strike"])
    off = np.abs(evaluate("equity.american", **columns)["pv"] - theirs) / scale
    assert np.nanmax(off) <= 5e-8
    assert np.nanquantile(off, 0.9) <= 1e-8


def test_a_wide_book_agrees() -> None:
    """To ten years, volatility from 3 %, rates to 12 %, negative yields: QuantLib's own schemes differ here by 1e-6."""
    random = np.random.default_rng(78)
    columns = american_book(1500, seed=78) | {
        "time": np.exp(random.uniform(np.log(0.01), np.log(10.0), 1500)),
        "rate": random.uniform(0.001, 0.12, 1500),
        "volatility": np.exp(random.uniform(np.log(0.03), np.log(1.0), 1500)),
        "dividend_yield": random.uniform(0.001, 0.12, 1500),
    }
    columns = in_whole_days(columns)
    theirs = quantlib_prices(columns)
    off = np.abs(evaluate("equity.american", **columns)["pv"] - theirs) / np.maximum(columns["spot"], columns["strike"])
    assert np.isfinite(theirs).mean() > 0.95
    assert np.nanquantile(off, 0.99) <= 1e-7
    assert np.nanmax(off) <= 2e-6


def test_tiny_rates_agree_to_1e_8() -> None:
    """Of 1e-8 to 1e-2, one just above the other or far: QuantLib's rounds and ours begin at different guesses."""
    random = np.random.default_rng(79)
    columns = american_book(250, seed=79)
    larger = 10.0 ** random.uniform(-8.0, -2.0, 250)
    smaller = larger * (1.0 - 10.0 ** random.uniform(-5.0, -0.3, 250))
    is_first = random.random(250) < 0.5
    columns |= {"rate": np.where(is_first, larger, smaller), "dividend_yield": np.where(is_first, smaller, larger)}
    columns = in_whole_days(columns)
    theirs = quantlib_prices(columns)
    off = np.abs(evaluate("equity.american", **columns)["pv"] - theirs) / np.maximum(columns["spot"], columns["strike"])
    assert np.isfinite(theirs).mean() > 0.95
    assert np.nanmax(off) <= 1e-8
