"""Daemons die while a run begins with tiles of another: numbers stay those of a run that computes everything."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.arena import Arena
from tests.chaos.scenario import Figures, scenario
from tests.chaos.waiting import let_pass
from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S
from xip_core import samples
from xip_core.client.sent import ticked
from xip_core.client.sync import SyncClient
from xip_core.model.result import Run

QUOTE = "EQUITY/PRICE/Lufthansa/EUR"
SUBMITTED_WITHIN_S = 0.15
"""Of a submission with a comparison: the kill falls before, into or behind the commit that stores the takeover."""


class Desk:
    """Submits under kill -9 of the scheduler, and has what is left computed by workers that are killed as well."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.scheduler = arena.scheduler()
        self.worker = arena.observed_worker(2)

    def submit(self, client: SyncClient, market: bytes, since: Run, request_id: str) -> Run:
        """A run that begins with tiles of *since*, accepted by whatever scheduler there is."""
        sample = samples.load("cross-asset")
        with ThreadPoolExecutor(1) as beside:
            asked = beside.submit(
                client.submit, sample.book, market, sample.scenarios, request_id=request_id, since=since.run_id
            )
            let_pass(self.arena.draw.uniform(0.0, SUBMITTED_WITHIN_S))
            self.scheduler.kill()
            self.scheduler = self.arena.scheduler()
            run = asked.result(RUN_LIMIT_S)
        self.arena.acknowledged[request_id] = run.run_id
        return run

    def replace_worker(self) -> Daemon:
        self.worker.kill()
        self.worker = self.arena.observed_worker(2)
        return self.worker


@scenario(
    injected="kill -9 of the scheduler as a run begins with another's tiles, of the worker at the rest; there and back",
    holds="after a tick and the tick back bytes are the undisturbed ones; tiles taken over are computed by nobody",
)
def takeovers_under_kills(arena: Arena) -> Figures:
    desk = Desk(arena)
    sample = samples.load("cross-asset")
    price = float(json.loads(sample.market)["quotes"][QUOTE])
    shares = []
    with arena.client() as client:
        earlier = arena.submit(client)
        arena.complete(client, earlier)
        for life in range(10 if arena.is_nightly else 1):
            moved = desk.submit(client, ticked(sample.market, {QUOTE: price + 1.0 + life}), earlier, f"tick-{life}")
            desk.replace_worker()
            client.wait(moved.run_id, timeout_s=RUN_LIMIT_S)
            back = desk.submit(client, sample.market, moved, f"back-{life}")
            desk.replace_worker()
            arena.complete(client, back)
            shares += [reused_share(arena, client, run, since) for run, since in ((moved, earlier), (back, moved))]
            earlier = back
    return {"tiles taken over": ", ".join(f"{share:.0%}" for share in shares)}


def reused_share(arena: Arena, client: SyncClient, run: Run, since: Run) -> float:
    """Of the tiles of a final run; what was not taken over was computed, and nothing else."""
    final = client.run(run.run_id)
    assert final.reuse_of == since.run_id, f"{run.name} must begin with tiles of {since.run_id}, got {final.reuse_of!r}"
    reused = sum(node.tiles_reused for node in final.nodes)
    tile_count = sum(node.tile_count for node in final.nodes)
    computed = {tile for tile in arena.evaluations() if tile[0] == run.run_id}
    assert len(computed) == tile_count - reused, f"{len(computed)} computed and {reused} taken over of {tile_count}"
    return reused / tile_count
