"""LegData and ScheduleData of ORE to legs and schedules of ours."""

from __future__ import annotations

from typing import Any, TypeVar

from xip_core.errors import CellError, FailureReason
from xip_core.model import trade as trades
from xip_core.readers.ore_fields import Fields
from xip_core.readers.ore_inflation import read_cpi_leg, read_year_on_year_leg

Word = TypeVar("Word", bound=str)

_CONVENTIONS: dict[str, trades.Convention] = {
    "f": "following", "following": "following",
    "mf": "modified_following", "modifiedfollowing": "modified_following", "modified following": "modified_following",
    "p": "preceding", "preceding": "preceding",
    "mp": "modified_preceding", "modifiedpreceding": "modified_preceding", "modified preceding": "modified_preceding",
    "u": "unadjusted", "unadjusted": "unadjusted", "indifferent": "unadjusted",
}  # fmt: skip
_DAY_COUNTS: dict[str, trades.DayCount] = {
    "a360": "A360", "act/360": "A360", "actual/360": "A360",
    "a365": "A365F", "a365f": "A365F", "act/365": "A365F", "act/365(fixed)": "A365F", "actual/365 (fixed)": "A365F",
    "30/360": "30U/360", "t360": "30U/360", "thirty360": "30U/360", "30/360 us": "30U/360",
    "30/360 (bond basis)": "30/360",
    "30e/360": "30E/360", "30e/360 (eurobond basis)": "30E/360",
    "act/act": "ACT/ACT ISDA", "actact": "ACT/ACT ISDA", "act": "ACT/ACT ISDA", "actual/actual (isda)": "ACT/ACT ISDA",
    "actactisda": "ACT/ACT ISDA", "actual/actual (icma)": "ACT/ACT ICMA", "actacticma": "ACT/ACT ICMA",
}  # fmt: skip
_RULES: dict[str, trades.ScheduleRule] = {
    "forward": "forward", "backward": "backward", "zero": "zero", "thirdwednesday": "imm", "cds2015": "cds2015",
}  # fmt: skip
_OVERNIGHT_INDICES = frozenset(
    {"EUR-EONIA", "EUR-ESTER", "EUR-ESTR", "USD-FEDFUNDS", "USD-SOFR", "GBP-SONIA", "CHF-TOIS", "CHF-SARON",
     "JPY-TONAR", "JPY-TONA"}
)  # fmt: skip


def read_leg(fields: Fields) -> trades.Leg:
    """
    One leg.

    Raises:
        CellError: UNSUPPORTED for a leg type or feature we do not price, BAD_TRADE for anything wrong or unknown.
    """
    leg_type = fields.text("LegType")
    if leg_type == "Fixed":
        body = fields.child("FixedLegData")
        leg: trades.Leg = trades.FixedLeg(**_shared(fields), rates=body.numbers("Rates", "Rate"))
    elif leg_type == "Floating":
        body = fields.child("FloatingLegData")
        leg = _read_floating(_shared(fields), body)
    elif leg_type == "CPI":
        body = fields.child("CPILegData")
        leg = read_cpi_leg(_shared(fields), body)
    elif leg_type == "YY":
        body = fields.child("YYLegData")
        leg = read_year_on_year_leg(_shared(fields), body)
    else:
        sentence = f"a leg of type {leg_type!r} is not supported; Fixed, Floating, CPI and YY are"
        raise CellError(FailureReason.UNSUPPORTED, sentence)
    body.done()
    fields.done()
    return leg


def _shared(fields: Fields) -> dict[str, Any]:
    """The fields every leg has."""
    notionals = fields.child("Notionals")
    exchanges = notionals.child("Exchanges", required=False)
    shared: dict[str, Any] = {
        "payer": fields.flag("Payer", False),
        "currency": fields.text("Currency"),
        "notionals": tuple(float(text) for text in notionals.plain_texts("Notional")),
        "day_count": _word(_DAY_COUNTS, fields.text("DayCounter"), "DayCounter"),
        "schedule": read_schedule(fields.child("ScheduleData")),
        **payment_terms(fields),
        "initial_exchange": exchanges.flag("NotionalInitialExchange", False),
        "final_exchange": exchanges.flag("NotionalFinalExchange", False),
        "amortising_exchange": exchanges.flag("NotionalAmortizingExchange", False),
    }
    exchanges.done()
    if notionals.has("FXReset"):
        reset = _read_fx_reset(notionals.child("FXReset"), resets_first=not shared["notionals"])
        shared |= {"fx_reset": reset, "notionals": shared["notionals"] or (reset.foreign_amount,)}
    notionals.done()
    return shared


def _read_fx_reset(fields: Fields, resets_first: bool) -> trades.FxReset:
    reset = trades.FxReset(
        foreign_currency=fields.text("ForeignCurrency"),
        foreign_amount=fields.number("ForeignAmount"),
        index=fields.text("FXIndex"),
        fixing_days=fields.integer("FixingDays", 0),
        resets_first=resets_first,
    )
    fields.done()
    return reset


def _payment_lag_days(text: str) -> int:
    try:
        return int(text.upper().removesuffix("D"))
    except ValueError:
        raise CellError(FailureReason.BAD_TRADE, f"PaymentLag must be a number of days, got {text!r}") from None


def _read_floating(shared: dict[str, Any], body: Fields) -> trades.Leg:
    index = body.text("Index")
    spreads = body.numbers("Spreads", "Spread") or (0.0,)
    gearings = body.numbers("Gearings", "Gearing") or (1.0,)
    fixing_days = body.integer("FixingDays", -1)
    caps, floors = body.numbers("Caps", "Cap"), body.numbers("Floors", "Floor")
    is_averaged = body.flag("IsAveraged", False)
    for name, feature in (("Lookback", "a lookback"), ("RateCutoff", "a rate cut-off"), ("FrontStub", "a stub rate")):
        body.refuse(name, feature)
    if index.upper() in _OVERNIGHT_INDICES:
        if not body.flag("IsInArrears", True):
            raise CellError(FailureReason.UNSUPPORTED, "an overnight rate fixed in advance is not supported")
        if caps or floors:
            raise CellError(FailureReason.UNSUPPORTED, "caps and floors on overnight coupons are not supported")
        return trades.OvernightLeg(
            **shared,
            index=index,
            spreads=spreads,
            gearings=gearings,
            averaged=is_averaged,
            lookback_days=max(fixing_days, 0),
        )
    if body.flag("IsInArrears", False):
        raise CellError(FailureReason.UNSUPPORTED, "a term rate fixed in arrears is not supported")
    if is_averaged:
        raise CellError(FailureReason.UNSUPPORTED, "an averaged term rate is not supported")
    return trades.FloatingLeg(
        **shared,
        index=index,
        spreads=spreads,
        gearings=gearings,
        fixing_days=None if fixing_days < 0 else fixing_days,
        caps=caps,
        floors=floors,
    )


def payment_terms(fields: Fields) -> dict[str, Any]:
    """When a leg pays, after the end of each period."""
    return {
        "payment_convention": _word(_CONVENTIONS, fields.text("PaymentConvention", "F"), "PaymentConvention"),
        "payment_lag_days": _payment_lag_days(fields.text("PaymentLag", "0")),
        "payment_calendar": fields.text("PaymentCalendar", ""),
    }


def read_schedule(fields: Fields) -> trades.Schedule:
    """ScheduleData of one rule or one list of dates."""
    rules, dates = fields.children("Rules"), fields.children("Dates")
    fields.done()
    if len(rules) + len(dates) != 1:
        raise CellError(FailureReason.UNSUPPORTED, f"one schedule a leg is supported, got {len(rules) + len(dates)}")
    if dates:
        return _read_dates(dates[0])
    body = rules[0]
    convention = _word(_CONVENTIONS, body.text("Convention", "F"), "Convention")
    schedule = trades.Schedule(
        start=body.date("StartDate"),
        end=body.date("EndDate"),
        tenor=body.text("Tenor"),
        calendar=body.text("Calendar", "NullCalendar"),
        convention=convention,
        term_convention=_word(_CONVENTIONS, body.text("TermConvention", convention.replace("_", "")), "TermConvention"),
        rule=_word(_RULES, body.text("Rule", "Forward"), "Rule"),
        end_of_month=body.flag("EndOfMonth", False),
        first_date=body.date_or_none("FirstDate"),
        last_date=body.date_or_none("LastDate"),
    )
    body.done()
    return schedule


def _read_dates(body: Fields) -> trades.Schedule:
    listed = body.child("Dates")
    schedule = trades.Schedule(
        dates=listed.dates("Date"),
        calendar=body.text("Calendar", "NullCalendar"),
        convention=_word(_CONVENTIONS, body.text("Convention", "F"), "Convention"),
        tenor="",
    )
    body.text("Tenor", "")
    listed.done()
    body.done()
    return schedule


def _word(table: dict[str, Word], text: str, name: str) -> Word:
    found = table.get(text.lower())
    if found is None:
        raise CellError(FailureReason.BAD_TRADE, f"{name} must be one of {', '.join(table)}, got {text!r}")
    return found
