"""Progress of a run: a live bar on a terminal, a plain line a second elsewhere, nothing where it would be in the way.

What a run says beside its counts (it waits for a worker with some kernel, it will miss its deadline) is a line at once.

Always on stderr, so stdout is the result alone. Rates are averages over the last seconds, not since the start: the
first leases wait for workers that are still importing.
"""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.progress import Progress

    from xip_core.model.result import Run

LINE_INTERVAL_S = 1.0
DIGITS = re.compile(r"\d+")
WIDE_WIDTH = 120  # characters of a window that shows every digit beside a bar of 28
RATE_WINDOW_S = 3.0


class Rate:
    """Cells a second over the last `RATE_WINDOW_S`."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, cells_done: int) -> None:
        self._points.append((now_s, cells_done))
        while len(self._points) > 2 and now_s - self._points[0][0] > RATE_WINDOW_S:
            self._points.popleft()

    def cells_per_s(self) -> float:
        (begin_s, begun), (end_s, done) = self._points[0], self._points[-1]
        return (done - begun) / (end_s - begin_s) if end_s > begin_s else 0.0


class RunProgress:
    """Shows the states of one run; a context manager.

    *is_quiet* shows nothing except a bar on a terminal; *is_local* nothing before the worker that was started for the
    run has come, so that nobody is asked to start one.
    """

    def __init__(self, *, is_quiet: bool, is_local: bool = False) -> None:
        self._is_local = is_local
        self._is_terminal = sys.stderr.isatty()
        self._is_quiet = is_quiet and not self._is_terminal
        self._rate = Rate()
        self._line_at_s = 0.0
        self._said = ""
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, run: Run) -> None:
        if self._is_local and not run.worker_count and not run.state.is_final:
            return
        now_s = time.monotonic()
        self._rate.add(now_s, run.cells_done)
        if self._is_terminal:
            self._live().show(run, self._rate.cells_per_s())
        elif not self._is_quiet:
            self._show_line(run, now_s)

    def _show_line(self, run: Run, now_s: float) -> None:
        """A line when it is time for one, or at once when the run has something else to say."""
        from xip_core.cli.screen import is_late, printable, run_line

        said = DIGITS.sub("", run.message)  # how late a run is changes all the time, and that is no news
        is_news = said != self._said
        self._said = said
        if not (is_news or run.state.is_final or now_s - self._line_at_s >= LINE_INTERVAL_S):
            return
        self._line_at_s = now_s
        words = f", {printable(run.message)}" if is_news and said and not is_late(run) else ""
        click.echo(run_line(run) + words, err=True)

    def _live(self) -> Bar:
        if self._bar is None:
            self._bar = Bar()
        return self._bar


class Bar:
    """The live bar; it vanishes when it is closed. A narrow window gets shorter figures, not a cut line."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        from xip_core.cli.screen import console

        out = console(stderr=True)
        self._is_wide = out.width >= WIDE_WIDTH
        self._progress: Progress = Progress(
            SpinnerColumn(style="dim"),
            TextColumn("{task.description}"),
            BarColumn(28 if self._is_wide else 8, complete_style="cyan", finished_style="green", pulse_style="dim"),
            TextColumn("{task.fields[figures]}"),
            console=out,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, figures="")
        self._progress.start()

    def show(self, run: Run, cells_per_s: float) -> None:
        self._progress.update(
            self._task,
            description=stage_of(run),
            total=run.cell_count or None,
            completed=run.cells_done,
            figures=figures(run, cells_per_s, is_wide=self._is_wide),
        )

    def close(self) -> None:
        self._progress.stop()


def stage_of(run: Run) -> str:
    """One word about what a run is at."""
    if run.is_paused:
        return "paused"
    if run.worker_count or run.state.is_final:
        return "pricing" if run.epoch_last else "planning"
    return "waiting"  # nobody is there to compute it


def figures(run: Run, cells_per_s: float, *, is_wide: bool) -> str:
    """Cells, rate, time left and workers; at most 60 characters where not *is_wide*, for a line of 80."""
    from xip_core.cli.screen import is_late, workers_of

    left = run.cell_count - run.cells_done
    left_s = run.eta_s or (left / cells_per_s if cells_per_s > 0.0 and run.cell_count else 0.0)
    eta = f"ETA {_duration(left_s)}{' late' if is_late(run) else ''}" if left_s else "ETA –"
    if is_wide:
        cells, rate, workers = f"{run.cells_done:,}/{run.cell_count:,}", " cells/s", workers_of(run)
    else:
        workers = f"{_short(run.worker_count)} worker{'' if run.worker_count == 1 else 's'}"
        cells, rate = f"{_short(run.cells_done)}/{_short(run.cell_count)}", "/s"
    return " · ".join((f"{cells} cells", f"{_short(cells_per_s)}{rate}", eta, workers))


def _short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.0f}"


def _duration(duration_s: float) -> str:
    if duration_s < 100.0:
        return f"{duration_s:.1f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
