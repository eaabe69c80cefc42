"""xip_core.cli.progress: figures that fit their window."""

from __future__ import annotations

import msgspec
import pytest

from xip_core.cli import progress
from xip_core.cli.progress import Rate, RunProgress, figures, stage_of
from xip_core.model.result import Run, RunState


def a_run(**changes: int) -> Run:
    counts = {"cell_count": 508_000, "cells_done": 41_148, "worker_count": 1, "slot_count": 2} | changes
    return Run("r1", "sample", "", RunState.RUNNING, **counts)


def test_a_wide_window_shows_every_digit():
    shown = figures(a_run(), 15_900.0, is_wide=True)
    assert shown == "41,148/508,000 cells · 15.9k cells/s · ETA 29.4 s · 2 slots on 1 worker"


def test_a_narrow_window_shows_short_figures():
    assert figures(a_run(), 15_900.0, is_wide=False) == "41.1k/508.0k cells · 15.9k/s · ETA 29.4 s · 1 worker"
    largest = a_run(cell_count=500_000_000_000, cells_done=123_456_789_000, worker_count=167_000)
    assert len(figures(largest, 1.5e9, is_wide=False)) <= 80 - len("⠋ planning ━━━━━━━━ ")


@pytest.mark.parametrize(
    ("cells_per_s", "eta"), [(0.0, "ETA –"), (466_852.0, "ETA 1.0 s"), (4_000.0, "ETA 0:01:57"), (100.0, "ETA 1:17:49")]
)
def test_the_time_left_follows_from_the_rate(cells_per_s, eta):
    assert eta in figures(a_run(), cells_per_s, is_wide=True)


def test_a_run_without_workers_waits_and_says_what_to_start():
    alone = a_run(cells_done=0, worker_count=0, slot_count=0)
    assert stage_of(alone) == "waiting"
    assert figures(alone, 0.0, is_wide=True).endswith(" · no worker: start one with xip-worker")
    assert [stage_of(a_run()), stage_of(a_run(epoch_last=1))] == ["planning", "pricing"]


def test_the_rate_is_that_of_the_last_seconds():
    rate = Rate()
    for second in range(10):
        rate.add(float(second), 0 if second < 6 else 100 * (second - 6))
    assert rate.cells_per_s() == 100.0


def test_a_plain_line_comes_at_once_when_the_run_has_something_else_to_say(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 1e9)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 1.0)  # so no line is due by time alone
    run = a_run(cells_done=0, worker_count=0, slot_count=0)
    waits = "waits for a worker that has desk.absent@4: no attached one does"
    late = "will miss its deadline of 60 s by about {} s at its present share"
    with RunProgress(is_quiet=False) as shown:
        for message in ("", waits, waits, "", late.format(7), late.format(12), "stopped by\x1b[2J the test"):
            shown.show(msgspec.structs.replace(run, message=message, deadline_after_s=60.0))
        final = msgspec.structs.replace(run, state=RunState.FAILED, message="nothing was computed")
        shown.show(final)
    head = "run r1 running: 0 of 508,000 cells (0%), no worker: start one with xip-worker"
    assert capsys.readouterr().err.splitlines() == [
        f"{head}, {waits}",
        head,
        f"{head}, {late.format(7)}",
        f"{head}, stopped by\\x1b[2J the test",
        "run r1 failed: 0 of 508,000 cells (0%), nothing was computed",
    ]


def test_nobody_is_asked_to_start_the_worker_that_local_has_started(capsys):
    with RunProgress(is_quiet=False, is_local=True) as shown:
        shown.show(a_run(cells_done=0, worker_count=0, slot_count=0))
        assert capsys.readouterr().err == ""
        shown.show(a_run(cells_done=0, worker_count=1, slot_count=2))
    assert "2 slots on 1 worker" in capsys.readouterr().err


def test_a_quiet_progress_says_nothing_of_it(capsys):
    with RunProgress(is_quiet=True) as shown:
        shown.show(msgspec.structs.replace(a_run(), message="waits for a worker"))
    assert capsys.readouterr().err == ""
