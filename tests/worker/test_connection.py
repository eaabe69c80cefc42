"""`xip_worker.connection`: the stream comes back, whatever ended it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.patience import PATIENCE_S
from tests.worker.builders import a_daemon, a_plan, a_wire_lease
from tests.worker.scripted_scheduler import ScriptedScheduler
from xip_worker.connection import BACKOFF_MAX_S, backoff_s


@pytest.fixture
async def scheduler() -> AsyncIterator[ScriptedScheduler]:
    async with ScriptedScheduler() as scripted:
        yield scripted


async def test_a_scheduler_that_does_not_say_welcome_first_is_left(scheduler: ScriptedScheduler) -> None:
    async with a_daemon(scheduler.address):
        stream = await scheduler.next_stream()
        await stream.next("hello")
        await stream.lease(a_wire_lease(7, bytes(32)))
        _, hello = await scheduler.attached()
    assert list(hello.held) == []


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL])
async def test_whatever_breaks_the_stream_the_worker_attaches_again(
    scheduler: ScriptedScheduler, code: grpc.StatusCode
) -> None:
    async with a_daemon(scheduler.address):
        stream = await scheduler.next_stream()
        await stream.next("hello")
        stream.context.set_code(code)
        stream.close()
        _, hello = await scheduler.attached()
    assert hello.worker_id == "worker-1"


def test_backoff_doubles_its_ceiling_up_to_a_limit_and_draws_below_it() -> None:
    assert [backoff_s(tries, 1.0) for tries in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert backoff_s(1_000, 1.0) == BACKOFF_MAX_S
    assert backoff_s(1_000, 0.25) == BACKOFF_MAX_S / 4


async def test_a_worker_told_to_leave_before_the_welcome_leaves(scheduler: ScriptedScheduler) -> None:
    async with a_daemon(scheduler.address) as (daemon, running):
        stream = await scheduler.next_stream()
        await stream.next("hello")
        daemon.drain("test")
        assert await stream.said_goodbye()
        await stream.welcome()
        async with asyncio.timeout(PATIENCE_S):
            await running


async def test_further_schedulers_are_tried_in_turn(scheduler: ScriptedScheduler) -> None:
    async with a_daemon(f"127.0.0.1:1,{scheduler.address}"):
        _, hello = await scheduler.attached()
    assert hello.worker_id == "worker-1"


async def test_when_one_scheduler_goes_its_worker_and_what_it_holds_go_to_the_other(
    scheduler: ScriptedScheduler,
) -> None:
    async with ScriptedScheduler() as other, a_daemon(f"{scheduler.address},{other.address}"):
        stream, _ = await scheduler.attached()
        await stream.lease(a_wire_lease(7, scheduler.put_plan(a_plan())))
        await stream.next("results")
        await scheduler.stop()
        stream, hello = await other.attached()
        results, _ = await stream.results(1)
    assert [lease.epoch for lease in hello.held] == [7]
    assert [result.epoch for result in results] == [7]
