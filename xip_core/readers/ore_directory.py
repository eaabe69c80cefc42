"""An ORE directory as the blobs of a run.

The book has the trades of portfolio.xml in their order. A trade XiP cannot take over keeps its place as a line that
says why (`model.unread`), so that it is quarantined with its reason like any other trade without a number.
"""

from __future__ import annotations

from pathlib import Path

from xip_core.model.market import encode_snapshot
from xip_core.model.trade import encode_trade
from xip_core.model.unread import UnreadTrade, encode_unread
from xip_core.readers.ore_files import find_file
from xip_core.readers.ore_market import read_ore_market
from xip_core.readers.ore_portfolio import read_portfolio


def read_book(directory: Path) -> bytes:
    """
    portfolio.xml as JSON lines.

    Raises:
        InputError: the file is missing or is no portfolio.
    """
    return read_portfolio_book(find_file(directory, "portfolio.xml"))


def read_portfolio_book(path: Path) -> bytes:
    """
    A portfolio file of ORE as JSON lines.

    Raises:
        InputError: the file is missing or is no portfolio.
    """
    portfolio = read_portfolio(path)
    lines = [encode_trade(trade) for trade in portfolio.trades]
    for unread in portfolio.unread:  # positions ascend, so each finds its place among those before it
        line = UnreadTrade(unread.id, unread.failure.reason, unread.failure.message)
        lines.insert(unread.position, encode_unread(line))
    return b"\n".join(lines)


def read_market(directory: Path) -> bytes:
    """
    The snapshot of the last date of the market data.

    Raises:
        InputError: a file is missing or malformed.
        RequestError: definitions contradict each other.
    """
    return encode_snapshot(read_ore_market(directory))
