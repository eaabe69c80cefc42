"""What does PostgreSQL cost against SQLite, how soon is a dead leader replaced, how soon is a killed scheduler back?

    python -m bench.bench_postgres commits         rows a second of both stores, in turns, on the same disk
    python -m bench.bench_postgres takeovers       20 leaders killed or stopped; time until another answers a call
    python -m bench.bench_postgres restarts        kill -9 of schedulers with 100,000 live tiles until they answer

A private server is started for it from the binaries of this machine, with durability on.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from tests.integration.cluster import Daemon
from tests.postgres.cluster import SchedulerDaemon
from tests.postgres.server import PrivateServer, find_binaries
from xip_core.graph.plan import Node, NodeKind, Plan
from xip_core.wire.v1 import worker_pb2, worker_pb2_grpc
from xip_scheduler.store.blobs import FileBlobs
from xip_scheduler.store.postgres import PostgresStore
from xip_scheduler.store.postgres_blobs import SharedBlobs
from xip_scheduler.store.postgres_leader import LeaderRow
from xip_scheduler.store.postgres_session import DatabaseAddress
from xip_scheduler.store.protocol import Batch, NewRun, Store
from xip_scheduler.store.sqlite import SqliteStore

ROUNDS = 5
SILENCE_S = 5.0
LIVE_TILES = 100_000
PATIENCE_S = 60.0


def opened(address: DatabaseAddress) -> PostgresStore:
    leader = LeaderRow(address)
    leader.prepare()
    term = leader.claim(leader.observe())
    assert term is not None, "nobody else is here"
    return PostgresStore(address, term, leader)


# ---- commits


def commits(server: PrivateServer, directory: Path) -> None:
    openings: dict[str, Callable[[int], Store]] = {
        "SQLite": lambda number: SqliteStore(directory / f"sqlite{number}"),
        "PostgreSQL": lambda number: opened(server.new_database()),
    }
    for record_count, commit_count in ((1, 300), (100, 100), (2048, 30)):
        rates: dict[str, list[float]] = {name: [] for name in openings}
        for number in range(ROUNDS):
            for name, opening in openings.items():
                store = opening(record_count * 1000 + number)
                rates[name].append(record_count * commit_count / _commits_s(store, record_count, commit_count))
                store.close()
        shown = ", ".join(f"{name} {statistics.median(rate):9,.0f} records/s" for name, rate in rates.items())
        print(f"{record_count:5} records a commit: {shown}", flush=True)


def _commits_s(store: Store, record_count: int, commit_count: int) -> float:
    store.commit(Batch(runs=[_run("0" * 64)]))
    tile_count = record_count * commit_count
    batches = [
        Batch(records=[("r", 0, tile, tile + 1, 1 << 40, "w", 12, 0) for tile in range(first, first + record_count)])
        for first in range(0, tile_count, record_count)
    ]
    begun_s = time.perf_counter()
    for batch in batches:
        store.commit(batch)
    return time.perf_counter() - begun_s


def _run(plan_digest: str) -> NewRun:
    return NewRun("r", "desk", "q", "hash", "name", b"", plan_digest, 1, 0.0)


# ---- takeovers


def takeovers(server: PrivateServer, directory: Path) -> None:
    """Each new leader is struck before it is settled: the whole silence passes."""
    address = server.new_database()
    leader = SchedulerDaemon(address, directory / "0", silence_s=SILENCE_S)
    leader.until_serving()
    stopped: list[SchedulerDaemon] = []
    elapsed_s: dict[str, list[float]] = {"kill -9": [], "SIGSTOP": []}
    for number in range(20):
        standby = SchedulerDaemon(address, directory / f"{number + 1}", silence_s=SILENCE_S)
        standby.wait_for_log("standing by")
        kind = ("kill -9", "SIGSTOP")[number % 2]
        begun_s = time.perf_counter()
        leader.process.send_signal(signal.SIGKILL if kind == "kill -9" else signal.SIGSTOP)
        until_answered(standby.address)
        elapsed_s[kind].append(time.perf_counter() - begun_s)
        stopped.append(leader)
        leader = standby
    codes = []
    for daemon in stopped[1::2]:
        daemon.process.send_signal(signal.SIGCONT)
        codes.append(daemon.process.wait(PATIENCE_S))
    for daemon in (*stopped, leader):
        daemon.stop()
    every = sorted(elapsed_s["kill -9"] + elapsed_s["SIGSTOP"])
    for kind, times_s in elapsed_s.items():
        shown = f"median {statistics.median(times_s):.2f} s, most {max(times_s):.2f} s"
        print(f"{kind:8} {len(times_s)} takeovers: {shown}")
    print(f"all      {len(every)} takeovers: p50 {statistics.median(every):.2f} s, p99 (the most) {every[-1]:.2f} s")
    print(f"woken leaders ended with {codes}")


def until_answered(address: str) -> None:
    """Until a call is answered; a client tries again every 20 ms."""
    with grpc.insecure_channel(address) as channel:
        stub = worker_pb2_grpc.WorkerServiceStub(channel)
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            try:
                stub.ListWorkers(worker_pb2.ListWorkersRequest(), timeout=1.0)
                return
            except grpc.RpcError:
                time.sleep(0.02)
    raise TimeoutError(f"{address} must answer within {PATIENCE_S} s")


# ---- restarts


def restarts(server: PrivateServer, directory: Path) -> None:
    plan = Plan((Node(0, "p", NodeKind.PROBE, "probe.noop", "1", LIVE_TILES, 1e-6, tiles_per_lease=1),), LIVE_TILES)
    records = [("r", 0, tile, tile + 1, 1, "w", 1, 0) for tile in range(0, LIVE_TILES, 2)]
    address = server.new_database()
    for name, store, blobs, options in (
        ("SQLite", SqliteStore(directory / "data"), FileBlobs(directory / "data" / "blobs"), ()),
        (
            "PostgreSQL",
            opened(address),
            SharedBlobs(directory / "shared" / "blobs", address),
            (f"--store={address.url}", f"--store-password-file={address.password_file}"),
        ),
    ):
        store.commit(Batch(runs=[_run(blobs.put(plan.encode()))], epoch_end=10))
        store.commit(Batch(records=records))  # every other tile: as many intervals as there can be
        store.close()
        data_dir = directory / ("shared" if options else "data")
        arguments = ["xip_scheduler", "--listen=127.0.0.1:0", f"--data-dir={data_dir}", *options]
        elapsed_s = [_restart_s(arguments) for _ in range(3)]
        shown = f"median {statistics.median(elapsed_s):.2f} s, most {max(elapsed_s):.2f} s"
        print(f"{name}: kill -9 to answering: {shown}", flush=True)


def _restart_s(arguments: list[str]) -> float:
    """A leader that has led for longer than the silence is killed and started again."""
    first = Daemon(arguments)
    first.wait_for_log("serving")
    time.sleep(2 * SILENCE_S)  # renewals on a busy machine come later than asked for
    first.kill()
    begun_s = time.perf_counter()
    again = Daemon(arguments)
    until_answered(str(again.wait_for_log("serving")["address"]))
    elapsed_s = time.perf_counter() - begun_s
    for daemon in (again, first):
        daemon.stop()
    return elapsed_s


BENCHES = {"commits": commits, "takeovers": takeovers, "restarts": restarts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", choices=BENCHES)
    arguments = parser.parse_args()
    binaries = find_binaries()
    assert binaries is not None, "no PostgreSQL server on this machine: apt-get install postgresql"
    with PrivateServer(binaries) as server, tempfile.TemporaryDirectory() as name:
        BENCHES[arguments.bench](server, Path(name))


if __name__ == "__main__":
    main()
