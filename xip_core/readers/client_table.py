"""Clients of a suitability run as a table: a line per position, CSV, also .gz (docs/suitability.md).

    client,profile,knowledge,horizon_years,cash,net_worth,instrument,quantity
    C1,cautious,1,5,20000,150000,BOND-7,300
    C1,,,,,,FUND-2,120

What is said of a client stands in its first line; a further line leaves it empty or repeats it. Lines of a client are
together. A client without positions has one line without instrument and quantity. Any fault is the file's: clients
are not quarantined, the line is named and nothing is sent. Some 400,000 lines a second.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from xip_core.errors import InputError
from xip_core.model.clients import ClientTable

CLIENT_COLUMNS = ("client", "profile", "knowledge", "horizon_years", "cash", "net_worth")
POSITION_COLUMNS = ("instrument", "quantity")
HEADER = (*CLIENT_COLUMNS, *POSITION_COLUMNS)


def read_clients(path: str | Path, profiles: Sequence[str], instruments: Sequence[str]) -> ClientTable:
    """
    The clients of *path*.

    Args:
        profiles, instruments: names, by number.

    Raises:
        InputError: with path and line.
    """
    path = Path(path)
    try:
        with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
            return _Reader(str(path), profiles, instruments).read(csv.reader(file))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from None


def write_clients(table: ClientTable, profiles: Sequence[str], instruments: Sequence[str]) -> bytes:
    """The CSV that `read_clients` reads; numbers come back to the bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for client, name in enumerate(table.ids.decode().split("\n")):
        described = [
            name,
            profiles[table.profile[client]],
            int(table.knowledge[client]),
            *(repr(float(column[client])) for column in (table.horizon_years, table.cash, table.net_worth)),
        ]
        positions = range(int(table.begin[client]), int(table.begin[client + 1]))
        for at in positions:
            held = [instruments[table.instrument[at]], repr(float(table.quantity[at]))]
            writer.writerow([*described, *held])
            described = [name, "", "", "", "", ""]
        if not positions:
            writer.writerow([*described, "", ""])
    return text.getvalue().encode()


class _Reader:
    """Columns of the clients read so far."""

    def __init__(self, path: str, profiles: Sequence[str], instruments: Sequence[str]) -> None:
        self._path = path
        self._numbers = {name: number for number, name in enumerate(instruments)}
        self._profiles = {name: number for number, name in enumerate(profiles)}
        self._line = 1
        self._seen: dict[str, int] = {}
        self._described: list[str] = []
        self._profile, self._knowledge = array("B"), array("B")
        self._horizon, self._cash, self._net_worth, self._quantity = (array("d") for _ in range(4))
        self._counts, self._instrument = array("q"), array("i")

    def read(self, lines: Iterable[list[str]]) -> ClientTable:
        iterator = iter(lines)
        header = tuple(word.strip() for word in next(iterator, []))
        if header != HEADER:
            raise self._error(f"the first line must be {','.join(HEADER)}, got {','.join(header)[:200]!r}")
        for self._line, cells in enumerate(iterator, 2):
            if cells:
                self._take(cells)
        if not self._seen:
            raise InputError("there must be at least one client, got none", self._path)
        return ClientTable(
            ids="\n".join(self._seen).encode(),
            profile=np.array(self._profile, np.uint8),
            knowledge=np.array(self._knowledge, np.uint8),
            horizon_years=np.array(self._horizon),
            cash=np.array(self._cash),
            net_worth=np.array(self._net_worth),
            begin=np.concatenate(([0], np.cumsum(self._counts))).astype(np.int64),
            instrument=np.array(self._instrument, np.int32),
            quantity=np.array(self._quantity),
        )

    def _take(self, cells: list[str]) -> None:
        if len(cells) != len(HEADER):
            raise self._error(f"a line must have {len(HEADER)} cells, got {len(cells)}")
        described, (instrument, quantity) = cells[: len(CLIENT_COLUMNS)], cells[len(CLIENT_COLUMNS) :]
        if not self._described or cells[0] != self._described[0]:
            self._begin_client(described)
        elif any(cell and cell != first for cell, first in zip(described, self._described, strict=True)):
            raise self._error(f"client {cells[0]!r} must be described as in its first line, or by empty cells")
        if not instrument and not quantity:
            return
        if instrument not in self._numbers:
            raise self._error(f"instrument must be one of the {len(self._numbers)} given, got {instrument!r:.100}")
        self._instrument.append(self._numbers[instrument])
        self._quantity.append(self._number("quantity", quantity))
        self._counts[-1] += 1

    def _begin_client(self, described: list[str]) -> None:
        name, profile, knowledge, horizon, cash, net_worth = described
        if not name or "\n" in name:
            raise self._error("a client must have a name")
        if name in self._seen:
            raise self._error(f"lines of a client must be together, {name!r} began in line {self._seen[name]}")
        if profile not in self._profiles:
            raise self._error(f"profile must be one of {', '.join(self._profiles)}, got {profile!r:.100}")
        if not (knowledge.isascii() and knowledge.isdigit() and len(knowledge) <= 2):
            raise self._error(f"knowledge must be a class, 0 to 9, got {knowledge!r:.100}")
        self._seen[name] = self._line
        self._described = described
        self._profile.append(self._profiles[profile])
        self._knowledge.append(int(knowledge))
        self._horizon.append(self._number("horizon_years", horizon))
        self._cash.append(self._number("cash", cash))
        self._net_worth.append(self._number("net_worth", net_worth) if net_worth else 0.0)
        self._counts.append(0)

    def _number(self, column: str, cell: str) -> float:
        try:
            return float(cell)
        except ValueError:
            raise self._error(f"{column} must be a number, got {cell!r:.100}") from None

    def _error(self, sentence: str) -> InputError:
        return InputError(sentence, self._path, self._line)
