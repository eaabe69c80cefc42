"""One seed, one story: writers on one database, faults between and inside their commits, checks after each step.

    cut before, cut after     the connection ends at the n-th message of a commit, before or after the server has it
    ended, cancelled          pg_terminate_backend, pg_cancel_backend of the leader's session, inside a commit
    crash                     pg_ctl stop -m immediate and start again, while the leader commits
    long lock                 somebody holds a table for a while; the commit waits
    deadlock                  somebody locks two tables in the other order
    takeover                  another leads; the old writer goes on offering batches, each must be refused
    takeover in commit        while the COMMIT of the old leader is on its way; with and without ending its session
    goodbye                   the leader closes, the next opens

The writers' network is a proxy, the checker's is not.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import psycopg

from tests.patience import PATIENCE_S
from tests.postgres.cluster import until, until_blocked
from tests.postgres.proxy import Fault, Proxy, nth_message, says
from tests.postgres.server import PrivateServer
from tests.postgres_faults.ledger import RUN_ID, Ledger
from tests.scheduler.store.builders import a_run
from xip_core.errors import StoreError
from xip_scheduler.store import audit, postgres_leader
from xip_scheduler.store.postgres import PostgresStore
from xip_scheduler.store.postgres_leader import LeaderRow
from xip_scheduler.store.postgres_session import DatabaseAddress, session_name
from xip_scheduler.store.protocol import AuditRow, Batch

ZOMBIES_MAX = 3


class Story:
    """
    Args:
        reached: counts what happened, over all stories.
    """

    def __init__(self, server: PrivateServer, address: DatabaseAddress, seed: int, reached: Counter[str]) -> None:
        self._server = server
        self._address = address
        self._name = address.url.rpartition("/")[2].partition("?")[0]
        self._draw = random.Random(seed)
        self._reached = reached
        self._ledger = Ledger()
        self._zombies: list[PostgresStore] = []
        self._complaints: list[str] = []

    def tell(self, step_count: int) -> list[str]:
        """Play *step_count* faults; complaints, none if all holds."""
        faults: tuple[Callable[[], None], ...] = (
            self._cut, self._cut, self._cut, self._ended, self._cancelled, self._long_lock, self._deadlock,
            self._takeover, self._takeover_in_commit, self._goodbye, self._crash,
        )  # fmt: skip
        with Proxy(self._server.port) as self._proxy:
            self._store = self._lead()
            self._store.commit(Batch(runs=[a_run(RUN_ID)]))
            for _ in range(step_count):
                self._draw.choice(faults)()
                self._proxy.disarm()
                for zombie in self._zombies:
                    self._offer(zombie)
                self._look(is_quiet=False)
                if self._complaints:
                    break
            self._offer(self._store)
            self._look(is_quiet=True)
            self._store.close()
        return self._complaints

    # ---- faults

    def _cut(self) -> None:
        fault = self._draw.choice((Fault.CUT_BEFORE, Fault.CUT_AFTER))
        message = self._draw.randint(1, 14)
        self._proxy.arm(fault, nth_message(message))
        self._offer_some(self._draw.randint(1, 3))
        self._reached[f"{fault.value}" if self._proxy.struck.is_set() else "cut missed"] += 1

    def _ended(self) -> None:
        self._strike_session("pg_terminate_backend")

    def _cancelled(self) -> None:
        self._strike_session("pg_cancel_backend")

    def _strike_session(self, function: str) -> None:
        """While the commit waits for a lock, so that it is inside."""
        with self._operator() as operator, self._committing() as committing, operator.transaction():
            operator.execute("LOCK TABLE tile_output IN ACCESS EXCLUSIVE MODE")
            committing.start()
            until_blocked(self._server, self._store.term)
            operator.execute(
                f"SELECT {function}(pid) FROM pg_stat_activity WHERE application_name = %s AND datname = %s",
                (session_name(self._store.term), self._name),
            )
        self._reached[function] += 1

    def _long_lock(self) -> None:
        with self._operator() as operator, self._committing() as committing, operator.transaction():
            operator.execute("LOCK TABLE meta IN ACCESS EXCLUSIVE MODE")
            committing.start()
            operator.execute("SELECT pg_sleep(%s)", (self._draw.uniform(0.0, 0.3),))
        self._reached["long lock"] += 1

    def _deadlock(self) -> None:
        with self._operator() as operator, self._committing() as committing:
            operator.execute("SET deadlock_timeout = '1min'")  # so that the leader's is the one rolled back
            with operator.transaction():
                operator.execute("LOCK TABLE quarantine IN ACCESS EXCLUSIVE MODE")
                committing.start()
                until_blocked(self._server, self._store.term)
                operator.execute("LOCK TABLE tile_record IN ACCESS EXCLUSIVE MODE")
        self._reached["deadlock"] += 1

    def _crash(self) -> None:
        with self._committing() as committing:
            if self._draw.random() < 0.5:
                self._proxy.arm(Fault.HOLD, says(b"COMMIT"))
                committing.start()
                self._proxy.struck.wait(PATIENCE_S)
                self._server.stop("immediate")
                self._proxy.released.set()
            else:
                committing.start()
                self._server.stop("immediate")
            self._server.start()
        self._reached["crash"] += 1

    def _goodbye(self) -> None:
        self._store.close()
        self._store = self._lead()
        self._reached["goodbye"] += 1

    def _takeover(self) -> None:
        self._retire(self._store)
        self._store = self._lead()
        self._offer_some(1)
        self._reached["takeover"] += 1

    def _takeover_in_commit(self) -> None:
        """From the moment in which the larger term is in force, no row of the old one may appear."""
        old = self._store
        ends_sessions = self._draw.random() < 0.5
        with self._committing() as committing, _without_ending_sessions(not ends_sessions):
            self._proxy.arm(Fault.HOLD, says(b"COMMIT"))
            committing.start()
            assert self._proxy.struck.wait(PATIENCE_S)
            claiming = threading.Thread(target=self._take_lead)
            claiming.start()
            kept = self._kept_when_raised(old.term, 10.0 if ends_sessions else 0.5)
            self._proxy.released.set()
            claiming.join(PATIENCE_S)
            if kept is None:
                kept = self._kept_when_raised(old.term, PATIENCE_S)
        self._retire(old)
        if self._kept_of(old.term) != kept:
            self._complaints.append(f"a commit of term {old.term} came through after the takeover (S4)")
        self._reached["takeover in commit" if ends_sessions else "takeover against the row lock"] += 1

    def _kept_when_raised(self, term: int, limit_s: float) -> int | None:
        """Records of *term* in the moment in which a larger one is seen in force; None if that takes longer."""
        raised = "SELECT FROM meta WHERE name = 'term' AND value > %s"
        try:
            with self._operator() as operator:
                until(operator, raised, (term,), limit_s)
        except AssertionError:
            return None
        return self._kept_of(term)

    def _take_lead(self) -> None:
        self._store = self._lead()

    # ---- writers

    def _lead(self) -> PostgresStore:
        leader = LeaderRow(self._address)
        leader.prepare()
        term = leader.claim(leader.observe())
        assert term is not None, "nobody else claims"
        self._ledger.term = term
        return PostgresStore(self._server.address_of(self._name, self._proxy.port), term, leader)

    def _retire(self, store: PostgresStore) -> None:
        self._zombies.append(store)
        if len(self._zombies) > ZOMBIES_MAX:
            self._zombies.pop(0).close()

    def _offer_some(self, count: int) -> None:
        for _ in range(count):
            self._offer(self._store)

    def _offer(self, store: PostgresStore) -> None:
        offered, batch = self._ledger.offer(store.term)
        try:
            store.commit(batch)
        except StoreError as error:
            if not offered.is_fenced and "another scheduler leads" not in str(error):
                self._complaints.append(f"batch {offered.number}: the leader must get through, got: {error}")
            return
        offered.is_acknowledged = True
        if offered.is_fenced:
            self._complaints.append(f"batch {offered.number} of term {offered.term}: acknowledged to a replaced leader")

    @contextlib.contextmanager
    def _committing(self) -> Iterator[threading.Thread]:
        """A thread in which the leader offers one batch; joined at the end."""
        committing = threading.Thread(target=self._offer, args=(self._store,))
        yield committing
        committing.join(PATIENCE_S)
        if committing.is_alive():
            self._complaints.append(f"a commit must end within {PATIENCE_S} s")

    # ---- looking

    def _operator(self) -> psycopg.Connection:
        return self._server.administrator(self._name)

    def _kept_of(self, term: int) -> int:
        with self._operator() as operator:
            found = operator.execute("SELECT count(*) FROM tile_record WHERE epoch = %s", (term,)).fetchone()
        assert found is not None
        return int(found[0])

    def _look(self, is_quiet: bool) -> None:
        with self._operator() as operator:
            self._complaints += self._ledger.check(operator, is_quiet)
            rows = [AuditRow(*row) for row in operator.execute("SELECT * FROM audit ORDER BY audit_key").fetchall()]
        self._complaints += audit.broken_links(rows)


@contextlib.contextmanager
def _without_ending_sessions(is_so: bool) -> Iterator[None]:
    """As where the role may not end other sessions: the row lock must do alone."""
    statement = postgres_leader._END_SESSIONS
    if is_so:
        postgres_leader._END_SESSIONS = "SELECT %s::text"
    try:
        yield
    finally:
        postgres_leader._END_SESSIONS = statement
