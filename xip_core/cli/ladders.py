"""Ladders on the command line: what is asked for, and how it is written as CSV and as CRIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from xip_core.cli.data import print_csv
from xip_core.client.ladders import CRIF_COLUMNS, LADDER_FIELDS, crif_of, trade_records
from xip_core.model.market import decode_snapshot
from xip_core.model.sensitivity import SensitivitySet, decode_sensitivities, encode_sensitivities, expand
from xip_core.model.sensitivity_text import parse_ladder

if TYPE_CHECKING:
    from xip_core.cli.inputs import RunInputs
    from xip_core.cli.summary import Summary
    from xip_core.client.results import Results


def wanted_ladders(texts: Sequence[str], content: bytes | None) -> bytes:
    """
    Canonical bytes of the ladders of a file and those typed, in this order.

    Raises:
        RequestError: BAD_SENSITIVITY.
    """
    wanted = SensitivitySet() if content is None else decode_sensitivities(content)
    ladders = (*wanted.ladders, *(parse_ladder(text) for text in texts))
    return encode_sensitivities(msgspec.structs.replace(wanted, ladders=ladders))


def ladder_records(summary: Summary, inputs: RunInputs, results: Results | None) -> list[dict[str, Any]]:
    """Those of trades where they were asked for, else those of the ladder aggregates."""
    if results is not None:
        expansion = expand(decode_sensitivities(inputs.scenarios), decode_snapshot(inputs.market))
        return list(trade_records(results.to_numpy(), expansion))
    return [record for table in summary.aggregates if table.aggregate.measure == "ladder" for record in table.rows]


def print_ladders_csv(records: Sequence[dict[str, Any]]) -> None:
    """A line a sensitivity, labels first; labels of different tables stand in columns of their own."""
    fields = (*LADDER_FIELDS, "rows_used", "rows_expected")
    labels = list(dict.fromkeys(name for record in records for name in record if name not in fields))
    columns = (*labels, *(name for name in fields if any(name in record for record in records)))
    print_csv(columns, [[record.get(name, "") for name in columns] for record in records])


def print_crif(records: Sequence[dict[str, Any]], inputs: RunInputs, portfolio: str) -> None:
    """CRIF on stdout; what has no line in it is counted on stderr."""
    crif = crif_of(records, decode_snapshot(inputs.market), portfolio)
    print_csv(CRIF_COLUMNS, crif.lines)
    if crif.left_out_count:
        click.echo(f"{crif.left_out_count} of {len(records)} sensitivities have no line in CRIF", err=True)
