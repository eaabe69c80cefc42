"""xip_core.cli.summary: what a run comes down to."""

from __future__ import annotations

import math

import numpy as np

from tests.core.client.server import BOOK, reduce_block, value_block
from xip_core.cli.summary import asset_class_lines, quarantine_lines, trade_lines
from xip_core.client.heads import trade_labels
from xip_core.client.results import Results, totals_of
from xip_core.model.result import Quarantine, ResultBlock


def test_no_sums_give_no_lines():
    assert asset_class_lines(None, ["base"]) == ()


def test_a_run_of_the_base_alone_has_no_extremes():
    columns = reduce_block()
    for name in ("pnl", "rows_used", "rows_expected"):
        columns[name] = columns[name][:, :1]
    lines = asset_class_lines(totals_of(columns), ["base"])
    assert [(line.worst, line.best) for line in lines] == [(None, None)] * 4


def test_the_total_adds_asset_classes_and_finds_its_own_extremes():
    total = asset_class_lines(totals_of(reduce_block()), ["base", "rates up", "crash"])[-1]
    assert (total.asset_class, total.trades_used, total.trades_expected) == ("total", 2, 3)
    assert (total.pv, total.dv01) == (150.0, -150.0)
    assert total.worst is not None
    assert (total.worst.scenario, total.worst.pnl, total.worst.is_partial) == ("crash", -50.0, True)


def test_of_no_trade_there_is_no_number():
    """Neither a value nor an extreme: a sum of nothing is 0, and 0 would be shown as a value."""
    columns = reduce_block()
    columns["rows_used"] = np.zeros_like(columns["rows_used"])
    for line in asset_class_lines(totals_of(columns), ["base", "rates up", "crash"]):
        assert all(math.isnan(value) for value in (line.pv, line.delta, line.vega, line.dv01))
        assert (line.trades_used, line.worst, line.best) == (0, None, None)


def test_quarantine_is_told_by_reason_with_the_first_trades():
    cells = [Quarantine(row, 0, 10, f"T{row}", 5, f"no curve {row}") for row in (4, 2, 3, 1)]
    cells += [Quarantine(9, 3, 4, "T9", 8, "not finite"), Quarantine(9, 7, 8, "T9", 8, "not finite")]
    missing, numerical = quarantine_lines(cells)
    assert (missing.reason, missing.trade_count, missing.value_count) == ("MISSING_DATA", 4, 40)
    assert [trade_id for trade_id, _ in missing.examples] == ["T1", "T2", "T3"]
    assert (numerical.reason, numerical.trade_count, numerical.value_count) == ("NUMERICAL", 1, 2)


def test_a_trade_that_failed_under_one_scenario_keeps_its_base_number_and_says_so():
    results = Results(["S1", "F1", "E1"], ["base", "rates up", "crash"])
    columns = value_block(0)
    columns["status"] = columns["status"].copy()
    columns["status"][0, 2] = 7
    results.add(ResultBlock(1, 0, 0, columns))
    results.add_quarantine([Quarantine(0, 2, 3, "S1", 7, "curve EUR does not fit")])
    first, second, _ = trade_lines(results, trade_labels(BOOK))
    assert (first.pv, first.status, first.message) == (100.0, "CALIBRATION_FAILED", "curve EUR does not fit")
    assert (second.pv, second.status) == (None, "pending")


def test_gamma_and_theta_are_there_where_they_were_asked_for_and_nan_elsewhere():
    without = asset_class_lines(totals_of(reduce_block()), ["base", "rates up", "crash"])[-1]
    assert math.isnan(without.gamma)
    asked = reduce_block() | {"gamma": np.array([1.0, 2.0, 4.0]), "theta": np.array([-1.0, 0.0, -0.5])}
    total = asset_class_lines(totals_of(asked), ["base", "rates up", "crash"])[-1]
    assert (total.gamma, total.theta) == (7.0, -1.5)
    results = Results(["S1", "F1", "E1"], ["base", "rates up", "crash"])
    results.add(ResultBlock(1, 0, 0, value_block(0) | {"gamma": np.array([3.0])}))
    first, second, _ = trade_lines(results, trade_labels(BOOK))
    assert (first.gamma, first.theta, second.gamma) == (3.0, None, None)
