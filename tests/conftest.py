"""What tests of several folders share: packages that add kernels, a private PostgreSQL server, channels, examples.

Hypothesis draws the same examples in every run and times none of them: a run says whether the tree is sound, not how
the dice fell or how busy the machine was. `python -m pytest --hypothesis-profile=explore` looks for new examples.
"""

from __future__ import annotations

import signal
from pathlib import Path

import hypothesis
import pytest

from tests.plugins.install import Plugin, installed
from tests.postgres.fixtures import database, new_database, postgres, prepared_database
from tests.serving import open_channel

UNTIMED = [hypothesis.HealthCheck.too_slow]

hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=UNTIMED
)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=UNTIMED)
hypothesis.settings.load_profile("repeatable")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts pytest in the background has it ignore Ctrl-C, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["database", "new_database", "open_channel", "poison_kernels", "postgres", "prepared_database"]


@pytest.fixture(scope="session")
def poison_kernels() -> Plugin:
    """The package whose kernel does everything a kernel must not do; see its docstring for the acts."""
    return installed("poison_kernels")


@pytest.fixture(scope="session")
def example_kernels() -> Plugin:
    """The package that shows how kernels are added: one in NumPy, one in Cython."""
    return installed("example_kernels")


ORACLE = Path(__file__).parent / "oracle"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The oracle suite needs wheels of others: it runs when it is named, `python -m pytest tests/oracle`."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    is_asked_for = any(path.is_relative_to(ORACLE) for path in named)
    return True if collection_path.is_relative_to(ORACLE) and not is_asked_for else None
