"""Tenors a market is reduced to before it is bumped: what some systems call their simulation market.

A desk that keeps its curves by instruments but reports by a few tenors, or compares with a system that does, reduces
the market first (`pricing.simulated_market`): every object is read off at these tenors and interpolated anew.
"""

from __future__ import annotations

from xip_core.model.market_instruments import Record


class SimulationGrid(Record, frozen=True, kw_only=True):
    """Tenors by kind of object, counted from the as-of date without a calendar; () keeps the kind as it is.

    Attributes:
        curves: of discount factors. hazards: of survival probabilities. dividends: of dividend yields.
        swap_tenors: second axis of swaption volatilities. cap_strikes: of caplet volatilities.
        growths: of year-on-year curves, whole years.
    """

    curves: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    dividends: tuple[str, ...] = ()
    fx_expiries: tuple[str, ...] = ()
    equity_expiries: tuple[str, ...] = ()
    swaption_expiries: tuple[str, ...] = ()
    swap_tenors: tuple[str, ...] = ()
    cap_expiries: tuple[str, ...] = ()
    cap_strikes: tuple[float, ...] = ()
    inflations: tuple[str, ...] = ()
    growths: tuple[str, ...] = ()
