"""Which submissions are let in. Under overload they are shed first; heartbeats and results, which end runs, never are.

    what is full                                limit                               come again after
    live runs of all tenants, of one tenant     settings                            5 s: a run ends, or does not
    submissions being planned                   `PLANNING_MAX`                      1 s: some 20 plans later
    the driver's inbox                          half of `INBOX_EVENTS_MAX`          1 s: results have the other half
    the commit that is running                  `COMMIT_PATIENCE_S` old             1 s: the disk is slow or full

A refused submission costs one look-up of its request id, never a plan, and the answer carries when to come again
(`wire.status.RETRY_AFTER_KEY`). Nothing that is accepted is ever dropped. A repeat of a known request is always
answered: it adds nothing.

The tests look at what is happening now, never at what was: when the pressure is gone the next submission is let in, so
overload does not outlive itself (L6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from xip_core.errors import OverloadedError
from xip_scheduler.driver import INBOX_EVENTS_MAX

PLANNING_MAX = 64
"""Submissions that wait for the planner's thread: a few seconds of plans of 2,000 trades, less than a call's 30 s."""

COMMIT_PATIENCE_S = 1.0
"""A commit takes 1 to 20 ms; one of a second says that the disk does not keep up."""

AGAIN_AFTER_S = 1.0
RUN_ENDS_AFTER_S = 5.0


class Pressure(Protocol):
    """The driver as it is seen here."""

    @property
    def event_count(self) -> int: ...

    @property
    def commit_age_s(self) -> float: ...


class Admission:
    """
    Args:
        live_runs_max, tenant_live_runs_max: runs that are not final, of all tenants and of each.
    """

    def __init__(self, pressure: Pressure, live_runs_max: int, tenant_live_runs_max: int) -> None:
        self._pressure = pressure
        self._live_runs_max = live_runs_max
        self._tenant_live_runs_max = tenant_live_runs_max
        self._planning: Counter[str] = Counter()
        self.refused_count = 0

    @contextmanager
    def admitted(self, tenant: str, live_count: int, tenant_live_count: int) -> Iterator[None]:
        """
        A place for one new run while it is planned and stored; the counts are of runs that are live now.

        Raises:
            OverloadedError: there is none now.
        """
        refusal = self._refusal(tenant, live_count, tenant_live_count)
        if refusal is not None:
            self.refused_count += 1
            raise refusal
        self._planning[tenant] += 1
        try:
            yield
        finally:
            self._planning[tenant] -= 1
            if not self._planning[tenant]:
                del self._planning[tenant]

    def _refusal(self, tenant: str, live_count: int, tenant_live_count: int) -> OverloadedError | None:
        planning_count = self._planning.total()
        if live_count + planning_count >= self._live_runs_max:
            sentence = f"at most {self._live_runs_max} runs may be live, got {live_count + planning_count}"
            return OverloadedError("TOO_MANY_RUNS", sentence, RUN_ENDS_AFTER_S)
        own_count = tenant_live_count + self._planning[tenant]
        if own_count >= self._tenant_live_runs_max:
            sentence = f"at most {self._tenant_live_runs_max} runs of one tenant may be live"
            return OverloadedError(
                "TOO_MANY_RUNS_OF_TENANT", f"{sentence}, {tenant!r} has {own_count}", RUN_ENDS_AFTER_S
            )
        if planning_count >= PLANNING_MAX:
            sentence = f"at most {PLANNING_MAX} submissions may wait to be planned, got {planning_count}"
            return OverloadedError("OVERLOADED", sentence, AGAIN_AFTER_S)
        if self._pressure.event_count >= INBOX_EVENTS_MAX // 2:
            sentence = f"at most {INBOX_EVENTS_MAX // 2} events may wait when a run is let in"
            return OverloadedError("OVERLOADED", f"{sentence}, got {self._pressure.event_count}", AGAIN_AFTER_S)
        commit_age_s = self._pressure.commit_age_s
        if commit_age_s >= COMMIT_PATIENCE_S:
            sentence = f"a commit must end within {COMMIT_PATIENCE_S:g} s for a run to be let in"
            return OverloadedError("OVERLOADED", f"{sentence}, one runs for {commit_age_s:.1f} s", AGAIN_AFTER_S)
        return None
