"""The objects of a market as one compiled program: what a block of scenarios needs is looked up once a layout.

Most objects are plain: their factors follow from their quotes by a formula, or are the knots of a system of equations.
The kernel (`kernels/market_program.pxi`) builds these one after the other for all scenarios of a block without the
interpreter's lock, where each took a dozen calls of NumPy that give the lock away and wait for it again. It stops at
the others, and at a plain one it cannot build: `calibrate.ObjectBuilder` makes these, which knows every kind and finds
the words for what is wrong, with the same bytes for the plain ones.

    a layout ──> MarketProgram, quotes by number       once
    a market ──> base quotes as an array               once
    a block  ──> BlockWalk: plain objects, an other one, plain objects, ...
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import CellError, Failure
from xip_core.kernels import calibration
from xip_core.model import market_instruments as instruments
from xip_core.model.market import CommodityDefinition, EquityDefinition, HazardDefinition, IsdaModel
from xip_core.model.scenario import QuoteMatrix
from xip_core.pricing.calibrate_again import KnownBlock
from xip_core.pricing.calibrate_versions import Versions
from xip_core.pricing.curves_fit import HAZARD_ROUNDING, RESIDUAL_MAX
from xip_core.pricing.curves_system import CurveSystem
from xip_core.pricing.layout import Refs
from xip_core.pricing.layout_slots import YEAR_DAYS, CurveSlot
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll

Floats = npt.NDArray[np.float64]

GENERAL, ELEMENTWISE, CUMULATED, FORWARDS, SOLVED = range(5)
"""Kinds of objects, as the kernel numbers them."""

COPY, LOG, SCALE, SQUARE = range(4)
"""Functions of elementwise factors."""

DOMAINS = {"finite": 0, "positive": 1, "not negative": 2}


class Definitions(Protocol):
    """`calibrate.ObjectBuilder`."""

    @property
    def equities(self) -> Mapping[str, EquityDefinition]: ...

    @property
    def commodities(self) -> Mapping[str, CommodityDefinition]: ...

    @property
    def hazards(self) -> Mapping[str, HazardDefinition]: ...

    @property
    def caps(self) -> Mapping[str, object]: ...

    def fx_quote(self, currency: str) -> tuple[str, float]: ...

    def system_of(self, name: str) -> CurveSystem | Failure | None: ...


class Input(msgspec.Struct, frozen=True):
    """A quote and what becomes of it.

    Attributes:
        spot: quote in whose units times *points_factor* it comes; "" for none.
    """

    quote: str
    domain: str = "finite"
    function: int = COPY
    number: float = 0.0
    spot: str = ""
    points_factor: float = 1.0
    dot: Refs = ()


class Recipe(msgspec.Struct, frozen=True):
    """How one object is built; `GENERAL` by the caller."""

    kind: int = GENERAL
    inputs: tuple[Input, ...] = ()
    system: calibration.System | None = None
    is_survival: bool = False


OTHER = Recipe()


class CompiledMarket:
    """The program of a layout; immutable but for what it found last, shared between threads.

    Attributes:
        order: the objects, parents first.
        quotes: names of the quotes they are made from, by number.
    """

    def __init__(self, layout: SnapshotLayout, definitions: Definitions, order: Sequence[str]) -> None:
        self.order = tuple(order)
        self._place = {name: place for place, name in enumerate(order)}
        recipes = [_recipe(layout, definitions, name) for name in order]
        recipes = [
            recipe if len(recipe.inputs) == layout.ranges[name][1] - layout.ranges[name][0] else OTHER
            for name, recipe in zip(order, recipes, strict=True)
        ]
        seen = [[use.quote for use in layout.objects[name].quotes] for name in order]
        inputs = [one for recipe in recipes for one in recipe.inputs]
        named = (*(quote for quotes in seen for quote in quotes), *(one.quote for one in inputs))
        self.quotes = tuple(dict.fromkeys((*named, *(one.spot for one in inputs if one.spot))))
        self._number_of = {quote: number for number, quote in enumerate(self.quotes)}
        parents = [[self._place[parent] for parent in layout.objects[name].parents] for name in order]
        self._children: dict[int, list[int]] = {}
        for place, found in enumerate(parents):
            for parent in found:
                self._children.setdefault(parent, []).append(place)
        self._last_rows: tuple[tuple[str, ...] | None, npt.NDArray[np.int32]] = None, np.empty(0, dtype=np.int32)
        number_of = self._number_of
        self.program = calibration.MarketProgram(
            [recipe.system for recipe in recipes],
            layout.factor_count,
            len(self.quotes),
            RESIDUAL_MAX,
            HAZARD_ROUNDING,
            kind=_integers(recipe.kind for recipe in recipes),
            factor_begin=_integers(layout.ranges[name][0] for name in order),
            factor_end=_integers(layout.ranges[name][1] for name in order),
            seen_begin=_begins(seen),
            seen_quote=_integers(number_of[quote] for quotes in seen for quote in quotes),
            parent_begin=_begins(parents),
            parent_object=_integers(parent for found in parents for parent in found),
            input_begin=_begins([recipe.inputs for recipe in recipes]),
            input_quote=_integers(number_of[one.quote] for one in inputs),
            input_domain=_integers(DOMAINS[one.domain] for one in inputs),
            input_spot=_integers(number_of[one.spot] if one.spot else -1 for one in inputs),
            input_function=_integers(one.function for one in inputs),
            dot_begin=_begins([one.dot for one in inputs]),
            dot_factor=_integers(factor for one in inputs for factor, _ in one.dot),
            is_survival=_integers(recipe.is_survival for recipe in recipes),
            input_points=np.array([one.points_factor for one in inputs]),
            input_number=np.array([one.number for one in inputs]),
            dot_weight=np.array([weight for one in inputs for _, weight in one.dot]),
        )

    def numbers(self, quotes: Mapping[str, float | str]) -> Floats:
        """Values by number; NaN where one is missing or no number."""
        found = (quotes.get(name) for name in self.quotes)
        return np.array([float(value) if isinstance(value, int | float) else np.nan for value in found])

    def rows(self, names: tuple[str, ...]) -> npt.NDArray[np.int32]:
        """For each quote its place in *names*, -1 where it is not there. Not to be changed."""
        last_names, last_places = self._last_rows
        if last_names is names:  # most blocks of a run change the same quotes, and say so with the same object
            return last_places
        places = np.full(len(self.quotes) + 1, -1, dtype=np.int32)
        nowhere = itertools.repeat(len(self.quotes))  # quotes that no object is made from
        numbers = np.fromiter(map(self._number_of.get, names, nowhere), dtype=np.int64, count=len(names))
        places[numbers] = np.arange(len(names), dtype=np.int32)
        self._last_rows = names, places[:-1]
        return places[:-1]

    def places(self, names: Collection[str]) -> list[int]:
        """Numbers of those objects, ascending."""
        return sorted(self._place[name] for name in names if name in self._place)

    def children(self, place: int) -> Sequence[int]:
        """Objects that are built on one directly."""
        return self._children.get(place, ())


def compiled_market(layout: SnapshotLayout, definitions: Definitions, order: Sequence[str]) -> CompiledMarket:
    """The program of a layout, compiled at first use and kept with it."""
    found = layout.derived.get("compiled_market")
    if found is None:
        found = layout.derived.setdefault("compiled_market", CompiledMarket(layout, definitions, order))
    assert isinstance(found, CompiledMarket), found
    return found


class BlockWalk:
    """One walk through the scenarios of a block.

    Args:
        base: (F,). numbers: `CompiledMarket.numbers` of the snapshot.
        reached: objects that are other than in *known*; the rows of all others are copied from there.
    """

    def __init__(
        self,
        compiled: CompiledMarket,
        base: Floats,
        numbers: Floats,
        changed: QuoteMatrix,
        known: KnownBlock | None = None,
        reached: Collection[str] = (),
    ) -> None:
        self._compiled = compiled
        rows = compiled.rows(changed.quotes)
        arrays = (compiled.program, base, numbers, rows, changed.values, changed.base)
        if known is None:
            self._block = calibration.MarketBlock(*arrays)
        else:
            is_known = np.ones(len(compiled.order), dtype=np.uint8)
            is_known[compiled.places(reached)] = 0
            self._block = calibration.MarketBlock(*arrays, known.market, is_known)

    @property
    def market(self) -> Floats:
        """(F, S), built up to where the walk is; what the caller builds is written into it."""
        return self._block.market

    def others(self) -> Iterator[tuple[str, Versions]]:
        """The objects that the caller has to build, in order."""
        end = len(self._compiled.order)
        while self._block.place < end:
            poll()
            place = self._block.walk_on()
            if place >= 0:
                yield self._compiled.order[place], Versions(*self._block.versions_of(place))

    def hold(self, names: Collection[str]) -> None:
        """Objects ahead that the caller wants to build, plain or not."""
        for place in self._compiled.places(names):
            self._block.hold(place)

    def hold_children(self) -> None:
        """What is built on the object that the walk came to last: it has failed somewhere, and so have they."""
        for place in self._compiled.children(self._block.place - 1):
            self._block.hold(place)


def _integers(values: Iterator[int]) -> npt.NDArray[np.int32]:
    return np.fromiter(values, dtype=np.int32)


def _begins(runs: Sequence[Sequence[object]]) -> npt.NDArray[np.int32]:
    return np.cumsum([0, *map(len, runs)], dtype=np.int32)


# ---- recipes ---------------------------------------------------------------------------------------------------------


def _recipe(layout: SnapshotLayout, definitions: Definitions, name: str) -> Recipe:
    """What `ObjectBuilder.build` does with one object, for those kinds that are plain."""
    kind, short_name = name.split("/", 1)
    match kind:
        case "curve":
            return _curve(layout, definitions, layout.curves[short_name])
        case "fx":
            quote, sign = definitions.fx_quote(short_name)
            return Recipe(ELEMENTWISE, (Input(quote, "positive", LOG, sign),))
        case "equity":
            return _equity(layout, definitions, short_name)
        case "commodity":
            commodity = definitions.commodities[short_name]
            names = [pillar.quote for pillar in commodity.forwards]
            return _copied([commodity.spot_quote, *names] if commodity.spot_quote else names)
        case "security":
            return _copied([use.quote for use in layout.objects[name].quotes])
        case "hazard":
            return _hazard(layout, definitions, short_name)
        case "inflation" | "year_on_year":
            return OTHER
        case _:
            return _volatility(layout, definitions, name)


def _copied(quotes: Sequence[str], domain: str = "finite") -> Recipe:
    return Recipe(ELEMENTWISE, tuple(Input(quote, domain) for quote in quotes))


def _years(layout: SnapshotLayout, days: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
    return (np.array(days) - layout.as_of_day) / YEAR_DAYS


def _gaps(years: Floats) -> list[float]:
    found: list[float] = np.diff(years, prepend=0.0).tolist()
    return found


def _curve(layout: SnapshotLayout, definitions: Definitions, slot: CurveSlot) -> Recipe:
    names = [item.quote for item in slot.instruments]
    segment = slot.definition.segments[0]
    if isinstance(segment, instruments.ZeroSpreads):
        return _copied(names)
    if slot.grid is not None:
        return OTHER
    if isinstance(segment, instruments.DiscountFactors):
        return Recipe(ELEMENTWISE, tuple(Input(name, "positive", LOG, 1.0) for name in names))
    if isinstance(segment, instruments.ZeroRates):
        scales = (-_years(layout, slot.knot_days)).tolist()
        return Recipe(
            ELEMENTWISE, tuple(Input(name, "finite", SCALE, scale) for name, scale in zip(names, scales, strict=True))
        )
    system = definitions.system_of(f"curve/{slot.definition.name}")
    if not isinstance(system, CurveSystem):
        return OTHER
    inputs = []
    for item in slot.instruments:
        segment = slot.definition.segments[item.segment]
        if isinstance(segment, instruments.FxForwards):
            inputs.append(Input(item.quote, spot=segment.spot_quote, points_factor=segment.points_factor))
        else:
            inputs.append(Input(item.quote))
    return Recipe(SOLVED, tuple(inputs), system.kernel)


def _hazard(layout: SnapshotLayout, definitions: Definitions, name: str) -> Recipe:
    definition = definitions.hazards[name]
    names = [pillar.quote for pillar in definition.contracts or definition.hazard_rates]
    domain = "finite" if definition.upfronts else "not negative"
    gaps = _gaps(_years(layout, layout.hazards[name].knot_days))
    if len(gaps) != len(names) or (isinstance(definition.isda, IsdaModel) and not definition.hazard_rates):
        return OTHER
    inputs = tuple(Input(quote, domain, number=gap) for quote, gap in zip(names, gaps, strict=True))
    if definition.hazard_rates:
        return Recipe(CUMULATED, inputs)
    system = definitions.system_of(f"hazard/{name}")
    return Recipe(SOLVED, inputs, system.kernel, is_survival=True) if isinstance(system, CurveSystem) else OTHER


def _equity(layout: SnapshotLayout, definitions: Definitions, name: str) -> Recipe:
    definition = definitions.equities[name]
    spot = Input(definition.spot_quote, "positive", LOG, 1.0)
    if name in layout.dividends:
        return OTHER
    if definition.dividend_yields:
        return Recipe(ELEMENTWISE, (spot, *(Input(pillar.quote) for pillar in definition.dividend_yields)))
    days = layout.equities[name].knot_days
    if len(days) != len(definition.forwards):
        return OTHER
    try:
        dots = [layout.log_discount_of_day(definition.forecast_curve, day) for day in days]
    except CellError:
        return OTHER
    forwards = [
        Input(pillar.quote, "positive", number=years, dot=dot)
        for pillar, years, dot in zip(definition.forwards, _years(layout, days).tolist(), dots, strict=True)
    ]
    return Recipe(FORWARDS, (spot, *forwards)) if forwards else Recipe(ELEMENTWISE, (spot,))


def _volatility(layout: SnapshotLayout, definitions: Definitions, name: str) -> Recipe:
    quotes = [use.quote for use in layout.objects[name].quotes]
    if name in layout.smiles or name in layout.swaption_smiles:
        return OTHER
    if name in layout.terms:
        days = np.array(layout.terms[name].knot_days)
    elif layout.grids[name].is_total_variance:
        days = np.repeat(np.array(layout.grids[name].row_days), len(layout.grids[name].columns))
    else:
        return OTHER if name in definitions.caps else _copied(quotes, "not negative")
    if len(days) != len(quotes):
        return OTHER
    years = _years(layout, days).tolist()
    return Recipe(
        ELEMENTWISE,
        tuple(Input(quote, "not negative", SQUARE, year) for quote, year in zip(quotes, years, strict=True)),
    )
