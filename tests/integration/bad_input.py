"""A book and a market from the sample with a fault in many places, and what each fault must come to.

`CLEAN` holds one trade of each type and some more; `bad_book` puts a bad row behind each of them, `bad_market` breaks
quotes that some of the clean trades need. All else must keep its numbers to the byte.
"""

from __future__ import annotations

import copy
import json
from typing import Any, NamedTuple

from xip_core import samples
from xip_core.errors import FailureReason as Reason

SAMPLE = samples.load("cross-asset")
_SAMPLE_TRADES: dict[str, dict[str, Any]] = {
    trade["id"]: trade for trade in (json.loads(line) for line in SAMPLE.book.splitlines())
}
CLEAN = (
    "SWAP_EUR",
    "CC_SWAP_EUR_USD",
    "FXFWD_EURUSD_10Y",
    "FX_CALL_OPTION",
    "EUROPEAN_SWAPTION",
    "CAP_USD",
    "BOND",
    "EQ_CALL_SP5",
    "EQ_FWD_SP5",
    "CDS",
    "CommodityForward_Gold_1Y",
    "CommodityOption_WTI_Oct_21",
    "fra1",
    "IRS-00047",  # in CHF
    "FXF-00105",  # EUR against JPY
    "FXO-00130",  # EUR against GBP
    "IRS-00045",  # in GBP
)

SCENARIOS = json.dumps(
    {
        "scenarios": [
            {"name": "base"},
            {"name": "EUR up", "shifts": [{"target": "currency", "name": "EUR", "shift_bps": 1.0}]},
            {"name": "SP5 down", "shifts": [{"target": "equity", "name": "SP5", "shift_relative": -0.2}]},
            {
                "name": "impossible",
                "shifts": [{"target": "equity_volatility", "name": "SP5", "shift_absolute": -1.0}],
            },
        ]
    }
).encode()


class BadRow(NamedTuple):
    """A line of a book, and what must be said of it."""

    line: bytes
    reason: Reason
    words: str


def a_trade(trade_id: str, sample_id: str, **fields: Any) -> bytes:
    """The line of the sample's trade with other fields; "legs.1.index" is a field of a part."""
    trade = copy.deepcopy(_SAMPLE_TRADES[sample_id]) | {"id": trade_id}
    for path, value in fields.items():
        *parents, name = path.split(".")
        part: Any = trade
        for parent in parents:
            part = part[int(parent) if parent.isdecimal() else parent]
        part[name] = value
    return json.dumps(trade).encode()


def _fx(trade_id: str, **fields: Any) -> bytes:
    return a_trade(trade_id, "FXFWD_EURUSD_10Y", **fields)


def _swap(trade_id: str, **fields: Any) -> bytes:
    return a_trade(trade_id, "SWAP_EUR", **fields)


BAD_ROWS = {
    "unknown type": BadRow(_fx("B1", type="autocallable"), Reason.UNSUPPORTED, "got 'autocallable'"),
    "unknown field": BadRow(_fx("B2", bougth_amount=1.0), Reason.BAD_TRADE, "unknown field `bougth_amount`"),
    "expired": BadRow(_fx("B3", value_date="2015-01-05"), Reason.EXPIRED, "expired on 2015-01-05"),
    "duplicate id": BadRow(_fx("FXFWD_EURUSD_10Y"), Reason.DUPLICATE_TRADE, "line 5 has it already"),
    "unknown currency": BadRow(_fx("B4", sold_currency="SEK"), Reason.MISSING_DATA, "no discount curve for SEK"),
    "unknown equity": BadRow(a_trade("B5", "EQ_CALL_SP5", name="ACME"), Reason.MISSING_DATA, "ACME"),
    "fixing missing": BadRow(
        _swap("B6", **{"legs.1.schedule.start": "2014-01-20"}),
        Reason.MISSING_DATA,
        "fixing of EUR-EURIBOR-6M for 2016-01-18 is missing",
    ),
    "unknown index": BadRow(
        _swap("B7", **{"legs.1.index": "EUR-EURIBOR-1W"}), Reason.MISSING_DATA, "no rate index EUR-EURIBOR-1W"
    ),
    "unknown calendar": BadRow(_swap("B8", **{"legs.1.schedule.calendar": "MARS"}), Reason.BAD_TRADE, "got 'MARS'"),
    "no legs": BadRow(_swap("B9", legs=[]), Reason.BAD_TRADE, "a swap needs at least one leg"),
    "negative strike": BadRow(a_trade("B10", "EQ_CALL_SP5", strike=-1.0), Reason.BAD_TRADE, "must be > 0, got -1.0"),
    "no such day": BadRow(a_trade("B11", "EQ_CALL_SP5", expiry="2018-02-31"), Reason.BAD_TRADE, "$.expiry"),
    "id that is no text": BadRow(b'{"id":7,"type":"swap"}', Reason.BAD_TRADE, "expected `str`, got `int`"),
    "cut line": BadRow(b'{"id":"B12","type":"swap"', Reason.BAD_TRADE, "truncated"),
    "not UTF-8": BadRow(b'{"id":"B13","type":"fra","index":"\xff"}', Reason.BAD_TRADE, "utf-8"),
    "nested without end": BadRow(b'{"id":"B14","type":"fra","a":' + b"[" * 100_000, Reason.BAD_TRADE, "recursion"),
    "a number that is none": BadRow(_fx("B15", bought_amount=float("nan")), Reason.BAD_TRADE, "invalid character"),
}

BAD_QUOTES: dict[str, tuple[str, float | str | None]] = {
    "missing quote": ("FX_OPTION/RATE_LNVOL/EUR/GBP/1Y/ATM", None),
    "negative volatility": ("EQUITY_OPTION/RATE_LNVOL/SP5/USD/6M/ATMF", -0.2),
    "NaN quote": ("COMMODITY_FWD/PRICE/GOLD/USD/2016-06-30", "NaN"),
    "infinite quote": ("FX/RATE/EUR/JPY", "inf"),
    "curve that cannot be bootstrapped": ("IR_SWAP/RATE/CHF/2D/6M/3Y", -3.0),
    "default curve that cannot be bootstrapped": ("CDS/CREDIT_SPREAD/BANK/SR/USD/5Y", 9.0),
}

HIT = {
    "missing quote": ("FXO-00130", Reason.MISSING_DATA, "is missing from the snapshot"),
    "negative volatility": ("EQ_CALL_SP5", Reason.BAD_QUOTE, "must be not negative, got -0.2"),
    "NaN quote": ("CommodityForward_Gold_1Y", Reason.BAD_QUOTE, "must be a finite number, got NaN"),
    "infinite quote": ("FXF-00105", Reason.BAD_QUOTE, "must be a finite number, got inf"),
    "curve that cannot be bootstrapped": (
        "IRS-00047",
        Reason.CALIBRATION_FAILED,
        "curve/CHF6M: no curve fits instrument IR_SWAP/RATE/CHF/2D/6M/3Y (pillar 2019-02-11) with quote -3.0",
    ),
    "default curve that cannot be bootstrapped": (
        "CDS",
        Reason.CALIBRATION_FAILED,
        "hazard/BANK: no curve fits instrument CDS/CREDIT_SPREAD/BANK/SR/USD/5Y with quote 9.0",
    ),
}
"""By bad quote: the clean trade that needs it, and what must be said of that trade. The quote's name is said too."""


def clean_book() -> bytes:
    return b"".join(json.dumps(_SAMPLE_TRADES[trade_id]).encode() + b"\n" for trade_id in CLEAN)


def bad_book() -> bytes:
    """Clean and bad rows in turn: bad row i is line 2 i + 2."""
    pairs = zip(clean_book().splitlines(), BAD_ROWS.values(), strict=True)
    return b"".join(clean + b"\n" + bad.line + b"\n" for clean, bad in pairs)


def bad_market() -> bytes:
    market = json.loads(SAMPLE.market)
    for name, value in BAD_QUOTES.values():
        assert name in market["quotes"]
        if value is None:
            del market["quotes"][name]
        else:
            market["quotes"][name] = value
    del market["fixings"]["EUR-EURIBOR-6M"]["2016-01-18"]
    return json.dumps(market).encode()
