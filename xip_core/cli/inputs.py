"""Where a run's book, market and scenarios come from: a sample, an ORE directory, or three files.

Everything ends as the same three blobs. Readers are imported when they are used.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from xip_core.errors import InputError

if TYPE_CHECKING:
    from xip_core.cli.request_options import RequestOptions

SAMPLE_PREFIX = "sample:"


class RunInputs(msgspec.Struct, frozen=True):
    """Blobs as they are uploaded, and what screens call the run."""

    name: str
    book: bytes
    market: bytes
    scenarios: bytes
    covariance: bytes = b""


def read_inputs(options: RequestOptions) -> RunInputs:
    """
    The blobs *options* name.

    Raises:
        InputError: a file that cannot be read, with its line.
        RequestError: a sample that does not exist.
        click.UsageError: a source that is none.
    """
    inputs = _read(options)
    if not options.has_ladders:
        return inputs
    from xip_core.cli.ladders import wanted_ladders

    content = content_of(options.sensitivities) if options.sensitivities else None
    inputs = msgspec.structs.replace(inputs, scenarios=wanted_ladders(options.ladder, content))
    if options.covariance is None:
        return inputs
    from xip_core.readers.covariance_table import read_covariance

    return msgspec.structs.replace(inputs, covariance=read_covariance(options.covariance))


def _read(options: RequestOptions) -> RunInputs:
    if options.source is not None:
        return _sample(options.source, options.scenarios)
    if options.ore is not None:
        return _ore(options.ore, options.scenarios)
    assert options.book is not None
    assert options.market is not None
    return _files(options.book, options.market, options.scenarios)


def read_market_of(source: str) -> bytes:
    """The snapshot that *source* names: a sample, an ORE directory, a file.

    Raises:
        InputError: a file that cannot be read.
        RequestError: a sample that does not exist.
    """
    if source.startswith(SAMPLE_PREFIX):
        from xip_core import samples

        return samples.load(source.removeprefix(SAMPLE_PREFIX)).market
    path = Path(source)
    if path.is_dir():
        from xip_core.readers.ore_directory import read_market

        return read_market(path)
    return content_of(path)


def _sample(source: str, scenarios: Path | None) -> RunInputs:
    if not source.startswith(SAMPLE_PREFIX):
        raise click.UsageError(
            f"SOURCE must be a sample such as sample:cross-asset, got {source!r}; files go to --book"
        )
    from xip_core import samples

    sample = samples.load(source.removeprefix(SAMPLE_PREFIX))
    return RunInputs(source, sample.book, sample.market, _scenarios(scenarios) if scenarios else sample.scenarios)


def _ore(directory: Path, scenarios: Path | None) -> RunInputs:
    from xip_core.readers.ore_directory import read_book, read_market

    return RunInputs(f"ore:{directory.name}", read_book(directory), read_market(directory), _scenarios(scenarios))


def _files(book: Path, market: Path, scenarios: Path | None) -> RunInputs:
    from xip_core.readers.book_table import read_book

    return RunInputs(book.name, read_book(book), content_of(market), _scenarios(scenarios))


def _scenarios(path: Path | None) -> bytes:
    if path is not None:
        return content_of(path)
    from xip_core.model.scenario import base_only, encode_scenarios

    return encode_scenarios(base_only())


def content_of(path: Path) -> bytes:
    """The bytes of *path*, unpacked where its name ends in .gz."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from None
