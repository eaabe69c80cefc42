"""A small share of `python -m tests.postgres_faults`: the command tells as many stories as one likes"""

from __future__ import annotations

from collections import Counter

from tests.postgres.server import PrivateServer
from tests.postgres_faults.planted import planted
from tests.postgres_faults.story import Story


def test_no_fault_loses_an_acknowledged_batch_or_lets_a_replaced_leader_write(postgres: PrivateServer) -> None:
    reached: Counter[str] = Counter()
    assert Story(postgres, postgres.new_database(), 2, reached).tell(12) == []
    assert sum(reached.values()) == 12


def test_a_planted_bug_is_caught(postgres: PrivateServer) -> None:
    """One of those of `python -m tests.postgres_faults --planted`."""
    with planted("cut means committed"):
        complaints = (Story(postgres, postgres.new_database(), seed, Counter()).tell(12) for seed in range(5))
        assert any(complaints), "a story that does not see this bug proves nothing"
