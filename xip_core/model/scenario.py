"""Scenarios: named lists of shifts, and tables of them, applied to quotes before anything is calibrated.

A shift says what (a kind of object and a name pattern), where along the maturities (a bucket; for volatilities also
strikes, moneyness, swap tenors), and how much, with the unit in the field's name: `shift_bps` adds basis points,
`shift_relative` multiplies by 1 + x, `shift_factor` multiplies by x, `shift_absolute` adds in the quote's own unit.
Scenario 0 is the base and has no shift. Shifts of one scenario apply one after the other, then the tables of the set
in their order (`model.scenario_table`).

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
    risk_class             the levels of one class ("FX", "VOLATILITY"): `model.risk_class` has which those are
    zero_rate              no quotes: the zero rates of a curve after calibration, those of the bucket
    hazard_rate            likewise the average hazard rates -ln(survival) / t of a hazard curve

A shift that names nothing is refused when the run is planned: a stress that silently does nothing is worse than none.
So are **contradictory** shifts (CONTRADICTORY_SHIFTS): two tables that name one quote in one scenario; and, where the
set says `exclusive`, any two shifts of one scenario that change one quote.

A scenario can be seen through one risk class: shifts of quotes of other classes are then left out, whatever named them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import get_args

import msgspec

from xip_core.errors import RequestError
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import FxForwards, Record
from xip_core.model.market_objects import build_order, market_objects, maturity_years
from xip_core.model.risk_class import RiskClass
from xip_core.model.scenario_aim import Aims
from xip_core.model.scenario_index import has_target, shifts_of_block
from xip_core.model.scenario_matrix import (
    AimedQuotes,
    ObjectShift,
    QuoteBlock,
    QuoteMatrix,
    QuoteNumbers,
    object_shifts,
)
from xip_core.model.scenario_shift import CURVE_TARGETS, Shift, Target
from xip_core.model.scenario_table import ShiftTable
from xip_core.model.unreadable import UNREADABLE, fault_of

__all__ = [
    "ObjectShift",
    "QuoteMatrix",
    "Scenario",
    "ScenarioMarket",
    "ScenarioSet",
    "Shift",
    "ShiftTable",
    "Target",
    "base_only",
    "decode_scenarios",
    "encode_scenarios",
]

SCENARIO_COUNT_MAX = 100_000

SHIFT_CACHE_MAX = 1_000
"""Shifts whose quotes are remembered; scenarios of one run repeat theirs in every tile."""


class Scenario(Record, frozen=True, kw_only=True):
    """A named list of shifts."""

    name: str
    shifts: tuple[Shift, ...] = ()


class ScenarioSet(Record, frozen=True, kw_only=True):
    """Scenarios in order; the first is the base.

    Attributes:
        tables: shifts of many quotes in many scenarios, beside those the scenarios name.
        exclusive: no quote may be changed twice in one scenario.
    """

    scenarios: tuple[Scenario, ...]
    tables: tuple[ShiftTable, ...] | msgspec.UnsetType = msgspec.UNSET  # unset is not written: bytes as without it
    exclusive: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def shift_tables(self) -> tuple[ShiftTable, ...]:
        """`tables`, none where unset."""
        return () if isinstance(self.tables, msgspec.UnsetType) else self.tables

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
        for table in self.shift_tables:
            if table.last > len(self.scenarios):
                raise RequestError(
                    "BAD_SCENARIO", f"a table must end with scenario {len(self.scenarios) - 1}, got {table.last - 1}"
                )
        for one, other in itertools.combinations(self.shift_tables, 2):
            _refuse_overlap(one, other)


def _refuse_overlap(one: ShiftTable, other: ShiftTable) -> None:
    """Tables come from generators: the same quote in two of them was drawn twice, not meant to move twice."""
    first, last = max(one.first, other.first), min(one.last, other.last)
    if first >= last or one.target != other.target:
        return
    both = set(one.names) & set(other.names)
    if both:
        message = f"two tables must not shift one {one.target} in one scenario, got {min(both)!r} in scenario {first}"
        raise RequestError("CONTRADICTORY_SHIFTS", message)


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
        known = f"; a target must be one of {', '.join(get_args(Target))}" if ".target`" in str(error) else ""
        fault = f"{fault_of(encoded, error)}{known}"
        raise RequestError("BAD_SCENARIO", f"scenario set does not decode: {fault}") from error


def base_only() -> ScenarioSet:
    """The set with nothing but the base."""
    return ScenarioSet(scenarios=(Scenario(name="base"),))


_TABLE_KINDS = {
    "quote": "", "zero_rate": "curve/", "discount": "curve/", "hazard_rate": "hazard/", "survival": "hazard/",
}  # fmt: skip
"""Target of a table to what its names begin with as market objects; quotes are none."""


class ScenarioMarket:
    """Scenarios seen against one snapshot: which quotes a shift means, and which objects that reaches.

    Immutable after construction but for its cache; a set of scenarios is checked with `check`, and applied in blocks
    with `quote_matrix`, or one by one with `changed_quotes`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._objects = market_objects(snapshot)
        self._order = build_order(self._objects)
        self._users: dict[str, list[str]] = {}
        for market_object in self._objects.values():
            for use in market_object.quotes:
                self._users.setdefault(use.quote, []).append(market_object.name)
        self._aims = Aims(snapshot, self._objects)
        self._quotes_of_aim: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._numbers = QuoteNumbers(snapshot.quotes, _followers(snapshot))
        self._quotes_aimed_at: dict[tuple[tuple[object, ...], tuple[str, ...]], AimedQuotes] = {}

    def quotes_of(self, shift: Shift) -> tuple[str, ...]:
        """Names of the quotes a shift changes directly, in the order of the objects; none of a shift of curves.

        Raises:
            RequestError: BAD_SCENARIO where it names nothing in the market.
        """
        known = self._quotes_of_aim.get(shift.aim)
        if known is not None:
            return known
        is_of_curves = shift.target in CURVE_TARGETS
        found = self._aims.curves(shift) if is_of_curves else self._aims.quotes(shift)
        if not found:
            hint = self._aims.hint(shift.target, shift.name)
            raise RequestError("BAD_SCENARIO", f"{shift} names nothing in the market: {hint}")
        if len(self._quotes_of_aim) >= SHIFT_CACHE_MAX:
            self._quotes_of_aim.clear()
        quotes = self._quotes_of_aim[shift.aim] = () if is_of_curves else found
        return quotes

    def risk_class_of(self, quote: str) -> RiskClass | None:
        """Risk class of a quote; None of one that no object is made from."""
        return self._aims.risk_class(quote)

    def quote_matrix(
        self, scenarios: ScenarioSet, begin: int, end: int, risk_classes: Collection[str] = ()
    ) -> QuoteMatrix:
        """
        The quotes that the scenarios [begin, end) change, as an array.

        A quote that is no number stays what it is, and has no row. What shifts an object after calibration is in
        `object_shifts`.

        Args:
            risk_classes: leave out shifts of quotes of other classes; () for none.
        """
        return self.quote_block(scenarios, begin, end, risk_classes).matrix()

    def quote_block(
        self, scenarios: ScenarioSet, begin: int, end: int, risk_classes: Collection[str] = ()
    ) -> QuoteBlock:
        """The shifts behind `quote_matrix`, which may be applied to the quotes of other snapshots as well."""
        block = QuoteBlock(self._numbers, begin, end)
        keeps = (lambda quote: self._aims.risk_class(quote) in risk_classes) if risk_classes else None
        for shifts in shifts_of_block(scenarios.scenarios, begin, end):
            block.add_shifts(shifts, self._aimed(shifts.aim, tuple(risk_classes)))
        for table in scenarios.shift_tables:
            block.add_table(table, keeps)
        return block

    def _aimed(self, shift: Shift, risk_classes: tuple[str, ...]) -> AimedQuotes:
        """What the aim of a shift is here, looked up once."""
        key = shift.aim, risk_classes
        found = self._quotes_aimed_at.get(key)
        if found is None:
            quotes = self.quotes_of(shift)
            if risk_classes:
                quotes = tuple(quote for quote in quotes if self._aims.risk_class(quote) in risk_classes)
            shifted = None if shift.target == "quote" else ()
            found = self._numbers.aimed(quotes, shifted, is_by_strike=shift.has_strikes)
            if len(self._quotes_aimed_at) >= SHIFT_CACHE_MAX:
                self._quotes_aimed_at.clear()
            self._quotes_aimed_at[key] = found
        return found

    def object_shifts(
        self, scenarios: ScenarioSet, begin: int, end: int, risk_classes: Collection[str] = ()
    ) -> list[ObjectShift]:
        """What shifts curves and hazard curves after calibration in the scenarios [begin, end), in order."""
        is_kept = {"curve": "INTEREST_RATE", "hazard": "CREDIT"}
        kinds = [kind for kind, one in is_kept.items() if not risk_classes or one in risk_classes]
        named: list[tuple[int, Shift, tuple[str, ...]]] = []
        is_of_curves = has_target(scenarios.scenarios, begin, end, CURVE_TARGETS)
        for position, scenario in enumerate(scenarios.scenarios[begin:end] if is_of_curves else ()):
            for shift in scenario.shifts:
                if shift.target in CURVE_TARGETS:
                    named.append((position, shift, self._aims.curves(shift)))
        found = object_shifts(named, scenarios.shift_tables, begin, end, self._snapshot.as_of)
        return [shift for shift in found if shift.market_object.split("/", 1)[0] in kinds]

    def changed_quotes(self, scenario: Scenario) -> dict[str, float]:
        """Quotes with another value than in the snapshot by the shifts that *scenario* names."""
        alone = ScenarioSet(scenarios=(Scenario(name="base" if scenario.name != "base" else "0"), scenario))
        return self.quote_matrix(alone, 1, 2).changed()[0]

    def touched_objects(self, scenario: Scenario) -> frozenset[str]:
        """Objects that are other than in the base: those whose quotes change, and all that is built on them."""
        touched = self.reached_by(self.changed_quotes(scenario))
        shifted = (name for s in scenario.shifts if s.target in CURVE_TARGETS for name in self._aims.curves(s))
        return touched | frozenset(shifted)

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

    @property
    def quote_use_count(self) -> int:
        """Quotes of all objects, one that several name counted for each: at least as many as factors."""
        return sum(len(item.quotes) for item in self._objects.values())

    def check(self, scenarios: ScenarioSet) -> None:
        """Refuses a set with a shift that names nothing, or with contradictory ones; the message names the scenario.

        Raises:
            RequestError: BAD_SCENARIO, CONTRADICTORY_SHIFTS.
        """
        for position, scenario in enumerate(scenarios.scenarios):
            for shift in scenario.shifts:
                try:
                    self.quotes_of(shift)
                except RequestError as error:
                    raise RequestError("BAD_SCENARIO", f"scenario {position} {scenario.name!r}: {error}") from error
        for table in scenarios.shift_tables:
            self._check_table(table)
        if scenarios.exclusive is True:
            for position in range(1, len(scenarios.scenarios)):
                self._refuse_twice_changed(scenarios, position)

    def _check_table(self, table: ShiftTable) -> None:
        kind = _TABLE_KINDS[table.target]
        for row, name in enumerate(table.names):
            is_known = kind + name in self._objects if kind else name in self._users
            if not is_known:
                where = f"row {row} of a table of {table.target} shifts"
                hint = self._aims.hint(table.target, name)
                raise RequestError("BAD_SCENARIO", f"{where} names nothing in the market: {name!r}; {hint}")
            if kind and maturity_years(table.tenors[row], self._snapshot.as_of) <= 0.0:
                message = f"a tenor of {name!r} in a table must lie after the as-of date, got {table.tenors[row]!r}"
                raise RequestError("BAD_SCENARIO", message)

    def _refuse_twice_changed(self, scenarios: ScenarioSet, position: int) -> None:
        scenario = scenarios.scenarios[position]
        by: dict[str, str] = {}
        changes = [(str(shift), self.quotes_of(shift) or self._aims.curves(shift)) for shift in scenario.shifts]
        for table in scenarios.shift_tables:
            if table.first <= position < table.last:
                sizes = table.columns(position, position + 1)[:, 0].tolist()
                moved = (name for name, size in zip(table.names, sizes, strict=True) if size != table.neutral)
                prefix = _TABLE_KINDS[table.target]
                changes.append(("a table", tuple(dict.fromkeys(prefix + name for name in moved))))
        for words, names in changes:
            for name in names:
                if name in by:
                    where = f"scenario {position} {scenario.name!r} of an exclusive set"
                    message = f"{where} must change {name} once, got {by[name]} and {words}"
                    raise RequestError("CONTRADICTORY_SHIFTS", message)
                by[name] = words


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
