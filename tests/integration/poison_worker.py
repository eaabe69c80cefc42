"""A worker whose pricing is poisoned: `python -m tests.integration.poison_worker SCHEDULER SLOTS ROW_S LOOP_S`.

The environment names trades and what valuing them does to a process: XIP_TEST_POISON="T7=segfault,T9=endless".
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from xip_core.pricing import value_tile
from xip_core.pricing.resolve import json_value
from xip_worker.isolation_settings import IsolationSettings
from xip_worker.main import run
from xip_worker.pricing import PricingEvaluator
from xip_worker.settings import Settings

VARIABLE = "XIP_TEST_POISON"


class PoisonedEvaluator(PricingEvaluator):
    """Pricing, but for the named trades."""

    def __init__(self) -> None:
        poison = dict(entry.split("=") for entry in os.environ[VARIABLE].split(","))
        row_values = value_tile.row_values

        def poisoned(columns: Any, market: Any) -> Any:
            for trade_id, status in zip(json_value(columns["trade_ids"]), columns["row_status"], strict=True):
                if status == 0 and trade_id in poison:
                    _do(poison[trade_id])
            return row_values(columns, market)

        value_tile.row_values = poisoned


def _do(deed: str) -> None:
    match deed:
        case "segfault":
            ctypes.string_at(0)
        case "endless":
            ctypes.CDLL(None).pause()
        case "endless-with-the-gil":
            ctypes.PyDLL(None).pause()
        case "memory":
            bytearray(1 << 45)


def serve(scheduler: str, slot_count: str, time_limit_s: str, loop_limit_s: str) -> None:
    isolation = IsolationSettings(
        time_limit_s=float(time_limit_s), evaluator="tests.integration.poison_worker:PoisonedEvaluator"
    )
    run(
        Settings(
            schedulers=(scheduler,),
            slot_count=int(slot_count),
            blob_cache_bytes=64 << 20,
            output_cache_bytes=64 << 20,
            drain_grace_s=1.0,
            log_level="info",
            isolation=isolation,
            slot_patience_s=0.5,
            loop_limit_s=float(loop_limit_s),
        )
    )


if __name__ == "__main__":
    serve(*sys.argv[1:])
