"""Stores of leaders, claimed without waiting: whoever asks last leads."""

from __future__ import annotations

from xip_scheduler.store.postgres import PostgresStore
from xip_scheduler.store.postgres_leader import LeaderRow
from xip_scheduler.store.postgres_session import DatabaseAddress


def lead(address: DatabaseAddress, through: DatabaseAddress | None = None) -> PostgresStore:
    """Take the lead whoever has it, and commit by way of *through*."""
    leader = LeaderRow(address)
    leader.prepare()
    term = leader.claim(leader.observe())
    assert term is not None
    return PostgresStore(through or address, term, leader)


def database_name(address: DatabaseAddress) -> str:
    return address.url.rpartition("/")[2].partition("?")[0]
