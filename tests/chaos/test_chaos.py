"""A small share of the chaos for every test run; `python -m tests.chaos` plays all of it."""

from __future__ import annotations

import pytest

import tests.chaos.__main__  # noqa: F401 - registers the scenarios
from tests.chaos.arena import Arena, undisturbed_numbers
from tests.chaos.scenario import SCENARIOS, Scenario, play
from xip_core.client.results import RunNumbers

SHARE = ("worker-killed-at-each-failpoint", "lines-reset", "stale-results")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunNumbers:
    return undisturbed_numbers(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("name", SHARE)
def test_what_a_scenario_promises_holds(name: str, undisturbed: RunNumbers) -> None:
    assert play(SCENARIOS[name], undisturbed, extent="brief").failure == ""


def test_a_scenario_whose_promise_is_broken_is_a_failure_with_its_sentence(undisturbed: RunNumbers) -> None:
    def forgets_a_run(arena: Arena) -> dict[str, str]:
        arena.scheduler()
        arena.acknowledged["never-submitted"] = "r-0"
        return {}

    outcome = play(Scenario("forgets-a-run", "", "", forgets_a_run), undisturbed)
    assert outcome.failure.startswith("AssertionError: acknowledged 'never-submitted' as r-0")


def test_every_scenario_says_what_is_injected_and_what_must_hold() -> None:
    assert len(SCENARIOS) >= 20
    assert [each.name for each in SCENARIOS.values() if not (each.injected and each.holds)] == []
    assert set(SHARE) <= set(SCENARIOS)
