"""Book-level pricing in this process, for quants: the tiles a run would have, one after the other.

    needed = requirements(trades, snapshot)         what of the market each trade needs, and what it lacks
    result = calculate(trades, snapshot)            PV and sensitivities
    result = calculate(trades, snapshot, scenarios) and under scenarios

Numbers are those of a run with the same book, snapshot and scenarios, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason, NotFoundError
from xip_core.graph.plan import NodeKind, Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.market import Snapshot, encode_snapshot
from xip_core.model.run_spec import DEFAULT_MEASURES, RiskWork, RunSpec
from xip_core.model.scenario import Scenario, ScenarioSet, encode_scenarios
from xip_core.model.trade import Trade, encode_trade
from xip_core.pricing.evaluate import evaluate_tile
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import json_value, resolve_rows
from xip_core.pricing.tile import Columns, Maker
from xip_core.pricing.tile_market import MarketView

BASE_ALONE = ScenarioSet(scenarios=(Scenario(name="base"),))


class Requirement(msgspec.Struct, frozen=True):
    """What one trade needs of the market: names of market objects, or why it cannot be resolved."""

    trade_id: str
    market_objects: tuple[str, ...]
    failure: Failure | None = None


class Calculation(msgspec.Struct, frozen=True):
    """Numbers of a book of R trades under S scenarios; NaN where *status* is not 0.

    Attributes:
        pv: (R, S), base currency.
        status: (R, S), 0 or a FailureReason.
        measures: delta, vega, dv01 or those asked for, and pv_trade_currency of the base, (R,) each, base currency but
            the last; docs/tile-outputs.md says their units.
        failures: by trade id, the first reason of a cell without a number.
    """

    trade_ids: tuple[str, ...]
    pv: npt.NDArray[np.float64]
    status: npt.NDArray[np.uint8]
    measures: Columns
    failures: dict[str, Failure]


def requirements(trades: Sequence[Trade], snapshot: Snapshot) -> list[Requirement]:
    """What each trade needs of *snapshot*, without calibrating anything."""
    columns = resolve_rows(trades, MarketView(SnapshotLayout(snapshot)))
    names: list[str] = json_value(columns["object_names"])
    failures = {row: Failure(FailureReason(reason), text) for row, reason, text in json_value(columns["failures"])}
    found = []
    for row, trade in enumerate(trades):
        begin, end = columns["object_ptr"][row : row + 2].tolist()
        needed = tuple(names[index] for index in columns["object_index"][begin:end].tolist())
        found.append(Requirement(trade.id, needed, failures.get(row)))
    return found


def calculate(
    trades: Sequence[Trade],
    snapshot: Snapshot,
    scenarios: ScenarioSet = BASE_ALONE,
    measures: tuple[str, ...] = DEFAULT_MEASURES,
) -> Calculation:
    """
    Value *trades* under *scenarios*, of which the first is the base.

    Raises:
        RequestError: the book is empty, or the scenarios do not fit the snapshot.
    """
    blobs = [b"\n".join(map(encode_trade, trades)), encode_snapshot(snapshot), encode_scenarios(scenarios)]
    by_digest = {digest_of(blob): blob for blob in blobs}
    book_digest, market_digest, scenarios_digest = map(digest_of, blobs)
    work = RiskWork(
        book_digest=book_digest,
        market_digest=market_digest,
        scenarios_digest=scenarios_digest,
        measures=measures,
        base_currency=snapshot.base_currency,
        as_of=snapshot.as_of.isoformat(),
    )
    return calculate_work(work, by_digest, tuple(trade.id for trade in trades))


def calculate_work(work: RiskWork, blobs: Mapping[str, bytes], trade_ids: tuple[str, ...]) -> Calculation:
    """
    What a run of *work* computes, from its blobs as they were uploaded: lines that are no trades fail as they do there.

    Args:
        blobs: book, market and scenarios by digest.
        trade_ids: a name for each line of the book.

    Raises:
        RequestError: as `calculate`.
    """
    inputs = _Inputs(blobs)
    return _collect(plan_run(RunSpec(name="calculate", work=work), inputs.blob), inputs, trade_ids)


def _collect(plan: Plan, inputs: _Inputs, trade_ids: tuple[str, ...]) -> Calculation:
    scenario_count = max(node.scenario_count for node in plan.nodes)
    pv = np.full((len(trade_ids), scenario_count), np.nan)
    status = np.zeros((len(trade_ids), scenario_count), dtype=np.uint8)
    measures: Columns = {}
    failures: dict[str, Failure] = {}
    for quarantined in plan.quarantine:
        status[quarantined.row] = quarantined.reason
        failure = Failure(FailureReason(quarantined.reason), quarantined.message)
        failures.setdefault(quarantined.trade_id, failure)
    for node in plan.nodes:
        for tile in range(node.tile_count if node.kind != NodeKind.REDUCE else 0):
            value = evaluate_tile(plan, node.node_id, tile, inputs, lambda: False)
            inputs.outputs[node.node_id, tile] = value.output
            if node.kind != NodeKind.VALUE:
                continue
            detail = dict(value.detail)
            rows, columns = detail.pop("row"), detail.pop("scenario")
            pv[np.ix_(rows, columns)] = detail.pop("pv")
            status[np.ix_(rows, columns)] = detail.pop("status")
            for name, values in detail.items():
                measures.setdefault(name, np.full(len(trade_ids), np.nan))[rows] = values
            for cells in value.quarantine:
                failures.setdefault(cells.trade_id, Failure(FailureReason(cells.reason), cells.message))
    return Calculation(trade_ids, pv, status, measures, failures)


class _Inputs:
    """TileData of a plan that is evaluated in this process."""

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self._blobs = blobs
        self._memo: dict[tuple[object, ...], object] = {}
        self.outputs: dict[tuple[int, int], Columns] = {}

    def blob(self, digest: str) -> bytes:
        found = self._blobs.get(digest)
        if found is None:
            raise NotFoundError(f"no blob {digest}")
        return found

    def output(self, node_id: int, tile: int) -> Columns:
        return self.outputs[node_id, tile]

    def memo(self, key: tuple[object, ...], make: Maker | Callable[[], Any]) -> object:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]
