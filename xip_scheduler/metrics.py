"""Prometheus figures, read when somebody asks; counting costs the hot path nothing.

The collector runs in the endpoint's thread and reads integers only, each of which is consistent by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from wsgiref.simple_server import WSGIServer

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from xip_core.errors import UnavailableError
from xip_scheduler.core.core import Core
from xip_scheduler.driver import Driver
from xip_scheduler.rpc.admission import Admission

_COUNTER_TEXTS = {
    "leases_granted": "Leases sent to workers",
    "leases_adopted": "Leases taken over from workers that came back",
    "leases_returned": "Leases handed back by draining workers",
    "leases_expired": "Leases of workers that fell silent",
    "leases_stalled": "Leases taken back because their kernel did not come back from a tile",
    "leases_lost": "Leases of workers whose stream ended",
    "tiles_recorded": "Tiles with a durable result",
    "tiles_failed_once": "Tile evaluations that raised an error",
    "tiles_given_up": "Tiles quarantined after the last attempt",
    "leases_isolated": "Leases to be evaluated in a child process",
    "kernels_guarded": "Times a kernel version was leased isolated from then on",
    "kernels_stopped": "Times a kernel version was not leased any more",
    "workers_drained": "Workers sent away because they failed at what others computed",
    "suspects": "Tiles a worker may have died of",
    "refused_stale": "Results refused: the lease is not current",
    "refused_outside": "Results refused: tiles outside the lease",
    "refused_duplicate": "Results refused: recorded before",
    "runs_submitted": "Runs accepted",
    "runs_finished": "Runs that reached a final state",
}


class SchedulerCollector(Collector):
    def __init__(self, core: Core, driver: Driver, admission: Admission) -> None:
        self._core = core
        self._driver = driver
        self._admission = admission

    def collect(self) -> Iterable[Metric]:
        yield from self._gauges()
        for field in msgspec.structs.fields(type(self._core.counters)):
            text = _COUNTER_TEXTS.get(field.name, field.name.replace("_", " "))
            yield _counter(field.name, text, getattr(self._core.counters, field.name))
        figures = self._driver.figures
        yield _counter("events_handled", "Events handled by the core", figures.events)
        yield _counter("submissions_refused", "Submissions refused for now", self._admission.refused_count)
        yield self._charged()
        yield _counter("commits", "Transactions committed", figures.commits)
        yield _counter("commit_seconds", "Time spent waiting for commits", figures.commit_s)

    def _charged(self) -> Metric:
        family = CounterMetricFamily(
            "xip_scheduler_charged_slot_seconds", "Slot-seconds charged to tenants with runs", labels=("tenant",)
        )
        for tenant, charged_s in self._core.charged_s().items():
            family.add_metric((tenant,), charged_s)
        return family

    def _gauges(self) -> Iterator[Metric]:
        core = self._core
        for name, text, value in (
            ("runs_live", "Runs that are not final", core.live_run_count()),
            ("workers", "Workers that are neither draining nor silent", core.worker_count()),
            ("slots", "Slots of those workers", core.slot_count()),
            ("leases", "Leases at workers", core.lease_count()),
            ("kernels_not_as_usual", "Kernel versions that are guarded or stopped", len(core.breakers())),
            ("inbox_events", "Events waiting to be handled", self._driver.event_count),
            ("commit_last_seconds", "Duration of the newest commit", self._driver.figures.commit_last_s),
            ("term", "Number of this start of the scheduler", core.term),
        ):
            yield GaugeMetricFamily(f"xip_scheduler_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"xip_scheduler_{name}", text, value)


def serve_metrics(host: str, port: int, core: Core, driver: Driver, admission: Admission) -> WSGIServer:
    """
    Serve /metrics on its own port and thread; returns the server, to be shut down.

    Raises:
        UnavailableError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(SchedulerCollector(core, driver, admission))
    ProcessCollector(registry=registry)
    try:
        return start_http_server(port, addr=host, registry=registry)[0]
    except OSError as error:
        sentence = f"cannot serve metrics on {host}:{port}: {error}; choose another --metrics-port"
        raise UnavailableError(sentence) from None
