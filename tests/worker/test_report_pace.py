"""xip_worker.report_pace: soon at the beginning of a lease, seldom in its middle."""

from __future__ import annotations

from xip_worker.report_pace import INTERVAL_S_MAX, INTERVAL_S_MIN, ReportPace


def test_looks_become_seldom_while_a_lease_goes_on_and_frequent_when_one_ends() -> None:
    pace = ReportPace()
    intervals_s = [pace.interval_s]
    for is_slot_free in (False, False, False, False, False, True, False):
        pace.found_reports(is_slot_free)
        intervals_s.append(pace.interval_s)
    assert intervals_s == [0.002, 0.004, 0.008, 0.016, INTERVAL_S_MAX, INTERVAL_S_MAX, INTERVAL_S_MIN, 0.004]


def test_a_long_lease_sends_a_fraction_of_the_messages_of_an_even_pace() -> None:
    pace, elapsed_s, count = ReportPace(), 0.0, 0
    while elapsed_s < 2.0:
        elapsed_s += pace.interval_s
        pace.found_reports(is_slot_free=False)
        count += 1
    assert count < 100 < 2.0 / INTERVAL_S_MIN
