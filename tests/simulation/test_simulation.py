"""A small share of the simulation, for every test run; `python -m tests.simulation` is the long one."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.__main__ import differing_seeds, run_seeds
from tests.simulation.faults import KINDS
from tests.simulation.mutations import CANARY, MUTATIONS, Mutation, find, planted, seeds_until_caught
from tests.simulation.probes import REQUIRED
from tests.simulation.shrink import invariant_of, shortest_faults
from tests.simulation.world import Outcome, World, run_seed

SEEDS = range(60)
SEEDS_PER_MUTATION = 40
MUTATIONS_ONE_IN = 8
"""The whole table is for `python -m tests.simulation.mutations`."""

FEW_FAULTS = 20
"""Of the calmest schedules, which are shrunk in seconds."""

UNREACHED_MAX = 10
"""Of the rare states, by so few schedules; all of them are for `python -m tests.simulation`."""


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run_seeds(SEEDS, "")


def test_no_schedule_breaks_an_invariant(outcomes: list[Outcome]) -> None:
    assert [(outcome.seed, outcome.violation) for outcome in outcomes if outcome.violation] == []


def test_rare_states_are_reached_and_every_fault_strikes(outcomes: list[Outcome]) -> None:
    reached: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    for outcome in outcomes:
        reached += outcome.probes
        struck += outcome.injected
    unreached = [name for name in REQUIRED if not reached[name]]
    assert len(unreached) <= UNREACHED_MAX, unreached
    assert [kind for kind in KINDS if not struck[kind]] == []
    assert sum(struck.values()) >= 100 * len(outcomes)


@pytest.mark.parametrize("mutation", MUTATIONS[2::MUTATIONS_ONE_IN], ids=lambda mutation: mutation.name)
def test_planted_bug_is_caught(mutation: Mutation) -> None:
    count, _ = seeds_until_caught(mutation, SEEDS_PER_MUTATION, mutation.first_seed)
    assert count is not None, f"{SEEDS_PER_MUTATION} schedules from {mutation.first_seed} on did not catch it"


def test_every_planted_bug_applies_to_the_code_as_it_is() -> None:
    for mutation in (*MUTATIONS, CANARY):
        with planted(mutation):
            pass


def test_a_schedule_takes_the_same_course_under_another_hash_seed(outcomes: list[Outcome]) -> None:
    assert differing_seeds(outcomes[::20], "") == []


def test_a_course_that_hangs_on_the_hash_seed_is_noticed() -> None:
    assert differing_seeds(run_seeds(range(6), CANARY.name), CANARY.name) != []


def test_a_failing_schedule_is_told_with_fewer_faults() -> None:
    with planted(find("cancel not persisted")):
        seed = next(seed for seed in range(120) if len(World(seed).faults) == FEW_FAULTS and run_seed(seed).violation)
        broken = invariant_of(run_seed(seed).violation)
        faults = shortest_faults(seed)
        assert invariant_of(run_seed(seed, faults).violation) == broken
    assert "cancel" in [fault.kind for fault in faults]
    assert len(faults) <= 5


def test_a_bug_that_does_not_apply_is_refused() -> None:
    gone = Mutation("gone", "xip_scheduler.core.state:SchedulerState.new_epoch", "words of yesterday", "")
    with pytest.raises(ValueError, match="must contain 'words of yesterday'"), planted(gone):
        pass
