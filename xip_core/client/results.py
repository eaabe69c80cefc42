"""The numbers of one run, put together from the blocks that stream in.

Blocks come in the order their tiles were recorded, which differs from run to run; the tables filled from them do not,
because every block says which rows and scenarios it holds (docs/tile-outputs.md).

Sizes: 9 bytes a cell; 2,000 trades x 251 scenarios take 4.5 MB. For a book that does not fit, use
`Client.stream_results` and keep what you need.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from xip_core.client.tables import AggregateTable, table_of
from xip_core.errors import IntegrityError
from xip_core.model.result import Quarantine, ResultBlock
from xip_core.model.run_spec import MEASURES

if TYPE_CHECKING:
    from xip_core.model.result import Columns

PENDING = 255
"""Status of a cell nothing was received of; 0 is a number, everything else a FailureReason."""

_BASE_MEASURES = MEASURES[1:]
_ROW_MEASURES = ("pv_trade_currency", *_BASE_MEASURES)


class Totals(msgspec.Struct, frozen=True, eq=False):
    """Sums per asset class, as the reduce node gave them. A = asset classes, S = scenarios, base currency.

    Attributes:
        asset_classes: A names.
        pv, delta, vega, dv01, gamma, theta: (A,), NaN where not asked for; `model.run_spec.MEASURE_UNITS`.
        pnl: (A, S), value under the scenario less value under the base.
        rows_used, rows_expected: (A, S); a sum is whole where they are equal.
    """

    asset_classes: tuple[str, ...]
    pv: np.ndarray
    delta: np.ndarray
    vega: np.ndarray
    dv01: np.ndarray
    gamma: np.ndarray
    theta: np.ndarray
    pnl: np.ndarray
    rows_used: np.ndarray
    rows_expected: np.ndarray


class RunNumbers(msgspec.Struct, frozen=True, eq=False):
    """All numbers of a run. T = trades in book order, S = scenarios, scenario 0 is the base.

    Attributes:
        trade_ids: T ids.
        scenarios: S names.
        pv: (T, S) base currency, NaN where there is no number.
        status: (T, S) u1, 0 where there is a number, else FailureReason; `PENDING` where nothing came yet.
        pv_trade_currency, delta, vega, dv01, gamma, theta: (T,) under the base scenario, NaN where not computed.
        quarantine: the cells without a number, and why.
        totals: None until the reduce node is done.
        aggregates: tables by name.
    """

    trade_ids: tuple[str, ...]
    scenarios: tuple[str, ...]
    pv: np.ndarray
    status: np.ndarray
    pv_trade_currency: np.ndarray
    delta: np.ndarray
    vega: np.ndarray
    dv01: np.ndarray
    gamma: np.ndarray
    theta: np.ndarray
    quarantine: tuple[Quarantine, ...]
    totals: Totals | None
    aggregates: dict[str, AggregateTable]


class Results:
    """Tables of one run, filled block by block."""

    def __init__(self, trade_ids: Sequence[str], scenarios: Sequence[str]) -> None:
        trade_count, scenario_count = len(trade_ids), len(scenarios)
        self.trade_ids = tuple(trade_ids)
        self.scenarios = tuple(scenarios)
        self.quarantine: tuple[Quarantine, ...] = ()
        self.aggregates: dict[str, AggregateTable] = {}
        self._totals = TotalsBlocks()
        self._pv = np.full((trade_count, scenario_count), np.nan)
        self._status = np.full((trade_count, scenario_count), PENDING, dtype=np.uint8)
        self._row_measures = {name: np.full(trade_count, np.nan) for name in _ROW_MEASURES}

    def add(self, block: ResultBlock) -> None:
        """
        Take the numbers of *block*; the same block again changes nothing.

        Raises:
            IntegrityError: it names rows or scenarios the run does not have, or lacks a column.
        """
        columns = block.columns
        try:
            if "asset_class" in columns:
                self._totals.add(columns)
            elif block.is_aggregate:
                table = table_of(columns)
                self.aggregates[table.name] = table
            elif "row" in columns:
                self._add_values(columns)
        except (KeyError, IndexError, ValueError) as error:
            where = f"block of node {block.node_id}, tile {block.tile}"
            raise IntegrityError(f"{where} does not fit its run: {error}") from None

    @property
    def totals(self) -> Totals | None:
        """None until the reduce node is done."""
        return self._totals.totals()

    def add_quarantine(self, quarantine: Sequence[Quarantine]) -> None:
        """The quarantine list; also marks the rows that were refused before anything was computed.

        Cells of a tile that was given up come without their trade: nobody has read the rows. The book is here.
        """
        self.quarantine = tuple(self._with_trade(cells) for cells in quarantine)
        for cells in self.quarantine:
            if 0 <= cells.row < len(self.trade_ids):
                self._status[cells.row, cells.scenario_begin : cells.scenario_end] = cells.reason

    def _with_trade(self, cells: Quarantine) -> Quarantine:
        if cells.trade_id or not 0 <= cells.row < len(self.trade_ids):
            return cells
        return msgspec.structs.replace(cells, trade_id=self.trade_ids[cells.row])

    def to_numpy(self) -> RunNumbers:
        """Everything received so far, as read-only views: no copy."""
        return RunNumbers(
            trade_ids=self.trade_ids,
            scenarios=self.scenarios,
            pv=_read_only(self._pv),
            status=_read_only(self._status),
            quarantine=self.quarantine,
            totals=self.totals,
            aggregates=dict(self.aggregates),
            **{name: _read_only(values) for name, values in self._row_measures.items()},
        )

    def _add_values(self, columns: Columns) -> None:
        rows, scenarios, pv, status = (columns[name] for name in ("row", "scenario", "pv", "status"))
        if rows.size and (rows.min() < 0 or scenarios.min() < 0):
            raise IndexError("rows and scenarios must be >= 0")
        cells = np.ix_(rows, scenarios)
        self._pv[cells] = pv
        self._status[cells] = status
        for name, values in self._row_measures.items():
            if name in columns:
                values[rows] = columns[name]


class TotalsBlocks:
    """Blocks of the reduce node, one for each of its tiles: scenario block by scenario block, one for all of few."""

    def __init__(self) -> None:
        self._blocks: dict[int, Columns] = {}

    def add(self, columns: Columns) -> None:
        """
        Take a block; the same again changes nothing.

        Raises:
            KeyError, ValueError: a column is missing or the asset classes are not a JSON list.
        """
        begin = int(columns["scenario"][0]) if "scenario" in columns else 0  # one block, of a run of an older version
        self._blocks[begin] = dict(columns)
        self.totals()

    def totals(self) -> Totals | None:
        """All scenarios from the base on that came without a gap; None while the base is missing."""
        joined: list[Columns] = []
        while (block := self._blocks.get(sum(one["pnl"].shape[1] for one in joined))) is not None:
            joined.append(block)
        if not joined:
            return None
        whole = dict(joined[0])
        for name in ("pnl", "rows_used", "rows_expected"):
            whole[name] = np.concatenate([block[name] for block in joined], axis=1) if len(joined) > 1 else whole[name]
        return totals_of(whole)


def totals_of(columns: Columns) -> Totals:
    """
    Totals from the columns of a reduce node.

    Raises:
        KeyError, ValueError: a column is missing or the asset classes are not a JSON list.
    """
    asset_classes = tuple(str(name) for name in json.loads(columns["asset_class"].tobytes()))
    count = len(asset_classes)
    arrays = {name: columns[name] for name in ("pv", "pnl", "rows_used", "rows_expected")}
    arrays |= {name: columns.get(name, np.full(count, np.nan)) for name in _BASE_MEASURES}
    for name, array in arrays.items():
        if array.shape[:1] != (len(asset_classes),):
            raise ValueError(f"{name} must have {len(asset_classes)} rows like asset_class, got shape {array.shape}")
    return Totals(asset_classes=asset_classes, **arrays)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
