"""Swaption volatilities by expiry, swap tenor and strike: a normal SABR smile at each node.

The forward of a node is the par rate of the swap that starts at spot from the expiry, from the index curve and that
curve's own discount curve, as the terms of a swap the curve could have been built from. Factors of a node are alpha,
rho and nu; an option reads the four nodes around it (`layout.SmileRef`), each at the option's own forward and strike in
the node's own time. Where forward or strike lie at or below -shift there is no volatility: the scenario is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason
from xip_core.model.market_instruments import FixedFloatSwaps
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.curves_instruments import par_swap_terms
from xip_core.pricing.curves_pillars import index_spot_day
from xip_core.pricing.curves_terms import Term
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.polling import poll
from xip_core.pricing.surfaces import YEAR_DAYS
from xip_core.pricing.surfaces_build import Failures, Floats, QuoteMatrix, Quotes
from xip_core.pricing.surfaces_fit import fit_sabr_normal, sabr_normal_values
from xip_core.pricing.surfaces_smiles import SwaptionSlot


class ParRate:
    """The par rate of one forward-starting swap over the market."""

    def __init__(self, terms: Sequence[Term]) -> None:
        floating = [term for term in terms if not term.is_quoted]
        annuity = [term for term in terms if term.is_quoted]
        self._floating = RefTable([term.exponent for term in floating])
        self._annuity = RefTable([term.exponent for term in annuity])
        self._floating_amounts = [term.amount for term in floating]
        self._annuity_amounts = [term.amount for term in annuity]

    def at(self, market: Floats) -> Floats:
        """(S,)."""
        paid = _ordered_sum(self._floating_amounts, self._floating.exp(market))
        found: Floats = -paid / _ordered_sum(self._annuity_amounts, self._annuity.exp(market))
        return found


def _ordered_sum(amounts: Sequence[float], values: Floats) -> Floats:
    total = np.zeros(values.shape[1])
    for amount, row in zip(amounts, values, strict=True):
        total = total + amount * row
    return total


class SwaptionSmileBuilder:
    """One cube, compiled; `build` is a pure function of market and quotes."""

    def __init__(self, layout: SnapshotLayout, slot: SwaptionSlot) -> None:
        self._smile = slot.definition
        self._spreads = np.array(self._smile.strike_spreads)
        self._nodes = list(itertools.product(range(len(slot.expiry_days)), range(len(slot.lengths))))
        self._years = [(day - layout.as_of_day) / YEAR_DAYS for day in slot.expiry_days]
        smile, index = self._smile, layout.indices[self._smile.index]
        swaps = FixedFloatSwaps(
            pillars=(),
            index=smile.index,
            fixed_frequency_months=smile.fixed_frequency_months,
            fixed_calendar=smile.fixed_calendar,
            fixed_convention=smile.fixed_convention,
            fixed_day_count=smile.fixed_day_count,
        )
        starts = [index_spot_day(index, day) for day in slot.expiry_days]
        self._rates = [
            ParRate(par_swap_terms(layout, swaps, starts[row], smile.swap_tenors[column]))
            for row, column in self._nodes
        ]

    def forwards(self, market: Floats) -> Floats:
        """Par rates of the nodes, (expiries * swap_tenors, S)."""
        return np.stack([rate.at(market) for rate in self._rates])

    def points(self, row: int, market: Floats, quotes: Floats) -> tuple[Floats, Floats]:
        """Strikes and volatilities (n, S) of one node."""
        count = len(self._spreads)
        return self._rates[row].at(market) + self._spreads[:, None], quotes[row * count : (row + 1) * count]

    def fitted(self, row: int, parameters: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Volatilities (n, S) of one node at strikes, each on the forward it is quoted against, and derivatives."""
        years = self._years[self._nodes[row][0]]
        return sabr_normal_values(
            parameters, x - self._spreads[:, None], x, years, self._smile.beta, self._smile.shift
        )

    def build(self, market: Floats, quotes: Floats) -> tuple[Floats, Failures]:
        """Factors (nodes * 3, S) from volatilities (nodes * spreads, S), and the first failure by scenario."""
        failures: Failures = {}
        found = []
        count = len(self._spreads)
        for node, (row, _) in enumerate(self._nodes):
            poll()
            forward = self._rates[node].at(market)
            volatility = quotes[node * count : (node + 1) * count]
            is_positive = forward + self._spreads[0] + self._smile.shift > 0.0
            self._note_forwards(node, forward, is_positive, failures)
            forward = np.where(is_positive, forward, 1.0)
            strikes = forward + self._spreads[:, None]
            fit = fit_sabr_normal(forward, strikes, volatility, self._years[row], self._smile.beta, self._smile.shift)
            self._note_errors(node, fit.errors, volatility, is_positive, failures)
            found.append(np.where(is_positive, fit.parameters, np.nan))
        return np.concatenate(found), failures

    def _note_forwards(
        self, node: int, forward: Floats, is_positive: npt.NDArray[np.bool_], failures: Failures
    ) -> None:
        for column in np.flatnonzero(~is_positive).tolist():
            lowest = float(forward[column] + self._spreads[0])
            message = f"{self._label(node)}: strikes must be above -shift = {-self._smile.shift:g}, got {lowest:.6g}"
            failures.setdefault(column, Failure(FailureReason.CALIBRATION_FAILED, message))

    def _note_errors(
        self, node: int, errors: Floats, volatility: Floats, is_known: npt.NDArray[np.bool_], failures: Failures
    ) -> None:
        bound = self._smile.volatility_error_max
        misses = ~(np.abs(errors) <= bound)
        for column in np.flatnonzero(misses.any(axis=0) & is_known).tolist():
            size = np.where(np.isfinite(errors[:, column]), np.abs(errors[:, column]), np.inf)
            worst = int(np.argmax(size))
            message = (
                f"{self._label(node)}: the SABR fit misses volatility {volatility[worst, column]:.6g} at strike spread "
                f"{self._spreads[worst]:g} by {errors[worst, column]:.3g}, allowed are {bound:g}"
            )
            failures.setdefault(column, Failure(FailureReason.CALIBRATION_FAILED, message))

    def _label(self, node: int) -> str:
        row, column = self._nodes[node]
        return f"expiry {self._smile.expiries[row]}, swap tenor {self._smile.swap_tenors[column]}"


def swaption_smile_builder(layout: SnapshotLayout, name: str) -> SwaptionSmileBuilder:
    """The compiled cube, kept with the layout."""
    builders = cast("dict[str, SwaptionSmileBuilder]", layout.derived.setdefault("swaption_smiles", {}))
    found = builders.get(name)
    if found is None:
        found = builders[name] = SwaptionSmileBuilder(layout, layout.swaption_smiles[name])
    return found


def build_swaption_smile(
    layout: SnapshotLayout, name: str, market: Floats, quotes: Sequence[Quotes], quote_matrix: QuoteMatrix
) -> tuple[Floats, Failures]:
    """Factors of the cube called *name* for S sets of quotes, and failures by scenario."""
    builder = swaption_smile_builder(layout, name)
    names = [use.quote for use in layout.objects[name].quotes]
    volatilities, failures = quote_matrix(quotes, names, must_be="positive")
    factors, misfits = builder.build(market, volatilities)
    return factors, {**misfits, **failures}
