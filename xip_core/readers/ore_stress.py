"""stresstest.xml of ORE as a scenario set on a reduced market: one scenario a StressTest.

    DiscountCurves, IndexCurves, YieldCurves    zero rates by tenor; Absolute or Relative
    FxSpots, EquitySpots                        spots, which take what is quoted relative to them along
    SecuritySpreads                             spreads of securities; Absolute or Relative
    FxVolatilities, EquityVolatilities          volatilities by expiry
    CapFloorVolatilities                        likewise, the same at every strike
    SwaptionVolatilities                        by expiry and length; a Shift without either is for the rest
    SurvivalProbabilities                       by tenor; Relative

Shifts are linear in days between the tenors given and flat outside, as ORE has them. Objects have the names of a
reduced market (`pricing.simulated_market`): a discount curve its currency, a forecast curve its index. What the market
does not have, and what is not in this list but has entries, moves nothing and is in `OreStresses.unread`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import InputError, RequestError
from xip_core.model.dates import day_number
from xip_core.model.market import Snapshot
from xip_core.model.scenario import Scenario, ScenarioSet
from xip_core.model.scenario_table import ShiftTable, TableTarget, shift_table
from xip_core.readers.ore_files import read_xml
from xip_core.readers.ore_tenors import moved_date, words

Floats = npt.NDArray[np.float64]
Kind = Literal["absolute", "relative", "factor"]


class OreStresses(msgspec.Struct, frozen=True):
    """
    Attributes:
        unread: "scenario: element name" of entries that move nothing in the market.
    """

    scenarios: ScenarioSet
    unread: tuple[str, ...]


def read_ore_stresses(path: Path, reduced: Snapshot) -> OreStresses:
    """
    The base and a scenario for each StressTest of *path*.

    Raises:
        InputError: the file is malformed, or a shift is of a type that is not supported, with the entry's name.
        RequestError: names of stress tests are not distinct.
    """
    tests = read_xml(path).findall("StressTest")
    if not tests:
        raise InputError("must hold a StressTest, got none", str(path))
    scenarios, tables, unread = [Scenario(name="base")], [], []
    for number, element in enumerate(tests, start=1):
        name = element.get("id") or ""
        test = _StressTest(reduced, str(path))
        test.read(element)
        scenarios.append(Scenario(name=name))
        tables += test.tables(number)
        unread += [f"{name}: {entry}" for entry in test.unread]
    found = ScenarioSet(scenarios=tuple(scenarios), tables=tuple(tables)) if tables else None
    if found is None:
        raise RequestError("BAD_SCENARIO", f"{path}: no stress test shifts anything of the market")
    return OreStresses(found, tuple(unread))


class _StressTest:
    """Collects the rows of one scenario."""

    def __init__(self, reduced: Snapshot, path: str) -> None:
        self._market = reduced
        self._path = path
        self._rows: dict[tuple[TableTarget, Kind], dict[tuple[str, str], float]] = {}
        self._readers: dict[str, Callable[[Element], bool]] = {
            "DiscountCurves": lambda entry: self._curve(entry, entry.get("ccy") or ""),
            "IndexCurves": lambda entry: self._curve(entry, entry.get("index") or ""),
            "YieldCurves": lambda entry: self._curve(entry, entry.get("name") or ""),
            "SurvivalProbabilities": self._survival,
            "FxSpots": self._fx_spot,
            "EquitySpots": self._equity_spot,
            "SecuritySpreads": self._security_spread,
            "FxVolatilities": self._fx_volatility,
            "EquityVolatilities": self._equity_volatility,
            "SwaptionVolatilities": self._swaption_volatility,
            "CapFloorVolatilities": self._cap_volatility,
        }
        self.unread: list[str] = []

    def read(self, test: Element) -> None:
        """All entries; those that mean nothing here are noted."""
        for group in test:
            reader = self._readers.get(group.tag)
            for entry in group:
                if reader is None or not reader(entry):
                    name = next(iter(entry.attrib.values()), "")
                    self.unread.append(f"{entry.tag} {name}".strip())

    def tables(self, number: int) -> list[ShiftTable]:
        """Of the scenario *number*."""
        found = []
        for (target, kind), rows in self._rows.items():
            names, tenors = tuple(name for name, _ in rows), tuple(tenor for _, tenor in rows)
            sizes = np.array(list(rows.values()))[:, None]
            is_quote = target == "quote"
            found.append(
                shift_table(
                    kind, names, sizes, number, target, () if is_quote else tenors, moves_followers=kind == "factor"
                )
            )
        return found

    # ---- entries ----------------------------------------------------------------------------------------------------

    def _curve(self, entry: Element, name: str) -> bool:
        if all(curve.name != name for curve in self._market.curves):
            return False
        tenors, shifts = self._by_tenor(entry, "ShiftTenors")
        for tenor, shift in zip(tenors, shifts, strict=True):
            self._add("zero_rate", self._kind(entry), name, tenor, shift)
        return True

    def _survival(self, entry: Element) -> bool:
        name = entry.get("name") or ""
        if all(hazard.name != name for hazard in self._market.hazards):
            return False
        if self._kind(entry) != "relative":
            raise self._bad(entry, "survival probabilities must be shifted by the type Relative")
        tenors, shifts = self._by_tenor(entry, "ShiftTenors")
        for tenor, shift in zip(tenors, shifts, strict=True):
            self._add("survival", "relative", name, tenor, shift)
        return True

    def _fx_spot(self, entry: Element) -> bool:
        pair = entry.get("ccypair") or ""
        for spot in self._market.fx_spots:
            own = spot.foreign_currency + spot.domestic_currency
            if pair not in (own, own[3:] + own[:3]):
                continue
            base = self._market.quotes.get(spot.quote)
            if isinstance(base, float) and base != 0.0:
                is_inverse = pair != own
                factor = self._factor(entry, 1.0 / base if is_inverse else base)
                self._add("quote", "factor", spot.quote, "", 1.0 / factor if is_inverse else factor)
                return True
        return False

    def _equity_spot(self, entry: Element) -> bool:
        for equity in self._market.equities:
            base = self._market.quotes.get(equity.spot_quote)
            if equity.name == entry.get("equity") and isinstance(base, float) and base != 0.0:
                self._add("quote", "factor", equity.spot_quote, "", self._factor(entry, base))
                return True
        return False

    def _security_spread(self, entry: Element) -> bool:
        for security in self._market.known_securities:
            if security.name == entry.get("security") and isinstance(security.spread_quote, str):
                size = self._number(entry, entry.findtext("ShiftSize"))
                self._add("quote", self._kind(entry), security.spread_quote, "", size)
                return True
        return False

    def _fx_volatility(self, entry: Element) -> bool:
        pair = entry.get("ccypair") or ""
        for surface in self._market.fx_volatilities:
            if surface.name in (pair, pair[3:] + pair[:3]):
                rows = [(pillar.tenor, pillar.quote) for pillar in surface.pillars]
                return self._by_expiry(entry, rows, *self._by_tenor(entry, "ShiftExpiries"))
        return False

    def _equity_volatility(self, entry: Element) -> bool:
        for surface in self._market.equity_volatilities:
            if surface.name == entry.get("equity"):
                rows = [(pillar.tenor, pillar.quote) for pillar in surface.pillars]
                return self._by_expiry(entry, rows, *self._by_tenor(entry, "ShiftExpiries"))
        return False

    def _cap_volatility(self, entry: Element) -> bool:
        currency, index = entry.get("ccy") or "", (entry.findtext("Index") or "").strip()
        indices = {item.name: item.currency for item in self._market.indices}
        for surface in self._market.cap_volatilities:
            if surface.index == index or (not index and indices.get(surface.index) == currency):
                given = {s.get("tenor") or "": self._number(entry, s.text) for s in entry.findall("Shifts/Shift")}
                tenors = words(entry.findtext("ShiftExpiries"))
                shifts = [self._given(entry, given, (tenor,)) for tenor in tenors]
                width = len(surface.strikes)
                rows = [(surface.tenors[at // width], quote) for at, quote in enumerate(surface.quotes)]
                return self._by_expiry(entry, rows, tenors, shifts)
        return False

    def _swaption_volatility(self, entry: Element) -> bool:
        for surface in self._market.swaption_volatilities:
            if surface.currency != entry.get("ccy"):
                continue
            given = {
                "/".join(filter(None, (s.get("expiry"), s.get("term")))): self._number(entry, s.text)
                for s in entry.findall("Shifts/Shift")
            }
            expiries, terms = (words(entry.findtext(tag)) for tag in ("ShiftExpiries", "ShiftTerms"))
            if not expiries or not terms:
                raise self._bad(entry, "must have ShiftExpiries and ShiftTerms")
            grid = np.array([[self._given(entry, given, (expiry, term)) for term in terms] for expiry in expiries])
            by_term = np.stack([self._between(terms, row, surface.swap_tenors) for row in grid])
            by_node = np.stack([self._between(expiries, column, surface.expiries) for column in by_term.T], axis=1)
            for quote, shift in zip(surface.quotes, by_node.ravel().tolist(), strict=True):
                self._add("quote", self._kind(entry), quote, "", shift)
            return True
        return False

    def _by_expiry(
        self, entry: Element, rows: Sequence[tuple[str, str]], tenors: tuple[str, ...], shifts: Sequence[float]
    ) -> bool:
        sizes = self._between(tenors, np.array(shifts), [expiry for expiry, _ in rows])
        for (_, quote), size in zip(rows, sizes.tolist(), strict=True):
            self._add("quote", self._kind(entry), quote, "", size)
        return True

    # ---- numbers ----------------------------------------------------------------------------------------------------

    def _add(self, target: TableTarget, kind: Kind, name: str, tenor: str, size: float) -> None:
        self._rows.setdefault((target, kind), {})[name, tenor] = size

    def _kind(self, entry: Element) -> Literal["absolute", "relative"]:
        text = (entry.findtext("ShiftType") or "").strip()
        if text not in ("Absolute", "Relative"):
            raise self._bad(entry, f"shift type must be Absolute or Relative, got {text!r}")
        return "absolute" if text == "Absolute" else "relative"

    def _factor(self, entry: Element, base: float) -> float:
        """Of a spot at *base*."""
        size = self._number(entry, entry.findtext("ShiftSize"))
        factor = 1.0 + (size if self._kind(entry) == "relative" else size / base)
        if factor <= 0.0:
            raise self._bad(entry, f"a spot must stay positive, got a shift of {size!r}")
        return factor

    def _by_tenor(self, entry: Element, tag: str) -> tuple[tuple[str, ...], list[float]]:
        tenors = words(entry.findtext(tag))
        shifts = [self._number(entry, text) for text in words(entry.findtext("Shifts"))]
        if not tenors or len(tenors) != len(shifts):
            raise self._bad(entry, f"must have a shift for each of {tag}, got {len(shifts)} for {len(tenors)}")
        return tenors, shifts

    def _given(self, entry: Element, given: dict[str, float], key: tuple[str, ...]) -> float:
        """The shift of a node, else the one for all others."""
        found = given.get("/".join(key), given.get(""))
        if found is None:
            raise self._bad(entry, f"must have a shift for {' into '.join(key)}")
        return found

    def _between(self, tenors: Sequence[str], shifts: Floats, at: Sequence[str]) -> Floats:
        """Linear in days, flat outside."""
        if not tenors:
            raise InputError("a shift by expiry must have expiries, got none", self._path)
        days, wanted = (np.array([self._day(tenor) for tenor in some]) for some in (tenors, at))
        return np.asarray(np.interp(wanted, days, shifts))

    def _day(self, tenor: str) -> int:
        as_of: dt.date = self._market.as_of
        return day_number(moved_date(as_of, tenor))

    def _number(self, entry: Element, text: str | None) -> float:
        try:
            return float(text or "")
        except ValueError:
            raise self._bad(entry, f"a shift must be a number, got {text!r}") from None

    def _bad(self, entry: Element, sentence: str) -> InputError:
        name = next(iter(entry.attrib.values()), "")
        return InputError(f"{entry.tag} {name}: {sentence}", self._path)
