"""xip_scheduler.core.leadership"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xip_scheduler.core.leadership import Candidate, LeaderTimes, Observation

TIMES = LeaderTimes(silence_s=5.0, gone_s=1.0, renewal_s=0.25)
LEADER = Observation(term=7, beat=1000, is_released=False, has_session=True, holder="a:1")


def seen(**changes: object) -> Observation:
    return msgspec.structs.replace(LEADER, **changes)


def claims_at_s(candidate: Candidate, observation: Observation, begin_s: float, end_s: float) -> float | None:
    """When *candidate*, looking at the same thing each quarter of a second, wants to lead."""
    for look in range(int((end_s - begin_s) * 4) + 1):
        if candidate.observe(observation, begin_s + look / 4):
            return begin_s + look / 4
    return None


def test_a_leader_that_renews_is_never_replaced() -> None:
    candidate = Candidate(TIMES)
    assert not any(candidate.observe(seen(beat=beat), beat * 4.9) for beat in range(100))


def test_a_silent_leader_is_replaced_after_the_silence() -> None:
    assert claims_at_s(Candidate(TIMES), LEADER, 100.0, 200.0) == 105.0


def test_a_renewal_begins_the_silence_anew() -> None:
    candidate = Candidate(TIMES)
    assert claims_at_s(candidate, LEADER, 0.0, 4.75) is None
    assert claims_at_s(candidate, seen(beat=1001), 5.0, 50.0) == 10.0


def test_a_new_term_begins_the_silence_anew_whatever_its_beat() -> None:
    candidate = Candidate(TIMES)
    assert claims_at_s(candidate, LEADER, 0.0, 4.75) is None
    assert claims_at_s(candidate, seen(term=8), 5.0, 50.0) == 10.0


def test_who_could_not_look_for_a_silence_listens_for_another_one() -> None:
    """The database was away for a minute: the leader could not renew either."""
    candidate = Candidate(TIMES)
    assert claims_at_s(candidate, LEADER, 0.0, 4.0) is None
    assert claims_at_s(candidate, LEADER, 64.0, 100.0) == 69.0


def test_a_goodbye_is_answered_at_once() -> None:
    assert Candidate(TIMES).observe(seen(is_released=True), 0.0)


def test_a_leader_without_sessions_is_replaced_sooner() -> None:
    assert claims_at_s(Candidate(TIMES), seen(has_session=False), 0.0, 50.0) == 1.0


def test_sessions_that_come_back_begin_the_shorter_wait_anew() -> None:
    candidate = Candidate(TIMES)
    assert claims_at_s(candidate, seen(has_session=False), 0.0, 0.75) is None
    assert not candidate.observe(LEADER, 0.9)
    assert claims_at_s(candidate, seen(has_session=False), 1.0, 50.0) == 2.0


def test_a_leader_that_has_just_taken_over_keeps_the_whole_silence_even_without_sessions() -> None:
    newcomer = seen(beat=TIMES.settled_beat - 1, has_session=False)
    assert claims_at_s(Candidate(TIMES), newcomer, 0.0, 50.0) == 5.0


@given(
    looks=st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.booleans(), st.floats(0.05, 1.0)), max_size=200),
    restarts=st.sets(st.integers(0, 199)),
)
def test_two_nodes_that_lose_and_find_the_database_take_over_at_most_once_in_each_silence(
    looks: list[tuple[int, bool, bool, float]], restarts: set[int]
) -> None:
    """Nodes that come and go, restart and renew when they can; takeovers stay a silence apart (L4)."""
    row = seen(term=1, beat=0)
    holder, now_s, took_over_s = 0, 0.0, 0.0
    nodes = [Candidate(TIMES), Candidate(TIMES)]
    for number, (node, reaches, leader_reaches, step_s) in enumerate(looks):
        now_s += step_s
        if number in restarts:
            nodes[node] = Candidate(TIMES)
        if leader_reaches and step_s >= TIMES.renewal_s:  # a renewal takes its interval
            row = msgspec.structs.replace(row, beat=row.beat + 1)
        if node == holder or not reaches:
            continue
        if nodes[node].observe(msgspec.structs.replace(row, has_session=leader_reaches), now_s):
            assert now_s - took_over_s >= TIMES.silence_s, "taken over twice in one silence"
            row = msgspec.structs.replace(row, term=row.term + 1, beat=0)
            holder, took_over_s = node, now_s
            nodes[node] = Candidate(TIMES)


@pytest.mark.parametrize("skew", [0.5, 1.0, 2.0])
def test_a_clock_of_another_rate_or_origin_changes_only_when(skew: float) -> None:
    candidate = Candidate(TIMES)
    claimed = claims_at_s(candidate, LEADER, 1e9 * skew, 1e9 * skew + 20)
    assert claimed == 1e9 * skew + 5.0
