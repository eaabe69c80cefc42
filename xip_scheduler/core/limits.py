"""The numbers the core decides by, each with its reason; a simulator or a test may choose others."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """
    Attributes:
        lease_duration_s: a worker silent for so long loses its leases. Work of a dead machine must be leased again
            within 16 s; heartbeats come three times in this span, so two may be lost.
        lease_work_s_min: below 50 ms of work per lease the message and the commit are a visible share.
        lease_work_s_alone_min: the same of a run of sums while there is one worker: its slots share what it has queued,
            so several leases come with one message, and small ones let its slots end together.
        lease_work_s_max: above 2 s a dead worker costs too much and the tail is ragged.
        prefetch_behind_s: leases are queued behind running ones only when what is left of those is less than this per
            slot. Work is so bound late: a tile that becomes ready, deeper in its run, waits for one lease and not for
            two. A longer lease ends without a successor at hand; the round trip of 2 ms is then 3 % of it at most.
        prefetch_behind_s_max: the same while much is left of the run whose turn it is (half a guided share of it): a
            worker then comes back four times a second at most. Less than a lease may be long, and given back as a
            lease is when somebody needs the slot.
        prefetch_tail_s: the same when little is left: queued work must not outlast the round trip that would bring
            it to an idle slot elsewhere.
        leases_per_slot_max: bound of a worker's queue when leases are forced to be tiny.
        deep_leases_max: leases alive beyond which nobody queues more than one per slot: 30,000 leases a second, what
            one scheduler is built for, outlast 50 ms of round trip and commit; 0.5 kB each, so under 1 MB.
        look_interval_s: between two looks for work to be taken back (`tail`): ten round trips, and short against the
            smallest lease, for a slot waits so long at most before somebody is asked for work.
        trim_gain_s_min: a trim that ends the work less than five round trips sooner is not worth its messages.
        duplicate_after_fraction: of the lease duration: silence after which leases may end early when slots wait for
            them. Two heartbeats are missing then.
        duplicate_share_max: of a run's work that may be leased again so.
        attempts_max: workers that may fail at or die from one tile before it is given up.
        stalled_after_s, stalled_factor: a lease is taken back whose slot has not asked for longer than both, the second
            times its tile, whether it is cancelled. Kernels ask every 10 ms by what they declare.
        suspects_max: tiles a slot, behind the one its worker died at, that are isolated as well: results wait 2 ms for
            company, and those of a worker that dies are not heard. At 50 us a tile these are 40.
        kernel_deaths_max, kernel_deaths_window_s, kernel_successes_needed, kernel_failures_max, kernel_cool_down_s: of
            `breakers`. Three workers are the cost of one poison tile; ten tiles that end well are no accident.
        worker_marks_max, worker_marks_window_s, worker_marks_share: likewise: three failures of its own in ten minutes,
            and a quarter of what it tried meanwhile.
        epoch_block: epochs reserved per write; a grant so costs 1/10,000 write, and a restart skips 10,000 of 2**64.
        gathering_s: after a restart with live runs nothing is granted for so long: workers come back within their
            largest pause between two tries and say what they hold, and a tile they hold is not to be leased to whoever
            was faster. 0 grants at once, for a grid without workers from before.
        charge_s_min: what a lease costs its tenant at least: a round trip and a commit, while which a slot may idle.
        tenant_weights: shares of tenants, 1 for those not named; above 0.
        finished_runs_max: finished runs whose last snapshot is kept for watchers; older ones are read from the store.
    """

    lease_duration_s: float = 15.0
    lease_work_s_min: float = 0.050
    lease_work_s_alone_min: float = 0.010
    lease_work_s_max: float = 2.0
    prefetch_behind_s: float = 0.060
    prefetch_behind_s_max: float = 0.250
    prefetch_tail_s: float = 0.005
    leases_per_slot_max: int = 256
    deep_leases_max: int = 1_500
    look_interval_s: float = 0.020
    trim_gain_s_min: float = 0.025
    duplicate_after_fraction: float = 0.7
    duplicate_share_max: float = 0.05
    attempts_max: int = 3
    stalled_after_s: float = 60.0
    stalled_factor: float = 50.0
    suspects_max: int = 64
    kernel_deaths_max: int = 3
    kernel_successes_needed: int = 10
    kernel_failures_max: int = 5
    kernel_deaths_window_s: float = 600.0
    kernel_cool_down_s: float = 300.0
    worker_marks_max: int = 3
    worker_marks_window_s: float = 600.0
    worker_marks_share: float = 0.25
    epoch_block: int = 10_000
    gathering_s: float = 0.0
    charge_s_min: float = 0.005
    tenant_weights: dict[str, float] = {}
    finished_runs_max: int = 1_000

    @property
    def duplicate_after_s(self) -> float:
        return self.duplicate_after_fraction * self.lease_duration_s
