"""Clients as arrays: who has how many units of which instrument.

Positions are in CSR form: those of client c are `begin[c]` to `begin[c + 1]` of `instrument` and `quantity`. As a blob:
MessagePack, a map from column name to {"dtype", "data"}, little-endian, in the order of _COLUMNS; equal clients give
equal bytes. Columns are read as views of the blob, so a tile of some thousand clients of a million costs microseconds.

Sizes: 10 bytes a position (12 beyond 65,536 instruments) and 27 a client beside its id: a million clients of ten
positions are 150 MB.

A client's number is its place, from 0; ids are for people and need only be distinct for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.model.suitability import KNOWLEDGE_CLASS_MAX

CLIENTS_SIZE_BYTES_MAX = 256 << 20
"""Every worker keeps the clients it works on in its blob cache, 512 MiB unless it was told otherwise."""

HORIZON_YEARS_MAX = 100.0

SHORT_INSTRUMENT_COUNT_MAX = 1 << 16

_LINE_END = b"\n"
_COLUMNS = {
    "ids": ("|u1",),
    "profile": ("|u1",),
    "knowledge": ("|u1",),
    "horizon_years": ("<f8",),
    "cash": ("<f8",),
    "net_worth": ("<f8",),
    "position_count": ("<u2",),
    "instrument": ("<u2", "<i4"),
    "quantity": ("<f8",),
}
POSITION_COUNT_MAX = (1 << 16) - 1


class ClientTable(msgspec.Struct, frozen=True):
    """C clients with P positions.

    Attributes:
        ids: their names, each on a line; see `client_ids`.
        profile: uint8 (C,), number in the profile table. knowledge: uint8 (C,), class of products they understand.
        horizon_years: float64 (C,). cash: float64 (C,), base currency, negative if owed.
        net_worth: float64 (C,), base currency, 0 where it was not told.
        begin: int64 (C + 1,). instrument: unsigned 16 or int32 (P,). quantity: float64 (P,), units.
    """

    ids: bytes
    profile: npt.NDArray[np.uint8]
    knowledge: npt.NDArray[np.uint8]
    horizon_years: npt.NDArray[np.float64]
    cash: npt.NDArray[np.float64]
    net_worth: npt.NDArray[np.float64]
    begin: npt.NDArray[np.int64]
    instrument: npt.NDArray[Any]
    quantity: npt.NDArray[np.float64]

    @property
    def client_count(self) -> int:
        return len(self.cash)


def client_ids(table: ClientTable) -> list[str]:
    """The clients' names, in order."""
    return table.ids.decode("utf-8").split("\n")


def joined_ids(ids: Sequence[str]) -> bytes:
    """
    Raises:
        RequestError: BAD_CLIENTS, an id is empty, has a line end, or is there twice.
    """
    seen: set[str] = set()
    for client, name in enumerate(ids):
        if not name or "\n" in name or name in seen:
            raise RequestError("BAD_CLIENTS", f"client {client} must have an id of its own, got {name!r:.100}")
        seen.add(name)
    return "\n".join(ids).encode()


def encode_clients(table: ClientTable) -> bytes:
    """
    Canonical bytes.

    Raises:
        RequestError: BAD_CLIENTS, TOO_LARGE; as `decode_clients`.
    """
    counts = np.diff(table.begin)
    if len(counts) and (counts.min() < 0 or counts.max() > POSITION_COUNT_MAX):
        sentence = f"a client must have 0 to {POSITION_COUNT_MAX} positions, got {counts.min()} to {counts.max()}"
        raise RequestError("BAD_CLIENTS", sentence)
    is_short = not len(table.instrument) or int(table.instrument.max()) < SHORT_INSTRUMENT_COUNT_MAX
    if len(table.instrument) and table.instrument.min() < 0:
        raise RequestError("BAD_CLIENTS", f"an instrument must be at least 0, got {table.instrument.min()}")
    columns = {
        "ids": np.frombuffer(table.ids, "|u1"),
        "profile": table.profile,
        "knowledge": table.knowledge,
        "horizon_years": table.horizon_years,
        "cash": table.cash,
        "net_worth": table.net_worth,
        "position_count": counts,
        "instrument": table.instrument,
        "quantity": table.quantity,
    }
    encoded: dict[str, Any] = {}
    for name, values in columns.items():
        dtype = _COLUMNS[name][0 if name != "instrument" or is_short else 1]
        encoded[name] = {"dtype": dtype, "data": np.ascontiguousarray(values, dtype).tobytes()}
    content = msgspec.msgpack.encode(encoded)
    decode_clients(content)
    return content


class _Column(msgspec.Struct, frozen=True):
    dtype: str
    data: memoryview


_decoder = msgspec.msgpack.Decoder(dict[str, _Column])


def decode_clients(content: bytes) -> ClientTable:
    """
    Clients of a blob; columns are views of it.

    Raises:
        RequestError: TOO_LARGE; BAD_CLIENTS, with the first client at fault.
    """
    columns = _columns(content)
    count = len(columns["cash"])
    for name in ("profile", "knowledge", "horizon_years", "net_worth", "position_count"):
        if len(columns[name]) != count:
            raise RequestError("BAD_CLIENTS", f"{name} must have the {count} clients of cash, got {len(columns[name])}")
    begin = np.zeros(count + 1, np.int64)
    np.cumsum(columns["position_count"], out=begin[1:])
    if not begin[-1] == len(columns["instrument"]) == len(columns["quantity"]):
        got = f"{len(columns['instrument'])} instruments and {len(columns['quantity'])} quantities"
        raise RequestError("BAD_CLIENTS", f"positions must be {begin[-1]} as counted, got {got}")
    ids = columns["ids"].tobytes()
    id_count = ids.count(_LINE_END) + 1
    if not count or id_count != count:
        sentence = f"there must be at least one client and an id for each, got {count} and {id_count}"
        raise RequestError("BAD_CLIENTS", sentence)
    table = ClientTable(
        ids=ids,
        profile=columns["profile"],
        knowledge=columns["knowledge"],
        horizon_years=columns["horizon_years"],
        cash=columns["cash"],
        net_worth=columns["net_worth"],
        begin=begin,
        instrument=columns["instrument"],
        quantity=columns["quantity"],
    )
    _check_values(table)
    return table


def check_references(table: ClientTable, profile_count: int, instrument_count: int) -> None:
    """
    Refuse clients of unknown profiles, and positions in unknown instruments.

    Raises:
        RequestError: UNKNOWN_PROFILE, UNKNOWN_INSTRUMENT; with the first client at fault.
    """
    strange = np.flatnonzero(table.profile >= profile_count)
    if len(strange):
        got = f"got {table.profile[strange[0]]} of {_named(table, int(strange[0]))}"
        raise RequestError("UNKNOWN_PROFILE", f"a profile must be one of the {profile_count} given, {got}")
    strange = np.flatnonzero(table.instrument >= instrument_count)
    if len(strange):
        client = int(np.searchsorted(table.begin, strange[0], side="right")) - 1
        got = f"got {table.instrument[strange[0]]} of {_named(table, client)}"
        raise RequestError("UNKNOWN_INSTRUMENT", f"an instrument must be one of the {instrument_count} given, {got}")


def _columns(content: bytes) -> dict[str, npt.NDArray[Any]]:
    if len(content) > CLIENTS_SIZE_BYTES_MAX:
        sentence = (
            f"clients must have at most {CLIENTS_SIZE_BYTES_MAX} bytes, got {len(content)}; cut them into several"
        )
        raise RequestError("TOO_LARGE", sentence)
    try:
        decoded = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        sentence = f"clients must be a MessagePack map of columns, got {len(content)} bytes: {error}"
        raise RequestError("BAD_CLIENTS", sentence) from None
    if tuple(decoded) != tuple(_COLUMNS):
        raise RequestError("BAD_CLIENTS", f"columns must be {', '.join(_COLUMNS)}, got {', '.join(decoded)[:300]}")
    columns = {}
    for name, column in decoded.items():
        if column.dtype not in _COLUMNS[name] or len(column.data) % np.dtype(column.dtype).itemsize:
            got = f"{column.dtype!r:.20} and {len(column.data)} bytes"
            raise RequestError(
                "BAD_CLIENTS", f"column {name} must be of dtype {' or '.join(_COLUMNS[name])}, got {got}"
            )
        columns[name] = np.frombuffer(column.data, column.dtype)
    return columns


def _check_values(table: ClientTable) -> None:
    for name, values, is_bad, must in (
        ("cash", table.cash, ~np.isfinite(table.cash), "be finite"),
        ("net_worth", table.net_worth, ~(np.isfinite(table.net_worth) & (table.net_worth >= 0.0)), "be 0 or more"),
        (
            "horizon_years",
            table.horizon_years,
            ~((table.horizon_years > 0.0) & (table.horizon_years <= HORIZON_YEARS_MAX)),
            f"be above 0 and at most {HORIZON_YEARS_MAX:g}",
        ),
        ("knowledge", table.knowledge, table.knowledge > KNOWLEDGE_CLASS_MAX, f"be 0 to {KNOWLEDGE_CLASS_MAX}"),
    ):
        wrong = np.flatnonzero(is_bad)
        if len(wrong):
            got = f"got {values[wrong[0]]} of {_named(table, int(wrong[0]))}"
            raise RequestError("BAD_CLIENTS", f"{name} must {must}, {got}")
    wrong = np.flatnonzero(~np.isfinite(table.quantity) | (table.quantity == 0.0))
    if len(wrong):
        client = int(np.searchsorted(table.begin, wrong[0], side="right")) - 1
        got = f"got {table.quantity[wrong[0]]} of {_named(table, client)}"
        raise RequestError("BAD_CLIENTS", f"a quantity must be finite and not 0, {got}")


def _named(table: ClientTable, client: int) -> str:
    name = table.ids.split(_LINE_END)[client].decode("utf-8", "replace")
    return f"client {client} {name!r:.100}"
