"""Quotes to the market matrix: one column of factors per scenario.

Objects are built in dependency order: EUR1D from OIS, then the forward curves under its discounting, then USD, then
USD under EUR collateral, then hazard curves, equities, volatilities. For each object

1. the base is built first, alone; every scenario that leaves the object's quotes and its parents alone copies it;
2. the others are built together, once per distinct set of quotes, starting Newton from the base.

So a scenario's column depends on its own quotes and on the base only, never on its neighbours in the block: the bytes
are the same for any split into blocks (see `curves_system` for the arithmetic). What cannot be built is NaN in its
factors and has a failure with the object, the quote and the reason; what is built on it fails with it, the rest stands.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import CalibrationError, Failure, FailureReason
from xip_core.model import market_instruments as instruments
from xip_core.model.dates import date_of
from xip_core.model.market import IsdaModel, Snapshot
from xip_core.model.scenario import QuoteMatrix, ScenarioMarket, ScenarioSet
from xip_core.pricing.arithmetic import RefTable, log_
from xip_core.pricing.block_quotes import BlockQuotes, matrix_of, quote_matrix
from xip_core.pricing.calibrate_again import (
    KnownBase,
    KnownBlock,
    changed_quotes,
    known_blocks_of,
    reached_since,
    shifted_quotes,
)
from xip_core.pricing.calibrate_failures import PartialFailure, encode_failures
from xip_core.pricing.calibrate_inflation import InflationBuilder
from xip_core.pricing.calibrate_program import BlockWalk, CompiledMarket, compiled_market
from xip_core.pricing.calibrate_versions import Versions, of_columns
from xip_core.pricing.curves_fit import SolvedObject, fit, rising_survival, solve_cold
from xip_core.pricing.curves_hazard import hazard_system
from xip_core.pricing.curves_instruments import curve_system
from xip_core.pricing.curves_isda import solve_isda
from xip_core.pricing.curves_shift import BASIS_POINT, at_nodes, dv01_shift, shift_curves
from xip_core.pricing.curves_system import CurveSystem
from xip_core.pricing.equity_dividends import add_dividends, dividend_shift
from xip_core.pricing.layout_slots import YEAR_DAYS, CurveSlot
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import holding, poll
from xip_core.pricing.surfaces_build import build_smile
from xip_core.pricing.surfaces_caplets import CapletStripper
from xip_core.pricing.surfaces_swaptions import build_swaption_smile
from xip_core.pricing.tile import Columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Quotes = Mapping[str, float | str]

GIVEN_SEGMENTS = (instruments.DiscountFactors, instruments.ZeroSpreads, instruments.ZeroRates)
"""Quotes of a curve that are its factors but for a formula; nothing is solved for."""


def calibrate_tile(
    snapshot: Snapshot,
    layout: SnapshotLayout,
    scenarios: ScenarioSet,
    scenario_begin: int,
    scenario_end: int,
    risk_classes: Collection[str] = (),
) -> Columns:
    """Calibrates the scenarios [scenario_begin, scenario_end).

    Args:
        layout: of this snapshot or of one with the same definitions, whatever its quotes; compiled systems are kept
            with it, so pass the same object again.
        risk_classes: shifts of these alone are applied; () for all.

    Returns:
        `market` f8 (F, S), `dv01_shift` f8 (F,) and `failures` u1 as in docs/tile-outputs.md.
    """
    count = len(scenarios.scenarios)
    if not 0 <= scenario_begin < scenario_end <= count:
        raise ValueError(f"scenarios must be a range in [0, {count}), got [{scenario_begin}, {scenario_end})")
    calibrator, blocks = calibrator_of(snapshot, layout), known_blocks_of(layout)
    calibrator.base_market()
    begun_s = time.thread_time()
    scenario_market, block = calibrator.scenario_market, (scenarios, scenario_begin, scenario_end, risk_classes)
    known = blocks.find(*block, snapshot.quotes)
    shifts, changed = shifted_quotes(known, snapshot.quotes, lambda: scenario_market.quote_block(*block))
    market, failures = calibrator.calibrate_block(changed, known)
    market.flags.writeable = False  # shared by what is known, the output and what the worker keeps of it
    made_s = max(time.thread_time() - begun_s, 0.0 if known is None else known.made_s)
    blocks.keep(KnownBlock(scenarios, snapshot.quotes, changed, market, failures, shifts, made_s), *block[1:])
    if curve_shifts := scenario_market.object_shifts(*block):
        market = market.copy()  # what is known is without them
        shift_curves(layout, market, curve_shifts)
    return calibration_columns(calibrator, market, failures, scenario_begin)


def calibration_columns(
    calibrator: Calibrator, market: Floats, failures: Mapping[tuple[str, int], Failure], begin: int
) -> Columns:
    """The columns of a tile whose first scenario is *begin*."""
    return {"market": market, "dv01_shift": calibrator.dv01_shift, "failures": encode_failures(failures, begin)}


CALIBRATORS_KEPT_MAX = 8
"""Markets of one layout whose base is kept: those of the runs that take turns on a worker; 50 kB each."""

_calibrators_lock = threading.Lock()


def calibrator_of(snapshot: Snapshot, layout: SnapshotLayout) -> Calibrator:
    """The calibrator of a snapshot; the latest of a layout are kept as long as the layout lives."""
    with _calibrators_lock:
        kept = cast("dict[int, Calibrator]", layout.derived.setdefault("calibrators", {}))
        found = kept.pop(id(snapshot), None)  # each keeps its snapshot, so no other one has that id
        if found is None:
            builder = layout.derived.setdefault("builder", ObjectBuilder(snapshot, layout))
            before = next((one.known_base() for one in reversed(kept.values()) if one.known_base()), None)
            found = Calibrator(snapshot, layout, cast("ObjectBuilder", builder), before)
        kept[id(snapshot)] = found
        if len(kept) > CALIBRATORS_KEPT_MAX:
            del kept[next(iter(kept))]
        return found


class Calibrator:
    """The base market of a snapshot, and other markets from it. Shared between threads; fills itself at first use."""

    def __init__(
        self, snapshot: Snapshot, layout: SnapshotLayout, builder: ObjectBuilder, before: KnownBase | None = None
    ) -> None:
        self._snapshot = snapshot
        self._layout = layout
        self._before = before
        self.scenario_market = ScenarioMarket(snapshot)
        self.order = tuple(name for name in layout.order if name in layout.ranges)
        self.builder = builder
        self.dv01_shift = dv01_shift(layout)
        self.base_made_s = 0.0  # what the base takes from the quotes alone
        self._base: Floats | None = None
        self._compiled: CompiledMarket | None = None
        self._numbers: Floats = np.empty(0)
        self._base_failures: dict[str, Failure] = {}
        self._base_lock = threading.Lock()  # slots that start together wait for one base instead of making two

    def calibrate(self, changed: Sequence[Mapping[str, float]]) -> tuple[Floats, dict[tuple[str, int], Failure]]:
        """Market matrix (F, S) for S sets of changed quotes, and failures by (object, column)."""
        return self.calibrate_block(matrix_of(changed, self._snapshot.quotes))

    def calibrate_block(
        self, changed: QuoteMatrix, known: KnownBlock | None = None
    ) -> tuple[Floats, dict[tuple[str, int], Failure]]:
        """Market matrix (F, S) of the scenarios of a block, and failures by (object, column).

        Args:
            known: the same scenarios of another snapshot with the same definitions; saves time and decides no number.
        """
        reached = None if known is None else reached_since(known, self._snapshot.quotes, changed, self.scenario_market)
        base, _ = self.base_market()
        assert self._compiled is not None, "made with the base"
        walk = BlockWalk(self._compiled, base, self._numbers, changed, known, reached or ())
        walk.hold({*self._base_failures, *(name for name, _ in (known.failures if known else ()))})
        failures: dict[tuple[str, int], Failure] = {}
        quotes = BlockQuotes(self._snapshot.quotes, changed)
        for name, found in walk.others():
            if known is not None and reached is not None and name not in reached:
                failures_here = {key: failure for key, failure in known.failures.items() if key[0] == name}
            else:
                failures_here = self._build_other(name, walk.market, quotes, found, failures)
            if failures_here:
                failures |= failures_here
                walk.hold_children()
        return walk.market, failures

    def _build_other(
        self,
        name: str,
        market: Floats,
        quotes: BlockQuotes,
        found: Versions,
        failures: Mapping[tuple[str, int], Failure],
    ) -> dict[tuple[str, int], Failure]:
        """Builds an object that the compiled program leaves alone, into its rows of *market*; its failures."""
        failed: dict[tuple[str, int], Failure] = {}
        if name in self._base_failures:
            failed = {(name, int(c)): self._base_failures[name] for c in np.flatnonzero(found.version_of < 0)}
        if not len(found.columns):
            return failed
        begin, end = self._layout.ranges[name]
        built, built_failures = self._build(name, market, quotes.chosen(found.columns), failures, found.columns)
        touched = np.flatnonzero(found.version_of >= 0)
        if len(found.columns) == market.shape[1]:
            market[begin:end] = built  # versions are numbered in the order of the scenarios
        else:
            market[begin:end, touched] = built[:, found.version_of[touched]]
        for column in touched.tolist() if built_failures else ():
            version = int(found.version_of[column])
            if version in built_failures:
                failed[name, column] = built_failures[version]
        return failed

    def base_market(self) -> tuple[Floats, Mapping[str, Failure]]:
        """Factors (F,) of the snapshot's own quotes, and failures by object. Not to be changed."""
        with holding(self._base_lock):
            if self._base is None:
                begun_s = time.thread_time()
                before_s = 0.0 if self._before is None else self._before.made_s
                base = self._build_base()
                self._compiled = compiled_market(self._layout, self.builder, self.order)
                self._numbers = self._compiled.numbers(self._snapshot.quotes)
                self.base_made_s = max(time.thread_time() - begun_s, before_s)
                self._base = base
            return self._base, self._base_failures

    def known_base(self) -> KnownBase | None:
        """What the next market may begin with; None before there is a base."""
        base = self._base
        if base is None:
            return None
        return KnownBase(self._snapshot.quotes, base, self._base_failures, self.base_made_s)

    def _build_base(self) -> Floats:
        market = np.full((self._layout.factor_count, 1), np.nan)
        failures: dict[tuple[str, int], Failure] = {}
        before, self._before = self._before, None
        quotes = self._snapshot.quotes
        reached = self.scenario_market.reached_by(changed_quotes(before.quotes, quotes)) if before else None
        for name in self.order:
            poll()
            begin, end = self._layout.ranges[name]
            if before is not None and reached is not None and name not in reached:
                market[begin:end, 0] = before.market[begin:end]
                if name in before.failures:
                    failures[name, 0] = before.failures[name]
                continue
            built, found = self._build(name, market, [self._snapshot.quotes], failures, np.zeros(1, dtype=np.int64))
            market[begin:end] = built
            if 0 in found:
                failures[name, 0] = found[0]
        self._base_failures = {name: failure for (name, _), failure in failures.items()}
        self.dv01_shift = self.dv01_shift + dividend_shift(self._layout, market[:, 0], BASIS_POINT)
        return market[:, 0]

    def _build(
        self,
        name: str,
        market: Floats,
        quotes: Sequence[Quotes],
        failures: Mapping[tuple[str, int], Failure],
        columns: Ints,
    ) -> tuple[Floats, dict[int, Failure]]:
        """Factors of one object in some columns of the market: (n, K), and failures by position in *columns*."""
        begin, end = self._layout.ranges[name]
        built = np.full((end - begin, len(columns)), np.nan)
        found: dict[int, Failure] = {}
        for position, column in enumerate(columns.tolist() if failures else ()):
            for parent in self._layout.objects[name].parents:
                if (parent, column) in failures:
                    message = f"{name} needs {parent}, which failed: {failures[parent, column].message}"
                    found[position] = Failure(FailureReason.CALIBRATION_FAILED, message)
                    break
        alive = [position for position in range(len(columns)) if position not in found]
        if alive:
            own = quotes.chosen(np.array(alive)) if isinstance(quotes, BlockQuotes) else quotes
            values, failed = self.builder.build(name, market, own, columns[alive])
            built[:, alive] = values
            for position, failure in failed.items():
                if not isinstance(failure, PartialFailure):
                    built[:, alive[position]] = np.nan
                found[alive[position]] = msgspec.structs.replace(failure, message=f"{name}: {failure.message}")
        return built, found


class ObjectBuilder:
    """Builds one kind of object after another; holds the compiled systems. Reads definitions, never their quotes."""

    def __init__(self, snapshot: Snapshot, layout: SnapshotLayout) -> None:
        self._layout = layout
        self._systems: dict[str, CurveSystem | Failure] = {}
        self.equities = {item.name: item for item in snapshot.equities}
        self.commodities = {item.name: item for item in snapshot.commodities}
        self.hazards = {item.name: item for item in snapshot.hazards}
        self.caps = {
            f"cap_volatility/{item.name}": item for item in snapshot.cap_volatilities if not item.has_caplets
        }
        self._inflation = InflationBuilder(layout, quote_matrix)
        self._strippers: dict[str, CapletStripper] = {}
        self._fx_quotes: dict[str, tuple[str, float]] = {}
        for spot in snapshot.fx_spots:
            is_foreign_base = spot.foreign_currency == snapshot.base_currency
            currency = spot.domestic_currency if is_foreign_base else spot.foreign_currency
            self._fx_quotes[currency] = spot.quote, -1.0 if is_foreign_base else 1.0

    def fx_quote(self, currency: str) -> tuple[str, float]:
        """The quote of a currency, and the sign of its logarithm in the factor."""
        return self._fx_quotes[currency]

    def build(
        self, name: str, market: Floats, quotes: Sequence[Quotes], columns: Ints
    ) -> tuple[Floats, dict[int, Failure]]:
        """Factors (n, K) of an object for K sets of quotes.

        Args:
            market: (F, S); parents are built; the object's own rows hold start values or NaN.
            columns: (K,) of the market that the sets of quotes belong to.
        """
        kind, short_name = name.split("/", 1)
        match kind:
            case "curve":
                return self._curve(self._layout.curves[short_name], market, quotes, columns)
            case "fx":
                quote, sign = self.fx_quote(short_name)
                spots, failures = quote_matrix(quotes, [quote], must_be="positive")
                return sign * log_(spots), failures
            case "equity":
                built = self._equity(short_name, of_columns(market, columns), quotes)
                amounts = functools.partial(quote_matrix, quotes, must_be="not negative")
                return add_dividends(self._layout, short_name, of_columns(market, columns), built, amounts)
            case "commodity":
                commodity = self.commodities[short_name]
                names = [pillar.quote for pillar in commodity.forwards]
                return quote_matrix(quotes, [commodity.spot_quote, *names] if commodity.spot_quote else names)
            case "security":
                return quote_matrix(quotes, [use.quote for use in self._layout.objects[name].quotes])
            case "hazard":
                return self._hazard(short_name, market, quotes, columns)
            case "inflation" | "year_on_year":
                return self._inflation.build(kind, short_name, of_columns(market, columns), quotes)
            case _:
                return self._volatility(name, of_columns(market, columns), quotes)

    def _curve(
        self, slot: CurveSlot, market: Floats, quotes: Sequence[Quotes], columns: Ints
    ) -> tuple[Floats, dict[int, Failure]]:
        names = [item.quote for item in slot.instruments]
        years = ((np.array(slot.knot_days) - self._layout.as_of_day) / YEAR_DAYS)[:, None]
        segment = slot.definition.segments[0]
        if isinstance(segment, instruments.DiscountFactors):
            factors, failures = quote_matrix(quotes, names, must_be="positive")
            return at_nodes(slot, log_(factors)), failures
        values, failures = quote_matrix(quotes, names)
        if isinstance(segment, instruments.ZeroSpreads):
            return values, failures
        if isinstance(segment, instruments.ZeroRates):
            return at_nodes(slot, -years * values), failures
        values = self._effective_quotes(slot, values, quotes, failures)
        system = self.system_of(f"curve/{slot.definition.name}")
        assert system is not None, slot.definition
        if isinstance(system, Failure):
            return values, dict.fromkeys(range(len(quotes)), system)
        days = [f"{item.quote} (pillar {date_of(item.pillar_day)})" for item in slot.instruments]
        return fit(system, days, market, columns, values, years, failures, slot.grid)

    def system_of(self, name: str) -> CurveSystem | Failure | None:
        """The equations an object solves; None where its factors follow from quotes directly."""
        kind, short_name = name.split("/", 1)
        if kind == "curve":
            slot = self._layout.curves[short_name]
            if isinstance(slot.definition.segments[0], GIVEN_SEGMENTS):
                return None
            return self._compiled(name, lambda: curve_system(self._layout, slot))
        definition = self.hazards.get(short_name) if kind == "hazard" else None
        if definition is not None and definition.cds_spreads and not isinstance(definition.isda, IsdaModel):
            return self._compiled(name, lambda: hazard_system(self._layout, self.hazards[short_name]))
        return None

    def solve_cold(self, name: str, market: Floats, quotes: Quotes) -> SolvedObject | None:
        """Solves the equations of one object from a flat start, for what is left of them; None where it has none, or a
        quote cannot be used.

        Args:
            market: (F,), parents built.
        """
        system = self.system_of(name)
        names = [use.quote for use in self._layout.objects[name].quotes]
        short_name = name.split("/", 1)[1]
        if not isinstance(system, CurveSystem):
            return None
        if name.startswith("curve/"):
            slot = self._layout.curves[short_name]
            names, knot_days = [item.quote for item in slot.instruments], slot.knot_days
        else:
            knot_days = self._layout.hazards[short_name].knot_days
        values, failures = quote_matrix([quotes], names)
        given = values.copy()
        if name.startswith("curve/"):
            values = self._effective_quotes(slot, values, [quotes], failures)
        if failures:
            return None
        years = (np.array(knot_days) - self._layout.as_of_day) / YEAR_DAYS
        grid = slot.grid if name.startswith("curve/") else None
        scales = np.divide(values, given, out=np.ones_like(given), where=given != 0.0)[:, 0]
        return solve_cold(system, market, values[:, 0], scales, years, grid)

    def stripper_of(self, name: str) -> CapletStripper | None:
        """The equations of a cap surface; None for any other object."""
        if name not in self.caps:
            return None
        if name not in self._strippers:
            self._strippers[name] = CapletStripper(self._layout, self.caps[name])
        return self._strippers[name]

    def _compiled(self, name: str, make: Callable[[], CurveSystem]) -> CurveSystem | Failure:
        """The system of an object, compiled at first use; a Failure where its terms cannot be written."""
        if name not in self._systems:
            try:
                self._systems[name] = make()
            except CalibrationError as error:
                message = str(error).removeprefix(f"{name}: ")
                self._systems[name] = Failure(FailureReason.CALIBRATION_FAILED, message)
        return self._systems[name]

    def _effective_quotes(
        self, slot: CurveSlot, values: Floats, quotes: Sequence[Quotes], failures: dict[int, Failure]
    ) -> Floats:
        """FX points become fractions of the spot."""
        for position, item in enumerate(slot.instruments):
            segment = slot.definition.segments[item.segment]
            if isinstance(segment, instruments.FxForwards):
                spots, spot_failures = quote_matrix(quotes, [segment.spot_quote], must_be="positive")
                values[position] = values[position] / (segment.points_factor * spots[0])
                failures.update(spot_failures)
        return values

    def _hazard(
        self, name: str, market: Floats, quotes: Sequence[Quotes], columns: Ints
    ) -> tuple[Floats, dict[int, Failure]]:
        definition = self.hazards[name]
        slot = self._layout.hazards[name]
        names = [pillar.quote for pillar in definition.contracts or definition.hazard_rates]
        values, failures = quote_matrix(quotes, names, must_be="finite" if definition.upfronts else "not negative")
        years = ((np.array(slot.knot_days) - self._layout.as_of_day) / YEAR_DAYS)[:, None]
        if definition.hazard_rates:
            return 0.0 - np.cumsum(values * np.diff(years, axis=0, prepend=0.0), axis=0), failures
        if isinstance(definition.isda, IsdaModel):
            knots, failures = solve_isda(self._layout, definition, of_columns(market, columns), values, failures)
            return knots, {**rising_survival(knots, names, values, years), **failures}
        system = self.system_of(f"hazard/{name}")
        assert system is not None, definition
        if isinstance(system, Failure):
            return values, dict.fromkeys(range(len(quotes)), system)
        knots, failures = fit(system, names, market, columns, values, years, failures)
        return knots, {**rising_survival(knots, names, values, years), **failures}

    def _equity(self, name: str, market: Floats, quotes: Sequence[Quotes]) -> tuple[Floats, dict[int, Failure]]:
        definition = self.equities[name]
        slot = self._layout.equities[name]
        spots, failures = quote_matrix(quotes, [definition.spot_quote], must_be="positive")
        log_spot = log_(spots)
        if definition.dividend_yields:
            yields, more = quote_matrix(quotes, [pillar.quote for pillar in definition.dividend_yields])
            return np.vstack([log_spot, yields]), {**failures, **more}
        if not definition.forwards:
            return log_spot, failures
        names = [pillar.quote for pillar in definition.forwards]
        forwards, more = quote_matrix(quotes, names, must_be="positive")
        curve = definition.forecast_curve
        discounts = RefTable([self._layout.log_discount_of_day(curve, day) for day in slot.knot_days]).dot(market)
        years = ((np.array(slot.knot_days) - self._layout.as_of_day) / YEAR_DAYS)[:, None]
        yields = (log_spot - discounts - log_(forwards)) / years
        return np.vstack([log_spot, yields]), {**failures, **more}

    def _volatility(self, name: str, market: Floats, quotes: Sequence[Quotes]) -> tuple[Floats, dict[int, Failure]]:
        if name in self._layout.smiles:
            return build_smile(self._layout, name, market, quotes, quote_matrix)
        if name in self._layout.swaption_smiles:
            return build_swaption_smile(self._layout, name, market, quotes, quote_matrix)
        values, failures = quote_matrix(quotes, [q.quote for q in self._layout.objects[name].quotes], "not negative")
        if name in self._layout.terms:
            days = np.array(self._layout.terms[name].knot_days)
        elif self._layout.grids[name].is_total_variance:
            grid = self._layout.grids[name]
            days = np.repeat(np.array(grid.row_days), len(grid.columns))
        elif stripper := self.stripper_of(name):
            nodes, misfits = stripper.strip(market, values)
            partial = {column: PartialFailure(misfit.reason, misfit.message) for column, misfit in misfits.items()}
            return nodes, {**partial, **failures}
        else:
            return values, failures
        years = ((days - self._layout.as_of_day) / YEAR_DAYS)[:, None]
        return values * values * years, failures
