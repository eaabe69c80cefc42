"""What a finished run comes down to, as plain values; every output format is made from these.

Sums are the reduce node's, never added up here again from trades, so a screen and a stored result cannot differ. The
one sum made here is the total over asset classes. A sum of fewer rows than expected is marked `is_partial`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xip_core.model.aggregates import Aggregate
from xip_core.model.run_spec import MEASURE_UNITS, MEASURES

if TYPE_CHECKING:
    import numpy as np

    from xip_core.client.heads import TradeLabel
    from xip_core.client.results import Results, Totals
    from xip_core.model.result import Quarantine, Run

TOTAL = "total"
ASSET_CLASSES = ("rates", "fx", "equity", "credit", "commodity", "bonds")
EXAMPLES_MAX = 3  # trades named for each reason; `--trades` lists them all


class Extreme(msgspec.Struct, frozen=True):
    """A scenario and the P&L under it, base currency."""

    scenario: str
    pnl: float
    is_partial: bool


class AssetClassLine(msgspec.Struct, frozen=True):
    """Measures that were not asked for are NaN.

    Attributes:
        worst, best: None where the run has no scenario beside the base.
    """

    asset_class: str
    trades_used: int
    trades_expected: int
    pv: float
    delta: float
    vega: float
    dv01: float
    worst: Extreme | None
    best: Extreme | None
    gamma: float = math.nan
    theta: float = math.nan


class QuarantineLine(msgspec.Struct, frozen=True):
    """
    Attributes:
        value_count: pairs of trade and scenario without a value, whatever the measures asked for.
        examples: the first of its trades with their sentences.
    """

    reason: str
    trade_count: int
    value_count: int
    examples: tuple[tuple[str, str], ...]


class TradeLine(msgspec.Struct, frozen=True):
    """One trade under the base scenario; None where there is no number. `status` is "ok" or the reason."""

    id: str
    type: str
    currency: str
    pv_trade_currency: float | None
    pv: float | None
    delta: float | None
    vega: float | None
    dv01: float | None
    status: str
    message: str
    gamma: float | None = None
    theta: float | None = None


class Timing(msgspec.Struct, frozen=True):
    """
    Seconds; from Enter where the command submitted the run, else from submission. None where unknown.

    Attributes:
        first_lease_s: at the latest: the scheduler counts from its own acceptance, which is known to lie before its
            answer. Unknown for a run that an earlier command submitted under the same request id.
    """

    wall_s: float
    first_lease_s: float | None = None
    first_block_s: float | None = None


class Lineage(msgspec.Struct, frozen=True):
    """Where the numbers come from; digests are hex."""

    run_id: str
    snapshot_digest: str
    book_digest: str
    scenarios_digest: str
    kernels: dict[str, str]


class AggregateLines(msgspec.Struct, frozen=True):
    """The table of an aggregate: what was asked for, and its records (`client.tables.AggregateTable.records`)."""

    name: str
    aggregate: Aggregate
    rows: list[dict[str, Any]]


class Summary(msgspec.Struct, frozen=True):
    """A run in its final state.

    Attributes:
        asset_classes: the last line is the total; empty where the run ended before its sums.
        trades: None unless asked for.
        units: of the measures.
    """

    name: str
    state: str
    message: str
    as_of: str
    base_currency: str
    trade_count: int
    scenario_count: int
    asset_classes: tuple[AssetClassLine, ...]
    cells_computed: int
    cells_failed: int
    quarantine: tuple[QuarantineLine, ...]
    timing: Timing
    lineage: Lineage
    trades: tuple[TradeLine, ...] | None = None
    aggregates: tuple[AggregateLines, ...] = ()
    units: dict[str, str] = msgspec.field(default_factory=lambda: dict(MEASURE_UNITS))


def lineage_of(run: Run) -> Lineage:
    return Lineage(
        run_id=run.run_id,
        snapshot_digest=run.market_digest,
        book_digest=run.book_digest,
        scenarios_digest=run.scenarios_digest,
        kernels=dict(run.kernel_versions),
    )


def asset_class_lines(totals: Totals | None, scenarios: Sequence[str]) -> tuple[AssetClassLine, ...]:
    """One line for each asset class, and their total where there are any."""
    if totals is None:
        return ()
    lines = []
    for position, name in sorted(enumerate(totals.asset_classes), key=lambda item: _place(item[1])):
        used, expected = totals.rows_used[position], totals.rows_expected[position]
        measures = {measure: float(getattr(totals, measure)[position]) for measure in MEASURES}
        lines.append(_line(name, measures, totals.pnl[position], used, expected, scenarios))
    sums = {measure: float(getattr(totals, measure).sum()) for measure in MEASURES}
    used, expected = totals.rows_used.sum(axis=0), totals.rows_expected.sum(axis=0)
    lines.append(_line(TOTAL, sums, totals.pnl.sum(axis=0), used, expected, scenarios))
    return tuple(lines)


def _place(asset_class: str) -> tuple[int, str]:
    """Where the tables show *asset_class*: in the order of ASSET_CLASSES, others behind by name."""
    known = asset_class in ASSET_CLASSES
    return (ASSET_CLASSES.index(asset_class) if known else len(ASSET_CLASSES), asset_class)


def _line(
    name: str,
    measures: dict[str, float],
    pnl: np.ndarray,
    used: np.ndarray,
    expected: np.ndarray,
    scenarios: Sequence[str],
) -> AssetClassLine:
    def extreme(scenario: int) -> Extreme | None:
        if len(scenarios) < 2 or not used[scenario]:
            return None
        is_partial = bool(used[scenario] < expected[scenario])
        return Extreme(scenarios[scenario], float(pnl[scenario]), is_partial)

    if not used[0]:  # of no trade there is no number, not even 0
        measures = dict.fromkeys(measures, math.nan)
    worst, best = extreme(int(pnl.argmin())), extreme(int(pnl.argmax()))
    return AssetClassLine(name, int(used[0]), int(expected[0]), worst=worst, best=best, **measures)


def quarantine_lines(quarantine: Sequence[Quarantine]) -> tuple[QuarantineLine, ...]:
    """By reason, most values first; ties by name."""
    from xip_core.wire.convert import reason_name

    by_reason: dict[str, list[Quarantine]] = {}
    for cells in quarantine:
        by_reason.setdefault(reason_name(cells.reason), []).append(cells)
    lines = []
    for reason, members in by_reason.items():
        first_message: dict[tuple[int, str], str] = {}
        for cells in sorted(members, key=lambda cells: cells.row):
            first_message.setdefault((cells.row, cells.trade_id), cells.message)
        lines.append(
            QuarantineLine(
                reason=reason,
                trade_count=len(first_message),
                value_count=sum(cells.scenario_end - cells.scenario_begin for cells in members),
                examples=tuple((key[1], message) for key, message in list(first_message.items())[:EXAMPLES_MAX]),
            )
        )
    return tuple(sorted(lines, key=lambda line: (-line.value_count, line.reason)))


def trade_lines(results: Results, labels: Sequence[TradeLabel]) -> tuple[TradeLine, ...]:
    """One line for each row of the book, in its order."""
    numbers = results.to_numpy()
    messages: dict[int, str] = {}
    for cells in numbers.quarantine:
        messages.setdefault(cells.row, cells.message)
    columns = {"pv_trade_currency": numbers.pv_trade_currency, "pv": numbers.pv[:, 0]}
    columns |= {measure: getattr(numbers, measure) for measure in MEASURES[1:]}
    rows = zip(*(_numbers(column) for column in columns.values()), strict=True)
    return tuple(
        TradeLine(
            id=label.id,
            type=label.type,
            currency=label.currency,
            status=status,
            message=messages.get(position, ""),
            **dict(zip(columns, values, strict=True)),
        )
        for position, (label, values, status) in enumerate(
            zip(labels, rows, _trade_statuses(numbers.status), strict=True)
        )
    )


def _numbers(column: np.ndarray) -> list[float | None]:
    return [None if value != value else value for value in column.tolist()]  # NaN is the one value unlike itself


def _trade_statuses(status: np.ndarray) -> list[str]:
    """Of each row the status of its base scenario, or else the first bad one of the others."""
    from xip_core.client.results import PENDING
    from xip_core.wire.convert import reason_name

    first_bad = (status != 0).argmax(axis=1)
    names = {0: "ok", PENDING: "pending"}
    return [names.get(code) or reason_name(code) for code in status[range(len(status)), first_bad].tolist()]
