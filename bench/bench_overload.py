"""What becomes of the work that gets done when twice as much is asked for as can be done, and afterwards (L6)?

    python -m bench.bench_overload [--phase 10]

A scheduler that lets 20 runs live at a time and one worker of one slot. Runs of ten 10 ms tiles are submitted open
loop, at times that do not depend on the answers, by one client that honours refusals as it does for a desk: nine tenths
of the capacity measured first, then twice the capacity, then nine tenths again, each for so many seconds. Goodput is
runs completed a second by the store's times. Printed as JSON: goodput of the three phases, how long after the overload
the first second with 95 % of the goodput before it begins, and the tries again as a share of the submissions during it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from contextlib import suppress
from typing import Any

from bench.bench_throughput import grid
from xip_core.client import connect
from xip_core.client.client import Client
from xip_core.client.connection import Patience, _Tries
from xip_core.errors import OverloadedError
from xip_core.model.run_spec import ProbeWork, RunSpec

LIVE_RUNS_MAX = 20
CALIBRATION_RUNS = 20
SPEC = RunSpec("overload", ProbeWork("probe.spin", 10, tile_duration_s=0.010), tenant="bench")


class Load:
    """
    Attributes:
        tries_again: after a refusal, counted where the client decides to make them.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.submitted = self.refused = self.tries_again = 0
        self._tasks: list[asyncio.Task[None]] = []
        wait_for_room = _Tries._wait_for_room

        async def counted(tries: _Tries, refusal: OverloadedError) -> None:
            before = self.client._connection._refusal_budget
            try:
                await wait_for_room(tries, refusal)
            finally:
                self.tries_again += self.client._connection._refusal_budget < before

        _Tries._wait_for_room = counted  # type: ignore[assignment,method-assign]  # a spy

    async def offer(self, runs_per_s: float, duration_s: float) -> float:
        """Submit for a while, waiting for nothing; returns the Unix time it began."""
        begun_s, begun_at_s = time.monotonic(), time.time()
        count = int(runs_per_s * duration_s)
        for number in range(count):
            await asyncio.sleep(max(0.0, begun_s + number / runs_per_s - time.monotonic()))
            self._tasks.append(asyncio.create_task(self._submit()))
        return begun_at_s

    async def _submit(self) -> None:
        self.submitted += 1
        try:
            await self.client.submit_spec(SPEC)
        except OverloadedError:
            self.refused += 1

    async def settle(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task


async def measure(address: str, phase_s: float) -> dict[str, Any]:
    async with connect(address, Patience(again_s=phase_s)) as client:
        begun_s = time.monotonic()
        first = [await client.submit_spec(SPEC) for _ in range(CALIBRATION_RUNS)]
        for run in first:
            await client.wait(run.run_id)
        capacity = CALIBRATION_RUNS / (time.monotonic() - begun_s)
        load = Load(client)
        before_at_s = await load.offer(0.9 * capacity, phase_s)
        calm = (load.submitted, load.tries_again)
        overload_at_s = await load.offer(2.0 * capacity, phase_s)
        submitted, tries_again = load.submitted - calm[0], load.tries_again - calm[1]
        after_at_s = await load.offer(0.9 * capacity, phase_s)
        ends = [run.finished_at_s async for run in client.runs() if run.state.is_final]
        await load.settle()

    def goodput(begin_s: float, duration_s: float) -> float:
        return sum(begin_s <= end_s < begin_s + duration_s for end_s in ends) / duration_s

    usual = goodput(before_at_s + 1.0, phase_s - 1.0)
    windows = [step / 4 for step in range(int(4 * (phase_s - 1.0)))]
    recovered = (after_s for after_s in windows if goodput(after_at_s + after_s, 1.0) >= 0.95 * usual)
    return {
        "capacity_runs_per_s": round(capacity, 1),
        "goodput_before": round(usual, 2),
        "goodput_during": round(goodput(overload_at_s + 1.0, phase_s - 1.0), 2),
        "goodput_after": round(goodput(after_at_s, phase_s - 1.0), 2),
        "recovered_after_s": next(recovered, None),
        "submitted_during": submitted,
        "refused_to_the_caller": load.refused,
        "tries_again_share_during": round(tries_again / submitted, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phase", type=float, default=10.0, help="seconds of each of the three phases")
    arguments = parser.parse_args()
    os.environ["XIP_SCHEDULER_LIVE_RUNS_MAX"] = str(LIVE_RUNS_MAX)
    with grid(".", worker_count=1, slot_count=1, profile="") as (address, _):
        print(json.dumps(asyncio.run(measure(address, arguments.phase))))


if __name__ == "__main__":
    main()
