"""Survival curves from quotes of standard contracts, read by the ISDA standard model.

Each contract determines the hazard rate of the segment that ends with its maturity, those before it being known, so
the curve is built contract by contract. Per unit of notional, with the legs of `pricing.isda`, a contract that pays
the coupon c and was bought for the upfront u, without what had accrued, is worth

    f = (1 - R) protection - c (premium + accrual at default - accrued D(settlement)) - u D(settlement) = 0

A par spread is a coupon with u = 0. f is smooth and nearly linear in the hazard rate; the secant method starts from the
credit triangle and takes some seven steps to the last digit. A scenario stops by itself, all operations are elementwise
over scenarios, and sums run in the order of the contract: the bytes depend neither on the block nor on the CPU.

Source: ISDA CDS Standard Model, C code v1.8.2 (cdsbootstrap.c, cdsone.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from xip_core.errors import CalibrationError, CellError, Failure, FailureReason
from xip_core.kernels import default_steps, terms
from xip_core.model.calendars import calendar
from xip_core.model.dates import date_of
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import HazardDefinition, IsdaModel
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Schedule
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.isda import accrued_days, cash_settlement_day, isda_legs
from xip_core.pricing.layout import Refs
from xip_core.pricing.layout_slots import YEAR_DAYS, combine_refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll

Floats = npt.NDArray[np.float64]

STEP_COUNT_MAX = 40
"""Secant steps; a contract that needs more has no hazard rate that explains its quote."""

STEP_SIZE_MAX = 1e-11
"""A relative step this small is the last: the secant's error is about its product with the step before."""

RESIDUAL_MAX = 1e-12
"""Of the notional; what rounding leaves of a contract that fits is a hundred times less."""


class QuotedContract:
    """One quoted contract, compiled for the kernels."""

    def __init__(self, layout: SnapshotLayout, definition: HazardDefinition, maturity_day: int) -> None:
        isda = definition.isda
        assert isinstance(isda, IsdaModel), definition.name
        schedule = Schedule(
            start=layout.as_of,
            end=date_of(maturity_day),
            tenor="3M",
            calendar=definition.calendar,
            convention="following",
            rule="cds2015",
        )
        ends = boundaries(schedule)
        ends[-1] = maturity_day
        pays = calendar(definition.calendar).adjust(ends[1:], "following").tolist()
        days: list[int] = ends.tolist()
        name, curve, as_of_day = definition.name, definition.discount_curve, layout.as_of_day
        nodes = sorted({*layout.discount_nodes(curve), *layout.survival_nodes(name)})
        legs = isda_legs(days, pays, definition.day_count, as_of_day, as_of_day, nodes, isda.accrual_on_default)
        discount, survival = layout.log_discount_of_day, layout.log_survival_of_day
        places: dict[int, int] = {}
        for step in legs.steps:
            places.setdefault(step.begin_day, len(places))
            places.setdefault(step.end_day, len(places))
        self._discounts = RefTable([discount(curve, day) for day in places])
        self._survivals = RefTable([survival(name, day) for day in places])
        self._begin = np.array([places[step.begin_day] for step in legs.steps], dtype=np.int32)
        self._end = np.array([places[step.end_day] for step in legs.steps], dtype=np.int32)
        self._protection = _Sum(np.ones(len(legs.steps)))
        self._accrual = _Sum(np.array([x for s in legs.steps for x in (s.elapsed, s.growth)]), pairs=True)
        paid: list[Refs] = [
            combine_refs((1.0, discount(curve, c.pay_day)), (1.0, survival(name, c.survival_day)))
            for c in legs.coupons
        ]
        self._coupons = RefTable(paid)
        self._premium = _Sum(np.array([coupon.accrual for coupon in legs.coupons]))
        self._settlement = RefTable([discount(curve, cash_settlement_day(as_of_day, definition.calendar))])
        begin, end = accrued_days(days, as_of_day)
        self._accrued = float(year_fractions(definition.day_count, np.array([begin]), np.array([end]))[0])
        self.years = (maturity_day - as_of_day) / YEAR_DAYS

    def legs(self, market: Floats) -> tuple[Floats, Floats, Floats]:
        """Protection, clean premium with accrual at default, and the discount factor to settlement, (S,) each."""
        log_discount, log_survival = self._discounts.dot(market), self._survivals.dot(market)
        integrals = default_steps.integrals(log_discount, log_survival, self._begin, self._end)
        settlement = self._settlement.exp(market)[0]
        premium = self._premium.of(self._coupons.exp(market)) + self._accrual.of(integrals)
        return self._protection.of(integrals), premium - self._accrued * settlement, settlement


class _Sum:
    """A weighted sum of the rows of a matrix, in their order; or of pairs, rows i and n / 2 + i."""

    def __init__(self, weights: Floats, pairs: bool = False) -> None:
        self._weights = weights
        self._ptr = np.array([0, len(weights)], dtype=np.int32)
        places = np.arange(len(weights), dtype=np.int32)
        self._places = np.ascontiguousarray(places.reshape(2, -1).T).ravel() if pairs else places

    def of(self, values: Floats) -> Floats:
        summed: Floats = terms.gather_linear(values, self._ptr, self._places, self._weights)[0]
        return summed


def solve_isda(
    layout: SnapshotLayout, definition: HazardDefinition, market: Floats, quotes: Floats, failures: dict[int, Failure]
) -> tuple[Floats, dict[int, Failure]]:
    """
    Log survival at the maturities, one contract after the other.

    Args:
        market: (F, S), the discount curve is built; it is not changed.
        quotes: (n, S), spreads or upfronts; columns of *failures* hold anything finite.

    Returns:
        (n, S), and *failures* with those columns where no hazard rate explains a quote.
    """
    isda = definition.isda
    assert isinstance(isda, IsdaModel), definition.name
    contracts = _compiled(layout, definition)
    if isinstance(contracts, Failure):
        return np.full(quotes.shape, np.nan), dict.fromkeys(range(quotes.shape[1]), contracts)
    first = layout.hazards[definition.name].begin
    working = market.copy()
    working[first : first + len(contracts)] = 0.0  # knots not solved yet have weight 0 in contracts before them
    before, before_years = np.zeros(quotes.shape[1]), 0.0
    for row, contract in enumerate(contracts):
        poll()
        if isda.upfronts:
            coupons, upfronts = np.full(quotes.shape[1], isda.coupon), quotes[row]
        else:
            coupons, upfronts = quotes[row], np.zeros(quotes.shape[1])
        years = contract.years - before_years
        knot = _Knot(contract, working, first + row, before, years, 1.0 - definition.recovery_rate, coupons, upfronts)
        fits, residual = knot.solve()
        for column in np.flatnonzero(~fits).tolist():
            label = definition.contracts[row].quote
            failures.setdefault(column, _misfit(label, float(quotes[row, column]), float(residual[column])))
        before, before_years = working[first + row].copy(), contract.years
    return working[first : first + len(contracts)], failures


class _Knot:
    """The log survival at one maturity, under every scenario; `solve` writes it into the market."""

    def __init__(
        self,
        contract: QuotedContract,
        market: Floats,
        factor: int,
        before: Floats,
        years: float,
        loss: float,
        coupons: Floats,
        upfronts: Floats,
    ) -> None:
        self._contract, self._market, self._factor = contract, market, factor
        self._before, self._years = before, years
        self._loss, self._coupons, self._upfronts = loss, coupons, upfronts

    def _value(self, hazard: Floats) -> Floats:
        self._market[self._factor] = self._before - hazard * self._years
        protection, premium, settlement = self._contract.legs(self._market)
        return self._loss * protection - self._coupons * premium - self._upfronts * settlement

    def solve(self) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Whether each scenario fits, and what is left of the notional."""
        with np.errstate(all="ignore"):  # a hopeless quote overflows; it is reported through what is returned
            triangle = (self._coupons + self._upfronts / self._contract.years) / self._loss
            last = np.maximum(triangle, 1e-6)
            last_value = self._value(last)
            hazard = np.where(triangle == 0.0, 0.0, 1.01 * last + 1e-5)  # without a spread 0 is the answer, exactly
            value = self._value(hazard)
            is_open = value != 0.0
            for _ in range(STEP_COUNT_MAX):
                step = value * (hazard - last) / (value - last_value)
                is_open &= np.isfinite(step)
                moved = np.where(is_open, hazard - step, hazard)
                is_open &= np.abs(step) > STEP_SIZE_MAX * (1.0 + np.abs(hazard))
                last, last_value, hazard = hazard, value, moved
                value = self._value(hazard)
                if not is_open.any():
                    break
            fits = np.abs(value) <= RESIDUAL_MAX
        return fits, value


def _compiled(layout: SnapshotLayout, definition: HazardDefinition) -> Sequence[QuotedContract] | Failure:
    """The contracts of a definition, compiled at first use; a Failure where one cannot be written."""
    key = f"isda/{definition.name}"
    if key not in layout.derived:
        try:
            layout.derived[key] = isda_contracts(layout, definition)
        except CalibrationError as error:
            message = str(error).removeprefix(f"hazard/{definition.name}: ")
            layout.derived[key] = Failure(FailureReason.CALIBRATION_FAILED, message)
    return cast("Sequence[QuotedContract] | Failure", layout.derived[key])


def isda_contracts(layout: SnapshotLayout, definition: HazardDefinition) -> list[QuotedContract]:
    """The quoted contracts of a hazard curve.

    Raises:
        CalibrationError: one cannot be written; names the curve and the quote.
    """
    found = []
    for pillar, maturity_day in zip(definition.contracts, layout.survival_nodes(definition.name), strict=True):
        poll()
        try:
            found.append(QuotedContract(layout, definition, maturity_day))
        except (ValueError, CellError) as error:
            raise CalibrationError(f"hazard/{definition.name}", pillar.quote, str(error)) from error
    return found


def _misfit(label: str, quote: float, residual: float) -> Failure:
    message = f"no hazard rate fits {label} with quote {quote!r}: a residual of {residual:.3g} of the notional is left"
    return Failure(FailureReason.CALIBRATION_FAILED, message)
