"""What a suitability run is made of: the sample, or files. Everything ends as the blobs that are uploaded.

Clients are read against the names of profiles and instruments, so that a line at fault is named here, before anything
is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from xip_core.cli.inputs import content_of
from xip_core.model.clients import ClientTable, decode_clients, encode_clients
from xip_core.model.suitability import (
    InstrumentTerms,
    ProfileTable,
    decode_instruments,
    decode_profiles,
    encode_instruments,
    encode_profiles,
)

if TYPE_CHECKING:
    from xip_core.cli.suitability import SuitabilityOptions

SAMPLE = "sample:clients"
DAYS_PER_YEAR = 365.25


class SuitabilityInputs(msgspec.Struct, frozen=True, eq=False):
    """One request, and what its numbers mean."""

    book: bytes
    market: bytes
    scenarios: bytes
    instruments: tuple[InstrumentTerms, ...]
    clients: ClientTable
    profiles: ProfileTable
    stress: str
    span_years: float

    def blobs(self) -> dict[str, Any]:
        """Arguments of `Client.submit_suitability`."""
        return {
            "book": self.book,
            "market": self.market,
            "scenarios": self.scenarios,
            "instruments": encode_instruments(self.instruments),
            "clients": encode_clients(self.clients),
            "profiles": encode_profiles(self.profiles),
            "span_years": self.span_years,
            "stress": self.stress,
        }


def read_inputs(options: SuitabilityOptions) -> SuitabilityInputs:
    """
    Raises:
        InputError: a file that cannot be read, with its line.
        RequestError: BAD_PROFILES, BAD_INSTRUMENTS.
        click.UsageError: a source that is none.
    """
    if options.source is not None:
        return _sample(options)
    from xip_core.readers.book_table import read_book
    from xip_core.readers.client_table import read_clients

    assert options.clients is not None
    assert options.profiles is not None
    assert options.instruments is not None
    assert options.book is not None
    assert options.market is not None
    assert options.scenarios is not None
    profiles = decode_profiles(content_of(options.profiles))
    instruments = decode_instruments(content_of(options.instruments))
    names = [profile.name for profile in profiles.profiles]
    return SuitabilityInputs(
        book=read_book(options.book),
        market=content_of(options.market),
        scenarios=content_of(options.scenarios),
        instruments=instruments,
        clients=read_clients(options.clients, names, [item.id for item in instruments]),
        profiles=profiles,
        stress=options.stress or "",
        span_years=(options.span_days or 0.0) / DAYS_PER_YEAR,
    )


def _sample(options: SuitabilityOptions) -> SuitabilityInputs:
    """The sample; profiles may be others', of the same number."""
    if options.source != SAMPLE:
        raise click.UsageError(f"SOURCE must be {SAMPLE}, got {options.source!r}; files go to --clients, --book, ...")
    from xip_core.samples.portfolios import load_clients

    sample = load_clients()
    profiles = content_of(options.profiles) if options.profiles is not None else sample.profiles
    return SuitabilityInputs(
        book=sample.book,
        market=sample.market,
        scenarios=sample.scenarios,
        instruments=decode_instruments(sample.instruments),
        clients=decode_clients(sample.clients),
        profiles=decode_profiles(profiles),
        stress=sample.stress,
        span_years=sample.span_days / DAYS_PER_YEAR,
    )
