"""SIGKILL before every call that changes a file.

What was written before stays in the operating system's cache, so this is the death of a process, not of a machine:
`power` has those. Three stories: a store is made, one goes on after a crash (its WAL is recovered and checkpointed),
one of the first schema is upgraded.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tests.scheduler.store.test_migrations import a_store_of_schema_1
from tests.storefaults.script import PLAN_DIGESTS, PLANS, State, make_script, state_of, states
from tests.storefaults.tracing import CHANGES, FORKING, calls, run_under
from tests.storefaults.writer import Writer
from xip_core.errors import StoreError
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.sqlite import DATABASE_NAME, SqliteStore
from xip_scheduler.store.verify import verify_store

SEED = 1
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the stores of killed processes live: their writes need no disk to survive."""


class Story(msgspec.Struct):
    """
    Attributes:
        template: directory the writer begins with.
        first, last: batches of script `SEED` it commits.
        expected: the state after 0, 1, 2, ... of these batches.
        flaw: planted in the writer, "" for none.
    """

    name: str
    template: Path
    first: int
    last: int
    expected: list[State]
    flaw: str = ""

    def writer(self, directory: Path) -> Writer:
        shutil.copytree(self.template, directory, dirs_exist_ok=True)
        return Writer(directory, SEED, self.first, self.last, self.flaw)


class Point(msgspec.Struct, frozen=True):
    """Before call number *number* (1, 2, ...) of this name."""

    story: Story
    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.story.name}, {self.call} {self.number}"


def make_stories(directory: Path, is_traced: bool = True) -> list[Story]:
    """The three stories; without strace the first one alone."""
    script = make_script(SEED)
    new = directory / "new"
    new.mkdir()
    making = Story("new", new, 0, 12, states(script[:12]))
    if not is_traced:
        return [making]
    again = directory / "again"
    _crash_after(again, 14)
    old = directory / "old"
    old.mkdir()
    a_store_of_schema_1(old, finished_plan_digest=PLAN_DIGESTS[0])
    for plan in PLANS:
        FileBlobs(old / "blobs").put(plan)
    shutil.copytree(old, directory / "upgraded")
    store = SqliteStore(directory / "upgraded")
    upgraded = state_of(store)
    store.close()
    return [
        making,
        Story("again", again, 14, 26, states(script[:26])[14:]),
        Story("upgrade", old, 0, 3, states(script[:3], upgraded)),
    ]


def _crash_after(directory: Path, last: int) -> None:
    """A store whose writer died with its WAL full of commits."""
    directory.mkdir()
    writer = Writer(directory, SEED, 0, last)
    # The last acknowledgement is the last write but for the end of the process: nothing is closed.
    count = len(PLANS) + 1 + last
    code = run_under(writer, "trace=write", f"inject=write:signal=SIGKILL:when={count}")
    assert code == -9, code
    assert (directory / f"{DATABASE_NAME}-wal").stat().st_size > 0


def points(story: Story) -> list[Point]:
    """Every point of *story*."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        log = Path(name) / "log"
        writer = story.writer(Path(name) / "data")
        code = run_under(writer, f"trace={','.join(CHANGES)}", log=log)
        assert (code, writer.acknowledged) == (0, story.last), (story.name, code, writer.said)
        counts: dict[str, int] = {}
        for call in calls(log):
            counts[call.name] = counts.get(call.name, 0) + 1
    return [Point(story, call, number) for call, count in counts.items() for number in range(1, count + 1)]


def check(point: Point) -> list[str]:
    """Kill there, start again, go on to the end: what was wrong."""
    story = point.story
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name)
        writer = story.writer(directory)
        code = run_under(
            writer, f"trace={point.call}", f"inject={point.call}:signal=SIGKILL:when={point.number}"
        )
        if code != -9:
            return [f"{point}: not reached, exit code {code}"]
        with FORKING:
            return [f"{point}: {complaint}" for complaint in recovery(directory, story, writer.acknowledged)]


def recovery(directory: Path, story: Story, acknowledged: int) -> Iterator[str]:
    """What is wrong with the start after a fault, with going on to the end, and with the start after that."""
    count = max(acknowledged - story.first, 0)
    script = make_script(SEED)[story.first : story.last]
    try:
        blobs = FileBlobs(directory / "blobs")
        with contextlib.closing(SqliteStore(directory)) as store:
            found = state_of(store)
            possible = story.expected[count : count + 2]
            if found not in possible:
                yield f"{acknowledged} commits were acknowledged, the store holds none of the possible states"
                return
            for plan in PLANS:
                blobs.put(plan)
            for batch in script[count + possible.index(found) :]:
                store.commit(batch)
        with contextlib.closing(SqliteStore(directory)) as store:
            if state_of(store) != story.expected[-1]:
                yield "going on does not end where an undisturbed writer ends"
    except StoreError as error:
        yield f"refused: {error}"
        return
    for looked in verify_store(directory).checks:
        yield from looked.complaints


def spread(found: list[Point], count: int) -> list[Point]:
    """About *count* of them at even distances, or all."""
    step = max(1, len(found) // count)
    return found[::step]


def check_all(found: list[Point], jobs: int) -> list[str]:
    """Complaints of all points. Threads: a writer and its strace do the work."""
    with ThreadPoolExecutor(jobs) as pool:
        return [complaint for complaints in pool.map(check, found) for complaint in complaints]
