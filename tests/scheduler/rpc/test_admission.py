"""xip_scheduler.rpc.admission: submissions are shed first, with a hint; nothing outlives the overload."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest

from tests.patience import PATIENCE_S
from tests.scheduler.rpc.conftest import Serve, Served, probe_request
from tests.scheduler.rpc.protocol_worker import ProtocolWorker
from xip_core.errors import OverloadedError
from xip_core.wire.status import reason_of, retry_after_s_of
from xip_core.wire.v1 import run_pb2
from xip_scheduler.core.events import Event
from xip_scheduler.driver import INBOX_EVENTS_MAX
from xip_scheduler.rpc.admission import COMMIT_PATIENCE_S, PLANNING_MAX, Admission
from xip_scheduler.settings import Settings


class Pressure:
    """What the driver says."""

    def __init__(self) -> None:
        self.event_count = 0
        self.commit_age_s = 0.0


def refused(admission: Admission, live: int = 0, own: int = 0) -> str:
    """The reason, "" for none."""
    try:
        with admission.admitted("desk", live, own):
            return ""
    except OverloadedError as error:
        return error.reason if error.retry_after_s > 0.0 else "no hint"


def test_each_limit_refuses_while_it_is_reached_and_no_longer() -> None:
    pressure = Pressure()
    admission = Admission(pressure, live_runs_max=10, tenant_live_runs_max=4)
    assert refused(admission, live=9, own=3) == ""
    assert refused(admission, live=10) == "TOO_MANY_RUNS"
    assert refused(admission, live=9, own=4) == "TOO_MANY_RUNS_OF_TENANT"
    pressure.event_count = INBOX_EVENTS_MAX // 2
    assert refused(admission) == "OVERLOADED"
    pressure.event_count -= 1
    assert refused(admission) == ""
    pressure.commit_age_s = COMMIT_PATIENCE_S
    assert refused(admission) == "OVERLOADED"
    pressure.commit_age_s = 0.0
    assert refused(admission) == ""
    assert admission.refused_count == 4


def test_runs_that_are_being_planned_take_up_room() -> None:
    admission = Admission(Pressure(), live_runs_max=10, tenant_live_runs_max=2)
    with admission.admitted("desk", 8, 1):
        assert refused(admission, live=8, own=1) == "TOO_MANY_RUNS_OF_TENANT"
        with admission.admitted("other", 8, 0):
            assert refused(admission, live=8, own=0) == "TOO_MANY_RUNS"
    assert refused(admission, live=8, own=1) == ""


def test_a_submission_that_fails_gives_its_room_back() -> None:
    admission = Admission(Pressure(), live_runs_max=1, tenant_live_runs_max=1)
    with pytest.raises(ValueError, match="no plan"), admission.admitted("desk", 0, 0):
        raise ValueError("no plan")
    assert refused(admission) == ""


def test_no_more_submissions_wait_for_the_planner_than_fit_into_a_call() -> None:
    admission = Admission(Pressure(), live_runs_max=10_000, tenant_live_runs_max=10_000)
    with ExitStack() as stack:
        for number in range(PLANNING_MAX):
            stack.enter_context(admission.admitted(f"t{number % 7}", 0, 0))
        assert refused(admission) == "OVERLOADED"
    assert refused(admission) == ""


@pytest.fixture
def narrow(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, live_runs_max=4, tenant_live_runs_max=3)


async def submit(served: Served, tenant: str, request_id: str) -> grpc.aio.AioRpcError | None:
    request = probe_request(1, request_id)
    request.spec.tenant = tenant
    try:
        await served.runs.SubmitRun(request)
    except grpc.aio.AioRpcError as error:
        return error
    return None


async def test_a_refusal_says_when_to_come_again(serve: Serve, narrow: Settings) -> None:
    served = serve(narrow)
    for number in range(3):
        assert await submit(served, "flood", f"q{number}") is None
    error = await submit(served, "flood", "q3")
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(error.trailing_metadata()) == "TOO_MANY_RUNS_OF_TENANT"
    assert retry_after_s_of(error.trailing_metadata()) == 5.0
    assert await submit(served, "calm", "q0") is None, "a tenant that floods leaves room for another"
    assert await submit(served, "flood", "q0") is None, "a repeat of a known request adds nothing"


async def test_a_call_that_is_cancelled_keeps_its_place_until_the_core_has_the_run(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(msgspec.structs.replace(settings, live_runs_max=1))
    driver = served.scheduler.driver
    hand_over, is_waiting, goes_on = driver.submit, asyncio.Event(), asyncio.Event()

    async def hand_over_late(event: Event) -> None:
        is_waiting.set()
        await goes_on.wait()
        await hand_over(event)

    monkeypatch.setattr(driver, "submit", hand_over_late)
    service: Any = served.scheduler._runs  # over the wire nobody knows when the server has seen the cancel
    call = asyncio.create_task(service.SubmitRun(probe_request(1, "q0"), None))
    await is_waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    error = await asyncio.wait_for(submit(served, "other", "q1"), PATIENCE_S)
    assert error is not None, "the run that is still on its way to the core was forgotten"
    assert reason_of(error.trailing_metadata()) == "TOO_MANY_RUNS"
    goes_on.set()
    assert await submit(served, "desk", "q0") is None
    assert served.scheduler.core.live_run_count() == 1


async def test_after_an_overload_all_that_was_accepted_is_computed_and_new_runs_come_in(
    serve: Serve, narrow: Settings
) -> None:
    """Twice as many submissions as there is room for, again and again, while a worker works (L6, counted in runs)."""
    served = serve(narrow)
    accepted = refused_count = 0
    async with ProtocolWorker(served.channel) as worker:
        for wave in range(20):
            for number in range(2 * narrow.live_runs_max):
                error = await submit(served, f"t{number % 3}", f"q{wave}-{number}")
                accepted += error is None
                refused_count += error is not None
            await worker.work_off(served.scheduler.core.live_run_count())
    assert refused_count == 20 * narrow.live_runs_max
    assert accepted == 20 * narrow.live_runs_max, "as much goodput in every wave as without overload"
    runs = [run async for run in listed(served)]
    assert len(runs) == accepted
    assert {run.state for run in runs} == {run_pb2.RUN_STATE_COMPLETED}
    assert await submit(served, "t0", "afterwards") is None


async def listed(served: Served):
    token = ""
    while True:
        page = await served.runs.ListRuns(run_pb2.ListRunsRequest(page_size=50, page_token=token))
        for run in page.runs:
            yield run
        token = page.next_page_token
        if not token:
            return
