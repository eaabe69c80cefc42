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

SEEDS = range(180)
SEEDS_PER_MUTATION = 40


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run_seeds(SEEDS, "")


def test_no_schedule_breaks_an_invariant(outcomes: list[Outcome]) -> None:
    assert [(outcome.seed, outcome.violation) for outcome in outcomes if outcome.violation] == []


def test_every_rare_state_is_reached_and_every_fault_strikes(outcomes: list[Outcome]) -> None:
    reached: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    for outcome in outcomes:
        reached += outcome.probes
        struck += outcome.injected
    assert [name for name in REQUIRED if not reached[name]] == []
    assert [kind for kind in KINDS if not struck[kind]] == []
    assert sum(struck.values()) >= 100 * len(outcomes)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_planted_bug_is_caught(mutation: Mutation) -> None:
    count, _ = seeds_until_caught(mutation, SEEDS_PER_MUTATION, mutation.first_seed)
    assert count is not None, f"{SEEDS_PER_MUTATION} schedules from {mutation.first_seed} on did not catch it"


def test_a_schedule_takes_the_same_course_under_another_hash_seed(outcomes: list[Outcome]) -> None:
    assert differing_seeds(outcomes[::20], "") == []


def test_a_course_that_hangs_on_the_hash_seed_is_noticed() -> None:
    assert differing_seeds(run_seeds(range(12), CANARY.name), CANARY.name) != []


def test_a_failing_schedule_is_told_with_fewer_faults() -> None:
    mutation = find("cancelled run keeps its leases")
    assert mutation is not None
    with planted(mutation):
        seed = next(seed for seed in range(40) if run_seed(seed).violation)
        broken = invariant_of(run_seed(seed).violation)
        faults = shortest_faults(seed)
        assert invariant_of(run_seed(seed, faults).violation) == broken
    assert "cancel" in [fault.kind for fault in faults]
    assert len(faults) <= 5 < len(World(seed).faults)


def test_a_bug_that_does_not_apply_is_refused() -> None:
    gone = Mutation("gone", "xip_scheduler.core.state:SchedulerState.new_epoch", "words of yesterday", "")
    with pytest.raises(ValueError, match="must contain 'words of yesterday'"), planted(gone):
        pass
