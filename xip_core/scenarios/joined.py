"""Several sets as one: a historical set and a stress pack in one run, told apart by their scenarios' names."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from xip_core.errors import RequestError
from xip_core.model.scenario import Scenario, ScenarioSet
from xip_core.model.scenario_table import ShiftTable


def joined(sets: Sequence[ScenarioSet], prefixes: Sequence[str] = ()) -> ScenarioSet:
    """
    One base, then the other scenarios of each set in order.

    Args:
        prefixes: one a set, put before the names of its scenarios, so that a pattern tells them apart; () for none.

    Raises:
        RequestError: BAD_SCENARIO: no set, a name in two of them, another number of prefixes, or exclusive sets beside
            others, of which what is refused differs.
    """
    if not sets:
        raise RequestError("BAD_SCENARIO", "sets to join must be at least one, got none")
    exclusive = sets[0].exclusive
    if any((one.exclusive is True) != (exclusive is True) for one in sets):
        raise RequestError("BAD_SCENARIO", "sets to join must all be exclusive, or none")
    if prefixes and len(prefixes) != len(sets):
        raise RequestError("BAD_SCENARIO", f"prefixes must be one a set, got {len(prefixes)} for {len(sets)} sets")
    scenarios: list[Scenario] = [sets[0].scenarios[0]]
    tables: list[ShiftTable] = []
    for one, prefix in zip(sets, prefixes or [""] * len(sets), strict=True):
        offset = len(scenarios) - 1
        scenarios += (msgspec.structs.replace(each, name=prefix + each.name) for each in one.scenarios[1:])
        tables += (msgspec.structs.replace(table, first=table.first + offset) for table in one.shift_tables)
    return ScenarioSet(scenarios=tuple(scenarios), tables=tuple(tables) or msgspec.UNSET, exclusive=exclusive)
