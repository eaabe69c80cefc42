"""How much of a tile holds the interpreter's lock: `python -m bench.bench_lock [--seconds 0.5]`.

The works of `bench_slots`, one thread and two, with a counter before the interpreter's two functions that give the lock
away and take it (`lock_counter.c`, built here). A second slot can gain nothing of `held`; every release is a hand-over
when the other slot stands at the lock, and one of a few microseconds costs more than it gives. Unlike the gain of a
second slot these are shares of CPU time, so they tell something on a busy machine too.

    cpu ms      of a call
    held        share of it with the lock
    releases    a call, and those shorter than 5 us
    wait ms     for the lock, a call, of two threads
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.bench_slots import CASES, Work
from xip_worker.memory import keep_freed_memory

SOURCE = Path(__file__).with_name("lock_counter.c")
LIBRARY = "XIP_BENCH_LOCK_COUNTER"
"""Variable with the path of the built counter, in the process that has it loaded."""

COUNTERS = ("unlocked_cpu_ns", "wait_ns", "release_count", "short_release_count")


class Counts:
    """What passed since it was made."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._counters = [ctypes.c_uint64.in_dll(library, name) for name in COUNTERS]
        self._begin = [counter.value for counter in self._counters]

    def read(self) -> dict[str, int]:
        found = [counter.value - begin for counter, begin in zip(self._counters, self._begin, strict=True)]
        return dict(zip(COUNTERS, found, strict=True))


def cpu_s(work: Work, call_count: int, thread_count: int) -> float:
    """Of all threads, each with its share of the calls."""
    used: list[float] = []

    def run() -> None:
        begin_s = time.thread_time()
        for _ in range(call_count // thread_count):
            work()
        used.append(time.thread_time() - begin_s)

    threads = [threading.Thread(target=run) for _ in range(thread_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(used)


def measure(library: ctypes.CDLL, duration_s: float) -> None:
    keep_freed_memory()  # as a worker's first act
    print(f"{'':60} threads  cpu ms   held  releases (short)  wait ms")
    for case, make in CASES.items():
        work = make()
        work()
        call_count = 2 * max(2, round(0.5 * duration_s / max(1e-6, cpu_s(work, 2, 1) / 2)))
        for thread_count in (1, 2):
            counts = Counts(library)
            used_s = cpu_s(work, call_count, thread_count)
            found = counts.read()
            assert found["release_count"], "the counter must stand before a libpython that is a shared library"
            held = 1.0 - found["unlocked_cpu_ns"] / 1e9 / used_s
            releases, short = (found[name] / call_count for name in COUNTERS[2:])
            cpu_ms, wait_ms = used_s / call_count * 1e3, found["wait_ns"] / call_count / 1e6
            row = f"{case:60} {thread_count:7} {cpu_ms:7.3f} {held:6.1%} {releases:9.0f} ({short:4.0f}) {wait_ms:9.3f}"
            print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="of CPU, a case and a count of threads")
    arguments = parser.parse_args()
    if LIBRARY in os.environ:
        measure(ctypes.CDLL(os.environ[LIBRARY]), arguments.seconds)
        return
    with tempfile.TemporaryDirectory() as directory:
        library = str(Path(directory) / "lock_counter.so")
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, str(SOURCE), "-ldl"], check=True)
        environment = {**os.environ, "LD_PRELOAD": library, LIBRARY: library}
        command = [sys.executable, "-m", "bench.bench_lock", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
