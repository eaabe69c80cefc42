"""What a client reads of the blobs of a run: names and dates, never terms or quotes.

A book is one trade a line, so row *r* of the run is line *r*. Reading heads alone keeps a client independent of the
products and market objects its scheduler knows: a newer type shows up by its name.
"""

from __future__ import annotations

import msgspec

from xip_core.errors import RequestError
from xip_core.model.sensitivity_head import is_sensitivity_set
from xip_core.model.unreadable import UNREADABLE, fault_of

UNREADABLE_TYPE = "?"


class TradeLabel(msgspec.Struct, frozen=True):
    """What screens say about a trade.

    Attributes:
        currency: of its value in trade currency; "" where the line does not tell.
    """

    id: str
    type: str
    currency: str


class SnapshotHead(msgspec.Struct, frozen=True):
    """The fields of a snapshot that a request repeats."""

    as_of: str
    base_currency: str


class _Leg(msgspec.Struct, frozen=True):
    currency: str = ""


class _Line(msgspec.Struct, frozen=True):
    id: str
    type: str
    currency: str = ""
    bought_currency: str = ""
    sold_currency: str = ""
    legs: tuple[_Leg, ...] = ()
    leg: _Leg = _Leg()


def trade_id(line: bytes) -> str:
    """Id of the trade of a line of a book, "" where it does not tell."""
    try:
        return _line_decoder.decode(line).id
    except UNREADABLE:
        return ""


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Scenarios(msgspec.Struct, frozen=True):
    scenarios: tuple[_Named, ...]


_line_decoder = msgspec.json.Decoder(_Line)
_scenarios_decoder = msgspec.json.Decoder(_Scenarios)
_snapshot_decoder = msgspec.json.Decoder(SnapshotHead)


def trade_labels(book: bytes) -> tuple[TradeLabel, ...]:
    """Labels of every row of *book*; a line that is no trade is "line N" of type "?"."""
    lines = book.removesuffix(b"\n").split(b"\n") if book else []
    return tuple(_label(line, number) for number, line in enumerate(lines, start=1))


def _label(line: bytes, number: int) -> TradeLabel:
    try:
        trade = _line_decoder.decode(line)
    except UNREADABLE:
        return TradeLabel(f"line {number}", UNREADABLE_TYPE, "")
    trade_id = trade.id or f"line {number}"
    leg_currency = trade.legs[0].currency if trade.legs else trade.leg.currency
    return TradeLabel(trade_id, trade.type, trade.currency or trade.sold_currency or leg_currency)


def scenario_names(scenarios: bytes, market: bytes = b"") -> tuple[str, ...]:
    """
    Names in order; the first is the base.

    Args:
        scenarios: a set of scenarios, or of sensitivities, whose columns depend on *market*.

    Raises:
        RequestError: BAD_SCENARIO; BAD_SENSITIVITY.
    """
    if is_sensitivity_set(scenarios):
        return _column_names(scenarios, market)
    try:
        return tuple(scenario.name for scenario in _scenarios_decoder.decode(scenarios).scenarios)
    except UNREADABLE as error:
        raise RequestError("BAD_SCENARIO", f"scenario set does not decode: {fault_of(scenarios, error)}") from None


def _column_names(sensitivities: bytes, market: bytes) -> tuple[str, ...]:
    from xip_core.model.market import decode_snapshot  # what most calls do without
    from xip_core.model.sensitivity import column_names, decode_sensitivities, expand

    return column_names(expand(decode_sensitivities(sensitivities), decode_snapshot(market)))


def snapshot_head(market: bytes) -> SnapshotHead:
    """
    Date and base currency of *market*.

    Raises:
        RequestError: SNAPSHOT_DATE_MISSING or BAD_SNAPSHOT, the reasons the scheduler has for them.
    """
    try:
        return _snapshot_decoder.decode(market)
    except msgspec.ValidationError as error:
        reason = "SNAPSHOT_DATE_MISSING" if "as_of" in str(error) else "BAD_SNAPSHOT"
        raise RequestError(reason, f"market snapshot must have as_of and base_currency: {error}") from None
    except UNREADABLE as error:
        raise RequestError("BAD_SNAPSHOT", f"snapshot is not JSON: {fault_of(market, error)}") from None
