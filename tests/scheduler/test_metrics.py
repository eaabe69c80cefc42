"""xip_scheduler.metrics: what an operator reads about tenants and refusals."""

from __future__ import annotations

import contextlib

from prometheus_client import CollectorRegistry, generate_latest

from tests.scheduler.core.builders import a_probe_plan, a_submission, an_attachment
from xip_core.errors import OverloadedError
from xip_scheduler.core.core import Core
from xip_scheduler.driver import Driver
from xip_scheduler.journal import Journal
from xip_scheduler.metrics import SchedulerCollector
from xip_scheduler.rpc.admission import Admission
from xip_scheduler.store.protocol import Batch


class NoStore:
    async def commit(self, batch: Batch) -> None:
        raise AssertionError("nothing is committed here")


async def test_charges_of_tenants_and_refusals_are_counted() -> None:
    core = Core()
    core.handle(an_attachment(slot_count=3), 0.0)
    core.handle(a_submission("r1", a_probe_plan(2, cost_s=1.0), tenant="rates"), 0.0)
    core.handle(a_submission("r2", a_probe_plan(1, cost_s=0.5), tenant="fx"), 0.0)
    driver = Driver(core, NoStore(), Journal(), lambda orders: None, lambda: 0.0)
    admission = Admission(driver, live_runs_max=1, tenant_live_runs_max=1)
    with contextlib.suppress(OverloadedError), admission.admitted("rates", 2, 1):
        raise AssertionError("two runs are live, one may be")
    registry = CollectorRegistry()
    registry.register(SchedulerCollector(core, driver, admission))
    lines = generate_latest(registry).decode().splitlines()
    assert 'xip_scheduler_charged_slot_seconds_total{tenant="rates"} 2.0' in lines
    assert 'xip_scheduler_charged_slot_seconds_total{tenant="fx"} 0.5' in lines
    assert "xip_scheduler_submissions_refused_total 1.0" in lines
