"""Ladders: 20,000 swaps with 60 bucketed par DV01s on three curves; ORE's Example 15 against ORE itself.

    python -m bench.bench_ladders swaps [--trades 20000] [--slots 2]
    python -m bench.bench_ladders example15 DIRECTORY

`swaps` is one command from Enter to its last number, two processes started and ended in it:

    xipctl run --book swaps.jsonl --market market.json --local --detail none --ladder "par name=EUR1D tenors=.." ..

Euro swaps on EURIBOR 3M and 6M, curves EUR1D (discounting), EUR3M and EUR6M with 24, 22 and 14 buckets, central
differences: 121 markets, 2.4 million valuations. Beside it the run alone, from SubmitRun to its final state.

`example15` takes the directory of ORE's files (market data, configuration, portfolio.xml, and simulation, sensitivity
and stress files in example15_expected) and computes what ORE's sensitivity analytic reports: delta, gamma and cross
gamma of 23 trades, 1,220 numbers a trade. Ours, in one thread: reducing the market, bumping, resolving, valuing, from
today's market calibrated to all numbers. ORE's: its own `Run PRICINGAnalytic` and `Run STRESSAnalytic` (runtimes.csv),
which leave out start-up and today's market as well. Both take the same ladders; the two stresses, two markets more, are
in ORE's time alone. Needs the ORE wheel.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.bench_throughput import cpu_s, grid
from bench.var_book import sample_market, swap_book
from xip_core.client import connect_sync
from xip_core.model.aggregates import Aggregate
from xip_core.model.market import Snapshot
from xip_core.model.run_spec import Detail
from xip_core.model.sensitivity import Ladder, SensitivitySet, encode_sensitivities, expand
from xip_core.model.trade import Trade
from xip_core.pricing.bumps import bump_tile
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.pruning import pruned_values
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.simulated_market import simulated_snapshot
from xip_core.pricing.tile_market import MarketView
from xip_core.readers.ore_market import read_ore_market
from xip_core.readers.ore_portfolio import read_portfolio
from xip_core.readers.ore_simulation import read_sensitivities, read_simulation_grid
from xip_core.risk.ladder import combine

TENORS = {  # each bucket has a quote
    "EUR1D": "1W,2W,1M,2M,3M,4M,5M,6M,9M,1Y,15M,18M,21M,2Y,3Y,4Y,5Y,7Y,10Y,12Y,15Y,20Y,25Y,30Y",
    "EUR3M": "1W,1M,2M,3M,5M,6M,8M,9M,1Y,15M,2Y,3Y,4Y,5Y,7Y,10Y,12Y,15Y,20Y,25Y,40Y,50Y",
    "EUR6M": "6M,2Y,3Y,4Y,5Y,7Y,10Y,12Y,15Y,20Y,25Y,30Y,40Y,50Y",
}
RUN_LIMIT_S = 600.0
EXAMPLE_TRADES = 23
TEMPLATE_TRADE, TEMPLATE = "BERMUDAN_SWAPTION", "IR_FD"


def ladders() -> SensitivitySet:
    wanted = (Ladder(kind="par_rate", name=curve, tenors=tuple(tenors.split(","))) for curve, tenors in TENORS.items())
    return SensitivitySet(ladders=tuple(wanted))


def euro_swaps(count: int) -> bytes:
    """The first *count* swaps in euro of the book the other figures are of."""
    found: list[bytes] = []
    drawn = 4 * count
    while len(found) < count:
        found = [line for line in swap_book(drawn).split(b"\n") if json.loads(line)["legs"][0]["currency"] == "EUR"]
        drawn *= 2
    return b"\n".join(found[:count])


def swap_figures(trade_count: int, slot_count: int) -> dict[str, Any]:
    book, market = euro_swaps(trade_count), sample_market()
    figures: dict[str, Any] = {"trades": trade_count, "slots": slot_count}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "swaps.jsonl").write_bytes(book)
        (directory / "market.json").write_bytes(market)
        words = [f"--ladder=par name={curve} tenors={tenors}" for curve, tenors in TENORS.items()]
        command = [sys.executable, "-m", "xip_core.cli", "run", "--local", "--detail=none", "--measures=pv"]
        command += [f"--slots={slot_count}", f"--book={directory}/swaps.jsonl", f"--market={directory}/market.json"]
        begin_s = time.perf_counter()
        done = subprocess.run([*command, *words, "--output=csv"], check=True, capture_output=True, text=True)
        figures["command_s"] = round(time.perf_counter() - begin_s, 2)
        figures["numbers"] = done.stdout.count("\n") - 1
    local = grid(".", worker_count=1, slot_count=slot_count, profile="")
    with local as (address, processes), connect_sync(address) as client:
        before_s = {process: cpu_s(pid) for process, pid in processes.items()}
        begin_s = time.perf_counter()
        scenarios = encode_sensitivities(ladders())
        asked = (Aggregate(measure="ladder"),)
        run = client.submit(book, market, scenarios, ("pv",), aggregates=asked, detail=Detail.NONE)
        run = client.wait(run.run_id, timeout_s=RUN_LIMIT_S)
        figures["run_s"] = round(time.perf_counter() - begin_s, 2)
        figures["cpu_s"] = {process: round(cpu_s(pid) - before_s[process], 2) for process, pid in processes.items()}
        figures["state"] = run.state.label
        figures["valuations"] = run.cell_count
    return figures


# ---- Example 15 ------------------------------------------------------------------------------------------------------


def example_figures(directory: Path, ore_runs: int = 1) -> dict[str, Any]:
    market = read_ore_market(directory)
    trades = read_portfolio(directory / "portfolio.xml").trades[:EXAMPLE_TRADES]
    today = SnapshotLayout(market)
    calibrator_of(market, today).base_market()
    ours_s = min(_our_run_s(directory, market, today, list(trades)) for _ in range(5))
    ore_s = min(_ore_run_s(directory) for _ in range(ore_runs))
    return {"ours_s": round(ours_s, 3), "ore_s": round(ore_s, 2), "ratio": round(ore_s / ours_s, 1)}


def _our_run_s(directory: Path, market: Snapshot, today: SnapshotLayout, trades: list[Trade]) -> float:
    """Seconds of one thread; nothing is kept from an earlier run but today's market, compiled kernels and calendars."""
    begin_s = time.perf_counter()
    files = directory / "example15_expected"
    reduced = simulated_snapshot(market, read_simulation_grid(files / "input_simulation.xml"), today)
    layout = SnapshotLayout(reduced)
    view = MarketView(layout)
    for template in ("", TEMPLATE):
        chosen = [trade for trade in trades if (trade.id == TEMPLATE_TRADE) == bool(template)]
        wanted = read_sensitivities(files / "input_sensitivity.xml", reduced, template).wanted
        if template:
            wanted = _euro_rates(wanted)
        expansion = expand(wanted, reduced)
        columns = bump_tile(reduced, layout, expansion, 0, len(expansion.columns))["market"]
        base = np.ascontiguousarray(columns[:, :1])
        values = [pruned_values(resolve_rows([trade], view), columns, base, has_base=True).values for trade in chosen]
        pv = np.concatenate(values)
        combine(expansion, pv - pv[:, :1])
    return time.perf_counter() - begin_s


def _euro_rates(wanted: SensitivitySet) -> SensitivitySet:
    """What the one trade of the template depends on."""
    names = ("curve/EUR", "swaption_volatility/EUR")
    kept = tuple(ladder for ladder in wanted.ladders if ladder.name.startswith(names))
    return msgspec.structs.replace(wanted, ladders=kept)


def _ore_run_s(directory: Path) -> float:
    """Seconds ORE counts for its sensitivity and stress analytics, pricing the base included."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _write_ore_inputs(directory, work)
        subprocess.run([sys.executable, "-c", ORE_SCRIPT, str(work / "ore.xml")], check=True, capture_output=True)
        with (work / "runtimes.csv").open() as stream:
            rows = {row["#Key"]: float(row["Total"]) for row in csv.DictReader(stream)}
    return 1e-6 * sum(rows[f"{name}|Run {name}Analytic"] for name in ("PRICING", "STRESS"))


ORE_SCRIPT = """
import sys
import ORE
parameters = ORE.Parameters()
parameters.fromFile(sys.argv[1])
ORE.OREApp(parameters).run()
"""


def _write_ore_inputs(directory: Path, work: Path) -> None:
    """ORE wants plain files in one directory, and an ore.xml that names them."""
    for path in (*directory.glob("config/*"), *(directory / "example15_expected").glob("*.xml")):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        (work / path.name.removesuffix(".gz")).write_bytes(content)
    (next(work.glob("fixings*"))).rename(work / "fixings.txt")
    with gzip.open(directory / "marketdata.csv.gz", "rt") as stream:
        quotes = [" ".join(row[:3]) for row in csv.reader(stream)][1:]
    (work / "market.txt").write_text("\n".join(quotes) + "\n")
    found = re.findall(r"<Trade id=.*?</Trade>", (directory / "portfolio.xml").read_text(), re.DOTALL)
    (work / "portfolio.xml").write_text("<Portfolio>" + "\n".join(found[:EXAMPLE_TRADES]) + "</Portfolio>")
    setup = {
        "asofDate": "2016-02-05", "inputPath": work, "outputPath": work, "logFile": "log.txt", "logMask": 15,
        "marketDataFile": "market.txt", "fixingDataFile": "fixings.txt", "implyTodaysFixings": "N",
        "curveConfigFile": "curveconfig.xml", "conventionsFile": "conventions.xml",
        "marketConfigFile": "todaysmarket.xml", "pricingEnginesFile": "pricingengine.xml",
        "portfolioFile": "portfolio.xml", "observationModel": "Disable",
    }  # fmt: skip
    markets = dict.fromkeys(("lgmcalibration", "fxcalibration", "pricing", "simulation", "sensitivity"), "xois_eur")
    common = {"active": "Y", "marketConfigFile": "input_simulation.xml", "pricingEnginesFile": "pricingengine.xml"}
    analytics = {
        "npv": {"active": "Y", "baseCurrency": "EUR", "outputFileName": "npv.csv"},
        "sensitivity": {
            **common, "sensitivityConfigFile": "input_sensitivity.xml", "scenarioOutputFile": "scenario.csv",
            "sensitivityOutputFile": "sensitivity.csv", "crossGammaOutputFile": "crossgamma.csv",
            "outputSensitivityThreshold": "0.000001", "recalibrateModels": "Y",
        },
        "stress": {
            **common, "stressConfigFile": "input_stresstest.xml", "scenarioOutputFile": "stresstest.csv",
            "outputThreshold": "0.000001",
        },
    }  # fmt: skip
    analytic = "".join(
        f'<Analytic type="{name}">{_parameters(values)}</Analytic>' for name, values in analytics.items()
    )
    text = f"<Setup>{_parameters(setup)}</Setup><Markets>{_parameters(markets)}</Markets>"
    (work / "ore.xml").write_text(f"<ORE>{text}<Analytics>{analytic}</Analytics></ORE>")


def _parameters(values: dict[str, Any]) -> str:
    return "".join(f'<Parameter name="{name}">{value}</Parameter>' for name, value in values.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    swaps = commands.add_parser("swaps")
    swaps.add_argument("--trades", type=int, default=20_000)
    swaps.add_argument("--slots", type=int, default=2)
    example = commands.add_parser("example15")
    example.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "swaps":
        figures = swap_figures(arguments.trades, arguments.slots)
    else:
        figures = example_figures(arguments.directory)
    print(msgspec.json.format(msgspec.json.encode(figures), indent=2).decode())


if __name__ == "__main__":
    main()
