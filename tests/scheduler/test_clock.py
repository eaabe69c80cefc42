"""xip_scheduler.clock"""

from __future__ import annotations

from xip_scheduler.clock import STEP_MAX_S, PatientClock


def test_the_clock_follows_monotonic_time() -> None:
    times = iter([100.0, 100.0, 100.5, 101.25])
    clock = PatientClock(lambda: next(times))
    assert [clock.now_s() for _ in range(3)] == [100.0, 100.5, 101.25]


def test_time_in_which_the_process_did_not_run_does_not_count() -> None:
    times = iter([100.0, 101.0, 161.0, 162.0])
    clock = PatientClock(lambda: next(times))
    assert [clock.now_s() for _ in range(3)] == [101.0, 101.0 + STEP_MAX_S, 102.0 + STEP_MAX_S]
