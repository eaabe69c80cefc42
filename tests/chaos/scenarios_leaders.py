"""Two schedulers on one PostgreSQL: the leader dies or is stopped under load, the other takes over (fault 10)."""

from __future__ import annotations

import signal
import time

import psycopg

from tests.chaos.arena import Arena
from tests.chaos.processes import free_port
from tests.chaos.scenario import Figures, scenario
from tests.chaos.scenarios_scheduler import under_way
from tests.chaos.waiting import until
from tests.postgres.cluster import SchedulerDaemon
from tests.postgres.server import ADMINISTRATOR, PrivateServer, find_binaries
from xip_core.client import connect_sync
from xip_core.client.client import Client
from xip_core.client.connection import Patience
from xip_core.client.sync import SyncClient
from xip_core.errors import XipError
from xip_core.model.result import Run

TAKEOVER_S = 10.0
DEFAULT_SILENCE_S = 5.0


@scenario(
    injected="the leader of two on one PostgreSQL is killed, then one is stopped and woken after the takeover",
    holds=f"the other answers within {TAKEOVER_S:g} s; the woken one writes nothing and ends; runs go on; same bytes",
)
def leaders_of_one_database(arena: Arena) -> Figures:
    binaries = find_binaries()
    if binaries is None:
        return {"not played": "needs a PostgreSQL server on this machine"}
    server = arena.keep_until_read(PrivateServer(binaries))
    address = server.new_database()
    name = address.url.rpartition("/")[2].partition("?")[0]
    arena.database = lambda: psycopg.connect(
        host=str(server.directory), port=server.port, user=ADMINISTRATOR, dbname=name
    )
    ports = (free_port(), free_port())
    arena.address = ",".join(f"127.0.0.1:{port}" for port in ports)

    def start(which: int) -> SchedulerDaemon:
        data_dir = arena.directory / f"scheduler-{which}"
        daemon = SchedulerDaemon(
            address, data_dir, f"--listen=127.0.0.1:{ports[which]}", silence_s=DEFAULT_SILENCE_S
        )
        arena.keep(daemon)
        return daemon

    leader, standby = start(0), start(1)
    leader.until_serving()
    arena.observed_worker(1).wait_for_log("attached")
    arena.observed_worker(1).wait_for_log("attached")
    takeovers_s = []
    with connect_sync(arena.address) as client:
        runs = [arena.submit(client), arena.submit_probe(client, 10_000, tile_duration_s=0.001)]
        for life, kind in enumerate((signal.SIGKILL, signal.SIGSTOP) * (10 if arena.is_nightly else 1)):
            done = client.run(runs[1].run_id).cells_done
            done = under_way(client, runs[1], done)
            leader.process.send_signal(kind)
            takeovers_s.append(_answered_after(ports[1 - life % 2], runs[1], done))
            leader.process.send_signal(signal.SIGCONT)
            assert leader.process.wait(30.0) != 0, "a leader that was replaced must end, and not as if all were well"
            leader, standby = standby, start(life % 2)
        arena.complete(client, arena.submit(client), *runs)
    again = sum(count - 1 for count in arena.evaluations().values())
    assert max(takeovers_s) <= TAKEOVER_S, takeovers_s
    return {
        "answered after": ", ".join(f"{each:.1f}" for each in takeovers_s) + " s",
        "tiles computed twice": f"{again} of {len(arena.evaluations())}",
    }


def _answered_after(port: int, run: Run, done: int) -> float:
    """Seconds until the other scheduler tells the run's state; nothing acknowledged may be missing."""
    begun_s = time.monotonic()

    def answers(client: SyncClient) -> bool:
        try:
            return client.run(run.run_id).cells_done >= done
        except XipError:
            return False

    with Client(f"127.0.0.1:{port}", Patience(first_s=0.1, again_s=0.1, call_s=2.0)) as client:
        until(lambda: answers(client), TAKEOVER_S + 10.0, "the standby must take over")
    return time.monotonic() - begun_s
