"""Scenarios: named lists of shifts, applied to quotes before anything is calibrated.

A shift says what (a kind of object and a name pattern), where along the maturities (a bucket), and how much, with the
unit in the field's name: `shift_bps` adds basis points, `shift_relative` multiplies by 1 + x, `shift_absolute` adds in
the quote's own unit. Scenario 0 is the base and has no shift. Shifts of one scenario apply one after the other.

What a target means::

    quote                  every quote whose name matches
    curve                  the rates and spreads a curve is built from (not FX points, which are no rates)
    currency               the outright rates of every curve in the currency; basis spreads and FX points stand still
    fx                     the spot of a pair ("EURUSD"); FX points scale with it, so interest rates stand still
    equity                 the spot; forward prices scale with it, so dividend yields stand still
    dividend               the cash dividends of an equity
    commodity              spot and forward prices
    hazard                 CDS spreads or hazard rates
    inflation              zero-coupon and year-on-year swap rates of a price index ("UKRPI")
    *_volatility           the volatilities of one surface, by expiry; of one quoted by delta those at the money
    risk_reversal          the risk reversals of one surface ("EURUSD"), by expiry
    butterfly              its butterflies

A shift that names nothing is refused when the run is planned: a stress that silently does nothing is worse than none.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import Literal

import msgspec

from xip_core.errors import RequestError
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import FxForwards, Record
from xip_core.model.market_objects import MarketObject, QuoteUse, build_order, market_objects, maturity_years
from xip_core.model.unreadable import UNREADABLE, fault_of

SCENARIO_COUNT_MAX = 100_000

SHIFT_CACHE_MAX = 1_000
"""Shifts whose quotes are remembered; scenarios of one run repeat theirs in every tile."""

Target = Literal[
    "quote",
    "curve",
    "currency",
    "fx",
    "equity",
    "commodity",
    "hazard",
    "inflation",
    "fx_volatility",
    "equity_volatility",
    "commodity_volatility",
    "swaption_volatility",
    "cap_volatility",
    "risk_reversal",
    "butterfly",
    "dividend",
]

_ROLES: dict[str, frozenset[str]] = {
    "curve": frozenset({"rate", "spread"}),
    "currency": frozenset({"rate"}),
    "fx": frozenset({"spot"}),
    "equity": frozenset({"spot"}),
    "commodity": frozenset({"spot", "price"}),
    "hazard": frozenset({"rate"}),
    "risk_reversal": frozenset({"risk_reversal"}),
    "butterfly": frozenset({"butterfly"}),
    "dividend": frozenset({"dividend"}),
    "inflation": frozenset({"rate"}),
}
_VOLATILITY_ROLES = frozenset({"volatility"})


class Shift(Record, frozen=True, kw_only=True):
    """One change of quotes; exactly one of the three sizes is given.

    Attributes:
        name: pattern with * and ? for the object's (or quote's, or currency's) name.
        after: only maturities longer than this tenor; "" for no bound.
        until: only maturities up to and including this tenor; "" for no bound.
        shift_bps: added, in 0.0001 of the quote's unit.
        shift_relative: fraction of the quote, 0.10 for +10 %.
        shift_absolute: added, in the quote's unit.
    """

    target: Target
    name: str
    after: str = ""
    until: str = ""
    shift_bps: float | None = None
    shift_relative: float | None = None
    shift_absolute: float | None = None

    def __post_init__(self) -> None:
        sizes = [size for size in (self.shift_bps, self.shift_relative, self.shift_absolute) if size is not None]
        if len(sizes) != 1:
            raise RequestError(
                "BAD_SCENARIO", f"a shift of {self.target} {self.name!r} must have one size, got {len(sizes)}"
            )

    def shifted(self, value: float) -> float:
        """The quote after this shift."""
        if self.shift_bps is not None:
            return value + self.shift_bps * 1e-4
        if self.shift_relative is not None:
            return value * (1.0 + self.shift_relative)
        return value + (self.shift_absolute or 0.0)


class Scenario(Record, frozen=True, kw_only=True):
    """A named list of shifts."""

    name: str
    shifts: tuple[Shift, ...] = ()


class ScenarioSet(Record, frozen=True, kw_only=True):
    """Scenarios in order; the first is the base."""

    scenarios: tuple[Scenario, ...]

    def __post_init__(self) -> None:
        if not self.scenarios or self.scenarios[0].shifts:
            raise RequestError("BAD_SCENARIO", "scenario 0 must be the base: present, and without shifts")
        if len(self.scenarios) > SCENARIO_COUNT_MAX:
            raise RequestError(
                "BAD_SCENARIO", f"at most {SCENARIO_COUNT_MAX} scenarios a run, got {len(self.scenarios)}"
            )
        seen: set[str] = set()
        for scenario in self.scenarios:
            if scenario.name in seen:
                raise RequestError("BAD_SCENARIO", f"scenario names must be distinct, {scenario.name!r} is there twice")
            seen.add(scenario.name)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ScenarioSet, strict=True)


def encode_scenarios(scenarios: ScenarioSet) -> bytes:
    """Canonical bytes."""
    return _encoder.encode(scenarios)


def decode_scenarios(encoded: bytes) -> ScenarioSet:
    """Inverse of `encode_scenarios`.

    Raises:
        RequestError: BAD_SCENARIO with the path to the fault.
    """
    try:
        return _decoder.decode(encoded)
    except UNREADABLE as error:
        raise RequestError("BAD_SCENARIO", f"scenario set does not decode: {fault_of(encoded, error)}") from error


def base_only() -> ScenarioSet:
    """The set with nothing but the base."""
    return ScenarioSet(scenarios=(Scenario(name="base"),))


class ScenarioMarket:
    """Scenarios seen against one snapshot: which quotes a shift means, and which objects that reaches.

    Immutable after construction; a set of scenarios is checked with `check`, and applied one by one with
    `changed_quotes`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._objects = market_objects(snapshot)
        self._order = build_order(self._objects)
        self._users: dict[str, list[str]] = {}
        for market_object in self._objects.values():
            for use in market_object.quotes:
                self._users.setdefault(use.quote, []).append(market_object.name)
        self._followers = _followers(snapshot)
        self._pairs = {
            (s.domestic_currency if s.foreign_currency == snapshot.base_currency else s.foreign_currency): (
                s.foreign_currency + s.domestic_currency
            )
            for s in snapshot.fx_spots
        }
        self._quotes_of_aim: dict[tuple[str, str, str, str], tuple[str, ...]] = {}

    def quotes_of(self, shift: Shift) -> tuple[str, ...]:
        """Names of the quotes a shift changes directly, in the order of the objects.

        Raises:
            RequestError: BAD_SCENARIO where it names nothing in the market.
        """
        aim = (shift.target, shift.name, shift.after, shift.until)  # whatever its size
        known = self._quotes_of_aim.get(aim)
        if known is not None:
            return known
        after_years = maturity_years(shift.after, self._snapshot.as_of) if shift.after else float("-inf")
        until_years = maturity_years(shift.until, self._snapshot.as_of) if shift.until else float("inf")
        found: dict[str, None] = {}
        for use in self._candidates(shift):
            # half a day of slack: 1Y and 365 days are the same bucket border
            if after_years + 0.5 / 365.0 < use.maturity_years <= until_years + 0.5 / 365.0:
                found[use.quote] = None
        if not found:
            bucket = f" after {shift.after or 'now'} until {shift.until or 'the end'}"
            message = f"shift of {shift.target} {shift.name!r}{bucket if shift.after or shift.until else ''}"
            raise RequestError("BAD_SCENARIO", f"{message} names nothing in the market")
        if len(self._quotes_of_aim) >= SHIFT_CACHE_MAX:
            self._quotes_of_aim.clear()
        quotes = self._quotes_of_aim[aim] = tuple(found)
        return quotes

    def changed_quotes(self, scenario: Scenario) -> dict[str, float]:
        """Quotes with another value than in the snapshot; quotes that are no number stay what they are."""
        changed: dict[str, float] = {}
        for shift in scenario.shifts:
            for quote in self.quotes_of(shift):
                before = changed.get(quote, self._snapshot.quotes.get(quote))
                if before is None or isinstance(before, str):
                    continue
                after = shift.shifted(before)
                changed[quote] = after
                if shift.target in ("fx", "equity") and before != 0.0:
                    self._scale_followers(changed, quote, after / before)
        return changed

    def touched_objects(self, scenario: Scenario) -> frozenset[str]:
        """Objects that are other than in the base: those whose quotes change, and all that is built on them."""
        return self.reached_by(self.changed_quotes(scenario))

    def reached_by(self, quotes: Iterable[str]) -> frozenset[str]:
        """Objects built on any of *quotes*, directly or through other objects."""
        touched = {name for quote in quotes for name in self._users.get(quote, ())}
        for name in self._order:  # parents come first, so one pass reaches everything
            if name not in touched and any(parent in touched for parent in self._objects[name].parents):
                touched.add(name)
        return frozenset(touched)

    def object_names(self) -> frozenset[str]:
        """All objects of the market."""
        return frozenset(self._objects)

    def check(self, scenarios: ScenarioSet) -> None:
        """Refuses a set with a shift that names nothing; the message names the scenario.

        Raises:
            RequestError: BAD_SCENARIO.
        """
        for position, scenario in enumerate(scenarios.scenarios):
            for shift in scenario.shifts:
                try:
                    self.quotes_of(shift)
                except RequestError as error:
                    raise RequestError("BAD_SCENARIO", f"scenario {position} {scenario.name!r}: {error}") from error

    def _candidates(self, shift: Shift) -> Iterable[QuoteUse]:
        if shift.target == "quote":
            names = fnmatch.filter(sorted(self._users), shift.name)
            return [QuoteUse(name, "quote", self._longest_use(name)) for name in names]
        roles = _ROLES.get(shift.target, _VOLATILITY_ROLES)
        matching = [item for item in self._objects.values() if self._matches(shift, item)]
        return [use for item in matching for use in item.quotes if use.role in roles]

    def _matches(self, shift: Shift, item: MarketObject) -> bool:
        if shift.target == "currency":
            return item.kind == "curve" and fnmatch.fnmatchcase(item.currency, shift.name)
        kind = "inflation" if item.kind == "year_on_year" else item.kind
        is_smile = shift.target in ("risk_reversal", "butterfly") and kind.endswith("_volatility")
        is_dividend = shift.target == "dividend" and kind == "equity"
        if shift.target != kind and not is_smile and not is_dividend:
            return False
        name = item.name.split("/", 1)[1]
        return fnmatch.fnmatchcase(self._pairs[name] if item.kind == "fx" else name, shift.name)

    def _longest_use(self, quote: str) -> float:
        uses = (use for name in self._users[quote] for use in self._objects[name].quotes)
        return max(use.maturity_years for use in uses if use.quote == quote)

    def _scale_followers(self, changed: dict[str, float], spot_quote: str, ratio: float) -> None:
        for follower in self._followers.get(spot_quote, ()):
            value = changed.get(follower, self._snapshot.quotes.get(follower))
            if value is not None and not isinstance(value, str):
                changed[follower] = value * ratio


def _followers(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Spot quote -> quotes that scale with it: FX points, equity forward prices."""
    followers: dict[str, dict[str, None]] = {}
    for curve in snapshot.curves:
        for segment in curve.segments:
            if isinstance(segment, FxForwards):
                followers.setdefault(segment.spot_quote, {}).update((p.quote, None) for p in segment.pillars)
    for equity in snapshot.equities:
        followers.setdefault(equity.spot_quote, {}).update((p.quote, None) for p in equity.forwards)
    return {spot: tuple(quotes) for spot, quotes in followers.items()}
