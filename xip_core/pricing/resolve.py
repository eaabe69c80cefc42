"""A resolve tile: trades to the columns of their row program.

A trade that cannot be resolved leaves an empty row with its reason; its neighbours are not touched. Reasons are those
of the trade (BAD_TRADE, UNSUPPORTED, EXPIRED) and of what the layout lacks for it (MISSING_DATA). Which market objects
a row needs is written down, so that a curve that fails to calibrate under some scenario takes only those cells with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from xip_core.errors import CellError, Failure, FailureReason
from xip_core.model import trade as trades
from xip_core.pricing import resolve_assets, resolve_bermudan, resolve_commodity, resolve_credit, resolve_rates
from xip_core.pricing.layout import SmileRef
from xip_core.pricing.polling import poll
from xip_core.pricing.program import OptionItem, PointArrays, ProgramWriter, RowParts, Uses, cumulated
from xip_core.pricing.program_bermudan import bermudan_columns
from xip_core.pricing.program_defaults import default_columns
from xip_core.pricing.program_rare import chain_columns, rare_option_columns
from xip_core.pricing.resolve_structured import is_structured
from xip_core.pricing.tile import Columns
from xip_core.pricing.tile_market import MarketView, TileMarket
from xip_core.pricing.vanilla.program import PlainProgram

_RESOLVERS: dict[type, Callable[[Any, TileMarket], RowParts]] = {
    trades.Swap: resolve_rates.resolve_swap,
    trades.Fra: resolve_rates.resolve_fra,
    trades.CapFloor: resolve_rates.resolve_cap_floor,
    trades.Swaption: resolve_rates.resolve_swaption,
    trades.BermudanSwaption: resolve_bermudan.resolve_bermudan_swaption,
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

OPTION_COLUMNS = ("option_", "forward_", "discount_", "volatility_")
"""What the names of the columns begin with that ProgramWriter writes after those of chains and Bermudans."""


STEP_S = 0.01
"""Of compiled reading and resolving, between two polls. Steps of a clock and not of rows: a slot that gives up the
interpreter's lock for a moment loses it for longer."""


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


def resolve_lines(
    lines: Sequence[bytes], view: MarketView, refused: Mapping[int, RefusedTrade] = MappingProxyType({})
) -> Columns:
    """Columns of the row program of some lines of a book, in their order; see program.py.

    Plain trades are read and resolved compiled (`pricing.vanilla`), the others one by one in Python among them.

    Args:
        refused: what stands for lines that must not be touched, by position.
    """
    if refused:
        lines = [b"" if position in refused else line for position, line in enumerate(lines)]
    return _resolved(list(lines), lambda position: refused.get(position) or decode_rows([lines[position]])[0], view)


def resolve_rows(rows: Sequence[trades.Trade | RefusedTrade], view: MarketView) -> Columns:
    """The same of trades."""
    return _resolved([_line_of(row) for row in rows], rows.__getitem__, view)


def _line_of(row: trades.Trade | RefusedTrade) -> bytes:
    """How compiled code reads a trade; b"" is left to Python."""
    poll()
    if isinstance(row, RefusedTrade):
        return b""
    try:
        return trades.encode_trade(row)
    except (TypeError, ValueError):  # made by a program, of values that no line has
        return b""


def _resolved(lines: list[bytes], row_of: Callable[[int], trades.Trade | RefusedTrade], view: MarketView) -> Columns:
    """Args: row_of: the trade of a line, for Python."""
    if view.plain is None:
        return resolve_rows_in_python([row_of(position) for position in range(len(lines))], view)
    market = TileMarket(view)
    program = PlainProgram(view.plain, lines)
    done = 0
    while done < len(lines):
        poll()
        done = program.read(done, STEP_S)
    program.prepare()
    done = 0
    while done < len(lines):
        poll()
        done = program.resolve(done, STEP_S)
    program.look_up(market)
    smiles = program.look_up_smiles(market)
    failures = _Failures(len(lines))
    others: dict[int, tuple[RowParts, tuple[str, ...]]] = {}
    ids: dict[int, bytes] = {}
    for position in program.left():
        poll()
        row = row_of(position)
        parts, objects, spot = failures.resolved(position, row, market)
        program.set_parts(position, parts, spot)
        others[position] = parts, tuple(objects)
        ids[position] = msgspec.json.encode(row.id)
    points = market.point_arrays()
    objects_of_rows = program.objects(market.objects_by_point())
    for position, (_, objects_of_row) in others.items():
        objects_of_rows[position] = objects_of_row
    columns = failures.columns(program.ids(ids)) | _object_columns(objects_of_rows)
    parts_of = {position: parts for position, (parts, _) in others.items()}
    return columns | _program_columns(program, points, parts_of, smiles)


def resolve_rows_in_python(rows: Sequence[trades.Trade | RefusedTrade], view: MarketView) -> Columns:
    """What `resolve_rows` must give, byte by byte: the same without compiled code."""
    market = TileMarket(view)
    writer = ProgramWriter()
    failures = _Failures(len(rows))
    objects_of_rows: list[tuple[str, ...]] = []
    for position, row in enumerate(rows):
        poll()
        parts, objects, spot = failures.resolved(position, row, market)
        writer.add_row(parts, spot)
        objects_of_rows.append(tuple(objects))
    columns = failures.columns(json_column([row.id for row in rows])) | _object_columns(objects_of_rows)
    return columns | writer.columns(market.point_arrays())


class _Failures:
    """Which rows of a tile cannot be resolved, and why."""

    def __init__(self, row_count: int) -> None:
        self._statuses = np.zeros(row_count, dtype=np.uint8)
        self._failures: list[tuple[int, int, str]] = []

    def resolved(
        self, position: int, row: trades.Trade | RefusedTrade, market: TileMarket
    ) -> tuple[RowParts, list[str], Uses]:
        """Parts of a row, the market objects it needs and log FX of its currency; nothing where it fails."""
        try:
            parts = resolve_trade(row, market)
            return parts, market.objects_of(parts.uses()), market.fx(parts.currency)
        except CellError as error:
            self._statuses[position] = error.failure.reason
            self._failures.append((position, int(error.failure.reason), error.failure.message))
            return RowParts(), [], ()

    def columns(self, trade_ids: np.ndarray) -> Columns:
        return {
            "row_status": self._statuses,
            "trade_ids": trade_ids,
            "failures": json_column(self._failures),
        }


def _program_columns(
    program: PlainProgram, points: PointArrays, others: dict[int, RowParts], smiles: list[tuple[int, int, SmileRef]]
) -> Columns:
    """The columns of *program* and of what *others*, resolved in Python, have beside, in the order of ProgramWriter."""
    compiled = program.columns(points)
    nothing = RowParts()
    parts_of_rows = [others.get(position, nothing) for position in range(program.row_count)]
    begins = program.option_begins()
    options = [(begins[row] + place, _smiling(smile)) for row, place, smile in smiles]
    for position, parts in others.items():
        options.extend(enumerate(parts.options, begins[position]))
    options.sort(key=itemgetter(0))
    bermudans = [(position, item) for position, parts in others.items() for item in parts.bermudans]
    columns: Columns = {name: compiled[name] for name in compiled if not name.startswith(OPTION_COLUMNS)}
    columns |= chain_columns([parts.chains for parts in parts_of_rows], points)
    columns |= bermudan_columns(bermudans, points)
    columns |= {name: compiled[name] for name in compiled if name.startswith(OPTION_COLUMNS)}
    columns |= rare_option_columns(options, points)
    return columns | default_columns([parts.defaults for parts in parts_of_rows], points)


@functools.lru_cache(maxsize=1024)  # smiles of some expiries; 300 bytes each
def _smiling(smile: SmileRef) -> OptionItem:
    """Of an option that is compiled but for its smile, what `rare_option_columns` reads."""
    return OptionItem(0.0, 0.0, 0.0, is_call=False, kind=0, forward=[], discount=[], volatility=(), smile=smile)


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
        case trades.Swaption() | trades.BermudanSwaption():
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


def _object_columns(objects_of_rows: Sequence[tuple[str, ...]]) -> Columns:
    """Rows share few sets of objects, so they are numbered set by set."""
    set_of: dict[tuple[str, ...], int] = {}
    sets = np.fromiter(
        (set_of.setdefault(objects, len(set_of)) for objects in objects_of_rows), np.int64, len(objects_of_rows)
    )
    names = sorted({name for objects in set_of for name in objects})
    number = {name: i for i, name in enumerate(names)}
    numbers = np.array([number[name] for objects in set_of for name in objects], dtype=np.int32)
    sizes = np.array([len(objects) for objects in set_of], dtype=np.int64)
    begins = cumulated(sizes)
    pointers = cumulated(sizes[sets])
    places = np.repeat(begins[sets] - pointers[:-1], sizes[sets]) + np.arange(pointers[-1])
    return {
        "object_names": json_column(names),
        "object_ptr": pointers.astype(np.int32),
        "object_index": numbers[places],
    }
