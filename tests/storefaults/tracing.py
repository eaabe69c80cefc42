"""strace, attached to a writer before it begins."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.storefaults.writer import Writer

CHANGES = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "unlink", "rename")
"""Every call with which SQLite, the blobs and the witness change what a disk holds."""

FOLLOWED = (*CHANGES, "openat", "close")

FORKING = threading.Lock()
"""Held by whoever starts a tracer, and by whoever has a store open: between fork and exec a child holds the lock of the
store too, and the next opening would find it taken."""

WHOLE = 1 << 26
"""Bytes of a call's data that are written down: more than any page."""


class Call(msgspec.Struct, frozen=True):
    """A traced call; *result* is negative where it failed."""

    name: str
    arguments: str
    result: int


def missing() -> str:
    """Why nothing can be traced here, "" if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian package strace)"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace: {tried.stderr.strip()}" if tried.returncode else ""


def run_under(writer: Writer, *expressions: str, log: Path = Path("/dev/null"), data: bool = False) -> int:
    """Let *writer* run with strace's *expressions* in force; its exit code, negative for a signal.

    Without `-f`: a writer has one thread. Faults are counted per call from here on.
    """
    arguments = ["strace", "-p", str(writer.pid), "-o", str(log)]
    if data:
        arguments += ["-xx", "-s", str(WHOLE)]
    for expression in expressions:
        arguments += ["-e", expression]
    with FORKING:
        started = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    with started as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        writer.begin()
        code = writer.wait()
        tracer.stderr.read()
    return code


_LINE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)", re.DOTALL)


def calls(log: Path) -> Iterator[Call]:
    """The calls of a log in order."""
    with log.open(errors="replace") as lines:
        for line in lines:
            found = _LINE.match(line)
            if found:
                yield Call(found[1], found[2], int(found[3]))
