"""Drawn scenario sets, applied as arrays and, one number at a time, by the words of the documents."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.small_market import QUOTES, a_snapshot
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift, decode_scenarios, encode_scenarios
from xip_core.model.scenario_table import ShiftTable, shift_table

MARKET = ScenarioMarket(a_snapshot())
FOLLOWERS = {"EURUSD": ("EURUSD.3M", "EURUSD.1Y"), "ACME": ("ACME.1Y", "ACME.2Y")}
AIMS = (
    ("quote", "*"), ("quote", "EURUSD*"), ("currency", "EUR"), ("curve", "USD3M"), ("fx", "EURUSD"), ("equity", "*"),
    ("commodity", "OIL"), ("risk_class", "FX"), ("risk_class", "VOLATILITY"), ("hazard", "BANK"),
)  # fmt: skip
KINDS = ("shift_bps", "shift_relative", "shift_absolute", "shift_factor")

sizes = st.sampled_from([-0.5, -0.01, 0.0, 0.01, 0.25, 1.0, 2.0])
shifts = st.builds(
    lambda aim, kind, size: Shift(target=aim[0], name=aim[1], **{kind: size}),
    st.sampled_from(AIMS),
    st.sampled_from(KINDS),
    sizes,
)


@st.composite
def tables(draw: st.DrawFn, scenario_count: int, names: list[str]) -> ShiftTable:
    first = draw(st.integers(1, scenario_count - 1))
    count = draw(st.integers(1, scenario_count - first))
    cells = draw(st.lists(sizes, min_size=len(names) * count, max_size=len(names) * count))
    return shift_table(
        draw(st.sampled_from(["absolute", "relative", "factor"])),
        tuple(names),
        np.array(cells).reshape(len(names), count),
        first=first,
        moves_followers=draw(st.booleans()),
    )


@st.composite
def scenario_sets(draw: st.DrawFn) -> ScenarioSet:
    count = draw(st.integers(2, 6))
    named = [Scenario(name=str(n), shifts=tuple(draw(st.lists(shifts, max_size=3)))) for n in range(1, count)]
    names = draw(st.lists(st.sampled_from(sorted(QUOTES)), min_size=2, max_size=8, unique=True))
    half = len(names) // 2
    made = (draw(tables(count, names[:half])), draw(tables(count, names[half:])))
    return ScenarioSet(scenarios=(Scenario(name="base"), *named), tables=made)


def shifted(value: float, kind: str, size: float) -> float:
    match kind:
        case "shift_bps":
            return value + size * 1e-4
        case "shift_relative" | "relative":
            return value * (1.0 + size)
        case "shift_factor" | "factor":
            return value * size
        case _:
            return value + size


def one_by_one(scenarios: ScenarioSet, number: int) -> dict[str, float]:
    """Quotes of one scenario with another value than in the snapshot."""
    values = dict(QUOTES)

    def move(names: list[tuple[str, float]], kind: str, followers_of: dict[str, tuple[str, ...]]) -> None:
        before = dict(values)
        for name, size in names:
            values[name] = shifted(before[name], kind, size)
        for name, _ in names:
            if before[name] != 0.0:
                for follower in followers_of.get(name, ()):
                    values[follower] *= values[name] / before[name]

    for shift in scenarios.scenarios[number].shifts:
        kind = next(kind for kind in KINDS if isinstance(getattr(shift, kind), float))
        names = [(name, getattr(shift, kind)) for name in MARKET.quotes_of(shift)]
        move(names, kind, {} if shift.target == "quote" else FOLLOWERS)
    for table in scenarios.shift_tables:
        if table.first <= number < table.last:
            column = table.matrix()[:, number - table.first].tolist()
            moved = [(n, size) for n, size in zip(table.names, column, strict=True) if size != table.neutral]
            own = {name: tuple(f for f in of if f not in table.names) for name, of in FOLLOWERS.items()}
            move(moved, table.kind, own if table.moves_followers else {})
    return {name: value for name, value in values.items() if value != QUOTES[name]}


@settings(max_examples=60, deadline=None)
@given(scenario_sets(), st.data())
def test_arrays_give_what_the_words_say(scenarios: ScenarioSet, data: st.DataObject) -> None:
    """Any set, any block of it, and after a round through its bytes; to the bit."""
    count = len(scenarios.scenarios)
    begin = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(begin + 1, count))
    assert decode_scenarios(encode_scenarios(scenarios)) == scenarios
    expected = [one_by_one(scenarios, number) for number in range(begin, end)]
    assert MARKET.quote_matrix(scenarios, begin, end).changed() == expected
