"""xip_worker.memory: what a tile gives back is there for the next one."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from xip_worker import memory
from xip_worker.memory import keep_freed_memory

PAGE_FAULTS = """
import ctypes, resource, sys, threading
from xip_worker.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()

def tile():
    # blocks that an arena holds, so many that its end is worth returning
    blocks = [bytearray(b"x") * 100_000 for _ in range(100)]
    del blocks

def slot():
    tile()
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(5):
        tile()
    print(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

thread = threading.Thread(target=slot)
thread.start()
thread.join()
"""

def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_slots_next_tile_finds_the_memory_of_the_last_one() -> None:
    if platform.libc_ver()[0] != "glibc":
        assert not keep_freed_memory(), "the settings are those of glibc"
        return
    assert page_faults("kept") < 0.25 * page_faults("given back")


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()


def test_a_setting_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        @staticmethod
        def mallopt(name: int, size_bytes: int) -> int:
            return int(name == memory.M_MMAP_THRESHOLD)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library)
    assert not keep_freed_memory()
