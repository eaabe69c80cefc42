"""Inflation curves of a snapshot: their swap quotes to factors, once per set of quotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from xip_core.errors import Failure
from xip_core.pricing.arithmetic import Floats, RefTable
from xip_core.pricing.inflation import YearOnYearSwaps, log_growths, year_on_year_payments
from xip_core.pricing.market_layout import SnapshotLayout

Quotes = Mapping[str, float | str]


class QuoteReader(Protocol):
    """`calibrate.quote_matrix`."""

    def __call__(
        self, quotes: Sequence[Quotes], names: Sequence[str], must_be: str = "finite"
    ) -> tuple[Floats, dict[int, Failure]]: ...


class InflationBuilder:
    """Builds both kinds of inflation curve; keeps the swaps it compiled."""

    def __init__(self, layout: SnapshotLayout, read: QuoteReader) -> None:
        self._layout = layout
        self._read = read
        self._swaps: dict[str, YearOnYearSwaps] = {}

    def build(
        self, kind: str, name: str, market: Floats, quotes: Sequence[Quotes]
    ) -> tuple[Floats, dict[int, Failure]]:
        """Factors (n, K) of "inflation" or "year_on_year" *name* for K sets of quotes; *market* holds its parents."""
        if kind == "inflation":
            return self._levels(name, quotes)
        slot = self._layout.year_on_years[name]
        rates, failures = self._read(quotes, [pillar.quote for pillar in slot.definition.swaps])
        if slot.definition.has_growths:
            return np.vstack([np.full_like(rates[:1], slot.definition.base_rate), rates]), failures
        return self._compiled(name).solve(rates, market), failures

    def _levels(self, name: str, quotes: Sequence[Quotes]) -> tuple[Floats, dict[int, Failure]]:
        slot = self._layout.inflations[name]
        rates, failures = self._read(quotes, [pillar.quote for pillar in slot.definition.swaps], must_be="above -1")
        seasons, more = self._read(quotes, slot.definition.seasonality, must_be="positive")
        return log_growths(slot, rates, seasons), {**failures, **more}

    def _compiled(self, name: str) -> YearOnYearSwaps:
        swaps = self._swaps.get(name)
        if swaps is None:
            slot = self._layout.year_on_years[name]
            days, accruals = year_on_year_payments(slot, self._layout.as_of_day)
            curve = slot.definition.discount_curve
            discounts = RefTable([self._layout.log_discount_of_day(curve, day) for day in days.tolist()])
            swaps = self._swaps[name] = YearOnYearSwaps(slot, discounts, accruals)
        return swaps
