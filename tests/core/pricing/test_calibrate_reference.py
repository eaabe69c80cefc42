"""The calibrated reference market against ORE 1.8.17: discount factors, survival, volatilities, forwards.

Errors are absolute, of discount factors and survival probabilities on 23 years of calendar days. Where a curve misses
machine precision the reason is written beside its tolerance.
"""

from __future__ import annotations

import datetime as dt
import functools
import math

import numpy as np
import pytest

from tests.core.ore_directory import needs_ore, ore_rows, ore_snapshot
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, base_only
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.calibrate_failures import decode_failures
from xip_core.pricing.layout import Refs, VolatilityRef
from xip_core.pricing.market_layout import SnapshotLayout

pytestmark = needs_ore

DAILY_ERROR_MAX = {
    # column: (curve or name, error reached)
    "EUR": ("EUR1D", 5e-13),
    "EUR-EONIA": ("EUR1D", 5e-13),
    "EUR-EURIBOR-3M": ("EUR3M", 5e-13),
    "EUR-EURIBOR-6M": ("EUR6M", 5e-13),
    "USD": ("USD-IN-EUR", 5e-13),
    "USD-FedFunds": ("USD1D", 5e-13),
    "USD-LIBOR-3M": ("USD3M", 1e-12),
    "USD-LIBOR-6M": ("USD6M", 5e-13),
    "GBP": ("GBP-IN-EUR", 5e-13),
    "GBP-LIBOR-6M": ("GBP6M", 5e-13),
    "BENCHMARK_EUR": ("BENCHMARK_EUR", 5e-13),
    "BANK": ("BANK", 1e-12),
    "CPTY_A": ("CPTY_A", 1e-14),
    "CPTY_C": ("CPTY_C", 1e-14),
}

PILLAR_ERROR_MAX = 5.1e-9  # the table has 8 decimals


@functools.cache
def base() -> tuple[SnapshotLayout, np.ndarray]:
    """Layout and base market of the reference, calibrated once."""
    snapshot = ore_snapshot()
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, base_only(), 0, 1)
    assert decode_failures(columns["failures"]) == ()
    return layout, columns["market"][:, 0]


@functools.cache
def daily_rows() -> list[dict[str, str]]:
    return ore_rows("curves_daily_df.csv.gz")[::7]  # weekdays take turns; a whole run is the same numbers in 5 s


def value_of(refs: Refs) -> float:
    _, market = base()
    return sum(weight * market[factor] for factor, weight in refs)


def volatility_of(ref: VolatilityRef) -> float:
    value = value_of(ref.refs)
    return math.sqrt(value / ref.time_years) if ref.is_total_variance else value


def test_every_object_of_the_reference_market_calibrates():
    """23 curves, and no failure."""
    layout, market = base()
    assert layout.broken == {}
    assert len(layout.curves) == 23
    assert np.isfinite(market).all()


@pytest.mark.parametrize("column", list(DAILY_ERROR_MAX))
def test_daily_factors_agree_with_ore(column):
    """Interpolation, extrapolation and bootstrap together."""
    layout, _ = base()
    name, error_max = DAILY_ERROR_MAX[column]
    refs_of = layout.log_survival if name in layout.hazards else layout.log_discount
    errors = [
        abs(math.exp(value_of(refs_of(name, dt.date.fromisoformat(row["Date"])))) - float(row[column]))
        for row in daily_rows()
    ]
    assert max(errors) <= error_max


def test_pillar_factors_of_all_curves_agree_with_ore():
    """Curves that the daily table does not hold as well: CHF, JPY, EUR 1M and 12M, GBP 1D and 3M."""
    layout, _ = base()
    errors: dict[str, float] = {}
    for row in ore_rows("todaysmarketcalibration.csv.gz"):
        name = row["MarketObjectId"]
        if row["MarketObjectType"] != "yieldCurve" or row["ResultId"] != "discountFactor" or name not in layout.curves:
            continue
        found = math.exp(value_of(layout.log_discount(name, dt.date.fromisoformat(row["ResultKey1"]))))
        errors[name] = max(errors.get(name, 0.0), abs(found - float(row["ResultValue"])))
    assert len(errors) == 23
    assert [name for name, e in errors.items() if e > PILLAR_ERROR_MAX] == []


def test_lognormal_volatilities_agree_with_ore():
    """Six decimals of the volatilities ORE priced its options with."""
    layout, _ = base()
    fx = layout.fx_volatility("EUR", "USD", dt.date(2026, 3, 1))
    oil = layout.commodity_volatility("COMDTY_WTI_USD", dt.date(2021, 12, 31), 50.01)
    oil_inside = layout.commodity_volatility("COMDTY_WTI_USD", dt.date(2021, 10, 31), 49.75)
    equity = layout.equity_volatility("Lufthansa", dt.date(2018, 3, 1), 12.24)
    assert volatility_of(fx) == pytest.approx(0.136280, abs=5e-7)
    assert volatility_of(oil) == pytest.approx(0.107057, abs=5e-7)
    assert volatility_of(oil_inside) == pytest.approx(0.107285, abs=5e-7)
    assert volatility_of(equity) == pytest.approx(0.300000, abs=5e-7)


def test_swaption_volatility_agrees_with_ore():
    """Ten years into ten years, stdDev 0.024140 at 10.073973 years."""
    layout, _ = base()
    found = layout.swaption_volatility("EUR", dt.date(2026, 3, 1), 10.0)
    assert found.is_normal
    assert volatility_of(found) * math.sqrt(found.time_years) == pytest.approx(0.024140, abs=5e-7)


def test_caplet_volatilities_are_ores():
    """A spline of cap volatilities by strike, caplet by caplet: all ten digits that ORE prints."""
    layout, _ = base()
    errors = []
    for row in ore_rows("flows.csv.gz"):
        if row["TradeId"] in ("CAP_EUR", "FLOOR_EUR") and row["FlowType"] == "InterestProjected":
            side = "Cap" if row["TradeId"] == "CAP_EUR" else "Floor"
            fixing = dt.date.fromisoformat(row["fixingDate"])
            found = layout.caplet_volatility("EUR-EURIBOR-6M", fixing, float(row[f"{side}Strike"]))
            errors.append(abs(volatility_of(found) - float(row[f"{side}Volatility"])))
    assert len(errors) == 38
    assert max(errors) < 6e-11


def test_forwards_agree_with_ore():
    """Equity from forward prices, beyond the last one; FX from the two discount curves; commodities by date."""
    layout, _ = base()
    equity = math.exp(value_of(layout.log_equity_forward("Lufthansa", dt.date(2018, 3, 1))))
    assert equity == pytest.approx(12.750478, abs=5e-7)
    date = dt.date(2026, 3, 1)
    growth = value_of(layout.log_discount("EUR1D", date)) - value_of(layout.log_discount("USD-IN-EUR", date))
    assert math.exp(growth - value_of(layout.log_fx("USD"))) == pytest.approx(1.352769, abs=1e-6)
    oil = value_of(layout.commodity_forward("COMDTY_WTI_USD", dt.date(2021, 12, 31)))
    gold = value_of(layout.commodity_forward("COMDTY_GOLD_USD", dt.date(2017, 4, 28)))
    assert (oil, gold) == pytest.approx((50.01, 1161.8))


def test_blocks_of_the_reference_market_have_the_same_bytes():
    """The large systems too, with scenarios that touch every curve."""
    snapshot = ore_snapshot()
    sizes_bps, names = (-30.0, 7.0), ("EUR", "USD", "*")
    shifts = [Shift(target="currency", name=name, shift_bps=size) for name in names for size in sizes_bps]
    scenarios = ScenarioSet(
        scenarios=(
            Scenario(name="base"),
            *(Scenario(name=f"s{place}", shifts=(shift,)) for place, shift in enumerate(shifts)),
        )
    )
    layout, _ = base()
    whole = calibrate_tile(snapshot, layout, scenarios, 0, 7)
    assert decode_failures(whole["failures"]) == ()
    blocks = ((0, 1), (1, 3), (3, 7))
    parts = [calibrate_tile(snapshot, layout, scenarios, begin, end)["market"] for begin, end in blocks]
    assert np.hstack(parts).tobytes() == whole["market"].tobytes()
