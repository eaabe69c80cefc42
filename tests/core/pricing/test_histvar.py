"""ORE's historical VaR case: 715 ten-day P&Ls of a cross-currency swap and an FX forward, VaR and ES of them.

The files have no conventions.xml, so the market of 2019-12-30 is not bootstrapped: it is read off the scenario file,
whose row of that day is ORE's simulation market to eight digits; the spot rate is the one of market.txt. ORE takes a
EUR/USD spot rate for delivery in two business days: without that the P&Ls are off by up to 17,548 EUR.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
from pathlib import Path

import numpy as np
import pytest

from xip_core.graph.plan import digest_of
from xip_core.model.market import FxSpot, Snapshot, encode_snapshot
from xip_core.model.run_spec import RiskWork
from xip_core.model.scenario import ScenarioMarket, ScenarioSet, encode_scenarios
from xip_core.model.trade import Trade, encode_trade
from xip_core.pricing.book import calculate_work
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.readers.ore_files import read_lines
from xip_core.readers.ore_history import (
    History,
    ore_scenario_market,
    ore_scenarios,
    read_ore_history,
)
from xip_core.readers.ore_market import read_fixings
from xip_core.readers.ore_portfolio import read_portfolio
from xip_core.readers.ore_simulation import read_simulation_grid
from xip_core.risk.measures import expected_shortfall, value_at_risk
from xip_core.risk.quantiles import QuantileRule
from xip_core.scenarios.historical import Horizon

HISTVAR = Path(__file__).resolve().parents[4] / "shared/reference/histvar/ore_histsimvar"
AS_OF = dt.date(2019, 12, 30)
HORIZON = Horizon(days=10, calendar="US", since=dt.date(2017, 1, 17), until=AS_OF, gaps="skip")

PNL_ERROR_MAX_EUR = 1.0
"""1e-6 of the smaller notional; the larger is 30 million. Measured: 0.55."""

pytestmark = pytest.mark.skipif(not HISTVAR.is_dir(), reason=f"reference values are not at {HISTVAR}")


def spot_quotes() -> dict[str, float]:
    """The EUR/USD rate of the market file."""
    rows = (line.split() for _, line in read_lines(HISTVAR / "market.txt.gz"))
    return {key: float(value) for _, key, value in rows if key.startswith("FX/RATE/EUR/USD")}


@functools.cache
def history() -> History:
    return read_ore_history(HISTVAR / "scenarios.csv.gz")


@functools.cache
def market() -> Snapshot:
    spot = FxSpot(
        foreign_currency="EUR", domestic_currency="USD", quote="FX/RATE/EUR/USD", spot_days=2, calendar="TARGET,US"
    )
    grid, fixings = read_simulation_grid(HISTVAR / "simulation.xml"), read_fixings(HISTVAR / "fixings.txt", AS_OF)
    return ore_scenario_market(history(), AS_OF, grid, "EUR", (spot,), spot_quotes(), fixings)


@functools.cache
def scenarios() -> ScenarioSet:
    grid = read_simulation_grid(HISTVAR / "simulation.xml")
    found = ore_scenarios(history(), HORIZON, grid, market())
    assert found.unread == ()
    return found.scenarios


@functools.cache
def trades() -> tuple[Trade, ...]:
    portfolio = read_portfolio(HISTVAR / "portfolio.xml")
    assert portfolio.unread == ()
    return tuple(portfolio.trades)


@functools.cache
def pnl(risk_class: str = "") -> np.ndarray:
    """(715,) of the book in EUR, as a run has it that asks for one risk class or for all."""
    names = (encode_snapshot(market()), encode_scenarios(scenarios()), b"\n".join(map(encode_trade, trades())))
    blobs = {digest_of(blob): blob for blob in names}
    market_digest, scenarios_digest, book_digest = blobs
    work = RiskWork(
        book_digest=book_digest,
        market_digest=market_digest,
        scenarios_digest=scenarios_digest,
        measures=("pv",),
        base_currency="EUR",
        as_of=AS_OF.isoformat(),
        risk_classes=(risk_class,) if risk_class else (),
    )
    pv = calculate_work(work, blobs, tuple(trade.id for trade in trades())).pv
    return (pv[:, 1:] - pv[:, :1]).sum(axis=0)


@functools.cache
def expected(name: str) -> list[dict[str, str]]:
    with (HISTVAR / name).open(newline="") as stream:
        rows = csv.reader(stream)
        header = [column.lstrip("#") for column in next(rows)]
        return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.parametrize("risk_type", ["All", "DeltaGamma"])
def test_every_ten_day_pnl_is_ores(risk_type):
    """To 1 EUR of up to 1.1 million; the days are those of ORE and no others. There is no volatility in the book."""
    rows = [row for row in expected("expected_historical_PnL.csv") if row["RiskType"] == risk_type]
    by_name = {f"{row['PLDate1']} to {row['PLDate2']}": float(row["PLAmount"]) for row in rows}
    names = [scenario.name for scenario in scenarios().scenarios[1:]]
    assert len(names) == 715
    assert set(names) == set(by_name)
    errors = pnl() - np.array([by_name[name] for name in names])
    assert np.abs(errors).max() <= PNL_ERROR_MAX_EUR


@pytest.mark.parametrize(
    ("level", "confidence"), [("0.010000", 0.99), ("0.050000", 0.95), ("0.950000", 0.05), ("0.990000", 0.01)]
)
def test_var_and_es_are_ores(level, confidence):
    """By the rule on our P&Ls; on ORE's own P&Ls the rule is exact (tests/core/risk)."""
    row = next(row for row in expected("expected_var.csv") if row["RiskType"] == "All")
    var = value_at_risk(pnl()[None, :], confidence, QuantileRule.PNL_ORDER_STATISTIC)[0]
    assert -var == pytest.approx(float(row[f"Quantile_{level}"]), abs=PNL_ERROR_MAX_EUR)
    shortfall = expected_shortfall(pnl()[None, :], confidence)[0]
    assert -shortfall == pytest.approx(float(row[f"ExpectedShortfall_{level}"]), abs=PNL_ERROR_MAX_EUR)


def test_risk_classes_move_their_own_factors_alone():
    """Seen through FX the curves stand still, through INTEREST_RATE the spot; through both everything moves."""
    layout = SnapshotLayout(market())
    whole = calibrate_tile(market(), layout, scenarios(), 0, 716)["market"]
    fx = calibrate_tile(market(), layout, scenarios(), 0, 716, ("FX",))["market"]
    rates = calibrate_tile(market(), layout, scenarios(), 0, 716, ("INTEREST_RATE",))["market"]
    (spot,) = range(*layout.ranges["fx/USD"])
    is_curve = np.arange(layout.factor_count) != spot
    assert np.array_equal(fx[is_curve], np.repeat(whole[is_curve, :1], 716, axis=1))
    assert np.array_equal(fx[spot], whole[spot])
    assert np.array_equal(rates[is_curve], whole[is_curve])
    assert np.array_equal(rates[spot], np.full(716, whole[spot, 0]))


def test_pnl_of_the_spot_alone_is_linear_in_it():
    """The book holds 32.9 million dollars of present value, whatever they are worth."""
    block = ScenarioMarket(market()).quote_matrix(scenarios(), 0, 716)
    moves = 1.0 / block.values[0, 1:] - 1.0 / block.base[0]
    dollars = pnl("FX")[0] / moves[0]
    assert dollars == pytest.approx(32.9e6, rel=2e-3)
    assert pnl("FX") == pytest.approx(dollars * moves, abs=1e-6)


def test_risk_classes_make_the_whole_but_for_what_they_do_together():
    """P&L of rates and of the spot, each alone, leave a cross term: that of dollars whose value moved."""
    cross = pnl() - pnl("INTEREST_RATE") - pnl("FX")
    assert np.abs(cross).max() < 0.02 * np.abs(pnl()).max()
    assert np.abs(cross).max() > 1.0
    assert np.array_equal(pnl("EQUITY"), np.zeros(715))


def test_spot_ratios_are_those_of_the_file():
    """EURUSD is the inverse of the file's USDEUR."""
    block = ScenarioMarket(market()).quote_matrix(scenarios(), 0, 716)
    assert block.quotes == ("FX/RATE/EUR/USD",)
    column = history().names.index("FXSpot/USDEUR/0")
    first, last = (history().dates.index(dt.date(*day)) for day in ((2016, 12, 30), (2017, 1, 17)))
    ratio = history().values[last, column] / history().values[first, column]
    assert block.values[0, 1] / block.base[0] == pytest.approx(1.0 / ratio, rel=1e-15)
