"""Random cases against QuantLib and ORE: they need both wheels, and say so instead of skipping."""

from __future__ import annotations

import importlib.util

import pytest

WHEELS = {"QuantLib": "QuantLib", "ORE": "open-source-risk-engine"}


def pytest_configure() -> None:
    absent = [package for module, package in WHEELS.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise pytest.UsageError(f"tests/oracle needs {' and '.join(absent)}: pip install .[test,oracle]")
