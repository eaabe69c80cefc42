"""ORE's portfolio.xml to trades.

Reading is strict: an element of a supported product that this module does not read quarantines the trade (BAD_TRADE),
because ignoring what a trade says is a wrong price; a trade type or feature that is known but not priced is UNSUPPORTED
and named. Elements that say how ORE reports (envelope, additional fields) are read for labels or passed over.

Trades keep the order of the file. A repeated id is kept, as it stands: it is the book that refuses the second one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from xip_core.errors import CellError, Failure, FailureReason, InputError
from xip_core.model import trade as trades
from xip_core.readers import ore_commodity, ore_legs
from xip_core.readers.ore_fields import Fields

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class UnreadTrade(msgspec.Struct, frozen=True):
    """A trade of the file that is no trade of ours, and why; *position* counts from 0 in the file."""

    position: int
    id: str
    failure: Failure


class Portfolio(msgspec.Struct, frozen=True):
    """What a file holds, in its order."""

    trades: tuple[trades.Trade, ...]
    unread: tuple[UnreadTrade, ...]


def read_portfolio(path: str | Path) -> Portfolio:
    """
    Trades of an ORE portfolio file.

    Raises:
        InputError: the file cannot be read, is not XML (with its line), declares entities, or is no portfolio.
    """
    read: list[trades.Trade] = []
    unread: list[UnreadTrade] = []
    for position, element in enumerate(_trade_elements(str(path))):
        trade_id = element.get("id", "")
        try:
            read.append(read_trade(element))
        except CellError as error:
            unread.append(UnreadTrade(position, trade_id, error.failure))
    return Portfolio(tuple(read), tuple(unread))


def _trade_elements(path: str) -> list[Element]:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse

    try:
        root = parse(path).getroot()
    except ParseError as error:
        raise InputError(f"must be XML: {str(error).split(':')[0]}", path, error.position[0]) from None
    except DefusedXmlException as error:
        raise InputError(f"must not declare document types or entities, got {error}", path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path) from None
    except (UnicodeDecodeError, ValueError, LookupError) as error:
        raise InputError(f"cannot be read: {error}", path) from None
    if root is None or root.tag != "Portfolio":
        raise InputError(f"must have the root element Portfolio, got {root.tag if root is not None else None!r}", path)
    return list(root.iter("Trade"))


def read_trade(element: Element) -> trades.Trade:
    """
    One trade from its element.

    Raises:
        CellError: UNSUPPORTED or BAD_TRADE; the message names the trade.
    """
    trade_id = element.get("id", "")
    try:
        if not trade_id:
            raise CellError(FailureReason.BAD_TRADE, "a trade must have an id")
        fields = Fields(element, "Trade")
        trade_type = fields.text("TradeType")
        reader = _READERS.get(trade_type)
        if reader is None:
            known = ", ".join(_READERS)
            raise CellError(FailureReason.UNSUPPORTED, f"type {trade_type!r} is not supported; known are {known}")
        labels = {"id": trade_id, **_labels(fields.child("Envelope", required=False))}
        body = fields.child(_BODIES.get(trade_type, f"{trade_type}Data"))
        fields.done()
        trade = reader(labels, body)
        body.done()
    except CellError as error:
        raise CellError(error.failure.reason, f"trade {trade_id}: {error.failure.message}") from None
    except ValueError as error:  # a struct that refuses a combination of fields
        raise CellError(FailureReason.BAD_TRADE, f"trade {trade_id}: {error}") from None
    return trade


def _labels(envelope: Fields) -> dict[str, Any]:
    """Counterparty, book and tags; the first portfolio is the book, the netting set and further portfolios are tags."""
    portfolios = envelope.child("PortfolioIds", required=False).texts("PortfolioId")
    tags = {"netting_set": envelope.text("NettingSetId", "")}
    tags |= {f"portfolio_{number}": name for number, name in enumerate(portfolios[1:], start=2)}
    labels: dict[str, Any] = {
        "counterparty": envelope.text("CounterParty", ""),
        "book": portfolios[0] if portfolios else "",
        "tags": {name: value for name, value in tags.items() if value},
    }
    return {name: value for name, value in labels.items() if value}


def _read_swap(labels: dict[str, Any], body: Fields) -> trades.Trade:
    legs = tuple(ore_legs.read_leg(leg) for leg in body.children("LegData"))
    return trades.Swap(**labels, legs=legs)


def _read_fra(labels: dict[str, Any], body: Fields) -> trades.Trade:
    return trades.Fra(
        **labels,
        currency=body.text("Currency"),
        index=body.text("Index"),
        start=body.date("StartDate"),
        end=body.date("EndDate"),
        strike=body.number("Strike"),
        notional=body.number("Notional"),
        position=_position(body.text("LongShort")),
    )


def _read_cap_floor(labels: dict[str, Any], body: Fields) -> trades.Trade:
    leg = ore_legs.read_leg(body.child("LegData"))
    if not isinstance(leg, trades.FloatingLeg):
        raise CellError(FailureReason.UNSUPPORTED, f"a cap or floor on a {type(leg).__name__} is not supported")
    return trades.CapFloor(
        **labels,
        leg=leg,
        position=_position(body.text("LongShort")),
        caps=body.numbers("Caps", "Cap"),
        floors=body.numbers("Floors", "Floor"),
        premiums=_premiums(body),
    )


def _read_swaption(labels: dict[str, Any], body: Fields) -> trades.Trade:
    option = _Option(body.child("OptionData"), "Swaption", ("European", "Bermudan"))
    legs = tuple(ore_legs.read_leg(leg) for leg in body.children("LegData"))
    if len(legs) != 2:
        raise CellError(FailureReason.UNSUPPORTED, f"a swaption must have two legs, got {len(legs)}")
    shared: dict[str, Any] = {"legs": legs, "position": option.position, "premiums": option.premiums, **labels}
    if option.style == "European":
        return trades.Swaption(
            **shared, expiry=option.expiry, settlement="cash" if option.settlement == "Cash" else "physical"
        )
    if option.settlement == "Cash":
        raise CellError(FailureReason.UNSUPPORTED, "a Bermudan swaption settled in cash is not supported")
    return trades.BermudanSwaption(**shared, expiries=option.expiries)


def _read_bond(labels: dict[str, Any], body: Fields) -> trades.Trade:
    legs = body.children("LegData")
    if len(legs) != 1:
        raise CellError(FailureReason.UNSUPPORTED, f"a bond must have one leg, got {len(legs)}")
    return trades.Bond(
        **labels,
        leg=ore_legs.read_leg(legs[0]),
        issue_date=body.date("IssueDate"),
        settlement_days=body.integer("SettlementDays"),
        calendar=body.text("Calendar"),
        reference_curve=body.text("ReferenceCurveId"),
        credit_curve=body.text("CreditCurveId", ""),
        issuer=body.text("IssuerId", ""),
        security=body.text("SecurityId", ""),
    )


def _read_cds(labels: dict[str, Any], body: Fields) -> trades.Trade:
    leg = ore_legs.read_leg(body.child("LegData"))
    if not isinstance(leg, trades.FixedLeg):
        raise CellError(FailureReason.UNSUPPORTED, f"a CDS with a {type(leg).__name__} is not supported")
    time = body.text("ProtectionPaymentTime", "")
    if time not in ("", "atDefault", "atPeriodEnd"):
        raise CellError(FailureReason.UNSUPPORTED, f"ProtectionPaymentTime {time!r} is not supported")
    at_default = body.flag("PaysAtDefaultTime", True) if not time else time == "atDefault"
    return trades.Cds(
        **labels,
        leg=leg,
        credit_curve=body.text("CreditCurveId"),
        protection_start=body.date_or_none("ProtectionStart"),
        upfront_date=body.date_or_none("UpfrontDate"),
        upfront_fee=body.number("UpfrontFee", 0.0),
        settles_accrual=body.flag("SettlesAccrual", True),
        pays_at_default=at_default,
        issuer=body.text("IssuerId", ""),
    )


def _read_index_cds(labels: dict[str, Any], body: Fields) -> trades.Trade:
    """On the curve of the index, flat: its names say whom it covers, and every one must be alive."""
    for name in body.child("BasketData", required=False).children("Name"):
        name.refuse("PriorNotional", "a name that has defaulted")
    return _read_cds(labels, body)


def _read_fx_forward(labels: dict[str, Any], body: Fields) -> trades.Trade:
    settlement = body.text("Settlement", "Physical")
    if settlement not in ("Physical", "Cash"):  # settled in cash on the value date it is worth the same before then
        raise CellError(FailureReason.UNSUPPORTED, f"an FX forward with settlement {settlement!r} is not supported")
    body.refuse("SettlementData", "settlement on another date or at a published rate")
    return trades.FxForward(**labels, value_date=body.date("ValueDate"), **_amounts(body))


def _read_fx_option(labels: dict[str, Any], body: Fields) -> trades.Trade:
    option = _Option(body.child("OptionData"), "FxOption")
    return trades.FxOption(**labels, **option.contract(), **_amounts(body))


def _amounts(body: Fields) -> dict[str, Any]:
    return {
        "bought_currency": body.text("BoughtCurrency"),
        "bought_amount": body.number("BoughtAmount"),
        "sold_currency": body.text("SoldCurrency"),
        "sold_amount": body.number("SoldAmount"),
    }


def _read_equity_forward(labels: dict[str, Any], body: Fields) -> trades.Trade:
    currency = body.text("Currency")
    if body.text("StrikeCurrency", currency) != currency:
        raise CellError(FailureReason.UNSUPPORTED, "an equity forward struck in another currency is not supported")
    return trades.EquityForward(
        **labels,
        currency=currency,
        maturity=body.date("Maturity"),
        position=_position(body.text("LongShort")),
        **_underlying(body),
    )


def _read_equity_option(labels: dict[str, Any], body: Fields) -> trades.Trade:
    option = _Option(body.child("OptionData"), "EquityOption")
    currency = body.text("Currency")
    if body.text("StrikeCurrency", currency) != currency:
        raise CellError(FailureReason.UNSUPPORTED, "an equity option struck in another currency is not supported")
    return trades.EquityOption(**labels, currency=currency, **option.contract(), **_underlying(body))


def _read_commodity_forward(labels: dict[str, Any], body: Fields) -> trades.Trade:
    return trades.CommodityForward(
        **labels,
        currency=body.text("Currency"),
        maturity=body.date("Maturity"),
        position=_position(body.text("Position")),
        **_underlying(body),
    )


def _read_commodity_option(labels: dict[str, Any], body: Fields) -> trades.Trade:
    option = _Option(body.child("OptionData"), "CommodityOption")
    return trades.CommodityOption(**labels, currency=body.text("Currency"), **option.contract(), **_underlying(body))


def _read_commodity_swap(labels: dict[str, Any], body: Fields) -> trades.Trade:
    return trades.CommoditySwap(**labels, legs=ore_commodity.read_commodity_legs(body))


def _read_commodity_swaption(labels: dict[str, Any], body: Fields) -> trades.Trade:
    """As ORE 1.8.17 values it: the premium of a commodity swaption, unlike any other, has no part in its value."""
    option = _Option(body.child("OptionData"), "CommoditySwaption")
    legs = ore_commodity.read_commodity_legs(body)
    if len(legs) != 2:
        raise CellError(FailureReason.UNSUPPORTED, f"a commodity swaption must have two legs, got {len(legs)}")
    if option.settlement != "Cash":
        raise CellError(FailureReason.UNSUPPORTED, f"a commodity swaption settled {option.settlement!r}")
    return trades.CommoditySwaption(
        **labels,
        legs=(legs[0], legs[1]),
        expiry=option.expiry,
        position=option.position,
    )


def _read_commodity_average_option(labels: dict[str, Any], body: Fields) -> trades.Trade:
    option = _Option(body.child("OptionData"), "CommodityAveragePriceOption")
    contract = option.contract()
    terms = ore_commodity.read_average_option(body)
    expiry = contract.pop("expiry")
    if expiry != terms["end"]:
        sentence = f"an average price option exercised on {expiry}, not at the end of its period {terms['end']}"
        raise CellError(FailureReason.UNSUPPORTED, sentence)
    return trades.CommodityAverageOption(**labels, **contract, **terms)


def _underlying(body: Fields) -> dict[str, Any]:
    return {"name": body.text("Name"), "strike": body.number("Strike"), "quantity": body.number("Quantity")}


class _Option:
    """OptionData of an option of one of *styles*; anything else is UNSUPPORTED."""

    def __init__(self, fields: Fields, product: str, styles: tuple[str, ...] = ("European",)) -> None:
        self.position = _position(fields.text("LongShort"))
        self.option_type = fields.text("OptionType", "Call")
        if self.option_type not in ("Call", "Put"):
            raise CellError(FailureReason.BAD_TRADE, f"OptionType must be Call or Put, got {self.option_type!r}")
        self.style = fields.text("Style", "European")
        if self.style not in styles:
            sentence = f"a {product} of style {self.style!r} is not supported, {' and '.join(styles)} is"
            raise CellError(FailureReason.UNSUPPORTED, sentence)
        self.settlement = fields.text("Settlement", "Cash")
        fields.flag("PayOffAtExpiry", False)  # European options pay at expiry either way
        dates = fields.child("ExerciseDates")
        self.expiries = dates.dates("ExerciseDate")
        dates.done()
        if self.style == "European" and len(self.expiries) != 1:
            raise CellError(FailureReason.UNSUPPORTED, f"one exercise date is supported, got {len(self.expiries)}")
        self.premiums = _premiums(fields)
        fields.done()

    @property
    def expiry(self) -> dt.date:
        """The one date of a European option."""
        return self.expiries[0]

    def contract(self) -> dict[str, Any]:
        option_type = "call" if self.option_type == "Call" else "put"
        return {
            "expiry": self.expiry,
            "option_type": option_type,
            "position": self.position,
            "premiums": self.premiums,
        }


def _premiums(fields: Fields) -> tuple[trades.Premium, ...]:
    amount = fields.number("PremiumAmount", 0.0)
    currency, date = fields.text("PremiumCurrency", ""), fields.date_or_none("PremiumPayDate")
    if amount == 0.0:
        return ()
    if not currency or date is None:
        raise CellError(FailureReason.BAD_TRADE, "a premium needs PremiumCurrency and PremiumPayDate")
    return (trades.Premium(amount=amount, currency=currency, pay_date=date),)


def _position(text: str) -> trades.Position:
    if text == "Long":
        return "long"
    if text == "Short":
        return "short"
    raise CellError(FailureReason.BAD_TRADE, f"a position must be Long or Short, got {text!r}")


_READERS: dict[str, Callable[[dict[str, Any], Fields], trades.Trade]] = {
    "Swap": _read_swap,
    "ForwardRateAgreement": _read_fra,
    "CapFloor": _read_cap_floor,
    "Swaption": _read_swaption,
    "Bond": _read_bond,
    "CreditDefaultSwap": _read_cds,
    "IndexCreditDefaultSwap": _read_index_cds,
    "FxForward": _read_fx_forward,
    "FxOption": _read_fx_option,
    "EquityForward": _read_equity_forward,
    "EquityOption": _read_equity_option,
    "CommodityForward": _read_commodity_forward,
    "CommodityOption": _read_commodity_option,
    "CommoditySwap": _read_commodity_swap,
    "CommoditySwaption": _read_commodity_swaption,
    "CommodityAveragePriceOption": _read_commodity_average_option,
}
_BODIES = {"CommoditySwap": "SwapData"}
"""Elements that hold a trade's terms where they are not named after its type."""
