"""The line between worker, client and scheduler breaks in every way TCP breaks (faults 12, 13 of the catalogue).

The faults are made by a proxy of the test (`proxy`), by a gRPC proxy that ends streams with UNKNOWN as HAProxy does
with idle ones (`grpc_proxy`), and, where the user is root, by network namespaces.
"""

from __future__ import annotations

import os
import subprocess
import time

from tests.chaos.arena import BRISK, Arena
from tests.chaos.grpc_proxy import UnknownProxy
from tests.chaos.proxy import Direction, Proxy
from tests.chaos.scenario import Figures, scenario
from tests.chaos.waiting import let_pass, until
from tests.integration.cluster import Daemon
from xip_core.client.sync import SyncClient

RECONNECTED_S = 20.0


@scenario(
    injected="the lines of a worker and of a client are reset 10 times during runs",
    holds="both come back by themselves, streams go on at their cursor; same bytes",
)
def lines_reset(arena: Arena) -> Figures:
    arena.scheduler()
    with Proxy(arena.address) as line:
        worker = arena.worker(2, line.address)
        with arena.client(line.address) as client:
            for _ in range(50 if arena.is_nightly else 2 if arena.is_brief else 5):
                run = arena.submit(client)
                for _ in range(2):
                    let_pass(arena.draw.uniform(0.05, 0.3))
                    line.reset_all()
                arena.complete(client, run)
        assert worker.process.poll() is None
        connection_count = line.connection_count
    return {"connections": f"{connection_count}, 2 at a time"}


@scenario(
    injected="network between worker and scheduler cut for longer than a lease, another worker goes on, healed",
    holds="leased again at the cut; the cut worker's results are refused or recorded once; it works on; same bytes",
)
def line_cut_and_healed(arena: Arena) -> Figures:
    arena.scheduler(*BRISK)
    with Proxy(arena.address) as line:
        cut_off = arena.observed_worker(2, address=line.address)
        cut_off.wait_for_log("attached")
        with arena.client() as client:
            runs = [arena.submit(client), arena.submit_probe(client, 3_000, tile_duration_s=0.001)]
            until(lambda: client.run(runs[1].run_id).cells_done > 50, 20.0, "work must be under way")
            line.cut()
            begun_s = time.monotonic()
            arena.worker()
            arena.complete(client, *runs)
            ended_s = time.monotonic() - begun_s
            line.heal()
            until(lambda: _worker_count(client) == 2, RECONNECTED_S, "the cut worker must come back")
            arena.complete(client, arena.submit(client))
        assert cut_off.process.poll() is None
    return {"others had finished after": f"{ended_s:.1f} s"}


def _worker_count(client: SyncClient) -> int:
    return len(client.workers())


@scenario(
    injected="half-open line: nothing passes in either direction and nothing ends, then healed",
    holds="silence ends the lease; the worker changes nothing afterwards and works on; same bytes",
)
def line_half_open(arena: Arena) -> Figures:
    return freeze_line(arena, "up", "down")


@scenario(
    injected="one-way line: the worker hears the scheduler, but is not heard",
    holds="silence ends the lease; the worker changes nothing afterwards and works on; same bytes",
)
def line_one_way_up(arena: Arena) -> Figures:
    return freeze_line(arena, "up")


@scenario(
    injected="one-way line: the worker is heard, but hears nothing; the line stays broken",
    holds="what it computed is recorded; leases it never heard of expire until keepalive (15 s) ends it; same bytes",
)
def line_one_way_down(arena: Arena) -> Figures:
    return freeze_line(arena, "down")


def freeze_line(arena: Arena, *directions: Direction) -> Figures:
    """Freeze a busy worker's line until another has finished its work, then heal it and use both."""
    arena.scheduler(*BRISK)
    with Proxy(arena.address) as line:
        frozen = arena.observed_worker(2, address=line.address)
        frozen.wait_for_log("attached")
        with arena.client() as client:
            runs = [arena.submit(client), arena.submit_probe(client, 2_000, tile_duration_s=0.001)]
            until(lambda: client.run(runs[1].run_id).cells_done > 20, 20.0, "work must be under way")
            line.freeze(*directions)
            begun_s = time.monotonic()
            arena.worker()
            arena.complete(client, *runs)
            ended_s = time.monotonic() - begun_s
            line.heal()
            arena.complete(client, *[arena.submit(client) for _ in range(2)])
            until(lambda: _worker_count(client) == 2, RECONNECTED_S, "the worker must be back")
        assert frozen.process.poll() is None, frozen.lines
    return {"runs ended after": f"{ended_s:.1f} s from the fault"}


@scenario(
    injected="a line with a delay of 100 ms; one that passes 1 byte at a time",
    holds="slower, not wrong: no lease is lost; same bytes",
)
def line_slow(arena: Arena) -> Figures:
    arena.scheduler()
    figures: Figures = {}
    with Proxy(arena.address) as line:
        arena.observed_worker(2, address=line.address).wait_for_log("attached")
        with arena.client() as client:
            for name, delay_s, chunk_bytes in (("delayed", 0.1, 1 << 16), ("dribbled", 0.0, 1)):
                line.delay_s, line.chunk_bytes = delay_s, chunk_bytes
                begun_s = time.monotonic()
                probe = arena.submit_probe(client, 200, tile_duration_s=0.002)
                arena.complete(client, probe)
                if chunk_bytes == 1:
                    line.chunk_bytes = 500  # a sample is 10 MB of messages: a byte at a time is another kind of test
                arena.complete(client, arena.submit(client))
                figures[name] = f"{time.monotonic() - begun_s:.1f} s for a probe and a sample"
                line.heal()
    again = sum(count - 1 for count in arena.evaluations().values())
    assert again == 0, f"{again} tiles were computed twice: a slow line is not a dead worker"
    return figures


@scenario(
    injected="an HTTP/2 proxy that ends every stream with UNKNOWN, again and again",
    holds="worker and client open them again; no lease is lost for good; same bytes",
)
def streams_cut_with_unknown(arena: Arena) -> Figures:
    arena.scheduler()
    with UnknownProxy(arena.address) as line:
        worker = arena.worker(2, line.address)
        with arena.client(line.address) as client:
            for _ in range(3):
                run = arena.submit(client)
                let_pass(arena.draw.uniform(0.1, 0.3))
                cut_count = line.cut()
                arena.complete(client, run)
        assert worker.process.poll() is None
        assert cut_count > 0
        total = line.cut_count
    return {"streams cut": f"{total}"}


@scenario(
    injected="a worker in a network namespace whose interface goes down for longer than a lease and up again",
    holds="leased again elsewhere; the worker comes back by itself; same bytes",
)
def namespace_cut(arena: Arena) -> Figures:
    if os.geteuid() != 0 or subprocess.run(["ip", "netns"], capture_output=True, check=False).returncode != 0:
        return {"not played": "needs root and iproute2; the TCP proxy's scenarios stand for it"}
    name, number = f"xip{os.getpid()}", os.getpid() % 250 + 1
    host, guest = f"10.213.{number}.1", f"10.213.{number}.2"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    ip("netns", "add", name)
    arena.callback(lambda: ip("netns", "del", name))
    ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}g", "netns", name)
    ip("addr", "add", f"{host}/24", "dev", f"{name}h")
    ip("link", "set", f"{name}h", "up")
    ip("-n", name, "addr", "add", f"{guest}/24", "dev", f"{name}g")
    ip("-n", name, "link", "set", f"{name}g", "up")
    arena.scheduler("--insecure", *BRISK, host="0.0.0.0")
    port = arena.address.rpartition(":")[2]
    arguments = ["xip_worker", f"--scheduler={host}:{port}", "--slots=2"]
    far = arena.keep(Daemon(arguments, prefix=("ip", "netns", "exec", name)))
    far.wait_for_log("attached")
    with arena.client() as client:
        runs = [arena.submit(client), arena.submit_probe(client, 2_000, tile_duration_s=0.001)]
        until(lambda: client.run(runs[1].run_id).cells_done > 20, 20.0, "work must be under way")
        ip("link", "set", f"{name}h", "down")
        begun_s = time.monotonic()
        arena.worker()
        arena.complete(client, *runs)
        ended_s = time.monotonic() - begun_s
        ip("link", "set", f"{name}h", "up")
        until(lambda: _worker_count(client) == 2, 40.0, "the worker behind the line must be back")
        arena.complete(client, arena.submit(client))
    return {"runs ended after": f"{ended_s:.1f} s from the fault"}
