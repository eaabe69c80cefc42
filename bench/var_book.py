"""The book of the figures: mixed vanilla trades by the hundred thousand, and joint moves of the whole market.

Trades are drawn as those of the shipped sample are (`xip_core.samples.draws`), a trade from its number alone, over the
sample's market. Shares are those of a bank's vanilla book by count: two trades of five are swaps. Every scenario moves
every rate, spot and volatility, so none is pruned.
"""

from __future__ import annotations

import msgspec

from xip_core import samples
from xip_core.model.market import decode_snapshot
from xip_core.model.scenario import Scenario, ScenarioSet, encode_scenarios
from xip_core.model.trade import encode_trade
from xip_core.samples import other_trades, rates_trades
from xip_core.samples.draws import Draw
from xip_core.samples.generated import Product
from xip_core.samples.stresses import joint_move

SHARES: tuple[tuple[int, Product], ...] = (
    (32, rates_trades.vanilla_swap),
    (8, rates_trades.overnight_swap),
    (5, rates_trades.forward_rate_agreement),
    (15, other_trades.fx_forward),
    (15, other_trades.fx_option),
    (3, other_trades.equity_forward),
    (10, other_trades.equity_option),
    (5, other_trades.credit_default_swap),
    (2, other_trades.commodity_forward),
    (2, other_trades.commodity_option),
    (3, other_trades.fixed_bond),
)
"""Percent of the book, and how one is drawn."""

DESKS = ("rates", "fx", "equity", "credit", "treasury")
COUNTERPARTIES = 200

_PRODUCTS = tuple(product for share, product in SHARES for _ in range(share))
assert len(_PRODUCTS) == 100, len(_PRODUCTS)

FIRST_NUMBER = 10_000_000
"""Streams far from those of the sample's own trades."""


def vanilla_book(trade_count: int, products: tuple[Product, ...] = _PRODUCTS) -> bytes:
    """JSON lines of *trade_count* trades, each with a desk, a book and a counterparty."""
    lines = []
    for number in range(FIRST_NUMBER, FIRST_NUMBER + trade_count):
        draw = Draw(number)
        trade = draw.choice(products)(f"V-{number}", draw)
        desk = draw.choice(DESKS)
        keys = {"desk": desk, "book": f"{desk}-{draw.whole(1, 4)}", "counterparty": f"C{draw.whole(1, COUNTERPARTIES)}"}
        lines.append(encode_trade(msgspec.structs.replace(trade, **keys)))
    return b"\n".join(lines)


def swap_book(trade_count: int) -> bytes:
    """The same of plain swaps alone."""
    return vanilla_book(trade_count, (rates_trades.vanilla_swap,))


def sample_market() -> bytes:
    return samples.load("cross-asset").market


def joint_scenarios(count: int) -> bytes:
    """The base and *count* - 1 moves of everything."""
    snapshot = decode_snapshot(sample_market())
    moves = (joint_move(snapshot, number) for number in range(1, count))
    return encode_scenarios(ScenarioSet(scenarios=(Scenario(name="base"), *moves)))
