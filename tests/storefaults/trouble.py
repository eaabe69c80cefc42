"""A disk that is full, or that fails a sync.

A writer whose commit is refused must end at once, as the scheduler does: it says so, keeps what it acknowledged, and
asks the disk for nothing more, above all no second sync. When the trouble is over, the next start goes on.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

from tests.storefaults.kill import MEMORY, Story, points, recovery
from tests.storefaults.tracing import CHANGES, FORKING, calls, run_under
from tests.storefaults.writer import EXIT_REFUSED

ERRORS = {
    "disk full": ("ENOSPC", ("pwrite64", "ftruncate"), "+"),
    "write fails": ("EIO", ("pwrite64",), ""),
    "sync fails": ("EIO", ("fdatasync", "fsync"), ""),
}
"""Error, the calls that return it, and whether all calls from then on do."""


def places(story: Story, kind: str, count: int) -> list[tuple[str, int]]:
    """About *count* (call, number) pairs at which *kind* can strike, at even distances."""
    found = [(point.call, point.number) for point in points(story) if point.call in ERRORS[kind][1]]
    return found[:: max(1, len(found) // count)]


def check(story: Story, kind: str, call: str, number: int) -> list[str]:
    """Strike there, end the trouble, start again: what was wrong."""
    error, _, for_ever = ERRORS[kind]
    where = f"{story.name}, {kind}, {call} {number}"
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name) / "data"
        log = Path(name) / "log"
        writer = story.writer(directory)
        expressions = (f"trace={','.join(CHANGES)}", f"inject={call}:error={error}:when={number}{for_ever}")
        code = run_under(writer, *expressions, log=log)
        followed = [each.name for each in calls(log)]
        # The failing call may not have been needed: the witness's note, a checkpoint that the next one does again.
        if code != EXIT_REFUSED and (code, writer.acknowledged) != (0, story.last):
            return [f"{where}: the writer ended with {code}"]
        with FORKING:
            complaints = [f"{where}: {sentence}" for sentence in recovery(directory, story, writer.acknowledged)]
        # The copy before an upgrade is SQLite's to roll back, syncs and all: it is thrown away.
        if code and kind == "sync fails" and call == "fdatasync" and story.name != "upgrade":
            failed = [index for index, each in enumerate(followed) if each == call][number - 1]
            again = [each for each in followed[failed + 1 :] if each in ("fdatasync", "fsync")]
            if again:
                complaints.append(f"{where}: synced {len(again)} times more after a sync had failed")
        return complaints


def check_size_limit(story: Story, size_limit_bytes: int) -> list[str]:
    """A file that may not grow: the same refusal, made by the kernel and without strace."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name)
        writer = story.writer(directory)
        resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, (size_limit_bytes, size_limit_bytes))
        writer.begin()
        code = writer.wait()
        where = f"{story.name}, no file above {size_limit_bytes} bytes"
        if code != EXIT_REFUSED:
            return [f"{where}: the writer ended with {code}"]
        return [f"{where}: {complaint}" for complaint in recovery(directory, story, writer.acknowledged)]
