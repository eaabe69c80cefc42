"""xip_core.readers.ore_history: scenario files of ORE, on files of its form"""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.core.small_market import a_snapshot, curves
from xip_core.errors import InputError, RequestError
from xip_core.model.market import FxSpot
from xip_core.model.simulation_grid import SimulationGrid
from xip_core.readers.ore_history import (
    ore_scenario_market,
    ore_scenarios,
    read_ore_history,
)
from xip_core.scenarios.historical import Horizon

TENORS = SimulationGrid(curves=("1Y", "5Y"), hazards=("5Y",))
TEXT = """Date,Scenario,Numeraire,DiscountCurve/EUR/0,DiscountCurve/EUR/1,IndexCurve/EUR-EURIBOR-6M/0,\
IndexCurve/EUR-EURIBOR-6M/1,FXSpot/USDEUR/0,EquitySpot/ACME/0,SurvivalProbability/BANK/0,FXVolatility/EURUSD/0
04/01/2016,1,1,0.99,0.95,0.98,0.94,0.90,50,0.97,0.1
05/01/2016,1,1,0.98,0.96,0.97,0.95,0.99,55,0.96,0.1
2016-01-06,1,1,0.97,0.97,0.96,0.96,,66,0.95,0.1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    return path


def test_file_is_a_history_by_key(path):
    """Dates of either form, an empty cell is a missing number."""
    history = read_ore_history(path)
    assert history.dates == (dt.date(2016, 1, 4), dt.date(2016, 1, 5), dt.date(2016, 1, 6))
    assert history.names[:2] == ("DiscountCurve/EUR/0", "DiscountCurve/EUR/1")
    assert np.isnan(history.values[2, 4])
    assert history.values[1, 5] == 55.0


def test_keys_become_shifts_of_the_reduced_market(path):
    """Curves by discount factors, survival likewise, spots by their quotes, the inverse pair by the inverse."""
    define = curves()[0]
    renamed = type(define)(name="EUR", currency="EUR", segments=define.segments)
    snapshot = a_snapshot(curves=(*curves(), renamed))
    found = ore_scenarios(read_ore_history(path), Horizon(), TENORS, snapshot)
    names = [scenario.name for scenario in found.scenarios.scenarios]
    assert names == ["base", "2016-01-04 to 2016-01-05", "2016-01-05 to 2016-01-06"]
    tables = {table.target: table for table in found.scenarios.shift_tables}
    assert (tables["discount"].names, tables["discount"].tenors) == (("EUR", "EUR"), ("1Y", "5Y"))
    ratios = np.array([[0.98 / 0.99, 0.97 / 0.98], [0.96 / 0.95, 0.97 / 0.96]])
    assert tables["discount"].matrix() == pytest.approx(ratios)
    assert (tables["survival"].names, tables["survival"].tenors) == (("BANK",), ("5Y",))
    assert tables["quote"].names == ("EURUSD", "ACME")
    assert tables["quote"].matrix() == pytest.approx(np.array([[0.90 / 0.99, 1.0], [1.1, 1.2]]))
    assert found.unread == ("IndexCurve/EUR-EURIBOR-6M/0", "IndexCurve/EUR-EURIBOR-6M/1", "FXVolatility/EURUSD/0")


def test_row_of_a_day_is_a_market(path):
    """Its curves go through the discount factors of that row; indices are on curves of their own name."""
    spot = FxSpot(foreign_currency="USD", domestic_currency="EUR", quote="USDEUR")
    day = dt.date(2016, 1, 5)
    snapshot = ore_scenario_market(read_ore_history(path), day, TENORS, "EUR", (spot,), {"USDEUR": 0.99}, {})
    assert snapshot.as_of == day
    assert [curve.name for curve in snapshot.curves] == ["EUR", "EUR-EURIBOR-6M"]
    assert [pillar.tenor for pillar in snapshot.curves[0].segments[0].pillars] == ["2017-01-05", "2021-01-05"]
    assert snapshot.quotes["IndexCurve/EUR-EURIBOR-6M/1"] == 0.95
    assert snapshot.discount_curves == {"EUR": "EUR"}
    with pytest.raises(RequestError, match="the history has no row of 2016-02-01"):
        ore_scenario_market(read_ore_history(path), dt.date(2016, 2, 1), TENORS, "EUR", (spot,), {}, {})


def test_position_beyond_the_tenors_is_refused(path):
    """A simulation.xml of another run."""
    grid = SimulationGrid(curves=("1Y",))
    with pytest.raises(RequestError, match="must be below the 1 tenors, got DiscountCurve/EUR/1"):
        ore_scenario_market(read_ore_history(path), dt.date(2016, 1, 5), grid, "EUR", (), {}, {})


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("Date,Scenario\n", "the first line must begin with Date,Scenario,Numeraire", 1),
        ("Date,Scenario,Numeraire,A/B/0\n", "must have a line of numbers", None),
        ("Date,Scenario,Numeraire,A/B/0\n1/2/2016,1,1\n", "a line must have 4 cells like the first, got 3", 2),
        ("Date,Scenario,Numeraire,A/B/0\n31/31/2016,1,1,1\n", "a date must look like 30/12/2019", 2),
        ("Date,Scenario,Numeraire,A/B/0\n1/2/2016,1,1,x\n", "A/B/0 must be a number, got 'x'", 2),
    ],
)
def test_malformed_file_is_refused_with_its_line(tmp_path, text, message, line):
    """So it can be mended."""
    path = tmp_path / "scenarios.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_ore_history(path)
    assert caught.value.line == line
