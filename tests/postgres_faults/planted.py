"""Bugs put into the store on purpose: stories that do not catch each of them prove nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from xip_scheduler.store.postgres import PostgresStore


def _unlocked_fence(store: PostgresStore) -> None:
    """A plain SELECT of the term: a takeover can commit between it and our COMMIT."""
    found = store._driver.execute("SELECT value FROM meta WHERE name = 'term'").fetchone()
    if found != (store._term,):
        original_fence(store)


def _no_fence(store: PostgresStore) -> None:
    """The term is never looked at."""


def _believes_in_commit(store: PostgresStore, cause: Exception) -> int:
    """A cut connection is taken for a commit that went through."""
    return max(original_reconnect(store, cause), store._serial + 1)


def _believes_in_rollback(store: PostgresStore, cause: Exception) -> int:
    """A cut connection is taken for a commit that did not happen: the batch is written again, under a new number."""
    before = store._serial
    found = original_reconnect(store, cause)
    if found > before:
        store._driver.execute("UPDATE meta SET value = %s WHERE name = 'commit_serial'", (before,))
    return before


def _acknowledges_at_once(store: PostgresStore, batch: Any) -> None:
    """What the server refuses is not told."""
    with contextlib.suppress(Exception):
        original_commit(store, batch)


original_fence = PostgresStore._check_fence
original_reconnect = PostgresStore._reconnect
original_commit = PostgresStore.commit

PLANTED: dict[str, tuple[str, Callable[..., Any]]] = {
    "fence without lock": ("_check_fence", _unlocked_fence),
    "no fence": ("_check_fence", _no_fence),
    "cut means committed": ("_reconnect", _believes_in_commit),
    "cut means rolled back": ("_reconnect", _believes_in_rollback),
    "refusals swallowed": ("commit", _acknowledges_at_once),
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    attribute, bug = PLANTED[name]
    original = getattr(PostgresStore, attribute)
    setattr(PostgresStore, attribute, bug)
    try:
        yield
    finally:
        setattr(PostgresStore, attribute, original)
