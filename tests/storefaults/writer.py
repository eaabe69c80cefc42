"""The process that is killed: opens the store of a directory and commits a script to it.

What it says, in single writes to its standard output, which no buffer can hold back: "open" when the store serves, then
the number of batches committed, after each.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.storefaults.forked import ForkedProcess, Passed
from tests.storefaults.script import PLANS, make_script
from xip_core.errors import StoreError
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.protocol import Batch
from xip_scheduler.store.sqlite import SqliteStore

EXIT_REFUSED = 3
"""The store could not be opened, or a commit was refused: what the scheduler would have ended with."""


class Writer:
    """A writer that waits to be told to begin."""

    def __init__(
        self, directory: Path, seed: int = 0, first: int = 0, last: int | None = None, flaw: str = ""
    ) -> None:
        """Batches *first* to *last* of script *seed* are its to commit; *flaw* is one of `FLAWS`."""
        self._said_reader, said = os.pipe()
        start, self._start = os.pipe()
        arguments = (str(directory), seed, first, last, flaw)
        with os.fdopen(said, "wb") as said_file, os.fdopen(start, "rb") as start_file:
            pipes = (Passed(said_file.fileno()), Passed(start_file.fileno()))
            self._process = ForkedProcess(_main, *arguments, *pipes)
        self.pid = self._process.pid
        self.said = b""

    def begin(self) -> None:
        os.write(self._start, b"go")
        os.close(self._start)

    def wait(self) -> int:
        """Exit code, negative for a signal; `said` is then all it said."""
        with os.fdopen(self._said_reader, "rb") as reader:
            self.said = reader.read()
        code = self._process.exit_code()
        assert code is not None
        return code

    @property
    def acknowledged(self) -> int:
        """Batches of the script known to be committed, counted from the first one; -1 if the store never opened."""
        lines = self.said.decode().split()
        return -1 if not lines else 0 if lines[-1] == "open" else int(lines[-1])


def _main(directory: str, seed: int, first: int, last: int | None, flaw: str, said: int, start: int) -> None:
    os.dup2(said, 1)
    os.close(said)
    os.read(start, 2)
    os._exit(write(Path(directory), seed, first, last, flaw))


FLAWS = ("lazy sync", "early acknowledgement", "half a batch")
"""Planted: each must be caught by the proof it is for."""


def write(directory: Path, seed: int, first: int, last: int | None, flaw: str = "") -> int:
    try:
        for plan in PLANS:
            FileBlobs(directory / "blobs").put(plan)
        store = SqliteStore(directory)
        store._driver.execute("PRAGMA wal_autocheckpoint = 60")  # so that a short script has checkpoints
        if flaw == "lazy sync":
            store._driver.execute("PRAGMA synchronous = NORMAL")
        os.write(1, b"open\n")
        for number, batch in enumerate(make_script(seed)[first:last], first + 1):
            if flaw == "early acknowledgement":
                os.write(1, b"%d\n" % number)
            if flaw == "half a batch":
                store.commit(Batch(runs=batch.runs, epoch_end=batch.epoch_end))
                batch.runs = []
            store.commit(batch)
            if flaw != "early acknowledgement":
                os.write(1, b"%d\n" % number)
        store.close()
    except StoreError:
        return EXIT_REFUSED
    return 0
