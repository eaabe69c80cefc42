"""xip_core.model.scenario_table, scenario_matrix: tables of shifts, alone and beside named ones"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tests.core.small_market import QUOTES, a_snapshot
from xip_core.errors import RequestError
from xip_core.model.scenario import (
    Scenario,
    ScenarioMarket,
    ScenarioSet,
    Shift,
    decode_scenarios,
    encode_scenarios,
)
from xip_core.model.scenario_table import ShiftTable, shift_table


def a_set(count: int, *tables: ShiftTable, **fields: object) -> ScenarioSet:
    """The base and *count* scenarios that tables alone shift."""
    scenarios = tuple(Scenario(name=str(number) if number else "base") for number in range(count + 1))
    return ScenarioSet(scenarios=scenarios, tables=tables, **fields)


def changed(scenarios: ScenarioSet, begin: int = 0, end: int | None = None, **fields: object) -> list[dict[str, float]]:
    """Changed quotes of the small market per scenario."""
    market = ScenarioMarket(a_snapshot())
    market.check(scenarios)
    return market.quote_matrix(scenarios, begin, end or len(scenarios.scenarios), **fields).changed()


@pytest.mark.parametrize(
    ("kind", "expected"), [("absolute", [32.0, 28.0]), ("relative", [90.0, -30.0]), ("factor", [60.0, -60.0])]
)
def test_table_shifts_by_its_kind(kind, expected):
    """Of oil at 30."""
    found = changed(a_set(2, shift_table(kind, ("OIL",), np.array([[2.0, -2.0]]))))
    assert found == [{}, {"OIL": expected[0]}, {"OIL": expected[1]}]


def test_table_changes_the_scenarios_it_begins_with_and_nothing_neutral():
    """Neutral cells leave the quote out, so nothing is calibrated for them."""
    table = shift_table("relative", ("OIL", "ACME"), np.array([[0.1, 0.0], [0.0, 0.0]]), first=2)
    found = changed(a_set(4, table))
    assert found == [{}, {}, {"OIL": 30.0 * 1.1}, {}, {}]


def test_any_cut_into_blocks_gives_the_same_numbers():
    """A tile reads its own columns."""
    rng = np.random.default_rng(7)
    names = ("OIL", "ACME", "EUR.OIS.5Y", "EURUSD")
    scenarios = a_set(
        9,
        shift_table("relative", names, rng.normal(0.0, 0.01, (4, 7)), first=2, moves_followers=True),
        shift_table("absolute", ("BANK.5Y",), rng.normal(0.0, 1e-4, (1, 9))),
    )
    whole = changed(scenarios)
    for begin, end in ((0, 1), (1, 4), (4, 10), (9, 10)):
        assert changed(scenarios, begin, end) == whole[begin:end]


def test_named_shifts_come_before_tables():
    """(30 + 2) x 1.5."""
    named = Scenario(name="a", shifts=(Shift(target="quote", name="OIL", shift_absolute=2.0),))
    table = shift_table("factor", ("OIL",), np.array([[1.5]]))
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), named), tables=(table,))
    assert changed(scenarios) == [{}, {"OIL": 48.0}]


def test_spots_of_a_table_take_followers_along_where_it_says_so():
    """But not those with a row of their own."""
    sizes = np.array([[0.1], [0.0]])
    alone = changed(a_set(1, shift_table("relative", ("EURUSD", "OIL"), sizes)))
    assert set(alone[1]) == {"EURUSD"}
    led = changed(a_set(1, shift_table("relative", ("EURUSD", "OIL"), sizes, moves_followers=True)))
    assert led[1] == pytest.approx({"EURUSD": 1.13 * 1.1, "EURUSD.3M": 33.0, "EURUSD.1Y": 154.0})
    own = changed(a_set(1, shift_table("relative", ("EURUSD", "EURUSD.1Y"), sizes, moves_followers=True)))
    assert own[1] == pytest.approx({"EURUSD": 1.13 * 1.1, "EURUSD.3M": 33.0})


def test_text_in_a_table_stays_text():
    """A quote that is no number has no row."""
    market = ScenarioMarket(a_snapshot({"OIL": "n/a"}))
    table = shift_table("relative", ("OIL", "ACME"), np.array([[0.1], [0.2]]))
    assert market.quote_matrix(a_set(1, table), 0, 2).changed() == [{}, {"ACME": 120.0}]


def test_set_seen_through_a_risk_class_has_the_shifts_of_that_class_alone():
    """Named ones and those of tables; together the classes make the whole."""
    named = Scenario(name="all", shifts=(Shift(target="quote", name="*", shift_relative=0.01),))
    table = shift_table("factor", ("EURUSD", "EUR.OIS.5Y", "BANK.5Y"), np.full((3, 1), 2.0), first=2)
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), named, Scenario(name="t")), tables=(table,))
    whole = changed(scenarios)
    classes = ("INTEREST_RATE", "FX", "EQUITY", "COMMODITY", "CREDIT", "INFLATION", "VOLATILITY")
    parts = [changed(scenarios, risk_classes=(one,)) for one in classes]
    for number in range(3):
        assert {k: v for part in parts for k, v in part[number].items()} == whole[number]
        assert sum(len(part[number]) for part in parts) == len(whole[number])
    assert parts[1][2] == {"EURUSD": 2.26}
    assert changed(scenarios, risk_classes=("FX", "CREDIT"))[2] == {"EURUSD": 2.26, "BANK.5Y": 0.03}


def test_set_with_tables_survives_encoding_and_stays_small():
    """8 bytes a cell, a third more as base64."""
    count, names = 300, tuple(QUOTES)
    sizes = np.random.default_rng(1).normal(0.0, 0.01, (len(names), count))
    scenarios = a_set(count, shift_table("relative", names, sizes))
    encoded = encode_scenarios(scenarios)
    assert decode_scenarios(encoded) == scenarios
    assert encode_scenarios(decode_scenarios(encoded)) == encoded
    assert len(encoded) < 11 * sizes.size + 20_000
    assert np.array_equal(decode_scenarios(encoded).shift_tables[0].matrix(), sizes)


def test_neighbours_do_not_change_what_a_named_shift_gives():
    """One by one as in a block, to the bit."""
    shifts = [Shift(target="currency", name="*", shift_bps=float(size)) for size in range(1, 6)]
    market = ScenarioMarket(a_snapshot())
    scenarios = ScenarioSet(
        scenarios=(Scenario(name="base"), *(Scenario(name=str(s.shift_bps), shifts=(s,)) for s in shifts))
    )
    block = market.quote_matrix(scenarios, 0, 6).changed()
    assert block == [market.changed_quotes(scenario) for scenario in scenarios.scenarios]


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"first": 0}, "first must be at least 1, because scenario 0 is the base, got 0"),
        ({"count": 0, "sizes": b""}, "must have a row and a column, got 1 x 0"),
        ({"sizes": b"1234"}, "sizes must have 8 bytes for 1 x 1, got 4"),
        ({"sizes": np.array([np.nan]).tobytes()}, "size of 'OIL' in scenario 1 must be finite, got nan"),
        ({"names": ("OIL", "OIL"), "sizes": bytes(16)}, "must name 'OIL' once, it is there twice"),
        ({"tenors": ("1Y",)}, "must have no tenors, got 1"),
        ({"target": "zero_rate"}, "must have a tenor a row, got 0"),
        ({"target": "discount", "tenors": ("1Y",)}, "must be factors or relative, got absolute"),
        (
            {"target": "survival", "tenors": ("1Y",), "kind": "factor"},
            "size of 'OIL' in scenario 1 must be above what makes the factor zero, got 0.0",
        ),
    ],
)
def test_table_that_cannot_be_meant_is_refused(fields, message):
    """With the place of the fault."""
    one = {"kind": "absolute", "names": ("OIL",), "first": 1, "count": 1, "sizes": bytes(8)}
    with pytest.raises(RequestError, match=message) as caught:
        ShiftTable(**{**one, **fields})
    assert caught.value.reason == "BAD_SCENARIO"


def test_table_that_names_nothing_is_refused_with_its_row():
    """A stress that silently does nothing is worse than none."""
    table = shift_table("absolute", ("OIL", "GAS"), np.ones((2, 1)))
    with pytest.raises(RequestError, match="row 1 of a table of quote shifts names nothing in the market: 'GAS'"):
        ScenarioMarket(a_snapshot()).check(a_set(1, table))


def test_table_beyond_the_last_scenario_is_refused():
    """Its columns are scenarios of the set."""
    table = shift_table("absolute", ("OIL",), np.ones((1, 3)), first=2)
    with pytest.raises(RequestError, match="a table must end with scenario 3, got 4"):
        a_set(3, table)


def test_two_tables_of_one_quote_in_one_scenario_contradict_each_other():
    """One after the other is no contradiction."""
    one, two = (shift_table("absolute", ("OIL", "ACME"), np.ones((2, 2)), first=first) for first in (1, 3))
    assert len(a_set(4, one, two).shift_tables) == 2
    with pytest.raises(RequestError, match="two tables must not shift one quote in one scenario, got 'ACME'") as caught:
        a_set(4, one, msgspec.structs.replace(two, first=2))
    assert caught.value.reason == "CONTRADICTORY_SHIFTS"


def test_exclusive_set_refuses_a_quote_changed_twice():
    """By two named shifts, or by one and a table; otherwise both apply, one after the other."""
    by_curve = Shift(target="curve", name="EUR1D", shift_bps=1.0)
    by_currency = Shift(target="currency", name="EUR", after="4Y", shift_bps=1.0)
    scenarios = (Scenario(name="base"), Scenario(name="twice", shifts=(by_curve, by_currency)))
    market = ScenarioMarket(a_snapshot())
    market.check(ScenarioSet(scenarios=scenarios))
    with pytest.raises(RequestError, match="1 'twice' of an exclusive set must change") as caught:
        market.check(ScenarioSet(scenarios=scenarios, exclusive=True))
    assert caught.value.reason == "CONTRADICTORY_SHIFTS"
    alone = (Scenario(name="base"), Scenario(name="once", shifts=(by_curve,)))
    neutral = shift_table("absolute", ("EUR.OIS.5Y",), np.zeros((1, 1)))
    market.check(ScenarioSet(scenarios=alone, tables=(neutral,), exclusive=True))
    table = shift_table("absolute", ("EUR.OIS.5Y",), np.ones((1, 1)))
    with pytest.raises(RequestError, match="got shift of curve 'EUR1D' and a table"):
        market.check(ScenarioSet(scenarios=alone, tables=(table,), exclusive=True))


def test_exclusive_set_refuses_a_curve_shifted_twice_after_calibration():
    """By a named shift of its zero rates and by a table; a table may have the curve at many tenors."""
    parallel = Shift(target="zero_rate", name="EUR1D", shift_bps=1.0)
    sizes = np.full((2, 1), 0.999)
    table = shift_table("factor", ("EUR1D", "EUR1D"), sizes, target="discount", tenors=("1Y", "5Y"))
    market = ScenarioMarket(a_snapshot())
    alone = a_set(1, table, exclusive=True)
    market.check(alone)
    both = msgspec.structs.replace(alone, scenarios=(Scenario(name="base"), Scenario(name="1", shifts=(parallel,))))
    with pytest.raises(RequestError, match="must change curve/EUR1D once, got shift of zero_rate 'EUR1D' and a table"):
        market.check(both)
