"""Smiles on the small market, as builders: quotes by delta, by strike and by moneyness."""

from __future__ import annotations

from typing import Any

from tests.core.small_market import a_snapshot
from xip_core.model.market import Snapshot
from xip_core.model.market_smiles import DeltaQuotes, SmileModel, StrikeQuotes, VolatilitySmile

EXPIRIES = ("6M", "1Y", "2Y")
DELTAS = (0.25, 0.10)

FX_QUOTES: dict[str, float] = {
    **{f"EURUSD.ATM.{expiry}": 0.10 + 0.005 * row for row, expiry in enumerate(EXPIRIES)},
    **{f"EURUSD.RR25.{expiry}": -0.012 - 0.002 * row for row, expiry in enumerate(EXPIRIES)},
    **{f"EURUSD.RR10.{expiry}": -0.022 - 0.004 * row for row, expiry in enumerate(EXPIRIES)},
    **{f"EURUSD.BF25.{expiry}": 0.003 + 0.0004 * row for row, expiry in enumerate(EXPIRIES)},
    **{f"EURUSD.BF10.{expiry}": 0.010 + 0.001 * row for row, expiry in enumerate(EXPIRIES)},
}


def fx_smile(model: SmileModel = "spline", expiries: tuple[str, ...] = EXPIRIES, **fields: Any) -> VolatilitySmile:
    """EURUSD by 10 and 25 delta; *fields* of the quotes and of the smile."""
    of_quotes = {name: fields.pop(name) for name in ("delta_type", "atm_type", "is_market_strangle") if name in fields}
    quotes = DeltaQuotes(
        deltas=DELTAS,
        at_the_money=tuple(f"EURUSD.ATM.{expiry}" for expiry in expiries),
        risk_reversals=tuple(f"EURUSD.RR{round(100 * d)}.{expiry}" for expiry in expiries for d in DELTAS),
        butterflies=tuple(f"EURUSD.BF{round(100 * d)}.{expiry}" for expiry in expiries for d in DELTAS),
        **of_quotes,
    )
    return VolatilitySmile(
        kind="fx_volatility",
        name="EURUSD",
        expiries=expiries,
        quotes=quotes,
        model=model,
        calendar="TARGET,US",
        **fields,
    )


STRIKES = (60.0, 80.0, 90.0, 100.0, 110.0, 130.0, 160.0)


def equity_smile(
    model: SmileModel = "svi",
    expiries: tuple[str, ...] = ("1Y",),
    strikes: tuple[float, ...] = STRIKES,
    is_moneyness: bool = False,
    **fields: Any,
) -> VolatilitySmile:
    """ACME by strike, or by fraction of the forward; quotes are called ACME.VOL.<expiry>.<place>."""
    names = tuple(f"ACME.VOL.{expiry}.{place}" for expiry in expiries for place in range(len(strikes)))
    quotes = StrikeQuotes(strikes=strikes, volatilities=names, is_moneyness=is_moneyness)
    return VolatilitySmile(
        kind="equity_volatility", name="ACME", expiries=expiries, quotes=quotes, model=model,
        calendar="WeekendsOnly", **fields,
    )  # fmt: skip


def snapshot_with(smile: VolatilitySmile, quotes: dict[str, float]) -> Snapshot:
    """The small market with *smile* in place of the underlying's at-the-money volatilities."""
    field = {"fx_volatility": "fx_volatilities", "equity_volatility": "equity_volatilities"}.get(
        smile.kind, "commodity_volatilities"
    )
    return a_snapshot(dict(quotes), smiles=(smile,), **{field: ()})
