"""simulation.xml and sensitivity.xml of ORE: the grid a market is reduced to, and the ladders asked of it.

Ladders name objects of the reduced market (`pricing.simulated_market`): the discount curve of a currency has its code
for a name, a forecast curve that of its index. Shifts of hazard rates and of zero rates are those of ORE's "Absolute"
type, spots and volatilities are "Relative" (percent) or "Absolute" (basis points, volatility points); a scheme is
Forward or Central. Gamma is asked for everywhere, as ORE reports it. Objects the market does not have are left out, as
ORE's sets name whole universes.

What has no counterpart is in `Sensitivities.unread` by its name: base correlations, CDS volatilities.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import msgspec

from xip_core.errors import InputError
from xip_core.model.market import Snapshot
from xip_core.model.market_objects import market_objects
from xip_core.model.sensitivity import CrossGamma, Ladder, SensitivitySet
from xip_core.model.sensitivity_kinds import Kind, Scheme, Unit
from xip_core.model.simulation_grid import SimulationGrid
from xip_core.readers.ore_files import read_xml


class Sensitivities(msgspec.Struct, frozen=True):
    """What a sensitivity.xml asks for, and what of it is not read."""

    wanted: SensitivitySet
    unread: tuple[str, ...]


def read_simulation_grid(path: Path) -> SimulationGrid:
    """
    The tenors of simulation.xml.

    Raises:
        InputError: the file is malformed or has no market.
    """
    market = read_xml(path).find("Market")
    if market is None:
        raise InputError("must have an element Market", str(path))

    def tenors(where: str) -> tuple[str, ...]:
        return _words(market.findtext(where) if market is not None else None)

    return SimulationGrid(
        curves=tenors("YieldCurves/Configuration/Tenors"),
        hazards=tenors("DefaultCurves/Tenors"),
        dividends=tenors("Equities/DividendTenors"),
        fx_expiries=tenors("FxVolatilities/Expiries"),
        equity_expiries=tenors("EquityVolatilities/Expiries"),
        swaption_expiries=tenors("SwaptionVolatilities/Expiries"),
        swap_tenors=tenors("SwaptionVolatilities/Terms"),
        cap_expiries=tenors("CapFloorVolatilities/Expiries"),
        cap_strikes=tuple(float(strike) for strike in tenors("CapFloorVolatilities/Strikes")),
        inflations=tenors("ZeroInflationIndexCurves/Tenors"),
        growths=tenors("YYInflationIndexCurves/Tenors"),
    )


class _Group(msgspec.Struct, frozen=True):
    """How the entries of one element become ladders: attribute with the name, kind, pattern with {} for the name."""

    tag: str
    attribute: str
    kind: Kind
    pattern: str
    absolute: Unit = "bp"
    tenors: str = "ShiftTenors"
    across: str = ""


_GROUPS = (
    _Group("DiscountCurves", "ccy", "zero_rate", "curve/{}"),
    _Group("IndexCurves", "index", "zero_rate", "curve/{}"),
    _Group("YieldCurves", "name", "zero_rate", "curve/{}"),
    _Group("FxSpots", "ccypair", "fx", "fx/{}", tenors=""),
    _Group("FxVolatilities", "ccypair", "vega", "fx_volatility/{}", "vol_point", "ShiftExpiries"),
    _Group("SwaptionVolatilities", "ccy", "vega", "swaption_volatility/{}", "bp", "ShiftExpiries", "ShiftTerms"),
    _Group("CapFloorVolatilities", "ccy", "vega", "cap_volatility/{}", "bp", "ShiftExpiries", "ShiftStrikes"),
    _Group("CreditCurves", "name", "hazard_rate", "hazard/{}"),
    _Group("SecuritySpreads", "security", "security_spread", "security/{}", tenors=""),
    _Group("EquitySpots", "equity", "equity", "equity/{}", tenors=""),
    _Group("EquityVolatilities", "equity", "vega", "equity_volatility/{}", "vol_point", "ShiftExpiries"),
    _Group("ZeroInflationIndexCurves", "index", "inflation", "inflation/{}"),
    _Group("YYInflationIndexCurves", "index", "inflation", "year_on_year/{}"),
)
_SIZES: dict[Unit, float] = {"bp": 1e-4, "percent": 0.01, "vol_point": 0.01}


def read_sensitivities(path: Path, reduced: Snapshot, template: str = "") -> Sensitivities:
    """
    The ladders of sensitivity.xml.

    Args:
        reduced: the market they are asked of.
        template: of the products that are meant ("IR_FD"): where an entry has a shift size or scheme under this key,
            it replaces the common one. ORE's pricing engines name a template; numbers are per the common shift still.

    Raises:
        InputError: the file is malformed, or a shift is of a kind that is not supported, with the entry's name.
    """
    root = read_xml(path)
    known = set(market_objects(reduced))
    ladders: list[Ladder] = []
    for group in _GROUPS:
        for entry in root.findall(f"{group.tag}/*"):
            name = _object_name(group, entry, known)
            if name is not None:
                ladders.append(_ladder(group, entry, name, template, str(path)))
    pairs = tuple(_cross_gammas(root.findall("CrossGammaFilter/Pair"), ladders))
    read = {group.tag for group in _GROUPS} | {"CrossGammaFilter"}
    unread = (child.tag for child in root if child.tag not in read and len(child))
    return Sensitivities(SensitivitySet(ladders=tuple(ladders), cross_gammas=pairs), tuple(unread))


def _object_name(group: _Group, entry: Element, known: set[str]) -> str | None:
    """The object of an entry, None where the market has none."""
    name = entry.get(group.attribute) or ""
    if group.tag == "FxSpots":
        name = name[:3]  # "USDEUR" is the price of a dollar in the base currency
    if group.tag == "CapFloorVolatilities":
        name = (entry.findtext("Index") or "").strip()
    for candidate in (name, name[3:] + name[:3]) if group.tag == "FxVolatilities" else (name,):
        if group.pattern.format(candidate) in known:
            return group.pattern.format(candidate)
    return None


def _ladder(group: _Group, entry: Element, name: str, template: str, path: str) -> Ladder:
    where = f"{entry.tag} {name}"
    kind, scheme, size = (_keyed(entry, tag, template) for tag in ("ShiftType", "ShiftScheme", "ShiftSize"))
    if kind not in ("Absolute", "Relative") or scheme not in ("", "Forward", "Central"):
        raise InputError(f"{where}: shift type and scheme {kind!r}, {scheme!r} are not supported", path)
    unit: Unit = group.absolute if kind == "Absolute" else "percent"
    chosen: Scheme = "central" if scheme == "Central" else "forward"
    return Ladder(
        kind=group.kind,
        name=name,
        tenors=_words(entry.findtext(group.tenors)) if group.tenors else (),
        across=_words(entry.findtext(group.across)) if group.across else (),
        unit=unit,
        bump=round(float(size or "nan") / _SIZES[unit], 9),
        scheme=chosen,
        is_gamma=True,
    )


def _keyed(entry: Element, tag: str, template: str) -> str:
    """Text of a child with the template's key, else of the one without a key."""
    found = {child.get("key", ""): (child.text or "").strip() for child in entry.findall(tag)}
    return found.get(template, found.get("", ""))


def _cross_gammas(pairs: Iterable[Element], ladders: list[Ladder]) -> Iterator[CrossGamma]:
    """Pairs of parts of factor names, such as "DiscountCurve/EUR,IndexCurve/EUR"."""
    laddered = {(ladder.kind, ladder.name.split("/", 1)[1]) for ladder in ladders}
    for pair in pairs:
        patterns = [_factor_pattern(part.strip()) for part in (pair.text or "").split(",")]
        if len(patterns) == 2 and all(patterns):
            first, second = patterns
            names = [f"{kind}/{name}" for kind, name in laddered]
            if all(fnmatch.filter(names, str(pattern)) for pattern in patterns):
                yield CrossGamma(first=str(first), second=str(second), scheme="forward")


_FACTORS: dict[str, Literal["zero_rate"]] = {"DiscountCurve": "zero_rate", "IndexCurve": "zero_rate"}


def _factor_pattern(part: str) -> str | None:
    """ "IndexCurve/EUR" is every index whose name begins with EUR and a dash, "DiscountCurve/EUR" the one curve."""
    kind, _, name = part.partition("/")
    if kind not in _FACTORS:
        return None
    return f"{_FACTORS[kind]}/{name}" if kind == "DiscountCurve" else f"{_FACTORS[kind]}/{name}-*"


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())
