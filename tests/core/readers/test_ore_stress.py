"""xip_core.readers.ore_stress, on the small market; ORE's own numbers are in tests/core/pricing/test_ore_stresses.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.core.small_market import QUOTES, a_snapshot
from xip_core.errors import InputError, RequestError
from xip_core.model.market import Security, Snapshot
from xip_core.model.scenario import ScenarioMarket
from xip_core.readers.ore_stress import OreStresses, read_ore_stresses


def stresses(folder: Path, *bodies: str, market: Snapshot | None = None) -> OreStresses:
    """One StressTest a body, named a, b, .."""
    tests = (f'<StressTest id="{chr(97 + place)}">{body}</StressTest>' for place, body in enumerate(bodies))
    path = folder / "stresstest.xml"
    path.write_text(f"<StressTesting>{''.join(tests)}</StressTesting>")
    return read_ore_stresses(path, market or a_snapshot())


def changed(found: OreStresses) -> list[dict[str, float]]:
    """Quotes of the small market per scenario."""
    market = ScenarioMarket(a_snapshot())
    market.check(found.scenarios)
    return market.quote_matrix(found.scenarios, 0, len(found.scenarios.scenarios)).changed()


def curve(tag: str, attribute: str, name: str, kind: str = "Absolute", tenors: str = "1Y,5Y") -> str:
    return (
        f'<{tag}s><{tag} {attribute}="{name}"><ShiftType>{kind}</ShiftType><Shifts>0.01, 0.02</Shifts>'
        f"<ShiftTenors>{tenors}</ShiftTenors></{tag}></{tag}s>"
    )


def spot(group: str, attribute: str, name: str, kind: str, size: str) -> str:
    tag = group.removesuffix("s")
    inside = f"<ShiftType>{kind}</ShiftType><ShiftSize>{size}</ShiftSize>"
    return f'<{group}><{tag} {attribute}="{name}">{inside}</{tag}></{group}>'


def test_curves_are_shifted_by_tenor(tmp_path):
    """Absolute beside relative, each in a table of its scenario."""
    one = curve("YieldCurve", "name", "EUR1D") + curve("YieldCurve", "name", "USD1D", "Relative")
    found = stresses(tmp_path, one, curve("IndexCurve", "index", "EUR6M"))
    assert [s.name for s in found.scenarios.scenarios] == ["base", "a", "b"]
    tables = [(t.kind, t.names, t.tenors, t.first, t.matrix()[:, 0].tolist()) for t in found.scenarios.shift_tables]
    assert tables == [
        ("absolute", ("EUR1D", "EUR1D"), ("1Y", "5Y"), 1, [0.01, 0.02]),
        ("relative", ("USD1D", "USD1D"), ("1Y", "5Y"), 1, [0.01, 0.02]),
        ("absolute", ("EUR6M", "EUR6M"), ("1Y", "5Y"), 2, [0.01, 0.02]),
    ]
    assert found.unread == ()


def test_spots_take_followers_along_whichever_way_the_pair_is_quoted(tmp_path):
    """USDEUR up by 10 % is EURUSD divided by 1.1; an absolute shift is of the spot itself."""
    found = stresses(
        tmp_path,
        spot("FxSpots", "ccypair", "USDEUR", "Relative", "0.1"),
        spot("FxSpots", "ccypair", "EURUSD", "Absolute", "0.113"),
        spot("EquitySpots", "equity", "ACME", "Relative", "-0.2"),
    )
    _, inverse, own, equity = changed(found)
    assert inverse == pytest.approx({"EURUSD": 1.13 / 1.1, "EURUSD.3M": 30.0 / 1.1, "EURUSD.1Y": 140.0 / 1.1})
    assert own == pytest.approx({"EURUSD": 1.13 * 1.1, "EURUSD.3M": 33.0, "EURUSD.1Y": 154.0})
    assert equity == pytest.approx({"ACME": 80.0, "ACME.1Y": 80.8, "ACME.2Y": 82.4})


def test_volatilities_are_shifted_linearly_between_expiries(tmp_path):
    """Half way between 1Y and 3Y the mean of their shifts; flat outside."""
    body = (
        '<FxVolatilities><FxVolatility ccypair="USDEUR"><ShiftType>Absolute</ShiftType><Shifts>0.01,0.03</Shifts>'
        "<ShiftExpiries>1Y,3Y</ShiftExpiries></FxVolatility></FxVolatilities>"
        '<EquityVolatilities><EquityVolatility equity="ACME"><ShiftType>Relative</ShiftType><Shifts>0.1</Shifts>'
        "<ShiftExpiries>5Y</ShiftExpiries></EquityVolatility></EquityVolatilities>"
    )
    moved = changed(stresses(tmp_path, body))[1]
    assert moved == pytest.approx({"EURUSD.VOL.1Y": 0.13, "EURUSD.VOL.2Y": 0.13 + 0.02, "ACME.VOL": 0.33}, abs=1e-4)


def test_swaptions_have_shifts_of_their_own_and_one_for_the_rest(tmp_path):
    """1Y into 5Y by name, 5Y into 5Y by the default."""
    body = (
        '<SwaptionVolatilities><SwaptionVolatility ccy="EUR"><ShiftType>Absolute</ShiftType><Shifts>'
        '<Shift>0.001</Shift><Shift expiry="1Y" term="5Y">0.002</Shift></Shifts>'
        "<ShiftExpiries>1Y,5Y</ShiftExpiries><ShiftTerms>5Y</ShiftTerms></SwaptionVolatility></SwaptionVolatilities>"
    )
    moved = changed(stresses(tmp_path, body))[1]
    assert moved == pytest.approx({"EUR.SWPT.1Y.5Y": 0.008, "EUR.SWPT.5Y.5Y": 0.009})


def test_caps_are_shifted_at_every_strike(tmp_path):
    """By length."""
    body = (
        '<CapFloorVolatilities><CapFloorVolatility ccy="EUR"><ShiftType>Absolute</ShiftType><Shifts>'
        '<Shift tenor="1Y">0.001</Shift><Shift tenor="5Y">0.003</Shift></Shifts>'
        "<ShiftExpiries>1Y,5Y</ShiftExpiries></CapFloorVolatility></CapFloorVolatilities>"
    )
    moved = changed(stresses(tmp_path, body))[1]
    shifts = {name: moved[name] - QUOTES[name] for name in moved}
    assert shifts == pytest.approx(
        {"EUR.CAP.1Y.0": 0.001, "EUR.CAP.1Y.2": 0.001, "EUR.CAP.3Y.0": 0.002, "EUR.CAP.3Y.2": 0.002}, abs=2e-6
    )


def test_survival_is_shifted_relatively(tmp_path):
    """As factors by tenor."""
    body = curve("SurvivalProbabilitie", "name", "BANK", "Relative").replace("SurvivalProbabilitie ", "Survival ")
    body = body.replace("</SurvivalProbabilitie>", "</Survival>")
    (table,) = stresses(tmp_path, body).scenarios.shift_tables
    assert (table.target, table.kind, table.names) == ("survival", "relative", ("BANK", "BANK"))
    assert np.array_equal(table.matrix()[:, 0], [0.01, 0.02])


def test_spreads_of_securities_are_shifted_absolutely_and_relatively(tmp_path):
    market = a_snapshot({"S.SPREAD": 0.002}, securities=(Security(name="S", spread_quote="S.SPREAD"),))
    for kind, size in (("Absolute", 0.01), ("Relative", 0.5)):
        found = stresses(tmp_path, spot("SecuritySpreads", "security", "S", kind, str(size)), market=market)
        (table,) = found.scenarios.shift_tables
        assert (table.target, table.kind, table.names) == ("quote", kind.lower(), ("S.SPREAD",))
        assert (table.matrix().tolist(), found.unread) == ([[size]], ())


def test_what_moves_nothing_is_told(tmp_path):
    """Objects the market does not have, and elements that have no counterpart."""
    body = curve("YieldCurve", "name", "EUR1D") + curve("DiscountCurve", "ccy", "GBP")
    body += "<SecuritySpreads><SecuritySpread security='S'/></SecuritySpreads><RecoveryRates/>"
    assert stresses(tmp_path, body).unread == ("a: DiscountCurve GBP", "a: SecuritySpread S")
    with pytest.raises(RequestError, match="no stress test shifts anything"):
        stresses(tmp_path, curve("DiscountCurve", "ccy", "GBP"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (curve("YieldCurve", "name", "EUR1D", "Squared"), "YieldCurve EUR1D: shift type must be Absolute or Relative"),
        (curve("YieldCurve", "name", "EUR1D", tenors="1Y"), "must have a shift for each of ShiftTenors, got 2 for 1"),
        (spot("FxSpots", "ccypair", "EURUSD", "Relative", "-1"), "a spot must stay positive, got a shift of -1.0"),
        (spot("FxSpots", "ccypair", "EURUSD", "Relative", "x"), "FxSpot EURUSD: a shift must be a number, got 'x'"),
        (
            '<SwaptionVolatilities><SwaptionVolatility ccy="EUR"/></SwaptionVolatilities>',
            "SwaptionVolatility EUR: must have ShiftExpiries and ShiftTerms",
        ),
    ],
)
def test_entry_that_cannot_be_read_is_refused_by_name(tmp_path, body, message):
    """With the file."""
    with pytest.raises(InputError, match=message) as caught:
        stresses(tmp_path, body)
    assert "stresstest.xml" in str(caught.value)


def test_file_without_stress_tests_is_refused(tmp_path):
    """An empty stress is a mistake."""
    with pytest.raises(InputError, match="must hold a StressTest"):
        stresses(tmp_path)
