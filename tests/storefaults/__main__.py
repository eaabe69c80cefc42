"""    python -m tests.storefaults [--points N] [--grid-points N] [--images N] [--from SEED] [--require-all]

Prints what was tried and ends with 1 if anything acknowledged was lost, any start that should have served was refused,
or any damage was found by nobody. Where strace is missing or may not trace, it says what it could not run; with
--require-all that is a failure too.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.storefaults import damage, grid, kill, power, slow, together, tracing, trouble
from tests.storefaults.kill import Story

NEED_STRACE = (
    "kill -9 before every change of a file",
    "kill -9 of a whole scheduler",
    "kill -9 within the commit of a message",
    "slow syncs",
    "power loss",
    "lying syncs",
    "disk full, EIO",
    "damaged files",
)

LIE = 0.3
"""Share of the syncs that do nothing where the disk lies."""


class Printer:
    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._begin_s = time.perf_counter()

    def section(self, name: str, count: int, found: list[str], more: str = "") -> None:
        elapsed_s = time.perf_counter() - self._begin_s
        self._begin_s = time.perf_counter()
        verdict = f"{len(found)} FAILED" if found else "none failed"
        print(f"{name:42} {count:6}  {verdict}{more}  ({elapsed_s:.0f} s)", flush=True)
        for complaint in found[:20]:
            print(f"    {complaint}")
        self.complaints += found


SHARES = {"new": 0.4, "again": 0.4, "upgrade": 0.2}
"""Of the kill points; each start of an upgraded store takes five times as long, and it has a quarter of the points."""


def kill_points(printer: Printer, stories: list[Story], count: int, jobs: int) -> None:
    for story in stories:
        every = kill.points(story)
        chosen = kill.spread(every, round(SHARES[story.name] * count))
        found = kill.check_all(chosen, jobs)
        printer.section(f"kill -9, story {story.name}", len(chosen), found, f", of {len(every)} points")


def scheduler_kills(printer: Printer, count: int, jobs: int) -> None:
    async def kill_each() -> None:
        every = await grid.places()
        chosen = grid.spread(every, count)
        found = await grid.check_all(chosen, jobs)
        printer.section("kill -9 of a whole scheduler", len(chosen), found, f", of {len(every)} points")

    asyncio.run(kill_each())


def message_kills(printer: Printer, jobs: int) -> None:
    async def kill_each() -> None:
        every = await together.places()
        found = await grid.check_all(every, jobs, check=together.check)
        printer.section("kill -9 within the commit of a message", len(every), found)

    asyncio.run(kill_each())


def slow_syncs(printer: Printer, delay_s: float) -> None:
    figures = asyncio.run(slow.check(delay_s, rounds=3))
    more = (
        f", of {delay_s:g} s each: reads within {slow.longest_s(figures.reads):.2f} s,"
        f" the loop within {slow.longest_s(figures.probes):.3f} s"
    )
    printer.section("slow syncs", len(figures.syncs), figures.complaints, more)


def power_losses(printer: Printer, stories: list[Story], count: int, seed: int) -> None:
    records = [power.record(story) for story in stories]
    for record in records:
        figures = power.losses(record, count // len(stories), seed)
        printer.section(f"power loss, story {record.story.name}", figures.images, figures.complaints)
    for record in records:
        figures = power.losses(record, count // len(stories), seed, LIE)
        more = (
            f", {figures.refused} refused, {figures.mixed} found by verify or readers,"
            f" {figures.silent} by nobody, {figures.lost} lost together with the witness"
        )
        printer.section(f"lying syncs, story {record.story.name}", figures.images, figures.complaints, more)


def disk_troubles(printer: Printer, stories: list[Story], count: int, jobs: int) -> None:
    for kind in trouble.ERRORS:
        places = [
            (story, kind, *place) for story in stories for place in trouble.places(story, kind, count // len(stories))
        ]
        with ThreadPoolExecutor(jobs) as pool:
            found = [sentence for said in pool.map(lambda each: trouble.check(*each), places) for sentence in said]
        printer.section(kind, len(places), found)


def size_limits(printer: Printer, story: Story) -> None:
    limits = [1 << 10, 40_000, 100_000, 150_000, 200_000]
    printer.section(
        "file size limit", len(limits), [said for limit in limits for said in trouble.check_size_limit(story, limit)]
    )


def damages(printer: Printer, story: Story, count: int, seed: int) -> None:
    for name, finders in damage.survey(story.template, count, seed).items():
        silent = [f"{name}: {finder} ({number} times)" for finder, number in finders.items() if "silent" in finder]
        printer.section(name, count, silent, f", found by {_told(finders)}")


def _told(finders: Counter[str]) -> str:
    return ", ".join(f"{name} {finders[name]}" for name in damage.FINDERS if finders[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=510, help="kill points, spread over all there are")
    parser.add_argument("--grid-points", type=int, default=40, help="kill points of a whole scheduler")
    parser.add_argument("--delay", type=float, default=2.0, help="seconds of a slow sync")
    parser.add_argument("--images", type=int, default=300, help="power losses, and as many with lying syncs")
    parser.add_argument("--troubles", type=int, default=30, help="places of each kind of error")
    parser.add_argument("--damages", type=int, default=40, help="of each kind of damage")
    parser.add_argument("--from", dest="seed", type=int, default=0, help="other images and damages")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--require-all", action="store_true", help="what cannot be run here is a failure")
    arguments = parser.parse_args()
    printer = Printer()
    parts: list[Callable[[list[Story]], None]] = [
        lambda stories: kill_points(printer, stories, arguments.points, arguments.jobs),
        lambda stories: scheduler_kills(printer, arguments.grid_points, arguments.jobs),
        lambda stories: message_kills(printer, arguments.jobs),
        lambda stories: slow_syncs(printer, arguments.delay),
        lambda stories: power_losses(printer, stories, arguments.images, arguments.seed),
        lambda stories: disk_troubles(printer, stories, arguments.troubles, arguments.jobs),
        lambda stories: damages(printer, stories[1], arguments.damages, arguments.seed),
    ]
    reason = tracing.missing()
    with tempfile.TemporaryDirectory(dir=kill.MEMORY) as name:
        stories = kill.make_stories(Path(name), is_traced=not reason)
        size_limits(printer, stories[0])
        if reason:
            for what in NEED_STRACE:
                print(f"NOT RUN: {what}: {reason}")
        else:
            for part in parts:
                part(stories)
    print(f"{len(printer.complaints)} complaints")
    sys.exit(1 if printer.complaints or (reason and arguments.require_all) else 0)


if __name__ == "__main__":
    main()
