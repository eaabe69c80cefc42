"""xipctl scenarios: sets from files, and what they hold, without a scheduler."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.core.small_market import a_snapshot
from xip_core.cli.main import run_command
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.model.scenario import decode_scenarios


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A market and the files generators read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market.json").write_bytes(encode_snapshot(a_snapshot()))
    history = "date,OIL,EUR.OIS.5Y\n2024-01-08,50,0.001\n2024-01-09,55,0.002\n2024-01-10,44,\n2024-01-11,22,0.001\n"
    (tmp_path / "history.csv").write_text(history)
    (tmp_path / "pack.csv").write_text("scenario,target,name,kind,size\ncrash,equity,*,relative,-0.3\n")
    factors = "name,target,quotes,kind,volatility,mean\noil,commodity,OIL,log,0.4,\nacme,equity,ACME,log,0.2,0.01\n"
    (tmp_path / "factors.csv").write_text(factors)
    (tmp_path / "correlation.csv").write_text(",acme,oil\nacme,1,0.5\noil,0.5,1\n")
    return tmp_path


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run_command(["scenarios", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_historical_set_is_written_as_asked(capsys, folder):
    options = ["--return", "EUR.*=absolute", "--return", "*=log", "--missing", "skip", "--market", "market.json"]
    code, out, err = called(capsys, "historical", "history.csv", *options, "-o", "set.json")
    assert (code, err) == (0, "")
    assert out.startswith("set.json: 2 scenarios with the base, ")
    found = decode_scenarios((folder / "set.json").read_bytes())
    assert [scenario.name for scenario in found.scenarios] == ["base", "2024-01-08 to 2024-01-09"]
    assert {table.names: table.matrix()[0, 0] for table in found.shift_tables} == pytest.approx(
        {("EUR.OIS.5Y",): 0.001, ("OIL",): 1.1}
    )


def test_history_of_zero_rates_shifts_curves(capsys, folder):
    (folder / "zeros.csv").write_text("date,EUR1D/1Y,EUR1D/5Y\n2024-01-08,0.01,0.02\n2024-01-09,0.012,0.019\n")
    options = ["--target", "zero_rate", "--return", "*=absolute", "--market", "market.json"]
    assert called(capsys, "historical", "zeros.csv", *options, "-o", "set.json")[0] == 0
    (table,) = decode_scenarios((folder / "set.json").read_bytes()).shift_tables
    assert (table.target, table.names, table.tenors) == ("zero_rate", ("EUR1D", "EUR1D"), ("1Y", "5Y"))
    assert table.matrix()[:, 0] == pytest.approx([0.002, -0.001])


def test_missing_number_is_refused_in_one_sentence(capsys, folder):
    code, out, err = called(capsys, "historical", "history.csv", "--return", "*=absolute", "-o", "set.json")
    assert (code, out) == (1, "")
    assert err == "xipctl: quote EUR.OIS.5Y must have a number on 2024-01-10, got none; 2 such returns\n"
    assert not (folder / "set.json").exists()


def test_filter_period_and_horizon_narrow_a_history(capsys, folder):
    options = ["--only", "OIL", "--horizon", "2", "--since", "2024-01-11"]
    assert called(capsys, "historical", "history.csv", *options, "-o", "set.json")[0] == 0
    found = decode_scenarios((folder / "set.json").read_bytes())
    assert [scenario.name for scenario in found.scenarios] == ["base", "2024-01-09 to 2024-01-11"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--return", "OIL"], "--return must look like 'EUR.*=absolute', got 'OIL'"),
        (["--since", "today"], "--since must be a date like 2024-01-31, got 'today'"),
    ],
)
def test_option_that_cannot_be_read_is_a_wrong_command_line(capsys, folder, options, message):
    code, _, err = called(capsys, "historical", "history.csv", *options, "-o", "set.json")
    assert code == 2
    assert message in err


def test_set_that_does_not_fit_the_market_is_not_written(capsys, folder):
    (folder / "other.csv").write_text("date,GAS\n2024-01-08,50\n2024-01-09,55\n")
    code, _, err = called(capsys, "historical", "other.csv", "--market", "market.json", "-o", "set.json")
    assert code == 1
    assert "names nothing in the market: 'GAS'" in err
    assert not (folder / "set.json").exists()


def test_grid_and_stress_pack_are_written(capsys, folder):
    axes = ["equity ACME relative -0.1:0.1:0.1", "equity_volatility ACME absolute 0,0.1"]
    assert called(capsys, "grid", *axes, "--market", "market.json", "-o", "grid.json")[0] == 0
    assert len(decode_scenarios((folder / "grid.json").read_bytes()).scenarios) == 7
    assert called(capsys, "stress", "pack.csv", "--market", "market.json", "-o", "pack.json")[0] == 0
    assert len(decode_scenarios((folder / "pack.json").read_bytes()).scenarios) == 2


def test_monte_carlo_set_is_the_same_for_a_seed(capsys, folder):
    options = ["--count", "16", "--seed", "7", "--horizon-years", "0.04", "--market", "market.json"]
    for name in ("one.json", "two.json"):
        assert called(capsys, "montecarlo", "factors.csv", "correlation.csv", *options, "-o", name)[0] == 0
    assert (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes()
    (table,) = decode_scenarios((folder / "one.json").read_bytes()).shift_tables
    assert table.names == ("OIL", "OIL.1Y", "ACME")
    assert np.log(table.matrix()[0]).std() == pytest.approx(0.08, rel=0.2)


def test_correlation_of_other_names_is_refused_with_its_file(capsys, folder):
    (folder / "correlation.csv").write_text(",acme,gas\nacme,1,0.5\ngas,0.5,1\n")
    options = ["--count", "16", "--seed", "7", "--horizon-years", "0.04", "--market", "market.json"]
    code, _, err = called(capsys, "montecarlo", "factors.csv", "correlation.csv", *options, "-o", "x.json")
    assert code == 1
    assert "correlation.csv" in err
    assert "must be named oil, acme" in err


def test_sets_are_joined(capsys, folder):
    assert called(capsys, "historical", "history.csv", "--only", "OIL", "-o", "set.json")[0] == 0
    assert called(capsys, "stress", "pack.csv", "-o", "pack.json")[0] == 0
    assert called(capsys, "join", "set.json", "pack.json", "--market", "market.json", "-o", "all.json")[0] == 0
    names = [scenario.name for scenario in decode_scenarios((folder / "all.json").read_bytes()).scenarios]
    assert (names[0], len(names), names[-1]) == ("base", 5, "crash")


def test_show_counts_what_a_set_holds_and_touches(capsys, folder):
    assert called(capsys, "stress", "pack.csv", "-o", "pack.json")[0] == 0
    code, out, _ = called(capsys, "show", "pack.json", "--market", "market.json")
    assert code == 0
    assert "pack.json  2 scenarios with the base" in out
    (line,) = (line for line in out.splitlines() if line.startswith("crash"))
    assert line.split("  ")[1:] == ["named shifts 1", "quotes 4", "curves 0", "objects 2", "EQUITY 4"]
    code, out, _ = called(capsys, "show", "pack.json", "--output", "json")
    shown = json.loads(out)
    assert shown["scenario_count"] == 2
    assert shown["scenarios"][1] == {"name": "crash", "named_shifts": 1}


def test_show_has_a_line_for_each_table(capsys, folder):
    assert called(capsys, "historical", "history.csv", "--only", "OIL", "-o", "set.json")[0] == 0
    code, out, _ = called(capsys, "show", "set.json")
    assert code == 0
    assert "  quote  factor  1 rows  scenarios 1 to 3" in out


SIMULATION = """<Simulation><Market><YieldCurves><Configuration><Tenors>1Y, 5Y</Tenors></Configuration></YieldCurves>
</Market></Simulation>"""
STRESS = """<StressTesting><StressTest id="up"><DiscountCurves><DiscountCurve ccy="EUR"><ShiftType>Absolute</ShiftType>
<Shifts>0.01</Shifts><ShiftTenors>5Y</ShiftTenors></DiscountCurve><DiscountCurve ccy="GBP"/></DiscountCurves>
</StressTest></StressTesting>"""
ORE_HISTORY = """Date,Scenario,Numeraire,DiscountCurve/EUR/0,DiscountCurve/EUR/1,FXSpot/USDEUR/0,FXVolatility/USDEUR/0
04/01/2016,1,1,0.99,0.95,0.9,0.1
05/01/2016,1,1,0.98,0.96,0.9,0.1
"""


def test_files_of_ore_become_sets_on_a_reduced_market(capsys, folder):
    for name, text in (("simulation.xml", SIMULATION), ("stress.xml", STRESS), ("ore.csv", ORE_HISTORY)):
        (folder / name).write_text(text)
    code, out, _ = called(capsys, "reduce", "market.json", "simulation.xml", "-o", "reduced.json")
    assert (code, out.split(":")[0]) == (0, "reduced.json")
    code, out, err = called(capsys, "ore-stress", "stress.xml", "--market", "reduced.json", "-o", "stress.json")
    assert (code, err) == (0, "moves nothing in the market: up: DiscountCurve GBP\n")
    (table,) = decode_scenarios((folder / "stress.json").read_bytes()).shift_tables
    assert (table.target, table.names, table.tenors) == ("zero_rate", ("EUR",), ("5Y",))
    options = ["--market", "reduced.json", "--calendar", "TARGET", "--horizon", "1"]
    code, out, err = called(capsys, "ore-history", "ore.csv", "simulation.xml", *options, "-o", "history.json")
    assert (code, err) == (0, "moves nothing in the market: FXVolatility/USDEUR/0\n")
    targets = [table.target for table in decode_scenarios((folder / "history.json").read_bytes()).shift_tables]
    assert targets == ["discount", "quote"]


def test_row_of_an_ore_history_becomes_a_market(capsys, folder):
    for name, text in (("simulation.xml", SIMULATION), ("ore.csv", ORE_HISTORY)):
        (folder / name).write_text(text)
    (folder / "fixings.txt").write_text("2016-01-04 EUR-EONIA 0.01\n2016-01-06 EUR-EONIA 0.02\n")
    options = ["--as-of", "2016-01-05", "--base-currency", "EUR", "--fixings", "fixings.txt", "-o", "of_day.json"]
    spot = "EURUSD=1.1:2:TARGET,US"
    code, out, err = called(capsys, "ore-market", "ore.csv", "simulation.xml", "--spot", spot, *options)
    assert (code, out, err) == (0, "of_day.json: 1 curves, 3 quotes\n", "")
    snapshot = decode_snapshot((folder / "of_day.json").read_bytes())
    assert snapshot.quotes["FX/RATE/EUR/USD"] == 1.1
    assert (snapshot.fx_spots[0].spot_days, snapshot.fx_spots[0].calendar) == (2, "TARGET,US")
    code, _, err = called(capsys, "ore-market", "ore.csv", "simulation.xml", "--spot", "EURUSD=1.1:2", *options)
    assert code == 2
    assert "--spot must look like" in err
