"""A failing schedule told shortly: faults are dropped while the same invariant still breaks.

First halves, then quarters, ... then single faults, as long as the budget of executions lasts. What remains is a story
of a few lines: faults, deaths, restarts, and the words of the checker.
"""

from __future__ import annotations

from tests.simulation.faults import Fault
from tests.simulation.world import World, run_seed

EXECUTIONS_MAX = 300


def invariant_of(violation: str) -> str:
    """What broke, without the particulars: "Violation S2", "AssertionError"."""
    words = violation.split(":")[0].split()
    return " ".join(words[:2]) if words[:1] == ["Violation"] else "".join(words[:1])


def shortest_faults(seed: int) -> list[Fault]:
    """The faults left when no more can be dropped; all of them when the seed does not fail."""
    faults = World(seed).faults
    broken = invariant_of(run_seed(seed).violation)
    if not broken:
        return faults
    executions = 0
    size = max(1, len(faults) // 2)
    while executions < EXECUTIONS_MAX:
        begin, has_shrunk = 0, False
        while begin < len(faults) and executions < EXECUTIONS_MAX:
            candidate = faults[:begin] + faults[begin + size :]
            executions += 1
            if invariant_of(run_seed(seed, candidate).violation) == broken:
                faults, has_shrunk = candidate, True
            else:
                begin += size
        if size == 1 and not has_shrunk:
            break
        size = max(1, size // 2)
    return faults


def shortest(seed: int) -> list[str]:
    """The story of the shortest schedule found."""
    faults = shortest_faults(seed)
    outcome = run_seed(seed, faults)
    return [f"seed {seed}, {len(faults)} faults left", *outcome.story]
