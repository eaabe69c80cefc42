"""What goes wrong, drawn per seed: a list, so that a failing seed can be told with fewer faults.

A fault names its time, kind, target (a number, taken modulo what there is) and amount in [0, 1). What has no time of
its own (delayed and doubled messages, tiles that raise, poison) is drawn as it happens, by the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.fates import NextCommit

if TYPE_CHECKING:
    from tests.simulation.world import World

FAULTS_END_S = 60.0
YEAR_S = 31_557_600.0


class Fault(msgspec.Struct, frozen=True):
    at_s: float
    kind: str
    target: int
    amount: float


def _kill_worker(world: World, fault: Fault) -> None:
    world.host(fault.target).die()


def _lose_machine(world: World, fault: Fault) -> None:
    world.host(fault.target).die(is_silent_s=25.0 * fault.amount)


def _pause_worker(world: World, fault: Fault) -> None:
    world.host(fault.target).pause(40.0 * fault.amount**2)


def _cut(mode: str) -> Callable[[World, Fault], None]:
    def cut(world: World, fault: Fault) -> None:
        link = world.host(fault.target).link
        if link is not None:
            link.cut(mode, 25.0 * fault.amount**2)

    return cut


def _stall(direction: int) -> Callable[[World, Fault], None]:
    def stall(world: World, fault: Fault) -> None:
        link = world.host(fault.target).link
        if link is not None:
            link.stalled_until_s[direction] = world.loop.now_s + 20.0 * fault.amount**2

    return stall


def _drain(world: World, fault: Fault) -> None:
    world.host(fault.target).drain(6.0 * fault.amount)


def _kill_scheduler(world: World, fault: Fault) -> None:
    world.seat(fault.target).die("killed between two batches")


def _stop_scheduler(world: World, fault: Fault) -> None:
    world.seat(fault.target).stop(45.0 * fault.amount**2)


def _terminate_scheduler(world: World, fault: Fault) -> None:
    world.seat(fault.target).terminate()


def _stop_inside_commit(world: World, fault: Fault) -> None:
    world.next_commits.append(NextCommit(stop_s=0.1 + 40.0 * fault.amount**2))


def _cut_store(world: World, fault: Fault) -> None:
    seat = world.seat(fault.target)
    if seat.is_store_reachable():
        seat.store_cut_begin_s = world.loop.now_s
    seat.store_cut_until_s = world.loop.now_s + 20.0 * fault.amount**2


def _cut_scheduler(world: World, fault: Fault) -> None:
    """Workers and clients do not reach it; the store it reaches, and so it goes on leading."""
    seat = world.seat(fault.target)
    seat.cut_until_s = world.loop.now_s + 15.0 * fault.amount**2
    for link in [link for link in world.links if link.node is seat.node]:
        link.cut("worker" if fault.amount < 0.5 else "both", 15.0 * fault.amount**2)


def _clock_jump(world: World, fault: Fault) -> None:
    """Wall clocks go anywhere, monotonic clocks only forward."""
    seat = world.seat(fault.target)
    seat.wall_clock_offset_s += (fault.amount - 0.5) * 20.0 * YEAR_S
    if fault.amount > 0.5:
        seat.clock_offset_s += 3_600.0 * fault.amount
    else:
        world.host(fault.target).clock_offset_s += 600.0 * fault.amount


def _full_disk(world: World, fault: Fault) -> None:
    world.full_disk_until_s = world.loop.now_s + 6.0 * fault.amount


def _kill_at(point: int, *, is_power_loss: bool) -> Callable[[World, Fault], None]:
    def arm(world: World, fault: Fault) -> None:
        world.next_commits.append(NextCommit(kill_at=point, is_power_loss=is_power_loss))

    return arm


def _commit_error(error: str) -> Callable[[World, Fault], None]:
    def arm(world: World, fault: Fault) -> None:
        world.next_commits.append(NextCommit(error=error))

    return arm


def _slow_disk(world: World, fault: Fault) -> None:
    world.slow_disk_until_s = world.loop.now_s + 8.0 * fault.amount


def _stuck_commit(world: World, fault: Fault) -> None:
    world.stuck_commit_s = 30.0 * fault.amount


def _cancel(world: World, fault: Fault) -> None:
    world.clients.spawn(world.clients.cancel(world.nth_request(fault.target)))


def _submit_again(world: World, fault: Fault) -> None:
    request = world.nth_request(fault.target)
    if world.loop.now_s >= request.at_s:
        world.clients.spawn(world.clients.submit(request))


def _submit_other(world: World, fault: Fault) -> None:
    request = world.nth_request(fault.target)
    if request.run_id in world.ghost.acknowledged_runs:
        world.clients.spawn(world.clients.submit_other(request))


def _lose_reply(world: World, fault: Fault) -> None:
    world.clients.replies_to_lose += 1


def _pause_run(world: World, fault: Fault) -> None:
    request = world.nth_request(fault.target)
    world.clients.spawn(world.clients.pause(request))
    if fault.amount < 0.5:
        resume = lambda: world.clients.spawn(world.clients.resume(request))  # noqa: E731 - one call
        world.loop.call_later(40.0 * fault.amount, resume)


def _retry_run(world: World, fault: Fault) -> None:
    request = world.nth_request(fault.target)
    if request.run_id in world.ghost.final:
        world.clients.spawn(world.clients.retry(request))


def _put_back(world: World, fault: Fault) -> None:
    if not world.is_pair:  # a database server is restored together with all who use it, by people
        world.put_back(fault.amount)


def _damage(world: World, fault: Fault) -> None:
    """Until somebody brings the files back, what was stored is not what its name says."""
    world.disk.damaged_blobs = True

    def repair() -> None:
        world.disk.damaged_blobs = False

    world.loop.call_later(8.0 * fault.amount, repair)


def _double_messages(world: World, fault: Fault) -> None:
    world.doubled_until_s = world.loop.now_s + 5.0 * fault.amount


KINDS: dict[str, tuple[int, Callable[[World, Fault], None]]] = {
    "kill worker": (6, _kill_worker),
    "lose machine": (3, _lose_machine),
    "pause worker": (6, _pause_worker),
    "cut both": (5, _cut("both")),
    "cut, worker first": (5, _cut("worker")),
    "cut, scheduler first": (4, _cut("server")),
    "stall up": (5, _stall(0)),
    "stall down": (4, _stall(1)),
    "drain worker": (3, _drain),
    "clock jump": (3, _clock_jump),
    "kill scheduler": (1, _kill_scheduler),
    "stop scheduler": (4, _stop_scheduler),
    "stop scheduler inside a commit": (2, _stop_inside_commit),
    "terminate scheduler": (1, _terminate_scheduler),
    "cut scheduler from its store": (2, _cut_store),
    "cut scheduler from workers": (2, _cut_scheduler),
    "disk full": (1, _full_disk),
    "kill scheduler before write": (1, _kill_at(1, is_power_loss=False)),
    "kill scheduler before sync": (1, _kill_at(2, is_power_loss=False)),
    "power loss before sync": (1, _kill_at(2, is_power_loss=True)),
    "kill scheduler after sync": (1, _kill_at(3, is_power_loss=False)),
    "power loss after sync": (1, _kill_at(3, is_power_loss=True)),
    "commit refused": (1, _commit_error("refused")),
    "commit of unknown outcome": (1, _commit_error("unknown")),
    "slow disk": (2, _slow_disk),
    "stuck commit": (1, _stuck_commit),
    "cancel": (1, _cancel),
    "pause run": (4, _pause_run),
    "retry run": (3, _retry_run),
    "backup put back": (1, _put_back),
    "disk damaged": (1, _damage),
    "submit again": (3, _submit_again),
    "submit other content": (1, _submit_other),
    "lose reply": (3, _lose_reply),
    "double messages": (4, _double_messages),
}
KINDS_SHARE = 0.5
STOPS = ("stop scheduler", "stop scheduler inside a commit")
"""What makes a leader that does not know it was replaced: known to every schedule with a pair."""

SCHEDULER_FAULTS = (
    "kill scheduler",
    "power loss",
    "commit",
    "backup",
    "terminate",
    "stop scheduler",
    "cut scheduler",
    "disk full",
)


def draw_faults(chance: random.Random, is_pair: bool) -> list[Fault]:
    """The faults of one schedule, by time; some schedules are nearly calm, some are hardly ever up.

    Each schedule knows only some kinds, and half of them leave the scheduler alone: what takes a long life of one
    scheduler, or one kind of fault many times over, would hardly ever come together otherwise. A pair of schedulers is
    hardly ever left alone.
    """
    spares_scheduler = chance.random() < (0.1 if is_pair else 0.5)
    known = [
        kind
        for kind in KINDS
        if chance.random() < KINDS_SHARE and not (spares_scheduler and kind.startswith(SCHEDULER_FAULTS))
    ] or list(KINDS)
    if is_pair:
        known += [kind for kind in STOPS if kind not in known]
    weighted = [kind for kind in known for _ in range(KINDS[kind][0])]
    count = chance.choice((20, 80, 130, 190, 280))
    faults = [
        Fault(chance.uniform(0.0, FAULTS_END_S), chance.choice(weighted), chance.randrange(1_000), chance.random())
        for _ in range(count)
    ]
    return sorted(faults, key=lambda fault: fault.at_s)
