"""Books and markets shipped with the package: real input for a first run, for tests and for benchmarks.

    cross-asset    2,000 trades of every asset class over the base and 250 scenarios; see cross_asset/README.md

A sample is three blobs as they are uploaded. `python -m xip_core.samples.build` writes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from xip_core.errors import RequestError

NAMES = ("cross-asset",)


class Sample(NamedTuple):
    """Blobs of a run: a book of JSON lines, a market snapshot, a scenario set."""

    book: bytes
    market: bytes
    scenarios: bytes


def directory(name: str) -> Path:
    """
    Where the files of a sample are.

    Raises:
        RequestError: UNKNOWN_SAMPLE.
    """
    if name not in NAMES:
        raise RequestError("UNKNOWN_SAMPLE", f"a sample must be one of {', '.join(NAMES)}, got {name!r}")
    return Path(__file__).parent / name.replace("-", "_")


def load(name: str) -> Sample:
    """
    The blobs of the sample *name*.

    Raises:
        RequestError: UNKNOWN_SAMPLE.
    """
    files = directory(name)
    return Sample(
        book=(files / "book.jsonl").read_bytes(),
        market=(files / "market.json").read_bytes(),
        scenarios=(files / "scenarios.json").read_bytes(),
    )
