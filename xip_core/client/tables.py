"""Aggregates as a client has them: one table a block, with its own description.

    table = client.results(run_id).aggregates["var_by_desk"]
    table.keys, table.columns["var"]             arrays, one row a key
    table.records(scenario_names)                plain records, for screens, JSON and data frames
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from xip_core.model.aggregates import Aggregate

if TYPE_CHECKING:
    from xip_core.model.result import Columns

Key = tuple[str, ...]

_DESCRIPTION = ("aggregate", "key", "whole", "rows_expected", "rows_used")


class AggregateTable(msgspec.Struct, frozen=True, eq=False):
    """The numbers of one aggregate; K rows, S scenarios. docs/graph.md lists the columns of each measure.

    Attributes:
        aggregate: as it was asked for.
        keys: K labels, in the order of `aggregate.by`.
        wholes: labels of the wholes that parts are parts of (worst), in the order of `aggregate.within`.
        rows_expected, rows_used: (K,); a number is of all its trades where they are equal.
        columns: (K,), (K, S) or, of worst, (wholes, count) and (wholes, count, drivers).
    """

    aggregate: Aggregate
    keys: tuple[Key, ...]
    wholes: tuple[Key, ...]
    rows_expected: np.ndarray
    rows_used: np.ndarray
    columns: Columns

    @property
    def name(self) -> str:
        return self.aggregate.label

    def records(self, scenarios: Sequence[str] = ()) -> list[dict[str, Any]]:
        """
        One record a number or a row, its labels first.

        Args:
            scenarios: names, to be shown for positions; without them the positions stand.
        """
        match self.aggregate.measure:
            case "pnl":
                return list(self._pnl_records(scenarios))
            case "worst":
                return list(self._worst_records(scenarios))
            case "ladder":
                return list(self._ladder_records())
            case "delta_gamma_var":
                return list(self._quadratic_records())
            case _:
                return [
                    {
                        **self._labels(self.keys[row]),
                        **{name: values[row].item() for name, values in self.columns.items()},
                        **self._rows(row),
                    }
                    for row in range(len(self.keys))
                ]

    def _labels(self, key: Key) -> dict[str, str]:
        return dict(zip(self.aggregate.by, key, strict=True))

    def _rows(self, row: int) -> dict[str, int]:
        return {"rows_used": int(self.rows_used[row]), "rows_expected": int(self.rows_expected[row])}

    def _pnl_records(self, scenarios: Sequence[str]) -> Iterator[dict[str, Any]]:
        positions = self.columns["scenario"].tolist()
        for row, key in enumerate(self.keys):
            for position, pnl in zip(positions, self.columns["pnl"][row].tolist(), strict=True):
                yield {**self._labels(key), "scenario": _name(scenarios, position), "pnl": pnl, **self._rows(row)}

    def _ladder_records(self) -> Iterator[dict[str, Any]]:
        """A record a sensitivity; `xip_core.risk.ladder` says what its fields are."""
        named = msgspec.json.decode(self.columns["sensitivity"].tobytes())
        used = self.columns["used"]
        for row, key in enumerate(self.keys):
            for at, (what, value) in enumerate(zip(named, self.columns["value"][row].tolist(), strict=True)):
                counts = {"rows_used": int(used[row, at]), "rows_expected": int(self.rows_expected[row])}
                yield {**self._labels(key), **what, "value": value, **counts}

    def _quadratic_records(self) -> Iterator[dict[str, Any]]:
        """Why there is no number stands beside it."""
        numbers = {name: values.tolist() for name, values in self.columns.items() if name != "outside_expansion"}
        for row, key in enumerate(self.keys):
            outside = "outside the expansion: method=monte_carlo" if self.columns["outside_expansion"][row] else "ok"
            status = outside if self.rows_used[row] else "no trade has a number"
            of_row = {name: values[row] for name, values in numbers.items()}
            yield {**self._labels(key), "status": status, **of_row, **self._rows(row)}

    def _worst_records(self, scenarios: Sequence[str]) -> Iterator[dict[str, Any]]:
        drivers, driver_pnl = self.columns["driver"], self.columns["driver_pnl"]
        for at, whole in enumerate(self.wholes):
            labels = dict(zip(self.aggregate.within, whole, strict=True))
            for rank, position in enumerate(self.columns["scenario"][at].tolist()):
                places = [place for place, part in enumerate(drivers[at, rank].tolist()) if part >= 0]
                yield {
                    **labels,
                    "rank": rank + 1,
                    "scenario": _name(scenarios, position),
                    "pnl": float(self.columns["pnl"][at, rank]),
                    "drivers": [
                        {
                            **self._labels(self.keys[drivers[at, rank, place]]),
                            "pnl": float(driver_pnl[at, rank, place]),
                        }
                        for place in places
                    ],
                }


def table_of(columns: Columns) -> AggregateTable:
    """
    The table of an aggregate node's block.

    Raises:
        KeyError, ValueError: a column is missing or its description does not decode.
    """
    return AggregateTable(
        aggregate=msgspec.json.decode(columns["aggregate"].tobytes(), type=Aggregate),
        keys=msgspec.json.decode(columns["key"].tobytes(), type=tuple[Key, ...]),
        wholes=msgspec.json.decode(columns["whole"].tobytes(), type=tuple[Key, ...]) if "whole" in columns else (),
        rows_expected=columns["rows_expected"],
        rows_used=columns["rows_used"],
        columns={name: values for name, values in columns.items() if name not in _DESCRIPTION},
    )


def _name(scenarios: Sequence[str], position: int) -> str | int:
    return scenarios[position] if position < len(scenarios) else position
