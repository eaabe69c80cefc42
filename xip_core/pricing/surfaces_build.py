"""A smile from its quotes: points, fit, and what is refused with the expiry, the error and the bound it breaks.

Refused, in this order: points that do not ascend in strike or do not exist; a fit that misses a quote by more than
`volatility_error_max`; of SVI, wings steeper than a variance can be (Lee: |slope| <= 2), a negative density
(Durrleman's g < 0) and total variance that falls from one expiry to the next, both looked for within CHECK_DEVIATIONS
standard deviations of the forward. A refused scenario is NaN in all factors of the surface, the others stand.

Source of the conditions: J. Gatheral and A. Jacquier, Arbitrage-free SVI volatility surfaces, Quantitative Finance 14
(2014); R. Lee, The moment formula for implied volatility at extreme strikes, Mathematical Finance 14 (2004).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason
from xip_core.model.dates import date_of
from xip_core.model.market_smiles import DeltaQuotes, StrikeQuotes
from xip_core.pricing.arithmetic import RefTable, exp_, log_
from xip_core.pricing.layout_slots import YEAR_DAYS, combine_refs
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll
from xip_core.pricing.surfaces_fit import (
    Fit,
    butterfly_fault,
    calendar_fault,
    check_strikes,
    fit_sabr,
    fit_svi,
    sabr_values,
    spline_bends,
    svi_values,
)
from xip_core.pricing.surfaces_quotes import Carry, delta_points
from xip_core.pricing.surfaces_smiles import SmileSlot

Floats = npt.NDArray[np.float64]
Failures = dict[int, Failure]
Quotes = Mapping[str, float | str]

WING_SLOPE_MAX = 2.0


class QuoteMatrix(Protocol):
    """`calibrate.quote_matrix`."""

    def __call__(
        self, quotes: Sequence[Quotes], names: Sequence[str], must_be: str = "finite"
    ) -> tuple[Floats, Failures]: ...


def build_smile(
    layout: SnapshotLayout, name: str, market: Floats, quotes: Sequence[Quotes], quote_matrix: QuoteMatrix
) -> tuple[Floats, Failures]:
    """Factors of the smile called *name* for S sets of quotes, and failures by scenario."""
    builder = smile_builder(layout, name)
    names = [use.quote for use in layout.objects[name].quotes]
    volatilities, failures = quote_matrix(quotes, names[: builder.volatility_count], must_be="positive")
    spreads, more = quote_matrix(quotes, names[builder.volatility_count :])
    factors, misfits = builder.build(market, np.concatenate([volatilities, spreads]))
    return factors, {**misfits, **more, **failures}


def smile_builder(layout: SnapshotLayout, name: str) -> SmileBuilder:
    """The compiled surface, kept with the layout."""
    builders = cast("dict[str, SmileBuilder]", layout.derived.setdefault("smiles", {}))
    found = builders.get(name)
    if found is None:
        found = builders[name] = SmileBuilder(layout, layout.smiles[name])
    return found


class SmileBuilder:
    """One surface, compiled; `build` is a pure function of market and quotes."""

    def __init__(self, layout: SnapshotLayout, slot: SmileSlot) -> None:
        self._slot = slot
        self._smile = slot.definition
        self._years = [(day - layout.as_of_day) / YEAR_DAYS for day in slot.expiry_days]
        self._is_log = self._smile.kind != "commodity_volatility"
        name, days = self._smile.name, slot.expiry_days
        self._domestic, self._foreign = RefTable([]), RefTable([])
        if self._smile.kind == "fx_volatility":
            foreign, domestic = name[:3], name[3:]
            of_foreign = [layout.log_discount_of_day(layout.discount_curve(foreign), day) for day in days]
            of_domestic = [layout.log_discount_of_day(layout.discount_curve(domestic), day) for day in days]
            self._foreign, self._domestic = RefTable(of_foreign), RefTable(of_domestic)
            spot = ((1.0, layout.log_fx(foreign)), (-1.0, layout.log_fx(domestic)))
            forwards = [
                combine_refs(*spot, (1.0, up), (-1.0, down)) for up, down in zip(of_foreign, of_domestic, strict=True)
            ]
        elif self._smile.kind == "equity_volatility":
            forwards = [layout.log_equity_forward(name, date_of(day)) for day in days]
        else:
            forwards = [layout.commodity_forward(name, date_of(day)) for day in days]
        self._forwards = RefTable(forwards)

    @property
    def volatility_count(self) -> int:
        """Quotes that are volatilities and must be positive; they come first."""
        quotes = self._smile.quotes
        return len(quotes.at_the_money) if isinstance(quotes, DeltaQuotes) else len(quotes.volatilities)

    def build(self, market: Floats, quotes: Floats) -> tuple[Floats, Failures]:
        """
        Args:
            market: (F, S), what the surface is built on.
            quotes: (n, S), in the order of the object's quotes.

        Returns:
            factors (expiries * width, S), and the first failure by scenario.
        """
        failures: Failures = {}
        found: list[Floats] = []
        for row, years in enumerate(self._years):
            poll()
            x, volatility = self.points(row, market, quotes)
            found.append(self._slice(row, x, volatility, years, failures))
        if self._smile.model == "svi" and not self._smile.allows_arbitrage:
            self._check_arbitrage(found, failures)
        return np.concatenate(found), failures

    def points(self, row: int, market: Floats, quotes: Floats) -> tuple[Floats, Floats]:
        """Log-moneyness and volatility (n, S) of one expiry."""
        listed = self._smile.quotes
        if isinstance(listed, DeltaQuotes):
            rows, deltas = len(self._years), len(listed.deltas)
            carry = Carry(self._years[row], self._domestic.dot(market)[row], self._foreign.dot(market)[row])
            begin = rows + row * deltas
            reversals, butterflies = quotes[begin : begin + deltas], quotes[begin + rows * deltas :][:deltas]
            return delta_points(listed, quotes[row], reversals, butterflies, carry)
        count = len(listed.strikes)
        x = log_(np.array(listed.strikes))[:, None] - self._log_centre(row, market, listed)
        return x, quotes[row * count : (row + 1) * count]

    def fitted(self, row: int, parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Volatilities (n, S) of one expiry at *x*, and their derivatives (n, P, S) to its parameters (P, S)."""
        if self._smile.model == "sabr":
            return sabr_values(parameters, exp_(x), self._years[row], self._smile.beta)
        return svi_values(parameters, x, self._years[row])

    def _log_centre(self, row: int, market: Floats, listed: StrikeQuotes) -> Floats:
        """What strikes are compared with: the forward, or 1 where they are fractions of it already."""
        if listed.is_moneyness:
            return np.zeros(market.shape[1])
        forward = self._forwards.dot(market)[row]
        with np.errstate(invalid="ignore"):
            return forward if self._is_log else np.where(forward > 0.0, log_(forward), np.nan)

    def _slice(self, row: int, x: Floats, volatility: Floats, years: float, failures: Failures) -> Floats:
        """Factors (width, S) of one expiry; NaN in failed scenarios."""
        is_sound = (x[1:] > x[:-1]).all(axis=0) & (volatility > 0.0).all(axis=0)
        for column in np.flatnonzero(~is_sound).tolist():
            message = f"{self._expiry(row)}: strikes must exist and ascend, got log-moneyness {_listed(x[:, column])}"
            _note(failures, column, f"{message} at volatilities {_listed(volatility[:, column])}")
        x, volatility = np.where(is_sound, x, np.arange(len(x))[:, None]), np.where(is_sound, volatility, 1.0)
        match self._smile.model:
            case "spline":
                factors = np.concatenate([x, volatility, spline_bends(x, volatility)])
                return np.where(is_sound, factors, np.nan)
            case "sabr":
                fit = fit_sabr(x, volatility, years, self._smile.beta)
            case _:
                fit = fit_svi(x, volatility, years)
        for column in np.flatnonzero(is_sound).tolist():
            self._check_errors(row, fit, x, volatility, column, failures)
        return np.where(is_sound, fit.parameters, np.nan)

    def _check_errors(self, row: int, fit: Fit, x: Floats, volatility: Floats, column: int, failures: Failures) -> None:
        """The fit meets every quote within the bound."""
        errors = fit.errors[:, column]
        bound = self._smile.volatility_error_max
        if not (np.abs(errors) <= bound).all():
            worst = int(np.argmax(np.where(np.isfinite(errors), np.abs(errors), np.inf)))
            message = (
                f"{self._expiry(row)}: the {self._smile.model} fit misses volatility "
                f"{volatility[worst, column]:.6g} at log-moneyness {x[worst, column]:.4g} by {errors[worst]:.3g}, "
                f"allowed are {bound:g}"
            )
            _note(failures, column, message)

    def _check_arbitrage(self, slices: list[Floats], failures: Failures) -> None:
        """Wings, densities and order in time of SVI slices."""
        for row, parameters in enumerate(slices):
            a, b, rho, m, sigma = parameters
            at_the_money = a + b * (np.sqrt(m * m + sigma * sigma) - rho * m)
            with np.errstate(invalid="ignore"):
                strikes = check_strikes(np.sqrt(at_the_money))
            for column, wing in enumerate((b * (1.0 + np.abs(rho))).tolist()):
                if wing > WING_SLOPE_MAX:
                    _note(
                        failures, column, f"{self._expiry(row)}: a wing of slope {wing:.4g} is above Lee's bound of 2"
                    )
            is_bad, where, density = butterfly_fault(parameters, strikes)
            for column in np.flatnonzero(is_bad).tolist():
                message = f"{self._expiry(row)}: butterfly arbitrage at log-moneyness {where[column]:.4g}"
                _note(failures, column, f"{message}, Durrleman's function is {density[column]:.3g} and must be >= 0")
            if row:
                is_bad, where = calendar_fault(slices[row - 1], parameters, strikes)
                for column in np.flatnonzero(is_bad).tolist():
                    message = f"{self._expiry(row)}: calendar arbitrage at log-moneyness {where[column]:.4g}"
                    _note(failures, column, f"{message}, total variance falls from {self._expiry(row - 1)}")

    def _expiry(self, row: int) -> str:
        return f"expiry {self._smile.expiries[row]} ({date_of(self._slot.expiry_days[row])})"


def _listed(values: Floats) -> str:
    return " ".join(_digits(values))


def _digits(values: Floats) -> Iterator[str]:
    for value in values.tolist():
        yield f"{value:.4g}"


def _note(failures: Failures, column: int, message: str) -> None:
    """The first fault of a scenario stands."""
    if column not in failures:
        failures[column] = Failure(FailureReason.CALIBRATION_FAILED, message)
