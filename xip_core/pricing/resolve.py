"""A resolve tile: trades to the columns of their row program.

A trade that cannot be resolved leaves an empty row with its reason; its neighbours are not touched. Reasons are those
of the trade (BAD_TRADE, UNSUPPORTED, EXPIRED) and of what the layout lacks for it (MISSING_DATA). Which market objects
a row needs is written down, so that a curve that fails to calibrate under some scenario takes only those cells with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from xip_core.errors import CellError, Failure, FailureReason
from xip_core.model import trade as trades
from xip_core.pricing import resolve_assets, resolve_commodity, resolve_credit, resolve_rates
from xip_core.pricing.polling import poll
from xip_core.pricing.program import ProgramWriter, RowParts
from xip_core.pricing.resolve_structured import is_structured
from xip_core.pricing.tile import Columns
from xip_core.pricing.tile_market import MarketView, TileMarket

_RESOLVERS: dict[type, Callable[[Any, TileMarket], RowParts]] = {
    trades.Swap: resolve_rates.resolve_swap,
    trades.Fra: resolve_rates.resolve_fra,
    trades.CapFloor: resolve_rates.resolve_cap_floor,
    trades.Swaption: resolve_rates.resolve_swaption,
    trades.Bond: resolve_credit.resolve_bond,
    trades.Cds: resolve_credit.resolve_cds,
    trades.FxForward: resolve_assets.resolve_fx_forward,
    trades.FxOption: resolve_assets.resolve_fx_option,
    trades.EquityForward: resolve_assets.resolve_equity_forward,
    trades.EquityOption: resolve_assets.resolve_equity_option,
    trades.CommodityForward: resolve_assets.resolve_commodity_forward,
    trades.CommodityOption: resolve_assets.resolve_commodity_option,
    trades.CommoditySwap: resolve_commodity.resolve_commodity_swap,
    trades.CommoditySwaption: resolve_commodity.resolve_commodity_swaption,
    trades.CommodityAverageOption: resolve_commodity.resolve_commodity_average_option,
}


class RefusedTrade(msgspec.Struct, frozen=True):
    """A line of a book that is no trade; keeps its row so that the others keep theirs."""

    id: str
    failure: Failure


def decode_rows(lines: Sequence[bytes]) -> list[trades.Trade | RefusedTrade]:
    """The trades of some lines of a book; a line that is none becomes a RefusedTrade."""
    rows: list[trades.Trade | RefusedTrade] = []
    for line in lines:
        poll()
        try:
            rows.append(trades.decode_trade(line))
        except CellError as error:
            rows.append(RefusedTrade(_id_of(line), error.failure))
    return rows


def refused_trade(line: bytes, failure: Failure) -> RefusedTrade:
    """What stands for a trade that must not be touched: its line is read as far as its id."""
    trade_id = _id_of(line)
    sentence = failure.message if trade_id in failure.message else f"trade {trade_id}: {failure.message}"
    return RefusedTrade(trade_id, Failure(failure.reason, sentence))


def resolve_rows(rows: Sequence[trades.Trade | RefusedTrade], view: MarketView) -> Columns:
    """Columns of the row program of *rows*, in their order; see program.py."""
    market = TileMarket(view)
    writer = ProgramWriter()
    failures: list[tuple[int, int, str]] = []
    statuses = np.zeros(len(rows), dtype=np.uint8)
    objects_of_rows: list[list[str]] = []
    for position, row in enumerate(rows):
        poll()
        parts = RowParts()
        try:
            parts = resolve_trade(row, market)
            objects = market.objects_of(parts.uses())
            spot = market.fx(parts.currency)
        except CellError as error:
            parts, objects, spot = RowParts(), [], ()
            statuses[position] = error.failure.reason
            failures.append((position, int(error.failure.reason), error.failure.message))
        writer.add_row(parts, spot)
        objects_of_rows.append(objects)
    columns: Columns = {
        "row_status": statuses,
        "trade_ids": json_column([row.id for row in rows]),
        "failures": json_column(failures),
    }
    columns |= _object_columns(objects_of_rows)
    return columns | writer.columns(market.point_arrays())


def resolve_trade(row: trades.Trade | RefusedTrade, market: TileMarket) -> RowParts:
    """What one trade resolves to.

    Raises:
        CellError: whose message names the trade.
    """
    if isinstance(row, RefusedTrade):
        raise CellError(row.failure.reason, row.failure.message)
    try:
        _refuse_structured_legs(row)
        return _RESOLVERS[type(row)](row, market)
    except CellError as error:
        raise CellError(error.failure.reason, f"trade {row.id}: {error.failure.message}") from None
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise CellError(FailureReason.BAD_TRADE, f"trade {row.id}: {error}") from None


def _refuse_structured_legs(trade: trades.Trade) -> None:
    match trade:
        case trades.CapFloor() | trades.Bond() | trades.Cds():
            legs: tuple[trades.Leg, ...] = (trade.leg,)
        case trades.Swaption():
            legs = trade.legs
        case _:
            return
    if any(is_structured(leg) for leg in legs):
        sentence = "a leg that compounds, has stub rates or resets its notional is supported in swaps alone"
        raise CellError(FailureReason.UNSUPPORTED, sentence)


def json_column(value: object) -> np.ndarray:
    """*value* as UTF-8 JSON in a u1 column."""
    return np.frombuffer(msgspec.json.encode(value), dtype=np.uint8)


def json_value(column: np.ndarray) -> Any:
    """Inverse of `json_column`."""
    return msgspec.json.decode(column.tobytes())


def _id_of(line: bytes) -> str:
    try:
        return trades.decode_head(line).id
    except CellError:
        return ""


def _object_columns(objects_of_rows: list[list[str]]) -> Columns:
    names = sorted({name for objects in objects_of_rows for name in objects})
    number = {name: i for i, name in enumerate(names)}
    pointers = np.zeros(len(objects_of_rows) + 1, dtype=np.int32)
    np.cumsum([len(objects) for objects in objects_of_rows], out=pointers[1:])
    return {
        "object_names": json_column(names),
        "object_ptr": pointers,
        "object_index": np.array([number[name] for objects in objects_of_rows for name in objects], dtype=np.int32),
    }
