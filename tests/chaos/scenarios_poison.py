"""Kernels that end their process, and what the others lose by it (faults 1, 17, 18; the figures of goodput).

The neighbours' work waits instead of computing (`poison.row` SLOW), so throughput is slots over time and depends little
on what else this machine does.
"""

from __future__ import annotations

import math
import time

import numpy as np

from tests.chaos.arena import Arena
from tests.chaos.fleet import Fleet
from tests.chaos.scenario import Figures, scenario
from tests.chaos.waiting import let_pass, until
from tests.integration.cluster import Daemon
from tests.plugins.install import installed
from xip_core.client.sync import SyncClient
from xip_core.errors import FailureReason
from xip_core.model.result import Run, RunState

SEGFAULT, ABORT, ALLOCATE, SLOW = 1, 2, 6, 12
"""Acts of the package poison_kernels."""

FLEET = 8
ROW_S = 0.1
WINDOW_S = 5.0
POISON_WINDOW_S = 25.0
"""Three workers lost and started again are some seconds of slots, of 8 x 25: a fleet of thousands would not notice."""

WORKERS_LOST_MAX = 3
NEIGHBOURS_KEEP = 0.95
GOODPUT_MIN = 0.85
KILL_INTERVAL_S = 10.0
ADDRESS_SPACE_BYTES = 3 << 30


def poison_fleet(arena: Arena, size: int = FLEET) -> Fleet:
    """Workers of one slot with the poison package, in at most 3 GiB each."""
    plugin = installed("poison_kernels")

    def start() -> Daemon:
        arguments = ["xip_worker", f"--scheduler={arena.address}", "--slots=1", "--isolated-memory-mib=256"]
        return Daemon(arguments, plugin.environment, prefix=("prlimit", f"--as={ADDRESS_SPACE_BYTES}"))

    fleet = Fleet(start, size)
    arena.callback(fleet.close)
    return fleet


def submit_rows(arena: Arena, client: SyncClient, acts: np.ndarray, tenant: str, rows_per_tile: int) -> Run:
    request_id = f"{tenant}-{len(arena.acknowledged)}"
    columns = {"value": np.arange(len(acts), dtype=float), "act": acts, "amount": np.where(acts == SLOW, ROW_S, 0.0)}
    run = client.submit_kernel(
        "poison.row", columns, rows_per_tile=rows_per_tile, request_id=request_id, tenant=tenant
    )
    arena.acknowledged[request_id] = run.run_id
    return run


def rate(client: SyncClient, run: Run, duration_s: float) -> float:
    """Rows of *run* recorded a second."""
    begun_s, done = time.monotonic(), client.run(run.run_id).cells_done
    let_pass(duration_s)
    return (client.run(run.run_id).cells_done - done) / (time.monotonic() - begun_s)


def neighbours(arena: Arena, client: SyncClient, duration_s: float) -> Run:
    """Work of another tenant for all slots, longer than *duration_s*."""
    first = submit_rows(arena, client, np.full(2 * FLEET, SLOW), "neighbour", 1)
    client.wait(first.run_id, timeout_s=60.0)  # the cost model has seen what such a row takes: leases have their size
    run = submit_rows(arena, client, np.full(math.ceil(duration_s / ROW_S * FLEET), SLOW), "neighbour", 1)
    until(lambda: client.run(run.run_id).cells_done > 4 * FLEET, 30.0, "the neighbours must be at work")
    return run


def check_rows(client: SyncClient, run: Run, poison: list[int], reasons: set[FailureReason]) -> None:
    """Every row has its number but the poisonous ones, which have a reason."""
    numbers = client.table_results(run.run_id).to_numpy()
    pv, row_count = numbers.outputs["pv"], len(numbers.status)
    healthy = np.setdiff1d(np.arange(row_count), poison)
    assert sorted({cells.row for cells in numbers.quarantine}) == poison, numbers.quarantine
    assert {cells.reason for cells in numbers.quarantine} <= reasons, numbers.quarantine
    assert np.isnan(pv[poison]).all()
    assert pv[healthy].tobytes() == (2.0 * healthy + 1.0).tobytes()


@scenario(
    injected="a table with one row that segfaults, aborts, takes all memory; a neighbour keeps 8 slots busy",
    holds=f"at most {WORKERS_LOST_MAX} workers lost a row; all other rows right; neighbour keeps {NEIGHBOURS_KEEP:.0%}",
)
def poison_rows(arena: Arena) -> Figures:
    figures: Figures = {}
    arena.scheduler()
    fleet = poison_fleet(arena)
    with arena.client() as client:
        load = neighbours(arena, client, 3 * POISON_WINDOW_S)
        before = rate(client, load, WINDOW_S)
        for name, act, reasons in (
            ("segfault", SEGFAULT, {FailureReason.CRASHED}),
            ("abort", ABORT, {FailureReason.CRASHED}),
            ("memory", ALLOCATE, {FailureReason.OUT_OF_MEMORY, FailureReason.CRASHED}),
        ):
            lost_before = len(fleet.exit_codes)
            acts = np.zeros(64)
            acts[arena.draw.randrange(64)] = act
            run = submit_rows(arena, client, acts, "desk", 16)
            kept = rate(client, load, POISON_WINDOW_S) / before if act == SEGFAULT else 1.0
            final = client.wait(run.run_id, timeout_s=60.0)
            assert final.state is RunState.COMPLETED_WITH_QUARANTINE, final
            check_rows(client, run, np.flatnonzero(acts).tolist(), reasons)
            lost = len(fleet.exit_codes) - lost_before
            assert lost <= WORKERS_LOST_MAX, f"{name}: {lost} workers lost, {fleet.exit_codes}"
            figures[name] = f"{lost} workers lost"
            if act == SEGFAULT:
                figures["neighbour"] = f"{kept:.1%} of {before:.0f} rows/s over {POISON_WINDOW_S:g} s with the segfault"
                assert kept >= NEIGHBOURS_KEEP, figures
        client.cancel(load.run_id)
    fleet.close()
    return figures


@scenario(
    injected="one row that segfaults, the 200th of 256 one-row tiles which pass in microseconds",
    holds=f"at most {WORKERS_LOST_MAX} workers lost although nothing before the row was reported; all other rows right",
)
def poison_deep_in_a_lease(arena: Arena) -> Figures:
    arena.scheduler()
    fleet = poison_fleet(arena, 2)
    with arena.client() as client:
        client.wait(submit_rows(arena, client, np.zeros(2_000), "desk", 1).run_id, timeout_s=60.0)
        acts = np.zeros(256)
        acts[200] = SEGFAULT
        run = submit_rows(arena, client, acts, "desk", 1)
        final = client.wait(run.run_id, timeout_s=60.0)
        assert final.state is RunState.COMPLETED_WITH_QUARANTINE, final
        check_rows(client, run, [200], {FailureReason.CRASHED})
    fleet.close()
    assert len(fleet.exit_codes) <= WORKERS_LOST_MAX, f"{len(fleet.exit_codes)} workers lost"
    return {"workers lost": str(len(fleet.exit_codes))}


@scenario(
    injected=f"kill -9 of 1 of {FLEET} workers every {KILL_INTERVAL_S:g} s, each started again",
    holds=f"goodput at least {GOODPUT_MIN:.0%} of that without kills; every row once and right",
)
def one_of_eight_killed(arena: Arena) -> Figures:
    arena.scheduler()
    fleet = poison_fleet(arena)
    kill_count = 30 if arena.is_nightly else 2
    with arena.client() as client:
        load = neighbours(arena, client, KILL_INTERVAL_S * (kill_count + 0.5))
        ideal = rate(client, load, WINDOW_S)
        rates = []
        for number in range(kill_count):
            fleet.kill(number % FLEET)
            rates.append(rate(client, load, KILL_INTERVAL_S))
        final = client.wait(load.run_id, timeout_s=60.0)
        assert final.state is RunState.COMPLETED, final
        pv = client.table_results(load.run_id).to_numpy().outputs["pv"]
        assert pv.tobytes() == (2.0 * np.arange(len(pv)) + 1.0).tobytes()
    fleet.close()
    goodput = sum(rates) / len(rates) / ideal
    assert goodput >= GOODPUT_MIN, f"{goodput:.1%} of {ideal:.0f} rows/s"
    return {"goodput": f"{goodput:.1%} of {ideal:.0f} rows/s with {kill_count} kills"}
