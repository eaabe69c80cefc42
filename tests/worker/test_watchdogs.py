"""xip_worker.watchdogs: slots that do not come free, and a loop that does not turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import msgspec
import structlog

from tests.patience import PATIENCE_S
from tests.worker.builders import (
    ScriptedEvaluator,
    a_plan,
    a_value,
    a_wire_lease,
    an_identity,
    some_settings,
)
from tests.worker.scripted_scheduler import ScriptedScheduler
from xip_core.pricing.tile import TileData, TileValue
from xip_worker.daemon import Daemon
from xip_worker.events import SlotIndex
from xip_worker.watchdogs import SlotWatch

HELD_GIL = """
import asyncio, ctypes
from xip_worker.watchdogs import LoopWatch

async def main():
    loop = asyncio.get_running_loop()
    watch = LoopWatch(loop, 1.5)
    turned = asyncio.Event()
    loop.call_later(2.0, turned.set)
    await turned.wait()            # a loop that turns is left alone
    print("still here", flush=True)
    ctypes.PyDLL(None).pause()     # a kernel that keeps the GIL and never ends

asyncio.run(main())
"""


def test_a_process_whose_loop_does_not_turn_says_where_it_is_and_ends() -> None:
    ended = subprocess.run([sys.executable, "-c", HELD_GIL], capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 1
    assert ended.stdout == "still here\n"
    assert "Timeout" in ended.stderr
    assert "in main" in ended.stderr


async def test_a_slot_that_comes_free_in_time_is_not_stuck() -> None:
    stuck: list[tuple[SlotIndex, ...]] = []
    done = asyncio.Event()
    watch = SlotWatch(asyncio.get_running_loop(), lambda slots: (stuck.append(slots), done.set())[0], 0.05)
    watch.revoked(SlotIndex(0))
    watch.revoked(SlotIndex(1))
    watch.freed(SlotIndex(0))
    watch.freed(SlotIndex(2))
    async with asyncio.timeout(PATIENCE_S):
        await done.wait()
    assert stuck == [(SlotIndex(1),)]


async def test_a_worker_with_a_stuck_slot_finishes_the_others_and_asks_for_a_new_start() -> None:
    for_ever, finish = threading.Event(), threading.Event()

    def behaviour(tile: int, data: TileData, is_cancelled: object) -> TileValue:
        (for_ever if tile == 0 else finish).wait(PATIENCE_S)
        return a_value(tile)

    evaluator = ScriptedEvaluator(behaviour)
    async with ScriptedScheduler() as scheduler:
        settings = msgspec.structs.replace(some_settings(scheduler.address, slot_count=2), slot_patience_s=0.1)
        daemon = Daemon(settings, an_identity(2), evaluator, structlog.get_logger())
        running = asyncio.create_task(daemon.run())
        stream, _ = await scheduler.attached()
        plan = scheduler.put_plan(a_plan())
        await stream.lease(a_wire_lease(1, plan, 0, 1), a_wire_lease(2, plan, 1, 2))
        for _ in range(2):
            assert await asyncio.to_thread(evaluator.begun.acquire, timeout=PATIENCE_S)
        await stream.revoke(1)
        drain = await stream.next("drain")
        assert drain.reason == "slots 0 have not come free: their kernels do not end"
        finish.set()
        results, _ = await stream.results(1)
        assert [result.tile_begin for result in results] == [1]
        async with asyncio.timeout(PATIENCE_S):
            await running
        assert daemon.is_to_start_anew
        for_ever.set()
