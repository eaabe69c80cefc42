"""tests.postgres: what happens where there is no server"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres.fixtures import found_or_skipped
from tests.postgres.server import REQUIRE_VARIABLE


def test_without_a_server_tests_are_skipped_with_what_to_install() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install postgresql"):
        found_or_skipped(None, {})


def test_without_a_server_tests_fail_where_one_is_required() -> None:
    with pytest.raises(pytest.fail.Exception, match="demands it"):
        found_or_skipped(None, {REQUIRE_VARIABLE: "1"})


def test_binaries_that_are_there_are_used() -> None:
    assert found_or_skipped(Path("/bin"), {REQUIRE_VARIABLE: "1"}) == Path("/bin")
