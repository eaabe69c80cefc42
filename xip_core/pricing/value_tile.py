"""A value tile: numbers, statuses, quarantine and sums of some rows under some scenarios.

A cell has a number, or a status and a reason, never a silent NaN. Reasons, the first that holds:

    the row could not be resolved                            its own reason, all scenarios
    a market object it needs failed in this scenario         CALIBRATION_FAILED or BAD_QUOTE, from calibration
    the result is not a finite number                        NUMERICAL
    a measure of the base is not                             NUMERICAL, in the base

A row that has no number in the base takes part in no sum. Sums are partial, one for each leaf group that occurs in the
tile, and run over its rows in order, left to right (a kernel adds them), so they do not depend on how many scenarios a
tile has. They are all that later nodes read: what leaves a tile grows with its groups, not with its rows, unless the
run asked for the numbers of every trade (`Detail`). docs/tile-outputs.md lists the columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import FailureReason
from xip_core.graph.plan import Source
from xip_core.kernels import tile_cells
from xip_core.model.run_spec import Detail
from xip_core.pricing.polling import poll
from xip_core.pricing.program import Floats
from xip_core.pricing.pruning import PrunedValues, pruned_values
from xip_core.pricing.resolve import json_value
from xip_core.pricing.tile import Columns, QuarantinedCells, TileValue
from xip_core.pricing.value import row_delta, row_gamma, row_theta, row_values, row_vega, spot_values

Statuses = npt.NDArray[np.uint8]


class MarketBlock(msgspec.Struct, frozen=True):
    """The calibrate tiles a value tile reads: that of its scenarios [begin, end) and that of the base."""

    calibrated: Columns
    base: Columns
    begin: int
    end: int

    @property
    def has_base(self) -> bool:
        return self.begin == 0


def value_tile(
    source: Source,
    rows: npt.NDArray[np.int32],
    groups: npt.NDArray[np.int32],
    resolved: Columns,
    block: MarketBlock,
    at_base: Columns | None = None,
) -> TileValue:
    """
    Value the rows of a resolve tile under a block of scenarios.

    Args:
        rows: the plan's row numbers, (R,).
        groups: their leaf groups, (R,).
        resolved: columns of the resolve tile; none at all if that tile was given up.
        at_base: `pruning.rows_at_base` of these rows, where it is known.
    """
    if not resolved or not block.calibrated or not block.base:
        return _given_up(source, rows, groups, block)
    base_market = at_base["market"] if at_base else np.ascontiguousarray(block.base["market"][:, :1])
    with np.errstate(all="ignore"):  # what is not finite is found and named below
        found = pruned_values(resolved, block.calibrated["market"], base_market, block.has_base, at_base)
        measures = _measures(source, resolved, block, base_market, found.base[:, 0]) if block.has_base else {}
        cells = CellStatuses(resolved, block, found)
        for measure in measures.values():
            cells.refuse_base(~np.isfinite(measure))
        output = _sums(groups, found, cells, block)
    if block.has_base:
        failed = cells.of_base != 0
        for name in measures:
            measures[name] = np.where(failed, np.nan, measures[name])
        wanted = [measures[name] for name in source.measures if name != "pv"]
        if wanted:
            stacked = np.stack(wanted, axis=1)
            refused = np.repeat(failed[:, None], len(wanted), axis=1)
            output["measure_sum"] = tile_cells.group_sums(groups, stacked, refused=refused)[3]
        else:
            output["measure_sum"] = np.zeros((len(output["group"]), 0))
    travels = source.detail is Detail.ALL or (source.detail is Detail.BASE and block.has_base)
    return TileValue(
        output=output,
        detail=_detail(source, rows, block, *cells.of_block(), measures) if travels else {},
        cell_count=len(rows) * source.cells_of_row(block.begin, block.end),
        quarantine=tuple(cells.quarantine(rows)),
        pruned_cells=len(rows) * found.pruned_count,
    )


def _detail(
    source: Source, rows: npt.NDArray[np.int32], block: MarketBlock, pv: Floats, status: Statuses, measures: Columns
) -> Columns:
    """What clients stream of the rows: every scenario, the base alone, or nothing."""
    if source.detail is Detail.NONE or (source.detail is Detail.BASE and not block.has_base):
        return {}
    end = block.end if source.detail is Detail.ALL else block.begin + 1
    count = end - block.begin
    return {
        "row": rows.astype(np.int32),
        "scenario": np.arange(block.begin, end, dtype=np.int32),
        "pv": np.ascontiguousarray(pv[:, :count]),
        "status": np.ascontiguousarray(status[:, :count]),
        **measures,
    }


def _measures(source: Source, resolved: Columns, block: MarketBlock, base_market: Floats, base_pv: Floats) -> Columns:
    """The measures of the base that are asked for, and PV in each trade's own currency; (R,) each."""
    measures: Columns = {"pv_trade_currency": base_pv / spot_values(resolved, base_market)}
    if "delta" in source.measures:
        measures["delta"] = row_delta(resolved, base_market)
    if "vega" in source.measures:
        measures["vega"] = row_vega(resolved, base_market)
    if "dv01" in source.measures:
        shifted = base_market + block.base["dv01_shift"][:, None]
        measures["dv01"] = row_values(resolved, shifted)[:, 0] - base_pv
    if "gamma" in source.measures:
        measures["gamma"] = row_gamma(resolved, base_market)
    if "theta" in source.measures:
        measures["theta"] = row_theta(resolved, base_market)
    return measures


class CellStatuses:
    """Statuses of base and block. Nearly all tiles have a number everywhere: statuses are made where one has not."""

    def __init__(self, resolved: Columns, block: MarketBlock, found: PrunedValues) -> None:
        self._resolved, self._block, self._found = resolved, block, found
        self._failures: dict[tuple[int, int], str] = {}
        self._row_messages: dict[int, str] = {}
        self._statuses: Statuses | None = None
        row_statuses = resolved["row_status"].data.tobytes()  # bytes: NumPy would give the lock away for a microsecond
        has_unresolved = row_statuses != bytes(len(row_statuses))
        read = (block.calibrated,) if block.has_base else (block.base, block.calibrated)
        failures = [failure for calibrated in read for failure in json_value(calibrated["failures"])]
        is_finite = tile_cells.all_finite(found.values) and tile_cells.all_finite(found.base)
        if is_finite and not failures and not has_unresolved:
            return
        unresolved = resolved["row_status"] != 0
        statuses = self.statuses
        self._apply_calibration(statuses, failures)
        statuses[unresolved] = resolved["row_status"][unresolved, None]
        listed: list[tuple[int, int, str]] = json_value(resolved["failures"])
        self._row_messages = {position: message for position, _, message in listed}

    @property
    def statuses(self) -> Statuses:
        """(R, 1 + S) with the base in front, or (R, S) where the block holds the base."""
        if self._statuses is None:
            found = self._found
            values = found.values if self._block.has_base else np.concatenate((found.base, found.values), axis=1)
            self._statuses = (~np.isfinite(values)).view(np.uint8) * np.uint8(FailureReason.NUMERICAL)
        return self._statuses

    @property
    def refused(self) -> npt.NDArray[np.bool_] | None:
        """(R, S), cells of the block that have no number, or whose base has none; None where there is no such cell."""
        if self._statuses is None or not self._statuses.any():
            return None
        refused: npt.NDArray[np.bool_] = (self._own(self._statuses) != 0) | (self._statuses[:, :1] != 0)
        return refused

    @property
    def of_base(self) -> Statuses:
        """(R,)."""
        if self._statuses is None:
            return np.zeros(len(self._found.values), dtype=np.uint8)
        return self._statuses[:, 0]

    def refuse_base(self, rows: npt.NDArray[np.bool_]) -> None:
        """Rows whose base lacks a measure have no number there."""
        if rows.any():
            base = self.statuses[:, 0]
            base[rows & (base == 0)] = FailureReason.NUMERICAL

    def of_block(self) -> tuple[Floats, Statuses]:
        """PVs, NaN where there is none, and statuses of the block's own scenarios."""
        values = self._found.values
        if self._statuses is None:
            return values, np.zeros(values.shape, dtype=np.uint8)
        statuses = np.ascontiguousarray(self._own(self._statuses))
        return np.where(statuses == 0, values, np.nan), statuses

    def _own(self, statuses: Statuses) -> Statuses:
        return statuses[:, 0 if self._block.has_base else 1 :]

    def quarantine(self, rows: npt.NDArray[np.int32]) -> Iterator[QuarantinedCells]:
        """Runs of scenarios without a number, row by row."""
        if self._statuses is None or not self._statuses.any():
            return
        offset = 0 if self._block.has_base else 1
        ids: list[str] = json_value(self._resolved["trade_ids"])
        own = self._own(self._statuses)
        for position in np.flatnonzero(own.any(axis=1)).tolist():
            poll()
            reasons = own[position].tolist()
            messages = [self._message(position, ids[position], s + offset, r) for s, r in enumerate(reasons)]
            begin = 0
            for end in range(1, len(reasons) + 1):
                if end < len(reasons) and messages[end] == messages[begin]:
                    continue
                if reasons[begin]:
                    yield QuarantinedCells(
                        row=int(rows[position]),
                        scenario_begin=self._block.begin + begin,
                        scenario_end=self._block.begin + end,
                        trade_id=ids[position],
                        reason=reasons[begin],
                        message=messages[begin],
                    )
                begin = end

    def _message(self, position: int, trade_id: str, column: int, reason: int) -> str:
        if not reason:
            return ""
        if position in self._row_messages:
            return self._row_messages[position]
        return self._failures.get((position, column), f"trade {trade_id}: value or measure is not a finite number")

    def _apply_calibration(self, statuses: Statuses, failures: list[dict[str, Any]]) -> None:
        """Mark the cells whose row needs an object that failed in their scenario."""
        if not failures:
            return
        names: list[str] = json_value(self._resolved["object_names"])
        ids: list[str] = json_value(self._resolved["trade_ids"])
        for failure in failures:
            poll()
            column = self._column(failure["scenario"])
            if column is None or failure["market_object"] not in names:
                continue
            for position in self._rows_that_need(names.index(failure["market_object"])):
                if failure["is_partial"] and statuses[position, column] == 0:
                    continue  # of a surface some nodes failed, and this cell stands on others
                if (position, column) not in self._failures:
                    statuses[position, column] = failure["reason"]
                    self._failures[position, column] = f"trade {ids[position]}: {failure['message']}"

    def _column(self, scenario: int) -> int | None:
        if self._block.begin <= scenario < self._block.end:
            return scenario - self._block.begin + (0 if self._block.has_base else 1)
        return 0 if scenario == 0 else None

    def _rows_that_need(self, market_object: int) -> list[int]:
        entries = np.flatnonzero(self._resolved["object_index"] == market_object)
        found: list[int] = (np.searchsorted(self._resolved["object_ptr"], entries, side="right") - 1).tolist()
        return found


def _sums(groups: npt.NDArray[np.int32], found: PrunedValues, cells: CellStatuses, block: MarketBlock) -> Columns:
    """Sums over rows that have a number in the base and in the scenario."""
    base, refused = np.ascontiguousarray(found.base[:, 0]), cells.refused
    numbers, row_counts, rows_used, pnl_sum = tile_cells.group_sums(groups, found.values, base, refused)
    sums: Columns = {"group": numbers, "rows_expected": row_counts, "rows_used": rows_used, "pnl_sum": pnl_sum}
    if block.has_base:
        of_base = None if refused is None else np.ascontiguousarray(refused[:, :1])
        sums["pv_sum"] = tile_cells.group_sums(groups, found.base, refused=of_base)[3][:, 0]
    return sums


def _given_up(
    source: Source, rows: npt.NDArray[np.int32], groups: npt.NDArray[np.int32], block: MarketBlock
) -> TileValue:
    """Every cell without a number, because an input tile was given up."""
    row_count, scenario_count = len(rows), block.end - block.begin
    reason = int(FailureReason.EVALUATION_FAILED)
    numbers, row_counts, _, _ = tile_cells.group_sums(groups, np.empty((row_count, 0)))
    group_count = len(numbers)
    sums: Columns = {
        "group": numbers,
        "rows_expected": row_counts,
        "rows_used": np.zeros((group_count, scenario_count), np.int32),
        "pnl_sum": np.zeros((group_count, scenario_count)),
    }
    measures: Columns = {}
    if block.has_base:
        wanted = [name for name in source.measures if name != "pv"]
        sums["pv_sum"] = np.zeros(group_count)
        sums["measure_sum"] = np.zeros((group_count, len(wanted)))
        measures = {name: np.full(row_count, np.nan) for name in ("pv_trade_currency", *wanted)}
    pv = np.full((row_count, scenario_count), np.nan)
    status = np.full((row_count, scenario_count), reason, dtype=np.uint8)
    message = "a tile this one depends on was given up"
    return TileValue(
        output=sums,
        detail=_detail(source, rows, block, pv, status, measures),
        cell_count=row_count * source.cells_of_row(block.begin, block.end),
        quarantine=tuple(QuarantinedCells(int(row), block.begin, block.end, "", reason, message) for row in rows),
    )
