"""A worker that comes late takes part in a run that one worker holds whole: over real processes, the tail is asked for,
given up, and leased again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster_run import has_done, kept, start_scheduler, start_worker, watch_until
from xip_core.client import connect_sync
from xip_core.model.result import RunState
from xip_core.model.run_spec import ProbeWork, RunSpec

TILE_COUNT = 6_000
"""A minute of work, so that the late worker is there in time on any machine; nobody waits for the end."""


@pytest.fixture
def daemons() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_the_tail_of_a_lease_goes_to_a_worker_that_comes_late(tmp_path: Path, daemons: contextlib.ExitStack) -> None:
    scheduler, address = start_scheduler(tmp_path)
    kept(daemons, scheduler)
    kept(daemons, start_worker(address))
    work = ProbeWork("probe.spin", TILE_COUNT, tile_duration_s=0.01, tiles_per_lease=TILE_COUNT)
    with connect_sync(address) as client:
        run = client.submit_spec(RunSpec(name="one lease", work=work))
        watch_until(client, run.run_id, has_done(0.0001))
        late = kept(daemons, start_worker(address))

        def has_helped(run: object) -> bool:
            return any(worker.pid == late.process.pid and worker.tiles_done for worker in client.workers())

        watch_until(client, run.run_id, has_helped)
        workers = client.workers()
        assert client.cancel(run.run_id).state is RunState.CANCELLED
    assert [worker.lease_count for worker in workers] == [1, 1]
    assert all(worker.speed > 0.0 for worker in workers)
