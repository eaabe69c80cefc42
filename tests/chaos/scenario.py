"""The catalogue of scenarios: what is injected, what must hold, and how it is measured.

A scenario is a function of an `Arena`; it fails by assertion and returns figures for people. It is found by its name,
which says what happens; modules `scenarios_*` register theirs when imported.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.chaos.arena import Arena, Extent
from xip_core.client.results import RunNumbers

Figures = dict[str, str]
Play = Callable[[Arena], Figures]


class Scenario(msgspec.Struct, frozen=True):
    name: str
    injected: str
    holds: str
    play: Play


class Outcome(msgspec.Struct, frozen=True):
    """What came of a scenario; *failure* is "" when everything held."""

    scenario: Scenario
    figures: Figures
    failure: str
    duration_s: float
    seed: int


SCENARIOS: dict[str, Scenario] = {}


def scenario(injected: str, holds: str) -> Callable[[Play], Play]:
    """Register a scenario under its function's name, with dashes."""

    def registered(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(name, injected, holds, play)
        return play

    return registered


def play(chosen: Scenario, undisturbed: RunNumbers, seed: int = 0, extent: Extent = "once") -> Outcome:
    """Play one scenario in a world of its own and read the store afterwards."""
    begun_s = time.monotonic()
    figures: Figures = {}
    failure = ""
    with tempfile.TemporaryDirectory(prefix="xip-chaos-") as directory:
        try:
            with Arena(Path(directory), undisturbed, seed, extent) as arena:
                figures = chosen.play(arena)
                stored = arena.read_store()
                figures["store"] = f"{stored.runs} runs, {stored.tiles} tiles in {stored.records} records, each once"
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
    return Outcome(chosen, figures, failure, time.monotonic() - begun_s, seed)
