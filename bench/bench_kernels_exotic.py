"""Speed of the closed-form exotics: `python -m pytest bench/bench_kernels_exotic.py --benchmark-only`.

As bench_kernels.py: `million_per_s` rows with all outputs, one core, 16,384 rows, from the fastest round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, ROWS, measure
from tests.core.kernels.exotic_book import KERNELS, exotic_book
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.level import load_module


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", KERNELS)
def test_exotic_with_all_outputs(benchmark: Any, name: str, level: str) -> None:
    kernel = catalogue()[name]
    function = getattr(load_module(kernel.module, level), kernel.function)
    inputs = tuple(exotic_book(name, ROWS).values())
    outputs, status = tuple(np.empty(ROWS) for _ in kernel.outputs), np.empty(ROWS, np.uint8)
    measure(benchmark, lambda: function(inputs, outputs, status), ROWS, level)
    assert not status.any()
