"""Trades: immutable, one JSON object per line, told apart by the field `type`.

A trade says what was agreed and nothing about how it is priced: no curve but the ones a contract names, no model, no
evaluation date. Every struct refuses unknown fields, because a misspelt field that is ignored is a wrong price.

    type               product                                     row program   asset class
    swap               any number of legs, any currencies          terms         rates
    fra                forward rate agreement                      terms         rates
    cap_floor          cap, floor or collar on a floating leg      optionlet     rates
    swaption           European swaption, physical or cash         swaption      rates
    bermudan_swaption  on one of several dates                     bermudan      rates
    bond               fixed or floating bond, capped or floored   optionlet     bonds
    cds                single-name credit default swap             terms         credit
    fx_forward         two payments on one day                     terms         fx
    fx_option          European, Garman-Kohlhagen                  option        fx
    equity_forward                                                 terms         equity
    equity_option      European                                    option        equity
    commodity_forward                                              terms         commodity
    commodity_option   European on the forward                     option        commodity
    commodity_swap     fixed or floating prices, also averaged     average       commodity
    commodity_swaption European                                    swaption      commodity
    commodity_average_option  on the average price                 average       commodity

The **row program** is the shape a trade takes when it is resolved (xip_core/pricing/program.py). It follows from the
type alone, so a planner reads two fields of a trade (`decode_head`) and leaves the rest to workers.

Units: amounts in units of their currency, rates and spreads as fractions (0.01 is 1 %), dates ISO 8601, tenors like
"3M". `position` is the side of whoever owns the book; the `payer` of a leg pays its coupons. A plain swap is 430 bytes
and decodes in 3 us, its head in 0.6 us.
"""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import msgspec

from xip_core.errors import CellError, FailureReason
from xip_core.model.trade_commodity import (
    CommodityAverageOption,
    CommodityFixedLeg,
    CommodityFloatingLeg,
    CommodityLeg,
    CommoditySwap,
    CommoditySwaption,
)
from xip_core.model.trade_legs import (
    CpiLeg,
    FixedLeg,
    FloatingLeg,
    FxReset,
    Leg,
    OvernightLeg,
    StubRate,
    YearOnYearLeg,
)
from xip_core.model.trade_records import (
    Convention,
    DayCount,
    OptionType,
    Position,
    Premium,
    Schedule,
    ScheduleRule,
    Settlement,
    TradeTerms,
)
from xip_core.model.unreadable import UNREADABLE

__all__ = [
    "ASSET_CLASS_OF",
    "PROGRAM_OF",
    "BermudanSwaption",
    "Bond",
    "CapFloor",
    "Cds",
    "CommodityAverageOption",
    "CommodityFixedLeg",
    "CommodityFloatingLeg",
    "CommodityForward",
    "CommodityLeg",
    "CommodityOption",
    "CommoditySwap",
    "CommoditySwaption",
    "Convention",
    "CpiLeg",
    "DayCount",
    "EquityForward",
    "EquityOption",
    "FixedLeg",
    "FloatingLeg",
    "Fra",
    "FxForward",
    "FxOption",
    "FxReset",
    "Leg",
    "OptionType",
    "OvernightLeg",
    "Position",
    "Premium",
    "Schedule",
    "ScheduleRule",
    "Settlement",
    "StubRate",
    "Swap",
    "Swaption",
    "Trade",
    "TradeHead",
    "YearOnYearLeg",
    "decode_head",
    "decode_trade",
    "encode_trade",
]


class Swap(TradeTerms, frozen=True, kw_only=True, tag="swap"):
    """Legs of any kind in any currencies."""

    legs: tuple[Leg, ...]

    def __post_init__(self) -> None:
        if not self.legs:
            raise ValueError("a swap needs at least one leg")


class Fra(TradeTerms, frozen=True, kw_only=True, tag="fra"):
    """Forward rate agreement, settled in advance: notional * accrual * (fixing - strike) / (1 + fixing * accrual)."""

    currency: str
    index: str
    start: dt.date
    end: dt.date
    strike: float
    notional: float
    position: Position

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"FRA start must be before its end, got {self.start} and {self.end}")


class CapFloor(TradeTerms, frozen=True, kw_only=True, tag="cap_floor"):
    """Caps and floors on the coupons of a floating leg; with both, a collar (long cap, short floor).

    Attributes:
        leg: of which the optionlets follow; its own `payer` says nothing, *position* does.
        caps, floors: strikes, one or one per period (the last continues).
    """

    leg: FloatingLeg
    position: Position
    caps: tuple[float, ...] = ()
    floors: tuple[float, ...] = ()
    premiums: tuple[Premium, ...] = ()

    def __post_init__(self) -> None:
        if not self.caps and not self.floors:
            raise ValueError("a cap_floor needs caps or floors")
        if self.leg.caps or self.leg.floors:
            raise ValueError("the leg of a cap_floor has no caps or floors of its own")


class Swaption(TradeTerms, frozen=True, kw_only=True, tag="swaption"):
    """Right to enter the swap of *legs*: a payer swaption where the fixed leg is paid.

    Attributes:
        legs: one fixed and one floating leg of one currency.
        expiry: of the right.
    """

    legs: tuple[Leg, Leg]
    expiry: dt.date
    position: Position
    settlement: Settlement
    premiums: tuple[Premium, ...] = ()


class BermudanSwaption(TradeTerms, frozen=True, kw_only=True, tag="bermudan_swaption"):
    """Right to enter, on one of *expiries*, what is left of the swap of *legs*: the periods that start then or later.

    Attributes:
        legs: one fixed and one floating leg of one currency.
        expiries: ascending.
    """

    legs: tuple[Leg, Leg]
    expiries: tuple[dt.date, ...]
    position: Position
    premiums: tuple[Premium, ...] = ()

    def __post_init__(self) -> None:
        if not self.expiries or any(a >= b for a, b in pairwise(self.expiries)):
            raise ValueError("a bermudan_swaption needs expiries, ascending")


class Bond(TradeTerms, frozen=True, kw_only=True, tag="bond"):
    """A bond held (leg.payer false) or issued.

    Attributes:
        leg: its coupons; the notional is repaid at the end whether or not the leg says so.
        reference_curve: discount curve of the benchmark, a name of the market.
        credit_curve: hazard curve of the issuer; "" where the benchmark includes its risk.
        recovery_rate: of this security; None means that of *security* in the market, or the credit curve's.
        ex_coupon_days: days before a payment from which on a buyer does not get the coupon any more; of
            *ex_coupon_calendar*, calendar days where that is "". 0: never.
    """

    leg: Leg
    issue_date: dt.date
    settlement_days: int
    calendar: str
    reference_curve: str
    credit_curve: str = ""
    recovery_rate: float | None = None
    issuer: str = ""
    security: str = ""
    ex_coupon_days: int = 0
    ex_coupon_calendar: str = ""

    def __post_init__(self) -> None:
        if self.ex_coupon_days < 0 or self.settlement_days < 0:
            days = f"{self.ex_coupon_days} and {self.settlement_days}"
            raise ValueError(f"ex_coupon_days and settlement_days must be >= 0, got {days}")


class Cds(TradeTerms, frozen=True, kw_only=True, tag="cds"):
    """Protection against the default of one name; bought where the premium leg is paid.

    Attributes:
        credit_curve: hazard curve, a name of the market.
        protection_start: default before it pays nothing; None means the start of the premium leg.
        upfront_fee: fraction of the notional, paid by the buyer at *upfront_date*.
        settles_accrual: the premium accrued at default is paid.
        pays_at_default: protection is paid at default, otherwise at the end of its period.
        recovery_rate: None means the market's.
    """

    leg: FixedLeg
    credit_curve: str
    protection_start: dt.date | None = None
    upfront_date: dt.date | None = None
    upfront_fee: float = 0.0
    settles_accrual: bool = True
    pays_at_default: bool = True
    recovery_rate: float | None = None
    issuer: str = ""

    def __post_init__(self) -> None:
        if self.upfront_fee != 0.0 and self.upfront_date is None:
            raise ValueError("an upfront_fee needs an upfront_date")


class FxForward(TradeTerms, frozen=True, kw_only=True, tag="fx_forward"):
    """The bought amount is received and the sold amount paid on the value date."""

    value_date: dt.date
    bought_currency: str
    bought_amount: float
    sold_currency: str
    sold_amount: float

    def __post_init__(self) -> None:
        _check_pair(self.bought_currency, self.bought_amount, self.sold_currency, self.sold_amount)


class FxOption(TradeTerms, frozen=True, kw_only=True, tag="fx_option"):
    """European: right to exchange *sold_amount* for *bought_amount* (call) or the reverse (put) at expiry."""

    expiry: dt.date
    option_type: OptionType
    position: Position
    bought_currency: str
    bought_amount: float
    sold_currency: str
    sold_amount: float
    premiums: tuple[Premium, ...] = ()

    def __post_init__(self) -> None:
        _check_pair(self.bought_currency, self.bought_amount, self.sold_currency, self.sold_amount)


class EquityForward(TradeTerms, frozen=True, kw_only=True, tag="equity_forward"):
    """*quantity* shares at *strike* on the maturity date."""

    name: str
    currency: str
    maturity: dt.date
    strike: float
    quantity: float
    position: Position


class EquityOption(TradeTerms, frozen=True, kw_only=True, tag="equity_option"):
    """European option on *quantity* shares."""

    name: str
    currency: str
    expiry: dt.date
    option_type: OptionType
    position: Position
    strike: float
    quantity: float
    premiums: tuple[Premium, ...] = ()

    def __post_init__(self) -> None:
        _check_strike(self.strike)


class CommodityForward(TradeTerms, frozen=True, kw_only=True, tag="commodity_forward"):
    """*quantity* units at *strike* on the maturity date."""

    name: str
    currency: str
    maturity: dt.date
    strike: float
    quantity: float
    position: Position


class CommodityOption(TradeTerms, frozen=True, kw_only=True, tag="commodity_option"):
    """European option on the forward of *quantity* units for the expiry date."""

    name: str
    currency: str
    expiry: dt.date
    option_type: OptionType
    position: Position
    strike: float
    quantity: float
    premiums: tuple[Premium, ...] = ()

    def __post_init__(self) -> None:
        _check_strike(self.strike)


def _check_pair(bought_currency: str, bought_amount: float, sold_currency: str, sold_amount: float) -> None:
    if bought_currency == sold_currency:
        raise ValueError(f"bought and sold currency must differ, got {bought_currency} twice")
    if not (bought_amount > 0.0 and sold_amount > 0.0):
        raise ValueError(f"bought and sold amount must be > 0, got {bought_amount} and {sold_amount}")


def _check_strike(strike: float) -> None:
    if not strike > 0.0:
        raise ValueError(f"strike must be > 0, got {strike}")


Trade = (
    Swap
    | Fra
    | CapFloor
    | Swaption
    | BermudanSwaption
    | Bond
    | Cds
    | FxForward
    | FxOption
    | EquityForward
    | EquityOption
    | CommodityForward
    | CommodityOption
    | CommoditySwap
    | CommoditySwaption
    | CommodityAverageOption
)


class TradeHead(msgspec.Struct, frozen=True):
    """The two fields a planner needs."""

    id: str
    type: str


PROGRAM_OF: dict[str, str] = {
    "swap": "terms",
    "fra": "terms",
    "cap_floor": "optionlet",
    "swaption": "swaption",
    "bermudan_swaption": "bermudan",
    "bond": "optionlet",
    "cds": "terms",
    "fx_forward": "terms",
    "fx_option": "option",
    "equity_forward": "terms",
    "equity_option": "option",
    "commodity_forward": "terms",
    "commodity_option": "option",
    "commodity_swap": "average",
    "commodity_swaption": "swaption",
    "commodity_average_option": "average",
}
"""Row program by trade type."""

ASSET_CLASS_OF: dict[str, str] = {
    "swap": "rates",
    "fra": "rates",
    "cap_floor": "rates",
    "swaption": "rates",
    "bermudan_swaption": "rates",
    "bond": "bonds",
    "cds": "credit",
    "fx_forward": "fx",
    "fx_option": "fx",
    "equity_forward": "equity",
    "equity_option": "equity",
    "commodity_forward": "commodity",
    "commodity_option": "commodity",
    "commodity_swap": "commodity",
    "commodity_swaption": "commodity",
    "commodity_average_option": "commodity",
}
"""Asset class by trade type."""

_trade_decoder = msgspec.json.Decoder(Trade)
_head_decoder = msgspec.json.Decoder(TradeHead)
_encoder = msgspec.json.Encoder()


def decode_trade(line: bytes) -> Trade:
    """One trade from one line of a book.

    Raises:
        CellError: UNSUPPORTED for a type that is not in the table above, BAD_TRADE for anything else that is wrong; the
            sentence says which field and what was expected.
    """
    try:
        trade: Trade = _trade_decoder.decode(line)
    except UNREADABLE as error:
        raise CellError(*_explain(line, error)) from None
    return trade


def decode_head(line: bytes) -> TradeHead:
    """Id and type of the trade of one line, about 1 us; the type may be one nobody supports.

    Raises:
        CellError: BAD_TRADE, the line is no JSON object or has no id or type.
    """
    try:
        return _head_decoder.decode(line)
    except UNREADABLE as error:
        raise CellError(FailureReason.BAD_TRADE, f"not a trade: {_lower_first(str(error))}") from None


def encode_trade(trade: Trade) -> bytes:
    """The line of *trade*, without a line end; fields that have their default are left out."""
    return _encoder.encode(trade)


def _explain(line: bytes, error: Exception) -> tuple[FailureReason, str]:
    try:
        head = _head_decoder.decode(line)
    except UNREADABLE:
        return FailureReason.BAD_TRADE, f"not a trade: {_lower_first(str(error))}"
    if head.type not in PROGRAM_OF:
        known = ", ".join(PROGRAM_OF)
        return FailureReason.UNSUPPORTED, f"trade {head.id}: type {head.type!r} is not supported; known are {known}"
    return FailureReason.BAD_TRADE, f"trade {head.id}: {_lower_first(str(error))}"


def _lower_first(sentence: str) -> str:
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]
