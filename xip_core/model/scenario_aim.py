"""Which quotes of a market a named shift means: by kind of object, name, maturity, swap tenor, strike, moneyness."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping

from xip_core.model.market import Snapshot
from xip_core.model.market_objects import MarketObject, QuoteUse, maturity_years
from xip_core.model.risk_class import CLASS_OF_KIND, LEVEL_ROLES, RiskClass, risk_class_of
from xip_core.model.scenario_shift import CURVE_TARGETS, Shift, Unset

HALF_DAY_YEARS = 0.5 / 365.0
"""Slack of buckets: 1Y and 365 days are the same border."""

NAMES_HINTED = 3

_ROLES: dict[str, frozenset[str]] = {
    "curve": frozenset({"rate", "spread"}),
    "currency": frozenset({"rate"}),
    "fx": frozenset({"spot"}),
    "equity": frozenset({"spot"}),
    "commodity": frozenset({"spot", "price"}),
    "hazard": frozenset({"rate"}),
    "security": frozenset({"spread"}),
    "risk_reversal": frozenset({"risk_reversal"}),
    "butterfly": frozenset({"butterfly"}),
    "dividend": frozenset({"dividend"}),
    "inflation": frozenset({"rate"}),
}
_VOLATILITY_ROLES = frozenset({"volatility"})


class Aims:
    """Finds quotes and curves by the words of a shift. Reads definitions, and of the quotes only spots."""

    def __init__(self, snapshot: Snapshot, objects: Mapping[str, MarketObject]) -> None:
        self._snapshot = snapshot
        self._objects = objects
        self._uses: dict[str, list[tuple[MarketObject, QuoteUse]]] = {}
        for item in objects.values():
            for use in item.quotes:
                self._uses.setdefault(use.quote, []).append((item, use))
        self._pairs = {
            (s.domestic_currency if s.foreign_currency == snapshot.base_currency else s.foreign_currency): (
                s.foreign_currency + s.domestic_currency
            )
            for s in snapshot.fx_spots
        }
        self._spot_of_object: dict[str, float | None] = {}

    def quotes(self, shift: Shift) -> tuple[str, ...]:
        """Names in the order of the objects; () where the shift names nothing."""
        after_years, until_years = self._years(shift.after, -1e9), self._years(shift.until, 1e9)
        found: dict[str, None] = {}
        for item, use in self._candidates(shift):
            if not after_years + HALF_DAY_YEARS < use.maturity_years <= until_years + HALF_DAY_YEARS:
                continue
            if shift.has_tenors and not self._has_tenor(shift, use):
                continue
            if shift.has_strikes and not self._has_strike(shift, item, use):
                continue
            found[use.quote] = None
        return tuple(found)

    def curves(self, shift: Shift) -> tuple[str, ...]:
        """Names of the market objects that a shift of zero or hazard rates means."""
        kind = "curve" if shift.target == "zero_rate" else "hazard"
        assert shift.target in CURVE_TARGETS, shift
        names = [item.name for item in self._objects.values() if item.kind == kind]
        return tuple(name for name in names if fnmatch.fnmatchcase(name.split("/", 1)[1], shift.name))

    def hint(self, target: str, name: str) -> str:
        """What the market has in place of a name of *target* that names nothing there."""
        names = self._names(target)
        if not names:
            return f"it has no {target}"
        if any(fnmatch.fnmatchcase(known, name) for known in names):
            return "the name is there, but no such quote in these maturities, tenors and strikes"
        near = difflib.get_close_matches(name, names, NAMES_HINTED) or names[:NAMES_HINTED]
        more = f" and {len(names) - len(near)} more" if len(names) > len(near) else ""
        return f"it has {', '.join(near)}{more}"

    def _names(self, target: str) -> list[str]:
        """What a shift of *target* may name, sorted."""
        match target:
            case "quote":
                return sorted(self._uses)
            case "risk_class":
                return sorted({CLASS_OF_KIND[item.kind] for item in self._objects.values()})
            case "currency":
                return sorted({item.currency for item in self._objects.values() if item.kind == "curve"})
            case "fx":
                return sorted(self._pairs.values())
        kind = {"zero_rate": "curve", "discount": "curve", "hazard_rate": "hazard", "survival": "hazard"}.get(target)
        kind = kind or {"dividend": "equity"}.get(target, target)
        is_smile = target in ("risk_reversal", "butterfly")
        objects = (item for item in self._objects.values() if item.kind == kind or (is_smile and "_vol" in item.kind))
        return sorted(item.name.split("/", 1)[1] for item in objects)

    def risk_class(self, quote: str) -> RiskClass | None:
        """Class of a quote; of one in several objects that of its level: the spot of an FX forward curve is FX."""
        classes = {risk_class_of(item.kind, use.role) for item, use in self._uses.get(quote, ())}
        order: tuple[RiskClass, ...] = ("FX", "EQUITY", "COMMODITY", "VOLATILITY", "CREDIT", "INFLATION")
        return next((one for one in order if one in classes), "INTEREST_RATE" if classes else None)

    def _years(self, tenor: str | Unset, default: float) -> float:
        return maturity_years(tenor, self._snapshot.as_of) if tenor and not isinstance(tenor, Unset) else default

    def _candidates(self, shift: Shift) -> Iterable[tuple[MarketObject, QuoteUse]]:
        if shift.target == "quote":
            names = fnmatch.filter(sorted(self._uses), shift.name)
            return [max(self._uses[name], key=lambda found: found[1].maturity_years) for name in names]
        if shift.target == "risk_class":
            return self._of_classes(shift.name)
        roles = _ROLES.get(shift.target, _VOLATILITY_ROLES)
        matching = [item for item in self._objects.values() if self._matches(shift, item)]
        return [(item, use) for item in matching for use in item.quotes if use.role in roles]

    def _of_classes(self, pattern: str) -> Iterable[tuple[MarketObject, QuoteUse]]:
        for item in self._objects.values():
            risk_class = CLASS_OF_KIND[item.kind]
            if fnmatch.fnmatchcase(risk_class, pattern):
                yield from ((item, use) for use in item.quotes if use.role in LEVEL_ROLES[risk_class])

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

    def _has_tenor(self, shift: Shift, use: QuoteUse) -> bool:
        if use.tenor_years is None:
            return False
        after, until = self._years(shift.tenor_after, -1e9), self._years(shift.tenor_until, 1e9)
        return after + HALF_DAY_YEARS < use.tenor_years <= until + HALF_DAY_YEARS

    def _has_strike(self, shift: Shift, item: MarketObject, use: QuoteUse) -> bool:
        is_by_strike = not isinstance(shift.strike_from, Unset) or not isinstance(shift.strike_until, Unset)
        if is_by_strike and (use.strike is None or not _is_within(use.strike, shift.strike_from, shift.strike_until)):
            return False
        if isinstance(shift.moneyness_from, Unset) and isinstance(shift.moneyness_until, Unset):
            return True
        moneyness = self._moneyness(item, use)
        return moneyness is not None and _is_within(moneyness, shift.moneyness_from, shift.moneyness_until)

    def _moneyness(self, item: MarketObject, use: QuoteUse) -> float | None:
        if use.strike is None:
            return 1.0 if use.role == "volatility" else None
        if use.strike_axis == "moneyness":
            return use.strike
        if use.strike_axis != "strike":
            return None
        spot = self._spot(item)
        return use.strike / spot if spot else None

    def _spot(self, item: MarketObject) -> float | None:
        """Of what the surface is on, from the snapshot's quotes; a commodity without spot has its first forward."""
        if item.name not in self._spot_of_object:
            self._spot_of_object[item.name] = self._found_spot(item)
        return self._spot_of_object[item.name]

    def _found_spot(self, item: MarketObject) -> float | None:
        name = item.name.split("/", 1)[1]
        if item.kind == "fx_volatility":
            foreign, domestic = (self._base_value(currency) for currency in (name[:3], name[3:]))
            return foreign / domestic if foreign and domestic else None
        of = self._objects.get(f"{item.kind.removesuffix('_volatility')}/{name}")
        uses = [use for use in of.quotes if use.role in ("spot", "price")] if of is not None else []
        return self._number(uses[0].quote) if uses else None

    def _base_value(self, currency: str) -> float | None:
        if currency == self._snapshot.base_currency:
            return 1.0
        for spot in self._snapshot.fx_spots:
            if currency in (spot.foreign_currency, spot.domestic_currency):
                rate = self._number(spot.quote)
                return rate if currency == spot.foreign_currency or not rate else 1.0 / rate
        return None

    def _number(self, quote: str) -> float | None:
        value = self._snapshot.quotes.get(quote)
        return value if isinstance(value, float) else None


def _is_within(value: float, low: float | Unset, high: float | Unset) -> bool:
    """In the closed range, with a slack of rounding: 0.9 is in [0.9, 1.1] whatever it was divided by."""
    slack = 1e-12 * abs(value)
    return (isinstance(low, Unset) or value >= low - slack) and (isinstance(high, Unset) or value <= high + slack)
