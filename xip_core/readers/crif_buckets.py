"""A desk's CRIF buckets as a file (`model.crif` says what they are).

CSV, a header and a line a name, of which *label2* and *qualifier* may be left out::

    name,risk_type,bucket,label2,qualifier
    BANK,Risk_CreditQ,2,,ISIN:XS0000000001
    COMDTY_WTI_USD,Risk_Commodity,2
    LENDING,Risk_IRCurve,,OIS

or JSON, a list of the same entries: ``[{"name": "BANK", "risk_type": "Risk_CreditQ", "bucket": "2"}]``.
"""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec

from xip_core.errors import InputError, RequestError
from xip_core.model.crif import CrifBucket, CrifBuckets, crif_buckets
from xip_core.model.unreadable import UNREADABLE, fault_of
from xip_core.readers.ore_files import read_bytes, read_lines

COLUMNS = ("name", "risk_type", "bucket", "label2", "qualifier")
REQUIRED = COLUMNS[:3]


def read_crif_buckets(path: Path) -> CrifBuckets:
    """
    The places of *path*.

    Raises:
        InputError: with path and, of CSV, line.
    """
    entries = _of_json(path) if path.suffix == ".json" else _of_csv(path)
    try:
        return crif_buckets(entries)
    except RequestError as error:
        raise InputError(str(error), str(path)) from None


def _of_json(path: Path) -> list[CrifBucket]:
    content = read_bytes(path)
    try:
        return msgspec.json.decode(content, type=list[CrifBucket])
    except UNREADABLE as error:
        raise InputError(fault_of(content, error), str(path)) from None


def _of_csv(path: Path) -> list[CrifBucket]:
    rows = [(number, [cell.strip() for cell in next(csv.reader([line]))]) for number, line in read_lines(path)]
    if not rows:
        raise InputError("must have a first line, got none", str(path))
    number, header = rows[0]
    if len(set(header)) < len(header) or not set(REQUIRED) <= set(header) <= set(COLUMNS):
        sentence = f"the first line must be of {','.join(COLUMNS)}, got {','.join(header)}"
        raise InputError(sentence, str(path), number)
    entries = []
    for number, cells in rows[1:]:
        if len(cells) > len(header):
            sentence = f"a line must have {len(header)} cells like the first, got {len(cells)}"
            raise InputError(sentence, str(path), number)
        try:
            entries.append(msgspec.convert(dict(zip(header, cells, strict=False)), CrifBucket))
        except msgspec.ValidationError as error:
            raise InputError(str(error), str(path), number) from None
    return entries
