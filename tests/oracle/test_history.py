"""ORE's historical simulation under a drawn history, trade by trade and by risk class: every P&L against ours.

The history has curves, survival probabilities and spots of the simulation market. One run of ORE, which writes P&Ls of
each trade by risk class; ours are those of runs that ask for one class.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import random
import re
from pathlib import Path

import numpy as np

from tests.core.ore_directory import ORE, needs_ore, ore_snapshot
from tests.oracle import ore_run
from xip_core.graph.plan import digest_of
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of, day_number
from xip_core.model.market import encode_snapshot
from xip_core.model.run_spec import RiskWork
from xip_core.model.scenario import encode_scenarios
from xip_core.model.trade import encode_trade
from xip_core.pricing.book import calculate_work
from xip_core.pricing.simulated_market import simulated_snapshot
from xip_core.readers.ore_history import ore_scenarios, read_ore_history
from xip_core.readers.ore_portfolio import read_portfolio
from xip_core.readers.ore_simulation import read_simulation_grid
from xip_core.scenarios.historical import Horizon

pytestmark = needs_ore

SIMULATION = ORE / "example15_expected" / "input_simulation.xml"
SEED, HORIZON_DAYS = 20160205, 5
FIRST, SINCE, LAST = dt.date(2015, 12, 14), dt.date(2016, 1, 8), dt.date(2016, 2, 5)
NOTIONAL_EUR = {
    "CC_SWAP_EUR_USD": 88e6,
    "FXFWD_EURUSD_10Y": 1e6,
    "BOND": 1e7,
    "CDS": 8.8e6,
    "EQ_FWD_LUFT": 9.5e3,
    "Swap": 1e7,
    "FX_CALL_OPTION": 1e6,
    "EQ_CALL_LUFT": 9.5e3,
}
TRADES = tuple(NOTIONAL_EUR)
CLASSES: dict[str, tuple[str, ...]] = {
    "All": (),
    "InterestRate": ("INTEREST_RATE",),
    "FX": ("FX",),
    "Equity": ("EQUITY",),
    "Credit": ("CREDIT",),
    "Inflation": ("INFLATION",),
}
ERROR_MAX_OF_NOTIONAL = 1e-7


def keys() -> list[str]:
    """Of the simulation market, but for volatilities and inflation, which ORE moves by other returns."""
    tenors = read_simulation_grid(SIMULATION)
    snapshot = ore_snapshot()
    curves = [f"DiscountCurve/{currency}" for currency in ("EUR", "USD", "GBP", "CHF", "JPY")]
    curves += [f"IndexCurve/{index.name}" for index in snapshot.indices]
    curves += ["YieldCurve/BENCHMARK_EUR"]
    found = [f"{curve}/{place}" for curve in curves for place in range(len(tenors.curves))]
    found += [f"SurvivalProbability/BANK/{place}" for place in range(len(tenors.hazards))]
    found += [f"FXSpot/{currency}EUR/0" for currency in ("USD", "GBP", "CHF", "JPY")]
    return [*found, "EquitySpot/SP5/0", "EquitySpot/Lufthansa/0"]


def write_history(path: Path) -> None:
    """Business days of TARGET with numbers that drift: factors near their level, spots by a per cent a day."""
    draw = random.Random(SEED)
    names = keys()
    levels = {name: draw.uniform(0.7, 1.0) if "Spot" not in name else draw.uniform(0.5, 90.0) for name in names}
    lines = [",".join(("Date", "Scenario", "Numeraire", *names))]
    days = np.arange(day_number(FIRST), day_number(LAST) + 1)
    for date in map(date_of, days[calendar("TARGET").is_business_day(days)].tolist()):
        for name in names:
            levels[name] *= 1.0 + draw.gauss(0.0, 0.01 if "Spot" in name else 0.001)
        lines.append(",".join((date.isoformat(), "1", "1", *(f"{levels[name]:.10f}" for name in names))))
    path.write_text("\n".join(lines) + "\n")


def write_inputs(folder: Path) -> None:
    ore_run.write_configuration(folder)
    (folder / "marketdata.csv").write_bytes(gzip.decompress((ORE / "marketdata.csv.gz").read_bytes()))
    (folder / "simulation.xml").write_bytes(SIMULATION.read_bytes())
    text = (ORE / "portfolio.xml").read_text()
    trades = [re.findall(rf'<Trade id="{name}">.*?</Trade>', text, re.DOTALL)[0] for name in TRADES]
    (folder / "portfolio.xml").write_text(f"<Portfolio>{''.join(trades)}</Portfolio>")
    write_history(folder / "scenarios.csv")
    analytic = {
        "historicalScenarioFile": "scenarios.csv",
        "simulationConfigFile": "simulation.xml",
        "historicalPeriod": f"{SINCE},2016-02-05",
        "mporDays": str(HORIZON_DAYS),
        "mporCalendar": "EUR",
        "mporOverlappingPeriods": "true",
        "quantiles": "0.25",
        "breakdown": "Y",
        "tradePnl": "Y",
        "outputFile": "var.csv",
    }
    ore_run.write_settings(folder, "historicalSimulationVar", analytic, {"baseCurrency": "EUR", "logMask": "15"})


def ore_pnl(folder: Path) -> dict[str, dict[tuple[str, str], float]]:
    """By risk class, trade and pair of dates."""
    ore_run.run(folder)
    found: dict[str, dict[tuple[str, str], float]] = {}
    with (folder / "historical_PnL.csv").open() as file:
        for row in csv.DictReader(line.lstrip("#") for line in file):
            if row["RiskType"] == "All" and row["Portfolio"] in TRADES:
                dates = f"{row['PLDate1']} to {row['PLDate2']}"
                found.setdefault(row["RiskClass"], {})[row["Portfolio"], dates] = float(row["PLAmount"])
    return found


def test_every_pnl_of_every_trade_is_ores_in_every_risk_class(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    theirs = ore_pnl(tmp_path)
    grid = read_simulation_grid(SIMULATION)
    reduced = simulated_snapshot(ore_snapshot(), grid)
    horizon = Horizon(days=HORIZON_DAYS, calendar="TARGET", since=SINCE, gaps="skip")
    scenarios = ore_scenarios(read_ore_history(tmp_path / "scenarios.csv"), horizon, grid, reduced).scenarios
    trades = read_portfolio(tmp_path / "portfolio.xml").trades
    book = b"\n".join(map(encode_trade, trades))
    blobs = {digest_of(blob): blob for blob in (encode_snapshot(reduced), encode_scenarios(scenarios), book)}
    market_digest, scenarios_digest, book_digest = blobs
    names = [scenario.name for scenario in scenarios.scenarios[1:]]
    assert set(theirs) == set(CLASSES)
    far = {}
    for risk_class, expected in theirs.items():
        work = RiskWork(
            book_digest=book_digest,
            market_digest=market_digest,
            scenarios_digest=scenarios_digest,
            measures=("pv",),
            base_currency="EUR",
            as_of="2016-02-05",
            risk_classes=CLASSES[risk_class],
        )
        pv = calculate_work(work, blobs, tuple(trade.id for trade in trades)).pv
        for row, trade in enumerate(trades):
            numbers = np.array([expected[trade.id, name] for name in names])
            error = float(np.abs(pv[row, 1:] - pv[row, 0] - numbers).max())
            if not error <= ERROR_MAX_OF_NOTIONAL * NOTIONAL_EUR[trade.id]:
                far[risk_class, trade.id] = (error, float(np.abs(numbers).max()))
    assert far == {}
