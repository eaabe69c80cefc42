"""`xip_worker.core` through its one door: every story in golden/, order by order.

A story is rewritten by `XIP_REWRITE_GOLDEN=1 python -m pytest tests/worker/test_core_golden.py`; commit the change only
if you can explain every line of it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.worker.story import retell

STORIES = sorted((Path(__file__).parent / "golden").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_story_is_told_the_same_way(path: Path) -> None:
    retold = retell(path.read_text())
    if os.environ.get("XIP_REWRITE_GOLDEN"):
        path.write_text(retold)
    assert retold == path.read_text()


def test_there_are_stories() -> None:
    assert len(STORIES) >= 4
