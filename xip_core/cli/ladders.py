"""Ladders on the command line: what is asked for, and how it is written as CSV and as CRIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from xip_core.cli.data import print_csv
from xip_core.client.crif import CRIF_COLUMNS, crif_of
from xip_core.client.heads import trade_labels
from xip_core.client.ladders import LADDER_FIELDS, trade_records
from xip_core.model.crif import CrifBuckets
from xip_core.model.market import decode_snapshot
from xip_core.model.sensitivity import SensitivitySet, decode_sensitivities, encode_sensitivities, expand
from xip_core.model.sensitivity_text import parse_ladder
from xip_core.model.trade import ASSET_CLASS_OF

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


def asset_classes(book: bytes) -> dict[str, str]:
    """Of the trades of *book*, by id; those of unknown types have none."""
    return {label.id: ASSET_CLASS_OF[label.type] for label in trade_labels(book) if label.type in ASSET_CLASS_OF}


def read_buckets(path: Path | None) -> CrifBuckets | None:
    """The desk's CRIF buckets, None where no file is named."""
    from xip_core.readers.crif_buckets import read_crif_buckets

    return None if path is None else read_crif_buckets(path)


def print_crif(
    records: Sequence[dict[str, Any]],
    market: bytes,
    portfolio: str,
    buckets: CrifBuckets | None = None,
    book: bytes | None = None,
) -> None:
    """CRIF on stdout; on stderr what has no line in it, and which names the desk's buckets do not place.

    Args:
        book: whose trades the records are of, where they are of single trades.
    """
    classes = None if book is None else asset_classes(book)
    crif = crif_of(records, decode_snapshot(market), portfolio, buckets, classes)
    print_csv(CRIF_COLUMNS, crif.lines)
    if crif.left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in crif.left_out.items())
        click.echo(f"{crif.left_out_count} of {len(records)} sensitivities have no line in CRIF: {reasons}", err=True)
    if crif.unplaced:
        click.echo(f"not in --crif-buckets ({len(crif.unplaced)}):", err=True)
        for sentence in crif.unplaced:
            click.echo(f"  {sentence}", err=True)
