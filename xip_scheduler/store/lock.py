"""One scheduler per data directory: an advisory lock on a file that also says who holds it.

SQLite's exclusive mode would refuse a second scheduler too, but with "database is locked" and nobody's name. The lock
belongs to the open file: the kernel drops it when the process ends, however it ends, so a stale file never blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from xip_core.errors import StoreError


class DirectoryLock:
    """Held from construction until `release`.

    Raises:
        StoreError: another process holds it; the message names the process.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 256).decode(errors="replace").strip() or "holder unknown"
            os.close(self._descriptor)
            raise StoreError(
                f"data directory {directory} must belong to one scheduler, but another holds it ({holder}); "
                "stop that one or choose another --data-dir"
            ) from None
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only its holder has no name
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"pid {os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        with contextlib.suppress(OSError):  # a disk that fails keeps the name of one who is gone; the lock is free
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
