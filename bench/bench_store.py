"""How many one-tile records a second does the SQLite store make durable, and how long does it take to open?

    python -m bench.bench_store                     rows a second by rows a commit, commits a second of one row, opening

Compare two versions of the store within one run of the machine: `PYTHONPATH=<other tree> python bench/bench_store.py`.
The directory of the database is the system's temporary one unless --directory names another (its disk is what syncs).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from xip_scheduler.store.protocol import Batch, FinishedRun, NewRun
from xip_scheduler.store.sqlite import SqliteStore

ROUND_COUNT = 5


def commits_s(directory: Path, record_count: int, commit_count: int) -> float:
    """Seconds for *commit_count* commits of *record_count* records each, the end of the run not included."""
    store = SqliteStore(directory)
    store.commit(Batch(runs=[NewRun("r", "desk", "q", "hash", "name", b"spec", "0" * 64, 1, 0.0)]))
    epoch = 1 << 40
    batches = [
        Batch(records=[("r", 0, tile, tile + 1, epoch, "w", 12, 0) for tile in range(first, first + record_count)])
        for first in range(0, commit_count * record_count, record_count)
    ]
    begin_s = time.perf_counter()
    for batch in batches:
        store.commit(batch)
    elapsed_s = time.perf_counter() - begin_s
    begin_s = time.perf_counter()
    store.commit(Batch(finished=[FinishedRun("r", 2, "", 1.0)]))
    finish_s.append(time.perf_counter() - begin_s)
    store.close()
    return elapsed_s


finish_s: list[float] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=None, help="where the databases are made")
    arguments = parser.parse_args()
    for record_count, commit_count in ((1, 500), (100, 200), (2048, 50)):
        rates, finish_s[:] = [], []
        for _ in range(ROUND_COUNT):
            with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
                rates.append(record_count * commit_count / commits_s(Path(name), record_count, commit_count))
        print(
            f"{record_count:5} records a commit: {statistics.median(rates):9,.0f} records/s,"
            f" {statistics.median(rates) / record_count:7,.0f} commits/s;"
            f" the commit that ends the run {statistics.median(finish_s) * 1e3:.1f} ms"
        )
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        SqliteStore(Path(name)).close()
        opened = []
        for _ in range(20):
            begin_s = time.perf_counter()
            SqliteStore(Path(name)).close()
            opened.append(time.perf_counter() - begin_s)
    print(f"open and close: {statistics.median(opened) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
