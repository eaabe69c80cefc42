"""Suitability: rules, limits of profiles, and what is known of instruments beside their prices.

A client's portfolio is judged by RULES, each one number (docs/suitability.md defines them and names their sources). A
**profile** has for each rule a limit, and from where on a person shall look, or None where the rule does not apply to
it. A number above its limit makes the client UNSUITABLE, one above the review threshold REVIEW; a client of whom a
number cannot be told is REVIEW, with a status that says why.

Limits are data. Every profile names every rule, so that a rule forgotten is not a rule passed; a profile without any
limit is refused. The table shipped with the samples is an example to replace.

Instruments are the rows of a book: instrument i of `InstrumentTable` describes row i, under the same id.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Mapping

import msgspec

from xip_core.errors import RequestError
from xip_core.model.unreadable import UNREADABLE, fault_of

RULES = (
    "volatility",
    "value_at_risk",
    "var_equivalent_volatility",
    "stress_loss",
    "stress_loss_of_net_worth",
    "issuer_share",
    "large_issuers_share",
    "sector_share",
    "currency_share",
    "illiquid_share",
    "leverage",
    "beyond_horizon_share",
    "knowledge_gap",
)
"""In the order of the kernel's numbers. All are shares of the client's assets but the volatilities, per root year, and
the knowledge gap, in classes."""

MRM_CLASS_FROM = (0.005, 0.05, 0.12, 0.20, 0.30, 0.80)
"""VaR-equivalent volatilities from which market risk class 2, 3, ... 7 begins: Delegated Regulation (EU) 2017/653,
Annex II, point 2."""

PROFILE_COUNT_MAX = 200
INSTRUMENT_COUNT_MAX = 200_000
KNOWLEDGE_CLASS_MAX = 9


class Verdict(enum.IntEnum):
    """What is said of a client; the worst of its rules'."""

    SUITABLE = 0
    REVIEW = 1
    UNSUITABLE = 2


class ClientStatus(enum.IntEnum):
    """Why a client has no numbers; 0 is that it has. The kernel's codes."""

    OK = 0
    MISSING_INSTRUMENT = 1
    NO_ASSETS = 2
    NOT_FINITE = 3
    NOTHING_HELD = 4


STATUS_SENTENCES = {
    ClientStatus.MISSING_INSTRUMENT: "instrument {instrument} has no number",
    ClientStatus.NO_ASSETS: "assets, cash and positions together, are not above 0: a share of them means nothing",
    ClientStatus.NOT_FINITE: "a number overflows",
    ClientStatus.NOTHING_HELD: "the client holds no position",
}


class SuitabilityRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every struct of this module is."""


class Limit(SuitabilityRecord, frozen=True, kw_only=True):
    """Above *limit* a number is UNSUITABLE, above *review* it is REVIEW; without one there is nothing in between."""

    limit: float
    review: float | None = None


class Profile(SuitabilityRecord, frozen=True, kw_only=True):
    """A kind of client: a limit, or None, for each of RULES."""

    name: str
    limits: Mapping[str, Limit | None]


class ProfileTable(SuitabilityRecord, frozen=True, kw_only=True):
    """Profiles and the parameters of the rules.

    Attributes:
        note: for people: whose table it is.
        confidence: of the VaR; 0.975 in the regulation of VaR-equivalent volatility.
        large_issuer_share: from which an issuer counts into large_issuers_share; 0.05 in the 5/10/40 rule.
    """

    profiles: tuple[Profile, ...]
    note: str = ""
    confidence: float = 0.975
    large_issuer_share: float = 0.05


class InstrumentTerms(SuitabilityRecord, frozen=True, kw_only=True, omit_defaults=True):
    """What the rules need of an instrument beside its risk vector; per unit held.

    Attributes:
        id: that of the trade in the same row of the book.
        issuer, sector: codes; "" does not count into a concentration.
        currency: of its risk; "" or the base currency does not count.
        knowledge_class: 0 for what needs none, up to 9.
        maturity: None where there is none: it is not beyond any horizon then.
        exposure: signed, in base currency, by the commitment approach; None where it is its value.
    """

    id: str
    issuer: str = ""
    sector: str = ""
    currency: str = ""
    is_illiquid: bool = False
    knowledge_class: int = 0
    maturity: dt.date | None = None
    exposure: float | None = None


_profiles = msgspec.json.Decoder(ProfileTable, strict=True)
_instruments = msgspec.json.Decoder(tuple[InstrumentTerms, ...], strict=True)


def encode_profiles(table: ProfileTable) -> bytes:
    """Canonical bytes."""
    return msgspec.json.encode(table, order="sorted")


def decode_profiles(content: bytes) -> ProfileTable:
    """
    Raises:
        RequestError: BAD_PROFILES; it names the profile and the rule.
    """
    try:
        table = _profiles.decode(content)
    except UNREADABLE as error:
        raise RequestError("BAD_PROFILES", f"profiles do not decode: {fault_of(content, error)}") from error
    if not 0 < len(table.profiles) <= PROFILE_COUNT_MAX:
        got = len(table.profiles)
        raise RequestError("BAD_PROFILES", f"a table must have 1 to {PROFILE_COUNT_MAX} profiles, got {got}")
    for name, share in (("confidence", table.confidence), ("large_issuer_share", table.large_issuer_share)):
        if not 0.0 < share < 1.0:
            raise RequestError("BAD_PROFILES", f"{name} must lie between 0 and 1, got {share}")
    seen: set[str] = set()
    for profile in table.profiles:
        if not profile.name or profile.name in seen:
            raise RequestError("BAD_PROFILES", f"a profile must have a name of its own, got {profile.name!r}")
        seen.add(profile.name)
        _check_limits(profile)
    return table


def encode_instruments(instruments: tuple[InstrumentTerms, ...]) -> bytes:
    """Canonical bytes."""
    return msgspec.json.encode(instruments)


def decode_instruments(content: bytes) -> tuple[InstrumentTerms, ...]:
    """
    Raises:
        RequestError: BAD_INSTRUMENTS; it names the instrument.
    """
    try:
        instruments = _instruments.decode(content)
    except UNREADABLE as error:
        raise RequestError("BAD_INSTRUMENTS", f"instruments do not decode: {fault_of(content, error)}") from error
    if not 0 < len(instruments) <= INSTRUMENT_COUNT_MAX:
        sentence = f"there must be 1 to {INSTRUMENT_COUNT_MAX} instruments, got {len(instruments)}"
        raise RequestError("BAD_INSTRUMENTS", sentence)
    seen: set[str] = set()
    for item in instruments:
        fault = _fault_of_instrument(item, seen)
        if fault:
            raise RequestError("BAD_INSTRUMENTS", f"instrument {item.id!r:.100}: {fault}")
        seen.add(item.id)
    return instruments


def market_risk_class(var_equivalent_volatility: float) -> int:
    """1 to 7; of the market alone, a summary risk indicator also has a credit class."""
    return 1 + sum(var_equivalent_volatility >= begin for begin in MRM_CLASS_FROM)


def _check_limits(profile: Profile) -> None:
    missing = [rule for rule in RULES if rule not in profile.limits]
    unknown = [rule for rule in profile.limits if rule not in RULES]
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(unknown)
        sentence = f"profile {profile.name!r} must name every rule, null where it has no limit; {'; '.join(parts)}"
        raise RequestError("BAD_PROFILES", sentence)
    if not any(profile.limits.values()):
        raise RequestError("BAD_PROFILES", f"profile {profile.name!r} must have at least one limit, all are null")
    for rule, limit in profile.limits.items():
        if limit is None:
            continue
        review = limit.limit if limit.review is None else limit.review
        if not (math.isfinite(limit.limit) and limit.limit >= 0.0 and 0.0 <= review <= limit.limit):
            sentence = f"profile {profile.name!r}, {rule}: 0 <= review <= limit must hold"
            raise RequestError("BAD_PROFILES", f"{sentence}, got {limit.review} and {limit.limit}")


def _fault_of_instrument(item: InstrumentTerms, seen: set[str]) -> str:
    if not item.id or item.id in seen:
        return "an id must be there, and once"
    if not 0 <= item.knowledge_class <= KNOWLEDGE_CLASS_MAX:
        return f"knowledge_class must be 0 to {KNOWLEDGE_CLASS_MAX}, got {item.knowledge_class}"
    if item.exposure is not None and not math.isfinite(item.exposure):
        return f"exposure must be finite, got {item.exposure}"
    return ""
