"""Delta-gamma VaR against ORE's parametric VaR, on drawn sensitivities and covariances of its Example 15's factors."""

from __future__ import annotations

import csv
import gzip
import math
import random
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from tests.core.cli.test_covariances import ORE_VAR
from tests.core.pricing.ore_reference import ORE, REPOSITORY, needs_ore
from tests.core.risk.ore_sensitivities import COVARIANCES, SENSITIVITIES, QuadraticBook, read_quadratic_book
from tests.oracle import ore_run
from xip_core.risk.delta_gamma import check_covariance, cornish_fisher_var, cumulants, delta_gamma_pnl
from xip_core.risk.measures import value_at_risk

QUANTILES = (0.01, 0.05, 0.95, 0.99)
BOOKS = 3


def write_inputs(folder: Path, seed: int) -> None:
    """The example's files; deltas and gammas moved by factors of *seed*, gammas also made larger."""
    ore_run.write_configuration(folder)
    (folder / "portfolio.xml").write_bytes((ORE / "portfolio.xml").read_bytes())
    quotes = gzip.decompress((ORE / "marketdata.csv.gz").read_bytes()).decode().splitlines()
    (folder / "marketdata.csv").write_text("".join(f"{line}\n" for line in quotes if not line.startswith("#")))
    draw = random.Random(seed)
    with SENSITIVITIES.open() as file:
        header, *rows = list(csv.reader(file))
    delta, gamma = header.index("Delta"), header.index("Gamma")
    with (folder / "sensitivity.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            row[delta] = f"{float(row[delta]) * draw.uniform(-1.0, 2.0):.6f}"
            row[gamma] = f"{float(row[gamma]) * draw.uniform(-1.0, 2.0) * 5.0 * seed:.6f}"
            writer.writerow(row)
    with (folder / "covariance.csv").open("w") as target:
        for line in COVARIANCES.read_text().splitlines():
            first, second, value = line.split()
            target.write(f"{first}\t{second}\t{float(value) * draw.uniform(0.2, 3.0):.6f}\n")


def ores_var(folder: Path, method: str) -> list[float]:
    """ORE's quantiles of the whole book's P&L."""
    analytic = {
        "sensitivityInputFile": "sensitivity.csv",
        "covarianceInputFile": "covariance.csv",
        "quantiles": ",".join(map(str, QUANTILES)),
        "breakdown": "N",
        "portfolioFilter": "",
        "method": method,
        "outputFile": "var.csv",
    }
    ore_run.write_settings(folder, "parametricVar", analytic, {"continueOnError": "true", "logMask": "15"})
    ore_run.run(folder)
    with (folder / "var.csv").open() as file:
        line = next(row for row in csv.reader(file) if row[:3] == ["All", "All", "All"])
    return [float(number) for number in line[3:]]


@needs_ore
@pytest.mark.parametrize("seed", range(1, BOOKS + 1))
def test_moments_and_expansion_are_ores(seed: int, tmp_path: Path) -> None:
    write_inputs(tmp_path, seed)
    book = read_quadratic_book(tmp_path / "sensitivity.csv", tmp_path / "covariance.csv")
    moments = cumulants(*book)
    normal = [moments.mean + math.sqrt(moments.variance) * NormalDist().inv_cdf(q) for q in QUANTILES]
    assert normal == pytest.approx(ores_var(tmp_path, "DeltaGammaNormal"), rel=1e-6)
    bent = [-cornish_fisher_var(moments, 1.0 - q) for q in QUANTILES]
    assert bent == pytest.approx(ores_var(tmp_path, "Cornish-Fisher"), rel=1e-6)
    assert abs(moments.skewness) > 0.01, "gammas are too small to test anything"


@needs_ore
def test_the_var_that_a_local_run_is_held_against_is_ores(tmp_path: Path) -> None:
    """Its own sensitivities of Example 15 but for the Bermudan swaption and the security spread, its covariance."""
    write_inputs(tmp_path, 1)
    (tmp_path / "covariance.csv").write_bytes(COVARIANCES.read_bytes())
    with SENSITIVITIES.open() as file:
        header = next(csv.reader(file))
    with (REPOSITORY / "tests/reference/ore_example15.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["trade"] != "BERMUDAN_SWAPTION"]
    with (tmp_path / "sensitivity.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            if not row["factor_1"].startswith("SecuritySpread"):
                numbers = (row["delta"], row["gamma"])
                shifts = (row["factor_1"], "0.0001", row["factor_2"], "0.0001" if row["factor_2"] else "0")
                writer.writerow((row["trade"], "false", *shifts, "EUR", "0", *numbers, "EUR", "0", *numbers))
    methods = {"delta": "Delta", "delta_gamma_normal": "DeltaGammaNormal", "cornish_fisher": "Cornish-Fisher"}
    found = {ours: -ores_var(tmp_path, theirs)[0] for ours, theirs in methods.items()}
    assert found == pytest.approx(ORE_VAR, abs=0.01)


def true_quantile(book: QuadraticBook, q: float) -> float:
    """By inversion of the characteristic function (Gil-Pelaez), after a rotation to independent normals."""
    root = check_covariance(book.covariance)
    curvature, rotation = np.linalg.eigh(root.T @ book.gamma @ root)
    slope = rotation.T @ (root.T @ book.delta)
    deviation = math.sqrt(slope @ slope + 0.5 * curvature @ curvature)
    t = np.linspace(1e-9, 14.0, 40_001) / deviation
    log_phi = np.zeros(len(t), complex)
    for bend, pull in zip(curvature.tolist(), slope.tolist(), strict=True):
        log_phi -= 0.5 * np.log(1.0 - 1j * t * bend) + 0.5 * (pull * t) ** 2 / (1.0 - 1j * t * bend)
    low, high = -12.0 * deviation, 12.0 * deviation
    for _ in range(60):
        middle = 0.5 * (low + high)
        chance = 0.5 - np.trapezoid(np.imag(np.exp(log_phi - 1j * t * middle)) / t, t) / math.pi
        low, high = (middle, high) if chance < q else (low, middle)
    return middle


@needs_ore
def test_simulation_finds_the_true_quantile(tmp_path: Path) -> None:
    """2^17 paths are within 1 % of it under large gammas, where ORE's saddlepoint approximation is 1.2 % off."""
    write_inputs(tmp_path, 3)
    book = read_quadratic_book(tmp_path / "sensitivity.csv", tmp_path / "covariance.csv")
    pnl = delta_gamma_pnl(*book, 1 << 17, seed=5)[None, :]
    found = [-float(value_at_risk(pnl, round(1.0 - q, 2))[0]) for q in QUANTILES]
    true = [true_quantile(book, q) for q in QUANTILES]
    assert found == pytest.approx(true, rel=1e-2)
    assert ores_var(tmp_path, "Saddlepoint") == pytest.approx(true, rel=2e-2)
