"""ORE itself on the reference folder's files: what its runs have in common.

It runs in a process of its own: its settings are global.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

from tests.core.pricing.ore_reference import ORE

RUN = "import sys, ORE; p = ORE.Parameters(); p.fromFile(sys.argv[1]); ORE.OREApp(p, False).run()"
RUN_LIMIT_S = 120
SETUP = {
    "asofDate": "2016-02-05",
    "logFile": "log.txt",
    "marketDataFile": "marketdata.csv",
    "fixingDataFile": "fixings.txt",
    "implyTodaysFixings": "N",
    "curveConfigFile": "curveconfig.xml",
    "conventionsFile": "conventions.xml",
    "marketConfigFile": "todaysmarket.xml",
    "pricingEnginesFile": "pricingengine.xml",
    "portfolioFile": "portfolio.xml",
    "observationModel": "None",
}
MARKETS = ("lgmcalibration", "fxcalibration", "pricing", "simulation", "sensitivity")


def write_configuration(folder: Path) -> None:
    """Conventions, curves, engines and fixings of the reference; quotes, portfolio and settings are the caller's."""
    for name in ("conventions.xml", "curveconfig.xml", "todaysmarket.xml"):
        (folder / name).write_bytes(gzip.decompress((ORE / "config" / f"{name}.gz").read_bytes()))
    (folder / "fixings.txt").write_bytes(gzip.decompress((ORE / "config" / "fixings_20160205.txt.gz").read_bytes()))
    (folder / "pricingengine.xml").write_bytes((ORE / "config" / "pricingengine.xml").read_bytes())


def write_settings(folder: Path, analytic: str, parameters: dict[str, str], setup: dict[str, str]) -> None:
    """ore.xml of one *analytic* with *parameters*; *setup* is what this run sets beside SETUP."""
    paths = {"inputPath": str(folder), "outputPath": str(folder)}
    parts = (
        f"<Setup>{_lines(SETUP | paths | setup)}</Setup>",
        f"<Markets>{_lines(dict.fromkeys(MARKETS, 'xois_eur'))}</Markets>",
        f'<Analytics><Analytic type="{analytic}">{_lines({"active": "Y", **parameters})}</Analytic></Analytics>',
    )
    (folder / "ore.xml").write_text(f'<?xml version="1.0"?><ORE>{"".join(parts)}</ORE>')


def run(folder: Path) -> None:
    """What ore.xml says; its reports are in *folder* afterwards."""
    command = [sys.executable, "-c", RUN, str(folder / "ore.xml")]
    subprocess.run(command, check=True, capture_output=True, timeout=RUN_LIMIT_S)


def _lines(parameters: dict[str, str]) -> str:
    return "".join(f'<Parameter name="{name}">{value}</Parameter>' for name, value in parameters.items())
