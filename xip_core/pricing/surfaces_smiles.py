"""Where smiles live in the market vector: slices by expiry, their factors by model.

    spline    log-moneyness of each quoted point, volatilities there, second derivatives there      3 n factors
    sabr      alpha, rho, nu, on a forward of 1 (homogeneity: alpha is alpha F^(beta - 1))          3
    svi       a, b, rho, m, sigma of total variance                                                 5

Total variance is linear in time between expiries at equal log-moneyness; before the first and after the last expiry
the volatility is flat. Both are weights on slices that depend on dates alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from xip_core.model.dates import parse_tenor
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import RateIndex
from xip_core.model.market_smiles import SwaptionSmile, VolatilitySmile
from xip_core.pricing.layout import SmileRef, SmileSlice
from xip_core.pricing.surfaces import (
    YEAR_DAYS,
    BrokenSurfaceError,
    bracket,
    check_ascending,
    expiry_days,
    variance_rows,
)

PARAMETER_COUNTS = {"sabr": 3, "svi": 5}


class SmileSlot(msgspec.Struct, frozen=True):
    """Where the factors of a smile are: expiry after expiry, *width* each."""

    definition: VolatilitySmile
    begin: int
    expiry_days: tuple[int, ...]
    width: int

    @property
    def factor_count(self) -> int:
        return len(self.expiry_days) * self.width

    @property
    def is_spline(self) -> bool:
        """Its factors follow from the quotes without a fit."""
        return self.definition.model == "spline"

    def at(self, as_of_day: int, day: int, is_inverse: bool) -> SmileRef:
        """The smile to the expiry *day*."""
        slices = tuple(
            SmileSlice(self.begin + row * self.width, (self.expiry_days[row] - as_of_day) / YEAR_DAYS, weight)
            for row, weight in variance_rows(self.expiry_days, as_of_day, day)
        )
        years = max(day - as_of_day, 0) / YEAR_DAYS
        return SmileRef(self.definition.model, self.width, self.definition.beta, is_inverse, years, slices)


class SwaptionSlot(msgspec.Struct, frozen=True):
    """Where the factors of a swaption cube are: three a node, expiry by expiry."""

    definition: SwaptionSmile
    begin: int
    expiry_days: tuple[int, ...]
    lengths: tuple[float, ...]
    width: int = 3

    @property
    def factor_count(self) -> int:
        return 3 * len(self.expiry_days) * len(self.lengths)

    def at(self, as_of_day: int, day: int, length_years: float) -> SmileRef:
        """The smile to the expiry *day* for a swap of a length: bilinear in the volatilities of up to four nodes."""
        up, down, row_weight = bracket(self.expiry_days, day)
        left, right, column_weight = bracket(self.lengths, length_years)
        weights: dict[tuple[int, int], float] = {}
        for row, share in ((up, 1.0 - row_weight), (down, row_weight)):
            for column, part in ((left, 1.0 - column_weight), (right, column_weight)):
                weights[row, column] = weights.get((row, column), 0.0) + share * part
        slices = tuple(
            SmileSlice(
                self.begin + 3 * (row * len(self.lengths) + column),
                (self.expiry_days[row] - as_of_day) / YEAR_DAYS,
                weight,
            )
            for (row, column), weight in weights.items()
            if weight != 0.0
        )
        years = max(day - as_of_day, 0) / YEAR_DAYS
        return SmileRef("sabr_normal", 3, self.definition.beta, False, years, slices, self.definition.shift)


def layout_swaption_smile(
    snapshot: Snapshot, name: str, indices: Mapping[str, RateIndex], as_of_day: int, begin: int
) -> SwaptionSlot:
    """The cube called *name* ("swaption_volatility/EUR")."""
    smile = next(item for item in snapshot.swaption_cubes if item.object_name == name)
    if smile.index not in indices:
        raise BrokenSurfaceError(f"{name}: rate index {smile.index} is not defined")
    lengths = check_ascending(name, [parse_tenor(tenor)[0] / 12.0 for tenor in smile.swap_tenors])
    return SwaptionSlot(smile, begin, expiry_days(name, smile.calendar, as_of_day, smile.expiries), lengths)


def layout_smile(snapshot: Snapshot, name: str, as_of_day: int, begin: int) -> SmileSlot:
    """The smile called *name* ("fx_volatility/EURUSD")."""
    smile = next(item for item in snapshot.volatility_smiles if item.object_name == name)
    width = PARAMETER_COUNTS.get(smile.model, 3 * smile.point_count)
    return SmileSlot(smile, begin, expiry_days(name, smile.calendar, as_of_day, smile.expiries), width)
