"""How every market factor moves with every quote, by the implicit function theorem: no quote is bumped.

An object with factors x, built from quotes q and from the factors m of its parents, solves r(x, m, q) = 0. So

    dx/dq = -(dr/dx)^-1 (dr/dq + dr/dm dm/dq)

where dm/dq is what was found for the parents before: the chain rule over the graph of objects, overnight curve to
forward curve to cross-currency curve to hazard curve to caplet volatilities. All derivatives of r are exact
(`curves_system`, `surfaces_caplets`). Objects whose factors are formulas of their quotes have them differentiated.

    curves from instruments, hazard curves from CDS spreads, caplet volatilities,
    SABR and SVI smiles                                                               implicit function
    FX points                                                                         and their quotient with the spot
    given rates, spreads, discount factors, hazard rates, FX and equity spots,
    equity forwards and dividend yields, commodity prices, volatilities, securities'
    spreads                                                                           formula
    any other kind of object: inflation curves, ISDA hazard curves                    central differences of that object
                                                                                      alone, chained like the others

    jacobian = quote_jacobian(snapshot)
    ladder = jacobian.ladder(gradient)          (rows, factors) to (rows, quotes): par-quote sensitivities

Source: M. Henrard, Interest Rate Modelling in the Multi-curve Framework (2014), ch. 4; P. White, Multiple curve
construction (OpenGamma, 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure
from xip_core.model import market_instruments as instruments
from xip_core.model.market import Snapshot, usable_quote
from xip_core.pricing.calibrate import Calibrator, ObjectBuilder, calibrator_of
from xip_core.pricing.curves_system import CurveSystem
from xip_core.pricing.layout_slots import YEAR_DAYS
from xip_core.pricing.linear import product, solve
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll
from xip_core.pricing.surfaces_build import smile_builder
from xip_core.pricing.surfaces_sensitivities import FittedSmile, smile_derivatives
from xip_core.pricing.surfaces_smiles import SmileSlot, SwaptionSlot
from xip_core.pricing.surfaces_swaptions import swaption_smile_builder

Floats = npt.NDArray[np.float64]

DIFFERENCE_STEP = 1e-5
"""Of a quote or factor, for objects without formulas: an error of 1e-10 of the third derivative, 1e-11 of rounding."""


class ObjectSensitivity(msgspec.Struct, frozen=True):
    """Of one object.

    Attributes:
        begin, end: its factors are rows [begin, end) of the market vector.
        quotes: those it depends on, its own or through parents, sorted.
        matrix: (end - begin, len(quotes)), d factor / d quote.
    """

    begin: int
    end: int
    quotes: tuple[str, ...]
    matrix: Floats


class QuoteJacobian(msgspec.Struct, frozen=True):
    """d factor / d quote of a base market, block by block.

    Attributes:
        quotes: all quotes any object depends on, sorted: the columns of `dense` and `ladder`.
        objects: by name, parents first; objects that failed are in `failures` instead.
        failed_ranges: factors of the objects that failed.
    """

    quotes: tuple[str, ...]
    factor_count: int
    objects: dict[str, ObjectSensitivity]
    failures: dict[str, Failure]
    failed_ranges: tuple[tuple[int, int], ...]

    def dense(self) -> Floats:
        """(factor_count, quotes); NaN in the rows of objects that failed."""
        place = {quote: position for position, quote in enumerate(self.quotes)}
        found = np.zeros((self.factor_count, len(self.quotes)))
        for item in self.objects.values():
            found[item.begin : item.end, [place[quote] for quote in item.quotes]] = item.matrix
        for begin, end in self.failed_ranges:
            found[begin:end] = np.nan
        return found

    def ladder(self, gradient: Floats) -> Floats:
        """Sensitivities to quotes from sensitivities to factors.

        Args:
            gradient: (R, factor_count), d value / d factor.

        Returns:
            (R, quotes), d value / d quote, per 1.00 of the quote; NaN for a row that depends on an object that failed.

        Raises:
            ValueError: the gradient has another width.
        """
        if gradient.ndim != 2 or gradient.shape[1] != self.factor_count:
            raise ValueError(f"gradient must have shape (rows, {self.factor_count}), got {gradient.shape}")
        place = {quote: position for position, quote in enumerate(self.quotes)}
        found = np.zeros((len(gradient), len(self.quotes)))
        for item in self.objects.values():
            own = gradient[:, item.begin : item.end]
            if own.any():
                found[:, [place[quote] for quote in item.quotes]] += product(own, item.matrix)
        for begin, end in self.failed_ranges:
            found[gradient[:, begin:end].any(axis=1)] = np.nan
        return found


def quote_jacobian(snapshot: Snapshot, layout: SnapshotLayout | None = None) -> QuoteJacobian:
    """d factor / d quote of the snapshot's base market.

    Args:
        layout: of this snapshot, where there is one already: its compiled systems are used again.
    """
    layout = layout or SnapshotLayout(snapshot)
    calibrator = calibrator_of(snapshot, layout)
    market, failures = calibrator.base_market()
    writer = _Writer(snapshot, layout, calibrator, market)
    objects: dict[str, ObjectSensitivity] = {}
    for name in calibrator.order:
        poll()
        if name not in failures:
            objects[name] = writer.write(name, objects)
    return QuoteJacobian(
        tuple(sorted({quote for item in objects.values() for quote in item.quotes})),
        layout.factor_count,
        objects,
        dict(failures),
        tuple(layout.ranges[name] for name in calibrator.order if name in failures),
    )


class _Direct(msgspec.Struct, frozen=True):
    """Derivatives of an object's factors, its parents taken as given.

    Attributes:
        quotes: own quotes; by_quote: (n, len(quotes)).
        factors: of parents; by_factor: (n, len(factors)).
    """

    quotes: Sequence[str]
    by_quote: Floats
    factors: Sequence[int] = ()
    by_factor: Floats = np.zeros((0, 0))


class _Writer:
    """Writes the sensitivities of one object after another."""

    def __init__(self, snapshot: Snapshot, layout: SnapshotLayout, calibrator: Calibrator, market: Floats) -> None:
        self._snapshot = snapshot
        self._layout = layout
        self._builder: ObjectBuilder = calibrator.builder
        self._market = market
        self._equities = {item.name: item for item in snapshot.equities}
        self._hazards = {item.name: item for item in snapshot.hazards}

    def write(self, name: str, known: Mapping[str, ObjectSensitivity]) -> ObjectSensitivity:
        begin, end = self._layout.ranges[name]
        direct = self._direct(name)
        blocks = [(direct.quotes, direct.by_quote)]
        for parent in self._layout.objects[name].parents:
            above = known[parent]
            used = [place for place, factor in enumerate(direct.factors) if above.begin <= factor < above.end]
            rows = [direct.factors[place] - above.begin for place in used]
            if used:
                blocks.append((above.quotes, product(direct.by_factor[:, used], above.matrix[rows])))
        quotes = tuple(sorted({quote for names, _ in blocks for quote in names}))
        place_of = {quote: position for position, quote in enumerate(quotes)}
        matrix = np.zeros((end - begin, len(quotes)))
        for names, block in blocks:
            for position, quote in enumerate(names):  # one quote may stand in two instruments
                matrix[:, place_of[quote]] += block[:, position]
        return ObjectSensitivity(begin, end, quotes, matrix)

    def _quote(self, name: str) -> float:
        return usable_quote(self._snapshot.quotes, name)

    def _direct(self, name: str) -> _Direct:
        system = self._builder.system_of(name)
        if isinstance(system, CurveSystem):
            return self._solved(name, system)
        if self._builder.stripper_of(name) is not None:
            return self._caps(name)
        if name in self._layout.swaption_smiles:
            cube = self._layout.swaption_smiles[name]
            return self._smile(name, cube, swaption_smile_builder(self._layout, name))
        if name in self._layout.smiles:
            slot = self._layout.smiles[name]
            builder = smile_builder(self._layout, name)
            return self._differences(name) if slot.is_spline else self._smile(name, slot, builder)
        formula = self._formulas().get(name.split("/", 1)[0])
        return formula(name) if formula else self._differences(name)

    def _formulas(self) -> dict[str, Callable[[str], _Direct]]:
        volatilities = ("fx_volatility", "equity_volatility", "commodity_volatility", "swaption_volatility",
                        "cap_volatility")  # fmt: skip
        return {
            "curve": self._given_curve,
            "fx": self._fx,
            "equity": self._equity,
            "commodity": self._identity,
            "security": self._identity,
            "hazard": self._hazard,
            **dict.fromkeys(volatilities, self._volatility),
        }

    # ---- implicit functions ----------------------------------------------------------------------------------------

    def _solved(self, name: str, system: CurveSystem) -> _Direct:
        instruments_of = self._effective_quotes(name)
        found = system.derivatives(self._market, np.array([value for value, _ in instruments_of]))
        own = slice(system.own_begin, system.own_begin + system.knot_count)
        others = np.r_[0 : own.start, own.stop : len(system.factors)]
        quotes = sorted({quote for _, slopes in instruments_of for quote in slopes})
        right = np.zeros((system.instrument_count, len(quotes)))
        for row, (_, slopes) in enumerate(instruments_of):
            for quote, slope in slopes.items():
                right[row, quotes.index(quote)] = found.by_quote[row] * slope
        slot = self._layout.curves.get(name.split("/", 1)[1]) if name.startswith("curve/") else None
        jacobian = found.by_factor[:, own]
        known = np.hstack([right, found.by_factor[:, others]])
        if slot is not None and slot.grid is not None:  # the unknowns are the knots, the factors follow
            begin = self._layout.ranges[name][0]
            _, by_knot = slot.grid.factors(self._market[begin + slot.grid.knot_places])
            solved = -product(by_knot, solve(product(jacobian, by_knot), known))
        else:
            solved = -solve(jacobian, known)
        return _Direct(quotes, solved[:, : len(quotes)], system.factors[others].tolist(), solved[:, len(quotes) :])

    def _effective_quotes(self, name: str) -> list[tuple[float, dict[str, float]]]:
        """Per instrument the quote its equation sees, and its derivative to the quotes of the snapshot."""
        kind, short_name = name.split("/", 1)
        if kind == "hazard":
            return [(self._quote(use.quote), {use.quote: 1.0}) for use in self._layout.objects[name].quotes]
        slot = self._layout.curves[short_name]
        found = []
        for item in slot.instruments:
            value = self._quote(item.quote)
            segment = slot.definition.segments[item.segment]
            if isinstance(segment, instruments.FxForwards):  # points / (factor * spot)
                spot = self._quote(segment.spot_quote)
                scale = 1.0 / (segment.points_factor * spot)
                slopes = {item.quote: scale, segment.spot_quote: -value * scale / spot}
                found.append((value * scale, slopes))
            else:
                found.append((value, {item.quote: 1.0}))
        return found

    def _caps(self, name: str) -> _Direct:
        stripper = self._builder.stripper_of(name)
        assert stripper is not None, name
        begin, end = self._layout.ranges[name]
        names = [use.quote for use in self._layout.objects[name].quotes]
        quotes = np.array([self._quote(quote) for quote in names])
        nodes = self._market[begin:end][: stripper.node_count]
        found = stripper.derivatives(self._market, quotes, nodes)
        factors = np.flatnonzero(found.by_factor.any(axis=0))
        right = np.hstack([found.by_quote, found.by_factor[:, factors]])
        solved = stripper.with_slopes(nodes, -solve(found.by_node, right))
        return _Direct(names, solved[:, : len(names)], factors.tolist(), solved[:, len(names) :])

    def _smile(self, name: str, slot: SmileSlot | SwaptionSlot, builder: FittedSmile) -> _Direct:
        names = [use.quote for use in self._layout.objects[name].quotes]
        parents = [self._layout.ranges[parent] for parent in self._layout.objects[name].parents]
        factors = [factor for begin, end in parents for factor in range(begin, end)]
        parameters = self._market[slot.begin : slot.begin + slot.factor_count].reshape(-1, slot.width)
        quotes = np.array([self._quote(quote) for quote in names])
        found = smile_derivatives(builder, self._market, quotes, parameters, factors)
        return _Direct(names, found[:, : len(names)], factors, found[:, len(names) :])

    # ---- formulas --------------------------------------------------------------------------------------------------

    def _years(self, days: Sequence[int]) -> Floats:
        return (np.array(days) - self._layout.as_of_day) / YEAR_DAYS

    def _identity(self, name: str) -> _Direct:
        names = [use.quote for use in self._layout.objects[name].quotes]
        return _Direct(names, np.eye(len(names)))

    def _given_curve(self, name: str) -> _Direct:
        slot = self._layout.curves[name.split("/", 1)[1]]
        names = [item.quote for item in slot.instruments]
        match slot.definition.segments[0]:
            case instruments.DiscountFactors():  # log D
                slopes = 1.0 / np.array([self._quote(quote) for quote in names])
            case instruments.ZeroRates():  # -t r
                slopes = -self._years(slot.knot_days)
            case _:  # spreads themselves
                slopes = np.ones(len(names))
        by_quote = np.diag(slopes)
        if slot.grid is not None:
            _, by_knot = slot.grid.factors(self._market[slot.begin + slot.grid.knot_places])
            by_quote = product(by_knot, by_quote)
        return _Direct(names, by_quote)

    def _fx(self, name: str) -> _Direct:
        """The log of the base-currency value of one unit: log S, or -log S where the quote is its inverse."""
        (use,) = self._layout.objects[name].quotes
        spot = self._quote(use.quote)
        definition = next(item for item in self._snapshot.fx_spots if item.quote == use.quote)
        sign = -1.0 if definition.foreign_currency == self._snapshot.base_currency else 1.0
        return _Direct([use.quote], np.array([[sign / spot]]))

    def _equity(self, name: str) -> _Direct:
        definition = self._equities[name.split("/", 1)[1]]
        if definition.dividends:
            return self._differences(name)
        slot = self._layout.equities[definition.name]
        count = len(slot.knot_days)
        spot = self._quote(definition.spot_quote)
        names = [definition.spot_quote, *(p.quote for p in definition.forwards or definition.dividend_yields)]
        by_quote = np.zeros((1 + count, len(names)))
        by_quote[0, 0] = 1.0 / spot
        if not definition.forwards:
            by_quote[1:, 1:] = np.eye(count)
            return _Direct(names, by_quote)
        years = self._years(slot.knot_days)  # q = (log S - log D - log F) / t
        by_quote[1:, 0] = 1.0 / (spot * years)
        by_quote[1:, 1:] = np.diag(-1.0 / (years * np.array([self._quote(quote) for quote in names[1:]])))
        refs = [self._layout.log_discount_of_day(definition.forecast_curve, day) for day in slot.knot_days]
        factors = sorted({factor for pairs in refs for factor, _ in pairs})
        by_factor = np.zeros((1 + count, len(factors)))
        for row, pairs in enumerate(refs):
            for factor, weight in pairs:
                by_factor[1 + row, factors.index(factor)] = -weight / years[row]
        return _Direct(names, by_quote, factors, by_factor)

    def _hazard(self, name: str) -> _Direct:
        """Log survival of given rates: minus the sum of rate times length of the periods so far."""
        if not self._hazards[name.split("/", 1)[1]].hazard_rates:
            return self._differences(name)
        names = [use.quote for use in self._layout.objects[name].quotes]
        lengths = np.diff(self._years(self._layout.hazards[name.split("/", 1)[1]].knot_days), prepend=0.0)
        return _Direct(names, -np.tril(np.tile(lengths, (len(names), 1))))

    def _volatility(self, name: str) -> _Direct:
        """The volatility itself, or total variance: sigma^2 t."""
        names = [use.quote for use in self._layout.objects[name].quotes]
        if name in self._layout.terms:
            years = self._years(self._layout.terms[name].knot_days)
        elif self._layout.grids[name].is_total_variance:
            grid = self._layout.grids[name]
            years = np.repeat(self._years(grid.row_days), len(grid.columns))
        else:
            return self._identity(name)
        return _Direct(names, np.diag(2.0 * np.array([self._quote(quote) for quote in names]) * years))

    # ---- everything else -------------------------------------------------------------------------------------------

    def _differences(self, name: str) -> _Direct:
        """Builds the object alone, with each own quote and each factor of its parents moved up and down."""
        names = sorted({use.quote for use in self._layout.objects[name].quotes})
        parents = [self._layout.ranges[parent] for parent in self._layout.objects[name].parents]
        factors = [factor for begin, end in parents for factor in range(begin, end)]
        steps: list[tuple[dict[str, float | str], Floats]] = []
        for sign in (1.0, -1.0):
            for quote in names:
                moved = {**self._snapshot.quotes, quote: self._quote(quote) + sign * DIFFERENCE_STEP}
                steps.append((moved, self._market))
            for factor in factors:
                market = self._market.copy()
                market[factor] += sign * DIFFERENCE_STEP
                steps.append((self._snapshot.quotes, market))
        matrix = np.ascontiguousarray(np.stack([market for _, market in steps], axis=1))
        found, failures = self._builder.build(name, matrix, [quotes for quotes, _ in steps], np.arange(len(steps)))
        found[:, list(failures)] = np.nan
        half = len(steps) // 2
        slopes = (found[:, :half] - found[:, half:]) / (2.0 * DIFFERENCE_STEP)
        return _Direct(names, slopes[:, : len(names)], factors, slopes[:, len(names) :])
