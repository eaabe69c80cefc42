"""Ladders of single trades on the client's side, and what a record of a ladder holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from xip_core.model.sensitivity import Expansion
from xip_core.risk.ladder import combine, ladder_rows

if TYPE_CHECKING:
    from xip_core.client.results import RunNumbers

LADDER_FIELDS = ("risk_class", "kind", "measure", "object", "bucket", "object_2", "bucket_2", "unit", "bump", "value")
"""Of a record, behind its labels."""


def trade_records(numbers: RunNumbers, expansion: Expansion) -> Iterator[dict[str, Any]]:
    """
    A record for each sensitivity of each trade, from a run with the detail of all its columns.

    A trade without a number in a column has none in the sensitivities that need it: value None.
    """
    named = [msgspec.structs.asdict(row) for row in ladder_rows(expansion)]
    values = combine(expansion, numbers.pv - numbers.pv[:, :1])
    for trade, row in zip(numbers.trade_ids, values.tolist(), strict=True):
        for what, value in zip(named, row, strict=True):
            yield {"trade": trade, **what, "value": None if value != value else value}
