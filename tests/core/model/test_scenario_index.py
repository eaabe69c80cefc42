"""xip_core.model.scenario_index: shifts read in chunks are those of the scenarios, in their order."""

from __future__ import annotations

import random

import msgspec
import pytest

from xip_core.model import scenario_index
from xip_core.model.scenario import Scenario
from xip_core.model.scenario_index import has_target, read_shifts, shifts_of_block
from xip_core.model.scenario_shift import Shift

AIMS = (
    {"target": "currency", "name": "EUR", "until": "5Y"},
    {"target": "currency", "name": "EUR", "after": "5Y"},
    {"target": "fx", "name": "EURUSD"},
    {"target": "zero_rate", "name": "EUR1D"},
    {"target": "equity_volatility", "name": "*", "moneyness_until": 1.0},
)


def some_scenarios(count: int) -> tuple[Scenario, ...]:
    chance = random.Random(count)
    found = [Scenario(name="base")]
    for number in range(1, count):
        aims = [chance.choice(AIMS[:3] if number < count // 2 else AIMS) for _ in range(chance.randrange(4))]
        sizes = [{chance.choice(("shift_bps", "shift_relative", "shift_factor")): chance.random()} for _ in aims]
        shifts = tuple(msgspec.convert(aim | size, Shift) for aim, size in zip(aims, sizes, strict=True))
        found.append(Scenario(name=str(number), shifts=shifts))
    return tuple(found)


@pytest.mark.parametrize("chunk", [1, 7, 16, 512])
@pytest.mark.parametrize(("begin", "end"), [(0, 40), (3, 17), (14, 15), (16, 32), (39, 40)])
def test_a_block_has_the_shifts_of_its_scenarios_in_order(
    monkeypatch: pytest.MonkeyPatch, chunk: int, begin: int, end: int
) -> None:
    monkeypatch.setattr(scenario_index, "CHUNK_SCENARIOS", chunk)
    scenarios = some_scenarios(40)
    found: dict[int, list[tuple[object, ...]]] = {position: [] for position in range(end - begin)}
    for group in shifts_of_block(scenarios, begin, end):
        for position, size in zip(group.positions.tolist(), group.sizes.tolist(), strict=True):
            assert len(found[position]) == group.place
            found[position].append((group.aim.aim, group.is_factor, size))
    expected = [[(shift.aim, *shift.step) for shift in scenario.shifts] for scenario in scenarios[begin:end]]
    assert list(found.values()) == expected


def test_scenarios_of_one_set_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scenarios, read = some_scenarios(40), []
    monkeypatch.setattr(scenario_index, "CHUNK_SCENARIOS", 16)
    monkeypatch.setattr(scenario_index, "read_shifts", lambda part: read.append(part) or read_shifts(part))
    for begin in (0, 8, 16, 8, 0):
        shifts_of_block(scenarios, begin, begin + 8)
    assert read == [scenarios[:16], scenarios[16:32]]


def test_targets_are_known_without_a_look_at_the_shifts() -> None:
    scenarios = some_scenarios(40)
    assert has_target(scenarios, 0, 40, ("zero_rate",))
    assert not has_target(scenarios[:20], 0, 20, ("zero_rate", "hazard_rate"))
    assert shifts_of_block(scenarios[:1], 0, 1) == []
