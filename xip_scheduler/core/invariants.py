"""What must hold between any two events. Violations are programmer errors: they raise AssertionError and say where.

* **one place** every tile of a live run is in exactly one of: done, pending, one live lease, one retry;
* **counts** every count kept beside the intervals equals what the intervals say;
* **owners** a lease is known to the scheduler, to its worker and to its node, and its epoch lies below the next one;
* **reserved** every epoch granted lies below the reserved end;
* **inputs** every tile leased has its inputs done, and every tile done with output, unless it was taken over of
  another plan, whose tile of equal content had them;
* **wants** the lists of workers that want work hold those that do, and no others;
* **kernels** the holder of a lease announced what its node needs, and fleets count the active workers;
* **order** the queue holds live runs that are not paused, by tenant; every tenant's count of live runs is right;
* **attempts** a tile waits as a retry only after an attempt that stands, and below `attempts_max` of them;
* **final** no lease and no retry belongs to a run that is final.

Cost: linear in live leases, intervals and workers; for tests, the simulator, and now and then production.
"""

from __future__ import annotations

from collections import Counter

from xip_scheduler.core.leases import Appetite
from xip_scheduler.core.run_state import LiveRun, NodeState
from xip_scheduler.core.state import SchedulerState


def check(state: SchedulerState) -> None:
    _check_leases(state)
    _check_workers(state)
    state.queue.check()
    for run in state.runs.values():
        _check_run(state, run)
    assert Counter(run.tenant for run in state.runs.values()) == {
        share.tenant: share.live_count for share in state.queue.shares.values() if share.live_count
    }
    assert state.queue.runs.keys() <= state.runs.keys(), "runs that are final are queued"


def _check_leases(state: SchedulerState) -> None:
    assert state.epoch_next <= state.epoch_end, (state.epoch_next, state.epoch_end)
    for epoch, lease in state.leases.items():
        assert epoch == lease.epoch < state.epoch_next, (epoch, state.epoch_next)
        assert lease.open_count > 0, (epoch, "closed leases are forgotten")
        assert lease.open_count == sum(end - begin for begin, end in lease.open_ranges()), epoch
        assert state.runs.get(lease.run.run_id) is lease.run, (epoch, "lease of a run that is final")
        assert state.workers.get(lease.worker.worker_id) is lease.worker, (epoch, "lease of a worker that is gone")
        assert lease.worker.leases.get(epoch) is lease, (epoch, "worker does not know its lease")
        assert lease.node.kernels <= lease.worker.kernels, (epoch, "worker lacks a kernel")
    assert sum(len(worker.leases) for worker in state.workers.values()) == len(state.leases)


def _check_workers(state: SchedulerState) -> None:
    active = [worker for worker in state.workers.values() if worker.is_active]
    assert state.active_count == len(active), (state.active_count, len(active))
    assert state.slot_count == sum(worker.slot_count for worker in active), state.slot_count
    assert state.fleets.sizes() == Counter(worker.kernels for worker in active), state.fleets.sizes()
    assert not state.fleets.has_changed, "a fleet came or went and no run was looked at again"
    for worker in state.workers.values():
        assert worker.appetite is state.appetite(worker), (worker.worker_id, worker.appetite)
        if worker.appetite is not Appetite.NONE:
            assert state.hungry[worker.appetite].get(worker.worker_id) is worker, worker.worker_id
    hungry_count = sum(worker.appetite is not Appetite.NONE for worker in state.workers.values())
    assert hungry_count == sum(len(pool) for pool in state.hungry), "workers that want nothing or are gone are listed"


def _check_run(state: SchedulerState, run: LiveRun) -> None:
    assert run.open_count == sum(node.tile_count - node.done.count for node in run.nodes), run.run_id
    assert run.open_count > 0, (run.run_id, "finished runs are final")
    for key, retry in run.retries.items():
        assert run.histories.get(key) is retry, (run.run_id, key, "a tile waits that no attempt is known of")
        assert 0 < len(retry.tried) < state.limits.attempts_max, (run.run_id, key, retry.tried)
    for node_id, tile in run.histories:
        assert tile not in run.nodes[node_id].done, (run.run_id, node_id, tile, "attempts at a decided tile are void")
    for node in run.nodes:
        _check_node(state, run, node)


def _check_node(state: SchedulerState, run: LiveRun, node: NodeState) -> None:
    where = (run.run_id, node.node_id)
    leased = [span for lease in state.leases.values() if lease.node is node for span in lease.open_ranges()]
    retries = [(retry.tile, retry.tile + 1) for retry in state.find_retries(run, node, 0, node.tile_count)]
    pending = list(node.pending)
    spans = sorted([*node.done, *pending, *leased, *retries])
    reached = 0
    for begin, end in spans:
        assert begin == reached, (*where, f"tiles [{min(begin, reached)}, {max(begin, reached)}) in no place or in two")
        reached = end
    assert reached == node.tile_count, (*where, reached)
    assert node.pending.count == sum(end - begin for begin, end in pending), (*where, node.pending.count)
    assert node.leased_count == sum(end - begin for begin, end in leased), (*where, node.leased_count)
    assert node.done.count == sum(end - begin for begin, end in node.done), (*where, node.done.count)
    for begin, end in node.failed:
        assert node.done.count_in(begin, end) == end - begin, (*where, "given-up tiles are done")
    computed = [] if run.reuse_of else [span for begin, end in node.done for span in node.failed.gaps(begin, end)]
    for begin, end in [*computed, *leased]:
        assert not node.needs or node.ready_until(begin, end) == end, (*where, begin, end, "inputs are not done")
