"""xip_core.client.ladders: ladders of single trades; ladder tables as records."""

from __future__ import annotations

import msgspec
import numpy as np

from tests.core.small_market import a_snapshot
from xip_core.client.ladders import trade_records
from xip_core.client.results import Results
from xip_core.client.tables import table_of
from xip_core.model.aggregates import Aggregate
from xip_core.model.result import ResultBlock
from xip_core.model.sensitivity import Ladder, SensitivitySet, column_names, expand
from xip_core.risk.ladder import LadderRow


def test_ladders_of_trades_come_from_the_numbers_under_the_bumps() -> None:
    expansion = expand(SensitivitySet(ladders=(Ladder(kind="fx", bump=2.0, is_gamma=True),)), a_snapshot())
    results = Results(["T1", "T2"], column_names(expansion))
    pv = np.array([[100.0, 104.0, 98.0], [10.0, np.nan, 9.0]])
    status = np.isnan(pv).astype(np.uint8)
    scenarios, rows = np.arange(3, dtype=np.int32), np.arange(2, dtype=np.int32)
    results.add(ResultBlock(1, 0, 0, {"row": rows, "scenario": scenarios, "pv": pv, "status": status}))
    found = [(r["trade"], r["measure"], r["value"]) for r in trade_records(results.to_numpy(), expansion)]
    assert found == [("T1", "delta", 1.5), ("T1", "gamma", 0.5), ("T2", "delta", None), ("T2", "gamma", None)]


def test_a_ladder_table_has_a_record_for_each_number_of_each_group() -> None:
    row = LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 1.0)
    columns = {
        "aggregate": _text(Aggregate(measure="ladder", by=("desk",))),
        "key": _text([["a"], ["b"]]),
        "rows_expected": np.array([3, 2]),
        "rows_used": np.array([3, 1]),
        "sensitivity": _text([row]),
        "value": np.array([[1.0], [2.0]]),
        "used": np.array([[3], [1]]),
    }
    assert table_of(columns).records() == [
        {"desk": "a", **msgspec.structs.asdict(row), "value": 1.0, "rows_used": 3, "rows_expected": 3},
        {"desk": "b", **msgspec.structs.asdict(row), "value": 2.0, "rows_used": 1, "rows_expected": 2},
    ]


def _text(value: object) -> np.ndarray:
    return np.frombuffer(msgspec.json.encode(value), "u1")
