"""Waiting to lead, and leading: the thread between `core.leadership`, which decides, and the leader row.

    waiting    a look each `renewal_s`; the advice of the candidate; a claim
    leading    a renewal each `renewal_s`, in a thread of its own, so that neither a long commit nor a busy event loop
               looks like silence; replaced means: say so once, and end

A leader that has not renewed for `silence_s` by its own monotonic clock may have been replaced without knowing it: it
was stopped, or is cut off. What it would write is refused by the fence; what it would say could be old. So `doubt` has
a sentence then, and the gate refuses calls until a renewal has gone through. That time passes even while the process
is stopped, which is why it is not `clock.PatientClock`'s.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import psycopg

from xip_core.errors import StoreError
from xip_scheduler.core.leadership import Candidate, LeaderTimes
from xip_scheduler.logs import logger
from xip_scheduler.store.postgres_leader import LeaderRow
from xip_scheduler.store.postgres_reads import told


class Leadership:
    """
    Args:
        row: used by this object's calls only, until `stop` has returned.
    """

    def __init__(self, row: LeaderRow, times: LeaderTimes) -> None:
        self.row = row
        self._times = times
        self._log = logger("leadership")
        self._holder = ""
        self._term = 0
        self._renewed_s = 0.0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_lost = False

    def prepare(self) -> None:
        """
        Raises:
            StoreError: the database cannot be reached, or must not be used.
        """
        try:
            self.row.prepare()
        except psycopg.OperationalError as error:
            raise StoreError(f"the database must be reachable at the start: {told(error)}") from error

    def doubt(self) -> str:
        """Why calls must be refused now, or ""."""
        if not self._term:
            leader = f"the leader is {self._holder}" if self._holder else "no other has been seen to lead"
            return f"this scheduler stands by, {leader}; try the next address"
        if self._is_lost:
            return "another scheduler has taken over; try the next address"
        if time.monotonic() - self._renewed_s > self._times.silence_s:
            return "this scheduler cannot be sure that it still leads; try the next address"
        return ""

    async def until_leading(self, stopping: asyncio.Event) -> int | None:
        """
        The term when this scheduler leads, or None when it was told to stop before.

        Raises:
            StoreError: the database must not be used.
        """
        candidate = Candidate(self._times)
        while not stopping.is_set():
            try:
                term = await asyncio.to_thread(self._look, candidate)
            except psycopg.Error as error:
                self._log.warning("the database cannot be asked who leads", error=told(error))
            else:
                if term is not None:
                    return term
            await _wait(stopping, self._times.renewal_s)
        return None

    def _look(self, candidate: Candidate) -> int | None:
        observed = self.row.observe()
        if observed.holder != self._holder and not observed.is_released:
            self._log.info("standing by", leader=observed.holder, term=observed.term)
        self._holder = "" if observed.is_released else observed.holder
        if not candidate.observe(observed, time.monotonic()):
            return None
        begun_s = time.monotonic()
        term = self.row.claim(observed)
        if term is not None:
            self._renewed_s = begun_s
            self._term = term
            self._log.info("leading", term=term, replaced=observed.holder, was_released=observed.is_released)
        return term

    def keep(self, on_lost: Callable[[str], None]) -> None:
        """Renew from now on; *on_lost* is called from a thread, once, when another leads."""
        self._thread = threading.Thread(target=self._renew, args=(on_lost,), name="leadership", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Renew no more. The row may be used by others then."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _renew(self, on_lost: Callable[[str], None]) -> None:
        while not self._ending.wait(self._times.renewal_s):
            begun_s = time.monotonic()
            try:
                is_ours = self.row.renew(self._term)
            except (psycopg.Error, StoreError) as error:
                self._log.warning("leadership not renewed", error=told(error))
                continue
            if not is_ours:
                self._is_lost = True
                on_lost(f"another scheduler leads: the leader row must have term {self._term}, it is larger now")
                return
            self._renewed_s = begun_s


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
