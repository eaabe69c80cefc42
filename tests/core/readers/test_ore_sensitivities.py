"""xip_core.readers.ore_simulation: grids and ladders of ORE's files, written small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.small_market import a_snapshot
from xip_core.cli.main import run_command
from xip_core.errors import InputError
from xip_core.model.market import Security, Snapshot, encode_snapshot
from xip_core.model.sensitivity import CrossGamma, Ladder, decode_sensitivities
from xip_core.model.simulation_grid import SimulationGrid
from xip_core.pricing.simulated_market import simulated_snapshot
from xip_core.readers.ore_simulation import read_sensitivities, read_simulation_grid

SIMULATION = """
<Simulation><Market>
  <YieldCurves><Configuration><Tenors>1Y, 5Y,10Y</Tenors></Configuration></YieldCurves>
  <CapFloorVolatilities><Expiries>1Y,2Y</Expiries><Strikes>0.00,0.01</Strikes></CapFloorVolatilities>
</Market></Simulation>
"""

SENSITIVITY = """
<SensitivityAnalysis>
  <DiscountCurves>
    <DiscountCurve ccy="EUR">
      <ShiftType>Absolute</ShiftType><ShiftSize>0.0001</ShiftSize><ShiftSize key="IR_FD">0.001</ShiftSize>
      <ShiftScheme>Forward</ShiftScheme><ShiftScheme key="IR_FD">Central</ShiftScheme>
      <ShiftTenors>1Y,5Y</ShiftTenors>
    </DiscountCurve>
    <DiscountCurve ccy="JPY"><ShiftType>Absolute</ShiftType><ShiftSize>1</ShiftSize></DiscountCurve>
  </DiscountCurves>
  <IndexCurves>
    <IndexCurve index="EUR-EURIBOR-6M">
      <ShiftType>Absolute</ShiftType><ShiftSize>0.0001</ShiftSize><ShiftScheme>Forward</ShiftScheme>
      <ShiftTenors>5Y</ShiftTenors>
    </IndexCurve>
  </IndexCurves>
  <FxSpots>
    <FxSpot ccypair="USDEUR">
      <ShiftType>Relative</ShiftType><ShiftSize>0.01</ShiftSize><ShiftScheme>Forward</ShiftScheme>
    </FxSpot>
  </FxSpots>
  <FxVolatilities>
    <FxVolatility ccypair="USDEUR">
      <ShiftType>Relative</ShiftType><ShiftSize>0.01</ShiftSize><ShiftExpiries>1Y,2Y</ShiftExpiries>
    </FxVolatility>
  </FxVolatilities>
  <CapFloorVolatilities>
    <CapFloorVolatility ccy="EUR">
      <ShiftType>Absolute</ShiftType><ShiftSize>0.0001</ShiftSize><ShiftExpiries>1Y</ShiftExpiries>
      <ShiftStrikes>0.01</ShiftStrikes><Index>EUR-EURIBOR-6M</Index>
    </CapFloorVolatility>
  </CapFloorVolatilities>
  <SecuritySpreads>
    <SecuritySpread security="S"><ShiftType>Absolute</ShiftType><ShiftSize>0.0001</ShiftSize></SecuritySpread>
    <SecuritySpread security="NOBODY"/>
  </SecuritySpreads>
  <BaseCorrelations><BaseCorrelation indexName="I"/></BaseCorrelations>
  <CrossGammaFilter>
    <Pair>DiscountCurve/EUR,IndexCurve/EUR</Pair><Pair>DiscountCurve/GBP,IndexCurve/GBP</Pair>
  </CrossGammaFilter>
</SensitivityAnalysis>
"""


def written(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text.strip())
    return path


@pytest.fixture
def reduced(tmp_path: Path) -> Snapshot:
    grid = read_simulation_grid(written(tmp_path, "simulation.xml", SIMULATION))
    assert grid == SimulationGrid(curves=("1Y", "5Y", "10Y"), cap_expiries=("1Y", "2Y"), cap_strikes=(0.0, 0.01))
    securities = (Security(name="S", spread_quote="S.SPREAD"),)
    return simulated_snapshot(a_snapshot({"S.SPREAD": 0.001}, securities=securities), grid)


def test_shifts_become_ladders_of_the_reduced_market(tmp_path: Path, reduced: Snapshot) -> None:
    """Yen has no curve there; base correlations are named as what is not read; the pair of sterling has no ladder."""
    found = read_sensitivities(written(tmp_path, "sensitivity.xml", SENSITIVITY), reduced)
    assert found.wanted.ladders == (
        Ladder(kind="zero_rate", name="curve/EUR", tenors=("1Y", "5Y"), unit="bp", scheme="forward", is_gamma=True),
        Ladder(
            kind="zero_rate", name="curve/EUR-EURIBOR-6M", tenors=("5Y",), unit="bp", scheme="forward", is_gamma=True
        ),
        Ladder(kind="fx", name="fx/USD", unit="percent", scheme="forward", is_gamma=True),
        Ladder(
            kind="vega",
            name="fx_volatility/EURUSD",
            tenors=("1Y", "2Y"),
            unit="percent",
            scheme="forward",
            is_gamma=True,
        ),
        Ladder(
            kind="vega",
            name="cap_volatility/EUR-EURIBOR-6M",
            tenors=("1Y",),
            across=("0.01",),
            unit="bp",
            scheme="forward",
            is_gamma=True,
        ),
        Ladder(kind="security_spread", name="security/S", unit="bp", scheme="forward", is_gamma=True),
    )
    pair = CrossGamma(first="zero_rate/EUR", second="zero_rate/EUR-*", scheme="forward")
    assert found.wanted.cross_gammas == (pair,)
    assert found.unread == ("BaseCorrelations",)


def test_a_template_has_its_own_shifts(tmp_path: Path, reduced: Snapshot) -> None:
    found = read_sensitivities(written(tmp_path, "sensitivity.xml", SENSITIVITY), reduced, "IR_FD")
    assert [(ladder.bump, ladder.scheme) for ladder in found.wanted.ladders[:2]] == [
        (10.0, "central"),
        (1.0, "forward"),
    ]


def test_another_kind_of_shift_is_refused_by_name(tmp_path: Path, reduced: Snapshot) -> None:
    text = SENSITIVITY.replace("<ShiftType>Relative</ShiftType>", "<ShiftType>Odd</ShiftType>", 1)
    with pytest.raises(InputError, match="FxSpot fx/USD: shift type and scheme 'Odd', 'Forward' are not supported"):
        read_sensitivities(written(tmp_path, "sensitivity.xml", text), reduced)


def test_a_simulation_without_a_market_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must have an element Market"):
        read_simulation_grid(written(tmp_path, "simulation.xml", "<Simulation/>"))


def test_the_command_writes_ladders(
    tmp_path: Path, reduced: Snapshot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "sensitivity.xml", SENSITIVITY)
    (tmp_path / "reduced.json").write_bytes(encode_snapshot(reduced))
    words = ["scenarios", "ore-sensitivities", "sensitivity.xml", "--market", "reduced.json", "-o", "ladders.json"]
    assert run_command(words) == 0
    printed = capsys.readouterr()
    assert printed.out == "ladders.json: 6 ladders, 8 bumps\n"
    assert "BaseCorrelations" in printed.err
    assert len(decode_sensitivities((tmp_path / "ladders.json").read_bytes()).ladders) == 6
