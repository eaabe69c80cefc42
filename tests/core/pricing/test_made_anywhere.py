"""Blocks and rows that a worker makes anew have the bytes of those that others made, whatever machine it has"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.core.kernels.levels import LEVELS
from xip_core.kernels.level import VARIABLE

PROGRAM = """
from hashlib import blake2b
from xip_core import samples
from xip_core.model.market import decode_snapshot
from xip_core.model.scenario import decode_scenarios
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import resolve_lines
from xip_core.pricing.tile_market import MarketView

sample = samples.load("cross-asset")
market, scenarios = decode_snapshot(sample.market), decode_scenarios(sample.scenarios)
layout = SnapshotLayout(market)
block = calibrate_tile(market, layout, scenarios, 40, 52)
rows = resolve_lines(sample.book.splitlines()[::25], MarketView(layout), {})
for columns in (block, rows):
    print(blake2b(b"".join(array.tobytes() for array in columns.values())).hexdigest(), len(columns))
"""

def made_at(level: str, **environment: str) -> str:
    environment = {**os.environ, VARIABLE: level, **environment}
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout


def test_every_cpu_level_makes_the_same_block_and_the_same_rows() -> None:
    from numpy._core._multiarray_umath import __cpu_dispatch__ as dispatched

    made = {level: made_at(level) for level in LEVELS}
    made["and none of what NumPy chooses"] = made_at(LEVELS[0], NPY_DISABLE_CPU_FEATURES=" ".join(dispatched))
    assert len(set(made.values())) == 1, made
    assert len(made[LEVELS[0]].split()) == 4
