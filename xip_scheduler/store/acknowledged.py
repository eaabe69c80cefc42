"""How far the store has come, kept beside it: the witness of commits that are gone.

A database file that lost its newest commits is still a sound database: a backup copied back, a WAL cut short, a disk
that lied about a sync all leave a file that opens without complaint and has forgotten what was acknowledged. So every
commit raises a counter in its transaction, and after it the counter is written here, into a file of its own:

    commit n durable ──> `acknowledged` says n          at the next start: database at m
                                                            m >= n   all that was acknowledged is there
                                                            m <  n   n - m commits are gone: refused (S20)

The file is overwritten in place, 32 bytes in one sector, and never synced: it must not cost a second sync. After a
power loss it may be old, which only means less evidence, never a false alarm, for it is written after the commit.

Which of the two it was, a restored backup or a disk that lost writes, the file cannot tell. A person who has put a
backup back says so (`--restored`); see `sqlite_file` for what that changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

FILE_NAME = "acknowledged"
_MAGIC = b"XiPack1\n"


class Acknowledged:
    """The open file; `serial` is what it said when it was opened, 0 where it said nothing that can be believed."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.serial = _serial(os.pread(self._descriptor, 64, 0))

    def write(self, serial: int) -> None:
        """Note that commit *serial* is durable. A disk that refuses leaves less evidence, nothing else."""
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, _content(serial), 0)

    def close(self) -> None:
        os.close(self._descriptor)


def read_acknowledged(directory: Path) -> int:
    """What the file of *directory* says, 0 where there is none."""
    try:
        return _serial((directory / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return 0


def _content(serial: int) -> bytes:
    told = _MAGIC + serial.to_bytes(8, "little")
    return told + hashlib.blake2b(told, digest_size=16).digest()


def _serial(content: bytes) -> int:
    serial = int.from_bytes(content[8:16], "little")
    return serial if content == _content(serial) else 0
