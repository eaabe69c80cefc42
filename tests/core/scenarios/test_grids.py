"""xip_core.scenarios.grids and packs"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.small_market import a_snapshot
from xip_core.errors import RequestError
from xip_core.model.scenario import Scenario, ScenarioMarket, Shift
from xip_core.scenarios.grids import axis, grid, parse_axis, parse_sizes
from xip_core.scenarios.packs import parse_pack


def test_grid_is_every_combination_the_last_axis_fastest():
    """Spot x volatility."""
    volatility = parse_axis("equity_volatility ACME absolute 0,0.05")
    scenarios = grid((parse_axis("equity ACME relative -0.1,0,0.1"), volatility))
    assert [scenario.name for scenario in scenarios.scenarios] == [
        "base",
        "equity ACME -10 %, equity_volatility ACME +0",
        "equity ACME -10 %, equity_volatility ACME +0.05",
        "equity ACME +0 %, equity_volatility ACME +0",
        "equity ACME +0 %, equity_volatility ACME +0.05",
        "equity ACME +10 %, equity_volatility ACME +0",
        "equity ACME +10 %, equity_volatility ACME +0.05",
    ]
    market = ScenarioMarket(a_snapshot())
    market.check(scenarios)
    found = market.quote_matrix(scenarios, 0, 7).changed()
    assert found[3] == {}
    assert found[6] == pytest.approx({"ACME": 110.0, "ACME.1Y": 111.1, "ACME.2Y": 113.3, "ACME.VOL": 0.35})


def test_axes_that_move_the_same_quote_contradict_each_other():
    """A grid is exclusive."""
    scenarios = grid((parse_axis("curve EUR1D bps 1,2"), parse_axis("currency EUR bps 1,2")))
    with pytest.raises(RequestError, match="must change EUR") as caught:
        ScenarioMarket(a_snapshot()).check(scenarios)
    assert caught.value.reason == "CONTRADICTORY_SHIFTS"


def test_bounds_of_an_axis_are_those_of_a_shift():
    """Short volatilities alone."""
    one = axis("short vol", "fx_volatility", "*", "factor", (0.5, 2.0), until="1Y")
    assert one.shifts[1] == Shift(target="fx_volatility", name="*", until="1Y", shift_factor=2.0)


def test_sizes_are_decimals():
    """0.1 three times is 0.3."""
    assert parse_sizes("0:0.3:0.1") == (0.0, 0.1, 0.2, 0.3)
    assert parse_sizes("-50,0,12.5") == (-50.0, 0.0, 12.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("equity ACME relative", "an axis must look like"),
        ("weather ACME relative 0,1", "a target must be one of quote, curve"),
        ("equity ACME percent 0,1", "a kind must be one of bps, relative, absolute, factor, got 'percent'"),
        ("equity ACME relative 1:0:0.1", "sizes must go from first to last by a positive step"),
        ("equity ACME relative 0:1:0", "sizes must go from first to last by a positive step"),
        ("equity ACME relative a,b", "sizes must look like"),
        ("equity ACME relative 1,1", "must have sizes, each once"),
        ("equity ACME relative 0:1:0.000001", "an axis must have at most 100000 sizes, got 1000001"),
    ],
)
def test_axis_that_cannot_be_meant_is_refused(text, message):
    """With what was got."""
    with pytest.raises(RequestError, match=message) as caught:
        parse_axis(text)
    assert caught.value.reason == "BAD_GRID"


def test_grid_needs_axes_of_distinct_labels_and_a_bounded_number_of_points():
    """Labels are how points are read."""
    one = parse_axis("equity ACME relative 0:0.99:0.001")
    for axes in ((), (one, one)):
        with pytest.raises(RequestError, match="distinct labels"):
            grid(axes)
    with pytest.raises(RequestError, match="fewer than 100000 points, got 982081"):
        grid((one, parse_axis("equity INDX relative 0:0.99:0.001")))


PACK = """# of the desk
scenario,target,name,kind,size,after,until,moneyness_until

rates up,risk_class,INTEREST_RATE,bps,100,,,
steepener,currency,*,bps,-25,,2Y,
steepener,currency,*,bps,50,5Y,,
crash,equity,*,relative,-0.3,,,
crash,commodity_volatility,*,factor,1.5,,,1.0
"""


def test_pack_is_scenarios_of_its_lines():
    """Lines of one name are one scenario."""
    scenarios = parse_pack(PACK)
    assert [scenario.name for scenario in scenarios.scenarios] == ["base", "rates up", "steepener", "crash"]
    assert scenarios.scenarios[2] == Scenario(
        name="steepener",
        shifts=(
            Shift(target="currency", name="*", until="2Y", shift_bps=-25.0),
            Shift(target="currency", name="*", after="5Y", shift_bps=50.0),
        ),
    )
    market = ScenarioMarket(a_snapshot())
    market.check(scenarios)
    crash = market.changed_quotes(scenarios.scenarios[3])
    assert crash["OIL.VOL.1Y.30"] == pytest.approx(0.3)
    assert "OIL.VOL.1Y.40" not in crash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a header and a line, got nothing"),
        ("scenario,target,name,kind,size\n", "must have a line besides its header"),
        ("scenario,target,name,kind\na,fx,*,bps\n", "line 1: the header must have"),
        ("scenario,target,name,kind,size,colour\n", "line 1: columns must be of .* got 'colour'"),
        ("scenario,target,name,kind,size\na,fx,*,bps\n", "line 2: must have 5 cells like the header, got 4"),
        ("scenario,target,name,kind,size\na,fx,*,bps,x\n", "line 2: size must be a number, got 'x'"),
        ("scenario,target,name,kind,size\na,fx,*,percent,1\n", "line 2: kind must be one of"),
        ("scenario,target,name,kind,size\na,wind,*,bps,1\n", "line 2: Invalid enum value 'wind'"),
        ("scenario,target,name,kind,size\nbase,fx,*,bps,1\n", "line 2: a scenario must have a name other than base"),
        (
            "scenario,target,name,kind,size\na,fx,*,bps,1\nb,fx,*,bps,1\na,fx,*,bps,1\n",
            "line 4: lines of one scenario must stand together, 'a' was there before",
        ),
    ],
)
def test_pack_that_cannot_be_read_is_refused_with_its_line(text, message):
    """So it can be mended."""
    with pytest.raises(RequestError, match=message) as caught:
        parse_pack(text)
    assert caught.value.reason == "BAD_PACK"


def test_example_pack_fits_the_small_market():
    """It ships with the package, as an example of the format."""
    import xip_core.scenarios

    path = Path(xip_core.scenarios.__file__).parent / "example_pack.csv"
    scenarios = parse_pack(path.read_text())
    ScenarioMarket(a_snapshot()).check(scenarios)
    assert "flight to quality" in [scenario.name for scenario in scenarios.scenarios]
