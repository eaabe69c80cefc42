"""The generated part of the sample book: which products, in which shares."""

from __future__ import annotations

from collections.abc import Callable

from xip_core.model.trade import Trade
from xip_core.samples import other_trades, rates_trades
from xip_core.samples.draws import Draw

Product = Callable[[str, Draw], Trade]

SHARES: tuple[tuple[int, str, Product], ...] = (
    (16, "IRS", rates_trades.vanilla_swap),
    (2, "AMO", rates_trades.amortising_swap),
    (6, "OIS", rates_trades.overnight_swap),
    (4, "BAS", rates_trades.basis_swap),
    (4, "XCS", rates_trades.cross_currency_swap),
    (4, "FRA", rates_trades.forward_rate_agreement),
    (6, "CAP", rates_trades.cap_or_floor),
    (7, "SWO", rates_trades.european_swaption),
    (10, "FXF", other_trades.fx_forward),
    (9, "FXO", other_trades.fx_option),
    (4, "EQF", other_trades.equity_forward),
    (8, "EQO", other_trades.equity_option),
    (6, "CDS", other_trades.credit_default_swap),
    (4, "COF", other_trades.commodity_forward),
    (3, "COO", other_trades.commodity_option),
    (4, "BFX", other_trades.fixed_bond),
    (3, "BFL", other_trades.floating_bond),
)
"""Percent of the generated trades, prefix of their ids, and how one is drawn."""


_PRODUCTS = tuple(product for product in SHARES for _ in range(product[0]))
assert len(_PRODUCTS) == 100, len(_PRODUCTS)


def generated_trades(first_number: int, count: int) -> list[Trade]:
    """Trades number *first_number* and following; a trade depends on its number alone."""
    return [_trade(number) for number in range(first_number, first_number + count)]


def _trade(number: int) -> Trade:
    draw = Draw(number)
    _, prefix, product = draw.choice(_PRODUCTS)
    return product(f"{prefix}-{number:05d}", draw)
