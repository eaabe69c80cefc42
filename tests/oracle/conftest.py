"""Random cases against QuantLib and ORE: they need both wheels, and say so instead of skipping."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

WHEELS = {"QuantLib": "QuantLib", "ORE": "open-source-risk-engine"}


def pytest_configure() -> None:
    absent = [package for module, package in WHEELS.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise pytest.UsageError(f"tests/oracle needs {' and '.join(absent)}: pip install .[test,oracle]")


@pytest.fixture(autouse=True)
def the_evaluation_date_is_as_it_was() -> Iterator[None]:
    """QuantLib has one for the whole process: a test that moves it must not move the next one's prices."""
    import QuantLib as ql  # noqa: N813  # as its own examples call it

    before = ql.Settings.instance().evaluationDate
    yield
    ql.Settings.instance().evaluationDate = before
